// The order of a priority where a ring is full of stale hints, so that the job at its head is returned while others take: at
// every point that one party passes, the whole move of another one. Nobody dies.
#include <string>

#include "../work_ground.hpp"
#include "meeting.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_ring_meetings {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;

namespace {

constexpr int kRing = 64;

// "o" is older than "y", and between them lie hints of jobs that have expired: the next push needs the place of "o".
struct FullRing : Ground {
  std::unique_ptr<JobStore> one = store(1);
  std::unique_ptr<JobStore> other = store(2);
  std::unique_ptr<JobStore> third = store(3);
  std::string got;

  FullRing() : Ground(shape_of(kRing)) {
    REQUIRE(memory.shape().capacity() == kRing);
    REQUIRE(push(*one, "o") == Pushed::yes);
    PushOptions brief;
    brief.ttl_ns = 1;
    for (int i = 0; i < kRing - 2; ++i) {
      REQUIRE(push(*one, "x", brief) == Pushed::yes);
      REQUIRE(one->sweep(os::monotonic_ns() + 1000) == 1);
    }
    REQUIRE(push(*one, "y") == Pushed::yes);
  }
  void take(JobStore& taker) {
    Lease lease = taker.take(0, true);
    if (!lease) return;
    got += payload_of(taker, lease);
    CHECK(taker.complete(lease));
  }
};

// A level whose mask says that there may be returned jobs, and there are none.
struct MaskedRing : FullRing {
  MaskedRing() { memory.control().returned_mask[0].fetch_or(1); }
};

template <typename Place, typename First, typename Second>
int meet(First&& first, Second&& second) {
  return every_meeting<Place>(first, second, [](Place& ground) {
    ground.got += take_all(*ground.third);
    const auto place = [&](char which) { return ground.got.find(which); };
    CHECK(ground.got.size() == 3);
    CHECK_MESSAGE(place('o') < place('y'), ground.got);
    CHECK_MESSAGE(place('y') < place('n'), ground.got);
    CHECK(ground.third->counts().free == kRing);
    CHECK(!ground.third->any(0));
  });
}

}  // namespace

TEST_CASE("meeting: a job that is in the way of a push is not overtaken by those behind it") {
  const auto pushes = [](FullRing& ground) { CHECK(push(*ground.one, "n") == Pushed::yes); };
  const auto takes = [](FullRing& ground) { ground.take(*ground.other); };
  CHECK(meet<FullRing>(pushes, takes) > 5);
  CHECK(meet<FullRing>(pushes, [](FullRing& ground) {
          ground.take(*ground.other);
          ground.take(*ground.third);
        }) > 5);
}

TEST_CASE("meeting: of two pushes that a job is in the way of the second one does not hide it") {
  // The one that begins is stopped; the other one fills the ring.
  CHECK(every_meeting<FullRing>(
            [](FullRing& ground) { CHECK(push(*ground.one, "n") == Pushed::yes); },
            [](FullRing& ground) {
              CHECK(push(*ground.other, "m") == Pushed::yes);
              ground.take(*ground.third);
            },
            [](FullRing& ground) {
              ground.got += take_all(*ground.third);
              CHECK(ground.got.size() == 4);
              CHECK_MESSAGE(ground.got.substr(0, 2) == "oy", ground.got);
            }) > 5);
}

TEST_CASE("meeting: who takes a job meets a push that returns it") {
  const auto takes = [](auto& ground) { ground.take(*ground.other); };
  const auto pushes = [](auto& ground) { CHECK(push(*ground.one, "n") == Pushed::yes); };
  CHECK(meet<FullRing>(takes, pushes) > 2);
  CHECK(meet<MaskedRing>(takes, pushes) > 2);
}

}  // namespace millrace::test::work_ring_meetings
