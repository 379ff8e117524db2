// Greedy matching and the tables of average precision: see fasa/evaluation/metrics/.
#pragma once

#include "arrays.h"

namespace fasa {

enum Outcome : uint8_t { UNMATCHED = 0, COUNTED = 1, IGNORED = 2 };

void match(Array<const int64_t> order, Array<const int32_t> outcome_row, Array<const int64_t> first,
           Array<const int32_t> truth, Array<const double> iou, Array<const bool, 2> truth_ignored,
           Array<const bool> crowd, Array<const double> thresholds, Array<uint8_t, 3> outcome);

void accumulate(int64_t lo, int64_t hi, Array<const int64_t> order, Array<const int64_t> start,
                Array<const int64_t> truth_rows, Array<const int64_t> truth_start, Array<const int32_t> outcome_row,
                Array<const uint8_t, 3> outcome, Array<const bool, 2> ignored_unmatched,
                Array<const bool, 2> truth_ignored, Array<const double> recalls, Array<double, 4> precision,
                Array<double, 3> recall);

}  // namespace fasa
