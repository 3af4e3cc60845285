// One layer with all the arrays of inference, of a training step and of a stream, filled with random numbers.
#pragma once

#include <fastrnn/stream.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace bench {

// The products' operations of one forward pass; a training step does three times as many.
inline double forward_flops(const fastrnn::LayerSize& size) {
  const std::int64_t hidden = has_recurrent_matrix(size.cell) ? size.hidden_size : 0;
  return 2.0 * double(size.batch) * double(size.steps) * double(gates_of(size.cell)) *
         double(size.hidden_size) * double(size.input_size + hidden);
}

// Zeros that start at a multiple of fastrnn::alignment.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : count_(count), lines_(count * sizeof(T) / sizeof(Line) + 1) {}

  T* data() { return reinterpret_cast<T*>(lines_.data()); }
  T* begin() { return data(); }
  T* end() { return data() + count_; }
  void fill_uniform(std::minstd_rand& random, double bound) {
    std::uniform_real_distribution<double> uniform(-bound, bound);
    for (T& value : *this) value = static_cast<T>(uniform(random));
  }

 private:
  struct alignas(fastrnn::alignment) Line {
    char bytes[fastrnn::alignment];
  };
  std::size_t count_;
  std::vector<Line> lines_;
};

template <class T>
class LayerCase {
 public:
  LayerCase(const fastrnn::LayerSize& layer_size, int threads) : size(layer_size) {
    std::minstd_rand random;
    x.fill_uniform(random, 1.0);
    dy.fill_uniform(random, 1.0);
    const double bound = 1.0 / std::sqrt(double(H));
    for (Array<T>* parameter : {&weight_ih, &weight_hh, &bias_ih, &bias_hh, &unit_weights})
      parameter->fill_uniform(random, bound);

    inference.size = size;
    inference.timing.threads = threads;
    inference.panels = forward_panels.data();
    inference.x = {x.data(), stride(S * I), stride(I)};
    inference.y = {y.data(), stride(S * H), stride(H)};
    inference.h_n = {h_n.data(), stride(H)};
    inference.c_n = {c_n.data(), stride(H)};
    inference.workspace = inference_workspace.data();
    training = inference;
    training.tape = tape.data();
    training.workspace = training_workspace.data();

    back_propagation.size = size;
    back_propagation.timing = inference.timing;
    back_propagation.panels = backward_panels.data();
    back_propagation.tape = tape.data();
    back_propagation.dy = {dy.data(), stride(S * H), stride(H)};
    back_propagation.dx = {dx.data(), stride(S * I), stride(I)};
    back_propagation.dh0 = {dh0.data(), stride(H)};
    back_propagation.dc0 = {dc0.data(), stride(H)};
    back_propagation.dweights = {dweight_ih.data(), dweight_hh.data(), dbias_ih.data(), dbias_hh.data(),
                                 dunit_weights.data()};
    back_propagation.workspace = backward_workspace.data();
    stack.workspace = states.data();
    pack(fastrnn::Pass::forward, forward_panels);
  }
  LayerCase(const LayerCase&) = delete;  // the arguments point into the arrays
  LayerCase& operator=(const LayerCase&) = delete;

  void infer() { fastrnn::forward(inference); }

  // With packing, since training changes the weights at every step.
  void train() {
    pack(fastrnn::Pass::forward, forward_panels);
    fastrnn::forward(training);
    pack(fastrnn::Pass::backward, backward_panels);
    fastrnn::backward(back_propagation);
  }

  // One step of a stream that goes on from call to call, over the same x again and again.
  void step() { step(steps_taken % stride(S), {y.data(), stride(S * H)}); }

  // Takes the stream's first T steps: are its outputs those of inference, bit for bit?
  bool stream_agrees() {
    infer();
    Array<T> outputs(N * H);
    for (std::size_t t = 0; t < S; ++t) {
      step(stride(t), {outputs.data(), stride(H)});
      for (std::size_t n = 0; n < N; ++n) {
        const T* const inferred = y.data() + (n * S + t) * H;
        if (!std::equal(inferred, inferred + H, outputs.data() + n * H)) return false;
      }
    }
    return std::any_of(y.begin(), y.end(), [](T value) { return value != T(0); });
  }

  // Runs both passes once: are they the same bit for bit, and are gradients there and finite?
  bool agree() {
    infer();
    const std::vector<T> inferred(y.begin(), y.end());
    const auto finite = [](T value) { return std::isfinite(value); };
    const auto nonzero = [](T value) { return value != T(0); };
    if (size.bfloat16)  // inference only
      return std::any_of(y.begin(), y.end(), nonzero) && std::all_of(y.begin(), y.end(), finite);
    train();
    return std::equal(inferred.begin(), inferred.end(), y.begin()) &&
           std::any_of(y.begin(), y.end(), nonzero) && std::any_of(dx.begin(), dx.end(), nonzero) &&
           std::all_of(dx.begin(), dx.end(), finite) &&
           std::all_of(dweight_hh.begin(), dweight_hh.end(), finite) &&
           std::all_of(dunit_weights.begin(), dunit_weights.end(), finite);
  }

 private:
  static std::ptrdiff_t stride(std::size_t elements) { return static_cast<std::ptrdiff_t>(elements); }

  void step(std::ptrdiff_t t, const fastrnn::Matrix<T>& outputs) {
    fastrnn::stream_step<T>(stack, steps_taken++, {x.data() + t * stride(I), stride(S * I)}, outputs);
  }

  void pack(fastrnn::Pass pass, Array<T>& panels) {
    const fastrnn::Weights<const T> weights{weight_ih.data(), weight_hh.data(), bias_ih.data(),
                                            bias_hh.data(), unit_weights.data()};
    fastrnn::pack_panels(pass, size, weights, panels.data());
  }

  const fastrnn::LayerSize size;
  const std::size_t N = size.batch, S = size.steps, I = size.input_size, H = size.hidden_size,
                    G = gates_of(size.cell), U = unit_weights_of(size.cell);
  Array<T> weight_ih{G * H * I}, weight_hh{G * H * H}, bias_ih{G * H}, bias_hh{G * H};
  Array<T> dweight_ih{G * H * I}, dweight_hh{G * H * H}, dbias_ih{G * H}, dbias_hh{G * H};
  Array<T> unit_weights{U * H}, dunit_weights{U * H};
  Array<T> x{N * S * I}, y{N * S * H}, dx{N * S * I}, dy{N * S * H};
  Array<T> h_n{N * H}, c_n{N * H}, dh0{N * H}, dc0{N * H};
  Array<T> forward_panels{fastrnn::panel_size<T>(fastrnn::Pass::forward, size)};
  Array<T> backward_panels{fastrnn::panel_size<T>(fastrnn::Pass::backward, size)};
  Array<char> tape{fastrnn::tape_bytes<T>(size, nullptr)};
  Array<char> inference_workspace{fastrnn::forward_workspace_bytes<T>(size, false)};
  Array<char> training_workspace{fastrnn::forward_workspace_bytes<T>(size, true)};
  Array<char> backward_workspace{fastrnn::backward_workspace_bytes<T>(size)};
  const fastrnn::Stage<T> stage{
      fastrnn::StageKind::recurrent, size.cell,    size.input_size, size.hidden_size,
      forward_panels.data(),         size.bfloat16};
  fastrnn::Stack<T> stack{&stage, 1, size.batch, nullptr};
  Array<char> states{fastrnn::stream_workspace_bytes(stack)};
  std::int64_t steps_taken = 0;
  fastrnn::ForwardArguments<T> inference{}, training{};
  fastrnn::BackwardArguments<T> back_propagation{};
};

}  // namespace bench
