"""A detector of two stages by the workflow: scenes, both trainings, measurements, and what makes it run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_plan import planned

pytestmark = pytest.mark.slow
METRICS = "results/smoke/runs/crt/seed-0/metrics.json"


def test_two_stages_from_nothing(checkout: Path, snakemake):
    snakemake(METRICS)
    found = json.loads((checkout / METRICS).read_text())
    assert found["recipe"] == "crt" and found["measurements"]["mask_ap"]["AP"] is not None
    assert (checkout / METRICS).with_name("examples.json").stat().st_size

    def again() -> dict[str, int]:
        return planned(snakemake(METRICS, "-n", "-q", "rules").stdout)

    assert again() == {}
    config = checkout / "configs/mmdet/scales/small.py"
    config.write_text("# A comment.\n" + config.read_text())
    assert again() == {}
    table = checkout / "configs/tables/state_of_the_art.yaml"
    row = "  - {id: crt_norcal, label: NorCal, recipe: crt, measure: norcal.tuned.*, control: true}\n"
    table.write_text((before := table.read_text()) + row)
    asked = again()  # a table that comes to ask for more has the run measured again, not trained
    assert asked["evaluate"] == 1 and "train" not in asked
    table.write_text(before)
    assert again() == {}
    recipes = checkout / "configs/recipes/lvis.yaml"
    recipes.write_text(recipes.read_text().replace("stage_two: true", "stage_two: true\n  loss: {name: eql}", 1))
    assert again()["train"] == 1  # the second stage alone: its first is another recipe
    config.write_text(config.read_text().replace("fc_out_channels=256", "fc_out_channels=128"))
    assert again()["train"] == 2
