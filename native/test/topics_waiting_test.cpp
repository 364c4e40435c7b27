// Topics: who sleeps, and is woken by a message or by room.
#include <poll.h>

#include <atomic>
#include <string>
#include <vector>

#include "topics.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_waiting_test {

using namespace millrace::test::topics;

namespace {

// Fills the log for a subscriber that waits.
void fill(TopicBus& bus) {
  while (publish(bus, "x", 1)) {
  }
}
// In a child: sleeps in the kernel until there is room, without a look in between, and publishes.
int publish_when_woken(const TopicSpec& spec, std::atomic<std::uint32_t>& asleep) {
  auto opened = TopicBus::open(spec, soon());
  CHILD_EXPECT(opened.ok());
  const Bus bus = opened.take();
  bus->park_on_futex(kForTopicRoom);
  if (publish(*bus, "x", "got in")) return 1;  // there was room
  asleep.store(1);
  bus->sleep(20 * kSecond);
  bus->unpark();
  return publish(*bus, "x", "got in") ? 0 : 2;
}

}  // namespace

TEST_CASE(
    "topics: a subscriber that sleeps is woken by what it is interested in, and by nothing else") {
  const Names names;
  const os::Doorbell bell = names.bell();
  TopicSpec spec = spec_of(names.name());
  const Bus bus = open(spec);
  spec.doorbell = bell.id();
  const Bus sleeper = open(spec);
  const std::uint32_t entry = join(*sleeper, {"x"});
  sleeper->park_on_bell(kForMessages, WakeAddress{bell.id(), 7});
  for (std::uint64_t i = 0; i < 500; ++i)
    REQUIRE(publish(*bus, "of.no.interest", i) == 0);
  CHECK(sleeper->parked());
  pollfd waits{bell.fd(), POLLIN, 0};
  CHECK(::poll(&waits, 1, 0) == 0);
  REQUIRE(publish(*bus, "x", "wake up") == 1);
  CHECK_FALSE(sleeper->parked());
  CHECK(::poll(&waits, 1, 20'000) == 1);
  sleeper->unpark();
  CHECK(read(*sleeper, entry)->payload == "wake up");
}

TEST_CASE(
    "topics: a subscriber in another process sleeps in the kernel, and each message wakes it") {
  const Names names;
  const TopicSpec spec = spec_of(names.name());
  const Bus bus = open(spec);
  const Shared<std::atomic<std::uint64_t>> got;
  const Shared<std::atomic<std::uint64_t>> asleep;
  constexpr std::uint64_t count = 200;
  Child child([&] {
    auto opened = TopicBus::open(spec, soon());
    CHILD_EXPECT(opened.ok());
    const Bus own = opened.take();
    const std::string_view filter = "x";
    auto entry = own->subscribe({&filter, 1}, {});
    CHILD_EXPECT(entry.ok());
    for (std::uint64_t i = 0; i < count; ++i) {
      own->park_on_futex(kForMessages);
      asleep->store(i + 1);
      const os::Deadline deadline = soon();
      if (!own->ready(entry.value())) own->sleep(20 * kSecond);
      CHILD_EXPECT(!deadline.passed());  // woken, and not because the time was over
      own->unpark();
      const auto message = read(*own, entry.value());
      CHILD_EXPECT(message && message->number() == i);
      got->store(i + 1);
    }
    return 0;
  });
  for (std::uint64_t i = 0; i < count; ++i) {
    REQUIRE(eventually([&] { return asleep->load() == i + 1; }));
    REQUIRE(publish(*bus, "x", i) == 1);
    REQUIRE(eventually([&] { return got->load() == i + 1; }));
  }
  CHECK(child.wait() == 0);
}

TEST_CASE("topics: who waits for room is woken by a reader, and by one that leaves") {
  const Names names;
  const TopicSpec spec = spec_of(names.name(), 8);
  const Bus reader = open(spec);
  for (const bool leaves : {false, true}) {
    CAPTURE(leaves);
    const std::uint32_t entry = join(*reader, {"x"});
    fill(*reader);
    const Shared<std::atomic<std::uint32_t>> asleep;
    Child child([&] { return publish_when_woken(spec, *asleep); });
    REQUIRE(eventually([&] { return asleep->load() == 1; }));
    const std::uint64_t begun = os::monotonic_ns();
    if (leaves) {
      reader->unsubscribe(entry);
    } else {
      REQUIRE(read(*reader, entry));
    }
    CHECK(child.wait() == 0);
    CHECK(os::monotonic_ns() - begun < 10 * kSecond);
    reader->unsubscribe(entry);
  }
  CHECK(counted(*reader, layout::TopicCount::waits) == 2);
}

TEST_CASE(
    "promise: topics – a subscriber that is killed holds up publishers no longer than they look "
    "for the dead") {
  const Names names;
  const TopicSpec spec = spec_of(names.name(), 8);
  const Bus bus = open(spec);
  const Shared<std::atomic<std::uint32_t>> ready;
  Child child([&] {
    auto opened = TopicBus::open(spec, soon());
    CHILD_EXPECT(opened.ok());
    const std::string_view filter = ">";
    CHILD_EXPECT(opened.value()->subscribe({&filter, 1}, {}).ok());
    ready->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  fill(*bus);
  child.kill();
  const std::uint64_t begun = os::monotonic_ns();
  bool done = false;
  while (!done && os::monotonic_ns() - begun < 10 * kSecond) {
    done = bus->wait(kForTopicRoom, 0, kSliceNs,
                     [&] { return publish(*bus, "x", "at last").has_value(); });
  }
  CHECK(done);
  // 100 ms is what is promised; the rest is for a machine that is busy.
  CHECK(os::monotonic_ns() - begun < 2 * kSecond);
  CHECK(bus->facts().entries == 0);
}

}  // namespace millrace::test::topics_waiting_test
