"""What runs read before they train: prepared data sets, and first weights of backbones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fasa.datasets import coco_lt, load_pack, read_manifest
from fasa.datasets.cifar import ARCHIVE, URL
from fasa.datasets.download import MIRROR, addresses, fits, named_checksum
from fasa.datasets.glyphs.files import verify
from fasa.doctor.check import Check, reachable
from fasa.doctor.chosen import Chosen
from fasa.errors import UserError
from fasa.strict import read_yaml


class Official(NamedTuple):
    """A data set that only its owners give away: the user's folder, as a key of configs/config.yaml names it."""

    key: str
    parts: tuple[str, ...]
    origin: str


OFFICIAL = {
    "lvis": Official(
        "lvis",
        ("lvis_v1_train.json", "lvis_v1_val.json", "train2017", "val2017"),
        "lvisdataset.org and cocodataset.org",
    ),
    "coco_lt": Official(
        "coco",
        ("instances_train2017.json", "instances_val2017.json", "train2017", "val2017"),
        f"cocodataset.org, and SimCal's {coco_lt.INDEX} or {coco_lt.PUBLISHED}",
    ),
}
ARCHIVES = {"cifar100_lt": (ARCHIVE, URL)}


@dataclass(frozen=True)
class DataSet:
    """A prepared data set: its name, its file or manifest, the command that makes it, and the repository's root."""

    name: str
    path: Path
    command: str
    root: Path

    def configured(self, key: str) -> Path | None:
        """The folder or file that configs/config.yaml names by ``key``."""
        config = self.root / "configs" / "config.yaml"
        named = read_yaml(config).get(key) if config.exists() else None
        return Path(named) if named else None


def checks(chosen: Chosen) -> Iterator[Check]:
    """A line for each data set; the first recipe that reads it stands for all that do."""
    study = chosen.study
    first = {study.data_path(name): name for name in reversed(chosen.recipes)}
    for path, recipe in sorted(first.items()):
        command = f"fasa data {recipe} --scale {study.scale.name}"
        data = DataSet(study.recipe(recipe).data.name, path, command, study.root)
        if data.name in OFFICIAL:
            yield _official(data) if path.exists() else _to_be_given(data, OFFICIAL[data.name])
        elif path.exists():
            yield _made(data)
        elif data.name in ARCHIVES:
            yield _from_archive(data)
        else:
            yield Check("note", f"{data.name} is not made yet; the workflow makes it, or this does:", command)


def _made(data: DataSet) -> Check:
    """One that was made here: read to its last pixel, or every image of it looked for."""
    packed = data.path.suffix == ".npz"
    try:
        if packed:
            load_pack(data.path)
            return Check("ok", f"{data.name}: {data.path} is complete and undamaged.")
        images = verify(data.path.parent / "scenes")["images"].items()
        counts = " and ".join(f"{number:,} {split}" for split, number in images)
        return Check("ok", f"{data.name}: {data.path.parent.name} is there, with its {counts} images.")
    except UserError as error:
        remove = f"rm -r {data.path if packed else data.path.parent}"
        return Check("missing", f"{data.name}: {error}", f"{remove} && {data.command}")


def _official(data: DataSet) -> Check:
    """LVIS or COCO: `fasa data` has looked at every image; here only at whether its files are still the same."""
    anew = f"rm {data.path} && {data.command} --source FOLDER"
    checked = data.path.stat().st_mtime
    try:
        manifest = read_manifest(data.path)
    except UserError:
        return Check("missing", f"{data.name}: {data.path} is damaged.", anew)
    files = [Path(split.annotations) for split in (manifest.train, manifest.val)]
    folders = [Path(split.images) for split in (manifest.train, manifest.val)]
    lost = [one for one in files if not os.path.isfile(one)]
    lost += [one for one in folders if not (os.path.isdir(one) and any(one.glob("*")))]
    if lost:
        return Check("missing", f"{data.name} is prepared, but {lost[0]} is gone.", anew)
    source = folders[1] if data.name == "lvis" else folders[1].parent
    if changed := [one for one in files if one.stat().st_mtime > checked]:
        again = f"{data.command} --source {source} --check"
        return Check("warning", f"{data.name}: {changed[0]} was changed after it was checked.", again)
    day = datetime.fromtimestamp(checked).date().isoformat()
    return Check("ok", f"{data.name}: {source} was checked on {day}, and its files and folders are there.")


def _to_be_given(data: DataSet, official: Official) -> Check:
    folder = data.configured(official.key)
    if folder is None:
        wanted = f"a folder with {', '.join(official.parts)} (from {official.origin})"
        told = f"{data.name} is not prepared, and '{official.key}' of configs/config.yaml does not name {wanted}."
        return Check("missing", told, f"{data.command} --source FOLDER")
    lost = [part for part in official.parts if not os.path.exists(folder / part)]  # no error in a closed folder
    if data.name == "coco_lt" and not any(os.path.exists(folder / one) for one in (coco_lt.INDEX, coco_lt.PUBLISHED)):
        lost.append(coco_lt.INDEX)
    if lost:
        return Check("missing", f"{data.name}: {folder} has no {', '.join(lost)}.", f"ls {folder}")
    told = f"{data.name} is not checked yet; the workflow checks {folder} first, or this does:"
    return Check("note", told, f"{data.command} --source {folder}")


def _from_archive(data: DataSet) -> Check:
    """One that is cut from an archive: on this machine, or to be downloaded."""
    (archive, url), source = ARCHIVES[data.name], data.configured("source")
    if source is not None:
        given = f"{data.command} --source {source}"
        if os.path.exists(source):
            return Check("note", f"{data.name} is not made yet; the workflow makes it from {source}.", given)
        return Check("missing", f"{data.name}: {source}, which configs/config.yaml names, is not there.", given)
    if (data.root / "resources" / "downloads" / archive).exists():
        return Check("note", f"{data.name}: its archive is here; the workflow cuts and packs it.", data.command)
    urls = addresses(archive, [url])
    by_hand = f"{data.command} --source {archive}"
    return _to_download(f"{data.name}: {archive}", urls, reachable(urls), data.command, by_hand)


def first_weights(chosen: Chosen) -> Iterator[Check]:
    """A line for each file that backbones start from."""
    files = [(one.path, one.urls and addresses(one.path.name, one.urls), one.recipe) for one in chosen.first_weights()]
    answered = reachable(url for path, urls, _ in files if not path.exists() for url in urls)
    for path, urls, recipe in files:
        command = f"fasa pretrain {recipe} --scale {chosen.study.scale.name}"
        if not path.exists():
            if urls:
                yield _to_download(path.name, urls, answered, command, f"{MIRROR}=file:///FOLDER {command}")
            else:
                yield Check("note", f"{path.name} is not there yet; the workflow trains it, or this does:", command)
        elif not urls:
            yield Check("ok", f"{path} is there.")
        elif fits(path, named_checksum(path)):
            yield Check("ok", f"{path.name} is there, with the checksum of its name.")
        else:
            told = f"{path} has another checksum than its name says."
            yield Check("missing", told, f"rm {path} && {command}")


def _to_download(file: str, urls: Sequence[str], answered: set[str], command: str, by_hand: str) -> Check:
    """Whether one of ``urls`` has answered; or else how to go on with a file that was got elsewhere."""
    if there := next((url for url in urls if url in answered), None):
        return Check("note", f"{file} is not there yet; the workflow downloads {there}, or this does:", command)
    told = f"{file} is not here, and {' and '.join(urls)} cannot be reached from here"
    return Check("missing", f"{told}: get the file elsewhere, and name its place:", by_hand)
