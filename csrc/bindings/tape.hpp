// What forward keeps for backward, and what backward returns.
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <variant>

#include "bindings/pass.hpp"

namespace pyrnn::bindings {

// An object that two calls must not use at once.
class Use {
 public:
  Use(std::atomic<bool>& flag, const char* name) : flag_(flag) {
    if (flag_.exchange(true, std::memory_order_acquire))
      throw std::runtime_error(std::string(name) + ": in use by another call; give each thread its own");
  }
  ~Use() { flag_.store(false, std::memory_order_release); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  std::atomic<bool>& flag_;
};

template <class T>
struct Record {
  Pass<T> passes[max_passes];
  int n = 0;
};

struct Tape {
  std::atomic<bool> in_use{false};
  bool consumed = false;  // backward has overwritten it
  TapeMode mode;          // as asked for; a new recording in its memory has it too
  std::variant<std::monostate, Record<float>, Record<double>> record;

  // Gives away the memory of direction i, for a new recording.
  Block take_memory(int i) {
    Block memory;
    std::visit(
        [&](auto& r) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(r)>, std::monostate>)
            memory = std::move(r.passes[i].memory);
        },
        record);
    return memory;
  }
};

// Gradients of Weights, in the packed layout.
template <class T>
struct PackedGradients {
  std::shared_ptr<WeightsOf<T>> weights;  // whose layout and cell it has
  Block memory;
  T* data() const { return static_cast<T*>(memory.data()); }
};

struct Gradients {
  std::atomic<bool> in_use{false};
  // What `into=` must match.
  const CellFacts* facts = nullptr;
  Dtype dtype = Dtype::float32;
  index_t inputs = 0, units = 0;
  bool has_bias = false;
  bool cleared = false;  // packed gradients count as 0, whatever the memory holds

  py::object x = py::none(), state = py::none();
  py::object W_x = py::none(), W_h = py::none(), b = py::none();  // of plain arrays
  std::variant<std::monostate, PackedGradients<float>, PackedGradients<double>> packed;
};

}  // namespace pyrnn::bindings
