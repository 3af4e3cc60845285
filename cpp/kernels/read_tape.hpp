// What a forward pass has kept, in the caller's layout.
#pragma once

#include "sequence.hpp"

namespace fastrnn {

template <class Cell, class T>
void copy_tape(const ReadTapeArguments<T>& a) {
  // The input adds to every gate, so its section knows each gate's block and public place.
  constexpr Section section = Cell::sections[0];
  static_assert(section.source == Source::input && section.blocks == Cell::gates);
  const Index hidden_size = a.size.hidden_size;
  const Index tape_rows = Schedule::kept_rows(a.size.batch, a.size.steps, a.timing.lengths);
  // The forward pass's own memory finds the arrays where it has left them; they are read only.
  const typename Forward<Cell, T>::Memory memory(a.size, a.timing, a.workspace, const_cast<void*>(a.tape),
                                                 true, tape_rows);
  const Schedule& schedule = memory.schedule;
  for (Index step = 0; step < schedule.steps(); ++step) {
    const Range running{0, schedule.active(step)};
    const Index time = schedule.time(step);
    if (a.c.data) {
      const Blocked<T> c = memory.storage.c_at(schedule.slot(step + 1));
      scatter(constant(c), running, hidden_size, rows_at(a.c, time, schedule.order()));
    }
    for (int i = 0; a.gates.data && i < section.blocks; ++i) {
      Blocked<T> gate = memory.storage.gates_at(schedule.slot(step));
      gate.data += (section.first + i) * lane_width<T>;
      const Rows<T> to = rows_at(a.gates, time, schedule.order());
      scatter(constant(gate), running, hidden_size, skip_features(to, section.gates[i] * hidden_size));
    }
  }
  if (a.c.data) clear_padding(a.c, a.size, a.timing.lengths, hidden_size);
  if (a.gates.data) clear_padding(a.gates, a.size, a.timing.lengths, Cell::gates * hidden_size);
}

}  // namespace fastrnn
