// How a call will be run, for people to read: results never depend on it.
#pragma once

#include "layer.h"

namespace fastrnn {

// By rows: each thread takes its rows through all steps, with no wait in between. By units: each thread
// computes its units for all rows, so that its share of the weights stays in its own L2, and waits for the
// others once a step.
enum class Split { rows, units };

struct Plan {
  Split split;
  std::int64_t threads;
  bool hoisted;               // the input's products are taken for many steps at once
  std::int64_t hoisted_rows;  // for about so many rows at once, in inference
  std::int64_t tile_rows;     // of the tallest tile of the forward step
  std::int64_t tile_packets;  // registers side by side in it
  double multiply_adds;       // of one forward pass
  bool bfloat16_dot;          // bfloat16 weights meet x and h rounded to bfloat16; else they are widened
};

// The plan of a dense forward pass with at most `threads` threads.
template <class T>
Plan explain_plan(const LayerSize& size, int threads) noexcept;

// Whether `count` calls over the same N and T, such as the two directions of a layer, are done sooner side by
// side than one after the other with up to `threads` threads each.
template <class T>
bool side_by_side_wins(Pass pass, const LayerSize* sizes, int count, const std::int64_t* lengths,
                       int threads) noexcept;

}  // namespace fastrnn
