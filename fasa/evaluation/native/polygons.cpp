#include "polygons.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "json.h"
#include "rle.h"

namespace fasa {

namespace {

using Runs = std::vector<uint32_t>;

constexpr double SCALE = 5;       // a polygon's edges are walked on a grid this much finer
constexpr double FARTHEST = 1e6;  // pixels; what is farther off is refused by Python
constexpr int64_t MOST_PIXELS = int64_t{1} << 31;

struct Point {
    int x, y;
};

// Where an edge is on the fine grid, at every step along its longer side.
void walk(Point from, Point to, std::vector<Point> &boundary) {
    const int dx = std::abs(to.x - from.x), dy = std::abs(to.y - from.y);
    const bool flat = dx >= dy, flip = flat ? from.x > to.x : from.y > to.y;
    if (flip) std::swap(from, to);
    const double slope = flat ? static_cast<double>(to.y - from.y) / dx : static_cast<double>(to.x - from.x) / dy;
    const int steps = flat ? dx : dy;
    for (int step = 0; step <= steps; ++step) {
        const int t = flip ? steps - step : step;
        if (flat)
            boundary.push_back({t + from.x, static_cast<int>(from.y + slope * t + .5)});
        else
            boundary.push_back({static_cast<int>(from.x + slope * t + .5), t + from.y});
    }
}

// The runs of one polygon (rleFrPoly of pycocotools' maskApi): where its boundary crosses the middles of columns.
void draw(const std::vector<double> &points, int64_t height, int64_t width, Runs &runs) {
    const size_t corners = points.size() / 2;
    std::vector<Point> boundary;
    const auto corner = [&](size_t j) {
        return Point{static_cast<int>(SCALE * points[2 * j] + .5), static_cast<int>(SCALE * points[2 * j + 1] + .5)};
    };
    for (size_t j = 0; j < corners; ++j) walk(corner(j), corner((j + 1) % corners), boundary);
    Runs crossings;
    for (size_t j = 1; j < boundary.size(); ++j) {
        const Point before = boundary[j - 1], here = boundary[j];
        if (here.x == before.x) continue;
        const double x = (static_cast<double>(here.x < before.x ? here.x : here.x - 1) + .5) / SCALE - .5;
        if (std::floor(x) != x || x < 0 || x > static_cast<double>(width - 1)) continue;
        const double y = (static_cast<double>(std::min(here.y, before.y)) + .5) / SCALE - .5;
        const double inside = std::ceil(std::clamp(y, 0.0, static_cast<double>(height)));
        crossings.push_back(static_cast<uint32_t>(static_cast<int64_t>(x) * height + static_cast<int64_t>(inside)));
    }
    crossings.push_back(static_cast<uint32_t>(height * width));
    std::sort(crossings.begin(), crossings.end());
    for (size_t j = crossings.size() - 1; j > 0; --j) crossings[j] -= crossings[j - 1];
    runs.assign(1, crossings[0]);
    for (size_t j = 1; j < crossings.size(); ++j) {  // a run of nothing joins its neighbours
        if (crossings[j])
            runs.push_back(crossings[j]);
        else if (++j < crossings.size())
            runs.back() += crossings[j];
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
