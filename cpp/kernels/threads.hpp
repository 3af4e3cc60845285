// A small pool over std::thread. Not OpenMP: a wheel must not carry a second OpenMP runtime, and must survive
// fork.
#pragma once

#include <atomic>
#include <cstdint>

#include "blocked.hpp"

namespace fastrnn {

// Nanoseconds of a steady clock.
std::int64_t nanoseconds() noexcept;

// Where the members of a team wait for each other, some hundred times in a millisecond: it spins, and gives
// the core away only after a while, for machines with fewer cores than threads.
class Barrier {
 public:
  explicit Barrier(Index members) : members_(members), missing_(members) {}
  // left: when the caller began its share of the work, in nanoseconds(); becomes when it leaves.
  void wait(std::int64_t& left) noexcept;

 private:
  const Index members_;
  std::atomic<Index> missing_;
  std::atomic<Index> generation_{0};
};

// One of several threads that run the same loop over time, each for its share of the units.
struct Member {
  Index index = 0;
  Index count = 1;
  Barrier* barrier = nullptr;  // null: alone
  mutable std::int64_t left_barrier = 0;

  void wait() const noexcept {
    if (barrier) barrier->wait(left_barrier);
  }
  Range share(Range all) const {
    const Index total = std::max<Index>(0, all.end - all.begin);
    return {all.begin + total * index / count, all.begin + total * (index + 1) / count};
  }
};

// Runs task(context, 0) ... task(context, count - 1), each exactly once, on at most `count` threads of which
// the caller is one; returns when all are done. Where the pool is busy with another caller, or a thread
// cannot be had, the caller runs them itself. Tasks must not throw.
using Task = void (*)(void* context, Index index) noexcept;
void run_tasks(Index count, Task task, void* context) noexcept;

// The same, but all at the same time, so that tasks may wait for each other; or, where that many threads do
// not gather within 100 us, none of them: returns whether they ran.
bool run_together(Index count, Task task, void* context) noexcept;

// False for a while after a member has waited as long as one does that shares its core with other work.
bool teams_run() noexcept;

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

// Calls f(member) for each member of a team of `count`; of one where a team cannot be had.
template <class F>
void run_team(Index count, const F& f) noexcept {
  struct Team {
    const F& f;
    Index count;
    Barrier barrier;
  } team{f, count, Barrier(count)};
  const Task task = [](void* context, Index index) noexcept {
    Team& t = *static_cast<Team*>(context);
    t.f(Member{index, t.count, &t.barrier, nanoseconds()});
  };
  if (count == 1 || !run_together(count, task, &team)) f(Member{});
}

}  // namespace fastrnn
