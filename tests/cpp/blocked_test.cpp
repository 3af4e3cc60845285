// Gathering and scattering with remainders: nothing is read or written behind the caller's features.
#include "blocked.hpp"

#include <doctest/doctest.h>

#include "helpers.hpp"

using namespace fastrnn;
using fastrnn::testing::Array;

TEST_CASE_TEMPLATE("gather and scatter are inverse and stay inside", T, float, double) {
  constexpr Index width = lane_width<T>;
  for (Index features = 1; features <= 2 * width + 3; ++features) {
    const Index rows = 5, stride = features + 2;
    Array<T> source(rows * stride), target(rows * stride);
    source.randomize(1);
    Array<T> expected_target(rows * stride);
    target.randomize(2);
    for (std::size_t i = 0; i < target.size(); ++i) expected_target[i] = target[i];
    const Index order[] = {3, 1, 4, 0, 2};
    Array<T> blocked(lane_blocks<T>(features) * rows * width);
    blocked.randomize(3);
    const Blocked<T> view{blocked.data(), rows * width, width};
    gather<T>({source.data(), stride, order}, {0, rows}, features, view);
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < lane_blocks<T>(features) * width; ++k) {
        const T expected = k < features ? source[order[r] * stride + k] : T(0);
        REQUIRE(view.at(k / width, r)[k % width] == expected);
      }
    }
    const Blocked<const T> read{blocked.data(), rows * width, width};
    scatter<T>(read, {1, 4}, features, {target.data(), stride, order});
    for (Index r = 1; r < 4; ++r) {
      for (Index k = 0; k < features; ++k)
        expected_target[order[r] * stride + k] = source[order[r] * stride + k];
    }
    for (std::size_t i = 0; i < target.size(); ++i) REQUIRE(target[i] == expected_target[i]);

    scatter_add<T>(read, {1, 4}, features, {target.data(), stride, order});
    gather_add<T>({source.data(), stride, order}, {0, rows}, features, view);
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < features; ++k) {
        const T once = source[order[r] * stride + k];
        REQUIRE(view.at(k / width, r)[k % width] == once + once);
        if (r >= 1 && r < 4) REQUIRE(target[order[r] * stride + k] == once + once);
      }
    }
    clear<T>(view, {1, 3}, lane_blocks<T>(features));
    CHECK(view.at(0, 1)[0] == T(0));
    CHECK(view.at(0, 3)[0] != T(0));
  }
}
