// Gated recurrent unit as first published (Cho et al. 2014), the reset gate applied before the recurrent
// product:
//   r = sigmoid(a_r), z = sigmoid(a_z), n = tanh(a_n + U_n (r h_prev))
//   h = (1 - z) n + z h_prev
// The second product waits for r, so this cell comes in two parts and has a step of its own.
#pragma once

#include "cell.hpp"
#include "functions.hpp"

namespace fastrnn {

struct GruResetBefore {
  static constexpr int blocks = 3;  // r z n
  static constexpr int gates = 3;
  static constexpr bool has_cell_state = false;
  static constexpr std::array<UnitWeight, 0> unit_weights = {};
  static constexpr std::array<Section, 3> sections = {
      {{Source::input, 0, 3, {0, 1, 2}}, {Source::hidden, 0, 2, {0, 1}}, {Source::reset_hidden, 2, 1, {2}}}};

  // r and z; returns r h_prev.
  template <class V, class Functions>
  static FASTRNN_INLINE V forward_gates(V& r, V& z, V h_prev, const Functions& functions) {
    r = functions.gate(r);
    z = functions.gate(z);
    return r * h_prev;
  }

  // n; returns h.
  template <class V, class Functions>
  static FASTRNN_INLINE V forward_candidate(V z, V& n, V h_prev, const Functions& functions) {
    n = functions.candidate(n);
    return multiply_add(z, h_prev - n, n);
  }

  // da_n = dh (1 - z) (1 - n^2),  da_z = dh (h_prev - n) z (1 - z); dh becomes the part that skips the
  // products.
  template <class V, class Functions>
  static FASTRNN_INLINE void backward_candidate(V& z, V& n, V h_prev, V& dh, const Functions& functions) {
    const V da_z = dh * (h_prev - n) * functions.gate.derivative(z);
    n = dh * (V(scalar_of<V>(1)) - z) * functions.candidate.derivative(n);
    dh = dh * z;
    z = da_z;
  }

  // With d = gradient of r h_prev: da_r = d h_prev r (1 - r), dh_prev += d r; returns r h_prev.
  template <class V, class Functions>
  static FASTRNN_INLINE V backward_gates(V& r, V h_prev, V d, V& dh, const Functions& functions) {
    const V reset_hidden = r * h_prev;
    dh = multiply_add(d, r, dh);
    r = d * h_prev * functions.gate.derivative(r);
    return reset_hidden;
  }
};

}  // namespace fastrnn
