// Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins
// 2000):
//   i = sigmoid(a_i), f = sigmoid(a_f), g = tanh(a_g), o = sigmoid(a_o)
//   c = f c_prev + i g,  h = o tanh(c)
#pragma once

#include "../activations.hpp"
#include "cell.hpp"

namespace fastrnn {

struct Lstm {
  static constexpr int blocks = 4;  // i f g o
  static constexpr int gates = 4;
  static constexpr bool has_cell_state = true;
  static constexpr std::array<Section, 2> sections = {
      {{Source::input, 0, 4, {0, 1, 2, 3}}, {Source::hidden, 0, 4, {0, 1, 2, 3}}}};

  template <class V>
  static FASTRNN_INLINE void forward(std::array<V, 4>& a, State<V>& state) {
    auto& [i, f, g, o] = a;
    i = sigmoid(i);
    f = sigmoid(f);
    g = hyperbolic_tangent(g);
    o = sigmoid(o);
    state.c = multiply_add(f, state.c, i * g);
    state.h = o * hyperbolic_tangent(state.c);
  }

  // dc += dh o (1 - tanh^2 c);  da_i = dc g i (1 - i),  da_f = dc c_prev f (1 - f),  da_g = dc i (1 - g^2),
  // da_o = dh tanh(c) o (1 - o);  dc_prev = dc f.
  template <class V>
  static FASTRNN_INLINE void backward(std::array<V, 4>& a, BackwardState<V>& state) {
    auto& [i, f, g, o] = a;
    const V tanh_c = hyperbolic_tangent(state.c);
    const V dc = multiply_add(state.dh * o, tanh_derivative(tanh_c), state.dc);
    state.dc = dc * f;
    o = state.dh * tanh_c * sigmoid_derivative(o);
    f = dc * state.c_prev * sigmoid_derivative(f);
    const V di = dc * g * sigmoid_derivative(i);
    g = dc * i * tanh_derivative(g);
    i = di;
    state.dh = V(scalar_of<V>(0));
  }
};

}  // namespace fastrnn
