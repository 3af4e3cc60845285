// A stack of layers with its state between steps: the one class at the boundary, so that a step is one call
// with two checks.
#include <cstring>
#include <memory>
#include <mutex>
#include <variant>

#include "arrays.hpp"
#include "cell_names.hpp"
#include "fastrnn/stream.h"
#include "functions.hpp"

namespace fastrnn::bindings {
namespace {

using Size = py::ssize_t;

template <class T>
class StreamStack {
 public:
  // stages: (a cell, "linear" or "add", input_size, output_size, panels, source of an add stage, H of a cell)
  using StageTuple = std::tuple<std::variant<std::string, CellKind>, Size, Size, py::array, Size, Size>;

  StreamStack(const std::vector<StageTuple>& stages, Size batch) {
    if (stages.empty()) throw py::value_error("stages: expected at least one, got none");
    if (batch < 1) throw py::value_error("batch: expected at least 1, got " + std::to_string(batch));
    double numbers = 0;
    for (const auto& [kind, input_size, output_size, panels, source, hidden_size] : stages) {
      const std::string* name = std::get_if<std::string>(&kind);
      if (input_size < 1 || output_size < 1)
        throw py::value_error("stages: expected input_size and output_size of at least 1");
      if (!stages_.empty() && stages_.back().output_size != input_size)
        throw py::value_error("stages: expected input_size " + std::to_string(stages_.back().output_size) +
                              " like the output before, got " + std::to_string(input_size));
      if (name && *name == "add") {
        check_source(source, input_size, output_size);
        stages_.push_back(
            {StageKind::add, Cell::lstm, input_size, output_size, nullptr, false, source, {}, 0});
        continue;
      }
      const bool linear = name && *name == "linear";
      const CellKind cell = linear ? CellKind{} : name ? plain_cell(*name) : std::get<CellKind>(kind);
      const bool bfloat16 = !linear && is_bfloat16(panels);
      const LayerSize size{cell.cell, 0, 0, input_size, hidden_size, bfloat16, cell.options};
      if (!linear && (hidden_size < 1 || state_size(size) != output_size))
        throw py::value_error("stages: expected output_size " + std::to_string(state_size(size)) +
                              " of the cell, got " + std::to_string(output_size));
      const std::size_t count =
          linear ? linear_panel_size<T>(input_size, output_size) : panel_size<T>(Pass::forward, size);
      const T* data = linear ? aligned<T>("panels", panels, count, false)
                             : aligned_panels<T>("panels", panels, count, false);
      stages_.push_back({linear ? StageKind::linear : StageKind::recurrent, cell.cell, input_size,
                         output_size, data, bfloat16, 0, cell.options, hidden_size});
      panels_.push_back(panels);
      numbers += static_cast<double>(count) * static_cast<double>(batch);
    }
    long_step_ = numbers > short_step;
    stack_ = {stages_.data(), static_cast<std::int64_t>(stages_.size()), batch, nullptr};
    bytes_ = stream_workspace_bytes<T>(stack_);
    memory_.resize(bytes_ + alignment);
    void* place = memory_.data();
    std::size_t space = memory_.size();
    stack_.workspace = std::align(alignment, bytes_, place, space);
  }

  void step(const py::handle& x, const py::handle& out) {
    const Matrix<const T> from{rows<const T>("x", x, stages_.front().input_size, false)};
    const Matrix<T> to{rows<T>("out", out, stages_.back().output_size, true)};
    std::optional<py::gil_scoped_release> release;
    if (long_step_) release.emplace();
    const auto lock = own();
    stream_step<T>(stack_, steps_++, from, to);
  }

  void reset() {
    const auto lock = own();
    std::memset(stack_.workspace, 0, bytes_);
  }

  void read_state(Size stage, const py::handle& h, const py::object& c) {
    const auto [h_view, c_view] = state<T>(stage, h, c, true);
    const auto lock = own();
    stream_read_state<T>(stack_, steps_, stage, h_view, c_view);
  }

  void write_state(Size stage, const py::handle& h, const py::object& c) {
    const auto [h_view, c_view] = state<const T>(stage, h, c, false);
    const auto lock = own();
    stream_write_state<T>(stack_, steps_, stage, h_view, c_view);
  }

 private:
  // Weights times rows of a step of 2 to 3 us: in shorter ones other Python threads wait, because letting
  // them run costs 0.03 us each time (bench/stream_steps.py).
  static constexpr double short_step = 50e3;

  std::unique_lock<std::mutex> own() {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) throw std::runtime_error("stream: expected one caller at a time, got two threads");
    return lock;
  }

  // (N, features) of type T, features side by side. The message is made only where something is wrong.
  template <class U>
  Matrix<U> rows(const char* name, const py::handle& object, Size features, bool written) const {
    if (!py::isinstance<py::array>(object))
      throw py::type_error(std::string(name) + ": expected an array, got " +
                           std::string(py::str(py::type::handle_of(object).attr("__name__"))));
    const auto array = py::reinterpret_borrow<py::array>(object);
    const bool plain = py::isinstance<py::array_t<T>>(object) && array.ndim() == 2 &&
                       array.shape(0) == stack_.batch && array.shape(1) == features &&
                       (features == 1 || array.strides(1) == Size(sizeof(T))) &&
                       array.strides(0) % Size(sizeof(T)) == 0 &&
                       reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0;
    if (!plain) require<T>(name, array, {stack_.batch, features});
    if (written) require_writable(name, array);
    return {static_cast<U*>(const_cast<void*>(array.data())), array.strides(0) / Size(sizeof(T))};
  }

  void check_source(Size source, Size input_size, Size output_size) const {
    if (input_size != output_size) throw py::value_error("stages: expected output_size = input_size to add");
    if (source < 0 || source >= static_cast<Size>(stages_.size()))
      throw py::value_error("stages: expected a source before the stage that adds, got " +
                            std::to_string(source));
    if (stages_[source].input_size != input_size)
      throw py::value_error("stages: expected a source with input_size " + std::to_string(input_size) +
                            ", got " + std::to_string(stages_[source].input_size));
  }

  template <class U>
  std::pair<Matrix<U>, Matrix<U>> state(Size stage, const py::handle& h, const py::object& c,
                                        bool written) const {
    if (stage < 0 || stage >= stack_.count || stages_[stage].kind != StageKind::recurrent)
      throw py::value_error("stage: expected a recurrent stage, got " + std::to_string(stage));
    const Size size = stages_[stage].output_size;
    const bool with_c = has_cell_state(stages_[stage].cell);
    if (with_c == c.is_none())
      throw py::value_error(with_c ? "c: expected an array, got None"
                                   : "c: expected None, this cell has no c");
    return {rows<U>("h", h, size, written),
            with_c ? rows<U>("c", c, stages_[stage].cell_size, written) : Matrix<U>{}};
  }

  std::vector<Stage<T>> stages_;
  std::vector<py::array> panels_;  // kept alive
  Stack<T> stack_{};
  std::size_t bytes_ = 0;
  std::vector<std::uint8_t> memory_;
  bool long_step_ = true;
  std::int64_t steps_ = 0;
  std::mutex mutex_;
};

template <class T>
void add_class(py::module_& module, const char* name) {
  using py::arg;
  py::class_<StreamStack<T>>(module, name, "A stack of layers and its state; step by step.")
      .def(py::init<const std::vector<typename StreamStack<T>::StageTuple>&, Size>(), arg("stages"),
           arg("batch"))
      .def("step", &StreamStack<T>::step, arg("x"), arg("out"), "One time step of all layers.")
      .def("reset", &StreamStack<T>::reset, "All states to zero.")
      .def("read_state", &StreamStack<T>::read_state, arg("stage"), arg("h"), arg("c"),
           "Copy a stage's state into h and c.")
      .def("write_state", &StreamStack<T>::write_state, arg("stage"), arg("h"), arg("c"),
           "Copy h and c into a stage's state.");
}

void pack(const py::array& weight, const OptionalArray& bias, const py::array& panels) {
  with_scalar("weight", weight, [&](auto zero) {
    using T = decltype(zero);
    if (weight.ndim() != 2 || weight.shape(0) < 1 || weight.shape(1) < 1)
      throw py::value_error("weight: expected 2 axes (output_size, input_size) of at least 1 each");
    const Size O = weight.shape(0), I = weight.shape(1);
    Views<T> views;
    const T* w = views.read_flat("weight", weight, {O, I});
    const T* b = views.read_flat("bias", bias, {O});
    T* out = views.template scratch<T>("panels", panels, linear_panel_size<T>(I, O));
    const py::gil_scoped_release release;
    pack_linear<T>(I, O, w, b, out);
  });
}

std::size_t panel_elements(Size input_size, Size output_size, Size itemsize) {
  if (input_size < 1 || output_size < 1)
    throw py::value_error("input_size, output_size: expected at least 1 each");
  return with_itemsize(itemsize,
                       [&](auto zero) { return linear_panel_size<decltype(zero)>(input_size, output_size); });
}

}  // namespace

void add_stream(py::module_& module) {
  using py::arg;
  add_class<float>(module, "StreamFloat32");
  add_class<double>(module, "StreamFloat64");
  module.def("linear_panel_size", &panel_elements, arg("input_size"), arg("output_size"), arg("itemsize"),
             "Elements of the panels of an affine layer in a stream.");
  module.def("pack_linear", &pack, arg("weight"), arg("bias"), arg("panels"),
             "Pack an affine layer's weights for a stream.");
}

}  // namespace fastrnn::bindings
