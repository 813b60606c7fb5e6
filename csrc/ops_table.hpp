// The kernels around the recurrent ones, as the table lists them: plain C types only.
// Every kernel takes a range, so that the caller can split a job over workers or come back between pieces of it;
// no result depends on the ranges. All matrices are contiguous, row by row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyrnn {

using index_t = std::ptrdiff_t;

// y = x W + b. Each output is one chain of FMAs: the bias, then the inputs in order.
template <class T>
struct DenseJob {
  index_t rows, inputs, outputs;
  const T* x;   // (rows, inputs)
  const T* W;   // (inputs, outputs)
  const T* b;   // (outputs), or null for zeros
  T* y;         // (rows, outputs)
  const T* dy;  // (rows, outputs)
  T* dx;        // (rows, inputs)
  T* dW;        // (inputs, outputs), added to
  T* db;        // (outputs), added to
};

// dW and db add sums over blocks of this many rows, from the latest block to the earliest.
constexpr index_t dense_block_rows = 256;

enum class Activation : int {
  linear,
  tanh,
  sigmoid,
  hard_sigmoid,
  relu,
  relu6,
  leaky_relu,
  elu,
  selu,
  softplus,
  softsign,
  exponential,
  softmax,
};

// What Python calls them, in the order above.
constexpr const char* activation_names[] = {"linear",   "tanh",        "sigmoid", "hard_sigmoid", "relu",
                                            "relu6",    "leaky_relu",  "elu",     "selu",         "softplus",
                                            "softsign", "exponential", "softmax"};

enum class Loss : int {
  softmax_cross_entropy,  // of logits
  sigmoid_cross_entropy,  // of logits
  cross_entropy,          // of probabilities
  binary_cross_entropy,   // of probabilities
  squared_error,
};

template <class T>
struct LossJob {
  index_t rows, width;
  const T* x;               // (rows, width): logits, probabilities or predictions
  const T* targets;         // (rows, width), or null where there are ids
  const std::int64_t* ids;  // (rows) in 0 .. width - 1, or null
  const T* weights;         // (rows), or null for ones; a row of weight 0 is not read
  T scale;                  // multiplies dx
  T epsilon;                // probabilities are clipped to epsilon .. 1 - epsilon
  double* losses;           // (rows): weight * loss
  T* dx;                    // (rows, width): scale * weight * gradient, or null
  T* probabilities;         // (rows, width), softmax_cross_entropy only, or null
};

template <class T>
struct EmbeddingJob {
  index_t count, width;
  const std::int64_t* ids;  // (count), checked by the caller
  const T* W;               // (vocabulary, width)
  T* y;                     // (count, width)
  const T* dy;              // (count, width)
  T* dW;                    // (vocabulary, width), added to in the order of ids
};

// One optimiser step; `scale` multiplies the gradient, `decay` is learning rate times weight decay.
template <class T>
struct StepJob {
  T* param;
  const T* grad;
  T* first;   // Adam, Adamax, Nadam: m; SGD: velocity, or null; RMSprop: momentum, or null; Adadelta: squared steps
  T* second;  // Adam, Nadam: v; RMSprop, Adadelta: mean of squares; Adagrad: their sum; Adamax: largest magnitude
  T* third;   // Adam: largest v, or null; RMSprop: mean gradient, or null
  T rate, scale, decay;
  T momentum;            // SGD, RMSprop
  T toward_1, toward_2;  // 1 - beta_1, 1 - beta_2 (Adam and kin); toward_2 is 1 - rho (RMSprop, Adadelta)
  T keep_2;              // Adamax: beta_2
  T rate_gradient;       // Nadam: what the gradient itself is multiplied by
  T correction;          // Nadam: 1 / (1 - beta_2^t)
  T epsilon;
  bool nesterov;
};

// Multipliers 0 or `kept`, element (t, b, u) from the counter (u, sample0 + b, t0 + t, layer) under the key.
template <class T>
struct DropoutJob {
  index_t batch, units;
  std::uint64_t key;
  std::uint32_t layer, t0, sample0;
  std::uint32_t threshold;  // rate * 2^32: a draw below it is a drop
  T kept;
  T* scales;  // (steps, batch, units)
};

// Elements whose squares make one block sum.
constexpr index_t sum_block = 4096;

template <class T>
struct OpsKernels {
  // Elements of scratch that one worker of a dense kernel needs, aligned to 64 bytes.
  index_t dense_scratch;
  void (*dense_forward)(const DenseJob<T>* job, index_t row_begin, index_t row_end, index_t output_begin,
                        index_t output_end, T* scratch);
  void (*dense_input_gradient)(const DenseJob<T>* job, index_t row_begin, index_t row_end, index_t input_begin,
                               index_t input_end, T* scratch);
  // Blocks block_end - 1 down to block_begin.
  void (*dense_weight_gradient)(const DenseJob<T>* job, index_t block_begin, index_t block_end, index_t input_begin,
                                index_t input_end, index_t output_begin, index_t output_end, T* scratch);
  void (*dense_bias_gradient)(const DenseJob<T>* job, index_t block_begin, index_t block_end, index_t output_begin,
                              index_t output_end);

  // Element by element; softmax has kernels of its own.
  void (*activation)(Activation function, index_t n, const T* x, T* y);
  void (*activation_gradient)(Activation function, index_t n, const T* y, const T* dy, T* dx);
  void (*softmax)(index_t rows, index_t width, const T* x, T* y);
  void (*softmax_gradient)(index_t rows, index_t width, const T* y, const T* dy, T* dx);

  void (*loss)(Loss loss, const LossJob<T>* job, index_t row_begin, index_t row_end);
  // Sum of n values by a tree that n alone determines; overwrites them.
  double (*tree_sum)(index_t n, double* values);
  // sums[i] of block i of sum_block elements; the same bits in every table.
  void (*sums_of_squares)(index_t n, const T* x, index_t block_begin, index_t block_end, double* sums);
  // y (outer, inner) = sum over the middle axis of x (outer, n, inner), in order.
  void (*sum_middle)(index_t n, index_t inner, const T* x, T* y, index_t outer_begin, index_t outer_end);

  void (*embedding_forward)(const EmbeddingJob<T>* job, index_t begin, index_t end);
  void (*embedding_backward)(const EmbeddingJob<T>* job, index_t column_begin, index_t column_end);

  void (*adam)(const StepJob<T>* job, index_t begin, index_t end);
  void (*sgd)(const StepJob<T>* job, index_t begin, index_t end);
  void (*rmsprop)(const StepJob<T>* job, index_t begin, index_t end);
  void (*adagrad)(const StepJob<T>* job, index_t begin, index_t end);
  void (*adadelta)(const StepJob<T>* job, index_t begin, index_t end);
  void (*adamax)(const StepJob<T>* job, index_t begin, index_t end);
  void (*nadam)(const StepJob<T>* job, index_t begin, index_t end);

  // Rows (t * batch + b) row_begin .. row_end; the same draws in every table and both dtypes.
  void (*dropout)(const DropoutJob<T>* job, index_t row_begin, index_t row_end);
};

}  // namespace pyrnn
