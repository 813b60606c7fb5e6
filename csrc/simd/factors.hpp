// Factors: what products multiply, a register of L groups of them. Sums are always Reals.
//   of a Real table   a group is one Real; dot is one FMA
//   of a bf16 table   a group is a pair of bf16, the even element in the lower half of a lane; dot is vdpbf16ps: two
//   FMAs
//                     rounded to nearest, the odd elements first, with denormals taken for 0. Where the machine lacks
//                     the instruction, the same is computed from FMAs, to the bit.
//
//   Factor, factor_group                     as stored in memory, and how many a group has
//   Factors::load(p) Factors::broadcast(p)   L groups; one group in every lane
//   dot(a, b, sum)                           sum + a * b, lane by lane
//   store_factors(x, p)                      L Reals as factors, rounded to nearest even; NaN stays NaN
//   store_group(rows, p)                     factor_group rows of L Reals as L groups
#pragma once

#include "simd/vec.hpp"

namespace pyrnn::PYRNN_NS {

#if defined(PYRNN_BF16)

using Factor = std::uint16_t;
constexpr int factor_group = 2;
constexpr const char* precision_name = "bf16";

struct Factors {
  Vec bits;
  static PYRNN_INLINE Factors load(const Factor* p) {
    Vec pairs;
    __builtin_memcpy(&pairs.v, p, sizeof(pairs.v));
    return {pairs};
  }
  static PYRNN_INLINE Factors broadcast(const Factor* p) {
    std::uint32_t pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return {Vec::set1_bits(pair)};
  }
};

PYRNN_INLINE Vec even_elements(Vec pairs) { return shift_left<16>(pairs); }
PYRNN_INLINE Vec odd_elements(Vec pairs) { return bit_and(pairs, Vec::set1_bits(0xffff0000u)); }

// x with the bf16 nearest to it in the upper half of each lane; the lower half is arbitrary. Denormals become 0.
PYRNN_INLINE Vec round_bits(Vec x) {
  const Vec magnitude = abs(x);
  const Vec last_bit = shift_right<31>(shift_left<15>(x));
  const Vec nearest = add_bits(x, add_bits(last_bit, Vec::set1_bits(0x7fffu)));
  const Vec rounded = select(less(magnitude, Vec::set1_bits(0x7f800000u)), nearest, x + x);  // infinity, or a quiet NaN
  return select(less(magnitude, Vec::set1_bits(0x00800000u)), bit_and(x, Vec::set1_bits(0x80000000u)), rounded);
}

#if defined(PYRNN_ISA_AVX512BF16)

PYRNN_INLINE __m512bh pairs_of(Factors a) { return reinterpret_cast<__m512bh>(a.bits.v); }
PYRNN_INLINE Vec dot(Factors a, Factors b, Vec sum) { return {_mm512_dpbf16_ps(sum.v, pairs_of(a), pairs_of(b))}; }
PYRNN_INLINE void store_factors(Vec x, Factor* p) {
  const __m256bh rounded = _mm512_cvtneps_pbh(x.v);
  __builtin_memcpy(p, &rounded, sizeof(rounded));
}

#else

PYRNN_INLINE Vec dot(Factors a, Factors b, Vec sum) {
  sum = exact_fma(odd_elements(a.bits), odd_elements(b.bits), sum);
  return exact_fma(even_elements(a.bits), even_elements(b.bits), sum);
}
PYRNN_INLINE void store_factors(Vec x, Factor* p) { store_upper_halves(round_bits(x), p); }

#endif

PYRNN_INLINE void store_group(const Vec (&rows)[factor_group], Factor* p) {
  const Vec pairs = bit_or(shift_right<16>(round_bits(rows[0])), odd_elements(round_bits(rows[1])));
  __builtin_memcpy(p, &pairs.v, sizeof(pairs.v));
}

#else

using Factor = Real;
constexpr int factor_group = 1;
constexpr const char* precision_name = sizeof(Real) == sizeof(float) ? "float32" : "float64";

struct Factors {
  Vec values;
  static PYRNN_INLINE Factors load(const Factor* p) { return {Vec::load(p)}; }
  static PYRNN_INLINE Factors broadcast(const Factor* p) { return {Vec::set1(*p)}; }
};

PYRNN_INLINE Vec dot(Factors a, Factors b, Vec sum) { return fma(a.values, b.values, sum); }
PYRNN_INLINE void store_factors(Vec x, Factor* p) { x.store(p); }
PYRNN_INLINE void store_group(const Vec (&rows)[factor_group], Factor* p) { rows[0].store(p); }

#endif

// Groups that n factors fill, and factors in them: the last group is filled up with zeros.
constexpr index_t groups_of(index_t n) { return (n + factor_group - 1) / factor_group; }
constexpr index_t padded(index_t n) { return groups_of(n) * factor_group; }

}  // namespace pyrnn::PYRNN_NS
