// The rows of a batch, longest first: those that run at a time step are then always the first ones.
#pragma once

#include <algorithm>
#include <numeric>

#include "arena.hpp"
#include "blocked.hpp"

namespace fastrnn {

// The lengths of rows in that order, or what of them lies between two times.
struct SortedLengths {
  Index batch;
  Index steps;                  // of the longest row
  const Index* sums = nullptr;  // (batch + 1) of all lengths before a row; null: all rows have all steps
  Index longer = 0;             // rows that go on after the last of these steps
  Index before = 0;             // steps of each row that come before the first of them

  Index sum(Index rows) const {
    if (!sums || rows <= longer) return rows * steps;
    return longer * steps + sums[rows] - sums[longer] - (rows - longer) * before;
  }
  Index total() const { return sum(batch); }
  Index length(Index row) const { return sum(row + 1) - sum(row); }

  // What lies between two times; `running` and `longer` rows are longer than the first and the second.
  SortedLengths between(Range times, Index running, Index longer_than_end) const {
    return {running, times.end - times.begin, sums, longer_than_end, times.begin};
  }

  // Cuts the rows into `parts` with nearly equal sums of lengths.
  Range part(Index parts, Index i) const { return {boundary(parts, i), boundary(parts, i + 1)}; }

 private:
  // The number of rows whose lengths come nearest to i of `parts` parts of the total.
  Index boundary(Index parts, Index i) const {
    if (i == 0) return 0;
    if (i == parts) return batch;
    Index low = 0, high = batch;  // the first that reaches it
    while (low < high) {
      const Index middle = (low + high) / 2;
      if (sum(middle) * parts < total() * i)
        low = middle + 1;
      else
        high = middle;
    }
    const bool nearer = low > 0 && total() * i - sum(low - 1) * parts < sum(low) * parts - total() * i;
    return nearer ? low - 1 : low;
  }
};

class SortedRows {
 public:
  // Takes its tables from `arena`. lengths: (N), null: all rows have `steps`.
  SortedRows(Arena& arena, Index batch, Index steps, const std::int64_t* lengths) : lengths_{batch, steps} {
    order_ = arena.take<Index>(batch);
    longer_ = arena.take<Index>(steps + 2);
    Index* const sums = arena.take<Index>(batch + 1);
    if (!order_) return;  // counting only
    sort(steps, lengths);
    sums[0] = 0;
    for (Index row = 0; row < batch; ++row)
      sums[row + 1] = sums[row] + (lengths ? lengths[order_[row]] : steps);
    lengths_.sums = sums;
  }

  const Index* order() const { return order_; }  // (N) the caller's row of each row
  const SortedLengths& lengths() const { return lengths_; }
  Index running(Index time) const { return longer_[time + 1]; }  // rows longer than `time`

  // The rows of all steps together.
  static Index sum_of_lengths(Index batch, Index steps, const std::int64_t* lengths) {
    return lengths ? std::accumulate(lengths, lengths + batch, Index(0)) : batch * steps;
  }

 private:
  // Counting sort by length, descending and stable.
  void sort(Index steps, const std::int64_t* lengths) {
    std::fill_n(longer_, steps + 2, Index(0));
    for (Index n = 0; n < lengths_.batch; ++n) ++longer_[lengths ? lengths[n] : steps];
    while (lengths_.steps > 0 && longer_[lengths_.steps] == 0) --lengths_.steps;
    Index above = 0;
    for (Index length = steps + 1; length-- > 0;) {
      const Index equal = longer_[length];
      longer_[length] = above;  // rows longer than `length`: where those of this length begin
      above += equal;
    }
    for (Index n = 0; n < lengths_.batch; ++n) order_[longer_[lengths ? lengths[n] : steps]++] = n;
    // Now longer_[length] is the number of rows at least that long: those running at time length - 1.
  }

  SortedLengths lengths_;
  Index* order_;
  Index* longer_;  // (steps + 2)
};

}  // namespace fastrnn
