// Vec on the vector extensions of GCC and Clang, 16 bytes: SSE2 on x86-64, NEON on 64-bit ARM, whatever there is
// elsewhere. Included by vec.hpp only, which documents the operations.
#pragma once

#if !defined(__GNUC__)
#error "PYRNN_ISA_PORTABLE needs the vector extensions of GCC or Clang"
#endif

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace pyrnn::PYRNN_NS {

constexpr const char* isa_name = "portable";
#if defined(__aarch64__)
constexpr int vector_registers = 32;
#else
constexpr int vector_registers = 16;
#endif
#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
constexpr bool fused_multiply_add = true;
#else
constexpr bool fused_multiply_add = false;
#endif
constexpr bool has_scale = false;

template <class T>
struct LaneTypes;
template <>
struct LaneTypes<float> {
  typedef float Values __attribute__((vector_size(16)));
  typedef std::int32_t Bits __attribute__((vector_size(16)));
  typedef std::uint32_t UnsignedBits __attribute__((vector_size(16)));
};
template <>
struct LaneTypes<double> {
  typedef double Values __attribute__((vector_size(16)));
  typedef std::int64_t Bits __attribute__((vector_size(16)));
  typedef std::uint64_t UnsignedBits __attribute__((vector_size(16)));
};

template <class T>
struct VecOf {
  using Values = typename LaneTypes<T>::Values;
  using Bits = typename LaneTypes<T>::Bits;
  using UnsignedBits = typename LaneTypes<T>::UnsignedBits;
  struct Mask {
    Bits m;
  };
  static constexpr int lanes = 16 / sizeof(T);
  Values v;

  static PYRNN_INLINE VecOf zero() { return {Values{}}; }
  static PYRNN_INLINE VecOf set1(T a) { return {a - Values{}}; }
  static PYRNN_INLINE VecOf set1_bits(std::uint32_t a) { return of_bits(static_cast<std::int32_t>(a) - Bits{}); }
  static PYRNN_INLINE VecOf load(const T* p) {
    VecOf a;
    __builtin_memcpy(&a.v, p, sizeof(a.v));
    return a;
  }
  static PYRNN_INLINE VecOf load(const T* p, index_t n) {
    VecOf a = zero();
    for (int l = 0; l < lanes; ++l) {
      if (l < n) a.v[l] = p[l];
    }
    return a;
  }
  PYRNN_INLINE void store(T* p) const { __builtin_memcpy(p, &v, sizeof(v)); }
  PYRNN_INLINE void store(T* p, index_t n) const {
    for (int l = 0; l < lanes; ++l) {
      if (l < n) p[l] = v[l];
    }
  }
  PYRNN_INLINE Bits bits() const { return reinterpret_cast<Bits>(v); }
  static PYRNN_INLINE VecOf of_bits(Bits b) { return {reinterpret_cast<Values>(b)}; }
};

template <class T>
PYRNN_INLINE VecOf<T> operator+(VecOf<T> a, VecOf<T> b) {
  return {a.v + b.v};
}
template <class T>
PYRNN_INLINE VecOf<T> operator-(VecOf<T> a, VecOf<T> b) {
  return {a.v - b.v};
}
template <class T>
PYRNN_INLINE VecOf<T> operator*(VecOf<T> a, VecOf<T> b) {
  return {a.v * b.v};
}
template <class T>
PYRNN_INLINE VecOf<T> operator/(VecOf<T> a, VecOf<T> b) {
  return {a.v / b.v};
}
template <class T>
PYRNN_INLINE VecOf<T> operator-(VecOf<T> a) {
  return {-a.v};
}

#if defined(__aarch64__)
PYRNN_INLINE VecOf<float> fma(VecOf<float> a, VecOf<float> b, VecOf<float> c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
PYRNN_INLINE VecOf<double> fma(VecOf<double> a, VecOf<double> b, VecOf<double> c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
PYRNN_INLINE VecOf<float> sqrt(VecOf<float> a) { return {vsqrtq_f32(a.v)}; }
PYRNN_INLINE VecOf<double> sqrt(VecOf<double> a) { return {vsqrtq_f64(a.v)}; }
#else
template <class T>
PYRNN_INLINE VecOf<T> fma(VecOf<T> a, VecOf<T> b, VecOf<T> c) {
  if constexpr (!fused_multiply_add) {
    return a * b + c;
  } else {
    for (int l = 0; l < VecOf<T>::lanes; ++l) {
      if constexpr (sizeof(T) == 4) {
        c.v[l] = __builtin_fmaf(a.v[l], b.v[l], c.v[l]);
      } else {
        c.v[l] = __builtin_fma(a.v[l], b.v[l], c.v[l]);
      }
    }
    return c;
  }
}
#if defined(__SSE2__)
PYRNN_INLINE VecOf<float> sqrt(VecOf<float> a) { return {_mm_sqrt_ps(a.v)}; }
PYRNN_INLINE VecOf<double> sqrt(VecOf<double> a) { return {_mm_sqrt_pd(a.v)}; }
#else
template <class T>
PYRNN_INLINE VecOf<T> sqrt(VecOf<T> a) {
  for (int l = 0; l < VecOf<T>::lanes; ++l) {
    a.v[l] = sizeof(T) == 4 ? static_cast<T>(__builtin_sqrtf(static_cast<float>(a.v[l])))
                            : static_cast<T>(__builtin_sqrt(static_cast<double>(a.v[l])));
  }
  return a;
}
#endif
#endif

template <class T>
PYRNN_INLINE VecOf<T> fnma(VecOf<T> a, VecOf<T> b, VecOf<T> c) {
  return fma(-a, b, c);
}
#if defined(__SSE2__)  // GCC 12 does not always see the instruction in the comparison
PYRNN_INLINE VecOf<float> max(VecOf<float> a, VecOf<float> b) { return {_mm_max_ps(a.v, b.v)}; }
PYRNN_INLINE VecOf<double> max(VecOf<double> a, VecOf<double> b) { return {_mm_max_pd(a.v, b.v)}; }
PYRNN_INLINE VecOf<float> min(VecOf<float> a, VecOf<float> b) { return {_mm_min_ps(a.v, b.v)}; }
PYRNN_INLINE VecOf<double> min(VecOf<double> a, VecOf<double> b) { return {_mm_min_pd(a.v, b.v)}; }
#else
template <class T>
PYRNN_INLINE VecOf<T> max(VecOf<T> a, VecOf<T> b) {
  return {a.v > b.v ? a.v : b.v};
}
template <class T>
PYRNN_INLINE VecOf<T> min(VecOf<T> a, VecOf<T> b) {
  return {a.v < b.v ? a.v : b.v};
}
#endif

template <class T>
PYRNN_INLINE typename VecOf<T>::Mask less(VecOf<T> a, VecOf<T> b) {
  return {a.v < b.v};
}
template <class T>
PYRNN_INLINE VecOf<T> select(typename VecOf<T>::Mask m, VecOf<T> t, VecOf<T> f) {
  return VecOf<T>::of_bits((m.m & t.bits()) | (~m.m & f.bits()));
}

template <class T>
PYRNN_INLINE VecOf<T> bit_and(VecOf<T> a, VecOf<T> b) {
  return VecOf<T>::of_bits(a.bits() & b.bits());
}
template <class T>
PYRNN_INLINE VecOf<T> bit_or(VecOf<T> a, VecOf<T> b) {
  return VecOf<T>::of_bits(a.bits() | b.bits());
}
template <class T>
PYRNN_INLINE VecOf<T> abs(VecOf<T> a) {
  return VecOf<T>::of_bits(a.bits() & ~VecOf<T>::set1(T(-0.0)).bits());
}
template <class T>
PYRNN_INLINE VecOf<T> copysign(VecOf<T> magnitude, VecOf<T> sign) {
  const auto sign_bit = VecOf<T>::set1(T(-0.0)).bits();
  return VecOf<T>::of_bits((magnitude.bits() & ~sign_bit) | (sign.bits() & sign_bit));
}

template <int n, class T>
PYRNN_INLINE VecOf<T> shift_left(VecOf<T> a) {
  using Unsigned = typename VecOf<T>::UnsignedBits;
  return {reinterpret_cast<typename VecOf<T>::Values>(reinterpret_cast<Unsigned>(a.v) << n)};
}
template <int n, class T>
PYRNN_INLINE VecOf<T> shift_right(VecOf<T> a) {
  using Unsigned = typename VecOf<T>::UnsignedBits;
  return {reinterpret_cast<typename VecOf<T>::Values>(reinterpret_cast<Unsigned>(a.v) >> n)};
}

PYRNN_INLINE VecOf<float> add_bits(VecOf<float> a, VecOf<float> b) {
  using Unsigned = VecOf<float>::UnsignedBits;
  return {reinterpret_cast<VecOf<float>::Values>(reinterpret_cast<Unsigned>(a.v) + reinterpret_cast<Unsigned>(b.v))};
}
PYRNN_INLINE void store_upper_halves(VecOf<float> a, std::uint16_t* p) {
  for (int l = 0; l < VecOf<float>::lanes; ++l)
    p[l] = static_cast<std::uint16_t>(static_cast<std::uint32_t>(a.bits()[l]) >> 16);
}
// One rounding also without the instruction: in double the product is exact, and rounding the sum of two floats first
// to 53 bits changes nothing (Figueroa 1995: 53 >= 2 * 24 + 2).
PYRNN_INLINE VecOf<float> exact_fma(VecOf<float> a, VecOf<float> b, VecOf<float> c) {
  if constexpr (fused_multiply_add) return fma(a, b, c);
  typedef double Wide __attribute__((vector_size(32)));
  const auto wide = [](VecOf<float> x) { return __builtin_convertvector(x.v, Wide); };
  return {__builtin_convertvector(wide(a) * wide(b) + wide(c), VecOf<float>::Values)};
}

PYRNN_INLINE float reduce_add(VecOf<float> a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
PYRNN_INLINE double reduce_add(VecOf<double> a) { return a.v[0] + a.v[1]; }
template <class T>
PYRNN_INLINE T reduce_max(VecOf<T> a) {
  T largest = a.v[0];
  for (int l = 1; l < VecOf<T>::lanes; ++l) largest = a.v[l] > largest ? a.v[l] : largest;
  return largest;
}

}  // namespace pyrnn::PYRNN_NS
