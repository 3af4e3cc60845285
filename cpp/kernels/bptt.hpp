// Back-propagation through time (Werbos 1990) of a sequence. The recurrence runs chunk by chunk from the last
// step to the first; after each chunk the products that need no recurrence (dx and the weight gradients) are
// taken over all its rows at once, while they are in cache.
#pragma once

#include "sequence.hpp"
#include "token_sums.hpp"
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
    T* dh_source;          // where it is not dh
    T* dcell_h;            // of what the projection reads
    T *kept_dh, *kept_dc;  // by zoneout
    T* recurrent_mask;
    Shares<T> shares_h, shares_c;
    TokenSums<Cell, T> tokens;
    T* reset_hidden;  // of a chunk
    T* dprojected;    // of a chunk: what the projection's gradient sums over
    T* dx;            // of a chunk
    // Of a chunk, where there is layer normalisation: the gradients of W x, of R h and of LN(c).
    T *dinput_sums, *dhidden_sums, *dcell_output;
    T* gradient_panels;
    bool carried = false;  // the caller's gradient panels, which go on from call to call

    Memory(const LayerSize& layer, const Timing& timing, void* workspace, void* tape, Index tape_rows)
        : size(dimensions_of<Cell>(layer)),
          arena(workspace),
          tape_arena(tape),
          rows(arena, layer.batch, layer.steps, timing.lengths),
          schedule(arena, rows, timing.reverse, chunk_rows),
          storage(tape_arena, layer, true, tape_rows, tape_rows, tape_rows),
          most_rows(odd(std::max<Index>(chunk_rows, layer.batch))),
          recurrent_mask(take_recurrent_mask<T>(arena, layer)),
          shares_h(shares_of_h<T>(arena, layer)),
          shares_c(shares_of_c<T>(arena, layer)),
          tokens(arena, size, layer.num_embeddings) {
      const Index units = lane_blocks<T>(size.hidden_size) * lane_width<T>;
      const Index numbers = lane_blocks<T>(size.state_size()) * lane_width<T>;
      const bool projected = size.projection > 0;
      dh = arena.take<T>(layer.batch * numbers);
      dh_source = arena.take<T>(projected || layer.masks.recurrent ? layer.batch * numbers : 0);
      dcell_h = arena.take<T>(projected ? layer.batch * units : 0);
      dprojected = arena.take<T>(projected ? most_rows * numbers : 0);
      kept_dh = arena.take<T>(shares_h.acts() ? layer.batch * numbers : 0);
      kept_dc = arena.take<T>(shares_c.acts() ? layer.batch * units : 0);
      dc = arena.take<T>(Cell::has_cell_state ? layer.batch * units : 0);
      dreset_hidden = arena.take<T>(reset_hidden_size<Cell, T>(size, layer.batch));
      reset_hidden = arena.take<T>(reset_hidden_size<Cell, T>(size, most_rows));
      dx = arena.take<T>(most_rows * lane_blocks<T>(size.input_size) * lane_width<T>);
      const Index normalised_rows = size.layer_norm ? most_rows : 0;
      dinput_sums = arena.take<T>(normalised_rows * units * Cell::blocks);
      dhidden_sums = arena.take<T>(has_recurrent_section<Cell> ? normalised_rows * units * Cell::blocks : 0);
      dcell_output = arena.take<T>(Cell::has_cell_state ? normalised_rows * units : 0);
      gradient_panels = arena.take<T>(PanelLayout<Cell, T>{size}.forward_size());
    }

    bool few_rows() const {
      return !carried && !tokens.wanted() && schedule.chunk_count() == 1 &&
             schedule.chunk(0).rows <= most_rows_added_directly;
    }
    Blocked<T> reset_hidden_at(const Slot& slot) const {
      if constexpr (!has_reset_hidden<Cell>) return {};
      return view(reset_hidden, lane_blocks<T>(size.hidden_size), 1, local(slot));
    }
    Blocked<T> dprojected_at(const Slot& slot) const {
      return view(dprojected, lane_blocks<T>(size.state_size()), 1, local(slot));
    }
    // Where products read the gradients of their sums: the gates', or those before layer normalisation.
    Blocked<T> dinput_sums_at(const Slot& slot) const {
      if (!size.layer_norm) return storage.gates_at(slot);
      return view(dinput_sums, lane_blocks<T>(size.hidden_size), Cell::blocks, local(slot));
    }
    Blocked<T> dhidden_sums_at(const Slot& slot) const {
      if (!size.layer_norm) return storage.gates_at(slot);
      return view(dhidden_sums, lane_blocks<T>(size.hidden_size), Cell::blocks, local(slot));
    }
    Blocked<T> dcell_output_at(const Slot& slot) const {
      return view(dcell_output, lane_blocks<T>(size.hidden_size), 1, local(slot));
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
    const StateGradients d{plain_view(memory.dh, a.size.batch), plain_view(memory.dc, a.size.batch)};
    start(a.dh_n, d.dh, all, size.state_size(), schedule.order());
    if (Cell::has_cell_state) start(a.dc_n, d.dc, all, size.hidden_size, schedule.order());
    if (a.masks.recurrent.data)
      gather(rows_of(a.masks.recurrent, schedule.order()), all, size.state_size(),
             plain_view(memory.recurrent_mask, a.size.batch));
    const PanelLayout<Cell, T> layout{size};
    if (!memory.carried) {
      std::fill_n(memory.gradient_panels,
                  memory.few_rows() ? layout.forward_section(0) : layout.forward_size(), T(0));
    }

    if (memory.tokens.wanted()) memory.tokens.clear();
    const double work = 2 * row_cost<Cell>(size) * static_cast<double>(memory.rows.lengths().total());
    const Index threads = useful_threads(a.timing.threads, work);
    for (Index i = schedule.chunk_count(); i-- > 0;) {
      const Chunk& chunk = schedule.chunk(i);
      const Index end_step = std::min(chunk.end_step, schedule.steps());  // the last slot has no step
      if (end_step > chunk.first_step) run_chunk(a, memory, d, {chunk.first_step, end_step}, threads);
    }
    if (memory.tokens.wanted()) {
      parallel_for(threads, [&](Index part) {
        memory.tokens.multiply(a.panels, {part, threads}, memory.gradient_panels);
      });
      memory.tokens.hand_out(a.dx, a.add_to_dx);
    }

    scatter(constant(d.dh), all, size.state_size(), rows_of(a.dh0, schedule.order()));
    if (Cell::has_cell_state)
      scatter(constant(d.dc), all, size.hidden_size, rows_of(a.dc0, schedule.order()));
    if (!memory.carried) add_bias_gradients<Cell, T>(size, memory.gradient_panels, gradients_of(a));
    if (!memory.carried && !memory.few_rows())
      add_weight_gradients<Cell, T>(size, memory.gradient_panels, gradients_of(a));
    if (a.dx.data && !a.add_to_dx && !memory.tokens.wanted())
      clear_padding(a.dx, a.size, a.timing.lengths, size.input_size);
  }

 private:
  static WeightRows<T> gradients_of(const BackwardArguments<T>& a) {
    return {a.dweights.weight_ih,    a.dweights.weight_hh, a.dweights.bias_ih,   a.dweights.bias_hh,
            a.dweights.unit_weights, a.dweights.weight_hr, a.dweights.layer_norm};
  }

  // The gradients of the state that travel from step to step.
  struct StateGradients {
    Blocked<T> dh;  // (N, S)
    Blocked<T> dc;  // (N, H) where the cell has c
  };

  static void start(const Matrix<const T>& final_gradient, Blocked<T> d, Range rows, Index features,
                    const Index* order) {
    if (final_gradient.data)
      gather(rows_of(final_gradient, order), rows, features, d);
    else
      clear(d, rows, lane_blocks<T>(features));
  }

  static void run_chunk(const BackwardArguments<T>& a, const Memory& memory, const StateGradients& d,
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

    const Blocked<const T> x = constant(memory.storage.x_at(first)),
                           h = constant(memory.storage.h_source_at(first)),
                           reset_hidden = constant(memory.reset_hidden_at(first)),
                           gates = constant(memory.storage.gates_at(first)),
                           dinput = constant(memory.dinput_sums_at(first)),
                           dhidden = constant(memory.dhidden_sums_at(first));
    if (size.layer_norm) normalise_inputs_back(a, memory, steps, threads);
    parallel_for(threads, [&](Index part) {
      for (int s = 0; s < static_cast<int>(Cell::sections.size()); ++s) {
        const Source name = Cell::sections[s].source;
        if (name == Source::input && memory.tokens.wanted()) continue;
        const Blocked<const T> source = name == Source::input ? x : name == Source::hidden ? h : reset_hidden;
        const GradientRows<T> sums{source, name == Source::input ? dinput : dhidden, rows};
        if (memory.few_rows())
          add_gradient_of_few_rows<Cell, T>(layout, s, sums, {part, threads}, gradients_of(a));
        else
          multiply_gradient<Cell, T>(layout, s, sums, {part, threads}, memory.gradient_panels);
      }
      sum_bias_gradient<Cell, T>(layout, {x, gates, rows}, {part, threads}, memory.gradient_panels);
      if (size.projection > 0) {
        const GradientRows<T> sums{constant(memory.storage.cell_h_at(first)),
                                   constant(memory.dprojected_at(first)), rows};
        if (memory.few_rows())
          add_gradient_of_few_rows<Affine, T>(layout.projection(), 0, sums, {part, threads},
                                              {a.dweights.weight_hr, nullptr, nullptr, nullptr});
        else
          multiply_gradient<Affine, T>(layout.projection(), 0, sums, {part, threads},
                                       memory.gradient_panels + layout.forward_projection());
      }
      if constexpr (!Cell::unit_weights.empty()) {
        for (Index step = steps.begin; step < steps.end; ++step) {
          const Slot slot = schedule.slot(step);
          const StepViews<T> v = memory.storage.step(slot, slot, schedule.slot(step + 1), {});
          sum_unit_gradient<Cell, T>(layout, {v.gates, v.h_source, v.c_prev, v.c, schedule.active(step)},
                                     {part, threads}, memory.gradient_panels);
        }
      }
      for (Index step = steps.begin; size.layer_norm && step < steps.end; ++step) {
        const Slot slot = schedule.slot(step);
        NormalisedStep<Cell, T>::sum_gradients(
            size, memory.storage.step(slot, slot, schedule.slot(step + 1), {}),
            memory.storage.normalisation(slot, slot), memory.dcell_output_at(slot), schedule.active(step),
            {part, threads}, memory.gradient_panels);
      }
      if (memory.tokens.wanted()) {
        memory.tokens.add({a.tokens, schedule, steps}, dinput, x, {part, threads});
      } else if (a.dx.data) {
        const Range share{rows * part / threads, rows * (part + 1) / threads};
        multiply_backward<Cell, T>(
            layout, 0, {a.panels, dinput, share, all_blocks<T>(size.input_size), memory.dx_at(first)});
      }
    });

    if (!a.dx.data || memory.tokens.wanted()) return;
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
  static void run_steps(const BackwardArguments<T>& a, const Memory& memory, const StateGradients& d,
                        Range steps, Range part, const Member& member) {
    const Schedule& schedule = memory.schedule;
    const LayerDimensions size = memory.size;
    const BlockRange<T> own = take_blocks(d.dh, own_columns<T>(size.state_size(), member), size.state_size());
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
        run_step(a, memory, d, views, step, running, member);
      }
      if (member.index > 0) continue;
      // Rows that ended with the step before lie in this slot too; they take no part in the merged products.
      const Range ended{std::max(part.begin, active), std::min(part.end, schedule.slot_rows(step))};
      clear(views.gates, ended, lane_blocks<T>(size.hidden_size));
      if (size.layer_norm && has_recurrent_section<Cell>)
        clear(memory.dhidden_sums_at(slot), ended, lane_blocks<T>(size.hidden_size));
      clear(views.x, ended, lane_blocks<T>(size.input_size));
      clear(views.h_source, ended, lane_blocks<T>(size.state_size()));
      if constexpr (has_reset_hidden<Cell>)
        clear(views.reset_hidden, ended, lane_blocks<T>(size.hidden_size));
      if (size.projection > 0) {
        clear(views.h, ended, lane_blocks<T>(size.hidden_size));
        clear(memory.dprojected_at(slot), ended, lane_blocks<T>(size.state_size()));
      }
    }
  }

  // From the gradient of a step's states to that of the states before it, with all that options do.
  static void run_step(const BackwardArguments<T>& a, const Memory& memory, const StateGradients& d,
                       const StepViews<T>& views, Index step, Range running, const Member& member) {
    const Schedule& schedule = memory.schedule;
    const LayerDimensions size = memory.size;
    const Index time = schedule.time(step), batch = schedule.batch();
    const Part h_part{running, own_columns<T>(size.state_size(), member)};
    const Part c_part{running, own_columns<T>(size.hidden_size, member)};
    const Blocked<T> kept_dh = plain_view(memory.kept_dh, batch), kept_dc = plain_view(memory.kept_dc, batch);
    if (memory.shares_h.acts())
      split(d.dh, memory.shares_h.at(a.masks.zoneout_h, time, schedule.order(), h_part), kept_dh, h_part);
    if (memory.shares_c.acts())
      split(d.dc, memory.shares_c.at(a.masks.zoneout_c, time, schedule.order(), c_part), kept_dc, c_part);

    const bool masked = a.masks.recurrent.data != nullptr, projected = size.projection > 0;
    const bool separate = projected || (masked && has_hidden_product<Cell>);
    const Blocked<T> dh_source = separate ? plain_view(memory.dh_source, batch) : d.dh;
    GradientViews<T> gradients{d.dh, d.dc, plain_view(memory.dreset_hidden, batch), dh_source};
    if (projected) {
      gradients.dh = plain_view(memory.dcell_h, batch);
      project_back(a.panels, memory, d.dh, gradients.dh, memory.dprojected_at(schedule.slot(step)), h_part,
                   c_part, member);
    }
    const Slot slot = schedule.slot(step);
    if (size.layer_norm)
      NormalisedStep<Cell, T>::backward(
          size, a.panels, views, memory.storage.normalisation(slot, slot), gradients,
          {memory.dhidden_sums_at(slot), memory.dcell_output_at(slot)}, running, to_and_fro(step));
    else
      Step<Cell, T>::backward(size, a.panels, views, gradients, running, member, to_and_fro(step));

    const Blocked<T> mask = plain_view(memory.recurrent_mask, batch);
    if (masked && !separate)  // all of dh has come through it
      multiply(d.dh, d.dh, mask, h_part);
    else if (masked && projected)
      multiply(d.dh, dh_source, mask, h_part);
    else if (masked)
      add_product(d.dh, dh_source, mask, h_part);
    else if (projected)
      copy(dh_source, d.dh, h_part);
    if (memory.shares_h.acts()) add(d.dh, kept_dh, h_part);
    if (memory.shares_c.acts()) add(d.dc, kept_dc, c_part);
    for_each_reset(a.masks.resets, time, a.timing.reverse, schedule.order(), running,
                   schedule.active(step - 1), [&](Index row) {
                     clear_row(d.dh, row, h_part.blocks);
                     if (Cell::has_cell_state) clear_row(d.dc, row, c_part.blocks);
                   });
    const RowNorm<T> norm{{d.dh, size.state_size()},
                          {Cell::has_cell_state ? d.dc : Blocked<T>{}, size.hidden_size}};
    clip(a.size.options, norm, h_part, c_part, member);
  }

  // From the gradients of the gates to those of W x, in all steps of a chunk.
  static void normalise_inputs_back(const BackwardArguments<T>& a, const Memory& memory, Range steps,
                                    Index threads) {
    const Schedule& schedule = memory.schedule;
    const Index count = steps.end - steps.begin, blocks = lane_blocks<T>(memory.size.hidden_size);
    parallel_for(threads, [&](Index part) {
      for (Index i = count * part / threads; i < count * (part + 1) / threads; ++i) {
        const Index step = steps.begin + i, active = schedule.active(step);
        const Slot slot = schedule.slot(step);
        const Blocked<T> dsums = memory.dinput_sums_at(slot);
        NormalisedStep<Cell, T>::input_backward(memory.size, a.panels,
                                                memory.storage.step(slot, slot, schedule.slot(step + 1), {}),
                                                memory.storage.normalisation(slot, slot), dsums, {0, active});
        clear(dsums, {active, schedule.slot_rows(step)}, blocks);
      }
    });
  }

  // From the gradient of a projected h to that of what was projected.
  static void project_back(const T* panels, const Memory& memory, Blocked<T> dh, Blocked<T> dcell_h,
                           Blocked<T> dprojected, const Part& h_part, const Part& c_part,
                           const Member& member) {
    const PanelLayout<Cell, T> layout{memory.size};
    copy(dh, dprojected, h_part);
    clear_padded_units(dprojected, {0, 1}, memory.size.state_size(), h_part.blocks, h_part.rows);
    member.wait();  // for the others' units
    multiply_backward<Affine, T>(
        layout.projection(), 0,
        {panels + layout.backward_projection(), constant(dprojected), h_part.rows, c_part.blocks, dcell_h});
  }
};

}  // namespace fastrnn
