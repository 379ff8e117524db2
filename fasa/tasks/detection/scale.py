"""How large to run a detector: the one place where a detection recipe's numbers are made smaller."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fasa.datasets.glyphs.spec import GlyphScenes
from fasa.errors import UserError
from fasa.signatures import CheckedAs, made, options, partial
from fasa.strict import NAME, parse
from fasa.tasks.detection.pretraining_settings import Pretraining
from fasa.tasks.detection.recipe import Backbone, DataName, DetectionData, DetectionRecipe, DetectionSchedule
from fasa.tasks.recipe import NotNegative, TaskScale

PRETRAINING = "fasa.tasks.detection.pretraining_settings:Pretraining"
# Its last part becomes a file of ours, and its digits are what the download is checked by.
Address = Annotated[str, Field(pattern=r"^(https?|file)://\S+/[A-Za-z0-9._-]{1,99}-[0-9a-f]{8,64}\.[A-Za-z0-9]+$")]


class DetectionScale(TaskScale):
    """A scale's part for detectors; ``seconds`` are of an epoch."""

    data: dict[DataName, Annotated[dict[str, Any], CheckedAs(partial(DetectionData))]] = Field(
        {}, description="Overrides of a recipe's data, by its data set."
    )
    schedule: Annotated[dict[str, Any], CheckedAs(partial(DetectionSchedule))] = Field(
        {}, description="Overrides of every recipe's schedule."
    )
    threads: int = Field(2, gt=0, description="CPU threads of one run.")
    devices: int = Field(1, ge=1, description="GPUs of one run; the batch is shared between them.")
    model: str | None = Field(
        None,
        pattern=f"^{NAME.pattern}$",
        description="A file of configs/mmdet/scales laid over the model and the pipelines, and after it the one "
        "that has the backbone in its name.",
    )
    workers: int = Field(2, ge=0, description="Processes that load images, of each device.")
    evaluate_images: int = Field(1, ge=1, description="Validation images at once in inference.")
    pretraining: Annotated[dict[str, Any], CheckedAs(options(PRETRAINING))] | None = Field(
        None, description="How backbones are trained on single glyphs first."
    )
    weights: dict[Backbone, Annotated[tuple[Address, ...], Field(min_length=1)]] = Field(
        {},
        description="Or else the URLs of a file that they start from, best first, by backbone; the digits that its "
        "name ends in begin its SHA-256. A backbone without either starts from what its config says.",
    )
    seconds: dict[Backbone, NotNegative] = Field(
        {}, description="Guess of the device seconds of an epoch, by backbone, until measured ones exist."
    )
    disk_gb: dict[Backbone, NotNegative] = Field(
        {}, description="Guess of the gigabytes that one run leaves, by backbone, until there are any."
    )

    def apply(self, recipe: DetectionRecipe, where: str) -> DetectionRecipe:
        """``recipe`` at this scale; ``where`` is what an error calls it."""
        content = self.scaled(recipe)
        content["schedule"] = self.shortened(content["schedule"])
        resolved = parse(DetectionRecipe, content, where)
        if resolved.schedule.batch_size % self.devices:
            told = f"a batch of {resolved.schedule.batch_size}, which its {self.devices} devices cannot share"
            raise UserError(f"{where} has {told}; change one of them.")
        if resolved.data.name == "glyphs":
            made(GlyphScenes, resolved.data.options, where)
        if self.pretraining is not None:
            made(Pretraining, self.pretraining, where)
        return resolved
