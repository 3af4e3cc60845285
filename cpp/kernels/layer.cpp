// The only instantiation file: cell x {float, double}, chosen once per call.
#include "bptt.hpp"
#include "cells/gru.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"
#include "linear.hpp"

namespace fastrnn {
namespace {

template <class C>
struct Type {
  using type = C;
};

template <class Visit>
auto with_cell(Cell cell, Visit&& visit) {
  switch (cell) {
    case Cell::rnn_tanh:
      return visit(Type<RnnTanh>{});
    case Cell::rnn_relu:
      return visit(Type<RnnRelu>{});
    case Cell::gru:
      return visit(Type<Gru>{});
    case Cell::gru_reset_before:
      return visit(Type<GruResetBefore>{});
    case Cell::lstm:
      break;
  }
  return visit(Type<Lstm>{});
}

}  // namespace

template <class T>
std::size_t panel_size(Pass pass, const LayerSize& size) noexcept {
  return with_cell(size.cell, [&](auto cell) {
    const PanelLayout<typename decltype(cell)::type, T> layout{{size.input_size, size.hidden_size}};
    return static_cast<std::size_t>(pass == Pass::forward ? layout.forward_size() : layout.backward_size());
  });
}

template <class T>
void pack_panels(Pass pass, const LayerSize& size, const Weights<const T>& weights, T* panels) noexcept {
  const LayerDimensions dimensions{size.input_size, size.hidden_size};
  const WeightRows<const T> rows{weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh};
  with_cell(size.cell, [&](auto cell) {
    using C = typename decltype(cell)::type;
    if (pass == Pass::forward)
      pack_forward<C, T>(dimensions, rows, panels);
    else
      pack_backward<C, T>(dimensions, rows, panels);
  });
}

template <class T>
std::size_t tape_bytes(const LayerSize& size, const std::int64_t* lengths) noexcept {
  return with_cell(size.cell, [&](auto cell) {
    return Forward<typename decltype(cell)::type, T>::tape_bytes(size, lengths);
  });
}

template <class T>
std::size_t forward_workspace_bytes(const LayerSize& size, bool with_tape) noexcept {
  return with_cell(size.cell, [&](auto cell) {
    return Forward<typename decltype(cell)::type, T>::workspace_bytes(size, with_tape);
  });
}

template <class T>
void forward(const ForwardArguments<T>& arguments) noexcept {
  with_cell(arguments.size.cell,
            [&](auto cell) { Forward<typename decltype(cell)::type, T>::run(arguments); });
}

template <class T>
std::size_t backward_workspace_bytes(const LayerSize& size) noexcept {
  return with_cell(size.cell, [&](auto cell) {
    return Backward<typename decltype(cell)::type, T>::workspace_bytes(size);
  });
}

template <class T>
void backward(const BackwardArguments<T>& arguments) noexcept {
  with_cell(arguments.size.cell,
            [&](auto cell) { Backward<typename decltype(cell)::type, T>::run(arguments); });
}

template <class T>
std::size_t linear_workspace_bytes(const LinearSize& size) noexcept {
  return typename Linear<T>::Memory(size, nullptr).arena.used();
}

template <class T>
void linear_forward(const LinearForwardArguments<T>& arguments) noexcept {
  Linear<T>::forward(arguments);
}

template <class T>
void linear_backward(const LinearBackwardArguments<T>& arguments) noexcept {
  Linear<T>::backward(arguments);
}

#define FASTRNN_INSTANTIATE(T)                                                                \
  template std::size_t panel_size<T>(Pass, const LayerSize&) noexcept;                        \
  template void pack_panels<T>(Pass, const LayerSize&, const Weights<const T>&, T*) noexcept; \
  template std::size_t tape_bytes<T>(const LayerSize&, const std::int64_t*) noexcept;         \
  template std::size_t forward_workspace_bytes<T>(const LayerSize&, bool) noexcept;           \
  template void forward<T>(const ForwardArguments<T>&) noexcept;                              \
  template std::size_t backward_workspace_bytes<T>(const LayerSize&) noexcept;                \
  template void backward<T>(const BackwardArguments<T>&) noexcept;                            \
  template std::size_t linear_workspace_bytes<T>(const LinearSize&) noexcept;                 \
  template void linear_forward<T>(const LinearForwardArguments<T>&) noexcept;                 \
  template void linear_backward<T>(const LinearBackwardArguments<T>&) noexcept;

FASTRNN_INSTANTIATE(FASTRNN_SCALAR)  // the build compiles this file once per scalar type, side by side

}  // namespace fastrnn
