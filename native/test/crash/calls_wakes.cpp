// A server that dies between an answer and telling its caller, who sleeps: the caller hears of it in time. So does one whose server
// died before it could end what nobody serves any more, and one who waits for itself in its own loop.
#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "../calls_loop.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_wakes {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

// The promise is 100 ms; a machine that is busy is late now and then, and not every time.
void judge_waits(std::vector<std::uint64_t> waits) {
  REQUIRE(!waits.empty());
  std::sort(waits.begin(), waits.end());
  MESSAGE("heard after " << waits.front() / 1'000'000 << " to " << waits.back() / 1'000'000
                         << " ms");
  CHECK(waits[waits.size() / 2] < 100 * kMillisecond);
  CHECK(waits.back() < kPatienceNs);
}

bool other_sleeps(CallQueue& queue) {
  bool sleeps = false;
  queue.parties().for_each_present([&](std::uint32_t seat) {
    if (seat != queue.parties().seat())
      sleeps = sleeps || queue.parties().line(seat).parked.load() != 0;
  });
  return sleeps;
}

struct Waking : Calls {
  Shared<crash::Log> log;
  std::vector<std::uint64_t> waits;

  // `serves` is a server's whole life, and dies at that point. What the caller hears, asleep since before that. A sleeper looks
  // now and then: a server that came through without having to wake it is followed by another one.
  template <typename Serves>
  Outcome hear(std::string_view point, bool blocks, Serves&& serves) {
    for (int tries = 0; tries < 50; ++tries) {
      if (const auto heard = hear_once(point, blocks, serves)) return *heard;
    }
    FAIL("no server died at " << point);
    return Outcome::none;
  }
  template <typename Serves>
  std::optional<Outcome> hear_once(std::string_view point, bool blocks, Serves&& serves) {
    Shared<std::atomic<std::uint32_t>> step;
    log->died_at.store(0);
    Child child([&] {
      auto mine = CallQueue::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      mine.value()->serve(true);
      step->store(1);
      CHILD_EXPECT(eventually([&] { return step->load() == 2; }));
      CHILD_EXPECT(eventually([&] { return other_sleeps(*mine.value()); }));
      crash::log_to(&*log);
      CHILD_EXPECT(crash::arm(point, 1));
      serves(*mine.value());
      return 0;
    });
    REQUIRE(eventually([&] { return step->load() == 1; }));
    Loop loop(*this, spec());
    Ticket ticket;
    REQUIRE(ask(*loop.queue, 1, ticket) == Asked::yes);
    step->store(2);
    Answer answer;
    if (blocks) {
      (void)calls::wait(*loop.queue, answer);
    } else {
      (void)loop.sleep_until(1U << layout::kForAnswers, 10'000,
                             [&] { return loop.queue->poll(answer) != Outcome::none; });
    }
    const std::uint64_t heard = os::monotonic_ns();
    const int ended = child.wait();
    const Outcome outcome = answer.outcome;
    loop.queue->release(answer);
    if (ended == 0) return std::nullopt;
    CHECK(ended == -SIGKILL);
    waits.push_back(heard - std::min(heard, log->died_at.load()));
    CHECK(is_empty(*loop.queue));
    return outcome;
  }
};

}  // namespace

TEST_CASE_FIXTURE(
    Waking, "promise: calls – an answer is heard in time, though its server died before it told") {
  for (const std::string_view point : {"calls.tell.word", "calls.tell.bit", "waiting.wake.owed"}) {
    for (int turn = 0; turn < 6; ++turn) {
      CAPTURE(point);
      CAPTURE(turn);
      CHECK(hear(point, turn % 2 == 0, [](CallQueue& mine) {
              Lease lease = mine.try_take();
              CHILD_EXPECT(lease);
              (void)mine.answer(lease, 0, {});
            }) == Outcome::answered);
    }
  }
  judge_waits(waits);
}

TEST_CASE_FIXTURE(Waking,
                  "promise: calls – nobody serves is heard in time, whoever dies saying so") {
  for (const std::string_view point : {"calls.serve.said", "calls.tell.word", "calls.tell.bit"}) {
    for (int turn = 0; turn < 6; ++turn) {
      CAPTURE(point);
      CAPTURE(turn);
      CHECK(hear(point, turn % 2 == 0, [](CallQueue& mine) { mine.serve(false); }) ==
            Outcome::no_responder);
    }
  }
  judge_waits(waits);
}

TEST_CASE_FIXTURE(Waking, "calls: who is parked is rung for what it does itself meanwhile") {
  Loop loop(*this, spec());
  const auto server = open();
  server->serve(true);
  loop.queue->serve(true);
  Ticket ticket;
  REQUIRE(ask(*loop.queue, 1, ticket) == Asked::yes);
  Answer answer;
  bool done = false;
  // It goes to sleep, and goes on: it answers its own call.
  CHECK(loop.sleep_until(1U << layout::kForAnswers, 5000, [&] {
    if (loop.queue->poll(answer) != Outcome::none) return true;
    if (!std::exchange(done, true)) {
      Lease lease = loop.queue->try_take();
      CHECK(lease);
      CHECK(loop.queue->answer(lease, 0, {}) == Answered::yes);
      CHECK(!loop.queue->sleepers().parked());
    }
    return false;
  }));
  CHECK(answer.outcome == Outcome::answered);
  loop.queue->release(answer);
}

}  // namespace millrace::test::calls_wakes
