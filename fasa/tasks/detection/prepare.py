"""Prepare a detection data set: generate it, or check the user's copy of the official files; then its manifest.

Official files lie in one folder, as their archives unpack:
    LVIS v1   lvis_v1_train.json  lvis_v1_val.json  train2017/  val2017/
    COCO-LT   instances_train2017.json  instances_val2017.json  train2017/  val2017/, and SimCal's index or its own JSON
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from fasa.datasets import coco_lt, lvis
from fasa.datasets.annotation_check import Report
from fasa.datasets.class_counts import ClassCounts, class_counts
from fasa.datasets.glyphs import GlyphScenes, generate
from fasa.datasets.glyphs.files import verify
from fasa.errors import UserError
from fasa.evaluation.threads import cores
from fasa.tasks.detection.manifest import Manifest, Split, write_manifest
from fasa.tasks.detection.recipe import DetectionData

INDEX = "class_to_imageid_and_inscount_coco_sampled.pt"
PUBLISHED = "train_coco2017_LT_sampled.json"
LVIS_TAIL = 1.1e-3  # EQL's lambda on LVIS v1 (eqlv2): rare and common classes


@dataclass(frozen=True)
class Official:
    """The user's folder of an official data set, checked: each split's files, counts, and all that is wrong."""

    train: Split
    val: Split
    problems: tuple[str, ...]
    facts: tuple[str, ...]
    counts: ClassCounts | None


def prepare(data: DetectionData, destination: Path, source: Path | None) -> None:
    """Make the manifest ``destination`` of a data set; ``source`` is the folder of an official one.

    Raises:
        UserError: what is wrong with the files: the first problem, and how many more there are.
    """
    if data.name == "glyphs":
        _prepare_glyphs(data, destination)
        return
    official = check(data, source, destination.parent)
    if official.problems:
        more = (
            f" ({len(official.problems) - 1} more; fasa data lists them with --check)" if official.problems[1:] else ""
        )
        raise UserError(official.problems[0] + more)
    _write(data.name, official.train, official.val, official.counts, destination, 1e-3, LVIS_TAIL)


def check(data: DetectionData, source: Path | None, made: Path) -> Official:
    """Everything that is wrong with the official files in ``source``; what must be rebuilt is written to ``made``."""
    if source is None or not source.is_dir():
        raise UserError(f"{data.name} is not downloaded for you: give the folder that holds it, with --source FOLDER.")
    if data.name == "lvis":
        splits = [
            Split(str(source.absolute() / f"lvis_v1_{part}.json"), f"{source.absolute()}/") for part in ("train", "val")
        ]
        reports = [
            lvis.check(Path(s.annotations), source, part) for s, part in zip(splits, ("train", "val"), strict=True)
        ]
        return _official(splits, reports)
    annotations, notes = _coco_lt_annotations(source, made)
    splits = [
        Split(str(annotations.absolute()), f"{source.absolute()}/train2017/"),
        Split(str(source.absolute() / "instances_val2017.json"), f"{source.absolute()}/val2017/"),
    ]
    index = coco_lt.read_index(source / INDEX) if (source / INDEX).exists() else None
    reports = [
        Report((), tuple(notes)) + coco_lt.check(annotations, source / "train2017", index),
        coco_lt.check_val(Path(splits[1].annotations), source / "val2017"),
    ]
    return _official(splits, reports)


def _official(splits: list[Split], reports: list[Report]) -> Official:
    problems = tuple(problem for report in reports for problem in report.problems)
    facts = tuple(fact for report in reports for fact in report.facts)
    return Official(splits[0], splits[1], problems, facts, reports[0].counts)


def _coco_lt_annotations(source: Path, made: Path) -> tuple[Path, list[str]]:
    if (source / PUBLISHED).exists():
        return source / PUBLISHED, []
    if not (source / INDEX).exists():
        raise UserError(f"{source} has neither {PUBLISHED} nor {INDEX}: get one of them from SimCal's repository.")
    rebuilt = made / "coco_lt_train.json"
    notes = coco_lt.rebuild(coco_lt.read_index(source / INDEX), source / "instances_train2017.json", rebuilt)
    return rebuilt, notes


def _prepare_glyphs(data: DetectionData, destination: Path) -> None:
    folder = destination.parent / "scenes"
    with Progress(transient=True, disable=None) as progress:
        task = progress.add_task("drawing scenes", total=None)

        def drawn(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        generate(GlyphScenes(**data.options), folder, drawn, processes=cores())
    made = verify(folder)
    splits = {
        part: Split(str((folder / f"{part}.json").absolute()), f"{folder.absolute()}/") for part in ("train", "val")
    }
    threshold = made["repeat_threshold"]
    counts = class_counts(folder / "train.json")
    _write("glyphs", splits["train"], splits["val"], counts, destination, threshold, threshold)


def _write(
    name: str, train: Split, val: Split, counts: ClassCounts, destination: Path, repeat: float, tail: float
) -> None:
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
    )
