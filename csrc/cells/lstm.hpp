// LSTM with forget gate (Gers et al. 2000), Keras's gate order.
//   i, f, o = sigmoid(.)   g = tanh(.)   c = f c' + i g   h = o tanh(c)
#pragma once

#include "cells/cell.hpp"

namespace pyrnn::PYRNN_NS {

struct Lstm {
  static constexpr CellFacts facts = {"lstm", 4, {"i", "f", "g", "o"}, 2, {"h", "c"}, 1, 4, {"i", "f", "g", "o"}, 4, 1};
  static constexpr int x_slot[] = {0, 1, 2, 3};
  static constexpr int h_slot[] = {0, 1, 2, 3};
  static constexpr Phase phases[] = {{0, 4, 0, 4}};

  template <int phase>
  static PYRNN_INLINE void forward(const Vec* sum, ForwardStep<2, 4>& step) {
    const Vec i = sigmoid(sum[0]), f = sigmoid(sum[1]), g = tanh(sum[2]), o = sigmoid(sum[3]);
    const Vec c = fma(i, g, f * step.prev[1]);
    step.next[0] = o * tanh(c);
    step.next[1] = c;
    step.slot[0] = i;
    step.slot[1] = f;
    step.slot[2] = g;
    step.slot[3] = o;
  }

  template <int phase>
  static PYRNN_INLINE void backward(BackwardStep<2, 4>& step) {
    const Vec i = step.slot[0], f = step.slot[1], g = step.slot[2], o = step.slot[3];
    const Vec c_prev = step.prev[1], dh = step.dnext[0];
    const Vec tanh_c = tanh(fma(i, g, f * c_prev));
    const Vec dc = fma(dh * o, tanh_slope(tanh_c), step.dnext[1]);
    step.slot[0] = dc * g * sigmoid_slope(i);
    step.slot[1] = dc * c_prev * sigmoid_slope(f);
    step.slot[2] = dc * i * tanh_slope(g);
    step.slot[3] = dh * tanh_c * sigmoid_slope(o);
    step.dprev[1] = fma(dc, f, step.dprev[1]);
  }
};

}  // namespace pyrnn::PYRNN_NS
