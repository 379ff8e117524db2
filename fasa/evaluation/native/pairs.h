// The pairs of detections and ground truth that overlap: see fasa/evaluation/geometry/overlaps.py.
#pragma once

#include "arrays.h"

namespace fasa {

// Detection (row), truth (row) and IoU of each pair.
struct Pairs {
    std::vector<int64_t> detection;
    std::vector<int32_t> truth;
    std::vector<double> iou;

    void add(int64_t d, int64_t g, double value) {
        detection.push_back(d), truth.push_back(static_cast<int32_t>(g)), iou.push_back(value);
    }
};

Pairs mask_pairs(int64_t lo, int64_t hi, Array<const int32_t> image, Array<const int32_t> category,
                 Array<const int64_t> area, Array<const int32_t, 2> tight, Array<const uint8_t> counts,
                 Array<const int64_t> counts_start, Array<const int64_t> image_start,
                 Array<const int32_t> truth_category, Array<const bool> crowd, Array<const int64_t> truth_area,
                 Array<const int32_t, 2> truth_tight, Array<const uint32_t> truth_runs, Array<const int64_t> run_start,
                 bool all_classes, double match_iou, double background_iou);

Pairs box_pairs(int64_t lo, int64_t hi, Array<const int32_t> image, Array<const int32_t> category,
                Array<const double, 2> box, Array<const int64_t> image_start, Array<const int32_t> truth_category,
                Array<const bool> crowd, Array<const double, 2> truth_box, bool all_classes, double match_iou,
                double background_iou);

}  // namespace fasa
