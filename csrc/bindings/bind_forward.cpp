#include <cstring>
#include <vector>

#include "bindings/arguments.hpp"
#include "bindings/register.hpp"
#include "dispatch/registry.hpp"

namespace pyrnn::bindings {

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
      threads, precision, force;
};

// Argument i of a pair, or the argument itself where there is one direction; None stays None.
py::handle of_direction(py::handle object, Name name, const Call& call, int i) {
  if (call.n == 1 || object.is_none()) return object;
  py::handle parts[max_passes];
  read_parts(object, name, "None or a pair (forward, backward)", call.n, parts);
  return parts[i];
}

Name name_of(const char* name, const Call& call, int i) { return call.n == 1 ? Name(name) : Name(name, i); }

// Weights have their precision; of arrays the argument says it.
Precision precision_of_call(py::handle wanted, const WeightArguments* weights, int n) {
  const Precision precision = read_precision(wanted);
  for (int i = 0; i < n; ++i) {
    if (!weights[i].given) continue;
    if (!wanted.is_none() && weights[i].given->precision != precision)
      value_error("precision", "None, as the weights say it", describe(wanted));
    return weights[i].given->precision;
  }
  return precision;
}

template <class T>
const KernelTable<T>& choose_table(const Force& force, Precision precision, const WeightArguments* weights, int n) {
  const KernelTable<T>* table = nullptr;
  for (int i = 0; i < n; ++i) {
    if (!weights[i].given) continue;
    const auto& typed = static_cast<const WeightsOf<T>&>(*weights[i].given);
    const auto text = [](const KernelTable<T>& t) { return std::string(t.isa) + " and " + t.precision; };
    if (table && table != &typed.table)
      value_error(weights[i].W_x_name, "weights packed for " + text(*table), text(typed.table));
    table = &typed.table;
  }
  if (table && force.isa && std::strcmp(table->isa, force.isa) != 0)
    value_error("_force", std::string("isa='") + table->isa + "', which the weights are packed for", force.isa);
  if (table) return *table;
  if (!force.isa) return best_table<T>(precision);
  return table_by_name<T>(force.isa, precision);
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

// One call of forward or forward_both: reads the arguments, runs the passes, hands out the results.
template <class T>
class ForwardCall {
 public:
  ForwardCall(const Call& call, WeightArguments* weights)
      : call_(call),
        weights_(weights),
        precision_(precision_of_call(call.precision, weights, call.n)),
        force_(read_force(call.force, precision_)),
        table_(checked_table()),
        kernels_(find_cell(table_, call.cell, "cell")) {}

  py::object run() {
    last_report().copied_inputs = false;
    read_all_weights();
    read_shared();
    read_tape();
    record_.n = call_.n;
    for (int i = 0; i < call_.n; ++i) read_direction(i);
    cut_into_segments();
    for (int i = 0; i < call_.n; ++i)
      record_.passes[i].allocate(shared_, own_[i], recycled_ ? recycled_->take_memory(i) : Block());
    Pass<T>* passes[max_passes] = {&record_.passes[0], &record_.passes[1]};
    SequenceRunner<T> runner(call_.name, passes, call_.n, false, threads_, force_);
    for (int i = 0; i < call_.n; ++i) place_output(i, runner.interruptible());
    runner.forward();
    return results();
  }

 private:
  const KernelTable<T>& checked_table() const {
    for (int i = 0; i < call_.n; ++i) {
      if (weights_[i].given && weights_[i].given->dtype != dtype_of<T>)
        type_error("x", std::string(text_of(weights_[i].given->dtype)) + ", the dtype of the weights",
                   describe(call_.x));
    }
    check_precision(precision_, dtype_of<T>, "x", call_.x);
    const KernelTable<T>& table = choose_table<T>(force_, precision_, weights_, call_.n);
    if (force_.tile_rows > table.tile_rows)
      value_error("_force", "tile_rows up to " + std::to_string(table.tile_rows), std::to_string(force_.tile_rows));
    return table;
  }

  // The weights say D and H.
  void read_all_weights() {
    for (int i = 0; i < call_.n; ++i) {
      if (weights_[i].given) check_given(weights_[i], kernels_.facts);
      packed_[i] = weights_of(weights_[i], kernels_, table_);
    }
    if (call_.n == 2 && packed_[0]->inputs != packed_[1]->inputs)
      value_error(weights_[1].W_x_name, "weights with D = " + std::to_string(packed_[0]->inputs),
                  "D = " + std::to_string(packed_[1]->inputs));
  }

  // x says T and B.
  void read_shared() {
    shared_.x = read_floats<T>(call_.x, "x", {{"T"}, {"B"}, {"D", packed_[0]->inputs, ", the rows of W_x"}});
    steps_ = shared_.x.shape[0];
    batch_ = shared_.x.shape[1];
    check_addressable("x", {batch_, 1 << 15});
    for (int i = 0; i < call_.n; ++i) {
      const index_t padded_units = packed_[i]->units + 2 * table_.lanes;
      check_addressable("x", {steps_ + 1, batch_, packed_[i]->inputs + padded_units * (kernels_.facts.slots + 4)});
    }
    check_none(call_.extra, "extra", "as this cell has no extra parameters");
    if (!call_.lengths.is_none()) shared_.lengths = read_lengths(call_.lengths, "lengths", batch_, steps_);
    if (!call_.mask.is_none()) shared_.mask = read_bools(call_.mask, "mask", {{"T", steps_}, {"B", batch_}});
    if (!call_.resets.is_none()) shared_.resets = read_bools(call_.resets, "resets", {{"T", steps_}, {"B", batch_}});
    const char* const masked[] = {"zero", "hold"};
    shared_.hold = read_choice(call_.masked, "masked", masked, 2) == 1;
    sequences_ = read_flag(call_.sequences, "sequences");
    threads_ = read_threads(call_.threads);
  }

  // How much to keep, or a consumed tape whose memory is used again.
  void read_tape() {
    if (!PyBool_Check(call_.tape.ptr()) && py::isinstance<Tape>(call_.tape)) {
      recycled_ = call_.tape.cast<Tape*>();
      use_.emplace(recycled_->in_use, "tape");
      if (!recycled_->consumed) value_error("tape", "a consumed Tape", "one that backward has not used");
    }
    mode_ = read_tape_mode(call_.tape);
    if (force_.segment_blocks > 0 && mode_.kind == TapeMode::Kind::none)
      value_error("_force", "segment_blocks only with a tape", "tape=False");
  }

  void read_direction(int i) {
    const index_t inputs = packed_[i]->inputs, units = packed_[i]->units;
    Pass<T>& pass = record_.passes[i];
    DirectionInputs<T>& own = own_[i];
    const py::handle state = of_direction(call_.state, "state", call_, i);
    pass.state_is_tuple =
        read_state(state, name_of("state", call_, i), kernels_.facts, batch_, units, false, own.state);
    const py::handle x_scale = of_direction(call_.x_scale, "x_scale", call_, i);
    if (!x_scale.is_none())
      own.x_scale = read_floats<T>(x_scale, name_of("x_scale", call_, i), {{"B", batch_}, {"D", inputs}}, "x");
    const py::handle h_scale = of_direction(call_.h_scale, "h_scale", call_, i);
    if (!h_scale.is_none())
      own.h_scale = read_floats<T>(h_scale, name_of("h_scale", call_, i), {{"B", batch_}, {"H", units}}, "x");
    read_zoneout(of_direction(call_.zoneout, "zoneout", call_, i), name_of("zoneout", call_, i), kernels_.facts, steps_,
                 batch_, units, own);
    read_target(i, own);
    pass.weights_given = static_cast<bool>(weights_[i].given);
    const Work work = work_of(table_, kernels_.facts, call_.n, steps_, batch_, inputs, units, false);
    const index_t hoisted = force_.hoisted_steps >= 0 ? std::min(force_.hoisted_steps, steps_) : hoisted_steps(work);
    pass.describe(packed_[i], shared_, i == 0 ? call_.reverse : !call_.reverse, keeps(), hoisted);
  }

  bool keeps() const { return mode_.kind != TapeMode::Kind::none; }

  // Both directions alike, so that backward goes through their segments side by side.
  void cut_into_segments() {
    const index_t blocks = record_.passes[0].segments.blocks();
    index_t blocks_each = force_.segment_blocks;
    if (blocks_each == 0 && (mode_.kind == TapeMode::Kind::segments || mode_.kind == TapeMode::Kind::budget)) {
      const Choice choice = choose_segments(mode_, blocks, [&](index_t each) {
        index_t bytes = 0;
        for (int i = 0; i < call_.n; ++i) bytes += record_.passes[i].bytes_with(each, shared_, own_[i]);
        return bytes;
      });
      if (!choice.fits)
        value_error("tape",
                    "a memory budget of at least " + std::to_string(choice.bytes) + " bytes for these arguments",
                    std::to_string(mode_.bytes));
      blocks_each = choice.blocks_each;
    }
    if (blocks_each > 0)
      for (int i = 0; i < call_.n; ++i)
        record_.passes[i].segments.blocks_each = std::min(blocks_each, std::max<index_t>(blocks, 1));
  }

  // Where y goes: the caller's array, a new one, or nowhere.
  void read_target(int i, const DirectionInputs<T>& own) {
    Target<T>& target = targets_[i];
    const index_t units = packed_[i]->units;
    const py::handle out = of_direction(call_.out, "out", call_, i);
    if (!out.is_none()) {
      const Name name = name_of("out", call_, i);
      if (!sequences_) check_none(out, name, "with sequences=False");
      target.out = read_output<T>(out, name, {{"T", steps_}, {"B", batch_}, {"H", units}}, "x");
      check_out(target, name, call_, weights_[i], own);
      if (i == 1 && targets_[0].out.owner) check_apart(out, name, targets_[0].out.owner, "out[0]");
      target.array = target.out.owner;
    } else if (sequences_) {
      target.array = new_sequence<T>(steps_, batch_, units, shared_.x.batch_major);
    } else {
      target.array = py::none();
    }
  }

  // The kernels write to the caller's array only where no signal can end the call half way.
  void place_output(int i, bool interruptible) {
    Target<T>& target = targets_[i];
    if (target.array.is_none()) return;
    SequenceJob<T>& job = record_.passes[i].job;
    const bool given = static_cast<bool>(target.out.owner);
    if (given && !interruptible) {
      job.y = data_of<T>(target.array);
      job.y_t = target.out.stride[0];
      job.y_b = target.out.stride[1];
      return;
    }
    if (given) target.waiting = Block(steps_ * batch_ * job.units * static_cast<index_t>(sizeof(T)));
    job.y = given ? static_cast<T*>(target.waiting.data()) : data_of<T>(target.array);
    const bool batch_major = !given && shared_.x.batch_major;
    job.y_t = batch_major ? job.units : batch_ * job.units;
    job.y_b = batch_major ? steps_ * job.units : job.units;
  }

  py::object results() {
    py::object y[max_passes], states[max_passes];
    for (int i = 0; i < call_.n; ++i) {
      Pass<T>& pass = record_.passes[i];
      SequenceJob<T>& job = pass.job;
      Target<T>& target = targets_[i];
      for (index_t t = 0; target.waiting.data() && t < steps_; ++t)
        copy_rows(target.out.data + t * target.out.stride[0], target.out.stride[1], job.y + t * job.y_t, job.y_b,
                  batch_, job.units);
      job.y = nullptr;
      y[i] = std::move(target.array);
      states[i] = new_state(pass, pass.state_is_tuple, [&](int k) { return pass.state_at(k, steps_); });
    }
    py::object tape = keeps() ? filled_tape() : py::none();
    if (call_.n == 1) return py::make_tuple(std::move(y[0]), std::move(states[0]), std::move(tape));
    const bool no_y = y[0].is_none();
    return py::make_tuple(no_y ? py::object(py::none()) : py::make_tuple(y[0], y[1]),
                          py::make_tuple(states[0], states[1]), std::move(tape));
  }

  py::object filled_tape() {
    py::object tape = recycled_ ? py::reinterpret_borrow<py::object>(call_.tape) : py::cast(std::make_unique<Tape>());
    auto& target = *tape.cast<Tape*>();
    target.record = std::move(record_);
    target.consumed = false;
    target.mode = mode_;
    return tape;
  }

  const Call& call_;
  WeightArguments* const weights_;
  const Precision precision_;
  const Force force_;
  const KernelTable<T>& table_;
  const CellKernels<T>& kernels_;
  std::shared_ptr<WeightsOf<T>> packed_[max_passes];
  SharedInputs<T> shared_;
  DirectionInputs<T> own_[max_passes];
  index_t steps_ = 0, batch_ = 0, threads_ = 1;
  bool sequences_ = true;
  TapeMode mode_;
  Tape* recycled_ = nullptr;
  std::optional<Use> use_;
  Record<T> record_;
  Target<T> targets_[max_passes];
};

py::object dispatch(const Call& call, WeightArguments* weights) {
  if (float_dtype(call.x, "x") == Dtype::float32) return ForwardCall<float>(call, weights).run();
  return ForwardCall<double>(call, weights).run();
}

PyObject* forward_one(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&]() -> py::object {
    constexpr Py_ssize_t expected = 21;
    if (n != expected) throw py::type_error("_engine.forward takes exactly 21 arguments");
    const auto a = [&](int i) { return py::handle(arguments[i]); };
    WeightArguments weights{a(2), a(3), a(4), "W_x", "W_h", "b", as_weights(a(2))};
    const Call call{"forward", 1,     read_flag(a(11), "reverse"),
                    a(0),      a(1),  a(5),
                    a(6),      a(7),  a(8),
                    a(9),      a(10), a(12),
                    a(13),     a(14), a(15),
                    a(16),     a(17), a(18),
                    a(19),     a(20)};
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
    constexpr Py_ssize_t expected = 19;
    if (n != expected) throw py::type_error("_engine.forward_both takes exactly 19 arguments");
    const auto a = [&](int i) { return py::handle(arguments[i]); };
    WeightArguments weights[2] = {read_pair_member(a(2), "forward_weights"),
                                  read_pair_member(a(3), "backward_weights")};
    const Call call{"forward_both", 2,     false, a(0),  a(1),  a(4),  a(5),  a(6),  a(7),  a(8),
                    a(9),           a(10), a(11), a(12), a(13), a(14), a(15), a(16), a(17), a(18)};
    return dispatch(call, weights);
  });
}

PyMethodDef forward_definition = {"forward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(forward_one)),
                                  METH_FASTCALL, "See pyrnn.ops.forward; all 21 arguments, by position."};
PyMethodDef forward_both_definition = {"forward_both",
                                       reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(forward_both)),
                                       METH_FASTCALL, "See pyrnn.ops.forward_both; all 19 arguments, by position."};

}  // namespace

void register_forward(py::module_& module) {
  add_function(module, &forward_definition);
  add_function(module, &forward_both_definition);
}

}  // namespace pyrnn::bindings
