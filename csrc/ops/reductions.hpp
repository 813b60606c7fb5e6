// Sums whose order the sizes alone determine.
#pragma once

#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

// Neighbours are added, then neighbours of those, until one is left.
inline double tree_sum(index_t n, double* values) {
  if (n == 0) return 0;
  for (; n > 1; n = (n + 1) / 2) {
    for (index_t i = 0; i < n / 2; ++i) values[i] = values[2 * i] + values[2 * i + 1];
    if (n % 2) values[n / 2] = values[n - 1];
  }
  return values[0];
}

// Doubles whatever Real is, in 16 chains whatever the vector length is: the same bits in every table.
inline void sums_of_squares(index_t n, const Real* x, index_t block_begin, index_t block_end, double* sums) {
  constexpr int chains = 16;
  for (index_t block = block_begin; block < block_end; ++block) {
    const index_t end = min_of(n, (block + 1) * sum_block);
    double sum[chains] = {};
    index_t i = block * sum_block;
    for (; i + chains <= end; i += chains)
      for (int c = 0; c < chains; ++c) {
        const double value = static_cast<double>(x[i + c]);
        sum[c] += value * value;
      }
    for (int c = 0; i < end; ++i, ++c) {
      const double value = static_cast<double>(x[i]);
      sum[c] += value * value;
    }
    sums[block] = tree_sum(chains, sum);
  }
}

inline void sum_middle(index_t n, index_t inner, const Real* x, Real* y, index_t outer_begin, index_t outer_end) {
  for (index_t o = outer_begin; o < outer_end; ++o)
    for_pieces(0, inner, [&](index_t i, auto size) {
      Vec sum = Vec::zero();
      for (index_t k = 0; k < n; ++k) sum = sum + load_piece(x + (o * n + k) * inner + i, size);
      store_piece(sum, y + o * inner + i, size);
    });
}

}  // namespace pyrnn::PYRNN_NS
