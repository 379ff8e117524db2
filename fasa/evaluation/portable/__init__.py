"""The evaluator's loops by numba, for where the compiled extension ``fasa.evaluation._native`` is not built.

The functions below have the extension's names and arguments: arrays in, and arrays that they fill. ``boundary``,
``lrp`` and ``resampling`` have no twin in the extension: whoever asks for those figures loads numba.
"""

from fasa.evaluation.portable.matching import accumulate, match
from fasa.evaluation.portable.pairs import box_pairs, locate, mask_pairs
from fasa.evaluation.portable.rle import count_runs, draw_polygons, fill_runs, mask_runs, measure_masks, run_text
from fasa.evaluation.portable.tide import tide_curves, tide_explain, tide_match

__all__ = [
    "accumulate",
    "box_pairs",
    "count_runs",
    "draw_polygons",
    "fill_runs",
    "locate",
    "mask_pairs",
    "mask_runs",
    "match",
    "measure_masks",
    "run_text",
    "tide_curves",
    "tide_explain",
    "tide_match",
]
