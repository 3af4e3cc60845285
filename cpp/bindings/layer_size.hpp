// The contract's sizes and masks of a layer from a caller's numbers and arrays, judged.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "arrays.hpp"
#include "cell_names.hpp"

namespace fastrnn::bindings {

inline LayerSize layer_size(const CellKind& cell, py::ssize_t batch, py::ssize_t steps,
                            py::ssize_t input_size, py::ssize_t hidden_size, bool bfloat16 = false,
                            const MaskKinds& masks = {}) {
  if (batch < 0) throw py::value_error("batch: expected at least 0, got " + std::to_string(batch));
  if (steps < 0) throw py::value_error("steps: expected at least 0, got " + std::to_string(steps));
  if (input_size < 1)
    throw py::value_error("input_size: expected at least 1, got " + std::to_string(input_size));
  if (hidden_size < 1)
    throw py::value_error("hidden_size: expected at least 1, got " + std::to_string(hidden_size));
  if (cell.options.projection_size > hidden_size)
    throw py::value_error("projection_size: expected at most hidden_size = " + std::to_string(hidden_size) +
                          ", got " + std::to_string(cell.options.projection_size));
  return {cell.cell, batch, steps, input_size, hidden_size, bfloat16, cell.options, masks};
}

// N and T of x; its other checks follow with the rest.
inline std::pair<py::ssize_t, py::ssize_t> batch_and_steps(const char* name, const py::array& x) {
  if (x.ndim() != 3) {
    throw py::value_error(std::string(name) + ": expected 3 axes (N, T, features), got " +
                          std::to_string(x.ndim()));
  }
  return {x.shape(0), x.shape(1)};
}

// Which masks a call will have, in the order of the contract.
using KindsTuple = std::tuple<bool, bool, bool, bool>;
inline MaskKinds mask_kinds(const KindsTuple& kinds) {
  const auto& [resets, recurrent, zoneout_h, zoneout_c] = kinds;
  return {resets, recurrent, zoneout_h, zoneout_c};
}

// The masks themselves: resets (N, T, 1) of uint8, recurrent (N, S), zoneout_h (N, T, S), zoneout_c (N, T,
// H).
using MasksTuple = std::optional<std::tuple<OptionalArray, OptionalArray, OptionalArray, OptionalArray>>;
inline MaskKinds kinds_of(const MasksTuple& masks) {
  if (!masks) return {};
  const auto& [resets, recurrent, zoneout_h, zoneout_c] = *masks;
  return {resets.has_value(), recurrent.has_value(), zoneout_h.has_value(), zoneout_c.has_value()};
}
template <class T>
Masks<T> masks_of(Views<T>& views, const MasksTuple& masks, const LayerSize& size) {
  if (!masks) return {};
  const auto& [resets, recurrent, zoneout_h, zoneout_c] = *masks;
  if (zoneout_c && !has_cell_state(size.cell))
    throw py::value_error("zoneout_c: expected None, this cell has no c");
  if (recurrent && size.bfloat16)
    throw py::value_error("recurrent: expected None, bfloat16 weights are for inference");
  const py::ssize_t N = size.batch, S = size.steps, state = state_size(size), H = size.hidden_size;
  return {views.bytes("resets", resets, {N, S, 1}), matrix(views.read("recurrent", recurrent, {N, state})),
          views.read("zoneout_h", zoneout_h, {N, S, state}), views.read("zoneout_c", zoneout_c, {N, S, H})};
}

}  // namespace fastrnn::bindings
