// The only instantiation file: cell x {float, double}, chosen once per call.
#include "any_cell.hpp"
#include "bptt.hpp"
#include "linear.hpp"
#include "read_tape.hpp"
#include "stream.hpp"

namespace fastrnn {

template <class T>
std::size_t panel_size(Pass pass, const LayerSize& size) noexcept {
  return with_cell(size.cell, [&](auto cell) {
    const PanelLayout<typename decltype(cell)::type, T> layout{
        dimensions_of<typename decltype(cell)::type>(size)};
    return static_cast<std::size_t>(pass == Pass::forward ? layout.forward_size() : layout.backward_size());
  });
}

template <class T>
void pack_panels(Pass pass, const LayerSize& size, const Weights<const T>& weights, T* panels) noexcept {
  const WeightRows<const T> rows{weights.weight_ih,    weights.weight_hh, weights.bias_ih,   weights.bias_hh,
                                 weights.unit_weights, weights.weight_hr, weights.layer_norm};
  with_cell(size.cell, [&](auto cell) {
    using C = typename decltype(cell)::type;
    const LayerDimensions dimensions = dimensions_of<C>(size);
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

// Calls run(call, on one thread) for each call, all at the same time.
template <class Arguments, class Run>
void run_side_by_side(const Arguments* calls, int count, const Run& run) noexcept {
  parallel_for(count, [&](Index i) {
    Arguments call = calls[i];
    call.timing.threads = 1;
    run(call);
  });
}

template <class T>
void forward_side_by_side(const ForwardArguments<T>* calls, int count) noexcept {
  run_side_by_side(calls, count, &forward<T>);
}

template <class T>
void read_tape(const ReadTapeArguments<T>& arguments) noexcept {
  with_cell(arguments.size.cell, [&](auto cell) { copy_tape<typename decltype(cell)::type, T>(arguments); });
}

template <class T>
Plan explain_plan(const LayerSize& size, int threads) noexcept {
  return with_cell(size.cell, [&](auto cell) {
    return Forward<typename decltype(cell)::type, T>::plan_of(size, threads, {size.batch, size.steps});
  });
}

template <class T>
bool side_by_side_wins(Pass pass, const LayerSize* sizes, int count, const std::int64_t* lengths,
                       int threads) noexcept {
  IndependentCalls calls;
  for (const LayerSize* size = sizes; size < sizes + count; ++size) {
    const Index row_steps = SortedRows::sum_of_lengths(size->batch, size->steps, lengths);
    with_cell(size->cell, [&](auto cell) {
      add_call<typename decltype(cell)::type, T>(calls, pass, *size, row_steps, threads);
    });
  }
  return calls.wins(threads);
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
void add_weight_sums(const LayerSize& size, const T* weight_sums, const Weights<T>& dweights) noexcept {
  const WeightRows<T> rows{dweights.weight_ih,    dweights.weight_hh, dweights.bias_ih,   dweights.bias_hh,
                           dweights.unit_weights, dweights.weight_hr, dweights.layer_norm};
  with_cell(size.cell, [&](auto cell) {
    using C = typename decltype(cell)::type;
    add_gradients<C, T>(dimensions_of<C>(size), weight_sums, rows);
  });
}

template <class T>
void backward_side_by_side(const BackwardArguments<T>* calls, int count) noexcept {
  run_side_by_side(calls, count, &backward<T>);
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

template <class T>
std::size_t stream_workspace_bytes(const Stack<T>& stack) noexcept {
  return Stream<T>::workspace_bytes(stack);
}

template <class T>
void stream_step(const Stack<T>& stack, std::int64_t step, const Matrix<const T>& x,
                 const Matrix<T>& y) noexcept {
  Stream<T>::step(stack, step, x, y);
}

template <class T>
void stream_read_state(const Stack<T>& stack, std::int64_t step, std::int64_t stage, const Matrix<T>& h,
                       const Matrix<T>& c) noexcept {
  Stream<T>::read_state(stack, step, stage, h, c);
}

template <class T>
void stream_write_state(const Stack<T>& stack, std::int64_t step, std::int64_t stage,
                        const Matrix<const T>& h, const Matrix<const T>& c) noexcept {
  Stream<T>::write_state(stack, step, stage, h, c);
}

template <class T>
std::size_t linear_panel_size(std::int64_t input_size, std::int64_t output_size) noexcept {
  return static_cast<std::size_t>(PanelLayout<Affine, T>{{input_size, output_size}}.forward_size());
}

template <class T>
void pack_linear(std::int64_t input_size, std::int64_t output_size, const T* weight, const T* bias,
                 T* panels) noexcept {
  pack_forward<Affine, T>({input_size, output_size}, {weight, nullptr, bias, nullptr}, panels);
}

#define FASTRNN_INSTANTIATE(T)                                                                             \
  template std::size_t panel_size<T>(Pass, const LayerSize&) noexcept;                                     \
  template void pack_panels<T>(Pass, const LayerSize&, const Weights<const T>&, T*) noexcept;              \
  template std::size_t tape_bytes<T>(const LayerSize&, const std::int64_t*) noexcept;                      \
  template std::size_t forward_workspace_bytes<T>(const LayerSize&, bool) noexcept;                        \
  template Plan explain_plan<T>(const LayerSize&, int) noexcept;                                           \
  template void forward<T>(const ForwardArguments<T>&) noexcept;                                           \
  template void forward_side_by_side<T>(const ForwardArguments<T>*, int) noexcept;                         \
  template void read_tape<T>(const ReadTapeArguments<T>&) noexcept;                                        \
  template bool side_by_side_wins<T>(Pass, const LayerSize*, int, const std::int64_t*, int) noexcept;      \
  template std::size_t backward_workspace_bytes<T>(const LayerSize&) noexcept;                             \
  template void backward<T>(const BackwardArguments<T>&) noexcept;                                         \
  template void backward_side_by_side<T>(const BackwardArguments<T>*, int) noexcept;                       \
  template void add_weight_sums<T>(const LayerSize&, const T*, const Weights<T>&) noexcept;                \
  template std::size_t linear_workspace_bytes<T>(const LinearSize&) noexcept;                              \
  template void linear_forward<T>(const LinearForwardArguments<T>&) noexcept;                              \
  template void linear_backward<T>(const LinearBackwardArguments<T>&) noexcept;                            \
  template std::size_t stream_workspace_bytes<T>(const Stack<T>&) noexcept;                                \
  template void stream_step<T>(const Stack<T>&, std::int64_t, const Matrix<const T>&,                      \
                               const Matrix<T>&) noexcept;                                                 \
  template void stream_read_state<T>(const Stack<T>&, std::int64_t, std::int64_t, const Matrix<T>&,        \
                                     const Matrix<T>&) noexcept;                                           \
  template void stream_write_state<T>(const Stack<T>&, std::int64_t, std::int64_t, const Matrix<const T>&, \
                                      const Matrix<const T>&) noexcept;                                    \
  template std::size_t linear_panel_size<T>(std::int64_t, std::int64_t) noexcept;                          \
  template void pack_linear<T>(std::int64_t, std::int64_t, const T*, const T*, T*) noexcept;

FASTRNN_INSTANTIATE(FASTRNN_SCALAR)  // the build compiles this file once per scalar type, side by side

}  // namespace fastrnn
