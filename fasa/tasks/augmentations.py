"""Which augmenters can join a task's training, and the constructors that take their options."""

from __future__ import annotations

FASA = ("fasa.augmenters.fasa:FasaAugmenter", "fasa.method.fasa:FASA")
DRAWN = "fasa.augmenters.drawn:DrawnFeatures"
ANY = {
    "none": (),
    "fasa": FASA,
    "smote": ("fasa.augmenters.smote:Smote", DRAWN),
    "yin": ("fasa.augmenters.yin:Yin", DRAWN),
}
JOINING: dict[str, dict[str, tuple[str, ...]]] = {
    "ImageContext": {**ANY, "m2m": ("fasa.augmenters.m2m:M2m",), "chu": ("fasa.augmenters.chu:Chu",)},
    "RoIContext": {
        **ANY,
        "moex": ("fasa.mmdet.roi_augmenters:MoExBBoxHead",),
        "chu": ("fasa.mmdet.roi_chu:RoIChu",),
    },
}


def joining(context: str) -> dict[str, tuple[str, ...]]:
    """The augmenters that can join the training that a ``context`` of fasa/augmenters/base.py tells of."""
    return JOINING[context]
