// How a call is split over directions, batch rows and hidden units, from an estimate of its work.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/team.hpp"
#include "kernel_table.hpp"

namespace pyrnn::bindings {

// Parts of each kind; their product is the number of workers.
struct Split {
  index_t directions = 1, batch = 1, units = 1;
  index_t workers() const { return directions * batch * units; }
};

struct Work {
  index_t directions, steps, batch, inputs, units;
  index_t gates, phases, lanes, tile_rows, element_bytes, factor_group;
  bool backward;
};

// A rough clock in nanoseconds. A vector of weights costs an FMA a row of the tile, or the time to load it: once a step
// from wherever all of a worker's weights fit, then from the second level for every further tile of rows. To that come
// the activations of a row and panel, and the meetings of workers.
inline double estimate_ns(const Work& work, const Split& split) {
  constexpr double ns_a_cycle = 0.27, row_cycles = 0.75;
  constexpr double first_level_cycles = 0.75, second_level_cycles = 1.5, third_level_cycles = 2.5;
  constexpr double first_level_bytes = 24 << 10, second_level_bytes = 768 << 10;
  constexpr double epilogue_cycles = 60, step_cycles = 100, meeting_ns = 500, call_ns = 1000;
  const auto up = [](index_t a, index_t b) { return static_cast<double>((a + b - 1) / b); };
  const double rows = up(work.batch, split.batch);
  const double tiles = up((work.batch + split.batch - 1) / split.batch, work.tile_rows);
  const double all_panels = up(work.units, work.lanes);
  const double panels = up((work.units + work.lanes - 1) / work.lanes, split.units);
  const double depth = static_cast<double>(work.inputs + work.units) / static_cast<double>(work.factor_group);
  const double vectors = depth * static_cast<double>(work.gates);  // a panel
  const double bytes = vectors * panels * static_cast<double>(work.lanes * work.element_bytes);
  const double load = bytes > second_level_bytes  ? third_level_cycles
                      : bytes > first_level_bytes ? second_level_cycles
                                                  : first_level_cycles;
  const double tile = rows / std::max(tiles, 1.0) * row_cycles;
  const double product =
      vectors * panels * (std::max(tile, load) + (tiles - 1) * std::max(tile, std::min(load, second_level_cycles)));
  const double states = rows * panels * epilogue_cycles * (work.backward ? 0.6 : 1.0);
  double ns = ((work.backward ? 2.2 : 1.0) * product + states + step_cycles) * ns_a_cycle;
  if (split.units > 1) ns += meeting_ns * static_cast<double>(work.phases);
  ns *= static_cast<double>(work.steps) * static_cast<double>(work.directions) / static_cast<double>(split.directions);
  if (work.backward)  // gradients of the weights are written at least once
    ns += vectors * all_panels * 4 * ns_a_cycle / static_cast<double>(split.batch * split.units);
  return ns + call_ns;
}

// Shorter calls are not split, though the team is awake: to find out costs as much as they would save.
constexpr double worth_splitting_ns = 12e3;
// Backward meets in three stages, each of which can find a worker late.
constexpr double least_backward_gain_ns = 15e3;
// What it takes until every worker is at work.
constexpr double awake_start_ns = 2e3, asleep_start_ns = 80e3;

// The fastest split of at most `ceiling` workers, who take start_ns to begin; one worker unless others save a good
// part.
inline Split plan(const Work& work, index_t ceiling, double start_ns) {
  const index_t panels = (work.units + work.lanes - 1) / work.lanes;
  const double alone = estimate_ns(work, {});
  if (ceiling <= 1 || alone < worth_splitting_ns) return {};
  // Backward comes back between its three stages.
  const double starts_ns = start_ns + (work.backward ? 2 * awake_start_ns : 0.0);
  Split best;
  double best_ns = std::min(0.85 * alone, work.backward ? alone - least_backward_gain_ns : alone);
  for (index_t directions = 1; directions <= work.directions && directions <= ceiling; ++directions) {
    for (index_t batch = 1; batch <= work.batch && directions * batch <= ceiling; ++batch) {
      for (index_t units = 1; units <= panels && directions * batch * units <= ceiling; ++units) {
        const Split split{directions, batch, units};
        if (split.workers() == 1) continue;
        // Workers that meet at every step suffer most where a core is busy with something else.
        const double ns = (estimate_ns(work, split) + starts_ns) * (units > 1 ? 1.05 : 1.0);
        if (ns < best_ns) {
          best = split;
          best_ns = ns;
        }
      }
    }
  }
  return best;
}

// The plan for the team as it is now. A short call does not wait for a team that sleeps; but where such calls follow
// one another closely, the team is woken for those to come.
inline Split choose_split(const Work& work, index_t ceiling) {
  const Split if_awake = plan(work, ceiling, awake_start_ns);
  if (if_awake.workers() == 1 || TeamLease::is_awake(static_cast<int>(if_awake.workers()))) return if_awake;
  const Split if_asleep = plan(work, ceiling, asleep_start_ns);
  if (if_asleep.workers() == 1) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::microseconds closely(100);
    static thread_local Clock::time_point last_missed;
    const Clock::time_point now = Clock::now();
    const auto alone = std::chrono::nanoseconds(static_cast<long>(2 * estimate_ns(work, {})));
    if (now - last_missed < closely + alone) TeamLease::rouse(static_cast<int>(if_awake.workers()));
    last_missed = now;
  }
  return if_asleep;
}

// Steps whose input products run together before the steps do, or 0. With few rows a step, register tiles are full only
// over several steps, and W_x is read once for all of them.
inline index_t hoisted_steps(const Work& work) {
  constexpr index_t rows = 96;
  if (work.steps < 4 || work.inputs < 8 || work.batch == 0 || work.batch > work.tile_rows) return 0;
  return std::min(work.steps, (rows + work.batch - 1) / work.batch);
}

}  // namespace pyrnn::bindings
