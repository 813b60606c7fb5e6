// Vec on AVX-512 F and DQ. Included by vec.hpp only, which documents the operations.
#pragma once

#if !defined(__AVX512F__) || !defined(__AVX512DQ__)
#error "PYRNN_ISA_AVX512 needs -mavx512f -mavx512dq"
#endif

// GCC before 13 takes the header's own _mm512_undefined_* for uninitialised variables (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

namespace pyrnn::PYRNN_NS {

#if defined(PYRNN_ISA_AVX512BF16)
#if !defined(__AVX512BF16__)
#error "PYRNN_ISA_AVX512BF16 needs -mavx512bf16"
#endif
constexpr const char* isa_name = "avx512bf16";
#else
constexpr const char* isa_name = "avx512";
#endif
constexpr int vector_registers = 32;
constexpr bool fused_multiply_add = true;
constexpr bool has_scale = true;

template <class T>
struct VecOf;

template <>
struct VecOf<float> {
  using Mask = __mmask16;
  static constexpr int lanes = 16;
  __m512 v;

  static PYRNN_INLINE Mask first(index_t n) { return static_cast<Mask>((1u << n) - 1u); }
  static PYRNN_INLINE VecOf zero() { return {_mm512_setzero_ps()}; }
  static PYRNN_INLINE VecOf set1(float a) { return {_mm512_set1_ps(a)}; }
  static PYRNN_INLINE VecOf set1_bits(std::uint32_t a) {
    return {_mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(a)))};
  }
  static PYRNN_INLINE VecOf load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static PYRNN_INLINE VecOf load(const float* p, index_t n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
  PYRNN_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  PYRNN_INLINE void store(float* p, index_t n) const { _mm512_mask_storeu_ps(p, first(n), v); }
};

template <>
struct VecOf<double> {
  using Mask = __mmask8;
  static constexpr int lanes = 8;
  __m512d v;

  static PYRNN_INLINE Mask first(index_t n) { return static_cast<Mask>((1u << n) - 1u); }
  static PYRNN_INLINE VecOf zero() { return {_mm512_setzero_pd()}; }
  static PYRNN_INLINE VecOf set1(double a) { return {_mm512_set1_pd(a)}; }
  static PYRNN_INLINE VecOf load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static PYRNN_INLINE VecOf load(const double* p, index_t n) { return {_mm512_maskz_loadu_pd(first(n), p)}; }
  PYRNN_INLINE void store(double* p) const { _mm512_storeu_pd(p, v); }
  PYRNN_INLINE void store(double* p, index_t n) const { _mm512_mask_storeu_pd(p, first(n), v); }
};

using VecF = VecOf<float>;
using VecD = VecOf<double>;

PYRNN_INLINE VecF operator+(VecF a, VecF b) { return {_mm512_add_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator+(VecD a, VecD b) { return {_mm512_add_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator-(VecF a, VecF b) { return {_mm512_sub_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator-(VecD a, VecD b) { return {_mm512_sub_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator*(VecF a, VecF b) { return {_mm512_mul_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator*(VecD a, VecD b) { return {_mm512_mul_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator/(VecF a, VecF b) { return {_mm512_div_ps(a.v, b.v)}; }
PYRNN_INLINE VecD operator/(VecD a, VecD b) { return {_mm512_div_pd(a.v, b.v)}; }
PYRNN_INLINE VecF operator-(VecF a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
PYRNN_INLINE VecD operator-(VecD a) { return {_mm512_xor_pd(a.v, _mm512_set1_pd(-0.0))}; }

PYRNN_INLINE VecF fma(VecF a, VecF b, VecF c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
PYRNN_INLINE VecD fma(VecD a, VecD b, VecD c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
PYRNN_INLINE VecF fnma(VecF a, VecF b, VecF c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
PYRNN_INLINE VecD fnma(VecD a, VecD b, VecD c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }
PYRNN_INLINE VecF max(VecF a, VecF b) { return {_mm512_max_ps(a.v, b.v)}; }
PYRNN_INLINE VecD max(VecD a, VecD b) { return {_mm512_max_pd(a.v, b.v)}; }
PYRNN_INLINE VecF min(VecF a, VecF b) { return {_mm512_min_ps(a.v, b.v)}; }
PYRNN_INLINE VecD min(VecD a, VecD b) { return {_mm512_min_pd(a.v, b.v)}; }
PYRNN_INLINE VecF sqrt(VecF a) { return {_mm512_sqrt_ps(a.v)}; }
PYRNN_INLINE VecD sqrt(VecD a) { return {_mm512_sqrt_pd(a.v)}; }

PYRNN_INLINE VecF::Mask less(VecF a, VecF b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
PYRNN_INLINE VecD::Mask less(VecD a, VecD b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ); }
PYRNN_INLINE VecF select(VecF::Mask m, VecF t, VecF f) { return {_mm512_mask_blend_ps(m, f.v, t.v)}; }
PYRNN_INLINE VecD select(VecD::Mask m, VecD t, VecD f) { return {_mm512_mask_blend_pd(m, f.v, t.v)}; }

PYRNN_INLINE VecF bit_and(VecF a, VecF b) { return {_mm512_and_ps(a.v, b.v)}; }
PYRNN_INLINE VecD bit_and(VecD a, VecD b) { return {_mm512_and_pd(a.v, b.v)}; }
PYRNN_INLINE VecF bit_or(VecF a, VecF b) { return {_mm512_or_ps(a.v, b.v)}; }
PYRNN_INLINE VecD bit_or(VecD a, VecD b) { return {_mm512_or_pd(a.v, b.v)}; }
PYRNN_INLINE VecF abs(VecF a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
PYRNN_INLINE VecD abs(VecD a) { return {_mm512_andnot_pd(_mm512_set1_pd(-0.0), a.v)}; }

template <int n>
PYRNN_INLINE VecF shift_left(VecF a) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), n))};
}
template <int n>
PYRNN_INLINE VecD shift_left(VecD a) {
  return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a.v), n))};
}
template <int n>
PYRNN_INLINE VecF shift_right(VecF a) {
  return {_mm512_castsi512_ps(_mm512_srli_epi32(_mm512_castps_si512(a.v), n))};
}
template <int n>
PYRNN_INLINE VecD shift_right(VecD a) {
  return {_mm512_castsi512_pd(_mm512_srli_epi64(_mm512_castpd_si512(a.v), n))};
}

// Truth table 0xD8: where the third operand has a 1, the second, else the first.
PYRNN_INLINE VecF copysign(VecF magnitude, VecF sign) {
  return {_mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(magnitude.v), _mm512_castps_si512(sign.v),
                                                        _mm512_castps_si512(_mm512_set1_ps(-0.0f)), 0xD8))};
}
PYRNN_INLINE VecD copysign(VecD magnitude, VecD sign) {
  return {_mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(magnitude.v), _mm512_castpd_si512(sign.v),
                                                        _mm512_castpd_si512(_mm512_set1_pd(-0.0)), 0xD8))};
}

PYRNN_INLINE VecF add_bits(VecF a, VecF b) {
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_castps_si512(b.v)))};
}
PYRNN_INLINE void store_upper_halves(VecF a, std::uint16_t* p) {
  const __m256i halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(a.v), 16));
  __builtin_memcpy(p, &halves, sizeof(halves));
}
PYRNN_INLINE VecF exact_fma(VecF a, VecF b, VecF c) { return fma(a, b, c); }

PYRNN_INLINE VecF scale(VecF a, VecF n) { return {_mm512_scalef_ps(a.v, n.v)}; }
PYRNN_INLINE VecD scale(VecD a, VecD n) { return {_mm512_scalef_pd(a.v, n.v)}; }

PYRNN_INLINE float reduce_add(VecF a) { return _mm512_reduce_add_ps(a.v); }
PYRNN_INLINE double reduce_add(VecD a) { return _mm512_reduce_add_pd(a.v); }
PYRNN_INLINE float reduce_max(VecF a) { return _mm512_reduce_max_ps(a.v); }
PYRNN_INLINE double reduce_max(VecD a) { return _mm512_reduce_max_pd(a.v); }

}  // namespace pyrnn::PYRNN_NS
