// Results and burials at the same time: a living worker in the middle of a result while a dead one is buried, and a dead one's
// job that is taken again before its burial has ended.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "work_results.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_results_meetings {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::crash_results;

namespace {

// One job that is becoming a result.
struct One {
  explicit One(std::uint32_t length = 600, std::uint64_t lease_ms = 0) : ground(0) {
    ground.shape.lease_ms = lease_ms;
    ground.memory = WorkMemory(ground.base, ground.base + ground.shape.data_at(), ground.shape);
    push(length);
  }
  void push(std::uint32_t length) {
    const auto store = ground.store(kTester);
    const std::uint32_t number = ground.ledger->next++;
    Entry& entry = ground.ledger->of[number];
    entry.is = {0, 0, length};
    PushOptions options;
    const std::string group = "g" + std::to_string(number);
    if (number % 2 != 0) options.group = group;
    Loan loan;
    REQUIRE(store->reserve(length, options.tail_bytes(), loan) == Pushed::yes);
    const std::vector<std::byte> payload = made(number, entry.is);
    std::memcpy(ground.memory.data() + loan.at, payload.data(), payload.size());
    REQUIRE(store->push(loan, length, options) == Pushed::yes);
    entry.fate.store(static_cast<std::uint32_t>(Fate::there));
  }
  // Makes a result of the first job there is; `die_at`: and dies there.
  int make(std::uint16_t seat, std::uint32_t length, std::string_view die_at,
           std::uint64_t passage = 1) {
    Child child([&] {
      if (!die_at.empty()) CHILD_EXPECT(crash::arm(die_at, passage));
      (void)make_here(seat, length);
      crash::disarm();
      return 0;
    });
    return child.wait();
  }
  Became make_here(std::uint16_t seat, std::uint32_t length) {
    const auto store = ground.store(seat);
    Lease lease = store->take(0, true);
    if (!lease) return Became::lost;
    const std::uint32_t number = number_of(*store, lease.slot);
    Entry& entry = ground.ledger->of[number];
    entry.attempt = layout::unpack(lease.word).attempt;
    entry.next = {1, 1, length};
    entry.fate.store(static_cast<std::uint32_t>(Fate::becoming));
    const std::vector<std::byte> result = made(number, entry.next);
    const Became became = store->become(lease, result, 1);
    if (became == Became::yes) entry.is = entry.next;
    entry.fate.store(static_cast<std::uint32_t>(Fate::there));
    return became;
  }

  Ground ground;
};

}  // namespace

TEST_CASE("promise: work – a burial touches nothing of a living worker's result") {
  int meetings = 0;
  for (const std::string_view dead_at :
       {"arena.claim.taken", "work.become.written", "work.become.done", "arena.back.freed"}) {
    for (const std::string_view alive_at :
         {"work.become.begun", "arena.claim.taken", "work.become.written", "work.become.done",
          "work.become.placed", "arena.back.freed", "work.become.freed"}) {
      for (const std::uint64_t passage : {1U, 2U, 3U}) {
        CAPTURE(dead_at);
        CAPTURE(alive_at);
        CAPTURE(passage);
        One one;
        one.push(600);
        REQUIRE(one.make(kVictim, 900, dead_at, dead_at.starts_with("arena") ? 2 : 1) == -SIGKILL);
        bool met = false;
        // All of the burial, in the middle of the living one's doings.
        REQUIRE(crash::arm(alive_at, passage, [&] {
          met = true;
          (void)one.ground.store(kTester)->repair(kVictim);
        }));
        CHECK(one.make_here(kOther, 1000) == Became::yes);
        crash::disarm();
        if (!met) (void)one.ground.store(kTester)->repair(kVictim);
        meetings += met ? 1 : 0;
        judge(one.ground);
      }
    }
  }
  CHECK(meetings > 30);
}

TEST_CASE("promise: work – a dead worker's job may be taken again before its burial has ended") {
  // In the middle of the burial another one takes the job, begins to make a result of it, and is stopped (so that nobody
  // buries it, and it does nothing more). It keeps what it has claimed, the dead one keeps nothing.
  int meetings = 0;
  for (const std::string_view dead_at :
       {"work.become.begun", "arena.claim.taken", "work.become.written"}) {
    for (const std::string_view middle :
         {"work.repair.results", "work.repair.slots", "work.repair.swept", "arena.sweep.freed"}) {
      for (const std::string_view stopped_at :
           {"arena.claim.taken", "work.become.written", "work.become.done", "work.become.placed"}) {
        CAPTURE(dead_at);
        CAPTURE(middle);
        CAPTURE(stopped_at);
        One one;
        REQUIRE(one.make(kVictim, 900, dead_at, 1) == -SIGKILL);
        std::uint32_t claimed = 0;
        bool met = false;
        bool took = false;
        if (!crash::arm(middle, 1, [&] {
              met = true;
              took = one.make(kOther, 1500, stopped_at, 1) == -SIGKILL;
              for (std::uint32_t i = 0; i < one.ground.shape.granules(); ++i)
                claimed += one.ground.memory.owners()[i].load() != 0 ? 1 : 0;
            }))
          continue;
        (void)one.ground.store(kTester)->repair(kVictim);
        crash::disarm();
        if (met && took) {
          ++meetings;
          std::uint32_t left = 0;
          for (std::uint32_t i = 0; i < one.ground.shape.granules(); ++i)
            left += one.ground.memory.owners()[i].load() != 0 ? 1 : 0;
          CHECK(left == claimed);
          const std::uint32_t old = 3;
          const std::uint32_t result = 6;
          CHECK(left == (stopped_at == "arena.claim.taken" ? old + 1 : old + result));
        }
        (void)one.ground.store(kTester)->repair(kOther);
        judge(one.ground);
      }
    }
  }
  CHECK(meetings >= 20);
}

namespace {

// All the memory of the second stage is a dead letter's, and what is pushed has the rest.
struct Blocked : One {
  Blocked() : One(8) {
    const auto store = ground.store(kTester);
    REQUIRE(make_here(kTester, 4000) == Became::yes);
    Lease dies = store->take(1, true);
    REQUIRE(dies);
    REQUIRE(store->reject(dies, "no"));
    // It is not asked for again.
    ground.ledger->of[0].fate.store(static_cast<std::uint32_t>(Fate::ended));
    push(8);
    push(static_cast<std::uint32_t>(store->largest()) - 32);
  }
  [[nodiscard]] std::uint64_t dropped() const {
    return ground.memory.control()
        .counters[static_cast<std::size_t>(layout::WorkCount::dead_dropped)]
        .load();
  }
};

const bool listed_blocked = [] {
  explorers().emplace_back("WorkResultsBlocked", [](Passages& passages) {
    Blocked blocked;
    crash::log_to(&blocked.ground.n->log);
    (void)blocked.make_here(kVictim, 4000);
    crash::log_to(nullptr);
    for (const auto& [name, count] : passages_of(blocked.ground))
      passages[name] += count;
  });
  return true;
}();

}  // namespace

TEST_CASE("promise: work – who dies while a dead letter makes room has dropped it or has not") {
  Passages passages;
  {
    Blocked blocked;
    crash::log_to(&blocked.ground.n->log);
    CHECK(blocked.make_here(kVictim, 4000) == Became::yes);
    crash::log_to(nullptr);
    passages = passages_of(blocked.ground);
    CHECK(blocked.dropped() == 1);
    judge(blocked.ground);
  }
  CHECK(passages.contains("work.become.dropping"));
  for (const auto& [name, count] : passages) {
    const std::string_view point = name;
    for (const std::uint64_t passage : {std::uint64_t{1}, std::uint64_t{count}}) {
      CAPTURE(point);
      CAPTURE(passage);
      Blocked blocked;
      REQUIRE(blocked.make(kVictim, 4000, point, passage) == -SIGKILL);
      const auto store = blocked.ground.store(kTester);
      (void)store->repair(kVictim);
      const std::uint32_t kept = store->dead_count();
      // Counted before it goes: perhaps one too many, and never one too few.
      CHECK(blocked.dropped() + kept >= 1);
      CHECK(store->granules_used() == granules_of_jobs(blocked.ground));
      Lease lease = store->take(0, true);
      if (lease && number_of(*store, lease.slot) == 1) {
        const std::vector<std::byte> result = made(1, Form{1, 1, 4000});
        CHECK(store->become(lease, result, 1) == Became::yes);
        blocked.ground.ledger->of[1].is = {1, 1, 4000};
        blocked.ground.ledger->of[1].fate.store(static_cast<std::uint32_t>(Fate::there));
      } else if (lease) {
        CHECK(store->release(lease, 0));
      }
      (void)store->each_dead(
          [&](std::uint32_t slot, std::uint64_t bits) { return store->purge(slot, bits); });
      store->balance();
      judge(blocked.ground);
    }
  }
}

TEST_CASE("a lease that ends while its holder looks for room ends when it has found none") {
  One one(600, 1000);
  const auto holder = one.ground.store(kVictim);
  Lease waiting = holder->take(0, true);
  REQUIRE(waiting);
  // All that results can lie in is taken.
  const auto other = one.ground.store(kOther);
  for (const std::uint32_t length : {4000U, 2000U, 1000U, 300U, 200U}) {
    for (bool room = true; room;) {
      one.push(8);
      Lease lease = other->take(0, true);
      REQUIRE(lease);
      room = other->become(lease, std::vector<std::byte>(length), 1) == Became::yes;
      if (!room) REQUIRE(other->complete(lease));
    }
  }
  std::vector<std::byte> result(2000);
  bool looked = false;
  const std::uint64_t later = os::monotonic_ns() + 5'000'000'000;
  REQUIRE(crash::arm("work.become.begun", 1, [&] {
    looked = true;
    CHECK(other->sweep(later) == 0);
  }));
  REQUIRE(holder->become(waiting, result, 1) == Became::full_bytes);
  REQUIRE(looked);
  CHECK(holder->holds(waiting));
  CHECK(other->sweep(later) == 1);
  CHECK_FALSE(holder->holds(waiting));
}

}  // namespace millrace::test::work_results_meetings
