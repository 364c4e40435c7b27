// Deaths in the middle of calls: a victim makes, takes, answers and withdraws calls at random, buries another one, stops to serve, and
// dies at a crash point; a replacement may die while it puts that in order. The survivors have calls of their own in all states.
// Each of these has one outcome, which is the truth, and in the end there is nothing left of anybody's.
#include "../calls_actor.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_deaths {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

struct CallsDie : Scene {
  Shared<CallLedger> ledger;
  std::unique_ptr<CallQueue> mine;
  std::unique_ptr<CallQueue> other;
  std::unique_ptr<Actor> caller;
  std::unique_ptr<Actor> server;

  static constexpr std::uint32_t kVictims = 100;

  [[nodiscard]] CallSpec spec() const {
    CallSpec spec;
    spec.place = name();
    spec.seats = 8;
    spec.calls = 24;
    spec.bytes = 48 * 1024;
    return spec;
  }
  void begin() override {
    mine = must(CallQueue::open(spec(), soon()));
    other = must(CallQueue::open(spec(), soon()));
    caller = std::make_unique<Actor>(*mine, *ledger, 0, 1);
    server = std::make_unique<Actor>(*other, *ledger, 1, 2);
    other->serve(true);
  }
  // A handle that dies with calls in hand, calls in flight, and outcomes that it has not heard.
  void bury_one(CallQueue& undertaker) {
    one_dies([&] {
      auto queue = CallQueue::open(spec(), soon());
      CHILD_EXPECT(queue.ok());
      queue.value()->serve(true);
      Actor doomed(*queue.value(), *ledger, kVictims + 1, 5);
      for (int i = 0; i < 40; ++i)
        doomed.step();
      // It has one in hand, whatever came before.
      for (int i = 0; i < 1000 && !doomed.holds_any(); ++i) {
        (void)doomed.call();
        (void)doomed.take();
        doomed.step();
      }
      die();
    });
    (void)undertaker.look();
  }
  void act() override {
    auto opened = CallQueue::open(spec(), soon());
    auto again = CallQueue::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    CHILD_EXPECT(again.ok());
    CallQueue& one = *opened.value();
    CallQueue& two = *again.value();
    one.serve(true);
    two.serve(true);
    Actor first(one, *ledger, kVictims + 2, 11);
    Actor second(two, *ledger, kVictims + 3, 12);
    for (int i = 0; i < 150; ++i) {
      first.step();
      second.step();
    }
    bury_one(one);
    for (int i = 0; i < 30; ++i) {
      first.step();
      second.step();
    }
    // For an outcome, in the kernel: nobody may have lost what woke it.
    Answer answer;
    if (one.wait_for_answer(0, kMillisecond, answer) != Outcome::none) first.heard(answer);
    two.serve(false);
    one.serve(false);
    CHILD_EXPECT(first.finish([&] { CHILD_EXPECT(round(second)); }));
    CHILD_EXPECT(second.finish([] {}));
    again.value()->close();
    opened.value()->close();
  }
  static bool round(Actor& actor) {
    (void)actor.take();
    (void)actor.answer();
    (void)actor.hear();
    return true;
  }
  void meanwhile() override {
    caller->step();
    server->step();
    os::sleep_ns(10'000);
  }
  void after() override {
    without_waiting(*this, [&] {
      while (mine->parties().present() > 2)
        (void)mine->look();
    });
  }
  void end() override {
    const auto all = [this] {
      (void)server->take();
      (void)server->answer();
      (void)server->hear();
    };
    CHECK(caller->finish(all));
    CHECK(server->finish([] {}));
    CHECK(is_empty(*mine));
    CHECK(mine->servers() == 1);
    judge(*ledger, [](std::uint32_t by) { return by < kVictims; });
    other->close();
    mine->close();
  }
};

}  // namespace

EVERY_DEATH(CallsDie, "calls")

// What a call goes through is passed many times, each time with another call, in another state.
TEST_CASE("promise: death – calls, in the middle of their lives") {
  Passages passages;
  (void)run<CallsDie>({}, &passages);
  int deaths = 0;
  for (const auto& [where, count] : passages) {
    const std::string_view point = where;  // Clang 14 captures no structured bindings
    if (!point.starts_with("calls.")) continue;
    std::set<std::uint64_t> which;
    for (std::uint64_t i = 1; i < 9; ++i)
      which.insert(1 + count * i / 9);
    for (const std::uint64_t passage : which) {
      CAPTURE(point);
      CAPTURE(passage);
      deaths += run<CallsDie>({{point, passage}});
    }
  }
  MESSAGE("deaths: " << deaths);
}

}  // namespace millrace::test::calls_deaths
