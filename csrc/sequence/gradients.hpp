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

// What a worker of weight_gradients needs: pointers to the rows of a block (gradients of sums, x, one operand a phase)
// and, where factors come in groups, the rows turned into rows of groups, the gradients of one panel at a time.
template <class Cell>
struct BlockScratch {
  static constexpr index_t lists = 3 + Layout<Cell>::phases;

  static index_t list_bytes(index_t batch) {
    return ceil_div(lists * max_block_rows(batch) * static_cast<index_t>(sizeof(Factor*)), 64) * 64;
  }
  static index_t bytes(index_t batch, index_t inputs, index_t units) {
    const index_t widths = Layout<Cell>::slot_row + inputs + Layout<Cell>::phases * units;
    const index_t factors = factor_group > 1 ? max_block_rows(batch) * widths : 0;
    return list_bytes(batch) + factors * static_cast<index_t>(sizeof(Factor));
  }
};

template <class Cell>
index_t scratch_bytes(index_t, index_t batch, index_t inputs, index_t units) {
  const index_t rows_list = ceil_div(batch * static_cast<index_t>(sizeof(std::int32_t)), 64) * 64;
  return max_of(rows_list, BlockScratch<Cell>::bytes(batch, inputs, units));
}

// Elements [first, first + width) of pairs of rows as rows of pairs: out[i][k][j] = rows[2 i + j][first + k]. An odd
// last row is paired with zeros.
inline void pair_rows(const Factor* const* rows, index_t n_rows, index_t first, index_t width, Factor* out) {
  for (index_t i = 0; i < n_rows; i += 2, out += 2 * width) {
    const Factor* even = rows[i] + first;
    if (i + 1 < n_rows) {
      const Factor* odd = rows[i + 1] + first;
      for (index_t k = 0; k < width; ++k) {
        out[2 * k] = even[k];
        out[2 * k + 1] = odd[k];
      }
    } else {
      for (index_t k = 0; k < width; ++k) {
        out[2 * k] = even[k];
        out[2 * k + 1] = Factor(0);
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
  const Factor** panel;  // groups of rows of gradients of one panel
  Factor* panel_factors;

  BlockRows(const Job& job, const Share& share, index_t block) {
    const index_t capacity = max_block_rows(job.batch), steps = weight_block_steps(job.batch);
    const index_t by_time = job.reverse ? weight_blocks(job) - 1 - block : block;
    gradients = static_cast<const Factor**>(share.scratch);
    x = gradients + capacity;
    panel = x + capacity;
    for (int phase = 0; phase < L::phases; ++phase) operands[phase] = panel + (1 + phase) * capacity;
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
    if constexpr (factor_group > 1) pair_columns(job, share);
  }

  index_t groups() const { return groups_of(n); }

  // The gradients of panel p, for products over rows; returns where they begin in the rows of `panel`.
  index_t select_panel(index_t p) {
    if constexpr (factor_group == 1) {
      panel = gradients;
      return p * L::slot_row;
    }
    pair_rows(gradients, n, p * L::slot_row, L::slot_row, panel_factors);
    return 0;
  }

 private:
  void pair_columns(const Job& job, const Share& share) {
    const index_t rows = max_block_rows(job.batch);
    void* memory = static_cast<char*>(share.scratch) + BlockScratch<Cell>::list_bytes(job.batch);
    panel_factors = static_cast<Factor*>(memory);
    Factor* factors = panel_factors + rows * L::slot_row;
    point_to_groups(panel, panel_factors, L::slot_row);
    for (int i = 0; i <= L::phases; ++i) {
      const Factor** columns = i == 0 ? x : operands[i - 1];
      const index_t width = i == 0 ? job.inputs : job.units;
      pair_rows(columns, n, 0, width, factors);
      point_to_groups(columns, factors, width);
      factors += rows * width;
    }
  }

  void point_to_groups(const Factor** pointers, const Factor* factors, index_t width) const {
    for (index_t i = 0; i < groups(); ++i) pointers[i] = factors + i * factor_group * width;
  }
};

template <class Cell>
struct WeightGradients {
  using L = Layout<Cell>;
  const Job& job;
  BlockRows<Cell>& rows;
  bool add;  // to the total; the first block that backward meets starts it instead

  // Rows k of a part of dW in panel p: the gates whose gradients lie in slots [first, first + count).
  template <int first, int count, bool of_x>
  void part(const Factor* const* columns, Slice k, index_t offset, Real* total) const {
    static constexpr GatesOfSlots<Cell, first, count, of_x> gates;
    add_outer_product<count>({columns, rows.panel, rows.groups(), offset + first * lanes * factor_group, total,
                              L::weight_row, gates.gate, L::weight_row, add},
                             k.begin, k.end);
  }

  // db: one sum a slot, as of an input that is always 1, then a row of biases for the x part and, where there are two,
  // for the h part.
  void bias(index_t offset, Real* total) const {
    Factor one[lanes];
    store_factors(Vec::set1(Real(1)), one);
    Vec sums[L::slots];
    for (int k = 0; k < L::slots; ++k) sums[k] = Vec::zero();
    for (index_t i = 0; i < rows.groups(); ++i)
      for (int k = 0; k < L::slots; ++k) {
        const Factors row = Factors::load(rows.panel[i] + offset + k * lanes * factor_group);
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
  void recurrent(Slice k, index_t offset, Real* total) const {
    using H = PhaseMap<Cell, phase, false>;
    part<H::run_first(), H::blocks, false>(rows.operands[phase], k, offset, total);
    if constexpr (phase + 1 < L::phases) recurrent<phase + 1>(k, offset, total);
  }

  // Rows [begin, end) of panel p in the packed layout: biases, x part, h part.
  void panel_rows(index_t p, index_t begin, index_t end) const {
    Real* panel = job.dweights + p * L::panel_size(job.inputs, job.units);
    const index_t x_first = L::bias_rows, h_first = x_first + job.inputs;
    const index_t offset = rows.select_panel(p);
    if (begin == 0 && end > 0) bias(offset, panel);
    const Slice x{max_of(begin, x_first) - x_first, min_of(end, h_first) - x_first};
    if (x.begin < x.end) part<L::first_x_slot, L::gates, true>(rows.x, x, offset, panel + x_first * L::weight_row);
    const Slice h{max_of(begin, h_first) - h_first, end - h_first};
    if (h.begin < h.end) recurrent(h, offset, panel + h_first * L::weight_row);
  }
};

template <class Cell>
void weight_gradients(const Job* job, const Share* share, index_t block_begin, index_t block_end) {
  using L = Layout<Cell>;
  const index_t rows_a_panel = L::weight_rows(job->inputs, job->units);
  const Slice slice = worker_slice(L::panels(job->units) * rows_a_panel, *share);
  for (index_t block = block_end - 1; block >= block_begin; --block) {
    BlockRows<Cell> rows(*job, *share, block);
    const bool first_met = block == weight_blocks(*job) - 1;
    if (rows.n == 0 && !first_met) continue;
    const WeightGradients<Cell> gradients{*job, rows, !first_met};
    for (index_t i = slice.begin; i < slice.end;) {
      const index_t p = i / rows_a_panel, begin = i % rows_a_panel;
      const index_t end = min_of(rows_a_panel, begin + slice.end - i);
      gradients.panel_rows(p, begin, end);
      i += end - begin;
    }
  }
}

}  // namespace pyrnn::PYRNN_NS
