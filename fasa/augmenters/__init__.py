"""What makes virtual training examples: FASA and its rivals, one file each, behind one small interface."""

from __future__ import annotations

from fasa.augmenters.base import Augmenter, Trainee, Validation
from fasa.augmenters.chu import Chu
from fasa.augmenters.fasa import FasaAugmenter
from fasa.augmenters.m2m import M2m
from fasa.augmenters.smote import Smote
from fasa.augmenters.yin import Yin

AUGMENTERS: dict[str, type[Augmenter]] = {
    "none": Augmenter,
    "fasa": FasaAugmenter,
    "m2m": M2m,
    "chu": Chu,
    "smote": Smote,
    "yin": Yin,
}

__all__ = ["AUGMENTERS", "Augmenter", "Trainee", "Validation"]
