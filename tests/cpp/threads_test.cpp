#include "threads.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace fastrnn;

namespace {

bool each_task_once(Index count) {
  std::vector<std::atomic<int>> runs(count);
  parallel_for(count, [&](Index i) { ++runs[i]; });
  for (const auto& n : runs)
    if (n != 1) return false;
  return true;
}

}  // namespace

TEST_CASE("every task runs once, however many") {
  for (const Index count : {1, 2, 3, 8, 50}) {
    for (int repeat = 0; repeat < 20; ++repeat) CHECK(each_task_once(count));
  }
}

TEST_CASE("several callers at once each get their work done") {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) wrong += !each_task_once(3);
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("members of a team meet at every barrier, or one works alone") {
  for (const Index count : {1, 2, 3}) {
    for (int repeat = 0; repeat < 200; ++repeat) {
      if (repeat % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
      std::atomic<Index> members{0}, arrived{0}, early{0};
      run_team(count, [&](const Member& member) {
        ++members;
        for (Index round = 1; round <= 20; ++round) {
          ++arrived;
          member.wait();
          early += arrived < round * member.count;
          member.wait();
        }
      });
      CHECK((members == count || members == 1));
      CHECK(arrived == 20 * members);
      CHECK(early == 0);
    }
  }
}

TEST_CASE("a team of two gathers within seconds where there are two cores") {
  if (std::thread::hardware_concurrency() < 2) return;
  Index members = 1;
  for (int attempt = 0; members < 2 && attempt < 5000; ++attempt) {
    run_team(2, [&](const Member& member) {
      if (member.index == 0) members = member.count;
      member.wait();
    });
    if (members < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(members == 2);
}

// Members of a team of which each works for so long before they meet, when a team gathers.
static Index members_of_a_team(std::chrono::milliseconds first, std::chrono::milliseconds second) {
  Index members = 0;
  run_team(2, [&](const Member& member) {
    if (member.index == 0) members = member.count;
    std::this_thread::sleep_for(member.index == 0 ? first : second);
    member.wait();
  });
  return members;
}
static bool gathers(std::chrono::milliseconds first, std::chrono::milliseconds second, int attempts) {
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (members_of_a_team(first, second) == 2) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_CASE("after a wait as long as a time slice there is no team for a while") {
  if (std::thread::hardware_concurrency() < 2) return;
  const std::chrono::milliseconds none{0}, slice{5};
  int without = 0;
  bool off = false;
  // On a busy machine the first member may lose its core too, and its share then takes as long.
  for (int attempt = 0; without < 5 && attempt < 20; ++attempt) {
    REQUIRE(gathers(none, slice, 5000));
    off = off || !teams_run();
    for (without = 0; without < 5 && members_of_a_team(none, none) == 1; ++without) {
    }
  }
  CHECK(without == 5);
  CHECK(off);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  CHECK(teams_run());
}

TEST_CASE("where the work itself takes as long there are teams") {
  if (std::thread::hardware_concurrency() < 2) return;
  const std::chrono::milliseconds none{0}, step{10}, slower{25};
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // longer than there are no teams
  REQUIRE(gathers(step, slower, 100));
  CHECK(gathers(none, none, 50));  // within 50 ms and a bit
}

TEST_CASE("several callers of teams at once each get their work done") {
  std::atomic<Index> done{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 100; ++repeat)
        run_team(2, [&](const Member& member) {
          member.wait();
          done += member.index == 0;
        });
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(done == 400);
}

TEST_CASE("a forked child has a pool of its own") {
  CHECK(each_task_once(2));
  const pid_t child = fork();
  if (child == 0) _exit(each_task_once(2) ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}
