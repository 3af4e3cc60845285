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

TEST_CASE("after a wait as long as a time slice there is no team for a while") {
  if (std::thread::hardware_concurrency() < 2) return;
  const auto members_of_a_team = [](std::chrono::milliseconds late) {
    Index members = 0;
    run_team(2, [&](const Member& member) {
      if (member.index == 0) members = member.count;
      if (member.index == 1) std::this_thread::sleep_for(late);
      member.wait();
    });
    return members;
  };
  const std::chrono::milliseconds none{0}, slice{5};
  bool gathered = false;
  for (int attempt = 0; !gathered && attempt < 5000; ++attempt) {
    gathered = members_of_a_team(slice) == 2;
    if (!gathered) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(gathered);
  CHECK(members_of_a_team(none) == 1);
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
