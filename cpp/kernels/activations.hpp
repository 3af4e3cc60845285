// Sigmoid, tanh, exponential, relu and softsign on lanes (or on one number). Forward and backward use these
// same functions, and every derivative is written in the activation's value, so that gradients are exact
// derivatives of what was computed.
#pragma once

#include "lanes.hpp"

namespace fastrnn {

// Error bounds in units in the last place of the result, over all inputs. Where sigmoid is small, its
// exponent's rounding counts: for a < 0 the bound grows by so many units for each unit of -a (results below
// the smallest normal number are off by at most 1.1 times that number). The tests read these constants.
inline constexpr double sigmoid_error_ulp = 3.0;
inline constexpr double sigmoid_error_ulp_per_unit = 1.5;
inline constexpr double tanh_error_ulp = 4.0;
inline constexpr double softsign_error_ulp = 1.5;
inline constexpr double exponential_error_ulp = 1.5;
// relu, hard_tanh and identity are exact. hard_sigmoid adds numbers of both signs, so its bound is absolute:
// in units of the difference between one and the next number.
inline constexpr double hard_sigmoid_error = 0.5;

template <class T>
struct ExponentialConstants;

// The polynomial Q makes r Q(r) the minimax approximation of 2^r - 1 in relative error on |r| <= 1/2 (Remez
// exchange with 60 digits, the constant held at ln 2): 1.4e-8 and 1.9e-17.
template <>
struct ExponentialConstants<float> {
  static constexpr float log2_e = 1.44269504088896341f;
  static constexpr std::array<float, 6> polynomial = {0.693147180560f,   0.240226498044f,
                                                      0.0555036974558f,  0.00961825261452f,
                                                      0.00133867517643f, 0.000153964576283f};
  static constexpr float tanh_range = 10.0f;  // tanh rounds to one from 9.02 on
};
template <>
struct ExponentialConstants<double> {
  static constexpr double log2_e = 1.44269504088896340736;
  static constexpr std::array<double, 11> polynomial = {
      0.69314718055994530942,     0.24022650695910096335,      0.055504108664821319989,
      0.0096181291076075770579,   0.0013333558146519023543,    0.00015403530440960207844,
      0.000015252733709578394317, 0.0000013215442928680755856, 1.0178118743363602104e-7,
      7.0725350013657923605e-9,   4.4458344906523308626e-10};
  static constexpr double tanh_range = 20.0;
};

// (2^r - 1) / r
template <class V>
FASTRNN_INLINE V exponential_quotient(V r) {
  using C = ExponentialConstants<scalar_of<V>>;
  constexpr int degree = static_cast<int>(C::polynomial.size()) - 1;
  V p = V(C::polynomial[degree]);
  unroll<degree>([&](auto i) FASTRNN_LAMBDA { p = multiply_add(p, r, V(C::polynomial[degree - 1 - i])); });
  return p;
}

// sigmoid(a) = 1 / (1 + e^-a). The exponent is one rounded product with log2 e, where two more multiply-adds
// would keep the relative accuracy of results near zero: units that multiply bound a cell, those that add
// have room.
template <class V>
FASTRNN_INLINE V sigmoid(V a) {
  using T = scalar_of<V>;
  const V one = V(T(1));
  const WholeAndRest<V> exponent = split_whole(limited_exponent(a * V(-ExponentialConstants<T>::log2_e)));
  const V power = multiply_add(exponential_quotient(exponent.rest), exponent.rest, one);
  return one / (one + scale_by_power_of_two(power, exponent.whole));
}

// ln 2 in two parts; products of the first with an exponent are exact in float too.
inline constexpr double ln2_upper = 0.693145751953125;
inline constexpr double ln2_lower = 1.42860682030941723212e-6;

// e^a for a <= 0, keeping NaN; zero below twice the smallest normal number, so for -infinity.
template <class V>
FASTRNN_INLINE V exponential_of_negative(V a) {
  using T = scalar_of<V>;
  using C = ExponentialConstants<T>;
  const T lowest = T(std::numeric_limits<T>::min_exponent * (ln2_upper + ln2_lower));
  const V limited = limited_exponent(a * V(C::log2_e));
  const WholeAndRest<V> exponent = split_whole(limited);
  const V whole = limited - exponent.rest;
  const V rest = ((a - whole * V(T(ln2_upper))) - whole * V(T(ln2_lower))) * V(C::log2_e);
  const V power = multiply_add(exponential_quotient(rest), rest, V(T(1)));
  return where_between(a, lowest, T(1), scale_by_power_of_two(power, exponent.whole));
}

// tanh(a) = -m / (2 + m) for a >= 0 with m = e^(-2a) - 1, odd; m is computed without cancellation near zero.
template <class V>
FASTRNN_INLINE V hyperbolic_tangent(V a) {
  using T = scalar_of<V>;
  using C = ExponentialConstants<T>;
  const V one = V(T(1));
  const V within = at_least(negative_absolute(a), -C::tanh_range);
  const WholeAndRest<V> exponent = split_whole(within * V(2 * C::log2_e));
  const V fraction = exponential_quotient(exponent.rest) * exponent.rest;
  const V scale = scale_by_power_of_two(one, exponent.whole);
  const V m = multiply_add(scale, fraction, scale - one);
  return with_sign_of(m / (V(T(2)) + m), a);
}

// max(a, 0), keeping NaN.
template <class V>
FASTRNN_INLINE V rectifier(V a) {
  return at_least(a, scalar_of<V>(0));
}

// softsign(a) = a / (1 + |a|); one where a is infinite.
template <class V>
FASTRNN_INLINE V softsign(V a) {
  using T = scalar_of<V>;
  const V m = at_least(negative_absolute(a), std::numeric_limits<T>::lowest());
  return with_sign_of(m / (m - V(T(1))), a);
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
