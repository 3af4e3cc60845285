// The contract as a C++ program uses it, with arrays of exactly the promised sizes: the sanitizers see any
// step outside.
#include "fastrnn/layer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "fastrnn/linear.h"
#include "fastrnn/plan.h"
#include "training.hpp"

using namespace fastrnn;
using fastrnn::testing::all_cells;
using fastrnn::testing::Array;
using fastrnn::testing::Training;

namespace {

template <class T>
bool same(Array<T>& a, Array<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) return false;
  return true;
}

// Up to the rounding of sums of hundreds of numbers.
template <class T>
bool near(Array<T>& a, Array<T>& b) {
  T largest(0);
  for (std::size_t i = 0; i < b.size(); ++i) largest = std::max(largest, std::abs(b[i]));
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 500 * std::numeric_limits<T>::epsilon() * largest)) return false;
  return true;
}

std::vector<std::int64_t> some_lengths(std::int64_t batch, std::int64_t steps) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; n < batch; ++n) lengths.push_back((n * 7 + 3) % (steps + 1));
  return lengths;
}

// All that a cell may have beside layer normalisation.
void choose_options(LayerSize& size) {
  CellOptions& options = size.options;
  options.gate_activation = Activation::hard_sigmoid;
  options.activation_clip = 1.5;
  options.gradient_clip_value = 0.5;
  options.gradient_clip_norm = 1.0;
  size.masks = {true, true, true, false};
  if (!has_cell_state(size.cell)) return;
  options.cell_clip = 2.0;
  options.zoneout_c = 0.25;
  options.projection_size = (size.hidden_size + 2) / 3;
  size.masks.zoneout_c = size.batch % 2 == 0;
}

}  // namespace

TEST_CASE_TEMPLATE("training stays inside its arrays and does not depend on threads", T, float, double) {
  const std::int64_t sizes[][4] = {{1, 1, 1, 1},     {5, 7, 3, 17},    {13, 4, 17, 3}, {1, 9, 2, 65},
                                   {40, 20, 30, 70}, {1, 150, 20, 40}, {3, 90, 9, 30}, {1, 200, 30, 140}};
  for (const Cell cell : all_cells) {
    for (const auto& s : sizes) {
      for (const bool reverse : {false, true}) {
        for (const int kind : {0, 1, 2, 5, 6}) {
          if (kind >= 2 && reverse != (kind == 5)) continue;  // options: one direction each
          const bool ragged = kind & 1;
          LayerSize size{cell, s[0], s[1], s[2], s[3]};
          size.options.layer_norm = kind & 2;
          if (kind & 4) choose_options(size);
          const auto lengths = ragged ? some_lengths(s[0], s[1]) : std::vector<std::int64_t>{};
          Training<T> one(size, lengths, reverse, 1), several(size, lengths, reverse, 3);
          one.train();
          several.train();
          CHECK(same(one.y, several.y));
          CHECK(same(one.h_n, several.h_n));
          CHECK(same(one.dx, several.dx));
          CHECK(same(one.dw_ih, several.dw_ih));
          CHECK(same(one.dw_hh, several.dw_hh));
          CHECK(same(one.db_hh, several.db_hh));
          CHECK(same(one.dw_unit, several.dw_unit));
          CHECK(same(one.dw_norm, several.dw_norm));
          CHECK(same(one.dw_hr, several.dw_hr));
          CHECK(same(one.dh0, several.dh0));
          for (const int threads : {1, 3}) {
            Training<T> inference(size, lengths, reverse, threads);
            inference.infer();
            CHECK(same(one.y, inference.y));
            CHECK(same(one.h_n, inference.h_n));
            if (one.has_c()) CHECK(same(one.c_n, inference.c_n));
          }
          bool finite = true;
          for (Array<T>* a : {&one.dw_ih, &one.dw_hh, &one.dw_unit, &one.dw_hr, &one.dw_norm})
            for (std::size_t i = 0; i < a->size(); ++i) finite = finite && std::isfinite((*a)[i]);
          CHECK(finite);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("sums of weight gradients that go on are those of a call of its own", T, float, double) {
  const std::int64_t sizes[][4] = {{1, 1, 1, 1}, {5, 7, 3, 17}, {40, 20, 30, 70}, {1, 600, 9, 20}};
  for (const Cell cell : all_cells) {
    for (const auto& s : sizes) {
      for (const int threads : {1, 3}) {
        const LayerSize size{cell, s[0], s[1], s[2], s[3]};
        Training<T> alone(size, {}, false, threads), carried(size, {}, false, threads);
        alone.train();
        Array<T> sums(panel_size<T>(Pass::forward, size));
        sums.zero();
        forward(carried.forward_call());
        BackwardArguments<T> call = carried.backward_call();
        call.weight_sums = sums.data();
        backward(call);
        CHECK(carried.dw_ih[0] == T(0));
        add_weight_sums<T>(size, sums.data(), call.dweights);
        CHECK(same(alone.dx, carried.dx));
        CHECK(same(alone.dw_ih, carried.dw_ih));
        CHECK(same(alone.dw_hh, carried.dw_hh));
        CHECK(same(alone.db_ih, carried.db_ih));
        CHECK(same(alone.db_hh, carried.db_hh));
        CHECK(same(alone.dw_unit, carried.dw_unit));
      }
    }
  }
}

TEST_CASE_TEMPLATE("gradients by token are the sums of those of single rows", T, float, double) {
  const std::int64_t sizes[][5] = {
      {1, 1, 1, 1, 1}, {5, 7, 3, 17, 4}, {40, 20, 30, 70, 9}, {1, 300, 17, 33, 300}};
  for (const Cell cell : all_cells) {
    for (const auto& s : sizes) {
      for (const int kind : {0, 1, 2, 5}) {
        const bool ragged = kind & 1, reverse = kind == 2;
        LayerSize size{cell, s[0], s[1], s[2], s[3]};
        size.options.layer_norm = kind & 2;
        if (kind & 4) choose_options(size);
        const auto lengths = ragged ? some_lengths(s[0], s[1]) : std::vector<std::int64_t>{};
        const std::size_t V = std::size_t(s[4]), I = std::size_t(s[2]), rows = std::size_t(s[0] * s[1]);
        Array<T> table(V * I), one_dx(V * I), several_dx(V * I), expected(V * I);
        Array<std::int64_t> tokens(rows);
        table.randomize(9);
        expected.zero();
        several_dx.zero();
        for (std::size_t row = 0; row < rows; ++row) tokens[row] = std::int64_t(row * row % V);
        Training<T> plain(size, lengths, reverse, 1);
        LayerSize with_tokens = size;
        with_tokens.num_embeddings = s[4];
        Training<T> one(with_tokens, lengths, reverse, 1), several(with_tokens, lengths, reverse, 3);
        for (Training<T>* layer : {&plain, &one, &several}) {
          for (std::size_t i = 0; i < rows * I; ++i) layer->x[i] = table[tokens[i / I] * I + i % I];
          forward(layer->forward_call());
        }
        backward(plain.backward_call());
        for (Training<T>* layer : {&one, &several}) {
          BackwardArguments<T> call = layer->backward_call();
          call.dx = {(layer == &one ? one_dx : several_dx).data(), std::ptrdiff_t(I), 0};
          call.add_to_dx = layer == &several;
          call.tokens = {tokens.data(), std::ptrdiff_t(s[1]), 1};
          backward(call);
        }
        for (std::size_t i = 0; i < rows * I; ++i) expected[tokens[i / I] * I + i % I] += plain.dx[i];
        CHECK(near(one_dx, expected));
        CHECK(near(one.dw_ih, plain.dw_ih));
        CHECK(same(one_dx, several_dx));
        CHECK(same(one.dw_ih, several.dw_ih));
        CHECK(same(one.dw_hh, plain.dw_hh));
        CHECK(same(one.db_ih, plain.db_ih));
        CHECK(same(one.dw_norm, plain.dw_norm));
        CHECK(same(one.dh0, plain.dh0));
      }
    }
  }
}

TEST_CASE_TEMPLATE("calls side by side give what each gives alone", T, float, double) {
  const std::int64_t sizes[][4] = {{1, 1, 1, 1}, {5, 60, 3, 17}, {40, 20, 30, 70}, {1, 150, 20, 40}};
  for (const Cell cell : all_cells) {
    for (const auto& s : sizes) {
      for (const bool ragged : {false, true}) {
        const LayerSize size{cell, s[0], s[1], s[2], s[3]};
        const auto lengths = ragged ? some_lengths(s[0], s[1]) : std::vector<std::int64_t>{};
        const LayerSize other{Cell::gru, s[0], s[1], s[2], s[3] + 1};
        Training<T> ahead(size, lengths, false, 2), back(size, lengths, true, 2),
            third(other, lengths, true, 2);
        Training<T> ahead_alone(size, lengths, false, 1), back_alone(size, lengths, true, 1),
            third_alone(other, lengths, true, 1);
        const ForwardArguments<T> forward_calls[] = {ahead.forward_call(), back.forward_call(),
                                                     third.forward_call()};
        forward_side_by_side(forward_calls, 3);
        const BackwardArguments<T> backward_calls[] = {ahead.backward_call(), back.backward_call(),
                                                       third.backward_call()};
        backward_side_by_side(backward_calls, 3);
        const auto check = [](Training<T>& beside, Training<T>& alone) {
          alone.train();
          CHECK(same(beside.y, alone.y));
          CHECK(same(beside.h_n, alone.h_n));
          CHECK(same(beside.dx, alone.dx));
          CHECK(same(beside.dh0, alone.dh0));
          CHECK(same(beside.dw_ih, alone.dw_ih));
          CHECK(same(beside.dw_hh, alone.dw_hh));
          CHECK(same(beside.db_hh, alone.db_hh));
          CHECK(same(beside.dw_unit, alone.dw_unit));
        };
        check(ahead, ahead_alone);
        check(back, back_alone);
        check(third, third_alone);
      }
    }
  }
}

TEST_CASE("side by side wins where sharing each call does not") {
  const auto wins = [](Pass pass, LayerSize a, LayerSize b, const std::int64_t* lengths, int threads) {
    const LayerSize sizes[] = {a, b};
    return side_by_side_wins<float>(pass, sizes, 2, lengths, threads);
  };
  const LayerSize small{Cell::lstm, 8, 20, 12, 32}, words{Cell::lstm, 32, 15, 12, 64},
      large{Cell::lstm, 64, 50, 256, 256}, plain{Cell::rnn_tanh, 64, 50, 256, 256};
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    CHECK_FALSE(wins(pass, small, small, nullptr, 2));  // too little for a second thread
    CHECK_FALSE(wins(pass, words, words, nullptr, 1));
    CHECK(wins(pass, words, words, nullptr, 2));
    CHECK(wins(pass, words, words, nullptr, 4));
    CHECK(wins(pass, large, large, nullptr, 2));
    CHECK_FALSE(wins(pass, large, large, nullptr, 3));  // three threads share each
    CHECK_FALSE(wins(pass, large, plain, nullptr, 2));  // one would have most of the work
  }
  const std::vector<std::int64_t> short_lengths(32, 3);
  CHECK_FALSE(wins(Pass::forward, words, words, short_lengths.data(), 2));
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
    for (std::size_t i = 0; i < once.dw_unit.size(); ++i) CHECK(twice.dw_unit[i] == T(2) * once.dw_unit[i]);
    CHECK(once.dw_ih[0] != T(0));
  }
}

TEST_CASE_TEMPLATE("the affine layer agrees with plain loops", T, float, double) {
  for (const std::int64_t N : {0, 1, 7, 300}) {
    const std::size_t I = 19, O = 37, n = N;
    Array<T> weight(O * I), bias(O), x(n * I), y(n * O), dy(n * O), dx(n * I), dweight(O * I), dbias(O);
    dweight.zero();
    dbias.zero();
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
