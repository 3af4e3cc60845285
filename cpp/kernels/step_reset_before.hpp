// One time step of the GRU whose reset gate acts before the recurrent product: the candidate's product waits
// for r.
#pragma once

#include "cells/gru_reset_before.hpp"
#include "step.hpp"

namespace fastrnn {

template <class T>
struct Step<GruResetBefore, T> {
  using Cell = GruResetBefore;
  static constexpr Index width = lane_width<T>;
  static constexpr bool steps_need_gates = true;  // the candidate's sums wait there for the second product
  static constexpr Index r = 0, z = 1 * width, n = 2 * width;

  static Index units_in_tile(LayerDimensions, Index, Products) { return 1; }  // of the gates

  static void forward(LayerDimensions size, const T* panels, const StepViews<T>& views, Range rows,
                      const Member& member, Products products, Order) {
    const PanelLayout<Cell, T> layout{size};
    for_each_own_group<T>(Cell::sections[0], size.hidden_size, member, [&](Index unit, Index) {
      forward_gates(layout, panels, views, rows, unit, products);
    });
    if (products == Products::input) return;
    member.wait();
    for_each_own_group<T>(Cell::sections[2], size.hidden_size, member, [&](Index first, Index count) {
      with_packets(count,
                   [&](auto packets) { forward_candidate<packets>(layout, panels, views, rows, first); });
    });
  }

  static void backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                       const GradientViews<T>& d, Range rows, const Member& member, Order order) {
    const PanelLayout<Cell, T> layout{size};
    const Range own = own_columns<T>(size.hidden_size, member);
    compute_candidate_gradients(size, views, d, own, rows);
    member.wait();
    multiply_backward<Cell, T>(layout, 2, {panels, constant(views.gates), rows, own, d.dreset_hidden});
    compute_reset_gradients(size, views, d, own, rows);
    member.wait();
    multiply_backward<Cell, T>(layout, 1,
                               {panels, constant(views.gates), rows, own, d.dh_source, true, order});
  }

  // r, z and r h of some units and rows, from the sums in the gates.
  static void compute_gates(const StepViews<T>& views, Range units, Range rows) {
    for_each(
        views, units, rows, [&](const auto& functions, auto count, Index unit, Index row) FASTRNN_LAMBDA {
          Cells<count> cells(views.gates, unit, row);
          auto r_lanes = cells.load(r), z_lanes = cells.load(z);
          const auto reset_hidden =
              Cell::forward_gates(r_lanes, z_lanes, load_state<count>(views.h_source, unit, row), functions);
          cells.store(r, r_lanes);
          cells.store(z, z_lanes);
          store_state<count>(views.reset_hidden, unit, row, reset_hidden);
        });
  }

  // n and h, likewise.
  static void compute_candidate(const StepViews<T>& views, Range units, Range rows) {
    for_each(views, units, rows,
             [&](const auto& functions, auto count, Index unit, Index row) FASTRNN_LAMBDA {
               Cells<count> cells(views.gates, unit, row);
               auto n_lanes = cells.load(n);
               const auto h = Cell::forward_candidate(cells.load(z), n_lanes,
                                                      load_state<count>(views.h_prev, unit, row), functions);
               store_state<count>(views.h, unit, row, h);
               cells.store(n, n_lanes);
             });
  }

  // The gradients of z and n from that of h.
  static void compute_candidate_gradients(LayerDimensions size, const StepViews<T>& views,
                                          const GradientViews<T>& d, Range units, Range rows) {
    for_each(
        views, units, rows, [&](const auto& functions, auto n_rows, Index unit, Index row) FASTRNN_LAMBDA {
          Cells<n_rows> cells(views.gates, unit, row);
          auto z_lanes = cells.load(z), n_lanes = cells.load(n), dh = load_state<n_rows>(d.dh, unit, row);
          Cell::backward_candidate(z_lanes, n_lanes, load_state<n_rows>(views.h_prev, unit, row), dh,
                                   functions);
          cells.store(z, z_lanes);
          cells.store(n, n_lanes);
          store_state<n_rows>(d.dh, unit, row, dh);
        });
    clear_padded_units(views.gates, {0, Cell::blocks}, size.hidden_size, units, rows);
  }

  // The gradient of r from that of r h.
  static void compute_reset_gradients(LayerDimensions size, const StepViews<T>& views,
                                      const GradientViews<T>& d, Range units, Range rows) {
    for_each(views, units, rows,
             [&](const auto& functions, auto n_rows, Index unit, Index row) FASTRNN_LAMBDA {
               Cells<n_rows> cells(views.gates, unit, row);
               auto r_lanes = cells.load(r);
               side_by_side<T, n_rows> dh(T(0));
               if (!d.separate()) dh = load_state<n_rows>(d.dh, unit, row);
               const auto reset_hidden =
                   Cell::backward_gates(r_lanes, load_state<n_rows>(views.h_source, unit, row),
                                        load_state<n_rows>(d.dreset_hidden, unit, row), dh, functions);
               cells.store(r, r_lanes);
               store_state<n_rows>(d.dh_source, unit, row, dh);
               store_state<n_rows>(views.reset_hidden, unit, row, reset_hidden);
             });
    // r alone: other members may still be reading n.
    clear_padded_units(views.gates, {r / width, r / width + 1}, size.hidden_size, units, rows);
  }

 private:
  // The gates of a few rows of one unit block.
  template <int rows>
  struct Cells {
    T* gates;
    Index stride;

    Cells(Blocked<T> blocked, Index unit, Index row)
        : gates(blocked.at(unit, row)), stride(blocked.row_stride) {}
    FASTRNN_INLINE side_by_side<T, rows> load(Index gate) const {
      return load_rows<rows>(gates + gate, stride);
    }
    FASTRNN_INLINE void store(Index gate, side_by_side<T, rows> v) const {
      store_rows<rows>(gates + gate, stride, v);
    }
  };
  template <int rows>
  static FASTRNN_INLINE side_by_side<T, rows> load_state(Blocked<T> state, Index unit, Index row) {
    return load_rows<rows>(state.at(unit, row), state.row_stride);
  }
  template <int rows>
  static FASTRNN_INLINE void store_state(Blocked<T> state, Index unit, Index row, side_by_side<T, rows> v) {
    store_rows<rows>(state.at(unit, row), state.row_stride, v);
  }

  // Calls visit(functions, constant number of rows, unit block, first row).
  template <class Visit>
  static FASTRNN_INLINE void for_each(const StepViews<T>& views, Range units, Range rows, Visit&& visit) {
    with_functions(views, [&](const auto& functions) FASTRNN_LAMBDA {
      constexpr int most_rows = std::decay_t<decltype(functions)>::most_rows;
      for (Index unit = units.begin; unit < units.end; ++unit)
        for_each_row_group<most_rows>(rows,
                                      [&](auto count, Index row) { visit(functions, count, unit, row); });
    });
  }

  static void forward_gates(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                            Range rows, Index unit, Products products) {
    using Shape = TileShape<3, 3, 0, 2>;
    const T* bias = panels + unit * Cell::blocks * width;
    const T* input = panels + layout.forward_section(0) + unit * layout.forward_block(0);
    const T* hidden = panels + layout.forward_section(1) + unit * layout.forward_block(1);
    const Index inputs = products == Products::hidden ? 0 : layout.size.input_size;
    const Index hiddens = products == Products::input ? 0 : layout.size.hidden_size;
    for_each_part(rows, Shape::tallest(panel_format(layout.size.format)), [&](Index row, Index height) {
      const Sums<T> result{views.gates.at(unit, row), views.gates.row_stride};
      Sums<const T> start{bias, 0};
      if (products == Products::hidden) start = {result.data, result.row_stride};
      multiply_forward_tile<Cell, Shape, T>(
          layout.size.format, height,
          {start, forward_product<T>(constant(views.x), row, inputs, {input, Shape::first * width}),
           forward_product<T>(constant(views.h_source), row, hiddens, {hidden, Shape::second * width}),
           result});
      if (products != Products::input) compute_gates(views, {unit, unit + 1}, {row, row + height});
    });
  }

  template <int packets>
  static void forward_candidate(const PanelLayout<Cell, T>& layout, const T* panels,
                                const StepViews<T>& views, Range rows, Index first) {
    const T* panel = panels + layout.forward_section(2) + first * layout.forward_block(2);
    using Shape = TileShape<packets, packets>;
    for_each_part(rows, Shape::tallest(panel_format(layout.size.format)), [&](Index row, Index height) {
      const Sums<T> sums{views.gates.at(first, row) + n, views.gates.row_stride, views.gates.block_stride};
      multiply_forward_tile<Cell, Shape, T>(
          layout.size.format, height,
          {{sums.data, sums.row_stride, sums.packet_stride},
           forward_product<T>(constant(views.reset_hidden), row, layout.size.hidden_size,
                              {panel, packets * width}),
           {},
           sums});
      compute_candidate(views, {first, first + packets}, {row, row + height});
    });
  }
};

}  // namespace fastrnn
