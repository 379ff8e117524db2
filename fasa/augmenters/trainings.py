"""The kinds of training that an augmenter can join, what each calls, and why one may refuse an augmenter.

Nothing here loads torch: a plan refuses by it what a training would.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import NamedTuple

HOOKS = ("begin_epoch", "select", "images", "mix", "loss", "phase", "end_epoch")
ALIKE = 0.85  # from here on the name of a method is a hook's, misspelt: "image", "end_epochs"


class Training(NamedTuple):
    """A kind of training: what it is called, the hooks that it calls, and the contexts that it can give."""

    name: str
    hooks: frozenset[str]
    contexts: tuple[str, ...]


EVERYWHERE = frozenset({"begin_epoch", "loss", "end_epoch"})
# By the class of fasa/augmenters/base.py that tells of it.
TRAININGS = {
    "TrainingContext": Training("the training of a classifier on fixed features", EVERYWHERE, ("TrainingContext",)),
    "ImageContext": Training(
        "the training of a classifier on images",
        EVERYWHERE | {"select", "images", "mix"},
        ("TrainingContext", "ImageContext"),
    ),
    "RoIContext": Training(
        "the training of a detector", EVERYWHERE | {"mix", "phase"}, ("TrainingContext", "RoIContext")
    ),
}


class Refusal(NamedTuple):
    """Why a training cannot serve an augmenter: the end of a sentence, and what the training has, as "no call of …"."""

    told: str
    training_has: str


def refusal(methods: Collection[str], needs: str, training: Training) -> Refusal | None:
    """Why ``training`` cannot serve an augmenter; None if it can.

    Args:
        methods: what the augmenter's class defines beyond :class:`fasa.augmenters.base.Augmenter`, by name.
        needs: the context that it must be given.
    """
    for name in sorted(name for name in methods if name not in HOOKS and not name.startswith("_")):
        if near := difflib.get_close_matches(name, HOOKS, 1, ALIKE):
            told = f"has '{name}', which nothing calls: the hook is called '{near[0]}' (a method of its own: '_{name}')"
            return Refusal(told, f"no call of '{name}'")
    if not any(hook in methods for hook in HOOKS):
        told = f"acts by no hook, so it would train the plain baseline; the hooks are {', '.join(HOOKS)}"
        return Refusal(told, "nothing but the hooks")
    if any(hook not in training.hooks for hook in HOOKS if hook in methods):
        uncalled = _listed({*methods} - training.hooks)
        return Refusal(f"acts by {uncalled}, which {training.name} does not call", f"no call of {uncalled}")
    if needs not in training.contexts:
        only = TRAININGS[needs].name
        told = f"needs what only {only} has, for {_listed(methods)}; this is {training.name}"
        return Refusal(told, f"not what {only} has")
    return None


def _listed(hooks: Collection[str]) -> str:
    found = [f"'{name}'" for name in HOOKS if name in hooks]
    return f"the hook{'s' if len(found) > 1 else ''} {', '.join(found)}"
