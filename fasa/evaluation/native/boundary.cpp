#include "boundary.h"

#include <algorithm>
#include <utility>

#include "rle.h"

namespace fasa {

namespace {

// Whether the whole mask is its boundary: its tight box is too small for a pixel far enough inside.
bool thin(const int32_t *tight, int64_t distance) {
    return std::min(tight[2], tight[3]) <= 2 * distance;
}

int64_t area_of(const uint32_t *runs, int64_t n) {
    int64_t area = 0;
    for (int64_t i = 1; i < n; i += 2) area += runs[i];
    return area;
}

// Rows of a column, from `low` to `high`, the latter left out.
struct Interval {
    int64_t low, high;
};

using Intervals = std::vector<Interval>;

// Rows that intervals share with others, which are shrunk by `margin` at both ends.
void share(const Intervals &some, const Interval *other, const Interval *end, int64_t margin, Intervals &shared) {
    shared.clear();
    for (auto one = some.begin(); one != some.end() && other != end;) {
        const int64_t top = std::max(one->low, other->low + margin), bottom = std::min(one->high, other->high - margin);
        if (top < bottom) shared.push_back({top, bottom});
        if (one->high < other->high - margin)
            ++one;
        else
            ++other;
    }
}

class Eroder {
  public:
    // Appends a mask's boundary to `found`, as runs of which some are 0, the last background left out.
    void boundary(const uint32_t *runs, int64_t n, const int32_t *tight, int64_t height, int64_t distance,
                  std::vector<uint32_t> &found) {
        if (thin(tight, distance)) {
            found.insert(found.end(), runs, runs + n);
            return;
        }
        const int64_t left = tight[0], above = tight[1], across = tight[2], down = tight[3];
        cut(runs, n, left, above, across, height);
        // Columns come in blocks of `window`: what each shares with the rest of its block, and from the next block's
        // first column up to here. Every window is the end of one block and the beginning of the next.
        const int64_t window = 2 * distance + 1;
        if (static_cast<int64_t>(of_rest_.size()) <= window) of_rest_.resize(window + 1);
        int64_t before = 0;  // where the run before ended, in the image's pixels, column by column
        const auto run_to = [&](int64_t at) {
            found.push_back(static_cast<uint32_t>(at - before));
            before = at;
        };
        for (int64_t x = 0; x < across; ++x) {
            inner_.clear();
            if (distance <= x && x < across - distance) {
                const int64_t begin = x - distance, end = x + distance, place = begin % window;
                if (place == 0) {
                    of_rest_[window].assign(1, {0, down});
                    for (int64_t i = window - 1; i >= 0; --i)
                        share(of_rest_[i + 1], column(begin + i), column(begin + i + 1), distance, of_rest_[i]);
                    shared_.assign(1, {0, down});
                } else {
                    share(shared_, column(end), column(end + 1), distance, next_);
                    std::swap(shared_, next_);
                }
                const Intervals &rest = of_rest_[place];
                share(shared_, rest.data(), rest.data() + rest.size(), 0, inner_);
            }
            const int64_t top = (left + x) * height + above;
            auto hole = inner_.begin();
            for (const Interval *rows = column(x); rows != column(x + 1); ++rows) {
                run_to(top + rows->low);
                for (; hole != inner_.end() && hole->low < rows->high; ++hole) {
                    run_to(top + hole->low);
                    run_to(top + hole->high);
                }
                run_to(top + rows->high);
            }
        }
    }

  private:
    // A mask's runs cut into columns: where each column's begin, and their rows in the tight box.
    void cut(const uint32_t *runs, int64_t n, int64_t left, int64_t above, int64_t across, int64_t height) {
        first_.assign(across + 1, 0), rows_.clear();
        int64_t at = 0, x = 0, start_of_column = left * height;
        for (int64_t j = 0; j < n; ++j) {
            const int64_t end = at + runs[j];
            while (j & 1 && at < end) {
                while (at >= start_of_column + height) {
                    start_of_column += height;
                    first_[++x] = static_cast<int64_t>(rows_.size());
                }
                const int64_t stop = std::min(end, start_of_column + height);
                const int64_t row = at - start_of_column - above;
                if (static_cast<int64_t>(rows_.size()) == first_[x] || rows_.back().high < row)
                    rows_.push_back({row, row});
                rows_.back().high = stop - start_of_column - above;  // or the interval goes on, after a run of 0
                at = stop;
            }
            at = end;
        }
        std::fill(first_.begin() + x + 1, first_.end(), static_cast<int64_t>(rows_.size()));
    }

    const Interval *column(int64_t x) const { return rows_.data() + first_[x]; }

    std::vector<int64_t> first_;
    Intervals rows_, shared_, next_, inner_;
    std::vector<Intervals> of_rest_;
};

}  // namespace

Boundaries truth_boundaries(Array<const int64_t> rows, Array<const int32_t> image, Array<const bool> crowd,
                            Array<const int32_t, 2> tight, Array<const uint32_t> runs, Array<const int64_t> run_start,
                            Array<const int64_t> heights, Array<const int32_t> distance) {
    Boundaries found;
    Eroder eroder;
    found.start.push_back(0);
    for (int64_t i = 0; i < rows.size(); ++i) {
        const int64_t g = rows[i];
        if (!crowd[g])
            eroder.boundary(runs.data + run_start[g], run_start[g + 1] - run_start[g], tight.row(g), heights[image[g]],
                            distance[image[g]], found.runs);
        found.start.push_back(static_cast<int64_t>(found.runs.size()));
    }
    return found;
}

void smaller_iou(Array<const int64_t> detection, Array<const int64_t> rows, Array<const int64_t> place,
                 Array<const int32_t> image, Array<const int32_t, 2> tight, Array<const uint8_t> counts,
                 Array<const int64_t> counts_start, Array<const bool> crowd, Array<const int32_t, 2> truth_tight,
                 Array<const uint32_t> truth_runs, Array<const int64_t> truth_start, Array<const int64_t> heights,
                 Array<const int32_t> distance, Array<double> iou) {
    Eroder eroder;
    std::vector<uint32_t> decoded, own;
    int64_t last = -1, area = 0;
    for (int64_t p = 0; p < detection.size(); ++p) {
        const int64_t d = detection[p], g = rows[place[p]], reach = distance[image[d]];
        if (crowd[g] || (thin(tight.row(d), reach) && thin(truth_tight.row(g), reach))) continue;
        if (d != last) {
            decode(counts.data + counts_start[d], counts.data + counts_start[d + 1], decoded);
            own.clear();
            eroder.boundary(decoded.data(), static_cast<int64_t>(decoded.size()), tight.row(d), heights[image[d]],
                            reach, own);
            last = d, area = area_of(own.data(), static_cast<int64_t>(own.size()));
        }
        const uint32_t *of_truth = truth_runs.data + truth_start[place[p]];
        const int64_t n = truth_start[place[p] + 1] - truth_start[place[p]];
        const int64_t shared = intersection(own.data(), static_cast<int64_t>(own.size()), of_truth, n);
        const int64_t either = area + area_of(of_truth, n) - shared;
        iou[p] = std::min(iou[p], static_cast<double>(shared) / static_cast<double>(either));
    }
}

}  // namespace fasa
