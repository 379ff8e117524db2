"""What is done, running, failed and missing now, from what runs leave on disk: cheap enough for every two seconds."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fasa.errors import UserError
from fasa.study.cost import Costs
from fasa.study.out_of_memory import starved_jobs, starved_reason
from fasa.study.study import Study
from fasa.tasks.heartbeat import Beat, read_heartbeat
from fasa.tasks.records import FAILED, why_failed
from fasa.tasks.task import Run

# A training that beats is running; one that left a checkpoint and is silent was stopped, or waits in a queue.
STATES = ("done", "trained", "running", "stopped", "stale", "failed", "missing")


@dataclass(frozen=True)
class Failure:
    """Why a run failed, in a sentence, and when, in seconds since 1970."""

    run: Run
    message: str
    at: float


@dataclass(frozen=True)
class Snapshot:
    """The state of every run of a study at one time.

    Attributes:
        scale: name of the scale.
        at: the time, in seconds since 1970.
        states: one of :data:`STATES` for each run, needed ones first.
        users: the runs of each table and figure, what they start from included.
        beats: the last sign of life of the runs that train now.
        failures: the failed runs, the last one first.
        remaining: elapsed seconds to the end of all at the present number of trainings side by side, measuring
            included; None where nothing trains, or nothing is known of what is to come.
    """

    scale: str
    at: float
    states: dict[Run, str]
    users: dict[str, tuple[Run, ...]]
    beats: dict[Run, Beat]
    failures: tuple[Failure, ...]
    remaining: float | None

    def counts(self, user: str | None = None) -> Counter[str]:
        """How many runs of a table or figure (or of all) are in which state."""
        return Counter(self.states[run] for run in (self.states if user is None else self.users[user]))

    @property
    def running_ends(self) -> float | None:
        """Elapsed seconds until the last of what trains now has ended; None where that is not known."""
        return max((left for beat in self.beats.values() if (left := beat.remaining()) is not None), default=None)

    @property
    def over(self) -> bool:
        """Whether nothing is left to run: every run is measured or has failed."""
        return all(state in ("done", "failed") for state in self.states.values())


class Watch:
    """Looks at the runs of a study again and again; what was measured is read once, and then only looked at."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.users = {name: study.with_needed(study.runs(name)) for name in study.started_artifacts()}
        self.runs = tuple(dict.fromkeys(run for runs in self.users.values() for run in runs))
        self._costs = Costs(study)
        self._done: dict[Run, tuple[int, int]] = {}  # date and size of the measurements that were read

    def look(self) -> Snapshot:
        """The state of everything now."""
        now = time.time()
        starved = starved_jobs(self.study.root, self.study.scale.name)
        states, beats, failures = {}, {}, []
        for run in self.runs:
            states[run], beat, failure = self._look_at(run, now)
            if states[run] not in ("done", "running", "failed") and (why := starved_reason(starved, run, states[run])):
                states[run], failure = "failed", Failure(run, why, now)
            if beat is not None:
                beats[run] = beat
            if failure is not None:
                failures.append(failure)
        failures.sort(key=lambda failure: -failure.at)
        remaining = self._remaining(states, beats)
        return Snapshot(self.study.scale.name, now, states, self.users, beats, tuple(failures), remaining)

    def _look_at(self, run: Run, now: float) -> tuple[str, Beat | None, Failure | None]:
        """State of a run, its beat if it trains, its failure if it failed."""
        measured = self.study.metrics_path(run.recipe, run.seed)
        there = _date_and_size(measured)
        if there is not None and self._done.get(run) == there:
            return "done", None, None
        try:
            state = self.study.state(run.recipe, run.seed)
        except UserError as error:  # damaged measurements: the others are still worth a look
            return "failed", None, Failure(run, str(error), _date(measured))
        if state == "done" and there is not None:
            self._done[run] = there
        if state == "failed":
            return state, None, _failure(self.study, run)
        if state in ("training", "stale", "missing"):  # before its first checkpoint a training is one of these
            beat = read_heartbeat(self.study.work_dir(run.recipe, run.seed), self.study.fingerprint(run.recipe))
            if beat is not None and beat.alive(now):
                return "running", beat, None
        return ("stopped" if state == "training" else state), None, None

    def _remaining(self, states: dict[Run, str], beats: dict[Run, Beat]) -> float | None:
        if not beats:
            return None
        total = 0.0
        for run, state in states.items():
            if state in ("done", "failed"):
                continue
            plan = self._costs.of(run, state)
            left = beats[run].remaining() if run in beats else None
            if left is None:
                left = plan.training.seconds / max(1, plan.gpus) if plan.to_train else 0.0
                if plan.to_train and not left:
                    return None
            total += left + plan.evaluation
        return max(total / len(beats), max((beat.remaining() or 0.0) for beat in beats.values()))


def _failure(study: Study, run: Run) -> Failure:
    folder = study.work_dir(run.recipe, run.seed)
    return Failure(run, why_failed(folder, run, study.scale.name), _date(folder / FAILED))


def _date_and_size(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _date(path: Path) -> float:
    found = _date_and_size(path)
    return found[0] / 1e9 if found else 0.0
