"""A study of one's own: a folder whose configs/ hold only what they add to those that fasa ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fasa.cli import main
from fasa.config_folders import config_folders, shipped
from fasa.errors import UserError
from fasa.study import load_study
from fasa.tasks.detection.config_files import config_files

ROOT = Path(__file__).parents[2]
TABLE = """\
title: Mine
published_as: not in the paper
dataset: digits
caption: Mine beside LDAM.
columns: [{key: accuracy.last, label: Top-1}]
rows:
  - {id: ldam, label: LDAM, recipe: ldam}
  - {id: mine, label: Mine, recipe: mine, baseline: ldam}
"""
DETECTOR = "mmdet/_base_/mask-rcnn_mine_fpn_lvis.py"
FILES = {
    "recipes/mine.yaml": "mine: {base: ldam_fasa, augmenter: {name: fasa, options: {draws_per_step: 3}}}\n",
    "tables/mine.yaml": TABLE,
    "scales/short.yaml": "base: smoke\nclassification: {epochs: 0.01}\n",
    "figures.yaml": "mine_fig3:\n  {title: x, published_as: not in the paper, kind: weight_norms, caption: x,\n"
    "   series: [{label: Mine, recipe: mine}]}\n",
    DETECTOR: "_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'\n",
}


@pytest.fixture
def own(tmp_path):
    """A study of a recipe, a table, a scale and a figure beside the shipped ones."""
    for name, text in FILES.items():
        path = tmp_path / "own/configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "own"


def test_a_folder_without_configs_has_the_shipped_ones(tmp_path):
    assert config_folders(tmp_path) == (shipped(),)
    assert load_study(tmp_path).artifacts() == load_study(ROOT).artifacts()


def test_a_clone_is_whole(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    assert config_folders(tmp_path) == (tmp_path / "configs",)
    (tmp_path / "configs/tables/cifar_lt.yaml").unlink()
    with pytest.raises(UserError, match="'cifar_lt', which is no table"):
        load_study(tmp_path)


def test_what_it_adds_stands_beside_the_shipped(own):
    study, kept = load_study(own, "short"), load_study(ROOT, "smoke")
    assert {*study.recipes} - {*kept.recipes} == {"mine"}
    assert {*study.artifacts()} - {*kept.artifacts()} == {"mine", "mine_fig3"}
    assert study.recipe("mine").augmenter.options["draws_per_step"] == 3
    assert study.work_dir("mine", 0) == own / "work_dirs/short/mine/seed-0"
    assert load_study(own, "smoke").fingerprint("ldam") == kept.fingerprint("ldam")


def test_a_detector_may_have_a_config_of_its_own(own):
    (own / "configs/recipes/detector.yaml").write_text("mine_rfs: {base: rfs, config: mask-rcnn_mine_fpn_lvis}\n")
    study = load_study(own, "paper")
    assert config_files(own, study.recipes["mine_rfs"], study.scale.detection) == [own / "configs" / DETECTOR]
    (own / "configs" / DETECTOR).write_text("_base_ = 'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'\n")
    assert load_study(own, "paper").fingerprint("mine_rfs") != study.fingerprint("mine_rfs")
    assert load_study(own, "paper").fingerprint("rfs") == study.fingerprint("rfs")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("recipes/more.yaml", "ldam: {base: ce}\n", "recipes/more.yaml: recipe 'ldam' stands in .*cifar100_lt.yaml"),
        ("tables/cifar_lt.yaml", TABLE, "tables/cifar_lt.yaml has the name of a table that fasa ships; rename it"),
        ("scales/smoke.yaml", "base: mini\n", "scales/smoke.yaml has the name of one that fasa ships; rename it"),
        ("figures.yaml", "fig3:\n" + FILES["figures.yaml"].partition("\n")[2], "'fig3' has the name of one that fasa"),
        (
            "mmdet/_base_/mask-rcnn_r50_fpn_lvis.py",
            "",
            "_base_/mask-rcnn_r50_fpn_lvis.py has the name of one that fasa ships; rename it",
        ),
    ],
)
def test_a_name_in_both_is_refused(own, file, text, words):
    (own / "configs" / file).write_text(text)
    with pytest.raises(UserError, match=words):
        load_study(own, "smoke")


@pytest.mark.parametrize("line", ["-C own plan mine", "plan mine -C own --scale short", "plan -Cown mine"])
def test_the_option_stands_before_or_after_the_command(own, monkeypatch, capsys, line):
    monkeypatch.chdir(own.parent)
    assert main(line.split()) == 0
    assert "│ mine " in capsys.readouterr().out
    assert Path.cwd() == own.parent


@pytest.mark.slow
def test_an_own_table_is_trained_measured_and_printed_in_its_folder(own, monkeypatch, capsys):
    monkeypatch.chdir(own.parent)
    scale = ["--scale", "short", "-C", "own"]
    assert main(["data", "ldam", *scale]) == 0
    assert main(["train", "ldam", "mine", "--seed", "0", *scale]) == 0
    assert main(["evaluate", "ldam", "mine", "--seed", "0", *scale]) == 0
    assert main(["render", "mine", *scale]) == 0
    assert "Mine" in (own / "results/short/tables/mine.md").read_text()
    assert main(["render", "findings", *scale]) == 0
    assert "the claims that fasa ships name the cells" in (own / "results/short/findings.md").read_text()
    assert not (own.parent / "results").exists()
