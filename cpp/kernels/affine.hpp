// An affine map of rows by the same panels, tiles and products as the recurrence: the affine layer, and the
// projection of a recurrent layer's h.
#pragma once

#include "products.hpp"

namespace fastrnn {

// y = x W^T + b for some rows and the member's share of y.
template <class T>
void multiply_affine(LayerDimensions size, const T* panels, Blocked<const T> x, Range rows, Blocked<T> y,
                     const Member& member) {
  constexpr Index width = lane_width<T>;
  const PanelLayout<Affine, T> layout{size};
  for_each_own_group<T>(Affine::sections[0], size.hidden_size, member, [&](Index first, Index count) {
    const T* bias = panels + first * width;
    const T* panel = panels + layout.forward_section(0) + first * layout.forward_block(0);
    with_packets(count, [&](auto packets) {
      for_each_part(rows, tile_rows(packets), [&](Index row, Index height) {
        multiply_tile<TileShape<packets, packets>>(
            height, {bias, 0}, forward_product<T>(x, row, size.input_size, {panel, packets * width}), {},
            {y.at(first, row), y.row_stride, y.block_stride});
      });
    });
  });
}

}  // namespace fastrnn
