"""Supplement, figure 2: images of rare classes, as annotated and as found without and with FASA."""

from __future__ import annotations

import base64
import io
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from PIL import Image

from fasa import sealed
from fasa.errors import UserError
from fasa.reporting.figures import style
from fasa.reporting.figures.by_class import shortened
from fasa.reporting.figures.labels import overlaps
from fasa.reporting.figures.series import LACKS, FigureData, MeasuredSeries, NothingToDraw

if TYPE_CHECKING:
    from fasa.study import Study

TALLEST = 0.8  # of an image's place: its height over its width; a taller image is shown smaller
RIGHT, WRONG = ("#e0a100", "-"), ("#00558c", (0, (2.5, 1.2)))  # fill and outline, by the class that was found
TINT = 0.35
LABEL = 5.0  # points
DOTS_PER_INCH = 120  # photographs: no finer than the images, which are small
MOST = 5  # detections of an image, the best placed first
LONGEST = 18  # letters of a class's name


def draw(data: FigureData) -> Canvas:
    """A row per class: its image with the truth, then with what each series' first run found there.

    Raises:
        UserError: an ``examples.json`` is damaged.
    """
    data = replace(data, series=tuple(_with_examples(one, data.study) for one in data.series))
    data.check_present()
    found = [_read(data.study, one.recipe, one.runs[0]["seed"]) for one in data.present]
    rows = list(found[0].values())
    if not rows:
        raise NothingToDraw("No validation image shows a rare class.")
    heights = [min(row["height"] / row["width"], TALLEST) for row in rows]
    place = style.WIDE / (1 + len(found))
    canvas = Canvas(figsize=(style.WIDE, 0.5 + place * sum(heights)), dpi=DOTS_PER_INCH)
    grid = canvas.subplots(len(rows), 1 + len(found), squeeze=False, height_ratios=heights)
    for title, axes in zip(["truth", *(one.label for one in data.present)], grid[0], strict=True):
        axes.set_title(title)
    scored = []
    for line, row in zip(grid, rows, strict=True):
        picture = _picture(row)
        _panel(line[0], picture, row["truth"], row["category"])
        line[0].set_ylabel(textwrap.fill(_spoken(row["category"]), 18))
        for axes, examples in zip(line[1:], found, strict=True):
            example = examples.get((row["category"], row["image_id"]))
            detections = example["found"][:MOST] if example else []
            _panel(axes, picture, detections, row["category"])
            scored.append((axes, detections))
    data.note(
        canvas,
        f"One run each ({data.first_seeds}), the {MOST} best placed detections. Solid outlines: of the row's class; "
        "dashed: of another. Scores below 0.3 only where an image has no other.",
    )
    canvas.draw_without_rendering()  # settles the layout: labels are placed in pixels
    for axes, detections in scored:
        _scores(axes, detections)
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


def _read(study: Study, recipe: str, seed: int) -> dict[tuple[str, int], dict[str, Any]]:
    """A run's examples by class and image, in the file's order."""
    path, mend = _path(study, recipe, seed), "delete it and evaluate that run again"
    try:
        examples = sealed.read(path, study.identity(recipe, seed, "examples"), mend)["examples"]
        for example in examples:  # a bundle's may be anyone's
            side = _picture(example).shape[:2]
            if any(_mask(one).shape != side or len(one["box"]) != 4 for one in (*example["truth"], *example["found"])):
                raise ValueError("a mask or a box that is none of its image")
        return {(example["category"], example["image_id"]): example for example in examples}
    except (KeyError, TypeError, ValueError, AttributeError, OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is damaged; {mend}.") from error


def _picture(example: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(example["jpeg"]))).convert("RGB"))


def _panel(axes: Axes, picture: np.ndarray, instances: list[dict[str, Any]], category: str) -> None:
    """The picture, its instances tinted and outlined."""
    looks = [RIGHT if one.get("category", category) == category else WRONG for one in instances]
    masks = [_mask(one) for one in instances]
    shown = picture.astype(float) / 255
    for mask, (color, _) in zip(masks, looks, strict=True):
        shown[mask] += TINT * (np.array(to_rgb(color)) - shown[mask])
    axes.imshow(shown, interpolation="none")
    axes.autoscale(False)  # a box at the border widens nothing
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for mask, (_, line) in zip(masks, looks, strict=True):
        if mask.any() and not mask.all():
            axes.contour(mask, [0.5], colors="white", linewidths=0.8, linestyles=[line]).set_path_effects(
                style.outline("black", 2.2)
            )
    if not instances:
        axes.text(0.5, 0.5, "nothing found", ha="center", transform=axes.transAxes, fontsize=7, bbox=_paper())


def _scores(axes: Axes, detections: list[dict[str, Any]]) -> None:
    """Class and score near each box's upper corner, where the image has room for it; the first ones choose."""
    frame = np.array(axes.get_window_extent().extents)
    taken = np.zeros((0, 4))
    for one in detections:
        x, y, w, h = one["box"]
        text = axes.text(x, y, f"{shortened(one['category'], LONGEST)} {one['score']:.2f}", fontsize=LABEL)
        text.set(ha="left", va="bottom", bbox=_paper(), zorder=5, clip_on=True)
        size = np.array(text.get_window_extent().size) + 2
        (left, top), (right, bottom) = axes.transData.transform([(x, y), (x + w, y + h)])
        wanted = [(left, top - size[1]), (right - size[0], top - size[1]), (left, top), (left, bottom)]
        wanted += [(left, top - step * size[1]) for step in range(2, 9)]
        corners = np.clip(wanted, frame[:2] + 1, np.maximum(frame[2:] - size - 1, frame[:2] + 1))
        boxes = np.hstack([corners, corners + size])
        free = np.flatnonzero(overlaps(boxes, taken).sum(axis=1) == 0)
        if not len(free):
            text.remove()
            continue
        box = boxes[free[0]]
        left, bottom = axes.transData.inverted().transform(box[:2] + 1)
        text.set_position((left, bottom))
        taken = np.vstack([taken, box])


def _mask(instance: dict[str, Any]) -> np.ndarray:
    from pycocotools import mask as coco_mask

    return coco_mask.decode({**instance["mask"], "counts": instance["mask"]["counts"].encode()}).astype(bool)


def _spoken(name: str) -> str:
    return name.replace("_", " ")  # LVIS writes date_(fruit)


def _paper() -> dict[str, Any]:
    return {"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
