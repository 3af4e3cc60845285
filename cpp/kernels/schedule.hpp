// Which rows run in which step, and where the numbers of a step lie.
//
// Rows are taken longest first, so that those running at a time step are always the first ones, in either
// direction: running forward rows drop out at the end, running backward they join at the end. Slot s holds
// what step s starts from (x, h_prev, c_prev) and its gates; the step writes its h and c into slot s + 1.
// Slots are gathered in chunks of about `chunk_rows` rows, over which the products that need no recurrence
// are merged.
#pragma once

#include <algorithm>
#include <numeric>

#include "arena.hpp"
#include "blocked.hpp"

namespace fastrnn {

// Large enough to spread the loads and stores of a weight gradient tile over many rows, small enough that one
// unit block's gates (chunk_rows x 4 packets of 64 bytes) stay in L2.
inline constexpr Index chunk_rows = 256;

struct Chunk {
  Index first_step;  // its steps, in order of running
  Index end_step;
  Index base;    // rows in all chunks before
  Index rows;    // rows of its slots
  Index stride;  // rows from one block to the next: odd, so that blocks spread over the sets of a cache
};

struct Slot {
  Index base;    // of its chunk
  Index stride;  // of its chunk
  Index offset;  // first row within the chunk
};

// The part of a slot's rows in a buffer that holds one chunk at a time.
inline Slot local(const Slot& slot) { return {0, slot.stride, slot.offset}; }

// The numbers of a slot (or chunk) of an array with `blocks` blocks and `numbers` numbers per feature.
template <class T>
Blocked<T> view(T* data, Index blocks, Index numbers, const Slot& slot) {
  const Index row = numbers * lane_width<T>;
  return {data + (slot.base * blocks + slot.offset) * row, slot.stride * row, row};
}
// The same of numbers rounded to bfloat16, in pairs.
template <class T>
inline constexpr Index words_width = lane_width<T> / 2;
template <class T>
Blocked<T> words_view(T* data, Index blocks, const Slot& slot) {
  const Blocked<T> whole = view(data, blocks, 1, slot);
  return {data + (whole.data - data) / 2, whole.block_stride / 2, words_width<T>};
}

constexpr Index odd(Index n) { return n | 1; }

class Schedule {
 public:
  // Takes its tables from `arena`. rows_per_chunk 0: no chunks, all slots are two that alternate.
  Schedule(Arena& arena, Index batch, Index steps, const std::int64_t* lengths, bool reverse,
           Index rows_per_chunk)
      : batch_(batch), reverse_(reverse), rows_per_chunk_(rows_per_chunk) {
    order_ = arena.take<Index>(batch);
    longer_ = arena.take<Index>(steps + 2);
    slots_ = arena.take<Slot>(rows_per_chunk > 0 ? steps + 1 : 0);
    chunks_ = arena.take<Chunk>(rows_per_chunk > 0 ? steps + 1 : 0);
    if (!order_) return;  // counting only
    sort_rows(steps, lengths);
    if (rows_per_chunk > 0) place_slots();
  }

  Index batch() const { return batch_; }
  Index steps() const { return steps_; }         // the longest row's
  const Index* order() const { return order_; }  // (N) the caller's row of each row, longest first
  Index time(Index step) const { return reverse_ ? steps_ - 1 - step : step; }

  // Rows of all steps together: the sum of the lengths.
  Index row_steps() const { return row_steps_; }

  // Rows running in a step; 0 outside of 0..steps() - 1.
  Index active(Index step) const { return step < 0 || step >= steps_ ? 0 : longer_[time(step) + 1]; }

  const Slot& slot(Index step) const { return slots_[step]; }
  Slot alternating_slot(Index step) const { return {0, alternating_stride(batch_), (step & 1) * batch_}; }
  // Rows that slot `step` has room for: those that run in it and those that the step before has written.
  Index slot_rows(Index step) const { return std::max(active(step), active(step - 1)); }
  Index chunk_count() const { return chunk_count_; }
  const Chunk& chunk(Index i) const { return chunks_[i]; }

  // The rows of all steps together.
  static Index sum_of_lengths(Index batch, Index steps, const std::int64_t* lengths) {
    return lengths ? std::accumulate(lengths, lengths + batch, Index(0)) : batch * steps;
  }

  // Rows of two alternating slots, and a bound for those of all slots (sum of lengths, one more per running
  // row, and one per chunk to make its stride odd; two neighbouring chunks hold more than chunk_rows).
  static constexpr Index alternating_stride(Index batch) { return odd(2 * batch); }
  static Index kept_rows(Index batch, Index steps, const std::int64_t* lengths) {
    const Index rows = sum_of_lengths(batch, steps, lengths) + batch;
    return rows + std::min(steps + 1, 2 * rows / chunk_rows + 1);
  }

  // Cuts the rows into `parts` with nearly equal sums of lengths.
  Range part(Index parts, Index i) const { return {boundary(parts, i), boundary(parts, i + 1)}; }

 private:
  // Counting sort by length, descending and stable.
  void sort_rows(Index steps, const std::int64_t* lengths) {
    std::fill_n(longer_, steps + 2, Index(0));
    for (Index n = 0; n < batch_; ++n) ++longer_[lengths ? lengths[n] : steps];
    steps_ = steps;
    while (steps_ > 0 && longer_[steps_] == 0) --steps_;
    Index above = 0;
    for (Index length = steps + 1; length-- > 0;) {
      const Index equal = longer_[length];
      longer_[length] = above;  // rows longer than `length`: where those of this length begin
      above += equal;
    }
    for (Index n = 0; n < batch_; ++n) order_[longer_[lengths ? lengths[n] : steps]++] = n;
    for (Index t = 0; t < steps_; ++t) row_steps_ += longer_[t + 1];
    // Now longer_[length] is the number of rows at least that long: those running at time length - 1.
  }

  void place_slots() {
    for (Index step = 0; step <= steps_ && steps_ > 0; ++step) {
      const Index rows = slot_rows(step);
      Chunk* last = chunk_count_ > 0 ? &chunks_[chunk_count_ - 1] : nullptr;
      if (!last || last->rows + rows > rows_per_chunk_) {
        const Index base = last ? last->base + last->stride : 0;
        last = &chunks_[chunk_count_++];
        *last = {step, step, base, 0, 0};
      }
      slots_[step] = {last->base, 0, last->rows};
      last->rows += rows;
      last->end_step = step + 1;
      last->stride = odd(last->rows);
    }
    for (Index i = 0; i < chunk_count_; ++i) {
      for (Index step = chunks_[i].first_step; step < chunks_[i].end_step; ++step)
        slots_[step].stride = chunks_[i].stride;
    }
  }

  Index boundary(Index parts, Index i) const {
    if (i == 0) return 0;
    if (i == parts) return batch_;
    // Rows [0, r) hold the sum over t of min(r, active rows at t); find the first r with its share.
    Index low = 0, high = batch_;
    while (low < high) {
      const Index middle = (low + high) / 2;
      Index sum = 0;
      for (Index t = 0; t < steps_; ++t) sum += std::min(middle, longer_[t + 1]);
      if (sum * parts < row_steps_ * i)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  Index batch_;
  Index steps_ = 0;
  Index row_steps_ = 0;
  bool reverse_;
  Index rows_per_chunk_;
  Index* order_;
  Index* longer_;  // (steps + 2)
  Slot* slots_;    // (steps + 1)
  Chunk* chunks_;  // (chunk_count_)
  Index chunk_count_ = 0;
};

}  // namespace fastrnn
