"""A small detector's backbone in the workflow: made once, before the runs that start from it."""

from __future__ import annotations

from pathlib import Path

import yaml
from test_plan import planned

RUNS = [f"work_dirs/smoke/{name}/seed-0/model.pt" for name in ("mask_rcnn", "mask_rcnn_fasa", "r101_24")]


def pretrained(checkout: Path) -> None:
    """Let the backbones of the scale smoke start from a few glyphs."""
    path = checkout / "configs/scales/smoke.yaml"
    content = yaml.safe_load(path.read_text())
    spec = {"first_class": 60, "classes": 4, "per_class": 8, "epochs": 1, "sides": [32], "batch_size": 8}
    content["detection"]["pretraining"] = spec
    path.write_text(yaml.safe_dump(content))


def test_each_backbone_is_made_once(checkout: Path, snakemake):
    pretrained(checkout)
    jobs = planned(snakemake(*RUNS, "-n", "-q", "rules").stdout)
    assert jobs["pretrain"] == 2 and jobs["train"] == 3 and jobs["prepare_detection"] == 1


def test_the_papers_backbones_are_fetched_once_each(checkout: Path, snakemake):
    runs = [f"work_dirs/paper/{name}/seed-0/model.pt" for name in ("mask_rcnn", "rfs", "r101_24", "rfs_x101_24")]
    jobs = planned(snakemake(*runs, "-n", "-q", "rules", scale="paper").stdout)
    assert jobs["fetch_weights"] == 3 and jobs["train"] == 4 and "pretrain" not in jobs
