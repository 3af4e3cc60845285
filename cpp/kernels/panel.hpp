// Panels: packing the public weights, and adding panels of gradients to the public ones. With
// panel_layout.hpp the only place that knows block order.
#pragma once

#include <algorithm>
#include <cstring>

#include "panel_layout.hpp"

namespace fastrnn {

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

// Gain and shift of a section's product among the public parameters of layer normalisation: G * H of each for
// W x, then for R h.
template <class T>
T* gains_of(const Section& section, LayerDimensions size, int gates, T* layer_norm) {
  return layer_norm + (section.source == Source::input ? 0 : 2 * gates * size.hidden_size);
}
template <class T>
T* shifts_of(const Section& section, LayerDimensions size, int gates, T* layer_norm) {
  return layer_norm ? gains_of(section, size, gates, layer_norm) + gates * size.hidden_size : nullptr;
}

// Calls visit(number in the panel, number in the public array) for all gains, and the shift of c.
template <class Cell, class T, class Panel, class Weight, class Visit>
void for_each_gain(const PanelLayout<Cell, T>& layout, Panel* panel, Weight* layer_norm, Visit&& visit) {
  constexpr Index width = lane_width<T>;
  const Index hidden_size = layout.size.hidden_size;
  if (!layout.size.layer_norm) return;
  const NormalisationPanel<Panel> packed = layout.normalisation(panel);
  for (const Section& section : Cell::sections) {
    const Blocked<Panel>& gains = section.source == Source::input ? packed.gain_ih : packed.gain_hh;
    Weight* const weights = gains_of(section, layout.size, Cell::gates, layer_norm);
    for (int b = 0; b < section.blocks; ++b) {
      for (Index unit = 0; unit < hidden_size; ++unit)
        visit(gains.at(unit / width, 0)[(section.first + b) * width + unit % width],
              weights[section.gates[b] * hidden_size + unit]);
    }
  }
  if constexpr (Cell::has_cell_state) {
    Weight* const weights = layer_norm + 4 * Cell::gates * hidden_size;
    for (Index unit = 0; unit < hidden_size; ++unit) {
      visit(packed.gain_c.at(unit / width, 0)[unit % width], weights[unit]);
      visit(packed.shift_c.at(unit / width, 0)[unit % width], weights[hidden_size + unit]);
    }
  }
}

template <class Cell, class T>
void pack_gains(const PanelLayout<Cell, T>& layout, const WeightRows<const T>& weights, T* panel) {
  std::fill_n(panel, layout.normalisation_size(), T(0));
  for_each_gain(layout, panel, weights.layer_norm, [](T& packed, const T& weight) { packed = weight; });
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
  detail::pack_gains(layout, weights, panels + layout.forward_normalisation());
  for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
    const Section& section = Cell::sections[s];
    const T* bias = section.source == Source::input ? weights.bias_ih : weights.bias_hh;
    for (const T* start : {bias, detail::shifts_of(section, size, Cell::gates, weights.layer_norm)}) {
      for (int b = 0; start && b < section.blocks; ++b) {
        for (Index unit = 0; unit < size.hidden_size; ++unit) {
          panels[((unit / width) * Cell::blocks + section.first + b) * width + unit % width] +=
              start[section.gates[b] * size.hidden_size + unit];
        }
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

// Adds the biases' and unit weights' parts of a gradient panel, and layer normalisation's, to the public
// gradients.
template <class Cell, class T>
void add_bias_gradients(LayerDimensions size, const T* panels, const WeightRows<T>& gradients) {
  constexpr Index width = lane_width<T>;
  const PanelLayout<Cell, T> layout{size};
  detail::for_each_unit_weight(layout, panels + layout.forward_unit_weights(), gradients.unit_weights,
                               [](const T& sum, T& gradient) { gradient += sum; });
  detail::for_each_gain(layout, panels + layout.forward_normalisation(), gradients.layer_norm,
                        [](const T& sum, T& gradient) { gradient += sum; });
  for (const Section& section : Cell::sections) {
    T* bias = section.source == Source::input ? gradients.bias_ih : gradients.bias_hh;
    for (T* start : {bias, detail::shifts_of(section, size, Cell::gates, gradients.layer_norm)}) {
      for (int b = 0; start && b < section.blocks; ++b) {
        for (Index unit = 0; unit < size.hidden_size; ++unit) {
          start[section.gates[b] * size.hidden_size + unit] +=
              panels[((unit / width) * Cell::blocks + section.first + b) * width + unit % width];
        }
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
  detail::pack_gains(layout, weights, panels + layout.backward_normalisation());
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
