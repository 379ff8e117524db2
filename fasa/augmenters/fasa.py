"""FASA as an augmenter: virtual features of the classifier's input, sampled as the held-out loss says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from fasa import method
from fasa.augmenters.base import Augmenter, Trainee, Validation

PRESETS = {"fasa_paper": method.fasa_paper, "fasa_released": method.fasa_released}


class FasaAugmenter(Augmenter):
    """Zang et al., ICCV 2021. ``options`` are those of :class:`fasa.FASA`, on top of a ``preset``.

    ``plain`` takes the loss of virtual features as that of held-out images is taken, ``criterion.validation``: without
    the margins and class weights of the training (docs/deviations.md, row 27).

    Raises:
        ValueError: an unknown preset, or ``plain`` where the criterion has no such form.
    """

    def __init__(self, trainee: Trainee, preset: str = "fasa_paper", plain: bool = False, **options: Any) -> None:
        super().__init__(trainee)
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
        self.fasa = method.FASA(
            trainee.class_counts,
            trainee.feature_dim,
            **{**PRESETS[preset], **options},
            generator=trainee.generator,
        )
        # Not registered as submodules: they belong to the trainee, and a checkpoint should hold them once.
        self._classifier: Callable[[Tensor], Tensor] = trainee.head.forward
        if plain and not hasattr(trainee.criterion, "validation"):
            raise ValueError("plain is true, but this criterion has no form without margins and class weights")
        self._criterion = trainee.criterion.validation if plain else trainee.criterion

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        self.fasa.observe(features, labels)
        return self.fasa.loss(self._classifier, self._criterion)

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        used = self.fasa.probabilities.tolist()
        if self.fasa.adaptive:
            held_out = validate()
            self.fasa.adapt(held_out.loss if self.fasa.signal == "loss" else held_out.correct, held_out.count)
        else:
            self.fasa.adapt()
        return {"probabilities": used, "groups": self.fasa.groups.tolist()}
