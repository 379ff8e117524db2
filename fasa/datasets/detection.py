"""Prepare a detection data set: draw its scenes, or check the user's copy of the official files; then its manifest.

Official files lie in one folder, as their archives unpack:
    LVIS v1   lvis_v1_train.json  lvis_v1_val.json  train2017/  val2017/
    COCO-LT   instances_train2017.json  instances_val2017.json  train2017/  val2017/, and SimCal's index or its own JSON
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, track

from fasa.datasets import coco_lt, lvis
from fasa.datasets.annotation_check import Report, image_files
from fasa.datasets.annotation_counts import AnnotationCounts, count_annotations
from fasa.datasets.glyphs import GlyphScenes, generate, verify
from fasa.datasets.glyphs.files import DOCUMENT
from fasa.datasets.manifest import Manifest, Split, write_manifest
from fasa.errors import UserError

OFFICIAL = ("lvis", "coco_lt")


def prepare_detection(
    name: str, options: Mapping[str, Any], source: Path | None, destination: Path, processes: int = 1
) -> None:
    """Write the manifest ``destination`` of a detection data set, with the rest of what is made in the same folder.

    Args:
        name: "lvis", "coco_lt" or "glyphs".
        options: of "glyphs": the fields of ``GlyphScenes``.
        source: folder of the official files of "lvis" or "coco_lt".
        processes: that draw scenes.

    Raises:
        UserError: the first problem with the files or options, and how many more there are.
    """
    if name == "glyphs":
        _prepare_glyphs(options, destination, processes)
        return
    train, val, report = _official(name, source, destination.parent)
    if report.problems or report.counts is None:
        rest = len(report.problems) - 1
        more = f" ({rest} more; fasa data lists them with --check)" if rest else ""
        raise UserError(report.problems[0] + more)
    _write(name, train, val, report.counts, destination, lvis.REPEAT, lvis.TAIL)


def check_detection(name: str, source: Path | None, made: Path) -> Report:
    """Everything that is wrong with the official files of "lvis" or "coco_lt" in the folder ``source``.

    COCO-LT's training annotations are written to ``made`` where they must be rebuilt.

    Raises:
        UserError: there is no such folder, or COCO-LT's annotations cannot be rebuilt.
    """
    return _official(name, source, made)[2]


def _official(name: str, source: Path | None, made: Path) -> tuple[Split, Split, Report]:
    """Files of train and val, and what was found in them with the counts of train."""
    if name not in OFFICIAL:
        raise UserError(f"{name} has no official files: choose one of {', '.join(OFFICIAL)}.")
    if source is None:
        raise UserError(f"{name} cannot be downloaded: give the folder that holds it, with --source FOLDER.")
    if not source.is_dir():
        raise UserError(f"{source} is no folder; --source wants the one that holds {name}.")
    source = source.absolute()
    if name == "lvis":
        train, val = (Split(str(source / f"lvis_v1_{part}.json"), f"{source}/") for part in ("train", "val"))
        of_train, of_val = (
            lvis.check(Path(split.annotations), source, part) for split, part in ((train, "train"), (val, "val"))
        )
    else:
        index = coco_lt.read_index(source / coco_lt.INDEX) if (source / coco_lt.INDEX).exists() else None
        annotations, notes = _coco_lt_annotations(source, index, made.absolute())
        train = Split(str(annotations), f"{source}/train2017/")
        val = Split(str(source / "instances_val2017.json"), f"{source}/val2017/")
        of_train = Report((), notes) + coco_lt.check(annotations, source / "train2017", index)
        of_val = coco_lt.check_val(Path(val.annotations), source / "val2017")
    return train, val, of_train + Report(of_val.problems, of_val.facts)


def _coco_lt_annotations(source: Path, index: coco_lt.Index | None, made: Path) -> tuple[Path, tuple[str, ...]]:
    """SimCal's own file, or one rebuilt from its index, and notes on it."""
    if (source / coco_lt.PUBLISHED).exists():
        return source / coco_lt.PUBLISHED, ()
    if index is None:
        raise UserError(
            f"{source} has neither {coco_lt.PUBLISHED} nor {coco_lt.INDEX}: get one of them from SimCal's repository."
        )
    rebuilt = made / "coco_lt_train.json"
    return rebuilt, (coco_lt.rebuild(index, source / "instances_train2017.json", rebuilt),)


def _prepare_glyphs(options: Mapping[str, Any], destination: Path, processes: int) -> None:
    folder = destination.parent / "scenes"
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("drawing scenes", total=None)
        generate(
            GlyphScenes.from_json(options),
            folder,
            lambda done, total: progress.update(task, completed=done, total=total),
            processes,
        )
    threshold = verify(folder, pixels=True)["repeat_threshold"]
    train, val = (
        Split(str((folder / f"{part}.json").absolute()), f"{folder.absolute()}/") for part in ("train", "val")
    )
    counts = count_annotations(folder / "train.json")
    _write("glyphs", train, val, counts, destination, threshold, threshold, [folder / DOCUMENT])


def _write(
    name: str,
    train: Split,
    val: Split,
    counts: AnnotationCounts,
    destination: Path,
    repeat: float,
    tail: float,
    others: Sequence[Path] = (),
) -> None:
    console = Console(stderr=True)
    images = [path for split in (train, val) for path in image_files(Path(split.annotations), Path(split.images))]
    write_manifest(
        Manifest(
            name=name,
            train=train,
            val=val,
            category_names=counts.names,
            frequencies=counts.frequencies,
            instance_counts=tuple(counts.instances.tolist()),
            image_counts=tuple(counts.images.tolist()),
            train_images=counts.annotated_images,
            repeat_threshold=repeat,
            tail_threshold=tail,
        ),
        destination,
        track([*dict.fromkeys(images)], "checksums", console=console, transient=True, disable=not console.is_terminal),
        others,
    )
