"""Suppression class by class gives what mmcv gives, boxes, places and order, whatever is equal or without area."""

import pytest
import torch
from mmcv.ops import nms

from fasa.tasks.detection.nms import _nms


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("steps", [0, 20], ids=["scores-differ", "many-equal-scores"])
@pytest.mark.parametrize("whole_pixels", [False, True])
def test_suppression_by_strips_equals_mmcv(seed, steps, whole_pixels):
    generator = torch.Generator().manual_seed(seed)
    boxes_count, classes = int(torch.randint(1, 1500, (), generator=generator)), 1 + seed * 2
    corner = torch.rand(boxes_count, 2, generator=generator) * 100
    size = torch.rand(boxes_count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + size], 1)
    if whole_pixels:
        boxes = (boxes / 10).round() * 10  # boxes without area, equal boxes
    labels = torch.randint(0, classes, (boxes_count, 1), generator=generator)
    apart = boxes + labels * (boxes.max() + 1)  # as mmcv lays classes
    scores = torch.rand(boxes_count, generator=generator)
    if steps:
        scores = (scores * steps).round() / steps
    expected, expected_places = nms(apart, scores, 0.5)
    found, places = _nms(apart, scores, 0.5)
    assert torch.equal(places, expected_places)
    assert torch.equal(found, expected)
    assert len(places) < boxes_count or boxes_count < 20 * classes  # something is suppressed
