// BPTT over the steps of a sequence, latest first: the cell's adjoint unit by unit, then the product with W_h^T.
// It leaves the gradients of the sums; those of x and of the weights come from them afterwards.
#pragma once

#include "sequence/rows.hpp"

namespace pyrnn::PYRNN_NS {

template <class Cell>
struct Backward {
  using L = Layout<Cell>;
  using Step = BackwardStep<L::states, L::slots>;

  const Job& job;
  const Share& share;
  const std::int32_t* rows;  // active in this step
  index_t n_rows;
  index_t s;

  static constexpr int last_phase = L::phases - 1;

  // Gradient of state i after step s from everything that is not a later step: y, and the states themselves.
  PYRNN_INLINE Vec outer_gradient(int i, index_t b, index_t p) const {
    const index_t t = time_of(job, s), n = units_in_panel(job.units, p);
    Vec sum = Vec::zero();
    if (i == 0 && job.dy) sum = Vec::load(job.dy + t * job.dy_t + b * job.dy_b + p * lanes, n);
    if (job.dstates[i]) sum = sum + Vec::load(job.dstates[i] + (t * job.batch + b) * job.units + p * lanes, n);
    return sum;
  }

  // Takes the gradients of the states after the step; leaves in dstate those before it that bypass the cell (zoneout).
  PYRNN_INLINE void split_gradients(Step& step, index_t b, index_t p) const {
    const index_t t = time_of(job, s), unit = b * job.pitch + p * lanes;
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) {
      Vec dnext = Vec::load(job.dstate[i] + unit) + outer_gradient(i, b, p);
      if (i == 0 && job.hold) {
        dnext = dnext + Vec::load(job.dhold + unit);
        Vec::zero().store(job.dhold + unit);
      }
      step.dnext[i] = dnext;
      step.dprev[i] = Vec::zero();
      if (job.zoneout[i]) {
        const Vec keep = Vec::load(job.zoneout[i] + (t * job.batch + b) * job.pitch + p * lanes);
        step.dprev[i] = keep * dnext;
        step.dnext[i] = (Vec::set1(Real(1)) - keep) * dnext;
      }
    }
  }

  // Row 0 of what the adjoints of this step read and write, out of the job once a step: the job's fields would be read
  // again after every store.
  struct Places {
    const Real* prev[L::states];
    Real* dstate[L::states];
    Real* doperand;
    Real* slots;
    Factor* gradients;
    const Real* dy;
    index_t pitch, slots_b, dy_b, units;
  };

  PYRNN_INLINE Places places() const {
    Places at;
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) {
      at.prev[i] = job.state[i] + state_offset(job, s, 0);
      at.dstate[i] = job.dstate[i];
    }
    at.doperand = job.doperand;
    at.slots = slots_row<Cell>(job, s, 0);
    at.gradients = gradients_row<Cell>(job, s, 0);
    at.dy = job.dy ? job.dy + time_of(job, s) * job.dy_t : nullptr;
    at.pitch = job.pitch;
    at.slots_b = L::panels(job.units) * L::slot_row;
    at.dy_b = job.dy_b;
    at.units = job.units;
    return at;
  }

  // Whether nothing but the cell's adjoint and dy stands between the gradients after and before.
  bool is_plain() const {
    bool plain = !job.resets && !job.hold && !job.h_scale;
    for (int i = 0; i < L::states; ++i) plain = plain && !job.zoneout[i] && !job.dstates[i];
    return plain;
  }

  // split_gradients where there is nothing but dy.
  PYRNN_INLINE void plain_gradients(Step& step, const Places& at, index_t b, index_t p) const {
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) {
      Vec outer = Vec::zero();
      if (i == 0 && at.dy) {
        const Real* dy = at.dy + b * at.dy_b + p * lanes;
        const index_t n = at.units - p * lanes;
        outer = n >= lanes ? Vec::load(dy) : Vec::load(dy, n);
      }
      step.dnext[i] = Vec::load(at.dstate[i] + b * at.pitch + p * lanes) + outer;
      step.dprev[i] = Vec::zero();
    }
  }

  template <int phase, bool plain>
  PYRNN_INLINE void adjoint(const Places& at, index_t b, index_t p) const {
    constexpr Phase facts = Cell::phases[phase];
    const index_t unit = b * at.pitch + p * lanes, slot = b * at.slots_b + p * L::slot_row;
    const bool cut = !plain && is_cut(job, s, b);
    Step step;
#pragma GCC unroll 8
    for (int k = 0; k < L::slots; ++k) step.slot[k] = Vec::load(at.slots + slot + k * lanes);
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) step.prev[i] = Vec::load(cut ? job.zeros + p * lanes : at.prev[i] + unit);
    if constexpr (phase == last_phase) {
      if constexpr (plain) {
        plain_gradients(step, at, b, p);
      } else {
        split_gradients(step, b, p);
      }
    } else {
#pragma GCC unroll 4
      for (int i = 0; i < L::states; ++i) step.dprev[i] = Vec::load(at.dstate[i] + unit);
      step.dnext_operand = Vec::load(at.doperand + unit);
    }
    const bool scaled = !plain && job.h_scale;
    if constexpr (L::phases > 1) {
      const Vec h = step.prev[0];
      step.operand = scaled && !cut ? h * Vec::load(job.h_scale + unit) : h;
      step.doperand = Vec::zero();
    }
    Cell::template backward<phase>(step);
    if constexpr (L::phases > 1)
      step.dprev[0] =
          scaled ? fma(step.doperand, Vec::load(job.h_scale + unit), step.dprev[0]) : step.doperand + step.dprev[0];
#pragma GCC unroll 4
    for (int i = 0; i < L::states; ++i) step.dprev[i].store(at.dstate[i] + unit);
    // A later phase may also leave gradients for an earlier one, in slots that the earlier one does not read but hands
    // on.
#pragma GCC unroll 8
    for (int k = 0; k < L::slots; ++k) {
      if (phase != last_phase && (k < facts.first_slot || k >= facts.first_slot + facts.sums)) continue;
      store_factors(step.slot[k], at.gradients + slot + k * lanes);
      if constexpr (factor_group > 1 && phase > 0) step.slot[k].store(at.slots + slot + k * lanes);
    }
  }

  template <int phase, bool plain>
  PYRNN_INLINE void adjoints(PanelRange panels) const {
    const Places at = places();
    for (index_t i = 0; i < n_rows; ++i)
      for (index_t p = panels.begin; p < panels.end; ++p) adjoint<phase, plain>(at, rows[i], p);
  }

  // Gradient of what the phase multiplied: into dstate (phase 0) or doperand.
  template <int phase>
  void multiply_transposed(PanelRange panels) const {
    using H = PhaseMap<Cell, phase, false>;
    const RowRuns runs{H::run_first() * lanes, H::blocks * lanes, L::slot_row, L::panels(job.units)};
    const index_t column_first = (H::run_first() - L::first_h_slot) * lanes;
    const index_t max_rows = share.tile_rows ? share.tile_rows : tile_rows;
    constexpr index_t group = 60;
    const Factor* gradients[group];
    const Real* scale[group];
    Real* out[group];
    for (index_t first = 0; first < n_rows; first += group) {
      const index_t n = min_of(group, n_rows - first);
      for (index_t i = 0; i < n; ++i) {
        const index_t b = rows[first + i];
        gradients[i] = gradients_row<Cell>(job, s, b);
        out[i] = (phase == 0 ? job.dstate[0] : job.doperand) + b * job.pitch;
        if (job.h_scale) scale[i] = job.h_scale + b * job.pitch;
      }
      const bool scaled = phase == 0 && job.h_scale;
      multiply_rows({gradients, runs, static_cast<const Factor*>(job.transposed_h), L::transposed_rows(job.units),
                     column_first, L::weight_row, out, nullptr, false, scaled ? scale : nullptr, phase == 0, job.pitch},
                    n, max_rows, panels.begin, panels.end, s & 1);
    }
  }

  template <int phase = last_phase>
  void run_phases(PanelRange panels) const {
    if (is_plain()) {
      adjoints<phase, true>(panels);
    } else {
      adjoints<phase, false>(panels);
    }
    meet(share);
    multiply_transposed<phase>(panels);
    if constexpr (phase > 0) run_phases<phase - 1>(panels);
  }

  // Rows that do not take part: gradients pass through; a held y hands its gradient to the step it came from.
  void carry_row(index_t b, PanelRange panels) const {
    if (is_padding(job, time_of(job, s), b)) return;
    for (index_t p = panels.begin; p < panels.end; ++p) {
      const index_t unit = b * job.pitch + p * lanes, n = units_in_panel(job.units, p), t = time_of(job, s);
      for (int i = 0; i < L::states; ++i)
        if (job.dstates[i])
          (Vec::load(job.dstate[i] + unit) + Vec::load(job.dstates[i] + (t * job.batch + b) * job.units + p * lanes, n))
              .store(job.dstate[i] + unit);
      if (job.hold && job.dy)
        (Vec::load(job.dhold + unit) + Vec::load(job.dy + t * job.dy_t + b * job.dy_b + p * lanes, n))
            .store(job.dhold + unit);
    }
  }

  // No gradient crosses a reset.
  void cut_row(index_t b, PanelRange panels) const {
    for (index_t u = panels.begin * lanes; u < panels.end * lanes; u += lanes) {
      for (int i = 0; i < L::states; ++i) Vec::zero().store(job.dstate[i] + b * job.pitch + u);
      if (job.hold) Vec::zero().store(job.dhold + b * job.pitch + u);
    }
  }
};

template <class Cell>
void backward_steps(const Job* job, const Share* share, index_t s_begin, index_t s_end) {
  auto* rows = static_cast<std::int32_t*>(share->scratch);
  const PanelRange panels = panel_slice(Layout<Cell>::panels(job->units), *share);
  for (index_t s = s_end - 1; s >= s_begin; --s) {
    const index_t n_rows = active_rows(*job, *share, s, rows);
    const Backward<Cell> step{*job, *share, rows, n_rows, s};
    if (n_rows < share->batch_end - share->batch_begin) {
      const index_t t = time_of(*job, s);
      for (index_t b = share->batch_begin; b < share->batch_end; ++b)
        if (!is_active(*job, t, b)) step.carry_row(b, panels);
    }
    step.run_phases(panels);
    if (job->resets)
      for (index_t b = share->batch_begin; b < share->batch_end; ++b)
        if (is_cut(*job, s, b)) step.cut_row(b, panels);
  }
}

}  // namespace pyrnn::PYRNN_NS
