// The forward pass of a sequence: time, direction, lengths, threads.
#pragma once

#include "plan.hpp"
#include "step.hpp"
#include "step_reset_before.hpp"
#include "threads.hpp"

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

// What the forward pass keeps for each slot. In training this is the tape; in inference two slots that
// alternate.
template <class Cell, class T>
struct Storage {
  LayerDimensions size;
  T* x;  // null only while sizes are counted
  T* h;
  T* c;      // null where the cell has none
  T* gates;  // null where nothing is kept

  Storage(Arena& arena, LayerDimensions dimensions, Index rows, bool keep_gates) : size(dimensions) {
    const Index units = lane_blocks<T>(size.hidden_size) * lane_width<T>;
    x = arena.take<T>(rows * lane_blocks<T>(size.input_size) * lane_width<T>);
    h = arena.take<T>(rows * units);
    c = Cell::has_cell_state ? arena.take<T>(rows * units) : nullptr;
    gates = keep_gates ? arena.take<T>(rows * units * Cell::blocks) : nullptr;
  }

  Blocked<T> x_at(const Slot& slot) const { return view(x, lane_blocks<T>(size.input_size), 1, slot); }
  Blocked<T> h_at(const Slot& slot) const { return view(h, lane_blocks<T>(size.hidden_size), 1, slot); }
  Blocked<T> c_at(const Slot& slot) const {
    return c ? view(c, lane_blocks<T>(size.hidden_size), 1, slot) : Blocked<T>{};
  }
  Blocked<T> gates_at(const Slot& slot) const {
    return gates ? view(gates, lane_blocks<T>(size.hidden_size), Cell::blocks, slot) : Blocked<T>{};
  }

  StepViews<T> step(const Slot& now, const Slot& next, Blocked<T> reset_hidden) const {
    return {x_at(now), h_at(now), c_at(now), h_at(next), c_at(next), gates_at(now), reset_hidden};
  }
};

// Whether r * h_prev has a place of its own.
template <class Cell>
inline constexpr bool has_reset_hidden = Cell::sections.back().source == Source::reset_hidden;

template <class Cell, class T>
constexpr Index reset_hidden_size(LayerDimensions size, Index rows) {
  return has_reset_hidden<Cell> ? rows * lane_blocks<T>(size.hidden_size) * lane_width<T> : 0;
}
template <class T>
Blocked<T> plain_view(T* data, Index rows) {
  return {data, rows * lane_width<T>, lane_width<T>};
}

// Multiply-adds of one row and step.
template <class Cell>
double row_cost(LayerDimensions size) {
  double cost = 0;
  for (const Section& s : Cell::sections) cost += static_cast<double>(size.of(s.source)) * s.blocks;
  return cost * static_cast<double>(size.hidden_size);
}

template <class Cell, class T>
struct Forward {
  // Everything cut out of the workspace and the tape.
  struct Memory {
    Arena arena, tape_arena;
    Schedule schedule;
    Storage<Cell, T> storage;
    T* reset_hidden;

    Memory(const LayerSize& size, const Timing& timing, void* workspace, void* tape, bool keep,
           Index tape_rows)
        : arena(workspace),
          tape_arena(tape),
          schedule(arena, size.batch, size.steps, timing.lengths, timing.reverse, keep),
          storage(keep ? tape_arena : arena, {size.input_size, size.hidden_size},
                  keep ? tape_rows : Schedule::alternating_stride(size.batch),
                  keep || Step<Cell, T>::steps_need_gates),
          reset_hidden(
              arena.take<T>(reset_hidden_size<Cell, T>({size.input_size, size.hidden_size}, size.batch))) {}
  };

  static std::size_t tape_bytes(const LayerSize& size, const std::int64_t* lengths) {
    Arena counter(nullptr);
    Storage<Cell, T>(counter, {size.input_size, size.hidden_size},
                     Schedule::kept_rows(size.batch, size.steps, lengths), true);
    return counter.used();
  }

  static std::size_t workspace_bytes(const LayerSize& size, bool keep) {
    return Memory(size, {}, nullptr, nullptr, keep, 0).arena.used();
  }

  static void run(const ForwardArguments<T>& a) {
    const LayerDimensions size{a.size.input_size, a.size.hidden_size};
    const bool keep = a.tape != nullptr;
    const Index tape_rows = keep ? Schedule::kept_rows(a.size.batch, a.size.steps, a.timing.lengths) : 0;
    const Memory memory(a.size, a.timing, a.workspace, a.tape, keep, tape_rows);
    const Schedule& schedule = memory.schedule;
    const double work = row_cost<Cell>(size) * static_cast<double>(schedule.row_steps());
    const Index parts = std::min<Index>(useful_threads(a.timing.threads, work), a.size.batch);
    parallel_for(parts, [&](Index part) { run_rows(a, size, memory, schedule.part(parts, part)); });
    clear_padding(a.y, a.size, a.timing.lengths, size.hidden_size);
    finish_without_steps(a, schedule, size);
  }

 private:
  // All steps for some of the rows; rows of a sequence do not meet, so parts need not wait for each other.
  static void run_rows(const ForwardArguments<T>& a, LayerDimensions size, const Memory& memory, Range part) {
    const Schedule& schedule = memory.schedule;
    const Index* order = schedule.order();
    const Blocked<T> reset_hidden = plain_view(memory.reset_hidden, a.size.batch);
    const auto within = [&](Index begin, Index end) {
      return Range{std::max(begin, part.begin), std::min(end, part.end)};
    };
    for (Index step = 0; step < schedule.steps(); ++step) {
      const Range running = within(0, schedule.active(step));
      if (running.begin >= running.end) continue;
      const Index time = schedule.time(step);
      const StepViews<T> views =
          memory.storage.step(schedule.slot(step), schedule.slot(step + 1), reset_hidden);
      start(a.h0, views.h_prev, within(schedule.active(step - 1), schedule.active(step)), size, order);
      if (Cell::has_cell_state)
        start(a.c0, views.c_prev, within(schedule.active(step - 1), schedule.active(step)), size, order);
      gather(rows_at(a.x, time, order), running, size.input_size, views.x);
      Step<Cell, T>::forward(size, a.panels, views, running);
      scatter(constant(views.h), running, size.hidden_size, rows_at(a.y, time, order));
      const Range ending = within(schedule.active(step + 1), schedule.active(step));
      scatter(constant(views.h), ending, size.hidden_size, rows_of(a.h_n, order));
      if (Cell::has_cell_state) scatter(constant(views.c), ending, size.hidden_size, rows_of(a.c_n, order));
    }
  }

  // Initial states of rows that begin in a step.
  static void start(const Matrix<const T>& initial, Blocked<T> state, Range rows, LayerDimensions size,
                    const Index* order) {
    if (initial.data)
      gather(rows_of(initial, order), rows, size.hidden_size, state);
    else
      clear(state, rows, lane_blocks<T>(size.hidden_size));
  }

  // Rows with no step end in their initial state.
  static void finish_without_steps(const ForwardArguments<T>& a, const Schedule& schedule,
                                   LayerDimensions size) {
    for (Index n = 0; n < a.size.batch; ++n) {
      if (schedule.steps() > 0 && (!a.timing.lengths || a.timing.lengths[n] > 0)) continue;
      copy_row(a.h0, a.h_n, n, size.hidden_size);
      if (Cell::has_cell_state) copy_row(a.c0, a.c_n, n, size.hidden_size);
    }
  }

  static void copy_row(const Matrix<const T>& from, const Matrix<T>& to, Index n, Index count) {
    T* target = to.data + n * to.batch_stride;
    if (from.data)
      std::copy_n(from.data + n * from.batch_stride, count, target);
    else
      std::fill_n(target, count, T(0));
  }
};

}  // namespace fastrnn
