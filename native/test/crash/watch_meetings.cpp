// Somebody looks at a channel from outside, and in the instant between its copy and its second look the channel's users go on over what
// was copied. Of that nothing is told.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <millrace/cell.hpp>
#include <millrace/frame_writer.hpp>
#include <millrace/queue.hpp>
#include <millrace/topics/topic_bus.hpp>
#include <millrace/work/work_queue.hpp>

#include "../topics.hpp"
#include "../watched.hpp"
#include "meeting.hpp"

namespace millrace::test::watch_meetings {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Watched : Names {
  Meeting meet;
  ~Watched() {
    for (const char letter : {'q', 'j', 'c', 'f', 't'})
      (void)unlink_channel(letter, name());
  }
  // All that is told, however often it takes; each message is one, and whole. A look in which everything was written over tells nothing,
  // so it is looked once more.
  [[nodiscard]] std::vector<std::uint64_t> stamps(Lookout& watch) {
    std::vector<std::uint64_t> all;
    for (int times = 0; times < 2; ++times) {
      for (const Sighting& one : watch.read()) {
        const auto stamp = stamp_in(one.bytes);
        CHECK(stamp.has_value());
        if (stamp) all.push_back(*stamp);
      }
    }
    CHECK_FALSE(watch.error.has_value());
    return all;
  }
};
using Stamps = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE_FIXTURE(Watched, "meeting: messages that a producer writes over while they are copied") {
  QueueSpec spec;
  spec.place = name();
  spec.capacity = 4096;
  auto consumer = must(QueueConsumer::open(spec, soon()));
  auto producer = must(QueueProducer::open(spec, soon()));
  const auto pass = [&](std::uint64_t stamp) {
    const std::string bytes = stamped(stamp, 15);  // 128 bytes with its head: 32 of them are a ring
    CHECK(producer->try_push(bytes.data(), static_cast<std::uint32_t>(bytes.size())) ==
          RingStatus::ok);
    consumer->release(consumer->peek());
  };
  Lookout watch(name(), 'q');
  REQUIRE(stamps(watch).empty());
  pass(1);
  pass(2);
  SUBCASE("all of the ring") {
    // What it writes before it publishes is over the first of them.
    meet.at("watch.queue.copied", [&] {
      for (std::uint64_t i = 3; i <= 40; ++i)
        pass(i);
    });
    const Stamps seen = stamps(watch);
    REQUIRE(!seen.empty());
    CHECK(seen.front() > 2);
    CHECK(seen.back() == 40);
    CHECK(watch.missed() + seen.size() == 40);
  }
  SUBCASE("once more, while it finds out where to go on") {
    meet.at("watch.queue.copied", [&] {
      for (std::uint64_t i = 3; i <= 40; ++i)
        pass(i);
      meet.at("watch.queue.counted", [&] {
        for (std::uint64_t i = 41; i <= 80; ++i)
          pass(i);
      });
    });
    const Stamps seen = stamps(watch);
    REQUIRE(!seen.empty());
    CHECK(seen.back() == 80);
    CHECK(watch.missed() + seen.size() == 80);
  }
  SUBCASE("a message that is written and not published yet") {
    for (std::uint64_t i = 3; i <= 32; ++i)
      pass(i);
    Lookout old(name(), 'q');
    REQUIRE(stamps(old).empty());
    meet.at("watch.queue.copied", [&] {
      std::byte* const place = producer->reserve(15 * 8);
      CHECK(place != nullptr);
      if (place != nullptr) std::memset(place, 0xEE, 15 * 8);
    });
    // The place of the first message is that of the 33rd.
    const Stamps seen = stamps(watch);
    for (const std::uint64_t stamp : seen)
      CHECK(stamp != 1);
  }
}

TEST_CASE_FIXTURE(Watched, "meeting: a frame whose slot is loaned while it is copied") {
  FrameWriterSpec spec;
  spec.place = name();
  spec.geometry = {4096, 2, 2, 0, 64};
  auto writer = must(FrameWriter::open(spec, soon()));
  const auto write = [&](std::uint64_t stamp, bool publishes) {
    const auto slot = writer->try_loan();
    CHECK(slot.has_value());
    if (!slot) return;
    fill_stamped({reinterpret_cast<std::uint64_t*>(writer->payload(*slot).data()), 100}, stamp);
    if (publishes) (void)writer->publish(*slot, 800, 0);
  };
  write(1, true);
  Lookout watch(name(), 'f');
  SUBCASE("and published") {
    meet.at("watch.frames.copied", [&] {
      write(2, true);
      write(3, true);
    });
    CHECK(stamps(watch) == Stamps{2, 3});
  }
  SUBCASE("and not published yet") {
    write(2, true);
    meet.at("watch.frames.copied", [&] { write(3, false); });
    // The newest was copied, whose slot is not that.
    CHECK(stamps(watch) == Stamps{2});
    Lookout old(name(), 'f', true);
    CHECK(stamps(old) == Stamps{2});
  }
}

TEST_CASE_FIXTURE(Watched,
                  "meeting: a frame that the writer begins to write over in that instant") {
  FrameWriterSpec spec;
  spec.place = name();
  spec.geometry = {4096, 2, 2, 0, 64};
  auto writer = must(FrameWriter::open(spec, soon()));
  for (std::uint64_t stamp = 1; stamp <= 2; ++stamp) {
    const auto slot = writer->try_loan();
    REQUIRE(slot.has_value());
    fill_stamped({reinterpret_cast<std::uint64_t*>(writer->payload(*slot).data()), 100}, stamp);
    REQUIRE(writer->publish(*slot, 800, 0) == stamp);
  }
  Lookout watch(name(), 'f', true);
  meet.at("watch.frames.copied", [&] { CHECK(writer->try_loan().has_value()); });
  CHECK(stamps(watch) == Stamps{2});
}

TEST_CASE_FIXTURE(Watched, "meeting: a value that is replaced while it is copied") {
  CellWriterSpec spec;
  spec.place = name();
  spec.max_bytes = 4096;
  spec.slots = 2;
  auto writer = must(CellWriter::open(spec, soon()));
  const auto write = [&](std::uint64_t stamp) {
    const std::string value = stamped(stamp, 100);
    writer->write(reinterpret_cast<const std::byte*>(value.data()), value.size());
  };
  write(1);
  Lookout watch(name(), 'c');
  meet.at("watch.cell.copied", [&] {
    write(2);
    write(3);
    writer->begin();  // over the second
  });
  CHECK(stamps(watch) == Stamps{3});
}

TEST_CASE_FIXTURE(Watched, "meeting: messages of a bus that are evicted while they are copied") {
  const auto bus = topics::open(topics::spec_of(name(), 8));
  const auto publish = [&](std::uint64_t stamp) {
    const std::string value = stamped(stamp, 40);
    CHECK(topics::publish(*bus, "a", std::string_view(value)).has_value());
  };
  Lookout watch(name(), 't');
  REQUIRE(stamps(watch).empty());
  publish(1);
  publish(2);
  meet.at("watch.topics.copied", [&] {
    for (std::uint64_t i = 3; i <= 12; ++i)
      publish(i);
  });
  const Stamps seen = stamps(watch);
  REQUIRE(!seen.empty());
  CHECK(seen.front() > 4);
  CHECK(seen.back() == 12);
  CHECK(watch.missed() + seen.size() == 12);
}

TEST_CASE_FIXTURE(Watched, "meeting: a job whose slot another one gets while it is copied") {
  WorkSpec spec;
  spec.place = name();
  spec.jobs = 1;
  const auto queue = must(WorkQueue::open(spec, soon()));
  const auto push = [&](std::uint64_t stamp) {
    const std::string value = stamped(stamp, 10);
    CHECK(queue->try_push(std::as_bytes(std::span(value)), {}) == Pushed::yes);
  };
  const auto settle = [&] {
    Lease lease = queue->try_take();
    CHECK(lease);
    CHECK(queue->complete(lease));
  };
  Lookout watch(name(), 'j');
  REQUIRE(stamps(watch).empty());
  push(1);
  SUBCASE("by one that waits") {
    meet.at("watch.work.copied", [&] {
      settle();
      push(2);
    });
    CHECK(stamps(watch) == Stamps{2});
  }
  SUBCASE("by one that is being written") {
    Loan loan;
    meet.at("watch.work.copied", [&] {
      settle();
      CHECK(queue->reserve(80, 0, loan) == Pushed::yes);
    });
    CHECK(stamps(watch).empty());
    queue->cancel(loan);
  }
  SUBCASE("and it is over, and another one is being written") {
    settle();
    Loan loan;
    meet.at("watch.work.copied", [&] { CHECK(queue->reserve(80, 0, loan) == Pushed::yes); });
    CHECK(stamps(watch).empty());
    queue->cancel(loan);
  }
}

}  // namespace millrace::test::watch_meetings
