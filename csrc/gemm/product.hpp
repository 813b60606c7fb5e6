// Products of rows with packed column blocks, and of columns with rows, built on the register tile.
// They know neither cells nor time: rows are lists of pointers.
//   columns   [ceil(N / L)][K / g][L][g]   block n holds columns n * L .. n * L + L of a (K, N) matrix, zero past N,
//                                          in groups of g = factor_group of its K rows
// Rows and columns are Factors; K, and where the runs of a row begin and end, are multiples of g.
#pragma once

#include "gemm/tile.hpp"

namespace pyrnn::PYRNN_NS {

// A row as runs of contiguous elements: a plain row is one run, a row of gate gradients has one a panel.
struct RowRuns {
  index_t first, length, stride, count;
};

// out[r] = rows[r] * columns, or += ; times scale[r] element by element where there is a scale.
// A chain starts from `first` (N values, the same for all rows), from what out holds (`resume`), or from 0.
struct RowProduct {
  const Factor* const* rows;
  RowRuns runs;
  const Factor* columns;
  index_t K;                          // rows of a column block
  index_t column_first, column_step;  // the block's row that a run begins at: column_first + run * column_step
  Real* const* out;
  const Real* first;  // or null
  bool resume;
  const Real* const* scale;  // or null
  bool add;
  index_t width;  // N: elements of a row of out
};

template <int R, int Q>
PYRNN_INLINE void product_tile(const RowProduct& product, index_t row, index_t block, Ahead ahead) {
  Vec sums[R][Q][1];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      const index_t at = (block + q) * lanes, width = min_of(lanes, product.width - at);
      const Real* start = product.resume ? product.out[row + r] : product.first;
      sums[r][q][0] = start ? Vec::load(start + at, width) : Vec::zero();
    }
  const Factor* columns = product.columns + (block * product.K + product.column_first) * lanes;
  for (index_t i = 0; i < product.runs.count; ++i, columns += product.column_step * lanes) {
    const Factor* run[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) run[r] = product.rows[row + r] + product.runs.first + i * product.runs.stride;
    accumulate<Identity<1>>(sums, run, columns, lanes * factor_group, product.K * lanes, groups_of(product.runs.length),
                            ahead.after(i * groups_of(product.runs.length)));
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      const index_t at = (block + q) * lanes, width = min_of(lanes, product.width - at);
      Real* out = product.out[row + r] + at;
      const Vec scale = product.scale ? Vec::load(product.scale[row + r] + at, width) : Vec::set1(Real(1));
      const Vec start = product.add ? Vec::load(out, width) : Vec::zero();
      fma(sums[r][q][0], scale, start).store(out, width);
    }
}

// Runs that follow each other without a gap, in the rows and in the columns, are one run.
inline RowProduct with_long_runs(RowProduct product) {
  RowRuns& runs = product.runs;
  if (runs.stride == runs.length && product.column_step == runs.length) {
    runs.length *= runs.count;
    runs.count = 1;
  }
  return product;
}

// Rows of a tile of one column block, whose FMAs would wait for each other in tiles of the usual height.
constexpr int narrow_rows = 8;

// tile(Int<height>) for a height from 1 to Most.
template <int Most, class Tile>
PYRNN_INLINE void with_height(index_t height, const Tile& tile) {
  if (height == Most) {
    tile(Int<Most>{});
  } else if constexpr (Most > 1) {
    with_height<Most - 1>(height, tile);
  }
}

inline void multiply_narrow(const RowProduct& product, index_t n_rows, index_t block) {
  const Ahead ahead(product.columns + block * product.K * lanes, false);
  const index_t tiles = ceil_div(n_rows, narrow_rows);
  for (index_t i = 0; i < tiles; ++i) {
    const index_t row = n_rows * i / tiles, end = n_rows * (i + 1) / tiles;
    with_height<narrow_rows>(end - row, [&](auto height) PYRNN_INLINE_LAMBDA {
      product_tile<decltype(height)::value, 1>(product, row, block, ahead);
    });
  }
}

// All rows against column blocks [block_begin, block_end); calls one after the other on the same columns alternate in
// `other`. Column blocks outside, rows inside: a group of blocks stays in the cache while the rows pass, and each tile
// of rows fetches a part of the next group.
inline void multiply_rows(const RowProduct& given, index_t n_rows, index_t max_rows, index_t block_begin,
                          index_t block_end, bool other = false) {
  const RowProduct product = with_long_runs(given);
  if (block_end - block_begin == 1 && max_rows == tile_rows) return multiply_narrow(product, n_rows, block_begin);
  const index_t block_size = product.K * lanes;
  const Sweep sweep(ceil_div(block_end - block_begin, max_tile_panels),
                    block_size * (block_end - block_begin) * index_t{sizeof(Factor)}, other);
  for (index_t i = 0; i < sweep.groups; ++i) {
    const index_t block = block_begin + sweep.group(i) * max_tile_panels;
    const index_t end = min_of(block + max_tile_panels, block_end);
    const index_t next = block_begin + sweep.next(i) * max_tile_panels;
    Ahead ahead(product.columns + next * block_size, sweep.exceeds_cache);
    for_row_tiles(n_rows, max_rows, [&](auto height, index_t row) PYRNN_INLINE_LAMBDA {
      constexpr int R = decltype(height)::value;
      constexpr int Q = panels_of_tile(R, 1);
      index_t b = block;
      for (; b + Q <= end; b += Q) product_tile<R, Q>(product, row, b, ahead);
      if constexpr (Q > 2)
        for (; b + 2 <= end; b += 2) product_tile<R, 2>(product, row, b, ahead);
      for (; b < end; ++b) product_tile<R, 1>(product, row, b, ahead);
      ahead = ahead.after(groups_of(product.K));
    });
  }
}

// total[(k + r) * total_row + place[n] + lane] = or += sum over i of columns[i] group k + r * rows[i][offset] block n,
// for places below `width`; each sum one chain in row order that starts from 0. In bf16, rows and columns are pairs of
// what is multiplied: [K][2] and [N][L][2].
struct OuterProduct {
  const Factor* const* columns;
  const Factor* const* rows;
  index_t n_rows, offset;
  Real* total;
  index_t total_row;
  const index_t* place;  // of each of the N blocks of L, from a row of the total on
  index_t width;         // elements that a row of the total has there
  bool add;              // += instead of =
};

// Rows [begin, end) of an outer product. They pass in pieces, between which the sums of a tile wait in memory.
struct Piece {
  index_t begin, end;
  bool first, last;
};

template <int R, int N>
PYRNN_INLINE void outer_tile(const OuterProduct& product, const Piece& piece, index_t k, Real* waiting) {
  // What the sums are added to lies in the second level at best, and comes meanwhile.
  if (piece.last) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) __builtin_prefetch(product.total + (k + r) * product.total_row + product.place[n], 1);
  }
  Vec sums[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sums[r][n] = piece.first ? Vec::zero() : Vec::load(waiting + (r * N + n) * lanes);
  for (index_t i = piece.begin; i < piece.end; ++i) {
    const Factor* row = product.rows[i] + product.offset;
    const Factor* column = product.columns[i] + k * factor_group;
    // Whichever are fewer wait in registers while the others pass: 12 sums leave AVX2 no more than four.
    if constexpr (R < N) {
      Factors a[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) a[r] = Factors::broadcast(column + r * factor_group);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const Factors block = Factors::load(row + n * lanes * factor_group);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sums[r][n] = dot(a[r], block, sums[r][n]);
      }
    } else {
      Factors block[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) block[n] = Factors::load(row + n * lanes * factor_group);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Factors a = Factors::broadcast(column + r * factor_group);
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) sums[r][n] = dot(a, block[n], sums[r][n]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      if (!piece.last) {
        sums[r][n].store(waiting + (r * N + n) * lanes);
        continue;
      }
      const index_t place = product.place[n], width = min_of(lanes, product.width - place);
      Real* at = product.total + (k + r) * product.total_row + place;
      (product.add ? Vec::load(at, width) + sums[r][n] : sums[r][n]).store(at, width);
    }
}

// Rows of N = 4 blocks that stay in the first-level cache while the tiles of columns pass.
constexpr index_t piece_rows = 128;

// Rows [k_begin, k_end) of the total, N blocks wide. A piece of the rows is read again by many tiles of columns, whose
// sums wait meanwhile; where there are few, that would not be worth their waiting.
template <int N>
void add_outer_product(const OuterProduct& product, index_t k_begin, index_t k_end) {
  constexpr index_t waiting_tiles = 16, most = waiting_tiles * tile_rows;
  alignas(64) Real waiting[waiting_tiles * tile_sums * lanes];
  const index_t groups = ceil_div(k_end - k_begin, most);
  for (index_t group = 0; group < groups; ++group) {
    const index_t begin = k_begin + (k_end - k_begin) * group / groups;
    const index_t end = k_begin + (k_end - k_begin) * (group + 1) / groups;
    const index_t pieces = end - begin <= 2 * tile_rows ? 1 : max_of(1, ceil_div(product.n_rows, piece_rows));
    for (index_t i = 0; i < pieces; ++i) {
      const Piece piece{product.n_rows * i / pieces, product.n_rows * (i + 1) / pieces, i == 0, i + 1 == pieces};
      for_row_tiles(end - begin, tile_rows, [&](auto height, index_t first) PYRNN_INLINE_LAMBDA {
        outer_tile<decltype(height)::value, N>(product, piece, begin + first, waiting + first * N * lanes);
      });
    }
  }
}

}  // namespace pyrnn::PYRNN_NS
