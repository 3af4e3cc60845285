// The contract of the mask generator: numbers that are drawn or not, each by its own place alone. Conventions
// as in layer.h; N rows, T steps, F features.
//
// Philox-4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), a
// bijection of four 32-bit words under a key of two. The counter's words are (feature / 4, step, row,
// stream), and output word feature % 4 is the feature's: a number depends on key, stream, row, step and
// feature, and on nothing else.
#pragma once

#include "layer.h"

namespace fastrnn {

template <class T>
struct BernoulliArguments {
  std::uint64_t key;  // its lower half is the first of the key's two words
  std::uint32_t stream;
  std::int64_t rows;      // N; first_row + N <= 2^32
  std::int64_t steps;     // T; first_step + T <= 2^32
  std::int64_t features;  // F; <= 2^34
  std::uint32_t first_row;
  std::uint32_t first_step;
  std::uint64_t threshold;  // words below it are drawn, 0..2^32: the probability times 2^32
  T scale;                  // what is written where a word is drawn; else zero
  Sequence<T> out;          // (N, T, F), written everywhere
  int threads;              // upper bound for the threads used; results do not depend on it
};

template <class T>
void bernoulli(const BernoulliArguments<T>& arguments) noexcept;

}  // namespace fastrnn
