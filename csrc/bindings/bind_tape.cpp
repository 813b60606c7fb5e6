#include <cstring>

#include "bindings/arguments.hpp"
#include "bindings/register.hpp"

namespace pyrnn::bindings {
namespace {

// State i after each step that is in memory, to where it lies by time.
template <class T>
void copy_state(const Pass<T>& pass, Range steps, int i, T* to) {
  const SequenceJob<T>& job = pass.job;
  for (index_t s = steps.begin; s < steps.end; ++s) {
    const index_t t = job.reverse ? job.steps - 1 - s : s;
    copy_rows(to + t * job.batch * job.units, job.units, pass.state_at(i, s + 1), job.pitch, job.batch, job.units);
  }
}

// Slot k of each step that is in memory; 0 where a row took no part.
template <class T>
void copy_slot(const Pass<T>& pass, Range steps, int k, T* to) {
  const SequenceJob<T>& job = pass.job;
  const index_t lanes = pass.lanes(), slots = pass.facts().slots, row = pass.panels() * slots * lanes;
  for (index_t s = steps.begin; s < steps.end; ++s) {
    const index_t t = job.reverse ? job.steps - 1 - s : s;
    for (index_t b = 0; b < job.batch; ++b) {
      const bool active = !(job.lengths && t >= job.lengths[b]) && !(job.mask && !job.mask[t * job.batch + b]);
      const T* from = job.slots + ((s - job.kept_begin) * job.batch + b) * row + k * lanes;
      T* unit = to + (t * job.batch + b) * job.units;
      for (index_t u = 0; u < job.units; ++u) unit[u] = active ? from[u / lanes * slots * lanes + u % lanes] : T(0);
    }
  }
}

enum class Part { states, gates };

// Fills one array for each name, from what is kept or, segment by segment, computed again.
template <Part part, class T>
void fill_arrays(Record<T>& record, T* const (&to)[max_passes][max_slots], int n_arrays) {
  const auto copy = [&](index_t segment) {
    for (int i = 0; i < record.n; ++i) {
      const Pass<T>& pass = record.passes[i];
      for (int k = 0; k < n_arrays; ++k) {
        const auto copy_one = part == Part::states ? copy_state<T> : copy_slot<T>;
        copy_one(pass, pass.segments.steps_of(segment), k, to[i][k]);
      }
    }
  };
  if (record.passes[0].segments.count() == 1) return copy(0);
  for (int i = 0; i < record.n; ++i) record.passes[i].check_version();
  Pass<T>* passes[max_passes] = {&record.passes[0], &record.passes[1]};
  SequenceRunner<T>("tape", passes, record.n, false, 0, {}).replay(copy);
}

// A dict of arrays by name, or a tuple of two where there are two directions.
template <Part part, class T>
py::object arrays_of_record(Record<T>& record) {
  const CellFacts& facts = record.passes[0].facts();
  const int n = part == Part::states ? facts.states : facts.slots;
  T* to[max_passes][max_slots];
  py::dict dicts[max_passes];
  for (int i = 0; i < record.n; ++i) {
    const SequenceJob<T>& job = record.passes[i].job;
    for (int k = 0; k < n; ++k) {
      py::object array = new_array<T>({job.steps, job.batch, job.units});
      to[i][k] = data_of<T>(array);
      dicts[i][part == Part::states ? facts.state_names[k] : facts.slot_names[k]] = std::move(array);
    }
  }
  fill_arrays<part>(record, to, n);
  if (record.n == 1) return std::move(dicts[0]);
  return py::make_tuple(std::move(dicts[0]), std::move(dicts[1]));
}

template <Part part>
py::object arrays_of(Tape& tape) {
  const Use use(tape.in_use, "tape");
  if (tape.consumed) throw std::runtime_error("tape: backward has consumed it; read it before");
  return std::visit(
      [&](auto& record) -> py::object {
        if constexpr (std::is_same_v<std::decay_t<decltype(record)>, std::monostate>) {
          throw std::runtime_error("tape: forward has not filled it");
        } else {
          return arrays_of_record<part>(record);
        }
      },
      tape.record);
}

index_t bytes_of(const Tape& tape) {
  return std::visit(
      [](const auto& record) -> index_t {
        if constexpr (std::is_same_v<std::decay_t<decltype(record)>, std::monostate>) {
          return 0;
        } else {
          return record.passes[0].bytes + record.passes[1].bytes;
        }
      },
      tape.record);
}

// body(PackedGradients<T>&) where the gradients are packed, else None.
template <class Body>
py::object of_packed(Gradients& gradients, const Body& body) {
  return std::visit(
      [&](auto& packed) -> py::object {
        if constexpr (std::is_same_v<std::decay_t<decltype(packed)>, std::monostate>) {
          return py::none();
        } else {
          if (gradients.cleared) {
            const auto n = static_cast<std::size_t>(packed.weights->packed_size());
            std::memset(static_cast<void*>(packed.data()), 0, n * sizeof(*packed.data()));
            gradients.cleared = false;
          }
          return body(packed);
        }
      },
      gradients.packed);
}

template <class T>
T element_of(const PackedGradients<T>&);

py::object flat(const py::object& self) {
  return of_packed(self.cast<Gradients&>(), [&](auto& packed) -> py::object {
    using T = decltype(element_of(packed));
    return py::array(py::dtype::of<T>(), {packed.weights->packed_size()}, {static_cast<index_t>(sizeof(T))},
                     packed.data(), self);
  });
}

void clear(Gradients& gradients) {
  const Use use(gradients.in_use, "gradients");
  gradients.cleared = !std::holds_alternative<std::monostate>(gradients.packed);
  if (gradients.cleared) return;
  for (py::handle array : {gradients.W_x, gradients.W_h, gradients.b})
    if (!array.is_none()) array.attr("fill")(0.0);
}

template <int which>
py::object part(Gradients& gradients) {
  if (std::holds_alternative<std::monostate>(gradients.packed))
    return which == 0 ? gradients.W_x : which == 1 ? gradients.W_h : gradients.b;
  return of_packed(gradients, [&](auto& packed) -> py::object {
    using T = decltype(element_of(packed));
    const Unpacked<T> parts = unpack<T>(packed.weights->kernels, gradients.inputs, gradients.units, gradients.has_bias,
                                        packed.data(), which == 0, which == 1, which == 2);
    return which == 0 ? parts.W_x : which == 1 ? parts.W_h : parts.b;
  });
}

}  // namespace

void register_tape(py::module_& module) {
  py::class_<Tape>(module, "Tape")
      .def_property_readonly("states", &arrays_of<Part::states>)
      .def_property_readonly("gates", &arrays_of<Part::gates>)
      .def_property_readonly("nbytes", &bytes_of)
      .def_property_readonly("consumed", [](const Tape& tape) { return tape.consumed; });
  py::class_<Gradients>(module, "Gradients")
      .def_property_readonly("x", [](const Gradients& g) { return g.x; })
      .def_property_readonly("state", [](const Gradients& g) { return g.state; })
      .def_property_readonly("extra", [](const Gradients&) { return py::none(); })
      .def_property_readonly("W_x", &part<0>)
      .def_property_readonly("W_h", &part<1>)
      .def_property_readonly("b", &part<2>)
      .def_property_readonly("flat", &flat)
      .def("clear", &clear);
}

}  // namespace pyrnn::bindings
