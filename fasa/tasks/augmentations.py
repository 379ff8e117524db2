"""Which augmenters can join a task's training, and the constructors that take their options; known without torch."""

from __future__ import annotations

from fasa.augmenters import AUGMENTERS
from fasa.signatures import context_of, defines


def joining(context: str, uncalled: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The augmenters that can join a training, and what takes the options of each.

    Args:
        context: what the training tells an augmenter, a class of fasa/augmenters/base.py.
        uncalled: the hooks that the training does not call.
    """
    found = {"none": AUGMENTERS["none"].classes}
    for name, registered in AUGMENTERS.items():
        for place in registered.classes:
            serves = context_of(place) in ("TrainingContext", context)
            if name not in found and serves and not any(defines(place, hook) for hook in uncalled):
                found[name] = (place, *registered.options_of)
    return found
