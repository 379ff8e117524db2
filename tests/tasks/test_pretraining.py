"""A small backbone's training on single glyphs: what it learns, what it leaves, and that a detector takes it."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.logging import MMLogger

from fasa.cli import main
from fasa.errors import UserError
from fasa.study import Run, Study, load_study
from fasa.tasks.detection.configs import build
from fasa.tasks.detection.pretraining import (
    _normalised,
    _varied,
    check_file,
    fingerprint,
    pretrain,
    trainable,
)
from fasa.tasks.detection.pretraining_settings import Pretraining

ROOT = Path(__file__).parents[2]

BACKBONE = {
    "type": "ResNet", "depth": 18, "base_channels": 8, "stem_channels": 8, "frozen_stages": 1, "norm_eval": True,
    "norm_cfg": {"type": "BN", "requires_grad": False},
}  # fmt: skip
MODEL = {"backbone": BACKBONE, "data_preprocessor": {"mean": [120.0] * 3, "std": [60.0] * 3, "bgr_to_rgb": True}}
SPEC = Pretraining(first_class=60, classes=3, per_class=16, epochs=12, sides=(32,), batch_size=8)


def test_it_learns_and_leaves_the_random_numbers_as_they_were(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    losses: list[float] = []
    accuracy = pretrain(MODEL, tmp_path / "a.pt", SPEC, "print", progress=lambda *step: losses.append(step[2]))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert accuracy > 0.5 and len(losses) == 12 * 6 and sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_the_same_weights_twice_and_a_backbone_starts_from_them(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        pretrain(MODEL, tmp_path / name, replace(SPEC, epochs=1), "print")
    check_file(tmp_path / "a.pt", MODEL, "print")
    first, second = (torch.load(tmp_path / name, weights_only=True)["state_dict"] for name in ("a.pt", "b.pt"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    backbone = MODELS.build({**BACKBONE, "init_cfg": {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pt")}})
    backbone.init_weights()
    loaded = backbone.state_dict()
    assert loaded.keys() == first.keys() and all(torch.equal(loaded[name], first[name]) for name in first)


def test_nothing_is_frozen_and_the_names_are_the_detectors() -> None:
    backbone = trainable(BACKBONE)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    backbone.train()
    assert backbone.bn1.training
    assert backbone.state_dict().keys() == MODELS.build(BACKBONE).state_dict().keys()


def test_how_each_tensor_was_initialised_is_not_listed(monkeypatch) -> None:
    logger = MMLogger.get_current_instance()
    logger.setLevel("INFO")
    said: list[logging.LogRecord] = []
    monkeypatch.setattr(logger, "handle", said.append)
    trainable(BACKBONE)
    assert not said


def test_channels_come_in_the_detectors_order() -> None:
    images = torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32).numpy()
    rgb = {"mean": [0.0, 1.0, 2.0], "std": [1.0, 1.0, 2.0], "bgr_to_rgb": True}
    assert _normalised(images, rgb)(torch.tensor([0])).abs().max() == 0
    bgr = {**rgb, "bgr_to_rgb": False}
    assert _normalised(images, bgr)(torch.tensor([0]))[0, :, 0, 0].tolist() == [2.0, 0.0, -1.0]


def test_pictures_are_moved_by_at_most_what_is_said() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 64, 64)
    still = Pretraining(60, 3, 16, 1, sides=(64,), batch_size=8, shift=0, stretch=0)
    torch.testing.assert_close(_varied(pictures, still), pictures, rtol=1e-4, atol=1e-4)
    assert _varied(pictures, Pretraining(60, 3, 16, 1, sides=(24,), batch_size=8, shift=0.2, stretch=0.2)).shape == (
        4,
        3,
        24,
        24,
    )


def test_missing_damaged_and_outdated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(UserError, match=r"x\.pt is missing"):
        check_file(path, MODEL, "print")
    path.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"x\.pt is damaged"):
        check_file(path, MODEL, "print")
    torch.save({"state_dict": {}, "fingerprint": "older"}, path)
    with pytest.raises(UserError, match="older settings"):
        check_file(path, MODEL, "print")


def test_a_file_that_leaves_weights_as_they_are_is_refused(tmp_path: Path) -> None:
    path, state = tmp_path / "x.pt", trainable(BACKBONE).state_dict()
    torch.save({"state_dict": state, "fingerprint": "print"}, path)
    check_file(path, MODEL, "print")
    lacking = {name: value for name, value in state.items() if name != "layer2.0.conv1.weight"}
    other_shape = {**state, "conv1.weight": torch.zeros(4, 3, 7, 7)}
    for wrong in (lacking, other_shape, {**state, "fc.weight": torch.zeros(3)}):
        torch.save({"state_dict": wrong, "fingerprint": "print"}, path)
        with pytest.raises(UserError, match="does not fit the backbone"):
            check_file(path, MODEL, "print")


def test_the_fingerprint_leaves_out_what_pretraining_has_of_its_own() -> None:
    print_ = fingerprint(MODEL, SPEC)
    assert fingerprint({**MODEL, "backbone": {**BACKBONE, "frozen_stages": 2, "init_cfg": None}}, SPEC) == print_
    assert fingerprint({**MODEL, "backbone": {**BACKBONE, "depth": 34}}, SPEC) != print_
    assert fingerprint(MODEL, replace(SPEC, lr=0.1)) != print_


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"epochs": 0}, "epochs is 0"), ({"batch_size": 99}, "batch_size is 99"), ({"sides": []}, "sides")],
)
def test_wrong_numbers_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Pretraining(**{"first_class": 60, "classes": 3, "per_class": 16, "epochs": 1, "batch_size": 8, **wrong})


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The scale smoke with backbones that start from a few glyphs."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    pretrain_on(tmp_path, epochs=1)
    monkeypatch.chdir(tmp_path)
    return load_study(Path("."), "smoke")


def pretrain_on(root: Path, **changes: int) -> None:
    """Change what the backbones of the scale smoke start from."""
    path = root / "configs/scales/smoke.yaml"
    content = yaml.safe_load(path.read_text())
    spec = {"first_class": 60, "classes": 4, "per_class": 8, "epochs": 1, "sides": [32], "batch_size": 8, **changes}
    content["detection"]["pretraining"] = spec
    path.write_text(yaml.safe_dump(content))


def fasa(*arguments: str) -> int:
    return main([*arguments, "--scale", "smoke"])


def test_an_unknown_setting_is_named(study: Study, capsys: pytest.CaptureFixture) -> None:
    pretrain_on(study.root, batch=8)
    assert fasa("pretrain", "mask_rcnn") == 2
    assert "smoke.yaml: unknown key 'detection.pretraining.batch'; closest: 'batch_size'" in capsys.readouterr().err


@pytest.mark.slow
def test_from_glyphs_to_a_detector(
    study: Study, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fasa("data", "mask_rcnn") == 0
    assert fasa("train", "mask_rcnn", "--seed", "0") == 2
    assert "fasa pretrain mask_rcnn --scale smoke" in capsys.readouterr().err

    assert fasa("pretrain", "mask_rcnn") == 0
    path = study.first_weights("mask_rcnn")
    made = path.stat().st_mtime_ns
    assert fasa("pretrain", "mask_rcnn") == 0
    assert path.stat().st_mtime_ns == made  # what is there is not made again
    assert fasa("train", "mask_rcnn", "--seed", "0") == 0
    weights = torch.load(study.work_dir("mask_rcnn", 0) / "model.pt", weights_only=True)["state_dict"]
    start = torch.load(path, weights_only=True)["state_dict"]
    # Two epochs at a low rate leave the filters near where they began.
    for name, value in start.items():
        if name.endswith("conv1.weight"):
            assert torch.corrcoef(torch.stack([value.flatten(), weights[f"backbone.{name}"].flatten()]))[0, 1] > 0.8

    (study.root / "configs/scales/same.yaml").write_text("base: smoke\n")  # other scales' of the same settings will do
    monkeypatch.setattr("fasa.tasks.detection.pretraining.pretrain", None)
    assert main(["pretrain", "mask_rcnn", "--scale", "same"]) == 0
    assert load_study(study.root, "same").first_weights("mask_rcnn").read_bytes() == path.read_bytes()

    pretrain_on(study.root, epochs=2)  # other settings: neither the run nor its start is of today's recipe
    assert fasa("train", "mask_rcnn", "--seed", "0") == 2
    assert "was trained by older settings. Make it with: fasa pretrain" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "blocks"), [("r101_24", "ResNet", 16), ("rfs_x101_24", "ResNeXt", 16)])
def test_every_weight_of_the_deeper_backbones_is_used(study: Study, name: str, kind: str, blocks: int) -> None:
    assert fasa("data", name) == 0
    assert fasa("pretrain", name) == 0
    detector = MODELS.build(build(study.job(Run(name, 0))).model)
    backbone = detector.backbone
    assert type(backbone).__name__ == kind
    assert sum(len(getattr(backbone, layer)) for layer in backbone.res_layers) == blocks
    detector.init_weights()
    start = torch.load(study.first_weights(name), weights_only=True)["state_dict"]
    assert start.keys() == backbone.state_dict().keys()
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, start[key]), key
