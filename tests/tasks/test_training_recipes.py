"""Recipes and scales: what is refused and how, and which change makes which runs stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from fasa.cli import main
from fasa.study import load_study

ALL_RECIPES = tuple(yaml.safe_load((Path(__file__).parents[2] / "configs/recipes/cifar100_lt.yaml").read_text()))


def fingerprints(root, scale="paper"):
    study = load_study(root, scale)
    return {name: study.fingerprint(name) for name in study.resolved}


# --------------------------------------------------------------------------------------------------- every recipe
@pytest.mark.parametrize("name", ALL_RECIPES)
def test_every_recipe_trains_at_smoke_scale(study_root, build, name):
    study = load_study(study_root, "smoke")
    training = build(study, name)
    before = training.classifier.head.class_weights().detach().clone()
    assert next(training.run()) == 0
    after = training.classifier.head.class_weights().detach()
    assert torch.isfinite(after).all()
    assert not torch.equal(after, before)


def test_two_drops_that_fall_on_one_epoch_are_both_taken(make_study):
    drops = make_study(epochs=0.015).recipe("tde").schedule.milestones  # 119 and 159 both become 2
    assert drops == {2: pytest.approx(1e-4)}
    assert make_study(epochs=0.2).recipe("tde").schedule.milestones == {24: 0.01, 32: 0.01}


def test_a_scale_shortens_every_epoch_number(make_study):
    study = make_study(epochs=0.1)
    assert study.recipe("ldam").schedule.epochs == 20
    assert study.recipe("ldam").loss.drw_epoch == 16
    assert study.recipe("ldam").schedule.milestones == {16: 0.01, 18: 0.01}
    assert study.recipe("ldam_m2m").augmenter.options["start_epoch"] == 16
    assert study.recipe("ldam_no_drw").loss.drw_epoch == 0
    assert study.recipe("ldam").schedule.batch_size == 16
    assert (study.recipe("ce_r34_chu").schedule.epoch_length, study.recipe("ce").schedule.epoch_length) == (3, None)


def test_a_recipe_takes_its_bases_values_and_replaces_augmenter_and_drops(make_study):
    study = make_study(
        {
            "slow": {"base": "ldam_fasa_static", "schedule": {"lr": 0.01, "milestones": {100: 0.5}}},
            "moved": {"base": "slow", "augmenter": {"name": "fasa", "options": {"momentum": 0.2}}},
        },
        epochs=1.0,
    )
    slow, moved, ldam = study.recipe("slow"), study.recipe("moved"), study.recipe("ldam")
    assert slow.schedule.milestones == moved.schedule.milestones == {100: 0.5}
    assert (slow.schedule.lr, slow.schedule.warmup, slow.loss) == (0.01, ldam.schedule.warmup, ldam.loss)
    assert slow.augmenter.options == {"adaptive": False, "draws_per_step": 5}
    assert moved.augmenter.options == {"momentum": 0.2}


# ------------------------------------------------------------------------------------------------------- refusals
def refused(root, monkeypatch, capsys, *arguments) -> str:
    """What the command says of a mistake: one line, exit code 2, nothing written."""
    before = sorted(root.rglob("*"))
    monkeypatch.chdir(root)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fasa: ")
    assert err.count("\n") == 1
    assert sorted(root.rglob("*")) == before
    return err


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"base": "ce", "shedule": {"lr": 1}}, "unknown key 'shedule'; closest: 'schedule'"),
        ({"base": "ce", "schedule": {"lrr": 1}}, "unknown key 'schedule.lrr'; closest: 'lr'"),
        ({"base": "cee"}, "names an unknown base 'cee'"),
        ({"base": "mine"}, "has itself among its bases"),
        ({"base": "ldam_m2m", "teacher": "socrates"}, "needs an unknown recipe 'socrates'"),
        ({"base": "ce", "start_from": "scratch"}, "needs an unknown recipe 'scratch'"),
        ({"base": "ce", "schedule": {"epochs": 0}}, "'schedule.epochs': input should be greater than 0"),
        ({"base": "ce", "head": "quadratic"}, "'head': input should be 'linear', 'cosine' or 'causal'"),
        ({"head": "linear"}, "'data': field required"),
        (["ce"], "must be a mapping"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(study_root, monkeypatch, capsys, recipe, message):
    (study_root / "configs/recipes/mine.yaml").write_text(yaml.safe_dump({"mine": recipe}))
    error = refused(study_root, monkeypatch, capsys, "train", "mine", "--scale", "smoke")
    assert re.search(rf"recipes/mine\.yaml: recipe 'mine'.*{message}", error), error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine: {base: ce\n", r"recipes/mine\.yaml is not valid YAML at line 2"),
        ("- ce\n", r"recipes/mine\.yaml must hold a mapping"),
        ("ce: {base: ldam}\n", r"recipes/mine\.yaml: recipe 'ce' stands in .*cifar100_lt\.yaml already"),
    ],
)
def test_a_mistake_in_a_recipe_file_is_named(study_root, monkeypatch, capsys, text, message):
    (study_root / "configs/recipes/mine.yaml").write_text(text)
    assert re.search(message, refused(study_root, monkeypatch, capsys, "plan", "--scale", "smoke"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 0.1}, "scales/smoke.yaml: unknown key 'classification.epoch'; closest: 'epochs'"),
        ({"seeds": []}, "scales/smoke.yaml: 'classification.seeds.default': must have at least 1 item"),
        ({"precision": "fp64"}, "scales/smoke.yaml: 'classification.precision'"),
        ({"schedule": {"bach": 3}}, "scales/smoke.yaml: unknown key 'classification.schedule.bach'"),
    ],
)
def test_a_mistake_in_a_scale_is_named(study_root, monkeypatch, capsys, change, message):
    path = study_root / "configs/scales/smoke.yaml"
    scale = yaml.safe_load(path.read_text())
    scale["classification"] |= change
    path.write_text(yaml.safe_dump(scale))
    assert re.search(message, refused(study_root, monkeypatch, capsys, "train", "ce", "--scale", "smoke"))


def test_unknown_names_on_the_command_line(study_root, monkeypatch, capsys):
    error = refused(study_root, monkeypatch, capsys, "train", "ldam_fassa", "--scale", "smoke")
    assert "there is no recipe 'ldam_fassa'; closest: 'ldam_fasa', 'ldam_fasa_s" in error
    error = refused(study_root, monkeypatch, capsys, "plan", "--scale", "huge")
    assert "there is no scale 'huge'; there are mini, mini_60, " in error


# --------------------------------------------------------------------------------------------------- fingerprints
@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("{specific: 0.3,", "{specific: 0.4,", {"ce_r34_chu"}),
        ("backbone: resnet34\n", "backbone: resnet34\n  loss: {prior: 1}\n", {"ce_r34", "ce_r34_chu", "ce_r34_fasa"}),
        ("lr: 0.2\n", "lr: 0.21\n", {"tde", "tde_fasa"}),
        ("adapt_on: metric", "adapt_on: loss", {"ldam_fasa_metric"}),
        (", steps: 10", ", steps: 11", {"ldam_m2m"}),
    ],
)
def test_one_change_makes_its_own_runs_stale_and_no_others(study_root, old, new, stale):
    path = study_root / "configs/recipes/cifar100_lt.yaml"
    before, text = fingerprints(study_root), path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    after = fingerprints(study_root)
    assert {name for name in before if after[name] != before[name]} == stale


def test_a_teacher_made_anew_makes_its_pupil_stale(study_root):
    """M2m names ce as its teacher and does not inherit this change: its own head and loss stay."""
    path, pupil = study_root / "configs/recipes/mine.yaml", {"base": "ldam_m2m", "teacher": "tutor"}
    path.write_text(yaml.safe_dump({"tutor": {"base": "ce"}, "pupil": pupil}))
    before, alone = fingerprints(study_root), load_study(study_root, "paper").recipe("pupil")
    path.write_text(yaml.safe_dump({"tutor": {"base": "ce", "loss": {"prior": 1}}, "pupil": pupil}))
    after = fingerprints(study_root)
    assert load_study(study_root, "paper").recipe("pupil") == alone
    assert {name for name in before if after[name] != before[name]} == {"tutor", "pupil"}


def test_comments_and_layout_change_nothing(study_root):
    path = study_root / "configs/recipes/cifar100_lt.yaml"
    before = fingerprints(study_root)
    path.write_text("# Another comment.\n" + yaml.safe_dump(yaml.safe_load(path.read_text()), sort_keys=True))
    config = study_root / "configs/mmdet/_base_/mask-rcnn_r101_fpn_lvis.py"
    config.write_text("# Another comment.\n\n" + config.read_text().replace(", ", ",\n    "))
    assert fingerprints(study_root) == before
    config.write_text(config.read_text().replace("depth=101", "depth=152"))
    after, recipes = fingerprints(study_root), load_study(study_root, "paper").recipes
    deep = {name for name in recipes if getattr(recipes[name], "config", "") == "mask-rcnn_r101_fpn_lvis"}
    assert deep and {name for name in before if after[name] != before[name]} == deep


def test_seeds_threads_and_checkpoints_do_not_matter_but_the_network_does(study_root):
    path = study_root / "configs/scales/smoke.yaml"
    scale, before = yaml.safe_load(path.read_text()), fingerprints(study_root, "smoke")
    part = scale["classification"]
    changed = {**part, "seeds": [5], "threads": 2, "checkpoint_seconds": 9}
    path.write_text(yaml.safe_dump({**scale, "description": "x", "classification": changed}))
    assert fingerprints(study_root, "smoke") == before
    part["backbones"]["resnet34"]["width"] = 16
    path.write_text(yaml.safe_dump(scale))
    after = fingerprints(study_root, "smoke")
    assert {name for name in before if after[name] != before[name]} == {"ce_r34", "ce_r34_chu", "ce_r34_fasa"}
    path.write_text(yaml.safe_dump({**scale, "classification": {**part, "precision": "bf16"}}))
    after, recipes = fingerprints(study_root, "smoke"), load_study(study_root, "smoke").recipes
    same = {name for name in before if after[name] == before[name]}
    assert same == {name for name in before if recipes[name].kind == "detector"}  # whose precision is MMDetection's


def test_needed_runs_come_first_and_of_the_same_seed(study_root):
    study = load_study(study_root, "smoke")
    order = study.with_needed(study.runs("cifar_lt"))
    assert len(set(order)) == len(order)
    for run in order:
        for needed in study.recipe(run.recipe).needs():
            assert order.index(type(run)(needed, run.seed)) < order.index(run)
