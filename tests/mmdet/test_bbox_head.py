"""The box head with an augmenter against the stock head and hand-computed virtual losses."""

from __future__ import annotations

import gc
import json
import weakref

import pytest
import torch
from torch.nn import functional
from toys_detection import CLASSES, COUNTS, batch, build, fasa_head, tiny_detector

from fasa.augmenters import AUGMENTERS, Registered
from fasa.augmenters.base import Augmenter
from fasa.errors import UserError
from fasa.mmdet.bbox_head import AugmentedBBoxHead, RoIScores

DIM = 12


@pytest.fixture
def make_head():
    """``make_head(**options)``: a head of its own with FASA, inputs of one position."""

    def make(loss_cls=None, **options) -> AugmentedBBoxHead:
        torch.manual_seed(0)
        config = fasa_head(**options)
        config.pop("type")
        if loss_cls is not None:
            config["loss_cls"] = loss_cls
        head = AugmentedBBoxHead(fc_out_channels=DIM, in_channels=4, roi_feat_size=1, num_classes=CLASSES, **config)
        head.init_weights()
        return head.train()

    return make


def step(head, labels, seed=1):
    """Losses of RoIs with ``labels``, and the classifier's input that they had."""
    torch.manual_seed(seed)
    labels = torch.tensor(labels, dtype=torch.long)
    maps = torch.randn(len(labels), 4, 1, 1)
    features = maps.flatten(1)
    for layer in head.shared_fcs:
        features = layer(features).relu()
    scores, boxes = head(maps)
    n = len(labels)
    losses = head.loss(scores, boxes, torch.zeros(n, 5), labels, torch.ones(n), torch.zeros(n, 4), torch.zeros(n, 4))
    return losses, features


def certain(head):
    """Every class seen is drawn in every step."""
    head.augmenter.fasa.probabilities.fill_(1)
    return head


def test_statistics_are_those_of_the_foreground_rois(make_head):
    head = make_head()
    _, features = step(head, [2, 2, CLASSES, 4, CLASSES])
    fasa = head.augmenter.fasa
    assert fasa.observations.tolist() == [0, 0, 2, 0, 1]
    torch.testing.assert_close(fasa.mean[2], features[:2].mean(0))
    torch.testing.assert_close(fasa.variance[2], features[:2].var(0))
    torch.testing.assert_close(fasa.mean[4], features[3])
    assert not fasa.variance[4].any()
    first = fasa.mean[2].clone()
    _, features = step(head, [2], seed=2)
    torch.testing.assert_close(fasa.mean[2], 0.9 * first + 0.1 * features[0])


def test_a_head_that_nothing_tells_of_epochs_says_so_once(make_head):
    """FASA draws from its second epoch on: without the hook it would train the baseline under another name."""
    head = make_head()
    with pytest.warns(
        UserWarning, match="FasaAugmenter acts between steps, too, and nothing calls its end_epoch: put dict"
    ) as caught:
        for _ in range(3):
            step(head, [2, 2, CLASSES])
    assert sum("AdaptationHook" in str(each.message) for each in caught) == 1


def test_a_class_first_seen_in_this_step_yields_its_mean_and_a_tenth_of_its_loss(make_head):
    head = certain(make_head(start_epoch=0))
    losses, features = step(head, [3, CLASSES])
    expected = 0.1 * functional.cross_entropy(head.fc_cls(features[:1]), torch.tensor([3]))
    torch.testing.assert_close(losses["virtual"], expected.detach())
    plain = functional.cross_entropy(head.fc_cls(features), torch.tensor([3, CLASSES]))
    torch.testing.assert_close(losses["loss_cls"], plain + expected)
    assert not losses["virtual"].requires_grad


def test_several_virtual_features_count_by_their_mean(make_head):
    head = certain(make_head(start_epoch=0))
    labels = torch.arange(3)
    losses, features = step(head, labels.tolist())  # one RoI each: variance 0
    torch.testing.assert_close(losses["virtual"], 0.1 * functional.cross_entropy(head.fc_cls(features), labels))


def test_the_weight_of_the_loss_multiplies_the_virtual_part(make_head):
    loss_cls = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 3.0}
    thrice, once = certain(make_head(loss_cls, start_epoch=0)), certain(make_head(start_epoch=0))
    torch.testing.assert_close(step(thrice, [1])[0]["virtual"], 3 * step(once, [1])[0]["virtual"])


def test_only_the_classifier_learns_from_virtual_features(make_head):
    head = certain(make_head(start_epoch=0))
    losses, _ = step(head, [0, 1, CLASSES])
    with torch.no_grad():
        head.augmenter.fasa.mean.mul_(1)  # in place: autograd would complain if a graph held it
    virtual = head.augmenter.fasa.loss(head.fc_cls, head.augmenter.context.criterion)
    grads = torch.autograd.grad(virtual, list(head.parameters()), allow_unused=True)
    reached = {name for (name, _), grad in zip(head.named_parameters(), grads, strict=True) if grad is not None}
    assert reached == {"fc_cls.weight", "fc_cls.bias"}
    assert losses["loss_cls"].requires_grad
    assert not any(buffer.requires_grad for buffer in head.buffers())


@pytest.mark.parametrize("case", ["before_start", "no_draw", "evaluation"])
def test_without_virtual_features_the_loss_is_the_stock_heads_to_the_last_bit(make_head, case):
    head, stock = make_head(start_epoch=1 if case == "before_start" else 0), make_head()
    stock.augmenter = None
    head.augmenter.fasa.probabilities.fill_(0 if case == "no_draw" else 1)
    head.train(case != "evaluation")
    ours, theirs = step(head, [0, 1, CLASSES])[0], step(stock, [0, 1, CLASSES])[0]
    assert torch.equal(ours["loss_cls"], theirs["loss_cls"])
    assert torch.equal(ours["loss_bbox"], theirs["loss_bbox"])
    assert ours.get("virtual", 0) == 0 and "virtual" not in theirs
    gradients = []
    for losses, of in ((ours, head), (theirs, stock)):
        losses["loss_cls"].backward()
        gradients.append([parameter.grad for parameter in of.parameters() if parameter.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    if case == "evaluation":
        assert not head.augmenter.fasa.observations.any()


def test_nothing_of_a_step_is_kept(make_head):
    head = certain(make_head(start_epoch=0))
    kept = []
    head.fc_cls.register_forward_hook(lambda module, inputs, output: kept.append(weakref.ref(inputs[0])))
    losses, features = step(head, [0, 1, CLASSES])
    assert kept
    del losses, features
    gc.collect()
    assert [reference() for reference in kept] == [None] * len(kept)


def test_scores_bring_their_features_along_in_training_alone(make_head):
    head, maps = make_head(), torch.randn(3, 4, 1, 1)
    scores, boxes = head(maps)
    assert isinstance(scores, RoIScores)
    assert scores.maps is maps
    assert torch.equal(scores, head.fc_cls(scores.features))
    for computed in (scores + 0, scores.detach(), scores.softmax(1), scores[:2], boxes):  # not memory's business
        assert type(computed) is torch.Tensor
    assert type(head.eval()(maps)[0]) is torch.Tensor


def test_a_step_without_rois_still_reaches_the_augmenter(make_head):
    head = certain(make_head(start_epoch=0))
    step(head, [0])
    losses, _ = step(head, [])
    assert losses["loss_cls"] > 0  # its virtual feature of class 0


class Caller(Augmenter):
    """Its loss is the sum of the foreground's scores."""

    def loss(self, batch):
        return self.context.classifier(batch.features[batch.labels < CLASSES]).sum()


def test_an_augmenter_may_call_the_classifier(make_head, monkeypatch):
    monkeypatch.setitem(AUGMENTERS, "caller", Registered((f"{__name__}:Caller",)))
    head = AugmentedBBoxHead(
        fc_out_channels=DIM,
        in_channels=4,
        roi_feat_size=1,
        num_classes=CLASSES,
        augmenter={"name": "caller"},
        class_counts=COUNTS,
    ).train()
    losses, features = step(head, [0, CLASSES])
    torch.testing.assert_close(losses["virtual"], head.fc_cls(features[:1]).sum().detach())
    assert [name for name in head.state_dict() if "augmenter" in name] == []


def test_a_detector_trains_and_its_checkpoint_holds_the_state():
    detector = build(tiny_detector(**fasa_head(draws_per_step=5, start_epoch=0)))
    sum(value.sum() for name, value in flat(detector.loss(**batch(detector, 0, 1))) if "loss" in name).backward()
    state = detector.state_dict()
    fasa = "roi_head.bbox_head.augmenter.fasa."
    assert {name.removeprefix(fasa) for name in state if name.startswith(fasa)} == {
        *("mean", "variance", "observations", "probabilities", "groups", "previous", "previous_count", "epoch")
    }
    assert state[f"{fasa}observations"].sum() > 0
    assert detector.roi_head.bbox_head.fc_cls.weight.grad.abs().sum() > 0


def test_cascade_has_a_state_for_each_stage_and_its_weights_multiply_the_virtual_loss():
    # FirstSampler: the virtual features' random numbers must not move the RoIs of the later stages.
    detector = build(tiny_detector(True, "FirstSampler", **fasa_head(start_epoch=0)))
    heads = detector.roi_head.bbox_head
    for head in heads:
        certain(head)
    stock = build(tiny_detector(True, "FirstSampler"))
    stock.load_state_dict(detector.state_dict(), strict=False)
    ours = detector.loss(**batch(detector, 0, 1))
    theirs = stock.loss(**batch(stock, 0, 1))
    for number, weight in enumerate((1, 0.5, 0.25)):
        added = ours[f"s{number}.loss_cls"] - theirs[f"s{number}.loss_cls"]
        torch.testing.assert_close(added.detach(), weight * ours[f"s{number}.virtual"], rtol=1e-4, atol=1e-6)
        assert ours[f"s{number}.virtual"] > 0
    means = [head.augmenter.fasa.mean for head in heads]
    assert not torch.equal(means[0], means[1]) and not torch.equal(means[1], means[2])
    assert torch.equal(heads[0].augmenter.fasa.probabilities, heads[2].augmenter.fasa.probabilities)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"augmenter": {"name": "fsaa"}}, "fasa"),
        ({"augmenter": {"name": "fasa", "scale": 5}}, "options"),
        ({"augmenter": {"name": "fasa", "options": {"sacle": 5}}}, "the box head, augmenter 'fasa': .*sacle"),
        ({"augmenter": {"options": {}}}, "must have a name"),
        (
            {"augmenter": {"name": "m2m"}},
            "'m2m' acts by the hooks 'select', 'images', which the training of a det",
        ),
        ({"augmenter": {"name": "fasa", "options": {"momentum": 2}}}, "momentum"),
        ({"class_counts": None}, "class_counts"),
        ({"class_counts": [1, 2, 3]}, "3 numbers"),
        ({"class_counts": [0, 2, 3, 4, 5]}, "at least 1"),
        ({"class_counts": "nowhere.json"}, "nowhere.json"),
        ({"loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True}}, "CrossEntropyLoss"),
        ({"loss_cls": {"type": "SeesawLoss", "num_classes": CLASSES}}, "SeesawLoss"),
    ],
)
def test_mistakes_are_named(change, words):
    config = {**fasa_head(), **change}
    config.pop("type")
    with pytest.raises(UserError, match=words):
        AugmentedBBoxHead(fc_out_channels=DIM, in_channels=4, roi_feat_size=1, num_classes=CLASSES, **config)


def test_class_counts_may_be_a_file(tmp_path):
    path = tmp_path / "counts.json"
    path.write_text(json.dumps(COUNTS))
    config = {**fasa_head(), "class_counts": str(path)}
    config.pop("type")
    head = AugmentedBBoxHead(fc_out_channels=DIM, in_channels=4, roi_feat_size=1, num_classes=CLASSES, **config)
    shares = torch.tensor([1 / count for count in COUNTS])
    torch.testing.assert_close(head.augmenter.fasa.probabilities, shares / shares.sum())


def flat(losses):
    """Name and tensor of every loss; mmdet's RPN gives lists."""
    for name, value in losses.items():
        for tensor in value if isinstance(value, list) else [value]:
            yield name, tensor
