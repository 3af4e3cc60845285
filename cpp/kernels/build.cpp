#include "fastrnn/build.h"

#include "lanes.hpp"

#define FASTRNN_TEXT_(x) #x
#define FASTRNN_TEXT(x) FASTRNN_TEXT_(x)

namespace fastrnn {

BuildInfo build_info() noexcept {
#if defined(EIGEN_VECTORIZE_FMA) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA)
  constexpr bool fused = true;
#else
  constexpr bool fused = false;
#endif
  return {FASTRNN_VERSION,
          FASTRNN_INSTRUCTION_SET,
          __VERSION__,
          FASTRNN_TEXT(EIGEN_WORLD_VERSION) "." FASTRNN_TEXT(EIGEN_MAJOR_VERSION) "." FASTRNN_TEXT(
              EIGEN_MINOR_VERSION),
          static_cast<int>(lane_width<float>),
          static_cast<int>(lane_width<double>),
          fused,
          has_bfloat16_dot()};
}

}  // namespace fastrnn
