"""What every recipe says, and every task's part of a scale: the models that those of each task extend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import Field, create_model, field_validator
from pydantic_core.core_schema import ValidationInfo

from fasa.augmenters import AUGMENTERS
from fasa.augmenters.installed import augmenters
from fasa.augmenters.trainings import TRAININGS, Refusal, refusal
from fasa.errors import UserError
from fasa.signatures import CheckedAs, Choice, Options, context_of, defined, statements
from fasa.strict import Named, Strict, Text, check

DEFAULT = "default"
LAST_SEED = 2**31 - 1  # numpy takes 32 bits, and some of ours are counted up from a run's
NotNegative = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]


class Augmentation(Choice):
    """An augmenter by its name, ours or an installed package's, and its options; ``refused`` says why of the others."""

    refused: ClassVar[Mapping[str, Refusal]] = {}

    name: str = Field("none", description="An augmenter; `none` augments nothing.")
    options: dict[str, Any] = Field({}, description="What its constructor takes.")
    epochs: dict[str, int] = Field({}, description="Those options that are epochs: a scale shortens them.")

    @field_validator("name", mode="before")  # before it is looked for among those that can
    @classmethod
    def _can_join(cls, name: Any) -> Any:
        if isinstance(name, str) and name in cls.refused:
            raise ValueError(f"'{name}' {cls.refused[name].told}; choose another")
        return name

    @classmethod
    def options_of(cls, name: str) -> Options:
        found = super().options_of(name)
        found.renamed = {
            "scale": "draws_per_step",
            "signal": "adapt_on",
            "variance": "variance_estimator",
            "plain": "unweighted_virtual_loss",
        }
        return found

    @field_validator("epochs")
    @classmethod
    def _are_epochs(cls, given: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        if "name" not in info.data:
            return given
        if both := given.keys() & info.data.get("options", {}).keys():
            raise ValueError(f"'{min(both)}' stands among the options, too; keep one of them")
        return check(_epochs(cls.options_of(info.data["name"])), given)

    @property
    def per_process_statistics(self) -> bool:
        """Whether each process is to keep statistics of its own."""
        released = self.options.get("preset") == "fasa_released"  # which torch, not loaded here, would be asked for
        return not self.options.get("global_statistics", not released)


@cache
def joining(context: str) -> tuple[dict[str, tuple[str, ...]], dict[str, Refusal]]:
    """The augmenters that can join a training, with what takes the options of each, and why the others cannot.

    Args:
        context: what the training tells an augmenter, a class of fasa/augmenters/base.py.

    Raises:
        UserError: an installed package names a class that is not there.
    """
    plain = AUGMENTERS["none"].classes
    found, refused = {"none": plain}, {}
    for name, registered in augmenters().items():
        for place in registered.classes if registered.classes != plain else ():
            reason = _refusal(place, context, registered.package)
            if reason is None:
                found[name] = (place, *registered.options_of)
                break
            refused[name] = reason
    return found, {name: reason for name, reason in refused.items() if name not in found}


def _refusal(place: str, context: str, package: str | None) -> Refusal | None:
    try:
        needs, methods = context_of(place), defined(place, beyond=AUGMENTERS["none"].classes[0])
    except (LookupError, SyntaxError) as error:
        if package is None:
            raise
        found = f"there is no {error.args[0]}" if isinstance(error, LookupError) else f"it is no Python: {error}"
        told = f"package '{package}' names the augmenter {place}, and {found}"
        raise UserError(f"{told}; correct the package, or uninstall it.") from error
    return refusal(methods, needs if needs in TRAININGS else "TrainingContext", TRAININGS[context])


@cache
def _epochs(options: Options) -> Options:
    fields: dict[str, Any] = {name: (int, 0) for name in options.model_fields if name.endswith("epoch")}
    return create_model(f"{options.__name__}Epochs", __base__=Strict, **fields)


class Recipe(Named):
    """All that decides a trained model but its seed and scale; a subclass is one kind of model.

    A recipe in configs/recipes is of the kind whose ``marker`` is among its keys.
    """

    kind: ClassVar[str]
    marker: ClassVar[str]

    augmenter: Augmentation = Augmentation()
    start_from: Text | None = Field(None, description="The recipe whose run of the same seed gives the first weights.")

    def hashed(self) -> dict[str, Any]:
        """What a fingerprint has of it."""
        found = self.model_dump(exclude={"name"})
        chosen, registered = found["augmenter"], augmenters()[found["augmenter"]["name"]]
        chosen["options"] = {**registered.new_defaults, **chosen["options"]}
        if registered.package is not None:  # a method in the making: a changed statement is another method
            chosen["statements"] = [text for place in registered.classes for text in statements(place)]
        return found

    def needs(self) -> tuple[str, ...]:
        """The recipes whose runs must come first."""
        return (self.start_from,) if self.start_from else ()


class Resources(Strict):
    """What one run asks a cluster for."""

    gpu: int = Field(0, ge=0, description="GPUs.")
    mem_mb: int = Field(1000, gt=0, description="Memory in megabytes.")
    runtime: int = Field(10, gt=0, description="Minutes.")


class TaskScale(Strict):
    """A task's part of a scale: how large to run the recipes that the task takes."""

    description: str = Field("", description="One sentence for the task's tables, in place of the scale's own.")
    seeds: dict[str, Annotated[tuple[Seed, ...], Field(min_length=1)]] = Field(
        {DEFAULT: (0,)},
        description="Seeds of a run, by the table, figure or recipe that asks for it; `default` where none of a run's "
        "is named. A list alone is the default.",
    )
    data: dict[str, dict[str, Any]] = Field({}, description="Overrides of a recipe's data, by its data set.")
    epochs: float = Field(1.0, gt=0, description="Factor of all epoch numbers.")
    schedule: dict[str, Any] = Field({}, description="Overrides of every recipe's schedule.")
    threads: int = Field(1, gt=0, description="CPU threads of one run.")
    resources: Annotated[dict[str, int], CheckedAs(Resources)] = Field(
        {}, validate_default=True, description="What one run asks a cluster for."
    )
    seconds: dict[str, NotNegative] = Field(
        {}, description="Guess of the device seconds of training, by backbone, until measured ones exist."
    )
    evaluate_seconds: float = Field(
        0.0, ge=0, description="Guess of the seconds that measuring one run takes, on one device, until measured."
    )
    disk_gb: dict[str, NotNegative] = Field(
        {}, description="Guess of the gigabytes that one run leaves, by backbone, until there are any."
    )

    @field_validator("seeds", mode="before", json_schema_input_type=tuple[Seed, ...] | dict[str, tuple[Seed, ...]])
    @classmethod
    def _one_list(cls, seeds: Any) -> Any:
        named = {DEFAULT: seeds} if isinstance(seeds, list | tuple) else seeds
        if not isinstance(named, dict):
            return named
        return {name: tuple(some) if isinstance(some, list) else some for name, some in named.items()}

    @field_validator("seeds")
    @classmethod
    def _has_default(cls, seeds: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        if DEFAULT not in seeds:
            raise ValueError(f"needs a '{DEFAULT}', for what it does not name")
        return seeds

    @field_validator("resources")
    @classmethod
    def _complete(cls, resources: dict[str, int]) -> dict[str, int]:
        return {**Resources().model_dump(), **resources}

    def epoch(self, epoch: int) -> int:
        """An epoch number of a recipe at this scale, at least 1."""
        return max(1, round(epoch * self.epochs))

    def scaled(self, recipe: Recipe) -> dict[str, Any]:
        """The content of ``recipe`` with this scale's data, and with the augmenter's epochs among its options."""
        content = recipe.model_dump()
        content["data"].update(self.data.get(content["data"]["name"], {}))
        epochs = content["augmenter"].pop("epochs")
        content["augmenter"]["options"].update({name: self.epoch(value) for name, value in epochs.items()})
        return content

    def shortened(self, schedule: dict[str, Any]) -> dict[str, Any]:
        """A schedule with ``epochs`` and a list of ``milestones`` at this scale, with its overrides."""
        epochs = self.epoch(schedule["epochs"])
        milestones = self.milestones(schedule["milestones"], epochs)
        return {**schedule, "epochs": epochs, "milestones": milestones, **self.schedule}

    def milestones(self, milestones: Sequence[int], epochs: int) -> list[int]:
        """The schedule's milestones at this scale, where it has ``epochs``.

        Rounded, a late one can fall on the end, where it would never happen, or on the one before it: then it moves
        forward. Where there are fewer places than milestones the first ones share an epoch; one epoch has no place.
        """
        latest, placed = epochs - 1, []
        for milestone in reversed(milestones if epochs > 1 else ()):
            placed.append(max(1, min(self.epoch(milestone), latest)))
            latest = placed[-1] - 1
        return placed[::-1]
