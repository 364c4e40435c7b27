#include <thread>

#include "frames.hpp"

namespace millrace::test::frame_reader_test {

using namespace millrace;
using namespace millrace::test;

TEST_CASE_FIXTURE(Frames, "without a living writer there is nothing to read") {
  auto none = FrameReader::open(reader_spec(), soon());
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Code::not_found);
  auto out = writer();
  auto in = reader();
  CHECK(in->writer() == Peer::attached);
  CHECK(in->writer_pid() == static_cast<std::uint32_t>(::getpid()));
  CHECK(in->receive().status == Status::empty);
  out->close();
  CHECK(in->writer() == Peer::closed);
  auto late = FrameReader::open(reader_spec(), soon());
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == Code::not_found);
  CHECK(exists());
  in->close();
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Frames, "what was published can be read after the writer left") {
  auto out = writer();
  auto in = reader();
  CHECK(publish(*out, 3));
  out->close();
  for (std::uint64_t expected = 1; expected <= 3; ++expected) {
    const ReceivedFrame frame = in->receive();
    CHECK(stamp_of(*in, frame) == expected);
  }
}

TEST_CASE_FIXTURE(Frames, "several readers get every frame, each at its own pace") {
  auto out = writer();
  auto a = reader();
  auto b = reader();
  CHECK(publish(*out, 5));
  for (std::uint64_t expected = 1; expected <= 5; ++expected) {
    const ReceivedFrame frame = a->receive();
    CHECK(frame.sequence == expected);
    CHECK(a->release(frame.slot, frame.sequence));
  }
  CHECK(loanable(*out) == 3);  // b has not even looked
  for (std::uint64_t expected = 1; expected <= 5; ++expected) {
    const ReceivedFrame frame = b->receive();
    CHECK(stamp_of(*b, frame) == expected);
    CHECK(b->release(frame.slot, frame.sequence));
  }
  CHECK(loanable(*out) == 8);
}

TEST_CASE_FIXTURE(Frames, "the places of readers are counted and free again when one leaves") {
  auto out = writer();
  std::vector<std::unique_ptr<FrameReader>> readers;
  for (std::uint32_t i = 0; i < geometry.readers; ++i)
    readers.push_back(reader());
  auto refused = FrameReader::open(reader_spec(), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::no_lane);
  readers[2]->close();
  CHECK(out->readers() == geometry.readers - 1);
  CHECK(FrameReader::open(reader_spec(), soon()).ok());
}

TEST_CASE_FIXTURE(Frames, "a release is taken once, and only for what is held") {
  auto out = writer();
  auto in = reader();
  CHECK(publish(*out, 2));
  const ReceivedFrame frame = in->receive();
  CHECK_FALSE(in->release(frame.slot, frame.sequence + 1));
  CHECK_FALSE(in->release(frame.slot + 1, frame.sequence));
  CHECK_FALSE(in->release(0xFFFF'FFFF, frame.sequence));
  CHECK_FALSE(in->release(frame.slot, 0));
  CHECK(in->release(frame.slot, frame.sequence));
  CHECK_FALSE(in->release(frame.slot, frame.sequence));
  CHECK(in->held() == 0);
}

TEST_CASE_FIXTURE(Frames, "held frames do not change, up to the number that may be held") {
  auto out = writer();
  FrameReaderSpec wanted = reader_spec(Policy::overwrite_oldest);
  wanted.max_held = 3;
  auto in = must(FrameReader::open(wanted, soon()));
  std::vector<ReceivedFrame> held;
  for (int i = 0; i < 3; ++i) {
    CHECK(publish(*out));
    held.push_back(in->receive());
  }
  CHECK(in->receive().status == Status::empty);
  CHECK(publish(*out, 100));
  CHECK(in->receive().status == Status::too_many_held);
  CHECK(in->latest().status == Status::too_many_held);
  for (const ReceivedFrame& frame : held) {
    CHECK(stamp_of(*in, frame) == frame.sequence);
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(in->receive().status == Status::ok);
}

TEST_CASE_FIXTURE(Frames, "the latest frame: older ones are skipped and counted, not missed") {
  auto out = writer();
  auto in = reader(Policy::wait);
  CHECK(in->latest().status == Status::empty);
  CHECK(publish(*out, 5));
  const ReceivedFrame frame = in->latest();
  CHECK(frame.sequence == 5);
  CHECK(stamp_of(*in, frame) == 5);
  CHECK(in->skipped() == 4);
  CHECK(in->received() == 1);
  CHECK(loanable(*out) == 7);
  CHECK(publish(*out, 2));
  const ReceivedFrame next = in->latest();
  CHECK(next.sequence == 7);
  CHECK(next.missed == 0);
  CHECK(in->skipped() == 5);
  CHECK(in->lost() == 0);
}

TEST_CASE_FIXTURE(Frames, "the latest frame tells what was lost from what was skipped") {
  auto out = writer();
  FrameReaderSpec wanted = reader_spec(Policy::overwrite_oldest);
  wanted.depth = 2;
  auto in = must(FrameReader::open(wanted, soon()));
  CHECK(publish(*out));
  const ReceivedFrame first = in->latest();
  CHECK(in->release(first.slot, first.sequence));
  CHECK(publish(*out, 10));  // 2 to 11: 10 and 11 are there
  const ReceivedFrame frame = in->latest();
  CHECK(frame.sequence == 11);
  CHECK(frame.missed == 8);
  CHECK(in->skipped() == 1);
  CHECK(in->lost() == 8);
}

TEST_CASE_FIXTURE(Frames,
                  "after: a reader goes on where it ended, and is told of what it cannot get") {
  geometry.history = 4;
  auto out = writer();
  CHECK(publish(*out, 10));
  FrameReaderSpec wanted = reader_spec();
  std::uint64_t first = 7;
  std::uint64_t missed = 0;
  SUBCASE("what it had is not in the history any more") {
    wanted.after = 2;
    missed = 4;
  }
  SUBCASE("the history reaches just as far") {
    wanted.after = 6;
  }
  SUBCASE("it had some of the history") {
    wanted.after = 8;
    first = 9;
  }
  SUBCASE("it had all") {
    wanted.after = 10;
    first = 11;
  }
  SUBCASE("it had none") {
    wanted.after = 0;
    missed = 6;
  }
  SUBCASE("it had frames of another channel") {
    wanted.after = 11;
    missed = 6;
  }
  SUBCASE("it had frames of another channel, and knows of which") {
    wanted.after = 9;
    wanted.after_instance = out->segment().instance() + 1;
    missed = 6;
  }
  SUBCASE("it had frames of this channel, and knows that") {
    wanted.after = 9;
    wanted.after_instance = out->segment().instance();
    first = 10;
  }
  SUBCASE("it wants less than there is") {
    wanted.after = 2;
    wanted.history = 1;
    first = 10;
    missed = 7;
  }
  auto in = must(FrameReader::open(wanted, soon()));
  CHECK(in->joined_after() == 10);
  CHECK(in->waiting_frames() == 11 - first);
  CHECK(publish(*out, 3));
  for (std::uint64_t expected = first; expected <= 13; ++expected) {
    const ReceivedFrame frame = in->receive();
    CHECK(frame.sequence == expected);
    CHECK(frame.missed == (expected == first ? missed : 0));
    CHECK(stamp_of(*in, frame) == expected);
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(in->receive().status == Status::empty);
  CHECK(in->lost() == 0);
  CHECK(loanable(*out) == 4);
}

TEST_CASE_FIXTURE(Frames, "history: a late reader gets the newest frames from before it came") {
  geometry.history = 4;
  auto out = writer();
  CHECK(publish(*out, 10));
  FrameReaderSpec wanted = reader_spec();
  std::uint64_t first = 11;
  SUBCASE("none") {}
  SUBCASE("two") {
    wanted.history = 2;
    first = 9;
  }
  SUBCASE("all there are") {
    wanted.history = 100;
    first = 7;
  }
  auto in = must(FrameReader::open(wanted, soon()));
  CHECK(in->joined_after() == 10);
  CHECK(in->waiting_frames() == 11 - first);
  CHECK(publish(*out, 3));
  for (std::uint64_t expected = first; expected <= 13; ++expected) {
    const ReceivedFrame frame = in->receive();
    CHECK(frame.sequence == expected);
    CHECK(frame.missed == 0);
    CHECK(stamp_of(*in, frame) == expected);
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(in->receive().status == Status::empty);
  CHECK(loanable(*out) == 4);
}

TEST_CASE_FIXTURE(Frames,
                  "promise: death – a publish that nobody saw leaves no hole in the numbers") {
  geometry.history = 4;
  auto out = writer();
  auto keeper = reader(Policy::drop_newest);  // keeps the channel while there is no writer
  CHECK(publish(*out, 2));
  out->close();
  {
    // Sequence 3 was begun and never published.
    detail::FrameChannel channel;
    channel.bind(&keeper->segment(), keeper->plan());
    channel.control().sequence.begun.store(3);
  }
  out = writer();
  CHECK(publish(*out));
  CHECK(out->sequence() == 3);
  FrameReaderSpec wanted = reader_spec();
  wanted.history = 4;
  auto in = must(FrameReader::open(wanted, soon()));
  for (const std::uint64_t expected : {1, 2, 3})
    CHECK(in->receive().sequence == expected);
}

TEST_CASE_FIXTURE(Frames,
                  "a lane that changes hands during a publish gives the newcomer nothing twice") {
  // The writer is stopped in the middle of publishing frame 2, having seen the first reader's bit, between
  // pinning the slot for it and pushing the descriptor: this test plays the writer for that publish.
  geometry.history = 2;
  auto out = writer();
  auto first = reader();
  CHECK(publish(*out));
  detail::FrameChannel channel;
  channel.bind(&out->segment(), out->plan());
  const std::uint32_t slot = out->try_loan().value();
  fill(*out, slot, 2);
  channel.control().sequence.begun.store(2);
  first->close();
  channel.slot(slot).sequence.store(2);
  channel.slot(slot).length.store(256);
  channel.slot(slot).holders.store(1U | layout::kHistoryBit);

  FrameReaderSpec wanted = reader_spec();
  wanted.history = 2;
  std::unique_ptr<FrameReader> second;
  std::atomic<bool> joined{false};
  std::thread thread([&] {
    auto opened = FrameReader::open(wanted, soon());
    if (opened.ok()) second = opened.take();
    joined.store(true);
  });
  // Until the newcomer has set about the lane; then the writer goes on.
  const auto bit = [&] { return channel.control().lanes.active.load() & 1U; };
  const os::Deadline moment = os::Deadline::after(20 * kMillisecond);
  while (bit() == 0 && !moment.passed())
    os::spin_hint();
  CHECK_FALSE(joined.load());
  LaneProducer(channel.lane(0)).push(layout::make_descriptor(2, slot));
  channel.control().sequence.published.store(2);
  thread.join();
  REQUIRE(second);

  // Frames 1 and 2 of the history, then nothing: not frame 2 once more.
  for (const std::uint64_t expected : {1, 2}) {
    const ReceivedFrame frame = second->receive();
    CHECK(frame.status == Status::ok);
    CHECK(frame.sequence == expected);
  }
  CHECK(second->receive().status == Status::empty);
}

TEST_CASE_FIXTURE(Frames, "joining waits for a publish under way, but not for ever") {
  auto out = writer();
  auto keeper = reader();
  detail::FrameChannel channel;
  channel.bind(&out->segment(), out->plan());
  channel.control().sequence.begun.store(1);
  auto refused = FrameReader::open(reader_spec(), os::Deadline::after(5 * kMillisecond));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::timeout);
  CHECK(out->readers() == 1);
  channel.control().sequence.begun.store(0);
  CHECK(FrameReader::open(reader_spec(), soon()).ok());
}

TEST_CASE_FIXTURE(Frames,
                  "a stray write into a frame reaches neither the writer nor other readers" *
                      doctest::skip(!os::kStrayWritesArePrivate)) {
  auto out = writer();
  auto in = reader();
  auto other = reader();
  CHECK(publish(*out));
  const ReceivedFrame frame = in->receive();
  in->pool()->data()[in->plan().payload_offset + in->plan().slot_stride * frame.slot] ^=
      std::byte{0xFF};
  CHECK(stamp_of(*other, other->receive()) == 1);
}

TEST_CASE_FIXTURE(Frames, "impossible descriptors and lengths are corrupt, never an index") {
  auto out = writer();
  auto in = reader();
  CHECK(publish(*out));
  detail::FrameChannel channel;
  channel.bind(&out->segment(), out->plan());
  const LaneView lane = channel.lane(0);
  SUBCASE("a slot that does not exist") {
    lane.cells[0].store(layout::make_descriptor(1, 8));
  }
  SUBCASE("a length beyond the slot") {
    for (std::uint32_t i = 0; i < 8; ++i)
      channel.slot(i).length.store(257);
  }
  SUBCASE("a write position that leaps") {
    lane.lane->writer.write_position.store(10);
  }
  CHECK(in->receive().status == Status::corrupt);
  CHECK(in->held() == 0);
}

TEST_CASE_FIXTURE(Frames, "a slot delivered twice while it is held is corrupt") {
  auto out = writer();
  auto in = reader();
  CHECK(publish(*out));
  const ReceivedFrame frame = in->receive();
  detail::FrameChannel channel;
  channel.bind(&out->segment(), out->plan());
  LaneProducer(channel.lane(0)).push(layout::make_descriptor(frame.sequence, frame.slot));
  CHECK(in->receive().status == Status::corrupt);
}

TEST_CASE_FIXTURE(
    Frames, "parking: refused while a frame waits, rung by publish and by the writer's leaving") {
  const os::Doorbell mine = bell();
  const auto rings = [&] {
    int count = 0;
    (void)mine.drain([&](std::uint64_t) { ++count; });
    return count;
  };
  auto out = writer();
  auto in = reader();
  CHECK(in->park({mine.id(), 1}));
  CHECK(publish(*out, 3));
  CHECK(rings() == 1);
  CHECK_FALSE(in->park({mine.id(), 1}));
  while (in->receive().status == Status::ok) {
  }
  CHECK(in->park({mine.id(), 1}));
  out->close();
  CHECK(rings() == 1);
  CHECK_FALSE(in->park({mine.id(), 1}));
}

TEST_CASE_FIXTURE(Frames, "readers that join a busy channel find neither gap nor repetition") {
  geometry.slots = 16;
  geometry.readers = 3;
  geometry.history = 5;
  std::atomic<bool> stop{false};
  auto out = writer();
  std::thread thread([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      if (!publish(*out)) (void)out->wait_free(1000, kMillisecond);
    }
  });
  // Two lanes are joined and left all the time, so that newcomers take over warm lanes.
  struct Tally {
    int joins = 0;
    std::uint64_t from_history = 0;
    bool good = true;
  };
  const auto join_and_leave = [&](std::uint64_t seed, Tally& tally) {
    Random random(seed);
    for (int round = 0; round < rounds(1500) && tally.good; ++round) {
      FrameReaderSpec wanted = reader_spec(Policy::wait);
      wanted.history = static_cast<std::uint32_t>(random.below(8));
      auto opened = FrameReader::open(wanted, soon());
      if (!opened.ok()) {
        (void)std::fprintf(stderr, "join: %s\n", opened.error().message.c_str());
        tally.good = false;
        return;
      }
      ++tally.joins;
      FrameReader& in = *opened.value();
      std::uint64_t last = 0;
      const os::Deadline deadline = soon();
      for (std::uint64_t count = random.below(30) + 8; count > 0 && tally.good;) {
        const ReceivedFrame frame = in.receive();
        if (frame.status == Status::empty) {
          (void)in.wait_frame(1000, kMillisecond);
          tally.good = !deadline.passed();
          continue;
        }
        --count;
        if (last == 0) {
          // The first is at most as old as the history asked for, and at most the one after we joined.
          tally.good = frame.sequence <= in.joined_after() + 1 &&
                       frame.sequence + wanted.history > in.joined_after();
          tally.from_history += frame.sequence <= in.joined_after() ? 1 : 0;
        } else {
          tally.good = frame.sequence == last + 1;
        }
        if (!tally.good) {
          (void)std::fprintf(stderr,
                             "frame %llu status %d after %llu, joined after %llu, history %u\n",
                             static_cast<unsigned long long>(frame.sequence),
                             static_cast<int>(frame.status), static_cast<unsigned long long>(last),
                             static_cast<unsigned long long>(in.joined_after()), wanted.history);
        }
        tally.good = tally.good && frame.status == Status::ok &&
                     stamp_of(in, frame) == frame.sequence && frame.missed == 0;
        last = frame.sequence;
        (void)in.release(frame.slot, frame.sequence);
      }
      tally.good = tally.good && in.lost() == 0;
    }
  };
  Tally a;
  Tally b;
  std::thread second([&] { join_and_leave(1, a); });
  join_and_leave(2, b);
  second.join();
  stop.store(true);
  thread.join();
  CHECK(a.good);
  CHECK(b.good);
  CHECK(a.joins == rounds(1500));
  CHECK(a.from_history + b.from_history > 0);
  CHECK(loanable(*out) == 11);
}

TEST_CASE_FIXTURE(Frames, "published is received plus lost plus skipped, exactly") {
  geometry.slots = 6;
  Policy policy = Policy::wait;
  SUBCASE("wait") {}
  SUBCASE("drop_newest") {
    policy = Policy::drop_newest;
  }
  SUBCASE("overwrite_oldest") {
    policy = Policy::overwrite_oldest;
  }
  std::atomic<bool> stop{false};
  auto out = writer();
  std::thread thread([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      if (!publish(*out)) (void)out->wait_free(1000, kMillisecond);
    }
  });
  Random random(3);
  bool good = true;
  std::unique_ptr<FrameReader> in;
  FrameReaderSpec wanted = reader_spec(policy);
  for (int round = 0; round < rounds(40) && good; ++round) {
    wanted.depth = static_cast<std::uint32_t>(1 + random.below(6));
    in.reset();
    auto opened = FrameReader::open(wanted, soon());
    if (!opened.ok()) {
      good = false;
      break;
    }
    in = opened.take();
    std::uint64_t last = 0;
    std::uint64_t missed = 0;
    std::uint64_t mine = 0;
    const os::Deadline deadline = soon();
    while (mine < 300 && good) {
      const ReceivedFrame frame = random.below(4) == 0 ? in->latest() : in->receive();
      if (frame.status == Status::empty) {
        (void)in->wait_frame(1000, kMillisecond);
        good = !deadline.passed();
        continue;
      }
      good = frame.status == Status::ok && frame.sequence > last &&
             stamp_of(*in, frame) == frame.sequence;
      last = frame.sequence;
      missed += frame.missed;
      ++mine;
      for (std::uint64_t pause = random.below(200); pause > 0; --pause)
        os::spin_hint();
      (void)in->release(frame.slot, frame.sequence);
    }
    good = good && in->received() == mine && missed <= in->lost();
  }
  // The last reader stays until the writer has stopped: then the books must balance.
  stop.store(true);
  thread.join();
  REQUIRE(good);
  ReceivedFrame frame;
  while ((frame = in->receive()).status == Status::ok)
    (void)in->release(frame.slot, frame.sequence);
  CHECK(frame.status == Status::empty);
  CHECK(out->sequence() - in->joined_after() == in->received() + in->lost() + in->skipped());
  if (policy == Policy::wait) CHECK(in->lost() == 0);
  CHECK(loanable(*out) == (policy == Policy::wait ? wanted.depth : 6));
}

TEST_CASE_FIXTURE(Frames,
                  "writers killed at any instant leave no slot behind and no number twice") {
  geometry.slots = 8;
  geometry.readers = 3;
  SUBCASE("without history") {}
  SUBCASE("with history") {
    geometry.history = 3;
  }
  struct Stage {
    std::atomic<std::uint64_t> published;  // by any writer
    std::atomic<int> ready;
    std::atomic<bool> finish;
    std::atomic<int> finished;
    std::atomic<bool> leave;
  };
  Shared<Stage> stage;
  const auto read_all_the_time = [&](Policy policy, std::uint64_t seed) {
    Random random(seed);
    std::unique_ptr<FrameReader> in;
    const os::Deadline deadline = os::Deadline::after(90 * kSecond);
    while (!in) {
      FrameReaderSpec wanted = reader_spec(policy);
      if (policy != Policy::wait) wanted.depth = static_cast<std::uint32_t>(1 + random.below(8));
      auto opened = FrameReader::open(wanted, soon());
      if (opened.ok()) in = opened.take();
      CHILD_EXPECT(!deadline.passed());
    }
    stage->ready.fetch_add(1);
    std::uint64_t last = 0;
    std::vector<ReceivedFrame> held;
    while (!stage->finish.load()) {
      CHILD_EXPECT(!deadline.passed());
      const ReceivedFrame frame = in->receive();
      if (frame.status == Status::ok) {
        CHILD_EXPECT(frame.sequence > last);
        CHILD_EXPECT(stamp_of(*in, frame) == frame.sequence);
        last = frame.sequence;
        held.push_back(frame);
      } else {
        CHILD_EXPECT(frame.status == Status::empty);
        (void)in->wait_frame(1000, kMillisecond);
      }
      if (held.size() > random.below(3)) {
        CHILD_EXPECT(stamp_of(*in, held.front()) == held.front().sequence);
        CHILD_EXPECT(in->release(held.front().slot, held.front().sequence));
        held.erase(held.begin());
      }
    }
    for (const ReceivedFrame& frame : held)
      CHILD_EXPECT(in->release(frame.slot, frame.sequence));
    ReceivedFrame frame;
    while ((frame = in->receive()).status == Status::ok) {
      CHILD_EXPECT(frame.sequence > last);
      last = frame.sequence;
      CHILD_EXPECT(in->release(frame.slot, frame.sequence));
    }
    CHILD_EXPECT(frame.status == Status::empty);
    CHILD_EXPECT(in->lost() == 0 || policy != Policy::wait);
    stage->finished.fetch_add(1);
    // The next writer queues what the last one was killed over: pinned, but given to nobody yet.
    while (!stage->leave.load()) {
      frame = in->receive();
      if (frame.status == Status::ok) {
        CHILD_EXPECT(frame.sequence > last);
        last = frame.sequence;
        CHILD_EXPECT(in->release(frame.slot, frame.sequence));
      }
      os::sleep_ns(100'000);
    }
    return 0;
  };
  const auto write_all_the_time = [&] {
    auto opened = FrameWriter::open(writer_spec(), soon());
    CHILD_EXPECT(opened.ok());
    FrameWriter& out = *opened.value();
    CHILD_EXPECT(out.sequence() >= stage->published.load());
    for (;;) {
      if (publish(out)) {
        stage->published.store(out.sequence());
      } else {
        (void)out.wait_free(1000, kMillisecond);
      }
    }
    return 0;
  };
  Random random(17);
  std::optional<Child> current(std::in_place, write_all_the_time);
  std::vector<Child> readers;
  readers.emplace_back([&] { return read_all_the_time(Policy::wait, 1); });
  readers.emplace_back([&] { return read_all_the_time(Policy::overwrite_oldest, 2); });
  readers.emplace_back([&] { return read_all_the_time(Policy::drop_newest, 3); });
  REQUIRE(eventually([&] { return stage->ready.load() == 3; }));
  for (int round = 0; round < rounds(150); ++round) {
    const std::uint64_t target = stage->published.load() + 1 + random.below(200);
    REQUIRE(eventually([&] { return stage->published.load() >= target; }));
    current->kill();
    current.emplace(write_all_the_time);
  }
  current->kill();
  stage->finish.store(true);
  CHECK(eventually([&] { return stage->finished.load() == 3; }));
  {
    auto out = writer();
    CHECK(out->sequence() >= stage->published.load());
    CHECK(eventually([&] { return loanable(*out) == geometry.slots - geometry.history; }));
    CHECK(out->readers() == 3);
    stage->leave.store(true);
    for (Child& child : readers)
      CHECK(child.wait() == 0);
    CHECK(loanable(*out) == geometry.slots - geometry.history);
  }
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Frames, "readers killed at any instant leave no slot behind") {
  geometry.history = 2;
  geometry.readers = 2;
  auto out = writer();
  Shared<std::atomic<std::uint64_t>> received;
  Random random(23);
  for (int round = 0; round < rounds(60); ++round) {
    Child child([&] {
      for (;;) {
        FrameReaderSpec wanted =
            reader_spec(round % 2 == 0 ? Policy::wait : Policy::overwrite_oldest);
        wanted.history = 2;
        auto opened = FrameReader::open(wanted, soon());
        CHILD_EXPECT(opened.ok());
        FrameReader& in = *opened.value();
        for (int count = 0; count < 100;) {
          const ReceivedFrame frame = in.receive();
          if (frame.status != Status::ok) {
            CHILD_EXPECT(frame.status == Status::empty);
            (void)in.wait_frame(1000, kMillisecond);
            continue;
          }
          CHILD_EXPECT(stamp_of(in, frame) == frame.sequence);
          received->fetch_add(1);
          ++count;
          if (count % 5 != 0) CHILD_EXPECT(in.release(frame.slot, frame.sequence));
          if (in.held() == in.max_held()) break;
        }
      }
      return 0;
    });
    const std::uint64_t target = received->load() + 1 + random.below(200);
    const os::Deadline deadline = soon();
    while (received->load() < target && !deadline.passed()) {
      if (!publish(*out)) (void)out->wait_free(1000, kMillisecond);
    }
    child.kill();
    REQUIRE(received->load() >= target);
    REQUIRE(publish(*out, 20));  // it stands in nobody's way
  }
  CHECK(loanable(*out) == 6);
  CHECK(out->readers() <= 1);
}

}  // namespace millrace::test::frame_reader_test
