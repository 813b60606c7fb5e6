// The treaty between the kernels and the rest: plain C types, no SIMD, no STL, no Python.
// It is the only header that code compiled for one instruction set shares with code compiled for all.
//
// Letters: T steps, B batch, D inputs, H units, G gates, L lanes (vector width), P = ceil(H / L) panels.
// Factors are what products multiply: elements of type T, or bf16 in groups of g = 2, where D' and H' are D and H
// rounded up to whole groups, the rest 0. They are `void` here, as only the table knows their type.
//
// Layouts every kernel table shares (only L and the factors differ):
//   packed weights        [P][bias_rows + D + H][G][L]      rows: biases, then W_x, then W_h; lanes past H are 0
//   factors of them       the packed weights themselves, or where g > 1 [P][(D' + H') / g][G][L][g], without the biases
//   transposed W_x        [ceil(D / L)][P * G * L / g][L][g]   factors; row (p * G + rank) * L + l is unit p * L + l of
//   transposed W_h        [P][P * G * L / g][L][g]             a gate, in the order of the slots
//   slots (tape)          [steps][B][P][slots][L]           what the cell keeps
//   gradients of sums     as slots, the first `sums` of them, as factors: in place of the slots where T is the factor
//   states, operands      [steps + 1][B][pitch]             by processing step s; lanes H..pitch are 0
// A processing step s is time t = s, or t = T - 1 - s where `reverse`. Where only a segment of the steps is kept, the
// first step in these arrays is kept_begin.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops_table.hpp"

namespace pyrnn {

using index_t = std::ptrdiff_t;

constexpr int max_gates = 8;
constexpr int max_states = 4;
constexpr int max_slots = 8;
constexpr int max_phases = 2;

// What Python, the bindings and the tests know of a cell; written once, in csrc/cells/<cell>.hpp.
struct CellFacts {
  const char* name;
  int gates;
  const char* gate_names[max_gates];  // column blocks of W_x, W_h and b, in order
  int states;
  const char* state_names[max_states];  // the first is the output h
  int bias_rows;                        // 1: b (G*H); 2: b (2, G*H), input and recurrent bias
  int slots;
  const char* slot_names[max_slots];  // what the tape keeps of a unit and step
  int sums;                           // accumulators a unit; their gradients are the first slots of backward
  int phases;
};

// One call over a sequence. Forward reads and writes the upper part; backward also uses the lower part.
template <class T>
struct SequenceJob {
  index_t steps, batch, inputs, units;
  index_t pitch;  // elements between two rows of a state: >= P * L, a multiple of L
  bool reverse;
  bool hold;           // y of a masked step is the previous y, not 0
  bool keep;           // steps are kept for backward; else states and operands are rings of two steps, slots of one
  index_t kept_begin;  // with keep: the first step whose data lies in memory; else 0

  const T* x;  // x[t * x_t + b * x_b + d]
  index_t x_t, x_b;
  const T* x_scale;  // (B, D) or null
  void* x_factors;   // x as it is multiplied, null where that is x itself; written by forward, indexed by s:
                     // [keep ? steps kept : max(hoisted_steps, 1)][B][D']
  const T* h_scale;  // (B, pitch), lanes past H 0, or null

  const T* zoneout[max_states];  // (T, B, pitch) by t: share of the previous state that is kept, or null
  const std::int64_t* lengths;   // (B) or null
  const std::uint8_t* mask;      // (T, B) or null: false steps carry the state
  const std::uint8_t* resets;    // (T, B) or null: cuts between t - 1 and t
  const T* zeros;                // (pitch) zeros: the previous state of a row that is cut

  const T* weights;           // packed; forward reads the biases
  const void* factors;        // of the weights
  index_t sweeps;             // of earlier calls over them: the next one goes back over what the caches still hold
  T* state[max_states];       // step 0 is the initial state
  void* operand[max_phases];  // factors. [0]: h * h_scale, laid out as a state, null where that is the state itself;
                              // [1]: what phase 1 multiplies, [keep ? steps : 1][B][pitch], null for one phase
  T* slots;                   // null where nothing is kept and the cell has one phase
  T* y;                       // y[t * y_t + b * y_b + h], or null
  index_t y_t, y_b;
  T* hoisted;             // null, or [hoisted_steps][B][P][sums][L]: the x parts of the sums of so many steps are
  index_t hoisted_steps;  // computed together before the steps run

  const T* dy;  // or null
  index_t dy_t, dy_b;
  const T* dstates[max_states];  // (T, B, H) by t: gradients into every step's states, or null
  T* dstate[max_states];         // (B, pitch), in: of the final state, out: of the initial state
  T* dhold;                      // (B, pitch) zeros on entry; with hold only
  T* doperand;                   // (B, pitch) scratch; two phases only
  void* dsums;                   // gradients of the sums; null: in place of the slots
  const void* transposed_x;      // null where dx is null
  const void* transposed_h;
  T* dx;  // or null
  index_t dx_t, dx_b;
  T* dweights;  // packed layout; weight_gradients assigns the sums of the block that it meets first, adds the others'
};

// One worker's part of a job. Workers of the same rows (unit_parts of them) meet at the barrier.
struct Share {
  index_t batch_begin, batch_end;  // rows of forward_steps and backward_steps
  index_t unit_part, unit_parts;   // slice of the panels in forward_steps and backward_steps
  index_t worker, workers;         // slice of the outputs in input_gradients and weight_gradients
  void (*barrier)(void*);          // unused where unit_parts == 1
  void* barrier_of;
  void* scratch;      // scratch_bytes(), aligned to 64, this worker's own
  index_t tile_rows;  // 0: the table's choice; tests force 1 .. table.tile_rows
};

template <class T>
struct CellKernels {
  CellFacts facts;
  index_t (*packed_size)(index_t inputs, index_t units);
  index_t (*factors_size)(index_t inputs, index_t units);       // 0 where the packed weights are the factors
  index_t (*transposed_x_size)(index_t inputs, index_t units);  // in factors
  index_t (*transposed_h_size)(index_t units);
  index_t (*scratch_bytes)(index_t steps, index_t batch, index_t inputs, index_t units);
  index_t (*weight_block_steps)(index_t batch);  // steps in one block of weight_gradients

  // W_x (D, G*H) and W_h (H, G*H) with row strides in elements; b (bias_rows, G*H) contiguous, or null for zeros.
  void (*pack)(index_t inputs, index_t units, const T* W_x, index_t W_x_row, const T* W_h, index_t W_h_row, const T* b,
               T* packed);
  // The way back, into contiguous arrays; any of them may be null. add: += instead of =.
  void (*unpack)(index_t inputs, index_t units, const T* packed, T* W_x, T* W_h, T* b, bool add);
  void (*round)(index_t inputs, index_t units, const T* packed, void* factors);  // null where factors_size is 0
  void (*transpose)(index_t inputs, index_t units, const T* packed, void* transposed_x, void* transposed_h);

  void (*forward_steps)(const SequenceJob<T>* job, const Share* share, index_t s_begin, index_t s_end);
  // Processes s_end - 1 down to s_begin.
  void (*backward_steps)(const SequenceJob<T>* job, const Share* share, index_t s_begin, index_t s_end);
  // dx of t_begin .. t_end, from the gradients of the sums that backward_steps left in the slots.
  void (*input_gradients)(const SequenceJob<T>* job, const Share* share, index_t t_begin, index_t t_end);
  // Blocks of weight_block_steps whole steps on absolute t, numbered as forward meets them (with `reverse` the block of
  // the latest t is block 0); processes block_end - 1 down to block_begin.
  void (*weight_gradients)(const SequenceJob<T>* job, const Share* share, index_t block_begin, index_t block_end);
};

// How fast one core computes and loads, for the roofline of the benchmarks. The results mean nothing.
template <class T>
struct ProbeKernels {
  index_t fma_flops;      // of one round
  index_t load_elements;  // of one block
  T (*fma)(index_t rounds, const T* add, const T* factor);
  T (*load)(index_t passes, index_t blocks, const T* x);
};

// The arithmetic of products on arrays, for tests. n is a multiple of the lanes.
template <class T>
struct FactorKernels {
  void (*round)(index_t n, const T* x, void* factors);
  void (*dot)(index_t n, const void* a, const void* b, T* sums);  // n groups; sums += a * b
};

enum class UnaryFunction : int { exp, tanh, sigmoid, log };

template <class T>
struct KernelTable {
  const char* isa;  // "avx512", "avx2", "portable"; "avx512bf16", which only has bf16
  const char*
      precision;  // of the factors: "float32", "float64", "bf16"; a bf16 table only has cells and factor kernels
  int factor_bytes, factor_group;
  int lanes;
  int tile_rows;  // largest row count of a register tile
  int n_cells;
  const CellKernels<T>* cells;
  FactorKernels<T> factors;
  OpsKernels<T> ops;
  void (*unary)(UnaryFunction function, index_t n, const T* x, T* y);
  ProbeKernels<T> probe;
};

}  // namespace pyrnn
