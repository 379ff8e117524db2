// How numpy arrays become `Array`, and vectors numpy arrays. The dtype must be the very one and the layout C order, or
// Python gets a TypeError: an array that is converted on the way would swallow what a kernel writes to it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <utility>

#include "arrays.h"

namespace fasa {

// Python gets the memory of a vector, without a copy.
template <class T>
pybind11::array_t<T> hand_over(std::vector<T> &&values) {
    auto *kept = new std::vector<T>(std::move(values));
    pybind11::capsule owner(kept, [](void *address) { delete static_cast<std::vector<T> *>(address); });
    return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(kept->size()), kept->data(), owner);
}

}  // namespace fasa

namespace pybind11::detail {

template <class T, int dimensions>
struct type_caster<fasa::Array<T, dimensions>> {
    using Element = std::remove_const_t<T>;
    using Type = fasa::Array<T, dimensions>;
    PYBIND11_TYPE_CASTER(Type, const_name("ndarray[") + npy_format_descriptor<Element>::name + const_name("]"));

    bool load(handle source, bool) {
        if (!array_t<Element, array::c_style>::check_(source)) return false;
        array found = reinterpret_borrow<array>(source);
        if (found.ndim() != dimensions || (!std::is_const_v<T> && !found.writeable())) return false;
        value.data = const_cast<T *>(static_cast<const T *>(found.data()));
        for (int axis = 0; axis < dimensions; ++axis) value.shape[axis] = found.shape(axis);
        return true;  // the caller's reference keeps the array alive
    }
};

}  // namespace pybind11::detail
