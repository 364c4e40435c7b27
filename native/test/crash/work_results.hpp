// What deaths in the middle of results share. Each payload says whose it is and in which stage it was made; a ledger in shared
// memory says what each job is, and what it is about to become: between the two, either is right.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "scene.hpp"

namespace millrace::test::crash_results {

inline constexpr std::uint32_t kNumbers = 1024;
inline constexpr std::uint32_t kStages = 4;
inline constexpr std::uint16_t kVictim = 3;
inline constexpr std::uint16_t kTester = 5;
inline constexpr std::uint16_t kOther = 6;

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

inline WorkShape small_shape(std::uint16_t ordered) {
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

inline std::byte byte_of(std::uint32_t number, std::uint32_t made, std::uint32_t at) {
  return static_cast<std::byte>(number * 7 + made * 31 + at);
}
inline std::vector<std::byte> made(std::uint32_t number, const Form& form) {
  std::vector<std::byte> all(form.length);
  std::memcpy(all.data(), &number, sizeof number);
  for (std::uint32_t i = sizeof number; i < form.length; ++i)
    all[i] = byte_of(number, form.made, i);
  return all;
}
inline std::uint32_t number_of(const JobStore& store, std::uint32_t slot) {
  JobFacts facts;
  std::uint32_t number = kNumbers;
  if (store.facts(slot, facts) && facts.length >= sizeof number)
    std::memcpy(&number, store.memory().data() + facts.at, sizeof number);
  return number;
}
// Is the job in that slot, which we have, all that?
inline bool is(const JobStore& store, std::uint32_t slot, std::uint32_t number, const Form& form) {
  JobFacts facts;
  if (!store.facts(slot, facts) || facts.length != form.length || facts.stage != form.stage)
    return false;
  const std::string group = "g" + std::to_string(number);
  if (number % 2 == 0 ? !facts.group.empty() : facts.group != group) return false;
  const std::vector<std::byte> wanted = made(number, form);
  return std::memcmp(wanted.data(), store.memory().data() + facts.at, wanted.size()) == 0;
}

inline std::uint32_t granules_of_jobs(const Ground& ground) {
  std::uint32_t all = 0;
  for (std::uint32_t index = 0; index < ground.shape.slots(); ++index) {
    const layout::Slot& slot = ground.memory.slot(index);
    const layout::SlotState state = layout::unpack(slot.word.load()).state;
    if (state != layout::SlotState::free && state != layout::SlotState::spare)
      all += slot.granules.load();
  }
  return all;
}

inline void judge(Ground& ground) {
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

inline Passages passages_of(Ground& ground) {
  Passages passages;
  const auto& points = crash::points();
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (const std::uint32_t count = ground.n->log.passed[i].exchange(0); count != 0)
      passages[points[i]] = count;
  }
  return passages;
}

}  // namespace millrace::test::crash_results
