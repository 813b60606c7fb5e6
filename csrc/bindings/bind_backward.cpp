#include <cstring>

#include "bindings/arguments.hpp"
#include "bindings/register.hpp"

namespace pyrnn::bindings {
namespace {

struct Call {
  const char* name;
  int n;  // directions
  py::handle tape, dy, dstate, need_dx, into, threads, force;
};

// What one direction of backward reads and writes beside the tape.
template <class T>
struct BackwardWork {
  Input<T> dy, dstates[max_states], dstate[max_states];
  py::object dx = py::none();
  Block memory;   // gradients of states, scratch
  Block weights;  // gradients of the packed weights
  Gradients* into = nullptr;
};

py::handle of_direction(py::handle object, Name name, const Call& call, int i) {
  if (call.n == 1 || object.is_none()) return object;
  py::handle parts[max_passes];
  read_parts(object, name, "None or a pair (forward, backward)", call.n, parts);
  return parts[i];
}

Name name_of(const char* name, const Call& call, int i) { return call.n == 1 ? Name(name) : Name(name, i); }

// An array is the gradient of y; a dict may also have gradients into every step's states, by name.
template <class T>
void read_dy(py::handle dy, Name name, const Pass<T>& pass, BackwardWork<T>& work) {
  if (dy.is_none()) return;
  const Dim dims[3] = {{"T", pass.job.steps}, {"B", pass.job.batch}, {"H", pass.job.units}};
  const Shape shape = {dims[0], dims[1], dims[2]};
  if (!PyDict_Check(dy.ptr())) {
    work.dy = read_floats<T>(dy, name, shape, "x");
    return;
  }
  const CellFacts& facts = pass.facts();
  const char* keys[max_states + 1] = {"y"};
  for (int i = 0; i < facts.states; ++i) keys[i + 1] = facts.state_names[i];
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(dy)) {
    const int choice = read_choice(key, name, keys, facts.states + 1);
    if (value.is_none()) continue;
    const std::string part = name.text() + "['" + keys[choice] + "']";
    if (choice == 0) {
      work.dy = read_floats<T>(value, part.c_str(), shape, "x");
    } else {
      work.dstates[choice - 1] = read_floats<T>(value, part.c_str(), shape, "x", Rows::contiguous);
    }
  }
}

template <class T>
Gradients* read_into(py::handle object, Name name, const Pass<T>& pass) {
  if (object.is_none()) return nullptr;
  if (!py::isinstance<Gradients>(object)) type_error(name, "None or Gradients of an earlier call", describe(object));
  auto* into = object.cast<Gradients*>();
  const CellFacts& facts = pass.facts();
  const WeightsOf<T>& weights = *pass.weights;
  const auto* packed = std::get_if<PackedGradients<T>>(&into->packed);
  const bool same_kind = pass.weights_given ? packed && packed->weights->table.lanes == weights.table.lanes
                                            : std::holds_alternative<std::monostate>(into->packed);
  if (std::strcmp(into->facts->name, facts.name) != 0 || into->dtype != dtype_of<T> || into->inputs != weights.inputs ||
      into->units != weights.units || into->has_bias != weights.has_bias || !same_kind) {
    const auto text = [](const char* cell, Dtype dtype, index_t inputs, index_t units, bool bias, bool is_packed) {
      return std::string(cell) + " " + text_of(dtype) + " D = " + std::to_string(inputs) +
             ", H = " + std::to_string(units) + (bias ? " with bias" : " without bias") + (is_packed ? ", packed" : "");
    };
    value_error(name,
                "gradients of " +
                    text(facts.name, dtype_of<T>, weights.inputs, weights.units, weights.has_bias, pass.weights_given),
                text(into->facts->name, into->dtype, into->inputs, into->units, into->has_bias,
                     !std::holds_alternative<std::monostate>(into->packed)));
  }
  if (!packed) {  // the caller may have changed the arrays' flags
    const index_t columns = weights.units * facts.gates;
    read_output<T>(into->W_x, name, {{"D", weights.inputs}, {"G*H", columns}}, "x");
    read_output<T>(into->W_h, name, {{"H", weights.units}, {"G*H", columns}}, "x");
    if (weights.has_bias && facts.bias_rows == 1) read_output<T>(into->b, name, {{"G*H", columns}}, "x");
    if (weights.has_bias && facts.bias_rows > 1)
      read_output<T>(into->b, name, {{"bias_rows", facts.bias_rows}, {"G*H", columns}}, "x");
  }
  return into;
}

// Memory of the gradients, with the initial values that the kernels expect.
template <class T>
void prepare(Pass<T>& pass, BackwardWork<T>& work, bool need_dx) {
  SequenceJob<T>& job = pass.job;
  const CellFacts& facts = pass.facts();
  const index_t rows = job.batch * job.pitch;
  const KernelTable<T>& table = pass.weights->table;
  const index_t dsums =
      pass.segments.longest() * job.batch * pass.panels() * facts.slots * table.lanes * table.factor_bytes;
  const auto carve = [&](Carver carver) {
    for (int i = 0; i < facts.states; ++i) job.dstate[i] = carver.take<T>(rows);
    job.dhold = job.hold ? carver.take<T>(rows) : nullptr;
    job.doperand = facts.phases > 1 ? carver.take<T>(rows) : nullptr;
    job.dsums = table.factor_group > 1 ? carver.take<char>(dsums) : nullptr;
    return carver.used();
  };
  work.memory = Block(carve(Carver()));
  carve(Carver(work.memory.data()));
  for (int i = 0; i < facts.states; ++i) {
    pad_rows(job.dstate[i], job.pitch, work.dstate[i].data, work.dstate[i].stride[0], job.batch, job.units);
    job.dstates[i] = work.dstates[i].data;
  }
  if (job.hold) pad_rows<T>(job.dhold, job.pitch, nullptr, 0, job.batch, job.units);
  if (job.doperand) pad_rows<T>(job.doperand, job.pitch, nullptr, 0, job.batch, job.units);
  job.dy = work.dy.data;
  job.dy_t = work.dy.stride[0];
  job.dy_b = work.dy.stride[1];
  if (need_dx) {
    work.dx = new_sequence<T>(job.steps, job.batch, job.inputs, pass.x_batch_major);
    job.dx = data_of<T>(work.dx);
    job.dx_t = pass.x_batch_major ? job.inputs : job.batch * job.inputs;
    job.dx_b = pass.x_batch_major ? job.steps * job.inputs : job.inputs;
  }
}

// Where the gradients of the weights are summed: privately, unless `into` holds nothing and no signal can end the call.
template <class T>
void place_weight_gradients(Pass<T>& pass, BackwardWork<T>& work, bool interruptible) {
  auto* packed = work.into ? std::get_if<PackedGradients<T>>(&work.into->packed) : nullptr;
  const index_t bytes = pass.weights->packed_size() * static_cast<index_t>(sizeof(T));
  if (packed && work.into->cleared && !interruptible) {
    pass.job.dweights = packed->data();
  } else {
    work.weights = Block(bytes);
    pass.job.dweights = static_cast<T*>(work.weights.data());
  }
  // The kernels assign the sums of the latest block; there may be none.
  if (pass.job.steps * pass.job.batch == 0) std::memset(pass.job.dweights, 0, static_cast<std::size_t>(bytes));
}

// Weights without a bias keep rows of zeros for it; an optimiser's step must leave them so.
template <class T>
void clear_bias_rows(const Pass<T>& pass, T* packed) {
  const CellFacts& facts = pass.facts();
  const index_t row = facts.gates * pass.lanes();
  const index_t panel = (facts.bias_rows + pass.job.inputs + pass.job.units) * row;
  for (index_t p = 0; p < pass.panels(); ++p)
    for (index_t i = 0; i < facts.bias_rows * row; ++i) packed[p * panel + i] = T(0);
}

template <class T>
py::object finish(Pass<T>& pass, BackwardWork<T>& work, py::handle into) {
  const WeightsOf<T>& weights = *pass.weights;
  const CellKernels<T>& kernels = weights.kernels;
  T* dweights = pass.job.dweights;
  py::object state = new_state(pass, pass.state_is_tuple, [&](int i) { return pass.job.dstate[i]; });
  py::object result = work.into ? py::reinterpret_borrow<py::object>(into) : py::cast(std::make_unique<Gradients>());
  auto& gradients = *result.cast<Gradients*>();
  if (pass.weights_given && !weights.has_bias) clear_bias_rows(pass, dweights);
  if (work.into) {
    const FlushDenormals flush;
    if (auto* packed = std::get_if<PackedGradients<T>>(&gradients.packed)) {
      const index_t n = weights.packed_size();
      T* sums = packed->data();
      if (!gradients.cleared) {
        for (index_t i = 0; i < n; ++i) sums[i] += dweights[i];
      } else if (sums != dweights) {
        std::memcpy(sums, dweights, static_cast<std::size_t>(n) * sizeof(T));
      }
      gradients.cleared = false;
    } else {
      kernels.unpack(weights.inputs, weights.units, dweights, data_of<T>(gradients.W_x), data_of<T>(gradients.W_h),
                     weights.has_bias ? data_of<T>(gradients.b) : nullptr, true);
    }
  } else {
    gradients.facts = &kernels.facts;
    gradients.dtype = dtype_of<T>;
    gradients.inputs = weights.inputs;
    gradients.units = weights.units;
    gradients.has_bias = weights.has_bias;
    if (pass.weights_given) {
      gradients.packed = PackedGradients<T>{pass.weights, std::move(work.weights)};
    } else {
      Unpacked<T> parts = unpack(kernels, weights.inputs, weights.units, weights.has_bias, dweights);
      gradients.W_x = std::move(parts.W_x);
      gradients.W_h = std::move(parts.W_h);
      gradients.b = std::move(parts.b);
    }
  }
  gradients.x = std::move(work.dx);
  gradients.state = std::move(state);
  return result;
}

template <class T>
py::object backward(const Call& call, Tape& tape, Record<T>& record) {
  last_report().copied_inputs = false;
  const bool need_dx = read_flag(call.need_dx, "need_dx");
  const index_t threads = read_threads(call.threads);
  const KernelTable<T>& table = record.passes[0].weights->table;
  const Force force = read_force(call.force, precision_of(table.precision));
  if (force.isa && std::strcmp(force.isa, table.isa) != 0)
    value_error("_force", std::string("isa='") + table.isa + "', which ran forward", force.isa);
  if (force.tile_rows > table.tile_rows)
    value_error("_force", "tile_rows up to " + std::to_string(table.tile_rows), std::to_string(force.tile_rows));

  BackwardWork<T> works[max_passes];
  Pass<T>* passes[max_passes] = {&record.passes[0], &record.passes[1]};
  std::optional<Use> uses[max_passes];
  std::shared_ptr<const typename WeightsOf<T>::Factors> transposed[max_passes];
  for (int i = 0; i < call.n; ++i) {
    Pass<T>& pass = *passes[i];
    pass.check_version();
    read_dy(of_direction(call.dy, "dy", call, i), name_of("dy", call, i), pass, works[i]);
    read_state(of_direction(call.dstate, "dstate", call, i), name_of("dstate", call, i), pass.facts(), pass.job.batch,
               pass.job.units, true, works[i].dstate);
    works[i].into = read_into(of_direction(call.into, "into", call, i), name_of("into", call, i), pass);
    if (works[i].into) uses[i].emplace(works[i].into->in_use, "into");
  }
  for (int i = 0; i < call.n; ++i) {
    Pass<T>& pass = *passes[i];
    prepare(pass, works[i], need_dx);
    transposed[i] = pass.weights->transposed();
    pass.job.transposed_x = need_dx ? transposed[i]->x : nullptr;
    pass.job.transposed_h = transposed[i]->h;
  }

  SequenceRunner<T> runner(call.name, passes, call.n, true, threads, force);
  for (int i = 0; i < call.n; ++i) place_weight_gradients(*passes[i], works[i], runner.interruptible());
  tape.consumed = true;  // whatever happens now: the kernels overwrite what forward kept
  runner.backward(need_dx);

  py::object results[max_passes];
  for (int i = 0; i < call.n; ++i) {
    results[i] = finish(*passes[i], works[i], of_direction(call.into, "into", call, i));
    passes[i]->x = py::object();
    passes[i]->weights.reset();
    passes[i]->rounded.reset();
  }
  if (call.n == 1) return std::move(results[0]);
  return py::make_tuple(std::move(results[0]), std::move(results[1]));
}

py::object dispatch(const Call& call) {
  if (!py::isinstance<Tape>(call.tape)) type_error("tape", "a Tape", describe(call.tape));
  Tape& tape = *call.tape.cast<Tape*>();
  const Use use(tape.in_use, "tape");
  if (tape.consumed) throw std::runtime_error("tape: backward has consumed it; run forward again");
  return std::visit(
      [&](auto& record) -> py::object {
        if constexpr (std::is_same_v<std::decay_t<decltype(record)>, std::monostate>) {
          throw std::runtime_error("tape: forward has not filled it");
        } else {
          if (record.n != call.n)
            value_error("tape", call.n == 1 ? "a tape of forward" : "a tape of forward_both",
                        call.n == 1 ? "one of forward_both" : "one of forward");
          return backward(call, tape, record);
        }
      },
      tape.record);
}

template <int n_directions>
PyObject* run(PyObject*, PyObject* const* a, Py_ssize_t n) {
  return guarded([&]() -> py::object {
    constexpr Py_ssize_t expected = 7;
    if (n != expected) throw py::type_error("_engine.backward and backward_both take exactly 7 arguments");
    return dispatch(
        {n_directions == 1 ? "backward" : "backward_both", n_directions, a[0], a[1], a[2], a[3], a[4], a[5], a[6]});
  });
}

PyMethodDef backward_definition = {"backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run<1>)),
                                   METH_FASTCALL, "See pyrnn.ops.backward; all 7 arguments, by position."};
PyMethodDef backward_both_definition = {"backward_both",
                                        reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run<2>)),
                                        METH_FASTCALL, "See pyrnn.ops.backward_both; all 7 arguments, by position."};

}  // namespace

void register_backward(py::module_& module) {
  add_function(module, &backward_definition);
  add_function(module, &backward_both_definition);
}

}  // namespace pyrnn::bindings
