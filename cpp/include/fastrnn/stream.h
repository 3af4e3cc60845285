// The contract of streaming: a stack of layers, one time step a call, the state kept between calls.
// Conventions as in layer.h; N rows of the batch. A step's results are those of the layers over whole
// sequences, bit for bit.
#pragma once

#include "layer.h"

namespace fastrnn {

enum class StageKind { recurrent, linear, add };

// One layer of the stack; it reads the outputs of the one before. An add stage adds to them what an earlier
// stage has read: a residual connection around the stages between.
template <class T>
struct Stage {
  StageKind kind;
  Cell cell;                   // of a recurrent stage
  std::int64_t input_size;     // I >= 1
  std::int64_t output_size;    // S or O >= 1; of an add stage I, which is also I of its source
  const T* panels;             // of pack_panels(Pass::forward, ...), or of pack_linear; null for an add stage
  bool bfloat16 = false;       // of a recurrent stage: as in LayerSize
  std::int64_t source = 0;     // of an add stage: the index, below its own, of the stage whose input is added
  CellOptions options{};       // of a recurrent stage
  std::int64_t cell_size = 0;  // H of a recurrent stage whose options have a projection
};

template <class T>
struct Stack {
  const Stage<T>* stages;
  std::int64_t count;  // >= 1
  std::int64_t batch;  // N >= 1
  void* workspace;     // stream_workspace_bytes, zero before the first step: it holds the states
};

template <class T>
std::size_t stream_workspace_bytes(const Stack<T>& stack) noexcept;

// `step`: steps taken before. x (N, I of the first stage), y (N, output_size of the last); x and y may
// overlap.
template <class T>
void stream_step(const Stack<T>& stack, std::int64_t step, const Matrix<const T>& x,
                 const Matrix<T>& y) noexcept;

// The state of a recurrent stage, (N, H) each, after `step` steps; c only for the LSTM.
template <class T>
void stream_read_state(const Stack<T>& stack, std::int64_t step, std::int64_t stage, const Matrix<T>& h,
                       const Matrix<T>& c) noexcept;
template <class T>
void stream_write_state(const Stack<T>& stack, std::int64_t step, std::int64_t stage,
                        const Matrix<const T>& h, const Matrix<const T>& c) noexcept;

// Panels of a linear stage.
template <class T>
std::size_t linear_panel_size(std::int64_t input_size, std::int64_t output_size) noexcept;
// weight (O, I), bias (O) or null
template <class T>
void pack_linear(std::int64_t input_size, std::int64_t output_size, const T* weight, const T* bias,
                 T* panels) noexcept;

}  // namespace fastrnn
