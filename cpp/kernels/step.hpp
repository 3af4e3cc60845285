// One time step of any cell whose products can all be taken at once.
#pragma once

#include "cells/functions.hpp"
#include "pair.hpp"
#include "products.hpp"

namespace fastrnn {

// What a step reads and writes, for all rows of the batch.
template <class T>
struct StepViews {
  Blocked<T> x;             // (N, I)
  Blocked<T> h_prev;        // (N, S)
  Blocked<T> c_prev;        // (N, H) where the cell has c
  Blocked<T> h;             // (N, H) what the cell computes of h and c
  Blocked<T> c;             // (N, H) where the cell has c
  Blocked<T> gates;         // (N, H, blocks); activations, then gradients; null data: not kept
  Blocked<T> reset_hidden;  // (N, H) r * h_prev, where the cell needs it
  // x, h_prev and h rounded to bfloat16, two in each number; only for WeightFormat::dot.
  Blocked<T> x_words{};
  Blocked<T> h_prev_words{};
  Blocked<T> h_words{};
  Blocked<T> h_source{};  // (N, S) h_prev as it enters products: with the recurrent mask
  Blocked<T> h_next{};    // (N, S) the states after the step, once options have acted: otherwise h and c
  Blocked<T> c_next{};    // (N, H)
  const ChosenFunctions<T>* functions = nullptr;  // null: PlainFunctions
};

// The h_prev that a cell itself reads: what enters its product where that is one weight per unit.
template <class Cell, class T>
FASTRNN_INLINE const Blocked<T>& h_of(const StepViews<T>& views) {
  return has_hidden_product<Cell> ? views.h_prev : views.h_source;
}

// The gradients that travel from step to step.
template <class T>
struct GradientViews {
  Blocked<T> dh;             // (N, H) in: of h; out: of h_prev
  Blocked<T> dc;             // (N, H) likewise, where the cell has c
  Blocked<T> dreset_hidden;  // (N, H) scratch, where the cell needs it
  Blocked<T> dh_source;      // (N, S) out: of h_source; dh itself where products read h_prev as it is

  bool separate() const { return dh_source.data != dh.data; }
};

// Rows whose sums are complete before their cells are computed, and packets of sums: enough that the cells'
// chains of dependent arithmetic overlap, few enough that the sums (6 kB with 64 bytes a packet) stay in L1
// beside a panel. Where there are fewer rows, several unit blocks fill the packets.
inline constexpr Index band_rows = 24;
inline constexpr Index band_packets = band_rows * group_blocks;

// Calls visit(the step's functions), once per loop over rows.
template <class T, class Visit>
FASTRNN_INLINE void with_functions(const StepViews<T>& views, const Visit& visit) {
  if (__builtin_expect(views.functions == nullptr, 1))
    visit(PlainFunctions{});
  else
    visit(*views.functions);
}

template <class T>
FASTRNN_INLINE Blocked<T> transposed(Blocked<T> b) {
  return {b.data, b.row_stride, b.block_stride};
}

// Which products a forward step takes. The input's part can be taken before, for many steps at once; it then
// waits in the place of the gates. Either way each sum is the same sequence of roundings.
enum class Products { both, input, hidden };

// Zeroes the lanes behind the last unit in some of the gates' gradients, if it is one of `units`: an infinite
// input makes NaN of them, which BPTT's products over whole registers would give to all units.
template <class T>
void clear_padded_units(Blocked<T> gates, Range packets, Index hidden_size, Range units, Range rows) {
  const Index lanes = hidden_size % lane_width<T>, last = lane_blocks<T>(hidden_size) - 1;
  if (lanes == 0 || last < units.begin || last >= units.end) return;
  for (Index row = rows.begin; row < rows.end; ++row) {
    for (Index p = packets.begin; p < packets.end; ++p)
      std::fill(gates.at(last, row) + p * lane_width<T> + lanes,
                gates.at(last, row) + (p + 1) * lane_width<T>, T(0));
  }
}

template <class Cell, class T>
struct Step {
  static constexpr Index width = lane_width<T>;
  static constexpr bool steps_need_gates = false;

  // Unit blocks that share a tile of the forward step, at most: two where there are few rows, unless that
  // costs the step its use of what is left in L1, where there is room for one block's weights but not for
  // two.
  static Index units_in_tile(LayerDimensions size, Index rows, Products products) {
    if constexpr (Cell::blocks == 1) {
      return group_blocks;
    } else {
      if (rows > rows_of_two_groups) return 1;
      constexpr Index room = 24 * 1024 / sizeof(T);
      const PanelLayout<Cell, T> layout{size};
      const Index block = (products == Products::hidden ? 0 : layout.forward_block(0)) +
                          (products == Products::input ? 0 : layout.forward_block(1));
      return 2 * block <= room || block > room ? 2 : 1;
    }
  }

  // The member's units; all of h_prev must be there, as must x or the sums in the place of the gates.
  static void forward(LayerDimensions size, const T* panels, const StepViews<T>& views, Range rows,
                      const Member& member, Products products, Order order) {
    constexpr Section section = Cell::sections[0];
    const PanelLayout<Cell, T> layout{size};
    const Index band = std::min(rows.end - rows.begin, band_rows);
    const Range own = own_units<T>(section, size.hidden_size, member);
    alignas(alignment) T scratch[band_packets * width];
    Range units{};  // those whose sums wait for their cells
    const auto take_tile = [&](Index first, Index count) {
      const bool begins = units.begin == units.end;
      units = begins ? Range{first, first + count}
                     : Range{std::min(units.begin, first), std::max(units.end, first + count)};
      const Index room_for = units.end - units.begin + largest_tile;
      const bool last = order == Order::ascending ? units.end == own.end : units.begin == own.begin;
      const bool full = last || room_for * band * Cell::blocks > band_packets;
      for_each_part(rows, band_rows, [&](Index row, Index height) {
        const Range part{row, row + height};
        const Blocked<T> sums = views.gates.data ? views.gates : sums_in(scratch, units, part, order);
        multiply_units(layout, panels, views, part, first, count, products, sums);
        if (full && products != Products::input) compute_cells(layout, panels, views, units, part, sums);
      });
      if (full) units = {};
    };
    if constexpr (Cell::blocks == 1) {
      for_each_own_group<T>(section, size.hidden_size, member, take_tile, order);
    } else {
      for_each_part(own, units_in_tile(size, rows.end - rows.begin, products), take_tile, order);
    }
  }

  // The units of the member's column blocks; ends with dh of the same units, so that the member itself goes
  // on with them.
  static void backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                       const GradientViews<T>& d, Range rows, const Member& member, Order order) {
    const PanelLayout<Cell, T> layout{size};
    const Range own = own_columns<T>(size.hidden_size, member);
    compute_gradients(layout, panels, views, d, own, rows);
    clear_padded_units(views.gates, {0, Cell::blocks}, size.hidden_size, own, rows);
    if constexpr (has_hidden_product<Cell>) {
      member.wait();
      const Range columns = own_columns<T>(size.state_size(), member);
      multiply_backward<Cell, T>(
          layout, 1, {panels, constant(views.gates), rows, columns, d.dh_source, !d.separate(), order});
    }
  }

  // The cells of some units and rows, from their sums in `gates`.
  static void compute_cells(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                            Range units, Range rows, Blocked<T> gates) {
    with_functions(views, [&](const auto& functions) FASTRNN_LAMBDA {
      forward_cells(functions, views, units, rows, gates,
                    layout.unit_weights(panels + layout.forward_unit_weights()));
    });
  }

  // From the gradients of their states to those of the gates.
  static void compute_gradients(const PanelLayout<Cell, T>& layout, const T* panels,
                                const StepViews<T>& views, const GradientViews<T>& d, Range units,
                                Range rows) {
    with_functions(views, [&](const auto& functions) FASTRNN_LAMBDA {
      constexpr int most_rows = std::decay_t<decltype(functions)>::most_rows;
      for (Index unit = units.begin; unit < units.end; ++unit) {
        for_each_row_group<most_rows>(rows, [&](auto n, Index row) FASTRNN_LAMBDA {
          backward_cells<n>(functions, views, d, unit, row, layout.unit_weights(panels));
        });
      }
    });
  }

 private:
  // `scratch` as the place of the gates of some rows and units, which grow in the order given.
  static Blocked<T> sums_in(T* scratch, Range units, Range rows, Order order) {
    constexpr Index row_stride = Cell::blocks * width;
    const Index unit_stride = (rows.end - rows.begin) * row_stride;
    const Blocked<T> up{scratch - units.begin * unit_stride - rows.begin * row_stride, unit_stride,
                        row_stride};
    if (order == Order::ascending) return up;
    return {scratch + (units.end - 1) * unit_stride - rows.begin * row_stride, -unit_stride, row_stride};
  }

  // Unit blocks of the largest tile.
  static constexpr Index largest_tile = Cell::blocks == 1 ? group_blocks : 2;

  // The sums of unit blocks [first, first + count), which share a tile.
  static void multiply_units(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                             Range rows, Index first, Index count, Products products, Blocked<T> sums) {
    if constexpr (Cell::blocks == 1) {
      with_packets(count, [&](auto packets) {
        constexpr int second = has_hidden_product<Cell> ? packets : 0;
        multiply_units<TileShape<packets, packets, 0, second>>(layout, panels, views, rows, first, products,
                                                               sums);
      });
    } else {
      constexpr Section input = Cell::sections[0], hidden = Cell::sections[1];
      static_assert(input.first == 0);
      using One = TileShape<Cell::blocks, input.blocks, hidden.first, hidden.blocks>;
      using Two = TileShape<Cell::blocks, input.blocks, hidden.first, hidden.blocks, 2>;
      if (count == 1)
        multiply_units<One>(layout, panels, views, rows, first, products, sums);
      else
        multiply_units<Two>(layout, panels, views, rows, first, products, sums);
    }
  }

  template <class Shape>
  static void multiply_units(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                             Range rows, Index first, Products products, Blocked<T> sums) {
    const Index inputs = products == Products::hidden ? 0 : layout.size.input_size;
    const Index hiddens = products == Products::input ? 0 : layout.size.state_size();
    const T* input = panels + layout.forward_section(0) + first * layout.forward_block(0);
    const T* hidden = input;
    if constexpr (has_hidden_product<Cell>)
      hidden = panels + layout.forward_section(1) + first * layout.forward_block(1);
    else if (products == Products::hidden)
      return;
    const Sums<const T> bias{panels + first * Cell::blocks * width, 0, width, Cell::blocks * width};
    const Index packet_stride = Cell::blocks == 1 ? sums.block_stride : width;
    for_each_part(rows, Shape::tallest(panel_format(layout.size.format)), [&](Index row, Index height) {
      const Sums<T> result{sums.at(first, row), sums.row_stride, packet_stride, sums.block_stride};
      const Sums<const T> before{result.data, result.row_stride, packet_stride, sums.block_stride};
      auto from_x = forward_product<T>(constant(views.x), row, inputs,
                                       {input, Shape::first * width, layout.forward_block(0)});
      Product<T> from_h;
      if constexpr (has_hidden_product<Cell>)
        from_h = forward_product<T>(constant(views.h_source), row, hiddens,
                                    {hidden, Shape::second * width, layout.forward_block(1)});
      if (layout.size.format == WeightFormat::dot) {
        from_x = in_pairs(constant(views.x_words), row, from_x);
        from_h = in_pairs(constant(views.h_prev_words), row, from_h);
      }
      multiply_forward_tile<Cell, Shape, T>(
          layout.size.format, height, {products == Products::hidden ? before : bias, from_x, from_h, result});
    });
  }

  // Rows side by side, or where there are few, units.
  template <class Functions>
  static void forward_cells(const Functions& functions, const StepViews<T>& views, Range units, Range rows,
                            Blocked<T> gates, const Blocked<const T>& weights) {
    const Index row_count = rows.end - rows.begin;
    if (row_count < 4 && row_count < units.end - units.begin) {
      const StepViews<T> swapped{{},
                                 transposed(views.h_prev),
                                 transposed(views.c_prev),
                                 transposed(views.h),
                                 transposed(views.c),
                                 views.gates,
                                 {},
                                 {},
                                 {},
                                 transposed(views.h_words),
                                 transposed(views.h_source)};
      for (Index row = rows.begin; row < rows.end; ++row)
        forward_cells(functions, swapped, row, units, transposed(gates), transposed(weights));
    } else {
      for (Index unit = units.begin; unit < units.end; ++unit)
        forward_cells(functions, views, unit, rows, gates, weights);
    }
  }

  template <class Functions>
  static void forward_cells(const Functions& functions, const StepViews<T>& views, Index unit, Range rows,
                            Blocked<T> gates, const Blocked<const T>& weights) {
    for_each_row_group<Functions::most_rows>(rows, [&](auto n, Index row) FASTRNN_LAMBDA {
      forward_cells<n>(functions, views, unit, row, gates, weights);
    });
  }

  // The lanes of the unit weights, which all rows share.
  template <int n>
  static FASTRNN_INLINE auto load_unit_weights(const Blocked<const T>& weights, Index unit, Index row) {
    UnitWeights<Cell, side_by_side<T, n>> w;
    unroll<static_cast<int>(Cell::unit_weights.size())>([&](auto i) FASTRNN_LAMBDA {
      w[i] = load_rows<n>(weights.at(unit, row) + i * width, weights.row_stride);
    });
    return w;
  }

  template <int n, class Functions>
  static FASTRNN_INLINE void forward_cells(const Functions& functions, const StepViews<T>& views, Index unit,
                                           Index row, Blocked<T> blocked_gates,
                                           const Blocked<const T>& weights) {
    using V = side_by_side<T, n>;
    T* gates = blocked_gates.at(unit, row);
    const Index gates_stride = blocked_gates.row_stride;
    std::array<V, Cell::blocks> a;
    unroll<Cell::blocks>([&](auto b)
                             FASTRNN_LAMBDA { a[b] = load_rows<n>(gates + b * width, gates_stride); });
    State<V> state;
    if constexpr (!Cell::has_cell_state)  // the others' h is not theirs to read: it may be projected
      state.h = load_rows<n>(h_of<Cell>(views).at(unit, row), h_of<Cell>(views).row_stride);
    else
      state.c = load_rows<n>(views.c_prev.at(unit, row), views.c_prev.row_stride);
    if constexpr (Cell::unit_weights.empty())
      Cell::forward(a, state, functions);
    else
      Cell::forward(a, state, functions, load_unit_weights<n>(weights, unit, row));
    store_rows<n>(views.h.at(unit, row), views.h.row_stride, state.h);
    if constexpr (std::is_same_v<T, float>) {
      if (views.h_words.data)
        store_rows_bfloat16<n>(views.h_words.at(unit, row), views.h_words.row_stride, state.h);
    }
    if constexpr (Cell::has_cell_state) store_rows<n>(views.c.at(unit, row), views.c.row_stride, state.c);
    if (views.gates.data) {
      unroll<Cell::blocks>([&](auto b)
                               FASTRNN_LAMBDA { store_rows<n>(gates + b * width, gates_stride, a[b]); });
    }
  }

  template <int n, class Functions>
  static FASTRNN_INLINE void backward_cells(const Functions& functions, const StepViews<T>& views,
                                            const GradientViews<T>& d, Index unit, Index row,
                                            const Blocked<const T>& weights) {
    using V = side_by_side<T, n>;
    T* gates = views.gates.at(unit, row);
    const Index gates_stride = views.gates.row_stride;
    std::array<V, Cell::blocks> a;
    unroll<Cell::blocks>([&](auto b)
                             FASTRNN_LAMBDA { a[b] = load_rows<n>(gates + b * width, gates_stride); });
    BackwardState<V> state;
    if constexpr (!Cell::has_cell_state)
      state.h_prev = load_rows<n>(h_of<Cell>(views).at(unit, row), h_of<Cell>(views).row_stride);
    state.dh = load_rows<n>(d.dh.at(unit, row), d.dh.row_stride);
    if constexpr (Cell::has_cell_state) {
      state.c_prev = load_rows<n>(views.c_prev.at(unit, row), views.c_prev.row_stride);
      state.c = load_rows<n>(views.c.at(unit, row), views.c.row_stride);
      state.dc = load_rows<n>(d.dc.at(unit, row), d.dc.row_stride);
    }
    if constexpr (Cell::unit_weights.empty())
      Cell::backward(a, state, functions);
    else
      Cell::backward(a, state, functions, load_unit_weights<n>(weights, unit, row));
    unroll<Cell::blocks>([&](auto b)
                             FASTRNN_LAMBDA { store_rows<n>(gates + b * width, gates_stride, a[b]); });
    store_rows<n>(d.dh.at(unit, row), d.dh.row_stride, state.dh);
    if constexpr (Cell::has_cell_state) store_rows<n>(d.dc.at(unit, row), d.dc.row_stride, state.dc);
  }
};

}  // namespace fastrnn
