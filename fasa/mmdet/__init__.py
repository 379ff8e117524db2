"""The plug-in for MMDetection: importing this registers heads, losses, hooks, data sets, samplers and a metric.

In a config: ``custom_imports = dict(imports=['fasa.mmdet'])``.
"""

from contextlib import redirect_stdout
from io import StringIO

with redirect_stdout(StringIO()):  # it prints what it can do without, and --dump-config prints a Python file
    import mmdet.datasets  # noqa: F401

from fasa.mmdet import (
    adaptation_hook,
    alternation,
    bbox_head,
    bilevel_sampling,
    calibration,
    datasets,
    decoupling,
    instaboost,
    losses,
    lvis_metric,
    micro_batches,
    nms_resampling,
    roi_align,
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
    "lvis_metric",
    "micro_batches",
    "nms_resampling",
    "roi_align",
    "seeding",
]
