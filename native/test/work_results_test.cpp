// Results: a job becomes another payload in its slot, on the way to the next stage, and keeps all else; what has no room stays in
// hand.
#include <algorithm>
#include <string>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "work_results.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_results_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;
using namespace millrace::test::work_results;

namespace {

// A part of the job's own payload.
Became become_part(JobStore& store, Lease& lease, std::size_t from, std::size_t length,
                   std::uint8_t next = 1) {
  const JobFacts facts = facts_of(store, lease.slot);
  return store.become(lease, {store.memory().data() + facts.at + from, length}, next);
}
std::uint32_t granules_of(std::uint64_t bytes) {
  return bytes <= layout::kInlineBytes
             ? 0
             : static_cast<std::uint32_t>((bytes + layout::kGranuleBytes - 1) /
                                          layout::kGranuleBytes);
}

}  // namespace

TEST_CASE("work results: of every size, from every size, and all else of the job is kept") {
  const std::size_t sizes[] = {0, 1, 64, 120, 128, 129, 256, 257, 2000, 8000};
  const std::string headers = "h: 1";
  for (const std::size_t from : sizes) {
    for (const std::size_t to : sizes) {
      for (const bool tail : {false, true}) {
        CAPTURE(from);
        CAPTURE(to);
        CAPTURE(tail);
        Ground ground(stages_of(3, 256));
        const auto store = ground.store(1);
        PushOptions options;
        if (tail) {
          options.id = "the id";
          options.group = "the group";
          options.headers = std::as_bytes(std::span(headers));
        }
        REQUIRE(push(*store, text(from), options) == Pushed::yes);
        Lease lease = store->take(0, true);
        REQUIRE(lease);
        const std::uint64_t pushed_at = facts_of(*store, lease.slot).pushed_at;
        const std::uint32_t before = store->granules_used();
        (void)store->stirred();
        REQUIRE(become(*store, lease, text(to, 'A')) == Became::yes);
        CHECK_FALSE(lease);
        CHECK((store->stirred() & 2U) != 0);

        CHECK_FALSE(store->take(0, true));
        Lease next = store->take(1, true);
        REQUIRE(next);
        CHECK(payload_of(*store, next) == text(to, 'A'));
        const JobFacts facts = facts_of(*store, next.slot);
        CHECK(facts.stage == 1);
        CHECK(facts.attempt == 1);  // of this stage
        CHECK(facts.acquired == 2);
        CHECK(facts.pushed_at == pushed_at);
        CHECK(facts.id == options.id);
        CHECK(facts.group == options.group);
        CHECK(std::string(reinterpret_cast<const char*>(facts.headers.data()),
                          facts.headers.size()) == (tail ? headers : ""));
        const std::uint64_t all = tail ? (to + 7) / 8 * 8 + options.tail_bytes() : to;
        if (to == 0 && before == 0 && (!tail || from == 0)) {
          CHECK(store->granules_used() == before);  // nothing was moved
        } else if (before == 0) {
          CHECK(store->granules_used() == std::max(granules_of(all), 1U));
        } else {
          CHECK(store->granules_used() == granules_of(all));
        }
        REQUIRE(store->complete(next));
        CHECK(store->granules_used() == 0);
        CHECK(store->counts().free == ground.shape.jobs);
      }
    }
  }
}

TEST_CASE("work results: the beginning of the payload stays where it is") {
  Ground ground(stages_of(2, 64));
  const auto store = ground.store(1);
  for (const std::size_t whole : {std::size_t{100}, std::size_t{5000}}) {
    for (const bool tail : {false, true}) {
      for (const std::size_t length : {whole, whole - 1, whole - 3, whole / 2}) {
        CAPTURE(whole);
        CAPTURE(tail);
        CAPTURE(length);
        PushOptions options;
        if (tail) options.group = "group";
        REQUIRE(push(*store, text(whole), options) == Pushed::yes);
        Lease lease = store->take(0, true);
        REQUIRE(lease);
        const JobFacts before = facts_of(*store, lease.slot);
        const std::uint32_t used = store->granules_used();
        REQUIRE(become_part(*store, lease, 0, length) == Became::yes);
        Lease next = store->take(1, true);
        REQUIRE(next);
        CHECK(payload_of(*store, next) == text(whole).substr(0, length));
        const JobFacts after = facts_of(*store, next.slot);
        CHECK(after.group == options.group);
        // What is behind it begins at a multiple of 8: there it has to move only if that changes.
        if (!tail || (length + 7) / 8 == (whole + 7) / 8) {
          CHECK(after.at == before.at);
          CHECK(store->granules_used() == used);
        } else {
          CHECK(after.at != before.at);
        }
        REQUIRE(store->complete(next));
        CHECK(store->granules_used() == 0);
      }
    }
  }
}

TEST_CASE("work results: another part of the payload is copied, not taken for its beginning") {
  Ground ground(stages_of(2, 64));
  const auto store = ground.store(1);
  for (const std::size_t length : {std::size_t{20}, std::size_t{3000}}) {
    CAPTURE(length);
    REQUIRE(push(*store, text(5000)) == Pushed::yes);
    Lease lease = store->take(0, true);
    REQUIRE(lease);
    REQUIRE(become_part(*store, lease, 5, length) == Became::yes);
    Lease next = store->take(1, true);
    REQUIRE(next);
    CHECK(payload_of(*store, next) == text(5000).substr(5, length));
    CHECK(store->granules_used() == granules_of(length));
    REQUIRE(store->complete(next));
  }
  CHECK(store->granules_used() == 0);
}

TEST_CASE("work results: what has no room stays in hand, and can be settled in any other way") {
  enum How { again, complete, release, retry, reject, move, shrink };
  for (const How how : {again, complete, release, retry, reject, move, shrink}) {
    CAPTURE(static_cast<int>(how));
    Ground ground(stages_of(2, 64));
    const auto store = ground.store(1);
    const auto other = ground.store(2);
    // The part of the second stage is full of what is there.
    REQUIRE(push(*other, text(32 * 256)) == Pushed::yes);
    Lease first = other->take(0, true);
    REQUIRE(become(*other, first, text(32 * 256, 'A')) == Became::yes);
    REQUIRE(push(*store, text(32 * 256)) == Pushed::yes);
    const std::uint32_t used = store->granules_used();
    REQUIRE(used == 64);

    Lease lease = store->take(0, true);
    REQUIRE(lease);
    const Lease same = lease;
    REQUIRE(become(*store, lease, text(300, 'B')) == Became::full_bytes);
    CHECK(lease.word == same.word);
    CHECK(store->holds(lease));
    CHECK(store->granules_used() == used);
    CHECK(payload_of(*store, lease) == text(32 * 256));
    switch (how) {
      case again: {
        Lease makes_room = other->take(1, true);
        REQUIRE(other->complete(makes_room));
        CHECK((other->stirred() & JobStore::kRoom) != 0);
        CHECK(become(*store, lease, text(300, 'B')) == Became::yes);
        CHECK(take_all(*store, 1) == text(300, 'B'));
        break;
      }
      case complete:
        CHECK(store->complete(lease));
        break;
      case release:
        CHECK(store->release(lease, 0));
        CHECK(take_all(*store, 0) == text(32 * 256));
        break;
      case retry:
        CHECK(store->retry(lease, 0, "no room"));
        CHECK(take_all(*store, 0) == text(32 * 256));
        break;
      case reject:
        CHECK(store->reject(lease, "no room"));
        CHECK(store->dead_count() == 1);
        break;
      case move:
        CHECK(store->move_on(lease, 1));
        CHECK(take_all(*store, 1) == text(32 * 256, 'A') + text(32 * 256));
        break;
      case shrink:  // which needs none
        CHECK(become(*store, lease, text(128, 'B')) == Became::yes);
        CHECK(take_all(*store, 1) == text(32 * 256, 'A') + text(128, 'B'));
        break;
    }
    (void)take_all(*other, 1);
    if (how != reject) CHECK(store->granules_used() == 0);
  }
}

TEST_CASE("work results: what is too large is said at once, and what is not has room") {
  for (std::uint32_t stages = 2; stages <= 5; ++stages) {
    for (std::uint16_t ordered = 0; ordered < 1U << (stages - 1); ++ordered) {
      CAPTURE(stages);
      CAPTURE(ordered);
      Ground ground(stages_of(stages, 203, ordered));
      const auto store = ground.store(1);
      CHECK(push(*store, text(store->largest() + 1)) == Pushed::too_large);
      REQUIRE(push(*store, text(store->largest())) == Pushed::yes);
      for (std::uint32_t stage = 0; stage + 1 < stages; ++stage) {
        CAPTURE(stage);
        const auto next = static_cast<std::uint8_t>(stage + 1);
        const std::uint64_t most = store->result_most(next);
        REQUIRE(most > 0);
        Lease lease = store->take(stage, true);
        REQUIRE(lease);
        const Lease same = lease;
        CHECK(become(*store, lease, text(most + 1), next) == Became::too_large);
        CHECK(lease.word == same.word);
        CHECK(store->holds(lease));
        CHECK(become(*store, lease, text(most, 'A'), next) == Became::yes);
      }
      CHECK(take_all(*store, stages - 1) == text(store->result_most(stages - 1), 'A'));
      CHECK(store->granules_used() == 0);
      // What is behind the payload counts, too.
      PushOptions options;
      options.group = "g";
      REQUIRE(push(*store, "x", options) == Pushed::yes);
      Lease lease = store->take(0, true);
      REQUIRE(lease);
      CHECK(become(*store, lease, text(store->result_most(1))) == Became::too_large);
      CHECK(become(*store, lease, text(store->result_most(1) - 8)) == Became::yes);
    }
  }
}

TEST_CASE("work results: who has lost the lease changes nothing") {
  WorkShape shape = stages_of(2, 64);
  shape.lease_ms = 1000;
  Ground ground(shape);
  const auto store = ground.store(1);
  const auto other = ground.store(2);
  Lease none;
  CHECK(become(*store, none, text(300)) == Became::lost);
  REQUIRE(push(*store, text(500)) == Pushed::yes);
  Lease late = store->take(0, true);
  REQUIRE(late);
  REQUIRE(other->sweep(os::monotonic_ns() + 2000 * kMs) == 1);
  Lease lease = other->take(0, true);
  REQUIRE(lease);
  const std::uint32_t used = store->granules_used();
  for (const std::size_t length : {std::size_t{10}, std::size_t{300}, std::size_t{900}}) {
    Lease again = late;
    CHECK(become(*store, again, text(length, 'A')) == Became::lost);
    CHECK_FALSE(again);
  }
  CHECK(store->granules_used() == used);
  CHECK(payload_of(*other, lease) == text(500));
  CHECK(other->complete(lease));
  CHECK(store->granules_used() == 0);
}

TEST_CASE("work results: a time to live goes on in the next stage") {
  Ground ground(stages_of(2, 64));
  const auto store = ground.store(1);
  PushOptions options;
  options.ttl_ns = 1000 * kMs;
  REQUIRE(push(*store, text(500), options) == Pushed::yes);
  Lease lease = store->take(0, true);
  REQUIRE(lease);
  // While it was in hand somebody looked, and found nothing that will be due.
  CHECK(store->sweep(os::monotonic_ns() + 500 * kMs) == 0);
  CHECK(store->sweep(os::monotonic_ns() + 2000 * kMs) == 0);
  REQUIRE(become(*store, lease, text(20)) == Became::yes);
  CHECK(store->sweep(os::monotonic_ns() + 2000 * kMs) == 1);
  CHECK(store->dead_count() == 1);
}

TEST_CASE("work results: the parts of the memory are apart, and are all of it") {
  for (std::uint32_t stages = 1; stages <= layout::kMaxStages; ++stages) {
    for (std::uint32_t last = 0; last < stages; ++last) {  // the last ordered stage, if not 0
      for (const std::uint32_t granules : {0U, 1U, 15U, 64U, 1021U}) {
        CAPTURE(stages);
        CAPTURE(last);
        CAPTURE(granules);
        WorkShape shape = stages_of(stages, granules);
        shape.ordered = static_cast<std::uint16_t>(last == 0 ? 0 : 1U << (last - 1));
        const Regions regions(shape);
        std::vector<Regions::Part> parts{regions.pushed()};
        for (std::uint32_t stage = 1; stage < stages; ++stage) {
          CHECK(regions.has_front(stage) == (stage <= last));
          parts.push_back(regions.part(stage));
        }
        for (std::uint32_t stage = 1; stage <= last; ++stage)
          parts.push_back(regions.front(stage));
        std::uint32_t at = 0;
        for (const Regions::Part& part : parts) {
          CHECK(part.first == at);
          at = part.below;
        }
        CHECK(at == granules);
        CHECK(regions.pushed().granules() >= granules / 2);
        for (std::uint32_t stage = 1; stage < stages; ++stage) {
          const std::uint32_t share = granules / 2 / (stages - 1);
          CHECK(regions.most(stage) == (stage <= last ? share - share / 2 : share));
        }
      }
    }
  }
}

TEST_CASE("work results: on disk, where there are none, what is pushed has all the memory") {
  WorkShape shape = stages_of(3, 64);
  shape.durability = layout::Durability::disk;
  const Regions regions(shape);
  CHECK(regions.pushed().granules() == 64);
  CHECK(regions.part(2).granules() == 64);
}

TEST_CASE("work results: dead letters make room where nothing else will, and nowhere else") {
  for (const std::uint16_t ordered : {std::uint16_t{0}, std::uint16_t{1}}) {
    CAPTURE(ordered);
    WorkShape shape = stages_of(2, 128, ordered);
    shape.dead = 8;
    shape.dead_bytes = 6144;
    shape.bytes -= shape.dead_bytes;
    Ground ground(shape);
    const auto store = ground.store(0);  // whose searches begin at the beginning
    const std::uint64_t most = store->result_most(1);
    // Sixteen results fill the memory.
    std::vector<Lease> there;
    for (int i = 0; i < 16; ++i) {
      REQUIRE(push(*store, "source") == Pushed::yes);
      Lease lease = store->take(0, true);
      REQUIRE(lease);
      REQUIRE(become(*store, lease, text(2048)) == Became::yes);
      there.push_back(store->take(1, true));
      REQUIRE(there.back());
    }
    REQUIRE(push(*store, "source") == Pushed::yes);
    Lease waits = store->take(0, true);
    REQUIRE(waits);
    const auto granule = [&](const Lease& lease) {
      return ground.memory.slot(lease.slot).granule.load();
    };
    std::sort(there.begin(), there.end(),
              [&](const Lease& one, const Lease& other) { return granule(one) < granule(other); });
    // Three die, as many as may be kept: two where the largest result goes, one elsewhere.
    for (const std::size_t dies : {std::size_t{0}, std::size_t{13}, std::size_t{15}})
      CHECK(store->reject(there[dies], "no"));
    for (std::size_t i = (128 - most / 256) / 8; i < 14; ++i) {
      if (i != 13) CHECK(store->complete(there[i]));
    }
    // As long as there is a job, it waits for that.
    CHECK(become(*store, waits, text(most)) == Became::full_bytes);
    CHECK(counter(ground, layout::WorkCount::dead_dropped) == 0);
    CHECK(store->dead_count() == 3);
    CHECK(store->complete(there[14]));
    CHECK(become(*store, waits, text(most)) == Became::yes);
    CHECK(counter(ground, layout::WorkCount::dead_dropped) == 2);
    CHECK(store->dead_count() == 1);
    for (Lease& lease : there) {
      if (store->holds(lease)) CHECK(store->complete(lease));
    }
    CHECK(take_all(*store, 1) == text(most));
    CHECK(store->counts().free == shape.jobs);
    CHECK(store->granules_used() == 8);
  }
}

TEST_CASE("work results: whatever stands in a slot, its repair touches nothing else") {
  // A peer can write anything. Beside a job with a lying slot lie others, and the memory ends where it is mapped.
  Random random(5);
  for (int round = 0; round < rounds(400); ++round) {
    CAPTURE(round);
    Ground ground(stages_of(3, 64, static_cast<std::uint16_t>(random.below(4))));
    const auto store = ground.store(1);
    REQUIRE(push(*store, text(700, 'A')) == Pushed::yes);
    REQUIRE(push(*store, text(700)) == Pushed::yes);
    Lease innocent = store->take(0, true);
    Lease lying = store->take(0, true);
    REQUIRE(lying);
    REQUIRE(payload_of(*store, innocent) == text(700, 'A'));
    layout::Slot& slot = ground.memory.slot(lying.slot);
    const auto any = [&]() -> std::uint64_t {
      const std::uint64_t some[] = {0,  1,  3,           60,          63,
                                    64, 65, 0x7FFF'FFFF, 0xFFFF'FFFF, random.below(70)};
      return some[random.below(10)];
    };
    slot.forward = any() | any() << 32U;
    slot.forward_queue = any() | any() << 32U;
    if (random.chance(50)) slot.granule.store(static_cast<std::uint32_t>(any()));
    if (random.chance(50)) slot.granules.store(static_cast<std::uint32_t>(any()));
    if (random.chance(50)) slot.length = static_cast<std::uint32_t>(any());
    if (random.chance(30)) slot.headers_length = static_cast<std::uint32_t>(any());
    if (random.chance(30)) slot.group_length = static_cast<std::uint16_t>(any());
    if (random.chance(30)) slot.stage.store(static_cast<std::uint8_t>(any()));
    layout::Word word = layout::unpack(lying.word);
    const bool dies = random.chance(70);
    if (dies) {
      word.state = layout::SlotState::moving;
      word.seat = 2;
      word.flags = random.chance(80) ? static_cast<std::uint8_t>(layout::MovingTo::become)
                                     : static_cast<std::uint8_t>(random.below(8));
      word.attempt = static_cast<std::uint8_t>(any());
      slot.word.store(layout::pack(word));
      (void)ground.store(3)->repair(2);
    } else {
      // Who has it in hand makes a result of it, of what the slot says.
      (void)become(*store, lying, text(300), 1);
    }
    // It is somewhere, and can be taken and ended, or is a dead letter.
    for (std::uint32_t stage = 0; stage < 3; ++stage) {
      while (Lease lease = store->take(stage, true)) {
        JobFacts facts;
        if (store->facts(lease.slot, facts)) {
          CHECK(facts.at + facts.length <= ground.shape.data_bytes());
        }
        Lease again = lease;
        const Became became =
            stage < 2 ? become(*store, again, text(200), static_cast<std::uint8_t>(stage + 1))
                      : Became::too_large;
        if (became != Became::yes) CHECK(store->complete(lease));
      }
    }
    CHECK(store->holds(innocent));
    CHECK(payload_of(*store, innocent) == text(700, 'A'));
    CHECK(store->complete(innocent));
  }
}

}  // namespace millrace::test::work_results_test
