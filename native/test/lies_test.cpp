// What peers that lie in shared memory must not be able to do. Each case was found by reading or by the
// fuzzed surfaces (native/fuzz); most were a crash, a hang or a leak before.
#include <sys/stat.h>

#include <memory>
#include <thread>
#include <vector>

#include <millrace/cell.hpp>
#include <millrace/queue.hpp>
#include <millrace/shared_memory.hpp>
#include <millrace/sync/barrier.hpp>
#include <millrace/sync/mutex.hpp>

#include "frames.hpp"

namespace millrace::test::lies_test {

using namespace millrace;
using namespace millrace::test;

namespace {

// A liar's own map of a segment.
class Lies {
 public:
  Lies(char letter, const std::string& name)
      : fd_(must(os::open_object(object_name_of(letter, name), os::Access::read_write))) {
    struct stat status {};
    REQUIRE(::fstat(fd_.get(), &status) == 0);
    map_ = must(os::map_shared(fd_.get(), 0, static_cast<std::uint64_t>(status.st_size), {}));
  }
  [[nodiscard]] std::atomic<std::uint64_t>& word(std::uint64_t at) const {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(map_->data() + at);
  }
  template <typename T>
  [[nodiscard]] T& at(std::uint64_t offset) const {
    return *reinterpret_cast<T*>(map_->data() + offset);
  }
  void shorten() const { REQUIRE(::ftruncate(fd_.get(), 0) == 0); }

 private:
  os::Descriptor fd_;
  os::MappingPtr map_;
};

struct Liars : Frames {
  [[nodiscard]] layout::SlotRecord& slot(const Lies& lies, std::uint32_t index) const {
    const auto plan = must(plan_frames(geometry));
    return lies.at<layout::SlotRecord>(plan.slots_offset + index * sizeof(layout::SlotRecord));
  }
  [[nodiscard]] layout::Lane& lane(const Lies& lies, std::uint32_t index) const {
    const auto plan = must(plan_frames(geometry));
    return lies.at<layout::Lane>(plan.lanes_offset + index * plan.lane_stride);
  }
  [[nodiscard]] layout::WriterControl& control(const Lies& lies) const {
    return lies.at<layout::WriterControl>(layout::kWriterControlOffset);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Names,
                  "promise: lies – a cell is refused as corrupt although readers seem to wait") {
  CellWriterSpec spec;
  spec.place = name();
  spec.max_bytes = 64;
  CellReaderSpec reading;
  reading.place = name();
  auto writer = must(CellWriter::open(spec, soon()));
  auto reader = must(CellReader::open(reading, soon()));
  const std::byte value{1};
  writer->write(&value, 1);
  writer.reset();
  const Lies lies('c', name());
  auto& control = lies.at<layout::CellControl>(layout::kCellControlOffset);
  control.writer.published.store(layout::kMaxCellVersion);
  control.readers.waiting.store(~std::uint64_t{0});
  auto refused = CellWriter::open(spec, soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::corrupt);
}

TEST_CASE_FIXTURE(
    Liars, "promise: lies – a frame with the sequence 0 is corrupt, not a frame held for ever") {
  auto out = writer();
  auto in = reader();
  REQUIRE(publish(*out));
  const Lies lies('f', name());
  const auto plan = must(plan_frames(geometry));
  lies.word(plan.lanes_offset + sizeof(layout::Lane)).store(layout::make_descriptor(0, 0));
  slot(lies, 0).sequence.store(0);
  CHECK(in->receive().status == Status::corrupt);
  CHECK(in->held() == 0);
}

TEST_CASE_FIXTURE(Liars, "promise: lies – a writer does not go on from an impossible sequence") {
  auto out = writer();
  auto in = reader();
  out.reset();
  const Lies lies('f', name());
  control(lies).sequence.published.store(layout::kMaxSequence);
  auto refused = FrameWriter::open(writer_spec(), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::corrupt);
  control(lies).sequence.published.store(7);
  CHECK(writer()->sequence() == 7);
}

TEST_CASE_FIXTURE(Liars,
                  "promise: lies – pins that nobody has taken do not keep slots from the writer") {
  auto out = writer();
  auto in = reader();
  const Lies lies('f', name());
  for (std::uint32_t i = 0; i < geometry.slots; ++i)
    slot(lies, i).holders.store(1U | layout::kHistoryBit);
  CHECK(loanable(*out) == geometry.slots);
  // Those that are accounted for stay.
  REQUIRE(publish(*out));
  REQUIRE(in->receive().status == Status::ok);
  REQUIRE(publish(*out));
  CHECK(loanable(*out) == geometry.slots - 2);
}

TEST_CASE_FIXTURE(Liars,
                  "promise: lies – a reader that puts its position back does not hold the writer") {
  auto out = writer();
  auto in = reader(Policy::overwrite_oldest);
  const Lies lies('f', name());
  std::atomic<bool> over{false};
  std::thread liar([&] {
    while (!over.load()) {
      auto& read = lane(lies, 0).reader.read_position;
      read.store(lane(lies, 0).writer.write_position.load() - 8);
    }
  });
  for (int i = 0; i < rounds(20'000); ++i) {
    const auto slot = out->try_loan();
    if (slot) CHECK(out->publish(*slot, 8, 0) != 0);
  }
  over.store(true);
  liar.join();
}

TEST_CASE_FIXTURE(
    Names, "promise: lies – a lock that was granted by nobody is corrupt, not awaited for ever") {
  PartyOptions options;
  options.place = name();
  auto holder = must(Mutex::open(options, soon()));
  auto waiter = must(Mutex::open(options, soon()));
  REQUIRE(holder->lock() == LockStatus::held);
  REQUIRE(waiter->base().begin(LockMode::exclusive) == LockStatus::busy);
  const Lies lies('x', name());
  auto& shared = lies.at<layout::LockShared>(layout::kSharedOffset);
  shared.entries[1].entry.fetch_xor(layout::kEntryWaiting ^ layout::kEntryGranted);
  CHECK(waiter->base().look(true) == LockStatus::corrupt);
}

TEST_CASE_FIXTURE(
    Names, "promise: lies – an arrival that was taken away is corrupt, not awaited for ever") {
  BarrierSpec spec;
  spec.place = name();
  spec.parties = 2;
  auto a = must(Barrier::open(spec, soon()));
  auto b = must(Barrier::open(spec, soon()));
  REQUIRE(a->arrive().status == BarrierTurn::Status::waiting);
  const Lies lies('b', name());
  lies.word(layout::kSharedOffset).store(0);
  CHECK(a->look(false).status == BarrierTurn::Status::corrupt);
}

TEST_CASE_FIXTURE(Liars, "promise: lies – a reader is handed no frame that is not pinned for it") {
  auto out = writer();
  auto in = reader();
  REQUIRE(publish(*out, 3));
  const ReceivedFrame first = in->receive();
  REQUIRE(in->release(first.slot, first.sequence));
  const Lies lies('f', name());
  // The second frame is queued and not pinned; the first is queued once more, long after it was given back.
  slot(lies, in->receive().slot + 1).holders.store(0);
  const auto cells = reinterpret_cast<std::atomic<std::uint64_t>*>(&lane(lies, 0) + 1);
  cells[3].store(layout::make_descriptor(first.sequence, first.slot));
  lane(lies, 0).writer.write_position.fetch_add(1);
  CHECK(in->receive().status == Status::empty);
}

TEST_CASE_FIXTURE(Liars, "promise: lies – memory that was shortened is left without touching it") {
  // Each of these died of SIGBUS.
  const auto leave = [&](char letter, auto side) {
    const Lies lies(letter, name());
    CHECK(side->intact());
    lies.shorten();
    CHECK_FALSE(side->intact());
  };
  QueueSpec queue;
  queue.place = name();
  auto consumer = must(QueueConsumer::open(queue, soon()));
  leave('q', &consumer->side().segment());
  consumer.reset();
  CHECK_FALSE(os::open_object(object_name_of('q', name()), os::Access::read_only).ok());

  auto out = writer();
  auto in = reader();
  leave('f', &out->segment());
  out.reset();
  in.reset();
  CHECK_FALSE(exists());

  CellWriterSpec cell;
  cell.place = name();
  cell.max_bytes = 64;
  auto value = must(CellWriter::open(cell, soon()));
  leave('c', &value->segment());
  value.reset();

  PartyOptions options;
  options.place = name();
  auto mutex = must(Mutex::open(options, soon()));
  REQUIRE(mutex->lock() == LockStatus::held);
  leave('x', &mutex->base().parties().segment());
  mutex.reset();

  MemorySpec memory;
  memory.place = name();
  memory.size = 64;
  auto owned = must(SharedMemory::create(memory, soon()));
  Lies('m', name()).shorten();
  owned.reset();
  CHECK_FALSE(os::open_object(name(), os::Access::read_only).ok());
  CHECK_FALSE(os::open_object(object_name_of('m', name()), os::Access::read_only).ok());
}

TEST_CASE_FIXTURE(Names,
                  "promise: lies – a segment that is shorter than its header says is refused") {
  QueueSpec queue;
  queue.place = name();
  auto consumer = must(QueueConsumer::open(queue, soon()));
  auto fd = must(os::open_object(object_name_of('q', name()), os::Access::read_write));
  REQUIRE(::ftruncate(fd.get(), 4096) == 0);
  auto refused = QueueProducer::open(queue, soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::corrupt);
}

#if defined(__linux__)
TEST_CASE(
    "promise: lies – sealed memory cannot be shortened, and wiping what is gone is no signal") {
  auto fd = must(os::create_nameless(0600, false));
  REQUIRE(os::allocate_nameless(fd.get(), 8192, {}).ok());
  REQUIRE(os::seal_size(fd.get(), {}).ok());
  CHECK(::ftruncate(fd.get(), 4096) != 0);

  auto open = must(os::create_nameless(0600, false));
  REQUIRE(os::allocate_nameless(open.get(), 8192, {}).ok());
  auto map = must(os::map_shared(open.get(), 0, 8192, {}));
  map->data()[0] = std::byte{1};
  REQUIRE(::ftruncate(open.get(), 4096) == 0);
  os::wipe(map->data(), map->size());
  CHECK(map->data()[0] == std::byte{0});
}
#endif

}  // namespace millrace::test::lies_test
