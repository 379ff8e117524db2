// The curves of a class for several draws of the images at once: see fasa/evaluation/metrics/resampling.py.
#pragma once

#include "arrays.h"

namespace fasa {

void draw_curves(int64_t lo, int64_t hi, Array<const int32_t> image, Array<const uint16_t> true_at,
                 Array<const uint16_t> false_at, Array<const int64_t> start, Array<const int32_t> truth_image,
                 Array<const int64_t> truth_start, Array<const int32_t, 2> weight, Array<const double> recalls,
                 Array<int64_t, 2> truths, Array<double, 4> precision, Array<double, 3> recall);

void transposed(Array<const double, 2> table, Array<const int64_t> rows, Array<double, 2> turned);

}  // namespace fasa
