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
  // panel(k, p), a whole register, is at panel + k * panel_step + p * packet_stride; the next group's is
  // group_stride behind.
  const T* panel = nullptr;
  Index panel_step = 0;
  Index packet_stride = lane_width<T>;
  Index group_stride = 0;
};

// How a panel holds the packets of a step: side by side, apart by packet_stride, or (T = float) side by side
// in bfloat16 with two steps in each. These are widened, or multiplied as they are; `a` then holds two
// numbers of a row in each of its own, and `count` and `block` count such pairs.
enum class PanelFormat { adjacent, strided, widened, dot };

// Where sums start from and where they go: packet p of row m is at data + m * row_stride + p * packet_stride,
// that of the next group group_stride behind.
template <class T>
struct Sums {
  T* data = nullptr;
  Index row_stride = 0;
  Index packet_stride = lane_width<T>;
  Index group_stride = 0;
};

// Rows of the tallest tile. A step needs rows * packets sums, one register for a row's number and one or more
// for weights. With 32 registers 6 x 4 is best (reference trial and bench/cpp); with 16, 3 x 4. With weights
// in bfloat16, few packets, which odd sizes end in, need not have all heights too.
constexpr Index tile_rows(int packets, PanelFormat format = PanelFormat::adjacent) {
  const bool bfloat16 = format == PanelFormat::widened || format == PanelFormat::dot;
  if (bfloat16 && packets < 4) return 4;
  if (vector_registers == 32) return packets >= 4 ? 6 : 8;
  return packets >= 4 ? 3 : packets == 3 ? 4 : packets == 2 ? 6 : 8;
}
// Rows up to which a tile takes two groups of packets: with fewer sums in flight, a row waits for its last
// multiply-add (four cycles) rather than for its weights.
inline constexpr Index rows_of_two_groups = vector_registers == 32 ? 2 : 1;

// Which packets of a group the two products add to: the first to [0, first), the second to
// [offset, offset + second).
template <int packets_, int first_, int offset_ = 0, int second_ = 0, int groups_ = 1>
struct TileShape {
  static constexpr int packets = packets_;
  static constexpr int first = first_;
  static constexpr int offset = offset_;
  static constexpr int second = second_;
  static constexpr int groups = groups_;
  static constexpr Index tallest(PanelFormat format) {
    return groups == 1 ? tile_rows(packets, format) : rows_of_two_groups;
  }
};

namespace detail {

// The packets of one product: `width` of each group's, from `offset` on.
template <int packets, int groups, int offset_, int width>
struct Part {
  static constexpr int count = groups * width;
  static constexpr int sum(int i) { return i / width * packets + offset_ + i % width; }
  template <class T>
  static FASTRNN_INLINE Index place(int i, const Product<T>& product, Index packet_stride) {
    return i / width * product.group_stride + i % width * packet_stride;
  }
};

// Calls visit(the rows' numbers, steps) for each block of a product's steps.
template <class T, class Visit>
FASTRNN_INLINE void for_each_block_of_steps(const Product<T>& product, Visit&& visit) {
  const T* a = product.a;
  for (Index left = product.count; left > 0; left -= product.block, a += product.block_stride)
    visit(a, left < product.block ? left : product.block);
}

template <PanelFormat format, class T>
FASTRNN_INLINE Lanes<T> add_product(Lanes<T> number, Lanes<T> weights, Lanes<T> sum) {
  if constexpr (format == PanelFormat::dot)
    return dot_add(number, weights, sum);
  else
    return multiply_add(number, weights, sum);
}

// Adds the products with one number of each row: `weights(i)` are packet i's.
template <class Part, PanelFormat format, class T, int rows, int all, class Weights>
FASTRNN_INLINE void add_products(Lanes<T> (&sums)[rows][all], const T* a, Index row_stride,
                                 const Weights& weights) {
  unroll<rows>([&](auto m) FASTRNN_LAMBDA {
    const Lanes<T> number = broadcast(a + m * row_stride);
    unroll<Part::count>([&](auto i) FASTRNN_LAMBDA {
      sums[m][Part::sum(i)] = add_product<format>(number, weights(i), sums[m][Part::sum(i)]);
    });
  });
}

template <class Part, PanelFormat format, class T, int rows, int all>
FASTRNN_INLINE void accumulate(Lanes<T> (&sums)[rows][all], const Product<T>& product) {
  const T* panel = product.panel;
  const Index packet_stride = format == PanelFormat::strided ? product.packet_stride : lane_width<T>;
  for_each_block_of_steps(product, [&](const T* a, Index steps) FASTRNN_LAMBDA {
    for (Index k = 0; k < steps; ++k, a += product.step_stride, panel += product.panel_step) {
      if constexpr (rows * all + Part::count + 1 <= vector_registers) {
        Lanes<T> weights[Part::count];
        unroll<Part::count>([&](auto i) FASTRNN_LAMBDA {
          weights[i] = load(panel + Part::place(i, product, packet_stride));
          if constexpr (rows > 1) keep_in_register(weights[i]);
        });
        add_products<Part, format>(sums, a, product.row_stride,
                                   [&](auto i) FASTRNN_LAMBDA { return weights[i]; });
      } else {  // too few registers for all weights: the rows' numbers instead, and one packet of weights
        Lanes<T> numbers[rows];
        unroll<rows>([&](auto m) FASTRNN_LAMBDA {
          numbers[m] = broadcast(a + m * product.row_stride);
          keep_in_register(numbers[m]);
        });
        unroll<Part::count>([&](auto i) FASTRNN_LAMBDA {
          Lanes<T> weights = load(panel + Part::place(i, product, packet_stride));
          keep_in_register(weights);
          unroll<rows>([&](auto m) FASTRNN_LAMBDA {
            sums[m][Part::sum(i)] = add_product<format>(numbers[m], weights, sums[m][Part::sum(i)]);
          });
        });
      }
    }
  });
}

// The same sums, in the same order, with weights to be widened.
template <class Part, int rows, int all>
FASTRNN_INLINE void accumulate_widened(Lanes<float> (&sums)[rows][all], const Product<float>& product) {
  const float* panel = product.panel;
  const auto word = [&](auto i)
                        FASTRNN_LAMBDA { return load(panel + Part::place(i, product, lane_width<float>)); };
  for_each_block_of_steps(product, [&](const float* a, Index steps) FASTRNN_LAMBDA {
    const float* end = a + steps * product.step_stride;
    Lanes<float> weights[Part::count];
    const auto weight = [&](auto i) FASTRNN_LAMBDA { return weights[i]; };
    for (Index k = 0; k + 2 <= steps; k += 2, a += 2 * product.step_stride, panel += product.panel_step) {
      if constexpr (rows * all + 2 * Part::count + 1 <= vector_registers) {
        Lanes<float> words[Part::count];
        unroll<Part::count>([&](auto i) FASTRNN_LAMBDA {
          words[i] = word(i);
          keep_in_register(words[i]);
          weights[i] = widen_even(words[i]);
        });
        add_products<Part, PanelFormat::widened>(sums, a, product.row_stride, weight);
        unroll<Part::count>([&](auto i) FASTRNN_LAMBDA { weights[i] = widen_odd(words[i]); });
      } else {
        unroll<Part::count>([&](auto i) FASTRNN_LAMBDA { weights[i] = widen_even(word(i)); });
        add_products<Part, PanelFormat::widened>(sums, a, product.row_stride, weight);
        forget_loads(panel);
        unroll<Part::count>([&](auto i) FASTRNN_LAMBDA { weights[i] = widen_odd(word(i)); });
      }
      add_products<Part, PanelFormat::widened>(sums, a + product.step_stride, product.row_stride, weight);
    }
    if (a == end) return;
    unroll<Part::count>([&](auto i) FASTRNN_LAMBDA { weights[i] = widen_even(word(i)); });
    add_products<Part, PanelFormat::widened>(sums, a, product.row_stride, weight);
    panel += product.panel_step;
  });
}

template <class T, int rows, class Shape, PanelFormat format>
void tile(const Sums<const T>& start, const Product<T>& first, const Product<T>& second,
          const Sums<T>& result) {
  constexpr int all = Shape::groups * Shape::packets;
  Lanes<T> sums[rows][all];
  const auto place = [](auto i, const auto& of) FASTRNN_LAMBDA {
    return of.data + i / Shape::packets * of.group_stride + i % Shape::packets * of.packet_stride;
  };
  const auto start_rows = [&](const auto& number) FASTRNN_LAMBDA {
    unroll<rows>([&](auto m) FASTRNN_LAMBDA {
      unroll<all>([&](auto i) FASTRNN_LAMBDA { sums[m][i] = number(m, i); });
    });
  };
  if (!start.data) {
    start_rows([](auto, auto) FASTRNN_LAMBDA { return Lanes<T>(T(0)); });
  } else if (start.row_stride == 0) {  // copies between registers are free, loads are not
    Lanes<T> row[all];
    unroll<all>([&](auto i) FASTRNN_LAMBDA { row[i] = load(place(i, start)); });
    start_rows([&](auto, auto i) FASTRNN_LAMBDA { return row[i]; });
  } else {
    start_rows([&](auto m, auto i) FASTRNN_LAMBDA { return load(place(i, start) + m * start.row_stride); });
  }
  using First = Part<Shape::packets, Shape::groups, 0, Shape::first>;
  using Second = Part<Shape::packets, Shape::groups, Shape::offset, Shape::second>;
  if constexpr (format == PanelFormat::widened) {
    accumulate_widened<First>(sums, first);
    if constexpr (Shape::second > 0) accumulate_widened<Second>(sums, second);
  } else {
    accumulate<First, format>(sums, first);
    if constexpr (Shape::second > 0) accumulate<Second, format>(sums, second);
  }
  unroll<rows>([&](auto m) FASTRNN_LAMBDA {
    unroll<all>([&](auto i) FASTRNN_LAMBDA { store(place(i, result) + m * result.row_stride, sums[m][i]); });
  });
}

template <class T, class Shape, PanelFormat format, int... rows>
void tile_of_rows(Index count, std::integer_sequence<int, rows...>, const Sums<const T>& start,
                  const Product<T>& first, const Product<T>& second, const Sums<T>& result) {
  using Tile = void (*)(const Sums<const T>&, const Product<T>&, const Product<T>&, const Sums<T>&);
  static constexpr Tile tiles[] = {&tile<T, rows + 1, Shape, format>...};
  tiles[count - 1](start, first, second, result);
}

}  // namespace detail

// result = start (zero where null) + first (+ second) for `rows` <= Shape::tallest(format) rows.
template <class Shape, PanelFormat format = PanelFormat::adjacent, class T>
FASTRNN_INLINE void multiply_tile(Index rows, const Sums<const T>& start, const Product<T>& first,
                                  const Product<T>& second, const Sums<T>& result) {
  detail::tile_of_rows<T, Shape, format>(rows, std::make_integer_sequence<int, Shape::tallest(format)>{},
                                         start, first, second, result);
}

// The order in which parts are visited. Steps that go to and fro over their weights find those that they read
// last still in the nearer cache, which counts with few rows, whose steps are bound by reading weights.
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
