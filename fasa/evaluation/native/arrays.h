// numpy arrays as the kernels see them: a pointer and a shape, in C order.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace fasa {

template <class T, int dimensions = 1>
struct Array {
    T *data = nullptr;
    std::array<int64_t, dimensions> shape{};

    int64_t size() const { return shape[0]; }
    T &operator[](int64_t i) const { return data[i]; }
    T *row(int64_t i) const { return data + i * shape[dimensions - 1]; }  // of two dimensions
};

}  // namespace fasa
