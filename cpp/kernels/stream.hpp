// One time step of a stack of layers: the same steps and products as over whole sequences.
#pragma once

#include "any_cell.hpp"
#include "fastrnn/stream.h"
#include "linear.hpp"

namespace fastrnn {

template <class T>
struct Stream {
  // Where a stage keeps its numbers. h has two places that alternate, since all units read all of it; c has
  // one.
  struct Place {
    T* h;  // (2, N, H), or (N, O) for the outputs of a linear or add stage
    T* c;
    T* gates;
    T* reset_hidden;
    T* x_words;  // of x and h rounded to bfloat16, for WeightFormat::dot
    T* h_words;
    T* cell_h;       // what a projection reads
    T* hidden_sums;  // of layer normalisation
    T* statistics;
    Index rows;
    Index state;         // elements of one h
    Index c_stride = 0;  // from one c to the other, where zoneout mixes them

    Blocked<T> x_words_place() const { return x_words ? words_of(x_words) : Blocked<T>{}; }
    Blocked<T> h_words_at(Index step) const {
      return h_words ? words_of(h_words + (step & 1) * state / 2) : Blocked<T>{};
    }
    Blocked<T> words_of(T* data) const { return {data, rows * words_width<T>, words_width<T>}; }
    Blocked<T> h_at(Index step) const { return plain_view(h + (step & 1) * state, rows); }
    Blocked<T> c_at(Index step) const {
      return c ? plain_view(c + (step & 1) * c_stride, rows) : Blocked<T>{};
    }
  };

  // Zoneout's share of the state before, for all units.
  struct Rate {
    alignas(alignment) T numbers[lane_width<T>];
    bool acts;

    explicit Rate(double rate) : acts(rate > 0) {
      if (acts) std::fill_n(numbers, lane_width<T>, static_cast<T>(rate));
    }
    Blocked<T> shares() { return acts ? Blocked<T>{numbers, 0, 0} : Blocked<T>{}; }
  };

  static Index cell_size(const Stage<T>& stage) {
    return stage.options.projection_size > 0 ? stage.cell_size : stage.output_size;
  }
  // The layer that a recurrent stage runs, of one step.
  static LayerSize layer_of(const Stage<T>& stage, Index rows) {
    return {stage.cell, rows, 1, stage.input_size, cell_size(stage), stage.bfloat16, stage.options};
  }

  static Place place(Arena& arena, const Stage<T>& stage, Index rows) {
    const Index state = rows * lane_blocks<T>(stage.output_size) * lane_width<T>;
    Place p{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, rows, state};
    if (stage.kind != StageKind::recurrent) {
      p.h = arena.take<T>(state);
      return p;
    }
    with_cell(stage.cell, [&](auto cell) {
      using C = typename decltype(cell)::type;
      const Index units = rows * lane_blocks<T>(cell_size(stage)) * lane_width<T>;
      p.h = arena.take<T>(2 * state);
      if (stage.options.zoneout_c > 0) p.c_stride = units;
      if (C::has_cell_state) p.c = arena.take<T>(units + p.c_stride);
      if (stage.options.projection_size > 0) p.cell_h = arena.take<T>(units);
      const bool layer_norm = stage.options.layer_norm;
      if (Step<C, T>::steps_need_gates || layer_norm) p.gates = arena.take<T>(units * C::blocks);
      if (layer_norm) {
        p.hidden_sums = arena.take<T>(units * C::blocks);
        p.statistics = arena.take<T>(rows * statistics_registers<T> * lane_width<T>);
      }
      if (has_reset_hidden<C>) p.reset_hidden = arena.take<T>(state);
      if (weight_format<C>(stage.bfloat16) == WeightFormat::dot) {
        p.x_words = arena.take<T>(rows * lane_blocks<T>(stage.input_size) * words_width<T>);
        p.h_words = arena.take<T>(state);
      }
    });
    return p;
  }

  static T* input_place(Arena& arena, const Stack<T>& stack) {
    return arena.take<T>(stack.batch * lane_blocks<T>(stack.stages[0].input_size) * lane_width<T>);
  }

  static std::size_t workspace_bytes(const Stack<T>& stack) {
    Arena counter(nullptr);
    input_place(counter, stack);
    for (Index i = 0; i < stack.count; ++i) place(counter, stack.stages[i], stack.batch);
    return counter.used();
  }

  static void step(const Stack<T>& stack, Index step, const Matrix<const T>& x, const Matrix<T>& y) {
    Arena arena(stack.workspace);
    const Range rows{0, stack.batch};
    Blocked<T> values = plain_view(input_place(arena, stack), rows.end);
    gather<T>({x.data, x.batch_stride}, rows, stack.stages[0].input_size, values);
    for (Index i = 0; i < stack.count; ++i) {
      const Stage<T>& stage = stack.stages[i];
      const Place p = place(arena, stage, rows.end);
      if (stage.kind == StageKind::linear) {
        const LayerDimensions size{stage.input_size, stage.output_size};
        const Blocked<T> result = plain_view(p.h, rows.end);
        multiply_affine<T>(size, stage.panels, constant(values), rows, result, Member{});
        values = result;
        continue;
      }
      if (stage.kind == StageKind::add) {
        const Blocked<T> read = input_of(stack, step, stage.source);
        for (Index k = 0; k < p.state; k += lane_width<T>)
          store(p.h + k, load(values.data + k) + load(read.data + k));
        values = plain_view(p.h, rows.end);
        continue;
      }
      with_cell(stage.cell, [&](auto cell) {
        using C = typename decltype(cell)::type;
        const LayerSize layer = layer_of(stage, rows.end);
        const LayerDimensions size = dimensions_of<C>(layer);
        round_to_words(values, rows, lane_blocks<T>(stage.input_size), p.x_words_place());
        const auto gates_view = [&](T* data) {
          constexpr Index row = C::blocks * lane_width<T>;
          return data ? Blocked<T>{data, rows.end * row, row} : Blocked<T>{};
        };
        const Blocked<T> gates = gates_view(p.gates);
        const Blocked<T> reset = p.reset_hidden ? plain_view(p.reset_hidden, rows.end) : Blocked<T>{};
        const auto functions = chosen_functions<T>(stage.options);
        const Blocked<T> h_next = p.h_at(step + 1), c_next = p.c_at(step + 1),
                         h_words = p.h_words_at(step + 1);
        const StepViews<T> views{values,
                                 p.h_at(step),
                                 p.c_at(step),
                                 p.cell_h ? plain_view(p.cell_h, rows.end) : h_next,
                                 c_next,
                                 gates,
                                 reset,
                                 p.x_words_place(),
                                 p.h_words_at(step),
                                 p.cell_h ? Blocked<T>{} : h_words,
                                 p.h_at(step),
                                 h_next,
                                 c_next,
                                 functions ? &*functions : nullptr};
        if (size.layer_norm)
          NormalisedStep<C, T>::forward(
              size, stage.panels, views,
              {gates, gates_view(p.hidden_sums), {p.statistics, 0, statistics_registers<T> * lane_width<T>}},
              rows, Products::both, to_and_fro(step));
        else
          Step<C, T>::forward(size, stage.panels, views, rows, Member{}, Products::both, to_and_fro(step));
        Rate rate_h(stage.options.zoneout_h), rate_c(stage.options.zoneout_c);
        finish_step<C>(size, stage.panels, views, rate_h.shares(), rate_c.shares(), rows, Member{},
                       all_blocks<T>(size.hidden_size), all_blocks<T>(size.state_size()), h_words);
      });
      values = p.h_at(step + 1);
    }
    scatter<T>(constant(values), rows, stack.stages[stack.count - 1].output_size, {y.data, y.batch_stride});
  }

  // What a stage reads in this step, while the step runs: the outputs of the stage before.
  static Blocked<T> input_of(const Stack<T>& stack, Index step, Index stage) {
    if (stage == 0) {
      Arena arena(stack.workspace);
      return plain_view(input_place(arena, stack), stack.batch);
    }
    const Place p = find(stack, stage - 1);
    const bool recurrent = stack.stages[stage - 1].kind == StageKind::recurrent;
    return recurrent ? p.h_at(step + 1) : plain_view(p.h, p.rows);
  }

  static Place find(const Stack<T>& stack, Index stage) {
    Arena arena(stack.workspace);
    input_place(arena, stack);
    for (Index i = 0; i < stage; ++i) place(arena, stack.stages[i], stack.batch);
    return place(arena, stack.stages[stage], stack.batch);
  }

  static void read_state(const Stack<T>& stack, Index step, Index stage, const Matrix<T>& h,
                         const Matrix<T>& c) {
    const Place p = find(stack, stage);
    const Index size = stack.stages[stage].output_size;
    scatter<T>(constant(p.h_at(step)), {0, p.rows}, size, {h.data, h.batch_stride});
    if (p.c)
      scatter<T>(constant(p.c_at(step)), {0, p.rows}, cell_size(stack.stages[stage]),
                 {c.data, c.batch_stride});
  }

  static void write_state(const Stack<T>& stack, Index step, Index stage, const Matrix<const T>& h,
                          const Matrix<const T>& c) {
    const Place p = find(stack, stage);
    const Index size = stack.stages[stage].output_size;
    gather<T>({h.data, h.batch_stride}, {0, p.rows}, size, p.h_at(step));
    round_to_words(p.h_at(step), {0, p.rows}, lane_blocks<T>(size), p.h_words_at(step));
    if (p.c) gather<T>({c.data, c.batch_stride}, {0, p.rows}, cell_size(stack.stages[stage]), p.c_at(step));
  }
};

}  // namespace fastrnn
