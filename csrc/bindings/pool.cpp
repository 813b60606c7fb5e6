#include "bindings/pool.hpp"

#include <algorithm>
#include <atomic>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pyrnn::bindings {
namespace {

constexpr int max_free = 24;
constexpr std::ptrdiff_t max_free_bytes = std::ptrdiff_t{1} << 30;  // the newest block is kept even where it is larger
constexpr std::ptrdiff_t smallest = 4096;
constexpr long max_idle = 256;  // a block is let go that was not asked for while so many others came back
// Under AddressSanitizer blocks have their exact size and are not used again, or it could not see errors.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool recycles = false;
#else
constexpr bool recycles = true;
#endif

struct Piece {
  void* data;
  std::ptrdiff_t bytes;
  long given = 0;  // how many blocks had come back before
};

// Large pieces ask for huge pages: weights and tapes are read in many streams, each of which would need its own
// entries of the TLB.
constexpr std::ptrdiff_t huge_page = std::ptrdiff_t{1} << 21;

std::align_val_t alignment_of(std::ptrdiff_t bytes) noexcept {
  return std::align_val_t{bytes >= huge_page ? std::size_t{huge_page} : std::size_t{64}};
}

Piece acquire(std::ptrdiff_t bytes) {
  void* data = ::operator new(static_cast<std::size_t>(bytes), alignment_of(bytes));
#if defined(MADV_HUGEPAGE)
  // A refusal leaves small pages, which are slower and no less right.
  if (bytes >= huge_page) (void)madvise(data, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
#endif
  return {data, bytes};
}

void release(Piece piece) noexcept { ::operator delete(piece.data, alignment_of(piece.bytes)); }

// Oldest first. A lock that is not free at once is not waited for: the system's allocator serves that call, and
// the child of a fork, where the holder of the lock may not exist, cannot hang.
class Pool {
 public:
  Piece take(std::ptrdiff_t bytes) {
    if (!recycles) return acquire(bytes);
    bytes = std::max(smallest, (bytes + 63) / 64 * 64);
    if (!taken_.test_and_set(std::memory_order_acquire)) {
      int best = -1;
      for (int i = 0; i < n_; ++i) {
        const bool fits = free_[i].bytes >= bytes && free_[i].bytes / 2 <= bytes;
        if (fits && (best < 0 || free_[i].bytes <= free_[best].bytes)) best = i;
      }
      const Piece piece = best >= 0 ? remove(best) : Piece{nullptr, 0};
      taken_.clear(std::memory_order_release);
      if (piece.data) return piece;
    }
    return acquire(bytes);
  }

  void give(Piece piece) noexcept {
    if (!recycles || taken_.test_and_set(std::memory_order_acquire)) return release(piece);
    Piece dropped[max_free];
    int n_dropped = 0;
    const auto full = [&] { return n_ == max_free || bytes_ + piece.bytes > max_free_bytes; };
    while (n_ > 0 && (full() || given_ - free_[0].given > max_idle)) dropped[n_dropped++] = remove(0);
    piece.given = given_++;
    free_[n_++] = piece;
    bytes_ += piece.bytes;
    taken_.clear(std::memory_order_release);
    for (int i = 0; i < n_dropped; ++i) release(dropped[i]);
  }

 private:
  Piece remove(int i) noexcept {
    const Piece piece = free_[i];
    std::copy(free_ + i + 1, free_ + n_, free_ + i);
    --n_;
    bytes_ -= piece.bytes;
    return piece;
  }

  std::atomic_flag taken_ = ATOMIC_FLAG_INIT;
  Piece free_[max_free];
  int n_ = 0;
  std::ptrdiff_t bytes_ = 0;
  long given_ = 0;
};

Pool& pool() {
  static Pool* const instance = new Pool;  // leaked: blocks may be freed after static objects are gone
  return *instance;
}

}  // namespace

Block::Block(std::ptrdiff_t bytes) {
  const Piece piece = pool().take(bytes);
  data_ = piece.data;
  bytes_ = piece.bytes;
}

Block::~Block() {
  if (data_) pool().give({data_, bytes_});
}

}  // namespace pyrnn::bindings
