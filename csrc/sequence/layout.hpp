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
  // Rows of the transposed weights, which follow the order of the slots so that a row of gradients is read in runs.
  static constexpr index_t transposed_rows(index_t units) { return panels(units) * weight_row; }
};

// The weight blocks that phase p multiplies, and the sums and slots that they belong to.
template <class Cell, int p, bool of_x>
struct PhaseMap {
  static constexpr Phase phase = Cell::phases[p];
  static constexpr int blocks = phase.gates;
  static constexpr index_t offset = phase.first_gate * lanes;  // in a row of packed weights
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

inline const Real* x_row(const Job& job, index_t s, index_t b) {
  if (job.x_scale) return job.x_scaled + (kept_step(job, s) * job.batch + b) * job.inputs;
  return job.x + time_of(job, s) * job.x_t + b * job.x_b;
}

template <class Cell>
inline Real* slots_row(const Job& job, index_t s, index_t b) {
  return job.slots + (kept_step(job, s) * job.batch + b) * Layout<Cell>::panels(job.units) * Layout<Cell>::slot_row;
}

}  // namespace pyrnn::PYRNN_NS
