// Products of the matrices of two batches, one by one on the dense kernels: attention and Dot.
#include "bindings/dense_work.hpp"
#include "bindings/flat_arrays.hpp"
#include "bindings/training.hpp"

namespace pyrnn::bindings {
namespace {

template <class T>
struct BatchProduct {
  Flat<const T> a, b;
  bool transpose_a, transpose_b;
  index_t batch, rows, inner, columns;

  BatchProduct(py::handle a_argument, py::handle b_argument, bool a_transposed, bool b_transposed)
      : a(read_flat<T>(a_argument, "a")),
        b(read_flat<T>(b_argument, "b", "a")),
        transpose_a(a_transposed),
        transpose_b(b_transposed) {
    if (a.rank != 3) value_error("a", "(batch, rows, columns)", a.shape_text());
    if (b.rank != 3) value_error("b", "(batch, rows, columns)", b.shape_text());
    if (transpose_a && transpose_b) value_error("transpose_b", "False where transpose_a is True", "True");
    batch = a.shape[0];
    rows = a.shape[transpose_a ? 2 : 1];
    inner = a.shape[transpose_a ? 1 : 2];
    columns = b.shape[transpose_b ? 1 : 2];
    if (b.shape[0] != batch) value_error("b", std::to_string(batch) + " matrices, as many as a", b.shape_text());
    if (b.shape[transpose_b ? 2 : 1] != inner) {
      value_error("b", std::to_string(inner) + (transpose_b ? " columns" : " rows") + ", which a " + a.shape_text() +
                           " is multiplied with",
                  b.shape_text());
    }
  }

  void multiply(const OpsKernels<T>& ops, index_t i, T* out, T* scratch) const {
    const T *a_i = a.data + i * rows * inner, *b_i = b.data + i * inner * columns;
    T* out_i = out + i * rows * columns;
    DenseJob<T> job{};
    if (transpose_a) {  // out = a^T b is dW of x = a and dy = b
      job.rows = inner;
      job.inputs = rows;
      job.outputs = columns;
      job.x = a_i;
      job.dy = b_i;
      job.dW = out_i;
      std::fill(out_i, out_i + rows * columns, T(0));
      const index_t blocks = (inner + dense_block_rows - 1) / dense_block_rows;
      ops.dense_weight_gradient(&job, 0, blocks, 0, rows, 0, columns, scratch);
    } else if (transpose_b) {  // out = a b^T is dx of dy = a and W = b
      job.rows = rows;
      job.inputs = columns;
      job.outputs = inner;
      job.dy = a_i;
      job.W = b_i;
      job.dx = out_i;
      ops.dense_input_gradient(&job, 0, rows, 0, columns, scratch);
    } else {
      job.rows = rows;
      job.inputs = inner;
      job.outputs = columns;
      job.x = a_i;
      job.W = b_i;
      job.y = out_i;
      ops.dense_forward(&job, 0, rows, 0, columns, scratch);
    }
  }
};

// batch_product(a, b, transpose_a, transpose_b, threads, force) -> out (batch, rows, columns)
template <class T>
py::object batch_product_of(PyObject* const* arguments) {
  const Runner<T> runner("batch_product", arguments[4], arguments[5]);
  const BatchProduct<T> product(arguments[0], arguments[1], read_flag(arguments[2], "transpose_a"),
                                read_flag(arguments[3], "transpose_b"));
  const index_t shape[] = {product.batch, product.rows, product.columns};
  const Flat<T> out = new_flat<T>(3, shape);
  const double us =
      dense_us(runner, product.rows, product.inner, product.columns) * static_cast<double>(product.batch);
  T* scratch = dense_scratch(runner);
  const OpsKernels<T>& ops = runner.table->ops;
  const index_t chunks = chunks_of(us, product.batch);
  for (index_t c = 0; c < chunks; ++c) {
    const index_t begin = product.batch * c / chunks, end = product.batch * (c + 1) / chunks;
    if (c > 0) check_signals();
    runner.run(us / static_cast<double>(chunks), end - begin, 1, [&](index_t first, index_t last, int worker) {
      for (index_t i = begin + first; i < begin + last; ++i)
        product.multiply(ops, i, out.data, scratch + worker * ops.dense_scratch);
    });
  }
  return out.owner;
}

PyObject* batch_product(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("batch_product", n, 6);
    return with_dtype(float_dtype(arguments[0], "a"),
                      [&](auto real) { return batch_product_of<decltype(real)>(arguments); });
  });
}

}  // namespace

void register_batch_product(py::module_& module) {
  static PyMethodDef function = fast_function("batch_product", batch_product);
  add_function(module, &function);
}

}  // namespace pyrnn::bindings
