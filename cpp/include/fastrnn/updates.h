// The contract of what a training step does outside of the layers: the loss of classes, the gradients' norm,
// and Adam. Conventions as in layer.h. Vectors are contiguous. All runs on the calling thread; every sum is
// taken in one order.
#pragma once

#include "layer.h"

namespace fastrnn {

// The sum of squares in double, the same bits in every instruction set.
template <class T>
double sum_of_squares(const T* vector, std::int64_t count) noexcept;

// m = beta1 m + g, s = beta2 s + g g, p -= rate m / (sqrt(s) + epsilon): Adam (Kingma and Ba 2015) with sums
// m and s for its means, whose factors are in rate and epsilon. Each operation is rounded by itself: the same
// bits in every instruction set.
template <class T>
struct AdamArguments {
  std::int64_t count;  // P, of each vector
  T beta1, beta2, epsilon, rate;
  const T* gradients;
  T* parameters;
  T* sum;
  T* square_sum;
};

template <class T>
void adam(const AdamArguments<T>& arguments) noexcept;

// The mean of -log softmax(scores)[label] over rows, by weights, and its gradient (Bishop 2006, eq. 4.108).
// Exponentials in T, the rest in double.
template <class T>
struct CrossEntropyArguments {
  std::int64_t rows;           // N
  std::int64_t classes;        // C >= 1
  const T* scores;             // (N, C)
  const std::int64_t* labels;  // (N), 0..C-1 where the weight is not 0
  const double* weights;       // (N), at least 0; null: all 1. Rows of weight 0 are not read
  T* gradient;                 // (N, C), written everywhere; zero where the weight is 0
};

// Returns the mean; zero where all weights are.
template <class T>
double softmax_cross_entropy(const CrossEntropyArguments<T>& arguments) noexcept;

}  // namespace fastrnn
