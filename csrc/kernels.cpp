// Every kernel, for one instruction set and one precision: the only file that is compiled several times.
// The build defines PYRNN_NS, PYRNN_REAL and one PYRNN_ISA_*; PYRNN_BF16 for products of bf16, where there are only
// cells, as all else is the float table's. All that it defines lies in namespace PYRNN_NS.
#include "cells/cells.hpp"
#if !defined(PYRNN_BF16)
#include "ops/ops.hpp"
#include "ops/probe.hpp"
#endif
#include "sequence/backward.hpp"
#include "sequence/forward.hpp"
#include "sequence/gradients.hpp"
#include "sequence/pack.hpp"

namespace pyrnn::PYRNN_NS {

template <class Cell>
constexpr CellKernels<Real> cell_kernels() {
  return {Cell::facts,
          packed_size<Cell>,
          factors_size<Cell>,
          transposed_x_size<Cell>,
          transposed_h_size<Cell>,
          scratch_bytes<Cell>,
          weight_block_steps,
          pack<Cell>,
          unpack<Cell>,
          factor_group > 1 ? round_weights<Cell> : nullptr,
          transpose<Cell>,
          forward_steps<Cell>,
          backward_steps<Cell>,
          input_gradients<Cell>,
          weight_gradients<Cell>};
}

template <class List>
struct CellTable;

template <class... Cells>
struct CellTable<CellList<Cells...>> {
  static constexpr int size = sizeof...(Cells);
  static constexpr CellKernels<Real> kernels[] = {cell_kernels<Cells>()...};
};

inline void round_array(index_t n, const Real* x, void* factors) {
  for (index_t i = 0; i < n; i += lanes) store_factors(Vec::load(x + i), static_cast<Factor*>(factors) + i);
}

inline void dot_arrays(index_t n, const void* a, const void* b, Real* sums) {
  for (index_t i = 0; i < n; i += lanes) {
    const index_t at = i * factor_group;
    dot(Factors::load(static_cast<const Factor*>(a) + at), Factors::load(static_cast<const Factor*>(b) + at),
        Vec::load(sums + i))
        .store(sums + i);
  }
}

#if defined(PYRNN_BF16)

constexpr auto unary = nullptr;
constexpr OpsKernels<Real> ops_kernels() { return {}; }
constexpr ProbeKernels<Real> probe_kernels() { return {}; }

#else

template <Vec (*function)(Vec)>
void map_unary(index_t n, const Real* x, Real* y) {
  for (index_t i = 0; i < n; i += lanes) {
    const index_t width = min_of(lanes, n - i);
    function(Vec::load(x + i, width)).store(y + i, width);
  }
}

inline Vec exp_of(Vec x) { return exp(x); }
inline Vec tanh_of(Vec x) { return tanh(x); }
inline Vec sigmoid_of(Vec x) { return sigmoid(x); }
inline Vec log_of(Vec x) { return log(x); }

inline void unary(UnaryFunction function, index_t n, const Real* x, Real* y) {
  switch (function) {
    case UnaryFunction::exp:
      return map_unary<exp_of>(n, x, y);
    case UnaryFunction::tanh:
      return map_unary<tanh_of>(n, x, y);
    case UnaryFunction::sigmoid:
      return map_unary<sigmoid_of>(n, x, y);
    case UnaryFunction::log:
      return map_unary<log_of>(n, x, y);
  }
}

#endif

const KernelTable<Real>& kernel_table() {
  using Table = CellTable<AllCells>;
  static constexpr KernelTable<Real> table = {isa_name,      precision_name, sizeof(Factor),
                                              factor_group,  Vec::lanes,     tile_rows,
                                              Table::size,   Table::kernels, {round_array, dot_arrays},
                                              ops_kernels(), unary,          probe_kernels()};
  return table;
}

}  // namespace pyrnn::PYRNN_NS
