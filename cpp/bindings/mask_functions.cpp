// The mask generator over arrays.
#include "arrays.hpp"
#include "fastrnn/masks.h"
#include "functions.hpp"

namespace fastrnn::bindings {
namespace {

constexpr std::int64_t words = std::int64_t(1) << 32;  // values of one word of a counter

void run_bernoulli(std::uint64_t key, std::uint32_t stream, std::uint32_t first_row, std::uint32_t first_step,
                   std::uint64_t threshold, double scale, int threads, const py::array& out) {
  with_scalar("out", out, [&](auto zero) {
    using T = decltype(zero);
    if (out.ndim() != 3) throw py::value_error("out: expected 3 axes, got " + std::to_string(out.ndim()));
    const py::ssize_t N = out.shape(0), S = out.shape(1), F = out.shape(2);
    if (first_row + N > words) throw py::value_error("first_row: expected rows below 2^32");
    if (first_step + S > words) throw py::value_error("first_step: expected steps below 2^32");
    if (F > 4 * words) throw py::value_error("out: expected at most 2^34 features");
    if (threshold > static_cast<std::uint64_t>(words))
      throw py::value_error("threshold: expected 0..2^32, got " + std::to_string(threshold));
    Views<T> views;
    const BernoulliArguments<T> arguments{key,
                                          stream,
                                          N,
                                          S,
                                          F,
                                          first_row,
                                          first_step,
                                          threshold,
                                          static_cast<T>(scale),
                                          views.write("out", out, {N, S, F}),
                                          threads};
    const py::gil_scoped_release release;
    bernoulli<T>(arguments);
  });
}

}  // namespace

void add_mask_functions(py::module_& module) {
  using py::arg;
  module.def("bernoulli", &run_bernoulli, arg("key"), arg("stream"), arg("first_row"), arg("first_step"),
             arg("threshold"), arg("scale"), arg("threads"), arg("out"),
             "Writes scale where a place's word is below the threshold, else zero.");
}

}  // namespace fastrnn::bindings
