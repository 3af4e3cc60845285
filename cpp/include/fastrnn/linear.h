// The contract of the affine layer: y = x W^T + b on rows, with the summation order of the recurrent kernels,
// so that a row's result does not depend on the other rows. Conventions as in layer.h; I inputs, O outputs, N
// rows.
#pragma once

#include "layer.h"

namespace fastrnn {

struct LinearSize {
  std::int64_t rows;         // N >= 0
  std::int64_t input_size;   // I >= 1
  std::int64_t output_size;  // O >= 1
};

template <class T>
struct LinearForwardArguments {
  LinearSize size;
  const T* weight;    // (O, I), contiguous
  const T* bias;      // (O) or null
  Matrix<const T> x;  // (N, I)
  Matrix<T> y;        // (N, O)
  void* workspace;    // linear_workspace_bytes
};

template <class T>
struct LinearBackwardArguments {
  LinearSize size;
  const T* weight;     // (O, I), contiguous
  Matrix<const T> x;   // (N, I), as in the forward call
  Matrix<const T> dy;  // (N, O)
  Matrix<T> dx;        // (N, I) or null: not wanted
  T* dweight;          // (O, I), added to
  T* dbias;            // (O) or null, added to
  void* workspace;     // linear_workspace_bytes
};

template <class T>
std::size_t linear_workspace_bytes(const LinearSize& size) noexcept;
template <class T>
void linear_forward(const LinearForwardArguments<T>& arguments) noexcept;
template <class T>
void linear_backward(const LinearBackwardArguments<T>& arguments) noexcept;

}  // namespace fastrnn
