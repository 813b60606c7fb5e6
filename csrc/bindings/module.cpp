// The compiled module pyrnn._engine. Python code should use pyrnn.ops, which documents what is bound here.
#include <pybind11/pybind11.h>

#include "bindings/register.hpp"

PYBIND11_MODULE(_engine, module, pybind11::mod_gil_not_used()) {
  module.doc() = "The engine of pyrnn; see pyrnn.ops.";
  pyrnn::bindings::register_config(module);
  pyrnn::bindings::register_weights(module);
  pyrnn::bindings::register_tape(module);
  pyrnn::bindings::register_forward(module);
  pyrnn::bindings::register_backward(module);
  pyrnn::bindings::register_stream(module);
  pyrnn::bindings::register_training(module);
  pyrnn::bindings::register_probe(module);
}
