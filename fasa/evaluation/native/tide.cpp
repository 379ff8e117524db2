#include "tide.h"

#include <algorithm>

namespace fasa {

namespace {

// The same numbers as in codes.py.
enum Kind : uint8_t { MATCHED, CLS, LOC, BOTH, DUPE, BKG };
constexpr uint8_t IGNORED = 8, REPAIRS = 16;
enum Role : uint8_t { ABSENT, FALSE_POSITIVE, REPAIRED, TRUE_POSITIVE, LAST };
constexpr int LAST_RECALL = 100;

}  // namespace

void tide_match(Array<const int64_t> walk, Array<const int64_t> pair_start, Array<const int32_t> truth,
                Array<const double> iou, Array<const int32_t> category, Array<const int32_t> truth_category,
                Array<const bool> crowd, double match_iou, Array<bool> matched, Array<bool> taken) {
    for (int64_t i = 0; i < walk.size(); ++i) {
        const int64_t d = walk[i];
        int64_t best = -1;
        double best_iou = 0.0;
        for (int64_t p = pair_start[d]; p < pair_start[d + 1]; ++p) {
            const int64_t g = truth[p];
            // Rows of one image and class are in file order, so that > leaves equal IoUs to the file's first truth.
            if (truth_category[g] == category[d] && !crowd[g] && !taken[g] && iou[p] > best_iou)
                best = g, best_iou = iou[p];
        }
        if (best_iou >= match_iou) matched[d] = taken[best] = true;
    }
}

void tide_explain(Array<const int64_t> walk, Array<const int64_t> pair_start, Array<const int32_t> truth,
                  Array<const double> iou, Array<const int32_t> category, Array<const int32_t> truth_category,
                  Array<const bool> crowd, Array<const int64_t> position, Array<const int32_t> image,
                  Array<const bool, 2> unjudged, Array<const bool> matched, Array<const bool> taken, double match_iou,
                  double background_iou, Array<uint8_t> fate, Array<int32_t> repaired_category, Array<bool> claimed) {
    for (int64_t i = 0; i < walk.size(); ++i) {
        const int64_t d = walk[i];
        if (matched[d]) continue;
        bool ignored = category[d] < unjudged.shape[1] && unjudged.row(image[d])[category[d]];
        int64_t same = -1, other = -1;  // of its class, taken or not; of other classes, of equal IoUs the file's first
        double same_iou = 0.0, other_iou = 0.0;
        for (int64_t p = pair_start[d]; p < pair_start[d + 1]; ++p) {
            const int64_t g = truth[p];
            if (crowd[g])
                ignored |= truth_category[g] == category[d] && iou[p] > match_iou;
            else if (truth_category[g] == category[d]) {
                if (iou[p] > same_iou) same = g, same_iou = iou[p];
            } else if (iou[p] > other_iou || (other >= 0 && iou[p] == other_iou && position[g] < position[other])) {
                other = g, other_iou = iou[p];
            }
        }
        int64_t target = -1;
        uint8_t kind = BOTH;
        if (background_iou <= same_iou && same_iou <= match_iou)
            kind = LOC, target = same;
        else if (other_iou >= match_iou)
            kind = CLS, target = other;
        else if (same_iou >= match_iou)  // it is not matched, so the truth was taken
            kind = DUPE;
        else if (std::max(same_iou, other_iou) <= background_iou)
            kind = BKG;
        // A truth is repaired by the best-scored detection that claims it, which is the first here.
        const bool repairs = target >= 0 && !taken[target] && !claimed[target];
        if (repairs) {
            claimed[target] = true;
            if (kind == CLS) repaired_category[d] = truth_category[target];
        }
        fate[d] = static_cast<uint8_t>(kind + IGNORED * ignored + REPAIRS * repairs);
    }
}

void tide_curves(Array<const uint8_t> fate, Array<const double> score, Array<const int64_t> start,
                 Array<const int64_t> truths, Array<const uint8_t> role, bool errors_first, Array<double> ap,
                 Array<int64_t> points) {
    std::vector<double> precision;  // at each true positive
    for (int64_t c = 0; c < truths.size(); ++c) {
        precision.clear();
        int64_t false_positives = 0;
        for (int64_t low = start[c], high; low < start[c + 1]; low = high) {
            high = low + 1;
            while (errors_first && high < start[c + 1] && score[high] == score[low]) ++high;
            for (const bool errors : {true, false}) {
                for (int64_t i = low; i < high; ++i) {
                    const uint8_t kind = role[fate[i]];
                    if (kind == ABSENT || (kind != TRUE_POSITIVE) != errors) continue;
                    ++points[c];
                    if (kind == FALSE_POSITIVE) {
                        ++false_positives;
                    } else if (kind != LAST) {
                        const auto found = static_cast<double>(precision.size() + 1);
                        precision.push_back(found / (found + static_cast<double>(false_positives)));
                    }
                }
            }
        }
        const auto found = static_cast<int64_t>(precision.size());
        for (int64_t i = found - 1; i > 0; --i)  // the envelope: the best precision at this recall or a higher one
            precision[i - 1] = std::max(precision[i - 1], precision[i]);
        double total = 0.0;
        int64_t i = 0;
        for (int r = 0; r <= LAST_RECALL; ++r) {
            while (i < found && static_cast<double>(i + 1) / static_cast<double>(truths[c]) <
                                    static_cast<double>(r) / static_cast<double>(LAST_RECALL))
                ++i;
            if (i == found) break;
            total += precision[i];
        }
        ap[c] = total / (LAST_RECALL + 1) * 100;
    }
}

}  // namespace fasa
