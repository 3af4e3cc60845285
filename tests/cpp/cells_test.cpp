// Each cell's backward against central differences of its forward, on one number: no pointer, stride or time
// in sight.
#include <doctest/doctest.h>

#include <random>

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"

using namespace fastrnn;

namespace {

// loss = dh * h + dc * c after one step from (pre-activations a, h_prev, c_prev)
template <class Cell>
double loss(std::array<double, Cell::blocks> a, double h_prev, double c_prev, double dh, double dc) {
  State<double> state{h_prev, c_prev};
  Cell::forward(a, state);
  return dh * state.h + (Cell::has_cell_state ? dc * state.c : 0.0);
}

template <class Cell>
void check_cell() {
  std::mt19937 generator(3);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  const double eps = 1e-6;
  for (int trial = 0; trial < 20; ++trial) {
    std::array<double, Cell::blocks> a;
    for (double& v : a) v = uniform(generator);
    const double h_prev = uniform(generator), c_prev = uniform(generator), dh = uniform(generator),
                 dc = uniform(generator);

    auto activations = a;
    State<double> state{h_prev, c_prev};
    Cell::forward(activations, state);
    BackwardState<double> back{h_prev, c_prev, state.c, dh, dc};
    Cell::backward(activations, back);

    for (int b = 0; b < Cell::blocks; ++b) {
      auto up = a, down = a;
      up[b] += eps;
      down[b] -= eps;
      const double expected =
          (loss<Cell>(up, h_prev, c_prev, dh, dc) - loss<Cell>(down, h_prev, c_prev, dh, dc)) / (2 * eps);
      CHECK(activations[b] == doctest::Approx(expected).epsilon(1e-7));
    }
    const double by_h =
        (loss<Cell>(a, h_prev + eps, c_prev, dh, dc) - loss<Cell>(a, h_prev - eps, c_prev, dh, dc)) /
        (2 * eps);
    CHECK(back.dh == doctest::Approx(by_h).epsilon(1e-7));
    if (Cell::has_cell_state) {
      const double by_c =
          (loss<Cell>(a, h_prev, c_prev + eps, dh, dc) - loss<Cell>(a, h_prev, c_prev - eps, dh, dc)) /
          (2 * eps);
      CHECK(back.dc == doctest::Approx(by_c).epsilon(1e-7));
    }
  }
}

}  // namespace

TEST_CASE("backward of each cell is the derivative of its forward") {
  check_cell<Lstm>();
  check_cell<Gru>();
  check_cell<RnnTanh>();
  check_cell<RnnRelu>();
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
