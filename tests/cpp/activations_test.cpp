#include "activations.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>

#include "cells/functions.hpp"
#include "pair.hpp"

using namespace fastrnn;

namespace {

// Distance of `got` from the exact value in units in the last place of the exact value's float or double.
template <class T>
double error_ulp(T got, long double exact, bool stays_normal = false) {
  if (stays_normal && std::abs(got - exact) <= T(1.1) * std::numeric_limits<T>::min()) return 0;
  const T rounded = static_cast<T>(exact);
  const T next = std::nextafter(std::abs(rounded), std::numeric_limits<T>::infinity());
  const long double ulp = static_cast<long double>(next) - static_cast<long double>(std::abs(rounded));
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact) / ulp);
}

template <class T, class F>
T in_a_lane(F f, T x) {
  alignas(64) T out[lane_width<T>];
  store(out, f(Lanes<T>(x)));
  return out[lane_width<T> - 1];
}

struct Sigmoid {
  template <class V>
  V operator()(V x) const {
    return sigmoid(x);
  }
  static long double exact(long double x) { return 1.0L / (1.0L + std::exp(-x)); }
  static double bound(double x) { return sigmoid_error_ulp + (x < 0 ? -x * sigmoid_error_ulp_per_unit : 0); }
  static constexpr bool stays_normal = true;  // results below the smallest normal number are off by up to it
};
struct Tanh {
  template <class V>
  V operator()(V x) const {
    return hyperbolic_tangent(x);
  }
  static long double exact(long double x) { return std::tanh(x); }
  static double bound(double) { return tanh_error_ulp; }
  static constexpr bool stays_normal = false;
};

struct Softsign {
  template <class V>
  V operator()(V x) const {
    return softsign(x);
  }
  static long double exact(long double x) {
    return std::isinf(x) ? std::copysign(1.0L, x) : x / (1.0L + std::abs(x));
  }
  static double bound(double) { return softsign_error_ulp; }
  static constexpr bool stays_normal = false;
};

struct Exponential {
  template <class V>
  V operator()(V x) const {
    return exponential_of_negative(x);
  }
  static long double exact(long double x) { return std::exp(x); }
  static double bound(double) { return exponential_error_ulp; }
  static constexpr bool stays_normal = false;
};

constexpr Activation activations[] = {Activation::sigmoid,      Activation::tanh,      Activation::relu,
                                      Activation::hard_sigmoid, Activation::hard_tanh, Activation::softsign,
                                      Activation::identity};

template <class T>
ChosenFunction<T> chosen(Activation activation, double clip = 0) {
  return ChosenFunction<T>(activation, clip, Lanes<T>());
}
// The derivative in an activation's value, as text books write it.
double derivative_of(Activation activation, double value) {
  switch (activation) {
    case Activation::sigmoid:
      return value * (1 - value);
    case Activation::tanh:
      return 1 - value * value;
    case Activation::relu:
      return value > 0;
    case Activation::hard_sigmoid:
      return value > 0 && value < 1 ? 0.2 : 0;
    case Activation::hard_tanh:
      return value > -1 && value < 1;
    case Activation::softsign:
      return (1 - std::abs(value)) * (1 - std::abs(value));
    case Activation::identity:
      break;
  }
  return 1;
}

float from_bits(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// NaN as other programs write it: with numbers in its low bits.
float nan_with_payload(float) { return from_bits(0x7fc007a2u); }
double nan_with_payload(double) {
  const std::uint64_t bits = 0x7ff80000000007a2u;
  double x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// The largest error seen in units in the last place, and as a share of the stated bound.
struct Worst {
  double ulp = 0;
  double of_bound = 0;

  template <class F, class T>
  void take(F f, T x) {
    const double error = error_ulp(in_a_lane(f, x), F::exact(x), F::stays_normal);
    ulp = std::max(ulp, error);
    of_bound = std::max(of_bound, error / F::bound(static_cast<double>(x)));
  }
};

// Visits floats over the whole range of bit patterns, a prime number of them apart.
template <class F>
Worst worst_float_error(F f, std::uint32_t stride) {
  Worst worst;
  for (std::uint64_t bits = 0; bits < (std::uint64_t(1) << 32); bits += stride) {
    const float x = from_bits(static_cast<std::uint32_t>(bits));
    if (!std::isnan(x)) worst.take(f, x);
  }
  return worst;
}

template <class F>
Worst worst_double_error(F f) {
  std::mt19937_64 generator(7);
  std::uniform_real_distribution<double> exponent(-20.0, 10.0);
  Worst worst;
  for (int i = 0; i < 200000; ++i) worst.take(f, (i % 2 ? 1 : -1) * std::exp2(exponent(generator)));
  return worst;
}

// FASTRNN_EVERY_FLOAT=1 visits every float32: some minutes.
std::uint32_t stride() { return std::getenv("FASTRNN_EVERY_FLOAT") ? 1 : 4099; }

}  // namespace

TEST_CASE("sigmoid, tanh and softsign keep their stated error bounds") {
  const Worst worst[] = {worst_float_error(Sigmoid{}, stride()),  worst_double_error(Sigmoid{}),
                         worst_float_error(Tanh{}, stride()),     worst_double_error(Tanh{}),
                         worst_float_error(Softsign{}, stride()), worst_double_error(Softsign{})};
  for (const Worst& w : worst) {
    MESSAGE("error " << w.ulp << " ulp, of its bound " << w.of_bound);
    CHECK(w.of_bound <= 1.0);
    CHECK(w.of_bound > 0.4);  // the bound says something
  }
}

TEST_CASE_TEMPLATE("the exponential keeps its stated error bound down to where it is zero", T, float,
                   double) {
  const T lowest = std::log(T(2)) * T(std::numeric_limits<T>::min_exponent);
  Worst worst;
  for (T x = lowest * T(0.99999); x < T(-1e-6); x *= T(0.99973)) worst.take(Exponential{}, x);
  MESSAGE("error " << worst.ulp << " ulp");
  CHECK(worst.of_bound <= 1.0);
  CHECK(worst.of_bound > 0.4);
  CHECK(in_a_lane(Exponential{}, T(0)) == T(1));
  CHECK(in_a_lane(Exponential{}, T(-0.0)) == T(1));
  for (const T x : {lowest * T(1.00001), T(2) * lowest, std::numeric_limits<T>::lowest(),
                    -std::numeric_limits<T>::infinity()}) {
    CHECK(in_a_lane(Exponential{}, x) == T(0));
    CHECK_FALSE(std::signbit(in_a_lane(Exponential{}, x)));
  }
  for (const T nan : {std::numeric_limits<T>::quiet_NaN(), nan_with_payload(T(1))})
    CHECK(std::isnan(in_a_lane(Exponential{}, nan)));
}

TEST_CASE_TEMPLATE("activations saturate exactly and keep NaN", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity();
  for (const T x : {T(40), T(1000), std::numeric_limits<T>::max(), infinity}) {
    CHECK(in_a_lane(Sigmoid{}, x) == T(1));
    CHECK(in_a_lane(Tanh{}, x) == T(1));
    CHECK(in_a_lane(Tanh{}, -x) == T(-1));
  }
  for (const T x : {-infinity, T(-1000)}) {
    CHECK(in_a_lane(Sigmoid{}, x) >= T(0));
    CHECK(in_a_lane(Sigmoid{}, x) <= T(1.1) * std::numeric_limits<T>::min());
  }
  CHECK(in_a_lane(Sigmoid{}, T(0)) == T(0.5));
  CHECK(in_a_lane(Tanh{}, T(0)) == T(0));
  CHECK(std::signbit(in_a_lane(Tanh{}, T(-0.0))));
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (const T x : {nan, -nan, nan_with_payload(T(1))}) {
    CHECK(std::isnan(in_a_lane(Sigmoid{}, x)));
    CHECK(std::isnan(in_a_lane(Tanh{}, x)));
    CHECK(std::isnan(in_a_lane([](auto v) { return rectifier(v); }, x)));
  }
  CHECK(in_a_lane([](auto v) { return rectifier(v); }, T(-2)) == T(0));
  CHECK(in_a_lane([](auto v) { return rectifier(v); }, T(2)) == T(2));
}

TEST_CASE_TEMPLATE("tanh is odd and sigmoid keeps its relative accuracy where it is small", T, float,
                   double) {
  for (T x = T(1e-6); x < T(12); x *= T(1.37)) {
    CHECK(in_a_lane(Tanh{}, -x) == -in_a_lane(Tanh{}, x));
    CHECK(error_ulp(in_a_lane(Sigmoid{}, -x * T(7)), Sigmoid::exact(-x * T(7))) <=
          Sigmoid::bound(static_cast<double>(-x * T(7))));
  }
  const T smallest = std::numeric_limits<T>::denorm_min();
  CHECK(in_a_lane(Tanh{}, smallest) == smallest);
}

TEST_CASE("pairs of lanes are lanes side by side") {
  alignas(64) float from[4 * lane_width<float>], to[4 * lane_width<float>];
  for (Index i = 0; i < 4 * lane_width<float>; ++i) from[i] = static_cast<float>(i) * 0.31f - 7.0f;
  store_rows<4>(to, lane_width<float>, sigmoid(load_rows<4>(from, lane_width<float>)));
  for (Index i = 0; i < 4 * lane_width<float>; ++i) CHECK(to[i] == in_a_lane(Sigmoid{}, from[i]));
  store_rows<4>(to, lane_width<float>, hyperbolic_tangent(load_rows<4>(from, lane_width<float>)));
  for (Index i = 0; i < 4 * lane_width<float>; ++i) CHECK(to[i] == in_a_lane(Tanh{}, from[i]));
}

TEST_CASE("lanes and single numbers agree") {
  for (double x = -30; x < 30; x += 0.37) {
    CHECK(in_a_lane(Sigmoid{}, x) == doctest::Approx(sigmoid(x)).epsilon(1e-15));
    CHECK(in_a_lane(Tanh{}, x) == doctest::Approx(hyperbolic_tangent(x)).epsilon(1e-15));
  }
}

TEST_CASE_TEMPLATE("chosen sigmoid, tanh and softsign are the functions of these names", T, float, double) {
  for (T x = T(-30); x < T(30); x += T(0.37)) {
    CHECK(in_a_lane(chosen<T>(Activation::sigmoid), x) == in_a_lane(Sigmoid{}, x));
    CHECK(in_a_lane(chosen<T>(Activation::tanh), x) == in_a_lane(Tanh{}, x));
    CHECK(in_a_lane(chosen<T>(Activation::softsign), x) == in_a_lane(Softsign{}, x));
  }
}

TEST_CASE_TEMPLATE("activations that are lines are exact, hard_sigmoid within its bound", T, float, double) {
  double worst = 0;
  for (T x = T(-4); x < T(4); x += T(0.00137)) {
    CHECK(in_a_lane(chosen<T>(Activation::relu), x) == std::max(x, T(0)));
    CHECK(in_a_lane(chosen<T>(Activation::hard_tanh), x) == std::min(std::max(x, T(-1)), T(1)));
    CHECK(in_a_lane(chosen<T>(Activation::identity), x) == x);
    const T got = in_a_lane(chosen<T>(Activation::hard_sigmoid), x);
    const long double exact = std::min(std::max(0.2L * static_cast<long double>(x) + 0.5L, 0.0L), 1.0L);
    worst = std::max(worst, static_cast<double>(std::abs(got - exact) / std::numeric_limits<T>::epsilon()));
  }
  CHECK(worst <= hard_sigmoid_error);
  CHECK(worst > 0.4 * hard_sigmoid_error);
  CHECK(in_a_lane(chosen<T>(Activation::hard_sigmoid), T(-3)) == T(0));
  CHECK(in_a_lane(chosen<T>(Activation::hard_sigmoid), T(3)) == T(1));
}

TEST_CASE_TEMPLATE("chosen activations keep NaN and saturate where they are bounded", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  for (const Activation activation : activations) {
    for (const double clip : {0.0, 1.5}) {
      const ChosenFunction<T> f = chosen<T>(activation, clip);
      CHECK(std::isnan(in_a_lane(f, nan)));
      CHECK(std::isnan(in_a_lane(f, nan_with_payload(T(1)))));
    }
  }
  for (const Activation activation : {Activation::hard_sigmoid, Activation::hard_tanh, Activation::softsign})
    CHECK(in_a_lane(chosen<T>(activation), infinity) == T(1));
  CHECK(in_a_lane(chosen<T>(Activation::softsign), -infinity) == T(-1));
  CHECK(in_a_lane(chosen<T>(Activation::relu), infinity) == infinity);
  CHECK(in_a_lane(chosen<T>(Activation::identity), -infinity) == -infinity);
}

TEST_CASE_TEMPLATE("derivatives of chosen activations are those of their values", T, float, double) {
  for (const Activation activation : activations) {
    const ChosenFunction<T> f = chosen<T>(activation);
    for (T x = T(-4); x < T(4); x += T(0.0625)) {  // the corners of the hard ones too
      const T value = in_a_lane(f, x);
      CHECK(in_a_lane([&](auto v) { return f.derivative(v); }, value) ==
            doctest::Approx(derivative_of(activation, static_cast<double>(value)))
                .epsilon(std::numeric_limits<T>::epsilon() * 2));
    }
    // Small derivatives keep their relative accuracy.
    if (activation == Activation::softsign) {
      const T value = in_a_lane(f, T(4095));
      CHECK(in_a_lane([&](auto v) { return f.derivative(v); }, value) == (1 - value) * (1 - value));
    }
  }
}

TEST_CASE_TEMPLATE("a clip bounds what activations see, and their derivative is zero there", T, float,
                   double) {
  const T clip = T(0.7);
  for (const Activation activation : activations) {
    const ChosenFunction<T> f = chosen<T>(activation, 0.7), unclipped = chosen<T>(activation);
    const auto derivative = [&](auto v) { return f.derivative(v); };
    for (T x = T(-3); x < T(3); x += T(0.11)) {
      const T value = in_a_lane(f, x);
      CHECK(value == in_a_lane(unclipped, std::min(std::max(x, -clip), clip)));
      if (std::abs(x) >= clip)
        CHECK(in_a_lane(derivative, value) == T(0));
      else if (activation != Activation::relu || x > 0)
        CHECK(in_a_lane(derivative, value) > T(0));
    }
  }
}

TEST_CASE_TEMPLATE("where_between keeps what lies between and what is not a number", T, float, double) {
  const T nan = std::numeric_limits<T>::quiet_NaN(), numbers[] = {T(-3), T(-1), T(-0.5), T(2), T(5), nan};
  const bool kept[] = {false, false, true, false, false, true};
  for (int i = 0; i < 6; ++i) {
    const T expected = kept[i] ? T(7) : T(0);
    const auto between = [](auto v) { return where_between(v, T(-1), T(2), decltype(v)(T(7))); };
    CHECK(in_a_lane(between, numbers[i]) == expected);
    CHECK(between(numbers[i]) == expected);
    const Pair<Lanes<T>> pair = between(Pair<Lanes<T>>(Lanes<T>(numbers[i]), Lanes<T>(T(0))));
    CHECK(first_number(pair.first) == expected);
    CHECK(first_number(pair.second) == T(7));
  }
}
