// Gated recurrent unit (Cho et al. 2014), the reset gate applied after the recurrent product, as in cuDNN and
// PyTorch:
//   r = sigmoid(a_r), z = sigmoid(a_z), n = tanh(a_n + r m),  m = W_hn h_prev + b_hn
//   h = (1 - z) n + z h_prev
#pragma once

#include "cell.hpp"
#include "functions.hpp"

namespace fastrnn {

struct Gru {
  static constexpr int blocks = 4;  // n r z m: the input product adds to n r z, the recurrent one to r z m
  static constexpr int gates = 3;   // public order r z n
  static constexpr bool has_cell_state = false;
  static constexpr std::array<UnitWeight, 0> unit_weights = {};
  static constexpr std::array<Section, 2> sections = {
      {{Source::input, 0, 3, {2, 0, 1}}, {Source::hidden, 1, 3, {0, 1, 2}}}};

  template <class V, class Functions>
  static FASTRNN_INLINE void forward(std::array<V, 4>& a, State<V>& state, const Functions& functions) {
    auto& [n, r, z, m] = a;
    r = functions.gate(r);
    z = functions.gate(z);
    n = functions.candidate(multiply_add(r, m, n));
    state.h = multiply_add(z, state.h - n, n);
  }

  // da_n = dh (1 - z) (1 - n^2),  da_z = dh (h_prev - n) z (1 - z),  dm = da_n r,  da_r = da_n m r (1 - r).
  template <class V, class Functions>
  static FASTRNN_INLINE void backward(std::array<V, 4>& a, BackwardState<V>& state,
                                      const Functions& functions) {
    auto& [n, r, z, m] = a;
    const V da_n = state.dh * (V(scalar_of<V>(1)) - z) * functions.candidate.derivative(n);
    const V da_z = state.dh * (state.h_prev - n) * functions.gate.derivative(z);
    const V da_r = da_n * m * functions.gate.derivative(r);
    state.dh = state.dh * z;
    m = da_n * r;
    n = da_n;
    r = da_r;
    z = da_z;
  }
};

}  // namespace fastrnn
