"""One cluster for all tests of a process, and clones of the working tree to run the workflow in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import small_cluster
import yaml
from cluster_runs import RECIPE, SEEDS, Watch, metrics
from fault_table import record

from fasa.study import Study, load_study

ROOT = Path(__file__).parents[2]
NODES = 4  # a job that fills a node, with three faults at a time
COST = ("device_seconds", "cost")
LONG = {"epochs": 0.3, "epoch_length": 4}  # of their scale: 60 epochs, enough for a fault in the middle
PATIENCE = "PATIENCE = 60.0", "PATIENCE = 15.0"  # with a predecessor that is leaving: Slurm kills one after 10 seconds
# For a cluster without accounting, and for tests that should not wait.
IMPATIENT = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")


@pytest.fixture(scope="session")
def cluster() -> Iterator[small_cluster.Cluster]:
    """A Slurm of :data:`NODES` nodes with eight pretended GPUs each."""
    if reason := small_cluster.reason_against():
        pytest.skip(reason)
    with small_cluster.small_cluster(NODES) as running:
        yield running


def clone(folder: Path) -> Path:
    """The working tree as git would clone it, changes that are not committed included, in ``folder``.

    With the evaluator's extension that was compiled of it.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)  # compiled code is known by the source's time
    for compiled in (ROOT / "fasa").rglob("*.so"):
        shutil.copy2(compiled, folder / compiled.relative_to(ROOT))
    return folder


def environment(folder: Path, **site: str) -> dict[str, str]:
    """What a command in a clone is run with: its own package, one thread, how jobs are watched, settings of a site."""
    ours = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "FASA_STATUS_COMMAND": "squeue"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FASA_")}
    return kept | ours | site


@dataclass
class Head:
    """A `snakemake --profile slurm` in a clone: it sends jobs to the cluster and waits for them."""

    process: subprocess.Popen[str]
    output: Path

    def wait(self, seconds: float = 240, watch: Callable[[], Any] = lambda: None) -> int:
        """Its exit code; ``watch`` is called a few times a second until there is one."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            watch()
            assert time.monotonic() < until, self.text[-4000:]
            time.sleep(0.2)
        return self.process.returncode

    @property
    def text(self) -> str:
        """What it has said."""
        return self.output.read_text(errors="replace")

    def signal(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it, and not to the jobs that it has sent off; wait for its end."""
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(child), number)
        self.process.wait()


@dataclass
class Clone:
    """A clone of the working tree from which jobs go to the cluster."""

    folder: Path
    cluster: small_cluster.Cluster

    def snakemake(self, *arguments: str, scale: str, **site: str) -> Head:
        """Start the workflow by its cluster profile."""
        command = [sys.executable, "-m", "snakemake", *arguments, "--profile", "slurm", *IMPATIENT]
        command += ["--config", f"scale={scale}", "device=cpu"]  # Slurm's GPUs are files here
        output = self.folder / f"head-{time.monotonic_ns()}.txt"
        with output.open("w") as stream:
            started = subprocess.Popen(
                self.cluster.inside(*command, folder=self.folder),
                env=environment(self.folder, **site),
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return Head(started, output)

    def fasa(self, *arguments: str) -> None:
        """One command of the package, outside the cluster."""
        command = [sys.executable, "-m", "fasa", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment(self.folder), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def copy(self, folder: Path) -> Clone:
        """Another such clone in ``folder``, its data included, in which nothing was run."""
        made = {str(self.folder / name) for name in ("work_dirs", "results", "figures", "logs", ".snakemake")}
        shutil.copytree(self.folder, folder, ignore=lambda of, names: [n for n in names if f"{of}/{n}" in made])
        return Clone(folder, self.cluster)

    def study(self, scale: str) -> Study:
        """What its configs say."""
        return load_study(self.folder, scale)

    @staticmethod
    def measurements(metrics: Path) -> str:
        """A metrics.json less what it cost, which no two trainings share."""
        content = json.loads(metrics.read_text())
        content["measurements"] = {name: value for name, value in content["measurements"].items() if name not in COST}
        return json.dumps({name: value for name, value in content.items() if name not in (*COST, "sha256")}, indent=1)


@pytest.fixture
def fresh(tmp_path: Path, cluster: small_cluster.Cluster) -> Clone:
    """A clone with nothing made in it."""
    return Clone(clone(tmp_path / "clone"), cluster)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cluster: small_cluster.Cluster) -> Clone:
    """A clone with the scale ``long`` (smoke's, but of more epochs), its data, and its runs that nothing disturbed."""
    made = Clone(clone(tmp_path_factory.mktemp("undisturbed") / "clone"), cluster)
    smoke = yaml.safe_load((ROOT / "configs/scales/smoke.yaml").read_text())
    asked = {**LONG, "seeds": [*SEEDS], "resources": {"gpu": 1, "mem_mb": 1000, "runtime": 5}}
    scale = {"description": "Long.", "classification": {**smoke["classification"], **asked}}
    (made.folder / "configs/scales/long.yaml").write_text(yaml.safe_dump(scale))
    lease = made.folder / "fasa/tasks/lease.py"
    assert PATIENCE[0] in lease.read_text()
    lease.write_text(lease.read_text().replace(*PATIENCE))
    made.fasa("data", RECIPE, "--scale", "long")
    for step in ("train", "evaluate"):
        made.fasa(step, RECIPE, "--seed", *map(str, SEEDS), "--scale", "long", "--device", "cpu")
    return made


@pytest.fixture
def disturbed(tmp_path: Path, undisturbed: Clone) -> Clone:
    """Another such clone, where the runs are still to be trained; a failed test's jobs go with it."""
    return undisturbed.copy(tmp_path / "clone")


@pytest.fixture
def judge(undisturbed: Clone, disturbed: Clone) -> Callable[..., None]:
    """``judge(fault, watch)``: the run of a seed went on where it was, and measured what the undisturbed one did."""

    def compare(fault: str, watch: Watch, refused: int = 0, seed: int = 0) -> None:
        ours, expected = (clone.measurements(clone.folder / metrics(seed)) for clone in (disturbed, undisturbed))
        equal = ours == expected
        record(fault, tried=1 + refused, recovered=int(equal), refused=refused, lost=int(not equal))
        assert equal
        assert watch.never_went_back(), watch.seen

    return compare
