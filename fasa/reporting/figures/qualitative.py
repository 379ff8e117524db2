"""Supplement, figure 2: images of rare classes, as annotated and as found without and with FASA."""

from __future__ import annotations

import base64
import io
import json
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from PIL import Image

from fasa.errors import UserError
from fasa.reporting.figures import style
from fasa.reporting.figures.series import LACKS, FigureData, MeasuredSeries

if TYPE_CHECKING:
    from fasa.study import Study

TALLEST = 0.8  # of an image's place: its height over its width; a taller image is shown smaller
RIGHT, WRONG = ("#e0a100", "-"), ("#00558c", (0, (2.5, 1.2)))  # fill and outline, by the class that was found
TINT = 0.35
LABEL = 5.5  # points
LINE = 0.075  # of an image's height: a line of labels


def draw(data: FigureData) -> Canvas:
    """A row per class: its image with the truth, then with what each series' first run found there.

    Raises:
        UserError: an ``examples.json`` is damaged.
    """
    data = replace(data, series=tuple(_with_examples(one, data.study) for one in data.series))
    if not data.present:
        return data.placeholder()
    found = [_read(_path(data.study, one.recipe, one.runs[0]["seed"])) for one in data.present]
    rows = list(found[0].values())
    if not rows:
        return style.message(data.figure.title, "No validation image shows a rare class.")
    heights = [min(row["height"] / row["width"], TALLEST) for row in rows]
    place = style.WIDE / (1 + len(found))
    canvas = Canvas(figsize=(style.WIDE, 0.5 + place * sum(heights)))
    grid = canvas.subplots(len(rows), 1 + len(found), squeeze=False, height_ratios=heights)
    for title, axes in zip(["truth", *(one.label for one in data.present)], grid[0], strict=True):
        axes.set_title(title)
    for line, row in zip(grid, rows, strict=True):
        picture = _picture(row)
        _panel(line[0], picture, row["truth"], row["category"])
        line[0].set_ylabel(textwrap.fill(_spoken(row["category"]), 18))
        for axes, examples in zip(line[1:], found, strict=True):
            example = examples.get((row["category"], row["image_id"]))
            _panel(axes, picture, example["found"] if example else [], row["category"])
    data.note(
        canvas,
        f"One run each ({data.first_seeds}). Solid outlines: detections of the row's class; dashed: of another. "
        "Scores below 0.3 only where an image has no other.",
    )
    return canvas


def _path(study: Study, recipe: str, seed: int) -> Path:
    return study.metrics_path(recipe, seed).with_name("examples.json")


def _with_examples(one: MeasuredSeries, study: Study) -> MeasuredSeries:
    """The series with the first of its runs that has left examples; one is all that is shown."""
    for run in one.runs:
        if _path(study, one.recipe, run["seed"]).exists():
            return replace(one, runs=(run,), missing=())
    without = tuple((run["seed"], f"{LACKS} examples.json, evaluate it again") for run in one.runs)
    return replace(one, runs=(), missing=one.missing + without)


def _read(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """A run's examples by class and image, in the file's order."""
    try:
        examples = json.loads(path.read_text())["examples"]
        return {(example["category"], example["image_id"]): example for example in examples}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged; delete it and evaluate that run again.") from error


def _picture(example: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(example["jpeg"]))).convert("RGB"))


def _panel(axes: Axes, picture: np.ndarray, instances: list[dict[str, Any]], category: str) -> None:
    """The picture, its instances tinted and outlined; detections with class and score, the best placed first."""
    looks = [RIGHT if one.get("category", category) == category else WRONG for one in instances]
    masks = [_mask(one) for one in instances]
    shown = picture.astype(float) / 255
    for mask, (color, _) in zip(masks, looks, strict=True):
        shown[mask] += TINT * (np.array(to_rgb(color)) - shown[mask])
    axes.imshow(shown, interpolation="none")
    axes.autoscale(False)  # a box at the border widens nothing
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for one, mask, (_, line) in zip(instances, masks, looks, strict=True):
        if mask.any() and not mask.all():
            axes.contour(mask, [0.5], colors="white", linewidths=0.8, linestyles=[line]).set_path_effects(
                style.outline("black", 2.2)
            )
        x, y, w, h = one["box"]
        (frame,) = axes.plot([x, x + w, x + w, x, x], [y, y, y + h, y + h, y], color="white", linewidth=0.5)
        frame.set(linestyle=line, path_effects=style.outline("black", 1.3))
    _scores(axes, [one for one in instances if "score" in one], picture.shape)
    if not instances:
        axes.text(0.5, 0.5, "nothing found", ha="center", transform=axes.transAxes, fontsize=7, bbox=_paper())


def _scores(axes: Axes, detections: list[dict[str, Any]], size: tuple[int, ...]) -> None:
    """Class and score at each box's upper corner, a line lower where another stands already."""
    height, width = size[:2]
    taken: list[tuple[float, float]] = []
    for one in detections:
        x, y, w, _ = one["box"]
        at, side = (x, "left") if x < width / 2 else (x + w, "right")
        top = max(y, LINE * height)
        while any(abs(at - left) < width / 3 and abs(top - other) < LINE * height for left, other in taken):
            top += LINE * height
        taken.append((at, top))
        text = f"{_spoken(one['category'])} {one['score']:.2f}"
        axes.text(at, top, text, ha=side, va="bottom", fontsize=LABEL, bbox=_paper(), zorder=5)


def _mask(instance: dict[str, Any]) -> np.ndarray:
    from pycocotools import mask as coco_mask

    return coco_mask.decode({**instance["mask"], "counts": instance["mask"]["counts"].encode()}).astype(bool)


def _spoken(name: str) -> str:
    return name.replace("_", " ")  # LVIS writes date_(fruit)


def _paper() -> dict[str, Any]:
    return {"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
