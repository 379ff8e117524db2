"""Recipes, scales, tables and runs as typed objects; plans without loading torch."""

from fasa.study.study import Run, Study, load_study

__all__ = ["Run", "Study", "load_study"]
