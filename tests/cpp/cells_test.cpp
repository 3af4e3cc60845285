// Each cell's backward against central differences of its forward, on one number: no pointer, stride or time
// in sight.
#include <doctest/doctest.h>

#include <random>

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/independent_rnn.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"

using namespace fastrnn;

namespace {

// The unit weights as the cell takes them: one argument where it has any, none where it has not.
template <class Cell, class Call>
auto with_weights(const UnitWeights<Cell, double>& w, const Call& call) {
  if constexpr (Cell::unit_weights.size() > 0)
    return call(w);
  else
    return call();
}

// What one step of a cell depends on.
template <class Cell>
struct Inputs {
  std::array<double, Cell::blocks> a;  // pre-activations
  double h_prev, c_prev;
  UnitWeights<Cell, double> w;
};

// loss = dh * h + dc * c after one step
template <class Cell, class Functions>
double loss(Inputs<Cell> in, const Functions& functions, double dh, double dc) {
  State<double> state{in.h_prev, in.c_prev};
  with_weights<Cell>(in.w, [&](const auto&... w) { Cell::forward(in.a, state, functions, w...); });
  return dh * state.h + (Cell::has_cell_state ? dc * state.c : 0.0);
}

template <class Cell, class Functions>
void check_cell(const Functions& functions, int trials) {
  std::mt19937 generator(3);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  for (int trial = 0; trial < trials; ++trial) {
    Inputs<Cell> in;
    for (double& v : in.a) v = uniform(generator);
    in.h_prev = uniform(generator);
    in.c_prev = uniform(generator);
    for (double& v : in.w) v = uniform(generator);
    const double dh = uniform(generator), dc = uniform(generator);

    auto gates = in.a;  // activations, then the gradients of the pre-activations
    State<double> state{in.h_prev, in.c_prev};
    with_weights<Cell>(in.w, [&](const auto&... w) { Cell::forward(gates, state, functions, w...); });
    BackwardState<double> back{in.h_prev, in.c_prev, state.c, dh, dc};
    with_weights<Cell>(in.w, [&](const auto&... w) { Cell::backward(gates, back, functions, w...); });

    // `varied` is a number of `in`.
    const auto check = [&](double& varied, double got) {
      const double eps = 1e-6, kept = varied;
      varied = kept + eps;
      const double above = loss<Cell>(in, functions, dh, dc);
      varied = kept - eps;
      const double below = loss<Cell>(in, functions, dh, dc);
      varied = kept;
      CHECK(got == doctest::Approx((above - below) / (2 * eps)).epsilon(1e-7));
    };
    for (int b = 0; b < Cell::blocks; ++b) check(in.a[b], gates[b]);
    check(in.h_prev, back.dh);
    if (Cell::has_cell_state) check(in.c_prev, back.dc);
    // As the kernels sum it: the gradient of the weight's block times what the weight multiplies.
    for (std::size_t i = 0; i < Cell::unit_weights.size(); ++i) {
      const UnitWeight& weight = Cell::unit_weights[i];
      const double operand = weight.operand == Operand::h_prev   ? in.h_prev
                             : weight.operand == Operand::c_prev ? in.c_prev
                                                                 : state.c;
      check(in.w[i], gates[weight.block] * operand);
    }
  }
}

template <class Functions>
void check_cells(const Functions& functions, int trials) {
  check_cell<Lstm>(functions, trials);
  check_cell<LstmPeephole>(functions, trials);
  check_cell<LstmCoupled>(functions, trials);
  check_cell<LstmCoupledPeephole>(functions, trials);
  check_cell<Gru>(functions, trials);
  check_cell<RnnTanh>(functions, trials);
  check_cell<RnnRelu>(functions, trials);
  check_cell<IndependentRnn<RnnTanh>>(functions, trials);
  check_cell<IndependentRnn<RnnRelu>>(functions, trials);
}

// n's pre-activation = a_n + weight * (r * h_prev)
template <class Functions>
void check_reset_before(const Functions& functions) {
  const double eps = 1e-6, weight = 0.7;
  const auto step = [&](double a_r, double a_z, double a_n, double h_prev) {
    double r = a_r, z = a_z;
    double n = a_n + weight * GruResetBefore::forward_gates(r, z, h_prev, functions);
    return GruResetBefore::forward_candidate(z, n, h_prev, functions);
  };
  const double a[4] = {0.3, -0.8, 0.5, -0.6}, dh_out = 1.3;  // a_r a_z a_n h_prev
  double r = a[0], z = a[1];
  double n = a[2] + weight * GruResetBefore::forward_gates(r, z, a[3], functions);
  GruResetBefore::forward_candidate(z, n, a[3], functions);
  double dh = dh_out;
  GruResetBefore::backward_candidate(z, n, a[3], dh, functions);
  GruResetBefore::backward_gates(r, a[3], n * weight, dh, functions);
  const double got[4] = {r, z, n, dh};
  for (int i = 0; i < 4; ++i) {
    double up[4], down[4];
    std::copy(a, a + 4, up);
    std::copy(a, a + 4, down);
    up[i] += eps;
    down[i] -= eps;
    const double expected =
        dh_out * (step(up[0], up[1], up[2], up[3]) - step(down[0], down[1], down[2], down[3])) / (2 * eps);
    CHECK(got[i] == doctest::Approx(expected).epsilon(1e-7));
  }
}

constexpr Activation activations[] = {Activation::sigmoid,      Activation::tanh,      Activation::relu,
                                      Activation::hard_sigmoid, Activation::hard_tanh, Activation::softsign,
                                      Activation::identity};

// Calls visit(options) for every activation in every place, with and without clips that some numbers reach.
template <class Visit>
void for_each_options(const Visit& visit) {
  for (const double clip : {0.0, 0.6}) {
    for (const Activation gate : activations) {
      for (const Activation candidate : activations) {
        for (const Activation output : activations) {
          CellOptions options;
          options.gate_activation = gate;
          options.candidate_activation = candidate;
          options.output_activation = output;
          options.activation_clip = clip;
          options.cell_clip = clip / 2;
          CAPTURE(static_cast<int>(gate));
          CAPTURE(static_cast<int>(candidate));
          CAPTURE(static_cast<int>(output));
          CAPTURE(clip);
          visit(options);
        }
      }
    }
  }
}

// The first number of one step forward and back on lanes or on numbers.
template <class Cell, class V>
std::array<double, Cell::blocks + 4> one_step(const CellOptions& options, const Inputs<Cell>& in) {
  const ChosenFunctions<double> functions(options, V(0.0));
  std::array<V, Cell::blocks> a;
  UnitWeights<Cell, V> w;
  std::copy(in.a.begin(), in.a.end(), a.begin());
  std::copy(in.w.begin(), in.w.end(), w.begin());
  State<V> state{in.h_prev, in.c_prev};
  BackwardState<V> back{in.h_prev, in.c_prev, V(0.0), V(1.1), V(-0.7)};
  if constexpr (Cell::unit_weights.empty()) {
    Cell::forward(a, state, functions);
    back.c = state.c;
    Cell::backward(a, back, functions);
  } else {
    Cell::forward(a, state, functions, w);
    back.c = state.c;
    Cell::backward(a, back, functions, w);
  }
  std::array<double, Cell::blocks + 4> got;
  for (int b = 0; b < Cell::blocks; ++b) got[b] = first_number(a[b]);
  const V rest[] = {state.h, state.c, back.dh, back.dc};
  for (int i = 0; i < 4; ++i) got[Cell::blocks + i] = first_number(rest[i]);
  return got;
}

template <class Cell>
void check_lanes() {
  std::mt19937 generator(5);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  for_each_options([&](const CellOptions& options) {
    Inputs<Cell> in;
    for (double& v : in.a) v = uniform(generator);
    in.h_prev = uniform(generator);
    in.c_prev = uniform(generator);
    for (double& v : in.w) v = uniform(generator);
    const auto on_lanes = one_step<Cell, Lanes<double>>(options, in);
    const auto on_numbers = one_step<Cell, double>(options, in);
    for (std::size_t i = 0; i < on_lanes.size(); ++i)
      CHECK(on_lanes[i] == doctest::Approx(on_numbers[i]).epsilon(1e-14));
  });
}

}  // namespace

TEST_CASE("backward of each cell is the derivative of its forward") {
  check_cells(PlainFunctions{}, 20);
  check_reset_before(PlainFunctions{});
}

TEST_CASE("backward of each cell is the derivative of its forward with chosen activations and clips") {
  for_each_options([](const CellOptions& options) {
    const ChosenFunctions<double> functions(options, 0.0);
    check_cells(functions, 3);
    check_reset_before(functions);
  });
}

TEST_CASE("cells with chosen activations and clips on lanes and on numbers agree") {
  check_lanes<LstmPeephole>();
  check_lanes<LstmCoupled>();
  check_lanes<Gru>();
  check_lanes<RnnTanh>();
  check_lanes<IndependentRnn<RnnRelu>>();
}

TEST_CASE("functions are chosen where one of their options is not the plain one") {
  CHECK(!chosen_functions<float>({}));
  CellOptions others;  // options that are no functions
  others.projection_size = 3;
  others.zoneout_h = 0.5;
  CHECK(!chosen_functions<float>(others));
  CellOptions options[5];
  options[0].gate_activation = Activation::hard_sigmoid;
  options[1].candidate_activation = Activation::relu;
  options[2].output_activation = Activation::identity;
  options[3].activation_clip = 2;
  options[4].cell_clip = 2;
  for (const CellOptions& one : options) CHECK(chosen_functions<float>(one));
}
