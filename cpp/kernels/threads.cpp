#include "threads.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace fastrnn {
namespace {

// How long a thread that waits keeps its core before it sleeps. Waking a sleeper took 50 to 90 us on a
// virtual machine (Zen 4); the phases of one backward pass follow each other within a few us.
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

// How long a caller waits for a team to gather. Waking took up to 600 us on a virtual machine whose core had
// been idle for 2 ms, and on a busy core a time slice: then the caller is done sooner alone. Those that have
// come by then it does wait for, which takes longer if one of them loses its core just then.
constexpr std::chrono::microseconds gathering_time{100};

// How long a member of a team keeps its core before it lets others run: members side by side meet within a
// few us.
constexpr std::chrono::microseconds member_spin_time{5};

// A member that waits this long shares its core with other work: the scheduler's time slices are
// milliseconds, a member's step tens of microseconds. A hundred such steps took 7 to 10 times as long as one
// thread alone, so then there are no teams for a while.
constexpr std::chrono::milliseconds long_wait{1};
constexpr std::chrono::milliseconds without_teams{250};
std::atomic<std::int64_t> no_teams_before{0};  // ns of the steady clock

std::int64_t nanoseconds() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

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
    publish(count, task, context, true);
    const bool all =
        spin_until([&] { return present_.load(std::memory_order_acquire) == count - 1; }, gathering_time);
    if (!all) withdraw();
    decision_.store(all ? Decision::go : Decision::called_off, std::memory_order_release);
    if (all) task(context, 0);
    wait_for_the_others();
    return all;
  }

 private:
  enum class Decision { waiting, go, called_off };

  // together: the caller keeps task 0 for itself, and the others wait for its decision.
  void publish(Index count, Task task, void* context, bool together) noexcept {
    Index sleeping;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      context_ = context;
      count_ = count;
      together_ = together;
      next_ = together ? 1 : 0;
      unfinished_.store(count_ - next_, std::memory_order_relaxed);
      present_.store(0, std::memory_order_relaxed);
      decision_.store(Decision::waiting, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
      sleeping = sleeping_;
    }
    if (sleeping > 0) wake_.notify_all();
  }

  // Takes back the tasks that nobody has taken.
  void withdraw() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    unfinished_.fetch_sub(count_ - next_, std::memory_order_relaxed);
    next_ = count_;
  }

  void wait_for_the_others() noexcept {
    const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
    if (spin_until(finished)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, finished);
  }

  // Says that this thread is there; returns whether the team is complete.
  bool join_team() noexcept {
    present_.fetch_add(1, std::memory_order_release);
    const auto decided = [this] { return decision_.load(std::memory_order_acquire) != Decision::waiting; };
    while (!spin_until(decided)) std::this_thread::yield();
    return decision_.load(std::memory_order_acquire) == Decision::go;
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
      lock.unlock();
      if (!together || join_team()) task(context, index);
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
  std::atomic<Decision> decision_{Decision::waiting};
  std::atomic<std::uint64_t> generation_{0};
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

bool run_together(Index count, Task task, void* context) noexcept {
  if (nanoseconds() < no_teams_before.load(std::memory_order_relaxed)) return false;
  Pool* const shared = pool();
  return shared && shared->try_run_together(count, task, context);
}

void Barrier::wait() noexcept {
  const Index generation = generation_.load(std::memory_order_acquire);
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    missing_.store(members_, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  const auto met = [&] { return generation_.load(std::memory_order_acquire) != generation; };
  if (spin_until(met, member_spin_time)) return;
  const std::int64_t start = nanoseconds();
  while (!met()) std::this_thread::yield();
  const std::int64_t now = nanoseconds();
  if (now - start > std::chrono::nanoseconds(long_wait).count())
    no_teams_before.store(now + std::chrono::nanoseconds(without_teams).count(), std::memory_order_relaxed);
}

}  // namespace fastrnn
