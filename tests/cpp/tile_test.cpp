// The register tile against plain loops in the order it promises; rows and steps with remainders.
#include "tile.hpp"

#include <doctest/doctest.h>

#include "helpers.hpp"
#include "panel.hpp"

using namespace fastrnn;
using fastrnn::testing::Array;

namespace {

template <class T, int packets>
void check_tile(Index rows, Index features) {
  constexpr Index width = lane_width<T>;
  const Index blocks = lane_blocks<T>(features), block_stride = (rows + 3) * width;
  Array<T> a(blocks * block_stride), panel(features * packets * width), start(rows * packets * width),
      result((rows + 1) * packets * width);
  a.randomize(1);
  panel.randomize(2);
  start.randomize(3);
  result.randomize(4);
  const T guard = result[rows * packets * width];
  const Product<T> product{a.data(), width, 1, block_stride, width, features, panel.data(), packets * width};
  multiply_tile<TileShape<packets, packets>>(rows, {start.data(), packets * width}, product, {},
                                             Sums<T>{result.data(), packets * width});
  for (Index m = 0; m < rows; ++m) {
    for (Index p = 0; p < packets * width; ++p) {
      // One lane through the same verb: the same bits, whatever the tile's height and the lane's place.
      Lanes<T> sum(start[m * packets * width + p]);
      for (Index k = 0; k < features; ++k) {
        sum = multiply_add(Lanes<T>(a[(k / width) * block_stride + m * width + k % width]),
                           Lanes<T>(panel[k * packets * width + p]), sum);
      }
      alignas(64) T expected[width];
      store(expected, sum);
      REQUIRE(result[m * packets * width + p] == expected[0]);
    }
  }
  CHECK(result[rows * packets * width] == guard);
}

// Weights in bfloat16 give the bits of the same weights in float, in either number of groups.
template <int packets, int groups>
void check_widened(Index rows, Index features) {
  constexpr Index width = lane_width<float>, numbers = packets * width;
  using Shape = TileShape<packets, packets, 0, 0, groups>;
  const Index pairs = (features + 1) / 2;
  Array<float> a(rows * (features + 1)), weights(groups * numbers * features);
  Array<float> plain(groups * features * numbers), words(groups * pairs * numbers);
  Array<float> in_float(groups * rows * numbers), widened(groups * rows * numbers);
  a.randomize(1);
  weights.randomize(2);
  for (Index g = 0; g < groups; ++g) {
    for (Index p = 0; p < packets; ++p) {  // a packet's lanes are rows of weights, as in the public arrays
      float* from = weights.data() + (g * packets + p) * width * features;
      pack_bfloat16(from, width, features, words.data() + g * pairs * numbers + p * width, numbers);
      for (Index lane = 0; lane < width; ++lane) {
        for (Index k = 0; k < features; ++k) {
          const std::uint32_t bits = round_to_bfloat16(from[lane * features + k]) << 16;
          std::memcpy(plain.data() + (g * features + k) * numbers + p * width + lane, &bits, sizeof bits);
        }
      }
    }
  }
  const Index block = features + features % 2;  // a row's numbers in one block
  Product<float> product{a.data(), block,        1,       0,     block,
                         features, plain.data(), numbers, width, features * numbers};
  Sums<float> result{in_float.data(), numbers, width, rows * numbers};
  multiply_tile<Shape>(rows, Sums<const float>{}, product, {}, result);
  product.panel = words.data();
  product.group_stride = pairs * numbers;
  result.data = widened.data();
  multiply_tile<Shape, PanelFormat::widened>(rows, Sums<const float>{}, product, {}, result);
  for (Index i = 0; i < groups * rows * numbers; ++i) REQUIRE(in_float[i] == widened[i]);
  REQUIRE(in_float[groups * rows * numbers - 1] != 0.0f);
}

}  // namespace

TEST_CASE("weights in bfloat16 sum to the bits of their values in float") {
  for (const Index features : {1, 2, 15, 16, 17, 40}) {
    for (Index rows = 1; rows <= tile_rows(4); ++rows) check_widened<4, 1>(rows, features);
    for (Index rows = 1; rows <= 4; ++rows) check_widened<3, 1>(rows, features);
    for (Index rows = 1; rows <= rows_of_two_groups; ++rows) check_widened<4, 2>(rows, features);
  }
}

TEST_CASE("bfloat16 is the nearest, ties to even, and NaN stays NaN") {
  const auto round = [](float number) { return round_to_bfloat16(number); };
  CHECK(round(1.0f) == 0x3f80);
  CHECK(round(1.0f + 0x1p-8f) == 0x3f80);  // a tie, to even
  CHECK(round(1.0f + 0x3p-8f) == 0x3f82);  // a tie, to even
  CHECK(round(1.0f + 0x1.01p-8f) == 0x3f81);
  CHECK(round(-0.0f) == 0x8000);
  CHECK(round(std::numeric_limits<float>::max()) == 0x7f80);  // rounds to infinity
  CHECK((round(std::numeric_limits<float>::quiet_NaN()) & 0x7fff) > 0x7f80);
}

TEST_CASE("the processor's bfloat16 products and rounding, where it has them") {
  if (!has_bfloat16_dot()) return;
  constexpr Index width = lane_width<float>;
  Array<float> numbers(width), rounded(width / 2);
  numbers.randomize(1);
  numbers[0] = 1.0f + 0x1p-8f;  // a tie, to even
  store_bfloat16(rounded.data(), load(numbers.data()));
  const auto* halves = reinterpret_cast<const std::uint16_t*>(rounded.data());
  for (Index i = 0; i < width; ++i) CHECK(halves[i] == round_to_bfloat16(numbers[i]));
  // Small whole numbers: every product and sum is exact.
  Array<float> a(width), b(width), sum(width);
  const auto pair = [](float even, float odd) {
    const std::uint32_t bits = round_to_bfloat16(even) | std::uint32_t(round_to_bfloat16(odd)) << 16;
    float word;
    std::memcpy(&word, &bits, sizeof word);
    return word;
  };
  for (Index i = 0; i < width; ++i) {
    a[i] = pair(float(i + 1), float(2 * i));
    b[i] = pair(3.0f, float(-i));
    sum[i] = float(100 * i);
  }
  store(sum.data(), dot_add(load(a.data()), load(b.data()), load(sum.data())));
  for (Index i = 0; i < width; ++i) CHECK(sum[i] == float(100 * i + 3 * (i + 1) - 2 * i * i));
}

TEST_CASE_TEMPLATE("a tile sums in the promised order for every height", T, float, double) {
  for (Index rows = 1; rows <= tile_rows(4); ++rows) {
    for (const Index features : {1, 2, 15, 16, 17, 40}) check_tile<T, 4>(rows, features);
  }
  for (Index rows = 1; rows <= tile_rows(3); ++rows) check_tile<T, 3>(rows, 19);
  for (Index rows = 1; rows <= tile_rows(2); ++rows) check_tile<T, 2>(rows, 19);
  for (Index rows = 1; rows <= tile_rows(1); ++rows) check_tile<T, 1>(rows, 19);
}

TEST_CASE("parts cover a range once, in order, none too large and none small") {
  for (Index total = 0; total < 60; ++total) {
    for (const Index tallest : {1, 3, 4, 6, 8}) {
      Index next = 5, smallest = tallest;
      for_each_part({5, 5 + total}, tallest, [&](Index row, Index count) {
        CHECK(row == next);
        CHECK(count <= tallest);
        CHECK(count >= 1);
        smallest = std::min(smallest, count);
        next = row + count;
      });
      CHECK(next == 5 + total);
      for_each_part(
          {5, 5 + total}, tallest,
          [&](Index row, Index count) {
            CHECK(row + count == next);
            next = row;
          },
          Order::descending);
      CHECK(next == 5);
      if (total > tallest) CHECK(2 * smallest >= tallest);
    }
  }
}
