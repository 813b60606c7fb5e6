// The dense product and its gradients.
#include "bindings/dense_work.hpp"
#include "bindings/flat_arrays.hpp"
#include "bindings/training.hpp"

namespace pyrnn::bindings {
namespace {

constexpr index_t column_grain = 64;
constexpr index_t row_grain = 6;

// kernel(row_begin, row_end, column_begin, column_end, worker) over a (rows, columns) product: columns are split over
// workers where there are plenty, so that each packs its own, rows elsewhere. Comes back between chunks of rows.
template <class T, class Kernel>
void run_product(const Runner<T>& runner, double us, index_t rows, index_t columns, const Kernel& kernel) {
  const index_t chunks = chunks_of(us, rows);
  const double chunk = us / static_cast<double>(chunks);
  for (index_t c = 0; c < chunks; ++c) {
    const index_t begin = rows * c / chunks, end = rows * (c + 1) / chunks;
    if (c > 0) check_signals();
    if (columns >= column_grain * std::max(runner.threads, runner.forced_workers)) {
      runner.run(chunk, columns, column_grain,
                 [&](index_t first, index_t last, int worker) { kernel(begin, end, first, last, worker); });
    } else {
      runner.run(chunk, end - begin, row_grain, [&](index_t first, index_t last, int worker) {
        kernel(begin + first, begin + last, index_t{0}, columns, worker);
      });
    }
  }
}

// Adds through a private copy where the work can be interrupted, so that an abandoned call changes nothing.
template <class T>
class Accumulator {
 public:
  Accumulator(const Flat<T>& total, bool interruptible) : total_(total), data_(total.data) {
    if (!interruptible) return;
    data_ = copy_.reserve(total.size);
    std::copy(total.data, total.data + total.size, data_);
  }
  T* data() { return data_; }
  void publish() {
    if (data_ != total_.data) std::copy(data_, data_ + total_.size, total_.data);
  }

 private:
  const Flat<T>& total_;
  AlignedBuffer<T> copy_;
  T* data_;
};

template <class T>
struct DenseArguments {
  Flat<const T> x, W;
  DenseJob<T> job{};

  DenseArguments(py::handle x_argument, py::handle W_argument)
      : x(read_rows<T>(x_argument, "x", "(..., K)")), W(read_flat<T>(W_argument, "W", "x")) {
    if (W.rank != 2) value_error("W", "(K, N)", W.shape_text());
    if (x.last() != W.shape[0]) {
      value_error("x", "(..., K) with K = " + std::to_string(W.shape[0]) + ", the rows of W", x.shape_text());
    }
    job.rows = x.rows();
    job.inputs = W.shape[0];
    job.outputs = W.shape[1];
    job.x = x.data;
    job.W = W.data;
  }
  // The shape of y: x's with N for K.
  void y_shape(index_t (&shape)[max_rank]) const {
    std::copy(x.shape, x.shape + x.rank, shape);
    shape[x.rank - 1] = job.outputs;
  }
};

template <class T>
void check_vector(const Flat<T>& vector, Name name, index_t n) {
  if (vector.rank != 1 || vector.shape[0] != n)
    value_error(name, "(N,) with N = " + std::to_string(n) + ", the columns of W", vector.shape_text());
}

// dense_forward(x, W, b, out, threads, force) -> y
template <class T>
py::object dense_forward_of(PyObject* const* arguments) {
  const Runner<T> runner("dense_forward", arguments[4], arguments[5]);
  DenseArguments<T> dense(arguments[0], arguments[1]);
  const py::handle b_argument = arguments[2], out = arguments[3];
  Flat<const T> b;
  if (!b_argument.is_none()) {
    b = read_flat<T>(b_argument, "b", "x");
    check_vector(b, "b", dense.job.outputs);
  }
  index_t shape[max_rank];
  dense.y_shape(shape);
  const Flat<T> y = flat_output<T>(out, "out", "x", dense.x.rank, shape);
  if (!out.is_none()) {
    check_apart(out, "out", arguments[0], "x");
    check_apart(out, "out", arguments[1], "W");
    check_apart(out, "out", b_argument, "b");
  }

  DenseJob<T>& job = dense.job;
  job.b = b.data;
  const double us = dense_us(runner, job.rows, job.inputs, job.outputs);
  Accumulator<T> result(y, !out.is_none() && chunks_of(us, job.rows) > 1);
  job.y = result.data();
  T* scratch = dense_scratch(runner);
  const OpsKernels<T>& ops = runner.table->ops;
  run_product(runner, us, job.rows, job.outputs,
              [&](index_t row, index_t row_end, index_t column, index_t column_end, int worker) {
                ops.dense_forward(&job, row, row_end, column, column_end, scratch + worker * ops.dense_scratch);
              });
  result.publish();
  return y.owner;
}

// A gradient to add to, or zeros.
template <class T>
Flat<T> gradient_output(py::handle argument, Name name, int rank, const index_t* shape) {
  Flat<T> gradient = flat_output<T>(argument, name, "x", rank, shape);
  if (argument.is_none()) std::fill(gradient.data, gradient.data + gradient.size, T(0));
  return gradient;
}

template <class T>
void add_weight_gradients(const Runner<T>& runner, DenseJob<T>& job, Flat<T>& dW, Flat<T>& db) {
  const OpsKernels<T>& ops = runner.table->ops;
  const double us = dense_us(runner, job.rows, job.inputs, job.outputs);
  const index_t blocks = (job.rows + dense_block_rows - 1) / dense_block_rows, chunks = chunks_of(us, blocks);
  Accumulator<T> dW_sum(dW, chunks > 1), db_sum(db, chunks > 1);
  job.dW = dW_sum.data();
  job.db = db_sum.data();
  T* scratch = dense_scratch(runner);
  const bool by_columns = job.outputs >= column_grain * std::max(runner.threads, runner.forced_workers);
  for (index_t c = chunks; c-- > 0;) {
    const index_t begin = blocks * c / chunks, end = blocks * (c + 1) / chunks;
    if (c + 1 < chunks) check_signals();
    // Without inputs there still is a bias.
    runner.run(us / static_cast<double>(chunks), by_columns ? job.outputs : std::max<index_t>(job.inputs, 1),
               by_columns ? column_grain : row_grain, [&](index_t first, index_t last, int worker) {
                 T* own = scratch + worker * ops.dense_scratch;
                 if (by_columns) {
                   ops.dense_weight_gradient(&job, begin, end, 0, job.inputs, first, last, own);
                   ops.dense_bias_gradient(&job, begin, end, first, last);
                 } else {
                   ops.dense_weight_gradient(&job, begin, end, first, std::min(last, job.inputs), 0, job.outputs, own);
                   if (first == 0) ops.dense_bias_gradient(&job, begin, end, 0, job.outputs);
                 }
               });
  }
  dW_sum.publish();
  db_sum.publish();
}

// dense_backward(x, W, dy, need_dx, dW, db, threads, force) -> (dx, dW, db)
template <class T>
py::object dense_backward_of(PyObject* const* arguments) {
  const Runner<T> runner("dense_backward", arguments[6], arguments[7]);
  DenseArguments<T> dense(arguments[0], arguments[1]);
  DenseJob<T>& job = dense.job;
  const Flat<const T> dy = read_flat<T>(arguments[2], "dy", "x");
  index_t shape[max_rank];
  dense.y_shape(shape);
  check_shape_is("dy", dy.rank, dy.shape, dense.x.rank, shape);
  job.dy = dy.data;
  const bool need_dx = read_flag(arguments[3], "need_dx");
  Flat<T> dW = gradient_output<T>(arguments[4], "dW", 2, dense.W.shape);
  Flat<T> db = gradient_output<T>(arguments[5], "db", 1, &job.outputs);
  constexpr const char* names[] = {"x", "W", "dy"};
  for (int i = 0; i < 3; ++i) {
    if (arguments[4] != Py_None) check_apart(arguments[4], "dW", arguments[i], names[i]);
    if (arguments[5] != Py_None) check_apart(arguments[5], "db", arguments[i], names[i]);
  }
  if (arguments[4] != Py_None && arguments[5] != Py_None) check_apart(arguments[5], "db", arguments[4], "dW");

  py::object dx_array = py::none();
  if (need_dx) {
    const Flat<T> dx = new_flat<T>(dense.x.rank, dense.x.shape);
    job.dx = dx.data;
    T* scratch = dense_scratch(runner);
    const OpsKernels<T>& ops = runner.table->ops;
    run_product(runner, dense_us(runner, job.rows, job.inputs, job.outputs), job.rows, job.inputs,
                [&](index_t row, index_t row_end, index_t column, index_t column_end, int worker) {
                  ops.dense_input_gradient(&job, row, row_end, column, column_end,
                                           scratch + worker * ops.dense_scratch);
                });
    dx_array = dx.owner;
  }
  add_weight_gradients(runner, job, dW, db);
  return py::make_tuple(dx_array, dW.owner, db.owner);
}

PyObject* dense_forward(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("dense_forward", n, 6);
    return with_dtype(float_dtype(arguments[0], "x"),
                      [&](auto real) { return dense_forward_of<decltype(real)>(arguments); });
  });
}

PyObject* dense_backward(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("dense_backward", n, 8);
    return with_dtype(float_dtype(arguments[0], "x"),
                      [&](auto real) { return dense_backward_of<decltype(real)>(arguments); });
  });
}

}  // namespace

void register_dense(py::module_& module) {
  static PyMethodDef functions[] = {fast_function("dense_forward", dense_forward),
                                    fast_function("dense_backward", dense_backward)};
  for (PyMethodDef& function : functions) add_function(module, &function);
}

}  // namespace pyrnn::bindings
