// The gradient of weights that multiply element by element: peepholes, an independent RNN's u.
#pragma once

#include "products.hpp"

namespace fastrnn {

// What the gradients of a step's unit weights sum over: rows [0, rows) of gates' gradients and operands.
template <class T>
struct UnitGradientRows {
  Blocked<T> gates, h_prev, c_prev, c;
  Index rows;

  Blocked<T> of(Operand operand) const {
    return operand == Operand::h_prev ? h_prev : operand == Operand::c_prev ? c_prev : c;
  }
};

// Adds a step's rows to the unit weights' part of a gradient panel, for some unit blocks.
template <class Cell, class T>
void sum_unit_gradient(const PanelLayout<Cell, T>& layout, const UnitGradientRows<T>& sums, Stripe units,
                       T* panels) {
  const Blocked<T> gradients = layout.unit_weights(panels + layout.forward_unit_weights());
  for (Index unit = units.index; unit < layout.units(); unit += units.count) {
    for (std::size_t i = 0; i < Cell::unit_weights.size(); ++i) {
      const UnitWeight& weight = Cell::unit_weights[i];
      const Blocked<T> operand = sums.of(weight.operand);
      T* gradient = gradients.at(unit, 0) + static_cast<Index>(i) * lane_width<T>;
      Lanes<T> sum = load(gradient);
      for (Index row = 0; row < sums.rows; ++row) {
        sum = multiply_add(load(sums.gates.at(unit, row) + weight.block * lane_width<T>),
                           load(operand.at(unit, row)), sum);
      }
      store(gradient, sum);
    }
  }
}

}  // namespace fastrnn
