"""`snakemake --profile slurm` on a real Slurm: a detector of two stages, a cascade and a classifier, to the tables."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.slow
TRAINED = ("mask_rcnn", "crt", "cascade_rfs_r101_24", "ldam_fasa")  # crt starts from mask_rcnn
MEASURED = {"crt": "mask_ap", "cascade_rfs_r101_24": "mask_ap", "ldam_fasa": "accuracy"}


def test_two_stages_a_cascade_and_a_classifier_through_the_cluster(fresh):
    wanted = [f"results/smoke/runs/{recipe}/seed-0/metrics.json" for recipe in MEASURED]
    head = fresh.snakemake(*wanted, scale="smoke")
    assert head.wait(seconds=500) == 0, head.text[-4000:]
    for path, (recipe, kind) in zip(wanted, MEASURED.items(), strict=True):
        found = json.loads((fresh.folder / path).read_text())
        assert found["recipe"] == recipe and found["measurements"][kind]
    sent = re.findall(r"has been submitted with SLURM jobid (\d+)", head.text)
    assert len(set(sent)) == len(TRAINED) + len(MEASURED)  # data and tables are made where the head is
    fresh.fasa("render", "cifar_lt", "state_of_the_art", "--scale", "smoke")
    study = fresh.study("smoke")
    assert "LDAM-DRW + FASA" in study.table_paths("cifar_lt")["md"].read_text()
    assert study.table_paths("state_of_the_art")["md"].stat().st_size

    again = fresh.snakemake(*wanted, scale="smoke")
    assert again.wait() == 0 and "Nothing to be done" in again.text
