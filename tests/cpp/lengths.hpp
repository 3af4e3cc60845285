// Lengths of a batch's rows, longest first, with the sums that SortedLengths reads.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "sorted_rows.hpp"

namespace fastrnn::testing {

struct Lengths {
  std::vector<Index> lengths, sums{0};

  explicit Lengths(std::vector<Index> of_rows) : lengths(std::move(of_rows)) {
    std::sort(lengths.rbegin(), lengths.rend());
    for (const Index length : lengths) sums.push_back(sums.back() + length);
  }
  SortedLengths view() const {
    return {Index(lengths.size()), lengths.empty() ? 0 : lengths[0], sums.data()};
  }
  // Of the rows longer than `begin`, the steps in [begin, end).
  Lengths between(Index begin, Index end) const {
    std::vector<Index> part;
    for (const Index n : lengths)
      if (n > begin) part.push_back(std::min(n, end) - begin);
    return Lengths(part);
  }
};

inline Lengths random_lengths(std::mt19937& generator, unsigned most_rows = 40) {
  std::vector<Index> lengths(1 + generator() % most_rows);
  for (Index& n : lengths) n = generator() % 50;
  return Lengths(lengths);
}

}  // namespace fastrnn::testing
