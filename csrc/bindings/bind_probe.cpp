// Measures one core through the kernels that the engine runs: for the roofline of the benchmarks.
#include <pybind11/pybind11.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/float_mode.hpp"
#include "bindings/gil.hpp"
#include "bindings/register.hpp"
#include "dispatch/registry.hpp"

namespace py = pybind11;

namespace pyrnn::bindings {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double chunk_seconds = 100e-6;  // between two looks at the clock
constexpr index_t unary_elements = 1024;

// What a kernel does per second: `work(n)` repeats it n times and returns how much that was. The median of the chunks,
// as the system may run something else during some of them.
template <class Work>
double rate_of(const Work& work, double seconds) {
  std::vector<double> rates;
  index_t times = 1;
  const Clock::time_point start = Clock::now();
  for (double taken = 0; taken < seconds || rates.empty();) {
    const double before = taken;
    const double done = work(times);
    taken = std::chrono::duration<double>(Clock::now() - start).count();
    if (taken - before >= chunk_seconds) {
      rates.push_back(done / (taken - before));
    } else {
      times *= 2;
    }
  }
  const auto middle = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2);
  std::nth_element(rates.begin(), middle, rates.end());
  return *middle;
}

// On huge pages where the system grants them: what the hardware can do, not what its page tables cost.
std::unique_ptr<float, decltype(&std::free)> new_memory(index_t elements) {
  constexpr std::size_t huge_page_bytes = std::size_t{1} << 21;
  std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
  bytes = (bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes;
  void* memory = std::aligned_alloc(huge_page_bytes, bytes);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);  // advice: where it is refused, small pages are what there is
#endif
  float* first = static_cast<float*>(memory);
  std::fill(first, first + elements, 1.0f);
  return {first, &std::free};
}

double load_rate(const ProbeKernels<float>& kernels, index_t bytes, double seconds) {
  const index_t block_bytes = kernels.load_elements * index_t{sizeof(float)};
  const index_t blocks = std::max<index_t>(1, (bytes + block_bytes / 2) / block_bytes);
  const auto memory = new_memory(blocks * kernels.load_elements);
  const auto work = [&](index_t times) {
    kernels.load(times, blocks, memory.get());
    return static_cast<double>(times) * static_cast<double>(blocks * block_bytes);
  };
  work(2);  // what fits a cache is in it now
  return rate_of(work, seconds);
}

double fma_rate(const ProbeKernels<float>& kernels, double seconds) {
  const float add = 0.25f, factor = 0.75f;
  return rate_of(
      [&](index_t times) {
        kernels.fma(times, &add, &factor);
        return static_cast<double>(times * kernels.fma_flops);
      },
      seconds);
}

double unary_rate(const KernelTable<float>& table, UnaryFunction function, double seconds) {
  float x[unary_elements], y[unary_elements];
  for (index_t i = 0; i < unary_elements; ++i)
    x[i] = static_cast<float>(i - unary_elements / 2) * (4.0f / unary_elements);
  return rate_of(
      [&](index_t times) {
        for (index_t i = 0; i < times; ++i) table.unary(function, unary_elements, x, y);
        return static_cast<double>(times * unary_elements);
      },
      seconds);
}

// "fma": float operations, two an FMA; "load": bytes, read over and over from an array of so many; "sigmoid" and
// "tanh": elements. Per second, on the calling thread, without the GIL, so that several threads can be measured at
// once.
double probe(const std::string& what, index_t bytes, double milliseconds, const std::string& isa) {
  if (!(milliseconds > 0) || milliseconds > 1000)
    throw py::value_error("milliseconds: expected more than 0 and at most 1000, got " + std::to_string(milliseconds));
  if (what == "load" && bytes < 1) throw py::value_error("bytes: expected at least 1, got " + std::to_string(bytes));
  const KernelTable<float>& table = isa.empty() ? best_table<float>() : table_by_name<float>(isa);
  const double seconds = milliseconds * 1e-3;
  const GilRelease released;
  const FlushDenormals mode;
  if (what == "fma") return fma_rate(table.probe, seconds);
  if (what == "load") return load_rate(table.probe, bytes, seconds);
  if (what == "sigmoid") return unary_rate(table, UnaryFunction::sigmoid, seconds);
  if (what == "tanh") return unary_rate(table, UnaryFunction::tanh, seconds);
  throw py::value_error("what: expected fma, load, sigmoid or tanh, got '" + what + "'");
}

}  // namespace

void register_probe(py::module_& module) {
  module.def("_probe", probe, py::arg("what"), py::arg("bytes") = 0, py::arg("milliseconds") = 5.0,
             py::arg("isa") = "");
}

}  // namespace pyrnn::bindings
