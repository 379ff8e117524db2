"""MoEx and Chu on the maps of RoIs: hand-made cases, and training steps of a detector."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("mmdet")

from torch.nn import functional
from toys_detection import COUNTS, batch, build, tiny_detector

from fasa.augmenters import AUGMENTERS
from fasa.augmenters.smote import Smote
from fasa.errors import UserError
from fasa.mmdet import roi_augmenters
from fasa.mmdet.roi_augmenters import ChuBBoxHead, MoExBBoxHead
from fasa.mmdet.roi_chu import RoIChu, class_activation

CLASSES, DIM, SIDE = 5, 8, 3


def head(kind: type = MoExBBoxHead, **options):
    torch.manual_seed(0)
    return kind(in_channels=DIM, fc_out_channels=6, roi_feat_size=SIDE, num_classes=CLASSES, **options).train()


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
    monkeypatch.setattr(roi_augmenters, "random_partners", lambda n, device: partners)
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


def test_moex_of_probability_zero_and_in_eval_mode_is_the_stock_head(monkeypatch):
    monkeypatch.setattr(roi_augmenters, "random_partners", lambda n, device: torch.tensor([1, 2, 0]))
    maps = maps_of()
    plain = head(roi_augmenters.AugmentedBBoxHead)
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


def test_activation_is_the_class_activation_map_of_a_linear_classifier():
    maps, weights, labels = maps_of(4), torch.randn(CLASSES, DIM), torch.tensor([0, 3, 3, 1])
    raw = torch.einsum("nd,ndhw->nhw", weights[labels], maps)
    low, high = raw.amin((1, 2), keepdim=True), raw.amax((1, 2), keepdim=True)
    got = class_activation(maps, labels, lambda x: x.mean((2, 3)) @ weights.T)
    torch.testing.assert_close(got, (raw - low) / (high - low))


def line(*activation: float) -> torch.Tensor:
    """Maps of one channel on a line whose activation under :func:`score` is as given."""
    return torch.tensor(activation)[None, None, None]


def score(maps):
    return maps.sum((1, 2, 3))[:, None].expand(-1, 3)


def test_chu_takes_generic_positions_of_the_confusing_roi_where_the_tail_roi_is_not_specific():
    """Tail class 2 is taken for 0, not for 1. Positions differ in which of the two parts they are."""
    augmenter = RoIChu(torch.tensor([90, 9, 1]), confusing=1, per_roi=2, start_epoch=0)
    assert augmenter.tail.tolist() == [False, True, True]
    maps = torch.cat([line(1.0, 0.0, 0.7, 0.55, 0.5), line(1.0, 0.35, 0.2, 0.25, 0.0), line(0.9, 0.9, 0.9, 0.9, 0.9)])
    labels = torch.tensor([0, 2, 3])
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.2, 0.5], [0.1, 0.1, 0.1]])
    made, names = augmenter.synthesise(maps, labels, probabilities, score)
    assert names.tolist() == [2, 2]
    # 0 and 1 are specific in the tail RoI; of the others, 3 and 4 are generic in its partner, 2 is not.
    assert made[0].flatten().tolist() == pytest.approx([1.0, 0.35, 0.2, 0.55, 0.5])
    assert torch.equal(made[0], made[1])


def test_chu_skips_what_has_no_confusing_roi_in_the_batch():
    augmenter = RoIChu(torch.tensor([90, 9, 1]), confusing=1, start_epoch=0)
    probabilities = torch.tensor([[0.1, 0.4, 0.5], [0.1, 0.3, 0.6]])
    made, names = augmenter.synthesise(maps_of(2), torch.tensor([2, 2]), probabilities, score)
    assert (len(made), len(names)) == (0, 0)
    made, names = augmenter.synthesise(maps_of(2), torch.tensor([3, 3]), probabilities, score)  # background alone
    assert len(names) == 0


def test_chu_waits_for_its_epoch_but_looks_on():
    augmenter = RoIChu(torch.tensor([90, 9, 1]), confusing=2, per_roi=1)
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.2, 0.5]])
    labels = torch.tensor([0, 2])
    assert len(augmenter.synthesise(maps_of(2), labels, probabilities, score)[1]) == 0
    assert torch.equal(augmenter.confusion[[0, 2]], probabilities)
    augmenter.begin_epoch(1)
    later = torch.tensor([[0.5, 0.4, 0.1], [0.3, 0.2, 0.5]])
    seen = sum(len(augmenter.synthesise(maps_of(2), labels, later, score)[1]) for _ in range(40))
    assert 8 < seen < 32  # class 2 is taken for 0, which is there, and for 1, which is not
    assert augmenter.observations.tolist() == [41, 0, 41]


def test_chus_samples_teach_the_classifier_alone():
    model = head(ChuBBoxHead, class_counts=COUNTS, chu={"start_epoch": 0, "confusing": 4, "head_share": 0.5})
    maps = maps_of()
    losses = step(model, maps, LABELS)
    plain = step(head(ChuBBoxHead, class_counts=COUNTS), maps, LABELS)["loss_cls"]
    torch.testing.assert_close(losses["loss_cls"], plain + losses["virtual"])
    assert losses["virtual"] > 0
    stock = head(roi_augmenters.AugmentedBBoxHead)
    step(stock, maps, LABELS)["loss_cls"].backward()
    losses["loss_cls"].backward()
    assert torch.equal(model.shared_fcs[0].weight.grad, stock.shared_fcs[0].weight.grad)
    assert not torch.equal(model.fc_cls.weight.grad, stock.fc_cls.weight.grad)


@pytest.mark.parametrize(("options", "message"), [({"confusing": 0}, "at least 1"), ({"colour": 1}, "colour")])
def test_chu_refuses(options, message):
    with pytest.raises(UserError, match=message):
        head(ChuBBoxHead, class_counts=COUNTS, chu=options)


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("kind", ["MoExBBoxHead", "ChuBBoxHead"])
def test_in_a_detector(kind, cascade):
    options = {} if kind == "MoExBBoxHead" else {"class_counts": COUNTS, "chu": {"start_epoch": 0, "head_share": 0.5}}
    detector = build(tiny_detector(cascade=cascade, type=kind, **options))
    losses = detector.loss(**batch(detector, 0, 1))
    total = sum(x for key, x in losses.items() if "loss_cls" in key and "rpn" not in key)
    total.backward()
    heads = detector.roi_head.bbox_head if cascade else [detector.roi_head.bbox_head]
    for bbox_head in heads:
        assert bbox_head._maps is None
        assert bbox_head.fc_cls.weight.grad.isfinite().all()
    detector.eval()
    with torch.no_grad():
        detector.predict(**batch(detector, 0))
    assert all(bbox_head._maps is None for bbox_head in heads)


def test_smote_in_a_detector(monkeypatch):
    monkeypatch.setitem(AUGMENTERS, "smote", Smote)
    augmenter = {"name": "smote", "options": {"start_epoch": 0, "scale": 100.0}}
    detector = build(tiny_detector(type="AugmentedBBoxHead", augmenter=augmenter, class_counts=COUNTS))
    for _ in range(2):
        losses = detector.loss(**batch(detector, 0, 1))
    assert losses["virtual"] > 0
    losses["loss_cls"].backward()
    seen = detector.roi_head.bbox_head.augmenter.seen
    assert (seen[:3] > 0).all()  # the objects of images 0 and 1
    assert not seen[3:].any()
