// Channels seen from outside: their numbers are those that their users know, also when all are dead, and nobody notices.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <millrace/cell.hpp>
#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>
#include <millrace/observe.hpp>
#include <millrace/queue.hpp>
#include <millrace/sync/counter.hpp>
#include <millrace/sync/mutex.hpp>
#include <millrace/topics/topic_bus.hpp>
#include <millrace/work/work_queue.hpp>

#include "fixture.hpp"
#include "topics.hpp"

namespace millrace::test::observe_test {

using namespace millrace;
using namespace millrace::test;

namespace {

double figure(const Figures& figures, std::string_view name) {
  for (const Figure& one : figures) {
    if (one.name == name) return one.value;
  }
  FAIL("there is no figure " << name);
  return 0;
}

struct Observed : Names {
  // Jobs are left in one, and another one is damaged.
  ~Observed() {
    for (const char letter : {'q', 'j'})
      (void)unlink_channel(letter, name());
  }
  [[nodiscard]] std::vector<Observation> all() const { return observe_objects(name("")); }
  [[nodiscard]] Observation only() const {
    auto found = all();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  [[nodiscard]] double of(std::string_view what) const { return figure(only().figures, what); }

  [[nodiscard]] QueueSpec queue() const {
    QueueSpec spec;
    spec.place = name();
    spec.capacity = 4096;
    return spec;
  }
  // All bytes of an object.
  [[nodiscard]] static std::string bytes_of(const std::string& object) {
    auto opened = os::open_object(object, os::Access::read_only);
    REQUIRE(opened.ok());
    const int fd = opened.value().get();
    struct stat status {};
    REQUIRE(::fstat(fd, &status) == 0);
    std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
    REQUIRE(os::read_object(fd, 0, bytes.data(), bytes.size()) == bytes.size());
    return bytes;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Observed,
                  "observe: a queue, with messages and without, and when both sides are dead") {
  {
    auto consumer = must(QueueConsumer::open(queue(), soon()));
    auto producer = must(QueueProducer::open(queue(), soon()));
    CHECK(of("sent") == 0);
    for (int i = 0; i < 3; ++i)
      REQUIRE(producer->try_push("12345", 5) == RingStatus::ok);
    consumer->release(consumer->peek());
    CHECK(of("sent") == 3);
    CHECK(of("received") == 1);
    CHECK(of("messages") == 2);
    CHECK(of("bytes") == 2 * 16);
    CHECK(of("sentBytes") == 3 * 16);
    CHECK(of("capacity") == 4096);
    CHECK(only().object.holders.size() == 2);
  }
  Child child([this] {
    auto producer = must(QueueProducer::open(queue(), soon()));
    CHILD_EXPECT(producer->try_push("1", 1) == RingStatus::ok);
    ::_exit(0);
    return 0;
  });
  CHECK(child.wait() == 0);
  CHECK(of("sent") >= 1);
  CHECK(only().object.condition != Condition::in_use);
}

TEST_CASE_FIXTURE(
    Observed, "observe: not a byte of a channel changes, and nobody is on it more than before") {
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto producer = must(QueueProducer::open(queue(), soon()));
  REQUIRE(producer->try_push("12345", 5) == RingStatus::ok);
  const std::string object = object_name_of('q', name());
  const std::string before = bytes_of(object);
  for (int i = 0; i < 100; ++i)
    (void)all();
  CHECK(bytes_of(object) == before);
  // Both may come and go at once: nobody holds a lock.
  consumer->close(true);
  producer->close(true);
  CHECK(all().empty());
}

TEST_CASE_FIXTURE(Observed,
                  "observe: words that change all their bits at once are never seen half") {
  CounterSpec spec;
  spec.place = name();
  auto counter = must(Counter::open(spec, soon()));
  Shared<std::atomic<int>> state;
  Child child([&] {
    // Of the same memory, as another process has it.
    auto mine = must(Counter::open(spec, soon()));
    state->store(1);
    for (std::int64_t i = 0; state->load() == 1; ++i)
      mine->set((i & 1) == 0 ? 0x1'0000'0001 : 0x2'0000'0002);
    return 0;
  });
  REQUIRE(eventually([&] { return state->load() == 1; }));
  int seen = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double value = of("value");
    REQUIRE((value == 0 || value == double(0x1'0000'0001) || value == double(0x2'0000'0002)));
    seen |= value == double(0x1'0000'0001) ? 1 : 2;
  }
  state->store(2);
  CHECK(child.wait() == 0);
  CHECK(seen == 3);
}

TEST_CASE_FIXTURE(Observed, "observe: frames, and how far each reader is behind") {
  FrameWriterSpec spec;
  spec.place = name();
  spec.geometry = {64, 8, 4, 0, 64};
  const auto writer = must(FrameWriter::open(spec, soon()));
  FrameReaderSpec reads;
  reads.place = name();
  const auto fast = must(FrameReader::open(reads, soon()));
  reads.policy = layout::Policy::drop_newest;
  reads.depth = 2;
  const auto slow = must(FrameReader::open(reads, soon()));
  for (int i = 0; i < 4; ++i) {
    const auto slot = writer->try_loan();
    REQUIRE(slot.has_value());
    (void)writer->publish(*slot, 10, 0);
    const ReceivedFrame frame = fast->receive();
    REQUIRE(frame.status == ReceivedFrame::Status::ok);
    REQUIRE(fast->release(frame.slot, frame.sequence));
  }
  const Observation seen = only();
  CHECK(figure(seen.figures, "published") == 4);
  CHECK(figure(seen.figures, "received") == 4);
  CHECK(figure(seen.figures, "queued") == 2);
  CHECK(figure(seen.figures, "dropped") == 2);
  CHECK(figure(seen.figures, "newestBytes") == 10);
  CHECK(figure(seen.figures, "newestAge") >= 0);
  REQUIRE(seen.parts.size() == 2);
  CHECK(figure(seen.parts[0].figures, "queued") == 0);
  CHECK(figure(seen.parts[1].figures, "queued") == 2);
  CHECK(std::string(seen.parts[1].policy) == "drop-newest");
  CHECK(seen.parts[0].pid == static_cast<std::uint32_t>(::getpid()));
}

TEST_CASE_FIXTURE(Observed, "observe: jobs by their states, and what each user has in hand") {
  WorkSpec spec;
  spec.place = name();
  const auto queue = must(WorkQueue::open(spec, soon()));
  for (int i = 0; i < 3; ++i)
    REQUIRE(queue->try_push(std::as_bytes(std::span("job", 3)), {}) == Pushed::yes);
  Lease lease;
  const os::Deadline deadline = soon();
  while (!lease && !deadline.passed())
    lease = queue->wait_for_job(0, true, 0, deadline.left_ns());
  const Observation seen = only();
  const auto counts = queue->store().counts();
  CHECK(figure(seen.figures, "ready") == counts.ready);
  CHECK(figure(seen.figures, "leased") == counts.leased);
  CHECK(figure(seen.figures, "free") == counts.free);
  CHECK(figure(seen.figures, "pushed") == 3);
  CHECK(figure(seen.figures, "taken") == 1);
  CHECK(figure(seen.figures, "oldestAge") >= 0);
  CHECK(figure(seen.figures, "handles") == 1);
  REQUIRE(seen.parts.size() == 1);
  CHECK(figure(seen.parts[0].figures, "inHand") == 1);
  CHECK(seen.parts[0].pid == static_cast<std::uint32_t>(::getpid()));
}

TEST_CASE_FIXTURE(Observed,
                  "observe: topics, what is in the log, and how far each subscription is behind") {
  const auto bus = topics::open(topics::spec_of(name(), 8));
  const std::uint32_t all_of_it = topics::join(*bus, {"a.>"}, topics::overwriting());
  const std::uint32_t some = topics::join(*bus, {"a.b", "c"});
  for (std::uint64_t round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 6; ++i)
      REQUIRE(topics::publish(*bus, i % 2 == 0 ? "a.b" : "a.x", i).has_value());
    const Observation seen = only();
    const TopicFacts facts = bus->facts();
    CHECK(figure(seen.figures, "messages") == facts.messages);
    CHECK(figure(seen.figures, "published") == 6 * (round + 1));
    CHECK(figure(seen.figures, "evicted") ==
          facts.counts[static_cast<std::size_t>(layout::TopicCount::evicted)]);
    CHECK(figure(seen.figures, "subscriptions") == 2);
    REQUIRE(seen.parts.size() == 2);
    CHECK(seen.parts[0].name == "a.>");
    CHECK(seen.parts[1].name == "a.b,c");
    CHECK(figure(seen.parts[0].figures, "lag") == facts.messages);
    CHECK(topics::read_all(*bus, some).size() == 3);
    CHECK(figure(only().parts[1].figures, "received") == 3 * (round + 1));
    CHECK(figure(only().parts[1].figures, "lag") == 0);
  }
  (void)topics::read_all(*bus, all_of_it);
  const Observation seen = only();
  CHECK(figure(seen.parts[0].figures, "lag") == 0);
  CHECK(figure(seen.parts[0].figures, "received") + figure(seen.parts[0].figures, "missed") == 18);
}

TEST_CASE_FIXTURE(Observed, "observe: who holds a lock, and who waits for it") {
  PartyOptions options;
  options.place = name();
  const auto mutex = must(Mutex::open(options, soon()));
  CHECK(of("holders") == 0);
  REQUIRE(mutex->try_lock() == LockStatus::held);
  const Observation seen = only();
  CHECK(figure(seen.figures, "holders") == 1);
  CHECK(figure(seen.figures, "exclusive") == 1);
  CHECK(figure(seen.figures, "waiting") == 0);
  REQUIRE(seen.parts.size() == 1);
  CHECK(seen.parts[0].pid == static_cast<std::uint32_t>(::getpid()));
}

TEST_CASE_FIXTURE(Observed, "observe: how often and how long each side has waited, and waits now") {
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto producer = must(QueueProducer::open(queue(), soon()));
  CHECK(only().waits.empty());
  REQUIRE_FALSE(consumer->wait_data(0, 2'000'000));
  Observation seen = only();
  REQUIRE(seen.waits.size() == 1);
  const double first = seen.waits[0].milliseconds;
  CHECK(std::string_view(seen.waits[0].side) == "consumer");
  CHECK(seen.waits[0].waits == 1);
  CHECK(first >= 2);
  CHECK_FALSE(seen.waits[0].since);
  // However often it lies down, it is one wait.
  REQUIRE(consumer->park({}));
  os::sleep_ns(3'000'000);
  REQUIRE(consumer->park({}));
  REQUIRE(only().waits[0].since);
  CHECK(*only().waits[0].since >= 3);
  CHECK(only().waits[0].waits == 1);
  REQUIRE(producer->try_push("1", 1) == RingStatus::ok);
  consumer->side().sleeper().unpark();
  consumer->side().sleeper().unpark();
  seen = only();
  CHECK(seen.waits[0].waits == 2);
  CHECK(seen.waits[0].milliseconds >= first);
  CHECK_FALSE(seen.waits[0].since);
  std::uint32_t counted = 0;
  for (const std::uint32_t times : seen.waits[0].times)
    counted += times;
  CHECK(counted == 2);
  // Whoever comes next goes on counting, and has not begun to wait.
  REQUIRE_FALSE(consumer->park({}));
  consumer->release(consumer->peek());
  REQUIRE(consumer->park({}));
  producer->close(false);
  consumer->close(false);
  CHECK(all().empty());
}

TEST_CASE("waits are counted by powers of two, from 8 microseconds on") {
  CHECK(layout::wait_time_of(0) == 0);
  CHECK(layout::wait_time_of(8'000) == 0);
  CHECK(layout::wait_time_of(8'001) == 1);
  CHECK(layout::wait_time_of(16'000) == 1);
  CHECK(layout::wait_time_of(16'001) == 2);
  CHECK(layout::wait_time_of(8'000ULL << 16U) == 16);
  CHECK(layout::wait_time_of((8'000ULL << 16U) + 1) == 17);
  CHECK(layout::wait_time_of(~std::uint64_t{0}) == 17);
}

TEST_CASE_FIXTURE(Observed,
                  "observe: what was cut short, is nonsense, or is of another layout has no "
                  "figures, and harms nobody") {
  const std::string object = object_name_of('q', name());
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto opened = os::open_object(object, os::Access::read_write);
  REQUIRE(opened.ok());
  const int fd = opened.value().get();
  const std::string whole = bytes_of(object);
  for (std::size_t bytes :
       {std::size_t{0}, std::size_t{100}, std::size_t{512}, std::size_t{4096}}) {
    REQUIRE(::ftruncate(fd, static_cast<off_t>(bytes)) == 0);
    CHECK(only().figures.empty());
  }
  REQUIRE(::ftruncate(fd, static_cast<off_t>(whole.size())) == 0);
  std::string other = whole;
  other[8] = 2;  // the major version
  REQUIRE(::pwrite(fd, other.data(), 4096, 0) == 4096);
  CHECK(only().figures.empty());
  // Positions that no queue has are seen as they are, within bounds.
  REQUIRE(::pwrite(fd, whole.data(), whole.size(), 0) == static_cast<ssize_t>(whole.size()));
  const std::uint64_t lie = ~std::uint64_t{0};
  REQUIRE(::pwrite(fd, &lie, sizeof lie, 4096) == sizeof lie);
  CHECK(of("bytes") == 4096);
}

}  // namespace millrace::test::observe_test
