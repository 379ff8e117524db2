"""Invented metrics and examples of detectors, as the runs write them: what the figures of detectors read."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from fasa import sealed

LETTERS = {"r": 0.28, "c": 0.66, "f": 1.0}  # LVIS's shares of its classes, added up


def detector_metrics(recipe, seed=0, classes=12, epochs=6, dataset="glyphs", device="cpu", **measurements):
    """One run's metrics: a long tail with letters, scores that follow it, and FASA's own measurements with FASA."""
    rng = np.random.default_rng([seed, classes, sum(recipe.encode())])
    fasa = "fasa" in recipe
    counts = np.maximum(np.round(2000 * 0.0005 ** (np.arange(classes) / (classes - 1))), 1).astype(int)
    letters = [next(k for k, v in LETTERS.items() if (classes - rank) / classes <= v) for rank in range(classes)]
    shuffled = np.random.default_rng(classes).permutation(classes)  # LVIS's classes are in no order of size
    counts, letters = counts[shuffled], np.array(letters)[shuffled]
    relative = np.log(counts) / np.log(2000)
    chance = np.clip(0.02 + 0.7 * relative + (0.2 if fasa else 0) * (1 - relative) + rng.normal(0, 0.08, classes), 0, 1)
    content = {
        "mask_ap": {"AP": 0.19 + 0.03 * fasa + 0.002 * seed, "APr": 0.02 + 0.08 * fasa, "APc": 0.17, "APf": 0.29},
        "tide": {"cls": 25.0 - 4 * fasa, "loc": 6.5, "both": 0.5, "dupe": 0.4, "bkg": 3.2, "miss": 7.0},
        "weight_norms": (0.4 + 0.8 * relative + (0.3 if fasa else 0) * (1 - relative)).tolist(),
        "class_probabilities": [None if index % 4 == 3 else round(float(p), 6) for index, p in enumerate(chance)],
        "cost": {"seconds_per_iteration": 0.77 + 0.02 * fasa + 0.001 * seed},
    }
    if fasa:
        cluster = np.arange(classes) // 4
        steps = np.where(rng.random((epochs, classes // 4 + 1)) < 0.6, 1.1, 0.9)[:, cluster]
        start = (1 / counts) / (1 / counts).sum()
        rates = np.clip(start * np.cumprod(steps, axis=0), 0, 1)
        content["sampling_trajectory"] = {"probabilities": rates.tolist(), "groups": [cluster.tolist()] * epochs}
        content["virtual_features"] = (rates.sum(axis=0) * 500).round(2).tolist()
        centres = rng.normal(0, 4, (classes // 4 + 1, 8))
        content["class_features"] = (centres[cluster] + rng.normal(0, 1, (classes, 8))).round(4).tolist()
    return {
        "recipe": recipe,
        "scale": "mini",
        "seed": seed,
        "fingerprint": f"{seed:016x}",
        "dataset": dataset,
        "device": device,
        "class_names": [f"thing_{index}" for index in range(classes)],
        "class_counts": counts.tolist(),
        "frequencies": letters.tolist(),
        "measurements": content | measurements,
    }


def write_examples(study, recipe, seed, categories, found=()):
    """Leave ``examples.json`` where the run's metrics would lie: an image of 60 x 40 pixels for each category.

    Args:
        found: for each category a list of (category, score); the detection covers what the truth does.
    """
    rng = np.random.default_rng(7)
    examples = []
    for index, category in enumerate(categories):
        picture = Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
        stream = io.BytesIO()
        picture.save(stream, "JPEG")
        mask = np.zeros((40, 60), dtype=np.uint8, order="F")
        mask[10:30, 20:45] = 1
        encoded = coco_mask.encode(mask)
        shape = {"box": [20, 10, 25, 20], "mask": {"size": encoded["size"], "counts": encoded["counts"].decode()}}
        hits = [{"category": name, "score": score, **shape} for name, score in (found[index] if found else [])]
        examples.append(
            {
                "category": category,
                "frequency": "r",
                "image_id": 100 + index,
                "width": 60,
                "height": 40,
                "jpeg": base64.b64encode(stream.getvalue()).decode(),
                "truth": [shape],
                "found": hits,
            }
        )
    path = study.metrics_path(recipe, seed).with_name("examples.json")
    sealed.write(path, study.identity(recipe, seed, "examples"), {"examples": examples})


def figure(kind, *series):
    """A figure whose ``series`` are (label, recipe, group)."""
    entries = tuple(SimpleNamespace(label=label, recipe=recipe, group=group) for label, recipe, group in series)
    return SimpleNamespace(name=f"a_{kind}", title=f"The {kind}", kind=kind, series=entries)


def table(columns, **published):
    """A table of the ``columns`` {key: name}, with a row of each recipe that has ``published`` figures {name: mean}."""
    rows = [
        SimpleNamespace(recipe=recipe, measure=None, published={name: (mean, None) for name, mean in figures.items()})
        for recipe, figures in published.items()
    ]
    named = [SimpleNamespace(key=key, published=name) for key, name in columns.items()]
    return SimpleNamespace(columns=named, rows=rows)


@dataclass
class DetectorStudy:
    """A study of invented runs of detectors: what drawing figures asks of one."""

    root: Path
    runs: dict
    tables: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)
    all_seeds: tuple = (0, 1)
    scale: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="mini"))

    def seeds(self, recipe):
        return self.all_seeds

    def load_metrics(self, recipe, seed):
        return self.runs.get((recipe, seed))

    def missing_reason(self, recipe, seed):
        return "not run"

    def identity(self, recipe, seed, kind):
        return {"kind": kind, "recipe": recipe, "seed": seed}

    def metrics_path(self, recipe, seed):
        return self.root / "runs" / recipe / f"seed-{seed}" / "metrics.json"

    def figure_paths(self, name, for_paper=False):
        folder = self.root / ("for_paper" if for_paper else "")
        return {extension: folder / f"{name}.{extension}" for extension in ("pdf", "png")}
