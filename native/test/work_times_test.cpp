// How long jobs take, as handles count it that were asked to: against delays that are known, from outside, after deaths, beside those that
// were not asked, and what is not to be counted.
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <millrace/observe.hpp>
#include <millrace/work/job_meter.hpp>
#include <millrace/work/work_queue.hpp>

#include "fixture.hpp"

namespace millrace::test::work_times_test {

using namespace millrace;
using namespace millrace::test;

namespace {

using layout::WorkTimes;

double counted(const ObservedLatency& latency) {
  double all = 0;
  for (const auto& bucket : latency.buckets)
    all += bucket.count;
  return all;
}

struct Measured : Names {
  ~Measured() { (void)unlink_channel('j', name()); }

  [[nodiscard]] std::unique_ptr<WorkQueue> open() const {
    WorkSpec spec;
    spec.place = name();
    spec.lease_ms = lease_ms;
    spec.jobs = jobs;
    return must(WorkQueue::open(spec, soon()));
  }
  [[nodiscard]] std::vector<ObservedLatency> latencies() const {
    auto all = observe_objects(name(), true);
    REQUIRE(all.size() == 1);
    return all.front().latencies;
  }
  // What is seen of a side; of one that counted nothing no milliseconds and no buckets.
  [[nodiscard]] ObservedLatency of(const std::string& side) const {
    for (const ObservedLatency& latency : latencies())
      if (latency.side == side) return latency;
    return {"", 0, 0, {}};
  }
  [[nodiscard]] double count(const std::string& side) const { return counted(of(side)); }

  std::uint64_t lease_ms = 0;
  std::uint32_t jobs = 256;
};

constexpr std::uint64_t kEight = 8;

Pushed push(WorkQueue& queue, JobMeter& meter, const PushOptions& options = {}) {
  return queue.try_push(std::as_bytes(std::span(&kEight, 1)), options, meter);
}
Pushed push(WorkQueue& queue) {
  return queue.try_push(std::as_bytes(std::span(&kEight, 1)), {});
}
Lease take(WorkQueue& queue, JobMeter& meter) {
  const Lease lease = queue.try_take();
  if (lease) meter.taken(lease);
  return lease;
}
bool complete(WorkQueue& queue, JobMeter& meter, Lease lease) {
  const Lease before = lease;
  if (!queue.complete(lease)) return false;
  meter.settled(before);
  return true;
}

}  // namespace

TEST_CASE(
    "times of jobs: buckets have no gaps, are no wider than a quarter, and each has a place") {
  for (std::size_t at = 0; at + 1 < WorkTimes::kCounts; ++at) {
    CAPTURE(at);
    const std::uint64_t bound = WorkTimes::bound(at);
    REQUIRE(WorkTimes::of(bound - 1) == at);
    REQUIRE(WorkTimes::of(bound) == at + 1);
    if (at >= WorkTimes::kParts) REQUIRE((bound - WorkTimes::bound(at - 1)) * 4 <= bound);
  }
  CHECK(WorkTimes::bound(WorkTimes::kCounts - 2) == 2'684'354'560'000);
  CHECK(WorkTimes::of(~std::uint64_t{0}) == WorkTimes::kCounts - 1);
  auto control = std::make_unique<layout::WorkControl>();
  for (const auto what : {layout::WorkTime::arrival, layout::WorkTime::service})
    for (std::size_t at = 0; at <= WorkTimes::kCounts; ++at)
      layout::work_time(*control, what, at).fetch_add(1);
  std::size_t places = 0;
  for (const layout::Duty& duty : control->duties) {
    CHECK(duty.word.load() == 0);
    for (const auto& time : duty.times) {
      REQUIRE(time.load() <= 1);
      places += time.load();
    }
  }
  CHECK(places == 2 * (WorkTimes::kCounts + 1));
}

TEST_CASE_FIXTURE(
    Measured,
    "times of jobs: of what nobody was asked for nothing is counted, and no byte is written") {
  auto pusher = open();
  auto worker = open();
  for (int i = 0; i < 100; ++i) {
    REQUIRE(push(*pusher) == Pushed::yes);
    Lease lease = worker->try_take();
    REQUIRE(lease);
    REQUIRE(worker->complete(lease));
  }
  CHECK(latencies().empty());
  const auto& control = worker->store().memory().control();
  for (const auto& duty : control.duties)
    for (const auto& time : duty.times)
      CHECK(time.load() == 0);
  for (std::uint32_t slot = 0; slot < jobs; ++slot)
    CHECK(worker->store().memory().slot(slot).measured.load() == 0);
}

TEST_CASE_FIXTURE(
    Measured,
    "times of jobs: both are counted where the time is that they took, by a clock beside") {
  auto pusher = open();
  auto worker = open();
  JobMeter pushes = pusher->meter();
  JobMeter takes = worker->meter();
  for (const std::uint64_t delay : {30'000ULL, 3'000'000ULL, 40'000'000ULL}) {
    // The first is measured, and then each 64th.
    const double before = of("worker").milliseconds;
    const double before_service = of("handler").milliseconds;
    const double were = count("worker");
    const std::uint64_t first = os::monotonic_ns();
    REQUIRE(push(*pusher, pushes) == Pushed::yes);
    const std::uint64_t pushed = os::monotonic_ns();
    os::sleep_ns(delay);
    const std::uint64_t taking = os::monotonic_ns();
    const Lease lease = take(*worker, takes);
    REQUIRE(lease);
    const std::uint64_t taken = os::monotonic_ns();
    os::sleep_ns(2 * delay);
    const std::uint64_t settling = os::monotonic_ns();
    REQUIRE(complete(*worker, takes, lease));
    const std::uint64_t last = os::monotonic_ns();
    const double stands_for = were == 0 ? 1 : kMeasuredEvery;
    REQUIRE(count("worker") == were + stands_for);
    REQUIRE(count("handler") == were + stands_for);
    const double took = (of("worker").milliseconds - before) / stands_for;
    const double served = (of("handler").milliseconds - before_service) / stands_for;
    CHECK(took >= static_cast<double>(taking - pushed) / 1e6 - 1e-6);
    CHECK(took <= static_cast<double>(taken - first) / 1e6 + 1e-6);
    CHECK(served >= static_cast<double>(settling - taken) / 1e6 - 1e-6);
    CHECK(served <= static_cast<double>(last - taking) / 1e6 + 1e-6);
    bool there = false;
    const auto nanoseconds = static_cast<std::uint64_t>(took * 1e6 + 0.5);
    for (const auto& bucket : of("worker").buckets)
      there = there || bucket.below ==
                           static_cast<double>(WorkTimes::bound(WorkTimes::of(nanoseconds))) / 1e6;
    CHECK(there);
    for (std::uint32_t i = 1; i < kMeasuredEvery; ++i) {
      REQUIRE(push(*pusher, pushes) == Pushed::yes);
      REQUIRE(complete(*worker, takes, take(*worker, takes)));
    }
    CHECK(count("worker") == were + stands_for);
    CHECK(count("handler") == were + stands_for);
  }
}

TEST_CASE_FIXTURE(Measured,
                  "times of jobs: a handle that was not asked works beside ones that were, "
                  "whichever slot a job has") {
  jobs = 4;
  auto asked = open();
  auto other = open();
  JobMeter meter = asked->meter();
  // Measured, and taken by one who knows nothing of it.
  REQUIRE(push(*asked, meter) == Pushed::yes);
  Lease lease = other->try_take();
  REQUIRE(lease);
  REQUIRE(other->complete(lease));
  // Its mark is still in the slot, and is not that of the jobs that come there.
  for (int i = 0; i < 8; ++i) {
    REQUIRE(push(*other) == Pushed::yes);
    const Lease own = take(*asked, meter);
    REQUIRE(own);
    REQUIRE(complete(*asked, meter, own));
  }
  CHECK(count("worker") == 0);
  CHECK(count("handler") == 1);
}

TEST_CASE_FIXTURE(Measured,
                  "times of jobs: neither delays nor second attempts are counted as waiting; every "
                  "way of settling ends the other time") {
  auto queue = open();
  JobMeter meter = queue->meter();
  PushOptions delayed;
  delayed.delay_ns = 1'000'000;
  REQUIRE(push(*queue, meter, delayed) == Pushed::yes);
  Lease lease;
  REQUIRE(eventually([&] {
    lease = take(*queue, meter);
    return static_cast<bool>(lease);
  }));
  CHECK(count("worker") == 0);
  const Lease first = lease;
  REQUIRE(queue->release(lease));
  meter.settled(first);
  CHECK(count("handler") == 1);
  // It was put off: the next one is measured, for both.
  REQUIRE(push(*queue, meter) == Pushed::yes);
  lease = take(*queue, meter);
  CHECK(count("worker") == 0);  // the one that came back, which is older
  REQUIRE(queue->complete(lease));
  lease = take(*queue, meter);
  REQUIRE(lease);
  CHECK(count("worker") == 2);
  REQUIRE(queue->release(lease));
  lease = take(*queue, meter);
  REQUIRE(lease);
  CHECK(count("worker") == 2);
}

TEST_CASE_FIXTURE(
    Measured, "times of jobs: a lease that was over is not counted, and makes room for others") {
  lease_ms = 200;
  auto queue = open();
  JobMeter meter = queue->meter();
  REQUIRE(push(*queue, meter) == Pushed::yes);
  const Lease lost = take(*queue, meter);
  REQUIRE(lost);
  REQUIRE(eventually([&] {
    (void)queue->look();
    return !queue->holds(lost);
  }));
  CHECK_FALSE(complete(*queue, meter, lost));
  CHECK(count("handler") == 0);
  // Somebody has it again, in the same slot: that is another lease, and its time begins with it.
  for (std::uint32_t i = 0; i + 1 < kMeasuredEvery; ++i) {
    Lease again = take(*queue, meter);
    REQUIRE(again);
    REQUIRE(queue->release(again));
  }
  CHECK(count("handler") == 0);
  const std::uint64_t taking = os::monotonic_ns();
  const Lease measured = take(*queue, meter);
  REQUIRE(measured);
  REQUIRE(complete(*queue, meter, measured));
  const auto most = static_cast<double>(os::monotonic_ns() - taking) / 1e6;
  CHECK(count("handler") == kMeasuredEvery);
  CHECK(of("handler").milliseconds <= most * kMeasuredEvery + 1e-3);
}

TEST_CASE_FIXTURE(Measured,
                  "times of jobs: of more in hand than are remembered, the newer ones stand for "
                  "those that were left out") {
  auto queue = open();
  JobMeter meter = queue->meter();
  std::vector<Lease> held;
  // All places of those in hand are taken by the time that the 65th is to be measured.
  for (std::uint32_t i = 0; i < 66 * kMeasuredEvery && held.size() < jobs; ++i) {
    REQUIRE(push(*queue, meter) == Pushed::yes);
    held.push_back(take(*queue, meter));
    REQUIRE(held.back());
  }
  for (const Lease& lease : held)
    REQUIRE(complete(*queue, meter, lease));
  CHECK(count("worker") == jobs - kMeasuredEvery + 1);
  CHECK(count("handler") > 0);
  CHECK(count("handler") <= jobs);
}

TEST_CASE_FIXTURE(
    Measured,
    "times of jobs: a mark of a clock ahead of ours is not counted, nor one of a boot before") {
  auto queue = open();
  JobMeter meter = queue->meter();
  REQUIRE(push(*queue, meter) == Pushed::yes);
  auto& memory = queue->store().memory();
  for (std::uint32_t slot = 0; slot < jobs; ++slot)
    if (memory.slot(slot).measured.load() != 0) memory.slot(slot).forward = ~std::uint64_t{0};
  CHECK(take(*queue, meter));
  CHECK(count("worker") == 0);
  JobMeter other = queue->meter();
  REQUIRE(push(*queue, other) == Pushed::yes);
  memory.control().boot.store(memory.control().boot.load() + 1);
  queue.reset();
  queue = open();
  JobMeter later = queue->meter();
  REQUIRE(take(*queue, later));
  Lease lease = take(*queue, later);
  CHECK(lease);
  CHECK(count("worker") == 0);
}

TEST_CASE_FIXTURE(Measured,
                  "times of jobs: what processes counted together is there when they were killed") {
  constexpr int each = 4 * kMeasuredEvery;
  Shared<std::atomic<int>> passed;
  auto here = open();
  {
    std::vector<Child> children;
    for (int i = 0; i < 3; ++i) {
      children.emplace_back([&] {
        auto queue = open();
        JobMeter meter = queue->meter();
        for (int done = 0; done < each; ++done) {
          CHILD_EXPECT(push(*queue, meter) == Pushed::yes);
          Lease lease;
          CHILD_EXPECT(eventually([&] {
            lease = take(*queue, meter);
            return static_cast<bool>(lease);
          }));
          CHILD_EXPECT(complete(*queue, meter, lease));
        }
        passed->fetch_add(1);
        return linger();
      });
    }
    REQUIRE(eventually([&] { return passed->load() == 3; }));
  }
  // Each has measured its first and each 64th behind it, whoever took them.
  constexpr double all = 3 * (each - kMeasuredEvery + 1);
  CHECK(count("worker") == all);
  CHECK(count("handler") == all);
  CHECK(of("worker").milliseconds > 0);
}

}  // namespace millrace::test::work_times_test
