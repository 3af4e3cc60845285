// One time step of any cell whose products can all be taken at once.
#pragma once

#include "pair.hpp"
#include "products.hpp"

namespace fastrnn {

// What a step reads and writes, for all rows of the batch.
template <class T>
struct StepViews {
  Blocked<T> x;             // (N, I)
  Blocked<T> h_prev;        // (N, H)
  Blocked<T> c_prev;        // (N, H) where the cell has c
  Blocked<T> h;             // (N, H)
  Blocked<T> c;             // (N, H) where the cell has c
  Blocked<T> gates;         // (N, H, blocks); activations, then gradients; null data: not kept
  Blocked<T> reset_hidden;  // (N, H) r * h_prev, where the cell needs it
};

// The gradients that travel from step to step.
template <class T>
struct GradientViews {
  Blocked<T> dh;             // (N, H) in: of h; out: of h_prev
  Blocked<T> dc;             // (N, H) likewise, where the cell has c
  Blocked<T> dreset_hidden;  // (N, H) scratch, where the cell needs it
};

// Rows whose sums are complete before their cells are computed: enough that the cells' chains of dependent
// arithmetic overlap, few enough that the sums (8 kB for four packets of 64 bytes) stay in L1 beside a panel.
inline constexpr Index band_rows = 24;

// Calls visit(constant number of rows, first row) for groups of rows whose cells are computed side by side.
template <class Visit>
FASTRNN_INLINE void for_each_row_group(Range rows, Visit&& visit) {
  Index row = rows.begin;
  for (; row + 4 <= rows.end; row += 4) visit(std::integral_constant<int, 4>{}, row);
  if (row + 2 <= rows.end) {
    visit(std::integral_constant<int, 2>{}, row);
    row += 2;
  }
  if (row < rows.end) visit(std::integral_constant<int, 1>{}, row);
}

template <class T>
FASTRNN_INLINE Blocked<const T> constant(Blocked<T> b) {
  return {b.data, b.block_stride, b.row_stride};
}

template <class T>
FASTRNN_INLINE Blocked<T> transposed(Blocked<T> b) {
  return {b.data, b.row_stride, b.block_stride};
}

// Which products a forward step takes. The input's part can be taken before, for many steps at once; it then
// waits in the place of the gates. Either way each sum is the same sequence of roundings.
enum class Products { both, input, hidden };

template <class Cell, class T>
struct Step {
  static constexpr Index width = lane_width<T>;
  static constexpr bool steps_need_gates = false;

  // The member's units; all of h_prev must be there, as must x or the sums in the place of the gates.
  static void forward(LayerDimensions size, const T* panels, const StepViews<T>& views, Range rows,
                      const Member& member, Products products) {
    const PanelLayout<Cell, T> layout{size};
    for_each_own_group<T>(Cell::sections[0], size.hidden_size, member, [&](Index first, Index count) {
      if constexpr (Cell::blocks == 1) {
        with_packets(count, [&](auto packets) {
          forward_group<TileShape<packets, packets, 0, packets>>(layout, panels, views, rows, first,
                                                                 products);
        });
      } else {
        constexpr Section input = Cell::sections[0], hidden = Cell::sections[1];
        static_assert(input.first == 0);
        forward_group<TileShape<Cell::blocks, input.blocks, hidden.first, hidden.blocks>>(
            layout, panels, views, rows, first, products);
      }
    });
  }

  // The units of the member's column blocks; ends with dh of the same units, so that the member itself goes
  // on with them.
  static void backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                       const GradientViews<T>& d, Range rows, const Member& member) {
    const PanelLayout<Cell, T> layout{size};
    const Range own = own_columns<T>(size.hidden_size, member);
    for (Index unit = own.begin; unit < own.end; ++unit) {
      for_each_row_group(rows, [&](auto n, Index row) { backward_cells<n>(views, d, unit, row); });
    }
    member.wait();
    multiply_backward<Cell, T>(layout, 1, panels, constant(views.gates), rows, own, true, d.dh);
  }

 private:
  // All rows for the unit blocks of one tile, from block `first` on.
  template <class Shape>
  static void forward_group(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                            Range rows, Index first, Products products) {
    constexpr Index tallest = tile_rows(Shape::packets);
    constexpr Index units = Shape::packets / Cell::blocks;
    alignas(alignment) T scratch[band_rows * Shape::packets * width];
    const T* bias = panels + first * Cell::blocks * width;
    const T* input = panels + layout.forward_section(0) + first * layout.forward_block(0);
    const T* hidden = panels + layout.forward_section(1) + first * layout.forward_block(1);
    const Index inputs = products == Products::hidden ? 0 : layout.size.input_size;
    const Index hiddens = products == Products::input ? 0 : layout.size.hidden_size;
    for_each_part(rows, band_rows, [&](Index band, Index count) {
      Sums<T> sums{scratch, Shape::packets * width};
      if (views.gates.data) {
        sums = {views.gates.at(first, band), views.gates.row_stride,
                Cell::blocks == 1 ? views.gates.block_stride : width};
      }
      for_each_part({0, count}, tallest, [&](Index row, Index height) {
        const Sums<T> result{sums.data + row * sums.row_stride, sums.row_stride, sums.packet_stride};
        Sums<const T> start{bias, 0};
        if (products == Products::hidden) start = {result.data, result.row_stride, result.packet_stride};
        multiply_tile<Shape>(
            height, start,
            forward_product(constant(views.x), band + row, inputs, input, Shape::first * width),
            forward_product(constant(views.h_prev), band + row, hiddens, hidden, Shape::second * width),
            result);
      });
      if (products == Products::input) return;
      // As if all units and rows had their sums there: at(unit, row) of this group and band.
      const Index unit_stride = Cell::blocks * sums.packet_stride;
      const Blocked<T> gates{sums.data - first * unit_stride - band * sums.row_stride, unit_stride,
                             sums.row_stride};
      const Range own_rows{band, band + count}, own{first, first + units};
      if (Cell::blocks == 1 && count < units) {  // more units than rows: units side by side
        const StepViews<T> swapped{{}, transposed(views.h_prev), {}, transposed(views.h), {}, views.gates,
                                   {}};
        for (Index row = own_rows.begin; row < own_rows.end; ++row)
          forward_cells(swapped, row, own, transposed(gates));
      } else {
        for (Index unit = own.begin; unit < own.end; ++unit) forward_cells(views, unit, own_rows, gates);
      }
    });
  }

  static void forward_cells(const StepViews<T>& views, Index unit, Range rows, Blocked<T> gates) {
    for_each_row_group(rows, [&](auto n, Index row) FASTRNN_LAMBDA {
      forward_cells<n>(views, unit, row, gates.at(unit, row), gates.row_stride);
    });
  }

  template <int n>
  static FASTRNN_INLINE void forward_cells(const StepViews<T>& views, Index unit, Index row, T* gates,
                                           Index gates_stride) {
    using V = side_by_side<T, n>;
    std::array<V, Cell::blocks> a;
    unroll<Cell::blocks>([&](auto b)
                             FASTRNN_LAMBDA { a[b] = load_rows<n>(gates + b * width, gates_stride); });
    State<V> state;
    state.h = load_rows<n>(views.h_prev.at(unit, row), views.h_prev.row_stride);
    if constexpr (Cell::has_cell_state)
      state.c = load_rows<n>(views.c_prev.at(unit, row), views.c_prev.row_stride);
    Cell::forward(a, state);
    store_rows<n>(views.h.at(unit, row), views.h.row_stride, state.h);
    if constexpr (Cell::has_cell_state) store_rows<n>(views.c.at(unit, row), views.c.row_stride, state.c);
    if (views.gates.data) {
      unroll<Cell::blocks>([&](auto b)
                               FASTRNN_LAMBDA { store_rows<n>(gates + b * width, gates_stride, a[b]); });
    }
  }

  template <int n>
  static FASTRNN_INLINE void backward_cells(const StepViews<T>& views, const GradientViews<T>& d, Index unit,
                                            Index row) {
    using V = side_by_side<T, n>;
    T* gates = views.gates.at(unit, row);
    const Index gates_stride = views.gates.row_stride;
    std::array<V, Cell::blocks> a;
    unroll<Cell::blocks>([&](auto b)
                             FASTRNN_LAMBDA { a[b] = load_rows<n>(gates + b * width, gates_stride); });
    BackwardState<V> state;
    state.h_prev = load_rows<n>(views.h_prev.at(unit, row), views.h_prev.row_stride);
    state.dh = load_rows<n>(d.dh.at(unit, row), d.dh.row_stride);
    if constexpr (Cell::has_cell_state) {
      state.c_prev = load_rows<n>(views.c_prev.at(unit, row), views.c_prev.row_stride);
      state.c = load_rows<n>(views.c.at(unit, row), views.c.row_stride);
      state.dc = load_rows<n>(d.dc.at(unit, row), d.dc.row_stride);
    }
    Cell::backward(a, state);
    unroll<Cell::blocks>([&](auto b)
                             FASTRNN_LAMBDA { store_rows<n>(gates + b * width, gates_stride, a[b]); });
    store_rows<n>(d.dh.at(unit, row), d.dh.row_stride, state.dh);
    if constexpr (Cell::has_cell_state) store_rows<n>(d.dc.at(unit, row), d.dc.row_stride, state.dc);
  }
};

}  // namespace fastrnn
