// Forward over the steps of a sequence: products on register tiles, the cell's function on the accumulators.
#pragma once

#include "sequence/input_sums.hpp"

namespace pyrnn::PYRNN_NS {

template <class Cell>
struct Forward {
  using L = Layout<Cell>;
  using Step = ForwardStep<L::states, L::slots>;

  const Job& job;
  const Share& share;
  const std::int32_t* rows;  // active in this step
  index_t n_rows;
  index_t s;

  // Row 0 of what the epilogue reads and writes in this step, out of the job once a tile.
  struct Places {
    const Real* prev[L::states];
    Real* next[L::states];
    Real* slots;
    Real* y;
    index_t pitch, slots_b, y_b, units;
  };

  PYRNN_INLINE Places places() const {
    Places at;
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) {
      at.prev[i] = job.state[i] + state_offset(job, s, 0);
      at.next[i] = job.state[i] + state_offset(job, s + 1, 0);
    }
    at.slots = job.slots ? slots_row<Cell>(job, s, 0) : nullptr;
    at.y = job.y ? job.y + time_of(job, s) * job.y_t : nullptr;
    at.pitch = job.pitch;
    at.slots_b = L::panels(job.units) * L::slot_row;
    at.y_b = job.y_b;
    at.units = job.units;
    return at;
  }

  // Whether nothing but the cell's function stands between the states before and after.
  bool is_plain() const {
    bool plain = !job.resets && !job.h_scale;
    for (int i = 0; i < L::states; ++i) plain = plain && !job.zoneout[i];
    return plain;
  }

  PYRNN_INLINE Vec scaled_h(Vec h, index_t b, index_t p) const {
    return job.h_scale ? h * Vec::load(job.h_scale + b * job.pitch + p * lanes) : h;
  }

  PYRNN_INLINE Vec keep_part(int i, Vec prev, Vec next, index_t b, index_t p) const {
    if (!job.zoneout[i]) return next;
    const Vec keep = Vec::load(job.zoneout[i] + (time_of(job, s) * job.batch + b) * job.pitch + p * lanes);
    return fma(keep, prev, (Vec::set1(Real(1)) - keep) * next);
  }

  template <bool plain>
  PYRNN_INLINE void store_states(const Step& step, const Places& at, index_t b, index_t p) const {
    const index_t unit = p * lanes;
    Vec next[L::states];
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) {
      next[i] = step.next[i];
      if constexpr (!plain) next[i] = keep_part(i, step.prev[i], next[i], b, p);
      next[i].store(at.next[i] + b * at.pitch + unit);
    }
    if (plain ? factor_group > 1 : copies_h(job))
      store_operand(job, plain ? next[0] : scaled_h(next[0], b, p), h_copy(job, s + 1, b), p);
    if (at.y) {
      Real* y = at.y + b * at.y_b + unit;
      if (at.units - unit >= lanes) {
        next[0].store(y);
      } else {
        next[0].store(y, at.units - unit);
      }
    }
  }

  // One row and block of units, from its sums.
  template <int phase, bool plain>
  PYRNN_INLINE void finish(const Vec* sums, const Places& at, index_t b, index_t p) const {
    constexpr Phase facts = Cell::phases[phase];
    const bool cut = !plain && is_cut(job, s, b);
    Step step;
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i)
      step.prev[i] = Vec::load((cut ? job.zeros : at.prev[i] + b * at.pitch) + p * lanes);
    if constexpr (L::phases > 1) step.operand = plain ? step.prev[0] : cut ? Vec::zero() : scaled_h(step.prev[0], b, p);
    Real* slots = at.slots + b * at.slots_b + p * L::slot_row;
#pragma GCC unroll 8
    for (int k = 0; k < facts.first_slot; ++k) step.slot[k] = Vec::load(slots + k * lanes);
    Cell::template forward<phase>(sums, step);
    if (at.slots) {
#pragma GCC unroll 8
      for (int k = facts.first_slot; k < facts.first_slot + facts.sums; ++k) step.slot[k].store(slots + k * lanes);
    }
    if constexpr (phase + 1 < L::phases) {
      store_operand(job, step.next_operand, later_operand(job, phase + 1, s, b), p);
    } else {
      store_states<plain>(step, at, b, p);
    }
  }

  template <int phase, bool plain>
  PYRNN_INLINE void finish_rows(const Vec* sums, index_t first_row, int R, index_t p, int Q) const {
    const Places at = places();
    for (int r = 0; r < R; ++r)
      for (int q = 0; q < Q; ++q, sums += Cell::phases[phase].sums)
        finish<phase, plain>(sums, at, rows[first_row + r], p + q);
  }

  // The epilogue of a tile. One copy a phase serves every tile shape: its sums pass through the first-level cache,
  // which costs less than the instruction cache and build time of a copy inlined into each shape. In the plain one
  // no branch is left, so that the processor works on several rows at once.
  template <int phase>
  __attribute__((noinline)) void finish_tile(const Vec* sums, index_t first_row, int R, index_t p, int Q) const {
    if (is_plain()) {
      finish_rows<phase, true>(sums, first_row, R, p, Q);
    } else {
      finish_rows<phase, false>(sums, first_row, R, p, Q);
    }
  }

  template <int phase, int R, int Q>
  PYRNN_INLINE void tile(index_t first_row, index_t p, Ahead ahead) const {
    constexpr int A = Cell::phases[phase].sums;
    using H = PhaseMap<Cell, phase, false>;
    Vec sums[R][Q][A];
    if (job.hoisted) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
          for (int a = 0; a < A; ++a)
            sums[r][q][a] = Vec::load(hoisted_sums<Cell, phase>(job, s, rows[first_row + r], p + q) + a * lanes);
    } else {
      const Factor* x[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) x[r] = x_row(job, s, rows[first_row + r]);
      input_sums<Cell, phase>(sums, job, x, p, ahead);
    }
    const Factor* operand[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) operand[r] = phase_operand_row(job, phase, s, rows[first_row + r]);
    accumulate<H>(sums, operand, weight_factors<Cell>(job, p) + padded(job.inputs) * L::weight_row + H::group_offset,
                  L::group_row, L::factor_panel_size(job.inputs, job.units), groups_of(job.units),
                  ahead.after(groups_of(job.inputs)));
    Vec finished[R][Q][A];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
        for (int a = 0; a < A; ++a) finished[r][q][a] = sums[r][q][a];
    finish_tile<phase>(&finished[0][0][0], first_row, R, p, Q);
  }

  template <int phase>
  void run_phase(PanelRange panels) const {
    constexpr int A = Cell::phases[phase].sums;
    const index_t max_rows = share.tile_rows ? share.tile_rows : tile_rows;
    // Panels outside, rows inside: a panel stays in the cache while the rows pass. With few rows, panels side by side.
    const index_t tiles = ceil_div(n_rows, max_rows);
    const index_t lowest = tiles ? n_rows / tiles : 1;
    const index_t width = panels_of_tile(static_cast<int>(lowest), A);
    const index_t bytes = L::factor_panel_size(job.inputs, job.units) * index_t{sizeof(Factor)};
    const Sweep sweep(ceil_div(panels.end - panels.begin, width), (panels.end - panels.begin) * bytes,
                      (job.sweeps + s) & 1);
    for (index_t i = 0; i < sweep.groups; ++i) {
      const index_t p = panels.begin + sweep.group(i) * width;
      const index_t p_end = min_of(p + width, panels.end);
      Ahead ahead(weight_factors<Cell>(job, panels.begin + sweep.next(i) * width), sweep.exceeds_cache);
      for_row_tiles(n_rows, max_rows, [&](auto height, index_t row) {
        constexpr int R = decltype(height)::value;
        constexpr int Q = panels_of_tile(R, A);
        index_t q = p;
        if constexpr (Q > 1)
          for (; q + Q <= p_end; q += Q) tile<phase, R, Q>(row, q, ahead);
        if constexpr (Q > 2)
          for (; q + 2 <= p_end; q += 2) tile<phase, R, 2>(row, q, ahead);
        for (; q < p_end; ++q) tile<phase, R, 1>(row, q, ahead);
        ahead = ahead.after(groups_of(job.inputs) + groups_of(job.units));
      });
    }
    meet(share);
  }

  template <int phase = 0>
  void run_phases(PanelRange panels) const {
    run_phase<phase>(panels);
    if constexpr (phase + 1 < L::phases) run_phases<phase + 1>(panels);
  }

  // Rows that do not take part: the states pass, y is 0 or held.
  void carry_row(index_t b, PanelRange panels) const {
    const index_t begin = panels.begin * lanes, end = panels.end * lanes;
    const bool cut = is_cut(job, s, b);
    for (int i = 0; i < L::states; ++i) {
      const Real* from = cut ? job.zeros : job.state[i] + state_offset(job, s, b);
      Real* to = job.state[i] + state_offset(job, s + 1, b);
      for (index_t u = begin; u < end; u += lanes) Vec::load(from + u).store(to + u);
    }
    if (copies_h(job)) copy_state_row(s + 1, b, panels);
    if (!job.y) return;
    const index_t t = time_of(job, s);
    const bool held = job.hold && s > 0 && !cut && !is_padding(job, t, b);
    const Real* previous = held ? job.y + time_of(job, s - 1) * job.y_t + b * job.y_b : job.zeros;
    Real* y = job.y + t * job.y_t + b * job.y_b;
    for (index_t u = begin; u < min_of(end, job.units); ++u) y[u] = previous[u];
  }

  void copy_inputs() const {
    for (index_t i = share.unit_part; i < n_rows; i += share.unit_parts) copy_input_row(job, s, rows[i]);
    meet(share);
  }

  // The operand that enters step `at`, from the state.
  void copy_state_row(index_t at, index_t b, PanelRange panels) const {
    const Real* h = job.state[0] + state_offset(job, at, b);
    for (index_t p = panels.begin; p < panels.end; ++p)
      store_operand(job, scaled_h(Vec::load(h + p * lanes), b, p), h_copy(job, at, b), p);
  }

  void copy_first_state(PanelRange panels) const {
    for (index_t b = share.batch_begin; b < share.batch_end; ++b) copy_state_row(s, b, panels);
    meet(share);
  }
};

template <class Cell>
void forward_step(const Job& job, const Share& share, PanelRange panels, index_t s, bool first) {
  auto* rows = static_cast<std::int32_t*>(share.scratch);
  const index_t n_rows = active_rows(job, share, s, rows);
  const Forward<Cell> step{job, share, rows, n_rows, s};
  if (copies_h(job) && first) step.copy_first_state(panels);
  if (copies_x(job) && !job.hoisted) step.copy_inputs();
  if (n_rows < share.batch_end - share.batch_begin) {
    const index_t t = time_of(job, s);
    for (index_t b = share.batch_begin; b < share.batch_end; ++b)
      if (!is_active(job, t, b)) step.carry_row(b, panels);
  }
  step.run_phases(panels);
}

template <class Cell>
void forward_steps(const Job* job, const Share* share, index_t s_begin, index_t s_end) {
  const PanelRange panels = panel_slice(Layout<Cell>::panels(job->units), *share);
  const index_t group = job->hoisted ? job->hoisted_steps : s_end - s_begin;
  for (index_t first = s_begin; first < s_end; first += group) {
    const index_t last = min_of(first + group, s_end);
    if (job->hoisted) hoist_inputs<Cell>(*job, *share, panels, first, last);
    for (index_t s = first; s < last; ++s) forward_step<Cell>(*job, *share, panels, s, s == s_begin);
  }
}

}  // namespace pyrnn::PYRNN_NS
