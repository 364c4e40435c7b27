// Deaths in the middle of everything that is done with the jobs of a work queue, without a segment around them: a victim works
// on shared memory and dies at a crash point, the test buries it, and every job must be where it belongs.
//
// Each job carries its number. The victim notes in shared memory what it is about to do with a number and what it has
// done; between the two, either is right.
#include <cstring>
#include <random>

#include <millrace/work/job_store.hpp>

#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_store_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kNumbers = 4096;
constexpr std::uint16_t kVictim = 3;
constexpr std::uint16_t kTester = 5;

enum class Fate : std::uint32_t { unborn, pushing, pushed, ending, ended, burying, dead };

struct Ledger {
  std::atomic<std::uint32_t> fate[kNumbers];
  std::atomic<bool> has_id[kNumbers];
  std::atomic<std::uint32_t> next;
  std::atomic<std::uint64_t> twice;
};

struct Payload {
  std::uint32_t number;
  std::uint32_t length;
};

// `ordered`: stages that are left in order, a bit each.
WorkShape small_shape(layout::Durability durability, std::uint16_t ordered) {
  WorkShape shape;
  shape.seats = 8;
  shape.levels = 3;
  shape.stages = 2;
  shape.jobs = 20;
  shape.dead = 4;
  shape.bytes = 64 * 1024;
  shape.attempts = 3;
  shape.groups = 4;  // so that there is not always room for one
  shape.keys = 64;
  shape.window_ms = 1'000'000;
  shape.durability = durability;
  shape.ordered = ordered;
  return shape;
}

struct Ground {
  explicit Ground(layout::Durability durability = layout::Durability::memory,
                  std::uint16_t ordered = 0)
      : shape(small_shape(durability, ordered)) {
    bytes = shape.total_bytes();
    base = static_cast<std::byte*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base != MAP_FAILED);
    memory = WorkMemory(base, base + shape.data_at(), shape);
    JobStore(memory, kTester, records->own[1]).set_up();
  }
  ~Ground() { ::munmap(base, bytes); }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  struct Records {
    layout::SeatRecord own[2];
  };

  WorkShape shape;
  std::size_t bytes = 0;
  std::byte* base = nullptr;
  WorkMemory memory;
  Shared<Ledger> ledger;
  Shared<Numbers> n;
  Shared<Records> records;
};

void fill(std::byte* at, std::uint32_t number, std::uint32_t length) {
  const Payload head{number, length};
  std::memcpy(at, &head, sizeof head);
  for (std::uint32_t i = sizeof head; i < length; ++i)
    at[i] = static_cast<std::byte>(number * 7 + i);
}
bool is_whole(const std::byte* at, std::uint32_t length, Payload& head) {
  std::memcpy(&head, at, sizeof head);
  if (length < sizeof head || head.length != length || head.number >= kNumbers) return false;
  for (std::uint32_t i = sizeof head; i < length; ++i) {
    if (at[i] != static_cast<std::byte>(head.number * 7 + i)) return false;
  }
  return true;
}

Pushed push(JobStore& store, std::uint32_t number, std::uint32_t length,
            const PushOptions& options) {
  Loan loan;
  const Pushed room = store.reserve(length, options.tail_bytes(), loan);
  if (room != Pushed::yes) return room;
  fill(store.memory().data() + loan.at, number, length);
  const Pushed done = store.push(loan, length, options);
  store.cancel(loan);
  return done;
}

// Everything that can be done, in a mix that comes from `seed`.
void live(Ground& ground, std::uint32_t seed, int steps) {
  JobStore store(ground.memory, kVictim, ground.records->own[0]);
  std::mt19937 random(seed);
  Ledger& ledger = *ground.ledger;
  std::vector<std::pair<Lease, std::uint32_t>> held;
  const auto fate = [&](std::uint32_t number, Fate now) {
    ledger.fate[number].store(static_cast<std::uint32_t>(now));
  };
  for (int step = 0; step < steps; ++step) {
    const std::uint32_t choice = random() % 16;
    if (choice < 6) {
      const std::uint32_t number = ledger.next.fetch_add(1);
      if (number >= kNumbers) return;
      PushOptions options;
      options.level = static_cast<std::uint8_t>(random() % 3);
      options.stage = static_cast<std::uint8_t>(random() % 2);
      if (random() % 4 == 0) options.delay_ns = 1;
      const std::string id =
          std::to_string(number / 2);  // every other time of a job that there was
      if (random() % 4 != 0) {
        options.id = id;
        ledger.has_id[number].store(true);
      }
      const std::string group = "g" + std::to_string(random() % 3);
      if (random() % 3 == 0) options.group = group;
      const std::uint32_t lengths[] = {8, 64, 120, 500, 3000};
      fate(number, Fate::pushing);
      const Pushed pushed = push(store, number, lengths[random() % 5], options);
      CHILD_EXPECT(pushed != Pushed::busy);
      fate(number, pushed == Pushed::yes ? Fate::pushed : Fate::unborn);
    } else if (choice < 11) {
      Lease lease = store.take(random() % 2, random() % 2 == 0);
      if (!lease) {
        (void)store.sweep(os::monotonic_ns() + 1);
        continue;
      }
      JobFacts facts;
      Payload head{};
      if (!store.facts(lease.slot, facts) ||
          !is_whole(ground.memory.data() + facts.at, facts.length, head)) {
        ledger.twice.fetch_add(1);
        continue;
      }
      const auto known = static_cast<Fate>(ledger.fate[head.number].load());
      if (known == Fate::ended) ledger.twice.fetch_add(1);
      held.emplace_back(lease, head.number);
    } else if (!held.empty()) {
      auto [lease, number] = held.back();
      held.pop_back();
      const std::uint32_t how = random() % 8;
      if (how < 3) {
        fate(number, Fate::ending);
        CHILD_EXPECT(store.complete(lease));
        fate(number, Fate::ended);
      } else if (how == 3) {
        CHILD_EXPECT(store.release(lease, random() % 2));
      } else if (how == 4) {
        fate(number, Fate::burying);  // perhaps
        CHILD_EXPECT(store.retry(lease, random() % 2, "failed"));
      } else if (how == 5) {
        fate(number, Fate::burying);
        CHILD_EXPECT(store.reject(lease, "never"));
      } else if (how == 6) {
        CHILD_EXPECT(store.move_on(lease, static_cast<std::uint8_t>(random() % 2)));
      } else {
        CHILD_EXPECT(store.start(lease));
        held.emplace_back(lease, number);
      }
    } else if (random() % 2 == 0) {
      (void)store.each_dead([&](std::uint32_t slot, std::uint64_t bits) {
        return random() % 2 == 0 ? store.redrive(slot, bits) : false;
      });
      store.balance();
    }
  }
  for (auto& [lease, number] : held)
    CHILD_EXPECT(store.release(lease, 0));
}

// Of a queue on disk: what is found there must be what the slots say.
void judge_records(const JobStore& store) {
  const Records& records = store.records();
  if (!records.on()) return;
  std::uint32_t jobs = 0;
  for (std::uint32_t index = 0; index < store.memory().shape().slots(); ++index) {
    CAPTURE(index);
    const layout::Slot& slot = store.memory().slot(index);
    const layout::Word word = layout::unpack(slot.word.load());
    if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare) continue;
    ++jobs;
    Record record;
    REQUIRE(records.find(slot.granule.load(), record) == Records::Found::whole);
    CHECK(record.length == slot.length);
    CHECK(record.level == word.level);
    CHECK(record.stage == slot.stage.load());
    // Attempts that have begun are noted when they end.
    if (word.state != layout::SlotState::leased && word.state != layout::SlotState::dead)
      CHECK(record.attempt == word.attempt);
  }
  std::uint32_t found = 0;
  for (std::uint32_t granule = 0; granule < store.memory().shape().granules(); ++granule) {
    Record record;
    const Records::Found what = records.find(granule, record);
    CHECK(what != Records::Found::torn);
    found += what == Records::Found::whole ? 1 : 0;
  }
  CHECK(found == jobs);
}

// Takes all that there is, and judges it.
void judge(Ground& ground) {
  JobStore store(ground.memory, kTester, ground.records->own[1]);
  judge_records(store);
  Ledger& ledger = *ground.ledger;
  CHECK(ledger.twice.load() == 0);
  // Whoever pushes the id of a push that was cut short is told the truth.
  for (std::uint32_t number = 0; number < kNumbers; ++number) {
    if (static_cast<Fate>(ledger.fate[number].load()) != Fate::pushing ||
        !ledger.has_id[number].load())
      continue;
    PushOptions options;
    const std::string id = std::to_string(number / 2);
    options.id = id;
    Pushed again = push(store, number, 64, options);
    while (again == Pushed::full || again == Pushed::full_bytes) {
      // Room is made by one that there is.
      Lease lease = store.take(0, true);
      if (!lease) lease = store.take(1, true);
      REQUIRE(lease);
      JobFacts facts;
      Payload head{};
      REQUIRE(store.facts(lease.slot, facts));
      REQUIRE(is_whole(ground.memory.data() + facts.at, facts.length, head));
      const auto known = static_cast<Fate>(ledger.fate[head.number].load());
      CHECK(known != Fate::ended);
      CHECK(known != Fate::unborn);
      REQUIRE(store.complete(lease));
      if (head.number == number) break;
      ledger.fate[head.number].store(static_cast<std::uint32_t>(Fate::ended));
      again = push(store, number, 64, options);
    }
    CHECK(again != Pushed::busy);
    const auto partner = static_cast<Fate>(ledger.fate[number ^ 1U].load());
    const bool partner_had_it = ledger.has_id[number ^ 1U].load() && partner != Fate::unborn;
    if (again == Pushed::yes || (again == Pushed::duplicate && !partner_had_it))
      ledger.fate[number].store(static_cast<std::uint32_t>(Fate::pushed));
  }
  std::vector<int> seen(kNumbers, 0);
  const auto see = [&](std::uint32_t slot) {
    JobFacts facts;
    Payload head{};
    REQUIRE(store.facts(slot, facts));
    REQUIRE(is_whole(ground.memory.data() + facts.at, facts.length, head));
    ++seen[head.number];
  };
  std::vector<std::uint64_t> dead;
  CHECK(store.each_dead([&](std::uint32_t slot, std::uint64_t bits) {
    see(slot);
    dead.push_back(bits);
    return true;
  }));
  // A job that ends may be what one of another stage, or a delayed one, has waited for.
  for (bool found = true; found;) {
    found = store.sweep(os::monotonic_ns() + 1'000'000'000) != 0;
    for (std::uint32_t stage = 0; stage < 2; ++stage) {
      while (Lease lease = store.take(stage, true)) {
        found = true;
        see(lease.slot);
        REQUIRE(store.complete(lease));
      }
    }
  }
  CHECK(ground.memory.control().dead_lock.load() == 0);
  const auto dropped = ground.memory.control()
                           .counters[static_cast<std::size_t>(layout::WorkCount::dead_dropped)]
                           .load();
  std::uint64_t missing = 0;
  for (std::uint32_t number = 0; number < kNumbers; ++number) {
    CAPTURE(number);
    switch (static_cast<Fate>(ledger.fate[number].load())) {
      case Fate::unborn:
      case Fate::ended:
        CHECK(seen[number] == 0);
        break;
      case Fate::pushing:
      case Fate::ending:
        CHECK(seen[number] <= 1);
        break;
      case Fate::pushed:
        CHECK(seen[number] <= 1);
        missing += seen[number] == 0 ? 1 : 0;
        break;
      case Fate::burying:
      case Fate::dead:
        CHECK(seen[number] <= 1);
        missing += seen[number] == 0 ? 1 : 0;
        break;
    }
  }
  // A job that died of its deaths is a dead letter like any other: the oldest ones go, and are counted.
  CHECK(missing <= dropped);
  CHECK(dropped <= missing + 2);  // counted, and then its counter died
  // Every slot is where it belongs, and every granule is free.
  const JobStore::Counts counts = store.counts();
  CHECK(counts.other == 0);
  CHECK(counts.leased == 0);
  CHECK(counts.ready == 0);
  CHECK(counts.held == 0);
  CHECK(counts.dead == dead.size());
  CHECK(counts.free == ground.shape.jobs);
  std::uint32_t spare = 0;
  for (std::uint32_t slot = 0; slot < ground.shape.slots(); ++slot) {
    const auto word = layout::unpack(ground.memory.slot(slot).word.load());
    spare += word.state == layout::SlotState::spare ? 1 : 0;
  }
  CHECK(spare + counts.dead == ground.shape.dead);
  // All that is free can be found.
  PushOptions options;
  for (std::uint32_t i = 0; i < ground.shape.jobs; ++i) {
    CAPTURE(i);
    CHECK(push(store, 0, 64, options) == Pushed::yes);
  }
  CHECK(push(store, 0, 64, options) == Pushed::full);
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

// The undertaker dies as well, at its first passage of `point`.
int run_undertaker(Ground& ground, std::string_view point) {
  Child child([&] {
    crash::log_to(&ground.n->log);
    if (!point.empty()) CHILD_EXPECT(crash::arm(point, 1));
    JobStore store(ground.memory, kTester, ground.records->own[1]);
    (void)store.repair(kVictim);
    crash::disarm();
    return 0;
  });
  return child.wait();
}

Passages passages_of(const Ground& ground) {
  Passages passages;
  const auto& points = crash::points();
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (const std::uint32_t count = ground.n->log.passed[i].load(); count != 0)
      passages[points[i]] = count;
  }
  return passages;
}

// What nobody comes to alone. Each returns how the one ended that died there.
//
// A job is in the hands of somebody, and its bit among the returned is stale. Whoever clears the bit meets the holder, who gives
// the job back in between.
int restores_a_bit(Ground& ground) {
  JobStore holder(ground.memory, kTester, ground.records->own[1]);
  REQUIRE(push(holder, 1, 64, {}) == Pushed::yes);
  Lease lease = holder.take(0, true);
  REQUIRE(lease);
  ground.memory.returned()[lease.slot / 64].fetch_or(1ULL << lease.slot % 64);
  ground.memory.control().returned_mask[0].fetch_or(1);
  Child child([&] {
    crash::log_to(&ground.n->log);
    JobStore store(ground.memory, kVictim, ground.records->own[0]);
    CHILD_EXPECT(crash::arm("work.hint.cleared", 1, [&] {
      if (holder.release(lease, 0)) (void)crash::arm("work.returned.restored", 1);
    }));
    (void)store.take(0, true);
    return 0;
  });
  return child.wait();
}
// Somebody restores the quota of dead letters, or was stopped in it.
int finds_the_dead_being_counted(Ground& ground) {
  JobStore store(ground.memory, kTester, ground.records->own[1]);
  REQUIRE(push(store, 1, 64, {}) == Pushed::yes);
  ground.memory.control().dead_lock.store(kTester + 1U);
  Child child([&] {
    crash::log_to(&ground.n->log);
    JobStore mine(ground.memory, kVictim, ground.records->own[0]);
    Lease lease = mine.take(0, true);
    CHILD_EXPECT(lease);
    CHILD_EXPECT(crash::arm("work.dead.marked", 1));
    (void)mine.reject(lease, "never");
    return 0;
  });
  return child.wait();
}

// For the test that wants a death at every point: those that somebody passes here.
const bool listed = [] {
  explorers().emplace_back("WorkStore", [](Passages& passages) {
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
      for (const auto durability : {layout::Durability::disk, layout::Durability::memory}) {
        Ground ground(durability, durability == layout::Durability::memory ? 1 : 0);
        (void)run_victim(ground, seed, 1500, {}, 0);
        (void)run_victim(ground, seed, 1500, "work.take.leased", 20);
        (void)run_undertaker(ground, {});
        for (const auto& [point, count] : passages_of(ground))
          passages[point] += count;
      }
    }
    for (const auto meet : {&restores_a_bit, &finds_the_dead_being_counted}) {
      Ground ground;
      (void)meet(ground);
      for (const auto& [point, count] : passages_of(ground))
        passages[point] += count;
    }
  });
  return true;
}();

void die_everywhere(layout::Durability durability, std::uint16_t ordered = 0) {
  constexpr int kSteps = 1500;
  int deaths = 0;
  std::set<std::string_view> where;
  std::set<std::string_view> where_buried;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    CAPTURE(seed);
    Passages passages;
    {
      Ground ground(durability, ordered);
      REQUIRE(run_victim(ground, seed, kSteps, {}, 0) == 0);
      passages = passages_of(ground);
      judge(ground);
    }
    for (const auto& [name, count] : passages) {
      const std::string_view point = name;
      for (const std::uint64_t passage :
           {std::uint64_t{1}, std::uint64_t{count / 2 + 1}, std::uint64_t{count}}) {
        CAPTURE(point);
        CAPTURE(passage);
        Ground ground(durability, ordered);
        if (run_victim(ground, seed, kSteps, point, passage) != -SIGKILL) continue;
        ++deaths;
        where.insert(point);
        // The undertaker dies, too, here and there, before one comes to the end.
        for (auto& times : ground.n->log.passed)
          times.store(0);
        REQUIRE(run_undertaker(ground, {}) == 0);
        const Passages burying = passages_of(ground);
        judge(ground);
        if (passage != 1) continue;
        for (const auto& [second, ignored] : burying) {
          const std::string_view then = second;
          CAPTURE(then);
          Ground again(durability, ordered);
          if (run_victim(again, seed, kSteps, point, passage) != -SIGKILL) continue;
          if (run_undertaker(again, then) != -SIGKILL) continue;
          ++deaths;
          where_buried.insert(then);
          REQUIRE(run_undertaker(again, {}) == 0);
          JobStore(again.memory, kTester, again.records->own[1]).repair(kTester);
          judge(again);
        }
      }
    }
  }
  CHECK(where.size() >= 20);
  MESSAGE("deaths: " << deaths << ", points: " << where.size()
                     << ", of undertakers: " << where_buried.size());
}

}  // namespace

TEST_CASE(
    "promise: work – whoever dies anywhere loses no job, doubles none, and leaves nothing half") {
  die_everywhere(layout::Durability::memory);
}

TEST_CASE("promise: work – whoever dies anywhere leaves no job waiting for its turn for ever") {
  die_everywhere(layout::Durability::memory, 1);
}

TEST_CASE("promise: work – whoever dies anywhere leaves each job one record, and no other") {
  die_everywhere(layout::Durability::disk);
}

TEST_CASE("promise: work – who dies when it restores a hint leaves a job that can be found") {
  Ground ground;
  REQUIRE(restores_a_bit(ground) == -SIGKILL);
  JobStore store(ground.memory, kTester, ground.records->own[1]);
  (void)store.repair(kVictim);
  Lease lease = store.take(0, true);
  REQUIRE(lease);
  CHECK(store.complete(lease));
}

TEST_CASE(
    "promise: work – who dies when it clears the mask of a ring leaves a job that can be found") {
  Ground ground;
  JobStore store(ground.memory, kTester, ground.records->own[1]);
  REQUIRE(push(store, 1, 64, {}) == Pushed::yes);
  // It looked at the ring before that push, cleared the mask after it, and died before it looked again.
  const std::uint32_t mask = ground.memory.control().ring_mask[0].exchange(0);
  REQUIRE(mask != 0);
  REQUIRE(!store.take(0, true));
  (void)store.repair(kVictim);
  CHECK(ground.memory.control().ring_mask[0].load() == mask);
  Lease lease = store.take(0, true);
  REQUIRE(lease);
  CHECK(store.complete(lease));
}

TEST_CASE(
    "promise: work – who dies when it finds dead letters being counted takes no room with it") {
  Ground ground;
  REQUIRE(finds_the_dead_being_counted(ground) == -SIGKILL);
  JobStore store(ground.memory, kTester, ground.records->own[1]);
  CHECK(ground.memory.control().dead_dirty.load() == 1);
  // Who had the lock lets it go, and looks for the mark.
  ground.memory.control().dead_lock.store(0);
  store.balance();
  CHECK(store.dead_count() == 1);
  CHECK(store.counts().free == ground.shape.jobs);
}

}  // namespace millrace::test::work_store_deaths
