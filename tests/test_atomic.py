"""Files appear whole or not at all; links, pipes and devices stay what they are."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from fasa import atomic
from fasa.errors import UserError


def test_a_link_goes_on_pointing_at_its_file(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to("deep/target.txt")
    atomic.write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and not target.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["target.txt"]


def test_a_link_to_nothing_makes_its_target(tmp_path: Path):
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "new" / "target.txt")
    atomic.write_text(link, "new")
    assert link.is_symlink() and (tmp_path / "new" / "target.txt").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    atomic.write_text(pipe, "through")
    reader.join(10)
    assert got == ["through"] and stat.S_ISFIFO(pipe.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def _fail(stream: BinaryIO) -> None:
    stream.write(b"half")
    raise KeyError


def test_a_writer_that_fails_puts_nothing_into_a_pipe(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    both = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        with pytest.raises(KeyError):
            atomic.write(pipe, _fail)
        with pytest.raises(BlockingIOError):
            os.read(both, 1)
    finally:
        os.close(both)


def test_a_device_stays_a_device(tmp_path: Path):
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    atomic.write_text(link, "gone")
    assert link.is_symlink() and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left"):
        atomic.write_text(full, "too much")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("name", ["loop", "a\0b", "folder"])
def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, name: str):
    (tmp_path / "loop").symlink_to(tmp_path / "pool")
    (tmp_path / "pool").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as caught:
        atomic.write_text(tmp_path / name, "x")
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert (tmp_path / "loop").is_symlink() and (tmp_path / "folder").is_dir()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_reads(tmp_path: Path, umask: int, mode: int):
    before = os.umask(umask)
    try:
        atomic.write_text(tmp_path / "x", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


KILLED = """
import os, signal, sys
from pathlib import Path
from fasa import atomic
path = Path(sys.argv[1])
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if path.name == "folder":
    with atomic.scratch_folder(path) as scratch:
        (scratch / "half").write_text("half")
        kill()
atomic.write(path, kill)
"""


@pytest.mark.parametrize("name", ["x.json", "folder"])
def test_the_next_writer_takes_away_what_a_kill_left(tmp_path: Path, name: str):
    """And nothing of another file's, of another machine's, or of one that is writing now."""
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)]).returncode == -9
    (left,) = tmp_path.iterdir()
    here, pid = socket.gethostname(), os.getpid()
    others = [f".other.{here}-{2**30}-0.tmp", f".{name}.elsewhere-{2**30}-0.tmp", f".{name}.{here}-{pid}-0.tmp"]
    for other in others:
        (tmp_path / other).touch()
    with atomic.scratch_folder(tmp_path / name):
        assert not left.exists()
    assert sorted(os.listdir(tmp_path)) == sorted(others)
    os.utime(tmp_path / others[1], (0, 0))
    atomic.write_text(tmp_path / name, "x")
    assert sorted(os.listdir(tmp_path)) == sorted([others[0], others[2], name])
