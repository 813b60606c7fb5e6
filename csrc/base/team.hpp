// The thread team: workers that live as long as the process and sleep between calls.
// team.cpp (std::thread) or team_openmp.cpp implements it; no other file knows std::thread or OpenMP.
#pragma once

#include "base/barrier.hpp"

namespace pyrnn {

struct Team;

// The team for the length of one call. Whoever comes first has it; everybody else runs alone meanwhile.
class TeamLease {
 public:
  using Task = void (*)(int worker, void* context);  // must not throw

  // The team grows to the workers wanted, however many CPUs there are; asking for 1 leaves it alone.
  // std::runtime_error where a thread cannot be started.
  explicit TeamLease(int workers_wanted);
  ~TeamLease();
  TeamLease(const TeamLease&) = delete;
  TeamLease& operator=(const TeamLease&) = delete;

  // As wanted; 1 where the team was busy; on OpenMP also what its limits (OMP_THREAD_LIMIT, nesting) leave.
  int workers() const noexcept { return workers_; }
  bool busy() const noexcept { return busy_; }
  // More workers than usable CPUs.
  bool crowded() const noexcept { return crowded_; }

  // Whether a lease of so many workers would find them awake, as they are for a while after their last run. To wake
  // them takes longer than a short task.
  static bool is_awake(int workers) noexcept;
  // Starts workers that there are not yet, and has the others look out for work for a while; errors as the constructor.
  static void rouse(int workers);

  // task(0 .. workers() - 1); the caller is worker 0. Returns when all are done; may be called many times, also in the
  // child of a fork that happened between two runs. Workers flush denormals; worker 0's mode is the caller's affair.
  void run(Task task, void* context);

 private:
  Team* team_ = nullptr;  // null where this lease runs alone
  unsigned forks_ = 0;    // of this process's ancestry, when the lease began
  int workers_ = 1;
  bool busy_ = false;
  bool crowded_ = false;
};

// "std::thread", or "OpenMP <date of the specification>".
const char* thread_back_end() noexcept;

}  // namespace pyrnn
