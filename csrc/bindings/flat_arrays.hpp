// Arrays of any rank whose elements, or whose rows along the last axis, are all that a kernel sees.
#pragma once

#include <string>

#include "bindings/arrays.hpp"

namespace pyrnn::bindings {

constexpr int max_rank = 64;  // NumPy's own limit

// A contiguous array; shape points into it.
template <class T>
struct Flat {
  py::object owner;
  T* data = nullptr;
  const index_t* shape = nullptr;
  int rank = 0;
  index_t size = 0;

  explicit operator bool() const { return static_cast<bool>(owner); }
  index_t last() const { return shape[rank - 1]; }
  index_t rows() const;  // the product of all sizes but the last
  std::string shape_text() const { return bindings::shape_text(rank, shape); }
};

// An array of dtype T, copied where its memory is not contiguous; `like` says in the error whose dtype T is.
template <class T>
Flat<const T> read_flat(py::handle object, Name name, const char* like = nullptr);
// With at least one axis; `letters` say in the error what is expected: "(..., K)".
template <class T>
Flat<const T> read_rows(py::handle object, Name name, const char* letters, const char* like = nullptr);
// A contiguous array to write into or to add to.
template <class T>
Flat<T> read_flat_output(py::handle object, Name name, const char* like);
// A new array, contents undefined.
template <class T>
Flat<T> new_flat(int rank, const index_t* shape);
// `out`, checked for its shape, or a new array where it is None.
template <class T>
Flat<T> flat_output(py::handle out, Name name, const char* like, int rank, const index_t* shape);

// Integers of any dtype and rank that lie in 0 .. limit - 1; the error names the first that does not, and its index.
struct Ids {
  py::object owner;
  const std::int64_t* data = nullptr;
  const index_t* shape = nullptr;
  int rank = 0;
  index_t size = 0;
};
bool is_integer_array(py::handle object);
Ids read_ids(py::handle object, Name name, const char* letter, index_t limit);

void check_shape_is(Name name, int rank, const index_t* shape, int expected_rank, const index_t* expected);

// A Python or NumPy number, with a sign where the bounds say so. Infinities and NaN: only Sign::any.
enum class Sign { any, finite, not_negative, positive };
double read_number(py::handle object, Name name, Sign sign);
// A number from 0 to 1, 1 itself only where `one` says so.
double read_share(py::handle object, Name name, bool one);

template <class T>
index_t Flat<T>::rows() const {
  index_t rows = 1;
  for (int i = 0; i + 1 < rank; ++i) rows *= shape[i];
  return rows;
}

}  // namespace pyrnn::bindings
