#include "resampling.h"

#include <algorithm>

namespace fasa {

namespace {

constexpr int DRAWS = 8;                           // that are computed together, the innermost of all loops
constexpr uint16_t EVERYWHERE = (1 << 10) - 1;     // bits of all ten IoU thresholds
constexpr double SPACING = 2.220446049250313e-16;  // np.spacing(1), as the official tools add it

struct Counts {
    int32_t of[DRAWS] = {};

    void add(const int32_t *weights) {
        for (int b = 0; b < DRAWS; ++b) of[b] += weights[b];
    }
};

// A detection that is no false positive at every threshold: bits, how often each draw has it, and the detections before
// that are false at every threshold.
struct Hit {
    uint16_t true_at, false_at;
    Counts weight, false_anywhere;
};

struct Precisions {
    double of[DRAWS];
};

// The highest precision at threshold `t` with m true positives or more, `best[m]`; all of them.
Counts best_precision(int64_t t, const std::vector<Hit> &hits, std::vector<Precisions> &best) {
    std::fill(best.begin(), best.end(), Precisions{});
    Counts tp, fp;
    for (const Hit &hit : hits) {
        if (hit.true_at >> t & 1) {
            tp.add(hit.weight.of);
            double precision[DRAWS];
            for (int b = 0; b < DRAWS; ++b) {
                const double positives = tp.of[b], others = hit.false_anywhere.of[b] + fp.of[b];
                precision[b] = positives / (others + positives + SPACING);
            }
            for (int b = 0; b < DRAWS; ++b) {
                double &highest = best[tp.of[b]].of[b];
                highest = std::max(highest, precision[b]);
            }
        } else if (hit.false_at >> t & 1) {
            fp.add(hit.weight.of);
        }
    }
    for (int64_t m = *std::max_element(tp.of, tp.of + DRAWS) - 1; m >= 0; --m)
        for (int b = 0; b < DRAWS; ++b) best[m].of[b] = std::max(best[m].of[b], best[m + 1].of[b]);
    return tp;
}

// Fewest true positives with which tp / total, as a float, reaches each recall.
void true_positives_needed(int64_t total, Array<const double> recalls, int32_t *needed) {
    int64_t tp = 0;
    const auto all = static_cast<double>(total);
    for (int64_t r = 0; r < recalls.size(); ++r) {
        tp = std::max(tp, static_cast<int64_t>(recalls[r] * all) - 1);  // the product may be rounded up
        while (total && static_cast<double>(tp) / all < recalls[r]) ++tp;
        needed[r] = static_cast<int32_t>(tp);
    }
}

}  // namespace

void draw_curves(int64_t lo, int64_t hi, Array<const int32_t> image, Array<const uint16_t> true_at,
                 Array<const uint16_t> false_at, Array<const int64_t> start, Array<const int32_t> truth_image,
                 Array<const int64_t> truth_start, Array<const int32_t, 2> weight, Array<const double> recalls,
                 Array<int64_t, 2> truths, Array<double, 4> precision, Array<double, 3> recall) {
    const int64_t groups = recall.shape[1], thresholds = recall.shape[2], points = recalls.size();
    std::vector<int32_t> needed(DRAWS * points);
    std::vector<Hit> hits;
    std::vector<Precisions> best;
    for (int64_t k = lo; k < hi; ++k) {
        Counts total;
        for (int64_t i = truth_start[k]; i < truth_start[k + 1]; ++i) total.add(weight.row(truth_image[i]));
        std::copy(total.of, total.of + DRAWS, truths.row(k));
        const int32_t most = *std::max_element(total.of, total.of + DRAWS);
        if (!most) continue;
        for (int b = 0; b < DRAWS; ++b) true_positives_needed(total.of[b], recalls, needed.data() + b * points);
        hits.clear();
        Counts running;
        for (int64_t e = start[k]; e < start[k + 1]; ++e) {
            const int32_t *const weights = weight.row(image[e]);
            if (true_at[e] == 0 && false_at[e] == EVERYWHERE) {
                running.add(weights);
                continue;
            }
            hits.push_back({true_at[e], false_at[e], {}, running});
            hits.back().weight.add(weights);
        }
        best.resize(most + 1);
        for (int64_t t = 0; t < thresholds; ++t) {
            const Counts found = best_precision(t, hits, best);
            for (int b = 0; b < DRAWS; ++b) {
                if (!total.of[b]) continue;
                const int64_t place = (b * groups + k) * thresholds + t;
                recall[place] = static_cast<double>(found.of[b]) / static_cast<double>(total.of[b]);
                for (int64_t r = 0; r < points; ++r) precision[place * points + r] = best[needed[b * points + r]].of[b];
            }
        }
    }
}

void transposed(Array<const double, 2> table, Array<const int64_t> rows, Array<double, 2> turned) {
    constexpr int64_t LINE = 8;  // doubles of a cache line
    const int64_t across = rows.size(), down = table.shape[1];
    for (int64_t c = 0; c < across; c += LINE) {
        const int64_t many = std::min(LINE, across - c);
        const double *from[LINE];
        for (int64_t i = 0; i < many; ++i) from[i] = table.row(rows[c + i]);
        for (int64_t x = 0; x < down; ++x) {
            double *const line = turned.row(x) + c;
            if (many == LINE)
                for (int64_t i = 0; i < LINE; ++i) line[i] = from[i][x];
            else
                for (int64_t i = 0; i < many; ++i) line[i] = from[i][x];
        }
    }
}

}  // namespace fasa
