// One time step of any cell whose products can all be taken at once.
#pragma once

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

template <class T>
FASTRNN_INLINE Blocked<const T> constant(Blocked<T> b) {
  return {b.data, b.block_stride, b.row_stride};
}

template <class Cell, class T>
struct Step {
  static constexpr Index width = lane_width<T>;
  static constexpr bool steps_need_gates = false;

  static void forward(LayerDimensions size, const T* panels, const StepViews<T>& views, Range rows) {
    const PanelLayout<Cell, T> layout{size};
    for_each_group<T>(Cell::sections[0], size.hidden_size, [&](Index first, Index count) {
      if constexpr (Cell::blocks == 1) {
        with_packets(count, [&](auto packets) {
          forward_group<TileShape<packets, packets, 0, packets>>(layout, panels, views, rows, first);
        });
      } else {
        constexpr Section input = Cell::sections[0], hidden = Cell::sections[1];
        static_assert(input.first == 0);
        forward_group<TileShape<Cell::blocks, input.blocks, hidden.first, hidden.blocks>>(layout, panels,
                                                                                          views, rows, first);
      }
    });
  }

  static void backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                       const GradientViews<T>& d, Range rows) {
    const PanelLayout<Cell, T> layout{size};
    for (Index unit = 0; unit < layout.units(); ++unit) {
      for (Index row = rows.begin; row < rows.end; ++row) backward_cell(views, d, unit, row);
    }
    multiply_backward<Cell, T>(layout, 1, panels, constant(views.gates), rows, true, d.dh);
  }

 private:
  // All rows for the unit blocks of one tile, from block `first` on.
  template <class Shape>
  static void forward_group(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                            Range rows, Index first) {
    constexpr Index tallest = tile_rows(Shape::packets);
    alignas(alignment) T scratch[tallest * Shape::packets * width];
    const T* bias = panels + first * Cell::blocks * width;
    const T* input = panels + layout.forward_section(0) + first * layout.forward_block(0);
    const T* hidden = panels + layout.forward_section(1) + first * layout.forward_block(1);
    for_each_part(rows, tallest, [&](Index row, Index height) {
      Sums<T> sums{scratch, Shape::packets * width};
      if (views.gates.data) {
        sums = {views.gates.at(first, row), views.gates.row_stride,
                Cell::blocks == 1 ? views.gates.block_stride : width};
      }
      multiply_tile<Shape>(
          height, {bias, 0},
          forward_product(constant(views.x), row, layout.size.input_size, input, Shape::first * width),
          forward_product(constant(views.h_prev), row, layout.size.hidden_size, hidden,
                          Shape::second * width),
          sums);
      for (Index m = 0; m < height; ++m) {
        for (Index unit = 0; unit < Shape::packets / Cell::blocks; ++unit) {
          forward_cell(views, first + unit, row + m,
                       sums.data + m * sums.row_stride + unit * Cell::blocks * sums.packet_stride);
        }
      }
    });
  }

  static FASTRNN_INLINE void forward_cell(const StepViews<T>& views, Index unit, Index row, T* gates) {
    std::array<Lanes<T>, Cell::blocks> a;
    unroll<Cell::blocks>([&](auto b) FASTRNN_LAMBDA { a[b] = load(gates + b * width); });
    State<Lanes<T>> state;
    state.h = load(views.h_prev.at(unit, row));
    if constexpr (Cell::has_cell_state) state.c = load(views.c_prev.at(unit, row));
    Cell::forward(a, state);
    store(views.h.at(unit, row), state.h);
    if constexpr (Cell::has_cell_state) store(views.c.at(unit, row), state.c);
    if (views.gates.data)
      unroll<Cell::blocks>([&](auto b) FASTRNN_LAMBDA { store(gates + b * width, a[b]); });
  }

  static FASTRNN_INLINE void backward_cell(const StepViews<T>& views, const GradientViews<T>& d, Index unit,
                                           Index row) {
    T* gates = views.gates.at(unit, row);
    std::array<Lanes<T>, Cell::blocks> a;
    unroll<Cell::blocks>([&](auto b) FASTRNN_LAMBDA { a[b] = load(gates + b * width); });
    BackwardState<Lanes<T>> state;
    state.h_prev = load(views.h_prev.at(unit, row));
    state.dh = load(d.dh.at(unit, row));
    if constexpr (Cell::has_cell_state) {
      state.c_prev = load(views.c_prev.at(unit, row));
      state.c = load(views.c.at(unit, row));
      state.dc = load(d.dc.at(unit, row));
    }
    Cell::backward(a, state);
    unroll<Cell::blocks>([&](auto b) FASTRNN_LAMBDA { store(gates + b * width, a[b]); });
    store(d.dh.at(unit, row), state.dh);
    if constexpr (Cell::has_cell_state) store(d.dc.at(unit, row), state.dc);
  }
};

}  // namespace fastrnn
