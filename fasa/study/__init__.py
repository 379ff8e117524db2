"""Recipes, scales, tables and runs as typed objects; plans without loading torch."""

from fasa.study.loading import load_study
from fasa.study.study import Study
from fasa.tasks.task import Run

__all__ = ["Run", "Study", "load_study"]
