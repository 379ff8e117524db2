"""One writer at a time: real processes that hold, leave, are killed, or sit on another host."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fasa.tasks import lease as module
from fasa.tasks.lease import Busy, lease

ROOT = Path(__file__).parents[2]
HOLD = (
    "import sys, time, pathlib\nfrom fasa.tasks.lease import lease\n"
    "with lease(pathlib.Path(sys.argv[1])): print('held', flush=True); {}"
)


def holder(folder: Path, then: str = "time.sleep(600)", job: str = "77") -> subprocess.Popen:
    """A process that has the lease of ``folder`` when this returns."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SLURM_JOB_ID": job}
    command = [sys.executable, "-c", HOLD.format(then), str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.4)
    monkeypatch.setattr(module, "POLL", 0.05)


def test_the_refusal_names_the_holder(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(Busy) as refusal, lease(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
    since = json.loads((tmp_path / "lease").read_text())["since"]
    assert str(refusal.value) == (
        f"{tmp_path} is being trained by process {process.pid} on {socket.gethostname()}, Slurm job 77, since "
        f"{since}; wait for it or stop it."
    )
    with lease(tmp_path):  # killed, so the lock is free at once
        assert json.loads((tmp_path / "lease").read_text())["pid"] == os.getpid()
    assert json.loads((tmp_path / "lease").read_text()) == {}


def test_a_successor_waits_for_one_that_is_leaving(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 20)
    process = holder(tmp_path, "time.sleep(1)")
    started = time.monotonic()
    with lease(tmp_path):
        assert 0.3 < time.monotonic() - started < 15
        assert process.wait() == 0


def test_a_signal_to_the_holder_lets_go(tmp_path):
    process = holder(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    with lease(tmp_path):
        pass


def elsewhere(folder: Path, ago: float) -> Path:
    """The lease of a holder on another host that gave its last sign of life ``ago`` seconds ago."""
    path = folder / "lease"
    path.write_text(json.dumps({"host": "node-9", "pid": 1, "job": None, "since": "2026-01-01T00:00:00+00:00"}))
    os.utime(path, (time.time() - ago,) * 2)
    return path


@pytest.mark.parametrize("code", [None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_holder_on_another_host_lives_while_it_gives_signs(tmp_path, monkeypatch, code):
    """Where locks reach one node only (None), or are refused."""
    if code:
        monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(code, "no locks")))
    path = elsewhere(tmp_path, ago=10)
    script = "import os, sys, time\nfor _ in range(100): time.sleep(0.1); os.utime(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)])
    try:
        with pytest.raises(Busy, match="by process 1 on node-9 since 2026"), lease(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("code", [None, errno.ENOLCK])
def test_a_holder_on_another_host_without_signs_is_dead(tmp_path, monkeypatch, code):
    if code:
        monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(code, "no locks")))
    elsewhere(tmp_path, ago=119)
    started = time.monotonic()
    with lease(tmp_path):
        assert 0.5 < time.monotonic() - started < 10  # past its PATIENCE, until the 120 s are over
    elsewhere(tmp_path, ago=121)
    with lease(tmp_path):
        pass


def test_without_locks_a_process_of_this_host_holds_while_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks")))
    process = holder(tmp_path)
    os.utime(tmp_path / "lease", (time.time() + 5,) * 2)
    beat = subprocess.Popen(["sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; touch {tmp_path}/lease; done"])
    with pytest.raises(Busy, match=f"process {process.pid}"), lease(tmp_path):
        pass
    process.kill()
    process.wait()
    beat.wait()
    with lease(tmp_path):
        pass


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PULSE", 0.05)
    with lease(tmp_path):
        path = tmp_path / "lease"
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert time.time() - path.stat().st_mtime < 10


def without_locks(monkeypatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks")))


@pytest.mark.parametrize("ago", [0, -3600, -(10**9)])
def test_a_sign_of_the_future_counts_as_made_when_it_is_seen(tmp_path, monkeypatch, capsys, ago):
    """A dead node's clock was wrong: the wait ends, and is told once."""
    monkeypatch.setattr(module, "DEAD", 0.7)
    elsewhere(tmp_path, ago)
    started = time.monotonic()
    with lease(tmp_path):
        assert 0.3 < time.monotonic() - started < 10
    told = capsys.readouterr().err
    words = (
        f"fasa: {tmp_path} is held by process 1 on node-9 since 2026-01-01T00:00:00+00:00; waiting for it, 1 s at most."
    )
    assert told == words + "\n"


@pytest.mark.parametrize(
    "text", ["[1]", '{"hosu": "x", "pid": 1, "job": null, "since": ""}', '{"host": 3}', "{", "\xff"]
)
def test_a_damaged_lease_is_another_process_until_it_is_silent(tmp_path, monkeypatch, text):
    (tmp_path / "lease").write_text(text, encoding="latin-1")
    monkeypatch.setattr(module, "DEAD", 0.7)
    started = time.monotonic()
    with lease(tmp_path):
        assert time.monotonic() - started > 0.3


def test_a_damaged_lease_whose_holder_gives_signs_is_not_taken(tmp_path):
    (tmp_path / "lease").write_text("[1]")
    touch = subprocess.Popen(["sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; touch {tmp_path}/lease; done"])
    with pytest.raises(Busy, match="is being trained by another process; wait for it"), lease(tmp_path):
        pass
    touch.wait()


def test_a_holder_that_another_relieved_leaves_it_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PULSE", 0.05)
    words = f"{tmp_path} was taken over by process 1 on node-9 since 2026"
    with pytest.raises(Busy, match=words) as told, lease(tmp_path) as held:
        held.check()
        path = elsewhere(tmp_path, ago=50)
        time.sleep(0.3)
        assert time.time() - path.stat().st_mtime > 45  # it gives no signs for the other
        held.check()
    assert str(told.value).endswith("while this process stood still; this one stops.")
    assert json.loads(path.read_text())["host"] == "node-9"
    with pytest.raises(Busy, match="was taken over by process 1"), lease(tmp_path / "again"):
        elsewhere(tmp_path / "again", ago=0)
        raise FileNotFoundError("the other has deleted a half-written file")


PAUSED = (
    "import errno, fcntl, sys, pathlib\nfrom fasa.tasks import lease as module\n"
    "def refuse(*_): raise OSError(errno.ENOLCK, 'no locks')\n"
    "fcntl.flock, module.DEAD = refuse, 0.5\n"
    "try:\n    with module.lease(pathlib.Path(sys.argv[1])) as held:\n"
    "        print('held', flush=True); sys.stdin.readline(); held.check()\n"
    "except module.Busy as told: print(told, flush=True)\n"
)


def test_a_process_that_was_stopped_is_relieved(tmp_path, monkeypatch):
    """Stopped, silent, and continued, where there are no locks and both are on hosts of their own."""
    without_locks(monkeypatch)
    monkeypatch.setattr(module, "DEAD", 0.5)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    first = subprocess.Popen([sys.executable, "-c", PAUSED, str(tmp_path)], env=environment, **pipes)
    assert first.stdout.readline() == "held\n"
    first.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(socket, "gethostname", lambda: "node-9")
    with lease(tmp_path):
        first.send_signal(signal.SIGCONT)
        told = first.communicate("\n", timeout=30)[0]
        assert "was taken over by process" in told and "on node-9" in told
        assert json.loads((tmp_path / "lease").read_text())["host"] == "node-9"
    assert json.loads((tmp_path / "lease").read_text()) == {}
