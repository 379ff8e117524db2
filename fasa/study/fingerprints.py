"""Fingerprints: a hash of all that decides a run but its seed. It is of meaning, not of spelling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from fasa.tasks.recipe import Recipe

# Raise when a change of the code changes what a recipe trains, so that old runs count as stale.
RECIPE_VERSION = 1

# Keys that have been renamed enter under the name that they had when the first runs were trained.
FIRST_SPELLING = {
    "adapt_on": "signal",
    "batch_size": "batch",
    "draws_per_step": "scale",
    "logit_scale": "scale",
    "lr": "rate",
    "milestones": "drops",
    "sampler_options": "sampler",
    "unweighted_virtual_loss": "plain",
    "variance_estimator": "variance",
}


def fingerprint(recipe: Recipe, beside: dict[str, Any], needed: Sequence[str]) -> str:
    """Sixteen hexadecimal digits.

    Args:
        recipe: at its scale.
        beside: what else decides the run (``Task.decided_by``).
        needed: the fingerprints of the runs that it starts from.
    """
    content = {
        "recipe": recipe.hashed(),
        **beside,
        "needs": list(needed),
        "version": RECIPE_VERSION,
    }
    return hashlib.sha256(json.dumps(_as_first_spelt(content), sort_keys=True).encode()).hexdigest()[:16]


def _as_first_spelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {FIRST_SPELLING.get(key, key): _as_first_spelt(inner) for key, inner in value.items()}
    return [_as_first_spelt(inner) for inner in value] if isinstance(value, list | tuple) else value
