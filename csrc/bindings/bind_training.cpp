// The ops around the recurrent ones: activations, embedding, sums and dropout here, the others in files of their own.
#include <cmath>

#include "bindings/flat_arrays.hpp"
#include "bindings/register.hpp"
#include "bindings/split_work.hpp"
#include "bindings/training.hpp"

namespace pyrnn::bindings {
namespace {

Activation read_activation(py::handle object) {
  return static_cast<Activation>(read_choice(object, "name", activation_names, std::size(activation_names)));
}

// What may be split: rows where the activation is softmax, elements elsewhere; and what the whole costs.
template <class T>
struct Units {
  index_t count, width;
  double us;

  Units(const Runner<T>& runner, Activation function, const Flat<const T>& x)
      : count(function == Activation::softmax ? x.rows() : x.size),
        width(function == Activation::softmax ? x.last() : 1),
        us(0.01 * static_cast<double>(x.size) / runner.table->lanes) {
    if (width == 0) count = 0;
  }
  index_t grain() const { return width == 1 ? 1024 : 16; }
};

template <class T>
Flat<const T> read_activated(py::handle object, Name name, Activation function) {
  return function == Activation::softmax ? read_rows<T>(object, name, "(..., V)") : read_flat<T>(object, name);
}

// activation_forward(name, x, out, force) -> y
template <class T>
py::object activation_forward_of(Activation function, PyObject* const* arguments) {
  const Runner<T> runner("activation_forward", py::none(), arguments[3]);
  const Flat<const T> x = read_activated<T>(arguments[1], "x", function);
  const Flat<T> y = flat_output<T>(arguments[2], "out", "x", x.rank, x.shape);
  if (static_cast<const T*>(y.data) != x.data && arguments[2] != Py_None)
    check_apart(arguments[2], "out", arguments[1], "x");
  const Units<T> units(runner, function, x);
  const OpsKernels<T>& ops = runner.table->ops;
  runner.run(units.us, units.count, units.grain(), [&](index_t begin, index_t end, int) {
    const index_t at = begin * units.width;
    if (function == Activation::softmax) {
      ops.softmax(end - begin, units.width, x.data + at, y.data + at);
    } else {
      ops.activation(function, end - begin, x.data + at, y.data + at);
    }
  });
  return y.owner;
}

// activation_backward(name, y, dy, out, force) -> dx
template <class T>
py::object activation_backward_of(Activation function, PyObject* const* arguments) {
  const Runner<T> runner("activation_backward", py::none(), arguments[4]);
  const Flat<const T> y = read_activated<T>(arguments[1], "y", function);
  const Flat<const T> dy = read_flat<T>(arguments[2], "dy", "y");
  check_shape_is("dy", dy.rank, dy.shape, y.rank, y.shape);
  const Flat<T> dx = flat_output<T>(arguments[3], "out", "y", y.rank, y.shape);
  if (arguments[3] != Py_None) {
    if (static_cast<const T*>(dx.data) != y.data) check_apart(arguments[3], "out", arguments[1], "y");
    if (static_cast<const T*>(dx.data) != dy.data) check_apart(arguments[3], "out", arguments[2], "dy");
  }
  const Units<T> units(runner, function, y);
  const OpsKernels<T>& ops = runner.table->ops;
  runner.run(units.us, units.count, units.grain(), [&](index_t begin, index_t end, int) {
    const index_t at = begin * units.width;
    if (function == Activation::softmax) {
      ops.softmax_gradient(end - begin, units.width, y.data + at, dy.data + at, dx.data + at);
    } else {
      ops.activation_gradient(function, end - begin, y.data + at, dy.data + at, dx.data + at);
    }
  });
  return dx.owner;
}

// embedding_forward(ids, W, out, force) -> y
template <class T>
py::object embedding_forward_of(PyObject* const* arguments) {
  const Runner<T> runner("embedding_forward", py::none(), arguments[3]);
  const Flat<const T> W = read_flat<T>(arguments[1], "W");
  if (W.rank != 2) value_error("W", "(V, K)", W.shape_text());
  const Ids ids = read_ids(arguments[0], "ids", "V", W.shape[0]);
  index_t shape[max_rank + 1];
  if (ids.rank >= max_rank) value_error("ids", "at most 63 axes", std::to_string(ids.rank));
  std::copy(ids.shape, ids.shape + ids.rank, shape);
  shape[ids.rank] = W.shape[1];
  const Flat<T> y = flat_output<T>(arguments[2], "out", "W", ids.rank + 1, shape);
  if (arguments[2] != Py_None) {
    check_apart(arguments[2], "out", arguments[1], "W");
    check_apart(arguments[2], "out", arguments[0], "ids");
  }
  EmbeddingJob<T> job{};
  job.count = ids.size;
  job.width = W.shape[1];
  job.ids = ids.data;
  job.W = W.data;
  job.y = y.data;
  const double us = static_cast<double>(y.size) * sizeof(T) / 10000;
  runner.run(us, ids.size, 16,
             [&](index_t begin, index_t end, int) { runner.table->ops.embedding_forward(&job, begin, end); });
  return y.owner;
}

// embedding_backward(ids, dy, dW, force)
template <class T>
void embedding_backward_of(PyObject* const* arguments) {
  const Runner<T> runner("embedding_backward", py::none(), arguments[3]);
  const Flat<T> dW = read_flat_output<T>(arguments[2], "dW", nullptr);
  if (dW.rank != 2) value_error("dW", "(V, K)", dW.shape_text());
  const Ids ids = read_ids(arguments[0], "ids", "V", dW.shape[0]);
  const Flat<const T> dy = read_flat<T>(arguments[1], "dy", "dW");
  index_t shape[max_rank + 1];
  std::copy(ids.shape, ids.shape + ids.rank, shape);
  shape[ids.rank] = dW.shape[1];
  check_shape_is("dy", dy.rank, dy.shape, ids.rank + 1, shape);
  check_apart(arguments[2], "dW", arguments[1], "dy");
  check_apart(arguments[2], "dW", arguments[0], "ids");
  EmbeddingJob<T> job{};
  job.count = ids.size;
  job.width = dW.shape[1];
  job.ids = ids.data;
  job.dy = dy.data;
  job.dW = dW.data;
  const double us = static_cast<double>(dy.size) * sizeof(T) / 8000;
  runner.run(us, job.width, 64,
             [&](index_t begin, index_t end, int) { runner.table->ops.embedding_backward(&job, begin, end); });
}

// sum_of_squares(x, force) -> float
template <class T>
double sum_of_squares_of(PyObject* const* arguments) {
  const Runner<T> runner("sum_of_squares", py::none(), arguments[1]);
  const Flat<const T> x = read_flat<T>(arguments[0], "x");
  const index_t blocks = (x.size + sum_block - 1) / sum_block;
  static thread_local AlignedBuffer<double> buffer;
  double* sums = buffer.reserve(blocks);
  const double us = static_cast<double>(x.size) * sizeof(T) / 30000;
  runner.run(us, blocks, 1, [&](index_t begin, index_t end, int) {
    runner.table->ops.sums_of_squares(x.size, x.data, begin, end, sums);
  });
  return runner.table->ops.tree_sum(blocks, sums);
}

// sum_axis(x, axis, force) -> y
template <class T>
py::object sum_axis_of(PyObject* const* arguments) {
  const Runner<T> runner("sum_axis", py::none(), arguments[2]);
  const Flat<const T> x = read_rows<T>(arguments[0], "x", "at least one axis");
  const index_t given = read_count(arguments[1], "axis", -x.rank, x.rank - 1);
  const auto axis = static_cast<int>(given < 0 ? given + x.rank : given);
  index_t shape[max_rank], outer = 1, inner = 1;
  for (int i = 0, to = 0; i < x.rank; ++i) {
    if (i == axis) continue;
    (i < axis ? outer : inner) *= x.shape[i];
    shape[to++] = x.shape[i];
  }
  const Flat<T> y = new_flat<T>(x.rank - 1, shape);
  runner.run(static_cast<double>(x.size) * sizeof(T) / 15000, outer, 1, [&](index_t begin, index_t end, int) {
    runner.table->ops.sum_middle(x.shape[axis], inner, x.data, y.data, begin, end);
  });
  return y.owner;
}

// Steele, Lea and Flood 2014: a bijection of 64 bits in which every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// dropout_scales(shape, rate, seed, step, layer, t0, sample0, dtype, force) -> scales
template <class T>
py::object dropout_scales_of(PyObject* const* arguments) {
  const Runner<T> runner("dropout_scales", py::none(), arguments[8]);
  constexpr index_t largest = (index_t{1} << 32) - 1;
  const py::handle shape_argument = arguments[0];
  constexpr const char* expected = "(B, H) or (T, B, H)";
  if (!PyTuple_Check(shape_argument.ptr())) type_error("shape", expected, describe(shape_argument));
  const auto rank = static_cast<int>(PyTuple_GET_SIZE(shape_argument.ptr()));
  if (rank != 2 && rank != 3) value_error("shape", expected, py::repr(shape_argument).cast<std::string>());
  index_t shape[3];
  for (int i = 0; i < rank; ++i)
    shape[i] = read_count(PyTuple_GET_ITEM(shape_argument.ptr(), i), Name("shape", i), 0, largest);
  const index_t T_steps = rank == 3 ? shape[0] : 1, batch = shape[rank - 2], units = shape[rank - 1];
  check_addressable("shape", {T_steps, batch, units});

  DropoutJob<T> job{};
  const double rate = read_share(arguments[1], "rate", true);
  const auto seed = static_cast<std::uint64_t>(read_count(arguments[2], "seed", 0, PTRDIFF_MAX));
  const auto step = static_cast<std::uint64_t>(read_count(arguments[3], "step", 0, PTRDIFF_MAX));
  const index_t layer = read_count(arguments[4], "layer", 0, largest);
  const index_t t0 = read_count(arguments[5], "t0", 0, largest - T_steps);
  const index_t sample0 = read_count(arguments[6], "sample0", 0, largest - batch);
  const Flat<T> scales = new_flat<T>(rank, shape);
  job.batch = batch;
  job.units = units;
  // Different steps of a seed have different keys: mix is a bijection and the factor is odd.
  job.key = mix(mix(seed) + step * 0x9E3779B97F4A7C15);
  job.layer = static_cast<std::uint32_t>(layer);
  job.t0 = static_cast<std::uint32_t>(t0);
  job.sample0 = static_cast<std::uint32_t>(sample0);
  job.threshold = static_cast<std::uint32_t>(std::min(std::nearbyint(rate * 4294967296.0), 4294967295.0));
  job.kept = static_cast<T>(rate < 1 ? 1 / (1 - rate) : 0);
  job.scales = scales.data;
  const index_t rows = units > 0 ? T_steps * batch : 0;
  runner.run(0.0015 * static_cast<double>(scales.size), rows, 4,
             [&](index_t begin, index_t end, int) { runner.table->ops.dropout(&job, begin, end); });
  return scales.owner;
}

PyObject* activation_forward(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("activation_forward", n, 4);
    const Activation function = read_activation(arguments[0]);
    return with_dtype(float_dtype(arguments[1], "x"),
                      [&](auto real) { return activation_forward_of<decltype(real)>(function, arguments); });
  });
}

PyObject* activation_backward(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("activation_backward", n, 5);
    const Activation function = read_activation(arguments[0]);
    return with_dtype(float_dtype(arguments[1], "y"),
                      [&](auto real) { return activation_backward_of<decltype(real)>(function, arguments); });
  });
}

PyObject* embedding_forward(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("embedding_forward", n, 4);
    return with_dtype(float_dtype(arguments[1], "W"),
                      [&](auto real) { return embedding_forward_of<decltype(real)>(arguments); });
  });
}

PyObject* embedding_backward(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("embedding_backward", n, 4);
    with_dtype(float_dtype(arguments[2], "dW"), [&](auto real) { embedding_backward_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* sum_of_squares(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("sum_of_squares", n, 2);
    return py::float_(with_dtype(float_dtype(arguments[0], "x"),
                                 [&](auto real) { return sum_of_squares_of<decltype(real)>(arguments); }));
  });
}

PyObject* sum_axis(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("sum_axis", n, 3);
    return with_dtype(float_dtype(arguments[0], "x"),
                      [&](auto real) { return sum_axis_of<decltype(real)>(arguments); });
  });
}

PyObject* dropout_scales(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("dropout_scales", n, 9);
    constexpr const char* names[] = {"float32", "float64"};
    const auto dtype = static_cast<Dtype>(read_choice(arguments[7], "dtype", names, 2));
    return with_dtype(dtype, [&](auto real) { return dropout_scales_of<decltype(real)>(arguments); });
  });
}

}  // namespace

void register_training(py::module_& module) {
  register_dense(module);
  register_batch_product(module);
  register_losses(module);
  register_optimizers(module);
  py::tuple names(std::size(activation_names));
  for (std::size_t i = 0; i < std::size(activation_names); ++i) names[i] = py::str(activation_names[i]);
  module.attr("activation_names") = names;
  static PyMethodDef functions[] = {fast_function("activation_forward", activation_forward),
                                    fast_function("activation_backward", activation_backward),
                                    fast_function("embedding_forward", embedding_forward),
                                    fast_function("embedding_backward", embedding_backward),
                                    fast_function("sum_of_squares", sum_of_squares),
                                    fast_function("sum_axis", sum_axis),
                                    fast_function("dropout_scales", dropout_scales)};
  for (PyMethodDef& function : functions) add_function(module, &function);
}

}  // namespace pyrnn::bindings
