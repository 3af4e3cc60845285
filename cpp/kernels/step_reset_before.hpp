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
  static constexpr Index z = 1 * width, n = 2 * width;

  static void forward(LayerDimensions size, const T* panels, const StepViews<T>& views, Range rows) {
    const PanelLayout<Cell, T> layout{size};
    for (Index unit = 0; unit < layout.units(); ++unit) forward_gates(layout, panels, views, rows, unit);
    for_each_group<T>(Cell::sections[2], size.hidden_size, [&](Index first, Index count) {
      with_packets(count,
                   [&](auto packets) { forward_candidate<packets>(layout, panels, views, rows, first); });
    });
  }

  static void backward(LayerDimensions size, const T* panels, const StepViews<T>& views,
                       const GradientViews<T>& d, Range rows) {
    const PanelLayout<Cell, T> layout{size};
    for_each(layout, rows, [&](Index unit, Index row) FASTRNN_LAMBDA {
      T* gates = views.gates.at(unit, row);
      Lanes<T> z_lanes = load(gates + z), n_lanes = load(gates + n), dh = load(d.dh.at(unit, row));
      Cell::backward_candidate(z_lanes, n_lanes, load(views.h_prev.at(unit, row)), dh);
      store(gates + z, z_lanes);
      store(gates + n, n_lanes);
      store(d.dh.at(unit, row), dh);
    });
    multiply_backward<Cell, T>(layout, 2, panels, constant(views.gates), rows, false, d.dreset_hidden);
    for_each(layout, rows, [&](Index unit, Index row) FASTRNN_LAMBDA {
      T* gates = views.gates.at(unit, row);
      Lanes<T> r_lanes = load(gates), dh = load(d.dh.at(unit, row));
      const Lanes<T> reset_hidden = Cell::backward_gates(r_lanes, load(views.h_prev.at(unit, row)),
                                                         load(d.dreset_hidden.at(unit, row)), dh);
      store(gates, r_lanes);
      store(d.dh.at(unit, row), dh);
      store(views.reset_hidden.at(unit, row), reset_hidden);
    });
    multiply_backward<Cell, T>(layout, 1, panels, constant(views.gates), rows, true, d.dh);
  }

 private:
  template <class Visit>
  static FASTRNN_INLINE void for_each(const PanelLayout<Cell, T>& layout, Range rows, Visit&& visit) {
    for (Index unit = 0; unit < layout.units(); ++unit) {
      for (Index row = rows.begin; row < rows.end; ++row) visit(unit, row);
    }
  }

  static void forward_gates(const PanelLayout<Cell, T>& layout, const T* panels, const StepViews<T>& views,
                            Range rows, Index unit) {
    using Shape = TileShape<3, 3, 0, 2>;
    const T* bias = panels + unit * Cell::blocks * width;
    const T* input = panels + layout.forward_section(0) + unit * layout.forward_block(0);
    const T* hidden = panels + layout.forward_section(1) + unit * layout.forward_block(1);
    for_each_part(rows, tile_rows(Shape::packets), [&](Index row, Index height) {
      multiply_tile<Shape>(
          height, {bias, 0},
          forward_product(constant(views.x), row, layout.size.input_size, input, Shape::first * width),
          forward_product(constant(views.h_prev), row, layout.size.hidden_size, hidden,
                          Shape::second * width),
          {views.gates.at(unit, row), views.gates.row_stride});
      for (Index m = row; m < row + height; ++m) {
        T* gates = views.gates.at(unit, m);
        Lanes<T> r_lanes = load(gates), z_lanes = load(gates + z);
        const Lanes<T> reset_hidden = Cell::forward_gates(r_lanes, z_lanes, load(views.h_prev.at(unit, m)));
        store(gates, r_lanes);
        store(gates + z, z_lanes);
        store(views.reset_hidden.at(unit, m), reset_hidden);
      }
    });
  }

  template <int packets>
  static void forward_candidate(const PanelLayout<Cell, T>& layout, const T* panels,
                                const StepViews<T>& views, Range rows, Index first) {
    const T* panel = panels + layout.forward_section(2) + first * layout.forward_block(2);
    for_each_part(rows, tile_rows(packets), [&](Index row, Index height) {
      const Sums<T> sums{views.gates.at(first, row) + n, views.gates.row_stride, views.gates.block_stride};
      multiply_tile<TileShape<packets, packets>>(
          height, {sums.data, sums.row_stride, sums.packet_stride},
          forward_product(constant(views.reset_hidden), row, layout.size.hidden_size, panel, packets * width),
          {}, sums);
      for (Index m = row; m < row + height; ++m) {
        for (Index unit = first; unit < first + packets; ++unit) {
          T* gates = views.gates.at(unit, m);
          Lanes<T> n_lanes = load(gates + n);
          store(views.h.at(unit, m),
                Cell::forward_candidate(load(gates + z), n_lanes, load(views.h_prev.at(unit, m))));
          store(gates + n, n_lanes);
        }
      }
    });
  }
};

}  // namespace fastrnn
