"""What befalls a training on a cluster: afterwards its measurements are byte for byte the undisturbed ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from fault_table import record

pytestmark = pytest.mark.slow
RECIPE = "ldam_fasa"
METRICS = f"results/long/runs/{RECIPE}/seed-0/metrics.json"
ONCE = ("--retries", "0", "--no-hooks")  # of a head that is to fail, and then to render nothing
REFUSED = re.compile(r"is being trained by process \d+ on \S+, Slurm job \d+, since \S+; wait for it or stop it\.")


class Watch:
    """The newest checkpoint of a clone's run, over time."""

    def __init__(self, clone) -> None:
        self.clone = clone
        self.folder = clone.study("long").checkpoint_dir(RECIPE, 0)
        self.seen: list[str] = []

    def __call__(self) -> str:
        newest = max((path.name for path in self.folder.glob("epoch-*.pt")), default="")
        if not self.seen or self.seen[-1] != newest:
            self.seen.append(newest)
        return newest

    def until_begun(self, head) -> str:
        """The number of the job that trains, as soon as it has written checkpoints."""
        wait_for(lambda: len(self.seen) > 3 or self() is None or head.process.poll() is not None)
        assert head.process.poll() is None, head.text[-3000:]
        (job,) = self.clone.cluster.jobs()
        return job

    def never_went_back(self) -> bool:
        """Whether no checkpoint was followed by an earlier one: nothing was trained twice."""
        return len(self.seen) > 3 and self.seen == sorted(self.seen)


def wait_for(condition: Callable[[], Any], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def start(clone, *arguments: str):
    head = clone.snakemake(METRICS, *arguments, scale="long")
    watch = Watch(clone)
    return head, watch, watch.until_begun(head)


def trainer(clone, signal: str) -> None:
    """Send a signal to the process that trains (not to the ones that started it)."""
    pattern = f"^[^ ]*python[^ ]* -m fasa train {RECIPE} "
    clone.cluster.ask("pkill", f"-{signal}", "-f", pattern)


@pytest.fixture
def judge(undisturbed, disturbed):
    """``judge(fault, watch)``: the run went on where it was, and measured what the undisturbed one did."""

    def compare(fault: str, watch: Watch, refused: int = 0) -> None:
        ours, expected = (clone.measurements(clone.folder / METRICS) for clone in (disturbed, undisturbed))
        equal = ours == expected
        record(fault, tried=1 + refused, recovered=int(equal), refused=refused, lost=int(not equal))
        assert equal
        assert watch.never_went_back(), watch.seen

    return compare


def test_a_job_out_of_time_is_sent_again_and_goes_on(disturbed, judge):
    head, watch, job = start(disturbed)
    disturbed.cluster.ask("scontrol", "update", f"JobId={job}", "EndTime=now")
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    assert "TIMEOUT" in head.text
    judge("Slurm: job out of time", watch)


def test_a_requeued_job_goes_on(disturbed, judge):
    head, watch, job = start(disturbed)
    slurm = disturbed.cluster
    slurm.ask("scontrol", "requeue", job)
    wait_for(lambda: job in slurm.jobs("PENDING"))
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # two minutes later, otherwise
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    judge("Slurm: job requeued", watch)


def test_a_job_of_a_node_that_went_down_goes_on(disturbed, judge):
    head, watch, job = start(disturbed)
    slurm = disturbed.cluster
    (node,) = slurm.ask("sinfo", "-h", "-p", "main", "-o", "%N").split()
    slurm.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    # What ran on it dies with a node that is really gone; Slurm itself leaves it be, and would drain the node for it.
    ended = ("slurmstepd", "-f '[m] snakemake --snakefile'", f"-f '[m] fasa train {RECIPE}'")
    slurm.ask("sh", "-c", "; ".join(f"pkill -KILL {pattern}" for pattern in ended) + "; true")
    slurm.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    if job in slurm.jobs("PENDING"):
        slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    judge("Slurm: node set down", watch)


def test_after_a_killed_head_no_second_process_writes_and_nothing_is_lost(disturbed, judge):
    head, watch, job = start(disturbed)
    head.kill()
    assert disturbed.cluster.jobs() == [job]

    trainer(disturbed, "STOP")  # alive until the second head has met it
    locked = disturbed.snakemake(METRICS, scale="long")
    assert locked.wait() != 0 and "Directory cannot be locked" in locked.text
    assert disturbed.snakemake("--unlock", scale="long").wait() == 0
    second = disturbed.snakemake(METRICS, *ONCE, scale="long")
    assert second.wait(watch=watch) != 0
    assert REFUSED.search(second.text), second.text[-4000:]
    assert disturbed.cluster.jobs() == [job]

    trainer(disturbed, "CONT")
    wait_for(lambda: watch() is None or not disturbed.cluster.jobs())
    third = disturbed.snakemake(METRICS, scale="long")
    assert third.wait(watch=watch) == 0, third.text[-4000:]
    judge("Slurm: head killed, a second one started", watch, refused=2)


def test_of_two_heads_at_once_the_second_is_refused(disturbed, judge, tmp_path):
    head, watch, _ = start(disturbed)
    second = disturbed.snakemake(METRICS, scale="long")
    assert second.wait() != 0 and "Directory cannot be locked" in second.text

    # From another clone that shares work_dirs/, Snakemake's lock is no help: the lease is.
    trainer(disturbed, "STOP")
    other = disturbed.copy(tmp_path / "other")
    (other.folder / "work_dirs").symlink_to(disturbed.folder / "work_dirs")
    third = other.snakemake(METRICS, *ONCE, scale="long")
    assert third.wait() != 0 and REFUSED.search(third.text), third.text[-4000:]
    trainer(disturbed, "CONT")
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    judge("Slurm: two heads at once, in one clone and in two", watch, refused=2)
