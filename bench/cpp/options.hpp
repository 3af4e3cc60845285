// The benchmarks' own arguments.
#pragma once

#include <fastrnn/layer.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

enum class Work { inference, training, step };

// One benchmark.
struct Problem {
  std::string name;  // unique: size/cell/dtype/pass/threads
  fastrnn::LayerSize size;
  std::string dtype;  // float32, float64 or bfloat16
  Work work;
  int threads;
};

extern const char* const usage;

struct BadArgument : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reads what is left when google-benchmark has taken its flags; every combination becomes a problem. Throws
// BadArgument.
std::vector<Problem> read_arguments(int argc, char** argv);

}  // namespace bench
