"""mmcv's operators on a GPU against the CPU's, and a detector that trains, adapts and infers there."""

from __future__ import annotations

import pytest
import torch

if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)
pytest.importorskip("mmdet")

import mmcv._ext
from mmcv.ops import RoIAlign, batched_nms
from toys_detection import CLASSES, batch, build, fasa_head, image_batches, tiny_detector

from benchmarks.gpu.operators import runs
from fasa.evaluation import DetectionWriter, load_detections
from fasa.mmdet.roi_align import RowRoIAlign
from fasa.mmdet.validation_loss import ValidationLoss
from fasa.tasks.detection.topk_inference import RunningBest, infer, suppress

CUDA = torch.device("cuda")
NMS = {"type": "nms", "iou_threshold": 0.5}


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not runs(mmcv._ext, CUDA), reason="mmcv was built without CUDA")]


def boxes(n: int, seed: int = 0) -> torch.Tensor:
    """Overlapping boxes ``[n, 4]`` with whole coordinates: areas, and whether an IoU is above 1/2, have no rounding."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 200, (n, 2), generator=generator)
    return torch.cat([corner, corner + torch.randint(8, 60, (n, 2), generator=generator)], 1).float()


def scores(*shape: int) -> torch.Tensor:
    """Numbers in (0, 1), no two alike: their order is one."""
    n = torch.Size(shape).numel()
    return ((torch.randperm(n, generator=torch.Generator().manual_seed(1)) + 1) / (n + 2)).view(shape)


@pytest.mark.parametrize("n", [3000, 12_000])  # mmcv goes class by class from 10,000 on
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_nms_is_the_cpus(n, class_agnostic):
    found, score, labels = boxes(n), scores(n), torch.arange(n) % 7
    of_cpu = batched_nms(found, score, labels, dict(NMS), class_agnostic)[1]
    of_gpu = batched_nms(found.to(CUDA), score.to(CUDA), labels.to(CUDA), dict(NMS), class_agnostic)[1]
    assert 7 <= len(of_cpu) < n and torch.equal(of_gpu.cpu(), of_cpu)


@pytest.mark.parametrize(
    ("layer", "ratio", "within"),
    [
        (RoIAlign, 0, 1e-10),  # the order of some thousand sums of numbers about 1 changes 1e-12 at most
        (RoIAlign, 2, 1e-10),
        # On the CPU the places in a bin are of float32, within 2**-24 of a RoI's 15 pixels: 1e-6 for each of at most 40
        # RoIs at a pixel, times differences of pixels of at most 6. On the GPU it is mmcv's.
        (RowRoIAlign, 2, 1e-6 * 40 * 6),
    ],
)
def test_roi_align_is_the_cpus(layer, ratio, within):
    """Values and gradients, in float64."""
    torch.manual_seed(0)
    maps, image = torch.randn(2, 5, 17, 23, dtype=torch.double), torch.arange(40)[:, None] % 2
    rois = torch.cat([image, boxes(40) / 2 - 10], 1).double()  # some begin outside the image
    found = []
    for device in ("cpu", "cuda"):
        leaf = maps.to(device, copy=True).requires_grad_()
        pooled = layer(7, 0.25, ratio)(leaf, rois.to(device))
        (pooled * torch.arange(pooled.numel(), device=device).view_as(pooled).double().sin()).sum().backward()
        found.append((pooled.detach().cpu(), leaf.grad.cpu()))
    for of_cpu, of_gpu in zip(*found, strict=True):
        torch.testing.assert_close(of_gpu, of_cpu, rtol=0, atol=within)


@pytest.mark.parametrize("n", [50, 400])  # of 60 classes: 3,000 boxes, and 24,000
@pytest.mark.parametrize("agnostic", [False, True])
def test_suppression_for_ap_fixed_is_the_cpus(n, agnostic):
    classes = 60
    found = boxes(n) if agnostic else boxes(n * classes).view(n, 4 * classes)
    score, thresholds = scores(n, classes + 1), torch.linspace(0, 0.5, classes)
    of_cpu = suppress(found, score, thresholds, NMS, 300)
    of_gpu = suppress(found.to(CUDA), score.to(CUDA), thresholds.to(CUDA), NMS, 300)
    assert len(of_cpu) > classes
    for key in ("bboxes", "scores", "labels"):
        assert torch.equal(of_gpu[key].cpu(), of_cpu[key])


def test_the_running_best_are_the_cpus():
    tables = []
    for device in ("cpu", "cuda"):
        best = RunningBest(4, 7, 0.25, device)
        for part in scores(5, 60).to(device):
            best.add(torch.arange(60, device=device) % 3, part)
            best.gather()
        tables.append((best.scores.cpu(), best.thresholds.cpu()))
    torch.testing.assert_close(tables[1], tables[0], rtol=0, atol=0)


def test_the_first_losses_are_the_cpus():
    """Of the RPN alone: which of its nearly equal proposals come first is a matter of rounding. Some ten convolutions
    of at most 600 products, at full width: each moves a logit of about 1 by some sqrt(600) * 2**-24, in all by 1.5e-5.
    """
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        losses = []
        for device in ("cpu", "cuda"):
            detector = build(tiny_detector()).to(device)
            torch.manual_seed(1)  # MMDetection draws anchors with the CPU's generator, whatever the device
            losses.append({k: v for k, v in detector.loss(**batch(detector, 0, 1)).items() if "rpn" in k})
    finally:
        torch.backends.cudnn.allow_tf32 = before
    for name, values in losses[0].items():
        for of_cpu, of_gpu in zip(values, losses[1][name], strict=True):
            torch.testing.assert_close(of_gpu.cpu(), of_cpu, rtol=1e-4, atol=1e-5)


def test_a_detector_trains_adapts_and_infers(tmp_path):
    detector = build(tiny_detector(**fasa_head(draws_per_step=5, start_epoch=0))).to(CUDA)
    fasa = detector.roi_head.bbox_head.augmenter.fasa
    optimiser = torch.optim.SGD(detector.parameters(), lr=1e-3)
    for step in range(4):
        fasa.probabilities.fill_(1)
        losses = detector.loss(**batch(detector, 2 * step, 2 * step + 1))
        total, logs = detector.parse_losses(losses)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        assert total.isfinite()
    assert logs["virtual"] > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())
    assert (fasa.observations > 0).all() and fasa.mean.is_cuda
    before = fasa.epoch.item()
    (sums,) = ValidationLoss(detector, image_batches(4))()
    fasa.adapt(sums.loss[:-1], sums.count[:-1])
    assert fasa.epoch == before + 1 and (fasa.groups >= 0).all()
    path = tmp_path / "found.npz"
    with DetectionWriter(path, None, "all") as writer:
        thresholds = infer(detector, image_batches(), writer, list(range(1, CLASSES + 1)), per_class=20)
    found = load_detections(path)
    assert thresholds.is_cuda and len(found) >= CLASSES and (found.mask_area >= 0).all()
