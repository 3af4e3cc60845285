// Where everything lies in a panel: the weights in the order in which tiles read them.
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
// Layer normalisation: the gains of W x and of R h, each laid out as biases, then gain and shift of c, each
// [unit block][lane]. The shifts of W x and R h are part of the biases.
#pragma once

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
  T* layer_norm = nullptr;    // gain and shift of W x, R h and c where they are normalised
};

// Plain, or (T = float) rounded to bfloat16 with two steps in each number, for one of two ways to multiply.
enum class WeightFormat { plain, widened, dot };

struct LayerDimensions {
  Index input_size;
  Index hidden_size;
  WeightFormat format = WeightFormat::plain;  // of the forward panel's sections
  Index projection = 0;                       // S where it is not H
  bool layer_norm = false;

  Index state_size() const { return projection > 0 ? projection : hidden_size; }
  Index of(Source source) const { return source == Source::input ? input_size : state_size(); }
};

// Whether r * h_prev has a place of its own.
template <class Cell>
inline constexpr bool has_reset_hidden = Cell::sections.back().source == Source::reset_hidden;

// Whether h_prev is multiplied with a matrix in the step itself.
template <class Cell>
inline constexpr bool has_hidden_product = Cell::sections.size() > 1;

// Whether h_prev, or r * h_prev, is multiplied with a matrix anywhere.
template <class Cell>
inline constexpr bool has_recurrent_section = Cell::sections.back().source != Source::input;

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

// The parameters of layer normalisation in a panel, for all unit blocks.
template <class T>
struct NormalisationPanel {
  Blocked<T> gain_ih, gain_hh, gain_c, shift_c;
};

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

  // The biases, and what lies as they do, at `panel`.
  template <class Weight>
  Blocked<Weight> biases(Weight* panel) const {
    return {panel, Cell::blocks * lane_width<T>, 0};
  }
  template <class Weight>
  NormalisationPanel<Weight> normalisation(Weight* panel) const {
    Weight* const gain_c = panel + (has_recurrent_section<Cell> ? 2 : 1) * bias_size();
    return {biases(panel),
            biases(panel + (has_recurrent_section<Cell> ? bias_size() : 0)),
            {gain_c, lane_width<T>, 0},
            {gain_c + units() * lane_width<T>, lane_width<T>, 0}};
  }
  Index normalisation_size() const {
    if (!size.layer_norm) return 0;
    return (has_recurrent_section<Cell> ? 2 : 1) * bias_size() +
           (Cell::has_cell_state ? 2 * units() * lane_width<T> : 0);
  }

  // Forward and gradient panels: biases, unit weights, layer normalisation, then the sections.
  Index forward_unit_weights() const { return bias_size(); }
  Index forward_normalisation() const { return bias_size() + unit_weights_size(); }
  Index forward_section(int section) const {
    Index offset = forward_normalisation() + normalisation_size();
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

  // Unit weights, layer normalisation, then the sections.
  Index backward_normalisation() const { return unit_weights_size(); }
  Index backward_section(int section) const {
    Index offset = backward_normalisation() + normalisation_size();
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

}  // namespace fastrnn
