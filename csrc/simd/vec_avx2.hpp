// Vec on AVX2 and FMA. Included by vec.hpp only, which documents the operations.
#pragma once

#if !defined(__AVX2__) || !defined(__FMA__)
#error "PYRNN_ISA_AVX2 needs -mavx2 -mfma"
#endif

#include <immintrin.h>

namespace pyrnn::PYRNN_NS {

constexpr const char* isa_name = "avx2";
constexpr int vector_registers = 16;
constexpr bool fused_multiply_add = true;
constexpr bool has_scale = false;

template <class T>
struct VecOf;

template <>
struct VecOf<float> {
  struct Mask {
    __m256 m;
  };
  static constexpr int lanes = 8;
  __m256 v;

  static PYRNN_INLINE __m256i first(index_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static PYRNN_INLINE VecOf zero() { return {_mm256_setzero_ps()}; }
  static PYRNN_INLINE VecOf set1(float a) { return {_mm256_set1_ps(a)}; }
  static PYRNN_INLINE VecOf set1_bits(std::uint32_t a) {
    return {_mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(a)))};
  }
  static PYRNN_INLINE VecOf load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static PYRNN_INLINE VecOf load(const float* p, index_t n) { return {_mm256_maskload_ps(p, first(n))}; }
  PYRNN_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  PYRNN_INLINE void store(float* p, index_t n) const { _mm256_maskstore_ps(p, first(n), v); }
};

template <>
struct VecOf<double> {
  struct Mask {
    __m256d m;
  };
  static constexpr int lanes = 4;
  __m256d v;

  static PYRNN_INLINE __m256i first(index_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static PYRNN_INLINE VecOf zero() { return {_mm256_setzero_pd()}; }
  static PYRNN_INLINE VecOf set1(double a) { return {_mm256_set1_pd(a)}; }
  static PYRNN_INLINE VecOf load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static PYRNN_INLINE VecOf load(const double* p, index_t n) { return {_mm256_maskload_pd(p, first(n))}; }
  PYRNN_INLINE void store(double* p) const { _mm256_storeu_pd(p, v); }
  PYRNN_INLINE void store(double* p, index_t n) const { _mm256_maskstore_pd(p, first(n), v); }
};

using VecF = VecOf<float>;
using VecD = VecOf<double>;

PYRNN_INLINE VecF operator+(VecF a, VecF b) { return {_mm256_add_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator+(VecD a, VecD b) { return {_mm256_add_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator-(VecF a, VecF b) { return {_mm256_sub_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator-(VecD a, VecD b) { return {_mm256_sub_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator*(VecF a, VecF b) { return {_mm256_mul_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator*(VecD a, VecD b) { return {_mm256_mul_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator/(VecF a, VecF b) { return {_mm256_div_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator/(VecD a, VecD b) { return {_mm256_div_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator-(VecF a) { return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))}; }
PYRNN_INLINE VecD operator-(VecD a) { return {_mm256_xor_pd(a.v, _mm256_set1_pd(-0.0))}; }

PYRNN_INLINE VecF fma(VecF a, VecF b, VecF c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
PYRNN_INLINE VecD fma(VecD a, VecD b, VecD c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
PYRNN_INLINE VecF fnma(VecF a, VecF b, VecF c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
PYRNN_INLINE VecD fnma(VecD a, VecD b, VecD c) { return {_mm256_fnmadd_pd(a.v, b.v, c.v)}; }
PYRNN_INLINE VecF max(VecF a, VecF b) { return {_mm256_max_ps(a.v, b.v)}; }
PYRNN_INLINE VecD max(VecD a, VecD b) { return {_mm256_max_pd(a.v, b.v)}; }
PYRNN_INLINE VecF min(VecF a, VecF b) { return {_mm256_min_ps(a.v, b.v)}; }
PYRNN_INLINE VecD min(VecD a, VecD b) { return {_mm256_min_pd(a.v, b.v)}; }
PYRNN_INLINE VecF sqrt(VecF a) { return {_mm256_sqrt_ps(a.v)}; }
PYRNN_INLINE VecD sqrt(VecD a) { return {_mm256_sqrt_pd(a.v)}; }

PYRNN_INLINE VecF::Mask less(VecF a, VecF b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
PYRNN_INLINE VecD::Mask less(VecD a, VecD b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)}; }
PYRNN_INLINE VecF select(VecF::Mask m, VecF t, VecF f) { return {_mm256_blendv_ps(f.v, t.v, m.m)}; }
PYRNN_INLINE VecD select(VecD::Mask m, VecD t, VecD f) { return {_mm256_blendv_pd(f.v, t.v, m.m)}; }

PYRNN_INLINE VecF bit_and(VecF a, VecF b) { return {_mm256_and_ps(a.v, b.v)}; }
PYRNN_INLINE VecD bit_and(VecD a, VecD b) { return {_mm256_and_pd(a.v, b.v)}; }
PYRNN_INLINE VecF bit_or(VecF a, VecF b) { return {_mm256_or_ps(a.v, b.v)}; }
PYRNN_INLINE VecD bit_or(VecD a, VecD b) { return {_mm256_or_pd(a.v, b.v)}; }
PYRNN_INLINE VecF abs(VecF a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
PYRNN_INLINE VecD abs(VecD a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }

template <int n>
PYRNN_INLINE VecF shift_left(VecF a) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), n))};
}
template <int n>
PYRNN_INLINE VecD shift_left(VecD a) {
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.v), n))};
}
template <int n>
PYRNN_INLINE VecF shift_right(VecF a) {
  return {_mm256_castsi256_ps(_mm256_srli_epi32(_mm256_castps_si256(a.v), n))};
}
template <int n>
PYRNN_INLINE VecD shift_right(VecD a) {
  return {_mm256_castsi256_pd(_mm256_srli_epi64(_mm256_castpd_si256(a.v), n))};
}

PYRNN_INLINE VecF add_bits(VecF a, VecF b) {
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.v), _mm256_castps_si256(b.v)))};
}
// Packing works on halves of the register; quarters 0 and 2 then hold the result.
PYRNN_INLINE void store_upper_halves(VecF a, std::uint16_t* p) {
  const __m256i lower = _mm256_srli_epi32(_mm256_castps_si256(a.v), 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(lower, lower), 0x08);
  const __m128i halves = _mm256_castsi256_si128(packed);
  __builtin_memcpy(p, &halves, sizeof(halves));
}
PYRNN_INLINE VecF exact_fma(VecF a, VecF b, VecF c) { return fma(a, b, c); }

PYRNN_INLINE VecF copysign(VecF magnitude, VecF sign) {
  const __m256 sign_bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign_bit, magnitude.v), _mm256_and_ps(sign_bit, sign.v))};
}
PYRNN_INLINE VecD copysign(VecD magnitude, VecD sign) {
  const __m256d sign_bit = _mm256_set1_pd(-0.0);
  return {_mm256_or_pd(_mm256_andnot_pd(sign_bit, magnitude.v), _mm256_and_pd(sign_bit, sign.v))};
}

PYRNN_INLINE float reduce_add(VecF a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PYRNN_INLINE double reduce_add(VecD a) {
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
PYRNN_INLINE float reduce_max(VecF a) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
PYRNN_INLINE double reduce_max(VecD a) {
  const __m128d two = _mm_max_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace pyrnn::PYRNN_NS
