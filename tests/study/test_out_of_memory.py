"""Jobs that Slurm ended for want of memory: the reason in place of "not run", and more memory the next time."""

from __future__ import annotations

import os

import pytest
from toys_study import leave

from fasa import atomic
from fasa.reporting.cells import measure_table
from fasa.study import Run, load_study
from fasa.study.out_of_memory import memory_to_ask, starved_jobs
from fasa.study.status import Watch

HEAD = (
    "  Command: snakemake --target-jobs {step}:recipe=ce,seed={seed} --config scale={scale} device=cpu --mode remote\n"
)
MEMORY = "Job 0: train ce seed 0 with {mb} MB\n"
# Of Slurm 22.05 itself, of its cgroups, and of those of 20.11.
BY_SLURM = "slurmstepd-n1: error: StepId=1.0 exceeded memory limit (246071296 > 209715200), being killed\n"
BY_KERNEL = "slurmstepd: error: Detected 1 oom_kill event in StepId=1.0. Some of the step tasks have been OOM Killed.\n"
BEFORE = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.0. Some of your processes may have been killed.\n"
OUT_OF_TIME = "slurmstepd: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-29T22:31:50 DUE TO TIME LIMIT ***\n"


@pytest.fixture
def ended(study):
    """``ended(said, …)``: the log of another job of the run ``ce``, seed 0."""
    jobs = []

    def write(said, mb=200, step="train", seed=0, scale=study.scale.name, array=False):
        jobs.append(said)
        folder = study.root / f"logs/slurm/rule_{step}" / ("" if array else f"ce_{seed}")
        path = folder / (f"7_{len(jobs)}.log" if array else f"{len(jobs)}.log")
        head = HEAD.format(step=step, seed=seed, scale=scale)
        atomic.write_text(path, head + (MEMORY.format(mb=mb) if mb else "") + said)
        os.utime(path, (len(jobs), len(jobs)))

    return write


def reason(study, seed=0):
    return load_study(study.root, study.scale.name).missing_reason("ce", seed)


@pytest.mark.parametrize("said", [BY_SLURM, BY_KERNEL, BEFORE])
def test_the_reason_stands_where_not_run_stood(study, ended, said):
    assert reason(study) == "not run"
    ended(said, mb=8000)
    assert reason(study) == "out of memory with 8,000 MB: Slurm ended its job"
    assert reason(study, seed=1) == "not run"
    cells = measure_table(study, study.tables["cifar_lt"]).cells
    assert "seed 0: out of memory with 8,000 MB" in cells["ce", "accuracy.last"].missing


def test_status_tells_it_as_a_failure(study, ended):
    ended(BY_SLURM)
    seen = Watch(study).look()
    assert seen.states[Run("ce", 0)] == "failed" and seen.states[Run("ce", 1)] == "missing"
    assert [failure.message for failure in seen.failures] == ["out of memory with 200 MB: Slurm ended its job"]


def test_a_later_job_that_ended_otherwise_has_the_last_word(study, ended):
    ended(BY_SLURM)
    ended(OUT_OF_TIME)
    assert reason(study) == "not run"


def test_what_it_had_is_left_out_where_it_is_not_known(study, ended):
    ended(BY_KERNEL, mb=None, array=True)
    assert reason(study) == "out of memory: Slurm ended its job"


def test_measuring_and_other_scales_are_told_apart(study, ended):
    ended(BY_SLURM, step="evaluate")
    ended(BY_SLURM, scale="paper")
    assert reason(study) == "not run"
    leave(study, "ce", 0, "cost.json", {})
    atomic.write_text(study.work_dir("ce", 0) / "model.pt", "")
    assert reason(study) == "out of memory with 200 MB: Slurm ended its job"


def test_each_job_that_starved_gives_the_next_as_much_again_and_a_timeout_gives_none(study, ended):
    def asked():
        return memory_to_ask(8000, starved_jobs(study.root, study.scale.name).get(("train", Run("ce", 0))))

    found = [asked()]
    for said in (BY_SLURM, OUT_OF_TIME, BY_KERNEL, BY_KERNEL, BY_KERNEL, BY_KERNEL):
        ended(said)
        found.append(asked())
    assert found == [8000, 16000, 16000, 24000, 32000, 32000, 32000]
