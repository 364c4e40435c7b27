// Deaths on both sides of a frame channel. Frames are numbered by their writers without a gap, over all
// generations; every word of a frame depends on its number.
#include "../frames.hpp"
#include "scene.hpp"

#include <millrace/frames_sync.hpp>

namespace millrace::test::frames_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr FramesGeometry kGeometry{256, 6, 5, 2, 64};
constexpr std::uint64_t kFrames = 24;

FrameWriterSpec writer_spec(const Names& names, std::uint64_t bell) {
  FrameWriterSpec spec;
  spec.place = names.name();
  spec.geometry = kGeometry;
  spec.doorbell = bell;
  return spec;
}
FrameReaderSpec reader_spec(const Names& names, Policy policy, std::uint64_t bell) {
  FrameReaderSpec spec;
  spec.place = names.name();
  spec.policy = policy;
  spec.doorbell = bell;
  return spec;
}

// 0 if the frame is not whole.
std::uint64_t stamp_in(std::span<const std::byte> payload) {
  const auto word = [&](std::size_t index) {
    std::uint64_t value = 0;
    std::memcpy(&value, payload.data() + index * 8, 8);
    return value;
  };
  const std::uint64_t stamp = word(0);
  for (std::size_t i = 1; i < payload.size() / 8; ++i) {
    if (word(i) != word_of(stamp, i)) return 0;
  }
  return stamp;
}

// A reader that keeps the books on what it got.
struct Witness {
  std::unique_ptr<FrameReader> reader;
  std::uint64_t last = 0;
  std::uint64_t count = 0;
  std::uint64_t missed = 0;

  // The news there are: nothing if there is a frame, which is counted.
  std::optional<Code> take(const BlockingOptions& options) {
    auto frame = receive_sync(*reader, options);
    if (!frame.ok()) return frame.error().code;
    if (!frame.value()) return Code::closed;
    const std::uint64_t stamp = stamp_in(frame.value()->payload());
    CHECK(stamp > last);
    last = stamp;
    ++count;
    missed += frame.value()->missed();
    return std::nullopt;
  }
};

// The victim writes. Three survivors read: one must not miss anything, two are slow on purpose.
struct WriterDies : Scene {
  Witness all;
  Witness dropping;
  Witness overwriting;
  std::uint64_t joined = 0;  // number of the last frame before the witnesses came
  int turn = 0;

  void act() override {
    std::uint64_t at = n->base.load();
    auto opened = FrameWriter::open(writer_spec(*this, own_bell()), soon());
    CHILD_EXPECT(opened.ok());
    auto writer = opened.take();
    n->bell_in.store(1);
    n->done.store(at);
    n->trying.store(at);
    tell(1);
    await_survivor(1);
    const std::uint64_t last = at + kFrames;
    while (at < last) {
      if (at % 8 == 3) let_sleep();
      const auto slot = loan(*writer);
      n->trying.store(++at);
      fill(*writer, slot, at);
      CHILD_EXPECT(writer->publish(slot, writer->plan().slot_bytes, 0) != 0);
      n->done.store(at);
    }
    if (writer->park({n->bell.load(), 7})) writer->sleeper().unpark();
    leave_with_bell();
    leave(*writer);
    drop_bell();
  }
  virtual void leave(FrameWriter& writer) { writer.close(); }
  static std::uint32_t loan(FrameWriter& writer) {
    const os::Deadline deadline = soon();
    for (;;) {
      if (const auto slot = writer.try_loan()) return *slot;
      CHILD_EXPECT(!deadline.passed());
      (void)writer.wait_free(0, kMillisecond);
    }
  }

  void meanwhile() override {
    if (n->step.load() == 0) {
      os::sleep_ns(20'000);
      return;
    }
    if (n->told.load() == 0) {
      come();
      leave_a_dead_reader();
      n->told.store(1);
    }
    if (!all.reader) return;
    (void)all.take({kMillisecond, 0});
    if (++turn % 7 == 0) (void)dropping.take({0, 0});
    if (turn % 9 == 0) (void)overwriting.take({0, 0});
  }
  void come() {
    if (all.reader) return;
    const auto open = [this](Policy policy, std::uint32_t depth) {
      FrameReaderSpec spec = reader_spec(*this, policy, 0);
      spec.depth = depth;
      return FrameReader::open(spec, os::Deadline::after(0));
    };
    auto first = open(Policy::wait, 0);
    if (!first.ok()) return;  // the victim died just now
    all.reader = first.take();
    dropping.reader = must(open(Policy::drop_newest, 2));
    overwriting.reader = must(open(Policy::overwrite_oldest, 4));
    all.last = dropping.last = overwriting.last = joined = n->base.load();
  }
  // Whom the writer has to bury, for it would wait for it.
  void leave_a_dead_reader() {
    Child doomed([this] {
      auto reader = FrameReader::open(reader_spec(*this, Policy::wait, bell_in_child()), soon());
      ::kill(::getpid(), SIGKILL);
      return reader.ok() ? 0 : 1;
    });
    (void)doomed.wait();
  }
  [[nodiscard]] std::uint64_t bell_in_child() const {
    static os::Doorbell bell;
    bell = this->bell();
    return bell.id();
  }
  void after() override {
    if (!all.reader) return;
    const Peer left = all.reader->writer();
    const Code expected = left == Peer::gone     ? Code::peer_gone
                          : left == Peer::failed ? Code::peer_failed
                                                 : Code::closed;
    for (Witness* witness : {&all, &dropping, &overwriting}) {
      without_waiting(*this, [&] {
        std::optional<Code> outcome;
        while (!outcome)
          outcome = witness->take({20 * kSecond, 0});
        CHECK(outcome == expected);
      });
    }
    const std::uint64_t published = all.last - joined;
    CHECK(all.count == published);
    CHECK(all.missed == 0);
    CHECK(all.reader->lost() == 0);
    CHECK(all.last >= n->done.load());
    CHECK(all.last <= n->trying.load());
    n->base.store(all.last);
  }
  void end() override {
    if (!all.reader) return;
    // Every frame was received by each of them, or counted as lost.
    const std::uint64_t published = all.last - joined;
    CHECK(dropping.count + dropping.reader->lost() == published);
    CHECK(overwriting.count + overwriting.reader->lost() == published);
    CHECK(overwriting.last == all.last);
    all.reader.reset();
    dropping.reader.reset();
    overwriting.reader.reset();
  }
};

// The same, where each writer gives up in the end, as the one before the first one has done.
struct WriterFails : WriterDies {
  void begin() override {
    auto first = must(FrameWriter::open(writer_spec(*this, 0), soon()));
    come();
    first->abort("the first one");
    CHECK(all.reader->writer() == Peer::failed);
  }
  void leave(FrameWriter& writer) override { writer.abort("another one"); }
  void after() override {
    // Wherever it died, nobody is told that all is well.
    const Peer left = all.reader->writer();
    CHECK((left == Peer::failed || left == Peer::gone));
    if (left == Peer::failed) {
      const std::string reason = all.reader->writer_reason();
      CHECK((reason == "another one" || reason == "the first one"));
      if (!died) CHECK(reason == "another one");
    }
    if (!died) CHECK(left == Peer::failed);
    WriterDies::after();
  }
};

// The victim reads; the survivors are the writer and a reader that must not miss anything.
template <Policy policy>
struct ReaderDies : Scene {
  std::unique_ptr<FrameWriter> writer;
  Witness all;
  std::uint64_t at = 0;

  void begin() override {
    writer = must(FrameWriter::open(writer_spec(*this, 0), soon()));
    all.reader = must(FrameReader::open(reader_spec(*this, Policy::wait, 0), soon()));
    for (int i = 0; i < 3; ++i)
      step();
  }
  void act() override {
    FrameReaderSpec spec = reader_spec(*this, policy, own_bell());
    spec.history = 2;
    auto opened = FrameReader::open(spec, soon());
    CHILD_EXPECT(opened.ok());
    auto reader = opened.take();
    n->bell_in.store(1);
    tell(1);
    std::uint64_t last = 0;
    std::uint64_t count = 0;
    std::vector<ReceivedFrame> held;
    const auto keep = [&](const ReceivedFrame& frame) {
      const auto stamp = stamp_of(*reader, frame);
      CHILD_EXPECT(stamp && *stamp > last && *stamp == frame.sequence);
      CHILD_EXPECT(policy != Policy::wait || last == 0 || *stamp == last + 1);
      last = *stamp;
      ++count;
      held.push_back(frame);
      if (held.size() < 2) return;
      // Not in the order in which they came.
      CHILD_EXPECT(reader->release(held[1].slot, held[1].sequence));
      CHILD_EXPECT(reader->release(held[0].slot, held[0].sequence));
      held.clear();
    };
    const os::Deadline deadline = soon();
    while (count < 12) {
      CHILD_EXPECT(!deadline.passed());
      const ReceivedFrame frame = reader->receive();
      if (frame.status == Status::ok) {
        keep(frame);
        if (count % 4 == 0) let_sleep();
      } else {
        CHILD_EXPECT(frame.status == Status::empty);
        (void)reader->wait_frame(0, kMillisecond);
      }
    }
    if (policy != Policy::wait) {
      const ReceivedFrame newest = reader->latest();
      if (newest.status == Status::ok) keep(newest);
    }
    if (reader->park({n->bell.load(), 7})) reader->sleeper().unpark();
    leave_with_bell();
    reader->close();  // with a frame in hand
    drop_bell();
  }

  // One frame, if there is a slot.
  bool step() {
    const auto slot = writer->try_loan();
    if (!slot) return false;
    fill(*writer, *slot, ++at);
    CHECK(writer->publish(*slot, writer->plan().slot_bytes, 0) == at);
    return true;
  }
  void meanwhile() override {
    if (!step()) (void)writer->wait_free(0, kMillisecond);
    (void)all.take({0, 0});
  }
  void after() override {
    // The writer is not held up.
    without_waiting(*this, [&] {
      for (std::uint32_t i = 0; i < 2 * kGeometry.slots; ++i) {
        REQUIRE(eventually([&] {
          while (!all.take({0, 0})) {
          }
          return step() || (writer->wait_free(0, kMillisecond) && step());
        }));
        while (!all.take({0, 0})) {
        }
      }
    });
    CHECK(all.last == at);
    CHECK(all.count == at);
    CHECK(all.missed == 0);
    // And every slot is there again.
    CHECK(loanable(*writer) == kGeometry.slots - kGeometry.history);
    CHECK(writer->readers() == 1);
  }
  void end() override {
    all.reader.reset();
    writer.reset();
  }
};
using WaitingReaderDies = ReaderDies<Policy::wait>;
using DroppingReaderDies = ReaderDies<Policy::drop_newest>;
using OverwrittenReaderDies = ReaderDies<Policy::overwrite_oldest>;

// A writer dies when a frame is pinned for a reader and not queued. Whoever has to see to it may die, too: the
// reader itself, or the next writer.
template <bool ByReader>
struct FinisherDies : Scene {
  void act() override {
    n->own[0].store(0);
    Child first([this] {
      crash::disarm();
      crash::log_to(nullptr);
      auto writer = FrameWriter::open(writer_spec(*this, 0), soon());
      // The one before us may be about to follow its parent into death.
      CHILD_EXPECT(eventually([&] {
        if (!writer.ok()) writer = FrameWriter::open(writer_spec(*this, 0), soon());
        return writer.ok();
      }));
      CHILD_EXPECT(eventually([this] { return n->own[0].load() == 1; }));
      const auto slot = writer.value()->try_loan();
      CHILD_EXPECT(slot);
      fill(*writer.value(), *slot, 77);
      CHILD_EXPECT(crash::arm("frames.publish.pinned", 1));
      (void)writer.value()->publish(*slot, 256, 0);
      return 1;
    });
    auto opened = open_reader_sync(reader_spec(*this, Policy::wait, 0), {20 * kSecond, 0});
    CHILD_EXPECT(opened.ok());
    auto reader = opened.take();
    n->own[0].store(1);
    CHILD_EXPECT(first.wait() == -SIGKILL);
    if (!ByReader) {
      auto next = FrameWriter::open(writer_spec(*this, 0), soon());
      CHILD_EXPECT(next.ok());
      expect_it(*reader);
      const auto slot = next.value()->try_loan();
      CHILD_EXPECT(slot);
      fill(*next.value(), *slot, 78);
      CHILD_EXPECT(next.value()->publish(*slot, 256, 0) == next.value()->sequence());
      auto frame = receive_sync(*reader, {20 * kSecond, 0});
      CHILD_EXPECT(frame.ok() && frame.value() && stamp_in(frame.value()->payload()) == 78);
      CHILD_EXPECT(frame.value()->missed() == 0);
    } else {
      expect_it(*reader);
      auto news = receive_sync(*reader, {20 * kSecond, 0});
      CHILD_EXPECT(!news.ok() && news.error().code == Code::peer_gone);
    }
    CHILD_EXPECT(reader->lost() == 0);
  }
  static void expect_it(FrameReader& reader) {
    auto frame = receive_sync(reader, {20 * kSecond, 0});
    CHILD_EXPECT(frame.ok() && frame.value());
    CHILD_EXPECT(stamp_in(frame.value()->payload()) == 77);
  }
  void meanwhile() override { os::sleep_ns(20'000); }
};
using FinishingReaderDies = FinisherDies<true>;
using FinishingWriterDies = FinisherDies<false>;

// Every slot is pinned for a reader that knows nothing of it: the victim finds no room, and clears the pins.
struct StrayPinClearerDies : Scene {
  std::unique_ptr<FrameReader> reader;

  void begin() override {
    auto first = must(FrameWriter::open(writer_spec(*this, 0), soon()));
    reader = must(FrameReader::open(reader_spec(*this, Policy::wait, 0), soon()));
    first->close();
  }
  void act() override {
    auto opened = FrameWriter::open(writer_spec(*this, 0), soon());
    CHILD_EXPECT(opened.ok());
    auto writer = opened.take();
    detail::FrameChannel channel;
    channel.bind(&writer->segment(), writer->plan());
    for (std::uint32_t slot = 0; slot < kGeometry.slots; ++slot)
      channel.slot(slot).holders.fetch_or(1);  // the reader has lane 0
    const auto slot = WriterDies::loan(*writer);
    fill(*writer, slot, 1);
    CHILD_EXPECT(writer->publish(slot, writer->plan().slot_bytes, 0) != 0);
    writer->close();
  }
  void meanwhile() override {
    const ReceivedFrame frame = reader->receive();
    if (frame.status == Status::ok) (void)reader->release(frame.slot, frame.sequence);
    os::sleep_ns(20'000);
  }
  void end() override { reader.reset(); }
};

// A writer that takes the name from a channel in use, of another geometry.
struct ReplacingWriterDies : Scene {
  std::unique_ptr<FrameReader> old_reader;

  void begin() override {
    FrameWriterSpec other = writer_spec(*this, 0);
    other.geometry.slots = 4;
    auto writer = must(FrameWriter::open(other, soon()));
    old_reader = must(FrameReader::open(reader_spec(*this, Policy::wait, 0), soon()));
  }
  void act() override {
    FrameWriterSpec spec = writer_spec(*this, 0);
    spec.replace = true;
    auto writer = FrameWriter::open(spec, soon());
    CHILD_EXPECT(writer.ok());
    auto reader = FrameReader::open(reader_spec(*this, Policy::wait, 0), soon());
    CHILD_EXPECT(reader.ok());
    auto slot = writer.value()->try_loan();
    CHILD_EXPECT(slot);
    fill(*writer.value(), *slot, 1);
    CHILD_EXPECT(writer.value()->publish(*slot, 256, 0) == 1);
    CHILD_EXPECT(reader.value()->receive().status == Status::ok);
  }
  void meanwhile() override { os::sleep_ns(50'000); }
  void end() override {
    CHECK(old_reader->writer() == Peer::closed);
    old_reader.reset();
  }
};

}  // namespace

EVERY_DEATH(WriterDies, "a writer of frames dies anywhere: each reader gets what it published once")
EVERY_DEATH(WriterFails,
            "a writer of frames that gives up dies anywhere: no reader takes it for a good end")
EVERY_DEATH(WaitingReaderDies, "a waiting reader dies anywhere: its slots come back")
EVERY_DEATH(DroppingReaderDies, "a dropping reader dies anywhere: its slots come back")
EVERY_DEATH(OverwrittenReaderDies, "an overwritten reader dies anywhere: its slots come back")
EVERY_DEATH(FinishingReaderDies, "a reader dies while it takes what a dead writer pinned for it")
EVERY_DEATH(FinishingWriterDies, "a writer dies while it ends what a dead writer began")
EVERY_DEATH(StrayPinClearerDies,
            "a writer dies while it clears stray pins: the next one has all slots")
EVERY_DEATH(ReplacingWriterDies, "a writer dies while it replaces a channel: the name is usable")

}  // namespace millrace::test::frames_deaths
