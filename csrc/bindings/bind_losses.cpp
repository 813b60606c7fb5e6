// Losses with their gradients.
#include "bindings/flat_arrays.hpp"
#include "bindings/split_work.hpp"
#include "bindings/training.hpp"

namespace pyrnn::bindings {
namespace {

// Text in the order of the enumerators of Loss, and what each calls its first argument.
constexpr const char* loss_names[] = {"softmax_cross_entropy", "sigmoid_cross_entropy",
                                      "cross_entropy_from_probabilities", "binary_cross_entropy_from_probabilities",
                                      "squared_error"};
constexpr const char* input_names[] = {"logits", "logits", "probabilities", "probabilities", "y"};

// Targets: ids of shape (...) where the loss has classes, else numbers shaped as x.
template <class T>
struct Targets {
  Ids ids;
  Flat<const T> values;

  Targets(py::handle argument, const Flat<const T>& x, const char* like, bool classes) {
    if (classes && is_integer_array(argument)) {
      ids = read_ids(argument, "targets", "V", x.last());
      check_shape_is("targets", ids.rank, ids.shape, x.rank - 1, x.shape);
    } else {
      values = read_flat<T>(argument, "targets", like);
      check_shape_is("targets", values.rank, values.shape, x.rank, x.shape);
    }
  }
};

// loss(name, x, targets, weights, scale, epsilon, need_grad, need_probabilities, force) -> (loss, dx, probabilities)
template <class T>
py::object loss_of(Loss loss, PyObject* const* arguments) {
  const Runner<T> runner(loss_names[static_cast<int>(loss)], py::none(), arguments[8]);
  const char* x_name = input_names[static_cast<int>(loss)];
  const bool classes = loss == Loss::softmax_cross_entropy || loss == Loss::cross_entropy;
  const Flat<const T> x = read_rows<T>(arguments[1], x_name, classes ? "(..., V)" : "(..., K)");
  if (classes && x.last() == 0) value_error(x_name, "(..., V) with V >= 1", x.shape_text());
  const Targets<T> targets(arguments[2], x, x_name, classes);
  const py::handle weights_argument = arguments[3];
  Flat<const T> weights;
  if (!weights_argument.is_none()) {
    weights = read_flat<T>(weights_argument, "weights", x_name);
    check_shape_is("weights", weights.rank, weights.shape, x.rank - 1, x.shape);
  }

  LossJob<T> job{};
  job.rows = x.rows();
  job.width = x.last();
  job.x = x.data;
  job.targets = targets.values.data;
  job.ids = targets.ids.data;
  job.weights = weights.data;
  job.scale = static_cast<T>(read_number(arguments[4], "scale", Sign::any));
  job.epsilon = static_cast<T>(read_number(arguments[5], "epsilon", Sign::not_negative));
  Flat<T> dx, probabilities;
  if (read_flag(arguments[6], "need_grad")) dx = new_flat<T>(x.rank, x.shape);
  if (read_flag(arguments[7], "need_probabilities")) probabilities = new_flat<T>(x.rank, x.shape);
  job.dx = dx.data;
  job.probabilities = probabilities.data;

  static thread_local AlignedBuffer<double> losses;
  job.losses = losses.reserve(job.rows);
  const double us = 0.02 * static_cast<double>(job.rows) + 0.02 * static_cast<double>(x.size) / runner.table->lanes;
  runner.run(us, job.rows, 16,
             [&](index_t begin, index_t end, int) { runner.table->ops.loss(loss, &job, begin, end); });
  const double sum = runner.table->ops.tree_sum(job.rows, job.losses);
  return py::make_tuple(sum, dx ? dx.owner : py::none(), probabilities ? probabilities.owner : py::none());
}

PyObject* loss(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("loss", n, 9);
    const auto loss = static_cast<Loss>(read_choice(arguments[0], "loss", loss_names, std::size(loss_names)));
    return with_dtype(float_dtype(arguments[1], input_names[static_cast<int>(loss)]),
                      [&](auto real) { return loss_of<decltype(real)>(loss, arguments); });
  });
}

}  // namespace

void register_losses(py::module_& module) {
  static PyMethodDef function = fast_function("loss", loss);
  add_function(module, &function);
}

}  // namespace pyrnn::bindings
