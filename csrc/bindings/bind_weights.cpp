#include <cstring>

#include "bindings/register.hpp"
#include "bindings/weights.hpp"

namespace pyrnn::bindings {

template <class T>
PlainWeights<T> read_weights(const CellFacts& facts, py::handle W_x, py::handle W_h, py::handle b, Name W_x_name,
                             Name W_h_name, Name b_name, const char* like) {
  PlainWeights<T> weights;
  weights.W_h = read_floats<T>(W_h, W_h_name, {{"H"}, {"G*H"}}, like);
  const index_t units = weights.W_h.shape[0];
  const index_t columns = weights.W_h.shape[1];
  check_addressable(W_h_name, {units, facts.gates});
  if (units < 1 || columns != units * facts.gates) {
    value_error(W_h_name, "(H, G*H) with H >= 1 and G = " + std::to_string(facts.gates),
                shape_text(2, weights.W_h.shape));
  }
  weights.W_x = read_floats<T>(W_x, W_x_name, {{"D"}, {"G*H", columns}}, like);
  if (weights.inputs() < 1) value_error(W_x_name, "(D, G*H) with D >= 1", shape_text(2, weights.W_x.shape));
  check_addressable(W_x_name, {weights.inputs() + units + 2, columns + 64 * facts.gates});
  if (!b.is_none()) {
    weights.b = facts.bias_rows == 1 ? read_floats<T>(b, b_name, {{"G*H", columns}}, like, Rows::contiguous)
                                     : read_floats<T>(b, b_name, {{"bias_rows", facts.bias_rows}, {"G*H", columns}},
                                                      like, Rows::contiguous);
  }
  return weights;
}

template <class T>
WeightsOf<T>::WeightsOf(const KernelTable<T>& table_, const CellKernels<T>& kernels_, const PlainWeights<T>& plain)
    : AnyWeights(dtype_of<T>, precision_of(table_.precision), kernels_.facts, plain.inputs(), plain.units(),
                 static_cast<bool>(plain.b)),
      table(table_),
      kernels(kernels_),
      master(kernels_.packed_size(plain.inputs(), plain.units()) * static_cast<index_t>(sizeof(T))) {
  set(plain);
}

template <class T>
void WeightsOf<T>::set(const PlainWeights<T>& plain) {
  kernels.pack(inputs, units, plain.W_x.data, plain.W_x.stride[0], plain.W_h.data, plain.W_h.stride[0], plain.b.data,
               packed());
  version.fetch_add(1);
}

template <class T>
template <class Fill>
std::shared_ptr<const typename WeightsOf<T>::Factors> WeightsOf<T>::derive(std::shared_ptr<Factors>& latest,
                                                                           index_t x_size, index_t h_size,
                                                                           const Fill& fill) {
  const std::lock_guard<std::mutex> lock(mutex);
  const std::uint64_t now = version.load();
  if (latest && latest->version == now) return latest;
  // A copy that another call still reads is left to it.
  if (!latest || latest.use_count() > 1) {
    latest.reset();
    auto fresh = std::make_shared<Factors>();
    const auto carve = [&](Carver carver) {
      fresh->x = carver.take<char>(x_size * table.factor_bytes);
      fresh->h = carver.take<char>(h_size * table.factor_bytes);
      return carver.used();
    };
    fresh->memory = Block(carve(Carver()));
    carve(Carver(fresh->memory.data()));
    latest = std::move(fresh);
  }
  latest->version = now;
  fill(*latest);
  return latest;
}

template <class T>
std::shared_ptr<const typename WeightsOf<T>::Factors> WeightsOf<T>::transposed() {
  return derive(latest_transposed, kernels.transposed_x_size(inputs, units), kernels.transposed_h_size(units),
                [&](const Factors& to) { kernels.transpose(inputs, units, packed(), to.x, to.h); });
}

template <class T>
std::shared_ptr<const typename WeightsOf<T>::Factors> WeightsOf<T>::rounded() {
  return derive(latest_rounded, kernels.factors_size(inputs, units), 0,
                [&](const Factors& to) { kernels.round(inputs, units, packed(), to.x); });
}

template <class T>
Unpacked<T> unpack(const CellKernels<T>& kernels, index_t inputs, index_t units, bool has_bias, const T* packed,
                   bool want_W_x, bool want_W_h, bool want_b) {
  const index_t columns = units * kernels.facts.gates;
  Unpacked<T> parts{py::none(), py::none(), py::none()};
  if (want_W_x) parts.W_x = new_array<T>({inputs, columns});
  if (want_W_h) parts.W_h = new_array<T>({units, columns});
  if (want_b && has_bias) {
    parts.b = kernels.facts.bias_rows == 1 ? new_array<T>({columns}) : new_array<T>({kernels.facts.bias_rows, columns});
  }
  const auto data = [](const py::object& part) { return part.is_none() ? nullptr : data_of<T>(part); };
  kernels.unpack(inputs, units, packed, data(parts.W_x), data(parts.W_h), data(parts.b), false);
  return parts;
}

template <class T>
const CellKernels<T>& find_cell(const KernelTable<T>& table, py::handle cell, Name name) {
  const char* names[64];
  const int n = table.n_cells < 64 ? table.n_cells : 64;
  for (int i = 0; i < n; ++i) names[i] = table.cells[i].facts.name;
  return table.cells[read_choice(cell, name, names, n)];
}

std::shared_ptr<AnyWeights> as_weights(py::handle object) {
  if (object.is_none() || py::detail::npy_api::get().PyArray_Check_(object.ptr())) return nullptr;
  py::detail::make_caster<std::shared_ptr<AnyWeights>> caster;
  if (!caster.load(object, false)) return nullptr;
  return py::detail::cast_op<std::shared_ptr<AnyWeights>>(caster);
}

Precision read_precision(py::handle precision) {
  if (precision.is_none()) return Precision::of_dtype;
  const char* const names[] = {"bf16"};
  if (!PyUnicode_Check(precision.ptr()) || PyUnicode_CompareWithASCIIString(precision.ptr(), names[0]) != 0)
    value_error("precision", "None or 'bf16'", describe(precision));
  return Precision::bf16;
}

void check_precision(Precision precision, Dtype dtype, Name name, py::handle array) {
  if (precision == Precision::bf16 && dtype != Dtype::float32)
    type_error(name, "float32, as precision='bf16' has sums of float32", describe(array));
}

namespace {

template <class T>
std::shared_ptr<AnyWeights> make_weights(py::handle cell, py::handle W_x, py::handle W_h, py::handle b,
                                         Precision precision, py::handle isa) {
  const KernelTable<T>& table =
      isa.is_none() ? best_table<T>(precision) : table_by_name<T>(isa.cast<std::string>(), precision);
  const CellKernels<T>& kernels = find_cell(table, cell, "cell");
  return std::make_shared<WeightsOf<T>>(table, kernels,
                                        read_weights<T>(kernels.facts, W_x, W_h, b, "W_x", "W_h", "b", "W_x"));
}

// Calls body(WeightsOf<T>&) with the T of the weights.
template <class Body>
auto with_type(AnyWeights& weights, const Body& body) {
  if (weights.dtype == Dtype::float32) return body(static_cast<WeightsOf<float>&>(weights));
  return body(static_cast<WeightsOf<double>&>(weights));
}

template <class T>
void set_weights(WeightsOf<T>& weights, py::handle W_x, py::handle W_h, py::handle b) {
  const PlainWeights<T> plain = read_weights<T>(weights.facts, W_x, W_h, b, "W_x", "W_h", "b", "the weights");
  if (plain.units() != weights.units)
    value_error("W_h", "(H, G*H) with H = " + std::to_string(weights.units), shape_text(2, plain.W_h.shape));
  if (plain.inputs() != weights.inputs)
    value_error("W_x", "(D, G*H) with D = " + std::to_string(weights.inputs), shape_text(2, plain.W_x.shape));
  if (static_cast<bool>(plain.b) != weights.has_bias)
    value_error("b", weights.has_bias ? "a bias, as these weights have one" : "None, as these weights have no bias",
                describe(b));
  weights.set(plain);
}

// 1-D array on memory that `base` keeps alive.
py::object flat_view(AnyWeights& weights, const py::object& base) {
  return with_type(weights, [&](auto& w) -> py::object {
    using T = std::remove_reference_t<decltype(*w.packed())>;
    return py::array(py::dtype::of<T>(), {w.packed_size()}, {static_cast<index_t>(sizeof(T))}, w.packed(), base);
  });
}

py::object part(AnyWeights& weights, int which) {
  return with_type(weights, [&](auto& w) -> py::object {
    auto parts = unpack(w.kernels, w.inputs, w.units, w.has_bias, w.packed(), which == 0, which == 1, which == 2);
    return which == 0 ? parts.W_x : which == 1 ? parts.W_h : parts.b;
  });
}

}  // namespace

void register_weights(py::module_& module) {
  py::class_<AnyWeights, std::shared_ptr<AnyWeights>>(module, "Weights")
      .def(py::init(
               [](py::handle cell, py::handle W_x, py::handle W_h, py::handle b, py::handle wanted, py::handle isa) {
                 const Dtype dtype = float_dtype(W_x, "W_x");
                 const Precision precision = read_precision(wanted);
                 check_precision(precision, dtype, "W_x", W_x);
                 return dtype == Dtype::float32 ? make_weights<float>(cell, W_x, W_h, b, precision, isa)
                                                : make_weights<double>(cell, W_x, W_h, b, precision, isa);
               }),
           py::arg("cell"), py::arg("W_x"), py::arg("W_h"), py::arg("b") = py::none(),
           py::arg("precision") = py::none(), py::kw_only(), py::arg("_isa") = py::none())
      .def_property_readonly("cell", [](const AnyWeights& w) { return w.facts.name; })
      .def_property_readonly("inputs", [](const AnyWeights& w) { return w.inputs; })
      .def_property_readonly("units", [](const AnyWeights& w) { return w.units; })
      .def_property_readonly("dtype", [](const AnyWeights& w) { return py::dtype(text_of(w.dtype)); })
      .def_property_readonly(
          "precision",
          [](const AnyWeights& w) { return w.precision == Precision::bf16 ? py::object(py::str("bf16")) : py::none(); })
      .def_property_readonly("version", [](const AnyWeights& w) { return w.version.load(); })
      .def_property_readonly("flat", [](const py::object& self) { return flat_view(self.cast<AnyWeights&>(), self); })
      .def_property_readonly("W_x", [](AnyWeights& w) { return part(w, 0); })
      .def_property_readonly("W_h", [](AnyWeights& w) { return part(w, 1); })
      .def_property_readonly("b", [](AnyWeights& w) { return part(w, 2); })
      .def("touch", [](AnyWeights& w) { w.version.fetch_add(1); })
      .def(
          "set",
          [](AnyWeights& w, py::handle W_x, py::handle W_h, py::handle b) {
            with_type(w, [&](auto& typed) { set_weights(typed, W_x, W_h, b); });
          },
          py::arg("W_x"), py::arg("W_h"), py::arg("b") = py::none());
}

template struct WeightsOf<float>;
template struct WeightsOf<double>;
template PlainWeights<float> read_weights(const CellFacts&, py::handle, py::handle, py::handle, Name, Name, Name,
                                          const char*);
template PlainWeights<double> read_weights(const CellFacts&, py::handle, py::handle, py::handle, Name, Name, Name,
                                           const char*);
template Unpacked<float> unpack(const CellKernels<float>&, index_t, index_t, bool, const float*, bool, bool, bool);
template Unpacked<double> unpack(const CellKernels<double>&, index_t, index_t, bool, const double*, bool, bool, bool);
template const CellKernels<float>& find_cell(const KernelTable<float>&, py::handle, Name);
template const CellKernels<double>& find_cell(const KernelTable<double>&, py::handle, Name);

}  // namespace pyrnn::bindings
