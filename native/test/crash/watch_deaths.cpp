// Who looks at channels from outside dies anywhere. The channels' users do not notice: all that they pass on arrives, and whoever looks
// next sees it. A watch maps what it looks at without the right to write, so there is nothing that it could leave behind.
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
#include "scene.hpp"

namespace millrace::test::watch_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kRounds = 3;

struct WatcherDies : Scene {
  std::unique_ptr<QueueConsumer> consumer;
  std::unique_ptr<QueueProducer> producer;
  std::unique_ptr<FrameWriter> frames;
  std::unique_ptr<CellWriter> cell;
  topics::Bus bus;
  std::unique_ptr<WorkQueue> work;
  std::uint32_t subscription = 0;
  std::uint64_t written = 0;

  ~WatcherDies() override {
    for (const char letter : {'q', 'j', 'c', 'f', 't'})
      (void)unlink_channel(letter, name());
  }
  void begin() override {
    QueueSpec queue;
    queue.place = name();
    queue.capacity = 4096;
    consumer = must(QueueConsumer::open(queue, soon()));
    producer = must(QueueProducer::open(queue, soon()));
    FrameWriterSpec writer;
    writer.place = name();
    writer.geometry = {4096, 2, 2, 0, 64};
    frames = must(FrameWriter::open(writer, soon()));
    CellWriterSpec value;
    value.place = name();
    value.max_bytes = 4096;
    cell = must(CellWriter::open(value, soon()));
    bus = topics::open(topics::spec_of(name(), 8));
    subscription = topics::join(*bus, {"a"});
    WorkSpec jobs;
    jobs.place = name();
    jobs.jobs = 2;
    work = must(WorkQueue::open(jobs, soon()));
    pass_one();
  }
  // Two looks at each channel, with messages of the survivor's between them.
  void act() override {
    std::vector<std::unique_ptr<Lookout>> all;
    for (const char letter : {'q', 'j', 'c', 'f', 't'})
      all.push_back(std::make_unique<Lookout>(name(), letter, true));
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      tell(round);
      await_survivor(round);
      for (const auto& one : all) {
        for (const Sighting& seen : one->read())
          CHILD_EXPECT(stamp_in(seen.bytes).has_value());
        CHILD_EXPECT(!one->error.has_value());
      }
    }
  }
  void meanwhile() override {
    if (n->told.load() < n->step.load()) {
      pass_one();
      n->told.store(n->step.load());
    }
    os::sleep_ns(20'000);
  }
  // Nobody lacks anything, and whoever looks now sees what comes.
  void after() override {
    Lookout queue(name(), 'q'), jobs(name(), 'j'), value(name(), 'c'), newest(name(), 'f', true),
        messages(name(), 't');
    for (Lookout* const one : {&queue, &jobs, &value, &newest, &messages})
      (void)one->read();
    pass_one();
    for (Lookout* const one : {&queue, &jobs, &value, &newest, &messages}) {
      const std::vector<Sighting> seen = one->read();
      REQUIRE(seen.size() == 1);
      CHECK(stamp_in(seen[0].bytes) == written);
    }
  }

 private:
  // One message of each kind, all the way to whoever receives it.
  void pass_one() {
    const std::uint64_t stamp = ++written;
    const std::string bytes = stamped(stamp, words_of(stamp, 20));

    CHECK(producer->try_push(bytes.data(), static_cast<std::uint32_t>(bytes.size())) ==
          RingStatus::ok);
    const auto message = consumer->peek();
    CHECK(std::string(reinterpret_cast<const char*>(message.data), message.length) == bytes);
    consumer->release(message);

    const auto slot = frames->try_loan();
    REQUIRE(slot.has_value());
    std::memcpy(frames->payload(*slot).data(), bytes.data(), bytes.size());
    CHECK(frames->publish(*slot, bytes.size(), 0) == stamp);

    cell->write(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
    CHECK(cell->version() == stamp);

    CHECK(topics::publish(*bus, "a", std::string_view(bytes)) == 1);
    const auto got = topics::read(*bus, subscription);
    REQUIRE(got.has_value());
    CHECK(got->payload == bytes);
    CHECK(got->missed == 0);

    // The job before it is over; it waits, so that whoever looks sees it.
    CHECK(work->try_push(std::as_bytes(std::span(bytes)), {}) == Pushed::yes);
    if (stamp == 1) return;
    Lease lease = work->try_take();
    REQUIRE(lease);
    CHECK(work->complete(lease));
  }
};

}  // namespace

EVERY_DEATH(WatcherDies, "who looks at channels from outside dies anywhere: nobody notices")

}  // namespace millrace::test::watch_deaths
