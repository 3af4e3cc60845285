// How many threads a piece of work is worth.
#pragma once

#include <algorithm>

#include "lanes.hpp"

namespace fastrnn {

// Multiply-adds below which waking another thread costs more than it gains: a wake and a wait take about 10
// us, in which one AVX-512 core does half a million multiply-adds.
inline constexpr double multiply_adds_per_thread = 1e6;

inline Index useful_threads(int allowed, double multiply_adds, Index most) {
  const double worth = multiply_adds / multiply_adds_per_thread;
  const Index wanted = worth >= allowed ? static_cast<Index>(allowed) : static_cast<Index>(worth);
  return std::max<Index>(1, std::min(wanted, most));
}

}  // namespace fastrnn
