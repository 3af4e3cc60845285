// One layer with all the arrays of a training step, each of exactly the promised size.
#pragma once

#include <cmath>

#include "fastrnn/layer.h"
#include "helpers.hpp"

namespace fastrnn::testing {

inline constexpr Cell all_cells[] = {Cell::rnn_tanh,
                                     Cell::rnn_relu,
                                     Cell::lstm,
                                     Cell::gru,
                                     Cell::gru_reset_before,
                                     Cell::lstm_peephole,
                                     Cell::lstm_coupled,
                                     Cell::lstm_coupled_peephole,
                                     Cell::independent_rnn_tanh,
                                     Cell::independent_rnn_relu};

// One layer with all the arrays of a training step.
template <class T>
struct Training {
  LayerSize size;
  std::vector<std::int64_t> lengths;
  Timing timing;
  std::size_t N = size.batch, S = size.steps, I = size.input_size, H = size.hidden_size,
              R = gates_of(size.cell) * H, M = has_recurrent_matrix(size.cell) ? R : 0, P = state_size(size),
              HR = size.options.projection_size * H, U = unit_weights_of(size.cell) * H,
              L = size.options.layer_norm ? 2 * (R + M + has_cell_state(size.cell) * H) : 0;
  Array<T> w_ih{R * I}, w_hh{M * P}, b_ih{R}, b_hh{M}, w_unit{U}, w_hr{HR}, w_norm{L};
  Array<T> dw_ih{R * I}, dw_hh{M * P}, db_ih{R}, db_hh{M}, dw_unit{U}, dw_hr{HR}, dw_norm{L};
  Array<T> x{N * S * I}, y{N * S * P}, dy{N * S * P}, dx{N * S * I};
  Array<T> h0{N * P}, c0{N * H}, h_n{N * P}, c_n{N * H}, dh_n{N * P}, dc_n{N * H}, dh0{N * P}, dc0{N * H};
  // Those of the masks that size.masks names.
  Array<std::uint8_t> resets{size.masks.resets ? N * S : 0};
  Array<T> recurrent{size.masks.recurrent ? N * P : 0}, zoneout_h{size.masks.zoneout_h ? N * S * P : 0},
      zoneout_c{size.masks.zoneout_c ? N * S * H : 0};
  Array<T> forward_panels{panel_size<T>(Pass::forward, size)},
      backward_panels{panel_size<T>(Pass::backward, size)};
  Array<char> tape{tape_bytes<T>(size, timing.lengths)},
      forward_space{forward_workspace_bytes<T>(size, true)},
      inference_space{forward_workspace_bytes<T>(size, false)},
      backward_space{backward_workspace_bytes<T>(size)};

  Training(LayerSize layer, std::vector<std::int64_t> valid, bool reverse, int threads)
      : size(layer),
        lengths(std::move(valid)),
        timing{lengths.empty() ? nullptr : lengths.data(), reverse, threads} {
    unsigned seed = 1;
    for (Array<T>* a : {&w_ih, &w_hh, &b_ih, &b_hh, &x, &dy, &h0, &c0, &dh_n, &dc_n, &w_unit, &w_hr, &w_norm,
                        &recurrent, &zoneout_h, &zoneout_c})
      a->randomize(seed++);
    for (Array<T>* shares : {&zoneout_h, &zoneout_c})
      for (std::size_t i = 0; i < shares->size(); ++i) (*shares)[i] = (*shares)[i] > T(0.2) ? T(1) : T(0);
    for (std::size_t i = 0; i < resets.size(); ++i) resets[i] = i % 7 == 3;
    const T scale = T(1) / std::sqrt(T(H));  // long sequences neither explode nor overflow
    for (std::size_t i = 0; i < w_hh.size(); ++i) w_hh[i] *= scale;
    clear_gradients();
    const Weights<const T> weights{w_ih.data(),     or_null(w_hh), b_ih.data(),    or_null(b_hh),
                                   or_null(w_unit), or_null(w_hr), or_null(w_norm)};
    pack_panels<T>(Pass::forward, size, weights, forward_panels.data());
    pack_panels<T>(Pass::backward, size, weights, backward_panels.data());
  }

  // BPTT adds to the weights' gradients.
  void clear_gradients() {
    for (Array<T>* a : {&dw_ih, &dw_hh, &db_ih, &db_hh, &dw_unit, &dw_hr, &dw_norm}) a->zero();
  }

  // What a cell does not have has no elements.
  template <class Number>
  static Number* or_null(Array<Number>& array) {
    return array.size() ? array.data() : nullptr;
  }
  bool has_c() const { return has_cell_state(size.cell); }
  std::ptrdiff_t h_stride() const { return std::ptrdiff_t(P); }
  std::ptrdiff_t c_stride() const { return std::ptrdiff_t(H); }
  template <class Number>
  Sequence<Number> sequence(Number* data, std::size_t features) const {
    return {data, std::ptrdiff_t(S * features), std::ptrdiff_t(features)};
  }

  void infer() { forward(forward_call(nullptr, inference_space.data())); }
  void train() {
    forward(forward_call());
    backward(backward_call());
  }

  ForwardArguments<T> forward_call() { return forward_call(tape.data(), forward_space.data()); }
  BackwardArguments<T> backward_call() {
    return {size,
            timing,
            backward_panels.data(),
            tape.data(),
            sequence<const T>(dy.data(), P),
            {dh_n.data(), h_stride()},
            {has_c() ? dc_n.data() : nullptr, c_stride()},
            sequence<T>(dx.data(), I),
            false,
            {dh0.data(), h_stride()},
            {has_c() ? dc0.data() : nullptr, c_stride()},
            {dw_ih.data(), or_null(dw_hh), db_ih.data(), or_null(db_hh), or_null(dw_unit), or_null(dw_hr),
             or_null(dw_norm)},
            backward_space.data(),
            nullptr,
            masks()};
  }

 private:
  ForwardArguments<T> forward_call(void* kept, void* space) {
    return {size,
            timing,
            forward_panels.data(),
            sequence<const T>(x.data(), I),
            {h0.data(), h_stride()},
            {has_c() ? c0.data() : nullptr, c_stride()},
            sequence<T>(y.data(), P),
            {h_n.data(), h_stride()},
            {has_c() ? c_n.data() : nullptr, c_stride()},
            kept,
            space,
            masks()};
  }

  Masks<T> masks() {
    return {sequence<const std::uint8_t>(or_null(resets), 1),
            {or_null(recurrent), h_stride()},
            sequence<const T>(or_null(zoneout_h), P),
            sequence<const T>(or_null(zoneout_c), H)};
  }
};

}  // namespace fastrnn::testing
