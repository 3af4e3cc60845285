// A training step outside of the layers: the loss of classes, the gradients' norm, Adam.
#include "fastrnn/updates.h"

#include <algorithm>
#include <cmath>

#include "activations.hpp"

namespace fastrnn {
namespace {

// Sums of so many numbers are taken by themselves and then added up, which keeps a long vector's exact.
constexpr Index block_numbers = 8192;
// Side by side in a block, in every instruction set.
constexpr Index partial_sums = 32;

template <class T>
double block_sum_of_squares(const T* vector, Index count) {
  double sums[partial_sums] = {};
  Index begin = 0;
  for (; begin + partial_sums <= count; begin += partial_sums) {
    for (Index i = 0; i < partial_sums; ++i) {
      const double number = vector[begin + i];
      sums[i] += number * number;
    }
  }
  for (Index i = 0; i < count - begin; ++i) {
    const double number = vector[begin + i];
    sums[i] += number * number;
  }
  for (Index half = partial_sums / 2; half > 0; half /= 2) {
    for (Index i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

// Calls f(lane's first number, numbers in it) along a row.
template <class T, class F>
FASTRNN_INLINE void for_each_lane(Index count, const F& f) {
  Index i = 0;
  for (; i + lane_width<T> <= count; i += lane_width<T>) f(i, lane_width<T>);
  if (i < count) f(i, count - i);
}
template <class T>
FASTRNN_INLINE Lanes<T> load_row(const T* p, Index count, T fill) {
  return count == lane_width<T> ? load_unaligned(p) : load_partial(p, count, fill);
}
template <class T>
FASTRNN_INLINE void store_row(T* p, Lanes<T> v, Index count) {
  if (count == lane_width<T>)
    store_unaligned(p, v);
  else
    store_partial(p, v, count);
}

// In double: the lower and the upper half of a lane of floats added up; a lane of doubles as it is.
FASTRNN_INLINE Lanes<double> halves_in_double(Lanes<float> a) {
  constexpr Index half = lane_width<double>;
  static_assert(lane_width<float> == 2 * half);
  alignas(64) float from[2 * half];
  alignas(64) double sums[half];
  store(from, a);
  for (Index i = 0; i < half; ++i) sums[i] = double(from[i]) + double(from[i + half]);
  return load(sums);
}
FASTRNN_INLINE Lanes<double> halves_in_double(Lanes<double> a) { return a; }

// Returns -log softmax(scores)[label], and writes share * (softmax(scores) - one-hot(label)).
template <class T>
double cross_entropy_of_row(const T* scores, Index classes, Index label, double share, T* gradient) {
  // Behind the row's end: the exponential is zero.
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  Lanes<T> largest(lowest);
  for_each_lane<T>(classes, [&](Index i, Index count) FASTRNN_LAMBDA {
    largest = larger(largest, load_row(scores + i, count, lowest));
  });
  const T shift = horizontal_largest(largest);
  Lanes<double> sums(0.0);
  for_each_lane<T>(classes, [&](Index i, Index count) FASTRNN_LAMBDA {
    const Lanes<T> exponential =
        exponential_of_negative(load_row(scores + i, count, lowest) - Lanes<T>(shift));
    store_row(gradient + i, exponential, count);
    sums = sums + halves_in_double(exponential);
  });
  const double sum = horizontal_sum(sums);
  const Lanes<T> factor(static_cast<T>(share / sum));
  for_each_lane<T>(classes, [&](Index i, Index count) FASTRNN_LAMBDA {
    store_row(gradient + i, load_row(gradient + i, count, T(0)) * factor, count);
  });
  gradient[label] = static_cast<T>(gradient[label] - share);
  return std::log(sum) - static_cast<T>(scores[label] - shift);
}

}  // namespace

template <class T>
double sum_of_squares(const T* vector, std::int64_t count) noexcept {
  double sum = 0;
  for (Index begin = 0; begin < count; begin += block_numbers)
    sum += block_sum_of_squares(vector + begin, std::min(block_numbers, count - begin));
  return sum;
}

template <class T>
void adam(const AdamArguments<T>& a) noexcept {
  const T beta1 = a.beta1, beta2 = a.beta2, epsilon = a.epsilon, rate = a.rate;
  const T* __restrict const gradients = a.gradients;
  T* __restrict const parameters = a.parameters;
  T* __restrict const sum = a.sum;
  T* __restrict const square_sum = a.square_sum;
  for (Index i = 0; i < a.count; ++i) {
    const T gradient = gradients[i];
    const T m = sum[i] * beta1 + gradient;
    const T s = square_sum[i] * beta2 + gradient * gradient;
    sum[i] = m;
    square_sum[i] = s;
    parameters[i] -= m / (std::sqrt(s) + epsilon) * rate;
  }
}

template <class T>
double softmax_cross_entropy(const CrossEntropyArguments<T>& a) noexcept {
  double weight_sum = static_cast<double>(a.rows);
  if (a.weights != nullptr) {
    weight_sum = 0;
    for (Index row = 0; row < a.rows; ++row) weight_sum += a.weights[row];
  }
  double value = 0;
  for (Index row = 0; row < a.rows; ++row) {
    T* const gradient = a.gradient + row * a.classes;
    const double weight = a.weights == nullptr ? 1 : a.weights[row];
    if (weight == 0) {
      std::fill_n(gradient, a.classes, T(0));
      continue;
    }
    const double share = weight / weight_sum;
    value +=
        share * cross_entropy_of_row(a.scores + row * a.classes, a.classes, a.labels[row], share, gradient);
  }
  return value;
}

template double sum_of_squares<float>(const float*, std::int64_t) noexcept;
template double sum_of_squares<double>(const double*, std::int64_t) noexcept;
template void adam<float>(const AdamArguments<float>&) noexcept;
template void adam<double>(const AdamArguments<double>&) noexcept;
template double softmax_cross_entropy<float>(const CrossEntropyArguments<float>&) noexcept;
template double softmax_cross_entropy<double>(const CrossEntropyArguments<double>&) noexcept;

}  // namespace fastrnn
