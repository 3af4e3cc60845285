// Speed of the recurrent kernels on one thread, and their share of an FMA peak measured in the same run.
//
//   kernel_bench [--cell lstm|gru|gru_reset_before|rnn_tanh|rnn_relu] [--dtype float32|float64] [--rounds R]
//                [N T I H] ...
//
// Goal (AVX-512, float32, LSTM): forward and forward + backward at least 0.80 and 0.72 of peak at 64 50 256
// 256, and 0.65 and 0.60 at 32 100 16 64. Counted are the products alone: 2 N T G H (I + H) operations
// forward, three times that for forward + backward.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fastrnn/layer.h"
#include "lanes.hpp"

namespace {

using namespace fastrnn;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : storage_(count * sizeof(T) + alignment) {
    void* place = storage_.data();
    std::size_t space = storage_.size();
    data_ = static_cast<T*>(std::align(alignment, count * sizeof(T), place, space));
  }
  T* data() { return data_; }
  void fill_random(std::size_t count, double scale) {
    for (std::size_t i = 0; i < count; ++i)
      data_[i] = static_cast<T>(scale * (2.0 * std::rand() / RAND_MAX - 1.0));
  }

 private:
  std::vector<char> storage_;
  T* data_;
};

// Multiply-adds into independent registers, enough of them to hide the latency: the most that a tile could
// reach.
template <class T>
double peak_gflops() {
  constexpr int chains = 12;
  Lanes<T> sums[chains];
  unroll<chains>([&](auto i) FASTRNN_LAMBDA { sums[i] = Lanes<T>(T(i)); });
  Lanes<T> factor(T(0.999)), term(T(0.001));
  const int repeats = 400000;
  const double start = seconds();
  for (int r = 0; r < repeats; ++r) {
    unroll<chains>([&](auto i) FASTRNN_LAMBDA {
      asm volatile("" : "+v"(factor.packet), "+v"(sums[i].packet));  // nothing may be hoisted or folded
      sums[i] = multiply_add(factor, term, sums[i]);
    });
  }
  const double elapsed = seconds() - start;
  return 2.0 * chains * static_cast<double>(lane_width<T>) * repeats / elapsed / 1e9;
}

int gates_of(Cell cell) {
  switch (cell) {
    case Cell::lstm:
      return 4;
    case Cell::gru:
    case Cell::gru_reset_before:
      return 3;
    default:
      return 1;
  }
}

template <class T>
void run(LayerSize size, int rounds) {
  const std::size_t N = size.batch, S = size.steps, I = size.input_size, H = size.hidden_size,
                    G = gates_of(size.cell);
  Array<T> x(N * S * I), y(N * S * H), dy(N * S * H), dx(N * S * I), h_n(N * H), c_n(N * H), dh0(N * H),
      dc0(N * H);
  Array<T> w_ih(G * H * I), w_hh(G * H * H), b_ih(G * H), b_hh(G * H);
  Array<T> dw_ih(G * H * I), dw_hh(G * H * H), db_ih(G * H), db_hh(G * H);
  x.fill_random(N * S * I, 1.0);
  dy.fill_random(N * S * H, 1.0);
  for (auto* w : {&w_ih, &w_hh}) w->fill_random(G * H * (w == &w_ih ? I : H), 1.0 / std::sqrt(double(H)));
  for (auto* g : {&dw_ih, &dw_hh}) g->fill_random(G * H * (g == &dw_ih ? I : H), 0.0);
  for (auto* b : {&b_ih, &b_hh, &db_ih, &db_hh}) b->fill_random(G * H, 0.1);

  Array<T> forward_panels(panel_size<T>(Pass::forward, size)),
      backward_panels(panel_size<T>(Pass::backward, size));
  Array<char> tape(tape_bytes<T>(size, nullptr)), inference_space(forward_workspace_bytes<T>(size, false)),
      training_space(forward_workspace_bytes<T>(size, true)),
      backward_space(backward_workspace_bytes<T>(size));
  const Weights<const T> weights{w_ih.data(), w_hh.data(), b_ih.data(), b_hh.data()};
  const Timing timing{nullptr, false, 1};
  const auto strides = [&](T* data, std::size_t features) {
    return Sequence<T>{data, std::ptrdiff_t(S * features), std::ptrdiff_t(features)};
  };
  const auto read_strides = [&](T* data, std::size_t features) {
    return Sequence<const T>{data, std::ptrdiff_t(S * features), std::ptrdiff_t(features)};
  };
  ForwardArguments<T> inference{size,
                                timing,
                                forward_panels.data(),
                                read_strides(x.data(), I),
                                {nullptr, 0},
                                {nullptr, 0},
                                strides(y.data(), H),
                                {h_n.data(), std::ptrdiff_t(H)},
                                {c_n.data(), std::ptrdiff_t(H)},
                                nullptr,
                                inference_space.data()};
  ForwardArguments<T> training = inference;
  training.tape = tape.data();
  training.workspace = training_space.data();
  const BackwardArguments<T> backward_arguments{size,
                                                timing,
                                                backward_panels.data(),
                                                tape.data(),
                                                read_strides(dy.data(), H),
                                                {nullptr, 0},
                                                {nullptr, 0},
                                                strides(dx.data(), I),
                                                false,
                                                {dh0.data(), std::ptrdiff_t(H)},
                                                {dc0.data(), std::ptrdiff_t(H)},
                                                {dw_ih.data(), dw_hh.data(), db_ih.data(), db_hh.data()},
                                                backward_space.data()};

  const auto infer = [&] { forward(inference); };
  const auto train = [&] {  // with packing, since training changes the weights at every step
    pack_panels(Pass::forward, size, weights, forward_panels.data());
    forward(training);
    pack_panels(Pass::backward, size, weights, backward_panels.data());
    backward(backward_arguments);
  };
  train();
  infer();
  double once = seconds();
  infer();
  once = seconds() - once;
  const int repeats = std::max(1, static_cast<int>(0.01 / once));
  const double flops = 2.0 * N * S * G * H * (I + H);
  std::vector<double> peaks, forward_rates, train_rates, forward_shares, train_shares;
  for (int round = 0; round < rounds; ++round) {
    const double peak = peak_gflops<T>();
    double start = seconds();
    for (int r = 0; r < repeats; ++r) infer();
    const double forward_rate = flops * repeats / (seconds() - start) / 1e9;
    start = seconds();
    for (int r = 0; r < repeats; ++r) train();
    const double train_rate = 3.0 * flops * repeats / (seconds() - start) / 1e9;
    peaks.push_back(peak);
    forward_rates.push_back(forward_rate);
    train_rates.push_back(train_rate);
    forward_shares.push_back(forward_rate / peak);
    train_shares.push_back(train_rate / peak);
  }
  std::printf("%5zu %5zu %5zu %5zu  %8.1f  %8.1f %6.2f  %8.1f %6.2f\n", N, S, I, H, median(peaks),
              median(forward_rates), median(forward_shares), median(train_rates), median(train_shares));
}

}  // namespace

int main(int argc, char** argv) {
  Cell cell = Cell::lstm;
  std::string name = "lstm", dtype = "float32";
  int rounds = 31;
  std::vector<long> sizes;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--cell") && i + 1 < argc) {
      name = argv[++i];
      const char* names[] = {"rnn_tanh", "rnn_relu", "lstm", "gru", "gru_reset_before"};
      int found = -1;
      for (int c = 0; c < 5; ++c)
        if (name == names[c]) found = c;
      if (found < 0) return std::fprintf(stderr, "--cell: unknown cell %s\n", name.c_str()), 2;
      cell = static_cast<Cell>(found);
    } else if (!std::strcmp(argv[i], "--dtype") && i + 1 < argc) {
      dtype = argv[++i];
    } else if (!std::strcmp(argv[i], "--rounds") && i + 1 < argc) {
      rounds = std::atoi(argv[++i]);
    } else {
      sizes.push_back(std::atol(argv[i]));
    }
  }
  if (sizes.empty())
    sizes = {64, 50, 256, 256, 32, 100, 16, 64, 32, 100, 128, 128, 64, 25, 1024, 1024, 1, 100, 32, 64};
  if (sizes.size() % 4 || rounds < 1 || (dtype != "float32" && dtype != "float64"))
    return std::fprintf(stderr, "usage: kernel_bench [--cell C] [--dtype D] [--rounds R] [N T I H] ...\n"), 2;
  std::printf("%s %s, one thread, medians of %d rounds; GFLOP/s and share of the measured FMA peak\n",
              name.c_str(), dtype.c_str(), rounds);
  std::printf("%5s %5s %5s %5s  %8s  %8s %6s  %8s %6s\n", "N", "T", "I", "H", "peak", "forward", "share",
              "fwd+bwd", "share");
  for (std::size_t i = 0; i < sizes.size(); i += 4) {
    const LayerSize size{cell, sizes[i], sizes[i + 1], sizes[i + 2], sizes[i + 3]};
    if (dtype == "float32")
      run<float>(size, rounds);
    else
      run<double>(size, rounds);
  }
}
