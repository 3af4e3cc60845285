// Sigmoid, tanh and relu on lanes (or on one number). Forward and backward use these same functions, and
// every derivative is written in the activation's value, so that gradients are exact derivatives of what was
// computed.
#pragma once

#include "lanes.hpp"

namespace fastrnn {

// Error bounds in units in the last place of the result, over all inputs; results of sigmoid below the
// smallest normal number are off by at most 1.1 times that number. The tests read these constants. Measured
// over every float32: sigmoid 2.41, tanh 2.62 (FASTRNN_EVERY_FLOAT=1 with tests/cpp/activations_test.cpp).
inline constexpr double sigmoid_error_ulp = 4.0;
inline constexpr double tanh_error_ulp = 4.0;

template <class T>
struct ExponentialConstants;

// ln 2 is split so that n * ln2_high is exact (Cody and Waite 1980). The polynomial P makes r + r^2 P(r) the
// minimax approximation of e^r - 1 in relative error on |r| <= ln 2 / 2 (Remez exchange with 60
// digits): 1.4e-8 and 1.9e-17.
template <>
struct ExponentialConstants<float> {
  static constexpr float log2_e = 1.44269504088896341f;
  static constexpr float ln2_high = 0.693359375f;
  static constexpr float ln2_low = -2.12194440e-4f;
  static constexpr std::array<float, 5> polynomial = {0.499999981444f, 0.166665431896f, 0.0416672017105f,
                                                      0.00836657878398f, 0.00138825115945f};
  static constexpr float lowest = -87.33f;    // e^lowest is just normal
  static constexpr float highest = 88.0f;     // e^highest is finite
  static constexpr float tanh_range = 10.0f;  // tanh rounds to one from 9.02 on
};
template <>
struct ExponentialConstants<double> {
  static constexpr double log2_e = 1.44269504088896340736;
  static constexpr double ln2_high = 0.693145751953125;
  static constexpr double ln2_low = 1.42860682030941723212e-6;
  static constexpr std::array<double, 10> polynomial = {0.50000000000000052246,     0.16666666666666588605,
                                                        0.041666666666576125392,    0.0083333333333899449535,
                                                        0.0013888888931789045067,   0.00019841269718365194245,
                                                        0.000024801504986502373192, 2.7557407852113131511e-6,
                                                        2.7626158232910459528e-7,   2.505377767823970962e-8};
  static constexpr double lowest = -708.39;
  static constexpr double highest = 709.0;
  static constexpr double tanh_range = 20.0;
};

// a = n ln 2 + rest, |rest| <= ln 2 / 2; n stands in the low bits of `sum`.
template <class V>
struct Reduced {
  V sum;
  V rest;
};

// ln 2 in two parts where n is large and the relative accuracy of a small e^a counts.
template <bool large, class V>
FASTRNN_INLINE Reduced<V> reduce(V a) {
  using T = scalar_of<V>;
  using C = ExponentialConstants<T>;
  const V shift = V(rounding_shift<T>);
  const V sum = multiply_add(a, V(C::log2_e), shift);
  const V n = sum - shift;
  if constexpr (!large) return {sum, multiply_add(n, V(-(C::ln2_high + C::ln2_low)), a)};
  const V r = multiply_add(n, V(-C::ln2_high), a);
  return {sum, multiply_add(n, V(-C::ln2_low), r)};
}

// (e^r - 1) / r
template <class V>
FASTRNN_INLINE V exponential_quotient(V r) {
  using T = scalar_of<V>;
  using C = ExponentialConstants<T>;
  constexpr int degree = static_cast<int>(C::polynomial.size()) - 1;
  V p = V(C::polynomial[degree]);
  unroll<degree>([&](auto i) FASTRNN_LAMBDA { p = multiply_add(p, r, V(C::polynomial[degree - 1 - i])); });
  return multiply_add(p, r, V(T(1)));
}

// sigmoid(a) = z / (1 + z) with z = e^a.
template <class V>
FASTRNN_INLINE V sigmoid(V a) {
  using T = scalar_of<V>;
  using C = ExponentialConstants<T>;
  const V one = V(T(1));
  const Reduced<V> parts = reduce<true>(at_most(at_least(a, C::lowest), C::highest));
  const V power = multiply_add(exponential_quotient(parts.rest), parts.rest, one);
  const V z = scale_by_power_of_two(power, parts.sum);
  return z / (one + z);
}

// tanh(a) = -m / (2 + m) for a >= 0 with m = e^(-2a) - 1, odd; m is computed without cancellation near zero.
template <class V>
FASTRNN_INLINE V hyperbolic_tangent(V a) {
  using T = scalar_of<V>;
  const V one = V(T(1));
  const V half_exponent = at_least(negative_absolute(a), -ExponentialConstants<T>::tanh_range);
  const Reduced<V> parts = reduce<false>(half_exponent + half_exponent);
  const V fraction = exponential_quotient(parts.rest) * parts.rest;
  const V scale = scale_by_power_of_two(one, parts.sum);
  const V m = multiply_add(scale, fraction, scale - one);
  return with_sign_of(m / (V(T(2)) + m), a);
}

// max(a, 0), keeping NaN.
template <class V>
FASTRNN_INLINE V rectifier(V a) {
  return at_least(a, scalar_of<V>(0));
}

// Derivatives, written in the value of the activation.
template <class V>
FASTRNN_INLINE V sigmoid_derivative(V value) {
  return value * (V(scalar_of<V>(1)) - value);
}
template <class V>
FASTRNN_INLINE V tanh_derivative(V value) {
  return V(scalar_of<V>(1)) - value * value;
}
// `dvalue` where the unit was active; zero at zero, as in PyTorch.
template <class V>
FASTRNN_INLINE V rectifier_backward(V value, V dvalue) {
  return where_positive(value, dvalue);
}

}  // namespace fastrnn
