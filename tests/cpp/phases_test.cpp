#include "phases.hpp"

#include <doctest/doctest.h>

#include <random>

#include "lengths.hpp"
#include "training.hpp"

using namespace fastrnn;
using fastrnn::testing::all_cells;
using fastrnn::testing::Array;
using fastrnn::testing::Lengths;
using fastrnn::testing::random_lengths;
using fastrnn::testing::Training;

namespace {

constexpr StepWork some_work{8, 6144.0};  // LSTM of I = 64, H = 128, 16 lanes

// In units of one row's arithmetic in one step.
double time_of(const Phase& phase) {
  return phase.sharing.time * time_alone(phase.lengths, {0, phase.lengths.batch});
}
double time_of(const Phases& phases, const StepWork& work) {
  double time = double(phases.count - 1) * waits_per_phase * work.per_wait();
  for (Index i = 0; i < phases.count; ++i) time += time_of(phases.phases[i]);
  return time;
}

// The least time over all sets of cuts where a row ends.
double least_time(Index threads, const Lengths& lengths, const StepWork& work) {
  std::vector<Index> ends;
  for (const Index n : lengths.lengths)
    if (n > 0 && n < lengths.lengths[0] && (ends.empty() || n < ends.back())) ends.push_back(n);
  double least = 1e300;
  for (unsigned cuts = 0; cuts < 1u << ends.size(); ++cuts) {
    std::vector<Index> times{lengths.lengths[0]};
    for (std::size_t i = 0; i < ends.size(); ++i)
      if (cuts >> i & 1) times.push_back(ends[i]);
    times.push_back(0);
    double time = double(times.size() - 2) * waits_per_phase * work.per_wait();
    for (std::size_t i = 0; i + 1 < times.size(); ++i) {
      const Lengths part = lengths.between(times[i + 1], times[i]);
      const SortedLengths view = part.view();
      time += share_steps(threads, view, work).time * time_alone(view, {0, view.batch});
    }
    least = std::min(least, time);
  }
  return least;
}

}  // namespace

TEST_CASE("phases follow each other and hold what of each row lies in their times") {
  std::mt19937 generator(9);
  for (int trial = 0; trial < 500; ++trial) {
    const Lengths lengths = random_lengths(generator);
    const Phases phases = share_phases(1 + generator() % 4, lengths.view(), some_work);
    REQUIRE(phases.count >= 1);
    Index time = 0;
    for (Index i = 0; i < phases.count; ++i) {
      const Phase& phase = phases.phases[i];
      CHECK(phase.times.begin == time);
      time = phase.times.end;
      const Lengths expected =
          i == 0 && phases.count == 1 ? lengths : lengths.between(phase.times.begin, time);
      for (std::size_t row = 0; row < expected.lengths.size(); ++row)
        CHECK(phase.lengths.length(Index(row)) == expected.lengths[row]);
      CHECK(phase.lengths.steps == expected.lengths[0]);
      CHECK(phase.lengths.total() == expected.sums.back());
    }
    CHECK(time == lengths.lengths[0]);
  }
}

TEST_CASE("of all ways to cut the steps the one that is done soonest is taken") {
  std::mt19937 generator(10);
  for (int trial = 0; trial < 200; ++trial) {
    const Lengths lengths = random_lengths(generator, 9);
    if (lengths.lengths[0] == 0) continue;
    for (const Index threads : {2, 3}) {
      const double time = time_of(share_phases(threads, lengths.view(), some_work), some_work);
      CHECK(time == doctest::Approx(least_time(threads, lengths, some_work)));
    }
  }
}

TEST_CASE("rows of equal length have one phase; of a ragged batch the last few are split by units") {
  for (const Index threads : {1, 2, 5}) {
    CHECK(share_phases(threads, {8, 1000}, some_work).count == 1);
    CHECK(share_phases(threads, Lengths({7, 7, 7, 7}).view(), some_work).count == 1);
    CHECK(share_phases(threads, Lengths({0, 0}).view(), some_work).count == 1);
  }
  const Lengths ragged({941, 721, 566, 558, 519, 454, 307, 301});
  const Phases phases = share_phases(2, ragged.view(), some_work);
  REQUIRE(phases.count > 1);
  CHECK(phases.phases[0].sharing.split == Split::rows);
  CHECK(phases.phases[phases.count - 1].sharing.split == Split::units);
  const double whole = share_steps(2, ragged.view(), some_work).time * time_alone(ragged.view(), {0, 8});
  CHECK(time_of(phases, some_work) < 0.98 * whole);
}

TEST_CASE("a sequence in several phases, by rows and by units, gives what it gives in one") {
  const std::vector<std::int64_t> lengths{307, 301, 941, 519, 721, 566, 558, 454};
  const auto same = [](Array<float>& a, Array<float>& b) {
    return std::equal(a.data(), a.data() + a.size(), b.data());
  };
  for (const Cell cell : {Cell::lstm, Cell::gru_reset_before}) {
    for (const bool reverse : {false, true}) {
      const LayerSize size{cell, 8, 941, 64, 128};  // the LSTM's is some_work where there are 16 lanes
      Training<float> one(size, lengths, reverse, 1), two(size, lengths, reverse, 2);
      one.train();
      two.train();
      CHECK(same(one.y, two.y));
      CHECK(same(one.h_n, two.h_n));
      CHECK(same(one.dw_hh, two.dw_hh));  // so the tape is the same too
      two.y.zero();
      two.h_n.zero();
      two.infer();
      CHECK(same(one.y, two.y));
      CHECK(same(one.h_n, two.h_n));
      if (cell == Cell::lstm) CHECK(same(one.c_n, two.c_n));
    }
  }
}
