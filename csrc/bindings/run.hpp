// Runs the stages of a call on the thread team in chunks of steps, looking for signals between them.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>

#include "base/barrier.hpp"
#include "base/cpu_count.hpp"
#include "base/float_mode.hpp"
#include "base/team.hpp"
#include "bindings/gil.hpp"
#include "bindings/pass.hpp"
#include "bindings/plan.hpp"
#include "dispatch/report.hpp"

namespace pyrnn::bindings {

// Private arguments of tests: which table, split and tile height to use. 0 and null: not forced.
struct Force {
  const char* isa = nullptr;
  Split split{0, 0, 0};
  index_t tile_rows = 0;
  index_t hoisted_steps = -1;  // 0: no hoisting
  index_t segment_blocks = 0;  // blocks of weight_gradients in a segment
  bool any_split() const { return split.directions || split.batch || split.units; }
};

template <class T>
Work work_of(const KernelTable<T>& table, const CellFacts& facts, index_t directions, index_t steps, index_t batch,
             index_t inputs, index_t units, bool backward) {
  return {directions,         steps,        batch,       inputs,          units,
          facts.gates,        facts.phases, table.lanes, table.tile_rows, sizeof(T),
          table.factor_group, backward};
}

constexpr double keep_gil_ns = 20e3;
constexpr double chunk_ns = 15e6;         // at most, of one stage without coming back
constexpr double look_ns = 10e6;          // at least, between two looks for signals
constexpr double uninterrupted_ns = 3e6;  // calls estimated shorter than that never look

template <class T>
class SequenceRunner {
  using Clock = std::chrono::steady_clock;

 public:
  enum class Stage { forward, backward, input_gradients, weight_gradients };

  SequenceRunner(const char* call, Pass<T>* const* passes, int n_passes, bool backward, index_t threads,
                 const Force& force)
      : passes_(passes), n_passes_(n_passes), force_(force) {
    const Pass<T>& first = *passes[0];
    const KernelTable<T>& table = first.weights->table;
    const index_t units = std::max(first.job.units, passes[n_passes - 1]->job.units);
    work_ =
        work_of(table, first.facts(), n_passes, first.job.steps, first.job.batch, first.job.inputs, units, backward);
    if (force.any_split()) {
      split_ = forced(force, passes, n_passes);
    } else if (threads != 1 && estimate_ns(work_, {}) >= worth_splitting_ns) {
      const index_t most = get_num_threads();
      const index_t ceiling = threads > 0 ? std::min(threads, most) : most;
      split_ = choose_split(work_, ceiling);
      // A tape lies in the caches of those who wrote it: forward is shared where backward will be.
      if (!backward && first.keeps && !worth_sharing_backward(ceiling)) split_ = {};
    }
    estimate_ns_ = estimate_ns(work_, split_);
    Report& report = last_report();
    const bool copied = report.copied_inputs;
    report = Report{};
    report.call = call;
    report.isa = table.isa;
    report.dtype = text_of(dtype_of<T>);
    report.precision = table.precision;
    report.cell = first.facts().name;
    report.tile_rows = static_cast<int>(force.tile_rows);
    report.copied_inputs = copied;
    report.packed_weights = first.weights_given;
    report.hoisted = !backward && first.job.hoisted;
    if (first.keeps) {
      report.segments = segments().count();
      report.segment_steps = segments().longest();
      if (backward && report.segments > 1) estimate_ns_ *= 4.0 / 3;  // forward again
    }
  }

  // Whether the call may come back for signals before it is done: then results must wait in private memory.
  bool interruptible() const { return estimate_ns_ > uninterrupted_ns; }

  void forward() {
    begin();
    const index_t last = segments().count() - 1;
    if (last > 0) {
      for (int i = 0; i < n_passes_; ++i) ranges_[i] = {0, passes_[i]->segments.steps_of(last).begin};
      chunks(Stage::forward, false, 1.0);
      for (int i = 0; i < n_passes_; ++i) passes_[i]->enter(last);
    }
    set_ranges(&Segments::steps_of, last);
    chunks(Stage::forward, false, 1.0);
    finish();
  }

  void backward(bool need_dx) {
    begin();
    const double share = need_dx ? 0.4 : 0.6;
    const index_t group = blocks_of_group();
    for (index_t j = segments().count(); j-- > 0;) {
      recompute(j);
      for (index_t left = segments().blocks_of(j).length(); left > 0; left -= group) {
        Range blocks[max_passes];
        for (int i = 0; i < n_passes_; ++i) {
          const Range all = passes_[i]->segments.blocks_of(j);
          blocks[i] = {std::max(all.begin, all.begin + left - group), all.begin + left};
          ranges_[i] = passes_[i]->segments.steps_in(blocks[i]);
        }
        chunks(Stage::backward, true, share);
        if (need_dx) chunks(Stage::input_gradients, false, 0.3);
        for (int i = 0; i < n_passes_; ++i) ranges_[i] = blocks[i];
        chunks(Stage::weight_gradients, true, share);
      }
    }
    finish();
  }

  // body(j) with the steps of each segment j in memory in turn, the last one first.
  template <class Body>
  void replay(const Body& body) {
    begin();
    for (index_t j = segments().count(); j-- > 0;) {
      recompute(j);
      body(j);
    }
    finish();
  }

 private:
  bool worth_sharing_backward(index_t ceiling) const {
    Work work = work_;
    work.backward = true;
    return plan(work, ceiling, awake_start_ns).workers() > 1;
  }

  const Segments& segments() const { return passes_[0]->segments; }

  // Blocks that go through the three stages of backward together. The fewer, the more of their gradients the caches
  // still hold from stage to stage; but each stage reads or writes weights, which are not to be much more than those.
  index_t blocks_of_group() const {
    const Pass<T>& pass = *passes_[0];
    const index_t weights = pass.weights->packed_size();
    const index_t a_block = segments().block_steps * work_.batch * pass.panels() * pass.facts().slots * pass.lanes();
    return std::max<index_t>(1, 2 * weights / std::max<index_t>(a_block, 1));
  }

  void set_ranges(Range (Segments::*range_of)(index_t) const, index_t j) {
    for (int i = 0; i < n_passes_; ++i) ranges_[i] = (passes_[i]->segments.*range_of)(j);
  }

  // Leaves segment j's steps in memory, and the ranges of the stages upon them.
  void recompute(index_t j) {
    set_ranges(&Segments::steps_of, j);
    if (segments().count() == 1 || passes_[0]->has_entered(j)) return;
    for (int i = 0; i < n_passes_; ++i) passes_[i]->enter(j);
    chunks(Stage::forward, false, 0.3);
  }

  static Split forced(const Force& force, Pass<T>* const* passes, int n_passes) {
    const auto one = [](index_t parts) { return std::max<index_t>(parts, 1); };
    const Split split{one(force.split.directions), one(force.split.batch), one(force.split.units)};
    if (split.directions > n_passes)
      value_error("_force", "at most " + std::to_string(n_passes) + " directions", std::to_string(split.directions));
    if (split.batch > one(passes[0]->job.batch))
      value_error("_force", "at most B = " + std::to_string(passes[0]->job.batch) + " batch parts",
                  std::to_string(split.batch));
    for (int i = 0; i < n_passes; ++i)
      if (split.units > passes[i]->panels())
        value_error("_force", "at most " + std::to_string(passes[i]->panels()) + " unit parts",
                    std::to_string(split.units));
    return split;
  }

  void begin() {
    if (estimate_ns_ > keep_gil_ns) released_.emplace();
    const index_t wanted = split_.workers();
    if (wanted > 1) lease_.emplace(static_cast<int>(wanted));
    busy_ = lease_ && lease_->busy();
    if (lease_ && lease_->workers() < wanted) split_ = {};
    if (split_.units > 1) {
      barriers_.emplace();
      for (index_t i = 0; i < split_.directions * split_.batch; ++i)
        barriers_->emplace_back(static_cast<int>(split_.units), lease_->crowded());
    }
    for (int i = 0; i < n_passes_; ++i) {
      const SequenceJob<T>& job = passes_[i]->job;
      scratch_bytes_ =
          std::max(scratch_bytes_, passes_[i]->kernels().scratch_bytes(job.steps, job.batch, job.inputs, job.units));
    }
    scratch_bytes_ = (scratch_bytes_ + 127) / 64 * 64;
    scratch_ = Block(scratch_bytes_ * split_.workers());
    if (interruptible()) looked_ = Clock::now();
  }

  void finish() {
    Report& report = last_report();
    report.workers = static_cast<int>(split_.workers());
    report.direction_parts = static_cast<int>(split_.directions);
    report.batch_parts = static_cast<int>(split_.batch);
    report.unit_parts = static_cast<int>(split_.units);
    report.chunks = n_looks_ + 1;
    report.busy = busy_;
    report.gil_released = released_.has_value();
    lease_.reset();
    released_.reset();
  }

  // One stage over the ranges; `share` of the estimated time is what it would take over all steps.
  void chunks(Stage stage, bool downwards, double share) {
    index_t count = 0;
    for (int i = 0; i < n_passes_; ++i) count = std::max(count, ranges_[i].length());
    if (count == 0 || work_.batch == 0) return;
    stage_ = stage;
    if (!interruptible()) {
      run_chunk(0, count);
      return;
    }
    index_t& size = chunk_size_[static_cast<int>(stage)];  // as earlier segments found
    if (size == 0) {
      const Segments& all = segments();
      const index_t items = stage == Stage::weight_gradients ? all.blocks() : all.steps;
      size = items_of_chunk(2 * estimate_ns_ * share / static_cast<double>(items));
    }
    for (index_t done = 0; done < count;) {
      if (Clock::now() - looked_ > std::chrono::duration<double, std::nano>(look_ns)) look_for_signals();
      const index_t n = std::min(size, count - done);
      const index_t begin = downwards ? count - done - n : done;
      const Clock::time_point start = Clock::now();
      run_chunk(begin, begin + n);
      const std::chrono::duration<double, std::nano> took = Clock::now() - start;
      done += n;
      size = std::min(items_of_chunk(took.count() / static_cast<double>(n)), n * 4);
    }
  }

  static index_t items_of_chunk(double ns_each) {
    return std::max<index_t>(1, static_cast<index_t>(chunk_ns / std::max(ns_each, 1.0)));
  }

  void run_chunk(index_t begin, index_t end) {
    const FlushDenormals flush;
    begin_ = begin;
    end_ = end;
    if (split_.workers() == 1) {
      work(0);
    } else {
      lease_->run([](int worker, void* self) { static_cast<SequenceRunner*>(self)->work(worker); }, this);
    }
  }

  // Where a part of the rows begins: parts have nearly as many rows, or where rows have lengths, nearly as many steps
  // in all, and at least one row. A row without a step counts too, so that none is left over.
  index_t first_row(index_t part) const {
    const index_t rows = work_.batch, parts = split_.batch;
    const std::int64_t* lengths = passes_[0]->job.lengths;
    if (!lengths || parts == 1) return rows * part / parts;
    index_t total = 0, before = 0, row = 0;
    for (index_t b = 0; b < rows; ++b) total += lengths[b] + 1;
    // A row belongs to the part that its middle lies in.
    for (; row < rows && (2 * before + lengths[row] + 1) * parts <= 2 * total * part; ++row) before += lengths[row] + 1;
    return std::clamp(row, part, rows - (parts - part));
  }

  // Called on every thread of the team, without the GIL.
  void work(index_t worker) {
    const index_t workers = split_.batch * split_.units;  // of one direction
    const index_t direction = worker / workers, place = worker % workers;
    const index_t row_part = place / split_.units;
    Share share{};
    share.batch_begin = first_row(row_part);
    share.batch_end = first_row(row_part + 1);
    share.unit_part = place % split_.units;
    share.unit_parts = split_.units;
    share.worker = place;
    share.workers = workers;
    if (split_.units > 1) {
      share.barrier = &Barrier::wait_of;
      share.barrier_of = &(*barriers_)[static_cast<std::size_t>(direction * split_.batch + row_part)];
    }
    share.scratch = static_cast<char*>(scratch_.data()) + worker * scratch_bytes_;
    share.tile_rows = force_.tile_rows;
    for (int i = 0; i < n_passes_; ++i)
      if (split_.directions == 1 || direction == i) run_stage(i, share);
  }

  void run_stage(int i, const Share& share) const {
    const Pass<T>& pass = *passes_[i];
    const CellKernels<T>& kernels = pass.kernels();
    const SequenceJob<T>& job = pass.job;
    // Where T is no multiple of the block, the two directions' segments differ in length.
    const index_t begin = ranges_[i].begin + begin_, end = std::min(ranges_[i].begin + end_, ranges_[i].end);
    if (begin >= end) return;
    switch (stage_) {
      case Stage::forward:
        return pass.forward_steps(share, begin, end);
      case Stage::backward:
        return kernels.backward_steps(&job, &share, begin, end);
      case Stage::input_gradients:
        return kernels.input_gradients(&job, &share, job.reverse ? job.steps - end : begin,
                                       job.reverse ? job.steps - begin : end);
      case Stage::weight_gradients:
        return kernels.weight_gradients(&job, &share, begin, end);
    }
  }

  void look_for_signals() {
    const bool was_released = released_.has_value();
    released_.reset();
    if (PyErr_CheckSignals() != 0) {
      lease_.reset();
      throw py::error_already_set();
    }
    if (was_released) released_.emplace();
    ++n_looks_;
    looked_ = Clock::now();
  }

  Pass<T>* const* passes_;
  const int n_passes_;
  const Force force_;
  Work work_;
  Split split_;
  double estimate_ns_ = 0;
  Stage stage_ = Stage::forward;
  index_t begin_ = 0, end_ = 0;
  Range ranges_[max_passes];    // what the stage goes over: steps, or blocks of weight_gradients
  index_t chunk_size_[4] = {};  // of a stage; 0: not known yet
  Clock::time_point looked_;    // when signals were last looked for, or the call began
  long n_looks_ = 0;
  bool busy_ = false;
  index_t scratch_bytes_ = 0;
  Block scratch_;
  std::optional<std::deque<Barrier>> barriers_;  // one for the workers that share rows
  // In this order: on the way out the lease goes first, then the GIL comes back.
  std::optional<GilRelease> released_;
  std::optional<TeamLease> lease_;
};

}  // namespace pyrnn::bindings
