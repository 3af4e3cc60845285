// What a forward pass has kept, in the caller's layout.
#pragma once

#include "sequence.hpp"

namespace fastrnn {

// c after each step, for all rows. Where a reset has cleared it for the next step, it is computed again from
// what the cell has computed, in its old place, and cleared again.
template <class Cell, class T>
void copy_cell_states(const ReadTapeArguments<T>& a, const typename Forward<Cell, T>::Memory& memory) {
  const Schedule& schedule = memory.schedule;
  const Range units = all_blocks<T>(a.size.hidden_size);
  for (Index step = 0; step < schedule.steps(); ++step) {
    const Range running{0, schedule.active(step)};
    const Index time = schedule.time(step);
    const StepViews<T> views = memory.step(step);
    const auto for_each_cleared = [&](const auto& visit) {
      if (step + 1 == schedule.steps()) return;
      for_each_reset(a.masks.resets, schedule.time(step + 1), a.timing.reverse, schedule.order(),
                     {0, schedule.active(step + 1)}, schedule.active(step), visit);
    };
    const Blocked<T> shares = memory.shares_c.at(a.masks.zoneout_c, time, schedule.order(), {running, units});
    for_each_cleared([&](Index row) {
      const Part part{{row, row + 1}, units};
      if (shares.data)
        mix(views.c, views.c_prev, shares, views.c_next, part);
      else
        copy(views.c, views.c_next, part);
    });
    scatter(constant(views.c_next), running, a.size.hidden_size, rows_at(a.c, time, schedule.order()));
    for_each_cleared([&](Index row) { clear_row(views.c_next, row, units); });
  }
  clear_padding(a.c, a.size, a.timing.lengths, a.size.hidden_size);
}

template <class Cell, class T>
void copy_gates(const ReadTapeArguments<T>& a, const typename Forward<Cell, T>::Memory& memory) {
  // The input adds to every gate, so its section knows each gate's block and public place.
  constexpr Section section = Cell::sections[0];
  static_assert(section.source == Source::input && section.blocks == Cell::gates);
  const Schedule& schedule = memory.schedule;
  const Index hidden_size = a.size.hidden_size;
  for (Index step = 0; step < schedule.steps(); ++step) {
    const Rows<T> to = rows_at(a.gates, schedule.time(step), schedule.order());
    for (int i = 0; i < section.blocks; ++i) {
      Blocked<T> gate = memory.step(step).gates;
      gate.data += (section.first + i) * lane_width<T>;
      scatter(constant(gate), {0, schedule.active(step)}, hidden_size,
              skip_features(to, section.gates[i] * hidden_size));
    }
  }
  clear_padding(a.gates, a.size, a.timing.lengths, Cell::gates * hidden_size);
}

template <class Cell, class T>
void copy_tape(const ReadTapeArguments<T>& a) {
  const Index tape_rows = Schedule::kept_rows(a.size.batch, a.size.steps, a.timing.lengths);
  // The forward pass's own memory finds the arrays where it has left them.
  const typename Forward<Cell, T>::Memory memory(a.size, a.timing, a.workspace, a.tape, true, tape_rows);
  if constexpr (Cell::has_cell_state) {
    if (a.c.data) copy_cell_states<Cell>(a, memory);
  }
  if (a.gates.data) copy_gates<Cell>(a, memory);
}

}  // namespace fastrnn
