// Ragged calls are shared anew where rows end: the rows of one thread may be done long before the others',
// and the last few are sooner done by units than by rows.
#pragma once

#include "plan.hpp"

namespace fastrnn {

// Steps that are shared in one way.
struct Phase {
  Range times;
  SortedLengths lengths;  // between these times
  Sharing sharing;
};

// The longest rows, at whose ends a phase can end. With more rows than these running, their lengths even out.
inline constexpr Index most_cuts = 8;

// Handing the next phase out costs as much as this many waits: 0.4 to 2 us (bench/cpp/threads_bench.cpp).
inline constexpr double waits_per_phase = 3;

struct Phases {
  Index count = 0;
  Phase phases[most_cuts + 1];  // the earliest times first

  void add(const Phase& phase) { phases[count++] = phase; }
};

// All steps in one way.
inline Phases one_phase(const SortedLengths& lengths, const Sharing& sharing) {
  Phases one;
  one.add({{0, lengths.steps}, lengths, sharing});
  return one;
}

// The phases whose slowest threads are together done soonest: the shortest way over the places to cut.
inline Phases share_phases(Index threads, const SortedLengths& lengths, const StepWork& work) {
  if (threads == 1) return one_phase(lengths, share_steps(threads, lengths, work));
  struct Cut {
    Index time;
    Index longer;     // rows that go on
    double cost;      // of all steps before
    Index begin;      // the cut where the phase before begins
    Sharing sharing;  // of that phase
  } cuts[most_cuts + 2];
  Index last = 0;
  cuts[0] = {0, lengths.batch, 0.0, 0, {}};
  for (Index row = std::min(most_cuts, lengths.batch - 1); row >= 0; --row) {
    const Index end = lengths.length(row);
    if (end > cuts[last].time && (row == 0 || end < lengths.length(row - 1)))
      cuts[++last] = {end, row, 0.0, 0, {}};
  }
  if (last == 0) return one_phase(lengths, share_steps(threads, lengths, work));
  const auto between = [&](const Cut& begin, const Cut& end) {
    return lengths.between({begin.time, end.time}, begin.longer, end.longer);
  };
  for (Index end = 1; end <= last; ++end) {
    for (Index begin = 0; begin < end; ++begin) {
      const SortedLengths part = between(cuts[begin], cuts[end]);
      const Sharing sharing = share_steps(threads, part, work);
      const double cost = cuts[begin].cost + sharing.time * time_alone(part, {0, part.batch}) +
                          (begin > 0 ? waits_per_phase * work.per_wait() : 0.0);
      if (begin > 0 && cost >= cuts[end].cost) continue;
      cuts[end].cost = cost;
      cuts[end].begin = begin;
      cuts[end].sharing = sharing;
    }
  }
  Index path[most_cuts + 2], length = 0;
  for (Index end = last; end > 0; end = cuts[end].begin) path[length++] = end;
  Phases result;
  while (length-- > 0) {
    const Cut &end = cuts[path[length]], &begin = cuts[end.begin];
    result.add({{begin.time, end.time}, between(begin, end), end.sharing});
  }
  return result;
}

}  // namespace fastrnn
