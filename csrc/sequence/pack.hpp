// Weights between Keras's layout and the panels that the kernels read.
#pragma once

#include "sequence/layout.hpp"
#include "simd/transpose.hpp"

namespace pyrnn::PYRNN_NS {

// Row `row` of panel p: a bias, a row of W_x or a row of W_h; null where there is no bias.
template <class Cell, class T>
struct WeightRows {
  using L = Layout<Cell>;
  index_t inputs, units;
  T* W_x;
  index_t W_x_row;
  T* W_h;
  index_t W_h_row;
  T* b;

  T* row(index_t i) const {
    if (i < L::bias_rows) return b ? b + i * L::gates * units : nullptr;
    i -= L::bias_rows;
    if (i < inputs) return W_x ? W_x + i * W_x_row : nullptr;
    return W_h ? W_h + (i - inputs) * W_h_row : nullptr;
  }
};

template <class Cell>
void pack(index_t inputs, index_t units, const Real* W_x, index_t W_x_row, const Real* W_h, index_t W_h_row,
          const Real* b, Real* packed) {
  using L = Layout<Cell>;
  const WeightRows<Cell, const Real> rows{inputs, units, W_x, W_x_row, W_h, W_h_row, b};
  for (index_t p = 0; p < L::panels(units); ++p) {
    const index_t n = min_of(lanes, units - p * lanes);
    for (index_t i = 0; i < L::weight_rows(inputs, units); ++i) {
      const Real* row = rows.row(i);
      for (int g = 0; g < L::gates; ++g, packed += lanes)
        (row ? Vec::load(row + g * units + p * lanes, n) : Vec::zero()).store(packed);
    }
  }
}

template <class Cell>
void unpack(index_t inputs, index_t units, const Real* packed, Real* W_x, Real* W_h, Real* b, bool add) {
  using L = Layout<Cell>;
  const index_t width = L::gates * units;
  const WeightRows<Cell, Real> rows{inputs, units, W_x, width, W_h, width, b};
  for (index_t p = 0; p < L::panels(units); ++p) {
    const index_t n = min_of(lanes, units - p * lanes);
    for (index_t i = 0; i < L::weight_rows(inputs, units); ++i) {
      Real* row = rows.row(i);
      for (int g = 0; g < L::gates; ++g, packed += lanes) {
        if (!row) continue;
        Real* at = row + g * units + p * lanes;
        const Vec value = Vec::load(packed);
        (add ? Vec::load(at, n) + value : value).store(at, n);
      }
    }
  }
}

// Rows of a panel of the packed weights as groups: out[group][G][L][g]. Returns the end of out.
template <class Cell>
Factor* round_rows(const Real* panel, index_t n_rows, Factor* out) {
  using L = Layout<Cell>;
  for (index_t k = 0; k < n_rows; k += factor_group)
    for (int g = 0; g < L::gates; ++g, out += lanes * factor_group) {
      Vec rows[factor_group];
      for (int i = 0; i < factor_group; ++i)
        rows[i] = k + i < n_rows ? Vec::load(panel + (k + i) * L::weight_row + g * lanes) : Vec::zero();
      store_group(rows, out);
    }
  return out;
}

template <class Cell>
void round_weights(index_t inputs, index_t units, const Real* packed, void* factors) {
  using L = Layout<Cell>;
  auto* out = static_cast<Factor*>(factors);
  for (index_t p = 0; p < L::panels(units); ++p) {
    const Real* panel = packed + p * L::panel_size(inputs, units) + L::bias_rows * L::weight_row;
    out = round_rows<Cell>(panel, inputs, out);
    out = round_rows<Cell>(panel + inputs * L::weight_row, units, out);
  }
}

// Rows [first, first + n_rows) of every panel, as column blocks of L: out[block][(p * G + rank) * L + l][lane], in
// groups.
template <class Cell>
void transpose_rows(index_t inputs, index_t units, const Real* packed, index_t first, index_t n_rows,
                    const int (&slot)[Layout<Cell>::gates], int first_slot, Factor* out) {
  using L = Layout<Cell>;
  const index_t K = L::transposed_rows(units);
  for (index_t block = 0; block < ceil_div(n_rows, lanes); ++block)
    for (index_t p = 0; p < L::panels(units); ++p)
      for (int g = 0; g < L::gates; ++g) {
        Factor* to = out + (block * K + (p * L::gates + slot[g] - first_slot) * lanes) * lanes;
        const Real* from =
            packed + p * L::panel_size(inputs, units) + (first + block * lanes) * L::weight_row + g * lanes;
        Vec square[lanes];
#pragma GCC unroll 16
        for (index_t lane = 0; lane < lanes; ++lane)
          square[lane] = block * lanes + lane < n_rows ? Vec::load(from + lane * L::weight_row) : Vec::zero();
        transpose_square(square);
#pragma GCC unroll 16
        for (index_t l = 0; l < lanes; l += factor_group) {
          Vec group[factor_group];
          for (int i = 0; i < factor_group; ++i) group[i] = square[l + i];
          store_group(group, to + l * lanes);
        }
      }
}

template <class Cell>
void transpose(index_t inputs, index_t units, const Real* packed, void* transposed_x, void* transposed_h) {
  using L = Layout<Cell>;
  if (transposed_x)
    transpose_rows<Cell>(inputs, units, packed, L::bias_rows, inputs, Cell::x_slot, L::first_x_slot,
                         static_cast<Factor*>(transposed_x));
  if (transposed_h)
    transpose_rows<Cell>(inputs, units, packed, L::bias_rows + inputs, units, Cell::h_slot, L::first_h_slot,
                         static_cast<Factor*>(transposed_h));
}

template <class Cell>
index_t packed_size(index_t inputs, index_t units) {
  return Layout<Cell>::packed_size(inputs, units);
}

template <class Cell>
index_t factors_size(index_t inputs, index_t units) {
  using L = Layout<Cell>;
  return factor_group == 1 ? 0 : L::panels(units) * L::factor_panel_size(inputs, units);
}

template <class Cell>
index_t transposed_x_size(index_t inputs, index_t units) {
  return ceil_div(inputs, lanes) * Layout<Cell>::transposed_rows(units) * lanes;
}

template <class Cell>
index_t transposed_h_size(index_t units) {
  return ceil_div(units, lanes) * Layout<Cell>::transposed_rows(units) * lanes;
}

}  // namespace pyrnn::PYRNN_NS
