// What runs and why: thread counts, the chosen kernels, cell facts, the report of the last call.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/cpu_count.hpp"
#include "base/float_mode.hpp"
#include "base/team.hpp"
#include "bindings/register.hpp"
#include "bindings/weights.hpp"
#include "dispatch/registry.hpp"
#include "dispatch/report.hpp"

namespace py = pybind11;

namespace pyrnn::bindings {
namespace {

std::string type_name(const py::handle& value) { return py::str(py::type::of(value).attr("__name__")); }

void set_num_threads_checked(const py::object& n) {
  const std::string expected = "n: expected a whole number from 1 to " + std::to_string(max_threads) + ", got ";
  if (PyBool_Check(n.ptr()) || !PyIndex_Check(n.ptr())) throw py::type_error(expected + type_name(n));
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(n.ptr()));
  if (!number) throw py::error_already_set();
  int overflow = 0;
  const long value = PyLong_AsLongAndOverflow(number.ptr(), &overflow);
  if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  if (overflow != 0 || value < 1 || value > max_threads) throw py::value_error(expected + std::string(py::str(number)));
  set_num_threads(static_cast<int>(value));
}

py::list names(const char* const* first, int count) {
  py::list list;
  for (int i = 0; i < count; ++i) list.append(first[i]);
  return list;
}

py::list cells() {
  const KernelTable<double>& table = best_table<double>();
  py::list list;
  for (int i = 0; i < table.n_cells; ++i) {
    const CellFacts& facts = table.cells[i].facts;
    py::dict cell;
    cell["name"] = facts.name;
    cell["gates"] = names(facts.gate_names, facts.gates);
    cell["states"] = names(facts.state_names, facts.states);
    cell["bias_rows"] = facts.bias_rows;
    cell["slots"] = names(facts.slot_names, facts.slots);
    cell["sums"] = facts.sums;
    cell["phases"] = facts.phases;
    list.append(cell);
  }
  return list;
}

py::list bf16_tables_list() {
  py::list list;
  for (const KernelTable<float>* bf16 : tables<float>(Precision::bf16)) {
    py::dict table, lanes, tile_rows;
    table["isa"] = bf16->isa;
    lanes["float32"] = bf16->lanes;
    tile_rows["float32"] = bf16->tile_rows;
    table["lanes"] = lanes;
    table["tile_rows"] = tile_rows;
    list.append(table);
  }
  return list;
}

// Every table of a precision that this machine can run, best first.
py::list tables_list(py::handle wanted) {
  if (read_precision(wanted) == Precision::bf16) return bf16_tables_list();
  const auto both = [](auto f32, auto f64) {
    py::dict by_dtype;
    by_dtype["float32"] = f32;
    by_dtype["float64"] = f64;
    return by_dtype;
  };
  py::list list;
  for (const KernelTable<float>* f32 : tables<float>()) {
    const KernelTable<double>& f64 = table_by_name<double>(f32->isa);
    py::dict table;
    table["isa"] = f32->isa;
    table["lanes"] = both(f32->lanes, f64.lanes);
    table["tile_rows"] = both(f32->tile_rows, f64.tile_rows);
    list.append(table);
  }
  return list;
}

py::dict config() {
  py::dict isas;
  for (const IsaStatus& status : isa_statuses()) {
    py::dict entry;
    entry["usable"] = status.usable;
    entry["why"] = status.why;
    isas[py::str(status.name)] = entry;
  }
  const CpuCount cpus = count_cpus();

  py::dict result;
  result["isa"] = isa_choice().name;
  result["isa_forced"] = isa_choice().forced;
  result["isa_why"] = isa_choice().why;
  result["isas"] = isas;
  py::dict precisions;
  precisions["float32"] = best_table<float>().isa;
  precisions["float64"] = best_table<double>().isa;
  precisions["bf16"] = best_table<float>(Precision::bf16).isa;
  result["precision"] = precisions;
  const IsaStatus& instruction = isa_statuses(Precision::bf16).front();
  const bool has = instruction.name == best_table<float>(Precision::bf16).isa;
  result["bf16_why"] = has                  ? "vdpbf16ps: " + instruction.why
                       : instruction.usable ? "emulates vdpbf16ps: " + isa_choice().why
                                            : "emulates vdpbf16ps: " + instruction.why;
  result["thread_back_end"] = thread_back_end();
  result["threads"] = get_num_threads();
  result["threads_from"] = num_threads_source();
  result["usable_cpus"] = cpus.usable;
  result["usable_cpus_why"] = cpus.why;
  result["compiler"] = PYRNN_COMPILER;
  result["build_flags"] = PYRNN_BUILD_FLAGS;
  return result;
}

py::object text_or_none(const char* text) {
  if (text == nullptr) return py::none();
  return py::str(text);
}

py::dict last_report_dict() {
  const Report& report = last_report();
  py::dict result;
  result["call"] = text_or_none(report.call);
  result["isa"] = text_or_none(report.isa);
  result["dtype"] = text_or_none(report.dtype);
  result["precision"] = text_or_none(report.precision);
  result["cell"] = text_or_none(report.cell);
  result["workers"] = report.workers;
  result["direction_parts"] = report.direction_parts;
  result["batch_parts"] = report.batch_parts;
  result["unit_parts"] = report.unit_parts;
  result["tile_rows"] = report.tile_rows;
  result["chunks"] = report.chunks;
  result["segments"] = report.segments;
  result["segment_steps"] = report.segment_steps;
  result["busy"] = report.busy;
  result["gil_released"] = report.gil_released;
  result["hoisted"] = report.hoisted;
  result["copied_inputs"] = report.copied_inputs;
  result["packed_weights"] = report.packed_weights;
  return result;
}

UnaryFunction unary_function(const std::string& name) {
  if (name == "exp") return UnaryFunction::exp;
  if (name == "tanh") return UnaryFunction::tanh;
  if (name == "sigmoid") return UnaryFunction::sigmoid;
  if (name == "log") return UnaryFunction::log;
  throw py::value_error("name: expected exp, tanh, sigmoid or log, got '" + name + "'");
}

// No conversion: a test that means one dtype must not get the other.
template <class T>
py::array unary_of(const std::string& name, const py::array_t<T, py::array::c_style>& x, const std::string& isa) {
  const UnaryFunction function = unary_function(name);
  const KernelTable<T>& table = isa.empty() ? best_table<T>() : table_by_name<T>(isa);
  py::array_t<T> y(std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
  const FlushDenormals mode;
  table.unary(function, x.size(), x.data(), y.mutable_data());
  return y;
}

using Halves = py::array_t<std::uint16_t, py::array::c_style>;
using Floats = py::array_t<float, py::array::c_style>;

const KernelTable<float>& bf16_table(const std::string& isa, py::ssize_t n) {
  const KernelTable<float>& table = table_by_name<float>(isa, Precision::bf16);
  if (n % table.lanes != 0) throw py::value_error("n: expected a multiple of " + std::to_string(table.lanes));
  return table;
}

Halves round_bf16(const Floats& x, const std::string& isa) {
  const KernelTable<float>& table = bf16_table(isa, x.size());
  Halves y(x.size());
  const FlushDenormals mode;
  table.factors.round(x.size(), x.data(), y.mutable_data());
  return y;
}

// sums + a0 b0 + a1 b1 of pairs a, b (n, 2).
Floats dot_bf16(const Halves& a, const Halves& b, const Floats& sums, const std::string& isa) {
  const KernelTable<float>& table = bf16_table(isa, sums.size());
  if (a.size() != 2 * sums.size() || b.size() != 2 * sums.size()) throw py::value_error("a, b: expected 2 n elements");
  Floats result(sums.size());
  std::copy_n(sums.data(), sums.size(), result.mutable_data());
  const FlushDenormals mode;
  table.factors.dot(sums.size(), a.data(), b.data(), result.mutable_data());
  return result;
}

std::vector<IsaStatus> statuses_from(const py::list& list) {
  std::vector<IsaStatus> statuses;
  for (const py::handle& item : list) {
    const auto [name, usable, why] = py::cast<std::tuple<std::string, bool, std::string>>(item);
    statuses.push_back({name, usable, why});
  }
  return statuses;
}

}  // namespace

void register_config(py::module_& module) {
  // Now rather than at the first call: a bad PYRNN_ISA or PYRNN_NUM_THREADS must not let the import succeed.
  isa_choice();
  get_num_threads();

  module.def("set_num_threads", set_num_threads_checked, py::arg("n"));
  module.def("get_num_threads", get_num_threads);
  module.def("config", config);
  module.def("cells", cells);
  module.def("tables", tables_list, py::arg("precision") = py::none());
  module.def("last_report", last_report_dict);

  // For the tests.
  module.def("_unary", unary_of<float>, py::arg("name"), py::arg("x").noconvert(), py::arg("isa") = "");
  module.def("_unary", unary_of<double>, py::arg("name"), py::arg("x").noconvert(), py::arg("isa") = "");
  module.def("_round_bf16", round_bf16, py::arg("x").noconvert(), py::arg("isa"));
  module.def("_dot_bf16", dot_bf16, py::arg("a").noconvert(), py::arg("b").noconvert(), py::arg("sums").noconvert(),
             py::arg("isa"));
  module.def("_cgroup_cpu_quota", cgroup_cpu_quota, py::arg("root"));
  module.def(
      "_choose_isa",
      [](const py::list& statuses, const std::string& forced) {
        return choose_isa(statuses_from(statuses), forced).name;
      },
      py::arg("statuses"), py::arg("forced"));
}

}  // namespace pyrnn::bindings
