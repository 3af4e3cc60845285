// A training step outside of the layers against loops over single numbers, at sizes around every tail.
#include "fastrnn/updates.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "lanes.hpp"

using namespace fastrnn;

namespace {

template <class T>
std::vector<T> drawn(std::size_t count, unsigned seed, double scale = 1) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<T> numbers(count);
  for (T& number : numbers) number = static_cast<T>(normal(generator));
  return numbers;
}

// What a function must not touch stands behind its arrays' ends.
template <class T>
std::vector<T> guarded(std::size_t count, T value) {
  std::vector<T> numbers(count + 1, value);
  numbers.back() = T(77);
  return numbers;
}

template <class T>
CrossEntropyArguments<T> arguments_of(const std::vector<T>& scores, const std::vector<std::int64_t>& labels,
                                      const double* weights, std::vector<T>& gradient) {
  const auto rows = static_cast<std::int64_t>(labels.size());
  return {rows,          static_cast<std::int64_t>(scores.size()) / rows,
          scores.data(), labels.data(),
          weights,       gradient.data()};
}

}  // namespace

TEST_CASE_TEMPLATE("the sum of squares is that of every number", T, float, double) {
  for (const std::size_t count : {0, 1, 31, 32, 33, 8191, 8192, 8193, 8200, 20000}) {
    const std::vector<T> numbers = drawn<T>(count, 1);
    long double exact = 0;
    for (const T number : numbers) exact += static_cast<long double>(number) * number;
    const double found = sum_of_squares(numbers.data(), static_cast<std::int64_t>(count));
    CHECK(found == doctest::Approx(static_cast<double>(exact)).epsilon(1e-14));
    if (count > 0) CHECK(found > sum_of_squares(numbers.data(), static_cast<std::int64_t>(count) - 1));
  }
}

TEST_CASE_TEMPLATE("Adam rounds each operation by itself", T, float, double) {
  const T beta1 = T(0.9), beta2 = T(0.999), epsilon = T(1e-5), rate = T(0.01);
  for (const std::size_t count : {0, 1, 2, 7, 15, 16, 17, 63, 64, 65}) {
    std::vector<T> p = drawn<T>(count + 1, 1), m(count + 1, T(0)), s(count + 1, T(0));
    std::vector<T> p_wanted = p, m_wanted = m, s_wanted = s;
    for (unsigned step = 0; step < 5; ++step) {
      const std::vector<T> g = drawn<T>(count + 1, 2 + step);
      adam<T>({static_cast<std::int64_t>(count), beta1, beta2, epsilon, rate, g.data(), p.data(), m.data(),
               s.data()});
      for (std::size_t i = 0; i < count; ++i) {
        volatile T product = m_wanted[i] * beta1;  // volatile: no multiply-add
        m_wanted[i] = product + g[i];
        product = s_wanted[i] * beta2;
        volatile T square = g[i] * g[i];
        s_wanted[i] = product + square;
        volatile T root = std::sqrt(s_wanted[i]);
        volatile T change = m_wanted[i] / (root + epsilon);
        change = change * rate;
        p_wanted[i] -= change;
      }
    }
    CHECK(p == p_wanted);
    CHECK(m == m_wanted);
    CHECK(s == s_wanted);
  }
}

TEST_CASE_TEMPLATE("cross-entropy and its gradient are those of the definition", T, float, double) {
  const double tolerance = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const Index width = lane_width<T>;
  for (const Index classes : {Index(1), Index(2), width - 1, width, width + 1, 3 * width, 3 * width + 5}) {
    for (const bool weighted : {false, true}) {
      const std::size_t rows = 5, C = static_cast<std::size_t>(classes);
      const std::vector<T> scores = drawn<T>(rows * C, 3, 4);
      const std::vector<double> weights = {0.5, 0, 2, 1, 0.25};
      std::vector<std::int64_t> labels(rows);
      for (std::size_t n = 0; n < rows; ++n) labels[n] = static_cast<std::int64_t>((7 * n + C - 1) % C);
      double weight_sum = 0;
      for (const double weight : weights) weight_sum += weighted ? weight : 1;
      if (weighted) labels[1] = -100;
      std::vector<T> gradient = guarded<T>(rows * C, T(5));
      const double value =
          softmax_cross_entropy(arguments_of(scores, labels, weighted ? weights.data() : nullptr, gradient));
      double wanted = 0;
      for (std::size_t n = 0; n < rows; ++n) {
        const double share = (weighted ? weights[n] : 1) / weight_sum;
        double sum = 0;
        for (std::size_t c = 0; c < C; ++c) sum += std::exp(static_cast<double>(scores[n * C + c]));
        for (std::size_t c = 0; c < C; ++c) {
          const double probability = std::exp(static_cast<double>(scores[n * C + c])) / sum;
          const double one_hot = static_cast<std::int64_t>(c) == labels[n] ? 1 : 0;
          const double exact = share * (probability - one_hot);
          CHECK(std::abs(static_cast<double>(gradient[n * C + c]) - exact) <= tolerance * share);
        }
        if (share > 0)
          wanted += share * (std::log(sum) -
                             static_cast<double>(scores[n * C + static_cast<std::size_t>(labels[n])]));
      }
      CHECK(std::abs(value - wanted) <= tolerance * (1 + std::abs(wanted)));
      CHECK(gradient.back() == T(77));
    }
  }
}

TEST_CASE_TEMPLATE("a number added to all scores of a row changes nothing", T, float, double) {
  for (const T shift : {T(-5000), T(5000)}) {
    std::vector<T> gradient(3);
    const double value = softmax_cross_entropy(
        arguments_of<T>(std::vector<T>(3, shift), std::vector<std::int64_t>{1}, nullptr, gradient));
    CHECK(value == doctest::Approx(std::log(3.0)).epsilon(1e-7));
    CHECK(static_cast<double>(gradient[0]) == doctest::Approx(1.0 / 3).epsilon(1e-6));
  }
}

TEST_CASE_TEMPLATE("cross-entropy of scores that are not finite", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> gradient(3);
  const auto value = [&](std::vector<T> scores, std::int64_t label, double weight = 1) {
    return softmax_cross_entropy(arguments_of(scores, {label}, &weight, gradient));
  };
  for (const T bad : {nan, infinity}) {
    for (std::int64_t label = 0; label < 3; ++label) {
      CHECK_FALSE(std::isfinite(value({T(0), bad, T(1)}, label)));
      CHECK_FALSE(std::isfinite(value({bad, bad, bad}, label)));
    }
  }
  CHECK(value({-infinity, T(0), T(0)}, 0) == std::numeric_limits<double>::infinity());
  CHECK(value({-infinity, T(0), -infinity}, 1) == 0);
  CHECK(gradient == std::vector<T>{0, 0, 0});
  CHECK_FALSE(std::isfinite(value({-infinity, -infinity, -infinity}, 1)));
  CHECK(value({nan, nan, nan}, 99, 0) == 0);  // weight 0: neither scores nor label are read
  CHECK(gradient == std::vector<T>{0, 0, 0});
}
