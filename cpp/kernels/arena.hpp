// Cuts one allocation into aligned arrays. With a null base it only counts, so that the size of a workspace
// and its use are the same lines of code.
#pragma once

#include <cstddef>

#include "fastrnn/layer.h"

#if defined(__SANITIZE_ADDRESS__)  // GCC
#define FASTRNN_ADDRESS_SANITIZER
#elif defined(__has_feature)  // clang; Eigen defines one that knows no feature
#if __has_feature(address_sanitizer)
#define FASTRNN_ADDRESS_SANITIZER
#endif
#endif
#if defined(FASTRNN_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace fastrnn {

class Arena {
 public:
  explicit Arena(void* base) : base_(static_cast<char*>(base)) {}
  Arena(const Arena&) = delete;  // one owner of the gaps
  Arena& operator=(const Arena&) = delete;

  template <class T>
  T* take(std::ptrdiff_t count) {
    const std::size_t size = static_cast<std::size_t>(count) * sizeof(T);
    char* place = base_ ? base_ + used_ : nullptr;
    const std::size_t taken = (size + gap + alignment - 1) / alignment * alignment;
    used_ += taken;
#if defined(FASTRNN_ADDRESS_SANITIZER)
    if (place) ASAN_POISON_MEMORY_REGION(place + size, taken - size);
#endif
    return reinterpret_cast<T*>(place);
  }

  std::size_t used() const { return used_; }

#if defined(FASTRNN_ADDRESS_SANITIZER)
  // The arrays would otherwise lie side by side, and a step out of one into the next be seen by nobody: after
  // each comes a gap that must not be touched while the arena lives. What is counted has the gaps too.
  static constexpr std::size_t gap = alignment;
  // The memory is its owner's again.
  ~Arena() {
    if (base_) ASAN_UNPOISON_MEMORY_REGION(base_, used_);
  }
#else
  static constexpr std::size_t gap = 0;
#endif

 private:
  char* base_;
  std::size_t used_ = 0;
};

}  // namespace fastrnn
