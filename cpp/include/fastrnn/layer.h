// The contract of fastrnn's kernels: one recurrent layer, one direction, forward and backward through time.
//
// Symbols: T steps, N batch rows, I input_size, H hidden_size, G gates of the cell (LSTM 4: i f g o; GRU 3: r
// z n; RNN 1). All functions are thread-safe and never throw; they keep and allocate nothing but the pool of
// threads, which the first call on several threads begins. The caller owns every array. Panels, tapes and
// workspaces are aligned to `alignment` bytes; nothing else needs to be. No two arrays that a function writes
// may overlap each other or any array that it reads. Sizes are not checked here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastrnn {

inline constexpr std::size_t alignment = 64;

enum class Cell {
  rnn_tanh,
  rnn_relu,
  lstm,
  gru,               // reset gate after the recurrent product (cuDNN, PyTorch)
  gru_reset_before,  // reset gate before it (Cho et al. 2014)
  lstm_peephole,     // the gates see the cell state (Gers and Schmidhuber 2000)
  lstm_coupled,      // f = 1 - i; gates i g o (Greff et al. 2017)
  lstm_coupled_peephole,
  independent_rnn_tanh,  // one recurrent weight per unit, no weight_hh (Li et al. 2018)
  independent_rnn_relu,
};

// G, the blocks of H rows in a cell's weights.
constexpr int gates_of(Cell cell) {
  switch (cell) {
    case Cell::lstm:
    case Cell::lstm_peephole:
      return 4;
    case Cell::gru:
    case Cell::gru_reset_before:
    case Cell::lstm_coupled:
    case Cell::lstm_coupled_peephole:
      return 3;
    case Cell::rnn_tanh:
    case Cell::rnn_relu:
    case Cell::independent_rnn_tanh:
    case Cell::independent_rnn_relu:
      break;
  }
  return 1;
}
// Whether the state is (h, c).
constexpr bool has_cell_state(Cell cell) {
  return cell == Cell::lstm || cell == Cell::lstm_peephole || cell == Cell::lstm_coupled ||
         cell == Cell::lstm_coupled_peephole;
}
// Weights per hidden unit: U in the shapes below.
constexpr int unit_weights_of(Cell cell) {
  return cell == Cell::lstm_peephole                                                ? 3
         : cell == Cell::lstm_coupled_peephole                                      ? 2
         : cell == Cell::independent_rnn_tanh || cell == Cell::independent_rnn_relu ? 1
                                                                                    : 0;
}
constexpr bool has_recurrent_matrix(Cell cell) {
  return cell != Cell::independent_rnn_tanh && cell != Cell::independent_rnn_relu;
}

// hard_sigmoid: 0.2 a + 0.5 within 0..1; hard_tanh: a within -1..1; softsign: a / (1 + |a|).
enum class Activation { sigmoid, tanh, relu, hard_sigmoid, hard_tanh, softsign, identity };

// What a layer computes otherwise than its cell's plain equations. Zero: not at all.
struct CellOptions {
  Activation gate_activation = Activation::sigmoid;    // of i f o, r z
  Activation candidate_activation = Activation::tanh;  // of g, n, and of an RNN's h (rnn_tanh's alone)
  Activation output_activation = Activation::tanh;     // of c, before the output gate
  double activation_clip = 0;           // what activations of gates and candidates see lies within -+ this
  double cell_clip = 0;                 // c lies within -+ this; cells with c only
  std::int64_t projection_size = 0;     // P: h = weight_hr (o f(c)); cells with c only
  bool layer_norm = false;              // of W x, of R h, and of c before its activation (Ba et al. 2016)
  double zoneout_h = 0, zoneout_c = 0;  // the share of the state before, where a call gives no mask for it
  // In BPTT, each row's gradient of the state before a step: its elements lie within -+ this, then its norm.
  double gradient_clip_value = 0, gradient_clip_norm = 0;
};

// Which of the masks below a call has; the sizes of tapes and workspaces depend on it.
struct MaskKinds {
  bool resets = false, recurrent = false, zoneout_h = false, zoneout_c = false;
};

struct LayerSize {
  Cell cell;
  std::int64_t batch;        // N >= 0
  std::int64_t steps;        // T >= 0
  std::int64_t input_size;   // I >= 1
  std::int64_t hidden_size;  // H >= 1
  // T = float, forward without a tape: the panels hold the weights, less the biases, rounded to bfloat16.
  // Sums and states stay float. Where the processor multiplies bfloat16, x and h are rounded in the products
  // (Plan::bfloat16_dot tells); elsewhere results are those of float weights that were rounded, bit for bit.
  bool bfloat16 = false;
  CellOptions options{};
  MaskKinds masks{};
  // V, where a backward call has tokens (0: where it has none): the size of its workspace depends on it.
  std::int64_t num_embeddings = 0;
};

// S, the numbers of h: P or H.
constexpr std::int64_t state_size(const LayerSize& size) {
  return size.options.projection_size > 0 ? size.options.projection_size : size.hidden_size;
}

// An array (N, T, F) or (T, N, F), whichever the strides say (in elements); features lie side by side.
template <class T>
struct Sequence {
  T* data;
  std::ptrdiff_t batch_stride;
  std::ptrdiff_t step_stride;
};

// An array (N, F); features lie side by side. Stride in elements.
template <class T>
struct Matrix {
  T* data;
  std::ptrdiff_t batch_stride;
};

// Public weights, each row-major and contiguous. Biases may be null.
template <class T>
struct Weights {
  T* weight_ih;               // (G * H, I)
  T* weight_hh;               // (G * H, S); null where the cell has no recurrent matrix
  T* bias_ih;                 // (G * H)
  T* bias_hh;                 // (G * H)
  T* unit_weights = nullptr;  // (U * H): peepholes i f o (coupled: i o), or an independent RNN's u
  T* weight_hr = nullptr;     // (P, H) where there is a projection
  // Where there is layer normalisation, gain and shift of W x (G * H each), of R h (likewise, where the cell
  // has a recurrent matrix) and of c (H each, where the cell has it), one after the other.
  T* layer_norm = nullptr;
};

// Numbers that act on single rows and steps; each may be null.
template <class T>
struct Masks {
  // (N, T, 1): where not zero, no state crosses from the step before this one to it, or, in reverse, from
  // this one to the step before it: the step that would receive it starts from zero. In reverse step 0 has no
  // such step, and the final state is what it leaves.
  Sequence<const std::uint8_t> resets{};
  Matrix<const T> recurrent{};    // (N, S): multiplies h_prev where it enters a product
  Sequence<const T> zoneout_h{};  // (N, T, S): the share of h_prev in h, 0..1
  Sequence<const T> zoneout_c{};  // (N, T, H) likewise of c
};

// What forward and backward share about time.
struct Timing {
  // (N) valid steps of each row, 0..T, or null where all are T. Outputs and gradients at other steps are
  // zero, their inputs are not read; a row's final state is that after its last valid step (its initial state
  // where it has none).
  const std::int64_t* lengths;
  // Each row runs from its last valid step to step 0; outputs stay aligned with inputs.
  bool reverse;
  // Upper bound for the threads used; results do not depend on it.
  int threads;
};

// ---- panels: weights packed for the kernels ----

enum class Pass { forward, backward };

// Elements of the panels of one pass.
template <class T>
std::size_t panel_size(Pass pass,
                       const LayerSize& size) noexcept;  // uses cell, input_size, hidden_size, options

// Packs the weights for one pass; to be done again after they change. `panels` has panel_size elements.
template <class T>
void pack_panels(Pass pass, const LayerSize& size, const Weights<const T>& weights, T* panels) noexcept;

// ---- forward ----

template <class T>
struct ForwardArguments {
  LayerSize size;
  Timing timing;
  const T* panels;      // of Pass::forward
  Sequence<const T> x;  // (N, T, I)
  Matrix<const T> h0;   // (N, S) or null: zero
  Matrix<const T> c0;   // (N, H) or null: zero; LSTM only
  Sequence<T> y;        // (N, T, S), written everywhere
  Matrix<T> h_n;        // (N, S)
  Matrix<T> c_n;        // (N, H); LSTM only
  void* tape;           // tape_bytes: filled for one backward call; or null: nothing is kept
  void* workspace;      // forward_workspace_bytes; content is of no use afterwards
  Masks<T> masks{};     // those that size.masks says; the recurrent one and bfloat16 exclude each other
};

template <class T>
std::size_t tape_bytes(const LayerSize& size, const std::int64_t* lengths) noexcept;
template <class T>
std::size_t forward_workspace_bytes(const LayerSize& size, bool with_tape) noexcept;
template <class T>
void forward(const ForwardArguments<T>& arguments) noexcept;
// Several calls at the same time, each on one thread whatever its timing says; plan.h tells where that wins.
// They may read the same arrays, and write none that another reads or writes.
template <class T>
void forward_side_by_side(const ForwardArguments<T>* calls, int count) noexcept;

// ---- reading what a forward pass has kept ----

template <class T>
struct ReadTapeArguments {
  LayerSize size;  // as in the forward call
  Timing timing;   // as in the forward call (threads may differ)
  void* tape;      // of the forward call, before a backward call uses it up
  Sequence<T> c;   // (N, T, H) or null: c after each step; cells with c only
  // (N, T, G * H) or null: the gates' activations, in the order of the public weights (an RNN's: h).
  Sequence<T> gates;
  void* workspace;   // forward_workspace_bytes with a tape; content is of no use afterwards
  Masks<T> masks{};  // as in the forward call
};

// Copies to the caller's arrays, written everywhere: zero at invalid steps. The tape is written to, and is
// afterwards what it was.
template <class T>
void read_tape(const ReadTapeArguments<T>& arguments) noexcept;

// ---- back-propagation through time ----

template <class T>
struct BackwardArguments {
  LayerSize size;        // as in the forward call
  Timing timing;         // as in the forward call (threads may differ)
  const T* panels;       // of Pass::backward, packed from the weights of the forward call
  void* tape;            // of the forward call; used up
  Sequence<const T> dy;  // (N, T, S) or null: zero; not read at invalid steps
  Matrix<const T> dh_n;  // (N, S) or null: zero
  Matrix<const T> dc_n;  // (N, H) or null: zero; LSTM only
  Sequence<T> dx;        // (N, T, I) or null: not wanted; with tokens (V, I), by token, wanted
  bool add_to_dx;        // dx += instead of dx =
  Matrix<T> dh0;         // (N, S)
  Matrix<T> dc0;         // (N, H); LSTM only
  Weights<T> dweights;   // gradients are added to what is there; bias gradients may be null
  void* workspace;       // backward_workspace_bytes; content is of no use afterwards
  // Null, or panel_size<T>(Pass::forward, size), aligned as panels: sums of the weights' gradients that go on
  // from call to call, over pieces of the same sequences, the last piece first. The call adds to them instead
  // of dweights. Zero before the first call; add_weight_sums after the last. Where all rows are equally long
  // and pieces are whole chunks of steps, these are the additions of one call over all, in its order.
  T* weight_sums = nullptr;
  Masks<T> masks{};  // as in the forward call
  // (N, T) where size.num_embeddings > 0, each 0..V-1: x was, at valid steps, the row of a table (V, I) that
  // each names. dx is then the gradient of that table.
  Sequence<const std::int64_t> tokens{};
};

template <class T>
std::size_t backward_workspace_bytes(const LayerSize& size) noexcept;
template <class T>
void backward(const BackwardArguments<T>& arguments) noexcept;
// Adds sums of the weights' gradients to dweights (size: uses cell, input_size, hidden_size, options).
template <class T>
void add_weight_sums(const LayerSize& size, const T* weight_sums, const Weights<T>& dweights) noexcept;
// As forward_side_by_side; so each call has a dx of its own.
template <class T>
void backward_side_by_side(const BackwardArguments<T>* calls, int count) noexcept;

}  // namespace fastrnn
