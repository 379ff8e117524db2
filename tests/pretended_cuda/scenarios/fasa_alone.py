"""FASA by itself on two hundred classes: what it keeps and gives on the device is what it does on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pretended_cuda import strictness
from torch import Tensor, nn
from torch.nn import functional

from fasa.method.fasa import FASA, fasa_released

CUDA = torch.device("cuda")
CLASSES, WIDTH, BATCH = 200, 64, 256
COUNTS = torch.arange(CLASSES, 0, -1)
OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": fasa_released,
    "affinity, class_mean, metric": {"grouping": "affinity", "reduction": "class_mean", "adapt_on": "metric"},
    "class, std": {"grouping": "class", "variance_estimator": "std"},
    "ewm, uniform": {"variance_estimator": "ewm", "initialisation": "uniform"},
    "static": {"adaptive": False},
}


def prepare() -> None:
    """Forbid FASA to wait for the device in a step."""
    strictness.of_fasa()


def criterion(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """Features around their classes' centres, and labels, of which some are a detector's background."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES + 20, (BATCH,), generator=generator)
    centres = torch.linspace(-3, 3, WIDTH) * (labels[:, None] % 7)
    return centres + torch.randn(BATCH, WIDTH, generator=generator), labels


def as_on_the_cpu(folder: Path, **options: Any) -> None:
    """Statistics, groups and probabilities after two epochs; the loss where no chance is in it."""
    here, there = (FASA(COUNTS, WIDTH, **options).to(device) for device in ("cpu", CUDA))
    torch.manual_seed(0)
    classifier = nn.Linear(WIDTH, CLASSES)
    classifiers = {here: classifier, there: nn.Linear(WIDTH, CLASSES).to(CUDA)}
    classifiers[there].load_state_dict(classifier.state_dict())
    for epoch in range(3):
        losses = []
        for fasa in (here, there):
            device = fasa.mean.device
            for seed in range(4 * epoch, 4 * epoch + 4):
                fasa.observe(*(tensor.to(device) for tensor in batch(seed)))
            kept = fasa.variance.clone(), fasa.probabilities.clone()
            fasa.variance.zero_()  # eq 3 without its noise
            fasa.probabilities.fill_(1)
            losses.append(fasa.loss(classifiers[fasa], criterion))
            losses.append(fasa.weighted_loss(classifiers[fasa], criterion).total)
            for buffer, value in zip((fasa.variance, fasa.probabilities), kept, strict=True):
                buffer.copy_(value)
            sums = torch.arange(1.0, CLASSES + 1) * (1 + (torch.arange(CLASSES) + epoch) % 3)
            fasa.adapt(sums.to(device), torch.full((CLASSES,), 5.0, device=device))
        torch.testing.assert_close([loss.cpu() for loss in losses[2:]], losses[:2])
        for name, value in there.state_dict().items():
            torch.testing.assert_close(value.cpu(), here.state_dict()[name], equal_nan=True)


def captured(folder: Path) -> None:
    """A step in a graph makes what the same step makes without one, and moves the generator as far."""
    ends = []
    for graphed in (False, True):
        generator = torch.Generator(CUDA).manual_seed(5)
        fasa = FASA(COUNTS, WIDTH, start_epoch=0, draws_per_step=50, generator=generator).to(CUDA)
        torch.manual_seed(0)
        classifier = nn.Linear(WIDTH, CLASSES).to(CUDA)
        ends.append(_steps(fasa, classifier, generator, graphed))
    torch.testing.assert_close(*ends, rtol=0, atol=0)


def _steps(fasa: FASA, classifier: nn.Module, generator: torch.Generator, graphed: bool) -> list[Tensor]:
    features, labels = (tensor.to(CUDA) for tensor in batch(0))
    total = torch.zeros((), device=CUDA)

    def step() -> None:
        fasa.observe(features, labels)
        total.add_(fasa.loss(classifier, criterion).detach())

    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda.synchronize()
        step()
        replay: Callable[[], None] = step
        if graphed:
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(generator)
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                step()
            replay = graph.replay
        for seed in range(1, 4):
            for static, fresh in zip((features, labels), batch(seed), strict=True):
                static.copy_(fresh)
            replay()
        return [total.cpu(), fasa.mean.cpu(), fasa.variance.cpu(), generator.get_state()]


def saved_and_loaded(folder: Path) -> None:
    """A state of the device goes on on the CPU, and one of the CPU on the device."""
    trained = FASA(COUNTS, WIDTH).to(CUDA)
    trained.observe(*(tensor.to(CUDA) for tensor in batch(0)))
    torch.save(trained.state_dict(), folder / "fasa.pt")
    state = torch.load(folder / "fasa.pt", map_location="cpu", weights_only=True)
    for device in ("cpu", CUDA):
        fresh = FASA(COUNTS, WIDTH).to(device)
        fresh.load_state_dict(state)
        assert fresh.mean.device.type == torch.device(device).type
        torch.testing.assert_close(fresh.mean.cpu(), trained.mean.cpu())
        fresh.observe(*(tensor.to(device) for tensor in batch(1)))


def _with(options: dict[str, Any]) -> Callable[[Path], None]:
    return lambda folder: as_on_the_cpu(folder, **options)


SCENARIOS: dict[str, Callable[[Path], Any]] = {
    **{f"FASA as on the CPU: {name}": _with(options) for name, options in OPTIONS.items()},
    "FASA captured": captured,
    "FASA saved and loaded": saved_and_loaded,
}
