#include "schedule.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <vector>

using namespace fastrnn;

namespace {

struct Made {
  std::vector<char> memory;
  Schedule schedule;

  Made(Index steps, const std::vector<std::int64_t>& lengths, bool reverse, Index rows_per_chunk)
      : memory(size(steps, lengths, reverse, rows_per_chunk) + alignment),
        schedule(make(memory.data(), steps, lengths, reverse, rows_per_chunk)) {}

  static Schedule make(char* base, Index steps, const std::vector<std::int64_t>& lengths, bool reverse,
                       Index rows_per_chunk) {
    void* place = base;
    std::size_t space = ~std::size_t(0) >> 1;
    Arena arena(std::align(alignment, 1, place, space));
    const SortedRows rows(arena, Index(lengths.size()), steps, lengths.data());
    return Schedule(arena, rows, reverse, rows_per_chunk);
  }
  static std::size_t size(Index steps, const std::vector<std::int64_t>& lengths, bool reverse,
                          Index rows_per_chunk) {
    Arena counter(nullptr);
    const SortedRows rows(counter, Index(lengths.size()), steps, lengths.data());
    Schedule(counter, rows, reverse, rows_per_chunk);
    return counter.used();
  }
};

}  // namespace

TEST_CASE("rows run exactly at their valid steps, longest first, and slots do not overlap") {
  std::mt19937 generator(5);
  for (int trial = 0; trial < 200; ++trial) {
    const Index batch = 1 + generator() % 40, steps = generator() % 30;
    std::vector<std::int64_t> lengths(batch);
    for (auto& n : lengths) n = steps ? generator() % (steps + 1) : 0;
    for (const bool reverse : {false, true}) {
      const Made made(steps, lengths, reverse, chunk_rows);
      const Schedule& s = made.schedule;
      CHECK(s.steps() == *std::max_element(lengths.begin(), lengths.end()));
      for (Index r = 1; r < batch; ++r) CHECK(lengths[s.order()[r - 1]] >= lengths[s.order()[r]]);
      Index end = 0;
      for (Index step = 0; step < s.steps(); ++step) {
        for (Index r = 0; r < batch; ++r)
          CHECK((r < s.active(step)) == (lengths[s.order()[r]] > s.time(step)));
      }
      for (Index step = 0; step <= s.steps() && s.steps() > 0; ++step) {
        const Slot slot = s.slot(step);
        CHECK(slot.base + slot.offset >= end);
        CHECK(slot.offset + s.slot_rows(step) <= slot.stride);
        CHECK(slot.stride % 2 == 1);
        end = slot.base + slot.offset + s.slot_rows(step);
      }
      CHECK(end <= Schedule::kept_rows(batch, steps, lengths.data()));
      for (Index i = 0; i < s.chunk_count(); ++i)
        CHECK(s.chunk(i).base + s.chunk(i).stride <= Schedule::kept_rows(batch, steps, lengths.data()));
    }
  }
}
