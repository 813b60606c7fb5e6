// Every kernel, for one instruction set and one dtype: the only file that is compiled several times.
// The build defines PYRNN_NS, PYRNN_REAL and one PYRNN_ISA_*; all that it defines lies in namespace PYRNN_NS.
#include "cells/cells.hpp"
#include "ops/ops.hpp"
#include "ops/probe.hpp"
#include "sequence/backward.hpp"
#include "sequence/forward.hpp"
#include "sequence/gradients.hpp"
#include "sequence/pack.hpp"

namespace pyrnn::PYRNN_NS {

template <class Cell>
constexpr CellKernels<Real> cell_kernels() {
  return {Cell::facts,
          packed_size<Cell>,
          transposed_x_size<Cell>,
          transposed_h_size<Cell>,
          scratch_bytes<Cell>,
          weight_block_steps,
          pack<Cell>,
          unpack<Cell>,
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

const KernelTable<Real>& kernel_table() {
  using Table = CellTable<AllCells>;
  static constexpr KernelTable<Real> table = {isa_name,       Vec::lanes,    tile_rows, Table::size,
                                              Table::kernels, ops_kernels(), unary,     probe_kernels()};
  return table;
}

}  // namespace pyrnn::PYRNN_NS
