"""torchvision's RoIAlign and NMS in mmcv's place, and what is said where neither runs on the device."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("mmcv")

from mmcv import _ext as compiled
from mmcv.ops import RoIAlign, batched_nms

from benchmarks.gpu import operators
from fasa.errors import UserError

OPERATORS = ("nms", "roi_align_forward", "roi_align_backward")
SCHEMAS = {  # of torchvision 0.28
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": "(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "_roi_align_backward": "(Tensor grad, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
    "int batch_size, int channels, int height, int width, int sampling_ratio, bool aligned) -> Tensor",
}


@pytest.fixture
def mmcvs(monkeypatch):
    """mmcv's own functions, which are there again after the test."""
    own = SimpleNamespace(**{name: getattr(compiled, name) for name in OPERATORS})
    for name in OPERATORS:
        monkeypatch.setattr(compiled, name, getattr(own, name))
    return own


@pytest.fixture
def torchvisions(mmcvs):
    """torchvision's three operators, with its schemas, made of mmcv's; how often each was called."""
    if hasattr(torch.ops.torchvision, "nms"):
        pytest.skip("the real ones are here")
    calls = []

    def nms(boxes, scores, threshold):
        calls.append("nms")
        return mmcvs.nms(boxes, scores, iou_threshold=threshold, offset=0)

    def options(scale, height, width, ratio, aligned):
        return dict(
            aligned_height=height, aligned_width=width, spatial_scale=scale, sampling_ratio=ratio, pool_mode=1,
            aligned=aligned,
        )  # fmt: skip

    def roi_align(maps, rois, scale, height, width, ratio, aligned):
        calls.append("roi_align")
        pooled, none = maps.new_zeros(len(rois), maps.shape[1], height, width), maps.new_zeros(0)
        mmcvs.roi_align_forward(maps, rois, pooled, none, none, **options(scale, height, width, ratio, aligned))
        return pooled

    def backward(grad, rois, scale, height, width, n, c, h, w, ratio, aligned):
        calls.append("_roi_align_backward")
        of_maps, none = grad.new_zeros(n, c, h, w), grad.new_zeros(0)
        mmcvs.roi_align_backward(grad, rois, none, none, of_maps, **options(scale, height, width, ratio, aligned))
        return of_maps

    library = torch.library.Library("torchvision", "DEF")
    for (name, schema), function in zip(SCHEMAS.items(), (nms, roi_align, backward), strict=True):
        library.define(name + schema)
        library.impl(name, function, "CPU")
    yield calls
    library._destroy()


def results() -> list[torch.Tensor]:
    """Pooled maps, their gradients, and the boxes that are kept."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 5, 17, 23, generator=generator, requires_grad=True)
    corner = torch.rand(40, 2, generator=generator) * 90 - 10
    boxes = torch.cat([corner, corner + torch.rand(40, 2, generator=generator) * 80], 1)
    pooled = RoIAlign((3, 7), 0.25, 2)(maps, torch.cat([torch.arange(40)[:, None] % 2, boxes], 1))
    (pooled * torch.arange(pooled.numel()).view_as(pooled).sin()).sum().backward()
    scores = torch.rand(40, generator=generator)
    kept = batched_nms(boxes, scores, torch.arange(40) % 3, {"type": "nms", "iou_threshold": 0.5})[1]
    return [pooled.detach(), maps.grad, kept]


def test_all_of_mmcv_calls_torchvisions_operators_on_that_device(torchvisions):
    expected = results()
    operators.exchange(compiled, "cuda")
    results()
    assert torchvisions == []
    operators.exchange(compiled, "cpu")
    found = results()
    assert torchvisions == ["roi_align", "_roi_align_backward", "nms"]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_without_either_it_is_one_sentence(mmcvs, monkeypatch):
    def lacking(*args, **options):
        raise RuntimeError("nms_impl: implementation for device cuda:0 not found.\n")

    assert operators.provide(torch.device("cpu")) == "mmcv"
    monkeypatch.setattr(compiled, "nms", lacking)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match=r"mmcv has no operators for cpu, and torchvision's, .* cannot be loaded"):
        operators.provide(torch.device("cpu"))
