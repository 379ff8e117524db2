// COCO's run-length masks: see fasa/evaluation/geometry/rle.py for the format and for what the kernels mean.
#pragma once

#include "arrays.h"

namespace fasa {

enum Fault : int { BAD_CHARACTER = 1, CUT_OFF = 2, NEGATIVE_RUN = 3, WRONG_SUM = 4 };

// The runs of one compressed string, one after the other.
class RunReader {
  public:
    RunReader(const uint8_t *at, const uint8_t *end) : at_(at), end_(end) {}

    // Whether there is a further run, in `run`; false at the end and at a fault.
    bool next(uint32_t &run) {
        if (at_ == end_) return false;
        const uint32_t first = static_cast<uint32_t>(*at_) - 48;
        int64_t value;
        if (first < 32) {  // most runs have one character
            ++at_;
            value = static_cast<int64_t>(first ^ 16) - 16;
        } else if (!long_run(value)) {
            return false;
        }
        if (read_ > 2) value += before_;
        if (value < 0) return fail(NEGATIVE_RUN);
        ++read_;
        before_ = last_;
        run = last_ = static_cast<uint32_t>(value);
        return true;
    }

    int fault() const { return fault_; }

  private:
    bool long_run(int64_t &value) {
        value = 0;
        for (int shift = 0;;) {
            if (at_ == end_ || shift > 30) return fail(CUT_OFF);
            const uint32_t group = static_cast<uint32_t>(*at_++) - 48;
            if (group > 63) return fail(BAD_CHARACTER);
            value |= static_cast<int64_t>(group & 31) << shift;
            shift += 5;
            if (group & 32) continue;
            if (group & 16) value |= -(int64_t{1} << shift);
            return true;
        }
    }

    bool fail(int fault) {
        fault_ = fault;
        return false;
    }

    const uint8_t *at_, *end_;
    uint32_t last_ = 0, before_ = 0;
    int64_t read_ = 0;
    int fault_ = 0;
};

// All runs of a sound string.
inline void decode(const uint8_t *at, const uint8_t *end, std::vector<uint32_t> &runs) {
    runs.clear();
    RunReader reader(at, end);
    for (uint32_t run; reader.next(run);) runs.push_back(run);
}

constexpr int64_t LONGEST_RUN = 7;  // characters of a run at most: five bits each

// The compressed string of n runs (pycocotools' rleToString), written to `text`; how many characters.
int64_t write_text(const uint32_t *runs, int64_t n, uint8_t *text);

int64_t intersection(const uint32_t *a, int64_t n_a, const uint32_t *b, int64_t n_b);

void measure_masks(Array<const uint8_t> counts, Array<const int64_t> start, Array<const int32_t, 2> sizes, int64_t lo,
                   int64_t hi, Array<int64_t> area, Array<int32_t, 2> tight, Array<int8_t> fault);
void count_runs(Array<const uint8_t> counts, Array<const int64_t> start, Array<int64_t> per_mask);
void fill_runs(Array<const uint8_t> counts, Array<const int64_t> start, Array<const int64_t> run_start, int64_t lo,
               int64_t hi, Array<uint32_t> runs);
int64_t mask_runs(Array<const uint8_t, 2> pixels, Array<uint8_t> columns, Array<uint32_t> runs);

}  // namespace fasa
