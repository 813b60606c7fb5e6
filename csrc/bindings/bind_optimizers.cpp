// Optimiser steps: parameters, gradients and moments are arrays of one shape, updated in place.
#include <cmath>

#include "bindings/flat_arrays.hpp"
#include "bindings/split_work.hpp"
#include "bindings/training.hpp"

namespace pyrnn::bindings {
namespace {

// The arrays of a step: param, grad, then what the optimiser keeps; None stands for an array that there is not.
template <class T>
class StepArrays {
 public:
  StepArrays(py::handle param, py::handle grad) : param_(read_flat_output<T>(param, "param", nullptr)) {
    grad_ = read_flat<T>(grad, "grad", "param");
    check_shape_is("grad", grad_.rank, grad_.shape, param_.rank, param_.shape);
    job.param = param_.data;
    job.grad = grad_.data;
    remember(param, "param");
    add_apart(grad, "grad");
  }

  T* kept(py::handle argument, const char* name, bool optional) {
    if (optional && argument.is_none()) return nullptr;
    const Flat<T> array = read_flat_output<T>(argument, name, "param");
    check_shape_is(name, array.rank, array.shape, param_.rank, param_.shape);
    add_apart(argument, name);
    return array.data;
  }

  index_t size() const { return param_.size; }

  StepJob<T> job{};

 private:
  void remember(py::handle array, const char* name) {
    arrays_[n_] = array;
    names_[n_++] = name;
  }
  void add_apart(py::handle array, const char* name) {
    for (int i = 0; i < n_; ++i) check_apart(array, name, arrays_[i], names_[i]);
    remember(array, name);
  }

  Flat<T> param_;
  Flat<const T> grad_;
  py::handle arrays_[5];
  const char* names_[5];
  int n_ = 0;
};

template <class T>
void set_rates(StepJob<T>& job, double rate, double lr, py::handle weight_decay, py::handle scale) {
  job.rate = static_cast<T>(rate);
  job.decay = static_cast<T>(lr * read_number(weight_decay, "weight_decay", Sign::not_negative));
  job.scale = static_cast<T>(read_number(scale, "scale", Sign::any));
}

template <class T>
void run_step(const Runner<T>& runner, const StepArrays<T>& arrays,
              void (*kernel)(const StepJob<T>*, index_t, index_t)) {
  const double us = static_cast<double>(arrays.size()) * sizeof(T) / 8000;
  runner.run(us, arrays.size(), 64, [&](index_t begin, index_t end, int) { kernel(&arrays.job, begin, end); });
}

// The share of a moment that is replaced in one step, from the share that is kept.
template <class T>
T toward(double kept) {
  return static_cast<T>(1 - kept);
}

// adam_step(param, grad, m, v, step, lr, beta_1, beta_2, epsilon, weight_decay, scale, v_max, force)
template <class T>
void adam_step_of(PyObject* const* arguments) {
  const Runner<T> runner("adam_step", py::none(), arguments[12]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.first = arrays.kept(arguments[2], "m", false);
  arrays.job.second = arrays.kept(arguments[3], "v", false);
  arrays.job.third = arrays.kept(arguments[11], "v_max", true);
  const auto step = static_cast<double>(read_count(arguments[4], "step", 1, index_t{1} << 52));
  const double lr = read_number(arguments[5], "lr", Sign::not_negative);
  const double beta_1 = read_share(arguments[6], "beta_1", false), beta_2 = read_share(arguments[7], "beta_2", false);
  arrays.job.toward_1 = toward<T>(beta_1);
  arrays.job.toward_2 = toward<T>(beta_2);
  arrays.job.epsilon = static_cast<T>(read_number(arguments[8], "epsilon", Sign::positive));
  const double rate = lr * std::sqrt(1 - std::pow(beta_2, step)) / (1 - std::pow(beta_1, step));
  set_rates(arrays.job, rate, lr, arguments[9], arguments[10]);
  run_step(runner, arrays, runner.table->ops.adam);
}

// sgd_step(param, grad, velocity, lr, momentum, nesterov, weight_decay, scale, force)
template <class T>
void sgd_step_of(PyObject* const* arguments) {
  const Runner<T> runner("sgd_step", py::none(), arguments[8]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.first = arrays.kept(arguments[2], "velocity", true);
  const double lr = read_number(arguments[3], "lr", Sign::not_negative);
  const double momentum = read_share(arguments[4], "momentum", true);
  if (momentum != 0 && arguments[2] == Py_None) value_error("velocity", "an array, as momentum is not 0", "None");
  arrays.job.momentum = static_cast<T>(momentum);
  arrays.job.nesterov = read_flag(arguments[5], "nesterov");
  set_rates(arrays.job, lr, lr, arguments[6], arguments[7]);
  run_step(runner, arrays, runner.table->ops.sgd);
}

// rmsprop_step(param, grad, v, momentum_sum, lr, rho, momentum, epsilon, weight_decay, scale, mean, force)
template <class T>
void rmsprop_step_of(PyObject* const* arguments) {
  const Runner<T> runner("rmsprop_step", py::none(), arguments[11]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.second = arrays.kept(arguments[2], "v", false);
  arrays.job.first = arrays.kept(arguments[3], "mom", true);
  arrays.job.third = arrays.kept(arguments[10], "mean", true);
  const double lr = read_number(arguments[4], "lr", Sign::not_negative);
  arrays.job.toward_2 = static_cast<T>(1 - read_share(arguments[5], "rho", true));
  const double momentum = read_share(arguments[6], "momentum", true);
  if (momentum != 0 && arguments[3] == Py_None) value_error("mom", "an array, as momentum is not 0", "None");
  arrays.job.momentum = static_cast<T>(momentum);
  arrays.job.epsilon = static_cast<T>(read_number(arguments[7], "epsilon", Sign::positive));
  set_rates(arrays.job, lr, lr, arguments[8], arguments[9]);
  run_step(runner, arrays, runner.table->ops.rmsprop);
}

// adagrad_step(param, grad, sum, lr, epsilon, weight_decay, scale, force)
template <class T>
void adagrad_step_of(PyObject* const* arguments) {
  const Runner<T> runner("adagrad_step", py::none(), arguments[7]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.second = arrays.kept(arguments[2], "sum", false);
  const double lr = read_number(arguments[3], "lr", Sign::not_negative);
  arrays.job.epsilon = static_cast<T>(read_number(arguments[4], "epsilon", Sign::positive));
  set_rates(arrays.job, lr, lr, arguments[5], arguments[6]);
  run_step(runner, arrays, runner.table->ops.adagrad);
}

// adadelta_step(param, grad, v, d, lr, rho, epsilon, weight_decay, scale, force)
template <class T>
void adadelta_step_of(PyObject* const* arguments) {
  const Runner<T> runner("adadelta_step", py::none(), arguments[9]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.second = arrays.kept(arguments[2], "v", false);
  arrays.job.first = arrays.kept(arguments[3], "d", false);
  const double lr = read_number(arguments[4], "lr", Sign::not_negative);
  arrays.job.toward_2 = toward<T>(read_share(arguments[5], "rho", true));
  arrays.job.epsilon = static_cast<T>(read_number(arguments[6], "epsilon", Sign::positive));
  set_rates(arrays.job, lr, lr, arguments[7], arguments[8]);
  run_step(runner, arrays, runner.table->ops.adadelta);
}

// adamax_step(param, grad, m, u, step, lr, beta_1, beta_2, epsilon, weight_decay, scale, force)
template <class T>
void adamax_step_of(PyObject* const* arguments) {
  const Runner<T> runner("adamax_step", py::none(), arguments[11]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.first = arrays.kept(arguments[2], "m", false);
  arrays.job.second = arrays.kept(arguments[3], "u", false);
  const auto step = static_cast<double>(read_count(arguments[4], "step", 1, index_t{1} << 52));
  const double lr = read_number(arguments[5], "lr", Sign::not_negative);
  const double beta_1 = read_share(arguments[6], "beta_1", false);
  arrays.job.toward_1 = toward<T>(beta_1);
  arrays.job.keep_2 = static_cast<T>(read_share(arguments[7], "beta_2", false));
  arrays.job.epsilon = static_cast<T>(read_number(arguments[8], "epsilon", Sign::positive));
  set_rates(arrays.job, lr / (1 - std::pow(beta_1, step)), lr, arguments[9], arguments[10]);
  run_step(runner, arrays, runner.table->ops.adamax);
}

// nadam_step(param, grad, m, v, step, lr, beta_1, beta_2, product, epsilon, weight_decay, scale, force), where product
// is that of the momentums u_1 .. u_step, u_t = beta_1 (1 - 0.96^t / 2)
template <class T>
void nadam_step_of(PyObject* const* arguments) {
  const Runner<T> runner("nadam_step", py::none(), arguments[12]);
  StepArrays<T> arrays(arguments[0], arguments[1]);
  arrays.job.first = arrays.kept(arguments[2], "m", false);
  arrays.job.second = arrays.kept(arguments[3], "v", false);
  const auto step = static_cast<double>(read_count(arguments[4], "step", 1, index_t{1} << 52));
  const double lr = read_number(arguments[5], "lr", Sign::not_negative);
  const double beta_1 = read_share(arguments[6], "beta_1", false), beta_2 = read_share(arguments[7], "beta_2", false);
  const double product = read_share(arguments[8], "product", false);
  const double u = beta_1 * (1 - 0.5 * std::pow(0.96, step)), u_next = beta_1 * (1 - 0.5 * std::pow(0.96, step + 1));
  arrays.job.toward_1 = toward<T>(beta_1);
  arrays.job.toward_2 = toward<T>(beta_2);
  arrays.job.rate_gradient = static_cast<T>(lr * (1 - u) / (1 - product));
  arrays.job.correction = static_cast<T>(1 / (1 - std::pow(beta_2, step)));
  arrays.job.epsilon = static_cast<T>(read_number(arguments[9], "epsilon", Sign::positive));
  set_rates(arrays.job, lr * u_next / (1 - product * u_next), lr, arguments[10], arguments[11]);
  run_step(runner, arrays, runner.table->ops.nadam);
}

PyObject* adam_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("adam_step", n, 13);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { adam_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* sgd_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("sgd_step", n, 9);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { sgd_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* rmsprop_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("rmsprop_step", n, 12);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { rmsprop_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* adagrad_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("adagrad_step", n, 8);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { adagrad_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* adadelta_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("adadelta_step", n, 10);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { adadelta_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* adamax_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("adamax_step", n, 12);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { adamax_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

PyObject* nadam_step(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
  return guarded([&] {
    check_count("nadam_step", n, 13);
    with_dtype(float_dtype(arguments[0], "param"), [&](auto real) { nadam_step_of<decltype(real)>(arguments); });
    return py::none();
  });
}

}  // namespace

void register_optimizers(py::module_& module) {
  static PyMethodDef functions[] = {
      fast_function("adam_step", adam_step),         fast_function("sgd_step", sgd_step),
      fast_function("rmsprop_step", rmsprop_step),   fast_function("adagrad_step", adagrad_step),
      fast_function("adadelta_step", adadelta_step), fast_function("adamax_step", adamax_step),
      fast_function("nadam_step", nadam_step)};
  for (PyMethodDef& function : functions) add_function(module, &function);
}

}  // namespace pyrnn::bindings
