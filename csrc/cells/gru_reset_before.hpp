// GRU with the reset gate before the product (Cho et al. 2014; Keras's reset_after=False), Keras's gate order.
//   z, r = sigmoid(.)   n = tanh(x W_xn + (r h') W_hn + b_n)   h = z h' + (1 - z) n
#pragma once

#include "cells/cell.hpp"

namespace pyrnn::PYRNN_NS {

struct GruResetBefore {
  static constexpr CellFacts facts = {"gru_reset_before", 3, {"z", "r", "n"}, 1, {"h"}, 1, 3, {"z", "r", "n"}, 3, 2};
  static constexpr int x_slot[] = {0, 1, 2};
  static constexpr int h_slot[] = {0, 1, 2};
  static constexpr Phase phases[] = {{0, 2, 0, 2}, {2, 1, 2, 1}};

  template <int phase>
  static PYRNN_INLINE void forward(const Vec* sum, ForwardStep<1, 3>& step) {
    if constexpr (phase == 0) {
      step.slot[0] = sigmoid(sum[0]);
      step.slot[1] = sigmoid(sum[1]);
      step.next_operand = step.slot[1] * step.operand;
    } else {
      const Vec z = step.slot[0], n = tanh(sum[0]);
      step.slot[2] = n;
      step.next[0] = fma(z, step.prev[0] - n, n);
    }
  }

  template <int phase>
  static PYRNN_INLINE void backward(BackwardStep<1, 3>& step) {
    if constexpr (phase == 1) {
      const Vec z = step.slot[0], n = step.slot[2], h_prev = step.prev[0], dh = step.dnext[0];
      step.slot[0] = dh * (h_prev - n) * sigmoid_slope(z);
      step.slot[2] = fnma(dh, z, dh) * tanh_slope(n);
      step.dprev[0] = fma(dh, z, step.dprev[0]);
    } else {
      const Vec r = step.slot[1];
      step.slot[1] = step.dnext_operand * step.operand * sigmoid_slope(r);
      step.doperand = fma(step.dnext_operand, r, step.doperand);
    }
  }
};

}  // namespace pyrnn::PYRNN_NS
