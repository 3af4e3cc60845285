// Layer normalisation of rows against plain loops, and its gradients against central differences.
#include "normalisation.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/independent_rnn.hpp"
#include "cells/lstm.hpp"
#include "helpers.hpp"
#include "panel.hpp"

using namespace fastrnn;
using fastrnn::testing::Array;

namespace {

// Rows of H units with so many blocks; what lies behind the last unit is large, and must not count.
template <class T>
struct Case {
  static constexpr Index width = lane_width<T>;
  Index features, blocks, rows;
  NormalisedGroup group;
  Index units = lane_blocks<T>(features);
  Array<T> a{std::size_t(units * rows * blocks * width)}, dy{a.size()},
      statistics{std::size_t(rows * statistics_registers<T> * width)},
      gain{std::size_t(units * blocks * width)}, start{gain.size()};

  Case(Index H, Index all_blocks, Index row_count, NormalisedGroup normalised)
      : features(H), blocks(all_blocks), rows(row_count), group(normalised) {
    a.randomize(1);
    dy.randomize(2);
    gain.randomize(3);
    start.randomize(4);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = T(3) * a[i] + T(0.5);
    for (Index i = 0; i < Index(a.size()); ++i) {
      const Index unit = i / (rows * blocks * width) * width + i % width;
      if (unit >= features) a[i] = dy[i] = T(1e6);
    }
  }
  Blocked<T> view(Array<T>& array) const { return {array.data(), rows * blocks * width, blocks * width}; }
  Blocked<const T> parameters(Array<T>& array) const { return {array.data(), blocks * width, 0}; }
  NormalisedRows<T> of() {
    return {constant(view(a)), group, features, {statistics.data(), 0, statistics_registers<T> * width}};
  }
  Index place(Index row, Index unit, Index block) const {
    return ((unit / width * rows + row) * blocks + block) * width + unit % width;
  }
  Index parameter(Index unit, Index block) const {
    return (unit / width * blocks + block) * width + unit % width;
  }
  // Calls visit(unit, block) for each number of a row.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (int block = group.first; block < group.first + group.blocks; ++block)
      for (Index unit = 0; unit < features; ++unit) visit(unit, block);
  }
  // n of a row's numbers, by their places, and 1 / sqrt(variance + epsilon)
  std::vector<double> normalised(Index row, double* mean_of = nullptr, double* inverse_of = nullptr) {
    std::vector<double> n(a.size());
    const double count = double(features * group.blocks);
    double mean = 0, variance = 0;
    for_each([&](Index u, int b) { mean += double(a[place(row, u, b)]) / count; });
    for_each([&](Index u, int b) { variance += std::pow(double(a[place(row, u, b)]) - mean, 2) / count; });
    const double inverse = 1 / std::sqrt(variance + 1e-5);
    for_each([&](Index u, int b) { n[place(row, u, b)] = (double(a[place(row, u, b)]) - mean) * inverse; });
    if (mean_of) *mean_of = mean;
    if (inverse_of) *inverse_of = inverse;
    return n;
  }
  double loss(Index row) {
    const std::vector<double> n = normalised(row);
    double sum = 0;
    for_each([&](Index u, int b) {
      sum += double(dy[place(row, u, b)]) * double(gain[parameter(u, b)]) * n[place(row, u, b)];
    });
    return sum;
  }
};

// Calls visit(case) for sizes that are and are not multiples of a register, and for all groups of cells.
template <class T, class Visit>
void for_each_case(const Visit& visit) {
  for (const Index features : {1, 2, 3, 16, 17, 40}) {
    for (const Index rows : {1, 2, 3, 4, 7}) {
      for (const auto& [blocks, group] :
           std::initializer_list<std::pair<Index, NormalisedGroup>>{{4, {0, 4, 0}},
                                                                    {4, {1, 2, 1}},
                                                                    {4, {3, 1, 3}},
                                                                    {3, {0, 3, 0}},
                                                                    {3, {2, 1, 2}},
                                                                    {1, {0, 1, 0}}}) {
        Case<T> c(features, blocks, rows, group);
        visit(c);
      }
    }
  }
}

// The public parameters at their places in the panels, and back as gradients.
template <class Cell, class T>
void check_parameters(Index hidden_size) {
  constexpr Index width = lane_width<T>;
  const LayerDimensions size{3, hidden_size, WeightFormat::plain, 0, true};
  const PanelLayout<Cell, T> layout{size};
  const Index rows = Cell::gates * hidden_size, products = has_recurrent_section<Cell> ? 2 : 1;
  Array<T> weight_ih(rows * 3), weight_hh(rows * hidden_size), bias(rows), unit_weights(3 * hidden_size),
      norm(2 * (products * rows + Cell::has_cell_state * hidden_size)), gradients(norm.size());
  weight_ih.randomize(1);
  weight_hh.randomize(2);
  bias.randomize(3);
  unit_weights.randomize(4);
  norm.randomize(5);
  Array<T> forward(layout.forward_size()), backward(layout.backward_size());
  const WeightRows<const T> weights{weight_ih.data(),    weight_hh.data(), bias.data(), nullptr,
                                    unit_weights.data(), nullptr,          norm.data()};
  pack_forward<Cell, T>(size, weights, forward.data());
  pack_backward<Cell, T>(size, weights, backward.data());
  for (const T* panel :
       {forward.data() + layout.forward_normalisation(), backward.data() + layout.backward_normalisation()}) {
    const NormalisationPanel<const T> packed = layout.normalisation(panel);
    for (Index unit = 0; unit < layout.units() * width; ++unit) {
      const bool inside = unit < hidden_size;
      for (const Section& section : Cell::sections) {
        const bool input = section.source == Source::input;
        for (int b = 0; b < section.blocks; ++b) {
          const Index public_place = (input ? 0 : 2 * rows) + section.gates[b] * hidden_size + unit;
          const Blocked<const T>& gains = input ? packed.gain_ih : packed.gain_hh;
          REQUIRE(gains.at(unit / width, 0)[(section.first + b) * width + unit % width] ==
                  (inside ? norm[public_place] : T(0)));
        }
      }
      if (!Cell::has_cell_state) continue;
      const Index gain_c = 2 * products * rows + unit;
      REQUIRE(packed.gain_c.at(unit / width, 0)[unit % width] == (inside ? norm[gain_c] : T(0)));
      REQUIRE(packed.shift_c.at(unit / width, 0)[unit % width] ==
              (inside ? norm[gain_c + hidden_size] : T(0)));
    }
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] = T(10);
  Array<T> no_weights(weight_hh.size() + weight_ih.size());
  no_weights.zero();
  add_bias_gradients<Cell, T>(
      size, forward.data(),
      {no_weights.data(), no_weights.data(), nullptr, nullptr, no_weights.data(), nullptr, gradients.data()});
  for (Index product = 0; product < products; ++product) {
    for (Index i = 0; i < rows; ++i)
      REQUIRE(gradients[2 * product * rows + i] == T(10) + norm[2 * product * rows + i]);
  }
  for (Index i = 0; Cell::has_cell_state && i < 2 * hidden_size; ++i)
    REQUIRE(gradients[2 * products * rows + i] == T(10) + norm[2 * products * rows + i]);
  // Shifts act as biases, and have their gradients.
  for (const Section& section : Cell::sections) {
    for (int b = 0; b < section.blocks; ++b) {
      const Index gate = section.gates[b] * hidden_size;
      const Index shift = (section.source == Source::input ? 1 : 3) * rows + gate;
      REQUIRE(gradients[shift] == T(10) + forward[(section.first + b) * width]);
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("panels hold gains and shifts at their places", T, float, double) {
  for (const Index hidden_size : {1, 16, 19}) {
    check_parameters<Lstm, T>(hidden_size);
    check_parameters<LstmCoupledPeephole, T>(hidden_size);
    check_parameters<Gru, T>(hidden_size);
    check_parameters<GruResetBefore, T>(hidden_size);
    check_parameters<IndependentRnn<RnnTanh>, T>(hidden_size);
  }
}

TEST_CASE_TEMPLATE("rows are normalised as by plain loops", T, float, double) {
  const double tolerance = std::is_same_v<T, float> ? 2e-5 : 1e-12;
  for_each_case<T>([&](Case<T>& c) {
    Array<T> y(c.a.size());
    normalise(c.of(), {0, c.rows}, c.parameters(c.gain), c.parameters(c.start), c.view(y));
    for (Index row = 0; row < c.rows; ++row) {
      double mean, inverse;
      const std::vector<double> n = c.normalised(row, &mean, &inverse);
      const T* statistics = c.of().statistics.at(0, row) + 2 * c.group.place;
      CHECK(statistics[0] == doctest::Approx(mean).epsilon(tolerance));
      CHECK(statistics[1] == doctest::Approx(inverse).epsilon(tolerance));
      c.for_each([&](Index u, int b) {
        const Index at = c.place(row, u, b);
        const double expected = c.start[c.parameter(u, b)] + c.gain[c.parameter(u, b)] * n[at];
        REQUIRE(std::abs(y[at] - expected) < 5 * tolerance);
      });
      for (int b = 0; b < c.blocks; ++b) {  // other blocks stay as they are
        if (b < c.group.first || b >= c.group.first + c.group.blocks)
          REQUIRE(std::isnan(y[c.place(row, 0, b)]));
      }
    }
  });
}

TEST_CASE_TEMPLATE("a row's bits do not depend on other rows, nor on where the result goes", T, float,
                   double) {
  for_each_case<T>([](Case<T>& c) {
    Array<T> together(c.a.size()), alone(c.a.size());
    normalise(c.of(), {0, c.rows}, c.parameters(c.gain), c.parameters(c.start), c.view(together));
    for (Index row = 0; row < c.rows; ++row)
      normalise(c.of(), {row, row + 1}, c.parameters(c.gain), c.parameters(c.start), c.view(alone));
    normalise(c.of(), {0, c.rows}, c.parameters(c.gain), c.parameters(c.start), c.view(c.a));  // in place
    for (Index row = 0; row < c.rows; ++row) {
      c.for_each([&](Index u, int b) {
        const Index at = c.place(row, u, b);
        REQUIRE(together[at] == alone[at]);
        REQUIRE(together[at] == c.a[at]);
      });
    }
  });
}

TEST_CASE("gradients of normalised rows are those of central differences") {
  for_each_case<double>([](Case<double>& c) {
    Array<double> y(c.a.size()), da(c.a.size()), sum(c.a.size()), dgain(c.gain.size());
    normalise(c.of(), {0, c.rows}, c.parameters(c.gain), c.parameters(c.start), c.view(y));
    const Blocked<const double> dy = constant(c.view(c.dy));
    normalise_backward(c.of(), {0, c.rows}, c.parameters(c.gain), dy, c.view(da));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = 10;
    normalise_backward(c.of(), {0, c.rows}, c.parameters(c.gain), dy, c.view(sum), true);
    for (std::size_t i = 0; i < dgain.size(); ++i) dgain[i] = 10;
    for (Index unit = 0; unit < c.units; ++unit)
      sum_gain_gradient(c.of(), unit, c.rows, dy, Blocked<double>{dgain.data(), c.blocks * c.width, 0});
    const auto difference = [&](double& varied, const std::function<double()>& loss) {
      const double eps = 1e-6, kept = varied;
      varied = kept + eps;
      const double above = loss();
      varied = kept - eps;
      const double below = loss();
      varied = kept;
      return (above - below) / (2 * eps);
    };
    for (Index row = 0; row < c.rows; ++row) {
      c.for_each([&](Index u, int b) {
        const Index at = c.place(row, u, b);
        // One number alone is its own mean, and epsilon all there is below the root.
        const double expected = difference(c.a[at], [&] { return c.loss(row); });
        REQUIRE(std::abs(da[at] - expected) < 1e-7);
        REQUIRE(std::abs(sum[at] - 10 - expected) < 1e-7);
      });
      for (Index unit = c.features; unit < c.units * c.width; ++unit)
        REQUIRE(da[c.place(row, unit, c.group.first)] == 0);
    }
    c.for_each([&](Index u, int b) {
      const double expected = difference(c.gain[c.parameter(u, b)], [&] {
        double all = 0;
        for (Index row = 0; row < c.rows; ++row) all += c.loss(row);
        return all;
      });
      REQUIRE(std::abs(dgain[c.parameter(u, b)] - 10 - expected) < 1e-7);
    });
  });
}
