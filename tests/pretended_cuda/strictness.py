"""Where the project promises not to wait for the device, waiting raises; a run draws from its own generator alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any

from pretended_cuda.checks import no_default_generator, no_synchronisation


def of_fasa() -> None:
    """In FASA's part of a step."""
    from fasa.method.fasa import FASA

    for name in ("observe", "loss", "weighted_loss"):
        setattr(FASA, name, _quiet(getattr(FASA, name), f"FASA.{name}"))


def of_classifiers() -> None:
    """From a classifier's first step of an epoch to its last, if its augmenter can be captured."""
    from fasa.tasks.classification.training import Training

    step, run = Training._step, Training.run

    def checked_step(self: Training, indices: Any) -> None:
        with no_default_generator("a step"):
            (_quiet(step, "a step") if self.augmenter.graphable else step)(self, indices)

    def checked_run(self: Training, *args: Any) -> Iterator[int]:
        advance = _quiet(next, "the loop over steps") if self.augmenter.graphable else next
        with closing(run(self, *args)) as steps:
            while (epoch := advance(steps, None)) is not None:
                yield epoch

    Training._step, Training.run = checked_step, checked_run  # type: ignore[method-assign]
    for name in ("_resume", "_begin_epoch", "_end_epoch", "_save", "_finish"):  # between epochs it may wait
        setattr(Training, name, _quiet(getattr(Training, name), ""))


def of_detectors() -> None:
    """In the part of a detector's step that is this project's, if its augmenter can be captured; in its validation."""
    from fasa.augmenters import AUGMENTERS
    from fasa.augmenters.base import Augmenter
    from fasa.mmdet.validation_loss import RoIValidation

    RoIValidation.add = _quiet(RoIValidation.add, "RoIValidation.add")  # type: ignore[method-assign]
    for augmenter in {each for registered in AUGMENTERS.values() for each in registered.load()} - {Augmenter}:
        if augmenter.graphable:
            augmenter.loss = _quiet(augmenter.loss, f"{augmenter.__name__}.loss")  # type: ignore[method-assign]


def _quiet(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        with no_synchronisation("" if _lifted else what):
            return function(*args, **kwargs)

    return checked


_lifted: list[bool] = []


@contextmanager
def lifted() -> Iterator[None]:
    """Inside, all may wait: of what says that it does."""
    _lifted.append(True)
    try:
        yield
    finally:
        _lifted.pop()
