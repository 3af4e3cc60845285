// How many threads a piece of work is worth.
#pragma once

#include <algorithm>

#include "lanes.hpp"

namespace fastrnn {

// Multiply-adds of a call below which another thread costs more than it gains: waking one takes
// up to 90 us (threads.cpp), in which an AVX-512 core does 4.5 million.
inline constexpr double multiply_adds_per_thread = 8e6;

inline Index useful_threads(int allowed, double multiply_adds) {
  const double worth = multiply_adds / multiply_adds_per_thread;
  return std::max<Index>(1, worth >= allowed ? static_cast<Index>(allowed) : static_cast<Index>(worth));
}

}  // namespace fastrnn
