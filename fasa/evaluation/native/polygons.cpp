#include "polygons.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "json.h"
#include "rle.h"

namespace fasa {

namespace {

using Runs = std::vector<uint32_t>;

constexpr int SCALE = 5;          // a polygon's edges lie on a grid this much finer
constexpr double FARTHEST = 1e6;  // pixels; what is farther off is refused by Python
constexpr int64_t MOST_PIXELS = int64_t{1} << 31;

struct Point {
    int x, y;
};

// Where the boundary of a polygon crosses the middle of a column of pixels. pycocotools walks each edge on a grid that
// is finer by SCALE, a step at a time along its longer side, and uses the one step in SCALE between 5 n + 2 and 5 n
// + 3.
class Crossings {
  public:
    Crossings(int64_t height, int64_t width, Runs &places) : height_(height), width_(width), places_(places) {}

    void edge(Point from, Point to) {
        const int dx = std::abs(to.x - from.x), dy = std::abs(to.y - from.y);
        const bool flat = dx >= dy;
        if (flat ? from.x > to.x : from.y > to.y) std::swap(from, to);
        const int low = std::min(from.x, to.x), high = std::max(from.x, to.x);
        const int64_t first = low <= 2 ? 0 : (low - 2 + SCALE - 1) / SCALE;
        for (int64_t column = first; column < width_ && SCALE * column + 3 <= high; ++column) {
            const int x = static_cast<int>(SCALE * column + 2);  // of the point before the step, or behind it
            if (flat) {
                const double slope = static_cast<double>(to.y - from.y) / dx;
                const int t = x - from.x;
                add(column, std::min(rounded(from.y, slope, t), rounded(from.y, slope, t + 1)));
            } else {
                add(column, from.y + step_across(from.x, static_cast<double>(to.x - from.x) / dy, x, dy) - 1);
            }
        }
    }

  private:
    static int rounded(int from, double slope, int t) { return static_cast<int>(from + slope * t + .5); }

    // The first step of a steep edge on whose other side of 5 n + 2 and 5 n + 3 it is.
    static int step_across(int from, double slope, int x, int steps) {
        const auto across = [&](int t) {
            return slope > 0 ? rounded(from, slope, t) > x : rounded(from, slope, t) <= x;
        };
        int t = std::clamp(static_cast<int>((x + .5 - from) / slope), 1, steps);
        while (t > 1 && across(t - 1)) --t;
        while (t < steps && !across(t)) ++t;
        return t;
    }

    void add(int64_t column, int fine_y) {
        const double y = (static_cast<double>(fine_y) + .5) / SCALE - .5;
        const double inside = std::ceil(std::clamp(y, 0.0, static_cast<double>(height_)));
        places_.push_back(static_cast<uint32_t>(column * height_ + static_cast<int64_t>(inside)));
    }

    int64_t height_, width_;
    Runs &places_;
};

// The runs of one polygon (rleFrPoly of pycocotools' maskApi).
void draw(const std::vector<double> &points, int64_t height, int64_t width, Runs &runs) {
    const size_t corners = points.size() / 2;
    const auto corner = [&](size_t j) {
        return Point{static_cast<int>(SCALE * points[2 * j] + .5), static_cast<int>(SCALE * points[2 * j + 1] + .5)};
    };
    Runs places;
    Crossings crossings(height, width, places);
    for (size_t j = 0; j < corners; ++j) crossings.edge(corner(j), corner((j + 1) % corners));
    places.push_back(static_cast<uint32_t>(height * width));
    std::sort(places.begin(), places.end());
    for (size_t j = places.size() - 1; j > 0; --j) places[j] -= places[j - 1];
    runs.assign(1, places[0]);
    for (size_t j = 1; j < places.size(); ++j) {  // a run of nothing joins its neighbours
        if (places[j])
            runs.push_back(places[j]);
        else if (++j < places.size())
            runs.back() += places[j];
    }
}

// The runs of what either mask covers (rleMerge).
Runs united(const Runs &a, const Runs &b) {
    Runs runs;
    size_t i = 1, j = 1;
    uint32_t left_a = a[0], left_b = b[0], run = 0, left = 1;
    bool in_a = false, in_b = false, in = false;
    while (left) {
        const uint32_t step = std::min(left_a, left_b);
        run += step;
        left_a -= step;
        if (!left_a && i < a.size()) left_a = a[i++], in_a = !in_a;
        left_b -= step;
        if (!left_b && j < b.size()) left_b = b[j++], in_b = !in_b;
        left = left_a + left_b;
        if ((in_a || in_b) != in || !left) {
            runs.push_back(run);
            run = 0;
        }
        in = in_a || in_b;
    }
    return runs;
}

// [[x, y, …], …] with what Python asks of a polygon: three points, or two for any but the first, none far off.
bool read(std::string_view text, std::vector<std::vector<double>> &polygons) {
    // JSON ends with a bracket, so that no number is cut off by the end of the bytes.
    JsonCursor cursor(text.data(), text.data() + text.size());
    if (!cursor.taken('[')) return false;
    do {
        std::vector<double> points;
        if (!cursor.taken('[')) return false;
        do {
            double value;
            if (!cursor.number(value) || !(std::abs(value) <= FARTHEST)) return false;
            points.push_back(value);
        } while (cursor.taken(','));
        if (!cursor.taken(']') || points.size() < (polygons.empty() ? 5 : 4)) return false;
        polygons.push_back(std::move(points));
    } while (cursor.taken(','));
    return cursor.taken(']');
}

}  // namespace

std::optional<std::string> draw_polygons(std::string_view text, int64_t height, int64_t width) {
    std::vector<std::vector<double>> polygons;
    if (height < 1 || width < 1 || height > MOST_PIXELS / width || !read(text, polygons)) return std::nullopt;
    Runs whole, next;
    for (const auto &points : polygons) {
        draw(points, height, width, next);
        whole = whole.empty() ? next : united(whole, next);
    }
    std::string string(whole.size() * LONGEST_RUN, '\0');
    string.resize(static_cast<size_t>(
        write_text(whole.data(), static_cast<int64_t>(whole.size()), reinterpret_cast<uint8_t *>(string.data()))));
    return string;
}

}  // namespace fasa
