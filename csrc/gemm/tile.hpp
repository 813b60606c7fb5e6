// The register tile: the inner loops of every product, on accumulators that stay in registers.
// A tile has R rows, Q panels side by side and A sums a panel; each sum is one chain of FMAs in k order, or in bf16
// one chain of dot products of pairs.
#pragma once

#include "kernel_table.hpp"
#include "simd/factors.hpp"

namespace pyrnn::PYRNN_NS {

// For generic lambdas, which take it behind their parameters.
#define PYRNN_INLINE_LAMBDA __attribute__((always_inline))

constexpr index_t lanes = Vec::lanes;
constexpr index_t line_factors = 64 / sizeof(Factor);

// What the caches surely hold beside the rows that pass.
constexpr index_t first_level_bytes = 24 << 10, second_level_bytes = 768 << 10;

// The order in which a product goes through groups of weights. Where they exceed a cache, every other sweep goes back,
// so that it first meets what the cache still holds from the last one.
struct Sweep {
  index_t groups;
  bool exceeds_cache, back;

  Sweep(index_t groups_, index_t bytes, bool other)
      : groups(groups_), exceeds_cache(bytes > second_level_bytes), back(other && bytes > first_level_bytes) {}
  index_t group(index_t i) const { return back ? groups - 1 - i : i; }
  index_t next(index_t i) const { return group(i + 1 < groups ? i + 1 : i); }
};

// Weights that later tiles read, fetched into the second-level cache a line with every group of a tile. Where that
// cache holds all of them anyway, the same line is fetched again and again, which costs nothing.
struct Ahead {
  const Factor* at;
  index_t step;

  Ahead(const Factor* first, bool exceeds_cache) : at(first), step(exceeds_cache ? line_factors : 0) {}
  // Past what a tile of so many groups fetches.
  PYRNN_INLINE Ahead after(index_t groups) const {
    Ahead rest = *this;
    rest.at += groups * step;
    return rest;
  }
};

// Accumulators that fit beside the weights of one k and a broadcast.
constexpr int tile_sums = vector_registers >= 32 ? 24 : 12;
constexpr int tile_rows = tile_sums / 4;
// FMAs that must be in flight to hide the latency of one: below it a tile takes more panels a broadcast.
constexpr int max_tile_panels = 4;

// Panels side by side that fill the registers for R rows of A sums.
constexpr int panels_of_tile(int rows, int sums) {
  int panels = max_tile_panels;
  while (panels > 1 && rows * panels * sums > tile_sums) panels /= 2;
  return panels;
}

template <int N>
struct Int {
  static constexpr int value = N;
};

constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
constexpr index_t min_of(index_t a, index_t b) { return a < b ? a : b; }
constexpr index_t max_of(index_t a, index_t b) { return a > b ? a : b; }

// Calls tile(Int<R>, begin) over n rows in tiles of nearly equal height: 50 rows are 5 x 6 + 4 x 5, not 8 x 6 + 2.
template <class Tile>
PYRNN_INLINE void for_row_tiles(index_t n, index_t max_rows, const Tile& tile) {
  const index_t tiles = ceil_div(n, max_rows);
  index_t begin = 0;
  for (index_t i = 0; i < tiles; ++i) {
    const index_t end = n * (i + 1) / tiles;
    switch (end - begin) {
      case 1:
        tile(Int<1>{}, begin);
        break;
      case 2:
        tile(Int<2>{}, begin);
        break;
      case 3:
        tile(Int<3>{}, begin);
        break;
      case 4:
        if constexpr (tile_rows >= 4) tile(Int<4>{}, begin);
        break;
      case 5:
        if constexpr (tile_rows >= 5) tile(Int<5>{}, begin);
        break;
      case 6:
        if constexpr (tile_rows >= 6) tile(Int<6>{}, begin);
        break;
      default:
        break;
    }
    begin = end;
  }
}
static_assert(tile_rows <= 6, "for_row_tiles knows heights up to 6");

// Groups by which one row runs ahead of itself where its weights exceed the second-level cache: it uses each line
// once, so nothing hides how far they come from.
constexpr index_t groups_ahead = 6;

// sums[r][q][Map::sum(n)] += a[r] group k * w[k * w_k + q * w_q] block n, for groups k in order, n < N.
// Map::sum(n) says which sum block n of the weights adds to; Map::blocks is N.
template <class Map, bool far, int R, int Q, int A>
PYRNN_INLINE void accumulate_groups(Vec (&sums)[R][Q][A], const Factor* const (&a)[R], const Factor* w, index_t w_k,
                                    index_t w_q, index_t groups, Ahead ahead) {
  constexpr int N = Map::blocks;
  for (index_t k = 0; k < groups; ++k) {
    if constexpr (!far) __builtin_prefetch(ahead.at + k * ahead.step, 0, 2);
    Factors block[Q][N];
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const Factor* at = w + k * w_k + q * w_q + n * lanes * factor_group;
        if constexpr (far) __builtin_prefetch(at + groups_ahead * w_k);
        block[q][n] = Factors::load(at);
      }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Factors a_rk = Factors::broadcast(a[r] + k * factor_group);
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) sums[r][q][Map::sum(n)] = dot(a_rk, block[q][n], sums[r][q][Map::sum(n)]);
    }
  }
}

template <class Map, int R, int Q, int A>
PYRNN_INLINE void accumulate(Vec (&sums)[R][Q][A], const Factor* const (&a)[R], const Factor* w, index_t w_k,
                             index_t w_q, index_t groups, Ahead ahead) {
  if constexpr (R == 1)
    if (ahead.step != 0) return accumulate_groups<Map, true>(sums, a, w, w_k, w_q, groups, ahead);
  accumulate_groups<Map, false>(sums, a, w, w_k, w_q, groups, ahead);
}

// Keeps blocks 0 .. N - 1 in place: the map of a plain matrix product.
template <int N>
struct Identity {
  static constexpr int blocks = N;
  static constexpr int sum(int n) { return n; }
};

}  // namespace pyrnn::PYRNN_NS
