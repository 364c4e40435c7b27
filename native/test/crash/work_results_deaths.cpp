// Deaths while jobs become their results: a victim works a pipeline and dies at a crash point; whoever buries it may die as well;
// and each job must be what it was, in its stage, or its result in the next one, and the memory be exactly that of the jobs.
//
// Each payload says whose it is and in which stage it was made. The victim notes in shared memory what each job is, and what
// it is about to make of it; between the two, either is right.
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "work_results.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_results_deaths {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::crash_results;

namespace {

// Pushes, makes results of all kinds, moves on, and completes.
void live(Ground& ground, std::uint32_t seed, int steps) {
  const auto store = ground.store(kVictim);
  std::mt19937 random(seed);
  Ledger& ledger = *ground.ledger;
  const auto fate = [](Entry& entry, Fate now) {
    entry.fate.store(static_cast<std::uint32_t>(now));
  };
  const std::uint32_t lengths[] = {8, 100, 128, 700, 2000};
  for (int step = 0; step < steps; ++step) {
    if (random() % 4 == 0) {
      const std::uint32_t number = ledger.next++;
      if (number >= kNumbers) return;
      Entry& entry = ledger.of[number];
      entry.is = {0, 0, lengths[random() % 5]};
      PushOptions options;
      options.level = static_cast<std::uint8_t>(random() % 2);
      if (random() % 4 == 0) options.delay_ns = 1;
      const std::string group = "g" + std::to_string(number);
      if (number % 2 != 0) options.group = group;
      fate(entry, Fate::pushing);
      Loan loan;
      Pushed pushed = store->reserve(entry.is.length, options.tail_bytes(), loan);
      if (pushed == Pushed::yes) {
        const std::vector<std::byte> payload = made(number, entry.is);
        std::memcpy(ground.memory.data() + loan.at, payload.data(), payload.size());
        pushed = store->push(loan, payload.size(), options);
        store->cancel(loan);
      }
      fate(entry, pushed == Pushed::yes ? Fate::there : Fate::unborn);
      continue;
    }
    const std::uint32_t stage = random() % kStages;
    const bool start = random() % 2 == 0;
    Lease lease = random() % 4 == 0 ? store->take_front(stage, start) : store->take(stage, start);
    if (!lease) {
      (void)store->sweep(os::monotonic_ns() + 1);
      continue;
    }
    const std::uint32_t number = number_of(*store, lease.slot);
    CHILD_EXPECT(number < kNumbers);
    Entry& entry = ledger.of[number];
    if (static_cast<Fate>(entry.fate.load()) != Fate::there ||
        !is(*store, lease.slot, number, entry.is)) {
      ++ledger.wrong;
    }
    const std::uint32_t how = random() % 16;
    if (how == 0) {
      CHILD_EXPECT(store->release(lease, 0));
      continue;
    }
    if (stage + 1 == kStages || how == 1) {
      fate(entry, Fate::ending);
      CHILD_EXPECT(store->complete(lease));
      fate(entry, Fate::ended);
      continue;
    }
    entry.attempt = layout::unpack(lease.word).attempt;
    entry.next = {stage + 1, stage + 1, lengths[random() % 5]};
    const bool part = how == 2 && entry.is.length > 8;
    if (how == 3) {
      entry.next = entry.is;
    } else if (part) {
      entry.next = entry.is;
      entry.next.length -= random() % 2 == 0 ? 1 : 4;
    }
    entry.next.stage = stage + 1;
    const auto next = static_cast<std::uint8_t>(stage + 1);
    fate(entry, Fate::becoming);
    bool done = false;
    if (how == 3) {
      done = store->move_on(lease, next);
      CHILD_EXPECT(done);
    } else {
      JobFacts facts;
      CHILD_EXPECT(store->facts(lease.slot, facts));
      const std::vector<std::byte> result = made(number, entry.next);
      const std::span<const std::byte> bytes =
          part ? std::span<const std::byte>(ground.memory.data() + facts.at, entry.next.length)
               : std::span(result);
      const Became became = store->become(lease, bytes, next);
      CHILD_EXPECT(became == Became::yes || became == Became::full_bytes);
      done = became == Became::yes;
    }
    if (done) {
      entry.is = entry.next;
    } else {
      CHILD_EXPECT(is(*store, lease.slot, number, entry.is));
    }
    fate(entry, Fate::there);
    if (!done) CHILD_EXPECT(store->release(lease, 0));
  }
}

int run_victim(Ground& ground, std::uint32_t seed, int steps, std::string_view point,
               std::uint64_t passage) {
  Child child([&] {
    crash::log_to(&ground.n->log);
    if (!point.empty()) CHILD_EXPECT(crash::arm(point, passage));
    live(ground, seed, steps);
    crash::disarm();
    return 0;
  });
  return child.wait();
}
int run_undertaker(Ground& ground, std::string_view point, std::uint64_t passage = 1) {
  Child child([&] {
    crash::log_to(&ground.n->log);
    if (!point.empty()) CHILD_EXPECT(crash::arm(point, passage));
    (void)ground.store(kTester)->repair(kVictim);
    crash::disarm();
    return 0;
  });
  return child.wait();
}
constexpr int kSteps = 500;
constexpr std::uint16_t kSomeOrder = 0b010;

// For the test that wants a death at every point: those that somebody passes here.
const bool listed = [] {
  explorers().emplace_back("WorkResults", [](Passages& passages) {
    Ground ground(kSomeOrder);
    (void)run_victim(ground, 1, kSteps, "work.become.written", 5);
    (void)run_undertaker(ground, {});
    for (const auto& [name, count] : passages_of(ground))
      passages[name] += count;
    (void)run_victim(ground, 2, kSteps, {}, 0);
    for (const auto& [name, count] : passages_of(ground))
      passages[name] += count;
  });
  return true;
}();

bool is_of_results(std::string_view point) {
  return point.starts_with("work.become") || point.starts_with("arena.") ||
         point.starts_with("work.order") || point.starts_with("work.stage");
}

}  // namespace

TEST_CASE("promise: work – a job is what it was or its result, whenever its worker dies") {
  int deaths = 0;
  std::set<std::string_view> where;
  for (const std::uint16_t ordered : {std::uint16_t{0}, kSomeOrder}) {
    for (std::uint32_t seed = 1; seed <= 2; ++seed) {
      CAPTURE(ordered);
      CAPTURE(seed);
      Passages passages;
      {
        Ground ground(ordered);
        REQUIRE(run_victim(ground, seed, kSteps, {}, 0) == 0);
        passages = passages_of(ground);
        (void)run_undertaker(ground, {});
        judge(ground);
      }
      for (const auto& [name, count] : passages) {
        const std::string_view point = name;
        std::set<std::uint64_t> at{1, count / 2 + 1, count};
        for (std::uint64_t more = 1; is_of_results(point) && more <= 24; ++more)
          at.insert(1 + count * more / 25);
        for (const std::uint64_t passage : at) {
          CAPTURE(point);
          CAPTURE(passage);
          Ground ground(ordered);
          if (run_victim(ground, seed, kSteps, point, passage) != -SIGKILL) continue;
          ++deaths;
          where.insert(point);
          REQUIRE(run_undertaker(ground, {}) == 0);
          judge(ground);
        }
      }
    }
  }
  for (const std::string_view point :
       {"work.become.begun", "work.become.written", "work.become.done", "work.become.placed",
        "work.become.freed", "arena.claim.taken", "arena.back.freed"})
    CHECK(where.contains(point));
  MESSAGE("deaths: " << deaths << ", points: " << where.size());
}

TEST_CASE("promise: work – whoever buries a worker in the middle of a result may die, too") {
  int deaths = 0;
  std::set<std::string_view> where;
  for (const std::string_view point :
       {"work.become.begun", "arena.claim.taken", "work.become.written", "work.become.done",
        "work.become.placed", "arena.back.freed", "work.become.freed"}) {
    for (std::uint64_t passage = 1; passage <= 30; passage += 3) {
      CAPTURE(point);
      CAPTURE(passage);
      Passages burying;
      {
        Ground ground(kSomeOrder);
        if (run_victim(ground, 3, kSteps, point, passage) != -SIGKILL) continue;
        (void)passages_of(ground);
        REQUIRE(run_undertaker(ground, {}) == 0);
        burying = passages_of(ground);
      }
      for (const auto& [name, count] : burying) {
        const std::string_view then = name;
        for (const std::uint64_t nth : {std::uint64_t{1}, std::uint64_t{count}}) {
          CAPTURE(then);
          CAPTURE(nth);
          Ground ground(kSomeOrder);
          REQUIRE(run_victim(ground, 3, kSteps, point, passage) == -SIGKILL);
          if (run_undertaker(ground, then, nth) != -SIGKILL) continue;
          ++deaths;
          where.insert(then);
          (void)ground.store(kTester)->repair(kVictim);
          (void)ground.store(kTester)->repair(kTester);
          judge(ground);
        }
      }
    }
  }
  CHECK(where.contains("arena.sweep.freed"));
  CHECK(where.contains("work.repair.results"));
  CHECK(where.contains("work.repair.slots"));
  MESSAGE("deaths: " << deaths << ", points: " << where.size());
}

}  // namespace millrace::test::work_results_deaths
