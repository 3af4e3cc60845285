// The forward pass of a sequence: time, direction, lengths, threads.
#pragma once

#include "phases.hpp"
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
  std::optional<ChosenFunctions<T>> functions;  // none: the cell's plain ones

  Storage(Arena& arena, LayerDimensions dimensions, Index state_rows, Index x_rows, Index gate_rows)
      : size(dimensions) {
    const Index units = lane_blocks<T>(size.hidden_size) * lane_width<T>;
    x = arena.take<T>(x_rows * lane_blocks<T>(size.input_size) * lane_width<T>);
    h = arena.take<T>(state_rows * units);
    c = Cell::has_cell_state ? arena.take<T>(state_rows * units) : nullptr;
    gates = gate_rows > 0 ? arena.take<T>(gate_rows * units * Cell::blocks) : nullptr;
    if (size.format == WeightFormat::dot) {
      x_words = arena.take<T>(x_rows * lane_blocks<T>(size.input_size) * words_width<T>);
      h_words = arena.take<T>(state_rows * lane_blocks<T>(size.hidden_size) * words_width<T>);
    }
  }

  Blocked<T> x_at(const Slot& slot) const { return view(x, lane_blocks<T>(size.input_size), 1, slot); }
  Blocked<T> h_at(const Slot& slot) const { return view(h, lane_blocks<T>(size.hidden_size), 1, slot); }
  Blocked<T> c_at(const Slot& slot) const {
    return c ? view(c, lane_blocks<T>(size.hidden_size), 1, slot) : Blocked<T>{};
  }
  Blocked<T> gates_at(const Slot& slot) const {
    return gates ? view(gates, lane_blocks<T>(size.hidden_size), Cell::blocks, slot) : Blocked<T>{};
  }

  Blocked<T> x_words_at(const Slot& slot) const {
    return x_words ? words_view(x_words, lane_blocks<T>(size.input_size), slot) : Blocked<T>{};
  }
  Blocked<T> h_words_at(const Slot& slot) const {
    return h_words ? words_view(h_words, lane_blocks<T>(size.hidden_size), slot) : Blocked<T>{};
  }

  // `sums`: where x and the gates lie; `now` and `next`: the states before and after.
  StepViews<T> step(const Slot& sums, const Slot& now, const Slot& next, Blocked<T> reset_hidden) const {
    return {x_at(sums),
            h_at(now),
            c_at(now),
            h_at(next),
            c_at(next),
            gates_at(sums),
            reset_hidden,
            x_words_at(sums),
            h_words_at(now),
            h_words_at(next),
            functions ? &*functions : nullptr};
  }
};

template <class Cell, class T>
constexpr Index reset_hidden_size(LayerDimensions size, Index rows) {
  return has_reset_hidden<Cell> ? rows * lane_blocks<T>(size.hidden_size) * lane_width<T> : 0;
}
template <class T>
Blocked<T> plain_view(T* data, Index rows) {
  return {data, rows * lane_width<T>, lane_width<T>};
}

template <class Cell>
LayerDimensions dimensions_of(const LayerSize& size) {
  return {size.input_size, size.hidden_size, weight_format<Cell>(size.bfloat16)};
}

// Multiply-adds of one row and step.
template <class Cell>
double row_cost(LayerDimensions size) {
  double cost = 0;
  for (const Section& s : Cell::sections) cost += static_cast<double>(size.of(s.source)) * s.blocks;
  return cost * static_cast<double>(size.hidden_size);
}

// What threads have to share in a pass: forward units are split as the groups of the panel that is read last,
// backward as groups of columns.
template <class Cell, class T>
StepWork step_work(Pass pass, LayerDimensions size) {
  const Index group = pass == Pass::forward ? largest_group(Cell::sections.back()) : group_blocks;
  return {(lane_blocks<T>(size.hidden_size) - 1) / group + 1, row_cost<Cell>(size) / lane_width<T>};
}

// The same for a pass that begins now: units are split by teams only.
template <class Cell, class T>
StepWork step_work_now(Pass pass, LayerDimensions size) {
  StepWork work = step_work<Cell, T>(pass, size);
  if (!teams_run()) work.unit_groups = 1;
  return work;
}

// Adds a dense call to those that may run side by side, of which `row_steps` are run. BPTT multiplies twice
// as much as the forward pass.
template <class Cell, class T>
void add_call(IndependentCalls& calls, Pass pass, const LayerSize& layer, Index row_steps, int allowed) {
  const LayerDimensions size = dimensions_of<Cell>(layer);
  const double work =
      (pass == Pass::backward ? 2 : 1) * row_cost<Cell>(size) * static_cast<double>(row_steps);
  calls.add(work, share_steps(useful_threads(allowed, work), {layer.batch, layer.steps},
                              step_work<Cell, T>(pass, size)));
}

template <class Cell, class T>
struct Forward {
  // Everything cut out of the workspace and the tape.
  struct Memory {
    bool keep;  // training: a slot for every step
    Arena arena, tape_arena;
    SortedRows rows;
    Plan plan;
    bool hoisted;  // the input's products are taken before, chunk by chunk
    Schedule schedule;
    Storage<Cell, T> storage;
    T* reset_hidden;

    Memory(const LayerSize& size, const Timing& timing, void* workspace, void* tape, bool with_tape,
           Index tape_rows)
        : keep(with_tape),
          arena(workspace),
          tape_arena(tape),
          rows(arena, size.batch, size.steps, timing.lengths),
          plan(plan_of(size, timing.threads, rows.lengths())),
          hoisted(plan.hoisted),
          schedule(arena, rows, timing.reverse, rows_per_chunk()),
          storage(keep ? tape_arena : arena, dimensions_of<Cell>(size),
                  keep ? tape_rows : Schedule::alternating_stride(size.batch),
                  sum_rows(size.batch, tape_rows), needs_gates() ? sum_rows(size.batch, tape_rows) : 0),
          reset_hidden(
              arena.take<T>(reset_hidden_size<Cell, T>({size.input_size, size.hidden_size}, size.batch))) {
      storage.functions = chosen_functions<T>(size.options);
    }

    Index rows_per_chunk() const { return keep ? chunk_rows : hoisted ? hoisted_rows : 0; }
    bool needs_gates() const { return keep || hoisted || Step<Cell, T>::steps_need_gates; }
    // Rows that x has room for, and the sums that wait for the hidden state's.
    Index sum_rows(Index batch, Index tape_rows) const {
      if (keep) return tape_rows;
      return hoisted ? odd(hoisted_rows + batch) : Schedule::alternating_stride(batch);
    }

    StepViews<T> step(Index step) const {
      const Blocked<T> reset = plain_view(reset_hidden, schedule.batch());
      if (keep) return storage.step(schedule.slot(step), schedule.slot(step), schedule.slot(step + 1), reset);
      const Slot now = schedule.alternating_slot(step);
      return storage.step(hoisted ? local(schedule.slot(step)) : now, now,
                          schedule.alternating_slot(step + 1), reset);
    }
  };

  static std::size_t tape_bytes(const LayerSize& size, const std::int64_t* lengths) {
    Arena counter(nullptr);
    const Index rows = Schedule::kept_rows(size.batch, size.steps, lengths);
    Storage<Cell, T>(counter, {size.input_size, size.hidden_size}, rows, rows, rows);
    return counter.used();
  }

  static std::size_t workspace_bytes(const LayerSize& size, bool keep) {
    // On one thread. Without hoisting, which few rows on several threads go without, it takes less.
    return Memory(size, {}, nullptr, nullptr, keep, 0).arena.used();
  }

  static Plan plan_of(const LayerSize& size, int allowed, const SortedLengths& lengths) {
    const LayerDimensions dimensions = dimensions_of<Cell>(size);
    Plan plan{};
    plan.multiply_adds = row_cost<Cell>(dimensions) * static_cast<double>(lengths.total());
    const Sharing sharing = share_steps(useful_threads(allowed, plan.multiply_adds), lengths,
                                        step_work<Cell, T>(Pass::forward, dimensions));
    plan.split = sharing.split;
    plan.threads = sharing.threads;
    // A thread that has some of the rows only takes their inputs within the step.
    const bool all_rows = plan.split == Split::units || plan.threads == 1;
    plan.hoisted = all_rows && hoists_input(size.batch, size.input_size);
    plan.hoisted_rows = plan.hoisted ? hoisted_rows : 0;
    const Index units = lane_blocks<T>(size.hidden_size);
    const Index tiles =
        (units - 1) / Step<Cell, T>::units_in_tile(dimensions, size.batch,
                                                   plan.hoisted ? Products::hidden : Products::both) +
        1;
    const Index packets = Cell::blocks * ((units - 1) / tiles + 1);
    const PanelFormat format = panel_format(dimensions.format);
    plan.tile_rows = std::min(tile_rows(static_cast<int>(packets), format), static_cast<Index>(size.batch));
    plan.tile_packets = packets;
    plan.bfloat16_dot = dimensions.format == WeightFormat::dot;
    return plan;
  }

  static void run(const ForwardArguments<T>& a) {
    const LayerDimensions size = dimensions_of<Cell>(a.size);
    const bool keep = a.tape != nullptr;
    const Index tape_rows = keep ? Schedule::kept_rows(a.size.batch, a.size.steps, a.timing.lengths) : 0;
    const Memory memory(a.size, a.timing, a.workspace, a.tape, keep, tape_rows);
    const Schedule& schedule = memory.schedule;
    const Phases phases = phases_of(memory, a.timing.threads);
    for (Index i = 0; i < phases.count; ++i) {
      const Phase& phase = phases.phases[a.timing.reverse ? phases.count - 1 - i : i];
      const Range steps = schedule.steps_of(phase.times);
      if (phase.sharing.split == Split::units) {
        run_team(phase.sharing.threads,
                 [&](const Member& member) { run_rows(a, memory, steps, {0, a.size.batch}, member); });
      } else {
        parallel_for(phase.sharing.threads, [&](Index part) {
          run_rows(a, memory, steps, phase.lengths.part(phase.sharing.threads, part), Member{});
        });
      }
    }
    clear_padding(a.y, a.size, a.timing.lengths, size.hidden_size);
    finish_without_steps(a, schedule, size);
  }

 private:
  // Inputs that are taken before belong to chunks of steps, which no phase may cut.
  static Phases phases_of(const Memory& memory, int allowed) {
    const Plan& plan = memory.plan;
    const SortedLengths& lengths = memory.rows.lengths();
    if (plan.hoisted) return one_phase(lengths, {plan.split, plan.threads, 1.0});
    return share_phases(useful_threads(allowed, plan.multiply_adds), lengths,
                        step_work_now<Cell, T>(Pass::forward, memory.storage.size));
  }

  // Some of the steps for some of the rows (rows of a sequence do not meet, so parts need not wait for each
  // other) and the member's share of the units.
  static void run_rows(const ForwardArguments<T>& a, const Memory& memory, Range steps, Range part,
                       const Member& member) {
    const Schedule& schedule = memory.schedule;
    const LayerDimensions size = memory.storage.size;
    const Index* order = schedule.order();
    const Range units = own_units<T>(Cell::sections.back(), size.hidden_size, member);
    const auto within = [&](Index begin, Index end) {
      return Range{std::max(begin, part.begin), std::min(end, part.end)};
    };
    Index chunk = 0;  // the next one
    const auto begins_chunk = [&](Index step) {
      return memory.hoisted && chunk < schedule.chunk_count() && step == schedule.chunk(chunk).first_step;
    };
    for (Index step = steps.begin; step < steps.end; ++step) {
      if (begins_chunk(step)) take_inputs(a, size, memory, schedule.chunk(chunk++), member);
      const Range running = within(0, schedule.active(step));
      if (running.begin >= running.end) continue;
      const StepViews<T> views = memory.step(step);
      const Range beginning = member.share(within(schedule.active(step - 1), schedule.active(step)));
      start(a.h0, views.h_prev, beginning, size, order);
      round_to_words(views.h_prev, beginning, lane_blocks<T>(size.hidden_size), views.h_prev_words);
      if (Cell::has_cell_state) start(a.c0, views.c_prev, beginning, size, order);
      const Index time = schedule.time(step);
      if (!memory.hoisted) {
        const Range share = member.share(running);
        gather(rows_at(a.x, time, order), share, size.input_size, views.x);
        round_to_words(views.x, share, lane_blocks<T>(size.input_size), views.x_words);
      }
      member.wait();  // for x and for the others' units of h_prev
      Step<Cell, T>::forward(size, a.panels, views, running, member,
                             memory.hoisted ? Products::hidden : Products::both, to_and_fro(step));
      hand_out(views.h, units, running, size, rows_at(a.y, time, order));
      const Range ending = within(schedule.active(step + 1), schedule.active(step));
      hand_out(views.h, units, ending, size, rows_of(a.h_n, order));
      if (Cell::has_cell_state) hand_out(views.c, units, ending, size, rows_of(a.c_n, order));
    }
  }

  // The input's products of all steps of a chunk. No member comes here before all have read the last chunk's
  // sums: they have met in each of its steps.
  static void take_inputs(const ForwardArguments<T>& a, LayerDimensions size, const Memory& memory,
                          const Chunk& chunk, const Member& member) {
    const Schedule& schedule = memory.schedule;
    const Index end = std::min(chunk.end_step, schedule.steps());
    Index rows = 0;
    for (Index step = chunk.first_step; step < end; ++step) {
      const Slot& slot = schedule.slot(step);
      const Blocked<T> x = memory.storage.x_at(memory.keep ? slot : local(slot));
      const Index active = schedule.active(step);
      const Blocked<T> words = memory.storage.x_words_at(memory.keep ? slot : local(slot));
      const Range share = member.share({0, active});  // sums of rows that have ended are not read
      const Index blocks = lane_blocks<T>(size.input_size);
      gather(rows_at(a.x, schedule.time(step), schedule.order()), share, size.input_size, x);
      round_to_words(x, share, blocks, words);
      rows = slot.offset + schedule.slot_rows(step);
    }
    member.wait();
    const Slot first = schedule.slot(chunk.first_step);
    const Slot place = memory.keep ? first : local(first);
    StepViews<T> views;
    views.x = memory.storage.x_at(place);
    views.gates = memory.storage.gates_at(place);
    views.x_words = memory.storage.x_words_at(place);
    Step<Cell, T>::forward(size, a.panels, views, {0, rows}, member, Products::input, Order::ascending);
  }

  // The member's units to the caller.
  static void hand_out(Blocked<T> state, Range units, Range rows, LayerDimensions size, Rows<T> to) {
    const BlockRange<T> own = take_blocks(state, units, size.hidden_size);
    scatter(constant(own.blocked), rows, own.features, skip_features(to, own.first_feature));
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
