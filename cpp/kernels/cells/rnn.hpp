// The vanilla recurrent cell (Elman 1990): h = f(W_ih x + b_ih + W_hh h_prev + b_hh), f = tanh or relu.
#pragma once

#include "cell.hpp"
#include "functions.hpp"

namespace fastrnn {

struct RnnTable {
  static constexpr int blocks = 1;
  static constexpr int gates = 1;
  static constexpr bool has_cell_state = false;
  static constexpr std::array<Section, 2> sections = {
      {{Source::input, 0, 1, {0}}, {Source::hidden, 0, 1, {0}}}};
  static constexpr std::array<UnitWeight, 0> unit_weights = {};
};

struct RnnTanh : RnnTable {
  template <class V, class Functions>
  static FASTRNN_INLINE void forward(std::array<V, 1>& a, State<V>& state, const Functions& functions) {
    a[0] = functions.candidate(a[0]);
    state.h = a[0];
  }

  template <class V, class Functions>
  static FASTRNN_INLINE void backward(std::array<V, 1>& a, BackwardState<V>& state,
                                      const Functions& functions) {
    a[0] = state.dh * functions.candidate.derivative(a[0]);
    state.dh = V(scalar_of<V>(0));
  }
};

struct RnnRelu : RnnTable {
  template <class V, class Functions>
  static FASTRNN_INLINE void forward(std::array<V, 1>& a, State<V>& state, const Functions& functions) {
    a[0] = functions.rectifier(a[0]);
    state.h = a[0];
  }

  template <class V, class Functions>
  static FASTRNN_INLINE void backward(std::array<V, 1>& a, BackwardState<V>& state,
                                      const Functions& functions) {
    a[0] = functions.rectifier.backward(a[0], state.dh);
    state.dh = V(scalar_of<V>(0));
  }
};

}  // namespace fastrnn
