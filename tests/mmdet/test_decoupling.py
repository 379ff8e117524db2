"""The second stage: what is loaded, what is new, what is frozen, what learns, also under data parallelism."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from process_toys import by_ranks
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from toys_detection import COUNTS, batch, build, fasa_head, tiny_detector

import fasa.mmdet.decoupling
import fasa.mmdet.losses  # noqa: F401
from fasa.errors import UserError

CLASSIFIER = {"roi_head.bbox_head.fc_cls.weight", "roi_head.bbox_head.fc_cls.bias"}
BAGS = {"loss_cls": {"type": "BalancedGroupSoftmax", "instance_counts": COUNTS, "num_classes": len(COUNTS)}}


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """``save(cascade, **head)``: a first stage's checkpoint, all biases of the classifier 7."""

    def make(cascade: bool = False, **head: Any) -> Path:
        detector = build(tiny_detector(cascade, **head), seed=1)
        for name, parameter in detector.named_parameters():
            if "fc_cls.bias" in name:
                nn.init.constant_(parameter, 7)
        for module in detector.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.fill_(0.25)
        torch.save({"meta": {}, "state_dict": detector.state_dict()}, tmp_path / "stage_one.pth")
        return tmp_path / "stage_one.pth"

    return make


def second_stage(stage_one: Path | None, cascade: bool = False, **head: Any) -> nn.Module:
    """A detector in its second stage, ready to train."""
    loss = head.pop("loss_cls", None)
    config = tiny_detector(cascade, **head)
    if loss:  # in place of the stock loss and its options
        config.roi_head.bbox_head.loss_cls = loss
    config.type = "StageTwoCascadeRCNN" if cascade else "StageTwoMaskRCNN"
    config.stage_one = None if stage_one is None else str(stage_one)
    return build(config, seed=2)


def step(detector: nn.Module, optimiser: torch.optim.Optimizer, model: nn.Module | None = None) -> dict[str, Any]:
    """One step of SGD on two images; the losses."""
    data = batch(detector, 0, 3)
    losses = (model or detector)(data["batch_inputs"], data["batch_data_samples"], mode="loss")
    total = detector.parse_losses(losses)[0]
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    return losses


@pytest.mark.parametrize("head", [{}, BAGS], ids=["cRT", "BAGS"])
def test_all_but_the_classifier_is_loaded_and_frozen(save: Callable[..., Path], head: dict[str, Any]) -> None:
    stage_one = save()
    detector = second_stage(stage_one, **head)
    weights = torch.load(stage_one)["state_dict"]
    for name, value in detector.state_dict().items():
        if name in CLASSIFIER:
            continue
        assert torch.equal(value, weights[name]), name
    assert {name for name, parameter in detector.named_parameters() if parameter.requires_grad} == CLASSIFIER
    classifier = detector.roi_head.bbox_head.fc_cls
    assert not classifier.bias.any()
    assert 0.005 < classifier.weight.std() < 0.02
    assert classifier.out_features == (6 if not head else 6 + 5)


@pytest.mark.parametrize("head", [{}, BAGS, fasa_head(start_epoch=0)], ids=["cRT", "BAGS", "FASA"])
def test_a_step_changes_the_classifier_alone(save: Callable[..., Path], head: dict[str, Any]) -> None:
    detector = second_stage(save(), **head)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    # As mmengine builds it: of all parameters, with weight decay and momentum.
    optimiser = torch.optim.SGD(detector.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        step(detector, optimiser)
    changed = {name for name, value in detector.state_dict().items() if not torch.equal(value, before[name])}
    assert changed >= CLASSIFIER
    assert all("augmenter" in name for name in changed - CLASSIFIER)
    assert ("virtual" in step(detector, optimiser)) == bool(head.get("augmenter"))


def test_normalisations_stay_in_eval_mode(save: Callable[..., Path]) -> None:
    config = tiny_detector()
    config.type, config.stage_one = "StageTwoMaskRCNN", str(save())
    config.backbone.norm_eval = False
    detector = build(config)
    assert detector.training and detector.roi_head.bbox_head.training
    norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and not any(module.training for module in norms)
    assert not any(parameter.requires_grad for module in norms for parameter in module.parameters())
    step(detector, torch.optim.SGD(detector.parameters(), lr=0.1))
    assert all((module.running_mean == 0.25).all() for module in norms)


def test_no_unused_parameters_under_data_parallelism(save: Callable[..., Path], tmp_path: Path) -> None:
    """Frozen only after the wrap, it would stop at the second step, waiting for gradients that never come.

    In a process of its own, as in a training: what may hang in a process group must not take the tests' with it.
    """
    save()
    (gradient,) = by_ranks(three_steps, tmp_path, ranks=1)
    assert gradient.abs().sum() > 0


def three_steps(rank: int, folder: Path) -> torch.Tensor:
    """The classifier's gradient after three steps of a second stage under data parallelism."""
    detector = second_stage(folder / "stage_one.pth", **BAGS)
    model = DistributedDataParallel(detector, broadcast_buffers=False)
    optimiser = torch.optim.SGD(detector.parameters(), lr=0.1)
    for _ in range(3):
        step(detector, optimiser, model)
    return detector.roi_head.bbox_head.fc_cls.weight.grad


def test_cascade_retrains_the_classifier_of_each_stage(save: Callable[..., Path]) -> None:
    detector = second_stage(save(cascade=True), cascade=True)
    trained = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
    assert trained == {f"roi_head.bbox_head.{i}.fc_cls.{kind}" for i in range(3) for kind in ("weight", "bias")}
    assert not any(detector.roi_head.bbox_head[i].fc_cls.bias.any() for i in range(3))


def test_state_of_a_first_stage_with_fasa_is_not_taken_over(save: Callable[..., Path]) -> None:
    stage_one = save(**fasa_head())
    weights = torch.load(stage_one)
    weights["state_dict"]["roi_head.bbox_head.augmenter.fasa.mean"].fill_(3)
    torch.save(weights, stage_one)
    assert not second_stage(stage_one, **fasa_head()).roi_head.bbox_head.augmenter.fasa.mean.any()
    second_stage(stage_one)  # nor missed where the second stage has none


def test_same_seed_same_classifier(save: Callable[..., Path]) -> None:
    stage_one = save()
    first, second = (second_stage(stage_one).roi_head.bbox_head.fc_cls.weight for _ in range(2))
    assert torch.equal(first, second)


def test_mistakes(save: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.pth"):
        second_stage(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(UserError, match=r"text\.pth"):
        second_stage(tmp_path / "text.pth")
    stage_one = save()
    whole = torch.load(stage_one)["state_dict"]

    def broken(change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
        weights = dict(whole)
        change(weights)
        torch.save({"state_dict": weights}, tmp_path / "broken.pth")
        return tmp_path / "broken.pth"

    with pytest.raises(UserError, match=r"broken\.pth, which lacks rpn_head\.rpn_cls\.bias"):
        second_stage(broken(lambda weights: weights.pop("rpn_head.rpn_cls.bias")))
    with pytest.raises(UserError, match=r"has, but the detector has not, neck\.extra"):
        second_stage(broken(lambda weights: weights.update({"neck.extra": torch.zeros(1)})))
    with pytest.raises(UserError, match=r"another shape roi_head\.bbox_head\.fc_reg\.bias"):
        second_stage(broken(lambda weights: weights.update({"roi_head.bbox_head.fc_reg.bias": torch.zeros(1)})))
    config = tiny_detector()
    config.type, config.retrain = "StageTwoMaskRCNN", ["fc_class"]
    with pytest.raises(UserError, match="'fc_class'"):
        MODELS.build(config)
