"""The evaluator's loops by numba, for where the compiled extension ``fasa.evaluation._native`` is not built.

The functions below have the extension's names and arguments: arrays in, and arrays that they fill.
"""

from fasa.evaluation.portable.boundary import smaller_iou, truth_boundaries
from fasa.evaluation.portable.lrp import matched_iou, optima
from fasa.evaluation.portable.matching import accumulate, match
from fasa.evaluation.portable.pairs import box_pairs, locate, mask_pairs
from fasa.evaluation.portable.resampling import draw_curves, transposed
from fasa.evaluation.portable.rle import count_runs, draw_polygons, fill_runs, mask_runs, measure_masks, run_text
from fasa.evaluation.portable.tide import tide_curves, tide_explain, tide_match

__all__ = [
    "accumulate",
    "box_pairs",
    "count_runs",
    "draw_curves",
    "draw_polygons",
    "fill_runs",
    "locate",
    "mask_pairs",
    "mask_runs",
    "match",
    "matched_iou",
    "measure_masks",
    "optima",
    "run_text",
    "smaller_iou",
    "tide_curves",
    "tide_explain",
    "tide_match",
    "transposed",
    "truth_boundaries",
]
