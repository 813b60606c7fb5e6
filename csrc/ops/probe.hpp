// How fast this core multiplies and loads: what the benchmarks' roofline is made of. It computes nothing of use.
#pragma once

#include "simd/vec.hpp"

namespace pyrnn::PYRNN_NS {

// Enough independent chains to hide the latency of two FMA units, few enough for 16 registers.
constexpr int fma_chains = 12;
constexpr int load_chains = 8;

// Every chain runs towards add / (1 - factor); the compiler does not know them, so it cannot leave out a step.
inline Real probe_fma(index_t rounds, const Real* add_at, const Real* factor_at) {
  const Vec add = Vec::set1(*add_at), factor = Vec::set1(*factor_at);
  Vec chains[fma_chains];
  for (int i = 0; i < fma_chains; ++i) chains[i] = Vec::set1(static_cast<Real>(i));
  for (index_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < fma_chains; ++i) chains[i] = fma(chains[i], factor, add);
    for (int i = 0; i < fma_chains; ++i) chains[i] = fma(chains[i], factor, add);
  }
  Vec sum = Vec::zero();
  for (int i = 0; i < fma_chains; ++i) sum += chains[i];
  return reduce_add(sum);
}

PYRNN_INLINE void probe_load_block(const Real* x, Vec* sums) {
  for (int i = 0; i < load_chains; ++i) sums[i] += Vec::load(x + i * Vec::lanes);
}

// Passes alternate in direction, so that what a cache still holds of the last pass is used first.
inline Real probe_load(index_t passes, index_t blocks, const Real* x) {
  constexpr index_t block = load_chains * Vec::lanes;
  Vec sums[load_chains];
  for (int i = 0; i < load_chains; ++i) sums[i] = Vec::zero();
  for (index_t pass = 0; pass < passes; ++pass) {
    if (pass % 2 == 0) {
      for (index_t at = 0; at < blocks; ++at) probe_load_block(x + at * block, sums);
    } else {
      for (index_t at = blocks - 1; at >= 0; --at) probe_load_block(x + at * block, sums);
    }
  }
  Vec sum = Vec::zero();
  for (int i = 0; i < load_chains; ++i) sum += sums[i];
  return reduce_add(sum);
}

constexpr ProbeKernels<Real> probe_kernels() {
  return {2 * fma_chains * 2 * Vec::lanes, load_chains * Vec::lanes, probe_fma, probe_load};
}

}  // namespace pyrnn::PYRNN_NS
