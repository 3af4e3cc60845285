// What the passes over a sequence keep, slot by slot, and the places of masks.
#pragma once

#include "fastrnn/layer.h"
#include "schedule.hpp"
#include "state_passes.hpp"
#include "step_normalised.hpp"

namespace fastrnn {

template <class T>
Rows<T> rows_of(const Matrix<T>& m, const Index* order) {
  return {m.data, m.batch_stride, order};
}
template <class T>
Rows<T> rows_at(const Sequence<T>& s, Index time, const Index* order) {
  return {s.data + time * s.step_stride, s.batch_stride, order};
}

// Sets a caller's sequence to zero where a row has no step.
template <class T>
void clear_padding(const Sequence<T>& s, const LayerSize& size, const std::int64_t* lengths, Index features) {
  for (Index n = 0; lengths && n < size.batch; ++n) {
    for (Index t = lengths[n]; t < size.steps; ++t)
      std::fill_n(s.data + n * s.batch_stride + t * s.step_stride, features, T(0));
  }
}

template <class Cell>
LayerDimensions dimensions_of(const LayerSize& size) {
  return {size.input_size, size.hidden_size, weight_format<Cell>(size.bfloat16), size.options.projection_size,
          size.options.layer_norm};
}

// What the forward pass keeps for each slot. In training this is the tape, with a slot for every step. In
// inference h and c have two slots that alternate; x too, or, where the input's products are taken before, x
// and the sums that wait in the place of the gates have the slots of one chunk.
template <class Cell, class T>
struct Storage {
  LayerDimensions size;
  T* x;  // null only while sizes are counted
  T* h;
  T* c;                  // null where the cell has none
  T* gates;              // null where nothing is kept
  T* x_words = nullptr;  // x and h rounded to bfloat16 for WeightFormat::dot
  T* h_words = nullptr;
  bool with_h_source, with_c_new;
  std::optional<ChosenFunctions<T>> functions;  // none: the cell's plain ones
  T* h_source;                                  // h times the recurrent mask; null where there is none
  T* c_new;   // in training, what the cell computes, where c is not what the next step starts from
  T* cell_h;  // what the projection reads; null where there is none
  // Of layer normalisation; in inference W x waits in the place of the gates, the others have one step's
  // rows.
  T *input_sums = nullptr, *hidden_sums = nullptr, *statistics = nullptr;

  Storage(Arena& arena, const LayerSize& layer, bool keep, Index state_rows, Index x_rows, Index gate_rows)
      : size(dimensions_of<Cell>(layer)),
        with_h_source(layer.masks.recurrent),
        with_c_new(keep && Cell::has_cell_state &&
                   (layer.masks.resets || layer.masks.zoneout_c || layer.options.zoneout_c > 0)),
        functions(chosen_functions<T>(layer.options)) {
    const Index units = lane_blocks<T>(size.hidden_size) * lane_width<T>;
    const Index numbers = lane_blocks<T>(size.state_size()) * lane_width<T>;
    x = arena.take<T>(x_rows * lane_blocks<T>(size.input_size) * lane_width<T>);
    h = arena.take<T>(state_rows * numbers);
    c = Cell::has_cell_state ? arena.take<T>(state_rows * units) : nullptr;
    h_source = with_h_source ? arena.take<T>(state_rows * numbers) : nullptr;
    c_new = with_c_new ? arena.take<T>(state_rows * units) : nullptr;
    cell_h = size.projection > 0 ? arena.take<T>(state_rows * units) : nullptr;
    gates = gate_rows > 0 ? arena.take<T>(gate_rows * units * Cell::blocks) : nullptr;
    if (size.layer_norm) {
      const Index rows = keep ? gate_rows : odd(layer.batch);
      input_sums = keep ? arena.take<T>(rows * units * Cell::blocks) : gates;
      if (has_recurrent_section<Cell>) hidden_sums = arena.take<T>(rows * units * Cell::blocks);
      statistics = arena.take<T>(rows * statistics_registers<T> * lane_width<T>);
    }
    if (size.format == WeightFormat::dot) {
      x_words = arena.take<T>(x_rows * lane_blocks<T>(size.input_size) * words_width<T>);
      h_words = arena.take<T>(state_rows * lane_blocks<T>(size.state_size()) * words_width<T>);
    }
  }

  Blocked<T> x_at(const Slot& slot) const { return view(x, lane_blocks<T>(size.input_size), 1, slot); }
  Blocked<T> h_at(const Slot& slot) const { return view(h, lane_blocks<T>(size.state_size()), 1, slot); }
  Blocked<T> c_at(const Slot& slot) const {
    return c ? view(c, lane_blocks<T>(size.hidden_size), 1, slot) : Blocked<T>{};
  }
  // As it enters products.
  Blocked<T> h_source_at(const Slot& slot) const {
    return with_h_source ? view(h_source, lane_blocks<T>(size.state_size()), 1, slot) : h_at(slot);
  }
  Blocked<T> cell_h_at(const Slot& slot) const {
    return view(cell_h, lane_blocks<T>(size.hidden_size), 1, slot);
  }
  Blocked<T> gates_at(const Slot& slot) const {
    return gates ? view(gates, lane_blocks<T>(size.hidden_size), Cell::blocks, slot) : Blocked<T>{};
  }

  // `own`: where R h and the statistics lie.
  NormalisationViews<T> normalisation(const Slot& sums, const Slot& own) const {
    const Index blocks = lane_blocks<T>(size.hidden_size);
    return {view(input_sums, blocks, Cell::blocks, sums), view(hidden_sums, blocks, Cell::blocks, own),
            view(statistics, 1, statistics_registers<T>, own)};
  }

  Blocked<T> x_words_at(const Slot& slot) const {
    return x_words ? words_view(x_words, lane_blocks<T>(size.input_size), slot) : Blocked<T>{};
  }
  Blocked<T> h_words_at(const Slot& slot) const {
    return h_words ? words_view(h_words, lane_blocks<T>(size.state_size()), slot) : Blocked<T>{};
  }

  // `sums`: where x and the gates lie; `now` and `next`: the states before and after.
  StepViews<T> step(const Slot& sums, const Slot& now, const Slot& next, Blocked<T> reset_hidden) const {
    const Blocked<T> h_next = h_at(next), c_next = c_at(next);
    return {x_at(sums),
            h_at(now),
            c_at(now),
            size.projection > 0 ? cell_h_at(now) : h_next,
            with_c_new ? view(c_new, lane_blocks<T>(size.hidden_size), 1, now) : c_next,
            gates_at(sums),
            reset_hidden,
            x_words_at(sums),
            h_words_at(now),
            size.projection > 0 ? Blocked<T>{} : h_words_at(next),
            h_source_at(now),
            h_next,
            c_next,
            functions ? &*functions : nullptr};
  }
};

template <class Cell, class T>
constexpr Index reset_hidden_size(LayerDimensions size, Index rows) {
  return has_reset_hidden<Cell> ? rows * lane_blocks<T>(size.hidden_size) * lane_width<T> : 0;
}

// The places of a call's masks in its workspace.
template <class T>
T* take_recurrent_mask(Arena& arena, const LayerSize& size) {
  return arena.take<T>(size.masks.recurrent ? size.batch * lane_blocks<T>(state_size(size)) * lane_width<T>
                                            : 0);
}
template <class T>
Shares<T> shares_of_h(Arena& arena, const LayerSize& size) {
  return {arena, size.masks.zoneout_h, size.options.zoneout_h, size.batch, state_size(size)};
}
template <class T>
Shares<T> shares_of_c(Arena& arena, const LayerSize& size) {
  return {arena, size.masks.zoneout_c, size.options.zoneout_c, size.batch, size.hidden_size};
}

}  // namespace fastrnn
