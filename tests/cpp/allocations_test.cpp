// The kernels allocate nothing: not in training, not in inference, not in a stream's step, on one thread or
// two.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "fastrnn/stream.h"
#include "training.hpp"

namespace {
std::atomic<long> allocations{0};
}

// Not inlined: GCC would warn that what one allocates another frees.
__attribute__((noinline)) void* operator new(std::size_t size) {
  ++allocations;
  if (void* place = std::malloc(size ? size : 1)) return place;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* place) noexcept { std::free(place); }
__attribute__((noinline)) void operator delete(void* place, std::size_t) noexcept { std::free(place); }

using namespace fastrnn;
using fastrnn::testing::all_cells;
using fastrnn::testing::Array;
using fastrnn::testing::Training;

// Of each row: all, or 1 and more in no order.
static std::vector<std::int64_t> valid_steps(std::int64_t batch, std::int64_t steps, bool ragged) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; ragged && n < batch; ++n) lengths.push_back(1 + (n * 37 + steps - 9) % steps);
  return lengths;
}

TEST_CASE("the count sees an allocation") {
  const long before = allocations;
  void* const place = operator new(1);  // a call: compilers may leave out what a new expression allocates
  CHECK(allocations == before + 1);
  operator delete(place);
}

TEST_CASE_TEMPLATE("steady training and inference allocate nothing", T, float, double) {
  const std::int64_t sizes[][4] = {{40, 20, 30, 70}, {1, 200, 30, 140}, {8, 100, 30, 70}};
  for (const Cell cell : all_cells) {
    for (const int threads : {1, 2}) {
      for (const auto& n : sizes) {
        for (const bool ragged : {false, true}) {
          Training<T> run({cell, n[0], n[1], n[2], n[3]}, valid_steps(n[0], n[1], ragged), ragged, threads);
          run.train();  // the pool makes its threads at first use
          const long before = allocations;
          run.train();
          run.infer();
          CHECK(allocations == before);
        }
      }
    }
  }
}

TEST_CASE("inference with bfloat16 weights allocates nothing") {
  for (const Cell cell : all_cells) {
    for (const int threads : {1, 2}) {
      for (const bool ragged : {false, true}) {
        Training<float> run({cell, 8, 100, 30, 70, true}, valid_steps(8, 100, ragged), false, threads);
        run.infer();
        const long before = allocations;
        for (int repeat = 0; repeat < 3; ++repeat) run.infer();
        CHECK(allocations == before);
      }
    }
  }
}

TEST_CASE_TEMPLATE("training side by side allocates nothing", T, float, double) {
  for (const Cell cell : all_cells) {
    Training<T> ahead({cell, 9, 40, 30, 70}, {}, false, 2), back({cell, 9, 40, 30, 70}, {}, true, 2);
    const ForwardArguments<T> forward_calls[] = {ahead.forward_call(), back.forward_call()};
    const BackwardArguments<T> backward_calls[] = {ahead.backward_call(), back.backward_call()};
    forward_side_by_side(forward_calls, 2);  // the pool makes its threads at first use
    backward_side_by_side(backward_calls, 2);
    const long before = allocations;
    for (int repeat = 0; repeat < 3; ++repeat) {
      forward_side_by_side(forward_calls, 2);
      backward_side_by_side(backward_calls, 2);
    }
    CHECK(allocations == before);
  }
}

TEST_CASE_TEMPLATE("a stage that adds allocates nothing and gives the sequence's outputs and inputs", T,
                   float, double) {
  const std::int64_t batch = 3, steps = 4, size = 21;
  Training<T> run({Cell::lstm, batch, steps, size, size}, {}, false, 1);
  run.infer();
  const Stage<T> stages[] = {{StageKind::recurrent, Cell::lstm, size, size, run.forward_panels.data()},
                             {StageKind::add, Cell::lstm, size, size, nullptr, false, 0},
                             {StageKind::add, Cell::lstm, size, size, nullptr, false, 1}};
  Stack<T> stack{stages, 3, batch, nullptr};
  Array<char> workspace(stream_workspace_bytes<T>(stack));
  stack.workspace = workspace.data();
  stream_write_state<T>(stack, 0, 0, {run.h0.data(), size}, {run.c0.data(), size});
  Array<T> y(batch * size);
  const long before = allocations;
  for (std::int64_t t = 0; t < steps; ++t) {
    stream_step<T>(stack, t, {run.x.data() + t * size, steps * size}, {y.data(), size});
    bool same = true;
    for (std::int64_t n = 0; n < batch; ++n) {
      for (std::int64_t u = 0; u < size; ++u) {
        const std::int64_t place = (n * steps + t) * size + u;
        same = same && y[n * size + u] == run.y[place] + run.x[place] + run.y[place];
      }
    }
    CHECK(same);
  }
  CHECK(allocations == before);
}

template <class T>
static void check_stream(bool bfloat16) {
  for (const Cell cell : all_cells) {
    const std::int64_t batch = 3, steps = 7, inputs = 5, hidden = 21;
    Training<T> run({cell, batch, steps, inputs, hidden, bfloat16}, {}, false, 1);
    run.infer();
    const Stage<T> stage{StageKind::recurrent, cell, inputs, hidden, run.forward_panels.data(), bfloat16};
    Stack<T> stack{&stage, 1, batch, nullptr};
    Array<char> workspace(stream_workspace_bytes<T>(stack));
    stack.workspace = workspace.data();
    stream_write_state<T>(stack, 0, 0, {run.h0.data(), hidden}, {run.c0.data(), hidden});
    Array<T> y(batch * hidden), h(batch * hidden), c(batch * hidden);
    const long before = allocations;
    for (std::int64_t t = 0; t < steps; ++t) {
      stream_step<T>(stack, t, {run.x.data() + t * inputs, steps * inputs}, {y.data(), hidden});
      bool same = true;
      for (std::int64_t n = 0; n < batch; ++n) {
        for (std::int64_t u = 0; u < hidden; ++u)
          same = same && y[n * hidden + u] == run.y[(n * steps + t) * hidden + u];
      }
      CHECK(same);
    }
    stream_read_state<T>(stack, steps, 0, {h.data(), hidden}, {c.data(), hidden});
    CHECK(allocations == before);
    for (std::int64_t i = 0; i < batch * hidden; ++i) {
      CHECK(h[i] == run.h_n[i]);
      if (has_cell_state(cell)) CHECK(c[i] == run.c_n[i]);
    }
  }
}

TEST_CASE("a stream's step allocates nothing and gives the sequence's outputs") {
  check_stream<float>(false);
  check_stream<double>(false);
  check_stream<float>(true);
}
