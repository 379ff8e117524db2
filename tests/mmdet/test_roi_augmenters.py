"""MoEx, Chu et al. and SMOTE at a box head: hand-made cases, and training steps of a detector."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("mmdet")

from torch.nn import functional
from toys_detection import COUNTS, batch, build, tiny_detector

from fasa.augmenters.base import Targets
from fasa.errors import UserError
from fasa.mmdet.bbox_head import AugmentedBBoxHead
from fasa.mmdet.losses.balanced_softmax import BalancedSoftmax

CLASSES, DIM, SIDE = 5, 8, 3


def head(name: str = "moex", **options):
    """A box head with an augmenter, or the stock one under the name ``none``."""
    torch.manual_seed(0)
    own = {} if name == "none" else {"augmenter": {"name": name, "options": options}, "class_counts": COUNTS}
    return AugmentedBBoxHead(in_channels=DIM, fc_out_channels=6, roi_feat_size=SIDE, num_classes=CLASSES, **own).train()


def step(model, maps, labels):
    """A step's losses of RoIs with ``maps`` and ``labels``; boxes are of no interest."""
    n = len(labels)
    scores, deltas = model(maps)
    targets = torch.zeros(n, 4)
    return model.loss(scores, deltas, torch.zeros(n, 5), labels, torch.ones(n), targets, targets)


LABELS = torch.tensor([0, 1, 2, 5, 5, 5])


def maps_of(n: int = 6, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, DIM, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def test_moex_is_the_mixture_of_both_labels_losses(monkeypatch):
    """RoI 0 gets RoI 1's moments and label, 1 that of 2, 2 that of 0; background as it is."""
    partners = torch.tensor([1, 2, 0])
    monkeypatch.setattr("fasa.augmenters.moex.random_partners", lambda *_: partners)
    model, maps = head(own=0.75), maps_of()
    foreground = maps[:3]
    mean, deviation = foreground.mean(1, keepdim=True), (foreground.var(1, keepdim=True) + 1e-5).sqrt()
    mixed = (foreground - mean) / deviation * deviation[partners] + mean[partners]
    logits = model.fc_cls(model.embed(torch.cat([mixed, maps[3:]])))
    own = functional.cross_entropy(logits, LABELS)
    theirs = functional.cross_entropy(logits, torch.tensor([1, 2, 0, 5, 5, 5]))
    losses = step(model, maps, LABELS)
    torch.testing.assert_close(losses["loss_cls"], 0.75 * own + 0.25 * theirs)
    stock = step(head(own=1.0, probability=0.0), maps, LABELS)
    assert losses["loss_bbox"] == stock["loss_bbox"]


def test_each_roi_may_have_a_share_of_its_own():
    """Targets with one share for each RoI, in plain cross entropy and in losses of fasa.mmdet; background stays."""
    others, own = torch.tensor([1, 2, 0, 5, 5, 5]), torch.tensor([0.0, 1.0, 0.25, 0.5, 0.5, 1.0])
    model, maps = head(probability=0.0), maps_of()
    model.augmenter.mix = lambda batch: (batch.scores, Targets(batch.labels, others, own))
    logits = model.fc_cls(model.embed(maps))
    first, second = (functional.cross_entropy(logits, labels, reduction="none") for labels in (LABELS, others))
    torch.testing.assert_close(step(model, maps, LABELS)["loss_cls"], (own * first + (1 - own) * second).mean())
    model.loss_cls = BalancedSoftmax(COUNTS, num_classes=CLASSES)
    first, second = (model.loss_cls.training_losses(logits, labels) for labels in (LABELS, others))
    torch.testing.assert_close(step(model, maps, LABELS)["loss_cls"], (own * first + (1 - own) * second).mean())


def test_moex_of_probability_zero_and_in_eval_mode_is_the_stock_head(monkeypatch):
    monkeypatch.setattr("fasa.augmenters.moex.random_partners", lambda *_: torch.tensor([1, 2, 0]))
    maps = maps_of()
    plain = head("none")
    expected = step(plain, maps, LABELS)["loss_cls"]
    assert step(head(probability=0.0), maps, LABELS)["loss_cls"] == expected
    assert step(head().eval(), maps, LABELS)["loss_cls"] == expected
    assert step(head(), maps, LABELS)["loss_cls"] != expected


def test_moex_without_foreground():
    labels = torch.full((6,), CLASSES)
    model = head()
    loss = step(model, maps_of(), labels)["loss_cls"]
    torch.testing.assert_close(loss, step(head(probability=0.0), maps_of(), labels)["loss_cls"])
    loss.backward()


def test_moex_teaches_the_maps_too():
    maps = maps_of().requires_grad_()
    step(head(), maps, LABELS)["loss_cls"].backward()
    assert (maps.grad.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("options", [{"probability": 1.5}, {"own": -0.1}])
def test_moex_refuses(options):
    with pytest.raises(UserError, match="between 0 and 1"):
        head(**options)


def test_chus_samples_teach_the_classifier_alone():
    model = head("chu", start_epoch=0, confusing=4, head_share=0.5)
    maps = maps_of()
    losses = step(model, maps, LABELS)
    plain = step(head("chu"), maps, LABELS)["loss_cls"]
    torch.testing.assert_close(losses["loss_cls"], plain + losses["virtual"])
    assert losses["virtual"] > 0
    stock = head("none")
    step(stock, maps, LABELS)["loss_cls"].backward()
    losses["loss_cls"].backward()
    assert torch.equal(model.shared_fcs[0].weight.grad, stock.shared_fcs[0].weight.grad)
    assert not torch.equal(model.fc_cls.weight.grad, stock.fc_cls.weight.grad)


@pytest.mark.parametrize(("options", "message"), [({"confusing": 0}, "at least 1"), ({"colour": 1}, "colour")])
def test_chu_refuses(options, message):
    with pytest.raises(UserError, match=message):
        head("chu", **options)


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("name", ["moex", "chu"])
def test_in_a_detector(name, cascade):
    options = {} if name == "moex" else {"start_epoch": 0, "head_share": 0.5}
    augmenter = {"name": name, "options": options}
    detector = build(tiny_detector(cascade, type="AugmentedBBoxHead", augmenter=augmenter, class_counts=COUNTS))
    losses = detector.loss(**batch(detector, 0, 1))
    total = sum(x for key, x in losses.items() if "loss_cls" in key and "rpn" not in key)
    total.backward()
    heads = detector.roi_head.bbox_head if cascade else [detector.roi_head.bbox_head]
    for bbox_head in heads:
        assert bbox_head.fc_cls.weight.grad.isfinite().all()
    detector.eval()
    with torch.no_grad():
        detector.predict(**batch(detector, 0))


def test_smote_in_a_detector():
    augmenter = {"name": "smote", "options": {"start_epoch": 0, "draws_per_step": 100.0}}
    detector = build(tiny_detector(type="AugmentedBBoxHead", augmenter=augmenter, class_counts=COUNTS))
    for _ in range(2):
        losses = detector.loss(**batch(detector, 0, 1))
    assert losses["virtual"] > 0
    losses["loss_cls"].backward()
    seen = detector.roi_head.bbox_head.augmenter.seen
    assert (seen[:3] > 0).all()  # the objects of images 0 and 1
    assert not seen[3:].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["fasa", "smote", "chu", "moex", "yin"])
def test_every_augmenter_trains_under_autocast(name, dtype):
    model = head(
        name, **({} if name == "moex" else {"start_epoch": 0}), **({"code": 4, "few": 5} if name == "yin" else {})
    )
    for seed in range(3):
        with torch.autocast("cpu", dtype):
            losses = step(model, maps_of(seed=seed), LABELS)
        assert all(loss.isfinite().all() for loss in losses.values())
    losses["loss_cls"].backward()
    assert model.fc_cls.weight.grad.isfinite().all()
