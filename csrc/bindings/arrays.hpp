// From Python arguments to checked pointers, and the texts of all errors: `x: expected (T, B, D) with D = 8, got (5, 3,
// 9)`. Arrays whose memory layout the kernels cannot read (byte order, alignment, strides) are copied.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "kernel_table.hpp"

namespace pyrnn::bindings {

namespace py = pybind11;

enum class Dtype : int { float32, float64 };

template <class T>
constexpr Dtype dtype_of = sizeof(T) == sizeof(float) ? Dtype::float32 : Dtype::float64;

const char* text_of(Dtype dtype);

// What an error calls an argument: base, base[i] or base[i][j].
struct Name {
  const char* base;
  int i = -1;
  int j = -1;

  Name(const char* base_name, int first = -1, int second = -1) : base(base_name), i(first), j(second) {}
  Name operator[](int index) const { return i < 0 ? Name(base, index) : Name(base, i, index); }
  std::string text() const;
};

// A size that an argument must have; its letter appears in the error. any: the argument decides.
constexpr index_t any = -1;
struct Dim {
  const char* letter;
  index_t size = any;
  const char* note = "";  // where the size comes from, for the error
};
using Shape = std::initializer_list<Dim>;

[[noreturn]] void value_error(Name name, const std::string& expected, const std::string& got);
[[noreturn]] void type_error(Name name, const std::string& expected, const std::string& got);
std::string describe(py::handle object);  // "float64 array (5, 3)", "list", "'text'", "7"
std::string shape_text(int rank, const index_t* shape);

// Array of floats that kernels can read. The last stride is 1, the others are not negative.
template <class T>
struct Input {
  py::object owner;
  const T* data = nullptr;
  index_t shape[3] = {0, 0, 0};
  index_t stride[3] = {0, 0, 0};  // elements
  bool batch_major = false;       // memory order of the argument: B outside T

  explicit operator bool() const { return static_cast<bool>(owner); }
};

template <class T>
struct Output {
  py::object owner;
  T* data = nullptr;
  index_t stride[3] = {0, 0, 0};
};

enum class Rows { strided, contiguous };

// The dtype of an array of floats; TypeError for everything else.
Dtype float_dtype(py::handle object, Name name);

// `like` says in the error whose dtype is T.
template <class T>
Input<T> read_floats(py::handle object, Name name, Shape shape, const char* like = nullptr, Rows rows = Rows::strided);

// An array to write into: native, aligned, writable, last stride 1, elements that do not overlap.
template <class T>
Output<T> read_output(py::handle object, Name name, Shape shape, const char* like);
// ValueError where the two share memory.
void check_apart(py::handle output, Name output_name, py::handle input, Name input_name);

struct Bools {
  py::object owner;
  const std::uint8_t* data = nullptr;
};

bool is_bool_array(py::handle object);
Bools read_bools(py::handle object, Name name, Shape shape);  // arrays and lists; contiguous

struct Integers {
  py::object owner;
  const std::int64_t* data = nullptr;
  index_t size = 0;
};

Integers read_integers(py::handle object, Name name, Shape shape);  // one dimension; arrays and lists
Integers read_lengths(py::handle object, Name name, index_t batch, index_t steps);

bool is_flag(py::handle object);  // Python's or NumPy's bool
bool read_flag(py::handle object, Name name);
index_t read_count(py::handle object, Name name, index_t lowest, index_t highest);
// The index of a text in a list; ValueError that lists them otherwise.
int read_choice(py::handle object, Name name, const char* const* choices, int n_choices);
// The parts of a tuple or list of that length, borrowed.
void read_parts(py::handle object, Name name, const char* expected, int n_parts, py::handle* parts);
void check_none(py::handle object, Name name, const char* when);

// ValueError where an array of so many elements cannot be addressed.
void check_addressable(Name name, std::initializer_list<index_t> sizes);

template <class T>
py::object new_array(std::initializer_list<index_t> shape);
// (T, B, n), in memory (B, T, n) where batch_major.
template <class T>
py::object new_sequence(index_t steps, index_t batch, index_t n, bool batch_major);
template <class T>
T* data_of(py::handle array) {
  return static_cast<T*>(static_cast<void*>(py::detail::array_proxy(array.ptr())->data));
}

// Runs the body of a function called by Python's C interface; exceptions become Python's.
template <class Body>
PyObject* guarded(const Body& body) noexcept {
  try {
    return body().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

// A function of the module that takes exactly n positional arguments: no parsing, no allocation.
using FastFunction = PyObject* (*)(PyObject* self, PyObject* const* arguments, Py_ssize_t n);
void add_function(py::module_& module, PyMethodDef* definition);

}  // namespace pyrnn::bindings
