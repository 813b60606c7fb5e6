#include "bindings/flat_arrays.hpp"

#include <cmath>

#include "bindings/numpy_access.hpp"
#include "dispatch/report.hpp"

namespace pyrnn::bindings {
namespace {

bool is_contiguous(py::handle array) {
  constexpr int wanted = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_;
  return (proxy(array).flags & wanted) == wanted && is_native(array);
}

py::object contiguous_copy(py::handle object, int number, Name name) {
  last_report().copied_inputs = true;
  return contiguous(object, number, name);
}

template <class T>
void check_dtype(py::handle object, Name name, const char* like) {
  const Dtype got = float_dtype(object, name);
  if (got == dtype_of<T>) return;
  const std::string wanted = text_of(dtype_of<T>);
  type_error(name, wanted + (like ? std::string(", the dtype of ") + like : ""),
             std::string(text_of(got)) + "; convert with " + name.text() + ".astype(np." + wanted + ")");
}

template <class Array>
Array view_of(py::object owner) {
  Array flat;
  const auto& a = proxy(owner);
  flat.data = static_cast<decltype(flat.data)>(static_cast<void*>(a.data));
  flat.shape = a.dimensions;
  flat.rank = a.nd;
  flat.size = 1;
  for (int i = 0; i < a.nd; ++i) flat.size *= a.dimensions[i];
  flat.owner = std::move(owner);
  return flat;
}

// The index of element i of an array: "index 7", or "index (0, 3)".
std::string index_text(index_t i, int rank, const index_t* shape) {
  if (rank == 1) return "index " + std::to_string(i);
  std::string text;
  for (int axis = rank; axis-- > 0; i /= shape[axis])
    text = std::to_string(i % shape[axis]) + (text.empty() ? "" : ", ") + text;
  return "index (" + text + ")";
}

}  // namespace

template <class T>
Flat<const T> read_flat(py::handle object, Name name, const char* like) {
  check_dtype<T>(object, name, like);
  check_plain(object, name, "weights=");
  if (is_contiguous(object)) return view_of<Flat<const T>>(py::reinterpret_borrow<py::object>(object));
  return view_of<Flat<const T>>(contiguous_copy(object, number_of(dtype_of<T>), name));
}

template <class T>
Flat<const T> read_rows(py::handle object, Name name, const char* letters, const char* like) {
  Flat<const T> flat = read_flat<T>(object, name, like);
  if (flat.rank == 0) value_error(name, letters, "()");
  return flat;
}

template <class T>
Flat<T> read_flat_output(py::handle object, Name name, const char* like) {
  check_dtype<T>(object, name, like);
  check_plain(object, name, "weights=");
  if (!(proxy(object).flags & Api::NPY_ARRAY_WRITEABLE_)) value_error(name, "a writable array", "a read-only one");
  if (!is_contiguous(object)) {
    value_error(name, "a C-contiguous, aligned array in native byte order", "another memory layout");
  }
  return view_of<Flat<T>>(py::reinterpret_borrow<py::object>(object));
}

template <class T>
Flat<T> new_flat(int rank, const index_t* shape) {
  return view_of<Flat<T>>(allocate(dtype_of<T>, rank, shape, nullptr));
}

template <class T>
Flat<T> flat_output(py::handle out, Name name, const char* like, int rank, const index_t* shape) {
  if (out.is_none()) return new_flat<T>(rank, shape);
  Flat<T> output = read_flat_output<T>(out, name, like);
  check_shape_is(name, output.rank, output.shape, rank, shape);
  return output;
}

void check_shape_is(Name name, int rank, const index_t* shape, int expected_rank, const index_t* expected) {
  bool same = rank == expected_rank;
  for (int i = 0; same && i < rank; ++i) same = shape[i] == expected[i];
  if (!same) value_error(name, shape_text(expected_rank, expected), shape_text(rank, shape));
}

bool is_integer_array(py::handle object) {
  if (!is_array(object)) return false;
  const int number = type_number(object);
  return number >= Api::NPY_BYTE_ && number <= Api::NPY_ULONGLONG_;
}

Ids read_ids(py::handle object, Name name, const char* letter, index_t limit) {
  if (!is_integer_array(object)) type_error(name, "an array of integers", describe(object));
  check_plain(object, name, "weights=");
  const int number = type_number(object);
  const bool as_it_is = is_contiguous(object) && number == Api::NPY_INT64_;
  Ids ids = view_of<Ids>(as_it_is ? py::reinterpret_borrow<py::object>(object)
                                  : contiguous_copy(object, Api::NPY_INT64_, name));
  std::uint64_t out_of_range = 0;
  for (index_t i = 0; i < ids.size; ++i)
    out_of_range |=
        static_cast<std::uint64_t>(static_cast<std::uint64_t>(ids.data[i]) >= static_cast<std::uint64_t>(limit));
  if (out_of_range == 0) return ids;
  index_t i = 0;
  while (ids.data[i] >= 0 && ids.data[i] < limit) ++i;
  // As it was given: an unsigned id may be too large for int64.
  const std::string id = py::str(py::reinterpret_borrow<py::object>(object).attr("flat")[py::int_(i)]);
  value_error(name, "0 to " + std::string(letter) + " - 1 = " + std::to_string(limit - 1),
              id + " at " + index_text(i, ids.rank, ids.shape));
}

double read_number(py::handle object, Name name, Sign sign) {
  constexpr const char* texts[] = {"a number", "a finite number", "a finite number >= 0", "a finite number > 0"};
  const std::string expected = texts[static_cast<int>(sign)];
  if (PyFloat_CheckExact(object.ptr()) == 0) {
    const bool number = PyFloat_Check(object.ptr()) || PyIndex_Check(object.ptr()) || PyNumber_Check(object.ptr());
    if (!number || PyBool_Check(object.ptr()) || PyComplex_Check(object.ptr()) || is_array(object))
      type_error(name, expected, describe(object));
  }
  const double value = PyFloat_AsDouble(object.ptr());
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    type_error(name, expected, describe(object));
  }
  const bool right =
      sign == Sign::any ||
      (std::isfinite(value) && (sign == Sign::finite || value > 0 || (sign == Sign::not_negative && value == 0)));
  if (!right) value_error(name, expected, describe(object));
  return value;
}

double read_share(py::handle object, Name name, bool one) {
  const double value = read_number(object, name, Sign::any);
  if (!(value >= 0 && (one ? value <= 1 : value < 1)))
    value_error(name, one ? "a number from 0 to 1" : "a number from 0 up to, but not, 1", describe(object));
  return value;
}

template Flat<const float> read_flat<float>(py::handle, Name, const char*);
template Flat<const double> read_flat<double>(py::handle, Name, const char*);
template Flat<const float> read_rows<float>(py::handle, Name, const char*, const char*);
template Flat<const double> read_rows<double>(py::handle, Name, const char*, const char*);
template Flat<float> read_flat_output<float>(py::handle, Name, const char*);
template Flat<double> read_flat_output<double>(py::handle, Name, const char*);
template Flat<float> new_flat<float>(int, const index_t*);
template Flat<double> new_flat<double>(int, const index_t*);
template Flat<float> flat_output<float>(py::handle, Name, const char*, int, const index_t*);
template Flat<double> flat_output<double>(py::handle, Name, const char*, int, const index_t*);

}  // namespace pyrnn::bindings
