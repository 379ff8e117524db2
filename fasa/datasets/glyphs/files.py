"""The folder of a data set of scenes: what is in it, and whether it is all there.

spec.json is written first, then train/ and val/ with their images, train.json and val.json, and dataset.json last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from fasa.datasets.glyphs.annotations import Json, first_image_id, image_file
from fasa.datasets.glyphs.plan import SPLITS, Plan
from fasa.datasets.glyphs.spec import GlyphScenes
from fasa.datasets.glyphs.tail import repeat_threshold
from fasa.errors import UserError

FORMAT = "fasa-glyphs"
VERSION = 1
SPECIFICATION = "spec.json"
DOCUMENT = "dataset.json"
REMOVED = ("turn", "first_class", "rarest", "unannotated", "negatives", "val_lacks")  # former options, never set
REDRAW = "remove the folder and generate it again."
NAMED = 3  # missing files that a message names, before it only counts


def annotation_file(split: str) -> str:
    """The name of a split's annotations."""
    return f"{split}.json"


def compact(document: Json) -> bytes:
    """JSON without spaces, as UTF-8."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def digest(hashes: Iterable[str]) -> str:
    """One SHA-256 of many."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def summary(
    spec: GlyphScenes, plan: Plan, annotations: dict[str, bytes], pixels: dict[str, str], sums: np.ndarray
) -> Json:
    """What dataset.json says; ``sums`` int64 [2, 3] are train's pixels and their squares, summed by channel."""
    number = spec.train_images * spec.side**2
    mean = sums[0] / number
    sha256 = {annotation_file(split): hashlib.sha256(annotations[split]).hexdigest() for split in SPLITS}
    sha256 |= {f"{split}/": pixels[split] for split in SPLITS}
    shown = {split: {label for scene in plan.scenes[split] for label in scene.annotated} for split in SPLITS}
    return {
        "format": FORMAT,
        "version": VERSION,
        "spec": spec.to_json(),
        "digest": digest(sha256.values()),
        "sha256": sha256,
        "images": {split: len(plan.scenes[split]) for split in SPLITS},
        "annotations": {split: sum(len(scene.annotated) for scene in plan.scenes[split]) for split in SPLITS},
        "unannotated_objects": {split: sum(len(scene.unannotated) for scene in plan.scenes[split]) for split in SPLITS},
        "classes": {letter: plan.frequency.count(letter) for letter in "rcf"},
        "most_images": {"r": plan.bounds[0], "c": plan.bounds[1]},  # of a rare, and of a common class
        "repeat_threshold": repeat_threshold(plan.bounds, spec.train_images),
        "categories_without_val": sorted(label + 1 for label in set(range(spec.classes)) - shown["val"]),
        "pixel_mean": [round(value, 3) for value in mean.tolist()],  # of train, R, G, B in 0..255
        "pixel_std": [round(value, 3) for value in np.sqrt(sums[1] / number - mean**2).tolist()],
        "made_with": {"pillow": PIL.__version__, "numpy": np.__version__},
    }


def is_whole(destination: Path, spec: GlyphScenes) -> bool:
    """Whether ``destination`` has a whole data set of ``spec``; False if there is nothing, or an unfinished one.

    Raises:
        UserError: the folder holds anything else, which is not ours to remove.
    """
    if (destination / DOCUMENT).exists():
        if _read(destination).get("spec") != spec.to_json():
            raise UserError(f"{destination} has glyph scenes of another spec: remove it or choose another folder.")
        return True
    if destination.exists() and not destination.is_dir():
        raise UserError(f"{destination} is a file: choose a folder for the glyph scenes.")
    if destination.exists() and any(destination.iterdir()) and not (destination / SPECIFICATION).exists():
        raise UserError(f"{destination} is neither empty nor an unfinished data set of glyphs: choose another folder.")
    return False


def verify(destination: Path, pixels: bool = False) -> Json:
    """What dataset.json says, after a look at every file: images by number and size, annotations by their SHA-256.

    With ``pixels``, every image too is checked against the SHA-256 of them all.

    Raises:
        UserError: something is missing or changed; the message names it.
    """
    document = _read(destination)
    spec = GlyphScenes.from_json(document["spec"])
    for split in SPLITS:
        files = [image_file(split, first_image_id(spec, split) + k) for k in range(document["images"][split])]
        there = {path.name for path in (destination / split).glob("*.jpg") if path.stat().st_size}
        lost = [file for file in files if Path(file).name not in there]
        if lost:
            named = ", ".join(lost[:NAMED]) + (f" and {len(lost) - NAMED} more" if len(lost) > NAMED else "")
            raise UserError(f"{destination} lacks {named}: {REDRAW}")
        if _sha256(destination / annotation_file(split)) != document["sha256"][annotation_file(split)]:
            raise UserError(f"{destination / annotation_file(split)} is missing or was changed: {REDRAW}")
        if pixels and digest(_sha256(destination / file) for file in files) != document["sha256"][f"{split}/"]:
            raise UserError(f"An image in {destination / split} was changed: {REDRAW}")
    return document


def _read(destination: Path) -> Json:
    path = destination / DOCUMENT
    try:
        document: Any = json.loads(path.read_bytes())
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {document['format']} version {document['version']}")
        document["spec"] = {key: value for key, value in document["spec"].items() if key not in REMOVED}
        GlyphScenes.from_json(document["spec"])
    except FileNotFoundError as error:
        raise UserError(f"{destination} has no {DOCUMENT}: its glyph scenes are missing or unfinished.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
        raise UserError(f"{path} cannot be read ({error}): {REDRAW}") from error
    return document


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
