// NumPy's C interface, as far as the readers of arguments need it.
#pragma once

#include <pybind11/numpy.h>

#include "bindings/arrays.hpp"

namespace pyrnn::bindings {

using Api = py::detail::npy_api;

inline const py::detail::PyArray_Proxy& proxy(py::handle array) { return *py::detail::array_proxy(array.ptr()); }

inline bool is_array(py::handle object) { return Api::get().PyArray_Check_(object.ptr()); }

inline int type_number(py::handle array) { return py::detail::array_descriptor_proxy(proxy(array).descr)->type_num; }

inline bool is_native(py::handle array) {
  const char order = py::detail::array_descriptor_proxy(proxy(array).descr)->byteorder;
  return order != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<');
}

constexpr int number_of(Dtype dtype) { return dtype == Dtype::float32 ? Api::NPY_FLOAT_ : Api::NPY_DOUBLE_; }

// Arrays whose own meaning is more than their memory would be computed with wrongly; the remedy says what to pass.
void check_plain(py::handle object, Name name, const char* remedy);

// A contiguous native copy, or the array itself where it is one. number < 0: of the dtype that it has.
py::object contiguous(py::handle object, int number, Name name);

// A new array, contents undefined; strides in bytes, null for C order.
py::object allocate(Dtype dtype, int rank, const index_t* shape, const index_t* strides);

}  // namespace pyrnn::bindings
