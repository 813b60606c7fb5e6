// Runs the work of one call: on one thread with the GIL where it is short, else without the GIL and split over the
// team.
#pragma once

#include <algorithm>
#include <optional>

#include "base/aligned.hpp"
#include "base/cpu_count.hpp"
#include "base/float_mode.hpp"
#include "base/team.hpp"
#include "bindings/arrays.hpp"
#include "bindings/gil.hpp"
#include "dispatch/registry.hpp"
#include "dispatch/report.hpp"

namespace pyrnn::bindings {

constexpr double release_gil_us = 20;   // shorter work keeps the GIL
constexpr double worker_share_us = 20;  // what a worker must have to be worth waking
constexpr double chunk_us = 15000;      // between looks at signals

// What one call runs on. force: None, or the tests' dict with any of "isa" (a table's name) and "workers".
template <class T>
struct Runner {
  const KernelTable<T>* table = &best_table<T>();
  int threads = 1;
  int forced_workers = 0;

  Runner(const char* call, py::handle threads_argument, py::handle force) {
    threads = threads_argument.is_none() ? get_num_threads()
                                         : static_cast<int>(read_count(threads_argument, "threads", 1, max_threads));
    if (!force.is_none()) {
      if (!PyDict_Check(force.ptr())) type_error("_force", "a dict or None", describe(force));
      for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(force)) {
        const std::string text = py::str(key);
        if (text == "isa") {
          table = &table_by_name<T>(py::str(value));
        } else if (text == "workers") {
          forced_workers = static_cast<int>(read_count(value, "_force['workers']", 1, max_threads));
        } else {
          value_error("_force", "keys 'isa' and 'workers'", "'" + text + "'");
        }
      }
    }
    Report& report = last_report();
    const bool copied = report.copied_inputs;
    report = Report{};
    report.call = call;
    report.dtype = text_of(dtype_of<T>);
    report.precision = report.dtype;
    report.isa = table->isa;
    report.copied_inputs = copied;
  }

  // At most as many as there are grains; by default as many as the work is worth.
  int workers(double us, index_t n, index_t grain) const {
    if (forced_workers > 0) return forced_workers;
    const double most = std::min({static_cast<double>(threads), us / worker_share_us,
                                  static_cast<double>(n) / static_cast<double>(std::max<index_t>(grain, 1))});
    return std::max(1, static_cast<int>(most));
  }

  // body(begin, end, worker) over parts of 0 .. n that begin at multiples of grain.
  template <class Body>
  void run(double us, index_t n, index_t grain, const Body& body) const {
    std::optional<GilRelease> without_gil;
    const int wanted = workers(us, n, grain);
    if (us >= release_gil_us || wanted > 1) without_gil.emplace();
    const FlushDenormals mode;
    Report& report = last_report();
    report.gil_released = without_gil.has_value();
    report.workers = 1;
    ++report.chunks;
    if (wanted == 1) return body(index_t{0}, n, 0);

    TeamLease lease(wanted);
    report.workers = lease.workers();
    report.busy = lease.busy();
    struct Context {
      const Body& body;
      index_t n, grain;
      int workers;
    } context{body, n, grain, lease.workers()};
    const auto task = [](int worker, void* of) {
      const Context& c = *static_cast<const Context*>(of);
      const index_t grains = (c.n + c.grain - 1) / c.grain;
      const index_t begin = std::min(c.n, grains * worker / c.workers * c.grain);
      const index_t end = std::min(c.n, grains * (worker + 1) / c.workers * c.grain);
      if (begin < end) c.body(begin, end, worker);
    };
    lease.run(task, &context);
  }
};

// Python's exception where a signal's handler raised one; needs the GIL.
inline void check_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// Pieces of the work between which to look at signals, at most n.
inline index_t chunks_of(double us, index_t n) {
  return std::max<index_t>(1, std::min(n, static_cast<index_t>(us / chunk_us) + 1));
}

template <class Use>
auto with_dtype(Dtype dtype, const Use& use) {
  return dtype == Dtype::float32 ? use(float{}) : use(double{});
}

}  // namespace pyrnn::bindings
