// The three products of a section, each by the same tile: forward (in step.hpp, where two sections share a
// tile),
//   backward   dsource (+)= gates @ section's weights
//   gradient   dsection  += gates^T @ source
// where `gates` holds gradients of pre-activations.
#pragma once

#include "panel.hpp"
#include "schedule.hpp"

namespace fastrnn {

// A forward panel as a tile reads it: its steps, and the next group, so many numbers apart.
template <class T>
struct PanelSteps {
  const T* data;
  Index step;
  Index group_stride = 0;
};

// What a tile reads of `source` as rows times its features.
template <class T>
FASTRNN_INLINE Product<T> forward_product(Blocked<const T> source, Index row, Index features,
                                          const PanelSteps<T>& panel) {
  return {source.at(0, row), source.row_stride, 1,          source.block_stride, lane_width<T>,
          features,          panel.data,        panel.step, lane_width<T>,       panel.group_stride};
}
// The same of a source whose numbers are rounded to bfloat16, in pairs.
template <class T>
Product<T> in_pairs(Blocked<const T> words, Index row, Product<T> product) {
  product.a = words.at(0, row);
  product.row_stride = words.row_stride;
  product.block_stride = words.block_stride;
  product.block = lane_width<T> / 2;
  product.count = (product.count + 1) / 2;
  return product;
}

// How a section's forward panel is read.
constexpr PanelFormat panel_format(WeightFormat format) {
  return format == WeightFormat::plain     ? PanelFormat::adjacent
         : format == WeightFormat::widened ? PanelFormat::widened
                                           : PanelFormat::dot;
}

// What goes into a tile and where it goes.
template <class T>
struct TileWork {
  Sums<const T> start;
  Product<T> first, second;
  Sums<T> result;
};

// A tile of a forward product, from panels of any format that the cell has.
template <class Cell, class Shape, class T>
FASTRNN_INLINE void multiply_forward_tile(WeightFormat format, Index rows, const TileWork<T>& work) {
  const auto& [start, first, second, result] = work;
  if constexpr (std::is_same_v<T, float>) {
    if (format == WeightFormat::widened)
      return multiply_tile<Shape, PanelFormat::widened>(rows, start, first, second, result);
    if constexpr (!has_reset_hidden<Cell>) {
      if (format == WeightFormat::dot)
        return multiply_tile<Shape, PanelFormat::dot>(rows, start, first, second, result);
    }
  }
  multiply_tile<Shape>(rows, start, first, second, result);
}

// One backward product.
template <class T>
struct BackwardProduct {
  const T* panels;
  Blocked<const T> gates;
  Range rows;
  Range columns;  // blocks of the target: whole groups
  Blocked<T> target;
  bool add = false;  // to the target
  Order order = Order::ascending;
};

template <class Cell, class T>
void multiply_backward(const PanelLayout<Cell, T>& layout, int index, const BackwardProduct<T>& work) {
  constexpr Index width = lane_width<T>;
  const Section& section = Cell::sections[index];
  const Index block = section.blocks * width;
  const Blocked<const T> gates = work.gates;
  for_each_part(
      {0, lane_blocks<T>(layout.size.of(section.source))}, group_blocks,
      [&](Index first, Index count) {
        if (first < work.columns.begin || first >= work.columns.end) return;
        const T* panel = work.panels + layout.backward_section(index) + first * layout.backward_column(index);
        with_packets(count, [&](auto packets) {
          for_each_part(work.rows, tile_rows(packets), [&](Index row, Index height) {
            const Product<T> product{gates.at(0, row) + section.first * width,
                                     gates.row_stride,
                                     1,
                                     gates.block_stride,
                                     block,
                                     layout.units() * block,
                                     panel,
                                     packets * width};
            const Sums<T> result{work.target.at(first, row), work.target.row_stride,
                                 work.target.block_stride};
            const Sums<const T> start{work.add ? result.data : nullptr, result.row_stride,
                                      result.packet_stride};
            multiply_tile<TileShape<packets, packets>>(height, start, product, {}, result);
          });
        });
      },
      work.order);
}

// What a gradient of weights or biases sums over: rows [0, rows) of gates' gradients and of what they were
// multiplied with.
template <class T>
struct GradientRows {
  Blocked<const T> source, gates;
  Index rows;
};

// Of unit blocks or groups 0, 1, 2, ... every count-th, from `index` on.
struct Stripe {
  Index index = 0;
  Index count = 1;

  bool has(Index i) const { return i % count == index; }
};

// Rows up to which weight gradients go straight to the public arrays: sums of so few rows cost less than a
// panel's way to memory and back (one row at I = H = 256: 2 MB, five times).
inline constexpr Index most_rows_added_directly = 16;

// Adds to a section's public gradients, for some unit blocks, as `multiply_gradient` and
// `add_weight_gradients` do, bit for bit.
template <class Cell, class T>
void add_gradient_of_few_rows(const PanelLayout<Cell, T>& layout, int index, const GradientRows<T>& sums,
                              Stripe units, const WeightRows<T>& gradients) {
  constexpr Index width = lane_width<T>;
  const auto& [source, gates, rows] = sums;
  const Section& section = Cell::sections[index];
  const Index columns = layout.size.of(section.source);
  for (Index unit = units.index; unit < layout.units(); unit += units.count) {
    const Index lanes = std::min(width, layout.size.hidden_size - unit * width);
    for (int b = 0; b < section.blocks; ++b) {
      T* target = detail::section_rows(gradients, section, layout.size, section.gates[b], unit);
      const T* number = gates.at(unit, 0) + (section.first + b) * width;
      for (Index lane = 0; lane < lanes; ++lane, target += columns, ++number) {
        for (Index k = 0; k < columns; k += width) {
          Lanes<T> sum(T(0));
          for (Index row = 0; row < rows; ++row)
            sum = multiply_add(broadcast(number + row * gates.row_stride), load(source.at(k / width, row)),
                               sum);
          add_to(target + k, sum, std::min(width, columns - k));
        }
      }
    }
  }
}

// Adds to some groups of the gradient panel of one section.
template <class Cell, class T>
void multiply_gradient(const PanelLayout<Cell, T>& layout, int index, const GradientRows<T>& sums,
                       Stripe groups, T* panels) {
  constexpr Index width = lane_width<T>;
  const Blocked<const T> source = sums.source, gates = sums.gates;
  constexpr bool several_blocks = Cell::blocks > 1;
  const Section& section = Cell::sections[index];
  const Index features = layout.size.of(section.source);
  T* base = panels + layout.forward_section(index);
  Index group = 0;
  for_each_group<T>(section, layout.size.hidden_size, [&](Index first, Index count) {
    if (!groups.has(group++)) return;
    with_packets(count * section.blocks, [&](auto packets) {
      T* panel = base + first * layout.forward_block(index);
      const bool adjacent = several_blocks && section.blocks > 1;
      for_each_part({0, sums.rows}, chunk_rows, [&](Index row, Index height) {
        for (Index k = 0; k < features; k += width) {
          for_each_part({0, std::min(width, features - k)}, tile_rows(packets), [&](Index lane, Index lanes) {
            Product<T> product{source.at(k / width, row) + lane,
                               1,
                               source.row_stride,
                               0,
                               height,
                               height,
                               gates.at(first, row) + section.first * width,
                               gates.row_stride};
            const Sums<T> result{panel + (k + lane) * packets * width, packets * width};
            const Sums<const T> start{result.data, result.row_stride};
            if (adjacent) {
              multiply_tile<TileShape<packets, packets>>(lanes, start, product, {}, result);
            } else {
              product.packet_stride = gates.block_stride;
              multiply_tile<TileShape<packets, packets>, PanelFormat::strided>(lanes, start, product, {},
                                                                               result);
            }
          });
        }
      });
    });
  });
}

// Adds the column sums of the gates' gradients to the bias part of a gradient panel, for some unit blocks.
template <class Cell, class T>
void sum_bias_gradient(const PanelLayout<Cell, T>& layout, const GradientRows<T>& sums_of, Stripe units,
                       T* panels) {
  constexpr Index width = lane_width<T>;
  const Blocked<const T> gates = sums_of.gates;
  for (Index unit = units.index; unit < layout.units(); unit += units.count) {
    T* bias = panels + unit * Cell::blocks * width;
    Lanes<T> sums[Cell::blocks];
    unroll<Cell::blocks>([&](auto b) FASTRNN_LAMBDA { sums[b] = load(bias + b * width); });
    for (Index row = 0; row < sums_of.rows; ++row) {
      unroll<Cell::blocks>(
          [&](auto b) FASTRNN_LAMBDA { sums[b] = sums[b] + load<T>(gates.at(unit, row) + b * width); });
    }
    unroll<Cell::blocks>([&](auto b) FASTRNN_LAMBDA { store(bias + b * width, sums[b]); });
  }
}

}  // namespace fastrnn
