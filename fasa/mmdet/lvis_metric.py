"""MMDetection's LVIS metric, for its own test tool: the package behind it needs a name that NumPy has dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.evaluation.metrics import LVISMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class RunnableLVISMetric(LVISMetric):
    """mmdet's ``LVISMetric``, with ``np.float`` there while it computes: lvis 0.5.3 asks for it.

    It rounds to three decimals and scores as lvis-api does; this project's own figures are from ``fasa.evaluation``.
    """

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Figures by their names, as fractions."""
        if hasattr(np, "float"):
            return super().compute_metrics(results)
        np.float = float
        try:
            return super().compute_metrics(results)
        finally:
            del np.float
