// The official results JSON straight into columns: see fasa/evaluation/io/results_json.py.
#pragma once

#include "arrays.h"

namespace fasa {

// Takes entries in the usual form. Whatever is unusual (a field of another kind, a key given twice, an escape that no
// mask has, a number beyond double) is left to Python, which accepts or explains it.
class ResultScanner {
  public:
    // Without `masks`, those of entries that have a box are passed over, whatever they are.
    explicit ResultScanner(bool masks) : masks_(masks) {}

    enum State { MORE, END, UNUSUAL };  // it needs more bytes; the list is over; the next entry is for Python

    // Entries from `at` on, up to `end`; afterwards `at` is behind the last that was taken, and its comma or bracket.
    State scan(const char *&at, const char *end);

    // Another for the same purpose, with room for as much as this one holds.
    ResultScanner emptied() const;

    int64_t size() const { return static_cast<int64_t>(score.size()); }
    int64_t bytes() const { return 88 * size() + static_cast<int64_t>(counts.size()); }

    std::vector<int64_t> image_id, category_id, mask_size, length;
    std::vector<double> score, box;
    std::vector<uint8_t> counts;

  private:
    bool masks_;
};

}  // namespace fasa
