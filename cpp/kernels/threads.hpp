// A small pool over std::thread. Not OpenMP: a wheel must not carry a second OpenMP runtime, and must survive
// fork.
#pragma once

#include "lanes.hpp"

namespace fastrnn {

// Runs task(context, 0) ... task(context, count - 1), each exactly once, on at most `count` threads of which
// the caller is one; returns when all are done. Where the pool is busy with another caller, or a thread
// cannot be had, the caller runs them itself. Tasks must not throw.
void run_tasks(Index count, void (*task)(void* context, Index index) noexcept, void* context) noexcept;

// Calls f(0) ... f(count - 1), side by side where count > 1.
template <class F>
void parallel_for(Index count, const F& f) noexcept {
  if (count == 1) {
    f(Index(0));
    return;
  }
  run_tasks(
      count, [](void* context, Index index) noexcept { (*static_cast<const F*>(context))(index); },
      const_cast<F*>(&f));
}

}  // namespace fastrnn
