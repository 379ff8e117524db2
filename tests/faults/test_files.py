"""Torn, flipped, missing and unwritable files: mended by what is older, or told in a sentence that names the file."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from attempts import attempt, said, start
from fault_table import record
from outcomes import measured, same, trained

pytestmark = pytest.mark.slow
PATTERN = {"classifier": "epoch-*.pt", "detector": "epoch_*.pth"}


@pytest.fixture(params=PATTERN)
def kind(request) -> str:
    return request.param


@pytest.fixture
def run(kind, request):
    return request.getfixturevalue(kind)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """One bit of the largest tensor: what lies between the records of a zip belongs to nothing."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
    content = bytearray(path.read_bytes())
    name, extra = struct.unpack_from("<HH", content, largest.header_offset + 26)
    content[largest.header_offset + 30 + name + extra + largest.file_size // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("both", [False, True])
def test_damaged_checkpoints(kind, run, damage, both, tmp_path):
    """The one before is used; where both are damaged, the training begins anew, and says so."""
    study = run.again(tmp_path / "damaged", "work_dirs")
    (study.work_dir(run.recipe, 0) / "model.pt").unlink()
    kept = sorted(study.checkpoint_dir(run.recipe, 0).glob(PATTERN[kind]))
    assert len(kept) == 2
    for path in kept if both else kept[-1:]:
        damage(path)
    assert attempt(study.root, *run.command()) == 0
    assert same(trained(study, run.recipe), run.trained)
    assert f"{kept[-1].name} is damaged" in said(study.root)
    assert ("begins anew" in said(study.root)) == both
    record(f"{run.recipe}: {'both checkpoints' if both else 'the newest checkpoint'} damaged", 1, 1)


def test_damaged_metrics_are_named_and_not_written_over(run, tmp_path):
    """By whoever reads them; ``fasa evaluate`` makes them again."""
    study = run.again(tmp_path / "damaged", "work_dirs", "results")
    path = study.metrics_path(run.recipe, 0)
    truncate(path)
    torn = path.read_bytes()
    assert attempt(study.root, "render", run.table(), "--scale", "smoke") == 2
    assert said(study.root).count(f"{path.relative_to(study.root)} is damaged") == 1
    assert attempt(study.root, "status", "--scale", "smoke") == 0  # one of its lines: the run has failed
    assert path.read_bytes() == torn
    assert attempt(study.root, *run.command("evaluate")) == 0
    assert same(measured(study, run.recipe), run.measured)
    record(f"{run.recipe}: metrics.json cut short", 1, refused=1)


def test_a_loss_that_is_not_finite_is_told_and_mended(kind, run, tmp_path):
    """By a rate that is far too high, and then the scale's own."""
    study = run.again(tmp_path / "diverging")
    configs = study.root / "configs"
    configs.unlink()
    shutil.copytree(run.study.root / "configs", configs)
    path = configs / "scales/smoke.yaml"
    scale = yaml.safe_load(path.read_text())
    scale["classification" if kind == "classifier" else "detection"]["schedule"]["lr"] = 1e15
    path.write_text(yaml.safe_dump(scale, sort_keys=False))
    assert attempt(study.root, *run.command()) == 2
    failure = json.loads((study.work_dir(run.recipe, 0) / "failed.json").read_text())["message"]
    assert "loss is nan" in failure and "lower" in failure and failure in said(study.root)
    shutil.rmtree(configs)
    shutil.copytree(run.study.root / "configs", configs)
    assert attempt(study.root, *run.command()) == 0
    assert same(trained(study, run.recipe), run.trained)
    record(f"{run.recipe}: a loss that is not finite", 1, refused=1)


def test_missing_data_is_named(run, tmp_path):
    """A disk that is gone before a training: refused; back again: it goes on."""
    study = run.again(tmp_path / "gone", "work_dirs")
    (study.work_dir(run.recipe, 0) / "model.pt").unlink()
    (study.root / "resources").unlink()
    assert attempt(study.root, *run.command()) == 2
    assert f"{study.data_path(run.recipe).relative_to(study.root)} is missing" in said(study.root)
    assert "Traceback" not in said(study.root)
    assert study.state(run.recipe, 0) == "training"  # stopped, and no failure of its own
    (study.root / "resources").symlink_to((run.study.root / "resources").resolve())
    assert attempt(study.root, *run.command()) == 0
    assert same(trained(study, run.recipe), run.trained)
    record(f"{run.recipe}: the data's disk missing", 1, refused=1)


def test_images_that_vanish_amid_a_training_are_named(detector, tmp_path):
    """After its first checkpoint a detector's images are gone; then they are back."""
    study = detector.again(tmp_path / "vanishing")
    manifest = json.loads(study.data_path(detector.recipe).read_text())
    images = Path(manifest["train"]["images"])
    away = images.with_name("away")
    process = start(study.root, list(detector.command()))
    try:
        while process.is_alive() and not list(study.checkpoint_dir(detector.recipe, 0).glob(PATTERN["detector"])):
            time.sleep(0.002)
        images.rename(away)
        process.join()
    finally:
        away.rename(images)
    assert process.exitcode == 2
    assert f"{images}/" in said(study.root) and "cannot be read" in said(study.root)
    assert "Traceback" not in said(study.root)
    assert attempt(study.root, *detector.command()) == 0
    assert same(trained(study, detector.recipe), detector.trained)
    record("rfs_fasa: the images vanish amid the training", 1, refused=1)


@pytest.fixture
def tight_disk(tmp_path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "tight"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or sys.platform != "linux":
        pytest.skip(f"cannot mount a small tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_the_training_goes_on_later(run, tight_disk, tmp_path):
    """The work folder's disk has too little space for a checkpoint; then there is some."""
    study = run.again(tmp_path / "full")
    (study.root / "work_dirs").symlink_to(tight_disk)
    (tight_disk / "filler").write_bytes(b"0" * 40_000)
    assert attempt(study.root, *run.command()) == 2
    assert "cannot be written (No space left on device): free some space" in said(study.root)
    assert "Traceback" not in said(study.root)
    assert not list(tight_disk.rglob("epoch*.pt*"))
    subprocess.run(["mount", "-o", "remount,size=512m", str(tight_disk)], check=True)
    assert attempt(study.root, *run.command()) == 0
    assert same(trained(study, run.recipe), run.trained)
    record(f"{run.recipe}: disk full at a checkpoint", 1, refused=1)


def test_a_disk_that_cannot_be_written_is_told(run, tight_disk, tmp_path):
    """Where the run's folder would be made; and where a note of an earlier failure lies."""
    study = run.again(tmp_path / "read_only")
    (study.root / "work_dirs").symlink_to(tight_disk)
    for place in (None, study.work_dir(run.recipe, 0) / "failed.json"):
        if place:
            subprocess.run(["mount", "-o", "remount,rw", str(tight_disk)], check=True)
            place.parent.mkdir(parents=True)
            place.touch()
        subprocess.run(["mount", "-o", "remount,ro", str(tight_disk)], check=True)
        assert attempt(study.root, *run.command()) == 2
    assert said(study.root).count("cannot be written (Read-only file system)") >= 2
    assert "Traceback" not in said(study.root)
    record(f"{run.recipe}: a disk that cannot be written", 2, refused=2)
