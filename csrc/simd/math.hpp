// exp, tanh, sigmoid and log on Vec: one division each, no branch, no table.
//
// Largest errors in units in the last place, for x between `from` and `to`, which tests/test_math.py reads here and
// holds every back end to. `normal` is the smallest normal number, `max` the largest finite one, of the dtype.
//
//   function   max_ulp float   max_ulp double   from          to
//   exp        2.25            2.25             log(normal)   log(max)
//   tanh       3.25            3.75             -inf          inf
//   sigmoid    2.75            2.75             log(normal)   inf
//   log        1.00            1.00             normal        max
//
// NaN gives NaN. tanh(+-inf) = +-1, sigmoid(-inf) = 0, exp(-inf) = 0, exp(inf) = inf, log(0) = -inf, log(< 0) = NaN.
// tanh is odd to the bit. Subnormal arguments and results may count as 0.
//
// The core is tanh(r) = odd / even for |r| <= log(2) / 4, with odd = r + odd[0] r^3 + ..., even = 1 + even[0] r^2 + ...
// a minimax rational that is exact at 0. The rest follows:
//   e^2r = (even + odd) / (even - odd)
//   e^x  = 2^n e^2r                       where x = n log(2) + 2r
//   sigmoid(x) = 1 / (1 + e^-x) and tanh(x) = (e^2x - 1) / (e^2x + 1), over the common denominator
#pragma once

#include "simd/vec.hpp"

namespace pyrnn::PYRNN_NS {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
  static constexpr float two_to_mantissa_bits = 0x1p23f;
  static constexpr float smallest_normal = 0x1p-126f;
  static constexpr float largest = 0x1.fffffep127f;
  static constexpr float mantissa_mask = 0x0.fffffep-126f;
  static constexpr float log2_e = 0x1.715476p0f;
  static constexpr float log_2 = 0x1.62e43p-1f;
  static constexpr float log_2_high = 0x1.62e4p-1f;  // few bits: n * log_2_high is exact
  static constexpr float log_2_low = 0x1.7f7d1cp-20f;
  // Where x may be clamped: results are final there. n is what x = n log(2) + 2r gives.
  static constexpr float exp_overflows = 88.8f;
  static constexpr float exp_flushes = -88.0f;      // n = -bias, built as 2^n = 0
  static constexpr float exp_underflows = -104.5f;  // below half the smallest subnormal
  static constexpr float sigmoid_flushes = -89.0f;  // n of -x = bias + 1, built as 2^n = inf
  // Relative error of odd / even: 2^-30.
  static constexpr float odd[] = {0.066587109319625028f};
  static constexpr float even[] = {0.39992019675736699f};
  // log(1 + f) = 2 atanh(s) = 2s + s^3 * series(s^2), where s = f / (2 + f). Relative error of the logarithm: 2^-28.
  static constexpr float series[] = {0.66666666666666667f, 0.39991405394097420f, 0.29507151894873507f};
};

template <>
struct MathConstants<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
  static constexpr double two_to_mantissa_bits = 0x1p52;
  static constexpr double smallest_normal = 0x1p-1022;
  static constexpr double largest = 0x1.fffffffffffffp1023;
  static constexpr double mantissa_mask = 0x0.fffffffffffffp-1022;
  static constexpr double log2_e = 0x1.71547652b82fep0;
  static constexpr double log_2 = 0x1.62e42fefa39efp-1;
  static constexpr double log_2_high = 0x1.62e42fep-1;
  static constexpr double log_2_low = 0x1.f473de6af278fp-30;
  static constexpr double exp_overflows = 709.79;
  static constexpr double exp_flushes = -709.0;
  static constexpr double exp_underflows = -746.0;
  static constexpr double sigmoid_flushes = -709.9;
  // Relative error of odd / even: 2^-57.
  static constexpr double odd[] = {0.11109937109862141819, 0.0010574189546839567683};
  static constexpr double even[] = {0.44443270443194899022, 0.015868320433868993825};
  // Relative error of the logarithm: 2^-57.
  static constexpr double series[] = {0.66666666666666666667, 0.39999999999930202909, 0.28571428617421864206,
                                      0.22222212143239010856, 0.18182831646774927203, 0.15333289720950376034,
                                      0.14600021828777824121};
};

// sum over i of coefficients[i] * first * step^i * x^i; first and step are powers of two, folded into the constants.
template <class T, int n>
PYRNN_INLINE VecOf<T> polynomial(VecOf<T> x, const T (&coefficients)[n], T first, T step) {
  T scaled[n];
  for (int i = 0; i < n; ++i, first *= step) scaled[i] = coefficients[i] * first;
  VecOf<T> sum = VecOf<T>::set1(scaled[n - 1]);
  for (int i = n - 2; i >= 0; --i) sum = fma(sum, x, VecOf<T>::set1(scaled[i]));
  return sum;
}

// e^r = numerator / denominator for |r| <= log(2) / 2.
template <class T>
struct ExpRatio {
  VecOf<T> numerator, denominator;
  PYRNN_INLINE explicit ExpRatio(VecOf<T> r) {
    using V = VecOf<T>;
    const V square = r * r;
    const V odd = fma(square, polynomial(square, MathConstants<T>::odd, T(0.125), T(0.25)), V::set1(T(0.5)));
    const V even = fma(square, polynomial(square, MathConstants<T>::even, T(0.25), T(0.25)), V::set1(T(1)));
    numerator = fma(r, odd, even);
    denominator = fnma(r, odd, even);
  }
};

// round(x * factor) in two forms: as a number, and, plus `bias`, in the low bits of `shifted`.
template <class T>
struct NearestInteger {
  VecOf<T> number, shifted;
  PYRNN_INLINE NearestInteger(VecOf<T> x, T factor, int bias) {
    using V = VecOf<T>;
    const V shift = V::set1(T(1.5) * MathConstants<T>::two_to_mantissa_bits + T(bias));
    shifted = fma(x, V::set1(factor), shift);
    number = shifted - shift;
  }
  // 2^(number + bias - MathConstants<T>::bias): 0 and inf at the two ends of the exponent's range.
  PYRNN_INLINE VecOf<T> power_of_two() const { return shift_left<MathConstants<T>::mantissa_bits>(shifted); }
};

template <class T>
PYRNN_INLINE VecOf<T> exp(VecOf<T> x) {
  using V = VecOf<T>;
  using M = MathConstants<T>;
  x = max(V::set1(has_scale ? M::exp_underflows : M::exp_flushes), min(V::set1(M::exp_overflows), x));
  NearestInteger<T> n(x, M::log2_e, M::bias);
  V r = fnma(n.number, V::set1(M::log_2_high), x);
  r = fnma(n.number, V::set1(M::log_2_low), r);
  const ExpRatio<T> ratio(r);
  const V power = ratio.numerator / ratio.denominator;
  if constexpr (has_scale) {
    return scale(power, n.number);
  } else {  // 2^(bias + 1) is not a number: double what is left of n instead
    const V n_shifted = n.shifted;
    n.shifted = min(n_shifted, V::set1(T(1.5) * M::two_to_mantissa_bits + T(2 * M::bias)));
    const V most = power * n.power_of_two();
    return fma(most, n_shifted - n.shifted, most);
  }
}

template <class T>
PYRNN_INLINE VecOf<T> sigmoid(VecOf<T> x) {
  using V = VecOf<T>;
  using M = MathConstants<T>;
  x = max(V::set1(M::sigmoid_flushes), min(V::set1(T(40)), x));
  const NearestInteger<T> n(x, -M::log2_e, M::bias);
  V r = fma(n.number, V::set1(M::log_2_high), x);
  r = fma(n.number, V::set1(M::log_2_low), r);
  // e^-x = 2^n e^-r = 2^n denominator / numerator
  const ExpRatio<T> ratio(r);
  return ratio.numerator / fma(n.power_of_two(), ratio.denominator, ratio.numerator);
}

template <class T>
PYRNN_INLINE VecOf<T> tanh(VecOf<T> x) {
  using V = VecOf<T>;
  using M = MathConstants<T>;
  const V a = min(V::set1(T(40)), abs(x));
  const NearestInteger<T> n(a, 2 * M::log2_e, M::bias - 1);
  const V r = fnma(n.number, V::set1(M::log_2 / 2), a);
  const V square = r * r;
  const V odd = fma(r * square, polynomial(square, M::odd, T(1), T(1)), r);
  const V even = fma(square, polynomial(square, M::even, T(1), T(1)), V::set1(T(1)));
  // With h = (2^n - 1) / 2: (odd + h (even + odd)) / (even + h (even + odd)), which is odd / even while n = 0.
  const V h = n.power_of_two() - V::set1(T(0.5));
  const V sum = even + odd;
  return copysign(fma(h, sum, odd) / fma(h, sum, even), x);
}

template <class T>
PYRNN_INLINE VecOf<T> log(VecOf<T> x) {
  using V = VecOf<T>;
  using M = MathConstants<T>;
  const V one = V::set1(T(1));
  V exponent = bit_or(shift_right<M::mantissa_bits>(x), V::set1(M::two_to_mantissa_bits)) -
               V::set1(M::two_to_mantissa_bits + T(M::bias));
  V mantissa = bit_or(bit_and(x, V::set1(M::mantissa_mask)), one);
  const auto above_sqrt_2 = less(V::set1(T(1.4142135623730950488)), mantissa);
  mantissa = select(above_sqrt_2, mantissa * V::set1(T(0.5)), mantissa);
  exponent = select(above_sqrt_2, exponent + one, exponent);

  const V f = mantissa - one;
  const V s = f / (f + V::set1(T(2)));
  const V half_square = f * f * V::set1(T(0.5));
  const V square = s * s;
  const V rest = square * polynomial(square, M::series, T(1), T(1));
  // log(1 + f) = f - (f^2/2 - s (f^2/2 + rest)): the largest term, f, is exact.
  const V low = fma(exponent, V::set1(M::log_2_low), s * (half_square + rest));
  V y = fma(exponent, V::set1(M::log_2_high), f - (half_square - low));

  y = y + (x - x);  // NaN
  y = select(less(V::set1(M::largest), x), x, y);
  y = select(less(x, V::set1(M::smallest_normal)), V::set1(-T(__builtin_inf())), y);
  return select(less(x, V::zero()), V::set1(T(__builtin_nan(""))), y);
}

}  // namespace pyrnn::PYRNN_NS
