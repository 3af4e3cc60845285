// Packing against its definition, element by element, for sizes that are no multiple of a register.
#include "panel.hpp"

#include <doctest/doctest.h>

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/independent_rnn.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"
#include "helpers.hpp"

using namespace fastrnn;
using fastrnn::testing::Array;

namespace {

template <class Cell, class T>
struct Case {
  LayerDimensions size;
  Index rows = Cell::gates * size.hidden_size;
  Array<T> weight_ih{std::size_t(rows * size.input_size)}, weight_hh{std::size_t(rows * size.hidden_size)},
      bias_ih{std::size_t(rows)}, bias_hh{std::size_t(rows)},
      unit_weights{Cell::unit_weights.size() * std::size_t(size.hidden_size)};
  PanelLayout<Cell, T> layout{size};

  explicit Case(LayerDimensions dimensions) : size(dimensions) {
    weight_ih.randomize(1);
    weight_hh.randomize(2);
    bias_ih.randomize(3);
    bias_hh.randomize(4);
    unit_weights.randomize(5);
  }
  WeightRows<const T> weights() {
    return {weight_ih.data(), weight_hh.data(), bias_ih.data(), bias_hh.data(), unit_weights.data()};
  }
  T weight(const Section& section, int block, Index unit, Index k) {
    const Index row = section.gates[block] * size.hidden_size + unit;
    return section.source == Source::input ? weight_ih[row * size.input_size + k]
                                           : weight_hh[row * size.hidden_size + k];
  }
};

// The group that holds a unit block: its first block and its size, from the definition in panel.hpp.
template <class T>
Range group_of(const Section& section, Index hidden_size, Index unit_block) {
  Range found;
  for_each_group<T>(section, hidden_size, [&](Index first, Index count) {
    if (first <= unit_block && unit_block < first + count) found = {first, first + count};
  });
  return found;
}

template <class Cell, class T>
void check_packing(LayerDimensions size) {
  constexpr Index width = lane_width<T>;
  Case<Cell, T> c(size);
  Array<T> forward(c.layout.forward_size()), backward(c.layout.backward_size());
  forward.randomize(9);  // every element has to be written
  backward.randomize(9);
  pack_forward<Cell, T>(size, c.weights(), forward.data());
  pack_backward<Cell, T>(size, c.weights(), backward.data());
  for (int s = 0; s < int(Cell::sections.size()); ++s) {
    const Section& section = Cell::sections[s];
    const Index columns = size.of(section.source);
    const Index column_blocks = lane_blocks<T>(columns);
    for (Index padded_unit = 0; padded_unit < c.layout.units() * width; ++padded_unit) {
      const Index unit_block = padded_unit / width, lane = padded_unit % width;
      const Range group = group_of<T>(section, size.hidden_size, unit_block);
      for (int b = 0; b < section.blocks; ++b) {
        for (Index k = 0; k < column_blocks * width; ++k) {
          const bool inside = padded_unit < size.hidden_size && k < columns;
          const T expected = inside ? c.weight(section, b, padded_unit, k) : T(0);
          if (k < columns) {
            const Index packets = (group.end - group.begin) * section.blocks;
            const Index packet = (unit_block - group.begin) * section.blocks + b;
            const Index at = c.layout.forward_section(s) + group.begin * c.layout.forward_block(s) +
                             (k * packets + packet) * width + lane;
            REQUIRE(forward[at] == expected);
          }
          Range column_group;
          for_each_part({0, column_blocks}, group_blocks, [&](Index first, Index count) {
            if (first <= k / width && k / width < first + count) column_group = {first, first + count};
          });
          const Index row = (unit_block * section.blocks + b) * width + lane;
          const Index at = c.layout.backward_section(s) + column_group.begin * c.layout.backward_column(s) +
                           row * (column_group.end - column_group.begin) * width +
                           (k - column_group.begin * width);
          REQUIRE(backward[at] == expected);
        }
      }
    }
  }
}

// Both panels hold the unit weights by unit block, the forward one behind its biases.
template <class Cell, class T>
void check_unit_weights(LayerDimensions size) {
  constexpr Index width = lane_width<T>, count = Index(Cell::unit_weights.size());
  Case<Cell, T> c(size);
  Array<T> forward(c.layout.forward_size()), backward(c.layout.backward_size());
  forward.randomize(9);  // every element has to be written
  backward.randomize(9);
  pack_forward<Cell, T>(size, c.weights(), forward.data());
  pack_backward<Cell, T>(size, c.weights(), backward.data());
  for (Index unit = 0; unit < c.layout.units() * width; ++unit) {
    for (Index i = 0; i < count; ++i) {
      const T expected = unit < size.hidden_size ? c.unit_weights[i * size.hidden_size + unit] : T(0);
      const Index at = (unit / width * count + i) * width + unit % width;
      REQUIRE(forward[c.layout.bias_size() + at] == expected);
      REQUIRE(backward[at] == expected);
    }
  }
}

// Packing and adding a panel of gradients are inverse to each other.
template <class Cell, class T>
void check_gradients(LayerDimensions size) {
  Case<Cell, T> c(size);
  Array<T> panels(c.layout.forward_size());
  Array<T> no_bias(c.bias_ih.size());
  pack_forward<Cell, T>(
      size, {c.weight_ih.data(), c.weight_hh.data(), c.bias_ih.data(), nullptr, c.unit_weights.data()},
      panels.data());
  Array<T> dweight_ih(c.weight_ih.size()), dweight_hh(c.weight_hh.size()), dbias_ih(c.bias_ih.size()),
      dunit_weights(c.unit_weights.size());
  for (std::size_t i = 0; i < dweight_ih.size(); ++i) dweight_ih[i] = T(10);
  dweight_hh.zero();
  dbias_ih.zero();
  dunit_weights.zero();
  add_gradients<Cell, T>(
      size, panels.data(),
      {dweight_ih.data(), dweight_hh.data(), dbias_ih.data(), nullptr, dunit_weights.data()});
  for (std::size_t i = 0; i < dweight_ih.size(); ++i) REQUIRE(dweight_ih[i] == T(10) + c.weight_ih[i]);
  for (std::size_t i = 0; i < dweight_hh.size(); ++i) REQUIRE(dweight_hh[i] == c.weight_hh[i]);
  for (std::size_t i = 0; i < dbias_ih.size(); ++i) REQUIRE(dbias_ih[i] == c.bias_ih[i]);
  for (std::size_t i = 0; i < dunit_weights.size(); ++i) REQUIRE(dunit_weights[i] == c.unit_weights[i]);
}

}  // namespace

TEST_CASE_TEMPLATE("panels hold every weight at its place and zeros elsewhere", T, float, double) {
  for (const Index input_size : {1, 3, 16, 17, 65, 80}) {
    for (const Index hidden_size : {1, 3, 16, 17, 65, 150}) {
      const LayerDimensions size{input_size, hidden_size};
      check_packing<Lstm, T>(size);
      check_packing<Gru, T>(size);
      check_packing<GruResetBefore, T>(size);
      check_packing<RnnTanh, T>(size);
      check_packing<LstmPeephole, T>(size);
      check_packing<LstmCoupled, T>(size);
      check_unit_weights<LstmPeephole, T>(size);
      check_unit_weights<LstmCoupledPeephole, T>(size);
      check_unit_weights<IndependentRnn<RnnTanh>, T>(size);
      check_gradients<Lstm, T>(size);
      check_gradients<Gru, T>(size);
      check_gradients<GruResetBefore, T>(size);
      check_gradients<RnnTanh, T>(size);
      check_gradients<LstmPeephole, T>(size);
      check_gradients<LstmCoupledPeephole, T>(size);
    }
  }
}
