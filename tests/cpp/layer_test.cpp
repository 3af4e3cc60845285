// The contract as a C++ program uses it, with arrays of exactly the promised sizes: the sanitizers see any
// step outside.
#include "fastrnn/layer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "fastrnn/linear.h"
#include "helpers.hpp"

using namespace fastrnn;
using fastrnn::testing::Array;

namespace {

constexpr Cell all_cells[] = {Cell::rnn_tanh, Cell::rnn_relu, Cell::lstm, Cell::gru, Cell::gru_reset_before};

std::size_t gates_of(Cell cell) {
  return cell == Cell::lstm ? 4 : cell == Cell::gru || cell == Cell::gru_reset_before ? 3 : 1;
}

// One layer with all the arrays of a training step.
template <class T>
struct Training {
  LayerSize size;
  std::vector<std::int64_t> lengths;
  Timing timing;
  std::size_t N = size.batch, S = size.steps, I = size.input_size, H = size.hidden_size,
              R = gates_of(size.cell) * H;
  Array<T> w_ih{R * I}, w_hh{R * H}, b_ih{R}, b_hh{R}, dw_ih{R * I}, dw_hh{R * H}, db_ih{R}, db_hh{R};
  Array<T> x{N * S * I}, y{N * S * H}, dy{N * S * H}, dx{N * S * I};
  Array<T> h0{N * H}, c0{N * H}, h_n{N * H}, c_n{N * H}, dh_n{N * H}, dc_n{N * H}, dh0{N * H}, dc0{N * H};
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
    for (Array<T>* a : {&w_ih, &w_hh, &b_ih, &b_hh, &x, &dy, &h0, &c0, &dh_n, &dc_n}) a->randomize(seed++);
    const Weights<const T> weights{w_ih.data(), w_hh.data(), b_ih.data(), b_hh.data()};
    pack_panels<T>(Pass::forward, size, weights, forward_panels.data());
    pack_panels<T>(Pass::backward, size, weights, backward_panels.data());
  }

  bool has_c() const { return size.cell == Cell::lstm; }
  std::ptrdiff_t h_stride() const { return size.hidden_size; }
  template <class U>
  Sequence<U> sequence(U* data, std::size_t features) const {
    return {data, std::ptrdiff_t(S * features), std::ptrdiff_t(features)};
  }

  void infer() { run_forward(nullptr, inference_space.data()); }
  void train() {
    run_forward(tape.data(), forward_space.data());
    backward<T>({size,
                 timing,
                 backward_panels.data(),
                 tape.data(),
                 sequence<const T>(dy.data(), H),
                 {dh_n.data(), h_stride()},
                 {has_c() ? dc_n.data() : nullptr, h_stride()},
                 sequence<T>(dx.data(), I),
                 false,
                 {dh0.data(), h_stride()},
                 {has_c() ? dc0.data() : nullptr, h_stride()},
                 {dw_ih.data(), dw_hh.data(), db_ih.data(), db_hh.data()},
                 backward_space.data()});
  }

 private:
  void run_forward(void* kept, void* space) {
    forward<T>({size,
                timing,
                forward_panels.data(),
                sequence<const T>(x.data(), I),
                {h0.data(), h_stride()},
                {has_c() ? c0.data() : nullptr, h_stride()},
                sequence<T>(y.data(), H),
                {h_n.data(), h_stride()},
                {has_c() ? c_n.data() : nullptr, h_stride()},
                kept,
                space});
  }
};

template <class T>
bool same(Array<T>& a, Array<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) return false;
  return true;
}

std::vector<std::int64_t> some_lengths(std::int64_t batch, std::int64_t steps) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; n < batch; ++n) lengths.push_back((n * 7 + 3) % (steps + 1));
  return lengths;
}

}  // namespace

TEST_CASE_TEMPLATE("training stays inside its arrays and does not depend on threads", T, float, double) {
  const std::int64_t sizes[][4] = {
      {1, 1, 1, 1}, {5, 7, 3, 17}, {13, 4, 17, 3}, {1, 9, 2, 65}, {40, 20, 30, 70}};
  for (const Cell cell : all_cells) {
    for (const auto& s : sizes) {
      for (const bool reverse : {false, true}) {
        for (const bool ragged : {false, true}) {
          const LayerSize size{cell, s[0], s[1], s[2], s[3]};
          const auto lengths = ragged ? some_lengths(s[0], s[1]) : std::vector<std::int64_t>{};
          Training<T> one(size, lengths, reverse, 1), several(size, lengths, reverse, 3);
          one.train();
          several.train();
          CHECK(same(one.y, several.y));
          CHECK(same(one.dx, several.dx));
          CHECK(same(one.dw_ih, several.dw_ih));
          CHECK(same(one.dw_hh, several.dw_hh));
          CHECK(same(one.db_hh, several.db_hh));
          CHECK(same(one.dh0, several.dh0));
          Training<T> inference(size, lengths, reverse, 1);
          inference.infer();
          CHECK(same(one.y, inference.y));
          CHECK(same(one.h_n, inference.h_n));
          for (std::size_t i = 0; i < one.dw_hh.size(); ++i) CHECK(std::isfinite(one.dw_hh[i]));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("the gradient of a scaled loss is scaled", T, float, double) {
  // Linear in dy, dh_n, dc_n: doubling is exact in floating point.
  for (const Cell cell : all_cells) {
    Training<T> once({cell, 5, 7, 3, 17}, {}, false, 1), twice({cell, 5, 7, 3, 17}, {}, false, 1);
    for (Array<T>* a : {&twice.dy, &twice.dh_n, &twice.dc_n})
      for (std::size_t i = 0; i < a->size(); ++i) (*a)[i] *= T(2);
    once.train();
    twice.train();
    for (std::size_t i = 0; i < once.dw_ih.size(); ++i) CHECK(twice.dw_ih[i] == T(2) * once.dw_ih[i]);
    CHECK(once.dw_ih[0] != T(0));
  }
}

TEST_CASE_TEMPLATE("the affine layer agrees with plain loops", T, float, double) {
  for (const std::int64_t N : {0, 1, 7, 300}) {
    const std::size_t I = 19, O = 37, n = N;
    Array<T> weight(O * I), bias(O), x(n * I), y(n * O), dy(n * O), dx(n * I), dweight(O * I), dbias(O);
    weight.randomize(1);
    bias.randomize(2);
    x.randomize(3);
    dy.randomize(4);
    const LinearSize size{N, std::int64_t(I), std::int64_t(O)};
    Array<char> space(linear_workspace_bytes<T>(size));
    linear_forward<T>({size, weight.data(), bias.data(), {x.data(), I}, {y.data(), O}, space.data()});
    linear_backward<T>({size,
                        weight.data(),
                        {x.data(), I},
                        {dy.data(), O},
                        {dx.data(), I},
                        dweight.data(),
                        dbias.data(),
                        space.data()});
    const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t o = 0; o < O; ++o) {
        double sum = bias[o];
        for (std::size_t k = 0; k < I; ++k) sum += double(x[r * I + k]) * double(weight[o * I + k]);
        REQUIRE(std::abs(y[r * O + o] - sum) <= tolerance * 10);
      }
      for (std::size_t k = 0; k < I; ++k) {
        double sum = 0;
        for (std::size_t o = 0; o < O; ++o) sum += double(dy[r * O + o]) * double(weight[o * I + k]);
        REQUIRE(std::abs(dx[r * I + k] - sum) <= tolerance * 10);
      }
    }
    for (std::size_t o = 0; o < O; ++o) {
      double sum = 0;
      for (std::size_t r = 0; r < n; ++r) sum += double(dy[r * O + o]) * double(x[r * I + 5]);
      REQUIRE(std::abs(dweight[o * I + 5] - sum) <= tolerance * 100);
    }
  }
}
