// Which rows run in which step, and where the numbers of a step lie.
//
// Running forward rows drop out at the end, running backward they join at the end. Slot s holds
// what step s starts from (x, h_prev, c_prev) and its gates; the step writes its h and c into slot s + 1.
// Slots are gathered in chunks of about `chunk_rows` rows, over which the products that need no recurrence
// are merged.
#pragma once

#include "sorted_rows.hpp"

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
  Schedule(Arena& arena, const SortedRows& rows, bool reverse, Index rows_per_chunk)
      : rows_(rows), reverse_(reverse), rows_per_chunk_(rows_per_chunk) {
    const Index slots = rows_per_chunk > 0 ? steps() + 1 : 0;
    slots_ = arena.take<Slot>(slots);
    chunks_ = arena.take<Chunk>(slots);
    if (slots_ && rows_per_chunk > 0) place_slots();
  }

  Index batch() const { return rows_.lengths().batch; }
  Index steps() const { return rows_.lengths().steps; }  // the longest row's
  const Index* order() const { return rows_.order(); }   // (N) the caller's row of each row
  Index time(Index step) const { return reverse_ ? steps() - 1 - step : step; }
  Range steps_of(Range times) const {
    return reverse_ ? Range{steps() - times.end, steps() - times.begin} : times;
  }

  // Rows running in a step; 0 outside of 0..steps() - 1.
  Index active(Index step) const { return step < 0 || step >= steps() ? 0 : rows_.running(time(step)); }

  const Slot& slot(Index step) const { return slots_[step]; }
  Slot alternating_slot(Index step) const { return {0, alternating_stride(batch()), (step & 1) * batch()}; }
  // Rows that slot `step` has room for: those that run in it and those that the step before has written.
  Index slot_rows(Index step) const { return std::max(active(step), active(step - 1)); }
  Index chunk_count() const { return chunk_count_; }
  const Chunk& chunk(Index i) const { return chunks_[i]; }

  // Rows of two alternating slots, and a bound for those of all slots (sum of lengths, one more per running
  // row, and one per chunk to make its stride odd; two neighbouring chunks hold more than chunk_rows).
  static constexpr Index alternating_stride(Index batch) { return odd(2 * batch); }
  static Index kept_rows(Index batch, Index steps, const std::int64_t* lengths) {
    const Index rows = SortedRows::sum_of_lengths(batch, steps, lengths) + batch;
    return rows + std::min(steps + 1, 2 * rows / chunk_rows + 1);
  }

 private:
  void place_slots() {
    for (Index step = 0; step <= steps() && steps() > 0; ++step) {
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

  SortedRows rows_;
  bool reverse_;
  Index rows_per_chunk_;
  Slot* slots_;    // (steps + 1)
  Chunk* chunks_;  // (chunk_count_)
  Index chunk_count_ = 0;
};

}  // namespace fastrnn
