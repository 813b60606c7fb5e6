// The same team on OpenMP (-DPYRNN_OPENMP=ON): OpenMP keeps the threads, one run is one parallel region.
#include "base/team.hpp"

#if defined(PYRNN_OPENMP)

#include <omp.h>
#include <pthread.h>

#include <atomic>
#include <new>
#include <stdexcept>
#include <string>

#include "base/cpu_count.hpp"
#include "base/float_mode.hpp"

#define PYRNN_TEXT_OF(x) #x
#define PYRNN_TEXT(x) PYRNN_TEXT_OF(x)

namespace pyrnn {

struct Team {
  std::atomic<bool> taken{false};
};

namespace {

Team the_team;
std::atomic<unsigned> forks{0};
std::atomic<bool> started{false};

// GNU OpenMP's child would wait for threads that only the parent has; so the parent ends its idle ones first.
// Inside a parallel region the call does nothing, and such a child must not use OpenMP, as OpenMP says.
void before_fork() { omp_pause_resource_all(omp_pause_soft); }

void after_fork_in_child() {
  forks.fetch_add(1, std::memory_order_relaxed);
  started.store(false, std::memory_order_relaxed);
  the_team.taken.store(false, std::memory_order_relaxed);
}

const bool fork_handlers_are_set = pthread_atfork(before_fork, nullptr, after_fork_in_child) == 0;

// Asks for exactly this many threads, whatever OMP_DYNAMIC says; returns how many there were.
// The task runs only if there were as many.
int parallel_region(int threads, TeamLease::Task task, void* context) {
  const int dynamic = omp_get_dynamic();
  omp_set_dynamic(0);
  int given = 0;
#pragma omp parallel num_threads(threads)
  {
    const int worker = omp_get_thread_num();
    const bool complete = omp_get_num_threads() == threads;
    if (worker == 0) given = omp_get_num_threads();
    if (complete && worker == 0) task(0, context);
    if (complete && worker != 0) {
      const FlushDenormals mode;
      task(worker, context);
    }
  }
  omp_set_dynamic(dynamic);
  return given;
}

void nothing(int, void*) {}

}  // namespace

TeamLease::TeamLease(int workers_wanted) : forks_(forks.load(std::memory_order_relaxed)) {
  if (workers_wanted <= 1) return;
  if (!fork_handlers_are_set) throw std::bad_alloc();  // the only reason pthread_atfork fails for
  busy_ = the_team.taken.exchange(true, std::memory_order_acquire);
  if (busy_) return;
  team_ = &the_team;
  workers_ = parallel_region(workers_wanted, nothing, nullptr);
  crowded_ = workers_ > usable_cpus();
  started.store(true, std::memory_order_relaxed);
}

TeamLease::~TeamLease() {
  if (team_ != nullptr && forks_ == forks.load(std::memory_order_relaxed)) {
    team_->taken.store(false, std::memory_order_release);
  }
}

// How long OpenMP's threads stay awake is OMP_WAIT_POLICY's affair; by default it is long enough.
bool TeamLease::is_awake(int) noexcept { return started.load(std::memory_order_relaxed); }
void TeamLease::rouse(int workers) { const TeamLease lease(workers); }

void TeamLease::run(Task task, void* context) {
  if (workers_ == 1) return task(0, context);
  if (forks_ != forks.load(std::memory_order_relaxed)) {
    // A signal handler forked between two runs and this is the child: OpenMP starts new threads, the lease goes on.
    forks_ = forks.load(std::memory_order_relaxed);
    if (the_team.taken.exchange(true, std::memory_order_acquire)) team_ = nullptr;  // somebody else's to release
  }
  const int given = parallel_region(workers_, task, context);
  if (given != workers_) {
    throw std::runtime_error("threads: OpenMP gave " + std::to_string(given) + " of " + std::to_string(workers_) +
                             " threads; see OMP_THREAD_LIMIT");
  }
}

const char* thread_back_end() noexcept { return "OpenMP " PYRNN_TEXT(_OPENMP); }

}  // namespace pyrnn

#endif
