// Cuts one allocation into aligned arrays. With a null base it only counts, so that the size of a workspace
// and its use are the same lines of code.
#pragma once

#include <cstddef>

#include "fastrnn/layer.h"

namespace fastrnn {

class Arena {
 public:
  explicit Arena(void* base) : base_(static_cast<char*>(base)) {}

  template <class T>
  T* take(std::ptrdiff_t count) {
    char* place = base_ ? base_ + used_ : nullptr;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + alignment - 1) / alignment * alignment;
    return reinterpret_cast<T*>(place);
  }

  std::size_t used() const { return used_; }

 private:
  char* base_;
  std::size_t used_ = 0;
};

}  // namespace fastrnn
