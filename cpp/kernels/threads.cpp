#include "threads.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace fastrnn {
namespace {

// The figures below are those of bench/cpp/threads_bench.cpp on a virtual machine (Zen 4, two cores).

// How long a thread that waits keeps its core before it sleeps. Waking a sleeper takes 20 to 30 us, one that
// still spins begins within 1; the phases of one backward pass follow each other within a few us.
constexpr std::chrono::microseconds spin_time{50};

FASTRNN_INLINE void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `ready()` or for `time`; returns ready().
template <class Ready>
bool spin_until(const Ready& ready, std::chrono::microseconds time = spin_time) noexcept {
  const auto end = std::chrono::steady_clock::now() + time;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

// How long a caller waits for a team to gather. Waking takes 1.8 ms as often as not where both have slept for
// 2 ms, and on a busy core a time slice: then the caller is done sooner alone.
constexpr std::chrono::microseconds gathering_time{100};

// How long a member of a team keeps its core before it lets others run: members side by side meet within a
// few us.
constexpr std::chrono::microseconds member_spin_time{5};

// A member that waits this long, and several times as long as its own share of the work took, shares its core
// with other work: shares are nearly equal, the scheduler's time slices are milliseconds. With all cores busy
// the worst tenth of runs of a hundred steps of 20 us took 4 to 46 times as long as one thread alone, so
// there are no teams for a while. Where a share takes long itself, a lost slice weighs little.
constexpr std::chrono::milliseconds long_wait{1};
constexpr std::int64_t shares_of_a_long_wait = 3;  // one group of units against two makes it one
constexpr std::chrono::milliseconds without_teams{250};
std::atomic<std::int64_t> no_teams_before{0};  // ns of the steady clock

class Pool {
 public:
  // False where another caller has the pool.
  bool try_run(Index count, Task task, void* context) noexcept {
    const std::unique_lock<std::mutex> caller(caller_mutex_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    start_workers(count - 1);
    publish(count, task, context, false);
    work();
    wait_for_the_others();
    return true;
  }

  // The same, all tasks at once: false where the threads for it do not gather in time, and then none has run.
  bool try_run_together(Index count, Task task, void* context) noexcept {
    const std::unique_lock<std::mutex> caller(caller_mutex_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    start_workers(count - 1);
    if (static_cast<Index>(workers_.size()) < count - 1) return false;
    const std::uint64_t team = publish(count, task, context, true);
    const auto gathered = [&] { return present_.load(std::memory_order_acquire) == count - 1; };
    const bool all = spin_until(gathered, gathering_time) || !withdraw();
    decision_.store(2 * team + (all ? 1 : 0), std::memory_order_release);
    if (!all) return false;  // those who came see it when they have their cores; nobody waits for them
    task(context, 0);
    wait_for_the_others();
    return true;
  }

 private:
  // together: the caller keeps task 0 for itself, and the others wait for its decision. Returns the
  // generation.
  std::uint64_t publish(Index count, Task task, void* context, bool together) noexcept {
    Index sleeping;
    std::uint64_t generation;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      context_ = context;
      count_ = count;
      together_ = together;
      next_ = together ? 1 : 0;
      unfinished_.store(count_ - next_, std::memory_order_relaxed);
      present_.store(0, std::memory_order_relaxed);
      generation = generation_.fetch_add(1, std::memory_order_release) + 1;
      sleeping = sleeping_;
    }
    if (sleeping > 0) wake_.notify_all();
    return generation;
  }

  // Takes back the tasks that nobody has taken; false where all are taken by now.
  bool withdraw() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool any = next_ < count_;
    next_ = count_;
    return any;
  }

  void wait_for_the_others() noexcept {
    const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
    if (spin_until(finished)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, finished);
  }

  // Whether the team of a generation runs, when that is decided.
  bool team_runs(std::uint64_t team) noexcept {
    const auto decided = [&] { return decision_.load(std::memory_order_acquire) >= 2 * team; };
    while (!spin_until(decided)) std::this_thread::yield();
    return decision_.load(std::memory_order_acquire) == 2 * team + 1;
  }

  void start_workers(Index wanted) noexcept {
    while (static_cast<Index>(workers_.size()) < wanted) {
      try {
        workers_.emplace_back([this] { serve(); });
      } catch (...) {
        return;  // no thread to be had: those there are, and the caller, do the work
      }
    }
  }

  void serve() noexcept {
    std::uint64_t seen = 0;
    const auto called = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    for (;;) {
      if (!spin_until(called)) {
        std::unique_lock<std::mutex> lock(mutex_);
        ++sleeping_;
        wake_.wait(lock, called);
        --sleeping_;
      }
      seen = generation_.load(std::memory_order_acquire);
      work();
    }
  }

  // Takes tasks until none is left.
  void work() noexcept {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      if (next_ >= count_) return;
      const Index index = next_++;
      const Task task = task_;
      void* const context = context_;
      const bool together = together_;
      const std::uint64_t generation = generation_.load(std::memory_order_relaxed);
      if (together) present_.fetch_add(1, std::memory_order_release);
      lock.unlock();
      if (together && !team_runs(generation)) continue;  // of a team called off nothing else is touched
      task(context, index);
      lock.lock();  // so that a caller about to sleep does not miss the end
      if (unfinished_.fetch_sub(1, std::memory_order_release) == 1) done_.notify_one();
    }
  }

  std::mutex caller_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  bool together_ = false;
  Index count_ = 0, next_ = 0, sleeping_ = 0;
  std::atomic<Index> unfinished_{0}, present_{0};
  std::atomic<std::uint64_t> generation_{0};
  // Of the newest team decided on: twice its generation, and one more if it runs.
  std::atomic<std::uint64_t> decision_{0};
};

// The pool of this process. It is never destroyed: its workers sleep until the process ends. After fork the
// child has no workers and perhaps a locked mutex, so it gets a pool of its own.
Pool* pool() noexcept {
  struct Owned {
    pid_t process;
    Pool pool;
  };
  static std::atomic<Owned*> current{nullptr};
  Owned* owned = current.load(std::memory_order_acquire);
  if (owned && owned->process == getpid()) return &owned->pool;
  auto* fresh = new (std::nothrow) Owned{getpid(), {}};
  if (!fresh) return nullptr;
  if (current.compare_exchange_strong(owned, fresh, std::memory_order_acq_rel)) return &fresh->pool;
  delete fresh;
  return &owned->pool;
}

}  // namespace

void run_tasks(Index count, Task task, void* context) noexcept {
  Pool* const shared = count > 1 ? pool() : nullptr;
  if (shared && shared->try_run(count, task, context)) return;
  for (Index i = 0; i < count; ++i) task(context, i);
}

std::int64_t nanoseconds() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool teams_run() noexcept { return nanoseconds() >= no_teams_before.load(std::memory_order_relaxed); }

bool run_together(Index count, Task task, void* context) noexcept {
  if (!teams_run()) return false;
  Pool* const shared = pool();
  return shared && shared->try_run_together(count, task, context);
}

void Barrier::wait(std::int64_t& left) noexcept {
  const Index generation = generation_.load(std::memory_order_acquire);
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    missing_.store(members_, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    left = nanoseconds();
    return;
  }
  const auto met = [&] { return generation_.load(std::memory_order_acquire) != generation; };
  const std::int64_t arrived = nanoseconds(), own_share = arrived - left;
  if (spin_until(met, member_spin_time)) {
    left = arrived;  // nearly
    return;
  }
  while (!met()) std::this_thread::yield();
  left = nanoseconds();
  const std::int64_t limit =
      std::max(std::chrono::nanoseconds(long_wait).count(), shares_of_a_long_wait * own_share);
  if (left - arrived > limit)
    no_teams_before.store(left + std::chrono::nanoseconds(without_teams).count(), std::memory_order_relaxed);
}

}  // namespace fastrnn
