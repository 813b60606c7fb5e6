// Gradients that wait until backward is through: dx, dW and db as products over all steps and rows,
// from the gradients of the sums that backward left.
#pragma once

#include "sequence/rows.hpp"

namespace pyrnn::PYRNN_NS {

// dx rows are computed in groups of nearly equal size up to this many, so that a block of columns stays in the cache
// meanwhile.
constexpr index_t dx_group_rows = 288;
// Rows whose outer products make one chain of FMAs; a block holds whole steps.
constexpr index_t block_rows = 256;

inline index_t weight_block_steps(index_t batch) { return max_of(1, ceil_div(block_rows, max_of(batch, 1))); }
inline index_t weight_blocks(const Job& job) { return ceil_div(job.steps, weight_block_steps(job.batch)); }

inline index_t max_block_rows(index_t batch) { return padded(block_rows + batch); }

// Factors between two rows of columns that products over rows read: an odd number of cache lines, so that the rows fall
// on all sets of a cache.
inline index_t column_pitch(index_t width) { return (ceil_div(width * factor_group, line_factors) | 1) * line_factors; }

// What a worker of weight_gradients needs: pointers to the rows of a block (gradients of sums, x, one operand a phase)
// and, in some cases, copies of them: rows in groups where factors come in groups, the gradients of a few panels at a
// time.
template <class Cell>
struct BlockScratch {
  using L = Layout<Cell>;
  static constexpr index_t lists = 3 + L::phases;
  // Panels whose products run side by side, where one alone would leave the register tile half empty.
  static constexpr int side_panels = L::gates < 4 && L::gates == L::slots ? 4 / L::gates : 1;
  static constexpr index_t sum_row = Cell::facts.sums * lanes;
  static constexpr index_t panel_pitch = side_panels * sum_row * factor_group;

  // Only for many columns are copies worth their time: they lie close together, where rows of 16 KiB and more fall on
  // few sets of a cache. Low tiles read the gradients more often, so for them copies of those are worth it far earlier.
  // Groups need all copies anyway.
  static bool copies(index_t inputs, index_t units) { return factor_group > 1 || inputs + units >= 1024; }
  static bool copies_panels(index_t inputs, index_t units) {
    return copies(inputs, units) || (tile_rows < 6 && inputs + units >= 96);
  }

  static index_t list_bytes(index_t batch) {
    return ceil_div(lists * max_block_rows(batch) * static_cast<index_t>(sizeof(Factor*)), 64) * 64;
  }
  static index_t bytes(index_t batch, index_t inputs, index_t units) {
    index_t a_group = copies_panels(inputs, units) ? panel_pitch : 0;
    if (copies(inputs, units)) a_group += column_pitch(inputs) + L::phases * column_pitch(units);
    return list_bytes(batch) + groups_of(max_block_rows(batch)) * a_group * static_cast<index_t>(sizeof(Factor));
  }
};

template <class Cell>
index_t scratch_bytes(index_t, index_t batch, index_t inputs, index_t units) {
  const index_t rows_list = ceil_div(batch * static_cast<index_t>(sizeof(std::int32_t)), 64) * 64;
  return max_of(rows_list, BlockScratch<Cell>::bytes(batch, inputs, units));
}

// Elements [first, first + width) of rows, in groups of rows: out[i * pitch + k * g + j] = rows[g * i + j][first + k].
// The last group is filled up with zeros.
inline void group_rows(const Factor* const* rows, index_t n_rows, index_t first, index_t width, Factor* out,
                       index_t pitch) {
  for (index_t i = 0; i < n_rows; i += factor_group, out += pitch) {
    const Factor* even = rows[i] + first;
    if constexpr (factor_group == 1) {
      for (index_t k = 0; k < width; ++k) out[k] = even[k];
    } else {
      const Factor* odd = i + 1 < n_rows ? rows[i + 1] + first : nullptr;
      for (index_t k = 0; k < width; ++k) {
        out[2 * k] = even[k];
        out[2 * k + 1] = odd ? odd[k] : Factor(0);
      }
    }
  }
}

struct Slice {
  index_t begin, end;
};

inline Slice worker_slice(index_t n, const Share& share) {
  return {n * share.worker / share.workers, n * (share.worker + 1) / share.workers};
}

// dx = dsums W_x^T over rows (t, b) of the worker's part.
template <class Cell>
void input_gradients(const Job* job_pointer, const Share* share, index_t t_begin, index_t t_end) {
  using L = Layout<Cell>;
  const Job& job = *job_pointer;
  const index_t B = job.batch;
  const RowRuns runs{L::first_x_slot * lanes, L::weight_row, L::slot_row, L::panels(job.units)};
  const index_t max_rows = share->tile_rows ? share->tile_rows : tile_rows;
  const Slice slice = worker_slice((t_end - t_begin) * B, *share);
  const Factor* gradients[dx_group_rows];
  const Real* scale[dx_group_rows];
  Real* out[dx_group_rows];
  const index_t n_rows = slice.end - slice.begin, groups = ceil_div(n_rows, dx_group_rows);
  for (index_t group = 0; group < groups; ++group) {
    const index_t end = slice.begin + n_rows * (group + 1) / groups;
    index_t n = 0;
    for (index_t i = slice.begin + n_rows * group / groups; i < end; ++i) {
      const index_t t = t_begin + i / B, b = i % B;
      Real* dx = job.dx + t * job.dx_t + b * job.dx_b;
      if (is_active(job, t, b)) {
        gradients[n] = gradients_row<Cell>(job, step_of(job, t), b);
        if (job.x_scale) scale[n] = job.x_scale + b * job.inputs;
        out[n++] = dx;
      } else {
        for (index_t d = 0; d < job.inputs; ++d) dx[d] = Real(0);
      }
    }
    multiply_rows({gradients, runs, static_cast<const Factor*>(job.transposed_x), L::transposed_rows(job.units), 0,
                   L::weight_row, out, nullptr, false, job.x_scale ? scale : nullptr, false, job.inputs},
                  n, max_rows, 0, ceil_div(job.inputs, lanes));
  }
}

// The rows of one block of steps, in (t, b) order; rows that took no part are left out. Blocks lie on absolute t and
// are numbered in the order of the steps.
template <class Cell>
struct BlockRows {
  using L = Layout<Cell>;
  index_t n = 0;             // rows
  const Factor** gradients;  // of the sums
  const Factor** x;
  const Factor** operands[L::phases];
  const Factor** panels;  // groups of rows of the selected panels' gradients: [panel][sum][L][g]
  Factor* panel_factors;
  bool copied, copied_panels;

  BlockRows(const Job& job, const Share& share, index_t block) {
    const index_t capacity = max_block_rows(job.batch), steps = weight_block_steps(job.batch);
    const index_t by_time = job.reverse ? weight_blocks(job) - 1 - block : block;
    gradients = static_cast<const Factor**>(share.scratch);
    x = gradients + capacity;
    panels = x + capacity;
    copied = Scratch::copies(job.inputs, job.units);
    copied_panels = Scratch::copies_panels(job.inputs, job.units);
    for (int phase = 0; phase < L::phases; ++phase) operands[phase] = panels + (1 + phase) * capacity;
    for (index_t t = by_time * steps; t < min_of((by_time + 1) * steps, job.steps); ++t) {
      const index_t s = step_of(job, t);
      for (index_t b = 0; b < job.batch; ++b) {
        if (!is_active(job, t, b)) continue;
        gradients[n] = gradients_row<Cell>(job, s, b);
        x[n] = x_row(job, s, b);
        for (int phase = 0; phase < L::phases; ++phase) operands[phase][n] = phase_operand_row(job, phase, s, b);
        ++n;
      }
    }
    void* memory = static_cast<char*>(share.scratch) + Scratch::list_bytes(job.batch);
    auto* factors = static_cast<Factor*>(memory);
    panel_factors = factors;
    if (copied_panels) {
      point_to_groups(panels, factors, Scratch::panel_pitch);
      factors += groups() * Scratch::panel_pitch;
    } else {
      panels = gradients;
    }
    if (copied) copy_columns(job, factors);
  }

  index_t groups() const { return groups_of(n); }

  // Lays so many panels from p on side by side; returns where their gradients begin in the rows of `panels`.
  index_t select_panels(index_t p, int count) const {
    if (!copied_panels) return p * L::slot_row;
    for (int i = 0; i < count; ++i)
      group_rows(gradients, n, (p + i) * L::slot_row, Scratch::sum_row,
                 panel_factors + i * Scratch::sum_row * factor_group, Scratch::panel_pitch);
    return 0;
  }

 private:
  using Scratch = BlockScratch<Cell>;

  // From `factors` on, behind the panels.
  void copy_columns(const Job& job, Factor* factors) {
    for (int i = 0; i <= L::phases; ++i) {
      const Factor** columns = i == 0 ? x : operands[i - 1];
      const index_t width = i == 0 ? job.inputs : job.units, pitch = column_pitch(width);
      group_rows(columns, n, 0, width, factors, pitch);
      point_to_groups(columns, factors, pitch);
      factors += groups() * pitch;
    }
  }

  void point_to_groups(const Factor** pointers, const Factor* factors, index_t pitch) const {
    for (index_t i = 0; i < groups(); ++i) pointers[i] = factors + i * pitch;
  }
};

template <class Cell>
struct WeightGradients {
  using L = Layout<Cell>;
  using Scratch = BlockScratch<Cell>;
  const Job& job;
  const BlockRows<Cell>& rows;
  bool add;  // to the total; the first block that backward meets starts it instead

  // Rows k of a part of dW in the selected panels: the gates whose gradients lie in slots [first, first + count).
  template <int first, int count, bool of_x, int n_panels>
  void panels_part(const Factor* const* columns, Slice k, index_t offset, Real* total) const {
    static constexpr GatesOfSlots<Cell, first, count, of_x> gates;
    const index_t panel = L::panel_size(job.inputs, job.units);
    index_t place[n_panels * count];
    for (int i = 0; i < n_panels; ++i)
      for (int n = 0; n < count; ++n) place[i * count + n] = i * panel + gates.gate[n] * lanes;
    add_outer_product<n_panels * count>({columns, rows.panels, rows.groups(), offset + first * lanes * factor_group,
                                         total, L::weight_row, place, n_panels * panel, add},
                                        k.begin, k.end);
  }

  template <int first, int count, bool of_x>
  void part(const Factor* const* columns, Slice k, index_t offset, int n_panels, Real* total) const {
    if constexpr (Scratch::side_panels >= 4) {
      if (n_panels == 4) return panels_part<first, count, of_x, 4>(columns, k, offset, total);
      if (n_panels == 3) return panels_part<first, count, of_x, 3>(columns, k, offset, total);
    }
    if constexpr (Scratch::side_panels >= 2)
      if (n_panels == 2) return panels_part<first, count, of_x, 2>(columns, k, offset, total);
    panels_part<first, count, of_x, 1>(columns, k, offset, total);
  }

  // db: one sum a slot, as of an input that is always 1, then a row of biases for the x part and, where there are two,
  // for the h part.
  void bias(index_t offset, Real* total) const {
    constexpr int n_sums = Cell::facts.sums;
    Factor one[lanes];
    store_factors(Vec::set1(Real(1)), one);
    Vec sums[n_sums];
    for (int k = 0; k < n_sums; ++k) sums[k] = Vec::zero();
    for (index_t i = 0; i < rows.groups(); ++i)
      for (int k = 0; k < n_sums; ++k) {
        const Factors row = Factors::load(rows.panels[i] + offset + k * lanes * factor_group);
        sums[k] = dot(Factors::broadcast(one), row, sums[k]);
      }
    for (int row = 0; row < L::bias_rows; ++row)
      for (int g = 0; g < L::gates; ++g) {
        Real* at = total + row * L::weight_row + g * lanes;
        const Vec sum = sums[row == 0 ? Cell::x_slot[g] : Cell::h_slot[g]];
        (add ? Vec::load(at) + sum : sum).store(at);
      }
  }

  template <int phase = 0>
  void recurrent(Slice k, index_t offset, int n_panels, Real* total) const {
    using H = PhaseMap<Cell, phase, false>;
    part<H::run_first(), H::blocks, false>(rows.operands[phase], k, offset, n_panels, total);
    if constexpr (phase + 1 < L::phases) recurrent<phase + 1>(k, offset, n_panels, total);
  }

  // Rows [begin, end) of panels p .. p + n_panels in the packed layout: biases, x part, h part.
  void panel_rows(index_t p, int n_panels, index_t begin, index_t end) const {
    const index_t panel_size = L::panel_size(job.inputs, job.units);
    Real* panel = job.dweights + p * panel_size;
    const index_t x_first = L::bias_rows, h_first = x_first + job.inputs;
    const index_t offset = rows.select_panels(p, n_panels);
    if (begin == 0 && end > 0)
      for (int i = 0; i < n_panels; ++i) bias(offset + i * Scratch::sum_row * factor_group, panel + i * panel_size);
    const Slice x{max_of(begin, x_first) - x_first, min_of(end, h_first) - x_first};
    if (x.begin < x.end)
      part<L::first_x_slot, L::gates, true>(rows.x, x, offset, n_panels, panel + x_first * L::weight_row);
    const Slice h{max_of(begin, h_first) - h_first, end - h_first};
    if (h.begin < h.end) recurrent(h, offset, n_panels, panel + h_first * L::weight_row);
  }
};

template <class Cell>
void weight_gradients(const Job* job, const Share* share, index_t block_begin, index_t block_end) {
  using L = Layout<Cell>;
  const index_t rows_a_panel = L::weight_rows(job->inputs, job->units);
  const index_t panels = L::panels(job->units);
  constexpr int side = BlockScratch<Cell>::side_panels;
  const Slice slice = worker_slice(ceil_div(panels, side) * rows_a_panel, *share);
  for (index_t block = block_end - 1; block >= block_begin; --block) {
    const BlockRows<Cell> rows(*job, *share, block);
    const bool first_met = block == weight_blocks(*job) - 1;
    if (rows.n == 0 && !first_met) continue;
    const WeightGradients<Cell> gradients{*job, rows, !first_met};
    for (index_t i = slice.begin; i < slice.end;) {
      const index_t p = i / rows_a_panel * side, begin = i % rows_a_panel;
      const index_t end = min_of(rows_a_panel, begin + slice.end - i);
      gradients.panel_rows(p, static_cast<int>(min_of(side, panels - p)), begin, end);
      i += end - begin;
    }
  }
}

}  // namespace pyrnn::PYRNN_NS
