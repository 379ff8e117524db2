"""A detector from its recipe to its measurements, by the command line, on generated scenes of a few pixels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fasa.cli import main
from fasa.experiments import Run, Study, load_study
from fasa.metrics import average_precision

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    root = tmp_path_factory.mktemp("smoke")
    (root / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:  # by the fixture: workers may share the tests of this file out
        patch.chdir(root)
        assert fasa("data", "mask_rcnn_fasa") == 0
        assert fasa("train", "mask_rcnn_fasa", "--seed", "0") == 0
    return load_study(root, "smoke")


@pytest.fixture(autouse=True)
def in_the_study(study, monkeypatch):
    monkeypatch.chdir(study.root)


def fasa(*arguments: str) -> int:
    return main([*arguments, "--scale", "smoke"])


def metrics(study: Study, recipe: str) -> dict:
    return json.loads(study.metrics_path(recipe, 0).read_text())


def test_data_train_evaluate(study):
    assert study.pack_path("mask_rcnn_fasa").exists()
    assert study.state("mask_rcnn_fasa", 0) in ("trained", "done")
    assert fasa("evaluate", "mask_rcnn_fasa", "--seed", "0") == 0
    assert study.state("mask_rcnn_fasa", 0) == "done"
    found = metrics(study, "mask_rcnn_fasa")
    assert found["fingerprint"] == study.fingerprint("mask_rcnn_fasa") and found["device_seconds"] > 0
    measured = found["measurements"]
    classes = len(found["class_names"])
    assert set(measured) >= {"lvis", "lvis_box", "fixed", "pool", "tide", "weight_norms", "class_probabilities"}
    assert len(measured["weight_norms"]) == classes + 1 and len(measured["class_probabilities"]) == classes
    epochs = study.recipe("mask_rcnn_fasa").schedule.epochs
    assert len(measured["sampling_trajectory"]["probabilities"]) == epochs
    detections = study.work_dir("mask_rcnn_fasa", 0) / "detections.npz"
    manifest = json.loads(study.pack_path("mask_rcnn_fasa").read_text())
    assert average_precision(manifest["val"]["annotations"], detections) == measured["lvis"]


def test_the_official_tools_agree(capsys):
    assert fasa("evaluate", "mask_rcnn_fasa", "--seed", "0", "--verify") == 0
    told = capsys.readouterr().out.splitlines()[-1].split()
    assert told[3] == told[5] and int(told[3]) > 30, told


def test_a_finished_training_is_not_trained_again(study):
    before = (study.work_dir("mask_rcnn_fasa", 0) / "model.pt").read_bytes()
    assert fasa("train", "mask_rcnn_fasa", "--seed", "0") == 0
    assert (study.work_dir("mask_rcnn_fasa", 0) / "model.pt").read_bytes() == before


def test_a_second_stage_needs_its_first(study, capsys):
    assert fasa("train", "bags_fasa", "--seed", "0") == 2
    assert "model.pt is missing or damaged" in capsys.readouterr().err
    assert study.state("bags_fasa", 0) == "failed"
    assert fasa("train", "mask_rcnn", "bags_fasa", "--seed", "0") == 0
    assert fasa("evaluate", "bags_fasa", "--seed", "0") == 0
    assert metrics(study, "bags_fasa")["measurements"]["lvis"]["AP"] is not None
    assert study.with_needed((Run("bags_fasa", 0),))[0] == Run("mask_rcnn", 0)


def test_a_checkpoint_of_another_recipe_is_refused(study, capsys):
    import torch

    assert fasa("train", "mask_rcnn", "--seed", "0") == 0
    folder = study.checkpoint_dir("mask_rcnn", 0)
    newest = Path((folder / "last_checkpoint").read_text())
    state = torch.load(newest, weights_only=False)
    state["fasa"]["fingerprint"] = "another"
    torch.save(state, newest)
    assert fasa("train", "mask_rcnn", "--seed", "0") == 2
    assert "another version of this recipe" in capsys.readouterr().err


def test_official_data_must_be_named(study, capsys):
    (study.root / "configs").exists()
    assert main(["data", "mask_rcnn", "--scale", "paper"]) == 2
    assert "--source FOLDER" in capsys.readouterr().err
