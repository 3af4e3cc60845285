// Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins
// 2000):
//   i = sigmoid(a_i), f = sigmoid(a_f), g = tanh(a_g), o = sigmoid(a_o)
//   c = f c_prev + i g,  h = o tanh(c)
// With peepholes (Gers and Schmidhuber 2000) the gates see the cell state:
//   i = sigmoid(a_i + p_i c_prev), f = sigmoid(a_f + p_f c_prev), o = sigmoid(a_o + p_o c)
// Coupled gates (Greff et al. 2017, CIFG): f = 1 - i, and no a_f.
// ChosenFunctions may clip c (Sak et al. 2014): c = clip(f c_prev + i g), and no gradient passes where it
// did.
#pragma once

#include "cell.hpp"
#include "functions.hpp"

namespace fastrnn {

// Where the blocks and unit weights of a variant stand.
template <bool coupled, bool peepholes>
struct LstmTable;

template <bool peepholes>
struct LstmTable<false, peepholes> {
  static constexpr int blocks = 4;  // i f g o
  static constexpr std::array<Section, 2> sections = {
      {{Source::input, 0, 4, {0, 1, 2, 3}}, {Source::hidden, 0, 4, {0, 1, 2, 3}}}};
  static constexpr auto unit_weights = [] {
    if constexpr (peepholes)
      return std::array<UnitWeight, 3>{{{0, Operand::c_prev}, {1, Operand::c_prev}, {3, Operand::c}}};
    else
      return std::array<UnitWeight, 0>{};
  }();
};

template <bool peepholes>
struct LstmTable<true, peepholes> {
  static constexpr int blocks = 3;  // i g o
  static constexpr std::array<Section, 2> sections = {
      {{Source::input, 0, 3, {0, 1, 2}}, {Source::hidden, 0, 3, {0, 1, 2}}}};
  static constexpr auto unit_weights = [] {
    if constexpr (peepholes)
      return std::array<UnitWeight, 2>{{{0, Operand::c_prev}, {2, Operand::c}}};
    else
      return std::array<UnitWeight, 0>{};
  }();
};

template <bool coupled, bool peepholes>
struct LstmVariant : LstmTable<coupled, peepholes> {
  using Table = LstmTable<coupled, peepholes>;
  static constexpr int gates = Table::blocks;
  static constexpr bool has_cell_state = true;
  static constexpr int g_place = coupled ? 1 : 2, o_place = coupled ? 2 : 3;
  static constexpr int p_i = 0, p_f = 1, p_o = coupled ? 1 : 2;

  template <class V, class Functions, class... W>
  static FASTRNN_INLINE void forward(std::array<V, Table::blocks>& a, State<V>& state,
                                     const Functions& functions, const W&... w) {
    V &i = a[0], &g = a[g_place], &o = a[o_place];
    if constexpr (peepholes) i = multiply_add(weight<p_i>(w...), state.c, i);
    i = functions.gate(i);
    g = functions.candidate(g);
    if constexpr (coupled) {
      state.c = multiply_add(i, g - state.c, state.c);
    } else {
      V& f = a[1];
      if constexpr (peepholes) f = multiply_add(weight<p_f>(w...), state.c, f);
      f = functions.gate(f);
      state.c = multiply_add(f, state.c, i * g);
    }
    state.c = functions.cell_state(state.c);
    if constexpr (peepholes) o = multiply_add(weight<p_o>(w...), state.c, o);
    o = functions.gate(o);
    state.h = o * functions.output(state.c);
  }

  // da_o = dh tanh(c) o (1 - o);  dc += dh o (1 - tanh^2 c) + da_o p_o;  da_i = dc g i (1 - i),
  // da_f = dc c_prev f (1 - f),  da_g = dc i (1 - g^2);  dc_prev = dc f + da_i p_i + da_f p_f.
  // Coupled: da_i = dc (g - c_prev) i (1 - i),  dc_prev = dc (1 - i) + da_i p_i.
  template <class V, class Functions, class... W>
  static FASTRNN_INLINE void backward(std::array<V, Table::blocks>& a, BackwardState<V>& state,
                                      const Functions& functions, const W&... w) {
    V &i = a[0], &g = a[g_place], &o = a[o_place];
    const V tanh_c = functions.output(state.c);
    V dc = multiply_add(state.dh * o, functions.output.derivative(tanh_c), state.dc);
    o = state.dh * tanh_c * functions.gate.derivative(o);
    if constexpr (peepholes) dc = multiply_add(o, weight<p_o>(w...), dc);
    dc = functions.cell_state_backward(state.c, dc);
    V di;
    if constexpr (coupled) {
      di = dc * (g - state.c_prev) * functions.gate.derivative(i);
      state.dc = dc * (V(scalar_of<V>(1)) - i);
    } else {
      V& f = a[1];
      state.dc = dc * f;
      f = dc * state.c_prev * functions.gate.derivative(f);
      if constexpr (peepholes) state.dc = multiply_add(f, weight<p_f>(w...), state.dc);
      di = dc * g * functions.gate.derivative(i);
    }
    g = dc * i * functions.candidate.derivative(g);
    i = di;
    if constexpr (peepholes) state.dc = multiply_add(i, weight<p_i>(w...), state.dc);
    state.dh = V(scalar_of<V>(0));
  }

 private:
  template <int place, class Weights>
  static FASTRNN_INLINE auto weight(const Weights& w) {
    return w[place];
  }
};

using Lstm = LstmVariant<false, false>;
using LstmPeephole = LstmVariant<false, true>;
using LstmCoupled = LstmVariant<true, false>;
using LstmCoupledPeephole = LstmVariant<true, true>;

}  // namespace fastrnn
