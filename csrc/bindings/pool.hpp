// Memory that calls hand to each other: fresh pages cost more than the work of a small call, so a freed block goes to
// a short list and comes back for the next call of about its size.
#pragma once

#include <cstddef>
#include <utility>

namespace pyrnn::bindings {

// Owns memory from the pool, aligned to 64 bytes; contents undefined.
class Block {
 public:
  Block() = default;
  explicit Block(std::ptrdiff_t bytes);  // std::bad_alloc
  Block(Block&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();

  void* data() const noexcept { return data_; }
  std::ptrdiff_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::ptrdiff_t bytes_ = 0;
};

// Cuts a block into arrays, each aligned to 64 bytes. Without a base it only measures.
class Carver {
 public:
  explicit Carver(void* base = nullptr) : base_(static_cast<char*>(base)) {}

  template <class T>
  T* take(std::ptrdiff_t n) {
    char* at = base_ ? base_ + used_ : nullptr;
    used_ += (n * static_cast<std::ptrdiff_t>(sizeof(T)) + 63) / 64 * 64;
    return static_cast<T*>(static_cast<void*>(at));
  }
  std::ptrdiff_t used() const { return used_; }

 private:
  char* base_;
  std::ptrdiff_t used_ = 0;
};

}  // namespace pyrnn::bindings
