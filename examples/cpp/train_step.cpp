// One step of training: an LSTM whose units learn to echo the first feature of its input. Prints the loss
// before and after; the exit status is 1 if it did not go down.
#include <fastrnn/build.h>
#include <fastrnn/layer.h>

#include <cstdio>
#include <random>
#include <vector>

using namespace fastrnn;
using Floats = std::vector<float>;

// Panels, tapes and workspaces begin at multiples of `alignment`.
struct alignas(alignment) Line {
  char bytes[alignment];
};
std::vector<Line> lines(std::size_t bytes) { return std::vector<Line>(bytes / sizeof(Line) + 1); }
float* floats(std::vector<Line>& memory) { return reinterpret_cast<float*>(memory.data()); }

Floats uniform(std::size_t count, float bound) {
  static std::mt19937 random;
  Floats values(count);
  for (float& value : values) value = std::uniform_real_distribution<float>(-bound, bound)(random);
  return values;
}

int main() {
  const std::ptrdiff_t N = 16, T = 30, I = 4, H = 32, G = 4;
  const LayerSize size{Cell::lstm, N, T, I, H};
  Floats weight_ih = uniform(G * H * I, 0.2f), weight_hh = uniform(G * H * H, 0.2f), bias(G * H);
  Floats dweight_ih(G * H * I), dweight_hh(G * H * H), dbias(G * H);
  Floats x = uniform(N * T * I, 1), y(N * T * H), dy(N * T * H), h_n(N * H), c_n(N * H), dh0(N * H),
         dc0(N * H);
  auto panels = lines(sizeof(float) * panel_size<float>(Pass::forward, size));
  auto backward_panels = lines(sizeof(float) * panel_size<float>(Pass::backward, size));
  auto tape = lines(tape_bytes<float>(size, nullptr));
  auto workspace = lines(forward_workspace_bytes<float>(size, true));
  auto backward_workspace = lines(backward_workspace_bytes<float>(size));

  const Weights<const float> weights{weight_ih.data(), weight_hh.data(), bias.data(), nullptr};
  ForwardArguments<float> forward_call{};  // h0 and c0 stay null: zero
  forward_call.size = size;
  forward_call.timing.threads = 1;
  forward_call.panels = floats(panels);
  forward_call.x = {x.data(), T * I, I};  // strides: batch first
  forward_call.y = {y.data(), T * H, H};
  forward_call.h_n = {h_n.data(), H};
  forward_call.c_n = {c_n.data(), H};
  forward_call.tape = tape.data();
  forward_call.workspace = workspace.data();

  BackwardArguments<float> backward_call{};  // dh_n, dc_n and dx stay null: zero, and not wanted
  backward_call.size = size;
  backward_call.timing = forward_call.timing;
  backward_call.panels = floats(backward_panels);
  backward_call.tape = tape.data();
  backward_call.dy = {dy.data(), T * H, H};
  backward_call.dh0 = {dh0.data(), H};
  backward_call.dc0 = {dc0.data(), H};
  backward_call.dweights = {dweight_ih.data(), dweight_hh.data(), dbias.data(), nullptr};
  backward_call.workspace = backward_workspace.data();

  // Runs the layer, leaves the loss's gradient in dy, and returns the loss, the mean of (y - target)^2 / 2.
  const auto loss = [&] {
    pack_panels(Pass::forward, size, weights, floats(panels));  // after each change of the weights
    forward(forward_call);
    double sum = 0;
    for (std::ptrdiff_t i = 0; i < N * T * H; ++i) {
      const float difference = y[i] - x[i / H * I];
      dy[i] = difference / static_cast<float>(N * T * H);
      sum += 0.5 * difference * difference;
    }
    return sum / static_cast<double>(N * T * H);
  };
  const auto descend = [](Floats& parameter, const Floats& gradient) {
    for (std::size_t i = 0; i < parameter.size(); ++i) parameter[i] -= 5.0f * gradient[i];
  };

  const double before = loss();
  pack_panels(Pass::backward, size, weights, floats(backward_panels));
  backward(backward_call);
  descend(weight_ih, dweight_ih);
  descend(weight_hh, dweight_hh);
  descend(bias, dbias);
  const double after = loss();

  const BuildInfo build = build_info();
  std::printf("fastrnn %s, %s: loss %.6f before, %.6f after a step\n", build.version, build.instruction_set,
              before, after);
  return after < before ? 0 : 1;
}
