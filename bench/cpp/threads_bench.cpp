// What threads that share a call cost: the figures beside the constants of threads.cpp and plan.hpp come from
// here. It sees the kernels' insides and so builds within the project only.
#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

#include "peak.hpp"
#include "threads.hpp"

namespace {

using namespace fastrnn;
using bench::Clock;
using bench::seconds_since;

double microseconds(Clock::time_point start) { return seconds_since(start) * 1e6; }

struct Spread {
  double low, middle, high;  // the 10th, 50th and 90th of a hundred
};
Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) { return values[std::size_t(share * double(values.size() - 1))]; };
  return {at(0.1), at(0.5), at(0.9)};
}
void print(const char* what, std::vector<double> values) {
  if (values.empty()) {
    std::printf("  %-58s no team\n", what);
    return;
  }
  const Spread s = spread(std::move(values));
  std::printf("  %-58s %8.2f %8.2f %8.2f\n", what, s.low, s.middle, s.high);
}

// Keeps the thread busy.
void work_for(double us) {
  const auto start = Clock::now();
  while (microseconds(start) < us) {
  }
}

// What each step of a team of two takes beyond the member's own work of so many us; nothing where no team
// gathers.
std::vector<double> waits(double work) {
  constexpr int steps = 200;
  std::vector<double> result;
  for (int repeat = 0; repeat < 200; ++repeat) {
    run_team(2, [&](const Member& member) {
      const auto start = Clock::now();
      for (int i = 0; i < steps; ++i) {
        if (work > 0) work_for(work);
        member.wait();
      }
      if (member.index == 0 && member.count == 2) result.push_back(microseconds(start) / steps - work);
    });
  }
  return result;
}

// What two tasks of 10 us take beyond these, `idle` us after the two before.
std::vector<double> handing_out(double idle) {
  std::vector<double> result;
  for (int repeat = 0; repeat < 300; ++repeat) {
    work_for(idle);
    const auto start = Clock::now();
    parallel_for(2, [](Index) { work_for(10); });
    result.push_back(microseconds(start) - 10);
  }
  return result;
}

// Sleeps, or keeps the core, and then hands two tasks out: from there until the other thread has begun its
// own.
std::vector<double> waking(double idle, bool asleep) {
  std::vector<double> result;
  for (int repeat = 0; repeat < 200; ++repeat) {
    if (asleep)
      std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int>(idle)));
    else
      work_for(idle);
    const auto start = Clock::now();
    std::atomic<int> begun{0};
    parallel_for(2, [&](Index) {
      if (begun.fetch_add(1) == 1) result.push_back(microseconds(start));
      while (begun.load() < 2 && microseconds(start) < 1e5) {  // so that nobody takes both
      }
    });
  }
  return result;
}

// A hundred steps that take 40 us, half of it each where a team gathers, by the time of one thread alone,
// beside `others` threads that want the cores too.
std::vector<double> on_busy_cores(unsigned others) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (unsigned i = 0; i < others; ++i) {
    busy.emplace_back([&] {
      while (!stop) {
      }
    });
  }
  std::vector<double> result;
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(260));  // longer than there are no teams
    auto start = Clock::now();
    for (int i = 0; i < 100; ++i) work_for(40);
    const double alone = microseconds(start);
    start = Clock::now();
    bool team = false;
    run_team(2, [&](const Member& member) {
      for (int i = 0; member.count == 2 && i < 100; ++i) {
        work_for(20);
        member.wait();
      }
      if (member.index == 0) team = member.count == 2;
    });
    if (team) result.push_back(microseconds(start) / alone);
  }
  stop = true;
  for (std::thread& thread : busy) thread.join();
  return result;
}

}  // namespace

int main() {
  std::printf("two threads; 10th, 50th and 90th of a hundred\n\nmicroseconds\n");
  print("a wait of a team that does nothing else", waits(0));
  print("a wait in steps of 10 us, beyond these", waits(10));
  print("two tasks side by side, beyond their own time", handing_out(0));
  print("the same 20 us after the last", handing_out(20));
  print("until the other thread begins, 20 us after it ended", waking(20, false));
  print("200 us after it ended: it sleeps", waking(200, false));
  print("2 ms after, in which both sleep", waking(2000, true));
  std::printf("\na hundred steps of two times 20 us by a team, by the time of one thread alone\n");
  print("idle cores", on_busy_cores(0));
  print("one core busy", on_busy_cores(std::thread::hardware_concurrency() / 2));
  print("all cores busy", on_busy_cores(std::thread::hardware_concurrency()));
}
