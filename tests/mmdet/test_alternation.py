"""Yin's alternation: what learns in which epoch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("mmdet")

from mmengine.optim import OptimWrapper
from toys_detection import COUNTS, batch, build, tiny_detector

from fasa.errors import UserError
from fasa.mmdet.alternation import AlternationHook


def changed(cascade: bool, epoch: int) -> tuple[set[str], set[str]]:
    """Names of the parameters, and of those that a step in ``epoch`` moves, weight decay and momentum included."""
    augmenter = {"name": "yin", "options": {"code": 4, "few": 5}}
    detector = build(tiny_detector(cascade, type="AugmentedBBoxHead", augmenter=augmenter, class_counts=COUNTS))
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    wrapper = OptimWrapper(optimizer)
    runner = SimpleNamespace(model=detector, optim_wrapper=wrapper, epoch=epoch)
    heads = list(detector.roi_head.bbox_head) if cascade else [detector.roi_head.bbox_head]

    def step() -> None:
        losses = detector.loss(**batch(detector, 0, 1))
        total = sum(
            x if isinstance(x, torch.Tensor) else sum(x) for key, x in losses.items() if "loss" in key.split(".")[-1]
        )
        wrapper.update_params(total)

    step()  # an epoch with momentum for everything
    hook = AlternationHook()
    hook.before_train(runner)
    for head in heads:
        head.augmenter.begin_epoch(epoch)
    hook.before_train_iter(runner, 0)
    before = {name: value.detach().clone() for name, value in detector.named_parameters() if value.requires_grad}
    step()
    moved = {name for name, value in detector.named_parameters() if name in before and (value != before[name]).any()}
    hook.after_train(runner)
    step()
    last = {name for name, value in detector.named_parameters() if name in before and (value != before[name]).any()}
    assert last == set(before)
    return set(before), moved


@pytest.mark.parametrize("cascade", [False, True])
def test_the_phases(cascade):
    everything, moved = changed(cascade, 0)
    assert moved == everything
    classifiers = {name for name in everything if ".fc_cls." in name}
    assert len(classifiers) == (6 if cascade else 2)
    assert changed(cascade, 1)[1] == classifiers
    assert changed(cascade, 2)[1] == everything - classifiers


def test_without_yin_it_is_refused():
    runner = SimpleNamespace(model=build(tiny_detector()))
    with pytest.raises(UserError, match="AlternationHook alternates for the augmenter yin"):
        AlternationHook().before_train(runner)


def test_what_is_held_back_does_not_scale_what_learns():
    """Gradients are clipped to a norm of 1e-3, so that a step of the classifier alone is as long: 1e-2 of that."""
    augmenter = {"name": "yin", "options": {"code": 4, "few": 5}}
    detector = build(tiny_detector(False, type="AugmentedBBoxHead", augmenter=augmenter, class_counts=COUNTS))
    wrapper = OptimWrapper(torch.optim.SGD(detector.parameters(), lr=0.01), clip_grad={"max_norm": 1e-3})
    head, hook = detector.roi_head.bbox_head, AlternationHook()
    hook.before_train(SimpleNamespace(model=detector, optim_wrapper=wrapper, epoch=1))
    head.augmenter.begin_epoch(1)
    assert head.augmenter.phase == "classifier"
    before = torch.cat([value.detach().flatten().clone() for value in head.fc_cls.parameters()])
    losses = detector.loss(**batch(detector, 0, 1))
    wrapper.update_params(sum(x if isinstance(x, torch.Tensor) else sum(x) for k, x in losses.items() if "loss" in k))
    after = torch.cat([value.detach().flatten() for value in head.fc_cls.parameters()])
    assert (after - before).double().norm().item() == pytest.approx(1e-5, rel=0.02)
