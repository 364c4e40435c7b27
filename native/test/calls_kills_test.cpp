// Many processes and threads that call each other, some of which are killed at random: each call of who lives has one outcome, which
// is the truth; nobody waits for the dead for long; and whoever sleeps is woken.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "calls_actor.hpp"
#include "calls_loop.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_kills_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

constexpr std::uint32_t kMortal = 1000;  // actors from this number on

struct Crowd : Calls {
  Shared<CallLedger> ledger;

  [[nodiscard]] CallSpec spec() const {
    CallSpec spec = Calls::spec();
    spec.seats = 32;
    spec.calls = 48;
    spec.bytes = 96 * 1024;
    return spec;
  }
  [[nodiscard]] std::unique_ptr<CallQueue> open() const {
    return must(CallQueue::open(spec(), soon()));
  }
  // What a process does that is killed sometime.
  int live(std::uint32_t number, bool serves, bool calls) const {
    auto queue = CallQueue::open(spec(), soon());
    CHILD_EXPECT(queue.ok());
    Actor actor(*queue.value(), *ledger, number, number * 7 + 1);
    if (!calls) actor.most_flying = 0;
    queue.value()->serve(serves);
    for (std::uint64_t i = 0;; ++i) {
      actor.step();
      if (i % 8 == 7) os::sleep_ns(20'000);  // the ledger is to last
      if (i % 64 == 63) (void)queue.value()->glance();
      if (i % 16 == 15 && !calls) wait(*queue.value(), actor);
    }
  }
  // Sleeps for a call, if there is none, and takes it.
  static void wait(CallQueue& queue, Actor& actor) {
    (void)queue.sleepers().wait_slice(1U << layout::kForCalls, 0, kMillisecond,
                                      [&] { return actor.take(); });
  }
  void judge_all() const {
    judge(*ledger, [](std::uint32_t by) { return by < kMortal; });
  }
};

}  // namespace

TEST_CASE_FIXTURE(Crowd, "promise: calls – one outcome each, and the truth, whoever is killed") {
  const auto mine = open();
  const auto other = open();
  Actor caller(*mine, *ledger, 0, 1);
  Actor server(*other, *ledger, 1, 2);
  caller.most_flying = 12;
  other->serve(true);
  Random random(17);
  std::vector<std::unique_ptr<Child>> children;
  std::vector<std::uint64_t> dies_at;
  std::uint32_t next = kMortal;
  int kills = 0;
  const int wanted = rounds(2400);
  const auto start_one = [&] {
    const std::uint32_t number = next++;
    const std::uint64_t what = random.below(4);
    children.push_back(std::make_unique<Child>(
        [this, number, what] { return live(number, what != 0, what < 2); }));
    dies_at.push_back(os::monotonic_ns() + 1'000'000 + random.below(12'000'000));
  };
  while (kills < wanted && ledger->next < kMostCalls - 4096) {
    while (children.size() < 4)
      start_one();
    os::sleep_ns(50'000);
    for (int i = 0; i < 20; ++i) {
      caller.step();
      server.step();
    }
    const std::uint64_t now = os::monotonic_ns();
    for (std::size_t i = 0; i < children.size();) {
      if (dies_at[i] > now) {
        ++i;
        continue;
      }
      children[i]->kill();
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      dies_at.erase(dies_at.begin() + static_cast<std::ptrdiff_t>(i));
      ++kills;
    }
    (void)mine->glance();
    if (random.below(64) == 0) {
      other->serve(false);
      other->serve(true);
    }
  }
  children.clear();
  const auto all = [&] {
    (void)server.take();
    (void)server.answer();
    (void)server.hear();
  };
  CHECK(caller.finish(all));
  CHECK(server.finish([] {}));
  while (mine->parties().present() > 2)
    (void)mine->look();
  CHECK(is_empty(*mine));
  judge_all();
  MESSAGE("kills: " << kills << ", calls: " << ledger->next.load() << ", answered: "
                    << ledger->answered.load() << ", died: " << ledger->died.load()
                    << ", withdrawn: " << ledger->withdrawn.load() << ", expired: "
                    << ledger->expired.load() << ", begun again: " << ledger->again.load()
                    << ", unserved: " << ledger->unserved.load()
                    << ", unwanted: " << ledger->unwanted.load());
  CHECK(ledger->answered > 0);
  CHECK(ledger->died > 0);
  CHECK(ledger->again > 0);
}

TEST_CASE_FIXTURE(Crowd, "calls: many threads, each of which calls and serves") {
  constexpr std::uint32_t kThreads = 6;
  std::vector<std::unique_ptr<CallQueue>> queues;
  for (std::uint32_t i = 0; i < kThreads; ++i)
    queues.push_back(open());
  std::atomic<std::uint32_t> left{kThreads};
  std::atomic<std::uint32_t> failed{0};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      CallQueue& queue = *queues[i];
      Actor actor(queue, *ledger, i, i + 1);
      queue.serve(i % 2 == 0);
      for (int step = 0; step < rounds(20'000); ++step) {
        actor.step();
        if (i != 0 && step % 1000 == 999) {
          queue.serve(false);
          queue.serve(i % 2 == 0);
        }
      }
      if (!actor.finish([] {})) ++failed;
      --left;
      // Those who still call need somebody.
      const os::Deadline deadline = os::Deadline::after(30 * kSecond);
      while (left != 0 && !deadline.passed()) {
        (void)actor.take();
        (void)actor.answer();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(failed == 0);
  CHECK(is_empty(*queues[0]));
  judge_all();
  CHECK(ledger->answered > 0);
}

TEST_CASE_FIXTURE(Crowd,
                  "calls: whoever sleeps for an outcome or a call is rung, and not by chance") {
  // Two handles that look only when their doorbells ring; what is lost here is seconds.
  Shared<std::atomic<std::uint64_t>> lost;
  Shared<std::atomic<std::uint32_t>> ready;
  constexpr std::uint64_t kCalls = 20'000;
  Child serving([&] {
    Loop loop(*this, spec());
    loop.counts_rings = true;
    loop.queue->serve(true);
    ready->store(1);
    for (std::uint64_t i = 0; i < kCalls; ++i) {
      Lease lease;
      if (!loop.sleep_until(1U << layout::kForCalls, 10'000, [&] {
            lease = loop.queue->try_take();
            return static_cast<bool>(lease);
          })) {
        ++*lost;
        return 1;
      }
      CHILD_EXPECT(loop.queue->answer(lease, 0, {}) == Answered::yes);
    }
    loop.queue->close();
    *lost += static_cast<std::uint64_t>(loop.unrung);
    return 0;
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  Loop loop(*this, spec());
  loop.counts_rings = true;
  Random random(3);
  std::uint64_t longest = 0;
  for (std::uint64_t i = 0; i < kCalls; ++i) {
    Ticket ticket;
    REQUIRE(ask(*loop.queue, i, ticket) == Asked::yes);
    for (std::uint64_t pause = random.below(2) * random.below(3000); pause > 0; --pause)
      os::spin_hint();
    const std::uint64_t begun = os::monotonic_ns();
    Answer answer;
    REQUIRE(loop.sleep_until(1U << layout::kForAnswers, 10'000,
                             [&] { return loop.queue->poll(answer) != Outcome::none; }));
    longest = std::max(longest, os::monotonic_ns() - begun);
    CHECK(answer.outcome == Outcome::answered);
    loop.queue->release(answer);
  }
  CHECK(serving.wait() == 0);
  CHECK(lost->load() == 0);
  CHECK(loop.unrung == 0);
  MESSAGE("longest wait: " << longest / 1000 << " us");
}

TEST_CASE_FIXTURE(Crowd, "promise: calls – a caller hears of its server's death in time") {
  // While it is idle, before it has taken anything; with the call taken ahead; in the handler; after the answer, before it tells.
  // With a caller that sleeps in its loop and with one that blocks.
  std::vector<std::uint64_t> waits;
  enum Where { idle, ahead, running, again, kWheres };
  for (int turn = 0; turn < rounds(5) * kWheres * 2; ++turn) {
    const int where = turn % kWheres;
    const bool blocks = turn / kWheres % 2 == 0;
    CAPTURE(where);
    CAPTURE(blocks);
    Shared<std::atomic<std::uint32_t>> step;
    Child child([&] {
      auto mine = CallQueue::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      mine.value()->serve(true);
      step->store(1);
      if (where == idle) return linger();
      Lease lease;
      CHILD_EXPECT(eventually([&] {
        lease = mine.value()->try_take(where != ahead);
        return static_cast<bool>(lease);
      }));
      step->store(2);
      return linger();
    });
    REQUIRE(eventually([&] { return step->load() == 1; }));
    Loop loop(*this, spec());
    Ticket ticket;
    CallOptions options;
    options.idempotent = where == again;
    REQUIRE(ask(*loop.queue, 1, ticket, options) == Asked::yes);
    if (where != idle) REQUIRE(eventually([&] { return step->load() == 2; }));
    // The caller is asleep by then.
    Shared<std::atomic<std::uint64_t>> killed;
    std::thread killer([&] {
      os::sleep_ns(30 * kMillisecond);
      killed->store(os::monotonic_ns());
      child.kill();
    });
    Answer answer;
    const Outcome outcome = [&] {
      if (blocks) return calls::wait(*loop.queue, answer);
      (void)loop.sleep_until(1U << layout::kForAnswers, 10'000,
                             [&] { return loop.queue->poll(answer) != Outcome::none; });
      return answer.outcome;
    }();
    const std::uint64_t heard = os::monotonic_ns();
    killer.join();
    waits.push_back(heard - std::min(heard, killed->load()));
    // Nobody else serves: what was not begun was not executed.
    const bool begun = where == running || where == again;
    CHECK(outcome == (begun ? Outcome::died : Outcome::no_responder));
    CHECK(answer.executed == (begun ? Executed::unknown : Executed::no));
    loop.queue->release(answer);
    CHECK(is_empty(*loop.queue));
  }
  std::sort(waits.begin(), waits.end());
  MESSAGE("heard after " << waits.front() / 1'000'000 << " to " << waits.back() / 1'000'000
                         << " ms, half of them within " << waits[waits.size() / 2] / 1'000'000);
  // The machine may be busy; half of them are not late by chance.
  CHECK(waits[waits.size() / 2] < 100 * kMillisecond);
  CHECK(waits.back() < 2 * kSecond);
}

}  // namespace millrace::test::calls_kills_test
