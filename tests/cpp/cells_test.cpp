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
template <class Cell>
double loss(Inputs<Cell> in, double dh, double dc) {
  State<double> state{in.h_prev, in.c_prev};
  with_weights<Cell>(in.w, [&](const auto&... w) { Cell::forward(in.a, state, w...); });
  return dh * state.h + (Cell::has_cell_state ? dc * state.c : 0.0);
}

template <class Cell>
void check_cell() {
  std::mt19937 generator(3);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  for (int trial = 0; trial < 20; ++trial) {
    Inputs<Cell> in;
    for (double& v : in.a) v = uniform(generator);
    in.h_prev = uniform(generator);
    in.c_prev = uniform(generator);
    for (double& v : in.w) v = uniform(generator);
    const double dh = uniform(generator), dc = uniform(generator);

    auto gates = in.a;  // activations, then the gradients of the pre-activations
    State<double> state{in.h_prev, in.c_prev};
    with_weights<Cell>(in.w, [&](const auto&... w) { Cell::forward(gates, state, w...); });
    BackwardState<double> back{in.h_prev, in.c_prev, state.c, dh, dc};
    with_weights<Cell>(in.w, [&](const auto&... w) { Cell::backward(gates, back, w...); });

    // `varied` is a number of `in`.
    const auto check = [&](double& varied, double got) {
      const double eps = 1e-6, kept = varied;
      varied = kept + eps;
      const double above = loss<Cell>(in, dh, dc);
      varied = kept - eps;
      const double below = loss<Cell>(in, dh, dc);
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

}  // namespace

TEST_CASE("backward of each cell is the derivative of its forward") {
  check_cell<Lstm>();
  check_cell<LstmPeephole>();
  check_cell<LstmCoupled>();
  check_cell<LstmCoupledPeephole>();
  check_cell<Gru>();
  check_cell<RnnTanh>();
  check_cell<RnnRelu>();
  check_cell<IndependentRnn<RnnTanh>>();
  check_cell<IndependentRnn<RnnRelu>>();
}

TEST_CASE("the two parts of the reset-before GRU are derivatives of their forwards") {
  const double eps = 1e-6, weight = 0.7;  // n's pre-activation = a_n + weight * (r * h_prev)
  const auto step = [&](double a_r, double a_z, double a_n, double h_prev) {
    double r = a_r, z = a_z;
    double n = a_n + weight * GruResetBefore::forward_gates(r, z, h_prev);
    return GruResetBefore::forward_candidate(z, n, h_prev);
  };
  const double a[4] = {0.3, -0.8, 0.5, -0.6}, dh_out = 1.3;  // a_r a_z a_n h_prev
  double r = a[0], z = a[1];
  double n = a[2] + weight * GruResetBefore::forward_gates(r, z, a[3]);
  GruResetBefore::forward_candidate(z, n, a[3]);
  double dh = dh_out;
  GruResetBefore::backward_candidate(z, n, a[3], dh);
  GruResetBefore::backward_gates(r, a[3], n * weight, dh);
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
