"""`fasa doctor` on a real Slurm without accounting."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def examined(fresh):
    """``examined(…, FASA_…=…)``: state by sentence of what `fasa doctor` says of Slurm in a clone."""

    def look(*arguments: str, **site: str) -> dict[str, str]:
        command = fresh.cluster.inside(
            sys.executable, "-m", "fasa", "doctor", *arguments, "--json", folder=fresh.folder
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FASA_")}
        settings = kept | {"PYTHONPATH": str(fresh.folder)} | site
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)
        (found,) = [s for s in json.loads(done.stdout)["sections"] if s["title"] == "Slurm"]
        # The nodes are this machine under other names, so what it says of its disk is beside the point.
        told = {finding["what"]: finding["state"] for finding in found["findings"]}
        return {what: state for what, state in told.items() if not what.startswith("This folder is on ")}

    return look


def test_the_cluster_is_told_as_it_is(examined):
    paper = ("--scale", "paper", "ablation")
    found = examined(*paper)
    assert found.pop("Partition main has 4 nodes with 8 GPUs, 40 CPUs and 180 GB, as the largest job asks.") == "ok"
    (lacking,) = [what for what, state in found.items() if state == "missing"]
    assert lacking.startswith("sacct does not tell of jobs (Slurm accounting storage is disabled)")
    mended = examined(*paper, FASA_STATUS_COMMAND="squeue")
    assert set(mended.values()) == {"ok"}
    cancels = examined(*paper, FASA_PARTITION="cancelled", FASA_STATUS_COMMAND="squeue")
    (warned,) = [what for what, state in cancels.items() if state == "warning"]
    assert warned == "Partition cancelled cancels what it pre-empts: Snakemake would wait forever for such a job."
    wrong = examined(*paper, FASA_PARTITION="gpu", FASA_STATUS_COMMAND="squeue")
    assert wrong["There is no partition gpu; there are cancelled, first, main."] == "missing"
