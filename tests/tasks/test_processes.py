"""Several processes for one training: how many there are, and what ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import process_toys
import pytest
import torch

from fasa.errors import UserError
from fasa.tasks import processes
from fasa.tasks.processes import launch, processes_for


@pytest.mark.parametrize(
    ("devices", "gpus", "cores", "expected"),
    [(8, 8, 1, 8), (8, 6, 1, 4), (8, 3, 1, 2), (8, 1, 4, 1), (6, 4, 1, 3), (1, 8, 8, 1), (2, 0, 4, 2), (8, 0, 1, 1)],
)
def test_processes_share_the_devices_work_evenly(monkeypatch, devices, gpus, cores, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(processes, "cores", lambda: cores)
    assert processes_for(devices) == expected


def test_gpus_that_torch_cannot_use_are_not_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)  # under an old driver, which is_available() refuses
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(processes, "cores", lambda: 2)
    assert processes_for(8) == 2


def test_processes_form_a_group(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    launch(2, process_toys.add_up, str(tmp_path))
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["3", "3"]
    assert signal.getsignal(signal.SIGTERM) == before


# Which process tells first, the one that fails or the one that waits for it, is chance.
@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("user", UserError, r"^the rate: is too high\.$"),
        ("killed", UserError, "process 1 of 2 was ended by SIGKILL; train again"),
        ("bug", RuntimeError, "process 1 of 2: ZeroDivisionError: oh"),
    ],
)
def test_one_that_fails_ends_all(kind, error, words):
    with pytest.raises((error, UserError), match=f"{words}|ended before the others|was ended by SIGABRT"):
        launch(2, process_toys.fail, kind)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_they_end_with_the_one_that_started_them(number, code, tmp_path):
    script = (
        f"from fasa.tasks.processes import launch; from process_toys import sleep; launch(2, sleep, {str(tmp_path)!r})"
    )
    places = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2])))
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": places})
    deadline = time.monotonic() + 60
    while len(workers := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workers) == 2 and all(map(alive, workers))
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, workers))
