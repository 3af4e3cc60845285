// How the kernels were compiled.
#pragma once

namespace fastrnn {

struct BuildInfo {
  const char* version;          // of fastrnn
  const char* instruction_set;  // base, v3, v4
  const char* compiler;
  const char* eigen;
  int float32_lanes;  // numbers in a vector register
  int float64_lanes;
  bool fused_multiply_add;
  bool bfloat16_dot;  // on this processor bfloat16 weights meet x and h rounded to bfloat16; else they are
                      // widened
};

BuildInfo build_info() noexcept;

}  // namespace fastrnn
