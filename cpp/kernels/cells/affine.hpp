// An affine map as a cell: one block, one section and no arithmetic.
#pragma once

#include "cell.hpp"

namespace fastrnn {

struct Affine {
  static constexpr int blocks = 1;
  static constexpr int gates = 1;
  static constexpr bool has_cell_state = false;
  static constexpr std::array<UnitWeight, 0> unit_weights = {};
  static constexpr std::array<Section, 1> sections = {{{Source::input, 0, 1, {0}}}};
};

}  // namespace fastrnn
