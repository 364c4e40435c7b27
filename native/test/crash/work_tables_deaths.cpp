// Deaths in the middle of what changes the tables of a work queue: the memory of payloads, the ids, the groups. A victim works on
// shared memory and dies at a crash point, the test buries it as a work queue would, and judges what is there.
//
// A ground is a table, slots whose words tell of jobs as far as the table is concerned, and a note of what the victim has done.
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include <millrace/store/arena.hpp>
#include <millrace/work/groups.hpp>
#include <millrace/work/keys.hpp>

#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_tables_deaths {

using namespace millrace;
using namespace millrace::test;
using layout::SlotState;

namespace {

constexpr std::uint16_t kVictim = 3;
constexpr std::uint16_t kUndertaker = 5;  // of the victim
constexpr std::uint16_t kTester = 6;      // and of both
constexpr std::uint32_t kSlots = 24;

// Words of slots, and their changes.
struct Words {
  std::array<layout::Slot, kSlots> slots;

  [[nodiscard]] layout::Word word(std::uint32_t slot) const {
    return layout::unpack(slots[slot].word.load());
  }
  [[nodiscard]] SlotState state(std::uint32_t slot) const { return word(slot).state; }
  bool change(std::uint32_t slot, SlotState from, SlotState to) {
    std::uint64_t bits = slots[slot].word.load();
    layout::Word next = layout::unpack(bits);
    if (next.state != from) return false;
    next.state = to;
    next.seat = kVictim;
    return slots[slot].word.compare_exchange_strong(bits, layout::pack(next));
  }
  // The birth of a new job in that slot; 0: there is one.
  std::uint32_t begin(std::uint32_t slot) {
    layout::Word next = word(slot);
    if (next.state != SlotState::free) return 0;
    next.state = SlotState::writing;
    next.seat = kVictim;
    slots[slot].word.store(layout::pack(Word(next)));
    MILLRACE_CRASH_POINT("test.table.begun");
    slots[slot].born.store(next.token + 1);
    return next.token + 1;
  }
  [[nodiscard]] bool is_orphan(std::uint32_t slot, std::uint32_t born) const {
    if (slot >= kSlots) return true;
    const layout::Word its = word(slot);
    if (its.state == SlotState::free) return true;
    if (its.state == SlotState::writing) return its.token != born;
    return slots[slot].born.load() != born;
  }

 private:
  static layout::Word Word(layout::Word next) {
    ++next.token;
    return next;
  }
};

// --- the memory of payloads ---

struct ArenaGround {
  static constexpr std::uint32_t kGranules = 80;
  struct Memory : Words {
    std::array<std::atomic<std::uint64_t>, kGranules> owners;
    std::array<std::array<std::uint32_t, 2>, kSlots> runs;  // first, granules; of ready jobs
  };
  Shared<Memory> memory;

  void live(std::uint32_t seed) {
    Random random(seed);
    Arena arena(memory->owners.data(), kGranules);
    for (int step = 0; step < 400; ++step) {
      const auto slot = static_cast<std::uint32_t>(random.below(kSlots));
      auto& run = memory->runs[slot];
      if (const std::uint32_t born = memory->begin(slot); born != 0) {
        const auto granules = static_cast<std::uint32_t>(1 + random.below(12));
        const auto first = arena.claim(slot, born, granules);
        MILLRACE_CRASH_POINT("test.table.claimed");
        if (first) run = {*first, granules};
        (void)memory->change(slot, SlotState::writing, first ? SlotState::ready : SlotState::free);
      } else {
        CHILD_EXPECT(memory->change(slot, SlotState::ready, SlotState::free));
        MILLRACE_CRASH_POINT("test.table.ended");
        arena.give_back(slot, memory->slots[slot].born.load(), run[0], run[1]);
      }
    }
  }
  void bury(std::uint16_t /*me*/) {
    for (std::uint32_t slot = 0; slot < kSlots; ++slot)
      (void)memory->change(slot, SlotState::writing, SlotState::free);
    const auto swept = Arena(memory->owners.data(), kGranules).sweep([&](auto slot, auto born) {
      return memory->is_orphan(slot, born);
    });
    std::uint32_t expected = 0;
    for (std::uint32_t slot = 0; slot < kSlots; ++slot)
      expected += memory->state(slot) == SlotState::ready ? memory->runs[slot][1] : 0;
    CHILD_EXPECT(swept.used == expected);
  }
  // Every granule is that job's to whom it was given, or nobody's.
  void judge() {
    std::array<std::uint64_t, kGranules> expected{};
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      if (memory->state(slot) != SlotState::ready) continue;
      const auto [first, granules] = memory->runs[slot];
      for (std::uint32_t i = 0; i < granules; ++i)
        expected[first + i] =
            layout::granule_owner(slot, memory->slots[slot].born.load(), granules - 1 - i);
    }
    for (std::uint32_t i = 0; i < kGranules; ++i)
      CHECK(memory->owners[i].load() == expected[i]);
  }
};

// --- ids ---

// With few ids all of them have room; of many some are forgotten.
template <std::uint32_t kIds>
struct KeysGround {
  static constexpr std::uint32_t kBuckets = 2;
  static constexpr bool kRoomForAll = kIds <= layout::kKeysPerBucket;
  struct Memory : Words {
    std::array<layout::KeyBucket, kBuckets> buckets;
    std::array<std::atomic<std::uint32_t>, kIds> meant;    // to be pushed, at least
    std::array<std::atomic<std::uint32_t>, kIds> told;     // that it was a duplicate
    std::array<std::atomic<std::uint32_t>, kSlots> of_id;  // + 1, of a job
    std::atomic<std::uint32_t> last;                       // id that the victim came to
  };
  Shared<Memory> memory;

  [[nodiscard]] Keys keys(std::uint16_t seat) { return {memory->buckets.data(), kBuckets, seat}; }
  static IdHash hash(std::uint32_t id) { return id_hash(std::to_string(id), 1, 1); }
  Keys::Answer ask(Keys& keys, std::uint32_t id, std::uint32_t slot, std::uint32_t born) {
    memory->slots[slot].forward = keys.home(hash(id));
    return keys
        .look_up(hash(id), slot, born, 1, 2,
                 [this](std::uint32_t other, std::uint32_t its) {
                   return other >= kSlots || memory->state(other) != SlotState::writing ||
                          memory->word(other).token != its;
                 })
        .answer;
  }
  void live(std::uint32_t seed) {
    Random random(seed);
    Keys mine = keys(kVictim);
    for (int step = 0; step < 200; ++step) {
      const auto slot = static_cast<std::uint32_t>(random.below(kSlots));
      const std::uint32_t born = memory->begin(slot);
      if (born == 0) {
        (void)memory->change(slot, SlotState::ready, SlotState::free);
        continue;
      }
      const auto id = static_cast<std::uint32_t>(random.below(kIds));
      memory->of_id[slot].store(id + 1);
      memory->last.store(id);
      const Keys::Answer answer = ask(mine, id, slot, born);
      CHILD_EXPECT(answer != Keys::Answer::busy);
      if (answer == Keys::Answer::duplicate) {
        memory->told[id].fetch_add(1);
      } else if (random.chance(70)) {
        mine.cancel(mine.home(hash(id)), slot, born);
      } else {
        MILLRACE_CRASH_POINT("test.table.entered");
        memory->meant[id].fetch_add(1);
        (void)memory->change(slot, SlotState::writing, SlotState::ready);
        MILLRACE_CRASH_POINT("test.table.pushed");
        continue;
      }
      (void)memory->change(slot, SlotState::writing, SlotState::free);
    }
  }
  void bury(std::uint16_t me) {
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      if (memory->state(slot) != SlotState::writing) continue;
      keys(me).bury(kVictim, static_cast<std::uint32_t>(memory->slots[slot].forward), slot,
                    memory->word(slot).token);
      (void)memory->change(slot, SlotState::writing, SlotState::free);
    }
  }
  // An id is known if a word said that its job was pushed (the test knows from the jobs that are there, and from what was told),
  // and never if it was not meant to.
  void judge() {
    std::array<bool, kIds> there{};
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      if (memory->state(slot) != SlotState::ready) continue;
      const std::uint32_t id = memory->of_id[slot].load() - 1;
      if (kRoomForAll) CHECK_FALSE(there[id]);  // one of each
      there[id] = true;
    }
    Keys mine = keys(kTester);
    std::uint32_t slot = 0;
    while (memory->state(slot) != SlotState::free)
      ++slot;
    std::uint32_t known = 0;
    for (std::uint32_t i = 0; i < kIds; ++i) {
      // That one first: to ask for others makes room.
      const std::uint32_t id = (memory->last.load() + i) % kIds;
      CAPTURE(id);
      const std::uint32_t born = memory->begin(slot);
      const Keys::Answer answer = ask(mine, id, slot, born);
      CHECK(answer != Keys::Answer::busy);
      if (kRoomForAll && (there[id] || memory->told[id].load() != 0))
        CHECK(answer == Keys::Answer::duplicate);
      if (answer == Keys::Answer::duplicate) CHECK(memory->meant[id].load() != 0);
      if (answer == Keys::Answer::duplicate) ++known;
      if (answer == Keys::Answer::fresh) mine.cancel(mine.home(hash(id)), slot, born);
      (void)memory->change(slot, SlotState::writing, SlotState::free);
    }
    if (kRoomForAll) CHECK(mine.remembered(1) == known);
  }
};

// --- groups ---

struct GroupsGround {
  static constexpr std::uint32_t kBuckets = 2;
  static constexpr std::uint32_t kKeys = 4;
  struct Memory : Words {
    std::array<layout::GroupBucket, kBuckets> buckets;
    std::atomic<std::uint64_t> serial;
    std::array<std::atomic<std::uint32_t>, kSlots> of_key;  // + 1, of a job
    std::array<std::atomic<std::uint64_t>, kSlots> number;  // of a job, counted by the victim
    std::array<std::atomic<std::uint64_t>, kKeys> ended;    // the number of its last one
    std::atomic<std::uint32_t> disorder;
  };
  Shared<Memory> memory;

  [[nodiscard]] Groups groups(std::uint16_t seat) {
    return {memory->buckets.data(), kBuckets, memory->slots.data(), kSlots, memory->serial, seat};
  }
  auto activate() {
    return [this](std::uint32_t slot) {
      (void)memory->change(slot, SlotState::grouped, SlotState::ready);
    };
  }
  static IdHash hash(std::uint32_t key) { return id_hash(std::to_string(key), 1, 2); }
  void end(Groups& mine, std::uint32_t slot) {
    const std::uint32_t key = memory->of_key[slot].load() - 1;
    const std::uint64_t number = memory->number[slot].load();
    if (memory->ended[key].load() >= number) memory->disorder.fetch_add(1);
    memory->ended[key].store(number);
    const std::uint32_t group = memory->slots[slot].group.load();
    (void)memory->change(slot, SlotState::ready, SlotState::free);
    MILLRACE_CRASH_POINT("test.table.done");
    if (!mine.leave(group, activate())) memory->disorder.fetch_add(1);
  }
  void live(std::uint32_t seed) {
    Random random(seed);
    Groups mine = groups(kVictim);
    std::uint64_t number = 0;
    for (int step = 0; step < 300; ++step) {
      const auto slot = static_cast<std::uint32_t>(random.below(kSlots));
      if (memory->state(slot) == SlotState::ready) {
        end(mine, slot);
        continue;
      }
      const std::uint32_t born = memory->begin(slot);
      if (born == 0) continue;
      const auto key = static_cast<std::uint32_t>(random.below(kKeys));
      memory->slots[slot].group.store(0);
      memory->of_key[slot].store(key + 1);
      memory->number[slot].store(++number);
      const auto entered = mine.enter(
          hash(key), slot, born,
          [&](std::uint32_t which) {
            return memory->change(which, SlotState::writing, SlotState::grouped);
          },
          activate());
      if (entered.answer == Groups::Answer::queued) continue;
      CHILD_EXPECT(entered.answer == Groups::Answer::active);
      MILLRACE_CRASH_POINT("test.table.entered");
      if (random.chance(25)) {
        const std::uint32_t group = memory->slots[slot].group.load();
        (void)memory->change(slot, SlotState::writing, SlotState::free);
        MILLRACE_CRASH_POINT("test.table.given_up");
        CHILD_EXPECT(mine.leave(group, activate()));
      } else {
        (void)memory->change(slot, SlotState::writing, SlotState::ready);
      }
    }
  }
  void bury(std::uint16_t me) {
    for (std::uint32_t slot = 0; slot < kSlots; ++slot)
      (void)memory->change(slot, SlotState::writing, SlotState::free);
    groups(me).bury(kVictim, activate());
    if (me == kTester) groups(me).bury(kUndertaker, activate());
  }
  // Of each key one job has its turn, the oldest; and so on to the last.
  void judge() {
    Groups mine = groups(kTester);
    for (std::uint32_t left = kSlots + 1; left > 0; --left) {
      std::array<std::uint32_t, kKeys> ready{};
      std::array<std::uint32_t, kKeys> waiting{};
      std::uint32_t next = kSlots;
      for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
        const SlotState state = memory->state(slot);
        if (state == SlotState::free) continue;
        const std::uint32_t key = memory->of_key[slot].load() - 1;
        REQUIRE((state == SlotState::ready || state == SlotState::grouped));
        ++(state == SlotState::ready ? ready : waiting)[key];
        if (state == SlotState::ready) next = slot;
      }
      for (std::uint32_t key = 0; key < kKeys; ++key) {
        CHECK(ready[key] <= 1);
        if (waiting[key] != 0) CHECK(ready[key] == 1);
      }
      if (next == kSlots) break;
      end(mine, next);
    }
    CHECK(memory->disorder.load() == 0);
    CHECK(mine.count() == 0);
    CHECK(std::all_of(memory->buckets.begin(), memory->buckets.end(), [](const auto& bucket) {
      return bucket.dirty.load() == 0 && !SeatLockHold::holder(bucket.lock);
    }));
  }
};

// --- dying ---

template <typename Ground>
struct Play : Ground {
  Shared<crash::Log> log;

  // How the part ended that dies at that passage of that point, if it comes to it.
  template <typename Part>
  int run(std::string_view point, std::uint64_t passage, Part&& part) {
    for (auto& times : log->passed)
      times.store(0);
    Child child([&] {
      crash::log_to(&*log);
      if (!point.empty()) CHILD_EXPECT(crash::arm(point, passage));
      part();
      crash::disarm();
      return 0;
    });
    return child.wait();
  }
  int live_as_child(std::uint32_t seed, std::string_view point, std::uint64_t passage) {
    return run(point, passage, [&] { this->live(seed); });
  }
  int bury_as_child(std::uint16_t me, std::string_view point) {
    return run(point, 1, [&] { this->bury(me); });
  }
  [[nodiscard]] Passages passages() const {
    Passages found;
    const auto& points = crash::points();
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (const std::uint32_t count = log->passed[i].load(); count != 0) found[points[i]] = count;
    }
    return found;
  }
};

// The victim at each point, at its first, last and some other passages; and each of the undertaker's, once.
template <typename Ground>
void every_table_death(std::size_t points) {
  int deaths = 0;
  std::set<std::string_view> where;
  std::set<std::string_view> where_buried;
  for (std::uint32_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Passages passages;
    {
      Play<Ground> play;
      REQUIRE(play.live_as_child(seed, {}, 0) == 0);
      passages = play.passages();
      play.judge();
    }
    for (const auto& [name, count] : passages) {
      const std::string_view point = name;
      for (const std::uint64_t passage : {std::uint64_t{1}, std::uint64_t{count / 3 + 1},
                                          std::uint64_t{count / 2 + 1}, std::uint64_t{count}}) {
        CAPTURE(point);
        CAPTURE(passage);
        Passages burying;
        {
          Play<Ground> play;
          REQUIRE(play.live_as_child(seed, point, passage) == -SIGKILL);
          ++deaths;
          where.insert(point);
          REQUIRE(play.bury_as_child(kUndertaker, {}) == 0);
          burying = play.passages();
          play.judge();
        }
        for (const auto& [second, ignored] : burying) {
          const std::string_view then = second;
          CAPTURE(then);
          Play<Ground> play;
          REQUIRE(play.live_as_child(seed, point, passage) == -SIGKILL);
          REQUIRE(play.bury_as_child(kUndertaker, then) == -SIGKILL);
          ++deaths;
          where_buried.insert(then);
          REQUIRE(play.bury_as_child(kTester, {}) == 0);
          play.judge();
        }
      }
    }
  }
  CHECK(where.size() >= points);
  MESSAGE("deaths: " << deaths << ", points: " << where.size()
                     << ", of undertakers: " << where_buried.size());
}

// Two points that nobody passes alone. Each of these dies there, and returns how it ended.
int meets_a_claimer(Play<ArenaGround>& play) {
  return play.run({}, 0, [&] {
    auto* const owners = play.memory->owners.data();
    Arena one(owners, ArenaGround::kGranules);
    CHILD_EXPECT(play.memory->begin(0) != 0);
    CHILD_EXPECT(crash::arm("arena.claim.taken", 3, [&] {
      Arena other(owners, ArenaGround::kGranules, 7);
      if (other.claim(1, 1, 2) == 7U) (void)crash::arm("arena.claim.met", 1);
    }));
    (void)one.claim(0, play.memory->word(0).token, 10);
  });
}
int finds_a_bucket_locked(Play<GroupsGround>& play) {
  return play.run({}, 0, [&] {
    Groups mine = play.groups(kVictim);
    const IdHash key = GroupsGround::hash(1);
    const auto wait = [&](std::uint32_t slot) {
      return play.memory->change(slot, SlotState::writing, SlotState::grouped);
    };
    for (std::uint32_t slot = 0; slot < 2; ++slot) {
      play.memory->of_key[slot].store(2);
      play.memory->number[slot].store(slot + 1);
      (void)mine.enter(key, slot, play.memory->begin(slot), wait, play.activate());
    }
    (void)play.memory->change(0, SlotState::writing, SlotState::free);
    // Somebody has the bucket, and is stopped.
    for (auto& bucket : play.memory->buckets)
      bucket.lock.word = kUndertaker + 1U;
    CHILD_EXPECT(crash::arm("groups.leave.marked", 1));
    (void)mine.leave(play.memory->slots[0].group.load(), play.activate());
  });
}

// For the test that wants a death at every point: those that somebody passes here.
template <typename Ground>
void explore(Passages& passages) {
  for (std::uint32_t seed = 1; seed <= 4; ++seed) {
    Play<Ground> play;
    (void)play.live_as_child(seed, {}, 0);
    for (const auto& [point, count] : play.passages())
      passages[point] += count;
    // Of those who come after a death, for what only they do.
    for (const std::string_view point : {"arena.claim.taken", "groups.next.unlinked"}) {
      Play<Ground> again;
      if (again.live_as_child(seed, point, 9) != -SIGKILL) continue;
      (void)again.bury_as_child(kUndertaker, {});
      for (const auto& [passed, count] : again.passages())
        passages[passed] += count;
    }
  }
}
const bool listed = [] {
  explorers().emplace_back("WorkMemory", explore<ArenaGround>);
  explorers().emplace_back("WorkKeys", explore<KeysGround<1000>>);
  explorers().emplace_back("WorkGroups", explore<GroupsGround>);
  explorers().emplace_back("WorkTablesMeet", [](Passages& passages) {
    Play<ArenaGround> memory;
    (void)meets_a_claimer(memory);
    Play<GroupsGround> groups;
    (void)finds_a_bucket_locked(groups);
    for (const auto& found : {memory.passages(), groups.passages()}) {
      for (const auto& [point, count] : found)
        passages[point] += count;
    }
  });
  return true;
}();

}  // namespace

TEST_CASE("promise: work – the memory that the dead had is free again, and no other") {
  every_table_death<ArenaGround>(5);
}
TEST_CASE(
    "promise: work – an id is known exactly if its job was pushed, wherever its pusher died") {
  every_table_death<KeysGround<15>>(8);
  every_table_death<KeysGround<1000>>(8);
}
TEST_CASE("promise: work – a group goes on in its order, wherever somebody died in it") {
  every_table_death<GroupsGround>(15);
}

TEST_CASE("promise: work – who dies when it comes upon another one's memory leaves that alone") {
  Play<ArenaGround> play;
  REQUIRE(meets_a_claimer(play) == -SIGKILL);
  // The other one lives.
  play.memory->begin(1);
  CHECK(play.memory->change(1, SlotState::writing, SlotState::ready));
  play.memory->runs[1] = {7, 2};
  REQUIRE(play.bury_as_child(kUndertaker, {}) == 0);
  play.judge();
}
TEST_CASE("promise: work – who dies when it finds a group locked is made up for") {
  Play<GroupsGround> play;
  REQUIRE(finds_a_bucket_locked(play) == -SIGKILL);
  SUBCASE("whoever had it unlocked it, and then stopped") {
    for (auto& bucket : play.memory->buckets)
      bucket.lock.word = 0;
    play.groups(kTester).bury(kVictim, play.activate());
  }
  SUBCASE("whoever had it dies as well") {
    play.groups(kTester).bury(kVictim, play.activate());
    CHECK(play.memory->state(1) == SlotState::grouped);
    play.groups(kTester).bury(kUndertaker, play.activate());
  }
  CHECK(play.memory->state(1) == SlotState::ready);
  play.judge();
}

}  // namespace millrace::test::work_tables_deaths
