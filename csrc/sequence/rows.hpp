// Which rows take part in a step: lengths, masks and resets, in one place.
#pragma once

#include "sequence/layout.hpp"

namespace pyrnn::PYRNN_NS {

inline bool is_padding(const Job& job, index_t t, index_t b) { return job.lengths && t >= job.lengths[b]; }

inline bool is_active(const Job& job, index_t t, index_t b) {
  return !is_padding(job, t, b) && !(job.mask && !job.mask[t * job.batch + b]);
}

// Whether the states that enter step s of row b are cut to zero. A reset at t lies between t - 1 and t,
// whichever way the steps go; resets in padding do not count.
inline bool is_cut(const Job& job, index_t s, index_t b) {
  if (!job.resets) return false;
  const index_t t = time_of(job, s);
  const index_t later = job.reverse ? t + 1 : t;
  if (later >= job.steps || is_padding(job, later, b)) return false;
  return job.resets[later * job.batch + b] != 0;
}

// What phase 0 multiplies of row b (h, scaled where there is a scale) as it enters step s.
inline const Factor* operand_row(const Job& job, index_t s, index_t b) {
  if (is_cut(job, s, b)) return as_factors(job.zeros);
  if (copies_h(job)) return h_copy(job, s, b);
  return as_factors(job.state[0] + state_offset(job, s, b));
}

inline const Factor* phase_operand_row(const Job& job, int phase, index_t s, index_t b) {
  return phase == 0 ? operand_row(job, s, b) : later_operand(job, phase, s, b);
}

// Stores panel p of an operand. A last group may have a lane past H, which must be 0 also where infinities made it NaN.
PYRNN_INLINE void store_operand(const Job& job, Vec operand, Factor* row, index_t p) {
  store_factors(operand, row + p * lanes);
  if constexpr (factor_group > 1)
    if ((p + 1) * lanes > job.units)
      for (index_t u = job.units; u < padded(job.units); ++u) row[u] = 0;
}

struct PanelRange {
  index_t begin, end;
};

inline PanelRange panel_slice(index_t panels, const Share& share) {
  return {panels * share.unit_part / share.unit_parts, panels * (share.unit_part + 1) / share.unit_parts};
}

inline void meet(const Share& share) {
  if (share.unit_parts > 1) share.barrier(share.barrier_of);
}

// Writes the rows of the share that are active in step s; returns their count.
inline index_t active_rows(const Job& job, const Share& share, index_t s, std::int32_t* rows) {
  const index_t t = time_of(job, s);
  index_t n = 0;
  for (index_t b = share.batch_begin; b < share.batch_end; ++b)
    if (is_active(job, t, b)) rows[n++] = static_cast<std::int32_t>(b);
  return n;
}

inline index_t units_in_panel(index_t units, index_t p) { return min_of(lanes, units - p * lanes); }

}  // namespace pyrnn::PYRNN_NS
