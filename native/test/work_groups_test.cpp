// Groups: one job of a key at a time, in the order of the pushes, whoever is slow, late or dead.
#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <millrace/work/groups.hpp>

#include "fixture.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_groups_test {

using namespace millrace;
using namespace millrace::test;
using Answer = Groups::Answer;
using layout::SlotState;

namespace {

// Slots, and what a work queue does with their words, as far as groups are concerned.
struct Table {
  Table(std::uint32_t bucket_count, std::uint32_t slot_count)
      : buckets(bucket_count), slots(slot_count) {}

  [[nodiscard]] Groups groups(std::uint16_t seat = 0) {
    return {buckets.data(), static_cast<std::uint32_t>(buckets.size()),
            slots.data(),   static_cast<std::uint32_t>(slots.size()),
            serial,         seat};
  }
  [[nodiscard]] SlotState state(std::uint32_t slot) const {
    return layout::unpack(slots[slot].word.load(std::memory_order_acquire)).state;
  }
  // From one state to another, if it is that; the token goes up where a new job begins.
  bool change(std::uint32_t slot, SlotState from, SlotState to) {
    std::uint64_t bits = slots[slot].word.load(std::memory_order_acquire);
    layout::Word word = layout::unpack(bits);
    if (word.state != from) return false;
    word.state = to;
    if (to == SlotState::writing) ++word.token;
    return slots[slot].word.compare_exchange_strong(bits, layout::pack(word));
  }
  std::uint32_t begin(std::uint32_t slot) {
    if (!change(slot, SlotState::free, SlotState::writing)) return 0;
    const std::uint32_t born = layout::unpack(slots[slot].word.load()).token;
    slots[slot].born.store(born, std::memory_order_release);
    slots[slot].group.store(0);
    return born;
  }
  auto wait() {
    return
        [this](std::uint32_t slot) { return change(slot, SlotState::writing, SlotState::grouped); };
  }
  auto activate() {
    return [this](std::uint32_t slot) { (void)change(slot, SlotState::grouped, SlotState::ready); };
  }
  // A whole push.
  Answer push(std::string_view key, std::uint32_t slot, std::uint16_t seat = 0) {
    const std::uint32_t born = begin(slot);
    REQUIRE(born != 0);
    const auto entered = groups(seat).enter(hash(key), slot, born, wait(), activate());
    REQUIRE_FALSE((entered.answer == Answer::queued && state(slot) == SlotState::writing));
    if (entered.answer == Answer::active) change(slot, SlotState::writing, SlotState::ready);
    if (entered.answer == Answer::busy || entered.answer == Answer::no_room)
      change(slot, SlotState::writing, SlotState::free);
    return entered.answer;
  }
  // The job in that slot is done; its worker does not live to say so.
  std::uint32_t end(std::uint32_t slot) {
    const std::uint32_t group = slots[slot].group.load();
    REQUIRE(change(slot, SlotState::ready, SlotState::free));
    return group;
  }
  bool done(std::uint32_t slot, std::uint16_t seat = 0) {
    return groups(seat).leave(end(slot), activate());
  }
  [[nodiscard]] static IdHash hash(std::string_view key) { return id_hash(key, 1, 2); }
  [[nodiscard]] layout::GroupBucket& bucket_of(std::string_view key) {
    return buckets[static_cast<std::uint32_t>(hash(key).high) & (buckets.size() - 1)];
  }
  [[nodiscard]] std::vector<std::uint32_t> ready() const {
    std::vector<std::uint32_t> found;
    for (std::uint32_t slot = 0; slot < slots.size(); ++slot)
      if (state(slot) == SlotState::ready) found.push_back(slot);
    return found;
  }

  std::vector<layout::GroupBucket> buckets;
  std::vector<layout::Slot> slots;
  std::atomic<std::uint64_t> serial{0};
};

using Slots = std::vector<std::uint32_t>;

void lock_as_dead(layout::GroupBucket& bucket, std::uint16_t seat) {
  bucket.lock.word = 9U << 16U | (seat + 1U);
}

}  // namespace

TEST_CASE("work groups: one at a time, in the order of the pushes") {
  Table table(2, 8);
  CHECK(table.push("a", 5) == Answer::active);
  CHECK(table.push("a", 2) == Answer::queued);
  CHECK(table.push("b", 3) == Answer::active);
  CHECK(table.push("a", 7) == Answer::queued);
  CHECK(table.push("a", 0) == Answer::queued);
  CHECK(table.groups().count() == 2);
  CHECK(table.ready() == Slots{3, 5});
  CHECK(table.done(5));
  CHECK(table.ready() == Slots{2, 3});
  CHECK(table.push("a", 5) == Answer::queued);
  CHECK(table.done(2));
  CHECK(table.ready() == Slots{3, 7});
  CHECK(table.done(7));
  CHECK(table.done(0));
  CHECK(table.ready() == Slots{3, 5});
  CHECK(table.done(5));
  CHECK(table.groups().count() == 1);
  CHECK(table.done(3));
  CHECK(table.groups().count() == 0);
  CHECK(table.push("a", 1) == Answer::active);
}

TEST_CASE("work groups: leaving twice, or a group that is none, changes nothing") {
  Table table(1, 4);
  REQUIRE(table.push("a", 0) == Answer::active);
  REQUIRE(table.push("a", 1) == Answer::queued);
  REQUIRE(table.push("a", 2) == Answer::queued);
  const std::uint32_t group = table.end(0);
  CHECK(table.groups().leave(group, table.activate()));
  CHECK(table.groups().leave(group, table.activate()));
  CHECK(table.ready() == Slots{1});
  for (const std::uint32_t none : {0U, 16U, 0x7FFF'FFFFU, ~0U})
    CHECK(table.groups().leave(none, table.activate()));
  CHECK(table.ready() == Slots{1});
}

TEST_CASE("work groups: a push that is given up when it was its turn makes way") {
  Table table(1, 4);
  const std::uint32_t born = table.begin(0);
  REQUIRE(table.groups().enter(Table::hash("a"), 0, born, table.wait(), table.activate()).answer ==
          Answer::active);
  REQUIRE(table.push("a", 1) == Answer::queued);
  const std::uint32_t group = table.slots[0].group.load();
  REQUIRE(table.change(0, SlotState::writing, SlotState::free));
  CHECK(table.groups().leave(group, table.activate()));
  CHECK(table.ready() == Slots{1});
}

TEST_CASE("work groups: a dead letter lets its group go on, and comes back behind it") {
  Table table(1, 4);
  REQUIRE(table.push("a", 0) == Answer::active);
  REQUIRE(table.push("a", 1) == Answer::queued);
  const std::uint32_t group = table.slots[0].group.load();
  REQUIRE(table.change(0, SlotState::ready, SlotState::dead));
  CHECK(table.groups().leave(group, table.activate()));
  CHECK(table.ready() == Slots{1});
  const auto again = table.groups().enter(
      Table::hash("a"), 0, table.slots[0].born.load(),
      [&](std::uint32_t slot) { return table.change(slot, SlotState::dead, SlotState::grouped); },
      table.activate());
  CHECK(again.answer == Answer::queued);
  CHECK(table.done(1));
  CHECK(table.ready() == Slots{0});
}

TEST_CASE("work groups: as many as there is room for, and then no more of another key") {
  Table table(1, 32);
  for (std::uint32_t i = 0; i < layout::kGroupsPerBucket; ++i)
    CHECK(table.push("key " + std::to_string(i), i) == Answer::active);
  CHECK(table.push("more", 20) == Answer::no_room);
  CHECK(table.push("key 3", 20) == Answer::queued);
  CHECK(table.done(7));
  CHECK(table.push("more", 21) == Answer::active);
  Groups none;
  CHECK(none.enter(Table::hash("a"), 0, 1, table.wait(), table.activate()).answer ==
        Answer::no_room);
  CHECK(none.leave(1, table.activate()));
  none.bury(1, table.activate());
  CHECK(none.count() == 0);
}

TEST_CASE("work groups: who ended the active job did not live to say so") {
  Table table(1, 8);
  REQUIRE(table.push("a", 0) == Answer::active);
  REQUIRE(table.push("a", 1) == Answer::queued);
  REQUIRE(table.push("b", 2) == Answer::active);
  (void)table.end(0);
  REQUIRE(table.begin(0) != 0);  // the slot has another job already
  SUBCASE("the next push finds it") {
    CHECK(table.push("a", 3) == Answer::queued);
    CHECK(table.ready() == Slots{1, 2});
  }
  SUBCASE("the undertaker finds it") {
    table.groups(1).bury(5, table.activate());
    CHECK(table.ready() == Slots{1, 2});
    table.groups(1).bury(5, table.activate());
    CHECK(table.ready() == Slots{1, 2});
  }
  (void)table.end(2);
  table.groups(1).bury(5, table.activate());
  CHECK(table.groups().count() == 1);
}

TEST_CASE(
    "work groups: a bucket that somebody holds makes pushes busy, and leaves are made up for") {
  Table table(1, 8);
  REQUIRE(table.push("a", 0) == Answer::active);
  REQUIRE(table.push("a", 1) == Answer::queued);
  lock_as_dead(table.buckets[0], 6);
  const std::uint32_t born = table.begin(2);
  const auto busy = table.groups().enter(Table::hash("a"), 2, born, table.wait(), table.activate());
  CHECK(busy.answer == Answer::busy);
  CHECK(busy.holder == std::uint16_t{6});
  CHECK(table.change(2, SlotState::writing, SlotState::free));
  CHECK_FALSE(table.done(0));
  CHECK(table.ready().empty());
  SUBCASE("by the next one who has the bucket") {
    table.buckets[0].lock.word = 9U << 16U;  // it has unlocked, and then stopped
    CHECK(table.push("b", 2) == Answer::active);
    CHECK(table.ready() == Slots{1, 2});
  }
  SUBCASE("by its undertaker") {
    table.groups(1).bury(5, table.activate());
    CHECK(table.ready().empty());
    table.groups(1).bury(6, table.activate());
    CHECK(table.ready() == Slots{1});
  }
}

TEST_CASE("work groups: chains are computed anew from the slots") {
  Table table(1, 16);
  REQUIRE(table.push("a", 9) == Answer::active);
  for (const std::uint32_t slot : {4U, 12U, 1U, 8U})
    REQUIRE(table.push("a", slot) == Answer::queued);
  REQUIRE(table.push("b", 3) == Answer::active);
  REQUIRE(table.push("b", 2) == Answer::queued);
  auto& entry =
      *std::find_if(std::begin(table.buckets[0].entries), std::end(table.buckets[0].entries),
                    [&](const auto& each) { return each.active == layout::job_mark(9, 1); });
  SUBCASE("a dead one left them in pieces") {
    entry.first = 0;
    entry.last = 4;
    table.slots[12].group_next = 13;  // in a circle
    lock_as_dead(table.buckets[0], 6);
    table.groups(1).bury(6, table.activate());
  }
  SUBCASE("somebody lied about the first") {
    entry.first = 99;
  }
  SUBCASE("somebody lied about the last") {
    entry.last = 4;  // slot 3 is of another group
    REQUIRE(table.push("a", 0) == Answer::queued);
    REQUIRE(table.done(9));
    for (const std::uint32_t slot : {4U, 12U, 1U, 8U}) {
      CHECK(table.ready() == (slot < 3 ? Slots{slot, 3} : Slots{3, slot}));
      CHECK(table.done(slot));
    }
    CHECK(table.ready() == Slots{0, 3});
    return;
  }
  SUBCASE("the next one was made active, and its word not") {
    (void)table.end(9);
    entry.active = layout::job_mark(4, 1);
    lock_as_dead(table.buckets[0], 6);
    table.groups(1).bury(6, table.activate());
    table.groups(1).bury(6, table.activate());
    CHECK(table.ready() == Slots{3, 4});
    REQUIRE(table.push("a", 9) == Answer::queued);
    for (const std::uint32_t slot : {4U, 12U, 1U, 8U})
      CHECK(table.done(slot));
    CHECK(table.ready() == Slots{3, 9});
    return;
  }
  REQUIRE(table.done(9));
  for (const std::uint32_t slot : {4U, 12U, 1U, 8U}) {
    CHECK(table.ready() == (slot < 3 ? Slots{slot, 3} : Slots{3, slot}));
    CHECK(table.done(slot));
  }
  CHECK(table.done(3));
  CHECK(table.ready() == Slots{2});
}

TEST_CASE(
    "work groups: pushers and workers at once, and each group's jobs come one by one, in order") {
  constexpr std::uint32_t keys = 12;
  constexpr std::uint32_t slot_count = 64;
  constexpr std::uint16_t threads_of_each = 2;
  Table table(2, slot_count);
  // Of each slot: the key of its job, and its number within its pusher's of that key. Written while `writing`.
  struct Job {
    std::uint32_t key = 0, number = 0;
    std::uint16_t pusher = 0;
  };
  std::vector<Job> jobs(slot_count);
  std::array<std::atomic<std::uint32_t>, keys> inside{};
  // What was last seen of a pusher: changed by whoever has the group, and plain, so that the sanitizer watches.
  std::array<std::array<std::uint32_t, threads_of_each>, keys> seen{};
  std::atomic<std::uint32_t> wrong{0};
  std::atomic<std::uint32_t> pushing{threads_of_each};
  std::atomic<std::uint32_t> pushed{0};
  std::atomic<std::uint32_t> taken{0};
  const os::Deadline deadline = os::Deadline::after(90 * kSecond);

  const auto push = [&](std::uint16_t me) {
    Random random(me + 3);
    Groups groups = table.groups(me);
    std::array<std::uint32_t, keys> number{};
    for (int left = rounds(20'000); left > 0 && !deadline.passed();) {
      const auto slot = static_cast<std::uint32_t>(random.below(slot_count));
      const std::uint32_t born = table.begin(slot);
      if (born == 0) {
        std::this_thread::yield();
        continue;
      }
      const auto key = static_cast<std::uint32_t>(random.below(keys));
      jobs[slot] = {key, number[key] + 1, me};
      const auto entered = groups.enter(Table::hash(std::to_string(key)), slot, born, table.wait(),
                                        table.activate());
      if (entered.answer == Answer::active && random.chance(10)) {
        const std::uint32_t group = table.slots[slot].group.load();
        (void)table.change(slot, SlotState::writing, SlotState::free);
        while (!groups.leave(group, table.activate()) && !deadline.passed()) {
        }
        continue;
      }
      if (entered.answer == Answer::active) {
        (void)table.change(slot, SlotState::writing, SlotState::ready);
      } else if (entered.answer != Answer::queued) {
        (void)table.change(slot, SlotState::writing, SlotState::free);
        continue;
      }
      ++number[key];
      --left;
      pushed.fetch_add(1);
    }
    pushing.fetch_sub(1);
  };
  const auto work = [&](std::uint16_t me) {
    Groups groups = table.groups(me);
    Random random(me);
    while ((pushing.load() != 0 || taken.load() != pushed.load()) && !deadline.passed()) {
      const auto slot = static_cast<std::uint32_t>(random.below(slot_count));
      if (!table.change(slot, SlotState::ready, SlotState::leased)) continue;
      const Job job = jobs[slot];
      if (inside[job.key].fetch_add(1) != 0) wrong.fetch_add(1);
      auto& last = seen[job.key][job.pusher];
      if (job.number != last + 1) wrong.fetch_add(1);
      last = job.number;
      inside[job.key].fetch_sub(1);
      const std::uint32_t group = table.slots[slot].group.load();
      (void)table.change(slot, SlotState::leased, SlotState::free);
      taken.fetch_add(1);
      (void)groups.leave(group, table.activate());  // if not, whoever has the bucket does it
    }
  };
  std::vector<std::thread> threads;
  for (std::uint16_t i = 0; i < threads_of_each; ++i) {
    threads.emplace_back(push, i);
    threads.emplace_back(work, static_cast<std::uint16_t>(threads_of_each + i));
  }
  for (auto& thread : threads)
    thread.join();
  CHECK_FALSE(deadline.passed());
  CHECK(wrong.load() == 0);
  CHECK(taken.load() == pushed.load());
  CHECK(table.groups().count() == 0);
}

}  // namespace millrace::test::work_groups_test
