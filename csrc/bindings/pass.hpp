// One direction of one call: its job for the kernels and the memory behind it.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "base/float_mode.hpp"
#include "bindings/arrays.hpp"
#include "bindings/pool.hpp"
#include "bindings/segments.hpp"
#include "bindings/weights.hpp"

namespace pyrnn::bindings {

constexpr int max_passes = 2;  // directions of one call

// Arguments of one direction that are not shared with the other.
template <class T>
struct DirectionInputs {
  Input<T> x_scale, h_scale;
  Input<T> state[max_states];
  Input<T> zoneout[max_states];
  Bools zoneout_bools[max_states];
  bool zoneout_shared = false;  // one array for all states
};

template <class T>
struct SharedInputs {
  Input<T> x;
  Integers lengths;
  Bools mask, resets;
  bool hold = false;
};

template <class T>
struct Pass {
  std::shared_ptr<WeightsOf<T>> weights;
  std::shared_ptr<const typename WeightsOf<T>::Factors> rounded;  // where products multiply no Reals
  std::uint64_t weights_version = 0;
  bool weights_given = false;  // by the caller, as Weights
  py::object x;                // keeps job.x alive
  bool x_batch_major = false;
  bool state_is_tuple = false;
  SequenceJob<T> job{};
  bool keeps = false;  // for backward; `job.keep` says whether it does so in the steps at hand
  Segments segments;
  index_t bytes = 0;  // of `memory` that are used
  Block memory;

  const CellKernels<T>& kernels() const { return weights->kernels; }
  const CellFacts& facts() const { return weights->kernels.facts; }
  index_t lanes() const { return weights->table.lanes; }
  index_t panels() const { return (job.units + lanes() - 1) / lanes(); }
  // D rounded up to whole groups of factors.
  index_t padded_inputs() const {
    const index_t group = weights->table.factor_group;
    return (job.inputs + group - 1) / group * group;
  }
  // Where a state after `step` steps lies.
  const T* state_at(int i, index_t step) const {
    return job.state[i] + (job.keep ? step - job.kept_begin : step & 1) * job.batch * job.pitch;
  }

  void check_version() const {
    if (weights->version.load() != weights_version)
      throw std::runtime_error("tape: its weights have changed since forward; run forward again");
  }

  // Points the job to the weights as they are now.
  void refresh_weights();
  // In this order: what the call is about, the segments, the memory.
  void describe(std::shared_ptr<WeightsOf<T>> new_weights, const SharedInputs<T>& shared, bool reverse, bool keep,
                index_t hoisted_steps);
  // Bytes that allocate would take if a segment had so many blocks.
  index_t bytes_with(index_t blocks_each, const SharedInputs<T>& shared, const DirectionInputs<T>& own);
  void allocate(const SharedInputs<T>& shared, const DirectionInputs<T>& own, Block recycled);

  // One worker's part of steps [begin, end). Where not all steps are kept, the states are copied as segments begin.
  void forward_steps(const Share& share, index_t begin, index_t end) const;
  // Makes the memory that of segment j, with the state that enters it; forward_steps then fills it.
  void enter(index_t j);
  bool has_entered(index_t j) const { return job.keep && job.kept_begin == segments.steps_of(j).begin; }

 private:
  index_t carve(Carver carver, const SharedInputs<T>& shared, const DirectionInputs<T>& own);
  index_t carve_steps(Carver carver, bool keep);
  T* checkpoint(index_t j, int state, index_t b) const {
    return checkpoints + ((j * facts().states + state) * job.batch + b) * job.pitch;
  }
  void leave_checkpoint(index_t j, index_t batch_begin, index_t batch_end) const;
  void fill(const SharedInputs<T>& shared, const DirectionInputs<T>& own);
  void fill_zoneout(T* to, const T* floats, index_t row, index_t step, const std::uint8_t* bools) const;

  bool scales_x = false, scales_h = false;
  T* checkpoints = nullptr;  // [segments][states][B][pitch] where there are several
  T* hoisted = nullptr;
  void* steps_memory = nullptr;  // what carve_steps cuts up
};

// Elements between two rows of a state: whole vectors, and no multiple of 4 KiB, whose rows would share cache sets.
template <class T>
index_t pitch_of(index_t units, index_t lanes) {
  const index_t pitch = (units + lanes - 1) / lanes * lanes;
  return pitch * static_cast<index_t>(sizeof(T)) % 4096 == 0 ? pitch + lanes : pitch;
}

// Rows of `units` elements into rows of `pitch`, the rest 0.
template <class T>
void pad_rows(T* to, index_t pitch, const T* from, index_t row, index_t rows, index_t units) {
  const auto bytes = static_cast<std::size_t>(units) * sizeof(T);
  const auto rest = static_cast<std::size_t>(pitch - units) * sizeof(T);
  for (index_t b = 0; b < rows; ++b) {
    if (from) std::memcpy(to + b * pitch, from + b * row, bytes);
    std::memset(static_cast<void*>(to + b * pitch + (from ? units : 0)), 0, from ? rest : rest + bytes);
  }
}

template <class T>
void copy_rows(T* to, index_t to_row, const T* from, index_t from_row, index_t rows, index_t n) {
  if (to_row == n && from_row == n) {
    if (rows > 0) std::memcpy(to, from, static_cast<std::size_t>(rows * n) * sizeof(T));
    return;
  }
  for (index_t r = 0; r < rows; ++r)
    std::memcpy(to + r * to_row, from + r * from_row, static_cast<std::size_t>(n) * sizeof(T));
}

// Copies of the inputs, then what lies between the steps, then the steps.
template <class T>
index_t Pass<T>::carve(Carver carver, const SharedInputs<T>& shared, const DirectionInputs<T>& own) {
  const CellFacts& cell = facts();
  const index_t row = job.pitch, rows = job.steps * job.batch;
  job.zeros = carver.take<T>(row);
  job.lengths = shared.lengths.owner ? carver.take<std::int64_t>(job.batch) : nullptr;
  job.mask = shared.mask.owner ? carver.take<std::uint8_t>(rows) : nullptr;
  job.resets = shared.resets.owner ? carver.take<std::uint8_t>(rows) : nullptr;
  job.x_scale = scales_x ? carver.take<T>(job.batch * job.inputs) : nullptr;
  job.h_scale = scales_h ? carver.take<T>(job.batch * row) : nullptr;
  for (int i = 0; i < cell.states; ++i) {
    const bool given = own.zoneout[i] || own.zoneout_bools[i].owner;
    job.zoneout[i] = i > 0 && own.zoneout_shared ? job.zoneout[0] : given ? carver.take<T>(rows * row) : nullptr;
  }
  const index_t sums = job.hoisted_steps * job.batch * panels() * cell.sums * lanes();
  hoisted = job.hoisted_steps > 0 ? carver.take<T>(sums) : nullptr;
  const bool several = keeps && segments.count() > 1;
  checkpoints = several ? carver.take<T>(segments.count() * cell.states * job.batch * row) : nullptr;
  steps_memory = carver.take<char>(0);
  const index_t used = carver.used() + carve_steps(Carver(steps_memory), keeps);
  if (several) carve_steps(Carver(steps_memory), false);  // forward comes to the kept steps last
  return used;
}

// States, operands and slots of a segment's steps, or rings of two states and one step of the rest.
template <class T>
index_t Pass<T>::carve_steps(Carver carver, bool keep) {
  const CellFacts& cell = facts();
  const index_t rows = (keep ? segments.longest() : 1) * job.batch;
  const index_t states = (keep ? segments.longest() + 1 : 2) * job.batch * job.pitch;
  const bool rounds = weights->table.factor_group > 1;
  const index_t item = weights->table.factor_bytes;
  const index_t x_rows = keep ? rows : std::max<index_t>(job.hoisted_steps, 1) * job.batch;
  job.keep = keep;
  job.x_factors = rounds || scales_x ? carver.take<char>(x_rows * padded_inputs() * item) : nullptr;
  for (int i = 0; i < cell.states; ++i) job.state[i] = carver.take<T>(states);
  job.operand[0] = rounds || scales_h ? carver.take<char>(states * item) : nullptr;
  for (int phase = 1; phase < cell.phases; ++phase) job.operand[phase] = carver.take<char>(rows * job.pitch * item);
  const bool slots = keep || cell.phases > 1;
  job.slots = slots ? carver.take<T>(rows * panels() * cell.slots * lanes()) : nullptr;
  job.hoisted = hoisted;
  return carver.used();
}

template <class T>
void Pass<T>::fill_zoneout(T* to, const T* floats, index_t row, index_t step, const std::uint8_t* bools) const {
  for (index_t t = 0; t < job.steps; ++t) {
    for (index_t b = 0; b < job.batch; ++b) {
      T* keep = to + (t * job.batch + b) * job.pitch;
      const index_t from = bools ? (t * job.batch + b) * job.units : t * step + b * row;
      for (index_t u = 0; u < job.units; ++u) keep[u] = bools ? static_cast<T>(bools[from + u] != 0) : floats[from + u];
      for (index_t u = job.units; u < job.pitch; ++u) keep[u] = T(0);
    }
  }
}

template <class T>
void Pass<T>::fill(const SharedInputs<T>& shared, const DirectionInputs<T>& own) {
  // The job's pointers are to const; the memory behind them is this pass's own.
  const auto copy = [](const void* to, const void* from, index_t bytes) {
    if (to && bytes > 0) std::memcpy(const_cast<void*>(to), from, static_cast<std::size_t>(bytes));
  };
  const index_t rows = job.steps * job.batch;
  pad_rows<T>(const_cast<T*>(job.zeros), job.pitch, nullptr, 0, 1, job.units);
  copy(job.lengths, shared.lengths.data, job.batch * static_cast<index_t>(sizeof(std::int64_t)));
  copy(job.mask, shared.mask.data, rows);
  copy(job.resets, shared.resets.data, rows);
  if (own.x_scale)
    copy_rows(const_cast<T*>(job.x_scale), job.inputs, own.x_scale.data, own.x_scale.stride[0], job.batch, job.inputs);
  if (own.h_scale)
    pad_rows(const_cast<T*>(job.h_scale), job.pitch, own.h_scale.data, own.h_scale.stride[0], job.batch, job.units);
  for (int i = 0; i < facts().states; ++i) {
    pad_rows(job.state[i], job.pitch, own.state[i].data, own.state[i].stride[0], job.batch, job.units);
    if (job.zoneout[i] && !(i > 0 && own.zoneout_shared)) {
      const Input<T>& zoneout = own.zoneout[i];
      fill_zoneout(const_cast<T*>(job.zoneout[i]), zoneout.data, zoneout.stride[1], zoneout.stride[0],
                   own.zoneout_bools[i].data);
    }
  }
}

template <class T>
void Pass<T>::refresh_weights() {
  job.weights = weights->packed();
  job.factors = job.weights;
  if (weights->table.factor_group == 1) return;
  if (!rounded || rounded->version != weights->version.load()) rounded = weights->rounded();
  job.factors = rounded->x;
}

template <class T>
void Pass<T>::describe(std::shared_ptr<WeightsOf<T>> new_weights, const SharedInputs<T>& shared, bool reverse,
                       bool keep, index_t hoisted_steps) {
  weights = std::move(new_weights);
  rounded.reset();
  weights_version = weights->version.load();
  keeps = keep;
  job = {};
  job.steps = shared.x.shape[0];
  job.batch = shared.x.shape[1];
  job.inputs = weights->inputs;
  job.units = weights->units;
  job.pitch = pitch_of<T>(job.units, lanes());
  job.reverse = reverse;
  job.hold = shared.hold;
  job.sweeps = weights->sweeps.load(std::memory_order_relaxed);
  weights->sweeps.store((job.sweeps + job.steps) & 1, std::memory_order_relaxed);
  refresh_weights();
  if (keep) x = shared.x.owner;
  x_batch_major = shared.x.batch_major;
  job.x = shared.x.data;
  job.x_t = shared.x.stride[0];
  job.x_b = shared.x.stride[1];
  job.hoisted_steps = hoisted_steps;
  segments.steps = job.steps;
  segments.block_steps = kernels().weight_block_steps(job.batch);
  segments.reverse = reverse;
  segments.blocks_each = std::max<index_t>(segments.blocks(), 1);
}

template <class T>
index_t Pass<T>::bytes_with(index_t blocks_each, const SharedInputs<T>& shared, const DirectionInputs<T>& own) {
  scales_x = static_cast<bool>(own.x_scale);
  scales_h = static_cast<bool>(own.h_scale);
  segments.blocks_each = blocks_each;
  return carve(Carver(), shared, own);
}

template <class T>
void Pass<T>::allocate(const SharedInputs<T>& shared, const DirectionInputs<T>& own, Block recycled) {
  bytes = bytes_with(segments.blocks_each, shared, own);
  memory = recycled.bytes() >= bytes ? std::move(recycled) : Block(bytes);
  carve(Carver(memory.data()), shared, own);
  fill(shared, own);
}

template <class T>
void Pass<T>::leave_checkpoint(index_t j, index_t batch_begin, index_t batch_end) const {
  const index_t first = segments.steps_of(j).begin;
  for (int i = 0; i < facts().states; ++i)
    copy_rows(checkpoint(j, i, batch_begin), job.pitch, state_at(i, first) + batch_begin * job.pitch, job.pitch,
              batch_end - batch_begin, job.pitch);
}

template <class T>
void Pass<T>::forward_steps(const Share& share, index_t begin, index_t end) const {
  if (job.keep || !keeps) return kernels().forward_steps(&job, &share, begin, end);
  while (begin < end) {
    const index_t j = segments.of_step(begin);
    const Range steps = segments.steps_of(j);
    // Workers that share rows have met after the step before, and write over these states only after they meet again.
    if (begin == steps.begin && share.unit_part == 0) leave_checkpoint(j, share.batch_begin, share.batch_end);
    const index_t stop = std::min(end, steps.end);
    kernels().forward_steps(&job, &share, begin, stop);
    begin = stop;
  }
}

template <class T>
void Pass<T>::enter(index_t j) {
  if (!job.keep) leave_checkpoint(j, 0, job.batch);
  carve_steps(Carver(steps_memory), true);
  job.kept_begin = segments.steps_of(j).begin;
  for (int i = 0; i < facts().states; ++i)
    copy_rows(job.state[i], job.pitch, checkpoint(j, i, 0), job.pitch, job.batch, job.pitch);
}

}  // namespace pyrnn::bindings
