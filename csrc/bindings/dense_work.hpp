// What the bindings of dense products share: how long one takes, and its scratch.
#pragma once

#include <algorithm>
#include <cmath>

#include "bindings/split_work.hpp"

namespace pyrnn::bindings {

// Half of the rate that the tile reaches: fused multiply-adds per microsecond, given lanes of one instruction.
template <class T>
double dense_us(const Runner<T>& runner, index_t rows, index_t inputs, index_t outputs) {
  const double lanes = runner.table->lanes;
  const auto whole = [&](index_t n) { return std::ceil(static_cast<double>(n) / lanes) * lanes; };
  const double fmas = static_cast<double>(rows) * std::min(whole(inputs) * static_cast<double>(outputs),
                                                           whole(outputs) * static_cast<double>(inputs));
  return fmas / (3000 * lanes);
}

// Scratch of the calling thread's dense calls, kept between them.
template <class T>
T* dense_scratch(const Runner<T>& runner) {
  static thread_local AlignedBuffer<T> scratch;
  const int workers = std::max(runner.threads, runner.forced_workers);
  return scratch.reserve(checked_product(runner.table->ops.dense_scratch, workers));
}

}  // namespace pyrnn::bindings
