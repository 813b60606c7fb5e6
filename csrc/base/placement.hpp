// Keeps a team's threads on different CPUs. Some schedulers pack threads that wake each other onto one CPU and take
// seconds to spread them, which costs a team of two everything that it could win.
#pragma once

#include <pthread.h>

#if defined(__linux__)
#include <sched.h>

namespace pyrnn {

// The CPUs that the caller may run on, dealt out to the workers, none of whom gets the one that the caller is on.
// With fewer CPUs than threads there is nothing to deal, and the scheduler decides.
class Placement {
 public:
  // Whether the caller has moved, or may use other CPUs, since the workers were placed.
  bool is_stale(int workers) const noexcept { return workers != workers_ || sched_getcpu() != caller_cpu_; }

  // thread_of(worker) for worker = 1 .. workers - 1.
  template <class ThreadOf>
  void place(int workers, const ThreadOf& thread_of) noexcept {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
    workers_ = workers;
    caller_cpu_ = sched_getcpu();
    const bool deal = CPU_COUNT(&allowed) >= workers && caller_cpu_ >= 0;
    for (int worker = 1; worker < workers; ++worker) {
      cpu_set_t own = allowed;
      if (deal) own = hand_of(allowed, worker, workers);
      // A refusal leaves the worker where the scheduler puts it, which is slower and no less right.
      (void)pthread_setaffinity_np(thread_of(worker), sizeof(own), &own);
    }
  }

 private:
  cpu_set_t hand_of(const cpu_set_t& allowed, int worker, int workers) const noexcept {
    cpu_set_t own;
    CPU_ZERO(&own);
    int dealt = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed) || cpu == caller_cpu_) continue;
      if (dealt++ % (workers - 1) == worker - 1) CPU_SET(cpu, &own);
    }
    return own;
  }

  int workers_ = 0;
  int caller_cpu_ = -1;
};

}  // namespace pyrnn

#else

namespace pyrnn {

class Placement {
 public:
  bool is_stale(int) const noexcept { return false; }
  template <class ThreadOf>
  void place(int, const ThreadOf&) noexcept {}
};

}  // namespace pyrnn

#endif
