// Layer normalisation of rows against plain loops, and its gradients against central differences.
#include "normalisation.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "helpers.hpp"

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

}  // namespace

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
