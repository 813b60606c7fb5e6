// Where threads wait for each other: first awake, as the wait is short when the work is split well, then asleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/aligned.hpp"

namespace pyrnn {

// A number that one thread sets and others wait for: a bounded spin, then sleep.
class alignas(cache_line_bytes) Signal {
 public:
  std::uint32_t value() const noexcept { return value_.load(std::memory_order_acquire); }
  void set(std::uint32_t value) noexcept;
  // Returns once the value is `wanted`; spins for at most about spin_us before it sleeps. crowded: there are more
  // threads than CPUs, so that whoever spins yields.
  void wait(std::uint32_t wanted, int spin_us, bool crowded) noexcept;
  // Whether somebody waits asleep; rouse() has sleepers spin once more.
  bool has_sleepers() const noexcept { return sleepers_.load(std::memory_order_relaxed) != 0; }
  void rouse() noexcept;

 private:
  bool spin(std::uint32_t wanted, int spin_us, bool crowded) const noexcept;  // whether the value came
  bool sleep(std::uint32_t wanted) noexcept;                                  // false where it was roused

  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// All parties leave wait() after the last has entered; reusable at once.
class Barrier {
 public:
  Barrier(int parties, bool crowded) noexcept : parties_(parties), crowded_(crowded) {}
  void wait() noexcept;
  static void wait_of(void* barrier) noexcept { static_cast<Barrier*>(barrier)->wait(); }

 private:
  const int parties_;
  const bool crowded_;
  alignas(cache_line_bytes) std::atomic<int> arrived_{0};
  Signal epoch_;
};

}  // namespace pyrnn
