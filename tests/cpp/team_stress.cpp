// Stress of the thread team, made for ThreadSanitizer (cmake -DPYRNN_BUILD_TESTS=ON -DPYRNN_SANITIZE=thread).
// Every check is on plain memory, so that a missing barrier is a data race as well as a wrong sum.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#include "base/aligned.hpp"
#include "base/cpu_count.hpp"
#include "base/team.hpp"

// The child of a fork starts threads here, and impossible sizes are asked for: the sanitizers take both for mistakes.
#define FOR_SANITIZERS extern "C" __attribute__((visibility("default")))
FOR_SANITIZERS const char* __tsan_default_options() { return "die_after_fork=0:allocator_may_return_null=1"; }
FOR_SANITIZERS const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace {

// The child of a threaded fork starts threads of its own. GCC's ThreadSanitizer cannot follow them ("dup thread with
// used id"), and GCC 12's AddressSanitizer may be left with its allocator locked by a thread that the child does not
// have: there the parent's side is checked, and tests/test_threads.py checks the child's.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool children_may_thread = false;
#else
constexpr bool children_may_thread = true;
#endif

void check(bool good, const char* what, int line) {
  if (good) return;
  std::fprintf(stderr, "team_stress.cpp:%d: not true: %s\n", line, what);
  std::_Exit(1);
}

#define CHECK(condition) check(condition, #condition, __LINE__)

// Workers pass numbers round in a ring, `steps` times with a barrier between; the result is known.
struct Ring {
  explicit Ring(int workers, int steps_)
      : barrier(workers, workers > pyrnn::usable_cpus()), parties(workers), steps(steps_) {
    numbers[0].resize(static_cast<std::size_t>(workers));
    numbers[1].resize(static_cast<std::size_t>(workers));
    for (int w = 0; w < workers; ++w) numbers[0][static_cast<std::size_t>(w)] = w;
  }
  static void task(int worker, void* context) {
    Ring& ring = *static_cast<Ring*>(context);
    const auto to = static_cast<std::size_t>(worker);
    const auto from = static_cast<std::size_t>((worker + 1) % ring.parties);
    for (int step = 0; step < ring.steps; ++step) {
      ring.numbers[(step + 1) % 2][to] = ring.numbers[step % 2][from] + 1;
      pyrnn::Barrier::wait_of(&ring.barrier);
    }
  }
  void check_result() const {
    for (int w = 0; w < parties; ++w) {
      CHECK(numbers[steps % 2][static_cast<std::size_t>(w)] == (w + steps) % parties + steps);
    }
  }

  pyrnn::Barrier barrier;
  int parties;
  int steps;
  std::vector<long> numbers[2];
};

// Leases the team, runs rings of every size on it; returns how often it had the team.
int run_rings(int leases, int steps) {
  int had = 0;
  for (int i = 0; i < leases; ++i) {
    const int wanted = 1 + i % 4;
    pyrnn::TeamLease lease(wanted);
    CHECK(lease.workers() == (lease.busy() ? 1 : wanted));
    for (int run = 0; run < 3; ++run) {
      Ring ring(lease.workers(), steps);
      lease.run(Ring::task, &ring);
      ring.check_result();
    }
    had += wanted > 1 && !lease.busy();
  }
  return had;
}

void nested_lease_runs_alone() {
  const pyrnn::TeamLease outer(3);
  CHECK(outer.workers() == 3);
  const pyrnn::TeamLease inner(2);
  CHECK(inner.busy() && inner.workers() == 1);
  const pyrnn::TeamLease alone(1);
  CHECK(!alone.busy());
}

void workers_wake_from_sleep() {
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(run_rings(4, 5) == 3);
  }
}

void sleepers_in_a_barrier_wake() {
  pyrnn::TeamLease lease(4);
  auto late_task = [](int worker, void* context) {
    if (worker == 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    Ring::task(worker, context);
  };
  for (int i = 0; i < 5; ++i) {
    Ring fresh(4, 6);
    lease.run(late_task, &fresh);
    fresh.check_result();
  }
}

void leases_from_many_threads(int threads, int leases) {
  std::atomic<int> had{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < threads; ++i) {
    callers.emplace_back([&had, leases] { had += run_rings(leases, 7); });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(had > 0);
}

int exit_code_of(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The child has a team of its own whatever the parent's threads are doing.
void fork_during_runs() {
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&stop] {
      while (!stop) run_rings(4, 50);
    });
  }
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(60);  // a deadlock is a failure, not a hang
      if (children_may_thread) CHECK(run_rings(8, 20) == 6);
      std::_Exit(0);
    }
    CHECK(exit_code_of(child) == 0);
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
}

// As a signal handler would do it: the lease goes on in parent and child.
void fork_inside_a_lease() {
  pyrnn::TeamLease lease(3);
  Ring before(3, 9);
  lease.run(Ring::task, &before);
  before.check_result();
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) alarm(60);
  if (child == 0 && !children_may_thread) std::_Exit(0);
  for (int i = 0; i < 3; ++i) {
    Ring after(lease.workers(), 9);
    CHECK(lease.workers() == 3);
    lease.run(Ring::task, &after);
    after.check_result();
  }
  if (child == 0) {
    const pyrnn::TeamLease inner(2);
    CHECK(inner.busy());
    std::_Exit(0);
  }
  CHECK(exit_code_of(child) == 0);
}

// exit() runs destructors while workers sleep and while a detached thread is in the middle of a run.
void exit_while_running() {
  for (int i = 0; i < 5; ++i) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(60);
      if (!children_may_thread) std::_Exit(0);
      std::thread([] {
        while (true) run_rings(4, 50);
      }).detach();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::exit(0);
    }
    CHECK(exit_code_of(child) == 0);
  }
}

void buffers_check_sizes() {
  pyrnn::AlignedBuffer<double> buffer;
  const double* first = buffer.reserve(100);
  CHECK(reinterpret_cast<std::uintptr_t>(first) % pyrnn::cache_line_bytes == 0);
  CHECK(buffer.reserve(50) == first && buffer.capacity() == 100);
  CHECK(buffer.zeroed(1000)[999] == 0);
  int refused = 0;
  constexpr auto huge = std::numeric_limits<std::ptrdiff_t>::max();
  for (const std::ptrdiff_t size : {huge, huge / 8, std::ptrdiff_t{-1}}) {
    try {
      buffer.reserve(size);
    } catch (const std::bad_alloc&) {
      ++refused;
    }
  }
  try {
    pyrnn::checked_product(huge / 2, 3);
  } catch (const std::bad_alloc&) {
    ++refused;
  }
  CHECK(refused == 4 && buffer.capacity() == 1000);
}

}  // namespace

int main() {
  alarm(600);
  buffers_check_sizes();
  CHECK(pyrnn::usable_cpus() >= 1);
  nested_lease_runs_alone();
  CHECK(run_rings(200, 40) == 150);
  workers_wake_from_sleep();
  sleepers_in_a_barrier_wake();
  leases_from_many_threads(8, 100);
  fork_inside_a_lease();
  fork_during_runs();
  exit_while_running();
  std::printf("team_stress: passed (%s)\n", pyrnn::thread_back_end());
  return 0;
}
