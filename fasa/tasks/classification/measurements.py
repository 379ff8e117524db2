"""What is read off a finished run: accuracies, probabilities, weight norms, features, the trajectory of sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fasa.datasets import LongTailDataset
from fasa.datasets.shots import shots
from fasa.tasks.classification.augment import Images
from fasa.tasks.classification.classifier import Classifier
from fasa.tasks.classification.recipe import ClassificationRecipe

# Multiples of the log prior that the held-out labels may choose from.
TEMPERATURES = [round(0.1 * k, 1) for k in range(31)]


@torch.no_grad()
def predict(classifier: Classifier, images: Images) -> tuple[Tensor, Tensor]:
    """Deployed logits ``[N, C]`` and features ``[N, d]`` of all ``images``, uncropped."""
    logits, features = [], []
    classifier.eval()
    for _, inputs in images.batches():
        pooled = classifier.network(inputs).mean((2, 3))
        features.append(pooled)
        logits.append(classifier.head.infer(pooled))
    return torch.cat(logits), torch.cat(features)


def class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean of ``values [N, …]`` over the samples of each class, ``[C, …]``."""
    total = values.new_zeros(classes, *values.shape[1:]).index_add_(0, labels, values)
    return total / labels.bincount(minlength=classes).clamp(min=1).reshape(-1, *[1] * (values.ndim - 1))


def logit_adjusted(logits: Tensor, counts: Tensor, temperature: float) -> Tensor:
    """Predictions ``[N]`` of ``logits - temperature * log prior`` (Menon et al. 2021, post hoc)."""
    return (logits - temperature * (counts / counts.sum()).log()).argmax(1)


def measure(
    classifier: Classifier,
    recipe: ClassificationRecipe,
    dataset: LongTailDataset,
    history: dict[str, list[Any]],
    device: torch.device,
) -> dict[str, Any]:
    """All measurements of a finished run, ready for JSON; fractions, ``[C]`` lists in class order."""
    counts = torch.as_tensor(dataset.class_counts, device=device)

    def split(images: Any, labels: Any) -> tuple[Tensor, Tensor, Tensor]:
        pixels = Images(torch.as_tensor(images, device=device), dataset.mean, dataset.std, dataset.pad, dataset.flip)
        return *predict(classifier, pixels), torch.as_tensor(labels, device=device)

    logits, features, labels = split(dataset.test_images, dataset.test_labels)
    held_logits, _, held_labels = split(dataset.heldout_images, dataset.heldout_labels)
    hits = (logits.argmax(1) == labels).float()
    per_class = class_means(hits, labels, len(counts))
    scaled = functional.softmax(recipe.loss.logit_scale * logits, 1)
    true_probability = scaled.gather(1, labels[:, None]).squeeze(1)
    scores, held_scores = recipe.loss.logit_scale * logits, recipe.loss.logit_scale * held_logits
    tau = max(TEMPERATURES, key=lambda t: _balanced(logit_adjusted(held_scores, counts, t), held_labels))
    measurements: dict[str, Any] = {
        "accuracy": {
            "last": _fraction(hits),
            "best": max(value for value in history["accuracy"] if value is not None),
            **{name: _fraction(per_class[members]) for name, members in shots(counts.tolist()).items() if members},
            "logit_adjusted": _fraction((logit_adjusted(scores, counts, 1.0) == labels).float()),
            "logit_adjusted_tuned": _fraction((logit_adjusted(scores, counts, tau) == labels).float()),
            "logit_adjusted_tau": tau,
        },
        "per_class_accuracy": _list(per_class),
        "weight_norms": _list(classifier.head.class_weights().detach().norm(dim=1)),
        "class_probabilities": _list(class_means(true_probability, labels, len(counts))),
        "class_features": [_list(row, 4) for row in class_means(features, labels, len(counts))],
        "learning_curve": {
            "epoch": list(range(1, len(history["train_loss"]) + 1)),
            **{key: history[key] for key in ("train_loss", "accuracy", "validation_loss")},
        },
    }
    if "probabilities" in history:
        kept = [key for key in ("probabilities", "groups") if key in history]
        measurements["sampling_trajectory"] = {key: history[key] for key in kept}
        measurements["virtual_features"] = _virtual(history["probabilities"], recipe, len(dataset.train_labels))
    return measurements


def _virtual(probabilities: list[list[float]], recipe: ClassificationRecipe, images: int) -> list[float]:
    """Expected number of virtual features of each class over the training: its probability times the steps it had."""
    schedule = recipe.schedule
    rounding = int if schedule.drop_last else lambda x: -int(-x // 1)
    steps = schedule.epoch_length or max(1, rounding(images / schedule.batch_size))
    first = recipe.augmenter.options.get("start_epoch", 1)
    drawn = torch.tensor(probabilities[first:] or [[0.0] * len(probabilities[0])])  # no epoch may have any
    return _list(drawn.sum(0) * steps, 2)


def _balanced(predictions: Tensor, labels: Tensor) -> float:
    """Mean over the classes at hand of their share of right predictions; 0 without any image."""
    if not len(labels):
        return 0.0
    hits = class_means((predictions == labels).float(), labels, int(labels.max()) + 1)
    return float(hits[labels.unique()].mean())


def _fraction(values: Tensor) -> float:
    return round(float(values.double().mean()), 6)


def _list(values: Tensor, digits: int = 6) -> list[float]:
    return [round(value, digits) for value in values.double().tolist()]
