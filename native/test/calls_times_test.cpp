// How long calls take, as handles count it that were asked to: against delays that are known, from outside, and what is not to be counted.
#include <cstdint>
#include <string>
#include <vector>

#include <millrace/observe.hpp>
#include <millrace/rpc/call_meter.hpp>
#include <millrace/rpc/call_queue.hpp>

#include "calls_pair.hpp"

namespace millrace::test::calls_times_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

struct Measured : Pair {
  CallMeter asks{caller->store().memory()};
  CallMeter serves{server->store().memory()};

  [[nodiscard]] Ticket asked() {
    const std::uint64_t since = asks.asking();
    const Ticket ticket = called(7);
    asks.asked(since, &ticket);
    return ticket;
  }
  [[nodiscard]] Lease taken_call() {
    const Lease lease = taken();
    serves.taken(lease);
    return lease;
  }
  [[nodiscard]] Answered answered(Lease lease) {
    const Lease before = lease;
    const Answered done = server->answer(lease, 0, content(8, 8));
    serves.answered(before, done == Answered::yes);
    return done;
  }
  void heard() {
    Answer answer = outcome(Outcome::answered);
    asks.heard(answer.ticket, true);
    caller->release(answer);
  }
  void whole_call() {
    (void)asked();
    REQUIRE(answered(taken_call()) == Answered::yes);
    heard();
  }
  [[nodiscard]] ObservedLatency of(const std::string& side) const {
    auto all = observe_objects(name(), true);
    REQUIRE(all.size() == 1);
    for (const ObservedLatency& latency : all.front().latencies)
      if (latency.side == side) return latency;
    return {"", 0, 0, {}};
  }
  [[nodiscard]] double count(const std::string& side) const {
    double all = 0;
    for (const auto& bucket : of(side).buckets)
      all += bucket.count;
    return all;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Measured, "times of calls: of what nobody was asked for nothing is counted") {
  for (int i = 0; i < 100; ++i) {
    (void)called(7);
    Lease lease = taken();
    REQUIRE(server->answer(lease, 0, content(8, 8)) == Answered::yes);
    Answer answer = outcome(Outcome::answered);
    caller->release(answer);
  }
  for (const auto& duty : caller->store().memory().control().duties)
    for (const auto& time : duty.times)
      CHECK(time.load() == 0);
}

TEST_CASE_FIXTURE(
    Measured,
    "times of calls: both are counted where the time is that they took, by a clock beside") {
  double were = 0;
  for (const std::uint64_t delay : {30'000ULL, 5'000'000ULL}) {
    const double before = of("client").milliseconds;
    const double before_service = of("server").milliseconds;
    const std::uint64_t first = os::monotonic_ns();
    (void)asked();
    const std::uint64_t made = os::monotonic_ns();
    os::sleep_ns(delay);
    const std::uint64_t taking = os::monotonic_ns();
    const Lease lease = taken_call();
    const std::uint64_t had = os::monotonic_ns();
    os::sleep_ns(delay);
    const std::uint64_t answering = os::monotonic_ns();
    REQUIRE(answered(lease) == Answered::yes);
    const std::uint64_t gone = os::monotonic_ns();
    heard();
    const std::uint64_t last = os::monotonic_ns();
    const double stands_for = were == 0 ? 1 : kMeasuredEvery;
    were += stands_for;
    REQUIRE(count("client") == were);
    REQUIRE(count("server") == were);
    const double took = (of("client").milliseconds - before) / stands_for;
    const double served = (of("server").milliseconds - before_service) / stands_for;
    CHECK(took >= static_cast<double>(gone - made) / 1e6 - 1e-6);
    CHECK(took <= static_cast<double>(last - first) / 1e6 + 1e-6);
    CHECK(served >= static_cast<double>(answering - had) / 1e6 - 1e-6);
    CHECK(served <= static_cast<double>(gone - taking) / 1e6 + 1e-6);
    for (std::uint32_t i = 1; i < kMeasuredEvery; ++i)
      whole_call();
    CHECK(count("client") == were);
    CHECK(count("server") == were);
  }
}

TEST_CASE_FIXTURE(Measured,
                  "times of calls: neither what was withdrawn is counted, nor what nobody wanted "
                  "to know, nor what was not made") {
  asks.asked(asks.asking(), nullptr);
  // The next one stands for that one as well.
  const Ticket ticket = asked();
  const Lease lease = taken_call();
  REQUIRE(caller->withdraw(ticket) == Withdrawn::running);
  asks.heard(ticket, false);
  CHECK(answered(lease) == Answered::unwanted);
  CHECK(count("client") == 0);
  CHECK(count("server") == 0);
  for (std::uint32_t i = 0; i < kMeasuredEvery; ++i)
    whole_call();
  CHECK(count("client") == kMeasuredEvery);
  CHECK(count("server") == kMeasuredEvery);
}

TEST_CASE_FIXTURE(Measured,
                  "times of calls: one is told from the next in its slot, and those that find no "
                  "place are left to the next") {
  constexpr std::uint32_t most = 64;
  std::vector<Ticket> tickets;
  // The first of each 64 is measured: as many are in flight as are remembered, and more.
  for (std::uint32_t i = 0; i < 128; ++i)
    tickets.push_back(asked());
  for (std::uint32_t i = 0; i < 128; ++i)
    REQUIRE(answered(taken_call()) == Answered::yes);
  CHECK(count("client") == 0);
  CHECK(count("server") == most + 1);
  // An outcome of another call in that slot is not its own.
  Ticket other = tickets.front();
  ++other.born;
  asks.heard(other, true);
  CHECK(count("client") == 0);
  for (std::uint32_t i = 0; i < 128; ++i)
    heard();
  // The place of the 65th was taken by the first: the 66th stands for it as well.
  CHECK(count("client") == most + 2);
}

}  // namespace millrace::test::calls_times_test
