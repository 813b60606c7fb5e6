// How the steps that a tape covers are cut into segments, of which backward has one in memory at a time.
#pragma once

#include <algorithm>

#include "kernel_table.hpp"

namespace pyrnn::bindings {

// What a call of forward is to keep for backward.
struct TapeMode {
  enum class Kind { none, full, segments, budget };
  Kind kind = Kind::none;
  index_t bytes = 0;  // of a budget
};

struct Range {
  index_t begin = 0, end = 0;
  index_t length() const { return end - begin; }
};

// Segments are whole blocks of weight_gradients, numbered in the order of the steps. Blocks lie on absolute t, so the
// last one may be short, or the first where the steps go backwards. Of the segments the first may be short: forward
// leaves the last one in memory, and what it leaves is not computed again.
struct Segments {
  index_t steps = 0, block_steps = 1, blocks_each = 1;
  bool reverse = false;

  index_t blocks() const { return (steps + block_steps - 1) / block_steps; }
  index_t count() const { return std::max<index_t>(1, (blocks() + blocks_each - 1) / blocks_each); }
  index_t longest() const { return std::min(steps, blocks_each * block_steps); }
  Range blocks_of(index_t segment) const {
    const index_t end = blocks() - (count() - 1 - segment) * blocks_each;
    return {std::max<index_t>(end - blocks_each, 0), end};
  }
  Range steps_of(index_t segment) const { return steps_in(blocks_of(segment)); }
  Range steps_in(Range blocks) const { return {first_step(blocks.begin), first_step(blocks.end)}; }
  index_t of_step(index_t s) const {
    const index_t block = (s + missing()) / block_steps;
    return count() - 1 - (blocks() - 1 - block) / blocks_each;
  }

 private:
  // Steps that block 0 lacks.
  index_t missing() const { return reverse ? blocks() * block_steps - steps : 0; }
  index_t first_step(index_t block) const { return std::clamp<index_t>(block * block_steps - missing(), 0, steps); }
};

struct Choice {
  index_t blocks_each, bytes;
  bool fits;
};

// The blocks of a segment, where bytes_of(them) is what the tape takes: as many as fit the budget, or those that take
// the least memory.
template <class Bytes>
Choice choose_segments(const TapeMode& mode, index_t blocks, const Bytes& bytes_of) {
  Choice least{0, 0, false};
  for (index_t each = std::max<index_t>(blocks, 1); each > 0; --each) {
    const index_t bytes = bytes_of(each);
    if (mode.kind == TapeMode::Kind::budget && bytes <= mode.bytes) return {each, bytes, true};
    if (least.blocks_each == 0 || bytes < least.bytes) least = {each, bytes, mode.kind == TapeMode::Kind::segments};
  }
  return least;
}

}  // namespace pyrnn::bindings
