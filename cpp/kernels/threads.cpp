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

// Spins until `ready()` or for spin_time; returns ready().
template <class Ready>
bool spin_until(const Ready& ready) noexcept {
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

// When teams may be tried again, in ns of the steady clock. A member that waits long shares its core with
// other work; a hundred steps of that took 7 times as long as one thread alone, so for a while there are no
// teams.
std::atomic<std::int64_t> no_teams_before{0};
constexpr std::chrono::milliseconds without_teams{250};

std::int64_t nanoseconds() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Pool {
 public:
  // False where another caller has the pool or, if all tasks are to run at once, threads are missing.
  bool try_run(Index count, Task task, void* context, bool at_once) noexcept {
    std::unique_lock<std::mutex> caller(caller_mutex_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    start_workers(count - 1);
    if (at_once && static_cast<Index>(workers_.size()) < count - 1) return false;
    Index sleeping;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      context_ = context;
      count_ = count;
      next_ = 0;
      unfinished_.store(count, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
      sleeping = sleeping_;
    }
    if (sleeping > 0) wake_.notify_all();
    work();
    const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
    if (!spin_until(finished)) {
      std::unique_lock<std::mutex> lock(mutex_);
      done_.wait(lock, finished);
    }
    return true;
  }

 private:
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
      lock.unlock();
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
  Index count_ = 0, next_ = 0, sleeping_ = 0;
  std::atomic<Index> unfinished_{0};
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
  if (shared && shared->try_run(count, task, context, false)) return;
  for (Index i = 0; i < count; ++i) task(context, i);
}

bool run_together(Index count, Task task, void* context) noexcept {
  if (nanoseconds() < no_teams_before.load(std::memory_order_relaxed)) return false;
  Pool* const shared = pool();
  return shared && shared->try_run(count, task, context, true);
}

void Barrier::wait() noexcept {
  const Index generation = generation_.load(std::memory_order_acquire);
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    missing_.store(members_, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  constexpr int spins = 4000;  // some 100 us
  for (int i = 0; generation_.load(std::memory_order_acquire) == generation; ++i) {
    if (i < spins) {
      pause();
      continue;
    }
    if (i == spins) {
      const std::int64_t until = nanoseconds() + std::chrono::nanoseconds(without_teams).count();
      no_teams_before.store(until, std::memory_order_relaxed);
    }
    std::this_thread::yield();
  }
}

}  // namespace fastrnn
