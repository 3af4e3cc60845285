// With Eigen before it, as in the kernels: it defines what the arena asks for sanitizers.
// clang-format off
#include "lanes.hpp"
#include "arena.hpp"
// clang-format on

#include <doctest/doctest.h>

#include <cstdint>

#include "helpers.hpp"

using namespace fastrnn;
using fastrnn::testing::Array;

namespace {

struct Cut {
  char* bytes;
  double* numbers;
  char* none;
  float* last;

  explicit Cut(Arena& arena)
      : bytes(arena.take<char>(5)),
        numbers(arena.take<double>(8)),
        none(arena.take<char>(0)),
        last(arena.take<float>(3)) {}
};

}  // namespace

TEST_CASE("arrays are aligned, lie one behind the other, and take what was counted") {
  Arena counter(nullptr);
  const Cut counted(counter);
  CHECK(counted.last == nullptr);
  Array<char> memory(counter.used());
  Arena arena(memory.data());
  const Cut cut(arena);
  CHECK(arena.used() == counter.used());
  CHECK(cut.bytes == memory.data());
  CHECK(static_cast<void*>(cut.numbers) >= cut.bytes + 5);
  CHECK(static_cast<void*>(cut.none) >= cut.numbers + 8);
  CHECK(static_cast<void*>(cut.last) >= cut.none);
  CHECK(reinterpret_cast<char*>(cut.last + 3) <= memory.data() + memory.size());
  for (const void* place : {static_cast<const void*>(cut.numbers), static_cast<const void*>(cut.last)})
    CHECK(reinterpret_cast<std::uintptr_t>(place) % alignment == 0);
}

#if defined(__SANITIZE_ADDRESS__) || defined(FASTRNN_ADDRESS_SANITIZER)
TEST_CASE("AddressSanitizer sees a step out of an array, until the arena is gone") {
  Array<char> memory(1024);
  {
    Arena arena(memory.data());
    const Cut cut(arena);
    CHECK_FALSE(__asan_address_is_poisoned(cut.bytes + 4));
    CHECK(__asan_address_is_poisoned(cut.bytes + 5));
    CHECK(__asan_address_is_poisoned(cut.numbers - 1));
    CHECK_FALSE(__asan_address_is_poisoned(cut.numbers));
    CHECK_FALSE(__asan_address_is_poisoned(cut.numbers + 7));
    CHECK(__asan_address_is_poisoned(cut.numbers + 8));
    CHECK(__asan_address_is_poisoned(cut.none));
    CHECK_FALSE(__asan_address_is_poisoned(cut.last + 2));
    CHECK(__asan_address_is_poisoned(cut.last + 3));
  }
  CHECK(__asan_region_is_poisoned(memory.data(), memory.size()) == nullptr);
  Arena arena(memory.data());  // cut another way
  char* const all = arena.take<char>(900);
  CHECK(__asan_region_is_poisoned(all, 900) == nullptr);
  CHECK(__asan_address_is_poisoned(all + 900));
}
#endif
