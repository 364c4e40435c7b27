// Groups, times to live and second lives, as the jobs of a work queue have them; the table of groups alone is tested in
// work_groups_test.cpp.
#include <string>
#include <vector>

#include "work_ground.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_job_groups_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;

namespace {

PushOptions of_group(std::string_view group, std::uint64_t ttl_ns = 0, std::uint64_t delay_ns = 0) {
  PushOptions options;
  options.group = group;
  options.ttl_ns = ttl_ns;
  options.delay_ns = delay_ns;
  return options;
}
layout::SlotState state_of(const Ground& ground, std::uint32_t slot) {
  return layout::unpack(ground.memory.slot(slot).word.load()).state;
}
// All that is due by now and in the next minutes happens.
void let_time_pass(JobStore& store) {
  (void)store.sweep(os::monotonic_ns() + 600'000 * kMs);
}

}  // namespace

TEST_CASE("of a group one job at a time is out, in the order of the pushes") {
  Ground ground(shape_of(16));
  const auto store = ground.store(1);
  for (const char* payload : {"1", "2", "3"})
    REQUIRE(push(*store, payload, of_group("a")) == Pushed::yes);
  REQUIRE(push(*store, "x", of_group("b")) == Pushed::yes);
  Lease first = store->take(0, true);
  CHECK(payload_of(*store, first) == "1");
  Lease other = store->take(0, true);
  CHECK(payload_of(*store, other) == "x");
  CHECK_FALSE(store->take(0, true));
  SUBCASE("it is done") {
    CHECK(store->complete(first));
  }
  SUBCASE("it is a dead letter") {
    CHECK(store->reject(first, "no"));
  }
  SUBCASE("it comes back: it is still its turn") {
    CHECK(store->release(first, 0));
    first = store->take(0, true);
    CHECK(payload_of(*store, first) == "1");
    CHECK(store->retry(first, 1, "later"));
    CHECK_FALSE(store->take(0, true));
    let_time_pass(*store);
    first = store->take(0, true);
    CHECK(payload_of(*store, first) == "1");
    CHECK(store->complete(first));
  }
  SUBCASE("its holder dies") {
    CHECK(ground.store(1)->repair(1) == 2);
    CHECK(take_all(*store) == "123x");  // each in its place
    return;
  }
  CHECK(store->stirred() != 0);
  CHECK(take_all(*store) == "23");
}

TEST_CASE(
    "a delayed job keeps its group waiting, and one that waits is delayed when its turn comes") {
  Ground ground(shape_of(16));
  const auto store = ground.store(1);
  REQUIRE(push(*store, "1", of_group("a", 0, 300'000 * kMs)) == Pushed::yes);
  REQUIRE(push(*store, "2", of_group("a")) == Pushed::yes);
  REQUIRE(push(*store, "3", of_group("a", 0, 900'000 * kMs)) == Pushed::yes);
  CHECK(take_all(*store).empty());
  let_time_pass(*store);
  CHECK(take_all(*store) == "12");
  let_time_pass(*store);
  CHECK(take_all(*store).empty());
  (void)store->sweep(os::monotonic_ns() + 1'000'000 * kMs);
  CHECK(take_all(*store) == "3");
}

TEST_CASE("a group that somebody has, and is stopped there, is made up for when he has gone on") {
  Ground ground(shape_of(16));
  const auto store = ground.store(1);
  REQUIRE(push(*store, "1", of_group("a")) == Pushed::yes);
  REQUIRE(push(*store, "2", of_group("a")) == Pushed::yes);
  for (std::uint32_t i = 0; i < ground.shape.group_buckets(); ++i)
    ground.memory.groups()[i].lock.word = 7 + 1;
  CHECK(push(*store, "3", of_group("a")) == Pushed::busy);
  CHECK(push(*store, "4") == Pushed::yes);
  CHECK(take_all(*store) == "14");
  // He unlocks, and is stopped before he looks for marks.
  for (std::uint32_t i = 0; i < ground.shape.group_buckets(); ++i)
    ground.memory.groups()[i].lock.word = 0;
  SUBCASE("by who left it") {
    CHECK(take_all(*store) == "2");
  }
  SUBCASE("by who comes next") {
    CHECK(push(*ground.store(2), "3", of_group("a")) == Pushed::yes);
    CHECK(take_all(*store) == "23");
  }
  SUBCASE("by who buries somebody") {
    (void)ground.store(3)->repair(3);
    CHECK(take_all(*ground.store(2)) == "2");
  }
}

TEST_CASE("whoever ends a group says that there is room for another, also if it was left to him") {
  WorkShape shape = shape_of(32);
  shape.groups = 1;
  Ground ground(shape);
  const auto store = ground.store(1);
  const auto other = ground.store(2);
  std::vector<std::string> groups;
  for (std::uint32_t i = 0; i < layout::kGroupsPerBucket; ++i)
    groups.push_back("group " + std::to_string(i));
  for (const std::string& group : groups)
    REQUIRE(push(*store, "x", of_group(group)) == Pushed::yes);
  CHECK(push(*other, "y", of_group("another")) == Pushed::full);
  layout::SeatLock& lock = ground.memory.groups()[0].lock;
  lock.word = 7 + 1;
  Lease lease = store->take(0, true);
  REQUIRE(store->complete(lease));
  lock.word = 0;
  (void)store->stirred();
  (void)other->stirred();
  SUBCASE("who left it looks again") {
    store->catch_up();
    CHECK((store->stirred() & JobStore::kRoom) != 0);
  }
  SUBCASE("somebody comes by") {
    CHECK(push(*other, "z", of_group(groups.back())) == Pushed::yes);
    CHECK((other->stirred() & JobStore::kRoom) != 0);
  }
  CHECK(push(*other, "y", of_group("another")) == Pushed::yes);
}

TEST_CASE("a time to live is not forgotten while nobody can look at it") {
  Ground ground(shape_of(70));
  const auto store = ground.store(1);
  const std::uint64_t ttl = 300'000 * kMs;
  std::uint32_t slot = 0;
  const auto expire_elsewhere = [&] {
    // The sweep of another job's time goes over this one, which is not to be touched now.
    let_time_pass(*store);
    CHECK(state_of(ground, slot) != layout::SlotState::dead);
    CHECK(store->earliest() > os::monotonic_ns());
  };
  SUBCASE("the job is leased meanwhile") {
    PushOptions options;
    options.ttl_ns = ttl;
    REQUIRE(push(*store, "1", options) == Pushed::yes);
    Lease lease = store->take(0, true);
    slot = lease.slot;
    expire_elsewhere();
    SUBCASE("and given back") {
      CHECK(store->release(lease, 0));
    }
    SUBCASE("and put off for longer than it lives") {
      CHECK(store->release(lease, 900'000 * kMs));
    }
    SUBCASE("and its holder dies") {
      (void)ground.store(1)->repair(1);
    }
  }
  SUBCASE("the job waits for its turn") {
    REQUIRE(push(*store, "0", of_group("a")) == Pushed::yes);
    REQUIRE(push(*store, "1", of_group("a", ttl)) == Pushed::yes);
    Lease lease = store->take(0, true);
    while (state_of(ground, slot) != layout::SlotState::grouped)
      ++slot;
    expire_elsewhere();
    CHECK(store->complete(lease));
    CHECK(state_of(ground, slot) == layout::SlotState::ready);
  }
  // And nobody takes it.
  let_time_pass(*store);
  CHECK(state_of(ground, slot) == layout::SlotState::dead);
  CHECK(counter(ground, layout::WorkCount::expired) == 1);
}

TEST_CASE("a dead letter that lives again is not late from the beginning, and comes last") {
  Ground ground(shape_of(16));
  const auto store = ground.store(1);
  PushOptions options;
  options.ttl_ns = 1;
  SUBCASE("alone") {}
  SUBCASE("in its group") {
    options.group = "a";
  }
  REQUIRE(push(*store, "late", options) == Pushed::yes);
  os::sleep_ns(1000);
  let_time_pass(*store);
  CHECK(counter(ground, layout::WorkCount::expired) == 1);
  REQUIRE(push(*store, "1", of_group("a")) == Pushed::yes);
  CHECK(store->each_dead([&](std::uint32_t slot, std::uint64_t bits) {
    CHECK(store->redrive(slot, bits));
    return true;
  }));
  store->balance();
  CHECK(take_all(*store) == "1late");
  CHECK(counter(ground, layout::WorkCount::expired) == 1);
}

}  // namespace millrace::test::work_job_groups_test
