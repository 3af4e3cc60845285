// The most multiply-adds a second that a core can do in registers: what the kernels' speed is compared with.
#pragma once

#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

// Registers as wide as the flags this file is compiled with allow; sums enough to hide the latency of a
// multiply-add (5 cycles on 2 ports, 4 on 4 ports) and few enough to stay in registers.
#if defined(__AVX512F__)
inline constexpr std::size_t register_bytes = 64, independent_sums = 24;
#elif defined(__AVX__)
inline constexpr std::size_t register_bytes = 32, independent_sums = 12;
#elif defined(__aarch64__)
inline constexpr std::size_t register_bytes = 16, independent_sums = 24;
#else
inline constexpr std::size_t register_bytes = 16, independent_sums = 12;
#endif

#if defined(__aarch64__)
#define BENCH_REGISTER "w"
#else
#define BENCH_REGISTER "v"
#endif

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Without multiply-adds, the product is beside the chain of sums and not in it.
template <class Register>
inline __attribute__((always_inline)) void add_product(Register& sum, Register& factor,
                                                       const Register& other) {
  asm volatile("" : "+" BENCH_REGISTER(factor));  // perhaps changed: no product serves twice
  sum += factor * other;
}

template <class T, std::size_t... sum>
double peak_of_this_thread(double duration, std::index_sequence<sum...>) {
  typedef T Register __attribute__((vector_size(register_bytes)));
  Register sums[] = {(Register{} + static_cast<T>(sum))...};
  Register factor = Register{} + static_cast<T>(0.001), other = Register{} + static_cast<T>(0.001);
  constexpr int rounds = 2000;  // between two looks at the clock, some 10 us
  double multiply_adds = 0, elapsed = 0;
  const auto start = Clock::now();
  do {
    for (int round = 0; round < rounds; ++round) (add_product(sums[sum], factor, other), ...);
    multiply_adds += double(rounds) * sizeof...(sum) * (register_bytes / sizeof(T));
    elapsed = seconds_since(start);
  } while (elapsed < duration);
  Register total = (sums[sum] + ...);
  asm volatile("" : "+" BENCH_REGISTER(total));  // so that the sums are needed
  return 2 * multiply_adds / elapsed / 1e9;
}

// GFLOP/s of `threads` threads together, each for `duration` seconds at the same time.
template <class T>
double peak_gflops(int threads, double duration) {
  const std::make_index_sequence<independent_sums> all_sums;
  std::vector<double> rates(threads);
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back([&, i] { rates[i] = peak_of_this_thread<T>(duration, all_sums); });
  double total = peak_of_this_thread<T>(duration, all_sums);
  for (std::thread& other : others) other.join();
  for (const double rate : rates) total += rate;
  return total;
}

}  // namespace bench
