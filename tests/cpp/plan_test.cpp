#include "plan.hpp"

#include <doctest/doctest.h>

#include <random>

#include "lengths.hpp"

using namespace fastrnn;
using fastrnn::testing::Lengths;
using fastrnn::testing::random_lengths;

TEST_CASE("parts hold all rows, in order, and no cut one row further on is nearer to equal sums") {
  std::mt19937 generator(7);
  for (int trial = 0; trial < 500; ++trial) {
    const Lengths lengths = random_lengths(generator);
    const SortedLengths sorted = lengths.view();
    for (const Index parts : {1, 2, 3, 7}) {
      Index next = 0;
      for (Index i = 0; i < parts; ++i) {
        const Range part = sorted.part(parts, i);
        CHECK(part.begin == next);
        CHECK(part.end >= part.begin);
        next = part.end;
        if (i == parts - 1) continue;
        const auto from_target = [&](Index row) {
          return std::abs(sorted.sum(row) * parts - sorted.total() * (i + 1));
        };
        for (const Index other : {next - 1, next + 1}) {
          if (other >= 0 && other <= sorted.batch) CHECK(from_target(next) <= from_target(other));
        }
      }
      CHECK(next == sorted.batch);
    }
  }
}

TEST_CASE("the time of rows is that of each of their steps") {
  std::mt19937 generator(8);
  for (int trial = 0; trial < 200; ++trial) {
    const Lengths lengths = random_lengths(generator);
    const SortedLengths sorted = lengths.view();
    const Index begin = generator() % (sorted.batch + 1);
    const Index end = begin + generator() % (sorted.batch + 1 - begin);
    double expected = 0;
    for (Index t = 0; t < sorted.steps; ++t) {
      Index running = 0;
      for (Index row = begin; row < end; ++row) running += lengths.lengths[row] > t;
      if (running > 0) expected += std::max(2.1, double(running));
    }
    CHECK(time_alone(sorted, {begin, end}) == doctest::Approx(expected));
  }
}

TEST_CASE("few rows and uneven ones are shared by units, where that is worth its waits") {
  constexpr double large = 24576, small = 1536;  // LSTM of I = 128, H = 256 and of 32, 64, 16 lanes
  const auto dense = [](Index threads, Index batch, double registers, Index groups = 4) {
    return share_steps(threads, {batch, 100}, {groups, registers});
  };
  for (const Index batch : {1, 2, 3, 5}) CHECK(dense(2, batch, large).split == Split::units);
  for (const Index batch : {4, 6, 8, 32}) CHECK(dense(2, batch, large).split == Split::rows);
  CHECK(dense(2, 1, small).split == Split::rows);
  CHECK(dense(2, 1, small).threads == 1);
  CHECK(dense(2, 1, large, 1).split == Split::rows);  // nothing to split
  CHECK(dense(1, 1, large).time == 1.0);
  CHECK(dense(2, 32, large).time == doctest::Approx(0.5));
  CHECK(dense(2, 1, large).time == doctest::Approx(0.558).epsilon(0.01));

  for (const Index batch : {1, 3, 10}) {
    for (const Index groups : {1, 2, 4, 9}) {
      double time = 1.0;
      for (Index threads = 1; threads <= 20; ++threads) {  // more never take longer
        const Sharing sharing = dense(threads, batch, large, groups);
        CHECK(sharing.time <= time * 1.0001);
        CHECK(sharing.threads <= std::max(batch, groups));
        time = sharing.time;
      }
    }
  }

  const Lengths uneven({100, 10, 10, 10, 10, 10, 10, 10, 10, 10});
  CHECK(share_steps(2, uneven.view(), {4, large}).split == Split::units);
  CHECK(share_steps(2, uneven.view(), {4, small}).split == Split::rows);
  const Lengths empty({0, 0, 0});
  CHECK(share_steps(2, empty.view(), {4, large}).time == 1.0);
}
