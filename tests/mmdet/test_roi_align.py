"""RoIAlign by weighted sums of rows against mmcv's own, values and gradients."""

from __future__ import annotations

import pytest
import torch
from mmcv.ops import RoIAlign

from fasa.mmdet.roi_align import RowRoIAlign, RowRoIExtractor


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(("output", "ratio"), [(7, 2), (3, 1), ((2, 5), 3)])
def test_it_is_mmcvs(output, ratio, aligned):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 17, 23, dtype=torch.float32, requires_grad=True)
    corner = torch.rand(40, 2) * 90 - 10  # some begin outside the image
    rois = torch.cat([torch.randint(2, (40, 1)).float(), corner, corner + torch.rand(40, 2) * 80], 1)
    options = dict(output_size=output, spatial_scale=0.25, sampling_ratio=ratio, aligned=aligned)
    found = []
    for layer in (RoIAlign(**options), RowRoIAlign(**options)):
        maps.grad = None
        pooled = layer(maps, rois)
        (pooled * torch.arange(pooled.numel()).view_as(pooled).sin()).sum().backward()
        found.append((pooled.detach(), maps.grad.clone()))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_no_rois_and_adaptive_sampling_are_left_to_mmcv():
    maps = torch.randn(1, 3, 8, 8)
    assert RowRoIAlign(2, 1.0, 2)(maps, torch.zeros(0, 5)).shape == (0, 3, 2, 2)
    roi = torch.tensor([[0.0, 1, 1, 6, 6]])
    assert torch.equal(RowRoIAlign(2, 1.0, 0)(maps, roi), RoIAlign(2, 1.0, 0)(maps, roi))


def test_the_extractor_has_a_layer_for_each_level():
    config = dict(type="RoIAlign", output_size=7, sampling_ratio=2)
    extractor = RowRoIExtractor(roi_layer=config, out_channels=4, featmap_strides=[4, 8])
    assert [type(layer) for layer in extractor.roi_layers] == [RowRoIAlign] * 2
    assert [layer.spatial_scale for layer in extractor.roi_layers] == [0.25, 0.125]
