"""How large to run a detector's recipe on fixed features."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fasa.datasets.lvis_counts import LvisCounts
from fasa.signatures import CheckedAs, made, options, partial
from fasa.strict import parse
from fasa.tasks.detection.recipe import Backbone, DataName, DetectionSchedule
from fasa.tasks.features.geometry import Geometry
from fasa.tasks.features.recipe import CountedData, FeaturesRecipe
from fasa.tasks.recipe import NotNegative, Recipe, TaskScale

GEOMETRY = "fasa.tasks.features.geometry:Geometry"


class FeaturesScale(TaskScale):
    """A scale's part for detectors on fixed features; ``batch_size`` are images of a step, over all processes."""

    data: dict[DataName, Annotated[dict[str, Any], CheckedAs(partial(CountedData))]] = Field(
        description="What stands for a recipe's data."
    )
    schedule: Annotated[dict[str, Any], CheckedAs(partial(DetectionSchedule))] = Field(
        {}, description="Overrides of every recipe's schedule."
    )
    seconds: dict[Backbone, NotNegative] = Field(
        {}, description="Guess of the seconds of an epoch, by backbone, until measured ones exist."
    )
    disk_gb: dict[Backbone, NotNegative] = Field(
        {}, description="Guess of the gigabytes that one run leaves, by backbone, until there are any."
    )
    geometry: Annotated[dict[str, Any], CheckedAs(options(GEOMETRY))] = Field(
        {}, description="How classes, objects and regions lie in feature space."
    )
    processes: int = Field(8, ge=1, description="Simulated processes; each draws virtual features of its own.")
    objects_per_class: float = Field(
        0.5, gt=0, description="Most objects of a class in a step, on average; others are left out."
    )
    background: int = Field(256, ge=1, description="Background regions of a step.")
    held_out: float = Field(
        8, gt=0, description="Most held-out objects of a class that adaptation looks at, on average."
    )
    test_background: int = Field(20, ge=0, description="Background regions of a test image.")

    def apply(self, recipe: Recipe, where: str) -> FeaturesRecipe:
        """``recipe`` at this scale; ``where`` is what an error calls it."""
        content = self.scaled(recipe)
        content["schedule"] = self.shortened(content["schedule"])
        resolved = parse(FeaturesRecipe, content, where)
        made(LvisCounts, resolved.data.options, where)
        made(Geometry, self.geometry, where)
        return resolved
