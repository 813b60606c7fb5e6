#include "bindings/arrays.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "bindings/numpy_access.hpp"
#include "bindings/pool.hpp"
#include "dispatch/report.hpp"

namespace pyrnn::bindings {
namespace {

// Arrays from here on take their memory from the pool: the system's allocator gives it back when they are freed, and
// the pages of the next one then cost more than what is written to them.
constexpr index_t pooled_bytes = 256 << 10;

std::string expected_shape(Shape dims) {
  std::string letters, sizes;
  for (const Dim& dim : dims) {
    letters += (letters.empty() ? "" : ", ") + std::string(dim.letter);
    if (dim.size == any) continue;
    sizes += (sizes.empty() ? " with " : ", ") + std::string(dim.letter) + " = " + std::to_string(dim.size) + dim.note;
  }
  return "(" + letters + (dims.size() == 1 ? ",)" : ")") + sizes;
}

void check_shape(py::handle array, Name name, Shape dims) {
  const auto& a = proxy(array);
  bool right = a.nd == static_cast<int>(dims.size());
  int i = 0;
  for (const Dim& dim : dims) {
    if (!right) break;
    right = dim.size == any || dim.size == a.dimensions[i];
    ++i;
  }
  if (!right) value_error(name, expected_shape(dims), shape_text(a.nd, a.dimensions));
}

std::string dtype_text(py::handle array) {
  return py::str(py::reinterpret_borrow<py::object>(array).attr("dtype")).cast<std::string>();
}

[[noreturn]] void dtype_error(py::handle array, Name name, const std::string& expected, const char* remedy) {
  type_error(name, expected, dtype_text(array) + "; convert with " + name.text() + ".astype(np." + remedy + ")");
}

void check_dtype(py::handle object, Name name, Dtype dtype, const char* like) {
  if (is_array(object) && type_number(object) == number_of(dtype)) return;
  const std::string wanted = std::string(text_of(dtype)) + (like ? std::string(", the dtype of ") + like : "");
  if (!is_array(object)) type_error(name, "an array of " + wanted, describe(object));
  dtype_error(object, name, wanted, text_of(dtype));
}

// Strides in elements; false where kernels cannot use them.
bool usable_strides(py::handle array, index_t item_bytes, index_t* stride) {
  const auto& a = proxy(array);
  if (!is_native(array) || !(a.flags & Api::NPY_ARRAY_ALIGNED_)) return false;
  for (int i = 0; i < a.nd; ++i) {
    stride[i] = a.dimensions[i] > 1 ? a.strides[i] / item_bytes : (i + 1 == a.nd ? 1 : 0);
    if (a.dimensions[i] > 1 && (a.strides[i] < 0 || a.strides[i] % item_bytes != 0)) return false;
  }
  return a.nd == 0 || stride[a.nd - 1] == 1;
}

// Whether no two elements share memory: in order of strides, each step goes past what lies inside it.
bool elements_apart(int rank, const index_t* shape, const index_t* stride) {
  for (int i = 0; i < rank; ++i)
    if (shape[i] == 0) return true;
  index_t extent = 1;
  bool passed[3] = {};
  for (int round = 0; round < rank; ++round) {
    int least = -1;
    for (int i = 0; i < rank; ++i)
      if (!passed[i] && shape[i] > 1 && (least < 0 || stride[i] < stride[least])) least = i;
    if (least < 0) return true;
    if (stride[least] < extent) return false;
    extent += stride[least] * (shape[least] - 1);
    passed[least] = true;
  }
  return true;
}

}  // namespace

void check_plain(py::handle object, Name name, const char* remedy) {
  if (Py_TYPE(object.ptr()) == Api::get().PyArray_Type_) return;
  const py::object masked = py::module_::import("numpy.ma").attr("MaskedArray");
  if (py::isinstance(object, masked))
    type_error(name, "a plain array", std::string("a masked array; fill it, and pass ") + remedy);
}

py::object contiguous(py::handle object, int number, Name name) {
  PyObject* type = number < 0 ? nullptr : Api::get().PyArray_DescrFromType_(number);
  const int flags =
      Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_ | Api::NPY_ARRAY_FORCECAST_ | Api::NPY_ARRAY_ENSUREARRAY_;
  PyObject* array = Api::get().PyArray_FromAny_(object.ptr(), type, 0, 0, flags, nullptr);
  if (!array) {
    if (PyErr_ExceptionMatches(PyExc_MemoryError)) throw py::error_already_set();
    PyErr_Clear();
    value_error(name, "a regular array", describe(object));
  }
  return py::reinterpret_steal<py::object>(array);
}

py::object allocate(Dtype dtype, int rank, const index_t* shape, const index_t* strides) {
  index_t bytes = dtype == Dtype::float32 ? 4 : 8;
  bool fits = true;
  for (int i = 0; i < rank; ++i) fits = fits && !__builtin_mul_overflow(bytes, shape[i], &bytes);
  const bool pooled = fits && bytes >= pooled_bytes;
  auto block = pooled ? std::make_unique<Block>(bytes) : nullptr;
  PyObject* type = Api::get().PyArray_DescrFromType_(number_of(dtype));
  const auto array = py::reinterpret_steal<py::object>(Api::get().PyArray_NewFromDescr_(
      Api::get().PyArray_Type_, type, rank, shape, strides, block ? block->data() : nullptr,
      block ? Api::NPY_ARRAY_WRITEABLE_ : 0, nullptr));
  if (!array) throw py::error_already_set();
  if (!block) return array;
  py::capsule owner(block.get(), [](void* memory) { delete static_cast<Block*>(memory); });
  (void)block.release();
  if (Api::get().PyArray_SetBaseObject_(array.ptr(), owner.release().ptr()) != 0) throw py::error_already_set();
  return array;
}

const char* text_of(Dtype dtype) { return dtype == Dtype::float32 ? "float32" : "float64"; }

std::string Name::text() const {
  std::string result = base;
  if (i >= 0) result += "[" + std::to_string(i) + "]";
  if (j >= 0) result += "[" + std::to_string(j) + "]";
  return result;
}

void value_error(Name name, const std::string& expected, const std::string& got) {
  throw py::value_error(name.text() + ": expected " + expected + ", got " + got);
}

void type_error(Name name, const std::string& expected, const std::string& got) {
  throw py::type_error(name.text() + ": expected " + expected + ", got " + got);
}

std::string shape_text(int rank, const index_t* shape) {
  std::string text = "(";
  for (int i = 0; i < rank; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (rank == 1 ? ",)" : ")");
}

std::string describe(py::handle object) {
  if (is_array(object)) return dtype_text(object) + " array " + shape_text(proxy(object).nd, proxy(object).dimensions);
  if (object.is_none()) return "None";
  if (PyLong_Check(object.ptr()) || PyFloat_Check(object.ptr()) || PyUnicode_Check(object.ptr())) {
    const std::string text = py::repr(object).cast<std::string>();
    return text.size() <= 40 ? text : text.substr(0, 40) + "...";
  }
  return Py_TYPE(object.ptr())->tp_name;
}

Dtype float_dtype(py::handle object, Name name) {
  if (!is_array(object)) {
    type_error(name, "an array of float32 or float64",
               describe(object) + "; convert with np.asarray(" + name.text() + ", np.float32)");
  }
  const int number = type_number(object);
  if (number == Api::NPY_FLOAT_) return Dtype::float32;
  if (number == Api::NPY_DOUBLE_) return Dtype::float64;
  dtype_error(object, name, "float32 or float64", "float32");
}

template <class T>
Input<T> read_floats(py::handle object, Name name, Shape dims, const char* like, Rows rows) {
  check_dtype(object, name, dtype_of<T>, like);
  check_plain(object, name, "mask=");
  check_shape(object, name, dims);
  Input<T> input;
  const auto& given = proxy(object);
  const index_t row = static_cast<index_t>(sizeof(T)) * (given.nd ? given.dimensions[given.nd - 1] : 1);
  bool usable = usable_strides(object, sizeof(T), input.stride);
  if (rows == Rows::contiguous) usable = usable && (given.flags & Api::NPY_ARRAY_C_CONTIGUOUS_);
  if (given.nd == 3 && given.dimensions[0] > 1 && given.dimensions[1] > 1)
    input.batch_major = std::abs(given.strides[1]) > std::abs(given.strides[0]) && std::abs(given.strides[0]) >= row;
  if (usable) {
    input.owner = py::reinterpret_borrow<py::object>(object);
  } else {
    index_t size[3] = {1, 1, 1};
    std::copy(given.dimensions, given.dimensions + given.nd, size);
    check_addressable(name, {size[0], size[1], size[2]});
    input.owner = contiguous(object, number_of(dtype_of<T>), name);
    usable_strides(input.owner, sizeof(T), input.stride);
    last_report().copied_inputs = true;
  }
  input.data = data_of<T>(input.owner);
  for (int i = 0; i < given.nd; ++i) input.shape[i] = given.dimensions[i];
  return input;
}

template <class T>
Output<T> read_output(py::handle object, Name name, Shape dims, const char* like) {
  check_dtype(object, name, dtype_of<T>, like);
  check_shape(object, name, dims);
  Output<T> output;
  const auto& a = proxy(object);
  if (!(a.flags & Api::NPY_ARRAY_WRITEABLE_)) value_error(name, "a writable array", "a read-only one");
  if (!is_native(object)) value_error(name, "native byte order", "swapped bytes");
  if (!usable_strides(object, sizeof(T), output.stride))
    value_error(name, "an aligned array with last stride 1 and no negative stride", "another memory layout");
  if (!elements_apart(a.nd, a.dimensions, output.stride))
    value_error(name, "elements that do not share memory", "a broadcast or overlapping view");
  output.owner = py::reinterpret_borrow<py::object>(object);
  output.data = data_of<T>(output.owner);
  return output;
}

void check_apart(py::handle output, Name output_name, py::handle input, Name input_name) {
  const auto bounds = [](py::handle array) {
    const auto& a = proxy(array);
    const char *low = a.data, *high = a.data;
    for (int i = 0; i < a.nd; ++i) {
      if (a.dimensions[i] == 0) return std::pair<const char*, const char*>{a.data, a.data};
      const index_t reach = a.strides[i] * (a.dimensions[i] - 1);
      (reach < 0 ? low : high) += reach;
    }
    return std::pair<const char*, const char*>{low, high + (type_number(array) == Api::NPY_FLOAT_ ? 4 : 8)};
  };
  if (!input || !is_array(input)) return;
  const auto [low_1, high_1] = bounds(output);
  const auto [low_2, high_2] = bounds(input);
  if (low_1 == high_1 || low_2 == high_2 || high_1 <= low_2 || high_2 <= low_1) return;
  // The ranges meet; interleaved views may still be apart. A search without end counts as sharing.
  const py::module_ numpy = py::module_::import("numpy");
  bool shared = true;
  try {
    shared = numpy.attr("shares_memory")(output, input, 100000).cast<bool>();
  } catch (py::error_already_set& error) {
    if (!error.matches(numpy.attr("exceptions").attr("TooHardError"))) throw;
  }
  if (shared) {
    value_error(output_name, "an array that shares no memory with " + input_name.text(), "one that does");
  }
}

bool is_bool_array(py::handle object) { return is_array(object) && type_number(object) == Api::NPY_BOOL_; }

Bools read_bools(py::handle object, Name name, Shape dims) {
  const bool listed = PyList_Check(object.ptr()) || PyTuple_Check(object.ptr());
  if (!listed && !is_array(object)) type_error(name, "an array of bool", describe(object));
  py::object array = listed ? contiguous(object, -1, name) : py::reinterpret_borrow<py::object>(object);
  const bool nothing = listed && py::len(array) == 0;
  if (type_number(array) != Api::NPY_BOOL_ && !nothing) dtype_error(array, name, "bool", "bool_");
  check_plain(array, name, "mask=");
  check_shape(array, name, dims);
  array = contiguous(array, Api::NPY_BOOL_, name);
  const auto* data = data_of<std::uint8_t>(array);
  return {std::move(array), data};
}

Integers read_integers(py::handle object, Name name, Shape dims) {
  const bool listed = PyList_Check(object.ptr()) || PyTuple_Check(object.ptr());
  if (!listed && !is_array(object)) type_error(name, "an array of integers", describe(object));
  py::object array = listed ? contiguous(object, -1, name) : py::reinterpret_borrow<py::object>(object);
  const int number = type_number(array);
  const bool nothing = listed && proxy(array).nd > 0 && py::len(array) == 0;
  if ((number < Api::NPY_BYTE_ || number > Api::NPY_ULONGLONG_) && !nothing)
    dtype_error(array, name, "integers", "int64");
  check_plain(array, name, "mask=");
  check_shape(array, name, dims);
  const index_t size = proxy(array).dimensions[0];
  array = contiguous(array, Api::NPY_INT64_, name);
  const auto* data = data_of<std::int64_t>(array);
  return {std::move(array), data, size};
}

Integers read_lengths(py::handle object, Name name, index_t batch, index_t steps) {
  Integers lengths = read_integers(object, name, {{"B", batch}});
  for (index_t b = 0; b < batch; ++b) {
    if (lengths.data[b] < 0 || lengths.data[b] > steps) {
      value_error(name, "0 to T = " + std::to_string(steps),
                  std::to_string(lengths.data[b]) + " at index " + std::to_string(b));
    }
  }
  return lengths;
}

bool is_flag(py::handle object) {
  if (PyBool_Check(object.ptr())) return true;
  const char* type = Py_TYPE(object.ptr())->tp_name;
  return std::strcmp(type, "numpy.bool") == 0 || std::strcmp(type, "numpy.bool_") == 0;
}

bool read_flag(py::handle object, Name name) {
  if (object.ptr() == Py_True) return true;
  if (object.ptr() == Py_False) return false;
  if (!is_flag(object)) type_error(name, "True or False", describe(object));
  return PyObject_IsTrue(object.ptr()) == 1;
}

index_t read_count(py::handle object, Name name, index_t lowest, index_t highest) {
  const bool whole = PyIndex_Check(object.ptr()) && !PyBool_Check(object.ptr()) && !is_array(object);
  const index_t count = whole ? PyNumber_AsSsize_t(object.ptr(), nullptr) : lowest;  // clipped where it does not fit
  if (count == -1 && PyErr_Occurred()) throw py::error_already_set();
  if (whole && count >= lowest && count <= highest) return count;
  const std::string expected = "an integer from " + std::to_string(lowest) + " to " + std::to_string(highest);
  if (!whole) type_error(name, expected, describe(object));
  value_error(name, expected, describe(object));
}

int read_choice(py::handle object, Name name, const char* const* choices, int n_choices) {
  if (PyUnicode_Check(object.ptr())) {
    for (int i = 0; i < n_choices; ++i)
      if (PyUnicode_CompareWithASCIIString(object.ptr(), choices[i]) == 0) return i;
  }
  std::string expected = "one of";
  for (int i = 0; i < n_choices; ++i) expected += std::string(i ? ", '" : " '") + choices[i] + "'";
  if (!PyUnicode_Check(object.ptr())) type_error(name, expected, describe(object));
  value_error(name, expected, describe(object));
}

void read_parts(py::handle object, Name name, const char* expected, int n_parts, py::handle* parts) {
  const bool tuple = PyTuple_Check(object.ptr());
  if (!tuple && !PyList_Check(object.ptr())) type_error(name, expected, describe(object));
  const Py_ssize_t n = tuple ? PyTuple_GET_SIZE(object.ptr()) : PyList_GET_SIZE(object.ptr());
  if (n != n_parts) value_error(name, expected, std::to_string(n) + " parts");
  for (int i = 0; i < n_parts; ++i)
    parts[i] = tuple ? PyTuple_GET_ITEM(object.ptr(), i) : PyList_GET_ITEM(object.ptr(), i);
}

void check_none(py::handle object, Name name, const char* when) {
  if (!object.is_none()) value_error(name, std::string("None ") + when, describe(object));
}

void check_addressable(Name name, std::initializer_list<index_t> sizes) {
  index_t product = 1;
  bool fits = true;
  for (const index_t size : sizes)
    fits = fits && !__builtin_mul_overflow(product, std::max<index_t>(size, 1), &product);
  if (fits && product <= (index_t{1} << (sizeof(index_t) * 8 - 18))) return;
  std::string text;
  for (const index_t size : sizes) text += (text.empty() ? "" : " * ") + std::to_string(size);
  value_error(name, "sizes whose arrays can be addressed", text + " elements");
}

template <class T>
py::object new_array(std::initializer_list<index_t> shape) {
  return allocate(dtype_of<T>, static_cast<int>(shape.size()), shape.begin(), nullptr);
}

template <class T>
py::object new_sequence(index_t steps, index_t batch, index_t n, bool batch_major) {
  const index_t shape[3] = {steps, batch, n};
  constexpr index_t item = sizeof(T);
  const index_t strides[3] = {n * item, steps * n * item, item};
  return allocate(dtype_of<T>, 3, shape, batch_major ? strides : nullptr);
}

void add_function(py::module_& module, PyMethodDef* definition) {
  const py::object name = py::str("pyrnn._engine");
  PyObject* function = PyCFunction_NewEx(definition, module.ptr(), name.ptr());
  if (!function) throw py::error_already_set();
  module.add_object(definition->ml_name, py::reinterpret_steal<py::object>(function));
}

template Input<float> read_floats(py::handle, Name, Shape, const char*, Rows);
template Input<double> read_floats(py::handle, Name, Shape, const char*, Rows);
template Output<float> read_output(py::handle, Name, Shape, const char*);
template Output<double> read_output(py::handle, Name, Shape, const char*);
template py::object new_array<float>(std::initializer_list<index_t>);
template py::object new_array<double>(std::initializer_list<index_t>);
template py::object new_sequence<float>(index_t, index_t, index_t, bool);
template py::object new_sequence<double>(index_t, index_t, index_t, bool);

}  // namespace pyrnn::bindings
