// The forward pass of a sequence: time, direction, lengths, threads.
#pragma once

#include "phases.hpp"
#include "storage.hpp"
#include "threads.hpp"

namespace fastrnn {

// Multiply-adds of one row and step.
template <class Cell>
double row_cost(LayerDimensions size) {
  double cost = 0;
  for (const Section& s : Cell::sections) cost += static_cast<double>(size.of(s.source)) * s.blocks;
  return (cost + static_cast<double>(size.projection)) * static_cast<double>(size.hidden_size);
}

// What threads have to share in a pass: forward units are split as the groups of the panel that is read last,
// backward as groups of columns. Layer normalisation needs whole rows.
template <class Cell, class T>
StepWork step_work(Pass pass, LayerDimensions size) {
  const Index group = pass == Pass::forward ? largest_group(Cell::sections.back()) : group_blocks;
  const Index groups = size.layer_norm ? 1 : (lane_blocks<T>(size.hidden_size) - 1) / group + 1;
  return {groups, row_cost<Cell>(size) / lane_width<T>};
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
    T* recurrent_mask;
    Shares<T> shares_h, shares_c;

    Memory(const LayerSize& size, const Timing& timing, void* workspace, void* tape, bool with_tape,
           Index tape_rows)
        : keep(with_tape),
          arena(workspace),
          tape_arena(tape),
          rows(arena, size.batch, size.steps, timing.lengths),
          plan(plan_of(size, timing.threads, rows.lengths())),
          hoisted(plan.hoisted),
          schedule(arena, rows, timing.reverse, rows_per_chunk()),
          storage(keep ? tape_arena : arena, size, keep,
                  keep ? tape_rows : Schedule::alternating_stride(size.batch),
                  sum_rows(size.batch, tape_rows), needs_gates(size) ? sum_rows(size.batch, tape_rows) : 0),
          reset_hidden(
              arena.take<T>(reset_hidden_size<Cell, T>({size.input_size, size.hidden_size}, size.batch))),
          recurrent_mask(take_recurrent_mask<T>(arena, size)),
          shares_h(shares_of_h<T>(arena, size)),
          shares_c(shares_of_c<T>(arena, size)) {}

    Index rows_per_chunk() const { return keep ? chunk_rows : hoisted ? hoisted_rows : 0; }
    bool needs_gates(const LayerSize& size) const {
      return keep || hoisted || Step<Cell, T>::steps_need_gates || size.options.layer_norm;
    }
    // Rows that x has room for, and the sums that wait for the hidden state's.
    Index sum_rows(Index batch, Index tape_rows) const {
      if (keep) return tape_rows;
      return hoisted ? odd(hoisted_rows + batch) : Schedule::alternating_stride(batch);
    }

    // Where h after a step is rounded to bfloat16.
    Blocked<T> h_words_after(Index step) const {
      return keep ? Blocked<T>{} : storage.h_words_at(schedule.alternating_slot(step + 1));
    }
    StepViews<T> step(Index step) const {
      const Blocked<T> reset = plain_view(reset_hidden, schedule.batch());
      if (keep) return storage.step(schedule.slot(step), schedule.slot(step), schedule.slot(step + 1), reset);
      const Slot now = schedule.alternating_slot(step);
      return storage.step(hoisted ? local(schedule.slot(step)) : now, now,
                          schedule.alternating_slot(step + 1), reset);
    }
    NormalisationViews<T> normalisation(Index step) const {
      if (keep) return storage.normalisation(schedule.slot(step), schedule.slot(step));
      return storage.normalisation(hoisted ? local(schedule.slot(step)) : schedule.alternating_slot(step),
                                   {0, odd(schedule.batch()), 0});
    }
  };

  static std::size_t tape_bytes(const LayerSize& size, const std::int64_t* lengths) {
    Arena counter(nullptr);
    const Index rows = Schedule::kept_rows(size.batch, size.steps, lengths);
    Storage<Cell, T>(counter, size, true, rows, rows, rows);
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
    const Index packets = size.options.layer_norm ? NormalisedStep<Cell, T>::tile_packets(units)
                                                  : Cell::blocks * ((units - 1) / tiles + 1);
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
    if (a.masks.recurrent.data)
      gather(rows_of(a.masks.recurrent, schedule.order()), {0, a.size.batch}, size.state_size(),
             plain_view(memory.recurrent_mask, a.size.batch));
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
    clear_padding(a.y, a.size, a.timing.lengths, size.state_size());
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
    const Range state_blocks = size.projection > 0 ? own_columns<T>(size.state_size(), member) : units;
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
      const Range beginning = within(schedule.active(step - 1), schedule.active(step));
      const Index time = schedule.time(step);
      start(a.h0, views.h_prev, {beginning, state_blocks}, size.state_size(), order);
      if (Cell::has_cell_state) start(a.c0, views.c_prev, {beginning, units}, size.hidden_size, order);
      round_to_words(views.h_prev, beginning, state_blocks, views.h_prev_words);
      for_each_reset(a.masks.resets, time, a.timing.reverse, order, running, schedule.active(step - 1),
                     [&](Index row) {
                       clear_row(views.h_prev, row, state_blocks);
                       if (Cell::has_cell_state) clear_row(views.c_prev, row, units);
                       round_to_words(views.h_prev, {row, row + 1}, state_blocks, views.h_prev_words);
                     });
      const Blocked<T> mask = plain_view(memory.recurrent_mask, schedule.batch());
      if (a.masks.recurrent.data) multiply(views.h_source, views.h_prev, mask, {running, state_blocks});
      if (!memory.hoisted) {
        const Range share = member.share(running);
        gather(rows_at(a.x, time, order), share, size.input_size, views.x);
        round_to_words(views.x, share, lane_blocks<T>(size.input_size), views.x_words);
      }
      member.wait();  // for x and for the others' units of h_prev
      const Products products = memory.hoisted ? Products::hidden : Products::both;
      if (size.layer_norm)
        NormalisedStep<Cell, T>::forward(size, a.panels, views, memory.normalisation(step), running, products,
                                         to_and_fro(step));
      else
        Step<Cell, T>::forward(size, a.panels, views, running, member, products, to_and_fro(step));
      finish_step<Cell>(size, a.panels, views,
                        memory.shares_h.at(a.masks.zoneout_h, time, order, {running, state_blocks}),
                        memory.shares_c.at(a.masks.zoneout_c, time, order, {running, units}), running, member,
                        units, state_blocks, memory.h_words_after(step));
      hand_out(views.h_next, {running, state_blocks}, size.state_size(), rows_at(a.y, time, order));
      const Range ending = within(schedule.active(step + 1), schedule.active(step));
      hand_out(views.h_next, {ending, state_blocks}, size.state_size(), rows_of(a.h_n, order));
      if (Cell::has_cell_state)
        hand_out(views.c_next, {ending, units}, size.hidden_size, rows_of(a.c_n, order));
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
    if (size.layer_norm)
      NormalisedStep<Cell, T>::take_inputs(size, a.panels, views, memory.storage.normalisation(place, place),
                                           {0, rows}, Order::ascending);
    else
      Step<Cell, T>::forward(size, a.panels, views, {0, rows}, member, Products::input, Order::ascending);
  }

  // The member's units to the caller.
  static void hand_out(Blocked<T> state, const Part& part, Index features, Rows<T> to) {
    const BlockRange<T> own = take_blocks(state, part.blocks, features);
    scatter(constant(own.blocked), part.rows, own.features, skip_features(to, own.first_feature));
  }

  // Initial states of rows that begin in a step: the member's units.
  static void start(const Matrix<const T>& initial, Blocked<T> state, const Part& part, Index features,
                    const Index* order) {
    const BlockRange<T> own = take_blocks(state, part.blocks, features);
    if (initial.data)
      gather(skip_features(rows_of(initial, order), own.first_feature), part.rows, own.features, own.blocked);
    else
      clear(own.blocked, part.rows, part.blocks.end - part.blocks.begin);
  }

  // Rows with no step end in their initial state.
  static void finish_without_steps(const ForwardArguments<T>& a, const Schedule& schedule,
                                   LayerDimensions size) {
    for (Index n = 0; n < a.size.batch; ++n) {
      if (schedule.steps() > 0 && (!a.timing.lengths || a.timing.lengths[n] > 0)) continue;
      copy_row(a.h0, a.h_n, n, size.state_size());
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
