// Which way a call is taken: how many threads, how the work is split between them, and whether the input's
// products are taken for many steps at once. Results do not depend on it.
#pragma once

#include <algorithm>

#include "fastrnn/plan.h"
#include "lanes.hpp"

namespace fastrnn {

// Multiply-adds of a call below which another thread costs more than it gains: waking one takes
// up to 90 us (threads.cpp), in which an AVX-512 core does 4.5 million.
inline constexpr double multiply_adds_per_thread = 8e6;

// The same for calls side by side, which another thread is woken for once. From there on two calls took 0.65
// of the time of one after the other where the thread was awake or slept since 0.2 ms, and 1.1 where its core
// had been idle for 2 ms or was busy.
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

// Rows of a thread from which on a step is bound by arithmetic rather than by reading its weights.
inline constexpr Index enough_rows = 4;
// Multiply-adds of one step and thread below which the wait costs more than the split gains: 0.8 us where a
// single row reads its weights from L2.
inline constexpr double multiply_adds_per_wait = 2e4;

// unit_groups: what units can be split into.
inline Split choose_split(Index threads, Index batch, Index unit_groups, double multiply_adds_per_step) {
  const bool few_rows = batch < threads * enough_rows;
  const bool worth = multiply_adds_per_step >= multiply_adds_per_wait * static_cast<double>(threads);
  return few_rows && worth && unit_groups >= threads ? Split::units : Split::rows;
}

// Those of `threads` that share the steps.
inline Index sharing_threads(Split split, Index threads, Index batch) {
  return split == Split::units ? threads : std::clamp<Index>(batch, 1, threads);
}

// Calls that could run one after the other, each shared by its threads, or side by side on one thread each.
struct IndependentCalls {
  Index count = 0;
  double total = 0, longest = 0;  // multiply-adds
  double in_turn = 0;             // those of one thread where all share each call evenly

  void add(double multiply_adds, Index sharing) {
    ++count;
    total += multiply_adds;
    longest = std::max(longest, multiply_adds);
    in_turn += multiply_adds / static_cast<double>(sharing);
  }
  // A tie is won: no split is quite even, and side by side nobody waits within a call.
  bool wins(int allowed) const {
    return useful_threads(allowed, total, multiply_adds_per_call) >= count && longest <= in_turn;
  }
};

}  // namespace fastrnn
