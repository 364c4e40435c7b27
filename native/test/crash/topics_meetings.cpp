// Two who meet on topics: one stands still at a point in the middle of a step while the other plays its whole part, and goes on.
#include <poll.h>

#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <millrace/topics/topic_bus.hpp>

#include "../topics.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_meetings {

using namespace millrace::test::topics;

namespace {

struct Meeting : Names {
  Meeting() {
    for (Bus* bus : {&one, &other})
      *bus = open(spec_of(name(), 8));
  }
  ~Meeting() { crash::disarm(); }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  // Whoever comes there next lets the other one publish so many numbers first.
  void at(const char* point, std::uint64_t count, const char* subject = "x") {
    REQUIRE(crash::arm(point, 1, [this, count, subject] {
      for (std::uint64_t i = 0; i < count; ++i)
        (void)publish(*other, subject, next++);
      met = true;
    }));
  }

  Bus one;
  Bus other;
  std::uint64_t next = 0;
  bool met = false;
};

}  // namespace

TEST_CASE_FIXTURE(Meeting,
                  "promise: topics – who is overwritten while it copies delivers nothing of it") {
  const std::uint32_t entry = join(*one, {"x"}, overwriting());
  for (int i = 0; i < 4; ++i)
    REQUIRE(publish(*other, "x", next++) == 1);
  at("topics.read.copied", 20);
  std::uint64_t seen = 0;
  std::uint64_t missed = 0;
  while (const auto got = read(*one, entry)) {
    missed += got->missed;
    CHECK(got->number() == seen + missed);
    ++seen;
  }
  CHECK(met);
  CHECK(missed >= 12);
  CHECK(seen + missed == 24);
}

// In a log that is evicted from by fours, so that one can have read a part of what goes.
TEST_CASE_FIXTURE(Names,
                  "promise: topics – what was counted for all is not added for who has read on "
                  "meanwhile") {
  const TopicSpec spec = spec_of(name(), 32);
  const Bus one = open(spec);
  const Bus other = open(spec);
  const std::uint32_t reads = join(*one, {"x"}, overwriting());
  const std::uint32_t sleeps = join(*one, {">"}, overwriting());
  std::uint64_t next = 0;
  while (next < 32)
    REQUIRE(publish(*other, "x", next++) == 2);
  bool met = false;
  REQUIRE(crash::arm("topics.losses.counted", 1, [&] {
    const auto got = read(*one, reads);
    met = got && got->number() == 0 && got->missed == 0;
  }));
  REQUIRE(publish(*other, "x", next++) == 2);
  crash::disarm();
  CHECK(met);
  std::uint64_t seen = 1;
  std::uint64_t missed = 0;
  while (const auto got = read(*one, reads)) {
    missed += got->missed;
    CHECK(got->number() == seen + missed);
    ++seen;
  }
  CHECK(missed == 3);
  CHECK(seen + missed == 33);
  const std::vector<Got> all = read_all(*one, sleeps);
  REQUIRE(!all.empty());
  CHECK(all[0].missed == 4);
  CHECK(all.size() == 29);
}

TEST_CASE_FIXTURE(Meeting,
                  "promise: topics – who is overwritten while it pins holds nothing, and delivers "
                  "nothing of it") {
  const std::uint32_t entry = join(*one, {"x"}, overwriting());
  const std::string large(1000, 'L');
  REQUIRE(publish(*other, "x", large) == 1);
  at("topics.pin.stored", 20);
  TopicMessage message;
  std::vector<std::byte> target(4096);
  REQUIRE(one->read(entry, &message, 1, target, true) == 1);
  CHECK(met);
  CHECK(message.pin == TopicMessage::kCopied);
  CHECK(message.missed + 8 == 21);
  CHECK(unaccounted(*one) == "");
}

TEST_CASE_FIXTURE(
    Meeting,
    "promise: topics – a publisher that stands before its commit holds up nobody, and comes last") {
  const std::uint32_t entry = join(*one, {"x", "late"}, overwriting());
  at("topics.commit.indexed", 30);
  REQUIRE(publish(*one, "late", "late") == 1);
  CHECK(met);
  const std::vector<Got> got = read_all(*one, entry);
  REQUIRE(!got.empty());
  CHECK(got.back().payload == "late");
  CHECK(got.back().index == 30);
  CHECK(got[0].missed + got.size() == 31);
  CHECK(unaccounted(*one) == "");
}

TEST_CASE_FIXTURE(
    Meeting,
    "promise: topics – who comes late with the last message of a subject changes nothing") {
  at("topics.commit.done", 30);
  REQUIRE(publish(*one, "x", 99) == 0);
  CHECK(met);
  const std::uint64_t last = one->memory().subject(must(one->subject("x"))).last.load();
  CHECK(layout::number_of_last(last) == 31);
  CHECK(unaccounted(*one) == "");
}

TEST_CASE_FIXTURE(Meeting,
                  "promise: topics – a message that goes before its publisher has said so is the "
                  "last of its subject") {
  at("topics.commit.done", 30, "y");
  REQUIRE(publish(*one, "x", 99) == 0);
  CHECK(met);
  const std::uint64_t last = one->memory().subject(must(one->subject("x"))).last.load();
  CHECK(layout::number_of_last(last) == 1);
  CHECK(unaccounted(*one) == "");
}

// An evictor has been allowed to take a message, and stands. A subscription joins that is to get it, and while it reads the evictor
// goes on. It does not move the subscription, which was not there when it looked.
TEST_CASE_FIXTURE(Meeting,
                  "promise: topics – what goes under a subscription that joined meanwhile is not "
                  "mistaken for another message") {
  for (const char* const point : {"topics.read.found", "topics.pin.stored"}) {
    CAPTURE(point);
    const bool in_place = std::string_view(point) == "topics.pin.stored";
    const std::size_t size = in_place ? 1000 : 64;
    for (int i = 0; i < 8; ++i)
      REQUIRE(publish(*other, "x", std::string(size, static_cast<char>('0' + i))) == 0);
    std::atomic<bool> stands{false};
    std::atomic<bool> go{false};
    REQUIRE(crash::arm("topics.evict.said", 1, [&] {
      stands.store(true);
      while (!go.load())
        os::sleep_ns(100'000);
    }));
    std::thread evictor([&] { (void)publish(*other, "y", std::string(size, 'y')); });
    CHECK(eventually([&] { return stands.load(); }));
    SubscribeOptions options;
    options.replay.newest = 8;
    const std::uint32_t entry = join(*one, {"x"}, options);
    CHECK(crash::arm(point, 1, [&] {
      go.store(true);
      evictor.join();
      met = true;
    }));
    std::vector<std::byte> target(4096);
    TopicMessage message;
    CHECK(one->read(entry, &message, 1, target, in_place) == 1);
    CHECK(met);
    if (!met) {
      go.store(true);
      evictor.join();
    }
    met = false;
    const std::byte* const at = message.pin == TopicMessage::kCopied
                                    ? target.data() + message.at
                                    : one->data()->data() + message.at;
    CHECK(static_cast<char>(*at) == '1');  // the first that is still there
    CHECK(message.missed == 0);
    one->release(message.pin);
    one->unsubscribe(entry);
    while (counted(*one, layout::TopicCount::published) % 8 != 0)
      REQUIRE(publish(*other, "x", "x") == 0);
    CHECK(unaccounted(*one) == "");
  }
}

TEST_CASE_FIXTURE(Meeting,
                  "promise: topics – an evictor that stands between its steps holds up nobody, and "
                  "breaks nothing") {
  for (const char* const point :
       {"topics.evict.said", "topics.evict.emptied", "topics.last.replaced", "topics.slot.free"}) {
    CAPTURE(point);
    for (int i = 0; i < 8; ++i)
      REQUIRE(publish(*one, "x", next++));
    met = false;
    at(point, 30);
    REQUIRE(publish(*one, "x", next++));
    CHECK(met);
    CHECK(unaccounted(*one) == "");
  }
}

TEST_CASE_FIXTURE(Meeting,
                  "promise: topics – who joins with what is there loses nothing of it to one who "
                  "has looked before") {
  for (int i = 0; i < 8; ++i)
    REQUIRE(publish(*one, "x", next++) == 0);
  std::uint32_t entry = 0;
  REQUIRE(crash::arm("topics.floor.scanned", 1, [&] {
    SubscribeOptions options;
    options.replay.newest = 8;
    entry = join(*other, {"x"}, options);
    met = true;
  }));
  CHECK_FALSE(publish(*one, "x", next).has_value());
  REQUIRE(met);
  const std::vector<Got> got = read_all(*other, entry);
  REQUIRE(got.size() == 8);
  for (std::uint64_t i = 0; i < 8; ++i)
    CHECK(got[i].number() == i);
  CHECK(publish(*one, "x", next) == 1);
}

// In a log that is evicted from by fours. Who evicts has found that nobody wants what is to go; then somebody joins who does.
TEST_CASE_FIXTURE(
    Names,
    "promise: topics – who reads already is not moved on by one who has looked before "
    "it joined") {
  for (const auto policy : {layout::TopicPolicy::wait, layout::TopicPolicy::overwrite}) {
    const bool waits = policy == layout::TopicPolicy::wait;
    CAPTURE(waits);
    const TopicSpec spec = spec_of(name() + (waits ? ".waits" : ".overwritten"), 32);
    const Bus one = open(spec);
    const Bus other = open(spec);
    std::uint64_t next = 0;
    while (next < 32)
      REQUIRE(publish(*one, "x", next++) == 0);
    SubscribeOptions options;
    options.policy = policy;
    options.replay.newest = 32;
    std::uint32_t entry = 0;
    std::uint64_t seen = 0;
    REQUIRE(crash::arm("topics.wanted.found", 1, [&] {
      entry = join(*other, {"x"}, options);
      for (; seen < 2; ++seen) {
        const auto got = read(*other, entry);
        CHECK((got && got->number() == seen && got->missed == 0));
      }
    }));
    CHECK(publish(*one, "x", next++) == 1);
    crash::disarm();
    REQUIRE(seen == 2);
    std::uint64_t missed = 0;
    while (const auto got = read(*other, entry)) {
      missed += got->missed;
      CHECK(got->number() == seen + missed);
      ++seen;
    }
    CHECK(seen + missed == 33);
    CHECK(missed == (waits ? 0 : 2));
  }
}

// The floor is at 4. Who evicts may take 1, and stands; another one joins with what is there, which lowers the floor to 1.
TEST_CASE_FIXTURE(Names,
                  "promise: topics – who joins gets the last message of a subject also if it goes "
                  "meanwhile, and others join") {
  const TopicSpec spec = spec_of(name(), 32);
  const Bus one = open(spec);
  const Bus other = open(spec);
  SubscribeOptions all;
  all.replay.newest = 32;
  std::uint32_t others = ~0U;
  REQUIRE(crash::arm("topics.join.placed", 1, [&] {
    for (std::uint64_t i = 0; i < 33; ++i)
      CHECK(publish(*other, i == 1 ? "rare" : "x", i) == 0);
    CHECK(crash::arm("topics.evict.said", 1, [&] { others = join(*other, {">"}, all); }));
    CHECK(publish(*other, "x", 33).has_value());
  }));
  SubscribeOptions last;
  last.replay.last = true;
  const std::uint32_t entry = join(*one, {">"}, last);
  crash::disarm();
  REQUIRE(others != ~0U);
  const std::vector<Got> got = read_all(*one, entry);
  REQUIRE(!got.empty());
  CHECK(one->subject_text(got[0].subject) == "rare");
  CHECK(got[0].number() == 1);
  CHECK(got.back().number() == 33);
}

TEST_CASE_FIXTURE(
    Meeting,
    "promise: topics – who joins while the log goes round gets all that comes afterwards") {
  for (const char* const point : {"topics.join.rows", "topics.join.placed", "topics.join.live"}) {
    CAPTURE(point);
    met = false;
    at(point, 30);
    const std::uint32_t entry = join(*one, {"x"});
    CHECK(met);
    while (read(*one, entry)) {
    }
    for (std::uint64_t i = 0; i < 100; ++i) {
      REQUIRE(publish(*other, "x", next) == 1);
      const auto got = read(*one, entry);
      REQUIRE(got);
      CHECK(got->number() == next++);
      CHECK(got->missed == 0);
    }
    one->unsubscribe(entry);
  }
}

// A process publishes, and is killed at that point.
void die_publishing(const std::string& name, const char* point) {
  Child victim([&] {
    auto opened = TopicBus::open(spec_of(name, 8), soon());
    CHILD_EXPECT(opened.ok());
    CHILD_EXPECT(crash::arm(point, 1));
    (void)publish(*opened.value(), "x", "last words");
    return 1;
  });
  REQUIRE(victim.wait() == -SIGKILL);
}

TEST_CASE(
    "promise: topics – who sleeps learns soon of a message whose publisher died before it woke "
    "anybody") {
  const Names names;
  const os::Doorbell bell = names.bell();
  TopicSpec spec = spec_of(names.name(), 8);
  spec.doorbell = bell.id();
  const Bus sleeper = open(spec);
  const std::uint32_t entry = join(*sleeper, {"x"});
  for (const char* const point :
       {"topics.commit.done", "topics.publish.last", "topics.wake.found", "waiting.wake.owed"}) {
    CAPTURE(point);
    // As JavaScript sleeps: parked, and a look every 20 ms as long as it is a lookout.
    sleeper->park_on_bell(kForMessages, WakeAddress{bell.id(), 7});
    REQUIRE_FALSE(sleeper->ready(entry));
    (void)sleeper->keep_watch();
    die_publishing(names.name(), point);
    const std::uint64_t died = os::monotonic_ns();
    pollfd waits{bell.fd(), POLLIN, 0};
    const os::Deadline deadline = os::Deadline::after(kPatienceNs);
    bool rung = false;
    while (!rung && !deadline.passed()) {
      const bool watches = sleeper->keep_watch();
      rung = ::poll(&waits, 1, watches ? static_cast<int>(TopicBus::kLookMs) : 100) == 1;
      if (!rung && watches) (void)sleeper->look();
      // Who buries the dead looks itself.
      rung = rung || sleeper->facts().seats == 1;
    }
    CHECK(rung);
    CHECK(os::monotonic_ns() - died < kPatienceNs);
    sleeper->unpark();
    CHECK(read(*sleeper, entry)->payload == "last words");
    std::array<char, 4096> bytes{};
    while (::poll(&waits, 1, 0) == 1 && ::read(bell.fd(), bytes.data(), bytes.size()) > 0) {
    }
  }
}

// After a second of silence nobody keeps watch. So the publisher calls one that the message is for, before its commit.
TEST_CASE(
    "promise: topics – who sleeps learns soon of the first message after a pause whose publisher "
    "died before it woke anybody") {
  const Names names;
  const os::Doorbell bell = names.bell();
  TopicSpec spec = spec_of(names.name(), 8);
  spec.doorbell = bell.id();
  const Bus sleeper = open(spec);
  const std::uint32_t entry = join(*sleeper, {"x"});
  const auto lie_down = [&] {
    sleeper->park_on_bell(kForMessages, WakeAddress{bell.id(), 7});
    return sleeper->keep_watch();
  };
  for (const char* const point :
       {"topics.lookout.called", "topics.commit.done", "waiting.wake.owed"}) {
    CAPTURE(point);
    bool watches = lie_down();
    for (const os::Deadline end = soon(); watches && !end.passed(); watches = sleeper->keep_watch())
      os::sleep_ns(TopicBus::kLookMs * kMillisecond);
    REQUIRE_FALSE(watches);
    const bool is_published = std::string_view(point) != "topics.lookout.called";
    die_publishing(names.name(), point);
    const std::uint64_t died = os::monotonic_ns();
    pollfd waits{bell.fd(), POLLIN, 0};
    const os::Deadline deadline = os::Deadline::after(kPatienceNs);
    // As JavaScript sleeps: rung, it looks and lies down again; a lookout looks for the dead as well.
    const auto over = [&] {
      return is_published ? sleeper->ready(entry) && sleeper->facts().seats == 1
                          : sleeper->facts().seats == 1;
    };
    while (!over() && !deadline.passed()) {
      const int slice = watches ? static_cast<int>(TopicBus::kLookMs) : 100;
      if (::poll(&waits, 1, slice) == 1) {
        (void)bell.drain([](std::uint64_t) {});
        watches = lie_down();
      } else if (watches) {
        (void)sleeper->look();
        watches = sleeper->keep_watch();
      }
    }
    CHECK(over());
    CHECK(os::monotonic_ns() - died < kPatienceNs);
    sleeper->unpark();
    if (is_published) CHECK(read(*sleeper, entry)->payload == "last words");
    CHECK_FALSE(sleeper->ready(entry));
    (void)bell.drain([](std::uint64_t) {});
  }
}

}  // namespace millrace::test::topics_meetings
