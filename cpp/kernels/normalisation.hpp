// Layer normalisation (Ba, Kiros and Hinton 2016) of rows, with gain g:
//   y = start + g n,  n = (a - mean) / sqrt(variance + epsilon)
// over the numbers a of a row that stand in some of the blocks of all units. A row's sums go over its unit
// blocks in order, lane by lane, and end in one horizontal sum: they do not depend on other rows. Lanes
// behind the last unit count for nothing.
#pragma once

#include <cmath>

#include "pair.hpp"
#include "tile.hpp"

namespace fastrnn {

inline constexpr double normalisation_epsilon = 1e-5;

// Blocks [first, first + blocks) of every unit, normalised together. Of a row's statistics, its mean is the
// number 2 * place and 1 / sqrt(variance + epsilon) the next.
struct NormalisedGroup {
  int first;
  int blocks;
  int place;
};

// Numbers of a row's statistics: of at most four groups.
inline constexpr Index statistics_numbers = 8;
template <class T>
inline constexpr Index statistics_registers = (statistics_numbers - 1) / lane_width<T> + 1;

// What is normalised: a group of the blocks of `numbers`, over `features` units.
template <class T>
struct NormalisedRows {
  Blocked<const T> numbers;
  NormalisedGroup group;
  Index features;
  Blocked<T> statistics;  // one block; normalise writes them, the others read them
};

namespace detail {

// The sum of each row, made a number by f(row, sum), in all lanes of that row.
template <int rows, class T, class F>
FASTRNN_INLINE side_by_side<T, rows> sum_rows(side_by_side<T, rows> v, Index row, const F& f) {
  if constexpr (rows == 1)
    return Lanes<T>(f(row, horizontal_sum(v)));
  else
    return {sum_rows<rows / 2, T>(v.first, row, f), sum_rows<rows / 2, T>(v.second, row + rows / 2, f)};
}

// The numbers of a few rows, as lanes.
template <int rows, class T>
struct RowNumbers {
  using V = side_by_side<T, rows>;
  static constexpr Index width = lane_width<T>;

  const NormalisedRows<T>& of;
  Index row;
  Index last = lane_blocks<T>(of.features) - 1;
  T count = static_cast<T>(of.features * of.group.blocks);
  V valid;  // in the last unit block: zero in the lanes behind the last unit, else one

  FASTRNN_INLINE RowNumbers(const NormalisedRows<T>& numbers, Index first_row) : of(numbers), row(first_row) {
    alignas(64) T lanes[width];
    for (Index lane = 0; lane < width; ++lane) lanes[lane] = last * width + lane < of.features ? T(1) : T(0);
    valid = load_rows<rows>(lanes, 0);
  }

  // Calls visit(unit block, place of the packet within it, v -> v or zero behind the last unit).
  template <class Visit>
  FASTRNN_INLINE void for_each(Visit&& visit) const {
    const Index begin = of.group.first * width, end = begin + of.group.blocks * width;
    for (Index unit = 0; unit < last; ++unit) {
      for (Index at = begin; at < end; at += width) visit(unit, at, [](V v) FASTRNN_LAMBDA { return v; });
    }
    for (Index at = begin; at < end; at += width)
      visit(last, at, [this](V v) FASTRNN_LAMBDA { return where_positive(valid, v); });
  }
  template <class Number>
  FASTRNN_INLINE V at(const Blocked<Number>& b, Index unit, Index place) const {
    return load_rows<rows>(static_cast<const T*>(b.at(unit, row)) + place, b.row_stride);
  }
  FASTRNN_INLINE V number(Index unit, Index place) const { return at(of.numbers, unit, place); }
  FASTRNN_INLINE V statistic(int i) const {
    return broadcast_rows<rows>(static_cast<const T*>(of.statistics.at(0, row)) + 2 * of.group.place + i,
                                of.statistics.row_stride);
  }
};

template <int rows, class T>
FASTRNN_INLINE void normalise(const NormalisedRows<T>& of, Index first_row, const Blocked<const T>& gain,
                              const Blocked<const T>& start, const Blocked<T>& to) {
  using V = side_by_side<T, rows>;
  const RowNumbers<rows, T> numbers(of, first_row);
  const T count = numbers.count;
  const auto keep = [&](Index row, int i, T value)
                        FASTRNN_LAMBDA { return of.statistics.at(0, row)[2 * of.group.place + i] = value; };
  V sum(T(0)), squares(T(0));
  numbers.for_each([&](Index unit, Index at, const auto& within)
                       FASTRNN_LAMBDA { sum = sum + within(numbers.number(unit, at)); });
  const V mean = sum_rows<rows, T>(
      sum, first_row, [&](Index row, T total) FASTRNN_LAMBDA { return keep(row, 0, total / count); });
  numbers.for_each([&](Index unit, Index at, const auto& within) FASTRNN_LAMBDA {
    const V d = within(numbers.number(unit, at) - mean);
    squares = multiply_add(d, d, squares);
  });
  const V inverse = sum_rows<rows, T>(squares, first_row, [&](Index row, T total) FASTRNN_LAMBDA {
    return keep(row, 1, T(1) / std::sqrt(total / count + static_cast<T>(normalisation_epsilon)));
  });
  numbers.for_each([&](Index unit, Index at, const auto&) FASTRNN_LAMBDA {
    const V n = (numbers.number(unit, at) - mean) * inverse;
    store_rows<rows>(to.at(unit, first_row) + at, to.row_stride,
                     multiply_add(numbers.at(gain, unit, at), n, numbers.at(start, unit, at)));
  });
}

template <int rows, class T>
FASTRNN_INLINE void normalise_backward(const NormalisedRows<T>& of, Index row, const Blocked<const T>& gain,
                                       const Blocked<const T>& dy, const Blocked<T>& da, bool add) {
  using V = side_by_side<T, rows>;
  const RowNumbers<rows, T> numbers(of, row);
  const V mean = numbers.statistic(0), inverse = numbers.statistic(1);
  const auto normalised = [&](Index unit, Index at)
                              FASTRNN_LAMBDA { return (numbers.number(unit, at) - mean) * inverse; };
  const auto gradient = [&](Index unit, Index at)
                            FASTRNN_LAMBDA { return numbers.at(dy, unit, at) * numbers.at(gain, unit, at); };
  V sum(T(0)), product(T(0));
  numbers.for_each([&](Index unit, Index at, const auto& within) FASTRNN_LAMBDA {
    const V dn = within(gradient(unit, at));
    sum = sum + dn;
    product = multiply_add(dn, normalised(unit, at), product);
  });
  const auto mean_of = [&](Index, T total) FASTRNN_LAMBDA { return total / numbers.count; };
  const V mean_dn = sum_rows<rows, T>(sum, row, mean_of),
          mean_product = sum_rows<rows, T>(product, row, mean_of);
  numbers.for_each([&](Index unit, Index at, const auto& within) FASTRNN_LAMBDA {
    const V d = inverse * (gradient(unit, at) - mean_dn - normalised(unit, at) * mean_product);
    const V valid = within(d);
    store_rows<rows>(da.at(unit, row) + at, da.row_stride, add ? numbers.at(da, unit, at) + valid : valid);
  });
}

}  // namespace detail

// to = start + gain * n, in the group's blocks; keeps the statistics. `gain` holds the numbers of one row,
// laid out as those of `to`, as may `start`, with row strides of zero. `to` may be what is normalised, or the
// start.
template <class T>
void normalise(const NormalisedRows<T>& of, Range rows, const Blocked<const T>& gain,
               const Blocked<const T>& start, const Blocked<T>& to) {
  for_each_row_group<4>(
      rows, [&](auto n, Index row) FASTRNN_LAMBDA { detail::normalise<n, T>(of, row, gain, start, to); });
}

// With dy the gradient of y and dn = gain * dy:
//   da = (dn - mean(dn) - n mean(dn n)) / sqrt(variance + epsilon), or with `add`, da += that.
// Writes, or adds, zeros behind the last unit.
template <class T>
void normalise_backward(const NormalisedRows<T>& of, Range rows, const Blocked<const T>& gain,
                        const Blocked<const T>& dy, const Blocked<T>& da, bool add = false) {
  for_each_row_group<4>(rows, [&](auto n, Index row) FASTRNN_LAMBDA {
    detail::normalise_backward<n, T>(of, row, gain, dy, da, add);
  });
}

// dgain += sum of dy n over rows 0, 1, ... in that order, for one unit block. `dgain` is laid out as gains.
template <class T>
void sum_gain_gradient(const NormalisedRows<T>& of, Index unit, Index rows, const Blocked<const T>& dy,
                       const Blocked<T>& dgain) {
  constexpr Index width = lane_width<T>;
  const Index first = of.group.first * width;
  with_packets(of.group.blocks, [&](auto blocks) {
    Lanes<T> sums[blocks];
    T* const target = dgain.at(unit, 0) + first;
    unroll<blocks>([&](auto b) FASTRNN_LAMBDA { sums[b] = load<T>(target + b * width); });
    for (Index row = 0; row < rows; ++row) {
      const T* statistics = of.statistics.at(0, row) + 2 * of.group.place;
      const Lanes<T> mean = broadcast(statistics), inverse = broadcast(statistics + 1);
      unroll<blocks>([&](auto b) FASTRNN_LAMBDA {
        const Lanes<T> n = (load(of.numbers.at(unit, row) + first + b * width) - mean) * inverse;
        sums[b] = multiply_add(load(dy.at(unit, row) + first + b * width), n, sums[b]);
      });
    }
    unroll<blocks>([&](auto b) FASTRNN_LAMBDA { store(target + b * width, sums[b]); });
  });
}

}  // namespace fastrnn
