"""A detector of two processes, each with a data worker: whichever of them a signal ends, and when, all end and go on.

FASA_FAULT_SIGNALS is the number of signals that are tried; else it is a handful.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from attempts import attempt, said, start
from fault_table import record
from outcomes import same, trained
from undisturbed_runs import Undisturbed, with_few_scenes

from fasa.evaluation.arrays import cores
from fasa.study import load_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(cores() < 2, reason="two processes need two cores"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
TRIES = int(os.environ.get("FASA_FAULT_SIGNALS", 4))
LIFE = 4  # signals that one training meets
LIMIT = 30  # seconds from a signal to the end of all
SIGNALS = [*[signal.SIGKILL] * 4, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT]
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
    SIGNALS.append(signal.SIGHUP)
ROLES = ("first", "training", "data worker")


def test_whichever_a_signal_ends_all_end_and_go_on(tmp_path):
    root = tmp_path / "undisturbed"
    root.mkdir()
    with_few_scenes(root, devices=2, workers=1, epochs=0.25)
    assert attempt(root, "data", "rfs_fasa", "--scale", "smoke") == 0
    run = Undisturbed(load_study(root, "smoke"), "rfs_fasa", [], [], {}, {})
    started = time.monotonic()
    assert attempt(root, *run.command()) == 0, said(root)
    duration = time.monotonic() - started
    expected = trained(run.study, run.recipe)

    chance, met = random.Random(TRIES), Counter()
    for life in range(-(-TRIES // LIFE)):
        study = run.again(tmp_path / str(life))
        for number in range(min(LIFE, TRIES - life * LIFE)):
            # The first of a life meets a process that is just starting, the second a data worker before all is trained.
            role = ("training", "data worker", *chance.choices(ROLES, k=2))[number]
            wait = 0 if number == 0 else chance.uniform(0, duration)
            met[disturbed(study.root, run.command(), role, wait, chance)] += 1
        assert attempt(study.root, *run.command()) == 0, said(study.root)
        assert same(trained(study, run.recipe), expected), life
        assert "waiting for it" not in said(study.root)  # no lease was held by what should have ended
    print(dict(met))
    tried = met.total() - met["over"]
    record("rfs_fasa, two processes: a signal to any at a random moment", tried, tried)


def disturbed(root: Path, command: tuple[str, ...], role: str, wait: float, chance: random.Random) -> str:
    """Train for ``wait`` seconds, and end the next process of a ``role`` by a signal: what came of it.

    Data workers live for moments after long imports: the wait for one begins with the first that is there.
    """
    before = len(said(root)) if (root / "said").exists() else 0
    process = start(root, list(command))

    def next_of(role: str) -> int | None:
        while process.is_alive():
            if victims := roles_in(root, process.pid).get(role):
                return chance.choice(victims)
            time.sleep(0.005)
        return None

    if role == "data worker" and next_of(role):
        process.join(chance.uniform(0, 0.2))
    elif role != "data worker":
        process.join(wait)
    victim, number = next_of(role), chance.choice(SIGNALS)
    if victim is None:
        process.join()
        assert process.exitcode == 0, said(root)[before:]
        return "over"
    with suppress(ProcessLookupError):  # it just ended
        os.kill(victim, number)
    until = time.monotonic() + LIMIT
    process.join(LIMIT)
    told = said(root)[before:]
    assert process.exitcode is not None, (role, number, told)
    while processes_in(root) and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes_in(root), (role, number)
    if process.exitcode == 0:  # it was needed no more, or went on
        return f"{role}: not needed"
    if role == "first":
        assert process.exitcode in (-number, 128 + number), (number, told)
        return f"{role}: ended"
    sentence = told.rpartition("fasa: ")[2]
    assert process.exitcode == 2 and f"was ended by {number.name}; train again" in sentence, (role, number, told)
    assert "Traceback" not in told, told
    return f"{role}: told"


def processes_in(root: Path) -> dict[int, int]:
    """The processes whose working folder is ``root``, and the parent of each."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if (folder / "cwd").readlink() == root and state != "Z":
                found[int(folder.name)] = int(parent)
        except OSError:  # it ended
            pass
    return found


def roles_in(root: Path, first: int) -> dict[str, list[int]]:
    """The processes of a training by what they do: the first of all, those that train, their data workers."""
    parents = processes_in(root)
    roles: dict[str, list[int]] = {}
    for pid, parent in parents.items():
        role = ROLES[0] if pid == first else ROLES[1] if parent == first else ROLES[2]
        roles.setdefault(role, []).append(pid)
    return roles
