// Back-propagation through time (Werbos 1990) of a sequence. The recurrence runs chunk by chunk from the last
// step to the first; after each chunk the products that need no recurrence (dx and the weight gradients) are
// taken over all its rows at once, while they are in cache.
#pragma once

#include "sequence.hpp"
#include "unit_weights.hpp"

namespace fastrnn {

template <class Cell, class T>
struct Backward {
  struct Memory {
    LayerDimensions size;
    Arena arena, tape_arena;
    SortedRows rows;
    Schedule schedule;
    Storage<Cell, T> storage;
    Index most_rows;  // of a chunk
    T* dh;
    T* dc;
    T* dreset_hidden;
    T* reset_hidden;  // of a chunk
    T* dx;            // of a chunk
    T* gradient_panels;
    bool carried = false;  // the caller's gradient panels, which go on from call to call

    Memory(const LayerSize& layer, const Timing& timing, void* workspace, void* tape, Index tape_rows)
        : size{layer.input_size, layer.hidden_size},
          arena(workspace),
          tape_arena(tape),
          rows(arena, layer.batch, layer.steps, timing.lengths),
          schedule(arena, rows, timing.reverse, chunk_rows),
          storage(tape_arena, size, tape_rows, tape_rows, tape_rows),
          most_rows(odd(std::max<Index>(chunk_rows, layer.batch))) {
      storage.functions = chosen_functions<T>(layer.options);
      const Index units = lane_blocks<T>(size.hidden_size) * lane_width<T>;
      dh = arena.take<T>(layer.batch * units);
      dc = arena.take<T>(Cell::has_cell_state ? layer.batch * units : 0);
      dreset_hidden = arena.take<T>(reset_hidden_size<Cell, T>(size, layer.batch));
      reset_hidden = arena.take<T>(reset_hidden_size<Cell, T>(size, most_rows));
      dx = arena.take<T>(most_rows * lane_blocks<T>(size.input_size) * lane_width<T>);
      gradient_panels = arena.take<T>(PanelLayout<Cell, T>{size}.forward_size());
    }

    bool few_rows() const {
      return !carried && schedule.chunk_count() == 1 && schedule.chunk(0).rows <= most_rows_added_directly;
    }
    Blocked<T> reset_hidden_at(const Slot& slot) const {
      if constexpr (!has_reset_hidden<Cell>) return {};
      return view(reset_hidden, lane_blocks<T>(size.hidden_size), 1, local(slot));
    }
    Blocked<T> dx_at(const Slot& slot) const {
      return view(dx, lane_blocks<T>(size.input_size), 1, local(slot));
    }
  };

  static std::size_t workspace_bytes(const LayerSize& size) {
    return Memory(size, {}, nullptr, nullptr, 0).arena.used();
  }

  static void run(const BackwardArguments<T>& a) {
    const Index rows = Schedule::kept_rows(a.size.batch, a.size.steps, a.timing.lengths);
    Memory memory(a.size, a.timing, a.workspace, a.tape, rows);
    memory.carried = a.weight_sums != nullptr;
    if (memory.carried) memory.gradient_panels = a.weight_sums;
    const Schedule& schedule = memory.schedule;
    const LayerDimensions size = memory.size;
    const Range all{0, a.size.batch};
    const GradientViews<T> d{plain_view(memory.dh, a.size.batch), plain_view(memory.dc, a.size.batch),
                             plain_view(memory.dreset_hidden, a.size.batch)};
    start(a.dh_n, d.dh, all, size, schedule.order());
    if (Cell::has_cell_state) start(a.dc_n, d.dc, all, size, schedule.order());
    const PanelLayout<Cell, T> layout{size};
    if (!memory.carried) {
      std::fill_n(memory.gradient_panels,
                  memory.few_rows() ? layout.forward_section(0) : layout.forward_size(), T(0));
    }

    const double work = 2 * row_cost<Cell>(size) * static_cast<double>(memory.rows.lengths().total());
    const Index threads = useful_threads(a.timing.threads, work);
    for (Index i = schedule.chunk_count(); i-- > 0;) {
      const Chunk& chunk = schedule.chunk(i);
      const Index end_step = std::min(chunk.end_step, schedule.steps());  // the last slot has no step
      if (end_step > chunk.first_step) run_chunk(a, memory, d, {chunk.first_step, end_step}, threads);
    }

    scatter(constant(d.dh), all, size.hidden_size, rows_of(a.dh0, schedule.order()));
    if (Cell::has_cell_state)
      scatter(constant(d.dc), all, size.hidden_size, rows_of(a.dc0, schedule.order()));
    if (!memory.carried) add_bias_gradients<Cell, T>(size, memory.gradient_panels, gradients_of(a));
    if (!memory.carried && !memory.few_rows())
      add_weight_gradients<Cell, T>(size, memory.gradient_panels, gradients_of(a));
    if (a.dx.data && !a.add_to_dx) clear_padding(a.dx, a.size, a.timing.lengths, size.input_size);
  }

 private:
  static WeightRows<T> gradients_of(const BackwardArguments<T>& a) {
    return {a.dweights.weight_ih, a.dweights.weight_hh, a.dweights.bias_ih, a.dweights.bias_hh,
            a.dweights.unit_weights};
  }

  static void start(const Matrix<const T>& final_gradient, Blocked<T> d, Range rows, LayerDimensions size,
                    const Index* order) {
    if (final_gradient.data)
      gather(rows_of(final_gradient, order), rows, size.hidden_size, d);
    else
      clear(d, rows, lane_blocks<T>(size.hidden_size));
  }

  static void run_chunk(const BackwardArguments<T>& a, const Memory& memory, const GradientViews<T>& d,
                        Range steps, Index threads) {
    const Schedule& schedule = memory.schedule;
    const LayerDimensions size = memory.size;
    const PanelLayout<Cell, T> layout{size};
    const Slot first = schedule.slot(steps.begin), last = schedule.slot(steps.end - 1);
    const Index rows = last.offset + schedule.slot_rows(steps.end - 1);

    // Shared anew in each chunk, by the rows that run in it: nearly all of them in all of its steps.
    const Index running = std::max(schedule.active(steps.begin), schedule.active(steps.end - 1));
    const SortedLengths lengths{running, steps.end - steps.begin};
    const Sharing sharing = share_steps(threads, lengths, step_work_now<Cell, T>(Pass::backward, size));
    if (sharing.split == Split::units) {
      run_team(sharing.threads,
               [&](const Member& member) { run_steps(a, memory, d, steps, {0, schedule.batch()}, member); });
    } else {
      parallel_for(sharing.threads, [&](Index i) {
        Range part = lengths.part(sharing.threads, i);
        if (i == sharing.threads - 1) part.end = schedule.batch();  // with the rows that ended just before
        run_steps(a, memory, d, steps, part, Member{});
      });
    }

    const Blocked<const T> x = constant(memory.storage.x_at(first)), h = constant(memory.storage.h_at(first)),
                           reset_hidden = constant(memory.reset_hidden_at(first)),
                           gates = constant(memory.storage.gates_at(first));
    parallel_for(threads, [&](Index part) {
      for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
        const Source name = Cell::sections[s].source;
        const Blocked<const T> source = name == Source::input ? x : name == Source::hidden ? h : reset_hidden;
        const GradientRows<T> sums{source, gates, rows};
        if (memory.few_rows())
          add_gradient_of_few_rows<Cell, T>(layout, s, sums, {part, threads}, gradients_of(a));
        else
          multiply_gradient<Cell, T>(layout, s, sums, {part, threads}, memory.gradient_panels);
      }
      sum_bias_gradient<Cell, T>(layout, {x, gates, rows}, {part, threads}, memory.gradient_panels);
      if constexpr (!Cell::unit_weights.empty()) {
        for (Index step = steps.begin; step < steps.end; ++step) {
          const Slot slot = schedule.slot(step);
          const StepViews<T> v = memory.storage.step(slot, slot, schedule.slot(step + 1), {});
          sum_unit_gradient<Cell, T>(layout, {v.gates, v.h_prev, v.c_prev, v.c, schedule.active(step)},
                                     {part, threads}, memory.gradient_panels);
        }
      }
      if (a.dx.data) {
        const Range share{rows * part / threads, rows * (part + 1) / threads};
        multiply_backward<Cell, T>(
            layout, 0, {a.panels, gates, share, all_blocks<T>(size.input_size), memory.dx_at(first)});
      }
    });

    if (!a.dx.data) return;
    parallel_for(threads, [&](Index part) {
      const Index count = steps.end - steps.begin;
      for (Index i = count * part / threads; i < count * (part + 1) / threads; ++i) {
        const Index step = steps.begin + i;
        const Rows<T> target = rows_at(a.dx, schedule.time(step), schedule.order());
        const Blocked<const T> dx = constant(memory.dx_at(schedule.slot(step)));
        if (a.add_to_dx)
          scatter_add(dx, {0, schedule.active(step)}, size.input_size, target);
        else
          scatter(dx, {0, schedule.active(step)}, size.input_size, target);
      }
    });
  }

  // The recurrence over a chunk's steps for some of the rows and the member's share of the units.
  static void run_steps(const BackwardArguments<T>& a, const Memory& memory, const GradientViews<T>& d,
                        Range steps, Range part, const Member& member) {
    const Schedule& schedule = memory.schedule;
    const LayerDimensions size = memory.size;
    const BlockRange<T> own = take_blocks(d.dh, own_columns<T>(size.hidden_size, member), size.hidden_size);
    for (Index step = steps.end; step-- > steps.begin;) {
      const Index active = schedule.active(step);
      const Range running{part.begin, std::min(part.end, active)};
      const Slot slot = schedule.slot(step);
      const StepViews<T> views =
          memory.storage.step(slot, slot, schedule.slot(step + 1), memory.reset_hidden_at(slot));
      if (running.begin < running.end) {
        if (a.dy.data) {
          const Rows<const T> dy = rows_at(a.dy, schedule.time(step), schedule.order());
          gather_add(skip_features(dy, own.first_feature), running, own.features, own.blocked);
        }
        Step<Cell, T>::backward(size, a.panels, views, d, running, member, to_and_fro(step));
      }
      if (member.index > 0) continue;
      // Rows that ended with the step before lie in this slot too; they take no part in the merged products.
      const Range ended{std::max(part.begin, active), std::min(part.end, schedule.slot_rows(step))};
      clear(views.gates, ended, lane_blocks<T>(size.hidden_size));
      clear(views.x, ended, lane_blocks<T>(size.input_size));
      clear(views.h_prev, ended, lane_blocks<T>(size.hidden_size));
      if constexpr (has_reset_hidden<Cell>)
        clear(views.reset_hidden, ended, lane_blocks<T>(size.hidden_size));
    }
  }
};

}  // namespace fastrnn
