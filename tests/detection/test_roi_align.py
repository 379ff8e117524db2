"""RoIAlign on a processor against mmcv's own."""

import pytest
import torch
from mmcv.ops import RoIAlign

from fasa.detection.roi_align import RowRoIAlign, RowRoIExtractor


def rois(count: int, images: int) -> torch.Tensor:
    """Boxes of 0.5 to 60 pixels in and beyond an image of 64."""
    corner = torch.rand(count, 2) * 90 - 20
    size = 0.5 + torch.rand(count, 2) * 60
    return torch.cat([torch.randint(images, (count, 1)).float(), corner, corner + size], 1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_values_and_gradients_are_mmcvs(ratio: int, aligned: bool) -> None:
    torch.manual_seed(ratio)
    boxes = rois(60, 2)
    found = []
    for kind in (RoIAlign, RowRoIAlign):
        torch.manual_seed(1)
        maps = torch.randn(2, 5, 12, 16, requires_grad=True)
        pooled = kind((7, 4), 0.25, ratio, aligned=aligned)(maps, boxes)
        (pooled * torch.linspace(-1, 1, pooled.numel()).view_as(pooled)).sum().backward()
        found.append((pooled.detach(), maps.grad))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_adaptive_sampling_and_no_boxes_are_left_to_mmcv() -> None:
    maps = torch.randn(1, 3, 8, 8)
    boxes = rois(4, 1)
    assert torch.equal(RowRoIAlign(7, 0.25, 0)(maps, boxes), RoIAlign(7, 0.25, 0)(maps, boxes))
    assert RowRoIAlign(7, 0.25, 1)(maps, boxes[:0]).shape == (0, 3, 7, 7)


def test_the_extractor_has_a_layer_for_each_level() -> None:
    extractor = RowRoIExtractor(
        roi_layer={"type": "RoIAlign", "output_size": 7, "sampling_ratio": 2}, out_channels=3, featmap_strides=[4, 8]
    )
    assert [layer.spatial_scale for layer in extractor.roi_layers] == [1 / 4, 1 / 8]
    maps = [torch.randn(2, 3, 16, 16), torch.randn(2, 3, 8, 8)]
    assert extractor(maps, rois(9, 2)).shape == (9, 3, 7, 7)
