"""The plug-in for MMDetection: importing this registers heads, losses, hooks, data sets and samplers.

In a config: ``custom_imports = dict(imports=['fasa.detection'])``.
"""

from fasa.detection import (
    adaptation_hook,
    alternation,
    bbox_head,
    bilevel_sampling,
    calibration,
    datasets,
    decoupling,
    instaboost,
    losses,
    nms_resampling,
    roi_align,
    roi_augmenters,
    samplers,
    seeding,
)

__all__ = [
    "adaptation_hook",
    "alternation",
    "bbox_head",
    "bilevel_sampling",
    "calibration",
    "datasets",
    "decoupling",
    "instaboost",
    "losses",
    "nms_resampling",
    "roi_align",
    "roi_augmenters",
    "samplers",
    "seeding",
]
