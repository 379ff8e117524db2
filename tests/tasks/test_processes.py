"""Several processes for one training: how many there are, and what ends them."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import process_toys
import pytest
import torch

from fasa.errors import UserError
from fasa.study import Run, load_study
from fasa.tasks import processes
from fasa.tasks.processes import launch, lost_workers_told, processes_for


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


def test_work_that_is_done_is_done_also_where_a_process_hangs_behind_it(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LEAVING", 1.0)
    launch(2, process_toys.hang_at_leaving, str(tmp_path))
    pids = [int(path.stem) for path in tmp_path.iterdir()]
    assert len(pids) == 2 and all_end(pids)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("user", UserError, r"^the rate: is too high\.$"),
        (
            "killed",
            UserError,
            r"^process 1 of 2 was ended by SIGKILL; train again, it goes on at its last checkpoint\.$",
        ),
        ("bug", RuntimeError, "^process 1 of 2: ZeroDivisionError: oh$"),
        ("left", UserError, "^process 1 of 2 ended with code 0; train again"),
    ],
)
def test_one_that_fails_ends_all(kind, error, words):
    """The other waits for it, and that is not what is told."""
    with pytest.raises(error, match=words):
        launch(2, process_toys.fail, kind)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_data_worker_that_a_signal_ended_is_told(number):
    loader = torch.utils.data.DataLoader(process_toys.Numbers(number), num_workers=1)
    with pytest.raises(UserError, match=f"^a data worker was ended by {number.name}; train again"), lost_workers_told():
        list(loader)
    with pytest.raises(RuntimeError, match="something else"), lost_workers_told():
        raise RuntimeError("something else")


def test_jobs_travel_in_few_bytes():
    """A pipe holds 64 kB: whoever writes more waits for a reader, which may have been killed."""
    study = load_study(Path(__file__).parents[2], "paper")
    assert max(len(pickle.dumps(study.job(Run(name, 0)))) for name in study.resolved) < 16_000


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(code: str, folder: Path, count: int) -> tuple[subprocess.Popen, list[int]]:
    """A process that runs ``code``, and ``count`` others that leave their numbers in ``folder``."""
    places = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2])))
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": places})
    deadline = time.monotonic() + 60
    while len(pids := [int(path.stem) for path in folder.glob("*.pid")]) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(pids) == count and all(map(alive, pids))
    return process, pids


def all_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_they_end_with_the_one_that_started_them(number, code, tmp_path):
    script = (
        f"from fasa.tasks.processes import launch; from process_toys import sleep; launch(2, sleep, {str(tmp_path)!r})"
    )
    process, workers = started(script, tmp_path, 2)
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    assert all_end(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_data_worker_ends_with_a_training_that_was_killed_while_it_began(tmp_path):
    process, workers = started(f"from process_toys import begin_slowly; begin_slowly({str(tmp_path)!r})", tmp_path, 1)
    process.kill()
    process.wait()
    assert all_end(workers)
