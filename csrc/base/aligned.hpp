// Memory of the engine: 64-byte aligned, grow-only, with sizes checked for overflow. Failure is std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

namespace pyrnn {

constexpr std::size_t cache_line_bytes = 64;

// Product of non-negative sizes; std::bad_alloc where it is negative or does not fit, as such an array cannot exist.
template <class... Sizes>
std::ptrdiff_t checked_product(std::ptrdiff_t first, Sizes... rest) {
  if (first < 0) throw std::bad_alloc();
  std::ptrdiff_t product = first;
  for (const std::ptrdiff_t size : {static_cast<std::ptrdiff_t>(rest)..., std::ptrdiff_t{1}}) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) throw std::bad_alloc();
  }
  return product;
}

// Sum of non-negative sizes, checked in the same way.
template <class... Sizes>
std::ptrdiff_t checked_sum(std::ptrdiff_t first, Sizes... rest) {
  if (first < 0) throw std::bad_alloc();
  std::ptrdiff_t sum = first;
  for (const std::ptrdiff_t size : {static_cast<std::ptrdiff_t>(rest)..., std::ptrdiff_t{0}}) {
    if (size < 0 || __builtin_add_overflow(sum, size, &sum)) throw std::bad_alloc();
  }
  return sum;
}

// Owns one array. reserve() keeps the old memory where it is large enough, so repeated calls allocate nothing.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::ptrdiff_t size) { reserve(size); }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { release(); }

  // Room for `size` elements. Growing loses the contents; the new ones are undefined.
  T* reserve(std::ptrdiff_t size) {
    if (size <= capacity_ && size >= 0) return data_;
    const std::ptrdiff_t bytes = checked_product(size, std::ptrdiff_t{sizeof(T)});
    void* fresh = ::operator new(static_cast<std::size_t>(bytes), std::align_val_t{cache_line_bytes}, std::nothrow);
    if (fresh == nullptr) throw std::bad_alloc();  // by hand: the sanitizers' throwing new ends the process instead
    release();
    data_ = static_cast<T*>(fresh);
    capacity_ = size;
    return data_;
  }

  // reserve(), and the first `size` elements are zero.
  T* zeroed(std::ptrdiff_t size) {
    reserve(size);
    if (size > 0) std::memset(static_cast<void*>(data_), 0, static_cast<std::size_t>(size) * sizeof(T));
    return data_;
  }

  void release() noexcept {
    ::operator delete(data_, std::align_val_t{cache_line_bytes});
    data_ = nullptr;
    capacity_ = 0;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::ptrdiff_t capacity() const noexcept { return capacity_; }
  std::ptrdiff_t capacity_bytes() const noexcept { return capacity_ * std::ptrdiff_t{sizeof(T)}; }

 private:
  T* data_ = nullptr;
  std::ptrdiff_t capacity_ = 0;
};

}  // namespace pyrnn
