// Writer and readers of a frame channel who are all alive, and meet in the narrowest places.
#include "../frames.hpp"
#include "meeting.hpp"

#include <atomic>
#include <thread>
#include <vector>

namespace millrace::test::frames_meetings {

using namespace millrace;
using namespace millrace::test;

namespace {

using Sequences = std::vector<std::uint64_t>;

struct FrameMeeting : Frames {
  Meeting meet;

  [[nodiscard]] FrameReaderSpec late_spec(std::uint32_t history) const {
    FrameReaderSpec spec = reader_spec();
    spec.history = history;
    return spec;
  }
  // Nothing if somebody has to be waited for.
  [[nodiscard]] static std::unique_ptr<FrameReader> join_at_once(const FrameReaderSpec& spec) {
    auto joined = FrameReader::open(spec, at_once());
    if (joined.ok()) return joined.take();
    CHECK(joined.error().code == Code::timeout);
    return nullptr;
  }
};

// The shared words, as who has no business to write them has them, too.
detail::FrameChannel words_of(const FrameWriter& writer) {
  detail::FrameChannel channel;
  channel.bind(&writer.segment(), writer.plan());
  return channel;
}

void publish_all_it_can(FrameWriter& writer) {
  for (int more = 100; more > 0 && publish(writer); --more) {
  }
}

// Takes and gives back all there is: the sequences, 0 for what is not the frame that was published.
Sequences drain(FrameReader& reader) {
  Sequences sequences;
  for (;;) {
    const ReceivedFrame frame = reader.receive();
    if (frame.status != Status::ok) return sequences;
    sequences.push_back(stamp_of(reader, frame) == frame.sequence ? frame.sequence : 0);
    CHECK(reader.release(frame.slot, frame.sequence));
  }
}

}  // namespace

TEST_CASE_FIXTURE(FrameMeeting,
                  "meeting: a reader joins when a publish that may not know it has ended") {
  geometry.history = 2;
  auto out = writer();
  REQUIRE(publish(*out, 2));

  // The publish begins when the reader has found none under way, and stands where it has looked who is there, until the
  // reader has had its time.
  std::atomic<bool> standing = false;
  std::atomic<bool> let_go = false;
  std::thread publishing;
  meet.at("frames.join.claimed", [&] {
    meet.at("frames.publish.recorded", [&] {
      standing.store(true);
      CHECK(eventually([&] { return let_go.load(); }));
    });
    publishing = std::thread([&] { CHECK(publish(*out)); });
    CHECK(eventually([&] { return standing.load(); }));
  });
  auto in = join_at_once(late_spec(2));
  let_go.store(true);
  publishing.join();

  if (!in) in = must(FrameReader::open(late_spec(2), soon()));
  REQUIRE(publish(*out));
  CHECK(drain(*in) == Sequences{2, 3, 4});
}

TEST_CASE_FIXTURE(FrameMeeting, "meeting: what a late reader gets of the history has no holes") {
  geometry.history = 3;
  auto out = writer();
  REQUIRE(publish(*out, 3));
  // It has pinned the oldest; before it comes to the others, the writer lets go of all three.
  meet.at("frames.history.pinned", [&] { CHECK(publish(*out, 3)); });
  auto in = must(FrameReader::open(late_spec(3), soon()));
  CHECK(drain(*in) == Sequences{4, 5, 6});
}

TEST_CASE_FIXTURE(FrameMeeting, "meeting: what a reader is taking is no stray pin") {
  geometry.slots = 4;
  auto out = writer();
  auto in = reader();
  REQUIRE(publish(*out));
  // Until the writer finds no slot, and looks for stray pins.
  meet.at("lane.take.taken", [&] { publish_all_it_can(*out); });
  CHECK(drain(*in) == Sequences{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(FrameMeeting,
                  "meeting: what a reader is giving back is never pinned for it anew") {
  geometry.slots = 4;
  auto out = writer();
  auto in = reader();
  REQUIRE(publish(*out, 4));
  const ReceivedFrame first = in->receive();
  REQUIRE(first.sequence == 1);
  // The slot is the writer's again, and the next frame lies in it.
  meet.at("frames.release.unpinned", [&] { publish_all_it_can(*out); });
  REQUIRE(in->release(first.slot, first.sequence));
  CHECK(out->sequence() == 5);
  CHECK(drain(*in) == Sequences{2, 3, 4, 5});
}

TEST_CASE_FIXTURE(FrameMeeting,
                  "meeting: stray pins of a reader that left are not those of the next one") {
  geometry = {256, 4, 1, 1, 64};
  auto out = writer();
  FrameReaderSpec holding = reader_spec();
  holding.max_held = 3;
  auto leaving = must(FrameReader::open(holding, soon()));
  REQUIRE(publish(*out, 4));
  for (int i = 0; i < 3; ++i)
    REQUIRE(leaving->receive().status == Status::ok);
  // The fourth lies in the history, and is pinned for a reader that neither waits for it nor holds it.
  const ReceivedFrame last = leaving->receive();
  CHECK(last.status == Status::too_many_held);
  std::uint32_t kept = 0;
  const detail::FrameChannel words = words_of(*out);
  while (words.slot(kept).sequence.load() != 4)
    ++kept;
  words.lane(0).lane->reader.read_position.fetch_add(1);

  std::unique_ptr<FrameReader> in;
  meet.at("frames.stray.found", [&] {
    leaving.reset();
    in = join_at_once(late_spec(1));
  });
  const auto slot = out->try_loan();
  if (slot) out->discard(*slot);
  if (!in) in = must(FrameReader::open(late_spec(1), soon()));

  const ReceivedFrame held = in->receive();
  REQUIRE(held.sequence == 4);
  REQUIRE(held.slot == kept);
  publish_all_it_can(*out);
  CHECK(out->sequence() == 7);
  CHECK(stamp_of(*in, held) == 4);
  CHECK(in->release(held.slot, held.sequence));
  CHECK(drain(*in) == Sequences{5, 6, 7});
}

TEST_CASE_FIXTURE(FrameMeeting, "meeting: a dead reader is buried, not the one that comes next") {
  geometry.readers = 1;
  auto out = writer();
  const Shared<std::atomic<bool>> there;
  Child dying([&] {
    auto joined = FrameReader::open(reader_spec(), soon());
    CHILD_EXPECT(joined.ok());
    there->store(true);
    return linger();
  });
  REQUIRE(eventually([&] { return there->load(); }));
  dying.kill();

  std::unique_ptr<FrameReader> in;
  meet.at("frames.reap.buried", [&] { in = join_at_once(reader_spec()); });
  CHECK(out->reap_dead_readers());
  if (!in) in = reader();
  CHECK_FALSE(in->excluded());
  REQUIRE(publish(*out));
  CHECK(drain(*in) == Sequences{1});
}

TEST_CASE_FIXTURE(FrameMeeting,
                  "meeting: a reader that puts its position back again and again holds nobody") {
  geometry.slots = 4;
  auto out = writer();
  FrameReaderSpec spec = reader_spec(Policy::overwrite_oldest);
  spec.depth = 4;
  auto in = must(FrameReader::open(spec, soon()));
  REQUIRE(publish(*out, 4));
  auto& position = words_of(*out).lane(0).lane->reader.read_position;
  const std::uint64_t back = position.load();
  int taken = 0;
  const std::function<void()> put_back = [&] {
    if (++taken == 1000) return;
    position.store(back);
    CHECK(crash::arm("lane.evict.taken", 1, put_back));
  };
  REQUIRE(crash::arm("lane.evict.taken", 1, put_back));
  CHECK(out->try_loan());
  crash::disarm();
  CHECK(taken > 0);
  CHECK(taken <= 16);  // each slot once in as many rounds
}

TEST_CASE_FIXTURE(FrameMeeting,
                  "meeting: a frame that is taken back while it is being taken is not received") {
  geometry.slots = 4;
  auto out = writer();
  FrameReaderSpec spec = reader_spec(Policy::overwrite_oldest);
  spec.depth = 2;
  auto in = must(FrameReader::open(spec, soon()));
  REQUIRE(publish(*out, 2));
  // Both are taken back by the time the reader wants the first, and four that are newer lie in the slots.
  meet.at("lane.take.marked", [&] { CHECK(publish(*out, 4)); });
  CHECK(drain(*in) == Sequences{5, 6});
}

TEST_CASE_FIXTURE(FrameMeeting,
                  "meeting: a frame that is taken while it is being taken back is the reader's") {
  geometry.slots = 4;
  auto out = writer();
  FrameReaderSpec spec = reader_spec(Policy::overwrite_oldest);
  spec.depth = 2;
  auto in = must(FrameReader::open(spec, soon()));
  REQUIRE(publish(*out, 2));
  ReceivedFrame held;
  meet.at("lane.evict.found", [&] {
    held = in->receive();
    CHECK(held.sequence == 1);
  });
  REQUIRE(publish(*out, 6));
  CHECK(stamp_of(*in, held) == 1);
  CHECK(in->release(held.slot, held.sequence));
  CHECK(drain(*in) == Sequences{7, 8});
}

}  // namespace millrace::test::frames_meetings
