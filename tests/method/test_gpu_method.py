"""The method on a GPU and on the CPU: the same groups, and the same probabilities after them."""

from __future__ import annotations

import pytest
import torch

from fasa import FASA
from fasa.method.grouping import fisher_distance, group_classes

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
CLASSES, CLUSTERS, DIM = 240, 30, 128


@pytest.fixture
def planted() -> tuple[torch.Tensor, torch.Tensor]:
    """Means and variances ``[240, 128]`` of classes in clusters of eight that lie far apart."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLUSTERS, DIM, generator=generator)[torch.arange(CLASSES) % CLUSTERS]
    mean = centres + 0.1 * torch.randn(CLASSES, DIM, generator=generator)
    return mean, 0.25 + 0.5 * torch.rand(CLASSES, DIM, generator=generator)


def test_fishers_ratio(planted):
    """A mean of 128 positive terms: each is within some 2**-22 of its value, and their sum within 128 * 2**-24."""
    mean, variance = planted
    of_gpu = fisher_distance(*(part.cuda() for part in (mean, variance, mean[:50], variance[:50])))
    of_cpu = fisher_distance(mean, variance, mean[:50], variance[:50])
    torch.testing.assert_close(of_gpu.cpu(), of_cpu, rtol=2**-22 + DIM * 2**-24, atol=1e-12)


@pytest.mark.parametrize("method", ["mean_shift", "affinity", "class"])
def test_groups(planted, method):
    """The planted ones, which 2**-18 of every mean, some thirty roundings of a distance, neither joins nor parts."""
    mean, variance = planted
    seen = (torch.arange(CLASSES) % 40 != 7).long()
    of_cpu = group_classes(mean, variance, seen, method, CLASSES // CLUSTERS)
    assert method == "class" or len(of_cpu.unique()) == CLUSTERS + 1  # and -1, of those not seen
    moved = mean * (1 + 2**-18 * torch.randn(mean.shape, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(group_classes(moved, variance, seen, method, CLASSES // CLUSTERS), of_cpu)
    of_gpu = group_classes(mean.cuda(), variance.cuda(), seen.cuda(), method, CLASSES // CLUSTERS)
    assert of_gpu.device.type == "cuda" and torch.equal(of_gpu.cpu(), of_cpu)


def test_adaptation(planted):
    """Losses that rise in some groups and fall in others, by far more than rounding."""
    mean, variance = planted
    counts = torch.arange(CLASSES, 0, -1)
    probabilities = []
    for device in ("cpu", "cuda"):
        fasa = FASA(counts, DIM, draws_per_step=20, neighbours=CLASSES // CLUSTERS).to(device)
        fasa.mean.copy_(mean)
        fasa.variance.copy_(variance)
        fasa.observations.fill_(1)
        loss = torch.ones(CLASSES, device=device)
        for direction in (0.0, 0.5, -0.25):
            loss += direction * torch.where(torch.arange(CLASSES, device=device) % CLUSTERS < 10, 1, -1)
            fasa.adapt(10 * loss, torch.full_like(loss, 10))
        probabilities.append(fasa.probabilities.cpu())
    assert len(probabilities[0].unique()) > 10
    torch.testing.assert_close(probabilities[1], probabilities[0], rtol=4 * 2**-24, atol=0)  # two products
