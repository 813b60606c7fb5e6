// How a call is split over directions, batch rows and hidden units, from an estimate of its work.
#pragma once

#include <algorithm>

#include "kernel_table.hpp"

namespace pyrnn::bindings {

// Parts of each kind; their product is the number of workers.
struct Split {
  index_t directions = 1, batch = 1, units = 1;
  index_t workers() const { return directions * batch * units; }
};

struct Work {
  index_t directions, steps, batch, inputs, units;
  index_t gates, phases, lanes, tile_rows, element_bytes;
  bool backward;
};

// A rough clock in nanoseconds: two FMAs a cycle where a tile has enough rows, one vector of weights a cycle from the
// second-level cache and half of that from beyond it, the activations of a row and panel, and the meetings of workers.
inline double estimate_ns(const Work& work, const Split& split) {
  constexpr double ns_a_cycle = 0.3;
  constexpr double epilogue_cycles = 60, step_cycles = 60, meeting_ns = 1500, start_ns = 10000, border_ns = 1000;
  constexpr double second_level_bytes = 768 * 1024;
  const auto up = [](index_t a, index_t b) { return static_cast<double>((a + b - 1) / b); };
  const double rows = up(work.batch, split.batch);
  const double tiles = up((work.batch + split.batch - 1) / split.batch, work.tile_rows);
  const double all_panels = up(work.units, work.lanes);
  const double panels = up((work.units + work.lanes - 1) / work.lanes, split.units);
  const double vectors = static_cast<double>(work.inputs + work.units) * static_cast<double>(work.gates);  // a panel
  const double bytes = vectors * panels * static_cast<double>(work.lanes * work.element_bytes);
  const double from_cache = bytes > second_level_bytes ? 2.5 : 1.0;
  const double product = vectors * panels * std::max({rows * 0.5, tiles * 0.6, from_cache});
  const double states = rows * panels * epilogue_cycles * (work.backward ? 0.6 : 1.0);
  double ns = ((work.backward ? 2.2 : 1.0) * product + states + step_cycles) * ns_a_cycle;
  if (split.units > 1) ns += meeting_ns * static_cast<double>(work.phases + 1);
  ns *= static_cast<double>(work.steps) * static_cast<double>(work.directions) / static_cast<double>(split.directions);
  if (work.backward) ns += vectors * all_panels * 4 * ns_a_cycle;  // gradients of the weights are written at least once
  return ns + border_ns + (split.workers() > 1 ? start_ns : 0.0);
}

// Shorter calls are not split: waking others would cost more than they save.
constexpr double worth_splitting_ns = 80000;

// The fastest split of at most `ceiling` workers; one worker unless others save a good part.
inline Split plan(const Work& work, index_t ceiling) {
  const index_t panels = (work.units + work.lanes - 1) / work.lanes;
  const double alone = estimate_ns(work, {});
  if (ceiling <= 1 || alone < worth_splitting_ns) return {};
  Split best;
  double best_ns = 0.8 * alone;
  for (index_t directions = 1; directions <= work.directions && directions <= ceiling; ++directions) {
    for (index_t batch = 1; batch <= std::max<index_t>(1, work.batch / 4) && directions * batch <= ceiling; ++batch) {
      for (index_t units = 1; units <= panels && directions * batch * units <= ceiling; ++units) {
        const Split split{directions, batch, units};
        const double ns = estimate_ns(work, split);
        // Workers that meet at every step suffer most where a core is busy with something else.
        if (ns < best_ns * 0.98 && (units == 1 || ns < 0.7 * alone)) {
          best = split;
          best_ns = ns;
        }
      }
    }
  }
  return best;
}

// Steps whose input products run together before the steps do, or 0. With few rows a step, register tiles are full only
// over several steps, and W_x is read once for all of them.
inline index_t hoisted_steps(const Work& work) {
  constexpr index_t rows = 96;
  if (work.steps < 4 || work.inputs < 8 || work.batch == 0 || work.batch > work.tile_rows) return 0;
  return std::min(work.steps, (rows + work.batch - 1) / work.batch);
}

}  // namespace pyrnn::bindings
