// TIDE's matching, errors and curves: see fasa/evaluation/metrics/tide_matching.py and tide.py.
#pragma once

#include "arrays.h"

namespace fasa {

void tide_match(Array<const int64_t> walk, Array<const int64_t> pair_start, Array<const int32_t> truth,
                Array<const double> iou, Array<const int32_t> category, Array<const int32_t> truth_category,
                Array<const bool> crowd, double match_iou, Array<bool> matched, Array<bool> taken);

void tide_explain(Array<const int64_t> walk, Array<const int64_t> pair_start, Array<const int32_t> truth,
                  Array<const double> iou, Array<const int32_t> category, Array<const int32_t> truth_category,
                  Array<const bool> crowd, Array<const int64_t> position, Array<const int32_t> image,
                  Array<const bool, 2> unjudged, Array<const bool> matched, Array<const bool> taken, double match_iou,
                  double background_iou, Array<uint8_t> fate, Array<int32_t> repaired_category, Array<bool> claimed);

void tide_curves(Array<const uint8_t> fate, Array<const double> score, Array<const int64_t> start,
                 Array<const int64_t> truths, Array<const uint8_t> role, bool errors_first, Array<double> ap,
                 Array<int64_t> points);

}  // namespace fasa
