// Packed weights: one master in the layout of a kernel table, copies derived from it where a call asks for them.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>

#include "bindings/arrays.hpp"
#include "bindings/pool.hpp"
#include "dispatch/registry.hpp"
#include "kernel_table.hpp"

namespace pyrnn::bindings {

// What Python's Weights holds, whatever the dtype.
struct AnyWeights {
  AnyWeights(Dtype dtype_, Precision precision_, const CellFacts& facts_, index_t inputs_, index_t units_,
             bool has_bias_)
      : dtype(dtype_), precision(precision_), facts(facts_), inputs(inputs_), units(units_), has_bias(has_bias_) {}
  virtual ~AnyWeights() = default;
  AnyWeights(const AnyWeights&) = delete;
  AnyWeights& operator=(const AnyWeights&) = delete;

  const Dtype dtype;
  const Precision precision;
  const CellFacts& facts;
  const index_t inputs, units;
  const bool has_bias;
  std::atomic<std::uint64_t> version{0};
  std::atomic<index_t> sweeps{0};  // that forward has made; only a hint, so calls at once may lose some
};

// W_x (D, G*H), W_h (H, G*H), b (G*H) or (2, G*H) of one cell, as arguments.
template <class T>
struct PlainWeights {
  Input<T> W_x, W_h, b;
  index_t inputs() const { return W_x.shape[0]; }
  index_t units() const { return W_h.shape[0]; }
};

template <class T>
PlainWeights<T> read_weights(const CellFacts& facts, py::handle W_x, py::handle W_h, py::handle b, Name W_x_name,
                             Name W_h_name, Name b_name, const char* like);

template <class T>
struct WeightsOf final : AnyWeights {
  WeightsOf(const KernelTable<T>& table_, const CellKernels<T>& kernels_, const PlainWeights<T>& plain);

  // Factors that are derived from one version of the packed weights.
  struct Factors {
    Block memory;
    std::uint64_t version;
    void *x, *h;
  };

  void set(const PlainWeights<T>& plain);
  T* packed() const { return static_cast<T*>(master.data()); }
  index_t packed_size() const { return kernels.packed_size(inputs, units); }
  std::shared_ptr<const Factors> transposed();
  std::shared_ptr<const Factors> rounded();  // all in x; only where the table says that they have a size

  const KernelTable<T>& table;
  const CellKernels<T>& kernels;

 private:
  Block master;
  std::mutex mutex;  // held with the GIL, so a fork finds it free
  std::shared_ptr<Factors> latest_transposed, latest_rounded;

  template <class Fill>
  std::shared_ptr<const Factors> derive(std::shared_ptr<Factors>& latest, index_t x_size, index_t h_size,
                                        const Fill& fill);
};

// Copies of the parts of an array in the packed layout.
template <class T>
struct Unpacked {
  py::object W_x, W_h, b;
};

template <class T>
Unpacked<T> unpack(const CellKernels<T>& kernels, index_t inputs, index_t units, bool has_bias, const T* packed,
                   bool want_W_x = true, bool want_W_h = true, bool want_b = true);

template <class T>
const CellKernels<T>& find_cell(const KernelTable<T>& table, py::handle cell, Name name);

Precision read_precision(py::handle precision);  // None or "bf16"
// TypeError where bf16 meets float64.
void check_precision(Precision precision, Dtype dtype, Name name, py::handle array);
inline Precision precision_of(const char* name) {
  return std::strcmp(name, "bf16") == 0 ? Precision::bf16 : Precision::of_dtype;
}

// A Weights argument, or null where the object is something else.
std::shared_ptr<AnyWeights> as_weights(py::handle object);

}  // namespace pyrnn::bindings
