// The table of these kernels.
#pragma once

#include "ops/activations.hpp"
#include "ops/dense.hpp"
#include "ops/dropout.hpp"
#include "ops/embedding.hpp"
#include "ops/losses.hpp"
#include "ops/optimizers.hpp"
#include "ops/reductions.hpp"

namespace pyrnn::PYRNN_NS {

constexpr OpsKernels<Real> ops_kernels() {
  return {dense_scratch,
          dense_forward,
          dense_input_gradient,
          dense_weight_gradient,
          dense_bias_gradient,
          activation,
          activation_gradient,
          softmax,
          softmax_gradient,
          loss,
          tree_sum,
          sums_of_squares,
          sum_middle,
          embedding_forward,
          embedding_backward,
          adam,
          sgd,
          rmsprop,
          adagrad,
          adadelta,
          adamax,
          nadam,
          dropout};
}

}  // namespace pyrnn::PYRNN_NS
