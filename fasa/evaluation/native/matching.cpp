#include "matching.h"

#include <cstddef>
#include <limits>

namespace fasa {

void match(Array<const int64_t> order, Array<const int32_t> outcome_row, Array<const int64_t> first,
           Array<const int32_t> truth, Array<const double> iou, Array<const bool, 2> truth_ignored,
           Array<const bool> crowd, Array<const double> thresholds, Array<uint8_t, 3> outcome) {
    const int64_t areas = outcome.shape[1], many = outcome.shape[2];
    std::vector<uint8_t> taken(static_cast<std::size_t>(truth_ignored.shape[0] * areas * many));
    for (int64_t i = 0; i < order.size(); ++i) {
        const int64_t s = outcome_row[order[i]];
        for (int64_t a = 0; a < areas; ++a) {
            for (int64_t t = 0; t < many; ++t) {
                int64_t best = -1;
                double best_iou = thresholds[t];
                bool best_ignored = true;
                for (int64_t p = first[s]; p < first[s + 1]; ++p) {  // in the order of the file
                    const int64_t g = truth[p];
                    const bool ignored = truth_ignored.row(g)[a];
                    if ((taken[(g * areas + a) * many + t] && !crowd[g]) || (ignored && !best_ignored)) continue;
                    // the first counted one is taken, whatever an ignored one had
                    if (iou[p] >= (ignored == best_ignored ? best_iou : thresholds[t]))
                        best = g, best_iou = iou[p], best_ignored = ignored;
                }
                if (best < 0) continue;
                taken[(best * areas + a) * many + t] = 1;
                outcome[(s * areas + a) * many + t] = best_ignored ? IGNORED : COUNTED;
            }
        }
    }
}

void accumulate(int64_t lo, int64_t hi, Array<const int64_t> order, Array<const int64_t> start,
                Array<const int64_t> truth_rows, Array<const int64_t> truth_start, Array<const int32_t> outcome_row,
                Array<const uint8_t, 3> outcome, Array<const bool, 2> ignored_unmatched,
                Array<const bool, 2> truth_ignored, Array<const double> recalls, Array<double, 4> precision,
                Array<double, 3> recall) {
    const int64_t areas = recall.shape[0], thresholds = recall.shape[1], groups = recall.shape[2];
    const int64_t points = recalls.size(), curves = areas * thresholds;
    std::vector<int64_t> truths, true_positives, false_anywhere, false_here, found;
    std::vector<double> precision_at, recall_at;
    for (int64_t k = lo; k < hi; ++k) {
        truths.assign(areas, 0);  // that count
        bool any = false;
        for (int64_t i = truth_start[k]; i < truth_start[k + 1]; ++i) {
            const int64_t g = truth_rows[i];
            for (int64_t a = 0; a < areas; ++a)
                if (!truth_ignored.row(g)[a]) ++truths[a];
        }
        for (const int64_t count : truths) any |= count > 0;
        if (!any) continue;
        int64_t hits = 0;
        for (int64_t i = start[k]; i < start[k + 1]; ++i) hits += outcome_row[order[i]] >= 0;
        // Precision is needed at true positives only: between two of them it falls.
        true_positives.assign(curves, 0);
        // False positives so far: a detection that overlaps nothing is one at every threshold, or at none.
        false_anywhere.assign(areas, 0), false_here.assign(curves, 0), found.assign(curves, 0);
        precision_at.resize(curves * hits), recall_at.resize(curves * hits);
        for (int64_t i = start[k]; i < start[k + 1]; ++i) {
            const int64_t d = order[i], s = outcome_row[d];
            for (int64_t a = 0; a < areas; ++a) {
                const bool counts = !ignored_unmatched.row(d)[a];
                if (s < 0) {
                    if (counts) ++false_anywhere[a];
                    continue;
                }
                if (truths[a] == 0) continue;
                for (int64_t t = 0; t < thresholds; ++t) {
                    const int64_t c = a * thresholds + t;
                    const uint8_t result = outcome[(s * outcome.shape[1] + a) * thresholds + t];
                    if (result == COUNTED) {
                        ++true_positives[c];
                        const double tp = static_cast<double>(true_positives[c]);
                        const double fp = static_cast<double>(false_anywhere[a] + false_here[c]);
                        precision_at[c * hits + found[c]] = tp / (fp + tp + std::numeric_limits<double>::epsilon());
                        recall_at[c * hits + found[c]] = tp / static_cast<double>(truths[a]);
                        ++found[c];
                    } else if (result == UNMATCHED && counts) {
                        ++false_here[c];
                    }
                }
            }
        }
        for (int64_t a = 0; a < areas; ++a) {
            if (truths[a] == 0) continue;
            for (int64_t t = 0; t < thresholds; ++t) {
                const int64_t c = a * thresholds + t, n = found[c];
                double *const at = precision_at.data() + c * hits;
                const double *const recalled = recall_at.data() + c * hits;
                recall[c * groups + k] = n ? recalled[n - 1] : 0.0;
                for (int64_t i = n - 1; i > 0; --i)  // the envelope: the best precision at this recall or a higher one
                    if (at[i] > at[i - 1]) at[i - 1] = at[i];
                int64_t i = 0;
                for (int64_t r = 0; r < points; ++r) {
                    while (i < n && recalled[i] < recalls[r]) ++i;
                    precision[(c * points + r) * groups + k] = i < n ? at[i] : 0.0;
                }
            }
        }
    }
}

}  // namespace fasa
