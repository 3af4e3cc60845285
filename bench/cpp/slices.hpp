// Work measured in slices of some 10 ms with the machine's peak measured between them: a slice is compared
// with the peaks right before and right after it, so that neither a changing frequency nor a neighbour's load
// enters the share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "peak.hpp"

namespace bench {

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class T>
class Slices {
 public:
  // Measures the first peak; with several threads, the only one: after a pause the kernels' threads sleep,
  // and calls until they are awake run on one thread. `seconds_per_call`: about what a call takes.
  Slices(double flops_per_call, double seconds_per_call, int threads)
      : flops_per_call_(flops_per_call),
        calls_(std::max<std::int64_t>(1, static_cast<std::int64_t>(slice_seconds / seconds_per_call))),
        threads_(threads),
        peak_before_(first_peak()) {}

  // To be called right before the work.
  void begin() { start_ = Clock::now(); }

  // Calls in a whole slice.
  std::int64_t calls() const { return calls_; }

  // Ends a slice in which `calls` calls were made, may measure the peak, and begins the next slice.
  void turn(std::int64_t calls) {
    const double elapsed = seconds_since(start_);
    const double peak_after = threads_ > 1 ? peak_before_ : peak_gflops<T>(threads_, peak_seconds);
    // A rest that is much shorter than a slice says little.
    if (2 * calls >= calls_ || (calls > 0 && rates_.empty())) {
      const double peak = (peak_before_ + peak_after) / 2;
      rates_.push_back(flops_per_call_ * static_cast<double>(calls) / elapsed / 1e9);
      peaks_.push_back(peak);
      shares_.push_back(rates_.back() / peak);
    }
    peak_before_ = peak_after;
    begin();
  }

  // Medians over the slices.
  double gflops() const { return median(rates_); }
  double peak() const { return median(peaks_); }
  double share() const { return median(shares_); }

 private:
  static constexpr double slice_seconds = 10e-3, peak_seconds = 2e-3;

  // Of several threads the highest of ten: fresh threads sometimes share a core for a while.
  double first_peak() const {
    double peak = 0;
    for (int i = 0; i < (threads_ > 1 ? 10 : 1); ++i)
      peak = std::max(peak, peak_gflops<T>(threads_, peak_seconds));
    return peak;
  }

  double flops_per_call_;
  std::int64_t calls_;
  int threads_;
  double peak_before_;
  Clock::time_point start_;
  std::vector<double> rates_, peaks_, shares_;
};

}  // namespace bench
