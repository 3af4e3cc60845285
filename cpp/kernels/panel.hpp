// Panels: the weights in the order in which tiles read them. The only file that knows block order.
//
// A section (one product of a cell) has, for U blocks of units, W blocks each, and k = 0..K-1 numbers of its
// source:
//   forward panel     by groups of unit blocks: [k][unit block of the group][W][lane]; a group is one unit
//   block, or up
//                     to four where W = 1, so that a tile always has several packets
//   backward panel    by groups of up to four column blocks of the source: [unit block][W][lane][column
//   block][lane] gradient panel    laid out as the forward panel
// Biases: [unit block][block][lane], the sum of what the public biases add to a block.
// Unit weights: [unit block][weight][lane].
#pragma once

#include <algorithm>
#include <cstring>

#include "cells/affine.hpp"
#include "threads.hpp"
#include "tile.hpp"

namespace fastrnn {

// The public weights of one layer and direction, each row-major; biases may be null.
template <class T>
struct WeightRows {
  T* weight_ih;               // (gates * H, I)
  T* weight_hh;               // (gates * H, S)
  T* bias_ih;                 // (gates * H) or null
  T* bias_hh;                 // (gates * H) or null
  T* unit_weights = nullptr;  // (unit_weights * H) or null
  T* weight_hr = nullptr;     // (S, H) where there is a projection
};

// Plain, or (T = float) rounded to bfloat16 with two steps in each number, for one of two ways to multiply.
enum class WeightFormat { plain, widened, dot };

struct LayerDimensions {
  Index input_size;
  Index hidden_size;
  WeightFormat format = WeightFormat::plain;  // of the forward panel's sections
  Index projection = 0;                       // S where it is not H

  Index state_size() const { return projection > 0 ? projection : hidden_size; }
  Index of(Source source) const { return source == Source::input ? input_size : state_size(); }
};

// Whether r * h_prev has a place of its own.
template <class Cell>
inline constexpr bool has_reset_hidden = Cell::sections.back().source == Source::reset_hidden;

// Whether h_prev is multiplied with a matrix in the step itself.
template <class Cell>
inline constexpr bool has_hidden_product = Cell::sections.size() > 1;

template <class Cell>
WeightFormat weight_format(bool bfloat16) {
  if (!bfloat16) return WeightFormat::plain;
  return has_bfloat16_dot() && !has_reset_hidden<Cell> ? WeightFormat::dot : WeightFormat::widened;
}

// Unit blocks of the largest group of a section's forward panel.
constexpr Index largest_group(const Section& section) { return section.blocks == 1 ? group_blocks : 1; }

// Calls visit(first unit block, unit blocks) for each group of a section's forward panel.
template <class T, class Visit>
FASTRNN_INLINE void for_each_group(const Section& section, Index hidden_size, Visit&& visit,
                                   Order order = Order::ascending) {
  for_each_part({0, lane_blocks<T>(hidden_size)}, largest_group(section), visit, order);
}

// Of `blocks` blocks in groups of at most `largest`, those that fall to one member of a team: whole groups.
inline Range own_blocks(Index blocks, Index largest, const Member& member) {
  const Range own = member.share({0, (blocks + largest - 1) / largest});
  Range result{0, 0};
  Index group = 0;
  for_each_part({0, blocks}, largest, [&](Index first, Index count) {
    if (group == own.begin) result = {first, first};
    if (group >= own.begin && group < own.end) result.end = first + count;
    ++group;
  });
  return result;
}
// The same for units by the groups of a section's forward panel, and for columns by those of a backward
// panel.
template <class T>
Range own_units(const Section& section, Index hidden_size, const Member& member) {
  return own_blocks(lane_blocks<T>(hidden_size), largest_group(section), member);
}
template <class T>
Range own_columns(Index columns, const Member& member) {
  return own_blocks(lane_blocks<T>(columns), group_blocks, member);
}

// As for_each_group, for the member's units.
template <class T, class Visit>
FASTRNN_INLINE void for_each_own_group(const Section& section, Index hidden_size, const Member& member,
                                       Visit&& visit, Order order = Order::ascending) {
  const Range own = own_units<T>(section, hidden_size, member);
  for_each_group<T>(
      section, hidden_size,
      [&](Index first, Index count) {
        if (first >= own.begin && first < own.end) visit(first, count);
      },
      order);
}

// Where the parts of a panel lie, in elements.
template <class Cell, class T>
struct PanelLayout {
  LayerDimensions size;

  Index units() const { return lane_blocks<T>(size.hidden_size); }
  Index bias_size() const { return units() * Cell::blocks * lane_width<T>; }
  // All unit blocks of the unit weights that lie at `panel`.
  template <class Weight>
  Blocked<Weight> unit_weights(Weight* panel) const {
    return {panel, static_cast<Index>(Cell::unit_weights.size()) * lane_width<T>, 0};
  }
  Index unit_weights_size() const {
    return units() * static_cast<Index>(Cell::unit_weights.size()) * lane_width<T>;
  }

  // Forward and gradient panels: biases, unit weights, then the sections.
  Index forward_unit_weights() const { return bias_size(); }
  Index forward_section(int section) const {
    Index offset = bias_size() + unit_weights_size();
    for (int s = 0; s < section; ++s) offset += forward_block(s) * units();
    return offset;
  }
  Index forward_block(int section) const {  // of one unit block
    const Section& s = Cell::sections[section];
    const Index steps = size.of(s.source);
    return (size.format == WeightFormat::plain ? steps : (steps + 1) / 2) * s.blocks * lane_width<T>;
  }
  Index forward_projection() const { return forward_section(static_cast<int>(Cell::sections.size())); }
  Index forward_size() const {
    return forward_projection() + (size.projection > 0 ? projection().forward_size() : 0);
  }

  // Unit weights, then the sections.
  Index backward_section(int section) const {
    Index offset = unit_weights_size();
    for (int s = 0; s < section; ++s)
      offset += backward_column(s) * lane_blocks<T>(size.of(Cell::sections[s].source));
    return offset;
  }
  Index backward_column(int section) const {  // of one column block
    return units() * Cell::sections[section].blocks * lane_width<T> * lane_width<T>;
  }
  Index backward_projection() const { return backward_section(static_cast<int>(Cell::sections.size())); }
  Index backward_size() const {
    return backward_projection() + (size.projection > 0 ? projection().backward_size() : 0);
  }

  // Of weight_hr's panels, which follow the sections'.
  PanelLayout<Affine, T> projection() const { return {{size.hidden_size, size.projection}}; }
};

namespace detail {

// The public matrix of a section, and its row where unit block `unit` of gate `gate` begins.
template <class T>
T* section_rows(const WeightRows<T>& weights, const Section& section, LayerDimensions size, int gate,
                Index unit) {
  T* matrix = section.source == Source::input ? weights.weight_ih : weights.weight_hh;
  return matrix + (gate * size.hidden_size + unit * lane_width<T>)*size.of(section.source);
}

// Calls visit(public rows of the unit block, valid units, panel packet at k = 0, distance from k to k + 1)
// for each packet column of a section's forward panel.
template <class Cell, class T, class Weight, class Panel, class Visit>
void for_each_packet_column(const PanelLayout<Cell, T>& layout, int index, const WeightRows<Weight>& weights,
                            Panel* panels, Visit&& visit) {
  const Section& section = Cell::sections[index];
  const Index hidden_size = layout.size.hidden_size;
  Panel* base = panels + layout.forward_section(index);
  for_each_group<T>(section, hidden_size, [&](Index first, Index count) {
    Panel* panel = base + first * layout.forward_block(index);
    const Index step = count * section.blocks * lane_width<T>;
    for (Index u = 0; u < count; ++u) {
      for (int b = 0; b < section.blocks; ++b) {
        const Index unit = first + u;
        visit(section_rows(weights, section, layout.size, section.gates[b], unit),
              std::min(lane_width<T>, hidden_size - unit * lane_width<T>),
              panel + (u * section.blocks + b) * lane_width<T>, step);
      }
    }
  });
}

}  // namespace detail

// The nearest bfloat16, ties to even, as the upper half of the number's bits; NaN stays NaN.
inline std::uint32_t round_to_bfloat16(float number) {
  std::uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (bits >> 16) | 0x40u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

// A packet column in bfloat16: step k below, k + 1 above.
inline void pack_bfloat16(const float* rows, Index units, Index columns, float* packet, Index step) {
  for (Index k = 0; k < columns; k += 2, packet += step) {
    for (Index lane = 0; lane < lane_width<float>; ++lane) {
      const float* row = rows + lane * columns;
      std::uint32_t word = lane < units ? round_to_bfloat16(row[k]) : 0;
      if (lane < units && k + 1 < columns) word |= round_to_bfloat16(row[k + 1]) << 16;
      std::memcpy(packet + lane, &word, sizeof word);
    }
  }
}

namespace detail {

// Calls visit(number in the panel, number in the public array) for each weight of each unit.
template <class Cell, class T, class Panel, class Weight, class Visit>
void for_each_unit_weight(const PanelLayout<Cell, T>& layout, Panel* panel, Weight* weights, Visit&& visit) {
  constexpr Index count = static_cast<Index>(Cell::unit_weights.size());
  for (Index i = 0; i < count; ++i) {
    for (Index unit = 0; unit < layout.size.hidden_size; ++unit) {
      visit(panel[(unit / lane_width<T> * count + i) * lane_width<T> + unit % lane_width<T>],
            weights[i * layout.size.hidden_size + unit]);
    }
  }
}

template <class Cell, class T>
void pack_unit_weights(const PanelLayout<Cell, T>& layout, const WeightRows<const T>& weights, T* panel) {
  std::fill_n(panel, layout.unit_weights_size(), T(0));
  for_each_unit_weight(layout, panel, weights.unit_weights,
                       [](T& packed, const T& weight) { packed = weight; });
}

}  // namespace detail

template <class Cell, class T>
void pack_forward(LayerDimensions size, const WeightRows<const T>& weights, T* panels) {
  constexpr Index width = lane_width<T>;
  const PanelLayout<Cell, T> layout{size};
  std::fill_n(panels, layout.bias_size(), T(0));
  detail::pack_unit_weights(layout, weights, panels + layout.forward_unit_weights());
  for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
    const Section& section = Cell::sections[s];
    const T* bias = section.source == Source::input ? weights.bias_ih : weights.bias_hh;
    for (int b = 0; bias && b < section.blocks; ++b) {
      for (Index unit = 0; unit < size.hidden_size; ++unit) {
        panels[((unit / width) * Cell::blocks + section.first + b) * width + unit % width] +=
            bias[section.gates[b] * size.hidden_size + unit];
      }
    }
    const Index columns = size.of(section.source);
    detail::for_each_packet_column(
        layout, s, weights, panels, [&](const T* rows, Index units, T* packet, Index step) {
          if constexpr (std::is_same_v<T, float>) {
            if (size.format != WeightFormat::plain) return pack_bfloat16(rows, units, columns, packet, step);
          }
          Index k = 0;
          if (units == width) {
            for (; k + width <= columns; k += width)
              transpose_square(rows + k, columns, packet + k * step, step);
          }
          for (; k < columns; ++k) {
            for (Index lane = 0; lane < width; ++lane)
              packet[k * step + lane] = lane < units ? rows[lane * columns + k] : T(0);
          }
        });
  }
  if (size.projection > 0)
    pack_forward<Affine, T>(layout.projection().size, {weights.weight_hr, nullptr, nullptr, nullptr},
                            panels + layout.forward_projection());
}

// Adds the biases' and unit weights' parts of a gradient panel to the public gradients.
template <class Cell, class T>
void add_bias_gradients(LayerDimensions size, const T* panels, const WeightRows<T>& gradients) {
  constexpr Index width = lane_width<T>;
  const PanelLayout<Cell, T> layout{size};
  detail::for_each_unit_weight(layout, panels + layout.forward_unit_weights(), gradients.unit_weights,
                               [](const T& sum, T& gradient) { gradient += sum; });
  for (const Section& section : Cell::sections) {
    T* bias = section.source == Source::input ? gradients.bias_ih : gradients.bias_hh;
    for (int b = 0; bias && b < section.blocks; ++b) {
      for (Index unit = 0; unit < size.hidden_size; ++unit) {
        bias[section.gates[b] * size.hidden_size + unit] +=
            panels[((unit / width) * Cell::blocks + section.first + b) * width + unit % width];
      }
    }
  }
}

// Adds the weights' part.
template <class Cell, class T>
void add_weight_gradients(LayerDimensions size, const T* panels, const WeightRows<T>& gradients) {
  constexpr Index width = lane_width<T>;
  const PanelLayout<Cell, T> layout{size};
  alignas(64) T square[width * width];
  for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
    const Section& section = Cell::sections[s];
    const Index columns = size.of(section.source);
    detail::for_each_packet_column(
        layout, s, gradients, panels, [&](T* rows, Index units, const T* packet, Index step) {
          Index k = 0;
          for (; k + width <= columns; k += width) {
            transpose_square(packet + k * step, step, square, width);
            for (Index lane = 0; lane < units; ++lane) {
              T* to = rows + lane * columns + k;
              store_unaligned(to, load_unaligned(to) + load(square + lane * width));
            }
          }
          for (; k < columns; ++k) {
            for (Index lane = 0; lane < units; ++lane) rows[lane * columns + k] += packet[k * step + lane];
          }
        });
  }
  if (size.projection > 0)
    add_weight_gradients<Affine, T>(layout.projection().size, panels + layout.forward_projection(),
                                    {gradients.weight_hr, nullptr, nullptr, nullptr});
}

template <class Cell, class T>
void add_gradients(LayerDimensions size, const T* panels, const WeightRows<T>& gradients) {
  add_bias_gradients<Cell, T>(size, panels, gradients);
  add_weight_gradients<Cell, T>(size, panels, gradients);
}

template <class Cell, class T>
void pack_backward(LayerDimensions size, const WeightRows<const T>& weights, T* panels) {
  constexpr Index width = lane_width<T>;
  const PanelLayout<Cell, T> layout{size};
  detail::pack_unit_weights(layout, weights, panels);
  for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
    const Section& section = Cell::sections[s];
    const Index columns = size.of(section.source);
    for_each_part({0, lane_blocks<T>(columns)}, group_blocks, [&](Index first, Index count) {
      T* row = panels + layout.backward_section(s) + first * layout.backward_column(s);
      const Index valid = std::min(count * width, columns - first * width);
      for (Index unit = 0; unit < layout.units(); ++unit) {
        for (int b = 0; b < section.blocks; ++b) {
          const T* from =
              detail::section_rows(weights, section, size, section.gates[b], unit) + first * width;
          for (Index lane = 0; lane < width; ++lane, row += count * width) {
            const Index copied = unit * width + lane < size.hidden_size ? valid : 0;
            std::copy_n(from + lane * columns, copied, row);
            std::fill(row + copied, row + count * width, T(0));
          }
        }
      }
    });
  }
  if (size.projection > 0)
    pack_backward<Affine, T>(layout.projection().size, {weights.weight_hr, nullptr, nullptr, nullptr},
                             panels + layout.backward_projection());
}

}  // namespace fastrnn
