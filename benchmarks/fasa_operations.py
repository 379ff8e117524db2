"""One training step of FASA at LVIS's size against a loop over classes, after checking that both say the same.

    python -m benchmarks.fasa_operations

Then what FASA adds to a step of the classifier alone, the smallest model that it can be plugged into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.timing import medians, where
from fasa import FASA


@dataclass(frozen=True)
class Size:
    """Classes, width of their features, RoIs of a step, and expected virtual features."""

    classes: int = 1203
    dim: int = 1024
    features: int = 512
    draws: float = 15.0


@dataclass(frozen=True)
class Found:
    """Median seconds of each operation by FASA and by the loop, of a step of the classifier without and with FASA, and
    bytes of tensors: FASA's state, and what its part of a step needs at most beside that (None on a CPU)."""

    classes_of_batch: float
    operations: dict[str, dict[str, float]]
    classifier: dict[str, float]
    state_bytes: int
    step_bytes: int | None


class Loop:
    """The same step as it is usually told: for every class of the batch, then for every class that is drawn."""

    def __init__(self, probabilities: Tensor, dim: int) -> None:
        self.probabilities = probabilities
        self.mean = probabilities.new_zeros(len(probabilities), dim)
        self.variance = torch.zeros_like(self.mean)
        self.used = [False] * len(probabilities)

    def observe(self, features: Tensor, labels: Tensor) -> None:
        for c in labels.unique().tolist():
            of_class = features[labels == c]
            mean = of_class.mean(0)
            variance = of_class.var(0) if len(of_class) > 1 else torch.zeros_like(mean)
            if self.used[c]:
                mean, variance = 0.9 * self.mean[c] + 0.1 * mean, 0.9 * self.variance[c] + 0.1 * variance
            self.mean[c], self.variance[c], self.used[c] = mean, variance, True

    def sample(self) -> tuple[Tensor, Tensor]:
        features, labels = [], []
        chance = torch.rand(len(self.probabilities), device=self.mean.device)
        for c, drawn in enumerate((chance < self.probabilities).tolist()):
            if drawn and self.used[c]:
                features.append(self.mean[c] + self.variance[c].sqrt() * torch.randn_like(self.mean[c]))
                labels.append(c)
        stacked = torch.stack(features) if features else self.mean[:0]
        return stacked, torch.tensor(labels, dtype=torch.long, device=self.mean.device)

    def loss(self, classifier: nn.Module) -> Tensor:
        features, labels = self.sample()
        return 0.1 * functional.cross_entropy(classifier(features), labels) if len(labels) else self.mean.new_zeros(())


def per_example(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


def measure(device: torch.device, size: Size, rounds: int) -> Found:
    """Time both over ``rounds`` turns each, once both gave the same statistics."""
    torch.manual_seed(0)
    # From 50,552 instances down to 1 and a million in all, much as LVIS v1 train.
    counts = (50552 * torch.exp(-10.83 * torch.linspace(0, 1, size.classes).sqrt())).ceil().long()
    fasa = FASA(counts, size.dim, draws_per_step=size.draws, adaptive=False).to(device)
    loop = Loop(fasa.probabilities, size.dim)
    classifier = nn.Linear(size.dim, size.classes).to(device)
    batches = [
        (
            torch.randn(size.features, size.dim, device=device).relu(),
            torch.multinomial(counts.double(), size.features, True).to(device),
        )
        for _ in range(20)
    ]
    # Every class once, so that all can be drawn.
    every = torch.arange(size.classes, device=device)
    batches.append((torch.randn(size.classes, size.dim, device=device).relu(), every))
    for features, labels in batches:
        fasa.observe(features, labels)
        loop.observe(features, labels)
    torch.testing.assert_close(fasa.mean, loop.mean)
    torch.testing.assert_close(fasa.variance, loop.variance)
    fasa.adapt()  # past the start epoch

    def step(method: FASA | Loop, *criterion: Callable) -> None:
        method.observe(*batches[0])
        method.loss(classifier, *criterion).backward()

    def classify(method: FASA | None) -> None:
        features, labels = batches[0]
        loss = per_example(classifier(features), labels).mean()
        if method is not None:
            method.observe(features, labels)
            loss = loss + method.loss(classifier, per_example)
        loss.backward()

    operations: dict[str, dict[str, Callable]] = {
        "observe": {"fasa": lambda: fasa.observe(*batches[0]), "loop": lambda: loop.observe(*batches[0])},
        "sample": {"fasa": fasa.sample, "loop": loop.sample},
        "loss": {"fasa": lambda: fasa.loss(classifier, per_example), "loop": lambda: loop.loss(classifier)},
        "step": {"fasa": lambda: step(fasa, per_example), "loop": lambda: step(loop)},
    }
    return Found(
        classes_of_batch=sum(len(labels.unique()) for _, labels in batches[:-1]) / (len(batches) - 1),
        operations={name: medians(pair, rounds) for name, pair in operations.items()},
        classifier=medians({"without": lambda: classify(None), "with": lambda: classify(fasa)}, rounds),
        state_bytes=sum(buffer.nbytes for buffer in fasa.buffers()),
        step_bytes=_peak(lambda: step(fasa, per_example), device),
    )


def _peak(call: Callable, device: torch.device) -> int | None:
    """Bytes of tensors that ``call`` needs at most beside those that were there before."""
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() - before


def main() -> None:
    size = Size()
    found = measure(torch.device("cuda" if torch.cuda.is_available() else "cpu"), size, rounds=30)
    print(
        f"{size.classes} classes x {size.dim}, {size.features} features of {found.classes_of_batch:.0f} classes, "
        f"{size.draws:.0f} virtual; {where()}"
    )
    print(f"{'':<8}  {'fasa':>9}  {'loop':>9}  loop / fasa")
    for name, took in found.operations.items():
        ratio = took["loop"] / took["fasa"]
        print(f"{name:<8}  {1e3 * took['fasa']:6.2f} ms  {1e3 * took['loop']:6.2f} ms  {ratio:11.1f}")
    alone, with_fasa = found.classifier["without"], found.classifier["with"]
    print(f"the classifier alone {1e3 * alone:.2f} ms, with FASA {1e3 * with_fasa:.2f} ms: {with_fasa / alone:.2f}")
    memory = f", a step {found.step_bytes / 2**20:.1f} MiB more" if found.step_bytes is not None else ""
    print(f"FASA's state {found.state_bytes / 2**20:.1f} MiB{memory}")


if __name__ == "__main__":
    main()
