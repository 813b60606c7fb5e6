// Step by step: a stream owns its state and a job that is ready to run, so a step is little more than the kernel.
#include <atomic>
#include <cstring>

#include "bindings/arguments.hpp"
#include "bindings/register.hpp"

namespace pyrnn::bindings {
namespace {

// What Python's Stream holds, whatever the dtype.
class AnyStream {
 public:
  AnyStream() = default;
  virtual ~AnyStream() = default;
  AnyStream(const AnyStream&) = delete;
  AnyStream& operator=(const AnyStream&) = delete;

  virtual py::object step(py::handle x, py::handle out) = 0;
  virtual py::object state() = 0;
  virtual void set_state(py::handle state) = 0;
  virtual void reset(py::handle rows) = 0;
  virtual py::dict facts() const = 0;

  std::atomic<bool> in_use{false};
};

template <class T>
class StreamOf final : public AnyStream {
 public:
  StreamOf(std::shared_ptr<WeightsOf<T>> weights, index_t batch) {
    SharedInputs<T> shared;
    shared.x.shape[0] = 2;  // steps 0 and 1 take turns, on the two halves of the ring
    shared.x.shape[1] = batch;
    pass_.weights_given = true;
    pass_.describe(std::move(weights), shared, false, false, 0);
    pass_.allocate(shared, {}, Block());
    SequenceJob<T>& job = pass_.job;
    job.x_t = 0;
    job.x_b = job.inputs;
    job.y_t = 0;
    const CellFacts& facts = pass_.facts();
    const KernelTable<T>& table = pass_.weights->table;
    work_ = work_of(table, facts, 1, 1, batch, job.inputs, job.units, false);
    share_.batch_end = batch;
    share_.unit_parts = 1;
    share_.workers = 1;
    scratch_ = Block(pass_.kernels().scratch_bytes(2, batch, job.inputs, job.units));
    share_.scratch = scratch_.data();
    release_gil_ = estimate_ns(work_, {}) > keep_gil_ns;
  }

  py::object step(py::handle x, py::handle out) override {
    SequenceJob<T>& job = pass_.job;
    py::object copy;
    const index_t rank = rows_of(x);
    if (!ready(x, rank, job.inputs)) {
      copy = rank == 1
                 ? read_floats<T>(x, "x", {{"D", job.inputs}}, "the weights", Rows::contiguous).owner
                 : read_floats<T>(x, "x", {{"B", job.batch}, {"D", job.inputs}}, "the weights", Rows::contiguous).owner;
      x = copy;
    }
    py::object y;
    index_t y_b = job.units;
    if (out.is_none()) {
      y = rank == 1 ? new_array<T>({job.units}) : new_array<T>({job.batch, job.units});
    } else {
      if (!ready(out, rank, job.units) || !is_writable(out) || meets(out, x)) {
        const Output<T> output = rank == 1
                                     ? read_output<T>(out, "out", {{"H", job.units}}, "the weights")
                                     : read_output<T>(out, "out", {{"B", job.batch}, {"H", job.units}}, "the weights");
        check_apart(out, "out", x, "x");
        if (rank == 2) y_b = output.stride[0];
      }
      y = py::reinterpret_borrow<py::object>(out);
    }
    job.x = data_of<T>(x);
    job.y = data_of<T>(y);
    job.y_b = y_b;
    pass_.refresh_weights();
    if (release_gil_) {
      const GilRelease released;
      run();
    } else {
      run();
    }
    parity_ ^= 1;
    return y;
  }

  py::object state() override {
    return new_state(pass_, pass_.facts().states > 1, [&](int i) { return pass_.state_at(i, parity_); });
  }

  void set_state(py::handle state) override {
    SequenceJob<T>& job = pass_.job;
    Input<T> inputs[max_states];
    read_state(state, "state", pass_.facts(), job.batch, job.units, false, inputs, "the weights");
    for (int i = 0; i < pass_.facts().states; ++i)
      pad_rows(row_of(i, 0), job.pitch, inputs[i].data, inputs[i].stride[0], job.batch, job.units);
  }

  // All rows, those with these indices, or those where a mask is true.
  void reset(py::handle rows) override {
    SequenceJob<T>& job = pass_.job;
    if (rows.is_none()) return clear(0, job.batch);
    if (is_bool_array(rows)) {
      const Bools mask = read_bools(rows, "rows", {{"B", job.batch}});
      for (index_t b = 0; b < job.batch; ++b)
        if (mask.data[b]) clear(b, b + 1);
      return;
    }
    const Integers indices = read_integers(rows, "rows", {{"n"}});
    for (index_t i = 0; i < indices.size; ++i) {
      if (indices.data[i] < 0 || indices.data[i] >= job.batch)
        value_error("rows", "0 to B - 1 = " + std::to_string(job.batch - 1),
                    std::to_string(indices.data[i]) + " at index " + std::to_string(i));
    }
    for (index_t i = 0; i < indices.size; ++i) clear(indices.data[i], indices.data[i] + 1);
  }

  py::dict facts() const override {
    py::dict facts;
    facts["cell"] = pass_.facts().name;
    facts["states"] = pass_.facts().states;
    facts["batch"] = pass_.job.batch;
    facts["inputs"] = pass_.job.inputs;
    facts["units"] = pass_.job.units;
    facts["dtype"] = text_of(dtype_of<T>);
    return facts;
  }

 private:
  void run() {
    const FlushDenormals flush;
    pass_.kernels().forward_steps(&pass_.job, &share_, parity_, parity_ + 1);
  }

  // The current state i of row b.
  T* row_of(int i, index_t b) { return pass_.job.state[i] + (parity_ * pass_.job.batch + b) * pass_.job.pitch; }

  void clear(index_t begin, index_t end) {
    for (int i = 0; i < pass_.facts().states; ++i)
      pad_rows<T>(row_of(i, begin), pass_.job.pitch, nullptr, 0, end - begin, pass_.job.units);
  }

  // 1 where x is (D,) and there is one row.
  index_t rows_of(py::handle x) const {
    const bool array = py::detail::npy_api::get().PyArray_Check_(x.ptr());
    return array && pass_.job.batch == 1 && py::detail::array_proxy(x.ptr())->nd == 1 ? 1 : 2;
  }

  // An exact, aligned, native, contiguous array of the right shape: nothing to check or copy.
  bool ready(py::handle array, index_t rank, index_t columns) const {
    constexpr int flags = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    constexpr int number =
        sizeof(T) == sizeof(float) ? py::detail::npy_api::NPY_FLOAT_ : py::detail::npy_api::NPY_DOUBLE_;
    if (Py_TYPE(array.ptr()) != py::detail::npy_api::get().PyArray_Type_) return false;
    const auto& a = *py::detail::array_proxy(array.ptr());
    const auto& type = *py::detail::array_descriptor_proxy(a.descr);
    return a.nd == rank && (a.flags & flags) == flags && type.type_num == number && type.byteorder == '=' &&
           a.dimensions[rank - 1] == columns && (rank == 1 || a.dimensions[0] == pass_.job.batch);
  }

  static bool is_writable(py::handle array) {
    return py::detail::array_proxy(array.ptr())->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }

  bool meets(py::handle out, py::handle x) const {
    const auto *y_data = py::detail::array_proxy(out.ptr())->data, *x_data = py::detail::array_proxy(x.ptr())->data;
    const index_t batch = pass_.job.batch, item = sizeof(T);
    return y_data < x_data + batch * pass_.job.inputs * item && x_data < y_data + batch * pass_.job.units * item;
  }

  Pass<T> pass_;
  Work work_{};
  Share share_{};
  Block scratch_;
  index_t parity_ = 0;
  bool release_gil_ = false;
};

struct Stream {
  std::unique_ptr<AnyStream> impl;
};

Stream make_stream(py::handle weights, py::handle batch) {
  const std::shared_ptr<AnyWeights> given = as_weights(weights);
  if (!given) type_error("weights", "ops.Weights", describe(weights));
  const index_t rows = read_count(batch, "batch", 1, 1 << 24);
  check_addressable("batch", {rows, given->units + given->inputs + 64, 64});
  if (given->dtype == Dtype::float32)
    return {std::make_unique<StreamOf<float>>(std::static_pointer_cast<WeightsOf<float>>(given), rows)};
  return {std::make_unique<StreamOf<double>>(std::static_pointer_cast<WeightsOf<double>>(given), rows)};
}

// step(x, out=None), called by CPython directly: an argument parser would cost as much as a small step.
PyObject* step(PyObject* self, PyObject* const* arguments, Py_ssize_t n, PyObject* names) {
  return guarded([&]() -> py::object {
    const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    py::handle x, out = Py_None;
    if (n > 2) throw py::type_error("step: expected (x, out=None), got " + std::to_string(n) + " positional arguments");
    if (n > 0) x = arguments[0];
    if (n > 1) out = arguments[1];
    for (Py_ssize_t i = 0; i < named; ++i) {
      PyObject* name = PyTuple_GET_ITEM(names, i);
      if (n < 2 && PyUnicode_CompareWithASCIIString(name, "out") == 0) {
        out = arguments[n + i];
      } else if (n < 1 && PyUnicode_CompareWithASCIIString(name, "x") == 0) {
        x = arguments[n + i];
      } else {
        throw py::type_error("step: expected (x, out=None), got " + describe(name));
      }
    }
    if (!x) throw py::type_error("step: expected (x, out=None), got no x");
    AnyStream& stream = *py::handle(self).cast<Stream&>().impl;
    const Use use(stream.in_use, "stream");
    return stream.step(x, out);
  });
}

PyMethodDef step_definition = {"step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(step)),
                               METH_FASTCALL | METH_KEYWORDS, "step(x, out=None): y of the next step."};

// body(stream) while no other call uses it.
template <class Body>
auto used(Stream& stream, const Body& body) {
  const Use use(stream.impl->in_use, "stream");
  return body(*stream.impl);
}

}  // namespace

void register_stream(py::module_& module) {
  py::class_<Stream> stream(module, "Stream");
  stream.def(py::init(&make_stream), py::arg("weights"), py::arg("batch") = 1)
      .def_property(
          "state", [](Stream& s) { return used(s, [](AnyStream& impl) { return impl.state(); }); },
          [](Stream& s, py::handle state) { used(s, [&](AnyStream& impl) { impl.set_state(state); }); })
      .def(
          "reset", [](Stream& s, py::handle rows) { used(s, [&](AnyStream& impl) { impl.reset(rows); }); },
          py::arg("rows") = py::none())
      .def_property_readonly("facts", [](const Stream& s) { return s.impl->facts(); });
  PyObject* method = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(stream.ptr()), &step_definition);
  if (!method) throw py::error_already_set();
  stream.attr("step") = py::reinterpret_steal<py::object>(method);
}

}  // namespace pyrnn::bindings
