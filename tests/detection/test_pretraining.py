"""A small backbone's training on single glyphs: what it learns, what it leaves, and that a detector takes it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS

from fasa.detection.pretraining import Pretraining, _normalised, _varied, check_file, fingerprint, pretrain, trainable
from fasa.errors import UserError

BACKBONE = {
    "type": "ResNet", "depth": 18, "base_channels": 8, "stem_channels": 8, "frozen_stages": 1, "norm_eval": True,
    "norm_cfg": {"type": "BN", "requires_grad": False},
}  # fmt: skip
MODEL = {"backbone": BACKBONE, "data_preprocessor": {"mean": [120.0] * 3, "std": [60.0] * 3, "bgr_to_rgb": True}}
SPEC = Pretraining(first_class=60, classes=3, per_class=16, epochs=12, sides=(32,), batch=8)


def test_it_learns_and_leaves_the_random_numbers_as_they_were(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    losses: list[float] = []
    accuracy = pretrain(MODEL, tmp_path / "a.pt", SPEC, "print", progress=lambda *step: losses.append(step[2]))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert accuracy > 0.5 and len(losses) == 12 * 6 and sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_the_same_weights_twice_and_a_backbone_starts_from_them(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        pretrain(MODEL, tmp_path / name, replace(SPEC, epochs=1), "print")
    check_file(tmp_path / "a.pt", "print")
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


def test_channels_come_in_the_detectors_order() -> None:
    images = torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32).numpy()
    rgb = {"mean": [0.0, 1.0, 2.0], "std": [1.0, 1.0, 2.0], "bgr_to_rgb": True}
    assert _normalised(images, rgb)(torch.tensor([0])).abs().max() == 0
    bgr = {**rgb, "bgr_to_rgb": False}
    assert _normalised(images, bgr)(torch.tensor([0]))[0, :, 0, 0].tolist() == [2.0, 0.0, -1.0]


def test_pictures_are_moved_by_at_most_what_is_said() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 64, 64)
    still = Pretraining(60, 3, 16, 1, sides=(64,), batch=8, shift=0, stretch=0)
    torch.testing.assert_close(_varied(pictures, still), pictures, rtol=1e-4, atol=1e-4)
    assert _varied(pictures, Pretraining(60, 3, 16, 1, sides=(24,), batch=8, shift=0.2, stretch=0.2)).shape == (
        4,
        3,
        24,
        24,
    )


def test_missing_damaged_and_outdated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(UserError, match=r"x\.pt is missing or damaged"):
        check_file(path, "print")
    path.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"x\.pt is missing or damaged"):
        check_file(path, "print")
    torch.save({"state_dict": {}, "fingerprint": "older"}, path)
    with pytest.raises(UserError, match="older settings"):
        check_file(path, "print")


def test_the_fingerprint_leaves_out_what_pretraining_has_of_its_own() -> None:
    print_ = fingerprint(MODEL, SPEC)
    assert fingerprint({**MODEL, "backbone": {**BACKBONE, "frozen_stages": 2, "init_cfg": None}}, SPEC) == print_
    assert fingerprint({**MODEL, "backbone": {**BACKBONE, "depth": 34}}, SPEC) != print_
    assert fingerprint(MODEL, replace(SPEC, rate=0.1)) != print_


@pytest.mark.parametrize(
    ("wrong", "message"), [({"epochs": 0}, "epochs is 0"), ({"batch": 99}, "batch is 99"), ({"sides": []}, "sides")]
)
def test_wrong_numbers_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Pretraining(**{"first_class": 60, "classes": 3, "per_class": 16, "epochs": 1, "batch": 8, **wrong})
