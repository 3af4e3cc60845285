// The contract's sizes of a layer from a caller's numbers, judged.
#pragma once

#include <string>
#include <tuple>

#include "arrays.hpp"
#include "cell_names.hpp"

namespace fastrnn::bindings {

inline LayerSize layer_size(const CellKind& cell, py::ssize_t batch, py::ssize_t steps,
                            py::ssize_t input_size, py::ssize_t hidden_size, bool bfloat16 = false,
                            const MaskKinds& masks = {}, py::ssize_t num_embeddings = 0) {
  if (batch < 0) throw py::value_error("batch: expected at least 0, got " + std::to_string(batch));
  if (steps < 0) throw py::value_error("steps: expected at least 0, got " + std::to_string(steps));
  if (input_size < 1)
    throw py::value_error("input_size: expected at least 1, got " + std::to_string(input_size));
  if (hidden_size < 1)
    throw py::value_error("hidden_size: expected at least 1, got " + std::to_string(hidden_size));
  if (num_embeddings < 0)
    throw py::value_error("num_embeddings: expected at least 0, got " + std::to_string(num_embeddings));
  if (cell.options.projection_size > hidden_size)
    throw py::value_error("projection_size: expected at most hidden_size = " + std::to_string(hidden_size) +
                          ", got " + std::to_string(cell.options.projection_size));
  return {cell.cell, batch, steps, input_size, hidden_size, bfloat16, cell.options, masks, num_embeddings};
}

// Which masks a call will have, in the order of the contract.
using KindsTuple = std::tuple<bool, bool, bool, bool>;
inline MaskKinds mask_kinds(const KindsTuple& kinds) {
  const auto& [resets, recurrent, zoneout_h, zoneout_c] = kinds;
  return {resets, recurrent, zoneout_h, zoneout_c};
}

}  // namespace fastrnn::bindings
