// The cell and what it computes otherwise than its plain equations, as one argument of the layer's functions.
#include "arrays.hpp"
#include "cell_names.hpp"
#include "functions.hpp"

namespace fastrnn::bindings {
namespace {

void require_at_least_zero(const char* name, double value) {
  if (!(value >= 0))
    throw py::value_error(std::string(name) + ": expected at least 0, got " + std::to_string(value));
}

CellKind cell_with_options(const std::string& name, const std::string& gate_activation,
                           const std::string& candidate_activation, const std::string& output_activation,
                           double activation_clip, double cell_clip, py::ssize_t projection_size,
                           bool layer_norm, double zoneout_h, double zoneout_c, double gradient_clip_value,
                           double gradient_clip_norm) {
  const Cell cell = plain_cell(name).cell;
  const std::pair<const char*, double> sizes[] = {{"activation_clip", activation_clip},
                                                  {"cell_clip", cell_clip},
                                                  {"projection_size", static_cast<double>(projection_size)},
                                                  {"zoneout_h", zoneout_h},
                                                  {"zoneout_c", zoneout_c},
                                                  {"gradient_clip_value", gradient_clip_value},
                                                  {"gradient_clip_norm", gradient_clip_norm}};
  for (const auto& [option, value] : sizes) require_at_least_zero(option, value);
  if (!has_cell_state(cell) && (cell_clip > 0 || projection_size > 0 || zoneout_c > 0))
    throw py::value_error("cell_clip, projection_size, zoneout_c: expected 0, this cell has no c");
  return {cell,
          {named("gate_activation", activation_names, gate_activation),
           named("candidate_activation", activation_names, candidate_activation),
           named("output_activation", activation_names, output_activation), activation_clip, cell_clip,
           projection_size, layer_norm, zoneout_h, zoneout_c, gradient_clip_value, gradient_clip_norm}};
}

}  // namespace

void add_cell_class(py::module_& module) {
  using py::arg;
  py::class_<CellKind>(module, "CellKind", py::module_local(),  // other modules may be loaded beside
                       "A cell with its options.")
      .def(py::init(&plain_cell), arg("name"))
      .def(py::init(&cell_with_options), arg("name"), py::kw_only(), arg("gate_activation") = "sigmoid",
           arg("candidate_activation") = "tanh", arg("output_activation") = "tanh",
           arg("activation_clip") = 0.0, arg("cell_clip") = 0.0, arg("projection_size") = 0,
           arg("layer_norm") = false, arg("zoneout_h") = 0.0, arg("zoneout_c") = 0.0,
           arg("gradient_clip_value") = 0.0, arg("gradient_clip_norm") = 0.0);
  py::implicitly_convertible<py::str, CellKind>();
}

}  // namespace fastrnn::bindings
