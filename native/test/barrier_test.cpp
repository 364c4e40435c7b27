// Barriers: all go on together, one of them is told apart, and nobody waits for the dead.
#include "millrace/sync/barrier.hpp"

#include <memory>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace millrace::test::barrier_test {

using namespace millrace;
using namespace millrace::test;
using Turn = BarrierTurn::Status;

namespace {

struct Barriers : Names {
  [[nodiscard]] BarrierSpec spec(std::uint32_t parties) const {
    BarrierSpec wanted;
    wanted.place = name();
    wanted.parties = parties;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<Barrier> open(std::uint32_t parties) const {
    return must(Barrier::open(spec(parties), soon()));
  }
  [[nodiscard]] Code refusal(std::uint32_t parties) const {
    auto refused = Barrier::open(spec(parties), soon());
    REQUIRE_FALSE(refused.ok());
    return refused.error().code;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Barriers, "all go on when the last one has come, in numbered generations") {
  auto a = open(3);
  auto b = open(3);
  auto c = open(3);
  for (std::uint64_t generation = 1; generation <= 1000; ++generation) {
    CHECK(a->arrive().status == Turn::waiting);
    CHECK(b->arrive().status == Turn::waiting);
    CHECK(a->arrived() == 2);
    CHECK(a->look(true).status == Turn::waiting);
    const BarrierTurn last = c->arrive();
    REQUIRE(last.status == Turn::complete);
    CHECK(last.serial);
    CHECK(last.generation == generation);
    for (const auto& early : {a.get(), b.get()}) {
      CHECK(early->stirred());
      const BarrierTurn turn = early->look(false);
      REQUIRE(turn.status == Turn::complete);
      CHECK(turn.generation == generation);
      CHECK_FALSE(turn.serial);
    }
  }
  CHECK(a->arrived() == 0);
}

TEST_CASE_FIXTURE(Barriers, "who gives up takes its arrival back, unless it is too late") {
  auto a = open(2);
  auto b = open(2);
  CHECK(a->wait(os::Deadline::after(0)).status == Turn::waiting);
  CHECK(a->arrived() == 0);
  CHECK(b->arrive().status == Turn::waiting);
  CHECK(a->arrive().status == Turn::complete);
  CHECK_FALSE(b->withdraw());
  CHECK(b->look(false).status == Turn::complete);
}

TEST_CASE_FIXTURE(Barriers, "as many as it was made for can open it, with that number") {
  CHECK(refusal(0) == Code::invalid_argument);
  CHECK(refusal(57) == Code::invalid_argument);
  auto a = open(2);
  CHECK(refusal(3) == Code::geometry);
  auto b = open(2);
  CHECK(refusal(2) == Code::no_lane);
  b->close();
  b = open(2);
  CHECK(a->arrive().status == Turn::waiting);
  CHECK(b->arrive().status == Turn::complete);
  CHECK(a->look(false).status == Turn::complete);
  std::vector<std::unique_ptr<Barrier>> crowd;
  a->close();
  b->close();
  crowd.reserve(56);
  for (int i = 0; i < 56; ++i)
    crowd.push_back(open(56));
  CHECK(refusal(56) == Code::no_lane);
  for (int i = 0; i < 55; ++i)
    CHECK(crowd.at(static_cast<std::size_t>(i))->arrive().status == Turn::waiting);
  CHECK(crowd.back()->arrive().status == Turn::complete);
}

TEST_CASE_FIXTURE(Barriers, "alone, one never waits") {
  auto alone = open(1);
  for (std::uint64_t generation = 1; generation <= 3; ++generation) {
    const BarrierTurn turn = alone->arrive();
    CHECK(turn.status == Turn::complete);
    CHECK(turn.serial);
    CHECK(turn.generation == generation);
  }
}

TEST_CASE_FIXTURE(Barriers, "one that leaves is missed by who waits and who comes to wait") {
  for (const bool arrives : {false, true}) {
    for (const bool replaced : {false, true}) {
      CAPTURE(arrives);
      CAPTURE(replaced);
      auto a = open(3);
      auto b = open(3);
      auto c = open(3);
      CHECK(a->arrive().status == Turn::waiting);
      if (arrives) CHECK(b->arrive().status == Turn::waiting);
      CHECK_FALSE(a->stirred());
      b->close();
      CHECK(a->stirred());
      const BarrierTurn missed = a->look(false);
      CHECK(missed.status == Turn::left);
      CHECK(missed.pid == static_cast<std::uint32_t>(::getpid()));
      CHECK(a->arrived() == 0);
      CHECK(a->arrive().status == Turn::left);
      CHECK(c->arrive().status == Turn::left);
      if (!replaced) {
        a->reset();  // then its seat is one that nobody has taken yet
        CHECK(a->arrive().status == Turn::waiting);
      }
      b = open(3);
      if (replaced) CHECK(a->arrive().status == Turn::waiting);
      CHECK(c->arrive().status == Turn::waiting);
      CHECK(b->arrive().status == Turn::complete);
      CHECK(a->look(false).status == Turn::complete);
      CHECK(c->look(false).status == Turn::complete);
    }
  }
}

TEST_CASE_FIXTURE(Barriers,
                  "one that leaves after the generation was complete is not missed in it") {
  auto a = open(2);
  auto b = open(2);
  CHECK(a->arrive().status == Turn::waiting);
  CHECK(b->arrive().status == Turn::complete);
  b->close();
  CHECK(a->look(true).status == Turn::complete);
  CHECK(a->arrive().status == Turn::left);
}

TEST_CASE_FIXTURE(Barriers, "one that died is missed by name, whether it had arrived or not") {
  Shared<std::atomic<int>> ready;
  for (const bool arrives : {false, true}) {
    CAPTURE(arrives);
    auto a = open(3);
    auto b = open(3);
    ready->store(0);
    Child child([&] {
      auto mine = Barrier::open(spec(3), soon());
      CHILD_EXPECT(mine.ok());
      if (arrives) CHILD_EXPECT(mine.value()->arrive().status == Turn::waiting);
      ready->store(1);
      return linger();
    });
    REQUIRE(eventually([&] { return ready->load() == 1; }));
    CHECK(a->arrive().status == Turn::waiting);
    const auto pid = static_cast<std::uint32_t>(child.pid());
    child.kill();
    BarrierTurn turn = a->look(true);
    CHECK(turn.status == Turn::died);
    CHECK(turn.pid == pid);
    CHECK(a->arrived() == 0);
    for (Barrier* living : {a.get(), b.get()}) {
      turn = living->arrive();
      CHECK(turn.status == Turn::died);
      CHECK(turn.pid == pid);
    }
    auto successor = open(3);
    CHECK(a->arrive().status == Turn::waiting);
    CHECK(b->arrive().status == Turn::waiting);
    CHECK(successor->arrive().status == Turn::complete);
  }
}

TEST_CASE_FIXTURE(Barriers, "a word that cannot be is told") {
  auto a = open(3);
  auto& word = a->parties().shared<layout::BarrierState>().turn.word;
  SUBCASE("parties that cannot be") {
    word.store(1ULL << 40U);
    CHECK(a->arrive().status == Turn::corrupt);
  }
  SUBCASE("a generation that cannot be") {
    CHECK(a->arrive().status == Turn::waiting);
    word.store(7ULL << layout::kMaxParties);
    CHECK(a->look(false).status == Turn::corrupt);
  }
  SUBCASE("a seat that cannot be") {
    CHECK(a->arrive().status == Turn::waiting);
    a->parties().shared<layout::BarrierState>().losses.last.store(~std::uint64_t{0});
    CHECK(a->look(true).status == Turn::left);  // of somebody unknown
  }
  word.store(0);
}

TEST_CASE_FIXTURE(Barriers, "processes go through many generations in step, one of them serial") {
  constexpr std::uint32_t kParties = 4;
  struct Board {
    std::array<std::atomic<std::uint64_t>, kParties> at;
    std::atomic<std::uint64_t> serials;
  };
  Shared<Board> board;
  const auto turns = static_cast<std::uint64_t>(rounds(3000));
  std::vector<Child> children;
  for (std::uint32_t i = 0; i < kParties; ++i) {
    children.emplace_back([&, i] {
      auto mine = Barrier::open(spec(kParties), soon());
      CHILD_EXPECT(mine.ok());
      for (std::uint64_t turn = 1; turn <= turns; ++turn) {
        board->at.at(i).store(turn, std::memory_order_relaxed);
        const BarrierTurn done = mine.value()->wait(soon());
        // Who is done leaves; nobody may leave before all are.
        CHILD_EXPECT(done.status == Turn::complete);
        CHILD_EXPECT(done.generation == turn);
        if (done.serial) board->serials.fetch_add(1);
        for (const auto& other : board->at) {
          const std::uint64_t there = other.load(std::memory_order_relaxed);
          CHILD_EXPECT(there == turn || there == turn + 1);
        }
      }
      return 0;
    });
  }
  for (Child& child : children)
    CHECK(child.wait() == 0);
  CHECK(board->serials.load() == turns);
}

TEST_CASE_FIXTURE(Barriers, "of parties killed at any instant the others are told, or were done") {
  constexpr std::uint32_t kParties = 3;
  struct Board {
    std::array<std::atomic<std::uint64_t>, 2> told;  // of a death, by each survivor
    std::array<std::atomic<std::uint64_t>, 2> done;
    std::atomic<std::uint64_t> highest;
    std::atomic<bool> stop;
  };
  Shared<Board> board;
  std::vector<Child> survivors;
  for (std::size_t i = 0; i < 2; ++i) {
    survivors.emplace_back([&, i] {
      auto mine = Barrier::open(spec(kParties), soon());
      CHILD_EXPECT(mine.ok());
      std::uint64_t last = 0;
      while (!board->stop.load()) {
        const BarrierTurn turn = mine.value()->wait(os::Deadline::after(10 * kSecond));
        if (turn.status == Turn::complete) {
          CHILD_EXPECT(turn.generation > last);
          last = turn.generation;
          board->done.at(i).fetch_add(1);
        } else {
          // Of a death; at the very end also of the others' going.
          const bool at_the_end = turn.status == Turn::left && board->stop.load();
          CHILD_EXPECT(turn.status == Turn::died || at_the_end);
          CHILD_EXPECT(turn.pid != 0);
          board->told.at(i).fetch_add(1);
          os::sleep_ns(100'000);  // until its seat is taken
        }
      }
      return 0;
    });
  }
  Random random(9);
  for (int round = 0; round < rounds(1000); ++round) {
    const std::uint64_t told[] = {board->told[0].load(), board->told[1].load()};
    const std::uint64_t done[] = {board->done[0].load(), board->done[1].load()};
    Child victim([&] {
      auto mine = Barrier::open(spec(kParties), soon());
      CHILD_EXPECT(mine.ok());
      for (;;)
        (void)mine.value()->wait(os::Deadline::after(10 * kSecond));
      return 0;
    });
    // In every fourth round at once: while it opens.
    if (round % 4 != 0) {
      REQUIRE(eventually([&] { return board->done[0].load() > done[0]; }));
      REQUIRE(eventually([&] { return board->done[1].load() > done[1]; }));
      const os::Deadline moment = os::Deadline::after(random.below(300'000));
      while (!moment.passed())
        os::spin_hint();
      victim.kill();
      REQUIRE(eventually([&] { return board->told[0].load() > told[0]; }));
      REQUIRE(eventually([&] { return board->told[1].load() > told[1]; }));
    } else {
      os::sleep_ns(random.below(500'000));
      victim.kill();
    }
  }
  // Nobody hangs: with somebody in the third seat the two go on.
  auto third = open(kParties);
  board->stop.store(true);
  const os::Deadline patience = soon();
  while (third->wait(os::Deadline::after(20 * kMillisecond)).status == Turn::complete &&
         !patience.passed()) {
  }
  third->close();
  for (Child& survivor : survivors)
    CHECK(survivor.wait() == 0);
}

}  // namespace millrace::test::barrier_test
