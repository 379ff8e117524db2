"""NMS re-sampling on hand-made boxes, and inside a detector."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("mmdet")

from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from toys_detection import batch, build, tiny_detector

from fasa.errors import UserError
from fasa.mmdet.nms_resampling import TRUE_LABELS, ResampledRPNHead, read_frequencies, resample

RARE, COMMON, FREQUENT = 0, 1, 2
NMS = {"type": "nms", "iou_threshold": 0.7}
THRESHOLDS = {"r": 0.9, "c": 0.8}


def ladder(x: float) -> torch.Tensor:
    """Four boxes 100 wide: the second has IoU .95 with the first, the third .85, the fourth .75."""
    shift = torch.tensor([0.0, *(100 * (1 - iou) / (1 + iou) for iou in (0.95, 0.85, 0.75))])
    return torch.stack([x + shift, torch.zeros(4), x + shift + 100, torch.full((4,), 100.0)], 1)


def keep(boxes, truth, groups, levels=None, scores=None):
    scores = torch.linspace(0.9, 0.1, len(boxes)) if scores is None else scores
    levels = torch.zeros(len(boxes), dtype=torch.long) if levels is None else levels
    truth = torch.tensor(truth, dtype=torch.float).reshape(-1, 4)
    return resample(boxes, scores, levels, truth, torch.tensor(groups, dtype=torch.long), NMS, THRESHOLDS).tolist()


@pytest.mark.parametrize(("group", "kept"), [(RARE, [0, 2, 3]), (COMMON, [0, 3]), (FREQUENT, [0])])
def test_each_group_has_its_threshold(group, kept):
    """Of the ladder, which overlaps by .95, .85 and .75, an NMS at .9 leaves 1, 3, 4; at .8: 1, 4; at .7: 1."""
    assert keep(ladder(0), [[0, 0, 100, 100]], [group]) == kept


def test_boxes_far_from_rare_and_common_objects_pass_the_plain_nms():
    boxes = torch.cat([ladder(0), ladder(1000)])
    assert keep(boxes, [[0, 0, 100, 100]], [RARE]) == [0, 2, 3, 4]
    assert keep(boxes, [[0, 0, 100, 100], [1000, 0, 1100, 100]], [RARE, COMMON]) == [0, 2, 3, 4, 7]


def test_near_is_an_iou_of_a_third_less_a_little():
    """IoU .30 with the object is near, .29 is not."""
    for iou, kept in ((0.3001, [0, 2, 3]), (0.2999, [0])):
        height = 100 * iou  # an object of the box's width inside it
        boxes = ladder(0)
        boxes[:, 0::2] = torch.tensor([0.0, 100.0])
        shift = torch.tensor([0.0, 100 * 0.05 / 1.95, 100 * 0.15 / 1.85, 100 * 0.25 / 1.75])
        boxes[:, 1], boxes[:, 3] = -shift, 100 - shift  # shifted up: each still holds the object's rows
        assert keep(boxes, [[0, 0, 100, height]], [RARE]) == kept


def test_a_proposal_near_both_comes_twice_as_released():
    assert keep(ladder(0), [[0, 0, 100, 100], [0, 0, 100, 99]], [RARE, COMMON]) == [0, 2, 3, 0, 3]


def test_scores_decide_and_levels_do_not_meet():
    scores = torch.tensor([0.1, 0.2, 0.3, 0.9])
    assert keep(ladder(0), [[0, 0, 100, 100]], [FREQUENT], scores=scores) == [3]
    levels = torch.tensor([0, 1, 0, 1])
    assert keep(ladder(0), [[0, 0, 100, 100]], [FREQUENT], levels=levels) == [0, 1]


def test_no_objects_or_no_proposals():
    assert keep(ladder(0), [], []) == [0]
    assert keep(torch.zeros(0, 4), [[0, 0, 1, 1]], [RARE]) == []


def detector(kind: str = "MaskRCNN", frequencies: str | None = None, seed: int = 0) -> torch.nn.Module:
    cfg: ConfigDict = tiny_detector()
    cfg.type = kind
    cfg.rpn_head.anchor_generator.scales = [8]  # 32 pixels every 4: neighbours overlap by .78
    cfg.train_cfg.rpn_proposal.update(nms_pre=2000, max_per_img=2000)
    if frequencies:
        cfg.rpn_head.update(type="ResampledRPNHead", frequencies=list(frequencies))
    return build(cfg, seed)


def proposals(model, *numbers: int) -> list[InstanceData]:
    """The proposals that the RoI head is given in a training step; image ``i`` has objects of ``i`` and ``i + 1``."""
    given = []
    loss = model.roi_head.loss

    def watch(x, rpn_results, data_samples):
        given.extend(result.clone() for result in rpn_results)
        return loss(x, rpn_results, data_samples)

    model.roi_head.loss = watch
    torch.manual_seed(1)
    losses = model.loss(**batch(model, *numbers))
    model.roi_head.loss = loss
    assert all(torch.isfinite(torch.as_tensor(x)).all() for x in losses["loss_rpn_cls"])
    return given


def test_rare_objects_gain_proposals_and_frequent_ones_are_the_plain_heads():
    before = proposals(detector(), 0, 1, 3)
    after = proposals(detector("ResampledMaskRCNN", "rfcff"), 0, 1, 3)  # a rare object; a common one; frequent ones
    assert torch.equal(after[2].bboxes, before[2].bboxes)
    for plain, ours in zip(before[:2], after[:2], strict=True):
        assert len(ours) > len(plain)
        assert (ours.scores.diff() <= 0).all()
        assert (ours.labels == 0).all()
        assert set(ours.keys()) == set(plain.keys())
    limited = detector("ResampledMaskRCNN", "rfcff")
    limited.train_cfg.rpn_proposal.max_per_img = 20
    best = proposals(limited, 0, 1, 3)[0]
    assert torch.equal(best.bboxes, after[0].bboxes[:20])
    for plain, ours in zip(before, proposals(detector("ResampledMaskRCNN", "fffff"), 0, 1, 3), strict=True):
        assert torch.equal(plain.bboxes, ours.bboxes)
        assert torch.equal(plain.scores, ours.scores)


def test_the_rpn_head_has_the_true_labels_and_its_losses_do_not():
    model = detector("ResampledMaskRCNN", "rfcff")
    data = batch(model, 0, 2)
    torch.manual_seed(1)
    ours = model.loss(**data)
    plain = detector()
    torch.manual_seed(1)
    expected = plain.loss(**batch(plain, 0, 2))
    assert [x.item() for x in ours["loss_rpn_cls"]] == [x.item() for x in expected["loss_rpn_cls"]]
    assert [x.gt_instances[TRUE_LABELS].tolist() for x in data["batch_data_samples"]] == [[0, 1], [2, 3]]
    assert [x.gt_instances.labels.tolist() for x in data["batch_data_samples"]] == [[0, 1], [2, 3]]


def test_at_test_time_it_is_a_plain_head_with_the_same_weights():
    plain, ours = detector().eval(), detector("ResampledMaskRCNN", "rfcff", seed=5).eval()
    ours.load_state_dict(plain.state_dict())
    data = batch(plain, 0, 1)
    with torch.no_grad():
        x = plain.extract_feat(data["batch_inputs"])
        expected, got = (m.rpn_head.predict(x, data["batch_data_samples"]) for m in (plain, ours))
    for a, b in zip(expected, got, strict=True):
        assert torch.equal(a.bboxes, b.bboxes)


def test_an_image_without_objects():
    model = detector("ResampledMaskRCNN", "rfcff")
    data = batch(model, 0)
    sample = data["batch_data_samples"][0]
    sample.gt_instances = sample.gt_instances[:0]
    assert torch.isfinite(sum(x.sum() for x in model.loss(**data)["loss_rpn_cls"]))


def test_a_detector_without_true_labels_is_told_so():
    model = detector("MaskRCNN", "rfcff")
    with pytest.raises(UserError, match="ResampledMaskRCNN"):
        model.loss(**batch(model, 0))


def test_as_many_frequencies_as_classes():
    with pytest.raises(UserError, match="lists 3 classes but the box head has 5"):
        detector("ResampledMaskRCNN", "rcf")


def test_frequencies_from_a_file(tmp_path):
    path = tmp_path / "frequencies.json"
    path.write_text(json.dumps(["r", "c", "f"]))
    assert read_frequencies(str(path)) == ["r", "c", "f"]
    for content, message in (("[", "cannot be read"), ('["r", "x"]', "class 1 has frequency 'x'"), ("[]", "no class")):
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            read_frequencies(str(path))
    with pytest.raises(UserError, match=r"nowhere\.json cannot be read"):
        read_frequencies(str(tmp_path / "nowhere.json"))


def test_the_head_is_the_registered_one():
    assert MODELS.get("ResampledRPNHead") is ResampledRPNHead
    assert issubclass(ResampledRPNHead, RPNHead)
