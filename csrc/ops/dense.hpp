// The dense layer: y = x W + b and its gradients, on the products of csrc/gemm.
#pragma once

#include "gemm/product.hpp"
#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

// Column blocks packed together, and the depth they are packed to: what a worker keeps in its second-level cache.
constexpr index_t dense_blocks = 8;
constexpr index_t dense_columns = dense_blocks * lanes;
constexpr index_t dense_depth = 512;
constexpr index_t dense_scratch = dense_columns * dense_depth;
static_assert(dense_depth >= dense_block_rows);

// c (rows, N) = a (rows, K) times what pack(k, depth, column, columns, packed) packs of a (K, N) matrix;
// `first` (N), or 0 where it is null, starts the chains. A chain that is left at dense_depth is reloaded and continued.
template <class Pack>
PYRNN_INLINE void dense_product(const Real* a, index_t K, Real* c, index_t N, index_t row_begin, index_t row_end,
                                index_t column_begin, index_t column_end, const Pack& pack, const Real* first,
                                Real* packed) {
  for (index_t column = column_begin; column < column_end; column += dense_columns) {
    const index_t columns = min_of(dense_columns, column_end - column);
    index_t k = 0;
    do {
      const index_t depth = min_of(dense_depth, K - k);
      pack(k, depth, column, columns, packed);
      for (index_t begin = row_begin; begin < row_end; begin += dense_block_rows) {
        const Real* rows[dense_block_rows];
        Real* out[dense_block_rows];
        const index_t n_rows = min_of(dense_block_rows, row_end - begin);
        for (index_t r = 0; r < n_rows; ++r) {
          rows[r] = a + (begin + r) * K;
          out[r] = c + (begin + r) * N + column;
        }
        multiply_rows({rows,
                       {k, depth, 0, 1},
                       packed,
                       depth,
                       0,
                       0,
                       out,
                       first ? first + column : nullptr,
                       k > 0,
                       nullptr,
                       false,
                       columns},
                      n_rows, tile_rows, 0, ceil_div(columns, lanes));
      }
      k += depth;
    } while (k < K);
  }
}

inline void dense_forward(const DenseJob<Real>* job, index_t row_begin, index_t row_end, index_t output_begin,
                          index_t output_end, Real* scratch) {
  const index_t N = job->outputs;
  const Real *W = job->W, *b = job->b;
  const auto pack = [=](index_t k, index_t depth, index_t column, index_t columns, Real* packed) {
    for_pieces(0, columns, [&](index_t n, auto size) {
      for (index_t i = 0; i < depth; ++i)
        load_piece(W + (k + i) * N + column + n, size).store(packed + n * depth + i * lanes);
    });
  };
  dense_product(job->x, job->inputs, job->y, N, row_begin, row_end, output_begin, output_end, pack, b, scratch);
}

// dx = dy W^T: the chain of each input runs over the outputs in order.
inline void dense_input_gradient(const DenseJob<Real>* job, index_t row_begin, index_t row_end, index_t input_begin,
                                 index_t input_end, Real* scratch) {
  const index_t N = job->outputs;
  const Real* W = job->W;
  const auto pack_transposed = [=](index_t n, index_t depth, index_t input, index_t inputs, Real* packed) {
    for (index_t block = 0; block < inputs; block += lanes) {
      const index_t size = min_of(lanes, inputs - block);
      Real* to = packed + block * depth;
      for (index_t l = 0; l < lanes; ++l) {
        const Real* row = W + (input + block + l) * N + n;
        for (index_t i = 0; i < depth; ++i) to[i * lanes + l] = l < size ? row[i] : Real(0);
      }
    }
  };
  dense_product(job->dy, N, job->dx, job->inputs, row_begin, row_end, input_begin, input_end, pack_transposed, nullptr,
                scratch);
}

// dW += x^T dy, block by block, the latest first.
inline void dense_weight_gradient(const DenseJob<Real>* job, index_t block_begin, index_t block_end,
                                  index_t input_begin, index_t input_end, index_t output_begin, index_t output_end,
                                  Real* scratch) {
  const index_t K = job->inputs, N = job->outputs;
  const Real *x_rows[dense_block_rows], *dy_rows[dense_block_rows];
  for (index_t i = 0; i < dense_block_rows; ++i) dy_rows[i] = scratch + i * dense_columns;
  for (index_t block = block_end; block-- > block_begin;) {
    const index_t row = block * dense_block_rows, rows = min_of(dense_block_rows, job->rows - row);
    for (index_t i = 0; i < rows; ++i) x_rows[i] = job->x + (row + i) * K;
    for (index_t column = output_begin; column < output_end; column += dense_columns) {
      const index_t columns = min_of(dense_columns, output_end - column);
      for (index_t i = 0; i < rows; ++i)
        for_pieces(0, columns, [&](index_t n, auto size) {
          load_piece(job->dy + (row + i) * N + column + n, size).store(scratch + i * dense_columns + n);
        });
      static constexpr index_t place[] = {0, lanes, 2 * lanes, 3 * lanes};
      index_t n = 0;
      for (; n + 3 * lanes < columns; n += 4 * lanes)
        add_outer_product<4>({x_rows, dy_rows, rows, n, job->dW + column + n, N, place, columns - n, true}, input_begin,
                             input_end);
      for (; n < columns; n += lanes)
        add_outer_product<1>({x_rows, dy_rows, rows, n, job->dW + column + n, N, place, columns - n, true}, input_begin,
                             input_end);
    }
  }
}

inline void dense_bias_gradient(const DenseJob<Real>* job, index_t block_begin, index_t block_end, index_t output_begin,
                                index_t output_end) {
  const index_t N = job->outputs;
  for_pieces(output_begin, output_end, [&](index_t n, auto size) {
    Vec db = load_piece(job->db + n, size);
    for (index_t block = block_end; block-- > block_begin;) {
      const index_t end = min_of(job->rows, (block + 1) * dense_block_rows);
      Vec sum = Vec::zero();
      for (index_t row = block * dense_block_rows; row < end; ++row)
        sum = sum + load_piece(job->dy + row * N + n, size);
      db = db + sum;
    }
    store_piece(db, job->db + n, size);
  });
}

}  // namespace pyrnn::PYRNN_NS
