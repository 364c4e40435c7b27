// Deaths while jobs of one work queue become jobs of another: a victim works on both and dies at a crash point; whoever buries
// it, on either side first, may die as well; and each job must be in one of the two.
//
// Each job carries its number, in both queues. The victim notes in shared memory what it is about to do with a number and
// what it has done; between the two, either is right.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <millrace/work/work_queue.hpp>

#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_forward_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kNumbers = 2048;
constexpr std::uint16_t kVictim[2] = {3, 6};  // its seats, one on each queue
constexpr std::uint16_t kTester = 5;
constexpr std::uint64_t kInstance[2] = {0x1111, 0x2222};

enum class Fate : std::uint32_t { unborn, pushing, pushed, forwarding, forwarded, ending, ended };

struct Ledger {
  std::atomic<std::uint32_t> fate[kNumbers];
  std::atomic<std::uint32_t> next;
  std::atomic<std::uint64_t> wrong;
  layout::SeatRecord own[2][2];
};

WorkShape small_shape(layout::Durability durability) {
  WorkShape shape;
  shape.durability = durability;
  shape.seats = 8;
  shape.levels = 2;
  shape.stages = 2;
  shape.jobs = 10;
  shape.dead = 2;
  shape.bytes = 48 * 1024;
  shape.attempts = 9;
  shape.groups = 4;
  shape.keys = 512;
  shape.window_ms = 1'000'000;
  return shape;
}

// Two queues, and who stands at both.
struct Ground {
  explicit Ground(layout::Durability durability = layout::Durability::memory)
      : shape(small_shape(durability)) {
    bytes = shape.total_bytes();
    for (int i = 0; i < 2; ++i) {
      base[i] = static_cast<std::byte*>(
          ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
      REQUIRE(base[i] != MAP_FAILED);
      memory[i] = WorkMemory(base[i], base[i] + shape.data_at(), shape);
      store(i, kTester)->set_up();
    }
  }
  ~Ground() {
    for (std::byte* const at : base)
      ::munmap(at, bytes);
  }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  // Of the first queue or the second, which can reach the other one.
  std::unique_ptr<JobStore> store(int which, std::uint16_t seat) {
    auto made = std::make_unique<JobStore>(
        memory[which], seat, ledger->own[which][seat == kTester ? 1 : 0], kInstance[which]);
    made->reach_by([this](std::uint64_t instance, const LookAt& look) {
      for (int i = 0; i < 2; ++i) {
        if (kInstance[i] != instance) continue;
        look(memory[i]);
        return Reached::yes;
      }
      return Reached::gone;
    });
    return made;
  }

  WorkShape shape;
  std::size_t bytes = 0;
  std::byte* base[2] = {};
  WorkMemory memory[2];
  Shared<Ledger> ledger;
  Shared<Numbers> n;
};

struct Payload {
  std::uint32_t number;
  std::uint32_t length;
};
void fill(std::byte* at, std::uint32_t number, std::uint32_t length) {
  const Payload head{number, length};
  std::memcpy(at, &head, sizeof head);
  for (std::uint32_t i = sizeof head; i < length; ++i)
    at[i] = static_cast<std::byte>(number * 7 + i);
}
bool is_whole(const JobStore& store, std::uint32_t slot, std::uint32_t& number) {
  JobFacts facts;
  Payload head{};
  if (!store.facts(slot, facts) || facts.length < sizeof head) return false;
  const std::byte* const at = store.memory().data() + facts.at;
  std::memcpy(&head, at, sizeof head);
  if (head.length != facts.length || head.number >= kNumbers) return false;
  for (std::uint32_t i = sizeof head; i < facts.length; ++i) {
    if (at[i] != static_cast<std::byte>(head.number * 7 + i)) return false;
  }
  number = head.number;
  return true;
}

Forwarded forward(JobStore& from, Lease& lease, JobStore& to, std::uint32_t number,
                  std::uint32_t length, const PushOptions& options) {
  Loan loan;
  switch (to.reserve(length, options.tail_bytes(), loan)) {
    case Pushed::yes:
      break;
    case Pushed::full:
      return Forwarded::full;
    default:
      return Forwarded::full_bytes;
  }
  fill(to.memory().data() + loan.at, number, length);
  const Forwarded done = from.forward(lease, to, loan, length, options);
  to.cancel(loan);
  return done;
}

// Pushes to the first, forwards to the second or within the first, completes what is in the second.
void live(Ground& ground, std::uint32_t seed, int steps) {
  const auto first = ground.store(0, kVictim[0]);
  const auto second = ground.store(1, kVictim[1]);
  CHILD_EXPECT(Links(ground.memory[0], kVictim[0]).add(kInstance[1], Place("second")));
  CHILD_EXPECT(Links(ground.memory[1], kVictim[1]).add(kInstance[0], Place("first")));
  std::mt19937 random(seed);
  Ledger& ledger = *ground.ledger;
  const auto fate = [&](std::uint32_t number, Fate now) {
    ledger.fate[number].store(static_cast<std::uint32_t>(now));
  };
  const std::uint32_t lengths[] = {8, 100, 700, 3000};
  for (int step = 0; step < steps; ++step) {
    const std::uint32_t choice = random() % 8;
    std::uint32_t number = 0;
    PushOptions options;
    options.level = static_cast<std::uint8_t>(random() % 2);
    options.stage = static_cast<std::uint8_t>(random() % 2);
    if (random() % 4 == 0) options.delay_ns = 1;
    if (random() % 8 == 0) options.ttl_ns = 1'000'000'000'000;
    const std::uint32_t length = lengths[random() % 4];
    if (choice < 2) {
      number = ledger.next.fetch_add(1);
      if (number >= kNumbers) return;
      const std::string group = "g" + std::to_string(random() % 2);
      if (random() % 4 == 0) options.group = group;
      fate(number, Fate::pushing);
      Loan loan;
      Pushed pushed = first->reserve(length, options.tail_bytes(), loan);
      if (pushed == Pushed::yes) {
        fill(first->memory().data() + loan.at, number, length);
        pushed = first->push(loan, length, options);
        first->cancel(loan);
      }
      fate(number, pushed == Pushed::yes ? Fate::pushed : Fate::unborn);
    } else if (choice < 6) {
      Lease lease = first->take(random() % 2, random() % 2 == 0);
      if (!lease) {
        (void)first->sweep(os::monotonic_ns() + 1);
        continue;
      }
      CHILD_EXPECT(is_whole(*first, lease.slot, number));
      if (static_cast<Fate>(ledger.fate[number].load()) > Fate::forwarding)
        ledger.wrong.fetch_add(1);
      const bool within = choice == 2;  // the same queue
      const std::string id = std::to_string(number);
      if (!within && random() % 2 == 0) options.id = id;
      fate(number, within ? Fate::pushed : Fate::forwarding);
      switch (forward(*first, lease, within ? *first : *second, number, length, options)) {
        case Forwarded::yes:
          fate(number, within ? Fate::pushed : Fate::forwarded);
          break;
        case Forwarded::full:
        case Forwarded::full_bytes:
          fate(number, Fate::pushed);
          CHILD_EXPECT(first->release(lease, 0));
          break;
        default:
          CHILD_EXPECT(false);
      }
    } else {
      Lease lease = second->take(random() % 2, true);
      if (!lease) {
        (void)second->sweep(os::monotonic_ns() + 1);
        continue;
      }
      CHILD_EXPECT(is_whole(*second, lease.slot, number));
      if (static_cast<Fate>(ledger.fate[number].load()) != Fate::forwarded)
        ledger.wrong.fetch_add(1);
      fate(number, Fate::ending);
      CHILD_EXPECT(second->complete(lease));
      fate(number, Fate::ended);
    }
  }
}

// So often may a job be here and a result there, of whatever became of it.
bool agrees(Fate fate, int here, int there) {
  switch (fate) {
    case Fate::unborn:
    case Fate::ended:
      return here + there == 0;
    case Fate::pushing:
      return here <= 1 && there == 0;
    case Fate::pushed:
      return here == 1 && there == 0;
    case Fate::forwarding:
      return here + there == 1;
    case Fate::forwarded:
      return here == 0 && there == 1;
    case Fate::ending:
      return here == 0 && there <= 1;
  }
  return false;
}

void judge(Ground& ground) {
  Ledger& ledger = *ground.ledger;
  CHECK(ledger.wrong.load() == 0);
  std::vector<int> seen[2] = {std::vector<int>(kNumbers, 0), std::vector<int>(kNumbers, 0)};
  const auto first = ground.store(0, kTester);
  const auto second = ground.store(1, kTester);
  const auto drain = [&](int which, JobStore& store, auto&& each) {
    for (bool found = true; found;) {
      found = store.sweep(os::monotonic_ns() + 1'000'000'000) != 0;
      for (std::uint32_t stage = 0; stage < 2; ++stage) {
        while (Lease lease = store.take(stage, true)) {
          found = true;
          std::uint32_t number = 0;
          REQUIRE(is_whole(store, lease.slot, number));
          ++seen[which][number];
          each(lease, number);
        }
      }
    }
  };
  drain(1, *second, [&](Lease& lease, std::uint32_t) { REQUIRE(second->complete(lease)); });
  // What was not forwarded can be, also under the id of one that was promised and came to nothing.
  drain(0, *first, [&](Lease& lease, std::uint32_t number) {
    PushOptions options;
    const std::string id = std::to_string(number);
    options.id = id;
    REQUIRE(forward(*first, lease, *second, number, 64, options) == Forwarded::yes);
    Lease result = second->take(0, true);
    REQUIRE(result);
    REQUIRE(second->complete(result));
  });
  // Only what is wrong is told: an assertion for each number would take most of the time.
  for (std::uint32_t number = 0; number < kNumbers; ++number) {
    const auto fate = static_cast<Fate>(ledger.fate[number].load());
    if (agrees(fate, seen[0][number], seen[1][number])) continue;
    CAPTURE(number);
    CAPTURE(static_cast<int>(fate));
    CAPTURE(seen[0][number]);
    CAPTURE(seen[1][number]);
    CHECK(false);
  }
  // The entry of whoever died while it wrote one is free again.
  for (std::uint32_t i = 1; i < layout::kWorkLinks; ++i)
    CHECK(Links(ground.memory[0], kTester).add(i, Place("q" + std::to_string(i))));
  for (JobStore* const store : {first.get(), second.get()}) {
    const JobStore::Counts counts = store->counts();
    CHECK(counts.free == ground.shape.jobs);
    CHECK(counts.other == 0);
    CHECK(counts.dead == 0);
    CHECK(store->granules_used() == 0);
    // Of those on disk: nor may a power cut bring any of them back.
    Record record;
    std::uint32_t found = 0;
    for (std::uint32_t granule = 0; store->records().on() && granule < ground.shape.granules();
         ++granule)
      found += store->records().find(granule, record) == Records::Found::none ? 0 : 1;
    CHECK(found == 0);
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
// Buries the victim on one side.
void bury(Ground& ground, int which) {
  const auto store = ground.store(which, kTester);
  (void)store->repair(kVictim[which]);
  CHECK(!store->left_something());
}
int run_undertaker(Ground& ground, int which, std::string_view point) {
  Child child([&] {
    crash::log_to(&ground.n->log);
    if (!point.empty()) CHILD_EXPECT(crash::arm(point, 1));
    bury(ground, which);
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

// For the test that wants a death at every point: those that somebody passes here.
const bool listed = [] {
  explorers().emplace_back("WorkForward", [](Passages& passages) {
    for (const std::string_view point : {"work.forward.promised", "work.forward.done"}) {
      for (std::uint64_t passage = 1; passage <= 8; ++passage) {
        Ground ground;
        (void)run_victim(ground, 1, 700, point, passage);
        (void)run_undertaker(ground, passage % 2, {});
        (void)run_undertaker(ground, 1 - passage % 2, {});
        for (const auto& [name, count] : passages_of(ground))
          passages[name] += count;
      }
    }
  });
  return true;
}();

constexpr int kSteps = 700;

}  // namespace

TEST_CASE("promise: work – complete({ to }) takes and publishes in one step") {
  int deaths = 0;
  std::set<std::string_view> where;
  std::set<std::string_view> where_buried;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    CAPTURE(seed);
    const auto durability = seed == 3 ? layout::Durability::disk : layout::Durability::memory;
    Passages passages;
    {
      Ground ground(durability);
      REQUIRE(run_victim(ground, seed, kSteps, {}, 0) == 0);
      passages = passages_of(ground);
      judge(ground);
    }
    for (const auto& [name, count] : passages) {
      const std::string_view point = name;
      const bool ours = point.starts_with("work.forward") || point.starts_with("work.promise");
      std::set<std::uint64_t> at{1, count / 2 + 1, count};
      for (std::uint64_t more = 1; ours && more <= 12; ++more)
        at.insert(1 + count * more / 13);
      for (const std::uint64_t passage : at) {
        for (const int first : {0, 1}) {
          CAPTURE(point);
          CAPTURE(passage);
          CAPTURE(first);
          Ground ground(durability);
          if (run_victim(ground, seed, kSteps, point, passage) != -SIGKILL) continue;
          ++deaths;
          where.insert(point);
          (void)passages_of(ground);
          REQUIRE(run_undertaker(ground, first, {}) == 0);
          const Passages burying = passages_of(ground);
          REQUIRE(run_undertaker(ground, 1 - first, {}) == 0);
          judge(ground);
          // Whoever buries on that side dies, too, and the other side comes before the next one.
          if (!ours && passage != 1) continue;
          for (const auto& [second, ignored] : burying) {
            const std::string_view then = second;
            CAPTURE(then);
            if (!ours && !then.starts_with("work.promise") && !then.starts_with("work.forward"))
              continue;
            Ground again(durability);
            if (run_victim(again, seed, kSteps, point, passage) != -SIGKILL) continue;
            if (run_undertaker(again, first, then) != -SIGKILL) continue;
            ++deaths;
            where_buried.insert(then);
            REQUIRE(run_undertaker(again, 1 - first, {}) == 0);
            REQUIRE(run_undertaker(again, first, {}) == 0);
            again.store(first, kTester)->repair(kTester);
            judge(again);
          }
        }
      }
    }
  }
  for (const std::string_view point :
       {"work.forward.promised", "work.forward.begun", "work.forward.done", "work.forward.kept"})
    CHECK(where.contains(point));
  for (const std::string_view point :
       {"work.promise.kept", "work.promise.undone", "work.forward.finished"})
    CHECK(where_buried.contains(point));
  MESSAGE("deaths: " << deaths << ", points: " << where.size()
                     << ", of undertakers: " << where_buried.size());
}

TEST_CASE("promise: work – two who bury a forwarding at the same time agree about it") {
  int meetings = 0;
  for (const std::string_view point :
       {"work.forward.promised", "work.forward.begun", "work.forward.done", "work.forward.kept"}) {
    for (std::uint64_t passage = 1; passage <= 40; passage += 3) {
      for (const int first : {0, 1}) {
        CAPTURE(point);
        CAPTURE(passage);
        CAPTURE(first);
        Passages passages;
        {
          Ground ground;
          if (run_victim(ground, 7, kSteps, point, passage) != -SIGKILL) continue;
          (void)passages_of(ground);
          crash::log_to(&ground.n->log);
          bury(ground, first);
          crash::log_to(nullptr);
          passages = passages_of(ground);
        }
        for (const auto& [then, count] : passages) {
          const std::string_view middle = then;
          CAPTURE(middle);
          for (const std::uint64_t nth : {std::uint64_t{1}, std::uint64_t{count}}) {
            Ground ground;
            REQUIRE(run_victim(ground, 7, kSteps, point, passage) == -SIGKILL);
            // All that the other one does, in the middle of this one's doings.
            REQUIRE(crash::arm(middle, nth, [&] { bury(ground, 1 - first); }));
            bury(ground, first);
            crash::disarm();
            bury(ground, 1 - first);
            judge(ground);
            ++meetings;
          }
        }
      }
    }
  }
  CHECK(meetings > 100);
  MESSAGE("meetings: " << meetings);
}

namespace {

struct TwoQueues : Names {
  ~TwoQueues() {
    (void)unlink_channel('j', name() + "a");
    (void)unlink_channel('j', name() + "b");
  }
  [[nodiscard]] std::unique_ptr<WorkQueue> open(const char* which) const {
    WorkSpec spec;
    spec.place = name() + which;
    spec.keep = true;
    return must(WorkQueue::open(spec, soon()));
  }
};
Forwarded forward_of(WorkQueue& from, Lease& lease, WorkQueue& to) {
  const std::uint64_t result = 2;
  auto done = from.forward(lease, std::as_bytes(std::span(&result, 1)), to, {});
  return done.ok() ? done.value() : Forwarded::lost;
}
Forwarded forward_one(WorkQueue& from, WorkQueue& to) {
  Lease lease = from.try_take();
  return forward_of(from, lease, to);
}

}  // namespace

TEST_CASE_FIXTURE(TwoQueues,
                  "promise: work – whoever buries a forwarding finds the other queue by itself") {
  struct Case {
    std::string_view point;
    bool forwarded;
  };
  for (const auto& [where, forwarded] :
       {Case{"work.link.writing", false}, Case{"work.link.written", false},
        Case{"work.forward.promised", false}, Case{"work.forward.begun", false},
        Case{"work.forward.done", true}, Case{"work.forward.kept", true}}) {
    const std::string_view point = where;  // Clang 14 captures no structured bindings
    for (const bool from_first : {true, false}) {
      CAPTURE(point);
      CAPTURE(from_first);
      Child victim([&, at = point] {
        const auto from = open("a");
        const auto to = open("b");
        const std::uint64_t number = 1;
        CHILD_EXPECT(from->try_push(std::as_bytes(std::span(&number, 1)), {}) == Pushed::yes);
        CHILD_EXPECT(crash::arm(at, 1));
        (void)forward_one(*from, *to);
        return 0;
      });
      REQUIRE(victim.wait() == -SIGKILL);
      std::unique_ptr<WorkQueue> from;
      std::unique_ptr<WorkQueue> to;
      if (from_first) from = open("a");
      to = open("b");
      (void)to->look();
      if (!from) from = open("a");
      (void)from->look();
      (void)to->look();
      Lease here = from->try_take();
      Lease there = to->try_take();
      CHECK(static_cast<bool>(here) != forwarded);
      CHECK(static_cast<bool>(there) == forwarded);
      if (here) CHECK(forward_of(*from, here, *to) == Forwarded::yes);
      if (!there) there = to->try_take();
      REQUIRE(there);
      REQUIRE(to->complete(there));
      CHECK(from->store().counts().free == from->parties().shape().jobs);
      CHECK(to->store().counts().free == to->parties().shape().jobs);
      from.reset();
      to.reset();
      (void)unlink_channel('j', name() + "a");
      (void)unlink_channel('j', name() + "b");
    }
  }
}

TEST_CASE_FIXTURE(TwoQueues, "a queue that was begun anew takes the place of the one before it") {
  const auto from = open("a");
  for (std::uint32_t i = 0; i < 2 * layout::kWorkLinks; ++i) {
    CAPTURE(i);
    const auto to = open("b");
    const std::uint64_t number = 1;
    REQUIRE(from->try_push(std::as_bytes(std::span(&number, 1)), {}) == Pushed::yes);
    CHECK(forward_one(*from, *to) == Forwarded::yes);
    Lease result = to->try_take();
    REQUIRE(result);
    CHECK(to->complete(result));
    (void)unlink_channel('j', name() + "b");
  }
}

}  // namespace millrace::test::work_forward_deaths
