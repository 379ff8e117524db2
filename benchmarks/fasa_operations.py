"""One training step of FASA at LVIS's size against a loop over classes, after checking that both say the same.

python benchmarks/fasa_operations.py
"""

from __future__ import annotations

import torch
from timing import medians, where
from torch import Tensor, nn
from torch.nn import functional

from fasa import FASA

CLASSES, DIM, FEATURES, SCALE = 1203, 1024, 512, 15.0
ROUNDS = 30


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


def main() -> None:
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # From 50,552 instances down to 1 and a million in all, much as LVIS v1 train.
    counts = (50552 * torch.exp(-10.83 * torch.linspace(0, 1, CLASSES).sqrt())).ceil().long()
    fasa = FASA(counts, DIM, draws_per_step=SCALE, adaptive=False).to(device)
    loop = Loop(fasa.probabilities, DIM)
    classifier = nn.Linear(DIM, CLASSES).to(device)
    batches = [
        (
            torch.randn(FEATURES, DIM, device=device).relu(),
            torch.multinomial(counts.double(), FEATURES, True).to(device),
        )
        for _ in range(20)
    ]
    # Every class once, so that all can be drawn.
    batches.append((torch.randn(CLASSES, DIM, device=device).relu(), torch.arange(CLASSES, device=device)))
    for features, labels in batches:
        fasa.observe(features, labels)
        loop.observe(features, labels)
    torch.testing.assert_close(fasa.mean, loop.mean)
    torch.testing.assert_close(fasa.variance, loop.variance)
    fasa.adapt()  # past the start epoch
    in_batch = sum(len(labels.unique()) for _, labels in batches[:-1]) / (len(batches) - 1)
    print(f"{CLASSES} classes x {DIM}, {FEATURES} features of {in_batch:.0f} classes, {SCALE:.0f} virtual; {where()}")

    def step(method: FASA | Loop, *criterion) -> None:
        method.observe(*batches[0])
        method.loss(classifier, *criterion).backward()

    operations = {
        "observe": (lambda: fasa.observe(*batches[0]), lambda: loop.observe(*batches[0])),
        "sample": (fasa.sample, loop.sample),
        "loss": (lambda: fasa.loss(classifier, per_example), lambda: loop.loss(classifier)),
        "step": (lambda: step(fasa, per_example), lambda: step(loop)),
    }
    print(f"{'':<8}  {'fasa':>9}  {'loop':>9}  loop / fasa")
    for name, (ours, theirs) in operations.items():
        took = medians({"fasa": ours, "loop": theirs}, ROUNDS)
        ratio = took["loop"] / took["fasa"]
        print(f"{name:<8}  {1e3 * took['fasa']:6.2f} ms  {1e3 * took['loop']:6.2f} ms  {ratio:11.1f}")


if __name__ == "__main__":
    main()
