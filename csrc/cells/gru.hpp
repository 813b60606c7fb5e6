// GRU with the reset gate after the product (PyTorch, Keras 3, cuDNN), two biases, Keras's gate order.
//   z, r = sigmoid(.)   n = tanh(x W_xn + b_xn + r (h' W_hn + b_hn))   h = z h' + (1 - z) n
#pragma once

#include "cells/cell.hpp"

namespace pyrnn::PYRNN_NS {

struct Gru {
  // n keeps its x and h parts apart: hn is the h part. The x gates are slots 0-2, the h gates slots 1-3, each in a run.
  static constexpr CellFacts facts = {"gru", 3, {"z", "r", "n"}, 1, {"h"}, 2, 4, {"n", "z", "r", "hn"}, 4, 1};
  static constexpr int x_slot[] = {1, 2, 0};
  static constexpr int h_slot[] = {1, 2, 3};
  static constexpr Phase phases[] = {{0, 3, 0, 4}};

  template <int phase>
  static PYRNN_INLINE void forward(const Vec* sum, ForwardStep<1, 4>& step) {
    const Vec z = sigmoid(sum[1]), r = sigmoid(sum[2]);
    const Vec n = tanh(fma(r, sum[3], sum[0]));
    step.next[0] = fma(z, step.prev[0] - n, n);
    step.slot[0] = n;
    step.slot[1] = z;
    step.slot[2] = r;
    step.slot[3] = sum[3];
  }

  template <int phase>
  static PYRNN_INLINE void backward(BackwardStep<1, 4>& step) {
    const Vec n = step.slot[0], z = step.slot[1], r = step.slot[2], hn = step.slot[3];
    const Vec h_prev = step.prev[0], dh = step.dnext[0];
    const Vec dn = fnma(dh, z, dh) * tanh_slope(n);
    step.slot[0] = dn;
    step.slot[1] = dh * (h_prev - n) * sigmoid_slope(z);
    step.slot[2] = dn * hn * sigmoid_slope(r);
    step.slot[3] = dn * r;
    step.dprev[0] = fma(dh, z, step.dprev[0]);
  }
};

}  // namespace pyrnn::PYRNN_NS
