#include "bindings/arguments.hpp"

#include <limits>
#include <vector>

#include "dispatch/registry.hpp"

namespace pyrnn::bindings {

Force read_force(py::handle object, Precision precision) {
  Force force;
  if (object.is_none()) return force;
  if (!PyDict_Check(object.ptr())) type_error("_force", "a dict", describe(object));
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(object)) {
    const char* const keys[] = {"isa", "hoisted_steps", "directions", "batch", "units", "tile_rows", "segment_blocks"};
    const int choice = read_choice(key, "_force", keys, 7);
    if (choice == 0) {
      std::vector<const char*> isas;
      for (const IsaStatus& isa : isa_statuses(precision)) isas.push_back(isa.name.c_str());
      force.isa =
          isas[static_cast<std::size_t>(read_choice(value, "_force", isas.data(), static_cast<int>(isas.size())))];
    } else if (choice == 1) {
      force.hoisted_steps = read_count(value, "_force", 0, 1 << 20);
    } else if (choice == 6) {
      force.segment_blocks = read_count(value, "_force", 1, 1 << 20);
    } else {
      index_t* const counts[] = {&force.split.directions, &force.split.batch, &force.split.units, &force.tile_rows};
      *counts[choice - 2] = read_count(value, "_force", 1, max_threads);
    }
  }
  return force;
}

index_t read_threads(py::handle threads) {
  return threads.is_none() ? 0 : read_count(threads, "threads", 1, max_threads);
}

TapeMode read_tape_mode(py::handle tape) {
  using Kind = TapeMode::Kind;
  if (PyBool_Check(tape.ptr())) return {tape.ptr() == Py_True ? Kind::full : Kind::none, 0};
  if (py::isinstance<Tape>(tape)) return tape.cast<Tape*>()->mode;
  if (PyUnicode_Check(tape.ptr())) {
    const char* const names[] = {"full", "segments"};
    return {read_choice(tape, "tape", names, 2) == 0 ? Kind::full : Kind::segments, 0};
  }
  if (is_flag(tape)) return {read_flag(tape, "tape") ? Kind::full : Kind::none, 0};
  if (!PyIndex_Check(tape.ptr()) || py::isinstance<py::array>(tape))
    type_error("tape", "True, False, 'full', 'segments', a memory budget in bytes or a consumed Tape", describe(tape));
  return {Kind::budget, read_count(tape, "tape", 1, std::numeric_limits<index_t>::max())};
}

}  // namespace pyrnn::bindings
