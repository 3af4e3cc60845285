// The register tile against plain loops in the order it promises; rows and steps with remainders.
#include "tile.hpp"

#include <doctest/doctest.h>

#include "helpers.hpp"

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

}  // namespace

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
      if (total > tallest) CHECK(2 * smallest >= tallest);
    }
  }
}
