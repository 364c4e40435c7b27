// Events: each signal of an auto event lets one pass, whoever dies; a manual one lets everybody.
#include "millrace/sync/event.hpp"

#include <memory>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace millrace::test::event_test {

using namespace millrace;
using namespace millrace::test;
using layout::Reset;

namespace {

struct Events : Names {
  [[nodiscard]] EventSpec spec(std::optional<Reset> reset = Reset::automatic) const {
    EventSpec wanted;
    wanted.place = name();
    wanted.reset = reset;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<Event> open(std::optional<Reset> reset = Reset::automatic) const {
    return must(Event::open(spec(reset), soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('e', name()), os::Access::read_only).ok();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Events, "auto: a signal lets one pass; several before anybody waits are one") {
  auto setter = open();
  auto waiter = open();
  CHECK_FALSE(waiter->is_set());
  CHECK_FALSE(waiter->try_wait());
  setter->set();
  setter->set();
  setter->set();
  CHECK(waiter->is_set());
  CHECK(waiter->try_wait());
  CHECK_FALSE(waiter->is_set());
  CHECK_FALSE(waiter->try_wait());
  setter->set();
  setter->reset();
  CHECK_FALSE(waiter->try_wait());
}

TEST_CASE_FIXTURE(Events, "auto: signals that find somebody waiting are counted, the rest is one") {
  auto setter = open();
  auto a = open();
  auto b = open();
  const std::uint64_t at_a = a->begin_wait();
  const std::uint64_t at_b = b->begin_wait();
  for (int i = 0; i < 4; ++i)
    setter->set();
  CHECK(a->try_wait(at_a));
  a->end_wait();
  CHECK(b->try_wait(at_b));
  b->end_wait();
  CHECK(setter->try_wait());  // two were left, and nobody waits any more
  CHECK_FALSE(setter->try_wait());
  // A handle may wait several times at once.
  (void)a->begin_wait();
  (void)a->begin_wait();
  setter->set();
  setter->set();
  CHECK(a->try_wait(0));
  CHECK(a->try_wait(0));
  CHECK_FALSE(a->try_wait(0));
  // There is an end to counting.
  for (int i = 0; i < 1000; ++i)
    setter->set();
  int passed = 0;
  while (a->try_wait(0))
    ++passed;
  CHECK(passed == layout::kMostSignals);
  a->end_wait();
}

TEST_CASE_FIXTURE(Events,
                  "manual: it lets everybody pass until it is reset, and who waited in any case") {
  auto setter = open(Reset::manual);
  auto waiter = open(Reset::manual);
  const std::uint64_t before = waiter->begin_wait();
  CHECK_FALSE(waiter->try_wait(before));
  setter->set();
  CHECK(waiter->try_wait(before));
  CHECK(waiter->try_wait(before));
  CHECK(waiter->try_wait());
  setter->reset();
  CHECK_FALSE(waiter->try_wait());
  CHECK(waiter->try_wait(before));  // it began before the event was set
  const std::uint64_t after = waiter->begin_wait();
  CHECK_FALSE(waiter->try_wait(after));
  setter->set();
  setter->set();
  setter->reset();
  setter->reset();
  CHECK(waiter->try_wait(after));
}

TEST_CASE_FIXTURE(Events, "all agree on the kind of reset; who says nothing takes what there is") {
  auto manual = open(Reset::manual);
  CHECK(open(std::nullopt)->manual());
  auto refused = Event::open(spec(Reset::automatic), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::geometry);
  CHECK(refused.error().message.find("exists with reset 'manual', not 'auto'") !=
        std::string::npos);
  manual->close();
  CHECK_FALSE(exists());
  CHECK_FALSE(open(std::nullopt)->manual());
}

TEST_CASE_FIXTURE(Events, "it goes with the last one, unless it is to be kept") {
  open()->set();
  CHECK_FALSE(exists());
  EventSpec kept = spec();
  kept.keep = true;
  must(Event::open(kept, soon()))->set();
  CHECK(exists());
  CHECK(open()->try_wait());
  CHECK(exists());
  CHECK(must(unlink_channel('e', name())));
  {
    auto first = open();
    (void)must(Event::open(kept, soon()));  // who asks for it need not be the first, nor the last
  }
  CHECK(exists());
  CHECK(must(unlink_channel('e', name())));
}

TEST_CASE_FIXTURE(Events, "auto: of processes that wait, every signal lets exactly one pass") {
  constexpr int kWaiters = 6;
  struct Board {
    std::atomic<int> ready;
    std::atomic<std::uint64_t> passed;
    std::atomic<bool> stop;
  };
  Shared<Board> board;
  auto setter = open();
  std::vector<Child> children;
  children.reserve(kWaiters);
  for (int i = 0; i < kWaiters; ++i) {
    children.emplace_back([&] {
      auto mine = Event::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      // On the list before the first signal, and on it all the time.
      Event& event = *mine.value();
      const std::uint64_t mark = event.begin_wait();
      board->ready.fetch_add(1);
      while (!board->stop.load()) {
        if (event.try_wait(mark)) {
          board->passed.fetch_add(1);
        } else {
          (void)event.wait_slice(0, 20 * kMillisecond);
        }
      }
      event.end_wait();
      return 0;
    });
  }
  REQUIRE(eventually([&] { return board->ready.load() == kWaiters; }));
  const auto sets = static_cast<std::uint64_t>(rounds(20'000));
  Random random(3);
  for (std::uint64_t made = 0; made < sets;) {
    for (std::uint64_t burst = random.below(20); burst > 0 && made < sets; --burst, ++made)
      setter->set();
    REQUIRE(eventually([&] { return made - board->passed.load() < 200; }));
  }
  CHECK(eventually([&] { return board->passed.load() == sets; }));
  CHECK_FALSE(setter->is_set());
  board->stop.store(true);
  for (Child& child : children)
    CHECK(child.wait() == 0);
  CHECK(board->passed.load() == sets);
}

TEST_CASE_FIXTURE(Events, "auto: waiters killed at any instant take at most the signal they took") {
  struct Board {
    std::atomic<std::uint64_t> survivor;
    std::atomic<bool> stop;
  };
  Shared<Board> board;
  auto setter = open();
  Child survivor([&] {
    auto mine = Event::open(spec(), soon());
    CHILD_EXPECT(mine.ok());
    while (!board->stop.load()) {
      if (mine.value()->wait(os::Deadline::after(20 * kMillisecond))) board->survivor.fetch_add(1);
    }
    return 0;
  });
  Random random(4);
  for (int round = 0; round < rounds(1000); ++round) {
    Child victim([&] {
      auto mine = Event::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      for (;;)
        (void)mine.value()->wait(os::Deadline::after(kSecond));
      return 0;
    });
    const os::Deadline moment = os::Deadline::after(random.below(kMillisecond));
    while (!moment.passed())
      setter->set();
    victim.kill();
    // Whatever it left: the next signal reaches the survivor.
    const std::uint64_t before = board->survivor.load();
    setter->set();
    REQUIRE(eventually([&] { return board->survivor.load() > before; }));
  }
  board->stop.store(true);
  CHECK(survivor.wait() == 0);
}

TEST_CASE_FIXTURE(Events, "auto: signals for waiters that have died are one signal") {
  Shared<std::atomic<int>> ready;
  auto setter = open();
  Child child([&] {
    auto mine = Event::open(spec(), soon());
    CHILD_EXPECT(mine.ok());
    (void)mine.value()->begin_wait();
    ready->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  SUBCASE("they died before") {
    child.kill();
  }
  setter->set();
  setter->set();
  setter->set();
  child.kill();
  CHECK(setter->try_wait());
  CHECK_FALSE(setter->try_wait());
}

TEST_CASE_FIXTURE(Events, "who sleeps in an event loop is rung by a set, and by whoever comes") {
  auto setter = open();
  auto waiter = open();
  const os::Doorbell here = bell();
  std::size_t rings = 0;
  const auto rung = [&] {
    rings = 0;
    CHECK_FALSE(here.drain([&](std::uint64_t) { ++rings; }));
    return rings;
  };
  (void)waiter->begin_wait();
  waiter->parties().sleeper().park_on_bell(WakeAddress{here.id(), 1});
  setter->set();
  setter->set();
  CHECK(rung() == 1);
  waiter->parties().sleeper().park_on_bell(WakeAddress{here.id(), 1});
  auto third = open();
  CHECK(rung() == 1);
  waiter->end_wait();
}

TEST_CASE_FIXTURE(Events,
                  "manual: everybody who waits is let pass, by a set that is taken back at once") {
  constexpr int kWaiters = 4;
  struct Board {
    std::atomic<int> waiting;
    std::atomic<int> passed;
    std::atomic<int> turns;  // that are over
  };
  Shared<Board> board;
  auto setter = open(Reset::manual);
  std::vector<Child> children;
  const int turns = rounds(200);
  children.reserve(kWaiters);
  for (int i = 0; i < kWaiters; ++i) {
    children.emplace_back([&] {
      auto mine = Event::open(spec(Reset::manual), soon());
      CHILD_EXPECT(mine.ok());
      for (int turn = 0; turn < turns; ++turn) {
        const std::uint64_t mark = mine.value()->begin_wait();
        board->waiting.fetch_add(1);
        const os::Deadline patience = soon();
        while (!mine.value()->try_wait(mark)) {
          CHILD_EXPECT(!patience.passed());
          (void)mine.value()->wait_slice(0, 20 * kMillisecond);
        }
        board->passed.fetch_add(1);
        // Not before it has been reset: it would let us pass again.
        while (board->turns.load() <= turn) {
          CHILD_EXPECT(!patience.passed());
          os::sleep_ns(10'000);
        }
      }
      return 0;
    });
  }
  for (int turn = 0; turn < turns; ++turn) {
    REQUIRE(eventually([&] { return board->waiting.load() == (turn + 1) * kWaiters; }));
    setter->set();
    setter->reset();
    REQUIRE(eventually([&] { return board->passed.load() == (turn + 1) * kWaiters; }));
    board->turns.store(turn + 1);
  }
  for (Child& child : children)
    CHECK(child.wait() == 0);
}

}  // namespace millrace::test::event_test
