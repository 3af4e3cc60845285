// Aligned arrays, NaN until written, with random content on request.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "fastrnn/layer.h"

namespace fastrnn::testing {

template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : count_(count), storage_(count * sizeof(T) + alignment) {
    void* place = storage_.data();
    std::size_t space = storage_.size();
    data_ = static_cast<T*>(std::align(alignment, count * sizeof(T), place, space));
    std::fill(storage_.begin(), storage_.end(), static_cast<char>(0xFF));
  }
  Array(const Array&) = delete;  // a copy's pointer would stay with the original

  T* data() { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }

  Array& zero() {
    std::fill_n(data_, count_, T(0));
    return *this;
  }
  Array& randomize(unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    for (std::size_t i = 0; i < count_; ++i) data_[i] = static_cast<T>(uniform(generator));
    return *this;
  }

 private:
  std::size_t count_;
  std::vector<char> storage_;
  T* data_;
};

}  // namespace fastrnn::testing
