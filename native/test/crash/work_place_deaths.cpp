// Where a job comes to lie whose holder died when its word said that it is ready and nothing led to it yet: not before those
// that were there.
#include <string>

#include "../work_ground.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_place_deaths {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;

namespace {

constexpr std::uint16_t kVictim = 3;
constexpr std::uint16_t kTester = 5;

// `part` of a victim, which dies when the job is ready, and is buried.
template <typename Part>
void dies_when_ready(Ground& ground, Part&& part) {
  Child child([&] {
    const auto store = ground.store(kVictim);
    part(*store);
    return 1;
  });
  REQUIRE(child.wait() == -SIGKILL);
  (void)ground.store(kVictim)->repair(kVictim);
}
void die_when_ready() {
  CHILD_EXPECT(crash::arm("work.push.ready", 1));
}

}  // namespace

TEST_CASE(
    "promise: work – a job that its pusher's death finds ready does not overtake: with an id") {
  Ground ground(shape_of(8));
  const auto store = ground.store(kTester);
  REQUIRE(push(*store, "first") == Pushed::yes);
  REQUIRE(push(*store, "second") == Pushed::yes);
  dies_when_ready(ground, [](JobStore& victim) {
    // It pushes to the slot of a job that was before the other one.
    Lease lease = victim.take(0, true);
    CHILD_EXPECT(payload_of(victim, lease) == "first");
    CHILD_EXPECT(victim.complete(lease));
    PushOptions options;
    options.id = "id";
    die_when_ready();
    (void)push(victim, "third", options);
  });
  REQUIRE(push(*store, "fourth") == Pushed::yes);
  const std::string all = take_all(*store);
  CHECK(all.starts_with("second"));
  CHECK(all.find("third") != std::string::npos);
}

TEST_CASE("promise: work – a job that its pusher's death finds ready does not overtake: moved on") {
  WorkShape shape = shape_of(8);
  shape.stages = 2;
  Ground ground(shape);
  const auto store = ground.store(kTester);
  PushOptions later;
  later.stage = 1;
  REQUIRE(push(*store, "a", later) == Pushed::yes);
  REQUIRE(push(*store, "b", later) == Pushed::yes);
  REQUIRE(push(*store, "c") == Pushed::yes);
  dies_when_ready(ground, [](JobStore& victim) {
    Lease lease = victim.take(0, true);
    CHILD_EXPECT(payload_of(victim, lease) == "c");
    die_when_ready();
    (void)victim.move_on(lease, 1);
  });
  CHECK(take_all(*store, 1) == "abc");
}

TEST_CASE(
    "promise: work – a job that its pusher's death finds ready does not overtake: lives again") {
  Ground ground(shape_of(8));
  const auto store = ground.store(kTester);
  REQUIRE(push(*store, "a") == Pushed::yes);
  REQUIRE(push(*store, "b") == Pushed::yes);
  Lease lease = store->take(0, true);
  REQUIRE(store->reject(lease, "no"));
  dies_when_ready(ground, [](JobStore& victim) {
    die_when_ready();
    (void)victim.each_dead(
        [&](std::uint32_t slot, std::uint64_t bits) { return victim.redrive(slot, bits); });
  });
  CHECK(take_all(*store) == "ba");
}

}  // namespace millrace::test::work_place_deaths
