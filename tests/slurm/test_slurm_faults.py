"""What befalls a training on a cluster: afterwards its measurements are byte for byte the undisturbed ones."""

from __future__ import annotations

import re

import pytest
from cluster_runs import RECIPE, Watch, metrics, wait_for

pytestmark = pytest.mark.slow
METRICS = metrics()
ONCE = ("--retries", "0", "--no-hooks")  # of a head that is to fail, and then to render nothing
REFUSED = re.compile(r"is being trained by process \d+ on \S+, Slurm job \d+, since \S+; wait for it or stop it\.")


def start(clone, *arguments: str):
    head = clone.snakemake(METRICS, *arguments, scale="long")
    watch = Watch(clone)
    return head, watch, watch.until_begun(head)


def trainer(clone, signal: str) -> None:
    """Send a signal to the process that trains (not to the ones that started it)."""
    pattern = f"^[^ ]*python[^ ]* -m fasa train {RECIPE} "
    clone.cluster.ask("pkill", f"-{signal}", "-f", pattern)


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


def test_after_a_killed_head_no_second_process_writes_and_nothing_is_lost(disturbed, judge):
    head, watch, job = start(disturbed)
    head.signal()
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
