"""A detector of two stages by the workflow: scenes, backbone, trainings, measurements; what makes it run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_plan import planned
from test_pretrain import pretrained

pytestmark = pytest.mark.slow
STAGE_ONE = "work_dirs/smoke/mask_rcnn/seed-0/model.pt"
METRICS = "results/smoke/runs/crt/seed-0/metrics.json"


def test_two_stages_from_nothing(checkout: Path, snakemake):
    pretrained(checkout)
    snakemake(METRICS)
    (backbone,) = (checkout / "resources/glyphs/backbones").glob("*.pt")
    found = json.loads((checkout / METRICS).read_text())
    assert found["recipe"] == "crt" and found["measurements"]["mask_ap"]["AP"] is not None
    assert (checkout / METRICS).with_name("examples.json").stat().st_size

    def again() -> dict[str, int]:
        return planned(snakemake(METRICS, "-n", "-q", "rules").stdout)

    assert again() == {}
    config = checkout / "configs/mmdet/scales/small.py"
    config.write_text("# A comment.\n" + (built := config.read_text()))
    assert again() == {}
    table = checkout / "configs/tables/state_of_the_art.yaml"
    row = "  - {id: crt_norcal, label: NorCal, recipe: crt, measure: norcal.tuned.*, control: true}\n"
    table.write_text((asking := table.read_text()) + row)
    asked = again()  # a table that comes to ask for more has the run measured again, not trained
    assert asked["evaluate"] == 1 and "train" not in asked
    table.write_text(asking)
    assert again() == {}
    recipes = checkout / "configs/recipes/lvis.yaml"
    recipes.write_text(
        (told := recipes.read_text()).replace("stage_two: true", "stage_two: true\n  loss: {name: eql}", 1)
    )
    assert again()["train"] == 1  # the second stage alone: its first is another recipe
    config.write_text(config.read_text().replace("fc_out_channels=256", "fc_out_channels=128"))
    assert again()["train"] == 2

    # A backbone is made once, whatever starts from it again.
    config.write_text(built)
    recipes.write_text(told)
    before = backbone.stat().st_mtime_ns
    (checkout / STAGE_ONE).unlink()
    jobs = planned(snakemake(STAGE_ONE, "-n", "-q", "rules").stdout)
    assert jobs["train"] == 1 and "pretrain" not in jobs
    snakemake(STAGE_ONE)
    assert backbone.stat().st_mtime_ns == before
