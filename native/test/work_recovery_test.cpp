// Queues on disk after power cuts: every one that was confirmed and has not ended is there once, as it was; nothing that never was;
// and however often a recovery is cut short itself, the next one finds the same.
#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "work_power.hpp"

namespace millrace::test::work_recovery_test {

using namespace millrace;
using namespace millrace::test;

namespace {

WorkShape disk_shape() {
  WorkShape shape;
  shape.seats = 4;
  shape.levels = 3;
  shape.stages = 2;
  shape.jobs = 16;
  shape.dead = 4;
  shape.bytes = 24 * 1024;
  shape.dead_bytes = 8 * 1024;
  shape.attempts = 4;
  shape.groups = 16;
  shape.keys = 256;
  shape.window_ms = 3'600'000;
  shape.durability = layout::Durability::disk;
  return shape;
}

Census census_after(const Bytes& bytes, const WorkShape& shape) {
  const Open open(bytes, shape);
  open.recover();
  return census(open);
}

// Some sectors of the one, the others of the other.
Bytes mixed_bytes(const Bytes& one, const Bytes& other, Random& random) {
  Bytes all = one;
  for (std::size_t sector = 0; sector < all.sectors(); ++sector) {
    if (random.chance(50))
      std::memcpy(all.at() + sector * kSector, other.at() + sector * kSector, kSector);
  }
  return all;
}

// Everything that must hold of a queue that was recovered, whatever is in it.
void judge_recovered(const Bytes& bytes, const WorkShape& shape, const Census& found) {
  const Bytes copy = bytes;
  const Open open(copy, shape);
  JobStore& store = *open.store;
  // No record is left over.
  std::size_t records = 0;
  for (std::uint32_t granule = 0; granule < shape.granules(); ++granule) {
    Record record;
    const Records::Found what = store.records().find(granule, record);
    CHECK(what != Records::Found::torn);
    records += what == Records::Found::whole ? 1 : 0;
  }
  CHECK(records == found.size());
  // Ids of what is there are known, and no others.
  for (std::uint32_t number = 3; number < 60; number += 3) {
    const Bytes tried = copy;
    const Open trial(tried, shape);
    const Plan plan(number);
    PushOptions options;
    options.id = plan.id;
    Loan loan;
    if (trial.store->reserve(8, plan.id.size(), loan) != Pushed::yes) break;
    CAPTURE(number);
    CHECK(trial.store->push(loan, 8, options) ==
          (found.contains(number) ? Pushed::duplicate : Pushed::yes));
  }
  // All can be had, those of a lane and of a group in the order of their pushes. What was put off is not yet to be had.
  std::map<std::string, std::uint32_t> last;
  std::size_t seen = 0;
  for (std::uint32_t stage = 0; stage < shape.stages; ++stage) {
    while (Lease lease = store.take(stage, true)) {
      const std::uint32_t number = number_of(open, lease.slot);
      const Plan plan(number);
      CAPTURE(number);
      const auto known = found.find(number);
      REQUIRE(known != found.end());
      CHECK(!known->second.dead);
      CHECK(!known->second.delayed);
      if (plan.group.empty()) {
        std::uint32_t& before = last[std::to_string(stage) + "/" + std::to_string(plan.level)];
        CHECK(before < number);
        before = number;
      } else {
        std::uint32_t& before = last[plan.group];
        CHECK(before < number);
        before = number;
      }
      CHECK(store.complete(lease));
      ++seen;
    }
  }
  std::size_t due = 0;
  std::set<std::string> held_up;  // groups whose oldest job is put off
  for (const auto& [number, known] : found) {
    if (known.delayed && !Plan(number).group.empty()) held_up.insert(Plan(number).group);
  }
  for (const auto& [number, known] : found)
    due += !known.dead && !known.delayed && !held_up.contains(Plan(number).group) ? 1 : 0;
  CHECK(seen >= due);
}

}  // namespace

TEST_CASE_FIXTURE(
    Names, "promise: work – what was confirmed on disk survives any power cut, once, as it was") {
  const WorkShape shape = disk_shape();
  std::uint32_t confirmed = 0;
  std::uint32_t surplus = 0;
  std::uint32_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(rounds(60)); ++seed) {
    CAPTURE(seed);
    // Few slots, and much room: then what was not synced is more than there are slots for.
    WorkShape small = shape;
    small.jobs = 5;
    small.dead = 2;
    small.bytes *= 4;
    Machine machine(seed % 2 == 0 ? shape : small, seed, seed % 4 == 1);
    for (int boot = 0; boot < 12; ++boot) {
      CAPTURE(boot);
      for (std::uint64_t steps = machine.random().below(120); steps > 0; --steps)
        machine.step();
      machine.start();
      ++cuts;
    }
    confirmed += machine.confirmed();
    surplus += machine.surplus();
  }
  CHECK(confirmed > 1000);
  CHECK(surplus > 0);
  MESSAGE(cuts << " cuts, " << confirmed << " times that a job was certain, " << surplus
               << " times more records than slots");
}

TEST_CASE_FIXTURE(Names, "a recovery that is cut short, again and again, finds the same") {
  const WorkShape shape = disk_shape();
  for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(rounds(80)); ++seed) {
    CAPTURE(seed);
    Machine machine(shape, seed);
    for (std::uint64_t steps = 100 + machine.random().below(200); steps > 0; --steps)
      machine.step();
    const Bytes disk = machine.cut();
    Bytes once = disk;
    const Census found = census_after(once, shape);
    machine.judge(found);
    judge_recovered(once, shape, found);
    Bytes twice = once;
    CHECK(census_after(twice, shape) == found);
    Bytes state = disk;
    for (int round = 0; round < 4; ++round) {
      Bytes after = state;
      CHECK(census_after(after, shape) == found);
      state = mixed_bytes(state, after, machine.random());
    }
  }
}

TEST_CASE_FIXTURE(Names, "a file cut short anywhere gives the jobs before the cut") {
  const WorkShape shape = disk_shape();
  Machine machine(shape, 7);
  for (int steps = 0; steps < 300; ++steps)
    machine.step();
  const Bytes disk = machine.cut();
  Bytes whole = disk;
  const Census all = census_after(whole, shape);
  REQUIRE(all.size() >= 8);
  // Where each job's record is.
  std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> places;
  const Open open(whole, shape);
  for (std::uint32_t index = 0; index < shape.slots(); ++index) {
    const layout::Slot& slot = open.memory.slot(index);
    const auto state = layout::unpack(slot.word.load()).state;
    if (state == layout::SlotState::free || state == layout::SlotState::spare) continue;
    JobFacts facts;
    REQUIRE(open.store->facts(index, facts));
    const std::uint64_t tail = facts.id.size() + facts.group.size() + facts.headers.size();
    const std::uint64_t end = shape.data_at() + facts.at + (facts.length + 7) / 8 * 8 + tail;
    places[number_of(open, index)] = {shape.data_at() + facts.at - layout::kRecordBytes, end};
  }
  std::vector<std::uint64_t> lengths = {layout::kRolesOffset, shape.control_at(), shape.data_at()};
  for (const auto& [number, place] : places) {
    for (const std::uint64_t at : {place.first, place.first + 64, place.first + 128, place.second})
      lengths.insert(lengths.end(), {at - 1, at, at + 1});
  }
  for (int i = 0; i < 100; ++i)
    lengths.push_back(layout::kRolesOffset +
                      machine.random().below(disk.size() - layout::kRolesOffset));
  for (const std::uint64_t length : lengths) {
    CAPTURE(length);
    Bytes cut = disk;
    std::memset(cut.at() + length, 0, cut.size() - length);
    const Census found = census_after(cut, shape);
    for (const auto& [which, known] : all) {
      const auto& number = which;  // Clang 14 captures no structured bindings
      CAPTURE(number);
      const auto& [begin, end] = places.at(number);
      // Zeroes at the end of it are what is there behind the cut as well.
      if (length >= end) CHECK(found.contains(number));
      if (length <= begin) CHECK(!found.contains(number));
    }
    for (const auto& [number, known] : found)
      CHECK(all.contains(number));
  }
}

TEST_CASE_FIXTURE(Names, "a record whose content was damaged is none, and counted") {
  const WorkShape shape = disk_shape();
  Machine machine(shape, 3);
  for (int steps = 0; steps < 200; ++steps)
    machine.step();
  Bytes whole = machine.cut();
  const Census all = census_after(whole, shape);
  REQUIRE(!all.empty());
  const Open open(whole, shape);
  for (std::uint32_t index = 0; index < shape.slots(); ++index) {
    const auto state = layout::unpack(open.memory.slot(index).word.load()).state;
    if (state == layout::SlotState::free || state == layout::SlotState::spare) continue;
    JobFacts facts;
    REQUIRE(open.store->facts(index, facts));
    const std::uint32_t number = number_of(open, index);
    CAPTURE(number);
    const std::uint64_t last = (facts.length + 7) / 8 * 8 + facts.id.size() + facts.group.size() +
                               facts.headers.size() - 1;
    for (const std::uint64_t at : {std::uint64_t{0}, last}) {
      if (at == 0 && facts.length == 0) continue;
      Bytes damaged = whole;
      damaged.at()[shape.data_at() + facts.at + at] ^= std::byte{4};
      const Open other(damaged, shape);
      other.recover();
      Census expected = all;
      expected.erase(number);
      CHECK(census(other) == expected);
      CHECK(other.memory.control()
                .counters[static_cast<std::size_t>(layout::WorkCount::torn)]
                .load() == 1);
    }
  }
}

TEST_CASE_FIXTURE(Names,
                  "a copy of a record is none: not elsewhere in the file, not in a payload, not in "
                  "another queue") {
  const WorkShape shape = disk_shape();
  const Bytes bytes(static_cast<std::size_t>(shape.total_bytes()));
  const Open open(bytes, shape);
  open.store->set_up();
  const auto push = [&](std::string_view payload) {
    Loan loan;
    REQUIRE(open.store->reserve(payload.size(), 2, loan) == Pushed::yes);
    std::memcpy(open.memory.data() + loan.at, payload.data(), payload.size());
    PushOptions options;
    static constexpr char kHeaders[] = {'#', '1'};
    options.headers = std::as_bytes(std::span(kHeaders));
    REQUIRE(open.store->push(loan, payload.size(), options) == Pushed::yes);
    return loan.at;
  };
  const auto count = [&](std::uint64_t instance) {
    const Records records(open.memory, instance);
    int found = 0;
    for (std::uint32_t granule = 0; granule < shape.granules(); ++granule) {
      Record record;
      found += records.find(granule, record) == Records::Found::whole ? 1 : 0;
    }
    return found;
  };
  (void)push("the first");
  // Its granule, pushed as the payload of another job, so that it begins where a granule does.
  std::string page(layout::kGranuleBytes - layout::kRecordBytes, '.');
  page.append(reinterpret_cast<const char*>(open.memory.data() + shape.granules_at()),
              layout::kGranuleBytes);
  (void)push(page);
  CHECK(count(kInstance) == 2);
  std::memcpy(open.memory.data() + shape.granules_at() + 20 * layout::kGranuleBytes,
              open.memory.data() + shape.granules_at(), layout::kGranuleBytes);
  CHECK(count(kInstance) == 2);
  CHECK(count(kInstance + 1) == 0);
}

TEST_CASE_FIXTURE(Names, "times of another boot are those of this boot's clock") {
  WorkShape shape = disk_shape();
  shape.durability = layout::Durability::file;
  const Bytes bytes(static_cast<std::size_t>(shape.total_bytes()));
  const Open open(bytes, shape);
  open.store->set_up();
  const Recovery recovery(open.base, open.memory, open.store->records());
  recovery.begin();
  CHECK(!recovery.needed());
  Loan loan;
  PushOptions options;
  options.delay_ns = 100 * kSecond;
  options.ttl_ns = 200 * kSecond;
  options.id = "an id";
  REQUIRE(open.store->reserve(8, options.tail_bytes(), loan) == Pushed::yes);
  const std::uint32_t index = loan.slot;
  REQUIRE(open.store->push(loan, 8, options) == Pushed::yes);
  layout::WorkControl& control = open.memory.control();
  layout::Slot& slot = open.memory.slot(index);
  const std::uint64_t before = os::monotonic_ns();

  // The last boot's clock was a day ahead of this one's, and the machine was off for 30 seconds.
  const std::uint64_t day = 86'400 * kSecond;
  control.boot.store(1);
  control.mono_at.fetch_add(day);
  slot.due.fetch_add(day - 30 * kSecond);
  slot.expires.fetch_add(day - 30 * kSecond);
  for (std::uint32_t bucket = 0; bucket < shape.key_buckets(); ++bucket) {
    for (auto& entry : open.memory.keys()[bucket].entries) {
      if (entry.until.load() != 0) entry.until.fetch_add(day - 30 * kSecond);
    }
  }
  CHECK(recovery.needed());
  Recovery(open.base, open.memory, open.store->records()).from_words();
  CHECK(!recovery.needed());
  const auto is_about = [&](std::uint64_t time, std::uint64_t wanted) {
    return time > wanted - kSecond && time < wanted + kSecond;
  };
  CHECK(is_about(slot.due.load(), before + 70 * kSecond));
  CHECK(is_about(slot.expires.load(), before + 170 * kSecond));
  // What has no time still has none, and the id is still known.
  for (std::uint32_t other = 0; other < shape.slots(); ++other) {
    if (other != index) CHECK(open.memory.slot(other).due.load() == 0);
  }
  REQUIRE(open.store->reserve(8, options.tail_bytes(), loan) == Pushed::yes);
  CHECK(open.store->push(loan, 8, options) == Pushed::duplicate);
  // A sweep at that time finds it.
  CHECK(open.store->sweep(before + 60 * kSecond) == 0);
  CHECK(open.store->sweep(before + 80 * kSecond) == 1);
}

}  // namespace millrace::test::work_recovery_test
