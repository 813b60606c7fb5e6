// Transposing a square of L x L numbers in registers.
#pragma once

#include "simd/vec.hpp"

namespace pyrnn::PYRNN_NS {

template <class T>
struct IndexOf;
template <>
struct IndexOf<float> {
  using type = std::int32_t;
};
template <>
struct IndexOf<double> {
  using type = std::int64_t;
};

typedef decltype(Vec::v) Register;
typedef IndexOf<Real>::type IndexRegister __attribute__((vector_size(sizeof(Register))));

// a0 b0 a1 b1 ... from the lower (half = 0) or upper (half = 1) halves of a and b.
template <int half>
PYRNN_INLINE Vec interleave(Vec a, Vec b) {
  constexpr int n = Vec::lanes;
  IndexRegister pick = {};
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) pick[i] = (i % 2) * n + half * n / 2 + i / 2;
  return {__builtin_shuffle(a.v, b.v, pick)};
}

// rows[i] lane j becomes rows[j] lane i. Interleaving row i with row i + L / 2 turns the index bits (row, lane) by one
// place; log2(L) turns swap them.
PYRNN_INLINE void transpose_square(Vec (&rows)[Vec::lanes]) {
  constexpr int n = Vec::lanes;
#pragma GCC unroll 4
  for (int turn = 1; turn < n; turn *= 2) {
    Vec turned[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      turned[2 * i] = interleave<0>(rows[i], rows[i + n / 2]);
      turned[2 * i + 1] = interleave<1>(rows[i], rows[i + n / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = turned[i];
  }
}

}  // namespace pyrnn::PYRNN_NS
