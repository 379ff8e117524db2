"""SimCal: the class switch, bi-level sampling, and which examples train which weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.runner import Runner
from torch import nn
from toys_detection import COUNTS, ToyScenes, batch, build, tiny_detector

from fasa.errors import UserError
from fasa.mmdet import bilevel_sampling
from fasa.mmdet.bilevel_sampling import BilevelSampler, ClassImagePairs
from fasa.mmdet.calibration import CalibratedBBoxHead, DualHeadSoftmax

CLASSES = len(COUNTS)
NEW = "roi_head.bbox_head.calibrated."


@DATASETS.register_module(force=True)
class ListedScenes(ToyScenes):
    """Toy scenes that also tell their annotations, as mmdet's data sets do; ``extra`` are further instances of 0."""

    def __init__(self, extra: tuple[dict[str, Any], ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self.extra = list(extra)

    def full_init(self) -> None:
        """Nothing to read."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        labels = self[index]["data_samples"].gt_instances.labels.tolist()
        instances = [{"bbox_label": label, "ignore_flag": 0} for label in labels]
        return {"instances": instances + (self.extra if index == 0 else [])}


class TestScores:
    """DualHeadSoftmax."""

    def test_class_switch_by_hand(self) -> None:
        loss = DualHeadSoftmax([1000, 399, 400], num_classes=3)
        original = torch.tensor([[0.5, 0.1, 0.2, 0.2]])
        calibrated = torch.tensor([[0.1, 0.6, 0.2, 0.1]])
        scores = loss.get_activation(torch.cat([original.log(), calibrated.log() + 3], 1))
        # Class 1 alone has under 400 instances; nothing is renormalised.
        torch.testing.assert_close(scores, torch.tensor([[0.5, 0.6, 0.2, 0.2]]))

    def test_threshold(self) -> None:
        assert DualHeadSoftmax([1000, 399, 400], 3, threshold=1000).rare.tolist() == [False, True, True, False]

    def test_counts_of_another_number_of_classes(self) -> None:
        with pytest.raises(UserError, match="instance_counts of the calibrated box head"):
            DualHeadSoftmax([1, 2], num_classes=3)


class TestSampling:
    """ClassImagePairs and BilevelSampler."""

    def test_members_are_the_images_with_an_object_that_counts(self) -> None:
        ignored = {"bbox_label": 4, "ignore_flag": 1}
        pairs = ClassImagePairs({"type": "ListedScenes", "size": 7, "missing": 3, "extra": (ignored,)})
        # Image i shows classes i and i + 1, with 4 in place of 3.
        expected = [[0, 4, 5], [0, 1, 5, 6], [1, 2, 6], [], [2, 3, 4]]
        assert [images.tolist() for images in pairs.members] == expected

    def test_items_know_their_class(self) -> None:
        pairs = ClassImagePairs(ListedScenes(size=7))
        assert len(pairs) == 7 * CLASSES
        item = pairs[3 * 7 + 2]
        assert item["data_samples"].metainfo["drawn_class"] == 3
        assert item["data_samples"].metainfo["img_id"] == 2
        assert torch.equal(item["inputs"], ToyScenes(7)[2]["inputs"])

    def test_classes_are_uniform_and_images_within_them(self) -> None:
        """Class 2 is in 1 image of 3, the others in 2: images are not uniform, classes are, but for the empty one."""
        pairs = ClassImagePairs(ListedScenes(size=4, missing=4))
        drawn = [divmod(index, 4) for index in BilevelSampler(pairs, steps=500, batch=16, seed=3)]
        classes, images = Counter(label for label, _ in drawn), Counter(drawn)
        present = [label for label, members in enumerate(pairs.members) if len(members)]
        assert sorted(classes) == present
        expected = 8000 / len(present)
        statistic = sum((classes[label] - expected) ** 2 / expected for label in present)
        assert statistic < 15  # chi squared with 3 degrees of freedom: beyond 15 once in 500 draws of a seed
        for label in present:
            members = pairs.members[label]
            assert {image for other, image in images if other == label} == set(members.tolist())
            assert all(abs(images[label, i] / classes[label] - 1 / len(members)) < 0.06 for i in members)

    def test_order_is_a_function_of_seed_and_epoch_and_ranks_share_a_step(self, monkeypatch: Any) -> None:
        pairs = ClassImagePairs(ListedScenes(size=7))
        whole = BilevelSampler(pairs, steps=5, batch=16, seed=1)
        first = list(whole)
        assert list(BilevelSampler(pairs, steps=5, batch=16, seed=1)) == first
        assert list(BilevelSampler(pairs, steps=5, batch=16, seed=2)) != first
        whole.set_epoch(1)
        assert list(whole) != first and len(whole) == 80
        parts = []
        for rank in range(2):
            monkeypatch.setattr(bilevel_sampling, "get_dist_info", lambda rank=rank: (rank, 2))
            parts.append(BilevelSampler(pairs, steps=5, batch=16, seed=1))
            assert len(parts[-1]) == 40
        for step in range(5):
            union = [index for part in parts for index in list(part)[8 * step : 8 * step + 8]]
            assert sorted(union) == sorted(first[16 * step : 16 * step + 16])

    def test_mistakes(self, monkeypatch: Any) -> None:
        with pytest.raises(UserError, match="ClassImagePairs"):
            BilevelSampler(ToyScenes(3), seed=0)
        with pytest.raises(UserError, match="without any object"):
            BilevelSampler(ClassImagePairs(ListedScenes(size=2, objects=0)), seed=0)
        monkeypatch.setattr(bilevel_sampling, "get_dist_info", lambda: (0, 3))
        with pytest.raises(UserError, match="divisible by the 3"):
            BilevelSampler(ClassImagePairs(ListedScenes(size=2)), batch=16, seed=0)


@pytest.fixture
def stage_one(tmp_path: Path) -> Path:
    """A trained Mask R-CNN's checkpoint."""
    torch.save({"state_dict": build(tiny_detector(), seed=1).state_dict()}, tmp_path / "stage_one.pth")
    return tmp_path / "stage_one.pth"


@pytest.fixture
def calibrated(stage_one: Path) -> Callable[..., nn.Module]:
    """``calibrated(threshold)``: the detector that calibrates that checkpoint."""

    def make(threshold: int = 400) -> nn.Module:
        config = tiny_detector(type="CalibratedBBoxHead", instance_counts=COUNTS, threshold=threshold)
        config.type, config.stage_one = "CalibratedMaskRCNN", str(stage_one)
        config.roi_head.type = "CalibratedRoIHead"
        return build(config, seed=2)

    return make


def drawn(detector: nn.Module, *classes: int) -> dict[str, Any]:
    """A batch of scenes 0, 1, …, scene ``i`` with classes ``i`` and ``i + 1``, drawn for ``classes``."""
    data = batch(detector, *range(len(classes)))
    for sample, label in zip(data["batch_data_samples"], classes, strict=True):
        sample.set_metainfo({"drawn_class": label})
    return data


class TestTraining:
    """CalibratedMaskRCNN, CalibratedRoIHead."""

    def test_starts_from_the_trained_head(self, calibrated: Callable[..., nn.Module], stage_one: Path) -> None:
        weights, state = torch.load(stage_one)["state_dict"], calibrated().state_dict()
        new = [name for name in state if name.startswith(NEW)]
        assert len(new) == 6  # two layers and a classifier
        for name, value in state.items():
            assert torch.equal(value, weights[name.replace(NEW, "roi_head.bbox_head.")]), name

    def test_a_step_trains_the_calibrated_head_alone(self, calibrated: Callable[..., nn.Module]) -> None:
        detector = calibrated()
        before = {name: value.clone() for name, value in detector.state_dict().items()}
        losses = detector.loss(**drawn(detector, 0, 2))
        assert set(losses) == {"loss_cls", "acc"}
        losses["loss_cls"].backward()
        torch.optim.SGD(detector.parameters(), lr=0.5).step()
        changed = {name for name, value in detector.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {name for name in before if name.startswith(NEW)}

    def test_examples_are_the_drawn_classes_and_as_much_background(
        self, calibrated: Callable[..., nn.Module], monkeypatch: Any
    ) -> None:
        detector = calibrated()
        data = drawn(detector, 1, 1)
        kept = {}
        sample = type(detector.roi_head)._sample
        monkeypatch.setattr(type(detector.roi_head), "_sample", lambda *a: kept.setdefault("results", sample(*a)))
        seen = []
        examples = detector.roi_head.examples
        monkeypatch.setattr(detector.roi_head, "examples", lambda *a: seen.append(examples(*a)) or seen[-1])
        loss = detector.loss(**data)["loss_cls"]
        rois, labels = seen[0]
        own = [result.pos_priors[result.pos_gt_labels == 1] for result in kept["results"]]
        others = sum((result.pos_gt_labels != 1).sum() for result in kept["results"])
        positives = sum(map(len, own))
        assert positives and others  # both images show class 1 and another class
        assert labels.tolist() == [1] * positives + [CLASSES] * positives
        assert torch.equal(rois[:positives, 1:], torch.cat(own))
        assert rois[:positives, 0].tolist() == [0] * len(own[0]) + [1] * len(own[1])
        background = torch.cat([result.neg_priors for result in kept["results"]])
        pool = {tuple(box) for box in background.tolist()}
        assert all(tuple(box) in pool for box in rois[positives:, 1:].tolist())
        head, extractor = detector.roi_head.bbox_head, detector.roi_head.bbox_roi_extractor
        maps = extractor(detector.extract_feat(data["batch_inputs"])[: extractor.num_inputs], rois)
        torch.testing.assert_close(loss, nn.functional.cross_entropy(head.calibrated(maps), labels))

    def test_a_step_without_positives_teaches_nothing(self, calibrated: Callable[..., nn.Module]) -> None:
        """Every weight has a gradient all the same, for which data parallelism waits."""
        detector = calibrated()
        loss = detector.loss(**drawn(detector, 4, 4))["loss_cls"]  # scenes 0 and 1 have no class 4
        loss.backward()
        gradients = [weight.grad for weight in detector.roi_head.bbox_head.calibrated.parameters()]
        assert loss == 0 and not any(gradient.any() for gradient in gradients)

    def test_images_must_be_drawn_for_a_class(self, calibrated: Callable[..., nn.Module]) -> None:
        detector = calibrated()
        with pytest.raises(UserError, match="ClassImagePairs"):
            detector.loss(**batch(detector, 0))

    def test_learns_a_class(self, calibrated: Callable[..., nn.Module]) -> None:
        detector = calibrated()
        optimiser = torch.optim.SGD(detector.parameters(), lr=0.1)
        losses = []
        for _ in range(30):
            loss = detector.loss(**drawn(detector, 0, 1, 2))["loss_cls"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.8 * losses[0]


class TestInference:
    """CalibratedBBoxHead in a detector."""

    def test_equals_the_trained_detector_before_calibration(
        self, calibrated: Callable[..., nn.Module], stage_one: Path
    ) -> None:
        plain = build(tiny_detector()).eval()
        plain.load_state_dict(torch.load(stage_one)["state_dict"])
        dual = calibrated(threshold=4).eval()
        data = batch(plain, 0, 1)
        for expected, found in zip(plain.predict(**data), dual.predict(**data), strict=True):
            assert len(expected.pred_instances) > 0
            for key in ("bboxes", "scores", "labels", "masks"):
                torch.testing.assert_close(found.pred_instances[key], expected.pred_instances[key])

    def test_calibrated_scores_reach_the_rare_classes_alone(self) -> None:
        torch.manual_seed(0)
        head = CalibratedBBoxHead(
            in_channels=2,
            fc_out_channels=5,
            roi_feat_size=1,
            num_classes=3,
            reg_class_agnostic=True,
            instance_counts=[500, 20, 800],
        )
        for weight in head.parameters():
            nn.init.normal_(weight)
        maps = torch.randn(4, 2, 1, 1)
        rois = torch.tensor([[0.0, 10 * i, 0, 10 * i + 8, 8] for i in range(4)])
        cls_score, bbox_pred = head(maps)
        assert cls_score.shape == (4, 8)
        result = head.predict_by_feat((rois,), (cls_score,), (bbox_pred,), [{"img_shape": (64, 64)}])[0]
        hidden = maps.flatten(1)
        for fc in head.shared_fcs:
            hidden = fc(hidden).relu()
        expected = head.fc_cls(hidden).softmax(1)
        expected[:, 1] = head.calibrated(maps).softmax(1)[:, 1]
        torch.testing.assert_close(result.scores, expected)


def test_runs_from_a_config_alone(stage_one: Path, tmp_path: Path) -> None:
    """mmengine's Runner: the data loader draws classes, the first stage's weights are loaded, one head learns."""
    model = tiny_detector(type="CalibratedBBoxHead", instance_counts=COUNTS)
    model.update(type="mmdet.CalibratedMaskRCNN", stage_one=str(stage_one))
    model.roi_head.type = "CalibratedRoIHead"
    scenes = {"type": "ListedScenes", "size": 7}
    runner = Runner(
        model=model,
        work_dir=str(tmp_path / "work"),
        train_dataloader={
            "batch_size": 4,
            "num_workers": 0,
            "dataset": {"type": "mmdet.ClassImagePairs", "dataset": scenes},
            "sampler": {"type": "mmdet.BilevelSampler", "steps": 3, "batch": 4},
        },
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        randomness={"seed": 5},
        experiment_name="calibration",
        default_scope="mmdet",
        log_level="ERROR",
    )
    runner.train()
    assert runner.iter == 6
    weights = torch.load(stage_one)["state_dict"]
    trained = torch.load(tmp_path / "work/epoch_2.pth", weights_only=False)["state_dict"]
    changed = {name for name in trained if not torch.equal(trained[name], weights[name.replace("calibrated.", "")])}
    assert changed == {name for name in trained if name.startswith(NEW)}
