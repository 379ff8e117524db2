"""A detector's recipe as this task runs it: on classes and counts in place of images."""

from __future__ import annotations

from pydantic import Field

from fasa.signatures import Choice
from fasa.tasks.detection.recipe import DetectionRecipe


class CountedData(Choice):
    """LVIS's classes and counts, and how many of them."""

    known = {"lvis_counts": ("fasa.datasets.lvis_counts:LvisCounts",)}


class FeaturesRecipe(DetectionRecipe):
    """One recipe of a detector at a scale that has no images."""

    data: CountedData = Field(description="The classes and counts.")  # type: ignore[assignment]  # no images
