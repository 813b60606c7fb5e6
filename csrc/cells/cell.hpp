// What every cell description is written in: its phases, and what its functions see of one row and one block of units.
//
// A cell is a struct with
//   facts                       names and counts, the only place where they are written
//   x_slot[G], h_slot[G]        the slot that holds the gradient of gate g's sum, for the x and for the h part:
//                               parts that share a slot share a sum, starting from the sum of their biases
//   phases[]                    in order of execution
//   forward<phase>(sum, step)   sums of the phase -> slots of the phase, then the next states (last phase)
//                               or the row that the next phase multiplies
//   backward<phase>(step)       the adjoint: gradients of the sums replace what the phase kept in its slots
// Both work on Vec, L units at a time, and see neither memory, time nor threads.
#pragma once

#include "kernel_table.hpp"
#include "simd/math.hpp"
#include "simd/vec.hpp"

namespace pyrnn::PYRNN_NS {

// Gates [first_gate, first_gate + gates) are multiplied together; their sums are slots [first_slot, first_slot + sums).
struct Phase {
  int first_gate, gates;
  int first_slot, sums;
};

template <int States, int Slots>
struct ForwardStep {
  Vec prev[States];  // states before the step
  Vec operand;       // what phase 0 multiplies: h, scaled where there is an h_scale (two phases only)
  Vec slot[Slots];   // kept for backward; slots of earlier phases are filled in
  Vec next[States];  // states after the step
  Vec next_operand;  // what the next phase multiplies
};

template <int States, int Slots>
struct BackwardStep {
  Vec prev[States];
  Vec operand;
  Vec slot[Slots];    // in: what forward kept; out: gradients of the phase's sums
  Vec dnext[States];  // gradients of the states after the step (last phase)
  Vec dnext_operand;  // gradient of what the next phase multiplies (earlier phases)
  Vec dprev[States];  // += gradients of the states before the step, not through the phase's products
  Vec doperand;       // += gradient of `operand`, not through the phase's products
};

PYRNN_INLINE Vec tanh_slope(Vec y) { return fnma(y, y, Vec::set1(Real(1))); }  // 1 - y^2
PYRNN_INLINE Vec sigmoid_slope(Vec y) { return fnma(y, y, y); }                // y (1 - y)

}  // namespace pyrnn::PYRNN_NS
