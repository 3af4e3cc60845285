// The register tile: a few rows times one panel of weights, with all sums in registers. The order of every
// summation in this library is fixed here: the start value, then the first product's k = 0, 1, ..., then the
// second's.
#pragma once

#include "blocked.hpp"

namespace fastrnn {

// One product of a tile: sums[m][p] += sum over k of  a(m, k) * panel(k, p).
template <class T>
struct Product {
  const T* a =
      nullptr;  // a(m, k) is at a + m * row_stride + (k / block) * block_stride + (k % block) * step_stride
  Index row_stride = 0;
  Index step_stride = 0;
  Index block_stride = 0;
  Index block = 1;  // steps in a block
  Index count = 0;  // steps in all
  const T* panel =
      nullptr;  // panel(k, p), a whole register, is at panel + k * panel_step + p * packet_stride
  Index panel_step = 0;
  Index packet_stride = lane_width<T>;
};

// Where sums start from and where they go: packet p of row m is at data + m * row_stride + p * packet_stride.
template <class T>
struct Sums {
  T* data = nullptr;
  Index row_stride = 0;
  Index packet_stride = lane_width<T>;
};

// Which packets the two products add to: the first to [0, first), the second to [offset, offset + second).
template <int packets_, int first_, int offset_ = 0, int second_ = 0>
struct TileShape {
  static constexpr int packets = packets_;
  static constexpr int first = first_;
  static constexpr int offset = offset_;
  static constexpr int second = second_;
};

// Rows of the tallest tile. A step needs rows * packets sums, one register for a row's number and one or more
// for weights. With 32 registers 6 x 4 is best (reference trial and bench/cpp); with 16, 3 x 4.
constexpr Index tile_rows(int packets) {
  if (vector_registers == 32) return packets >= 4 ? 6 : 8;
  return packets >= 4 ? 3 : packets == 3 ? 4 : packets == 2 ? 6 : 8;
}

namespace detail {

template <int rows, int packets, int offset, int width, bool adjacent, class T>
FASTRNN_INLINE void accumulate(Lanes<T> (&sums)[rows][packets], const Product<T>& product) {
  const T* panel = product.panel;
  const Index packet_stride = adjacent ? lane_width<T> : product.packet_stride;
  const T* block_start = product.a;
  for (Index left = product.count; left > 0; left -= product.block, block_start += product.block_stride) {
    const Index steps = left < product.block ? left : product.block;
    const T* a = block_start;
    for (Index k = 0; k < steps; ++k, a += product.step_stride, panel += product.panel_step) {
      if constexpr (rows * packets + width + 1 <= vector_registers) {
        Lanes<T> weights[width];
        unroll<width>([&](auto p) FASTRNN_LAMBDA {
          weights[p] = load(panel + p * packet_stride);
          if constexpr (rows > 1) keep_in_register(weights[p]);
        });
        unroll<rows>([&](auto m) FASTRNN_LAMBDA {
          const Lanes<T> number = broadcast(a + m * product.row_stride);
          unroll<width>([&](auto p) FASTRNN_LAMBDA {
            sums[m][offset + p] = multiply_add(number, weights[p], sums[m][offset + p]);
          });
        });
      } else {  // too few registers for all weights: the rows' numbers instead, and one packet of weights
        Lanes<T> numbers[rows];
        unroll<rows>([&](auto m) FASTRNN_LAMBDA {
          numbers[m] = broadcast(a + m * product.row_stride);
          keep_in_register(numbers[m]);
        });
        unroll<width>([&](auto p) FASTRNN_LAMBDA {
          Lanes<T> weights = load(panel + p * packet_stride);
          keep_in_register(weights);
          unroll<rows>([&](auto m) FASTRNN_LAMBDA {
            sums[m][offset + p] = multiply_add(numbers[m], weights, sums[m][offset + p]);
          });
        });
      }
    }
  }
}

template <class T, int rows, class Shape, bool adjacent>
void tile(const Sums<const T>& start, const Product<T>& first, const Product<T>& second,
          const Sums<T>& result) {
  Lanes<T> sums[rows][Shape::packets];
  const auto start_rows = [&](const auto& number) FASTRNN_LAMBDA {
    unroll<rows>([&](auto m) FASTRNN_LAMBDA {
      unroll<Shape::packets>([&](auto p) FASTRNN_LAMBDA { sums[m][p] = number(m, p); });
    });
  };
  if (!start.data) {
    start_rows([](auto, auto) FASTRNN_LAMBDA { return Lanes<T>(T(0)); });
  } else if (start.row_stride == 0) {  // copies between registers are free, loads were 2 % of a short tile
    Lanes<T> row[Shape::packets];
    unroll<Shape::packets>([&](auto p)
                               FASTRNN_LAMBDA { row[p] = load(start.data + p * start.packet_stride); });
    start_rows([&](auto, auto p) FASTRNN_LAMBDA { return row[p]; });
  } else {
    start_rows([&](auto m, auto p) FASTRNN_LAMBDA {
      return load(start.data + m * start.row_stride + p * start.packet_stride);
    });
  }
  accumulate<rows, Shape::packets, 0, Shape::first, adjacent>(sums, first);
  if constexpr (Shape::second > 0) {
    accumulate<rows, Shape::packets, Shape::offset, Shape::second, adjacent>(sums, second);
  }
  unroll<rows>([&](auto m) FASTRNN_LAMBDA {
    unroll<Shape::packets>([&](auto p) FASTRNN_LAMBDA {
      store(result.data + m * result.row_stride + p * result.packet_stride, sums[m][p]);
    });
  });
}

template <class T, class Shape, bool adjacent, int... rows>
void tile_of_rows(Index count, std::integer_sequence<int, rows...>, const Sums<const T>& start,
                  const Product<T>& first, const Product<T>& second, const Sums<T>& result) {
  using Tile = void (*)(const Sums<const T>&, const Product<T>&, const Product<T>&, const Sums<T>&);
  static constexpr Tile tiles[] = {&tile<T, rows + 1, Shape, adjacent>...};
  tiles[count - 1](start, first, second, result);
}

}  // namespace detail

// result = start (zero where null) + first (+ second) for `rows` <= tile_rows rows.
template <class Shape, bool adjacent = true, class T>
FASTRNN_INLINE void multiply_tile(Index rows, const Sums<const T>& start, const Product<T>& first,
                                  const Product<T>& second, const Sums<T>& result) {
  detail::tile_of_rows<T, Shape, adjacent>(rows, std::make_integer_sequence<int, tile_rows(Shape::packets)>{},
                                           start, first, second, result);
}

// The order in which parts are visited. Steps that go to and fro over their weights find those that they read
// last still in the nearer cache: with one row, whose steps are bound by reading weights, 10 % of a step at
// H = 64 and 256.
enum class Order { ascending, descending };
constexpr Order to_and_fro(Index step) { return step & 1 ? Order::descending : Order::ascending; }

// Cuts `rows` into parts of nearly equal size, at most `tallest`, and calls visit(first row, rows of the
// part): 32 rows become 6 6 5 5 5 5 rather than 6 6 6 6 6 2, whose last tile would wait for its loads.
template <class Visit>
FASTRNN_INLINE void for_each_part(Range rows, Index tallest, Visit&& visit, Order order = Order::ascending) {
  const Index total = rows.end - rows.begin;
  if (total <= 0) return;
  if (total <= tallest) {  // spares two divisions, which count where there are one or two rows
    visit(rows.begin, total);
    return;
  }
  const Index tiles = (total + tallest - 1) / tallest;
  const Index height = total / tiles;
  const Index taller = total % tiles;
  for (Index n = 0; n < tiles; ++n) {
    const Index i = order == Order::ascending ? n : tiles - 1 - n;
    visit(rows.begin + i * height + std::min(i, taller), height + (i < taller ? 1 : 0));
  }
}

// Calls visit(constant) with the compile-time value of `count` in 1..4: column groups of a panel.
template <class Visit>
FASTRNN_INLINE void with_packets(Index count, Visit&& visit) {
  switch (count) {
    case 1:
      return visit(std::integral_constant<int, 1>{});
    case 2:
      return visit(std::integral_constant<int, 2>{});
    case 3:
      return visit(std::integral_constant<int, 3>{});
    default:
      return visit(std::integral_constant<int, 4>{});
  }
}

// Blocks that share a tile where each contributes one packet.
inline constexpr Index group_blocks = 4;

}  // namespace fastrnn
