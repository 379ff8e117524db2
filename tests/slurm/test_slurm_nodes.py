"""What befalls nodes and memory of a cluster: afterwards its measurements and tables are byte for byte the undisturbed
ones, or a sentence says why there are none."""

from __future__ import annotations

import errno
import re
import signal

import pytest
from cluster_runs import RECIPE, SEEDS, Watch, metrics, wait_for
from fault_table import record

pytestmark = pytest.mark.slow
long = pytest.mark.skipif("not os.environ.get('FASA_LONG_TESTS')", reason="takes a minute; set FASA_LONG_TESTS=1")
WEIGHTS = [f"work_dirs/long/{RECIPE}/seed-{seed}/model.pt" for seed in SEEDS]
A_NODE = ("--set-resources", "train:gpu=8")  # each training fills a node
NO_LOCKS = f'''"""A file system without locks, such as Lustre with localflock."""
import fcntl

def flock(stream, operation):
    raise OSError({errno.ENOLCK}, "No locks available")

fcntl.flock = flock
'''


def jobs_by_seed(cluster) -> dict[int, str]:
    """The running trainings."""
    lines = cluster.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %k").splitlines()
    return {int(line.rsplit("_", 1)[1]): line.split()[0] for line in lines if f"rule_train_wildcards_{RECIPE}" in line}


def preempt(cluster, job: str) -> None:
    """Let a job of a better partition take the node of ``job``."""
    on = ("-w", cluster.node_of(job), "--gpus", "8", "--mem", "100")
    cluster.ask("sbatch", "-p", "first", *on, "-o", "/dev/null", "--wrap", "sleep 1")


def all_begun(clone, head) -> list[Watch]:
    watches = [Watch(clone, seed) for seed in SEEDS]
    wait_for(lambda: all([watch.begun() for watch in watches]) or head.process.poll() is not None, seconds=180)
    assert head.process.poll() is None, head.text[-3000:]
    return watches


def measured(clone) -> str:
    """Measure the trained runs, and draw their table."""
    clone.fasa("evaluate", RECIPE, "--seed", *map(str, SEEDS), "--scale", "long", "--device", "cpu")
    return table(clone)


def table(clone) -> str:
    clone.fasa("render", "cifar_lt", "--scale", "long")
    return clone.study("long").table_paths("cifar_lt")["md"].read_text()


def test_power_cut_node_out_of_reach_and_preemption_at_once(undisturbed, disturbed, judge):
    head = disturbed.snakemake(*WEIGHTS, *A_NODE, scale="long")
    watches, slurm = all_begun(disturbed, head), disturbed.cluster
    jobs = jobs_by_seed(slurm)
    cut, unreachable = slurm.node_of(jobs[0]), slurm.node_of(jobs[1])
    try:
        slurm.cut_power(cut)
        slurm.kill_daemon(unreachable)  # its job trains on, and is the only one that writes
        preempt(slurm, jobs[2])
        assert head.wait(watch=lambda: [watch() for watch in watches]) == 0, head.text[-4000:]
        assert measured(disturbed) == table(undisturbed)
    finally:
        slurm.cut_power(unreachable)
        for node in (cut, unreachable):
            slurm.switch_on(node)
    for seed, fault in enumerate(("power cut", "node out of reach, its job alive", "pre-emption by requeue")):
        judge(f"Slurm: {fault}", watches[seed], seed=seed)


@long
def test_a_drained_node_ends_its_job_and_an_array_is_trained_like_single_jobs(undisturbed, disturbed, judge):
    head = disturbed.snakemake(*WEIGHTS, *A_NODE, "--slurm-array-jobs", "train", scale="long")
    watches, slurm = all_begun(disturbed, head), disturbed.cluster
    (node,) = {slurm.node_of(job) for job in slurm.jobs() if job.endswith("_1")}
    slurm.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    assert head.wait(watch=lambda: [watch() for watch in watches]) == 0, head.text[-4000:]
    slurm.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert measured(disturbed) == table(undisturbed)
    for seed, fault in enumerate(("drained node", "array", "array")):
        judge(f"Slurm: {fault}", watches[seed], seed=seed)


@long
def test_preemption_that_cancels_is_mended_by_a_requeue(disturbed, judge):
    head = disturbed.snakemake(metrics(), *A_NODE, scale="long", FASA_PARTITION="cancelled")
    watch, slurm = Watch(disturbed), disturbed.cluster
    job = watch.until_begun(head)
    preempt(slurm, job)
    wait_for(lambda: job in slurm.jobs("PREEMPTED"))
    slurm.ask("scontrol", "requeue", job)
    wait_for(lambda: job in slurm.jobs("PENDING"))
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    judge("Slurm: pre-emption by cancellation, requeued", watch)


@long
def test_out_of_memory_is_told_and_a_job_gets_more_each_time(undisturbed, disturbed):
    configured = disturbed.folder / "configs/scales/long.yaml"
    configured.write_text(configured.read_text().replace("mem_mb: 1000", "mem_mb: 200"))
    head = disturbed.snakemake(metrics(), "--retries", "0", scale="long")
    assert head.wait() != 0
    assert "seed 0: out of memory with 200 MB: Slurm ended its job" in table(disturbed)
    head = disturbed.snakemake(metrics(), "--retries", "3", scale="long")
    assert head.wait(seconds=400) == 0, head.text[-4000:]
    had = [
        re.search(r"with (\d+) MB", path.read_text()) for path in disturbed.folder.glob("logs/slurm/rule_train/*/*.log")
    ]
    assert sorted(int(match[1]) for match in had if match)[:2] == [200, 400]
    ours, expected = (clone.measurements(clone.folder / metrics()) for clone in (disturbed, undisturbed))
    record("Slurm: out of memory", tried=2, recovered=int(ours == expected), refused=1, lost=int(ours != expected))
    assert ours == expected


@long
def test_fewer_gpus_than_asked(disturbed, judge):
    head = disturbed.snakemake(metrics(), "--set-resources", "train:gpu=4", scale="long")
    watch = Watch(disturbed)
    job = watch.until_begun(head)
    assert "gres:gpu:4" in disturbed.cluster.ask("scontrol", "show", "job", job)
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    judge("Slurm: fewer GPUs by --set-resources", watch)


@long
def test_ctrl_c_cancels_the_jobs_and_the_next_head_goes_on(disturbed, judge):
    head, watch = disturbed.snakemake(metrics(), scale="long"), Watch(disturbed)
    watch.until_begun(head)
    head.signal(signal.SIGINT)
    wait_for(lambda: not disturbed.cluster.jobs("RUNNING", "COMPLETING"))
    head = disturbed.snakemake(metrics(), scale="long")
    assert head.wait(watch=watch) == 0, head.text[-4000:]
    judge("Slurm: Ctrl-C of the head", watch)


@long
def test_without_file_locks_a_job_alive_on_a_lost_node_stays_the_only_writer(disturbed, judge):
    (disturbed.folder / "sitecustomize.py").write_text(NO_LOCKS)
    head, watch = disturbed.snakemake(metrics(), scale="long"), Watch(disturbed)
    slurm = disturbed.cluster
    node = slurm.node_of(watch.until_begun(head))
    try:
        slurm.kill_daemon(node)
        assert head.wait(seconds=400, watch=watch) == 0, head.text[-4000:]
    finally:
        slurm.cut_power(node)
        slurm.switch_on(node)
    judge("Slurm: node out of reach without file locks", watch)
