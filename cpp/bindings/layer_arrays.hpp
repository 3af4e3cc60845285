// The arrays of a layer's calls as the contract's views: masks, weights and their gradients.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "arrays.hpp"
#include "cell_names.hpp"
#include "layer_size.hpp"

namespace fastrnn::bindings {

using Size = py::ssize_t;

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
  const Size N = size.batch, S = size.steps, state = state_size(size), H = size.hidden_size;
  return {views.bytes("resets", resets, {N, S, 1}), matrix(views.read("recurrent", recurrent, {N, state})),
          views.read("zoneout_h", zoneout_h, {N, S, state}), views.read("zoneout_c", zoneout_c, {N, S, H})};
}

// N and T of x; its other checks follow with the rest.
inline std::pair<Size, Size> batch_and_steps(const char* name, const py::array& x) {
  if (x.ndim() != 3) {
    throw py::value_error(std::string(name) + ": expected 3 axes (N, T, features), got " +
                          std::to_string(x.ndim()));
  }
  return {x.shape(0), x.shape(1)};
}

inline void require_cell_state(Cell cell, const char* name, const OptionalArray& array, bool needed) {
  if (!has_cell_state(cell) && array)
    throw py::value_error(std::string(name) + ": expected None, this cell has no c");
  if (has_cell_state(cell) && needed && !array)
    throw py::value_error(std::string(name) + ": expected an array, got None");
}

// I and H, told by weight_ih (G * H, I), whichever else the cell has.
inline std::pair<Size, Size> sizes_of(const char* name, Cell cell, const py::array& weight_ih) {
  const Size gates = gates_of(cell);
  if (weight_ih.ndim() != 2 || weight_ih.shape(0) % gates != 0) {
    throw py::value_error(std::string(name) + ": expected 2 axes (G*H, I) with G = " + std::to_string(gates));
  }
  return {weight_ih.shape(1), weight_ih.shape(0) / gates};
}

// The weights beside weight_ih and bias_ih, or their gradients.
struct OptionalWeights {
  const OptionalArray &weight_hh, &bias_hh, &unit_weights, &weight_hr, &layer_norm;
};

// Refuses weights that the cell has not, and the lack of those that it has.
inline void require_weights(const CellKind& kind, const char* names, const OptionalWeights& weights) {
  const auto& [weight_hh, bias_hh, unit_weights, weight_hr, layer_norm] = weights;
  const bool matrix = has_recurrent_matrix(kind.cell), unit = unit_weights_of(kind.cell) > 0;
  if (weight_hr.has_value() != (kind.options.projection_size > 0) ||
      layer_norm.has_value() != kind.options.layer_norm)
    throw py::value_error("weight_hr, layer_norm: expected those that the cell's options ask for");
  if (matrix != weight_hh.has_value() || unit != unit_weights.has_value() || (!matrix && bias_hh)) {
    throw py::value_error(std::string(names) + ": expected those that the cell has: " +
                          (matrix ? "a recurrent matrix" : "no recurrent matrix nor its bias") +
                          (unit ? " and unit weights" : " and no unit weights"));
  }
}

// Numbers of gain and shift: of W x, of R h, and of c, where the cell has them.
inline Size layer_norm_numbers(const LayerSize& size) {
  const Size products = has_recurrent_matrix(size.cell) ? 2 : 1;
  return 2 * (products * gates_of(size.cell) + has_cell_state(size.cell)) * size.hidden_size;
}

// The arrays of weights, or with `write`, of gradients.
template <class T>
Weights<const T> weight_views(Views<T>& views, const LayerSize& size, const py::array& weight_ih,
                              const OptionalArray& bias_ih, const OptionalWeights& others) {
  const Size rows = gates_of(size.cell) * size.hidden_size, H = size.hidden_size;
  return {views.read_flat("weight_ih", weight_ih, {rows, size.input_size}),
          views.read_flat("weight_hh", others.weight_hh, {rows, state_size(size)}),
          views.read_flat("bias_ih", bias_ih, {rows}),
          views.read_flat("bias_hh", others.bias_hh, {rows}),
          views.read_flat("unit_weights", others.unit_weights, {unit_weights_of(size.cell) * H}),
          views.read_flat("weight_hr", others.weight_hr, {size.options.projection_size, H}),
          views.read_flat("layer_norm", others.layer_norm, {layer_norm_numbers(size)})};
}
template <class T>
Weights<T> gradient_views(Views<T>& views, const LayerSize& size, const py::array& dweight_ih,
                          const OptionalArray& dbias_ih, const OptionalWeights& others) {
  const Size rows = gates_of(size.cell) * size.hidden_size, H = size.hidden_size;
  return {views.write_flat("dweight_ih", dweight_ih, {rows, size.input_size}),
          views.write_flat("dweight_hh", others.weight_hh, {rows, state_size(size)}),
          views.write_flat("dbias_ih", dbias_ih, {rows}),
          views.write_flat("dbias_hh", others.bias_hh, {rows}),
          views.write_flat("dunit_weights", others.unit_weights, {unit_weights_of(size.cell) * H}),
          views.write_flat("dweight_hr", others.weight_hr, {size.options.projection_size, H}),
          views.write_flat("dlayer_norm", others.layer_norm, {layer_norm_numbers(size)})};
}

}  // namespace fastrnn::bindings
