// Where a cell's weights, states and slots lie in memory, derived from its description.
#pragma once

#include "cells/cell.hpp"
#include "gemm/product.hpp"

namespace pyrnn::PYRNN_NS {

using Job = SequenceJob<Real>;

template <class Cell>
struct Layout {
  static constexpr int gates = Cell::facts.gates;
  static constexpr int states = Cell::facts.states;
  static constexpr int slots = Cell::facts.slots;
  static constexpr int phases = Cell::facts.phases;
  static constexpr int bias_rows = Cell::facts.bias_rows;
  static_assert(sizeof(Cell::phases) / sizeof(Phase) == static_cast<std::size_t>(phases), "one entry a phase");

  static constexpr int first_slot(const int (&slot)[gates]) {
    int first = slot[0];
    for (int g = 1; g < gates; ++g) first = slot[g] < first ? slot[g] : first;
    return first;
  }
  static constexpr int first_x_slot = first_slot(Cell::x_slot);
  static constexpr int first_h_slot = first_slot(Cell::h_slot);

  static constexpr index_t panels(index_t units) { return ceil_div(units, lanes); }
  static constexpr index_t weight_row = gates * lanes;
  static constexpr index_t slot_row = slots * lanes;
  static constexpr index_t weight_rows(index_t inputs, index_t units) { return bias_rows + inputs + units; }
  static constexpr index_t panel_size(index_t inputs, index_t units) { return weight_rows(inputs, units) * weight_row; }
  static constexpr index_t packed_size(index_t inputs, index_t units) {
    return panels(units) * panel_size(inputs, units);
  }
  // Factors in a panel, and those before the rows of W_x: the packed weights themselves, or rows of groups.
  static constexpr index_t factor_panel_size(index_t inputs, index_t units) {
    return factor_group == 1 ? panel_size(inputs, units) : (padded(inputs) + padded(units)) * weight_row;
  }
  static constexpr index_t first_factor = factor_group == 1 ? bias_rows * weight_row : 0;
  // Factors from one row of groups to the next.
  static constexpr index_t group_row = weight_row * factor_group;
  // Rows of the transposed weights, which follow the order of the slots so that a row of gradients is read in runs.
  static constexpr index_t transposed_rows(index_t units) { return panels(units) * weight_row; }
};

// The weight blocks that phase p multiplies, and the sums and slots that they belong to.
template <class Cell, int p, bool of_x>
struct PhaseMap {
  static constexpr Phase phase = Cell::phases[p];
  static constexpr int blocks = phase.gates;
  static constexpr index_t offset = phase.first_gate * lanes;     // in a row of packed weights
  static constexpr index_t group_offset = offset * factor_group;  // in a row of their factors
  static constexpr int slot(int n) { return (of_x ? Cell::x_slot : Cell::h_slot)[phase.first_gate + n]; }
  static constexpr int sum(int n) { return slot(n) - phase.first_slot; }
  // The phase's slots as one run of a row of slots, and its place in the transposed weights.
  static constexpr int run_first() {
    int first = slot(0);
    for (int n = 1; n < blocks; ++n) first = slot(n) < first ? slot(n) : first;
    return first;
  }
};

// The gate whose gradient lies in slot first + n, for n < count: where a run of slots goes in a row of weights.
template <class Cell, int first, int count, bool of_x>
struct GatesOfSlots {
  int gate[count] = {};
  constexpr GatesOfSlots() {
    for (int g = 0; g < Cell::facts.gates; ++g) {
      const int n = (of_x ? Cell::x_slot : Cell::h_slot)[g] - first;
      if (n >= 0 && n < count) gate[n] = g;
    }
  }
};

inline index_t time_of(const Job& job, index_t s) { return job.reverse ? job.steps - 1 - s : s; }
inline index_t step_of(const Job& job, index_t t) { return job.reverse ? job.steps - 1 - t : t; }
inline index_t state_step(const Job& job, index_t s) { return job.keep ? s - job.kept_begin : s & 1; }
inline index_t kept_step(const Job& job, index_t s) { return job.keep ? s - job.kept_begin : 0; }

inline index_t state_offset(const Job& job, index_t s, index_t b) {
  return (state_step(job, s) * job.batch + b) * job.pitch;
}

// Whether x, or the operand of phase 0, is multiplied from a copy that forward makes, scaled or rounded.
inline bool copies_x(const Job& job) { return factor_group > 1 || job.x_scale; }
inline bool copies_h(const Job& job) { return factor_group > 1 || job.h_scale; }

// Reals as factors: where they are of one type, or are 0.
inline const Factor* as_factors(const Real* p) { return static_cast<const Factor*>(static_cast<const void*>(p)); }

inline Factor* x_copy(const Job& job, index_t s, index_t b) {
  const index_t step = !job.keep && job.hoisted ? s % job.hoisted_steps : kept_step(job, s);
  return static_cast<Factor*>(job.x_factors) + (step * job.batch + b) * padded(job.inputs);
}

inline const Factor* x_row(const Job& job, index_t s, index_t b) {
  if (copies_x(job)) return x_copy(job, s, b);
  return as_factors(job.x + time_of(job, s) * job.x_t + b * job.x_b);
}

inline Factor* h_copy(const Job& job, index_t s, index_t b) {
  return static_cast<Factor*>(job.operand[0]) + state_offset(job, s, b);
}

inline Factor* later_operand(const Job& job, int phase, index_t s, index_t b) {
  return static_cast<Factor*>(job.operand[phase]) + (kept_step(job, s) * job.batch + b) * job.pitch;
}

// Panel p's rows of W_x as factors; those of W_h follow.
template <class Cell>
inline const Factor* weight_factors(const Job& job, index_t p) {
  using L = Layout<Cell>;
  return static_cast<const Factor*>(job.factors) + p * L::factor_panel_size(job.inputs, job.units) + L::first_factor;
}

template <class Cell>
inline Real* slots_row(const Job& job, index_t s, index_t b) {
  return job.slots + (kept_step(job, s) * job.batch + b) * Layout<Cell>::panels(job.units) * Layout<Cell>::slot_row;
}

// Row b's gradients of the sums of step s, as products multiply them.
template <class Cell>
inline Factor* gradients_row(const Job& job, index_t s, index_t b) {
  if constexpr (factor_group == 1) return slots_row<Cell>(job, s, b);
  return static_cast<Factor*>(job.dsums) +
         (kept_step(job, s) * job.batch + b) * Layout<Cell>::panels(job.units) * Layout<Cell>::slot_row;
}

}  // namespace pyrnn::PYRNN_NS
