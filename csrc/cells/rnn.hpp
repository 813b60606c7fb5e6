// Vanilla (Elman) recurrent network.   h = tanh(x W_x + h' W_h + b), or relu
#pragma once

#include "cells/cell.hpp"

namespace pyrnn::PYRNN_NS {

struct RnnTanh {
  static constexpr CellFacts facts = {"rnn_tanh", 1, {"h"}, 1, {"h"}, 1, 1, {"h"}, 1, 1};
  static constexpr int x_slot[] = {0};
  static constexpr int h_slot[] = {0};
  static constexpr Phase phases[] = {{0, 1, 0, 1}};

  template <int phase>
  static PYRNN_INLINE void forward(const Vec* sum, ForwardStep<1, 1>& step) {
    step.next[0] = step.slot[0] = tanh(sum[0]);
  }

  template <int phase>
  static PYRNN_INLINE void backward(BackwardStep<1, 1>& step) {
    step.slot[0] = step.dnext[0] * tanh_slope(step.slot[0]);
  }
};

struct RnnRelu {
  static constexpr CellFacts facts = {"rnn_relu", 1, {"h"}, 1, {"h"}, 1, 1, {"h"}, 1, 1};
  static constexpr int x_slot[] = {0};
  static constexpr int h_slot[] = {0};
  static constexpr Phase phases[] = {{0, 1, 0, 1}};

  template <int phase>
  static PYRNN_INLINE void forward(const Vec* sum, ForwardStep<1, 1>& step) {
    step.next[0] = step.slot[0] = max(Vec::zero(), sum[0]);
  }

  template <int phase>
  static PYRNN_INLINE void backward(BackwardStep<1, 1>& step) {
    const Vec h = step.slot[0];
    step.slot[0] = select(less(Vec::zero(), h), step.dnext[0], h);  // where it is flat h is 0, or NaN, which must show
  }
};

}  // namespace pyrnn::PYRNN_NS
