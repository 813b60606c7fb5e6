// Dropout multipliers from a counter-based generator: an element's draw depends on its own coordinates only.
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), whose counter is
// (unit block, sample, t, layer); 16 counters side by side give 64 draws, word by word: unit u of a row is word
// u % 64 / 16 of counter u / 64 * 16 + u % 16.
#pragma once

#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

constexpr int philox_width = 16;
constexpr int philox_draws = 4 * philox_width;

// 8 words of 32 bits in lanes of 64, wide enough for products.
typedef std::uint64_t PhiloxWords __attribute__((vector_size(64)));
constexpr int philox_lanes = 8;

// draws[w * 16 + i]: word w of the counter (first + i, c1, c2, c3).
inline void philox(std::uint64_t key, std::uint64_t first, std::uint64_t c1, std::uint64_t c2, std::uint64_t c3,
                   std::uint32_t* draws) {
  constexpr std::uint64_t low = 0xffffffff;
  for (int half = 0; half < philox_width; half += philox_lanes) {
    PhiloxWords w0 = PhiloxWords{0, 1, 2, 3, 4, 5, 6, 7} + (first + static_cast<std::uint64_t>(half));
    PhiloxWords w1 = PhiloxWords{} + c1, w2 = PhiloxWords{} + c2, w3 = PhiloxWords{} + c3;
    std::uint64_t key_0 = key & low, key_1 = key >> 32;
    for (int round = 0; round < 10; ++round) {
      const PhiloxWords product_0 = w0 * 0xD2511F53, product_2 = w2 * 0xCD9E8D57;
      w0 = (product_2 >> 32) ^ w1 ^ key_0;
      w1 = product_2 & low;
      w2 = (product_0 >> 32) ^ w3 ^ key_1;
      w3 = product_0 & low;
      key_0 = (key_0 + 0x9E3779B9) & low;
      key_1 = (key_1 + 0xBB67AE85) & low;
    }
    for (int i = 0; i < philox_lanes; ++i) {
      draws[half + i] = static_cast<std::uint32_t>(w0[i]);
      draws[half + i + philox_width] = static_cast<std::uint32_t>(w1[i]);
      draws[half + i + philox_width * 2] = static_cast<std::uint32_t>(w2[i]);
      draws[half + i + philox_width * 3] = static_cast<std::uint32_t>(w3[i]);
    }
  }
}

inline void dropout(const DropoutJob<Real>* job, index_t row_begin, index_t row_end) {
  for (index_t row = row_begin; row < row_end; ++row) {
    const auto t = job->t0 + static_cast<std::uint32_t>(row / job->batch);
    const auto sample = job->sample0 + static_cast<std::uint32_t>(row % job->batch);
    for (index_t u = 0; u < job->units; u += philox_draws) {
      alignas(64) std::uint32_t draws[philox_draws];
      philox(job->key, static_cast<std::uint64_t>(u / 4), sample, t, job->layer, draws);
      const index_t size = min_of(philox_draws, job->units - u);
      Real* scales = job->scales + row * job->units + u;
      for (index_t i = 0; i < size; ++i) scales[i] = draws[i] < job->threshold ? Real(0) : job->kept;
    }
  }
}

}  // namespace pyrnn::PYRNN_NS
