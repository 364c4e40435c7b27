// How long messages of topics take, as subscribers count it that were asked to: against delays that are known, from outside, beside those that
// were not asked, and what is not to be counted.
#include <cstdint>
#include <string>
#include <vector>

#include <millrace/observe.hpp>
#include <millrace/topics/topic_bus.hpp>
#include <millrace/topics/topic_meter.hpp>

#include "topics.hpp"

namespace millrace::test::topics_times_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::topics;

namespace {

using layout::TopicTimes;

struct Measured : Names {
  Bus publisher = open(spec_of(name(), 256));
  Bus subscriber = open(spec_of(name(), 256));
  TopicMeter publishes = publisher->meter();
  TopicMeter reads = subscriber->meter();
  std::vector<TopicMessage> messages = std::vector<TopicMessage>(TopicMarks::kMost);
  std::vector<std::byte> target = std::vector<std::byte>(4096);

  [[nodiscard]] std::uint32_t joined(const SubscribeOptions& options = {}) {
    const std::uint32_t entry = join(*subscriber, {">"}, options);
    reads.joined(entry);
    return entry;
  }
  void published(std::string_view payload = "12345678") {
    std::uint32_t matched = 0;
    const std::uint32_t subject = must(publisher->subject("a"));
    REQUIRE(publisher->try_publish(subject, bytes_of(payload), {}, matched, publishes) ==
            Published::yes);
  }
  // How many were read.
  std::uint32_t read(std::uint32_t entry, bool in_place = false) {
    const std::uint32_t count =
        subscriber->read(entry, messages.data(), TopicMarks::kMost, target, in_place, reads);
    for (std::uint32_t i = 0; i < count; ++i)
      if (messages[i].pin != TopicMessage::kCopied) subscriber->release(messages[i].pin);
    return count;
  }
  [[nodiscard]] std::vector<ObservedLatency> latencies() const {
    auto all = observe_objects(name(), true);
    REQUIRE(all.size() == 1);
    return all.front().latencies;
  }
  [[nodiscard]] double count() const {
    double all = 0;
    for (const ObservedLatency& latency : latencies())
      for (const auto& bucket : latency.buckets)
        all += bucket.count;
    return all;
  }
};

}  // namespace

TEST_CASE("times of topics: buckets have no gaps, are no wider than a half, and each has a place") {
  for (std::size_t at = 0; at + 1 < TopicTimes::kCounts; ++at) {
    CAPTURE(at);
    const std::uint64_t bound = TopicTimes::bound(at);
    REQUIRE(TopicTimes::of(bound - 1) == at);
    REQUIRE(TopicTimes::of(bound) == at + 1);
    if (at >= TopicTimes::kParts) REQUIRE((bound - TopicTimes::bound(at - 1)) * 2 <= bound);
  }
  CHECK(TopicTimes::bound(TopicTimes::kCounts - 2) == 100'663'296'000);
  layout::Entry entry{};
  for (std::size_t at = 0; at < TopicTimes::kCounts; ++at)
    layout::topic_latency(entry, at).fetch_add(1);
  for (std::size_t at = 0; at < TopicTimes::kCounts; ++at)
    CHECK(layout::topic_latency(entry, at).load() == 1);
}

TEST_CASE_FIXTURE(
    Measured,
    "times of topics: nothing is counted unless both who publishes and who subscribes were asked") {
  const std::uint32_t entry = joined();
  SUBCASE("neither") {
    for (int i = 0; i < 100; ++i) {
      REQUIRE(publish(*publisher, "a", "x") == 1);
      REQUIRE(topics::read(*subscriber, entry));
    }
    for (std::uint32_t slot = 0; slot < publisher->shape().slots(); ++slot)
      CHECK(publisher->memory().slot(slot).measured.load() == 0);
  }
  SUBCASE("who publishes") {
    for (int i = 0; i < 100; ++i) {
      published();
      REQUIRE(topics::read(*subscriber, entry));
    }
  }
  SUBCASE("who subscribes, where others have left marks in all slots") {
    const std::uint32_t slots = publisher->shape().slots();
    for (std::uint32_t i = 0; i < slots * kMeasuredEvery; ++i) {
      published();
      REQUIRE(topics::read(*subscriber, entry));
    }
    for (std::uint32_t i = 0; i < slots; ++i) {
      REQUIRE(publish(*publisher, "a", "x") == 1);
      REQUIRE(read(entry) == 1);
    }
  }
  CHECK(latencies().empty());
}

TEST_CASE_FIXTURE(
    Measured,
    "times of topics: a message is counted where the time is that it took, by a clock beside") {
  const std::uint32_t entry = joined();
  double were = 0;
  for (const bool in_place : {false, true}) {
    for (const std::uint64_t delay : {30'000ULL, 5'000'000ULL}) {
      const double before = latencies().empty() ? 0 : latencies().front().milliseconds;
      const std::string payload(in_place ? 2000 : 8, 'x');
      const std::uint64_t first = os::monotonic_ns();
      published(payload);
      const std::uint64_t made = os::monotonic_ns();
      os::sleep_ns(delay);
      const std::uint64_t reading = os::monotonic_ns();
      REQUIRE(read(entry, in_place) == 1);
      const std::uint64_t last = os::monotonic_ns();
      const double stands_for = were == 0 ? 1 : kMeasuredEvery;
      were += stands_for;
      REQUIRE(latencies().size() == 1);
      CHECK(std::string(latencies().front().side) == "subscriber");
      CHECK(latencies().front().index == entry);
      REQUIRE(count() == were);
      const double took = (latencies().front().milliseconds - before) / stands_for;
      CHECK(took >= static_cast<double>(reading - made) / 1e6 - 1e-6);
      CHECK(took <= static_cast<double>(last - first) / 1e6 + 1e-6);
      for (std::uint32_t i = 1; i < kMeasuredEvery; ++i)
        published();
      CHECK(read(entry, in_place) == kMeasuredEvery - 1);
      CHECK(count() == were);
    }
  }
}

TEST_CASE_FIXTURE(Measured,
                  "times of topics: each subscription counts its own, none what was published "
                  "before it came, and a new one begins anew") {
  published();
  SubscribeOptions replay;
  replay.replay.newest = 8;
  const std::uint32_t late = joined(replay);
  CHECK(read(late) == 1);
  CHECK(count() == 0);
  const std::uint32_t other = joined();
  for (std::uint32_t i = 0; i < kMeasuredEvery; ++i)
    published();
  CHECK(read(late) == kMeasuredEvery);
  CHECK(count() == kMeasuredEvery);
  CHECK(read(other) == kMeasuredEvery);
  CHECK(count() == 2 * kMeasuredEvery);
  subscriber->unsubscribe(late);
  CHECK(count() == kMeasuredEvery);
  REQUIRE(joined() == late);
  CHECK(count() == kMeasuredEvery);
}

TEST_CASE_FIXTURE(
    Measured, "times of topics: a full log, and one that is overwritten, count what was received") {
  const std::uint32_t entry = joined(overwriting());
  for (std::uint32_t i = 0; i < 4 * 256; ++i)
    published();
  std::uint32_t all = 0;
  while (const std::uint32_t some = read(entry))
    all += some;
  CHECK(all == 256);
  CHECK(count() == 256);
}

TEST_CASE_FIXTURE(Measured, "times of topics: a clock ahead of ours is not counted") {
  const std::uint32_t entry = joined();
  published();
  for (std::uint32_t slot = 0; slot < publisher->shape().slots(); ++slot)
    publisher->memory().slot(slot).measured_at.store(~std::uint64_t{0});
  CHECK(read(entry) == 1);
  CHECK(latencies().empty());
}

}  // namespace millrace::test::topics_times_test
