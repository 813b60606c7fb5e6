#include "base/barrier.hpp"

#include <sched.h>

#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pyrnn {
namespace {

constexpr int bare_polls = 500;   // about a microsecond: partners of well-split work arrive within it
constexpr int pause_polls = 100;  // a few microseconds more, leaving the core to a sibling hyper-thread
constexpr int barrier_spin_us = 50;

void pause_core() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

void Signal::set(std::uint32_t value) noexcept {
  value_.store(value, std::memory_order_seq_cst);
  // Sequential consistency on both sides: either the sleeper is seen here, or it sees the value there.
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_.notify_all();
}

bool Signal::spin(std::uint32_t wanted, int spin_us, bool crowded) const noexcept {
  for (int poll = 0; poll < bare_polls; ++poll) {
    if (value() == wanted) return true;
  }
  for (int poll = 0; poll < pause_polls; ++poll) {
    if (value() == wanted) return true;
    pause_core();
  }
  // With more workers than CPUs it may be those without one who are waited for. Otherwise to yield would only give
  // other processes a slice of milliseconds.
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(spin_us);
  do {
    for (int poll = 0; poll < (crowded ? 1 : pause_polls); ++poll) {
      if (value() == wanted) return true;
      pause_core();
    }
    if (crowded) sched_yield();
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

bool Signal::sleep(std::uint32_t wanted) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  // Once only: whoever is woken without the value has been roused, or spins for nothing this time.
  if (value_.load(std::memory_order_seq_cst) != wanted) changed_.wait(lock);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  return value() == wanted;
}

void Signal::wait(std::uint32_t wanted, int spin_us, bool crowded) noexcept {
  while (!spin(wanted, spin_us, crowded) && !sleep(wanted)) {
  }
}

void Signal::rouse() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_.notify_all();
}

void Barrier::wait() noexcept {
  if (parties_ == 1) return;
  const std::uint32_t next = epoch_.value() + 1;  // cannot move before this party has arrived
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == parties_) {
    arrived_.store(0, std::memory_order_relaxed);  // the others see it after epoch_
    epoch_.set(next);
  } else {
    epoch_.wait(next, barrier_spin_us, crowded_);
  }
}

}  // namespace pyrnn
