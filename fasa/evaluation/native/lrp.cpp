#include "lrp.h"

#include <limits>

#include "matching.h"

namespace fasa {

void matched_iou(Array<const int64_t> order, Array<const int32_t> outcome_row, Array<const uint8_t, 3> outcome,
                 Array<const int64_t> first, Array<const int32_t> truth, Array<const double> iou,
                 Array<const bool, 2> truth_ignored, Array<double> found) {
    const int64_t stride = outcome.shape[1] * outcome.shape[2];
    std::vector<bool> taken(truth_ignored.shape[0]);
    for (int64_t i = 0; i < order.size(); ++i) {
        const int64_t s = outcome_row[order[i]];
        if (s < 0 || outcome[s * stride] != COUNTED) continue;
        int64_t best = -1;
        for (int64_t p = first[s]; p < first[s + 1]; ++p) {
            const int64_t g = truth[p];
            if (!taken[g] && !truth_ignored.row(g)[0] && iou[p] >= found[s]) best = g, found[s] = iou[p];
        }
        if (best >= 0) taken[best] = true;
    }
}

void optima(Array<const int64_t> order, Array<const int64_t> start, Array<const int32_t> outcome_row,
            Array<const uint8_t, 3> outcome, Array<const bool, 2> ignored_unmatched, Array<const double> score,
            Array<const double> iou, Array<const int64_t> truths, double least_iou, Array<double, 2> columns) {
    constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
    const int64_t stride = outcome.shape[1] * outcome.shape[2];
    for (int64_t k = 0; k < truths.size(); ++k) {
        if (truths[k] == 0) continue;
        int64_t tp = 0, fp = 0;
        double total_iou = 0.0, lowest = std::numeric_limits<double>::infinity();
        const auto fill = [&](double error, double localisation, double false_positives, double missed, double at) {
            const double values[5] = {error, localisation, false_positives, missed, at};
            for (int part = 0; part < 5; ++part) columns.row(part)[k] = values[part];
        };
        for (int64_t i = start[k]; i < start[k + 1]; ++i) {
            const int64_t d = order[i], s = outcome_row[d];
            const int fate = s >= 0 ? int{outcome[s * stride]} : UNMATCHED;
            if (fate == COUNTED)
                ++tp, total_iou += iou[s];
            else if (fate == UNMATCHED && !ignored_unmatched.row(d)[0])
                ++fp;
            const auto found = static_cast<double>(tp), wrong = static_cast<double>(fp);
            const auto missed = static_cast<double>(truths[k] - tp);
            const double error = ((found - total_iou) / (1 - least_iou) + wrong + missed) / (found + wrong + missed);
            if (error < lowest) {  // of equals the first, the highest score
                lowest = error;
                fill(error, tp ? (found - total_iou) / found : nothing, tp + fp ? wrong / (found + wrong) : nothing,
                     missed / static_cast<double>(truths[k]), score[d]);
            }
        }
        if (tp == 0) fill(1.0, nothing, nothing, 1.0, nothing);  // no score is any better: everything is missed
    }
}

}  // namespace fasa
