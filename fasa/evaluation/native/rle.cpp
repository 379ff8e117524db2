#include "rle.h"

#include <algorithm>

namespace fasa {

namespace {

struct Measure {
    int64_t area;
    int32_t tight[4];  // x, y, w, h
    int fault;
};

// Pixels and tight box of one mask; columns are counted along, since a division a run would take most of the time.
Measure measure(RunReader reader, int64_t height, int64_t width) {
    Measure found{};
    int64_t area = 0, x = 0, y = 0;  // where the run begins
    int64_t left = width, right = -1, top = height, bottom = -1, filled = 0;
    const auto advance = [&](int64_t run) {
        y += run;
        if (y < height) return;
        if (y < 2 * height) {
            ++x, y -= height;
        } else if (height) {
            x += y / height, y %= height;
        }
    };
    for (uint32_t run; reader.next(run);) {
        filled += run;
        advance(run);
        if (!reader.next(run)) break;
        filled += run;
        if (run) {
            area += run;
            left = std::min(left, x);
            const int64_t last = y + run - 1;
            if (last < height) {
                top = std::min(top, y), bottom = std::max(bottom, last);
                right = x;
            } else {  // it crosses the bottom of a column, so it touches the image's top and bottom
                top = 0, bottom = height - 1;
                right = height ? x + last / height : x;
            }
            advance(run);
        }
    }
    if (reader.fault() || filled != height * width) {
        found.fault = reader.fault() ? reader.fault() : WRONG_SUM;
        return found;
    }
    found.area = area;
    if (area) {
        const int64_t box[4] = {left, top, right - left + 1, bottom - top + 1};
        std::copy(box, box + 4, found.tight);
    }
    return found;
}

}  // namespace

int64_t intersection(const uint32_t *a, int64_t n_a, const uint32_t *b, int64_t n_b) {
    if (!n_a || !n_b) return 0;
    int64_t shared = 0, i = 0, j = 0, end_a = a[0], end_b = b[0], at = 0;
    while (i < n_a && j < n_b) {
        const int64_t end = std::min(end_a, end_b);
        if (i & j & 1) shared += end - at;
        at = end;
        if (end_a == end && ++i < n_a) end_a += a[i];
        if (end_b == end && ++j < n_b) end_b += b[j];
    }
    return shared;
}

void measure_masks(Array<const uint8_t> counts, Array<const int64_t> start, Array<const int32_t, 2> sizes, int64_t lo,
                   int64_t hi, Array<int64_t> area, Array<int32_t, 2> tight, Array<int8_t> fault) {
    for (int64_t i = lo; i < hi; ++i) {
        const int32_t *size = sizes.row(i);
        const RunReader reader(counts.data + start[i], counts.data + start[i + 1]);
        const Measure found = measure(reader, size[0], size[1]);
        area[i] = found.area;
        std::copy(found.tight, found.tight + 4, tight.row(i));
        fault[i] = static_cast<int8_t>(found.fault);
    }
}

void count_runs(Array<const uint8_t> counts, Array<const int64_t> start, Array<int64_t> per_mask) {
    for (int64_t i = 0; i < per_mask.size(); ++i)
        per_mask[i] = std::count_if(counts.data + start[i], counts.data + start[i + 1],
                                    [](uint8_t character) { return !((character - 48) & 32); });
}

void fill_runs(Array<const uint8_t> counts, Array<const int64_t> start, Array<const int64_t> run_start, int64_t lo,
               int64_t hi, Array<uint32_t> runs) {
    for (int64_t i = lo; i < hi; ++i) {
        RunReader reader(counts.data + start[i], counts.data + start[i + 1]);
        uint32_t *next = runs.data + run_start[i];
        for (uint32_t run; reader.next(run);) *next++ = run;
    }
}

int64_t mask_runs(Array<const uint8_t, 2> pixels, Array<uint8_t> columns, Array<uint32_t> runs) {
    const int64_t height = pixels.shape[0], width = pixels.shape[1];
    std::fill_n(columns.data, width, uint8_t{0});
    int64_t top = height, bottom = -1;
    for (int64_t y = 0; y < height; ++y) {
        const uint8_t *row = pixels.row(y);
        uint8_t any = 0;
        for (int64_t x = 0; x < width; ++x) any |= row[x], columns[x] |= row[x];
        if (any) top = std::min(top, y), bottom = y;
    }
    int64_t n = 0, since = 0;
    uint8_t value = 0;
    const auto change = [&](int64_t at, uint8_t to) {
        runs[n++] = static_cast<uint32_t>(at - since);
        since = at, value = to;
    };
    for (int64_t x = 0; x < width; ++x) {
        if (!columns[x]) {
            if (value) change(x * height, 0);
            continue;
        }
        if (value && top > 0) change(x * height, 0);  // the object reached the bottom of the column before
        for (int64_t y = top; y <= bottom; ++y)
            if (const uint8_t pixel = pixels.row(y)[x]; pixel != value) change(x * height + y, pixel);
        if (value && bottom < height - 1) change(x * height + bottom + 1, 0);
    }
    runs[n] = static_cast<uint32_t>(height * width - since);
    return n + 1;
}

int64_t write_text(const uint32_t *runs, int64_t n, uint8_t *text) {
    int64_t length = 0;
    for (int64_t i = 0; i < n; ++i) {
        int64_t value = runs[i];
        if (i > 2) value -= runs[i - 2];
        for (bool more = true; more;) {
            const int64_t group = value & 31;
            value >>= 5;
            more = group & 16 ? value != -1 : value != 0;
            text[length++] = static_cast<uint8_t>((more ? group | 32 : group) + 48);
        }
    }
    return length;
}

}  // namespace fasa
