// Speed of the recurrent kernels and their share of the machine's peak of multiply-adds, measured in between.
//
// Goal (AVX-512, float32, one thread): inference and training at least 0.90 and 0.85 of peak from 32 rows and
// H = 128 on, 0.78 and 0.72 at sensor. Counted are the products alone: 2 N T G H (I + H) operations in
// inference and in a step of a stream, three times that in a training step, which packs, runs forward with a
// tape, packs, and runs backward with dx and all gradients of the weights.
#include <benchmark/benchmark.h>
#include <fastrnn/build.h>

#include <cstdio>
#include <cstring>

#include "layer_case.hpp"
#include "options.hpp"
#include "slices.hpp"

namespace {

using namespace bench;

template <class T, class Call>
void time_calls(benchmark::State& state, const Problem& problem, const Call& call) {
  call();
  const auto start = Clock::now();
  call();
  const double seconds_per_call = seconds_since(start);

  const double flops = (problem.work == Work::training ? 3 : 1) * forward_flops(problem.size);
  Slices<T> slices(flops, seconds_per_call, problem.threads);
  if (problem.threads > 1)  // let the kernels' threads settle after the pause
    for (const auto warm_up = Clock::now(); seconds_since(warm_up) < 0.3;) call();
  std::int64_t calls = 0;
  slices.begin();
  for ([[maybe_unused]] auto _ : state) {
    call();
    if (++calls == slices.calls()) {
      state.PauseTiming();
      slices.turn(calls);
      calls = 0;
      state.ResumeTiming();
    }
  }
  slices.turn(calls);
  state.counters["GFLOP/s"] = slices.gflops();
  state.counters["peak"] = slices.peak();
  state.counters["share"] = slices.share();
}

template <class T>
void measure(benchmark::State& state, const Problem& problem) {
  fastrnn::LayerSize size = problem.size;
  if (problem.work == Work::step) size.steps = 8;  // different inputs, and a state to be carried
  LayerCase<T> layer(size, problem.threads);
  if (problem.work == Work::step) {
    if (!layer.stream_agrees()) return state.SkipWithError("stream and inference disagree");
  } else if (!layer.agree()) {
    return state.SkipWithError("inference and training disagree, or gradients are not finite");
  }
  switch (problem.work) {
    case Work::inference:
      return time_calls<T>(state, problem, [&] { layer.infer(); });
    case Work::training:
      return time_calls<T>(state, problem, [&] { layer.train(); });
    case Work::step:
      return time_calls<T>(state, problem, [&] { layer.step(); });
  }
}

bool processor_can_run_this() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

void print_help() { std::printf("%s\nand google-benchmark's own:\n", usage); }

}  // namespace

int main(int argc, char** argv) {
  const fastrnn::BuildInfo build = fastrnn::build_info();
  if (!processor_can_run_this())
    return std::fprintf(stderr, "this processor lacks the instruction set %s\n", build.instruction_set), 1;
  for (int i = 1; i < argc; ++i)
    if (!std::strcmp(argv[i], "--help")) print_help();
  benchmark::Initialize(&argc, argv);
  try {
    for (const Problem& problem : read_arguments(argc, argv))
      benchmark::RegisterBenchmark(problem.name.c_str(),
                                   [problem](benchmark::State& state) {
                                     if (problem.dtype == "float64")
                                       measure<double>(state, problem);
                                     else
                                       measure<float>(state, problem);
                                   })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
  } catch (const BadArgument& error) {
    return std::fprintf(stderr, "%s\n%s", error.what(), usage), 2;
  }
  benchmark::AddCustomContext("fastrnn", build.version);
  benchmark::AddCustomContext("instruction_set", build.instruction_set);
  benchmark::AddCustomContext("compiler", build.compiler);
  benchmark::AddCustomContext("eigen", build.eigen);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
