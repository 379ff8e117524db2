// Boundaries of masks, from runs to runs, and IoU with them: see fasa/evaluation/geometry/boundary.py.
#pragma once

#include "arrays.h"

namespace fasa {

// The boundaries of some masks, one after the other: runs, and where each mask's begin.
struct Boundaries {
    std::vector<uint32_t> runs;
    std::vector<int64_t> start;
};

Boundaries truth_boundaries(Array<const int64_t> rows, Array<const int32_t> image, Array<const bool> crowd,
                            Array<const int32_t, 2> tight, Array<const uint32_t> runs, Array<const int64_t> run_start,
                            Array<const int64_t> heights, Array<const int32_t> distance);

void smaller_iou(Array<const int64_t> detection, Array<const int64_t> rows, Array<const int64_t> place,
                 Array<const int32_t> image, Array<const int32_t, 2> tight, Array<const uint8_t> counts,
                 Array<const int64_t> counts_start, Array<const bool> crowd, Array<const int32_t, 2> truth_tight,
                 Array<const uint32_t> truth_runs, Array<const int64_t> truth_start, Array<const int64_t> heights,
                 Array<const int32_t> distance, Array<double> iou);

}  // namespace fasa
