// The team on std::thread. Workers are detached and the team is leaked: nothing is joined at exit, and the child of a
// fork, where the workers do not exist, forgets the team without touching its locks.
#include "base/team.hpp"

#if !defined(PYRNN_OPENMP)

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "base/cpu_count.hpp"
#include "base/float_mode.hpp"
#include "base/placement.hpp"

namespace pyrnn {
namespace {

constexpr int idle_spin_us = 200;   // of a worker, for the next run
constexpr int finish_spin_us = 50;  // of the caller, for the workers

struct Worker {
  Signal start;
  Signal done;
  std::uint32_t runs = 0;  // only the lease holder touches it, and the handle
  std::thread::native_handle_type thread{};
};

}  // namespace

struct Team {
  alignas(cache_line_bytes) std::atomic<bool> taken{false};
  std::atomic<bool> crowded{false};  // as the last lease was
  std::atomic<int> n_others{0};      // anybody may look at so many workers, which live for ever
  // The rest belongs to the lease holder. Workers read task and context between start and done.
  alignas(cache_line_bytes) TeamLease::Task task = nullptr;
  void* context = nullptr;
  std::unique_ptr<Worker> others[max_threads - 1];  // worker w is others[w - 1]
  Placement placement;
};

namespace {

std::atomic<Team*> current_team{nullptr};
std::atomic<unsigned> forks{0};

void after_fork_in_child() {
  forks.fetch_add(1, std::memory_order_relaxed);
  current_team.store(nullptr, std::memory_order_relaxed);
}

const bool fork_handler_is_set = pthread_atfork(nullptr, nullptr, after_fork_in_child) == 0;

// Signals belong to the caller's threads, but for those that a fault of the worker itself raises.
class BlockSignals {
 public:
  BlockSignals() noexcept {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &saved_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t saved_;
};

[[noreturn]] void work(const Team* team, Worker* self, int worker) noexcept {
  const FlushDenormals mode;
  for (std::uint32_t run = 1;; ++run) {
    self->start.wait(run, idle_spin_us, team->crowded.load(std::memory_order_relaxed));
    team->task(worker, team->context);
    self->done.set(run);
  }
}

void grow(Team* team, int workers) {
  for (int worker = team->n_others.load(std::memory_order_relaxed) + 1; worker < workers; ++worker) {
    const BlockSignals blocked;  // a thread inherits its creator's mask
    auto other = std::make_unique<Worker>();
    try {
      std::thread thread(work, team, other.get(), worker);
      other->thread = thread.native_handle();
      thread.detach();
    } catch (const std::system_error& error) {
      throw std::runtime_error("threads: could not start worker " + std::to_string(worker) + " of " +
                               std::to_string(workers) + " (" + error.what() + "); ask for fewer threads");
    }
    team->others[worker - 1] = std::move(other);
    team->n_others.store(worker, std::memory_order_release);
  }
}

Worker& other_of(Team& team, int worker) { return *team.others[worker - 1]; }

Team* find_team() {
  Team* team = current_team.load(std::memory_order_acquire);
  if (team != nullptr) return team;
  auto fresh = std::make_unique<Team>();
  if (current_team.compare_exchange_strong(team, fresh.get(), std::memory_order_acq_rel)) team = fresh.release();
  return team;
}

}  // namespace

TeamLease::TeamLease(int workers_wanted) : forks_(forks.load(std::memory_order_relaxed)) {
  if (workers_wanted <= 1) return;
  if (!fork_handler_is_set) throw std::bad_alloc();  // the only reason pthread_atfork fails for
  Team* team = find_team();
  busy_ = team->taken.exchange(true, std::memory_order_acquire);
  if (busy_) return;
  try {
    grow(team, workers_wanted);
  } catch (...) {
    team->taken.store(false, std::memory_order_release);
    throw;
  }
  team_ = team;
  workers_ = workers_wanted;
  crowded_ = workers_ > usable_cpus();
  team->crowded.store(crowded_, std::memory_order_relaxed);
}

TeamLease::~TeamLease() {
  if (team_ != nullptr) team_->taken.store(false, std::memory_order_release);
}

bool TeamLease::is_awake(int workers) noexcept {
  Team* team = current_team.load(std::memory_order_acquire);
  if (team == nullptr || team->n_others.load(std::memory_order_acquire) + 1 < workers) return false;
  for (int worker = 1; worker < workers; ++worker) {
    if (other_of(*team, worker).start.has_sleepers()) return false;
  }
  return true;
}

void TeamLease::rouse(int workers) {
  const TeamLease lease(workers);
  if (lease.team_ == nullptr) return;  // busy, so awake
  for (int worker = 1; worker < workers; ++worker) other_of(*lease.team_, worker).start.rouse();
}

void TeamLease::run(Task task, void* context) {
  if (workers_ == 1) return task(0, context);
  if (forks_ != forks.load(std::memory_order_relaxed)) {
    // A signal handler forked between two runs and this is the child: carry on with workers of its own.
    auto fresh = std::make_unique<Team>();
    fresh->taken.store(true, std::memory_order_relaxed);
    grow(fresh.get(), workers_);
    team_ = fresh.release();
    forks_ = forks.load(std::memory_order_relaxed);
    Team* none = nullptr;
    current_team.compare_exchange_strong(none, team_, std::memory_order_acq_rel);
  }
  if (team_->placement.is_stale(workers_))
    team_->placement.place(workers_, [&](int worker) { return other_of(*team_, worker).thread; });
  team_->task = task;
  team_->context = context;
  for (int worker = 1; worker < workers_; ++worker) {
    Worker& other = other_of(*team_, worker);
    other.start.set(++other.runs);
  }
  task(0, context);
  for (int worker = 1; worker < workers_; ++worker) {
    Worker& other = other_of(*team_, worker);
    other.done.wait(other.runs, finish_spin_us, crowded_);
  }
}

const char* thread_back_end() noexcept { return "std::thread"; }

}  // namespace pyrnn

#endif
