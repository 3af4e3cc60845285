// One time step of any cell with layer normalisation (Ba, Kiros and Hinton 2016) inside the recurrence:
//   a = LN(W x) + LN(R h) + b,  h = o f(LN(c))
// as passes over whole rows between the products and the cells, which stay as they are. A row's statistics
// need all of its units, so threads share rows, never units.
//
// A GRU's r and z are normalised together, its candidate apart; all other cells' gates together.
#pragma once

#include "normalisation.hpp"
#include "step.hpp"
#include "step_reset_before.hpp"

namespace fastrnn {

// What a normalised step keeps beside StepViews. W x may stand in the place of the gates where nothing is
// kept.
template <class T>
struct NormalisationViews {
  Blocked<T> input_sums;   // (N, H, blocks) W x
  Blocked<T> hidden_sums;  // (N, H, blocks) R h, and R (r h)
  Blocked<T> statistics;   // (N)
};

// Gradients that the products and the gains' gradients read when the recurrence has run.
template <class T>
struct NormalisationGradients {
  Blocked<T> hidden_sums;  // (N, H, blocks)
  Blocked<T> cell_output;  // (N, H) of LN(c)
};

// Blocks of one section's product that are normalised together.
struct SectionGroup {
  int section;
  NormalisedGroup group;
  bool begins;  // their gates' sums, with the biases
};
struct SectionGroups {
  std::array<SectionGroup, 4> groups{};
  int count = 0;
};

template <class Cell>
constexpr SectionGroups section_groups() {
  constexpr bool gru = Cell::gates == 3 && !Cell::has_cell_state;
  const auto kind = [](int gate) { return gru ? gate / 2 : 0; };  // of r z n: 0 0 1
  SectionGroups all;
  for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
    const Section& section = Cell::sections[s];
    for (int first = 0, end = 0; first < section.blocks; first = end) {
      while (end < section.blocks && kind(section.gates[end]) == kind(section.gates[first])) ++end;
      const bool begins =
          s == 0 || section.first + first >= Cell::sections[0].first + Cell::sections[0].blocks;
      all.groups[all.count] = {s, {section.first + first, end - first, all.count}, begins};
      ++all.count;
    }
  }
  return all;
}

// The products of one section alone, from zero: no biases, no cells.
template <class Cell, class T>
void multiply_sums(const PanelLayout<Cell, T>& layout, int index, const T* panels, Blocked<const T> source,
                   Blocked<const T> words, Range rows, Blocked<T> sums, Order order) {
  constexpr Index width = lane_width<T>;
  const Section& section = Cell::sections[index];
  const WeightFormat format = layout.size.format;
  for_each_group<T>(
      section, layout.size.hidden_size,
      [&](Index first, Index count) {
        const T* panel = panels + layout.forward_section(index) + first * layout.forward_block(index);
        with_packets(count * section.blocks, [&](auto packets) {
          using Shape = TileShape<packets, packets>;
          for_each_part(rows, Shape::tallest(panel_format(format)), [&](Index row, Index height) {
            Product<T> product =
                forward_product<T>(source, row, layout.size.of(section.source), {panel, packets * width});
            if (format == WeightFormat::dot) product = in_pairs(words, row, product);
            multiply_forward_tile<Cell, Shape, T>(
                format, height,
                {{},
                 product,
                 {},
                 {sums.at(first, row) + section.first * width, sums.row_stride,
                  section.blocks == 1 ? sums.block_stride : width}});
          });
        });
      },
      order);
}

// The output of cells with c, h = o f(LN(c)), which their own arithmetic knows without LN.
template <class T>
struct NormalisedOutput {
  static constexpr Index width = lane_width<T>;

  NormalisedRows<T> c;
  Blocked<const T> gain, shift;
  Blocked<T> gates;
  int o_place;

  template <class Functions>
  void forward(const Functions& functions, Blocked<T> h, Range rows) const {
    normalise(c, rows, gain, shift, h);
    for (Index unit = 0; unit < lane_blocks<T>(c.features); ++unit) {
      for_each_row_group<Functions::most_rows>(rows, [&](auto n, Index row) FASTRNN_LAMBDA {
        const auto o = load_rows<n>(gates.at(unit, row) + o_place * width, gates.row_stride);
        T* const target = h.at(unit, row);
        store_rows<n>(target, h.row_stride, o * functions.output(load_rows<n>(target, h.row_stride)));
      });
    }
  }

  // From dh: dh becomes the gradient of o's pre-activation; dc gets what h, and o through the peephole p_o
  // (or null), add to it; dnormalised becomes the gradient of LN(c).
  template <class Functions>
  void backward(const Functions& functions, Blocked<T> dh, Blocked<T> dc, Blocked<T> dnormalised,
                Blocked<const T> p_o, Range rows) const {
    for (Index unit = 0; unit < lane_blocks<T>(c.features); ++unit) {
      for_each_row_group<Functions::most_rows>(rows, [&](auto n, Index row) FASTRNN_LAMBDA {
        using V = side_by_side<T, n>;
        const T* statistics = c.statistics.at(0, row) + 2 * c.group.place;
        const V mean = broadcast_rows<n>(statistics, c.statistics.row_stride),
                inverse = broadcast_rows<n>(statistics + 1, c.statistics.row_stride);
        const V normalised = (load_rows<n>(c.numbers.at(unit, row), c.numbers.row_stride) - mean) * inverse;
        const V output =
            functions.output(multiply_add(load_rows<n>(gain.at(unit, row), gain.row_stride), normalised,
                                          load_rows<n>(shift.at(unit, row), shift.row_stride)));
        const V d = load_rows<n>(dh.at(unit, row), dh.row_stride),
                o = load_rows<n>(gates.at(unit, row) + o_place * width, gates.row_stride);
        const V da_o = d * output * functions.gate.derivative(o);
        store_rows<n>(dnormalised.at(unit, row), dnormalised.row_stride,
                      d * o * functions.output.derivative(output));
        store_rows<n>(dh.at(unit, row), dh.row_stride, da_o);
        if (!p_o.data) return;
        T* const sum = dc.at(unit, row);
        store_rows<n>(sum, dc.row_stride,
                      multiply_add(da_o, load_rows<n>(p_o.at(unit, row), p_o.row_stride),
                                   load_rows<n>(sum, dc.row_stride)));
      });
    }
    normalise_backward(c, rows, gain, constant(dnormalised), dc, true);
  }

  // Moves the gradient of o's pre-activation from dh, which becomes zero, to its place.
  void place_gate(Blocked<T> dh, Range rows) const {
    for (Index unit = 0; unit < lane_blocks<T>(c.features); ++unit) {
      for (Index row = rows.begin; row < rows.end; ++row) {
        store(gates.at(unit, row) + o_place * width, load(dh.at(unit, row)));
        store(dh.at(unit, row), Lanes<T>(T(0)));
      }
    }
  }
};

template <class Cell, class T>
struct NormalisedStep {
  static constexpr Index width = lane_width<T>;
  static constexpr SectionGroups all = section_groups<Cell>();
  using Layout = PanelLayout<Cell, T>;

  // Of the largest tile of a net with so many unit blocks.
  static Index tile_packets(Index units) {
    Index most = 0;
    for (const Section& section : Cell::sections) {
      const Index tiles = (units - 1) / largest_group(section) + 1;
      most = std::max(most, section.blocks * ((units - 1) / tiles + 1));
    }
    return most;
  }

  // The sums W x of some rows, which wait for the step.
  static void take_inputs(LayerDimensions size, const T* panels, const StepViews<T>& views,
                          const NormalisationViews<T>& norm, Range rows, Order order) {
    multiply_sums<Cell, T>(Layout{size}, 0, panels, constant(views.x), constant(views.x_words), rows,
                           norm.input_sums, order);
  }

  static void forward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                      const NormalisationViews<T>& norm, Range rows, Products products, Order order) {
    const Layout layout{size};
    if (products == Products::both) take_inputs(size, panels, views, norm, rows, order);
    if constexpr (has_hidden_product<Cell>)
      multiply_sums<Cell, T>(layout, 1, panels, constant(views.h_source), constant(views.h_prev_words), rows,
                             norm.hidden_sums, order);
    const Range units = all_blocks<T>(size.hidden_size);
    for_each_part(rows, band_rows, [&](Index row, Index height) {
      const Range part{row, row + height};
      normalise_sections(layout, panels, views, norm, {0, 2}, part);
      if constexpr (has_reset_hidden<Cell>)
        Step<Cell, T>::compute_gates(views, units, part);
      else
        Step<Cell, T>::compute_cells(layout, panels, views, units, part, views.gates);
      if constexpr (Cell::has_cell_state) {
        const NormalisedOutput<T> h = output(layout, panels + layout.forward_normalisation(), views, norm);
        with_functions(views, [&](const auto& functions) { h.forward(functions, views.h, part); });
        round_to_words(views.h, part, units, views.h_words);
      }
    });
    if constexpr (has_reset_hidden<Cell>) {
      multiply_sums<Cell, T>(layout, 2, panels, constant(views.reset_hidden), {}, rows, norm.hidden_sums,
                             order);
      normalise_sections(layout, panels, views, norm, {2, 3}, rows);
      Step<Cell, T>::compute_candidate(views, units, rows);
    }
  }

  static void backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                       const NormalisationViews<T>& norm, const GradientViews<T>& d,
                       const NormalisationGradients<T>& dnorm, Range rows, Order order) {
    const Layout layout{size};
    const Range units = all_blocks<T>(size.hidden_size), columns = all_blocks<T>(size.state_size());
    if constexpr (has_reset_hidden<Cell>) {
      Step<Cell, T>::compute_candidate_gradients(size, views, d, units, rows);
      sections_backward(layout, panels, views, norm, dnorm.hidden_sums, {2, 3}, rows);
      multiply_backward<Cell, T>(layout, 2,
                                 {panels, constant(dnorm.hidden_sums), rows, units, d.dreset_hidden});
      Step<Cell, T>::compute_reset_gradients(size, views, d, units, rows);
    } else if constexpr (Cell::has_cell_state) {
      const NormalisedOutput<T> h = output(layout, panels + layout.backward_normalisation(), views, norm);
      Blocked<const T> p_o{};
      if constexpr (!Cell::unit_weights.empty()) {
        p_o = layout.unit_weights(panels);
        p_o.data += Cell::p_o * width;
      }
      with_functions(views, [&](const auto& functions) {
        h.backward(functions, d.dh, d.dc, dnorm.cell_output, p_o, rows);
      });
      // All of dh has gone into o and c.
      alignas(alignment) T zeros[width] = {};
      GradientViews<T> rest = d;
      rest.dh = {zeros, 0, 0};
      Step<Cell, T>::compute_gradients(layout, panels, views, rest, units, rows);
      h.place_gate(d.dh, rows);
      clear_padded_units(views.gates, {0, Cell::blocks}, size.hidden_size, units, rows);
    } else {
      Step<Cell, T>::compute_gradients(layout, panels, views, d, units, rows);
      clear_padded_units(views.gates, {0, Cell::blocks}, size.hidden_size, units, rows);
    }
    if constexpr (has_hidden_product<Cell>) {
      sections_backward(layout, panels, views, norm, dnorm.hidden_sums, {1, 2}, rows);
      const bool add = has_reset_hidden<Cell> || !d.separate();
      multiply_backward<Cell, T>(
          layout, 1, {panels, constant(dnorm.hidden_sums), rows, columns, d.dh_source, add, order});
    }
  }

  // The gradients of W x from those of the gates.
  static void input_backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                             const NormalisationViews<T>& norm, Blocked<T> dinput_sums, Range rows) {
    sections_backward(Layout{size}, panels, views, norm, dinput_sums, {0, 1}, rows);
  }

  // Adds a step's rows to the gains' part of a gradient panel, and to c's shift's, for some unit blocks.
  static void sum_gradients(LayerDimensions size, const StepViews<T>& views,
                            const NormalisationViews<T>& norm, Blocked<T> dcell_output, Index rows,
                            Stripe units, T* panels) {
    const Layout layout{size};
    const NormalisationPanel<T> gradients = layout.normalisation(panels + layout.forward_normalisation());
    for (Index unit = units.index; unit < layout.units(); unit += units.count) {
      for (int g = 0; g < all.count; ++g) {
        const SectionGroup& group = all.groups[g];
        sum_gain_gradient(numbers(size, norm, group), unit, rows, constant(views.gates),
                          group.section == 0 ? gradients.gain_ih : gradients.gain_hh);
      }
      if constexpr (Cell::has_cell_state) {
        sum_gain_gradient(cell_numbers(size, views, norm), unit, rows, constant(dcell_output),
                          gradients.gain_c);
        T* const shift = gradients.shift_c.at(unit, 0);
        Lanes<T> sum = load<T>(shift);
        for (Index row = 0; row < rows; ++row) sum = sum + load<T>(dcell_output.at(unit, row));
        store(shift, sum);
      }
    }
  }

 private:
  static NormalisedRows<T> numbers(LayerDimensions size, const NormalisationViews<T>& norm,
                                   const SectionGroup& group) {
    return {constant(group.section == 0 ? norm.input_sums : norm.hidden_sums), group.group, size.hidden_size,
            norm.statistics};
  }
  static NormalisedRows<T> cell_numbers(LayerDimensions size, const StepViews<T>& views,
                                        const NormalisationViews<T>& norm) {
    return {constant(views.c), {0, 1, all.count}, size.hidden_size, norm.statistics};
  }

  static NormalisedOutput<T> output(const Layout& layout, const T* parameters, const StepViews<T>& views,
                                    const NormalisationViews<T>& norm) {
    const NormalisationPanel<const T> panel = layout.normalisation(parameters);
    return {cell_numbers(layout.size, views, norm), panel.gain_c, panel.shift_c, views.gates, Cell::o_place};
  }

  // Normalises the sums of some sections, and adds them up in the gates.
  static void normalise_sections(const Layout& layout, const T* panels, const StepViews<T>& views,
                                 const NormalisationViews<T>& norm, Range sections, Range rows) {
    const NormalisationPanel<const T> gains = layout.normalisation(panels + layout.forward_normalisation());
    for (int g = 0; g < all.count; ++g) {
      const SectionGroup& group = all.groups[g];
      if (group.section < sections.begin || group.section >= sections.end) continue;
      normalise(numbers(layout.size, norm, group), rows, group.section == 0 ? gains.gain_ih : gains.gain_hh,
                group.begins ? layout.biases(panels) : constant(views.gates), views.gates);
    }
  }

  // The gradients of some sections' sums from those of the gates.
  static void sections_backward(const Layout& layout, const T* panels, const StepViews<T>& views,
                                const NormalisationViews<T>& norm, Blocked<T> dsums, Range sections,
                                Range rows) {
    const NormalisationPanel<const T> gains = layout.normalisation(panels + layout.backward_normalisation());
    for (int g = 0; g < all.count; ++g) {
      const SectionGroup& group = all.groups[g];
      if (group.section < sections.begin || group.section >= sections.end) continue;
      normalise_backward(numbers(layout.size, norm, group), rows,
                         group.section == 0 ? gains.gain_ih : gains.gain_hh, constant(views.gates), dsums);
    }
  }
};

}  // namespace fastrnn
