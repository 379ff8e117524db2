"""A backbone that starts from a published file: fetched, checked by its name, and refused where it is wrong."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import pytest
import torch
import yaml

pytest.importorskip("mmdet")

from mmdet.registry import MODELS

from fasa.cli import main
from fasa.errors import UserError
from fasa.study import Run, Study, load_study
from fasa.tasks.detection.config_files import config_files
from fasa.tasks.detection.configs import layered
from fasa.tasks.detection.published_weights import check, provide

ROOT = Path(__file__).parents[2]
RUN = Run("mask_rcnn", 0)


def files_of(study: Study) -> list[Path]:
    return config_files(study.root, study.recipes[RUN.recipe], study.scale.detection)


def study_of(root: Path, mirror: Path, content: dict) -> Study:
    """The scale smoke, whose R50 starts from ``content``, saved in the folder ``mirror``."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    name = f"resnet-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    mirror.mkdir(exist_ok=True)
    (mirror / name).write_bytes(buffer.getvalue())
    shutil.copytree(ROOT / "configs", root / "configs", dirs_exist_ok=True)
    path = root / "configs/scales/smoke.yaml"
    scale = yaml.safe_load(path.read_text())
    scale["detection"]["weights"] = {"r50": [f"file:///nowhere/{name}"]}
    path.write_text(yaml.safe_dump(scale))
    return load_study(root, "smoke")


@pytest.fixture
def classifier() -> dict:
    """What a classifier's file holds: the backbone's weights, a last layer, and no counters of batches."""
    study = load_study(ROOT, "smoke")
    model = layered(files_of(study)).model
    backbone = MODELS.build({**model["backbone"], "init_cfg": None})
    state = {key: value + 0.5 for key, value in backbone.state_dict().items() if not key.endswith("tracked")}
    return state | {"fc.weight": torch.zeros(1000, 8), "fc.bias": torch.zeros(1000)}


def test_it_is_fetched_once_and_the_backbone_takes_all_of_it(tmp_path, monkeypatch, classifier, capsys):
    study = study_of(tmp_path, tmp_path / "mirror", classifier)
    monkeypatch.setenv("FASA_MIRROR", (tmp_path / "mirror").as_uri())
    with pytest.raises(UserError, match=r"missing; fetch it with: fasa pretrain mask_rcnn --scale smoke"):
        check(study.job(RUN))
    monkeypatch.chdir(tmp_path)
    assert main(["pretrain", "mask_rcnn", "--scale", "smoke"]) == 0
    path = study.first_weights("mask_rcnn")
    assert path.parent == tmp_path / "resources/weights" and Path(capsys.readouterr().out.strip()).name == path.name
    shutil.rmtree(tmp_path / "mirror")
    provide(study.job(RUN))
    model = layered(files_of(study)).model
    backbone = MODELS.build({**model["backbone"], "init_cfg": {"type": "Pretrained", "checkpoint": str(path)}})
    backbone.init_weights()
    own = backbone.state_dict()
    assert all(torch.equal(own[key], value) for key, value in classifier.items() if not key.startswith("fc."))


def test_another_byte_is_refused_and_fetched_anew(tmp_path, monkeypatch, classifier):
    study = study_of(tmp_path, tmp_path / "mirror", classifier)
    monkeypatch.setenv("FASA_MIRROR", (tmp_path / "mirror").as_uri())
    path = provide(study.job(RUN))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="has another SHA-256 than its name says"):
        check(study.job(RUN))
    assert provide(study.job(RUN)).read_bytes() == whole


@pytest.mark.parametrize("change", ["lacks one", "another shape"])
def test_what_does_not_fit_the_backbone_is_refused(change, tmp_path, monkeypatch, classifier):
    if change == "lacks one":
        del classifier["conv1.weight"]
    else:
        classifier["conv1.weight"] = classifier["conv1.weight"][1:]
    study = study_of(tmp_path, tmp_path / "mirror", classifier)
    monkeypatch.setenv("FASA_MIRROR", (tmp_path / "mirror").as_uri())
    with pytest.raises(UserError, match=r"does not fit the backbone \(conv1.weight"):
        provide(study.job(RUN))


def test_a_name_without_digits_is_refused(tmp_path, classifier):
    study = study_of(tmp_path, tmp_path / "mirror", classifier)
    study.scale.detection.weights["r50"] = ("https://example.org/resnet50.pth",)
    with pytest.raises(UserError, match="does not end in the first digits of its SHA-256"):
        provide(study.job(RUN))


def test_the_papers_scale_names_a_file_for_every_backbone():
    """MMDetection's own addresses need torchvision, and trust what they get."""
    study = load_study(ROOT, "paper")
    found = {study.first_weights(name).name for name, recipe in study.resolved.items() if recipe.kind == "detector"}
    assert found == {"resnet50-0676ba61.pth", "resnet101-63fe2227.pth", "resnext101_32x8d-1516f1aa.pth"}
