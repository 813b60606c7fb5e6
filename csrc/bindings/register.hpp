// The parts of the module `_engine`; each file binds its own.
#pragma once

#include <pybind11/pybind11.h>

namespace pyrnn::bindings {

void register_config(pybind11::module_& module);    // bind_config.cpp: instruction sets, threads, the last report
void register_weights(pybind11::module_& module);   // bind_weights.cpp: cells, Weights
void register_tape(pybind11::module_& module);      // bind_tape.cpp: Tape, Gradients
void register_forward(pybind11::module_& module);   // bind_forward.cpp: forward, forward_both
void register_backward(pybind11::module_& module);  // bind_backward.cpp: backward, backward_both
void register_stream(pybind11::module_& module);    // bind_stream.cpp: Stream
void register_training(pybind11::module_& module);  // bind_training.cpp: the ops around the recurrent ones
void register_probe(pybind11::module_& module);     // bind_probe.cpp: how fast this core is

}  // namespace pyrnn::bindings
