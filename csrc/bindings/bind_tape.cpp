#include <cstring>

#include "bindings/register.hpp"
#include "bindings/tape.hpp"

namespace pyrnn::bindings {
namespace {

// State i after each step, by time.
template <class T>
py::object states_by_time(const Pass<T>& pass, int i) {
  const SequenceJob<T>& job = pass.job;
  py::object array = new_array<T>({job.steps, job.batch, job.units});
  T* to = data_of<T>(array);
  for (index_t s = 0; s < job.steps; ++s) {
    const index_t t = job.reverse ? job.steps - 1 - s : s;
    copy_rows(to + t * job.batch * job.units, job.units, pass.state_at(i, s + 1), job.pitch, job.batch, job.units);
  }
  return array;
}

// Slot k of each step, by time; 0 where a row took no part.
template <class T>
py::object slot_by_time(const Pass<T>& pass, int k) {
  const SequenceJob<T>& job = pass.job;
  const index_t lanes = pass.lanes(), slots = pass.facts().slots, row = pass.panels() * slots * lanes;
  py::object array = new_array<T>({job.steps, job.batch, job.units});
  T* to = data_of<T>(array);
  for (index_t s = 0; s < job.steps; ++s) {
    const index_t t = job.reverse ? job.steps - 1 - s : s;
    for (index_t b = 0; b < job.batch; ++b) {
      const bool active = !(job.lengths && t >= job.lengths[b]) && !(job.mask && !job.mask[t * job.batch + b]);
      const T* from = job.slots + (s * job.batch + b) * row + k * lanes;
      T* unit = to + (t * job.batch + b) * job.units;
      for (index_t u = 0; u < job.units; ++u) unit[u] = active ? from[u / lanes * slots * lanes + u % lanes] : T(0);
    }
  }
  return array;
}

template <class T>
py::dict states_of(const Pass<T>& pass) {
  py::dict states;
  for (int i = 0; i < pass.facts().states; ++i) states[pass.facts().state_names[i]] = states_by_time(pass, i);
  return states;
}

template <class T>
py::dict gates_of(const Pass<T>& pass) {
  py::dict gates;
  for (int k = 0; k < pass.facts().slots; ++k) gates[pass.facts().slot_names[k]] = slot_by_time(pass, k);
  return gates;
}

// body(pass) of every direction: one object, or a tuple of two.
template <class Body>
py::object of_passes(Tape& tape, const Body& body) {
  const Use use(tape.in_use, "tape");
  if (tape.consumed) throw std::runtime_error("tape: backward has consumed it; read it before");
  return std::visit(
      [&](auto& record) -> py::object {
        if constexpr (std::is_same_v<std::decay_t<decltype(record)>, std::monostate>) {
          throw std::runtime_error("tape: forward has not filled it");
        } else {
          if (record.n == 1) return body(record.passes[0]);
          return py::make_tuple(body(record.passes[0]), body(record.passes[1]));
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
          return record.passes[0].memory.bytes() + record.passes[1].memory.bytes();
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
      .def_property_readonly("states",
                             [](Tape& tape) { return of_passes(tape, [](auto& pass) { return states_of(pass); }); })
      .def_property_readonly("gates",
                             [](Tape& tape) { return of_passes(tape, [](auto& pass) { return gates_of(pass); }); })
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
