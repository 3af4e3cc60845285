// Two (or, nested, four) lanes side by side under the verbs of one. A cell is a few long chains of dependent
// arithmetic, and a core's scheduler holds little more than one cell of it; side by side, chains fill each
// other's latencies. In FMA slots per LSTM cell of one lane on Zen 4, from L1 (bench/cpp/parts_bench): alone
// 77 (AVX-512) and 126 (AVX2), four together 71 and 90. Named members, passed by value: GCC 12 moved arrays
// of lanes, and references to pairs, through integer registers, at twice the time.
#pragma once

#include "activations.hpp"
#include "blocked.hpp"

namespace fastrnn {

template <class V>
struct Pair {
  V first;
  V second;

  Pair() = default;
  FASTRNN_INLINE Pair(V one, V other) : first(one), second(other) {}
  FASTRNN_INLINE Pair(scalar_of<V> value) : first(value), second(value) {}  // NOLINT: constants broadcast
};

template <class V>
struct ScalarOf<Pair<V>> {
  using type = scalar_of<V>;
};

// The lane type of `rows` rows side by side: 1, 2 or 4.
template <class T, int rows>
struct SideBySide {
  using type = Pair<typename SideBySide<T, rows / 2>::type>;
};
template <class T>
struct SideBySide<T, 1> {
  using type = Lanes<T>;
};
template <class T, int rows>
using side_by_side = typename SideBySide<T, rows>::type;

template <int rows, class T>
FASTRNN_INLINE side_by_side<T, rows> load_rows(const T* aligned, Index row_stride) {
  if constexpr (rows == 1)
    return load(aligned);
  else
    return {load_rows<rows / 2>(aligned, row_stride),
            load_rows<rows / 2>(aligned + rows / 2 * row_stride, row_stride)};
}
// One number of each row, in all lanes of that row.
template <int rows, class T>
FASTRNN_INLINE side_by_side<T, rows> broadcast_rows(const T* p, Index row_stride) {
  if constexpr (rows == 1)
    return broadcast(p);
  else
    return {broadcast_rows<rows / 2>(p, row_stride),
            broadcast_rows<rows / 2>(p + rows / 2 * row_stride, row_stride)};
}
template <int rows, class T, class Store>
FASTRNN_INLINE void store_each(T* aligned, Index row_stride, side_by_side<T, rows> v,
                               const Store& store_one) {
  if constexpr (rows == 1) {
    store_one(aligned, v);
  } else {
    store_each<rows / 2>(aligned, row_stride, v.first, store_one);
    store_each<rows / 2>(aligned + rows / 2 * row_stride, row_stride, v.second, store_one);
  }
}
template <int rows, class T>
FASTRNN_INLINE void store_rows(T* aligned, Index row_stride, side_by_side<T, rows> v) {
  store_each<rows>(aligned, row_stride, v, [](T* p, Lanes<T> one) FASTRNN_LAMBDA { store(p, one); });
}
template <int rows>
FASTRNN_INLINE void store_rows_bfloat16(float* aligned, Index row_stride, side_by_side<float, rows> v) {
  store_each<rows>(aligned, row_stride, v,
                   [](float* p, Lanes<float> one) FASTRNN_LAMBDA { store_bfloat16(p, one); });
}

// Calls visit(constant number of rows, first row) for groups of rows whose cells are computed side by side.
template <int most_rows, class Visit>
FASTRNN_INLINE void for_each_row_group(Range rows, Visit&& visit) {
  static_assert(most_rows == 2 || most_rows == 4);
  Index row = rows.begin;
  for (; row + most_rows <= rows.end; row += most_rows) visit(std::integral_constant<int, most_rows>{}, row);
  if (most_rows > 2 && row + 2 <= rows.end) {
    visit(std::integral_constant<int, 2>{}, row);
    row += 2;
  }
  if (row < rows.end) visit(std::integral_constant<int, 1>{}, row);
}

template <class V>
FASTRNN_INLINE Pair<V> operator+(Pair<V> a, Pair<V> b) {
  return {a.first + b.first, a.second + b.second};
}
template <class V>
FASTRNN_INLINE Pair<V> operator-(Pair<V> a, Pair<V> b) {
  return {a.first - b.first, a.second - b.second};
}
template <class V>
FASTRNN_INLINE Pair<V> operator*(Pair<V> a, Pair<V> b) {
  return {a.first * b.first, a.second * b.second};
}
template <class V>
FASTRNN_INLINE Pair<V> operator/(Pair<V> a, Pair<V> b) {
  return {a.first / b.first, a.second / b.second};
}
template <class V>
FASTRNN_INLINE Pair<V> multiply_add(Pair<V> a, Pair<V> b, Pair<V> c) {
  return {multiply_add(a.first, b.first, c.first), multiply_add(a.second, b.second, c.second)};
}
template <class V>
FASTRNN_INLINE Pair<V> negative_absolute(Pair<V> a) {
  return {negative_absolute(a.first), negative_absolute(a.second)};
}
template <class V>
FASTRNN_INLINE Pair<V> at_least(Pair<V> a, scalar_of<V> bound) {
  return {at_least(a.first, bound), at_least(a.second, bound)};
}
template <class V>
FASTRNN_INLINE Pair<V> at_most(Pair<V> a, scalar_of<V> bound) {
  return {at_most(a.first, bound), at_most(a.second, bound)};
}
template <class V>
FASTRNN_INLINE Pair<V> where_positive(Pair<V> a, Pair<V> yes) {
  return {where_positive(a.first, yes.first), where_positive(a.second, yes.second)};
}
template <class V>
FASTRNN_INLINE Pair<V> where_between(Pair<V> a, scalar_of<V> low, scalar_of<V> high, Pair<V> yes) {
  return {where_between(a.first, low, high, yes.first), where_between(a.second, low, high, yes.second)};
}
template <class V>
FASTRNN_INLINE Pair<V> with_sign_of(Pair<V> a, Pair<V> sign) {
  return {with_sign_of(a.first, sign.first), with_sign_of(a.second, sign.second)};
}
template <class V>
FASTRNN_INLINE Pair<V> limited_exponent(Pair<V> e) {
  return {limited_exponent(e.first), limited_exponent(e.second)};
}
template <class V>
FASTRNN_INLINE WholeAndRest<Pair<V>> split_whole(Pair<V> a) {
  const WholeAndRest<V> first = split_whole(a.first), second = split_whole(a.second);
  return {{first.whole, second.whole}, {first.rest, second.rest}};
}
template <class V>
FASTRNN_INLINE Pair<V> scale_by_power_of_two(Pair<V> a, Pair<V> whole) {
  return {scale_by_power_of_two(a.first, whole.first), scale_by_power_of_two(a.second, whole.second)};
}

}  // namespace fastrnn
