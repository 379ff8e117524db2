// fasa.evaluation._native: the evaluator's loops, compiled. fasa.evaluation.portable has the same functions by numba.
#include <algorithm>

#include "bindings.h"
#include "boundary.h"
#include "lrp.h"
#include "matching.h"
#include "pairs.h"
#include "polygons.h"
#include "resampling.h"
#include "results.h"
#include "rle.h"
#include "tide.h"

namespace py = pybind11;

namespace fasa {

namespace {

using Unlocked = py::call_guard<py::gil_scoped_release>;

py::tuple columns(Pairs &&pairs) {
    return py::make_tuple(hand_over(std::move(pairs.detection)), hand_over(std::move(pairs.truth)),
                          hand_over(std::move(pairs.iou)));
}

py::tuple columns(Boundaries &&boundaries) {
    return py::make_tuple(hand_over(std::move(boundaries.runs)), hand_over(std::move(boundaries.start)));
}

// A function that gives columns, called without Python's lock.
template <class Found, class... Arguments>
auto as_columns(Found (*find)(Arguments...)) {
    return [find](Arguments... arguments) {
        Found found;
        {
            py::gil_scoped_release unlocked;
            found = find(arguments...);
        }
        return columns(std::move(found));
    };
}

py::tuple scan(ResultScanner &scanner, const py::buffer &buffer, int64_t begin, int64_t end) {
    const py::buffer_info bytes = buffer.request();
    if (begin < 0 || begin > end || end > bytes.size) throw py::index_error("scan: no such bytes");
    const char *const first = static_cast<const char *>(bytes.ptr), *at = first + begin;
    ResultScanner::State state;
    {
        py::gil_scoped_release unlocked;
        state = scanner.scan(at, first + end);
    }
    return py::make_tuple(static_cast<int>(state), at - first);
}

// Row of each wanted id among the ascending `ids`, -1 where there is none; neighbours often want the same one.
void locate(Array<const int64_t> ids, Array<const int64_t> wanted, Array<int32_t> rows) {
    const int64_t *const end = ids.data + ids.size();
    int32_t last = -1;
    for (int64_t i = 0; i < wanted.size(); ++i) {
        if (last < 0 || ids[last] != wanted[i]) {
            const int64_t *const found = std::lower_bound(ids.data, end, wanted[i]);
            last = found != end && *found == wanted[i] ? static_cast<int32_t>(found - ids.data) : -1;
        }
        rows[i] = last;
    }
}

PYBIND11_MODULE(_native, module) {
    py::class_<ResultScanner>(module, "ResultScanner")
        .def(py::init<bool>())
        .def("scan", &scan)
        .def("__len__", &ResultScanner::size)
        .def_property_readonly("nbytes", &ResultScanner::bytes)
        .def("take", [](ResultScanner &scanner) {
            ResultScanner taken = scanner.emptied();
            std::swap(taken, scanner);
            return py::make_tuple(hand_over(std::move(taken.image_id)), hand_over(std::move(taken.category_id)),
                                  hand_over(std::move(taken.score)), hand_over(std::move(taken.box)),
                                  hand_over(std::move(taken.mask_size)), hand_over(std::move(taken.length)),
                                  hand_over(std::move(taken.counts)));
        });
    module.attr("VERSION") = 2;  // kernels.py asks for it
    module.attr("MORE") = static_cast<int>(ResultScanner::MORE);
    module.attr("END") = static_cast<int>(ResultScanner::END);
    module.def("locate", &locate, Unlocked());
    module.def("measure_masks", &measure_masks, Unlocked());
    module.def("count_runs", &count_runs, Unlocked());
    module.def("fill_runs", &fill_runs, Unlocked());
    module.def("mask_runs", &mask_runs, Unlocked());
    module.def("run_text", [](Array<const uint32_t> runs, int64_t n, Array<uint8_t> text) {
        return write_text(runs.data, n, text.data);
    });
    module.def("draw_polygons", [](std::string_view text, int64_t height, int64_t width) -> py::object {
        const auto string = draw_polygons(text, height, width);
        return string ? py::object(py::bytes(*string)) : py::none();
    });
    module.def("mask_pairs", as_columns(&mask_pairs));
    module.def("box_pairs", as_columns(&box_pairs));
    module.def("match", &match, Unlocked());
    module.def("accumulate", &accumulate, Unlocked());
    module.def("tide_match", &tide_match, Unlocked());
    module.def("tide_explain", &tide_explain, Unlocked());
    module.def("tide_curves", &tide_curves, Unlocked());
    module.def("truth_boundaries", as_columns(&truth_boundaries));
    module.def("smaller_iou", &smaller_iou, Unlocked());
    module.def("matched_iou", &matched_iou, Unlocked());
    module.def("optima", &optima, Unlocked());
    module.def("draw_curves", &draw_curves, Unlocked());
    module.def("transposed", &transposed, Unlocked());
}

}  // namespace

}  // namespace fasa
