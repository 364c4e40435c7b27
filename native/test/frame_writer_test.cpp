#include <set>
#include <thread>

#include "frames.hpp"

namespace millrace::test::frame_writer_test {

using namespace millrace;
using namespace millrace::test;

TEST_CASE("a geometry is laid out without overlap, or refused with the reason") {
  const auto refused = [](FramesGeometry geometry) {
    auto plan = plan_frames(geometry);
    return !plan.ok() && plan.error().code == Code::invalid_argument;
  };
  CHECK(refused({0, 8, 8, 0, 64}));
  CHECK(refused({100, 1, 8, 0, 64}));
  CHECK(refused({100, layout::kMaxSlots + 1, 8, 0, 64}));
  CHECK(refused({100, 8, 0, 0, 64}));
  CHECK(refused({100, 8, layout::kMaxReaders + 1, 0, 64}));
  CHECK(refused({100, 8, 8, 7, 64}));
  CHECK(refused({100, 8, 8, 0, 32}));
  CHECK(refused({100, 8, 8, 0, 96}));
  CHECK(refused({100, 8, 8, 0, 2 * os::page_size()}));
  CHECK(refused({kMaxPoolBytes, 2, 1, 0, 64}));
  CHECK(refused({~std::uint64_t{0}, 2, 1, 0, 64}));
  for (const std::uint64_t bytes : {1ULL, 64ULL, 65ULL, 100'000ULL}) {
    for (const std::uint32_t slots : {2U, 3U, 64U, 65U, layout::kMaxSlots}) {
      for (const std::uint32_t readers : {1U, layout::kMaxReaders}) {
        for (const std::uint64_t alignment : {std::uint64_t{64}, std::uint64_t{os::page_size()}}) {
          const layout::FramesPlan plan = must(plan_frames({bytes, slots, readers, 0, alignment}));
          CHECK(plan.cells >= slots);
          CHECK(plan.ledger_words * 64 >= slots);
          CHECK(plan.lanes_offset >= layout::kWriterControlOffset + sizeof(layout::WriterControl));
          CHECK(plan.lane_stride >= sizeof(layout::Lane) + 8 * (plan.cells + plan.ledger_words));
          CHECK(plan.slots_offset >= plan.lanes_offset + plan.lane_stride * readers);
          CHECK(plan.pool_offset >= plan.slots_offset + sizeof(layout::SlotRecord) * slots);
          CHECK(plan.pool_offset % os::page_size() == 0);
          CHECK(plan.payload_offset >= layout::kUserHeaderBytes * slots);
          CHECK(plan.payload_offset % alignment == 0);
          CHECK(plan.slot_stride % alignment == 0);
          CHECK(plan.slot_stride >= bytes);
          CHECK(plan.pool_bytes >= plan.payload_offset + plan.slot_stride * slots);
          CHECK(plan.total_bytes == plan.pool_offset + plan.pool_bytes);
        }
      }
    }
  }
}

TEST_CASE_FIXTURE(Frames, "without readers every slot can be loaned, published and loaned again") {
  auto out = writer();
  CHECK(loanable(*out) == 8);
  CHECK(publish(*out, 100));
  CHECK(out->sequence() == 100);
  CHECK(loanable(*out) == 8);
}

TEST_CASE_FIXTURE(Frames, "history keeps its slots back") {
  geometry.history = 3;
  auto out = writer();
  CHECK(publish(*out, 100));
  CHECK(loanable(*out) == 5);
}

TEST_CASE_FIXTURE(Frames, "only what is on loan can be published or given back, and only once") {
  auto out = writer();
  CHECK(out->publish(0, 8, 0) == 0);
  const std::uint32_t slot = out->try_loan().value();
  CHECK(out->is_loaned(slot));
  CHECK(out->publish(slot, 257, 0) == 0);  // longer than the slot
  CHECK(out->is_loaned(slot));
  CHECK(out->publish(slot, 256, 0) == 1);
  CHECK(out->publish(slot, 256, 0) == 0);
  out->discard(slot);
  out->discard(99);
  CHECK(loanable(*out) == 8);
}

TEST_CASE_FIXTURE(Frames, "several loans may be out and be published in any order") {
  auto out = writer();
  auto in = reader();
  const std::uint32_t a = out->try_loan().value();
  const std::uint32_t b = out->try_loan().value();
  const std::uint32_t c = out->try_loan().value();
  CHECK(std::set<std::uint32_t>{a, b, c}.size() == 3);
  CHECK(out->publish(c, 3, 33) == 1);
  out->discard(a);
  CHECK(out->publish(b, 2, 22) == 2);
  const ReceivedFrame first = in->receive();
  CHECK(first.slot == c);
  CHECK(first.length == 3);
  CHECK(first.timestamp == 33);
  const ReceivedFrame second = in->receive();
  CHECK(second.slot == b);
  CHECK(second.timestamp == 22);
  CHECK(in->receive().status == Status::empty);
}

TEST_CASE_FIXTURE(Frames, "a loan ahead is made only where the next loan could not be refused") {
  geometry.slots = 3;
  auto out = writer();
  FrameReaderSpec spec = reader_spec();
  spec.depth = 2;
  spec.max_held = 3;
  auto in = must(FrameReader::open(spec, soon()));
  const std::uint32_t slot = out->loan_ahead().value();
  CHECK(out->is_loaned(slot));
  CHECK_FALSE(out->loan_ahead());  // one is out
  CHECK(out->publish(slot, 0, 0) == 1);
  const std::uint32_t second = out->loan_ahead().value();
  CHECK(second != slot);
  CHECK(out->publish(second, 0, 0) == 2);
  CHECK_FALSE(out->loan_ahead());  // the queue is full
  const ReceivedFrame first = in->receive();
  const ReceivedFrame last = in->receive();
  CHECK(out->publish(out->loan_ahead().value(), 0, 0) == 3);
  CHECK_FALSE(out->loan_ahead());  // all slots are held or queued
  CHECK(in->release(last.slot, last.sequence));
  CHECK_FALSE(out->loan_ahead());  // a slot is free, though not the one whose turn it is
  CHECK(out->try_loan() == last.slot);
  CHECK(in->release(first.slot, first.sequence));
}

TEST_CASE_FIXTURE(Frames, "policy wait: the writer waits for the reader and no frame is lost") {
  auto out = writer();
  FrameReaderSpec wanted = reader_spec(Policy::wait);
  SUBCASE("whose queue is as deep as the pool") {}
  SUBCASE("whose queue is one deep") {
    wanted.depth = 1;
  }
  auto in = must(FrameReader::open(wanted, soon()));
  std::uint64_t next = 1;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t before = out->sequence();
    while (publish(*out)) {
    }
    CHECK(out->sequence() - before == (wanted.depth == 1 ? 1 : 8));
    CHECK_FALSE(out->stirred());
    for (ReceivedFrame frame = in->receive(); frame.status == Status::ok; frame = in->receive()) {
      CHECK(frame.sequence == next++);
      CHECK(frame.missed == 0);
      CHECK(in->release(frame.slot, frame.sequence));
      CHECK(out->stirred());
    }
  }
  CHECK(in->lost() == 0);
}

TEST_CASE_FIXTURE(Frames,
                  "policy drop_newest: the oldest stay, what came later is lost and counted") {
  auto out = writer();
  FrameReaderSpec wanted = reader_spec(Policy::drop_newest);
  wanted.depth = 3;
  auto in = must(FrameReader::open(wanted, soon()));
  CHECK(publish(*out, 100));
  for (std::uint64_t expected = 1; expected <= 3; ++expected) {
    const ReceivedFrame frame = in->receive();
    CHECK(frame.sequence == expected);
    CHECK(stamp_of(*in, frame) == expected);
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(in->receive().status == Status::empty);
  CHECK(in->lost() == 97);
  CHECK(publish(*out));
  const ReceivedFrame frame = in->receive();
  CHECK(frame.sequence == 101);
  CHECK(frame.missed == 97);
}

TEST_CASE_FIXTURE(Frames,
                  "policy overwrite_oldest: the newest stay, what was older is lost and counted") {
  auto out = writer();
  FrameReaderSpec wanted = reader_spec(Policy::overwrite_oldest);
  wanted.depth = 3;
  auto in = must(FrameReader::open(wanted, soon()));
  CHECK(publish(*out, 100));
  for (std::uint64_t expected = 98; expected <= 100; ++expected) {
    const ReceivedFrame frame = in->receive();
    CHECK(frame.sequence == expected);
    CHECK(stamp_of(*in, frame) == expected);
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(in->receive().status == Status::empty);
  CHECK(in->lost() == 97);
}

TEST_CASE_FIXTURE(Frames, "overwriting frees slots when the queues pin them all") {
  auto out = writer();
  FrameReaderSpec wanted = reader_spec(Policy::overwrite_oldest);
  wanted.depth = 8;
  auto a = must(FrameReader::open(wanted, soon()));
  auto b = must(FrameReader::open(wanted, soon()));
  CHECK(publish(*out, 8));
  CHECK(out->stirred());
  const ReceivedFrame held = a->receive();
  CHECK(held.sequence == 1);
  CHECK(publish(*out, 50));  // never touches what a holds
  CHECK(stamp_of(*a, held) == 1);
  CHECK(a->release(held.slot, held.sequence));
  for (FrameReader* in : {a.get(), b.get()}) {
    ReceivedFrame frame;
    while ((frame = in->receive()).status == Status::ok) {
      CHECK(stamp_of(*in, frame) == frame.sequence);
      CHECK(in->release(frame.slot, frame.sequence));
    }
    CHECK(in->received() + in->lost() == 58);
  }
  CHECK(loanable(*out) == 8);
}

TEST_CASE_FIXTURE(Frames, "each reader is treated by its own policy") {
  auto out = writer();
  FrameReaderSpec dropping = reader_spec(Policy::drop_newest);
  dropping.depth = 2;
  FrameReaderSpec overwriting = reader_spec(Policy::overwrite_oldest);
  overwriting.depth = 2;
  auto waiting = reader(Policy::wait);
  auto a = must(FrameReader::open(dropping, soon()));
  auto b = must(FrameReader::open(overwriting, soon()));
  CHECK(out->readers() == 3);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    CHECK(publish(*out));
    const ReceivedFrame frame = waiting->receive();
    CHECK(frame.sequence == i);
    CHECK(waiting->release(frame.slot, frame.sequence));
  }
  CHECK(a->receive().sequence == 1);
  CHECK(a->receive().sequence == 2);
  CHECK(a->lost() == 18);
  CHECK(b->receive().sequence == 19);
  CHECK(b->receive().sequence == 20);
  CHECK(b->lost() == 18);
}

TEST_CASE_FIXTURE(Frames, "a killed reader's slots come back, and it blocks nobody for long") {
  auto out = writer();
  Shared<std::atomic<int>> held;
  Shared<std::atomic<std::uint64_t>> id;
  Child child([&] {
    const os::Doorbell own = bell();
    FrameReaderSpec wanted = reader_spec(Policy::wait);
    wanted.doorbell = own.id();
    auto in = FrameReader::open(wanted, soon());
    CHILD_EXPECT(in.ok());
    id->store(own.id());
    while (held->load() < 3) {
      const ReceivedFrame frame = in.value()->receive();
      if (frame.status == Status::ok) held->fetch_add(1);
    }
    return linger();
  });
  REQUIRE(eventually([&] { return id->load() != 0; }));
  CHECK(out->readers() == 1);
  while (held->load() < 3)
    (void)publish(*out);
  while (publish(*out)) {
  }
  CHECK_FALSE(out->reap_dead_readers());
  std::uint64_t rung = 0;
  out->for_each_reader_bell([&](std::uint64_t doorbell) { rung = doorbell; });
  CHECK(rung == id->load());
  child.kill();
  CHECK(loanable(*out) == 8);
  CHECK(out->readers() == 0);
  CHECK(::access(os::doorbell_path(id->load()).c_str(), F_OK) != 0);
}

TEST_CASE_FIXTURE(Frames,
                  "a channel in use with another geometry is refused, naming both, or replaced") {
  auto first = writer();
  auto in = reader();
  first->close();
  geometry.slots = 16;
  geometry.slot_bytes = 512;
  auto refused = FrameWriter::open(writer_spec(), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::geometry);
  CHECK(refused.error().message.find("slotBytes 256 (not 512), slots 8 (not 16)") !=
        std::string::npos);
  FrameWriterSpec replacing = writer_spec();
  replacing.replace = true;
  auto second = must(FrameWriter::open(replacing, soon()));
  CHECK(second->plan().slots == 16);
  CHECK(in->writer() == Peer::closed);
  auto fresh = reader();
  CHECK(publish(*second));
  CHECK(fresh->receive().sequence == 1);
  CHECK(in->receive().status == Status::empty);
  auto third = FrameWriter::open(replacing, soon());
  REQUIRE_FALSE(third.ok());
  CHECK(third.error().code == Code::role_taken);
}

TEST_CASE_FIXTURE(Frames, "the writer's role has one holder") {
  auto first = writer();
  auto second = FrameWriter::open(writer_spec(), soon());
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Code::role_taken);
  first->close();
  CHECK_FALSE(exists());
  CHECK(FrameWriter::open(writer_spec(), soon()).ok());
}

TEST_CASE_FIXTURE(Frames,
                  "a successor adopts the channel: its sequence, history and queued frames") {
  geometry.history = 2;
  auto first = writer();
  auto in = reader();
  CHECK(publish(*first, 4));
  const ReceivedFrame held = in->receive();
  first->close();
  CHECK(in->writer_left());
  auto second = writer();
  CHECK(in->writer() == Peer::attached);
  CHECK(second->sequence() == 4);
  CHECK(loanable(*second) == 4);  // 1 held, 3 queued, of which 2 are the history
  CHECK(publish(*second));
  CHECK(stamp_of(*in, held) == 1);
  CHECK(in->release(held.slot, held.sequence));
  for (std::uint64_t expected = 2; expected <= 5; ++expected) {
    const ReceivedFrame frame = in->receive();
    CHECK(frame.sequence == expected);
    CHECK(frame.missed == 0);
    CHECK(stamp_of(*in, frame) == expected);
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(loanable(*second) == 6);
}

// A writer that dies in the middle of something, made by hand: it opens the channel, brings the shared
// words into the state that a kill at that instruction leaves, and exits without closing.
namespace {

template <typename Body>
void die_in_the_middle(const Frames& frames, Body&& body) {
  Child child([&] {
    auto opened = FrameWriter::open(frames.writer_spec(), soon());
    CHILD_EXPECT(opened.ok());
    FrameWriter& writer = *opened.value();
    detail::FrameChannel channel;
    channel.bind(&writer.segment(), writer.plan());
    body(writer, channel);
    ::_exit(0);
    return 0;
  });
  REQUIRE(child.wait() == 0);
}

}  // namespace

TEST_CASE_FIXTURE(Frames, "whatever a killed writer left half-done, its successor leaks no slot") {
  geometry.history = 2;
  auto first = writer();
  auto in = reader(Policy::overwrite_oldest);
  CHECK(publish(*first, 3));
  first->close();
  std::uint64_t sequence = 3;
  const auto begin = [](detail::FrameChannel& channel, FrameWriter& writer) {
    channel.control().sequence.begun.store(writer.sequence() + 1);
  };
  const auto describe = [](detail::FrameChannel& channel, FrameWriter& writer, std::uint32_t slot,
                           std::uint64_t holders) {
    channel.slot(slot).sequence.store(writer.sequence() + 1);
    channel.slot(slot).length.store(8);
    channel.slot(slot).holders.store(holders);
  };
  SUBCASE("a loan") {
    die_in_the_middle(*this, [](FrameWriter& out, detail::FrameChannel&) {
      CHILD_EXPECT(out.try_loan().has_value());
    });
  }
  SUBCASE("publish: begun") {
    die_in_the_middle(*this, [&](FrameWriter& out, detail::FrameChannel& channel) {
      CHILD_EXPECT(out.try_loan().has_value());
      begin(channel, out);
    });
  }
  SUBCASE("publish: pinned for a reader and the history, not pushed") {
    die_in_the_middle(*this, [&](FrameWriter& out, detail::FrameChannel& channel) {
      const std::uint32_t slot = out.try_loan().value();
      begin(channel, out);
      describe(channel, out, slot, 1U | layout::kHistoryBit);
    });
    sequence = 4;
  }
  SUBCASE("publish: pushed, not finished") {
    die_in_the_middle(*this, [&](FrameWriter& out, detail::FrameChannel& channel) {
      const std::uint32_t slot = out.try_loan().value();
      begin(channel, out);
      describe(channel, out, slot, 1U | layout::kHistoryBit);
      LaneProducer(channel.lane(0)).push(layout::make_descriptor(out.sequence() + 1, slot));
    });
    sequence = 4;
    CHECK(in->waiting_frames() == 4);
  }
  SUBCASE("eviction: taken back, pin not cleared") {
    die_in_the_middle(*this, [&](FrameWriter&, detail::FrameChannel& channel) {
      channel.control().sequence.evictions.fetch_add(1);
      CHILD_EXPECT(LaneProducer(channel.lane(0)).evict().has_value());
    });
    CHECK(in->waiting_frames() == 2);
  }
  auto second = writer();
  CHECK(second->sequence() == sequence);
  CHECK(publish(*second));
  // A reader that joins now does not wait for what will never end.
  auto late = must(FrameReader::open(reader_spec(), os::Deadline::after(0)));
  late->close();
  std::uint64_t last = 0;
  ReceivedFrame frame;
  while ((frame = in->receive()).status == Status::ok) {
    CHECK(frame.sequence > last);
    last = frame.sequence;
    CHECK(in->release(frame.slot, frame.sequence));
  }
  CHECK(frame.status == Status::empty);
  CHECK(last == sequence + 1);
  CHECK(loanable(*second) == 8 - geometry.history);
}

TEST_CASE_FIXTURE(Frames,
                  "a reader about to take what a dying writer evicted leaks no slot either") {
  auto first = writer();
  auto in = reader(Policy::overwrite_oldest);
  CHECK(publish(*first));
  first->close();
  die_in_the_middle(*this, [&](FrameWriter&, detail::FrameChannel& channel) {
    CHILD_EXPECT(LaneProducer(channel.lane(0)).evict().has_value());
  });
  // The reader is between marking its ledger and finding that it lost the race.
  detail::FrameChannel channel;
  channel.bind(&in->segment(), in->plan());
  std::uint32_t slot = 0;
  while ((channel.slot(slot).holders.load() & 1U) == 0)
    ++slot;
  channel.lane(0).mark(slot);
  auto second = writer();
  CHECK(loanable(*second) == 7);
  channel.lane(0).unmark(slot);
  CHECK(loanable(*second) == 8);
}

TEST_CASE_FIXTURE(Frames,
                  "a reader that lies about its queue is excluded, the others notice nothing") {
  auto out = writer();
  auto liar = reader();
  auto honest = reader();
  detail::FrameChannel channel;
  channel.bind(&liar->segment(), liar->plan());
  auto& position = channel.lane(0).lane->reader.read_position;
  SUBCASE("ahead of the writer") {
    position.store(1);
  }
  SUBCASE("far behind") {
    position.store(std::uint64_t{0} - 9);
  }
  SUBCASE("with a policy that does not exist") {
    channel.lane(0).lane->join.policy.store(7);
    channel.lane(0).lane->join.role.epoch.fetch_add(1);
  }
  for (std::uint64_t i = 1; i <= 20; ++i) {
    CHECK(publish(*out));
    const ReceivedFrame frame = honest->receive();
    CHECK(frame.sequence == i);
    CHECK(honest->release(frame.slot, frame.sequence));
  }
  CHECK(liar->excluded());
  CHECK(liar->stirred());
  CHECK_FALSE(honest->excluded());
  liar->close();
  auto again = reader();  // the same lane, honestly
  CHECK(publish(*out));
  CHECK(again->receive().sequence == 21);
}

TEST_CASE_FIXTURE(Frames, "nonsense in the control words never leads the writer astray") {
  geometry.history = 2;
  auto out = writer();
  const auto keeper = reader(Policy::drop_newest);  // whose mapping the nonsense goes through
  auto in = reader(Policy::overwrite_oldest);
  detail::FrameChannel channel;
  channel.bind(&keeper->segment(), keeper->plan());
  Random random(99);
  const std::uint64_t values[] = {
      0, 1, 7, 8, 9, ~std::uint64_t{0}, std::uint64_t{1} << 63U, 0xFFFF, std::uint64_t{1} << 48U};
  for (int round = 0; round < rounds(20'000); ++round) {
    const std::uint64_t value =
        random.below(2) == 0 ? values[random.below(std::size(values))] : random.below(64);
    const auto any_slot = static_cast<std::uint32_t>(random.below(geometry.slots));
    const auto any_lane = static_cast<std::uint32_t>(random.below(geometry.readers));
    const LaneView lane = channel.lane(any_lane);
    switch (random.below(12)) {
      case 0:
        channel.control().lanes.active.store(value);
        break;
      case 1:
        lane.lane->reader.read_position.store(value);
        break;
      case 2:
        lane.lane->writer.write_position.store(value);
        break;
      case 3:
        lane.cells[random.below(lane.capacity())].store(value);
        break;
      case 4:
        lane.ledger[0].store(value);
        break;
      case 5:
        channel.slot(any_slot).holders.store(value);
        break;
      case 6:
        channel.slot(any_slot).sequence.store(value);
        break;
      case 7:
        channel.slot(any_slot).length.store(value);
        break;
      case 8:
        lane.lane->join.depth.store(static_cast<std::uint32_t>(value));
        break;
      case 9:
        lane.lane->join.policy.store(static_cast<std::uint32_t>(value));
        break;
      case 10:
        lane.lane->join.role.epoch.store(static_cast<std::uint32_t>(value));
        break;
      default:
        channel.control().sequence.published.store(value);
    }
    (void)out->stirred();
    (void)publish(*out);
    if (random.below(50) == 0) {
      out.reset();
      out = writer();
    }
    if (random.below(50) == 0) {
      in.reset();
      channel.control().sequence.published.store(~std::uint64_t{0});  // or joining waits in vain
      auto joined = FrameReader::open(reader_spec(Policy::overwrite_oldest), soon());
      REQUIRE(joined.ok());
      in = joined.take();
    }
    const ReceivedFrame frame = random.below(2) == 0 ? in->receive() : in->latest();
    if (frame.status == Status::ok) {
      REQUIRE(frame.slot < geometry.slots);
      REQUIRE(frame.length <= geometry.slot_bytes);
      if (random.below(2) == 0) (void)in->release(frame.slot, frame.sequence);
    }
    for (std::uint32_t slot = 0; in->held() > 4 && slot < geometry.slots; ++slot) {
      (void)in->release(slot, channel.slot(slot).sequence.load());
    }
  }
}

TEST_CASE_FIXTURE(Frames, "parking: refused while a slot is free, rung when one comes back") {
  const os::Doorbell mine = bell();
  const auto rings = [&] {
    int count = 0;
    (void)mine.drain([&](std::uint64_t) { ++count; });
    return count;
  };
  auto out = writer();
  auto in = reader(Policy::wait);
  CHECK_FALSE(out->park({mine.id(), 3}));
  CHECK(publish(*out, 8));
  CHECK(out->park({mine.id(), 3}));
  const ReceivedFrame frame = in->receive();
  CHECK(rings() == 1);  // the queue moved, though no slot is free yet
  CHECK(out->park({mine.id(), 3}));
  CHECK(in->release(frame.slot, frame.sequence));
  CHECK(rings() == 1);
  CHECK_FALSE(out->park({mine.id(), 3}));
  CHECK(publish(*out));
  CHECK(out->park({mine.id(), 3}));
  in->close();
  CHECK(rings() == 1);
  CHECK(loanable(*out) == 8);
}

}  // namespace millrace::test::frame_writer_test
