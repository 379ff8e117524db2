// LRP: the IoU of each match, and every class's best prefix of its detections: see fasa/evaluation/metrics/lrp.py.
#pragma once

#include "arrays.h"

namespace fasa {

void matched_iou(Array<const int64_t> order, Array<const int32_t> outcome_row, Array<const uint8_t, 3> outcome,
                 Array<const int64_t> first, Array<const int32_t> truth, Array<const double> iou,
                 Array<const bool, 2> truth_ignored, Array<double> found);

void optima(Array<const int64_t> order, Array<const int64_t> start, Array<const int32_t> outcome_row,
            Array<const uint8_t, 3> outcome, Array<const bool, 2> ignored_unmatched, Array<const double> score,
            Array<const double> iou, Array<const int64_t> truths, double least_iou, Array<double, 2> columns);

}  // namespace fasa
