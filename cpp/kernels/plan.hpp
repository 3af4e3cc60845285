// Which way a call is taken: how many threads, how the work is split between them, and whether the input's
// products are taken for many steps at once. Results do not depend on it.
#pragma once

#include "fastrnn/plan.h"
#include "sorted_rows.hpp"

namespace fastrnn {

// Multiply-adds of a call below which another thread costs more than it gains: waking one takes
// 20 to 30 us and more (threads.cpp); an AVX-512 core does a million in 20.
inline constexpr double multiply_adds_per_thread = 8e6;

// The same for calls side by side, which another thread is woken for once (bench/two_directions.py).
inline constexpr double multiply_adds_per_call = 4e6;

inline Index useful_threads(int allowed, double multiply_adds, double per_thread = multiply_adds_per_thread) {
  const double worth = multiply_adds / per_thread;
  return std::max<Index>(1, worth >= allowed ? static_cast<Index>(allowed) : static_cast<Index>(worth));
}

// With few rows a step is bound by reading its weights: 2.1 cycles a packet from L2 whatever the rows,
// against one cycle of arithmetic a row (Zen 4). Taking the input's products over many steps reads their
// weights once.
inline constexpr Index most_rows_hoisted = 3;
// Inputs below which storing the sums costs more than it spares.
inline constexpr Index least_inputs_hoisted = 8;
// Rows over which they are taken at once in inference: their sums stay in L2.
inline constexpr Index hoisted_rows = 64;

constexpr bool hoists_input(Index batch, Index input_size) {
  return batch <= most_rows_hoisted && input_size >= least_inputs_hoisted;
}

// The time of all steps of some rows by themselves, in units of one row's arithmetic in one step.
inline double time_alone(const SortedLengths& lengths, Range rows) {
  constexpr double reading = 2.1;  // of the weights
  double time = 0;
  for (Index row = rows.begin; row < rows.end; ++row) {
    const Index next = row + 1 < rows.end ? lengths.length(row + 1) : 0;
    const double running = static_cast<double>(row + 1 - rows.begin);  // until the next one ends
    time += static_cast<double>(lengths.length(row) - next) * std::max(reading, running);
  }
  return time;
}

// Multiply-adds of registers in the time of a wait, 0.6 us: of the 0.15 to 0.65 that threads_bench prints for
// steps of 10 us, a large one.
inline constexpr double multiply_adds_per_wait = 2200;
// Units have to win by this much: their waits take longer while a core is shared with other work.
inline constexpr double units_margin = 0.97;

// How `threads` threads take the steps of a call, forward or backward.
struct Sharing {
  Split split;
  Index threads;  // that have a share
  double time;    // of the slowest, where the time of one thread alone is 1
};

// What the threads have to share: the groups that units can be split into, and the multiply-adds of registers
// of one row and step.
struct StepWork {
  Index unit_groups;
  double row_registers;

  // In units of one row's arithmetic in one step.
  double per_wait() const { return multiply_adds_per_wait / row_registers; }
};

// The figures are those of AVX-512 in float32; elsewhere a step takes longer and a wait weighs less.
inline Sharing share_steps(Index threads, const SortedLengths& lengths, const StepWork& work) {
  if (threads == 1) return {Split::rows, 1, 1.0};
  const double alone = time_alone(lengths, {0, lengths.batch});
  const Index parts = std::clamp<Index>(lengths.batch, 1, threads);
  if (alone == 0) return {Split::rows, parts, 1.0};
  double by_rows = 0;
  for (Index i = 0; i < parts; ++i) by_rows = std::max(by_rows, time_alone(lengths, lengths.part(parts, i)));
  if (const Index members = std::min(threads, work.unit_groups); members > 1) {
    const Index largest = (work.unit_groups - 1) / members + 1;
    const double by_units = alone * static_cast<double>(largest) / static_cast<double>(work.unit_groups) +
                            static_cast<double>(lengths.steps) * work.per_wait();
    if (by_units < units_margin * by_rows) return {Split::units, members, by_units / alone};
  }
  return {Split::rows, parts, by_rows / alone};
}

// Calls that could run one after the other, each shared by its threads, or side by side on one thread each.
struct IndependentCalls {
  Index count = 0;
  double total = 0, longest = 0;  // multiply-adds
  double in_turn = 0;             // those of the slowest thread where all share each call

  void add(double multiply_adds, const Sharing& sharing) {
    ++count;
    total += multiply_adds;
    longest = std::max(longest, multiply_adds);
    in_turn += multiply_adds * sharing.time;
  }
  // A tie is won: side by side nobody waits within a call.
  bool wins(int allowed) const {
    return useful_threads(allowed, total, multiply_adds_per_call) >= count && longest <= in_turn;
  }
};

}  // namespace fastrnn
