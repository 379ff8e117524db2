"""The manifest of a prepared detection data set: its classes, where its files lie, and the checksum of each.

It is written last, by `fasa data`. Images have a list of their own beside it, which ``sha256sum -c`` reads, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fasa import atomic, sealed
from fasa.errors import Unprepared, UserError

LISTS = ("instance_counts", "image_counts", "frequencies")  # also files of their own, for losses and augmenters
IMAGES = "images.sha256"
MADE_HERE = ("glyphs",)  # of which an image is small, and all are looked at before each training
PREPARE = "prepare the data with: fasa data RECIPE"
MEND = "delete it and run fasa data again"


@dataclass(frozen=True)
class Split:
    """Annotations and the folder that their images' names start from."""

    annotations: str
    images: str


@dataclass(frozen=True)
class Manifest:
    """A data set in LVIS's or COCO's format; the class order is that of the annotations."""

    name: str
    train: Split
    val: Split
    category_names: tuple[str, ...]
    frequencies: tuple[str, ...]  # r, c or f; "" where the data set has none
    instance_counts: tuple[int, ...]  # of training
    image_counts: tuple[int, ...]
    train_images: int  # with an annotation
    repeat_threshold: float  # t of repeat factor sampling, a share of the images
    tail_threshold: float  # lambda of the equalization loss, likewise

    @property
    def classes(self) -> int:
        return len(self.category_names)


def write_manifest(manifest: Manifest, path: Path, images: Iterable[Path] = (), others: Iterable[Path] = ()) -> None:
    """Write ``manifest`` and, beside it, each of ``LISTS`` as a JSON list and the checksums of ``images``.

    Those of the annotations and of ``others`` stand in the manifest itself.

    Raises:
        UserError: a file cannot be read, or the disk is full.
    """
    content = asdict(manifest)
    for name in LISTS:
        atomic.write_json(list_path(path, name), content[name])
    folder, sums = path.absolute().parent, path.with_name(IMAGES)
    atomic.write_text(sums, "".join(f"{sha256(image)}  {_name(image, folder)}\n" for image in images))
    files = [*(list_path(path, name) for name in LISTS), sums, *others]
    files += [Path(split.annotations) for split in (manifest.train, manifest.val)]
    sealed.write(path, _of(path), {**content, "sha256_of": {_name(file, folder): sha256(file) for file in files}})


def read_manifest(path: Path) -> Manifest:
    """The manifest at ``path``.

    Raises:
        UserError: it is missing or not one.
    """
    content = _read(path)
    try:
        content |= {"train": Split(**content["train"]), "val": Split(**content["val"])}
        lists = ("category_names", *LISTS)
        content |= {name: tuple(content[name]) for name in lists}
        return Manifest(**{field.name: content[field.name] for field in fields(Manifest)})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged; {MEND}.") from error


def check_files(path: Path) -> None:
    """See that the files of the data set are those that it was prepared from, before they are used.

    Of official data sets the images, some 20 GB, are left to ``fasa verify``.

    Raises:
        UserError: one is missing or was changed.
    """
    for fault in faults(path, images=read_manifest(path).name in MADE_HERE):
        raise UserError(fault)


def is_whole(path: Path) -> bool:
    """Whether a data set is there, and what :func:`check_files` looks at is as it was prepared."""
    try:
        check_files(path)
    except UserError:
        return False
    return True


def faults(path: Path, images: bool = True, progress: Callable[[int, int], None] | None = None) -> Iterator[str]:
    """A sentence for each file of the data set that is missing or was changed since it was prepared.

    ``progress(done, total)`` is called for each file.

    Raises:
        UserError: the manifest itself is.
    """
    listed = _read(path)["sha256_of"]
    yield from _changed(path.parent, listed.items(), progress)
    sums = path.with_name(IMAGES)
    if images and sha256(sums) == listed[IMAGES]:
        lines = [line.partition("  ") for line in sums.read_text().splitlines()]
        yield from _changed(path.parent, [(name, digest) for digest, _, name in lines], progress)


def list_path(manifest: Path, name: str) -> Path:
    """The JSON list of one of ``LISTS``."""
    return manifest.with_name(f"{name}.json")


def sha256(path: Path) -> str:
    """Of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make the data's disk available.") from error


def _changed(
    folder: Path, listed: Collection[tuple[str, str]], progress: Callable[[int, int], None] | None
) -> Iterator[str]:
    for number, (name, digest) in enumerate(listed, 1):
        try:
            if sha256(folder / name) != digest:
                yield f"{folder / name} was changed since fasa data looked at it; get or make it again, and {PREPARE}."
        except UserError as error:
            yield str(error)
        if progress:
            progress(number, len(listed))


def _name(file: Path, folder: Path) -> str:
    """Of a file in the data set's folder as it is called there, of another its path."""
    path = file.absolute()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise Unprepared(f"{path} is missing: prepare the data first, with fasa data RECIPE.")
    return sealed.read(path, _of(path), MEND)


def _of(path: Path) -> dict[str, str]:
    """Which data set, and how it is cut: as its folders are called."""
    return {"kind": "manifest", "data": f"{path.absolute().parent.parent.name}/{path.absolute().parent.name}"}
