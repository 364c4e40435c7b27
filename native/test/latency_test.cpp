// How long messages and frames take, as their sides count it: against delays that are known, from outside, after deaths, and what is
// not to be counted.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>
#include <millrace/latency.hpp>
#include <millrace/observe.hpp>
#include <millrace/queue.hpp>

#include "fixture.hpp"
#include "frames.hpp"
#include "queues.hpp"

namespace millrace::test::latency_test {

using namespace millrace;
using namespace millrace::test;

namespace {

using QueueTimes = layout::QueueLatency::Times;

template <typename Times>
void hold_to_their_bounds(std::uint64_t part) {
  for (std::size_t at = 0; at + 1 < Times::kCounts; ++at) {
    CAPTURE(at);
    const std::uint64_t bound = Times::bound(at);
    REQUIRE(Times::of(bound - 1) == at);
    REQUIRE(Times::of(bound) == at + 1);
    const std::uint64_t width = bound - (at == 0 ? 0 : Times::bound(at - 1));
    if (at >= Times::kParts) REQUIRE(width * part <= bound);
  }
  CHECK(Times::of(~std::uint64_t{0}) == Times::kCounts - 1);
}

double counted(const ObservedLatency& latency) {
  double all = 0;
  for (const auto& bucket : latency.buckets)
    all += bucket.count;
  return all;
}

struct Measured : Queues {
  Measured() { capacity = 4096; }
  [[nodiscard]] std::vector<ObservedLatency> latencies() const {
    auto all = observe_objects(name(), true);
    REQUIRE(all.size() == 1);
    return all.front().latencies;
  }
  // How many were counted.
  [[nodiscard]] double count() const {
    const auto all = latencies();
    return all.empty() ? 0 : counted(all.front());
  }
};

bool push(QueueProducer& producer) {
  return producer.try_push("12345678", 8) == RingStatus::ok;
}
bool pop(QueueConsumer& consumer) {
  const Message message = consumer.peek();
  if (message.status != RingStatus::ok) return false;
  consumer.release(message);
  return true;
}

}  // namespace

TEST_CASE(
    "latency: buckets have no gaps, and are no wider than an eighth, or a half, of what they "
    "count") {
  hold_to_their_bounds<QueueTimes>(8);
  hold_to_their_bounds<layout::FrameTimes>(2);
  CHECK(QueueTimes::of(0) == 0);
  CHECK(QueueTimes::bound(QueueTimes::kCounts - 2) == 134'217'728'000);
  CHECK(layout::FrameTimes::bound(layout::FrameTimes::kCounts - 2) == 1'048'576'000);
}

TEST_CASE_FIXTURE(Measured, "latency: of what one side alone was asked for, nothing is counted") {
  auto out = consumer();
  auto in = producer();
  SUBCASE("neither") {
    REQUIRE(push(*in));
    REQUIRE(pop(*out));
    const std::vector<std::byte> zeroes(sizeof(layout::QueueLatency));
    CHECK(std::memcmp(in->side().latency(), zeroes.data(), zeroes.size()) == 0);
  }
  SUBCASE("the producer") {
    LatencyMarker marker = in->latency_marker();
    CHECK(in->mark(marker));
    REQUIRE(push(*in));
    REQUIRE(pop(*out));
  }
  SUBCASE("the consumer") {
    LatencyTaker taker = out->latency_taker();
    REQUIRE(push(*in));
    REQUIRE(pop(*out));
    CHECK(out->take(taker) == LatencyTaker::kNothingDue);
  }
  CHECK(latencies().empty());
}

TEST_CASE_FIXTURE(
    Measured, "latency: a message is counted where the time is that it took, by a clock beside") {
  auto out = consumer();
  auto in = producer();
  LatencyMarker marker = in->latency_marker();
  LatencyTaker taker = out->latency_taker();
  for (const std::uint64_t delay : {20'000ULL, 3'000'000ULL, 40'000'000ULL}) {
    const double before = count();
    const double spent = latencies().empty() ? 0 : latencies().front().milliseconds;
    const std::uint64_t first = os::monotonic_ns();
    REQUIRE(in->mark(marker));
    const std::uint64_t marked = os::monotonic_ns();
    REQUIRE(push(*in));
    os::sleep_ns(delay);
    REQUIRE(pop(*out));
    const std::uint64_t popped = os::monotonic_ns();
    CHECK(out->take(taker) == LatencyTaker::kNothingDue);
    const std::uint64_t last = os::monotonic_ns();
    REQUIRE(count() == before + 1);
    const double took = latencies().front().milliseconds - spent;
    CHECK(took >= static_cast<double>(popped - marked) / 1e6 - 1e-6);
    CHECK(took <= static_cast<double>(last - first) / 1e6 + 1e-6);
    const double bound = static_cast<double>(QueueTimes::bound(
                             QueueTimes::of(static_cast<std::uint64_t>(took * 1e6 + 0.5)))) /
                         1e6;
    CAPTURE(took);
    CAPTURE(bound);
    bool there = false;
    const auto all = latencies();
    for (const auto& bucket : all.front().buckets)
      there = there || bucket.below == bound;
    CHECK(there);
  }
}

TEST_CASE_FIXTURE(
    Measured, "latency: in a full ring none of the marks is written over before it is counted") {
  auto out = consumer();
  auto in = producer();
  LatencyMarker marker = in->latency_marker();
  LatencyTaker taker = out->latency_taker();
  double messages = 0;  // that the marks stand for
  double marks = 0;
  double since = 0;
  for (int lap = 0; lap < 5; ++lap) {
    for (;;) {
      const bool marked = in->mark(marker);
      if (!push(*in)) break;
      since += 1;
      if (!marked) continue;
      messages += messages == 0 ? 1 : since;
      marks += 1;
      since = 0;
    }
    while (pop(*out))
      (void)out->take(taker);
    CHECK(count() == messages);
  }
  // As many as may be at will, and one every 1/24 of the ring.
  CHECK(marks >= 5 * 32);
  CHECK(marks <= 5 * (32 + 25));
}

TEST_CASE_FIXTURE(Measured, "latency: what was sent before the consumer came is not counted") {
  auto in = producer();
  LatencyMarker marker = in->latency_marker();
  REQUIRE(in->mark(marker));
  REQUIRE(push(*in));
  auto out = consumer();
  LatencyTaker taker = out->latency_taker();
  REQUIRE(pop(*out));
  CHECK(out->take(taker) == LatencyTaker::kNothingDue);
  CHECK(count() == 0);
}

TEST_CASE_FIXTURE(Measured,
                  "latency: the mark of a producer that died before it sent is nobody's, and a "
                  "torn one neither") {
  auto out = consumer();
  LatencyTaker taker = out->latency_taker();
  Child dies([this] {
    auto in = producer();
    LatencyMarker marker = in->latency_marker();
    CHILD_EXPECT(in->mark(marker));
    ::_exit(0);
    return 0;
  });
  REQUIRE(dies.wait() == 0);
  CHECK(out->take(taker) == 0);  // at the position of the first message
  auto in = producer();
  LatencyMarker marker = in->latency_marker();
  REQUIRE(push(*in));
  REQUIRE(pop(*out));
  CHECK(out->take(taker) == LatencyTaker::kNothingDue);
  CHECK(count() == 0);
  // As one that died between taking the position away and giving it back.
  REQUIRE(in->mark(marker));
  REQUIRE(push(*in));
  in->side().latency()->mark[1].position.store(0);
  REQUIRE(pop(*out));
  CHECK(out->take(taker) == LatencyTaker::kNothingDue);
  CHECK(count() == 0);
  // A clock that is ahead of ours.
  REQUIRE(in->mark(marker));
  REQUIRE(push(*in));
  in->side().latency()->mark[2].sent_at.store(~std::uint64_t{0});
  REQUIRE(pop(*out));
  CHECK(out->take(taker) == LatencyTaker::kNothingDue);
  CHECK(count() == 0);
  // And a producer that counts nonsense holds nobody up.
  in->side().latency()->marks.made.store(~std::uint64_t{0} / 2);
  (void)out->take(taker);
  CHECK(out->take(taker) == LatencyTaker::kNothingDue);
}

TEST_CASE_FIXTURE(Measured, "latency: what two processes counted is there when both were killed") {
  Shared<std::atomic<int>> passed;
  {
    Child consuming([&] {
      auto out = consumer();
      LatencyTaker taker = out->latency_taker();
      passed->store(1);
      for (;;) {
        if (!pop(*out)) continue;
        (void)out->take(taker);
        passed->fetch_add(1);
      }
      return 0;
    });
    REQUIRE(eventually([&] { return passed->load() == 1; }));
    Child producing([&] {
      auto in = producer();
      LatencyMarker marker = in->latency_marker();
      for (int i = 0; i < 400; ++i) {
        (void)in->mark(marker);
        while (!push(*in)) {
        }
      }
      passed->fetch_add(1);
      for (;;)
        os::sleep_ns(kMillisecond);
      return 0;
    });
    REQUIRE(eventually([&] { return passed->load() == 402; }));
  }
  const auto all = observe_objects(name(), true);
  REQUIRE(all.size() == 1);
  CHECK(all.front().object.condition != Condition::in_use);
  REQUIRE(all.front().latencies.size() == 1);
  const ObservedLatency& latency = all.front().latencies.front();
  CHECK(std::string(latency.side) == "consumer");
  // But for those since the last mark, which is less than 1/24 of the ring ago.
  CHECK(counted(latency) > 400 - 12);
  CHECK(counted(latency) <= 400);
  CHECK(latency.milliseconds > 0);
  (void)unlink_channel('q', name());
}

TEST_CASE_FIXTURE(Frames, "latency: frames are counted by the reader that was asked to") {
  auto in = writer();
  auto asked = reader();
  auto other = reader();
  const auto publish = [&](std::uint64_t timestamp) {
    const auto slot = in->try_loan();
    REQUIRE(slot);
    REQUIRE(in->publish(*slot, 8, timestamp));
    for (auto* one : {asked.get(), other.get()}) {
      const ReceivedFrame frame = one->receive();
      REQUIRE(frame.status == Status::ok);
      if (one == asked.get()) one->count_latency(frame);
      REQUIRE(one->release(frame.slot, frame.sequence));
    }
  };
  const auto only = [this] {
    auto all = observe_objects(name(), true);
    REQUIRE(all.size() == 1);
    return all.front().latencies;
  };
  CHECK(only().empty());
  // A quarter of a second ago, and a clock that is ahead of ours.
  publish(os::monotonic_ns() - 250 * kMillisecond);
  publish(~std::uint64_t{0} - 1);
  REQUIRE(only().size() == 1);
  CHECK(std::string(only().front().side) == "reader");
  REQUIRE(counted(only().front()) == 1);
  CHECK(only().front().milliseconds >= 250);
  const double below = only().front().buckets.front().below;
  CHECK(below > only().front().milliseconds);
  // Not the first one of its bucket, unless we were stalled for longer than that is wide.
  CHECK(below >= 262);
  asked->close();
  CHECK(counted(only().front()) == 1);
}

}  // namespace millrace::test::latency_test
