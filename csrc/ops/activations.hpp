// Activations and their gradients, written in terms of the output y. NaN passes through all of them.
#pragma once

#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

// exp(x) - 1 for x <= 0, accurate near 0: 2 t / (1 - t) with t = tanh(x / 2).
inline Vec expm1_of_negative(Vec x) {
  const Vec t = tanh(Vec::set1(Real(0.5)) * x);
  return (t + t) / (Vec::set1(1) - t);
}

struct Linear {
  static Vec forward(Vec x) { return x; }
  static Vec gradient(Vec, Vec dy) { return dy; }
};

struct Tanh {
  static Vec forward(Vec x) { return tanh(x); }
  static Vec gradient(Vec y, Vec dy) { return dy * fnma(y, y, Vec::set1(1)); }
};

struct Sigmoid {
  static Vec forward(Vec x) { return sigmoid(x); }
  static Vec gradient(Vec y, Vec dy) { return dy * (y * (Vec::set1(1) - y)); }
};

// Where y sits on a flat part, y - y is 0, or NaN if y is.
inline Vec gradient_between(Vec low, Vec high, Vec y, Vec inside) {
  return select(less(low, y), select(less(y, high), inside, y - y), y - y);
}

// min(max(x + 3, 0), 6) / 6
struct HardSigmoid {
  static Vec forward(Vec x) {
    return min(Vec::set1(6), max(Vec::zero(), x + Vec::set1(3))) * Vec::set1(Real(1) / Real(6));
  }
  static Vec gradient(Vec y, Vec dy) {
    return gradient_between(Vec::zero(), Vec::set1(1), y, dy * Vec::set1(Real(1) / Real(6)));
  }
};

struct Relu {
  static Vec forward(Vec x) { return max(Vec::zero(), x); }
  static Vec gradient(Vec y, Vec dy) { return select(less(Vec::zero(), y), dy, y); }
};

struct Relu6 {
  static Vec forward(Vec x) { return min(Vec::set1(6), max(Vec::zero(), x)); }
  static Vec gradient(Vec y, Vec dy) { return gradient_between(Vec::zero(), Vec::set1(6), y, dy); }
};

// Slope 0.2 where x <= 0.
struct LeakyRelu {
  static Vec forward(Vec x) { return select(less(Vec::zero(), x), x, Vec::set1(Real(0.2)) * x); }
  static Vec gradient(Vec y, Vec dy) {
    const Vec gentle = Vec::set1(Real(0.2)) * dy;
    return select(less(Vec::zero(), y), dy, select(less(y, Vec::zero()), gentle, gentle + y));
  }
};

struct Elu {
  static Vec forward(Vec x) { return select(less(Vec::zero(), x), x, expm1_of_negative(x)); }
  static Vec gradient(Vec y, Vec dy) { return select(less(Vec::zero(), y), dy, dy * (y + Vec::set1(1))); }
};

// Klambauer et al. 2017, "Self-Normalizing Neural Networks".
struct Selu {
  static constexpr Real scale = Real(1.0507009873554804934193349852946);
  static constexpr Real alpha = Real(1.6732632423543772848170429916717);
  static Vec forward(Vec x) {
    return Vec::set1(scale) * select(less(Vec::zero(), x), x, Vec::set1(alpha) * expm1_of_negative(x));
  }
  static Vec gradient(Vec y, Vec dy) {
    return dy * select(less(Vec::zero(), y), Vec::set1(scale), y + Vec::set1(scale * alpha));
  }
};

// log(1 + exp(x)); its derivative 1 - exp(-y) is 2 t / (1 + t) with t = tanh(y / 2).
struct Softplus {
  static Vec forward(Vec x) { return max(Vec::zero(), x) + log1p_of_unit(exp(-abs(x))); }
  static Vec gradient(Vec y, Vec dy) {
    const Vec t = tanh(Vec::set1(Real(0.5)) * y);
    return dy * ((t + t) / (Vec::set1(1) + t));
  }
};

// x / (1 + |x|); infinities give -1 and 1.
struct Softsign {
  static Vec forward(Vec x) {
    const Vec largest = Vec::set1(sizeof(Real) == 4 ? Real(__FLT_MAX__) : Real(__DBL_MAX__));
    const Vec finite = min(largest, max(-largest, x));
    return finite / (Vec::set1(1) + abs(finite));
  }
  static Vec gradient(Vec y, Vec dy) {
    const Vec root = Vec::set1(1) - abs(y);
    return dy * (root * root);
  }
};

struct Exponential {
  static Vec forward(Vec x) { return exp(x); }
  static Vec gradient(Vec y, Vec dy) { return dy * y; }
};

// Calls use(F{}) with the type of an activation that works element by element.
template <class Use>
PYRNN_INLINE void with_activation(Activation function, const Use& use) {
  switch (function) {
    case Activation::linear:
      return use(Linear{});
    case Activation::tanh:
      return use(Tanh{});
    case Activation::sigmoid:
      return use(Sigmoid{});
    case Activation::hard_sigmoid:
      return use(HardSigmoid{});
    case Activation::relu:
      return use(Relu{});
    case Activation::relu6:
      return use(Relu6{});
    case Activation::leaky_relu:
      return use(LeakyRelu{});
    case Activation::elu:
      return use(Elu{});
    case Activation::selu:
      return use(Selu{});
    case Activation::softplus:
      return use(Softplus{});
    case Activation::softsign:
      return use(Softsign{});
    case Activation::exponential:
      return use(Exponential{});
    case Activation::softmax:
      return;  // row by row: softmax() below
  }
}

inline void activation(Activation function, index_t n, const Real* x, Real* y) {
  with_activation(function, [&](auto f) {
    for_pieces(0, n, [&](index_t i, auto size) { store_piece(f.forward(load_piece(x + i, size)), y + i, size); });
  });
}

inline void activation_gradient(Activation function, index_t n, const Real* y, const Real* dy, Real* dx) {
  with_activation(function, [&](auto f) {
    for_pieces(0, n, [&](index_t i, auto size) {
      store_piece(f.gradient(load_piece(y + i, size), load_piece(dy + i, size)), dx + i, size);
    });
  });
}

inline Real row_max(index_t width, const Real* x) {
  const Vec lowest = Vec::set1(-Real(__builtin_inff()));
  Vec largest = lowest;
  for_pieces(0, width,
             [&](index_t i, auto size) { largest = max(largest, fill_piece(load_piece(x + i, size), size, lowest)); });
  return reduce_max(largest);
}

// y = exp(x - shift), or only its sum where y is null.
inline Real row_exp(index_t width, const Real* x, Real shift, Real* y) {
  Vec sum = Vec::zero();
  for_pieces(0, width, [&](index_t i, auto size) {
    const Vec e = exp(load_piece(x + i, size) - Vec::set1(shift));
    if (y) store_piece(e, y + i, size);
    sum = sum + fill_piece(e, size, Vec::zero());
  });
  return reduce_add(sum);
}

// Logits of minus infinity have probability 0; NaN or plus infinity in a row makes the row NaN.
inline void softmax(index_t rows, index_t width, const Real* x, Real* y) {
  for (index_t r = 0; r < rows; ++r, x += width, y += width) {
    const Vec inverse = Vec::set1(Real(1) / row_exp(width, x, row_max(width, x), y));
    for_pieces(0, width, [&](index_t i, auto size) { store_piece(load_piece(y + i, size) * inverse, y + i, size); });
  }
}

// dx = y * (dy - sum(y * dy))
inline void softmax_gradient(index_t rows, index_t width, const Real* y, const Real* dy, Real* dx) {
  for (index_t r = 0; r < rows; ++r, y += width, dy += width, dx += width) {
    Vec sum = Vec::zero();
    for_pieces(0, width,
               [&](index_t i, auto size) { sum = fma(load_piece(y + i, size), load_piece(dy + i, size), sum); });
    const Vec mean = Vec::set1(reduce_add(sum));
    for_pieces(0, width, [&](index_t i, auto size) {
      store_piece(load_piece(y + i, size) * (load_piece(dy + i, size) - mean), dx + i, size);
    });
  }
}

}  // namespace pyrnn::PYRNN_NS
