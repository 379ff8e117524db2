#include "pairs.h"

#include <algorithm>

#include "rle.h"

namespace fasa {

namespace {

constexpr double NEVER = 2.0;  // no two shapes overlap as much

// Lowest IoU that a pair is kept from.
double floor_of(bool same_class, bool crowd, bool all_classes, double match_iou, double background_iou) {
    if (crowd || !all_classes) return same_class ? match_iou : NEVER;
    return background_iou;
}

int64_t shared_length(int64_t begin, int64_t length, int64_t other, int64_t other_length) {
    return std::min(begin + length, other + other_length) - std::max(begin, other);
}

}  // namespace

Pairs mask_pairs(int64_t lo, int64_t hi, Array<const int32_t> image, Array<const int32_t> category,
                 Array<const int64_t> area, Array<const int32_t, 2> tight, Array<const uint8_t> counts,
                 Array<const int64_t> counts_start, Array<const int64_t> image_start,
                 Array<const int32_t> truth_category, Array<const bool> crowd, Array<const int64_t> truth_area,
                 Array<const int32_t, 2> truth_tight, Array<const uint32_t> truth_runs, Array<const int64_t> run_start,
                 bool all_classes, double match_iou, double background_iou) {
    Pairs pairs;
    std::vector<uint32_t> runs;
    for (int64_t d = lo; d < hi; ++d) {
        if (area[d] <= 0) continue;  // an empty mask overlaps nothing; -1: not stored
        const int32_t *box = tight.row(d);
        bool decoded = false;
        for (int64_t g = image_start[image[d]]; g < image_start[image[d] + 1]; ++g) {
            const double floor =
                floor_of(category[d] == truth_category[g], crowd[g], all_classes, match_iou, background_iou);
            if (floor == NEVER) continue;
            const int32_t *other = truth_tight.row(g);
            const int64_t across = shared_length(box[0], box[2], other[0], other[2]);
            const int64_t down = shared_length(box[1], box[3], other[1], other[3]);
            if (across <= 0 || down <= 0) continue;
            const int64_t most = std::min({area[d], truth_area[g], across * down});
            const int64_t least = crowd[g] ? area[d] : area[d] + truth_area[g] - most;
            if (static_cast<double>(most) < (floor - 1e-6) * static_cast<double>(least)) continue;  // slack: rounding
            if (!decoded) decode(counts.data + counts_start[d], counts.data + counts_start[d + 1], runs);
            decoded = true;
            const int64_t shared = intersection(runs.data(), static_cast<int64_t>(runs.size()),
                                                truth_runs.data + run_start[g], run_start[g + 1] - run_start[g]);
            const int64_t whole = crowd[g] ? area[d] : area[d] + truth_area[g] - shared;
            const double iou = static_cast<double>(shared) / static_cast<double>(whole);
            if (iou >= floor) pairs.add(d, g, iou);
        }
    }
    return pairs;
}

Pairs box_pairs(int64_t lo, int64_t hi, Array<const int32_t> image, Array<const int32_t> category,
                Array<const double, 2> box, Array<const int64_t> image_start, Array<const int32_t> truth_category,
                Array<const bool> crowd, Array<const double, 2> truth_box, bool all_classes, double match_iou,
                double background_iou) {
    Pairs pairs;
    for (int64_t d = lo; d < hi; ++d) {
        const double *own = box.row(d);
        const double x = own[0], y = own[1], w = own[2], h = own[3];
        for (int64_t g = image_start[image[d]]; g < image_start[image[d] + 1]; ++g) {
            const double floor =
                floor_of(category[d] == truth_category[g], crowd[g], all_classes, match_iou, background_iou);
            if (floor == NEVER) continue;
            const double *other = truth_box.row(g);
            const double across = std::min(w + x, other[2] + other[0]) - std::max(x, other[0]);
            if (across <= 0) continue;
            const double down = std::min(h + y, other[3] + other[1]) - std::max(y, other[1]);
            if (down <= 0) continue;
            const double shared = across * down;
            const double whole = crowd[g] ? w * h : w * h + other[2] * other[3] - shared;
            const double iou = shared / whole;
            if (iou >= floor) pairs.add(d, g, iou);
        }
    }
    return pairs;
}

}  // namespace fasa
