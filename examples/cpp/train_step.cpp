// One step of training: a GRU's units learn to echo the first feature of x. Status 1 if the loss did not
// fall.
#include <fastrnn/layer.h>

#include <cstdio>
#include <cstdlib>
#include <new>

using namespace fastrnn;

// Aligned as panels, tapes and workspaces have to be, and kept until the program ends.
float* zeros(std::size_t n) { return new (std::align_val_t(alignment)) float[n](); }
float* uniform(std::size_t n, float bound) {
  float* values = zeros(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = bound * (std::rand() % 2001 * 1e-3f - 1);
  return values;
}

int main() {
  const std::ptrdiff_t N = 16, T = 30, I = 4, H = 32, G = gates_of(Cell::gru), ih = G * H * I, hh = G * H * H;
  const LayerSize size{Cell::gru, N, T, I, H};
  const Timing timing{nullptr, false, 1};  // rows of T steps each, forward in time, on one thread
  float *x = uniform(N * T * I, 1), *y = zeros(N * T * H), *dy = zeros(N * T * H), *h_n = zeros(N * H);
  float *weights = uniform(ih + hh, 0.2f), *dweights = zeros(ih + hh);  // no biases
  float* panels = zeros(panel_size<float>(Pass::forward, size));
  float* tape = zeros(tape_bytes<float>(size, nullptr) / sizeof(float));
  float* workspace = zeros(forward_workspace_bytes<float>(size, true) / sizeof(float));
  const auto loss = [&] {  // the mean of (y - target)^2 / 2; its gradient goes to dy
    pack_panels<float>(Pass::forward, size, {weights, weights + ih, nullptr, nullptr}, panels);
    forward<float>(
        {size, timing, panels, {x, T * I, I}, {}, {}, {y, T * H, H}, {h_n, H}, {}, tape, workspace});
    double sum = 0;
    for (std::ptrdiff_t i = 0; i < N * T * H; ++i) {
      dy[i] = (y[i] - x[i / H * I]) / (N * T * H);
      sum += 0.5 * dy[i] * dy[i] * (N * T * H);
    }
    return sum;
  };

  const double before = loss();
  float* backward_panels = zeros(panel_size<float>(Pass::backward, size));
  pack_panels<float>(Pass::backward, size, {weights, weights + ih, nullptr, nullptr}, backward_panels);
  BackwardArguments<float> back{size, timing, backward_panels, tape, {dy, T * H, H}};  // dx is not wanted
  back.dh0 = {zeros(N * H), H};
  back.dweights = {dweights, dweights + ih, nullptr, nullptr};
  back.workspace = zeros(backward_workspace_bytes<float>(size) / sizeof(float));
  backward(back);
  for (std::ptrdiff_t i = 0; i < ih + hh; ++i) weights[i] -= 5 * dweights[i];
  const double after = loss();
  std::printf("loss %.6f before, %.6f after a step\n", before, after);
  return after < before ? 0 : 1;
}
