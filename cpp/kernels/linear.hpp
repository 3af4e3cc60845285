// The affine layer on rows, in chunks that fit the cache.
#pragma once

#include "affine.hpp"
#include "fastrnn/linear.h"
#include "sequence.hpp"

namespace fastrnn {

template <class T>
struct Linear {
  using Layout = PanelLayout<Affine, T>;
  static constexpr Index width = lane_width<T>;

  struct Memory {
    LayerDimensions size;
    Arena arena;
    T* panels;
    T* gradient_panels;
    T* x;
    T* y;

    Memory(const LinearSize& linear, void* workspace)
        : size{linear.input_size, linear.output_size}, arena(workspace) {
      const Layout layout{size};
      const Index rows = std::min<Index>(chunk_rows, linear.rows);
      panels = arena.take<T>(std::max(layout.forward_size(), layout.backward_size()));
      gradient_panels = arena.take<T>(layout.forward_size());
      x = arena.take<T>(odd(rows) * lane_blocks<T>(size.input_size) * width);
      y = arena.take<T>(odd(rows) * lane_blocks<T>(size.hidden_size) * width);
    }
    Blocked<T> x_of(Index rows) const { return plain_view(x, odd(rows)); }
    Blocked<T> y_of(Index rows) const { return plain_view(y, odd(rows)); }
  };

  static void forward(const LinearForwardArguments<T>& a) {
    const Memory memory(a.size, a.workspace);
    const LayerDimensions size = memory.size;
    pack_forward<Affine, T>(size, {a.weight, nullptr, a.bias, nullptr}, memory.panels);
    for_each_part({0, a.size.rows}, chunk_rows, [&](Index row, Index rows) {
      const Blocked<T> x = memory.x_of(rows), y = memory.y_of(rows);
      gather<T>({a.x.data + row * a.x.batch_stride, a.x.batch_stride}, {0, rows}, size.input_size, x);
      multiply_affine<T>(size, memory.panels, constant(x), {0, rows}, y, Member{});
      scatter<T>(constant(y), {0, rows}, size.hidden_size,
                 {a.y.data + row * a.y.batch_stride, a.y.batch_stride});
    });
  }

  static void backward(const LinearBackwardArguments<T>& a) {
    const Memory memory(a.size, a.workspace);
    const LayerDimensions size = memory.size;
    const Layout layout{size};
    if (a.dx.data) pack_backward<Affine, T>(size, {a.weight, nullptr, nullptr, nullptr}, memory.panels);
    std::fill_n(memory.gradient_panels, layout.forward_size(), T(0));
    for_each_part({0, a.size.rows}, chunk_rows, [&](Index row, Index rows) {
      const Blocked<T> x = memory.x_of(rows), dy = memory.y_of(rows);
      gather<T>({a.x.data + row * a.x.batch_stride, a.x.batch_stride}, {0, rows}, size.input_size, x);
      gather<T>({a.dy.data + row * a.dy.batch_stride, a.dy.batch_stride}, {0, rows}, size.hidden_size, dy);
      const GradientRows<T> sums{constant(x), constant(dy), rows};
      multiply_gradient<Affine, T>(layout, 0, sums, {}, memory.gradient_panels);
      sum_bias_gradient<Affine, T>(layout, sums, {}, memory.gradient_panels);
      if (!a.dx.data) return;
      multiply_backward<Affine, T>(
          layout, 0, {memory.panels, constant(dy), {0, rows}, all_blocks<T>(size.input_size), x});
      scatter<T>(constant(x), {0, rows}, size.input_size,
                 {a.dx.data + row * a.dx.batch_stride, a.dx.batch_stride});
    });
    add_gradients<Affine, T>(size, memory.gradient_panels, {a.dweight, nullptr, a.dbias, nullptr});
  }
};

}  // namespace fastrnn
