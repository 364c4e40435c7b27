// Calls every public function of the core once, so that each is compiled and linked for every target
// (npm run check:cross). Run on the target it is a smoke test: 0 if everything did what it should.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "millrace/millrace.hpp"

namespace {

using namespace millrace;

int failures = 0;

void expect(bool held, const char* what) {
  if (held) return;
  ++failures;
  (void)std::fprintf(stderr, "failed: %s\n", what);
}
template <typename T>
bool succeeded(const Result<T>& result, const char* what) {
  if (result.ok()) return true;
  ++failures;
  (void)std::fprintf(stderr, "failed: %s: %s: %s\n", what, code_name(result.error().code),
                     result.error().message.c_str());
  return false;
}

os::Deadline soon() {
  return os::Deadline::after(2'000'000'000);
}

void try_errors() {
  expect(std::string_view(code_name(code_of_errno(EACCES))) == "PERMISSION", "code_of_errno");
  expect(cure_of_errno(EMFILE) != nullptr, "cure_of_errno");
  Result<int> number(make_error(Code::timeout, "late"));
  expect(!number.ok() && number.error().code == Code::timeout, "Result");
  number = Result<int>(7);
  expect(number.value() == 7 && number.take() == 7, "Result::take");
  expect(!Result<void>(system_error("open", ENOENT, "/x")).ok(), "system_error");
}

void try_os() {
  std::atomic<std::uint32_t> word{1};
  expect(os::futex_wait(word, 1, 1'000'000) == os::FutexWait::timed_out, "futex_wait");
  os::futex_wake_all(word);
  (void)os::heavy_fence();
  (void)os::asymmetric_fence_available();
  os::spin_hint();
  const std::uint64_t once = os::random_u64();
  expect(once != os::random_u64(), "random_u64");
  expect(os::process_start_time() != 0, "process_start_time");
  unsigned char boot[16];
  os::boot_id(boot);
  unsigned char nothing[16] = {};
  expect(std::memcmp(boot, nothing, sizeof boot) != 0, "boot_id");
  expect(!os::doorbell_directory().empty() && !os::object_path("x").empty(), "place");
  expect(os::check_mode(0660).ok() && !os::check_mode(0666).ok(), "check_mode");
  expect(soon().left_ns() > 0 && !soon().passed(), "Deadline");
}

void try_doorbell() {
  os::BellTrust trust;
  trust.owner = ::geteuid();
  trust.group = ::getegid();
  auto made = os::Doorbell::create(trust);
  if (!succeeded(made, "Doorbell::create")) return;
  os::Doorbell bell = made.take();
  expect(bell && bell.fd() >= 0, "Doorbell");
  os::BellRinger ringer;
  expect(ringer.ring(bell.id(), 42, trust) == os::Heard::yes, "BellRinger::ring");
  std::uint64_t heard = 0;
  (void)bell.drain([&](std::uint64_t token) { heard = token; });
  expect(heard == 42, "Doorbell::drain");
  ringer.forget(bell.id());
  const os::Descriptor line = os::open_bell(bell.id(), trust);
  const std::uint64_t gone = bell.id();
  bell = os::Doorbell();
  expect(os::ring_bell(line.get(), 1) == os::RingResult::dead, "ring_bell of a dead owner");
  os::remove_dead_bell(gone);
}

void try_queue(const std::string& name) {
  QueueSpec spec;
  spec.place = name;
  spec.capacity = 1;
  auto producing = QueueProducer::open(spec, soon());
  auto consuming = QueueConsumer::open(spec, soon());
  if (!succeeded(producing, "QueueProducer::open") ||
      !succeeded(consuming, "QueueConsumer::open")) {
    return;
  }
  QueueProducer& producer = *producing.value();
  QueueConsumer& consumer = *consuming.value();
  expect(!QueueProducer::open(spec, os::Deadline::after(0)).ok(), "a second producer is refused");

  expect(!consumer.wait_data(0, 1'000'000), "wait_data");
  expect(consumer.park(WakeAddress{}), "QueueConsumer::park");
  expect(producer.try_push("hello", 5) == RingStatus::ok, "try_push");
  const Message message = consumer.peek();
  expect(message.status == RingStatus::ok && message.length == 5 &&
             std::memcmp(message.data, "hello", 5) == 0,
         "peek");
  consumer.release(message);
  std::byte* place = producer.reserve(8);
  expect(place != nullptr, "reserve");
  if (place != nullptr) producer.commit(8);
  expect(consumer.stirred() && consumer.peek().length == 8, "commit");
  expect(consumer.release_bytes(layout::record_bytes(8), 1), "release_bytes");
  producer.publish(0, 0);
  expect(producer.wait_room(8, 1000, 1'000'000) && producer.stirred(8), "wait_room");
  expect(!producer.park(WakeAddress{}, 8), "QueueProducer::park");

  os::BellRinger ringer;
  producer.side().use_ringer(&ringer);
  consumer.side().use_ringer(&ringer);
  RingProducer& in = producer.ring();
  expect(in.has_room(8) && in.room() == in.capacity() && in.drained() && !in.corrupt(),
         "RingProducer");
  expect(in.max_message() < in.capacity() && in.data() != nullptr && in.next_offset() > 0,
         "RingProducer");
  RingConsumer& out = consumer.ring();
  expect(!out.has_data() && out.available() == 0 && out.capacity() == in.capacity(),
         "RingConsumer");
  expect(out.data() != nullptr && !out.corrupt() && out.next_offset() > 0, "RingConsumer");
  auto& side = producer.side();
  expect(side.open() && side.peer() == Peer::attached && !side.peer_left(), "QueueSide");
  expect(side.peer_doorbell() == 0 && side.peer_pid() == static_cast<std::uint32_t>(::getpid()),
         "QueueSide");
  expect(!side.segment().path().empty() && side.segment().created(), "Segment");
  out.mark_corrupt();
  consumer.close(true);
  expect(side.peer_left(), "close");
  producer.close(true);
  const auto unlinked = unlink_channel('q', name);
  expect(succeeded(unlinked, "unlink_channel") && !unlinked.value(), "close removes the queue");
}

void try_frames(const std::string& name) {
  FrameWriterSpec spec;
  spec.place = name;
  spec.geometry.slot_bytes = 1024;
  spec.geometry.history = 1;
  auto writing = FrameWriter::open(spec, soon());
  if (!succeeded(writing, "FrameWriter::open")) return;
  FrameWriter& writer = *writing.value();
  FrameReaderSpec wanted;
  wanted.place = name;
  wanted.policy = layout::Policy::overwrite_oldest;
  wanted.history = 1;
  auto reading = FrameReader::open(wanted, soon());
  if (!succeeded(reading, "FrameReader::open")) return;
  FrameReader& reader = *reading.value();

  expect(!reader.wait_frame(0, 1'000'000) && reader.park(WakeAddress{}), "wait_frame");
  const auto spare = writer.try_loan();
  if (spare) writer.discard(*spare);
  const auto slot = writer.try_loan();
  if (!slot || !writer.is_loaned(*slot)) return expect(false, "try_loan");
  writer.pool()->data()[writer.plan().payload_offset + *slot * writer.plan().slot_stride] =
      std::byte{9};
  expect(writer.publish(*slot, 1, 0) == 1 && writer.sequence() == 1, "publish");
  const ReceivedFrame frame = reader.receive();
  expect(frame.status == ReceivedFrame::Status::ok && frame.length == 1, "receive");
  const auto& plan = reader.plan();
  expect(reader.pool()->data()[plan.payload_offset + frame.slot * plan.slot_stride] == std::byte{9},
         "the reader's map follows the writer's");
  expect(reader.holds(frame.slot, frame.sequence) && reader.held() == 1, "holds");
  expect(reader.release(frame.slot, frame.sequence), "release");
  expect(reader.latest().status == ReceivedFrame::Status::empty, "latest");
  expect(reader.writer() == Peer::attached && !reader.writer_left() && !reader.excluded(),
         "writer");
  expect(reader.writer_doorbell() == 0 && reader.writer_pid() != 0, "writer");
  expect(reader.lost() == 0 && reader.received() == 1 && reader.skipped() == 0, "counters");
  expect(reader.joined_after() == 0 && reader.max_held() > 0 && reader.waiting_frames() == 0,
         "counters");
  expect(!reader.has_frame() && !reader.stirred() && !reader.sleeper().parked(), "FrameReader");
  expect(writer.wait_free(1000, 1'000'000) && writer.stirred(), "wait_free");
  expect(!writer.park(WakeAddress{}) && !writer.sleeper().parked(), "FrameWriter::park");
  expect(!writer.reap_dead_readers() && writer.readers() == 1, "reap_dead_readers");
  writer.for_each_reader_bell(
      [](std::uint64_t bell) { expect(bell == 0, "for_each_reader_bell"); });
  os::BellRinger ringer;
  writer.use_ringer(&ringer);
  reader.use_ringer(&ringer);
  expect(reader.segment().name() == writer.segment().name(), "segment");
  reader.close();
  writer.close();
}

void try_blocking(const std::string& name) {
  BlockingOptions briefly;
  briefly.timeout_ns = 1'000'000;
  QueueSpec spec;
  spec.place = name;
  auto producing = QueueProducer::open(spec, soon());
  auto consuming = QueueConsumer::open(spec, soon());
  if (!succeeded(producing, "QueueProducer::open") ||
      !succeeded(consuming, "QueueConsumer::open")) {
    return;
  }
  QueueProducer& producer = *producing.value();
  QueueConsumer& consumer = *consuming.value();
  succeeded(wait_for_peer_sync(producer), "wait_for_peer_sync");
  succeeded(wait_for_peer_sync(consumer), "wait_for_peer_sync");
  expect(!peek_sync(consumer, briefly).ok(), "peek_sync waits");
  succeeded(reserve_sync(producer, 1), "reserve_sync");
  succeeded(push_sync(producer, {}), "push_sync");
  const auto message = peek_sync(consumer);
  if (succeeded(message, "peek_sync") && message.value()) {
    expect(message.value()->bytes().empty(), "Message::bytes");
    consumer.release(*message.value());
  }
  succeeded(end_sync(producer), "end_sync");

  FrameWriterSpec made;
  made.place = name;
  made.geometry.slot_bytes = 64;
  FrameReaderSpec wanted;
  wanted.place = name;
  auto writing = FrameWriter::open(made, soon());
  auto reading = open_reader_sync(wanted);
  if (!succeeded(writing, "FrameWriter::open") || !succeeded(reading, "open_reader_sync")) return;
  succeeded(wait_for_readers_sync(*writing.value()), "wait_for_readers_sync");
  auto loan = loan_sync(*writing.value());
  if (!succeeded(loan, "loan_sync")) return;
  loan.value().payload()[0] = std::byte{9};
  loan.value().user_header()[0] = std::byte{8};
  expect(loan.value().publish(1) == 1, "LoanedFrame::publish");
  auto frame = receive_sync(*reading.value());
  if (!succeeded(frame, "receive_sync") || !frame.value()) return;
  const HeldFrame held = *std::move(frame.value());
  expect(held.payload().size() == 1 && held.payload()[0] == std::byte{9}, "HeldFrame::payload");
  expect(held.user_header()[0] == std::byte{8}, "HeldFrame::user_header");
  expect(held.sequence() == 1 && held.missed() == 0 && held.timestamp() != 0, "HeldFrame");
}

void try_shared_memory(const std::string& name) {
  MemorySpec spec;
  spec.place = name;
  spec.size = 100;
  auto created = SharedMemory::create(spec, soon());
  auto opened = SharedMemory::open(spec, os::Access::read_only, soon());
  auto changed = SharedMemory::open(spec, os::Access::read_write, soon());
  if (!succeeded(created, "SharedMemory::create") || !succeeded(opened, "SharedMemory::open") ||
      !succeeded(changed, "SharedMemory::open")) {
    return;
  }
  created.value()->memory()->data()[99] = std::byte{5};
  expect(opened.value()->memory()->data()[99] == std::byte{5},
         "the read-only map follows the object");
  expect(opened.value()->memory()->size() == 100 && changed.value()->memory()->size() == 100,
         "size");
  expect(created.value()->owner() && !opened.value()->owner() && opened.value()->read_only(),
         "SharedMemory");
  expect(opened.value()->name() == name, "SharedMemory::name");
  changed.value()->close();
  opened.value()->close();
  created.value()->close();
  const auto unlinked = SharedMemory::unlink(name);
  expect(succeeded(unlinked, "SharedMemory::unlink") && !unlinked.value(),
         "close removes the object");
}

void try_semaphore(const std::string& name) {
  SemaphoreSpec spec;
  spec.name = name;
  spec.initial = 1;
  auto created = Semaphore::create(spec);
  if (!succeeded(created, "Semaphore::create")) return;
  auto opened = Semaphore::open(spec);
  auto either = Semaphore::open_or_create(spec);
  if (!succeeded(opened, "Semaphore::open") || !succeeded(either, "Semaphore::open_or_create")) {
    return;
  }
  expect(created.value()->created() && !either.value()->created(), "Semaphore::created");
  expect(opened.value()->name() == name && !opened.value()->path().empty(), "Semaphore::name");
  expect(opened.value()->try_wait() && !created.value()->try_wait(), "try_wait");
  expect(!created.value()->wait_for(1000, 2'000'000), "wait_for");
  expect(created.value()->post(2).ok(), "post");
  if (os::kSemaphoreHasValue) expect(opened.value()->value() == 2, "value");
  {
    PermitTaker taker(std::shared_ptr<Semaphore>(opened.take()));
    taker.ring_at(os::Descriptor(), 1);
    taker.expect_leaving_in(1'000'000);
    expect(taker.want().ok(), "PermitTaker::want");
    const os::Deadline deadline = soon();
    bool got = false;
    while (!(got = taker.take()) && !deadline.passed())
      os::sleep_ns(100'000);
    expect(got, "PermitTaker::take");
    taker.unwant();
    (void)taker.leaving();
    taker.begin_to_finish();
  }
  expect(created.value()->try_wait(), "one permit is left");
  const auto unlinked = Semaphore::unlink(name);
  expect(succeeded(unlinked, "Semaphore::unlink") && unlinked.value(), "unlinked");
}

}  // namespace

int main() {
  const std::string name = "cross." + std::to_string(::getpid());
  try_errors();
  try_os();
  try_doorbell();
  try_queue(name);
  try_queue(std::string(200, 'n') + name);
  try_frames(name);
  try_blocking(name);
  try_shared_memory(name);
  try_semaphore("s" + std::to_string(::getpid()));
  return failures == 0 ? 0 : 1;
}
