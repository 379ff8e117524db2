"""A scale's finished runs in one file that can be checked: all that its tables and figures are made from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from fasa import atomic
from fasa.config_folders import config_folders
from fasa.errors import UserError
from fasa.study.loading import load_study
from fasa.study.study import MOST_SEEDS, Study
from fasa.tasks.records import FAILED, MEASURED, TRAINED, forget_failure
from fasa.tasks.task import Run

MANIFEST = "bundle.json"
FORMAT, VERSION = "fasa bundle", 2  # 1 had files without checksums of their own
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry: the same runs make the same bytes
UNREADABLE = (OSError, zipfile.BadZipFile, RuntimeError, EOFError, zlib.error)  # RuntimeError: it has a password
BLOCK = 1 << 20
LISTED = 64 * BLOCK  # bytes of the manifest, at most
RATIO = 200  # of what is unpacked to the file, at most; results have 5 to 20


def pack(study: Study, path: Path, weights: bool = False) -> int:
    """Write the finished runs of ``study`` and its ``configs/`` to ``path``, a zip; the number of runs.

    Measurements, provenance, pictures' examples, costs and histories are packed, and why a run failed. The same runs
    give the same bytes.

    Args:
        study: whose runs.
        path: the file to write.
        weights: also the weights of each run, ``model.pt``.

    Raises:
        UserError: no run is finished, or the disk is full.
    """
    runs, files = 0, _configs(study.root)
    for run in study.every_run():
        work, measured = study.work_dir(run.recipe, run.seed), _measured_dir(study, run.recipe, run.seed)
        done = study.load_metrics(run.recipe, run.seed) is not None
        runs += done
        trained = (*TRAINED, "model.pt") if weights else TRAINED
        kept = [measured / name for name in MEASURED if done]
        kept += [work / name for name in trained if done or name == FAILED]
        files |= {path.relative_to(study.root).as_posix(): path for path in kept if path.exists()}
    if not runs:
        raise UserError(f"no run of scale '{study.scale.name}' is finished: there is nothing to pack.")
    atomic.write(path, lambda stream: _write(stream, study, files))
    return runs


def faults(path: Path) -> Iterator[str]:
    """What is wrong with the bundle ``path``, which stays packed."""
    try:
        with _opened(path) as archive:
            for name, listed in _manifest(archive, path)["files"].items():
                with archive.open(name) as source:
                    blocks = _blocks(source, listed["bytes"], f"{path}: {name}")
                    if _digest(blocks) != listed.get("sha256"):
                        yield f"{path}: {name} is not what was packed; get the bundle again."
    except UserError as error:
        yield str(error)
    except UNREADABLE as error:
        yield f"{path} is damaged ({error}); get the bundle again."


def unpacked_faults(root: Path) -> Iterator[str]:
    """The files of an unpacked bundle, a study of its own, that are missing or were changed."""
    manifest = _read_json(root / MANIFEST)
    try:
        listed = {root / name: str(told["sha256"]) for name, told in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError):
        yield f"{root / MANIFEST} is damaged; unpack the bundle again."
        return
    for path, digest in listed.items():
        try:
            with path.open("rb") as source:
                whole = _digest(iter(partial(source.read, BLOCK), b"")) == digest
        except OSError:
            whole = False
        if not whole:
            yield f"{path} is missing or not what was in the bundle; unpack that again."


def take(path: Path) -> tuple[Study, int, int]:
    """Put a bundle's runs into the study of this folder, where it has none: the study, runs taken, runs left.

    Left are runs that are measured here and those of other recipes than today's.

    Raises:
        UserError: ``path`` is no bundle, is damaged, of a scale that is not here, or the disk is full.
    """
    with atomic.scratch_folder(Path("work_dirs") / "bundle") as scratch:
        theirs = unpack(path, scratch / "study")
        ours = load_study(Path("."), theirs.scale.name)
        measured = [run for run in theirs.every_run() if theirs.load_metrics(run.recipe, run.seed) is not None]
        wanted = [run for run in measured if _is_wanted(run, ours, theirs)]
        for run in wanted:
            forget_failure(ours.job(run))
            for place in (Study.work_dir, _measured_dir):  # measurements last: with them a run is done
                _move(place(theirs, run.recipe, run.seed), place(ours, run.recipe, run.seed))
    return ours, len(wanted), len(measured) - len(wanted)


def unpacked(path: Path) -> Path:
    """The folder that a bundle is unpacked to: beside it, by its name up to the first dot."""
    return path.with_name(path.name.partition(".")[0] or path.name + ".study")


def unpack(path: Path, folder: Path) -> Study:
    """Put a bundle's files into ``folder``, a study of its own, every byte checked; the study.

    A folder that holds this very bundle is taken as it is.

    Raises:
        UserError: ``path`` is no bundle, is damaged, or ``folder`` holds something else.
    """
    try:
        with _opened(path) as archive:
            manifest = _manifest(archive, path)
            if folder.exists():
                if _read_json(folder / MANIFEST) != manifest:
                    raise UserError(
                        f"{folder} is there and holds something else: move it, or copy the bundle elsewhere."
                    )
            else:
                with atomic.scratch_folder(folder) as scratch:
                    _extract(archive, manifest["files"], scratch / "whole", path)
                    atomic.write_json(scratch / "whole" / MANIFEST, manifest)
                    os.rename(scratch / "whole", folder)
    except UNREADABLE as error:
        raise UserError(
            f"{path} cannot be unpacked to {folder} ({error}): get the bundle again, or free space."
        ) from error
    return load_study(folder, manifest["scale"], manifest.get("seeds"))


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise UserError(f"{path} does not exist: check the path.")
    return zipfile.ZipFile(path)


def _measured_dir(study: Study, recipe: str, seed: int) -> Path:
    return study.metrics_path(recipe, seed).parent


def _is_wanted(run: Run, ours: Study, theirs: Study) -> bool:
    known = run.recipe in ours.resolved and ours.fingerprint(run.recipe) == theirs.fingerprint(run.recipe)
    return known and ours.state(run.recipe, run.seed) in ("missing", "stale", "failed")


def _move(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*"), key=lambda path: path.name == "metrics.json"):
        os.replace(path, target / path.name)


def _configs(root: Path) -> dict[str, Path]:
    """The config files of a study by their names in a bundle, which has them all in one folder.

    Raises:
        UserError: the study's own folder has a file of the name of a shipped one.
    """
    files: dict[str, Path] = {}
    for folder in config_folders(root):
        for path in folder.rglob("*"):
            name = f"configs/{path.relative_to(folder).as_posix()}"
            if path.is_file() and path.suffix in (".yaml", ".py", ".json"):
                if name in files:
                    raise UserError(
                        f"{path} has the name of one that fasa ships, and a bundle has one of each: rename it."
                    )
                files[name] = path
    return files


def _write(stream: BinaryIO, study: Study, files: dict[str, Path]) -> None:
    listed: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(stream, "w") as archive:
        for name, file in sorted(files.items()):
            with file.open("rb") as source, archive.open(_entry(name), "w", force_zip64=True) as entry:
                digest = _digest(iter(partial(source.read, BLOCK), b""), entry)
            listed[name] = {"bytes": file.stat().st_size, "sha256": digest}
        manifest = {"format": FORMAT, "version": VERSION, "scale": study.scale.name, "files": listed}
        if study.asked_seeds:
            manifest["seeds"] = study.asked_seeds
        archive.writestr(_entry(MANIFEST), json.dumps(manifest, indent=1) + "\n")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED  # of itself, for an archive's own is not that of an entry with a date
    return entry


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        with archive.open(MANIFEST) as stream:
            manifest = json.loads(stream.read(LISTED))
        told = manifest["format"], manifest["version"]
        files, names = manifest["files"], [info.filename for info in archive.infolist()]
        size = sum(abs(listed["bytes"]) for listed in files.values())
        sound = sorted([*files, MANIFEST]) == sorted(names) and all(map(_inside, files))
        sound &= re.fullmatch(r"\w[\w.-]*", manifest["scale"]) is not None
        sound &= manifest.get("seeds") in (None, *range(1, MOST_SEEDS + 1))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no bundle of 'fasa bundle': its {MANIFEST} is missing or damaged.") from error
    if told != (FORMAT, VERSION):
        raise UserError(f"{path} is a bundle of another format, {told}; this version reads {(FORMAT, VERSION)}.")
    if not sound:
        raise UserError(
            f"{path} holds other files than its {MANIFEST} lists, or some outside its folder: not unpacked."
        )
    if size > RATIO * path.stat().st_size:
        raise UserError(f"{path} would unpack to {size / 1e9:.1f} GB, over {RATIO} times its size: not unpacked.")
    return manifest


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return ".." not in path.parts and path.parts[:1] in (("configs",), ("results",), ("work_dirs",))


def _extract(archive: zipfile.ZipFile, files: dict[str, dict[str, Any]], folder: Path, path: Path) -> None:
    for name, listed in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as source, target.open("wb") as written:
            digest = _digest(_blocks(source, listed["bytes"], f"{path}: {name}"), written)
        if digest != listed.get("sha256"):
            raise UserError(f"{path} is damaged: {name} is not what was packed. Get the bundle again.")


def _blocks(source: Any, size: int, name: str) -> Iterator[bytes]:
    """A file's bytes, never more than it says that it has."""
    for block in iter(partial(source.read, BLOCK), b""):
        size -= len(block)
        if size < 0:
            raise UserError(f"{name} is larger than its bundle says: not unpacked.")
        yield block


def _digest(blocks: Iterable[bytes], copy: IO[bytes] | None = None) -> str:
    """SHA-256 in hex of what is written to ``copy`` as it comes."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        if copy:
            copy.write(block)
    return digest.hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
