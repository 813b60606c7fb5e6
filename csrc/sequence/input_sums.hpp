// The x part of the sums: inside a step's tile, or hoisted over many steps, where few rows a step would leave
// the register tile half empty. The chains are the same, so are the bits.
#pragma once

#include "sequence/rows.hpp"

namespace pyrnn::PYRNN_NS {

// Sums start from the biases of the parts that they add up.
template <class Cell, int phase>
PYRNN_INLINE Vec first_sum(const Real* panel, int sum) {
  using L = Layout<Cell>;
  using X = PhaseMap<Cell, phase, true>;
  using H = PhaseMap<Cell, phase, false>;
  Vec first = Vec::zero();
  bool found = false;
#pragma GCC unroll 8
  for (int n = 0; n < X::blocks; ++n) {
    if (X::sum(n) == sum) {
      first = Vec::load(panel + X::offset + n * lanes);
      found = true;
    }
  }
  if constexpr (L::bias_rows == 2) {
#pragma GCC unroll 8
    for (int n = 0; n < H::blocks; ++n) {
      if (H::sum(n) == sum) {
        const Vec b_h = Vec::load(panel + L::weight_row + H::offset + n * lanes);
        first = found ? first + b_h : b_h;
      }
    }
  }
  return first;
}

// Biases, then x in k order.
template <class Cell, int phase, int R, int Q, int A>
PYRNN_INLINE void input_sums(Vec (&sums)[R][Q][A], const Job& job, const Factor* const (&x)[R], index_t p,
                             Ahead ahead) {
  using L = Layout<Cell>;
  using X = PhaseMap<Cell, phase, true>;
  const index_t panel_size = L::panel_size(job.inputs, job.units);
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
    for (int a = 0; a < A; ++a) {
      const Vec first = first_sum<Cell, phase>(job.weights + (p + q) * panel_size, a);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r][q][a] = first;
    }
  accumulate<X>(sums, x, weight_factors<Cell>(job, p) + X::group_offset, L::group_row,
                L::factor_panel_size(job.inputs, job.units), groups_of(job.inputs), ahead);
}

// x of one row as it is multiplied, the last group filled up with zeros.
inline void copy_input_row(const Job& job, index_t s, index_t b) {
  const Real* x = job.x + time_of(job, s) * job.x_t + b * job.x_b;
  const Real* scale = job.x_scale ? job.x_scale + b * job.inputs : nullptr;
  Factor* copy = x_copy(job, s, b);
  const index_t whole = job.inputs / lanes * lanes, rest = job.inputs - whole;
  for (index_t d = 0; d < whole; d += lanes)
    store_factors(scale ? Vec::load(x + d) * Vec::load(scale + d) : Vec::load(x + d), copy + d);
  if (rest == 0) return;
  const Vec last = Vec::load(x + whole, rest);
  Factor factors[lanes];
  store_factors(scale ? last * Vec::load(scale + whole, rest) : last, factors);
  for (index_t d = 0; d < rest; ++d) copy[whole + d] = factors[d];
  for (index_t d = job.inputs; d < padded(job.inputs); ++d) copy[d] = 0;
}

template <class Cell, int phase>
PYRNN_INLINE Real* hoisted_sums(const Job& job, index_t s, index_t b, index_t p) {
  using L = Layout<Cell>;
  const index_t row = s % job.hoisted_steps * job.batch + b;
  return job.hoisted + ((row * L::panels(job.units) + p) * Cell::facts.sums + Cell::phases[phase].first_slot) * lanes;
}

template <class Cell>
struct HoistedTile {
  const Job& job;
  const Factor* const* x;
  Real* const* out;  // the row's sums of panel 0

  template <int phase, int R, int Q>
  PYRNN_INLINE void run(index_t first_row, index_t p) const {
    using L = Layout<Cell>;
    constexpr Phase facts = Cell::phases[phase];
    const Factor* rows[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) rows[r] = x[first_row + r];
    Vec sums[R][Q][facts.sums];
    input_sums<Cell, phase>(sums, job, rows, p, Ahead(weight_factors<Cell>(job, p), false));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
        for (int a = 0; a < facts.sums; ++a)
          sums[r][q][a].store(out[first_row + r] + ((p + q) * Cell::facts.sums + facts.first_slot + a) * lanes);
    if constexpr (phase + 1 < L::phases) run<phase + 1, R, Q>(first_row, p);
  }
};

// x parts of steps [s_begin, s_end), at most hoisted_steps of them, for the rows and panels of the share.
template <class Cell>
void hoist_inputs(const Job& job, const Share& share, PanelRange panels, index_t s_begin, index_t s_end) {
  constexpr index_t group = 96;
  const Factor* x[group];
  Real* out[group];
  index_t n = 0;
  const auto flush = [&] {
    const HoistedTile<Cell> tile{job, x, out};
    constexpr int Q = panels_of_tile(tile_rows, Cell::facts.sums);
    for (index_t p = panels.begin; p < panels.end;) {
      const index_t left = panels.end - p;
      for_row_tiles(n, tile_rows, [&](auto height, index_t row) PYRNN_INLINE_LAMBDA {
        constexpr int R = decltype(height)::value;
        if (left >= Q) return tile.template run<0, R, Q>(row, p);
        if constexpr (Q > 2)
          if (left >= 2) return tile.template run<0, R, 2>(row, p);
        if constexpr (Q > 1) tile.template run<0, R, 1>(row, p);
      });
      p += left >= Q ? Q : left >= 2 && Q > 2 ? 2 : 1;
    }
    n = 0;
  };
  if (copies_x(job)) {
    for (index_t s = s_begin; s < s_end; ++s)
      for (index_t b = share.batch_begin + share.unit_part; b < share.batch_end; b += share.unit_parts)
        if (is_active(job, time_of(job, s), b)) copy_input_row(job, s, b);
    meet(share);
  }
  for (index_t s = s_begin; s < s_end; ++s)
    for (index_t b = share.batch_begin; b < share.batch_end; ++b) {
      if (!is_active(job, time_of(job, s), b)) continue;
      x[n] = x_row(job, s, b);
      out[n] = hoisted_sums<Cell, 0>(job, s, b, 0);
      if (++n == group) flush();
    }
  flush();
}

}  // namespace pyrnn::PYRNN_NS
