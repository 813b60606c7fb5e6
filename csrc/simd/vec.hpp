// Vec: one register of Reals and about 25 operations on it; this header picks the back end that CMake asked for.
// Every function is always inlined and works lane by lane, except reduce_*.
//
//   Vec::lanes                              16 or 8 (avx512), 8 or 4 (avx2), 4 or 2 (portable), for float or double
//   zero() set1(a) load(p) load(p, n)       load(p, n): first n lanes (0 .. lanes), the others 0; reads nothing past n
//   v.store(p) v.store(p, n)                any alignment of at least a Real's
//   + - * / unary- += -= *=
//   fma(a, b, c) = a*b + c                  one rounding where `fused_multiply_add`, else two
//   fnma(a, b, c) = c - a*b
//   max(a, b) = a > b ? a : b               b where unordered: write max(lower_limit, x), so that a NaN x comes through
//   min(a, b) = a < b ? a : b               b where unordered
//   abs(a) sqrt(a) copysign(magnitude, sign)
//   less(a, b) -> Mask, false where unordered; select(mask, if_true, if_false)
//   bit_and(a, b) bit_or(a, b) shift_left<n>(a) shift_right<n>(a)     on the bits; shifts fill with 0
//   of float only: set1_bits(bits), add_bits(a, b) as 32-bit integers, store_upper_halves(a, p): 16 bits of each lane,
//   exact_fma(a, b, c): one rounding on every machine, slowly where there is no instruction
//   scale(a, n) = a * 2^n                   for whole n, rounded as a product; only where `has_scale`
//   reduce_add(a) reduce_max(a)             halves are combined, then halves of that: a fixed tree
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel_table.hpp"

#if !defined(PYRNN_NS) || !defined(PYRNN_REAL)
#error "PYRNN_NS and PYRNN_REAL must be defined: compile kernels.cpp through CMake"
#endif

#define PYRNN_INLINE inline __attribute__((always_inline))

#if defined(PYRNN_ISA_AVX512) || defined(PYRNN_ISA_AVX512BF16)
#include "simd/vec_avx512.hpp"
#elif defined(PYRNN_ISA_AVX2)
#include "simd/vec_avx2.hpp"
#elif defined(PYRNN_ISA_PORTABLE)
#include "simd/vec_portable.hpp"
#else
#error "define one of PYRNN_ISA_AVX512BF16, PYRNN_ISA_AVX512, PYRNN_ISA_AVX2, PYRNN_ISA_PORTABLE"
#endif

namespace pyrnn::PYRNN_NS {

using Real = PYRNN_REAL;
using Vec = VecOf<Real>;
using Mask = Vec::Mask;

template <class T>
PYRNN_INLINE VecOf<T>& operator+=(VecOf<T>& a, VecOf<T> b) {
  return a = a + b;
}
template <class T>
PYRNN_INLINE VecOf<T>& operator-=(VecOf<T>& a, VecOf<T> b) {
  return a = a - b;
}
template <class T>
PYRNN_INLINE VecOf<T>& operator*=(VecOf<T>& a, VecOf<T> b) {
  return a = a * b;
}

}  // namespace pyrnn::PYRNN_NS
