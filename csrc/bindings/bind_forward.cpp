#include <cstring>
#include <vector>

#include "bindings/arguments.hpp"
#include "bindings/register.hpp"
#include "dispatch/registry.hpp"

namespace pyrnn::bindings {

Force read_force(py::handle object) {
  Force force;
  if (object.is_none()) return force;
  if (!PyDict_Check(object.ptr())) type_error("_force", "a dict", describe(object));
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(object)) {
    const char* const keys[] = {"isa", "hoisted_steps", "directions", "batch", "units", "tile_rows"};
    const int choice = read_choice(key, "_force", keys, 6);
    if (choice == 0) {
      std::vector<const char*> isas;
      for (const IsaStatus& isa : isa_statuses()) isas.push_back(isa.name.c_str());
      force.isa =
          isas[static_cast<std::size_t>(read_choice(value, "_force", isas.data(), static_cast<int>(isas.size())))];
    } else if (choice == 1) {
      force.hoisted_steps = read_count(value, "_force", 0, 1 << 20);
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

namespace {

struct WeightArguments {
  py::handle W_x, W_h, b;
  Name W_x_name, W_h_name, b_name;
  std::shared_ptr<AnyWeights> given;
};

struct Call {
  const char* name;
  int n;         // directions
  bool reverse;  // of the first; the second is the other way round
  py::handle cell, x, state, extra, lengths, mask, masked, resets, x_scale, h_scale, zoneout, sequences, tape, out,
      threads, force;
};

// Argument i of a pair, or the argument itself where there is one direction; None stays None.
py::handle of_direction(py::handle object, Name name, const Call& call, int i) {
  if (call.n == 1 || object.is_none()) return object;
  py::handle parts[max_passes];
  read_parts(object, name, "None or a pair (forward, backward)", call.n, parts);
  return parts[i];
}

Name name_of(const char* name, const Call& call, int i) { return call.n == 1 ? Name(name) : Name(name, i); }

template <class T>
const KernelTable<T>& choose_table(const Force& force, const WeightArguments* weights, int n) {
  const KernelTable<T>* table = nullptr;
  for (int i = 0; i < n; ++i) {
    if (!weights[i].given) continue;
    const auto& typed = static_cast<const WeightsOf<T>&>(*weights[i].given);
    if (table && table != &typed.table)
      value_error(weights[i].W_x_name, std::string("weights packed for ") + table->isa, typed.table.isa);
    table = &typed.table;
  }
  if (table && force.isa && std::strcmp(table->isa, force.isa) != 0)
    value_error("_force", std::string("isa='") + table->isa + "', which the weights are packed for", force.isa);
  if (table) return *table;
  if (!force.isa) return best_table<T>();
  return table_by_name<T>(force.isa);
}

template <class T>
void read_zoneout(py::handle object, Name name, const CellFacts& facts, index_t steps, index_t batch, index_t units,
                  DirectionInputs<T>& own) {
  if (object.is_none()) return;
  const auto read = [&](py::handle part, Name part_name, int i) {
    const Dim dims[3] = {{"T", steps}, {"B", batch}, {"H", units}};
    if (is_bool_array(part)) {
      own.zoneout_bools[i] = read_bools(part, part_name, {dims[0], dims[1], dims[2]});
    } else {
      own.zoneout[i] = read_floats<T>(part, part_name, {dims[0], dims[1], dims[2]}, "x");
    }
  };
  own.zoneout_shared = !PyTuple_Check(object.ptr()) && !PyList_Check(object.ptr());
  if (own.zoneout_shared) return read(object, name, 0);
  py::handle parts[max_states];
  read_parts(object, name, "an array (T, B, H) or a tuple with one for each state", facts.states, parts);
  for (int i = 0; i < facts.states; ++i)
    if (!parts[i].is_none()) read(parts[i], name[i], i);
}

template <class T>
struct Target {
  py::object array;  // what the caller gets
  Output<T> out;     // where it was given by the caller
  Block waiting;     // y of an interruptible call with `out`
};

template <class T>
std::shared_ptr<WeightsOf<T>> weights_of(const WeightArguments& arguments, const CellKernels<T>& kernels,
                                         const KernelTable<T>& table) {
  if (arguments.given) return std::static_pointer_cast<WeightsOf<T>>(arguments.given);
  return std::make_shared<WeightsOf<T>>(table, kernels,
                                        read_weights<T>(kernels.facts, arguments.W_x, arguments.W_h, arguments.b,
                                                        arguments.W_x_name, arguments.W_h_name, arguments.b_name, "x"));
}

void check_given(const WeightArguments& arguments, const CellFacts& facts) {
  const AnyWeights& weights = *arguments.given;
  if (std::strcmp(weights.facts.name, facts.name) != 0)
    value_error(arguments.W_x_name, std::string("weights of cell '") + facts.name + "', as `cell` says",
                std::string("weights of cell '") + weights.facts.name + "'");
  if (!arguments.W_h.is_none()) check_none(arguments.W_h, arguments.W_h_name, "beside ops.Weights");
  if (!arguments.b.is_none()) check_none(arguments.b, arguments.b_name, "beside ops.Weights");
}

template <class T>
void check_out(const Target<T>& target, Name name, const Call& call, const WeightArguments& weights,
               const DirectionInputs<T>& own) {
  const py::handle out = target.out.owner;
  check_apart(out, name, call.x, "x");
  check_apart(out, name, weights.W_x, weights.W_x_name);
  check_apart(out, name, weights.W_h, weights.W_h_name);
  check_apart(out, name, weights.b, weights.b_name);
  check_apart(out, name, own.x_scale.owner, "x_scale");
  check_apart(out, name, own.h_scale.owner, "h_scale");
  for (int i = 0; i < max_states; ++i) {
    check_apart(out, name, own.state[i].owner, "state");
    check_apart(out, name, own.zoneout[i].owner, "zoneout");
  }
}

template <class T>
py::object forward(const Call& call, WeightArguments* weights) {
  last_report().copied_inputs = false;
  const Force force = read_force(call.force);
  for (int i = 0; i < call.n; ++i) {
    if (weights[i].given && weights[i].given->dtype != dtype_of<T>)
      type_error("x", std::string(text_of(weights[i].given->dtype)) + ", the dtype of the weights", describe(call.x));
  }
  const KernelTable<T>& table = choose_table<T>(force, weights, call.n);
  const CellKernels<T>& kernels = find_cell(table, call.cell, "cell");
  const CellFacts& facts = kernels.facts;
  if (force.tile_rows > table.tile_rows)
    value_error("_force", "tile_rows up to " + std::to_string(table.tile_rows), std::to_string(force.tile_rows));

  // Sizes: the weights say D and H, x says T and B.
  std::shared_ptr<WeightsOf<T>> packed[max_passes];
  for (int i = 0; i < call.n; ++i) {
    if (weights[i].given) check_given(weights[i], facts);
    packed[i] = weights_of(weights[i], kernels, table);
  }
  if (call.n == 2 && packed[0]->inputs != packed[1]->inputs)
    value_error(weights[1].W_x_name, "weights with D = " + std::to_string(packed[0]->inputs),
                "D = " + std::to_string(packed[1]->inputs));
  SharedInputs<T> shared;
  shared.x = read_floats<T>(call.x, "x", {{"T"}, {"B"}, {"D", packed[0]->inputs, ", the rows of W_x"}});
  const index_t steps = shared.x.shape[0], batch = shared.x.shape[1];
  check_addressable("x", {batch, 1 << 15});
  for (int i = 0; i < call.n; ++i)
    check_addressable("x",
                      {steps + 1, batch, packed[i]->inputs + (packed[i]->units + 2 * table.lanes) * (facts.slots + 4)});
  check_none(call.extra, "extra", "as this cell has no extra parameters");
  if (!call.lengths.is_none()) shared.lengths = read_lengths(call.lengths, "lengths", batch, steps);
  if (!call.mask.is_none()) shared.mask = read_bools(call.mask, "mask", {{"T", steps}, {"B", batch}});
  if (!call.resets.is_none()) shared.resets = read_bools(call.resets, "resets", {{"T", steps}, {"B", batch}});
  const char* const masked[] = {"zero", "hold"};
  shared.hold = read_choice(call.masked, "masked", masked, 2) == 1;
  const bool sequences = read_flag(call.sequences, "sequences");
  const index_t threads = read_threads(call.threads);

  Tape* recycled = nullptr;
  std::optional<Use> use;
  if (py::isinstance<Tape>(call.tape)) {
    recycled = call.tape.cast<Tape*>();
    use.emplace(recycled->in_use, "tape");
    if (!recycled->consumed) value_error("tape", "True, False or a consumed Tape", "one that backward has not used");
  }
  const bool keep = recycled || read_flag(call.tape, "tape");

  Record<T> record;
  record.n = call.n;
  Target<T> targets[max_passes];
  Pass<T>* passes[max_passes] = {&record.passes[0], &record.passes[1]};
  for (int i = 0; i < call.n; ++i) {
    Pass<T>& pass = record.passes[i];
    const index_t units = packed[i]->units;
    DirectionInputs<T> own;
    const py::handle state = of_direction(call.state, "state", call, i);
    pass.state_is_tuple = read_state(state, name_of("state", call, i), facts, batch, units, false, own.state);
    const py::handle x_scale = of_direction(call.x_scale, "x_scale", call, i);
    if (!x_scale.is_none())
      own.x_scale = read_floats<T>(x_scale, name_of("x_scale", call, i), {{"B", batch}, {"D", packed[i]->inputs}}, "x");
    const py::handle h_scale = of_direction(call.h_scale, "h_scale", call, i);
    if (!h_scale.is_none())
      own.h_scale = read_floats<T>(h_scale, name_of("h_scale", call, i), {{"B", batch}, {"H", units}}, "x");
    read_zoneout(of_direction(call.zoneout, "zoneout", call, i), name_of("zoneout", call, i), facts, steps, batch,
                 units, own);
    const py::handle out = of_direction(call.out, "out", call, i);
    if (!out.is_none()) {
      const Name name = name_of("out", call, i);
      if (!sequences) check_none(out, name, "with sequences=False");
      targets[i].out = read_output<T>(out, name, {{"T", steps}, {"B", batch}, {"H", units}}, "x");
      check_out(targets[i], name, call, weights[i], own);
      if (i == 1 && targets[0].out.owner) check_apart(out, name, targets[0].out.owner, "out[0]");
      targets[i].array = targets[i].out.owner;
    } else if (sequences) {
      targets[i].array = new_sequence<T>(steps, batch, units, shared.x.batch_major);
    } else {
      targets[i].array = py::none();
    }
    pass.weights_given = static_cast<bool>(weights[i].given);
    const Work work = work_of(table, facts, call.n, steps, batch, packed[i]->inputs, units, false);
    const index_t hoisted = force.hoisted_steps >= 0 ? std::min(force.hoisted_steps, steps) : hoisted_steps(work);
    pass.prepare(packed[i], shared, own, i == 0 ? call.reverse : !call.reverse, keep, hoisted,
                 recycled ? recycled->take_memory(i) : Block());
  }

  SequenceRunner<T> runner(call.name, passes, call.n, false, threads, force);
  for (int i = 0; i < call.n; ++i) {
    if (targets[i].array.is_none()) continue;
    SequenceJob<T>& job = record.passes[i].job;
    const Output<T>& out = targets[i].out;
    if (out.owner && runner.interruptible()) {
      targets[i].waiting = Block(steps * batch * job.units * static_cast<index_t>(sizeof(T)));
      job.y = static_cast<T*>(targets[i].waiting.data());
    } else {
      job.y = data_of<T>(targets[i].array);
    }
    const bool batch_major = !out.owner && shared.x.batch_major;
    const bool direct = out.owner && !targets[i].waiting.data();
    job.y_t = direct ? out.stride[0] : batch_major ? job.units : batch * job.units;
    job.y_b = direct ? out.stride[1] : batch_major ? steps * job.units : job.units;
  }
  runner.forward();

  py::object y[max_passes], states[max_passes];
  for (int i = 0; i < call.n; ++i) {
    Pass<T>& pass = record.passes[i];
    SequenceJob<T>& job = pass.job;
    if (targets[i].waiting.data()) {
      for (index_t t = 0; t < steps; ++t)
        copy_rows(targets[i].out.data + t * targets[i].out.stride[0], targets[i].out.stride[1], job.y + t * job.y_t,
                  job.y_b, batch, job.units);
    }
    job.y = nullptr;
    y[i] = std::move(targets[i].array);
    states[i] = new_state(pass, pass.state_is_tuple, [&](int k) { return pass.state_at(k, steps); });
  }
  py::object tape = py::none();
  if (keep) {
    tape = recycled ? py::reinterpret_borrow<py::object>(call.tape) : py::cast(std::make_unique<Tape>());
    auto& target = *tape.cast<Tape*>();
    target.record = std::move(record);
    target.consumed = false;
  }
  if (call.n == 1) return py::make_tuple(std::move(y[0]), std::move(states[0]), std::move(tape));
  const bool no_y = y[0].is_none();
  return py::make_tuple(no_y ? py::object(py::none()) : py::make_tuple(y[0], y[1]),
                        py::make_tuple(states[0], states[1]), std::move(tape));
}

py::object dispatch(const Call& call, WeightArguments* weights) {
  return float_dtype(call.x, "x") == Dtype::float32 ? forward<float>(call, weights) : forward<double>(call, weights);
}

PyObject* forward_one(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&]() -> py::object {
    constexpr Py_ssize_t expected = 20;
    if (n != expected) throw py::type_error("_engine.forward takes exactly 20 arguments");
    const auto a = [&](int i) { return py::handle(arguments[i]); };
    WeightArguments weights{a(2), a(3), a(4), "W_x", "W_h", "b", as_weights(a(2))};
    const Call call{"forward", 1,     read_flag(a(11), "reverse"),
                    a(0),      a(1),  a(5),
                    a(6),      a(7),  a(8),
                    a(9),      a(10), a(12),
                    a(13),     a(14), a(15),
                    a(16),     a(17), a(18),
                    a(19)};
    return dispatch(call, &weights);
  });
}

WeightArguments read_pair_member(py::handle object, Name name) {
  WeightArguments weights{object, py::none(), py::none(), name, name[1], name[2], as_weights(object)};
  if (weights.given) return weights;
  const char* expected = "ops.Weights or a tuple (W_x, W_h[, b])";
  const bool tuple = PyTuple_Check(object.ptr()) && PyTuple_GET_SIZE(object.ptr()) == 2;
  py::handle parts[3] = {py::none(), py::none(), py::none()};
  read_parts(object, name, expected, tuple ? 2 : 3, parts);
  weights.W_x = parts[0];
  weights.W_h = parts[1];
  weights.b = parts[2];
  weights.W_x_name = name[0];
  return weights;
}

PyObject* forward_both(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&]() -> py::object {
    constexpr Py_ssize_t expected = 18;
    if (n != expected) throw py::type_error("_engine.forward_both takes exactly 18 arguments");
    const auto a = [&](int i) { return py::handle(arguments[i]); };
    WeightArguments weights[2] = {read_pair_member(a(2), "forward_weights"),
                                  read_pair_member(a(3), "backward_weights")};
    const Call call{"forward_both", 2,     false, a(0),  a(1),  a(4),  a(5),  a(6),  a(7), a(8),
                    a(9),           a(10), a(11), a(12), a(13), a(14), a(15), a(16), a(17)};
    return dispatch(call, weights);
  });
}

PyMethodDef forward_definition = {"forward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(forward_one)),
                                  METH_FASTCALL, "See pyrnn.ops.forward; all 20 arguments, by position."};
PyMethodDef forward_both_definition = {"forward_both",
                                       reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(forward_both)),
                                       METH_FASTCALL, "See pyrnn.ops.forward_both; all 18 arguments, by position."};

}  // namespace

void register_forward(py::module_& module) {
  add_function(module, &forward_definition);
  add_function(module, &forward_both_definition);
}

}  // namespace pyrnn::bindings
