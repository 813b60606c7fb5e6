// What forward and backward share of reading arguments.
#pragma once

#include "bindings/run.hpp"
#include "bindings/tape.hpp"

namespace pyrnn::bindings {

// "a tuple (h, c) of arrays"
inline std::string states_text(const CellFacts& facts) {
  std::string text = facts.states == 1 ? "an array " : "a tuple (";
  for (int i = 0; i < facts.states; ++i) text += (i ? ", " : "") + std::string(facts.state_names[i]);
  return facts.states == 1 ? text + " (B, H)" : text + ") of arrays (B, H)";
}

// h, or (h, c); returns whether it came, or for None will be given, as a tuple.
template <class T>
bool read_state(py::handle state, Name name, const CellFacts& facts, index_t batch, index_t units,
                bool parts_may_be_none, Input<T>* inputs, const char* like = "x") {
  if (state.is_none()) return facts.states > 1;
  const Dim rows{"B", batch}, columns{"H", units};
  const bool tuple = PyTuple_Check(state.ptr()) || PyList_Check(state.ptr());
  if (facts.states == 1 && !tuple) {
    inputs[0] = read_floats<T>(state, name, {rows, columns}, like);
    return false;
  }
  py::handle parts[max_states];
  if (PyTuple_Check(state.ptr()) && PyTuple_GET_SIZE(state.ptr()) == facts.states) {  // no text for an error
    for (int i = 0; i < facts.states; ++i) parts[i] = PyTuple_GET_ITEM(state.ptr(), i);
  } else {
    read_parts(state, name, states_text(facts).c_str(), facts.states, parts);
  }
  for (int i = 0; i < facts.states; ++i) {
    if (parts_may_be_none && parts[i].is_none()) continue;
    inputs[i] = read_floats<T>(parts[i], name[i], {rows, columns}, like);
  }
  return true;
}

// Rows of a padded state as h or (h, c).
template <class T, class Row>
py::object new_state(const Pass<T>& pass, bool tuple, const Row& data_of_state) {
  const int n = pass.facts().states;
  py::object parts[max_states];
  for (int i = 0; i < n; ++i) {
    parts[i] = new_array<T>({pass.job.batch, pass.job.units});
    copy_rows(data_of<T>(parts[i]), pass.job.units, data_of_state(i), pass.job.pitch, pass.job.batch, pass.job.units);
  }
  if (!tuple) return std::move(parts[0]);
  py::tuple result(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(result.ptr(), i, parts[i].release().ptr());
  return std::move(result);
}

// Of a call in that precision, which says what instruction sets there are.
Force read_force(py::handle force, Precision precision);
index_t read_threads(py::handle threads);  // 0 for None
TapeMode read_tape_mode(py::handle tape);  // of a Tape, its own

}  // namespace pyrnn::bindings
