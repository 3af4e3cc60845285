// BPTT where x's rows are those of a table, one for each of V tokens: instead of two products over all rows,
// the rows of the gradients of the input's sums are added up by token, and the products are taken once, over
// V rows: dW_ih += S^T E, dE += S W_ih, with S (V, blocks * H), E (V, I) the table.
#pragma once

#include "storage.hpp"

namespace fastrnn {

// The rows that run in some steps of one chunk.
struct TokenRows {
  const Sequence<const std::int64_t>& tokens;
  const Schedule& schedule;
  Range steps;

  // Calls visit(token, row from the first step's slot on) for each.
  template <class Visit>
  FASTRNN_INLINE void visit(Visit&& visit) const {
    const Index first = schedule.slot(steps.begin).offset;
    for (Index step = steps.begin; step < steps.end; ++step) {
      const Rows<const std::int64_t> of_step = rows_at(tokens, schedule.time(step), schedule.order());
      const Index offset = schedule.slot(step).offset - first, active = schedule.active(step);
      for (Index row = 0; row < active; ++row) visit(*of_step.at(row), offset + row);
    }
  }
};

template <class Cell, class T>
class TokenSums {
 public:
  // num_embeddings: V; 0: no tokens.
  TokenSums(Arena& arena, LayerDimensions size, Index num_embeddings)
      : layout_{size}, rows_(num_embeddings), slot_{0, odd(num_embeddings), 0} {
    if (rows_ == 0) return;
    sums_ = arena.take<T>(slot_.stride * layout_.bias_size());
    x_ = arena.take<T>(slot_.stride * lane_blocks<T>(size.input_size) * lane_width<T>);
    dx_ = arena.take<T>(slot_.stride * lane_blocks<T>(size.input_size) * lane_width<T>);
  }

  bool wanted() const { return rows_ > 0; }

  // Before the first chunk. Tokens that do not occur multiply zeros with zeros.
  void clear() const {
    fastrnn::clear(sums(), {0, rows_}, layout_.units());
    fastrnn::clear(x(), {0, rows_}, input_blocks());
  }

  // Adds the rows that run in some steps of one chunk, for a stripe of unit blocks, and keeps their x, for as
  // many of its blocks. In the order of steps and rows, whatever the stripe: bits do not depend on threads.
  void add(const TokenRows& rows, Blocked<const T> dinput, Blocked<const T> x, Stripe blocks) const {
    const Section& section = Cell::sections[0];
    const Blocked<T> sums = this->sums(), table = this->x();
    for (Index unit = blocks.index; unit < layout_.units(); unit += blocks.count) {
      rows.visit([&](Index token, Index row) {
        T* to = sums.at(unit, token) + section.first * lane_width<T>;
        const T* from = dinput.at(unit, row) + section.first * lane_width<T>;
        for (Index b = 0; b < section.blocks; ++b, to += lane_width<T>, from += lane_width<T>)
          store(to, load(to) + load(from));
      });
    }
    for (Index block = blocks.index; block < input_blocks(); block += blocks.count)
      rows.visit([&](Index token, Index row) { store(table.at(block, token), load(x.at(block, row))); });
  }

  // After the last chunk: adds a stripe of dW_ih to the gradient panels, and takes as many rows of dE.
  void multiply(const T* backward_panels, Stripe share, T* gradient_panels) const {
    multiply_gradient<Cell, T>(layout_, 0, {constant(x()), constant(sums()), rows_}, share, gradient_panels);
    const Range rows{rows_ * share.index / share.count, rows_ * (share.index + 1) / share.count};
    multiply_backward<Cell, T>(layout_, 0,
                               {backward_panels, constant(sums()), rows,
                                all_blocks<T>(layout_.size.input_size), view(dx_, input_blocks(), 1, slot_)});
  }
  void hand_out(const Sequence<T>& dx, bool add_to_dx) const {
    const Blocked<const T> from = constant(view(dx_, input_blocks(), 1, slot_));
    const Rows<T> to{dx.data, dx.batch_stride, nullptr};
    if (add_to_dx)
      scatter_add(from, {0, rows_}, layout_.size.input_size, to);
    else
      scatter(from, {0, rows_}, layout_.size.input_size, to);
  }

 private:
  Index input_blocks() const { return lane_blocks<T>(layout_.size.input_size); }
  Blocked<T> sums() const { return view(sums_, layout_.units(), Cell::blocks, slot_); }
  Blocked<T> x() const { return view(x_, input_blocks(), 1, slot_); }

  PanelLayout<Cell, T> layout_;
  Index rows_;
  Slot slot_;          // of the tables: all V rows
  T* sums_ = nullptr;  // (V, blocks * H)
  T* x_ = nullptr;     // (V, I)
  T* dx_ = nullptr;    // (V, I)
};

}  // namespace fastrnn
