// What a cell provides. A cell is arithmetic on lanes and a table; it knows no pointer, stride, time or
// thread.
#pragma once

#include <array>

namespace fastrnn {

// The numbers a product of a cell reads: x (T, N, I), the previous h (T, N, H), or r * h where the reset gate
// acts before the recurrent product.
enum class Source { input, hidden, reset_hidden };

// One product of a cell: blocks [first, first + blocks) of every unit += weights @ source. gates[b] is the
// place of block first + b among the gates of the public weights.
struct Section {
  Source source;
  int first;
  int blocks;
  std::array<int, 4> gates;
};

// A weight per hidden unit: block `block` += weight * operand, element by element.
enum class Operand { h_prev, c_prev, c };
struct UnitWeight {
  int block;
  Operand operand;
};

// h and, where the cell has one, c.
template <class V>
struct State {
  V h;
  V c;
};

// What a cell's backward reads beside its activations, and the gradients it updates in place.
template <class V>
struct BackwardState {
  V h_prev;
  V c_prev;
  V c;
  V dh;  // in: of h; out: the part of dh_prev that does not pass through a product
  V dc;  // in: of c, from the next step; out: of c_prev
};

// The lanes of a cell's unit weights.
template <class Cell, class V>
using UnitWeights = std::array<V, Cell::unit_weights.size()>;

// A cell has:
//   static constexpr int blocks                  numbers kept per unit and step
//   static constexpr int gates                   gates of the public weights
//   static constexpr bool has_cell_state
//   static constexpr std::array<Section, n> sections
//   static constexpr std::array<UnitWeight, n> unit_weights
//   forward(std::array<V, blocks>& a, State<V>& state, functions, w)
//     pre-activations -> activations, new state
//   backward(std::array<V, blocks>& a, BackwardState<V>& state, functions, w)
//     activations -> gradients of the pre-activations
// where functions are PlainFunctions or ChosenFunctions: sigmoid, tanh and relu in a cell's equations stand
// for what those have in their places. w, the UnitWeights<Cell, V>, comes only if there are any.

}  // namespace fastrnn
