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

#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_results_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kNumbers = 1024;
constexpr std::uint32_t kStages = 4;
constexpr std::uint16_t kVictim = 3;
constexpr std::uint16_t kTester = 5;
constexpr std::uint16_t kOther = 6;

enum class Fate : std::uint32_t { unborn, pushing, there, becoming, ending, ended };

// What a job is: in which stage, and its payload.
struct Form {
  std::uint32_t stage;
  std::uint32_t made;  // the stage that it was made for
  std::uint32_t length;
};
struct Entry {
  std::atomic<std::uint32_t> fate;
  Form is;
  Form next;              // while it is becoming
  std::uint32_t attempt;  // of its word meanwhile
};
struct Ledger {
  Entry of[kNumbers];
  std::uint32_t next;
  std::uint32_t wrong;
  layout::SeatRecord own[8];
};

WorkShape small_shape(std::uint16_t ordered) {
  WorkShape shape;
  shape.seats = 8;
  shape.levels = 2;
  shape.stages = kStages;
  shape.jobs = 10;
  shape.dead = 2;
  shape.bytes = std::uint64_t{96} * 256;
  shape.dead_bytes = 0;
  shape.attempts = 9;
  shape.groups = 4;
  shape.keys = 0;
  shape.ordered = ordered;
  return shape;
}

struct Ground {
  explicit Ground(std::uint16_t ordered) : shape(small_shape(ordered)) {
    bytes = shape.total_bytes();
    base = static_cast<std::byte*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base != MAP_FAILED);
    memory = WorkMemory(base, base + shape.data_at(), shape);
    store(kTester)->set_up();
  }
  ~Ground() { ::munmap(base, bytes); }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  std::unique_ptr<JobStore> store(std::uint16_t seat) {
    return std::make_unique<JobStore>(memory, seat, ledger->own[seat]);
  }

  WorkShape shape;
  std::size_t bytes = 0;
  std::byte* base = nullptr;
  WorkMemory memory;
  Shared<Ledger> ledger;
  Shared<Numbers> n;
};

std::byte byte_of(std::uint32_t number, std::uint32_t made, std::uint32_t at) {
  return static_cast<std::byte>(number * 7 + made * 31 + at);
}
std::vector<std::byte> made(std::uint32_t number, const Form& form) {
  std::vector<std::byte> all(form.length);
  std::memcpy(all.data(), &number, sizeof number);
  for (std::uint32_t i = sizeof number; i < form.length; ++i)
    all[i] = byte_of(number, form.made, i);
  return all;
}
std::uint32_t number_of(const JobStore& store, std::uint32_t slot) {
  JobFacts facts;
  std::uint32_t number = kNumbers;
  if (store.facts(slot, facts) && facts.length >= sizeof number)
    std::memcpy(&number, store.memory().data() + facts.at, sizeof number);
  return number;
}
// Is the job in that slot, which we have, all that?
bool is(const JobStore& store, std::uint32_t slot, std::uint32_t number, const Form& form) {
  JobFacts facts;
  if (!store.facts(slot, facts) || facts.length != form.length || facts.stage != form.stage)
    return false;
  const std::string group = "g" + std::to_string(number);
  if (number % 2 == 0 ? !facts.group.empty() : facts.group != group) return false;
  const std::vector<std::byte> wanted = made(number, form);
  return std::memcmp(wanted.data(), store.memory().data() + facts.at, wanted.size()) == 0;
}

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

std::uint32_t granules_of_jobs(const Ground& ground) {
  std::uint32_t all = 0;
  for (std::uint32_t index = 0; index < ground.shape.slots(); ++index) {
    const layout::Slot& slot = ground.memory.slot(index);
    const layout::SlotState state = layout::unpack(slot.word.load()).state;
    if (state != layout::SlotState::free && state != layout::SlotState::spare)
      all += slot.granules.load();
  }
  return all;
}

void judge(Ground& ground) {
  Ledger& ledger = *ground.ledger;
  CHECK(ledger.wrong == 0);
  const auto store = ground.store(kTester);
  // All memory is that of jobs, and where their slots say.
  CHECK(store->granules_used() == granules_of_jobs(ground));
  CHECK(store->counts().other == 0);
  CHECK(store->counts().leased == 0);
  std::vector<int> seen(kNumbers, 0);
  for (bool found = true; found;) {
    found = store->sweep(os::monotonic_ns() + 1'000'000'000) != 0;
    for (std::uint32_t stage = 0; stage < kStages; ++stage) {
      while (Lease lease = store->take(stage, false)) {
        found = true;
        const std::uint32_t number = number_of(*store, lease.slot);
        REQUIRE(number < kNumbers);
        CAPTURE(number);
        Entry& entry = ledger.of[number];
        ++seen[number];
        if (static_cast<Fate>(entry.fate.load()) == Fate::becoming) {
          // The one or the other, and never half.
          const bool as_before = is(*store, lease.slot, number, entry.is);
          const bool result = is(*store, lease.slot, number, entry.next);
          CHECK((as_before || result));
          CHECK(layout::unpack(lease.word).attempt == (as_before ? entry.attempt : 0));
        } else {
          CHECK(is(*store, lease.slot, number, entry.is));
        }
        REQUIRE(store->complete(lease));
      }
    }
  }
  for (std::uint32_t number = 0; number < kNumbers; ++number) {
    CAPTURE(number);
    switch (static_cast<Fate>(ledger.of[number].fate.load())) {
      case Fate::unborn:
      case Fate::ended:
        CHECK(seen[number] == 0);
        break;
      case Fate::pushing:
      case Fate::ending:
        CHECK(seen[number] <= 1);
        break;
      case Fate::there:
      case Fate::becoming:
        CHECK(seen[number] == 1);
        break;
    }
  }
  CHECK(store->counts().free == ground.shape.jobs);
  CHECK(store->granules_used() == 0);
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
Passages passages_of(Ground& ground) {
  Passages passages;
  const auto& points = crash::points();
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (const std::uint32_t count = ground.n->log.passed[i].exchange(0); count != 0)
      passages[points[i]] = count;
  }
  return passages;
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

}  // namespace millrace::test::work_results_deaths
