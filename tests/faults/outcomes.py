"""What a run leaves, to be compared with what it left undisturbed: to the last bit, but for what it cost."""

from __future__ import annotations

import json
from typing import Any

import torch

from fasa.study import Study

COST = ("cost", "device_seconds", "sha256")


def trained(study: Study, recipe: str, seed: int = 0) -> dict[str, Any]:
    """Weights by name and the history of a trained run."""
    folder = study.work_dir(recipe, seed)
    model = torch.load(folder / "model.pt", weights_only=True)
    return {
        "fingerprint": model["fingerprint"],
        "weights": model.get("state", model.get("state_dict")),
        "history": without_seconds(json.loads((folder / "history.json").read_text())["epochs"]),
    }


def seconds(study: Study, recipe: str, seed: int = 0) -> float:
    """Device seconds over all attempts, as the run's cost says."""
    return json.loads((study.work_dir(recipe, seed) / "cost.json").read_text())["device_seconds"]


def measured(study: Study, recipe: str, seed: int = 0) -> dict[str, Any]:
    """The whole metrics of a run but its cost."""
    metrics = json.loads(study.metrics_path(recipe, seed).read_text())
    return without_seconds(metrics)


def without_seconds(document: Any) -> Any:
    """``document`` without what a clock said."""
    if isinstance(document, dict):
        return {k: without_seconds(v) for k, v in document.items() if k not in COST and k != "seconds"}
    return [without_seconds(entry) for entry in document] if isinstance(document, list) else document


def same(ours: Any, expected: Any) -> bool:
    """Whether two of the above are equal to the last bit."""
    if isinstance(expected, dict):
        return ours.keys() == expected.keys() and all(same(ours[key], expected[key]) for key in expected)
    if isinstance(expected, torch.Tensor):
        return ours.dtype == expected.dtype and torch.equal(ours.nan_to_num(), expected.nan_to_num())
    return ours == expected
