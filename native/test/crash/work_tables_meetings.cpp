// What one party does with a table of a work queue while another one is in the middle of it: at every point that the first one
// passes, the whole move of the second.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <millrace/store/arena.hpp>
#include <millrace/work/groups.hpp>

#include "meeting.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_tables_meetings {

using namespace millrace;
using namespace millrace::test;
using layout::SlotState;

namespace {

// --- the memory of payloads ---

struct ArenaGround {
  static constexpr std::uint32_t kGranules = 12;
  std::array<std::atomic<std::uint64_t>, kGranules> owners{};
  Arena one{owners.data(), kGranules, 1};
  Arena other{owners.data(), kGranules, 5};
  std::optional<std::uint32_t> got;        // by the first
  std::optional<std::uint32_t> other_got;  // by the second
  std::uint32_t other_wanted = 0;
  bool gave = false;  // the first one gave something back, and will say so

  // What is in the way: granules 10 and 11.
  ArenaGround() { REQUIRE(one.claim(9, 1, 2, 10) == 10U); }

  void other_claims(std::uint32_t granules) {
    other_wanted = granules;
    other_got = other.claim(2, 1, granules);
  }
  [[nodiscard]] std::uint32_t count_of(std::uint32_t slot) const {
    return static_cast<std::uint32_t>(
        std::count_if(owners.begin(), owners.end(), [slot](const auto& owner) {
          return owner != 0 && layout::slot_of_mark(owner.load()) == slot;
        }));
  }
  void judge(std::uint32_t wanted) {
    CHECK(count_of(1) == (got ? wanted : 0));
    CHECK(count_of(2) == (other_got ? other_wanted : 0));
    CHECK(count_of(9) == 2);
    for (std::uint32_t i = 0; got && i < wanted; ++i)
      CHECK(owners[*got + i] == layout::granule_owner(1, 1, wanted - 1 - i));
    for (std::uint32_t i = 0; other_got && i < other_wanted; ++i)
      CHECK(owners[*other_got + i] == layout::granule_owner(2, 1, other_wanted - 1 - i));
    // Whoever was refused on somebody's account is told when that is over.
    if (other_wanted != 0 && !other_got && other.claim(2, 2, other_wanted)) CHECK(gave);
  }
};

// --- groups ---

struct GroupsGround {
  static constexpr std::uint32_t kSlots = 8;
  std::array<layout::GroupBucket, 1> buckets{};
  std::vector<layout::Slot> slots{kSlots};
  std::atomic<std::uint64_t> serial{0};
  std::array<std::string, kSlots> keys;

  // Slot 0 has the turn of "a", 1 and 2 wait for it.
  GroupsGround() {
    push("a", 0, 1);
    push("a", 1, 1);
    push("a", 2, 1);
  }
  Groups groups(std::uint16_t seat) {
    return {buckets.data(), 1, slots.data(), kSlots, serial, seat};
  }
  [[nodiscard]] SlotState state(std::uint32_t slot) const {
    return layout::unpack(slots[slot].word.load()).state;
  }
  void set(std::uint32_t slot, SlotState state) {
    layout::Word word = layout::unpack(slots[slot].word.load());
    word.state = state;
    if (state == SlotState::writing) ++word.token;
    slots[slot].word.store(layout::pack(word));
    if (state == SlotState::writing) slots[slot].born.store(word.token);
  }
  auto activate() {
    return [this](std::uint32_t slot) {
      if (state(slot) == SlotState::grouped) set(slot, SlotState::ready);
    };
  }
  void push(const std::string& key, std::uint32_t slot, std::uint16_t seat) {
    set(slot, SlotState::writing);
    const std::uint32_t born = slots[slot].born.load();
    keys[slot] = key;
    const auto entered = groups(seat).enter(
        id_hash(key, 1, 2), slot, born,
        [this](std::uint32_t which) {
          set(which, SlotState::grouped);
          return true;
        },
        activate());
    if (entered.answer == Groups::Answer::queued) return;
    const bool turn = entered.answer == Groups::Answer::active;
    set(slot, turn ? SlotState::ready : SlotState::free);
  }
  void end(std::uint32_t slot, std::uint16_t seat) {
    if (state(slot) != SlotState::ready) return;
    const std::uint32_t group = slots[slot].group.load();
    set(slot, SlotState::free);
    (void)groups(seat).leave(group, activate());
  }
  // In every group that has jobs one of them has its turn, and nobody needs to be called for that.
  void judge() {
    for (std::uint32_t left = kSlots + 1; left > 0; --left) {
      std::map<std::string, std::vector<std::uint32_t>> ready;
      std::map<std::string, std::uint32_t> waiting;
      for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
        if (state(slot) == SlotState::ready) ready[keys[slot]].push_back(slot);
        if (state(slot) == SlotState::grouped) ++waiting[keys[slot]];
        CHECK(state(slot) != SlotState::writing);
      }
      for (const auto& [key, count] : waiting)
        CHECK(ready[key].size() == 1);
      for (const auto& [key, each] : ready)
        CHECK(each.size() <= 1);
      if (ready.empty()) break;
      if (ready.begin()->second.empty()) break;
      end(ready.begin()->second.front(), 1);
    }
    CHECK(groups(1).count() == 0);
    CHECK(buckets[0].dirty.load() == 0);
  }
};

using Move = std::function<void(GroupsGround&)>;

}  // namespace

TEST_CASE("meeting: who claims memory meets one who claims it, gives it back, or sweeps it") {
  const auto claim = [](std::uint32_t granules) {
    return [granules](ArenaGround& ground) {
      ground.got = ground.one.claim(1, 1, granules, 1);
      ground.gave = ground.one.disturbed();
    };
  };
  const auto nobody = [](std::uint32_t /*slot*/, std::uint32_t /*born*/) { return false; };
  int meetings = 0;
  for (const std::uint32_t granules : {1U, 4U, 9U, 10U}) {
    CAPTURE(granules);
    const auto judge = [granules](ArenaGround& ground) { ground.judge(granules); };
    for (const std::uint32_t others : {1U, 3U, 6U, 10U}) {
      CAPTURE(others);
      meetings += every_meeting<ArenaGround>(
          claim(granules), [others](ArenaGround& ground) { ground.other_claims(others); }, judge);
      // A third one takes a granule before the first one comes to it, so that it has to give back what it has.
      meetings += every_meeting<ArenaGround>(
          claim(granules),
          [others](ArenaGround& ground) {
            (void)ground.other.claim(3, 1, 1, 9);
            ground.other_claims(others);
          },
          judge);
    }
    meetings += every_meeting<ArenaGround>(
        claim(granules), [nobody](ArenaGround& ground) { (void)ground.other.sweep(nobody); },
        judge);
    // Somebody claims a granule before the first one comes to it, and dies: its granule is not taken for the first one's.
    meetings += every_meeting<ArenaGround>(
        claim(granules),
        [](ArenaGround& ground) {
          const bool there = ground.other.claim(7, 1, 1, 8).has_value();
          const auto swept = ground.other.sweep(
              [](std::uint32_t slot, std::uint32_t /*born*/) { return slot == 7; });
          CHECK(swept.freed == (there ? 1 : 0));
        },
        judge);
    // The other one is gone again: what it had is nobody's.
    meetings += every_meeting<ArenaGround>(
        claim(granules),
        [](ArenaGround& ground) {
          if (const auto first = ground.other.claim(2, 1, 3))
            ground.other.give_back(2, 1, *first, 3);
        },
        judge);
  }
  CHECK(meetings > 200);
}

TEST_CASE("meeting: who sweeps memory meets one who claims it, or gives it back") {
  // Slot 7 is dead, and has left granules 2 and 3, and 6.
  struct Ground : ArenaGround {
    Ground() {
      owners[2] = layout::granule_owner(7, 1, 3);
      owners[3] = layout::granule_owner(7, 1, 2);
      owners[6] = layout::granule_owner(7, 2, 9);
      REQUIRE(one.claim(1, 1, 2, 0) == 0U);
      got = 0;
    }
  };
  const auto sweep = [](Ground& ground) {
    const auto swept =
        ground.other.sweep([](std::uint32_t slot, std::uint32_t /*born*/) { return slot == 7; });
    CHECK(swept.freed == 3);
    ground.gave = true;
  };
  const auto judge = [](Ground& ground) {
    CHECK(ground.count_of(7) == 0);
    ground.judge(2);
  };
  for (const std::uint32_t others : {1U, 2U, 4U, 8U}) {
    CHECK(every_meeting<Ground>(
              sweep, [others](Ground& ground) { ground.other_claims(others); }, judge) >= 3);
  }
  CHECK(every_meeting<Ground>(
            sweep,
            [](Ground& ground) {
              ground.one.give_back(1, 1, 0, 2);
              ground.got.reset();
            },
            judge) >= 3);
}

TEST_CASE("meeting: who is in the middle of a group meets everybody else who comes to it") {
  const std::vector<std::pair<const char*, Move>> moves = {
      {"waits", [](GroupsGround& ground) { ground.push("a", 3, 2); }},
      {"begins a group", [](GroupsGround& ground) { ground.push("b", 4, 2); }},
      {"ends a job", [](GroupsGround& ground) { ground.end(0, 2); }},
      {"ends two jobs",
       [](GroupsGround& ground) {
         ground.end(0, 2);
         ground.end(1, 2);
       }},
      {"ends all and comes back",
       [](GroupsGround& ground) {
         for (std::uint32_t slot = 0; slot < 3; ++slot)
           ground.end(slot, 2);
         ground.push("a", 5, 2);
       }},
      {"buries somebody",
       [](GroupsGround& ground) { ground.groups(2).bury(7, ground.activate()); }},
      {"buries who had the bucket",
       [](GroupsGround& ground) {
         if (SeatLockHold::holder(ground.buckets[0].lock)) return;
         ground.buckets[0].lock.word = 7U + 1U;
         ground.groups(2).bury(7, ground.activate());
       }},
  };
  const std::vector<std::pair<const char*, Move>> others = {
      {"waits", [](GroupsGround& ground) { ground.push("a", 6, 3); }},
      {"begins a group", [](GroupsGround& ground) { ground.push("c", 7, 3); }},
      {"ends a job",
       [](GroupsGround& ground) {
         for (std::uint32_t slot = 0; slot < 3; ++slot) {
           if (ground.state(slot) != SlotState::ready) continue;
           ground.end(slot, 3);
           return;
         }
       }},
      {"buries somebody",
       [](GroupsGround& ground) { ground.groups(3).bury(8, ground.activate()); }},
  };
  int meetings = 0;
  for (const auto& [name, move] : moves) {
    const char* const first = name;
    CAPTURE(first);
    for (const auto& [other_name, other] : others) {
      const char* const second = other_name;
      CAPTURE(second);
      meetings +=
          every_meeting<GroupsGround>(move, other, [](GroupsGround& ground) { ground.judge(); });
    }
  }
  CHECK(meetings > 150);
}

}  // namespace millrace::test::work_tables_meetings
