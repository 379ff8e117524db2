"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("mmdet")

from checkout import ROOT
from worked_examples import follow


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The copy after all files were written and all commands were run."""
    folder = tmp_path_factory.mktemp("contributing")
    printed = follow(ROOT / "CONTRIBUTING.md", folder)
    assert len("\n".join(printed).splitlines()) >= 12
    return folder


@pytest.mark.slow
def test_an_augmenter_joins_a_classifier_and_a_detector(followed):
    for recipe in ("ldam_class_means", "rfs_class_means"):
        assert (followed / f"work_dirs/smoke/{recipe}/seed-0/model.pt").exists()
    assert "Class means" in (followed / "results/smoke/tables/adaptation_unit.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "dataset"), [("stripes", "stripes_lt"), ("pixels", "digits_lt")])
def test_a_data_set_and_a_task_are_run_to_their_measurements(followed, scale, dataset):
    metrics = json.loads((followed / f"results/{scale}/runs/ce/seed-0/metrics.json").read_text())
    assert metrics["dataset"] == dataset
    assert 0 <= metrics["measurements"]["accuracy"]["last"] <= 1


@pytest.mark.slow
def test_a_task_without_a_network_reads_digits(followed):
    metrics = json.loads((followed / "results/pixels/runs/ce/seed-0/metrics.json").read_text())
    assert metrics["measurements"]["accuracy"]["last"] > 0.5  # of ten classes
