#include "threads.hpp"

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace fastrnn {
namespace {

using Task = void (*)(void*, Index) noexcept;

class Pool {
 public:
  // False where another caller has the pool.
  bool try_run(Index count, Task task, void* context) noexcept {
    std::unique_lock<std::mutex> caller(caller_mutex_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    start_workers(count - 1);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      context_ = context;
      count_ = count;
      next_ = 0;
      unfinished_ = count;
      ++generation_;
    }
    wake_.notify_all();
    work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return unfinished_ == 0; });
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
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
      }
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
      lock.lock();
      if (--unfinished_ == 0) done_.notify_one();
    }
  }

  std::mutex caller_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  Index count_ = 0, next_ = 0, unfinished_ = 0;
  std::uint64_t generation_ = 0;
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

}  // namespace fastrnn
