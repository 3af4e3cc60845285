// Independently recurrent units (Li et al. 2018, IndRNN): h = f(W_ih x + b_ih + u h_prev), element by
// element in u and h_prev, f = tanh or relu.
#pragma once

#include "rnn.hpp"

namespace fastrnn {

template <class Rnn>
struct IndependentRnn {
  static constexpr int blocks = 1;
  static constexpr int gates = 1;
  static constexpr bool has_cell_state = false;
  static constexpr std::array<Section, 1> sections = {{{Source::input, 0, 1, {0}}}};
  static constexpr std::array<UnitWeight, 1> unit_weights = {{{0, Operand::h_prev}}};

  template <class V, class Functions>
  static FASTRNN_INLINE void forward(std::array<V, 1>& a, State<V>& state, const Functions& functions,
                                     const std::array<V, 1>& u) {
    a[0] = multiply_add(u[0], state.h, a[0]);
    Rnn::forward(a, state, functions);
  }

  template <class V, class Functions>
  static FASTRNN_INLINE void backward(std::array<V, 1>& a, BackwardState<V>& state,
                                      const Functions& functions, const std::array<V, 1>& u) {
    Rnn::backward(a, state, functions);
    state.dh = a[0] * u[0];
  }
};

}  // namespace fastrnn
