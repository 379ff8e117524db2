"""Data: each prepared set that the chosen runs read, or what it will be made of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fasa.datasets import coco_lt, load_pack
from fasa.datasets.cifar import CIFAR100
from fasa.datasets.download import addresses
from fasa.datasets.glyphs.files import verify
from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding
from fasa.doctor.network import reachable
from fasa.errors import UserError
from fasa.strict import read_yaml

ARCHIVES = {"cifar100_lt": CIFAR100}
OFFICIAL = {  # what a user's folder holds, and where that is from
    "lvis": (("lvis_v1_train.json", "lvis_v1_val.json", "train2017", "val2017"), "lvisdataset.org and cocodataset.org"),
    "coco_lt": (
        ("instances_train2017.json", "instances_val2017.json", "train2017", "val2017"),
        "cocodataset.org",
    ),
}
KEYS = {"lvis": "lvis", "coco_lt": "coco"}  # of configs/config.yaml


def findings(chosen: Chosen) -> Iterator[Finding]:
    """What there is to say of the data; the first recipe that reads a set stands for all that do."""
    first = {chosen.study.data_path(name): name for name in reversed(chosen.recipes)}
    for path, recipe in sorted(first.items()):
        yield _prepared(chosen, recipe, path) if path.exists() else _to_prepare(chosen, recipe)


def _command(chosen: Chosen, recipe: str) -> str:
    return f"fasa data {recipe} --scale {chosen.study.scale.name}"


def _prepared(chosen: Chosen, recipe: str, path: Path) -> Finding:
    name = chosen.study.recipe(recipe).data.name
    again = f"rm -r {path if path.suffix == '.npz' else path.parent} && {_command(chosen, recipe)}"
    try:
        if path.suffix == ".npz":
            load_pack(path)
            return Finding("ok", f"{name}: {path} is there, and every pixel of it is as it was packed.")
        if name == "glyphs":
            made = verify(path.parent / "scenes")
            images = " and ".join(f"{number:,} {split}" for split, number in made["images"].items())
            return Finding("ok", f"{name}: {path.parent.name} is there, with its {images} images.")
    except UserError as error:
        return Finding("missing", f"{name}: {error}", again)
    return _official(chosen, recipe, path)


def _official(chosen: Chosen, recipe: str, path: Path) -> Finding:
    """LVIS or COCO: `fasa data` has looked at every image; here only at whether its files are still the same."""
    name, command = chosen.study.recipe(recipe).data.name, _command(chosen, recipe)
    checked = path.stat().st_mtime
    try:
        splits = [json.loads(path.read_text())[part] for part in ("train", "val")]
        files = [Path(split["annotations"]) for split in splits]
        folders = [Path(split["images"]) for split in splits]
    except (OSError, ValueError, KeyError, TypeError):
        return Finding("missing", f"{name}: {path} is damaged.", f"rm {path} && {command} --source FOLDER")
    lost = [str(one) for one in files if not os.path.isfile(one)] + [str(one) for one in folders if not _filled(one)]
    if lost:
        return Finding(
            "missing", f"{name} is prepared, but {lost[0]} is gone.", f"rm {path} && {command} --source FOLDER"
        )
    source = folders[1] if name == "lvis" else folders[1].parent
    again = f"{command} --source {source} --check"
    changed = [one for one in files if one.stat().st_mtime > checked]
    if changed:
        return Finding("warning", f"{name}: {changed[0]} was changed after it was checked.", again)
    day = datetime.fromtimestamp(checked).date().isoformat()
    return Finding("ok", f"{name}: {source} was checked on {day}, and its files and folders are there.", "")


def _filled(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is not None
    except OSError:
        return False


def _to_prepare(chosen: Chosen, recipe: str) -> Finding:
    name, command = chosen.study.recipe(recipe).data.name, _command(chosen, recipe)
    path = chosen.study.data_path(recipe)
    if name in OFFICIAL:
        return _to_be_given(chosen, name, command)
    if name in ARCHIVES:
        return _to_download(chosen, name, command)
    if name == "glyphs":
        return Finding("note", f"{name}: {path.parent.name} is not drawn yet; the workflow does it, or this:", command)
    return Finding(
        "note", f"{name}: {path.name} is not cut from scikit-learn's yet; the workflow does it, or this:", command
    )


def _to_download(chosen: Chosen, name: str, command: str) -> Finding:
    """An archive that we fetch ourselves: here already, named by the configuration, or to be had from somewhere."""
    layout = ARCHIVES[name]
    said = _configured(chosen.study.root, "source")
    if said is not None:
        given = f"{command} --source {said}"
        if os.path.exists(said):
            return Finding("note", f"{name}: not there yet; the workflow makes it from {said}.", given)
        return Finding("missing", f"{name}: {said}, which configs/config.yaml names, is not there.", given)
    if (chosen.study.root / "resources" / "downloads" / layout.archive).exists():
        return Finding("note", f"{name}: its archive is here; the workflow cuts and packs it, or this does:", command)
    wanted = addresses(layout.archive, [layout.url])
    answered = reachable(wanted)
    if answered:
        address = next(url for url in wanted if url in answered)
        return Finding("note", f"{name}: not there yet; the workflow downloads {address}, or this does:", command)
    return Finding(
        "missing",
        f"{name}: {layout.archive} is not here, and {' and '.join(wanted)} cannot be reached from here.",
        f"{command} --source {layout.archive}",
    )


def _to_be_given(chosen: Chosen, name: str, command: str) -> Finding:
    """LVIS or COCO, which only their owners give away: the user's folder."""
    parts, origin = OFFICIAL[name]
    folder = _configured(chosen.study.root, KEYS[name])
    if folder is None:
        index = f", and SimCal's {coco_lt.INDEX} or {coco_lt.PUBLISHED}" if name == "coco_lt" else ""
        return Finding(
            "missing",
            f"{name}: not prepared, and configs/config.yaml names no folder with {', '.join(parts)} (from {origin})"
            f"{index}.",
            f"{command} --source FOLDER",
        )
    lost = [part for part in parts if not os.path.exists(folder / part)]  # no error where another's may not be read
    if name == "coco_lt" and not any(os.path.exists(folder / file) for file in (coco_lt.INDEX, coco_lt.PUBLISHED)):
        lost.append(coco_lt.INDEX)
    if lost:
        return Finding("missing", f"{name}: {folder} has no {', '.join(lost)}.", f"ls {folder}")
    return Finding(
        "note",
        f"{name}: not checked yet; the workflow checks {folder} first, or this does:",
        f"{command} --source {folder}",
    )


def _configured(root: Path, key: str) -> Path | None:
    """The folder or file that configs/config.yaml names."""
    path = root / "configs" / "config.yaml"
    said = read_yaml(path).get(key) if path.exists() else None
    return Path(said) if said else None
