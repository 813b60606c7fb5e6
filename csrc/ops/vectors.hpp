// Loops over contiguous runs, a vector at a time; the last, shorter piece uses the same code.
#pragma once

#include "gemm/tile.hpp"
#include "simd/math.hpp"

namespace pyrnn::PYRNN_NS {

// The length of a piece that fills a vector; shorter pieces are an index_t.
struct Whole {};

inline Vec load_piece(const Real* p, Whole) { return Vec::load(p); }
inline Vec load_piece(const Real* p, index_t n) { return Vec::load(p, n); }
inline void store_piece(Vec v, Real* p, Whole) { v.store(p); }
inline void store_piece(Vec v, Real* p, index_t n) { v.store(p, n); }

// body(i, size) for every piece of begin .. end.
template <class Body>
PYRNN_INLINE void for_pieces(index_t begin, index_t end, const Body& body) {
  index_t i = begin;
  for (; i + lanes <= end; i += lanes) body(i, Whole{});
  if (i < end) body(i, end - i);
}

inline Mask first_lanes(index_t n) {
  alignas(64) static constexpr Real numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  static_assert(lanes <= 16);
  return less(Vec::load(numbers), Vec::set1(static_cast<Real>(n)));
}

// The piece with `other` in the lanes past its end.
inline Vec fill_piece(Vec v, Whole, Vec) { return v; }
inline Vec fill_piece(Vec v, index_t n, Vec other) { return select(first_lanes(n), v, other); }

// `result` where a is not 0; a itself where it is 0 or NaN.
inline Vec unless_zero(Vec a, Vec result) {
  return select(less(a, Vec::zero()), result, select(less(Vec::zero(), a), result, a));
}

// A factor or numerator of 0 gives 0 also where b is infinite or 0; NaN in a passes.
inline Vec multiply_or_zero(Vec a, Vec b) { return unless_zero(a, a * b); }
inline Vec divide_or_zero(Vec a, Vec b) { return unless_zero(a, a / b); }

// log(1 + e) for e in 0 .. 1, to a few ulp where 1 + e rounds: the rounded sum's error cancels in e / (u - 1).
inline Vec log1p_of_unit(Vec e) {
  const Vec one = Vec::set1(1), u = one + e;
  return select(less(one, u), log(u) * (e / (u - one)), e);
}

inline Real first_lane(Vec v) {
  alignas(64) Real values[lanes];
  v.store(values);
  return values[0];
}

}  // namespace pyrnn::PYRNN_NS
