// What the files that bind the training ops share.
#pragma once

#include "bindings/arrays.hpp"

namespace pyrnn::bindings {

void register_dense(py::module_& module);          // bind_dense.cpp
void register_batch_product(py::module_& module);  // bind_batch_product.cpp
void register_losses(py::module_& module);         // bind_losses.cpp
void register_optimizers(py::module_& module);     // bind_optimizers.cpp

// For functions that take exactly n positional arguments; pyrnn/_training_ops.py gives them names and defaults.
inline PyMethodDef fast_function(const char* name, FastFunction function) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, nullptr};
}

inline void check_count(const char* function, Py_ssize_t n, Py_ssize_t expected) {
  if (n == expected) return;
  throw py::type_error(std::string(function) + "() takes " + std::to_string(expected) + " arguments, got " +
                       std::to_string(n));
}

}  // namespace pyrnn::bindings
