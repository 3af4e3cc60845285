// What a step is made of, in slots of one multiply-add of a register: the tile, by rows and by where its
// weights lie, what a tile costs beside its multiply-adds, and a cell, alone and side by side. The figures in
// docs/benchmarks.md and beside the kernels come from here; it sees the kernels' insides and so builds within
// the project only.
#include <cstdio>
#include <vector>

#include "any_cell.hpp"
#include "peak.hpp"
#include "slices.hpp"
#include "step.hpp"

namespace {

using namespace fastrnn;
using T = float;
constexpr Index width = lane_width<T>;

// Slots of one call: its time by that of a multiply-add in this thread at the same moment.
template <class F>
double slots(F&& call, double expected) {
  const int calls = std::max(1, static_cast<int>(2e6 / expected));
  std::vector<double> rounds;
  call();
  for (int round = 0; round < 21; ++round) {
    const double slot = 2.0 * width / (bench::peak_gflops<T>(1, 1e-3) * 1e9);
    const auto start = bench::Clock::now();
    for (int i = 0; i < calls; ++i) call();
    rounds.push_back(bench::seconds_since(start) / calls / slot);
  }
  return bench::median(rounds);
}

struct alignas(alignment) Line {
  T numbers[alignment / sizeof(T)];
};
T* numbers(std::vector<Line>& memory) { return memory.front().numbers; }

// `rows` rows times `units` panels of `steps` steps and four packets, one after the other.
double tile_slots(Index rows, Index steps, Index units) {
  const Index count = steps * 4 * width;
  std::vector<Line> a((rows + 1) * (steps + width) / 8 + 64), panels(units * count / 8 + 64), sums(1024);
  const Index row_stride = width, block_stride = (rows | 1) * width;
  return slots(
      [&] {
        for (Index unit = 0; unit < units; ++unit) {
          multiply_tile<TileShape<4, 4>>(rows, Sums<const T>{numbers(sums), 0},
                                         forward_product<T>({numbers(a), block_stride, row_stride}, 0, steps,
                                                            {numbers(panels) + unit * count, 4 * width}),
                                         {}, Sums<T>{numbers(sums) + 4 * width, 4 * width});
        }
      },
      double(rows * steps * 4 * units));
}

template <class Cell, int together>
__attribute__((noinline)) void run_cells(T* gates, T* h, T* c, Index rows) {
  using V = side_by_side<T, together>;
  for (Index row = 0; row < rows; row += together) {
    std::array<V, Cell::blocks> a;
    for (int b = 0; b < Cell::blocks; ++b)
      a[b] = load_rows<together>(gates + (row * Cell::blocks + b) * width, Cell::blocks * width);
    State<V> state;
    state.h = load_rows<together>(h + row * width, width);
    state.c = load_rows<together>(c + row * width, width);
    Cell::forward(a, state, fastrnn::PlainFunctions{});
    store_rows<together>(h + row * width, width, state.h);
    store_rows<together>(c + row * width, width, state.c);
  }
}

template <class Cell, int together>
double cell_slots() {
  constexpr Index rows = 24;
  std::vector<Line> gates(rows * Cell::blocks * 2), h(rows * 2), c(rows * 2);
  for (Line& line : gates)
    for (T& number : line.numbers) number = T(0.7);
  return slots([&] { run_cells<Cell, together>(numbers(gates), numbers(h), numbers(c), rows); },
               rows * 80.0) /
         rows;
}

}  // namespace

int main() {
  std::printf("float32, %d lanes, slots of one multiply-add of a register\n\n", static_cast<int>(width));
  std::printf(
      "packet of a tile with four, weights in L1 (4 kB) and L2 (256 kB), and what a tile of 80 steps adds\n");
  for (Index rows = 1; rows <= tile_rows(4); ++rows) {
    const double first = tile_slots(rows, 16, 1) / (16 * 4),
                 second = tile_slots(rows, 128, 8) / (128 * 4 * 8);
    std::printf("  rows %d  %5.2f  %5.2f  %6.1f\n", static_cast<int>(rows), first, second,
                tile_slots(rows, 80, 1) - double(rows * 80 * 4));
  }
  std::printf("\ncell of one lane, alone, two and four side by side\n");
  std::printf("  LSTM  %6.1f %6.1f %6.1f\n", cell_slots<Lstm, 1>(), cell_slots<Lstm, 2>(),
              cell_slots<Lstm, 4>());
  std::printf("  GRU   %6.1f %6.1f %6.1f\n", cell_slots<Gru, 1>(), cell_slots<Gru, 2>(),
              cell_slots<Gru, 4>());
}
