// Masks by counters: Philox-4x32-10, many counters side by side.
#pragma once

#include <algorithm>

#include "fastrnn/masks.h"
#include "threads.hpp"

namespace fastrnn {

// As many counters as keep several registers of every instruction set busy: a round's products wait for the
// last round's (AVX-512, Zen 4: 16 take 1.4 times as long per number as 32).
inline constexpr Index block_counters = 32;
// Numbers of one thread's share, below which waking a second one costs more than it saves: some 0.2 ms.
inline constexpr Index numbers_per_thread = Index(1) << 18;

struct CounterBlock {
  std::uint32_t words[4][block_counters];
};

// Ten rounds on every counter (Salmon et al. 2011, section 3.3), with the constants of the authors'
// Random123. Not inlined: as one function with its caller, SSE code takes 1.6 times as long.
__attribute__((noinline)) inline void philox(CounterBlock& block, std::uint32_t key0, std::uint32_t key1) {
  auto& [a, b, c, d] = block.words;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    for (Index i = 0; i < block_counters; ++i) {
      const std::uint64_t product0 = std::uint64_t(0xD2511F53u) * a[i];
      const std::uint64_t product1 = std::uint64_t(0xCD9E8D57u) * c[i];
      a[i] = static_cast<std::uint32_t>(product1 >> 32) ^ b[i] ^ key0;
      b[i] = static_cast<std::uint32_t>(product1);
      c[i] = static_cast<std::uint32_t>(product0 >> 32) ^ d[i] ^ key1;
      d[i] = static_cast<std::uint32_t>(product0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// Cuts `count` counters of a row, from its counter `first` on, where steps end: f(place in the block, step,
// quad of features, counters).
template <class F>
FASTRNN_INLINE void for_each_step(Index first, Index count, Index quads, const F& f) {
  Index step = first / quads, quad = first % quads;
  for (Index place = 0; place < count; ++step, quad = 0) {
    const Index run = std::min(count - place, quads - quad);
    f(place, step, quad, run);
    place += run;
  }
}

template <class T>
void bernoulli_row(const BernoulliArguments<T>& a, Index row) {
  const Index quads = (a.features + 3) / 4;
  const Index counters = a.steps * quads;
  const auto key0 = static_cast<std::uint32_t>(a.key), key1 = static_cast<std::uint32_t>(a.key >> 32);
  const auto limit = static_cast<std::uint32_t>(a.threshold - 1);
  const T scale = a.scale;  // loaded where it is used, it keeps GCC from vectorising
  T* const out = a.out.data + row * a.out.batch_stride;
  CounterBlock block;
  T values[4 * block_counters];
  for (Index first = 0; first < counters; first += block_counters) {
    const Index count = std::min(block_counters, counters - first);
    for (Index i = 0; i < block_counters; ++i) {
      block.words[0][i] = 0;  // also behind `count`, where nobody looks
      block.words[1][i] = 0;
      block.words[2][i] = static_cast<std::uint32_t>(a.first_row + row);
      block.words[3][i] = a.stream;
    }
    for_each_step(first, count, quads, [&](Index place, Index step, Index quad, Index run) {
      for (Index i = 0; i < run; ++i) {
        block.words[0][place + i] = static_cast<std::uint32_t>(quad + i);
        block.words[1][place + i] = static_cast<std::uint32_t>(a.first_step + step);
      }
    });
    philox(block, key0, key1);
    for (Index i = 0; i < block_counters; ++i) {
      for (int word = 0; word < 4; ++word)
        values[4 * i + word] = block.words[word][i] <= limit ? scale : T(0);
    }
    for_each_step(first, count, quads, [&](Index place, Index step, Index quad, Index run) {
      std::copy_n(values + 4 * place, std::min(4 * run, a.features - 4 * quad),
                  out + step * a.out.step_stride + 4 * quad);
    });
  }
}

template <class T>
void run_bernoulli(const BernoulliArguments<T>& a) {
  const Index numbers = a.rows * a.steps * a.features;
  const Index parts = std::max<Index>(1, std::min<Index>({a.threads, a.rows, numbers / numbers_per_thread}));
  parallel_for(parts, [&](Index part) {
    for (Index row = a.rows * part / parts; row < a.rows * (part + 1) / parts; ++row) {
      if (a.threshold > 0) {
        bernoulli_row(a, row);
        continue;
      }
      for (Index step = 0; step < a.steps; ++step)
        std::fill_n(a.out.data + row * a.out.batch_stride + step * a.out.step_stride, a.features, T(0));
    }
  });
}

}  // namespace fastrnn
