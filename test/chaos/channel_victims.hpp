// The victims of `npm run chaos` that send and receive: queues, frames, cells, memory, offers.
#pragma once

#include <fcntl.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <millrace/millrace.hpp>

#include "content.hpp"
#include "victim.hpp"

namespace victims {

inline QueueSpec queue_of(const Part& part) {
  QueueSpec spec;
  spec.place = Place(part.name);
  spec.doorbell = part.bell;
  return spec;
}
inline void produce(Part& part) {
  auto producer = opened([&] { return QueueProducer::open(queue_of(part), part.patience()); });
  std::uint64_t at = ledger->base.load();
  for (int i = 0; i < 400; ++i) {
    const std::uint32_t length = length_of(++at);
    ledger->trying.store(at);
    auto room = reserve_sync(*producer, length, {10 * kSecond, 0});
    EXPECT(room.ok() || room.error().code == Code::peer_gone || room.error().code == Code::closed);
    if (!room.ok()) return;
    fill(room.value().data(), at, length);
    producer->commit(length);
    ledger->done.store(at);
    ledger->base.store(at);
    part.pause();
  }
  producer->close(false);
}
inline void consume(Part& part) {
  auto consumer = opened([&] { return QueueConsumer::open(queue_of(part), part.patience()); });
  bool begun = false;
  for (int i = 0; i < 400; ++i) {
    auto message = peek_sync(*consumer, {10 * kSecond, 0});
    if (!message.ok() || !message.value()) {
      EXPECT(message.ok() || message.error().code == Code::peer_gone);
      os::sleep_ns(kMillisecond);
      continue;
    }
    const std::uint64_t number = number_in(message.value()->data, message.value()->length);
    const std::uint64_t last = ledger->trying.load();
    EXPECT(number == last + 1 || (!begun && number == last));
    begun = true;
    ledger->trying.store(number);
    consumer->release(*message.value());
    ledger->done.store(number);
    ledger->turns.fetch_add(1);
    part.pause();
  }
  // With what is left in it, for the next one.
  consumer->close(false);
}

// Both sides of a queue in one process, which die at once.
inline void be_both(Part& part) {
  QueueSpec spec = queue_of(part);
  spec.keep = part.side == "keep";
  auto producer = opened([&] { return QueueProducer::open(spec, part.patience()); });
  auto consumer = opened([&] { return QueueConsumer::open(spec, part.patience()); });
  std::uint64_t at = ledger->base.load();
  for (;;) {
    std::array<std::byte, std::size_t{8} * kWords> message{};
    const std::uint32_t length = length_of(++at);
    fill(message.data(), at, length);
    ledger->trying.store(at);
    if (producer->try_push(message.data(), length) == RingStatus::ok) {
      ledger->done.store(at);
    } else {
      --at;
    }
    if (part.random.below(3) == 0) continue;
    const Message first = consumer->peek();
    if (first.status != RingStatus::ok) continue;
    const std::uint64_t number = number_in(first.data, first.length);
    EXPECT(number != 0);
    ledger->left.store(number);  // the last one that was handled
    consumer->release(first);
    ledger->turns.fetch_add(1);
    part.pause();
  }
}

constexpr FramesGeometry kFrames{8 * kWords, 8, 6, 2, 64};
inline void write_frames(Part& part) {
  FrameWriterSpec spec;
  spec.place = Place(part.name);
  spec.geometry = kFrames;
  spec.doorbell = part.bell;
  auto writer = opened([&] { return FrameWriter::open(spec, part.patience()); });
  std::uint64_t at = ledger->base.load();
  for (int i = 0; i < 200; ++i) {
    auto loan = loan_sync(*writer, {10 * kSecond, 0});
    EXPECT(loan.ok());
    ledger->trying.store(++at);
    const std::uint32_t length = length_of(at);
    fill(loan.value().payload().data(), at, length);
    EXPECT(loan.value().publish(length) != 0);
    ledger->done.store(at);
    ledger->base.store(at);
    part.pause();
  }
  writer->close();
}
inline void read_frames(Part& part, layout::Policy policy) {
  FrameReaderSpec spec;
  spec.place = Place(part.name);
  spec.policy = policy;
  spec.history = part.random.below(3) == 0 ? 2 : 0;
  spec.doorbell = part.bell;
  auto reader = opened([&] { return FrameReader::open(spec, part.patience()); });
  std::uint64_t last = 0;
  std::vector<HeldFrame> held;
  for (int i = 0; i < 200; ++i) {
    auto frame = receive_sync(*reader, {10 * kSecond, 0});
    if (!frame.ok() || !frame.value()) {
      EXPECT(frame.ok() || frame.error().code == Code::peer_gone);
      return;
    }
    const auto payload = frame.value()->payload();
    const std::uint64_t number = number_in(payload.data(), payload.size());
    EXPECT(number > last);
    EXPECT(policy != layout::Policy::wait || last == 0 || number == last + 1);
    last = number;
    held.push_back(std::move(*frame.value()));
    if (held.size() > part.random.below(4)) held.clear();
    ledger->turns.fetch_add(1);
    part.pause();
  }
  held.clear();
  reader->close();
}

inline void write_cell(Part& part) {
  CellWriterSpec spec;
  spec.place = Place(part.name);
  spec.max_bytes = 8 * kWords;
  spec.doorbell = part.bell;
  auto writer = opened([&] { return CellWriter::open(spec, part.patience()); });
  // Versions and numbers are the same.
  std::array<std::byte, std::size_t{8} * kWords> value{};
  for (int i = 0; i < 400; ++i) {
    const std::uint64_t number = writer->version() + 1;
    const std::uint32_t length = length_of(number);
    fill(value.data(), number, length);
    ledger->trying.store(number);
    writer->write(value.data(), length);
    ledger->done.store(number);
    part.pause();
  }
  writer->close();
}
inline void read_cell(Part& part) {
  CellReaderSpec spec;
  spec.place = Place(part.name);
  spec.doorbell = part.bell;
  auto reader = opened([&] { return CellReader::open(spec, part.patience()); });
  std::array<std::byte, std::size_t{8} * kWords> value{};
  std::uint64_t last = 0;
  for (int i = 0; i < 200; ++i) {
    (void)reader->wait_change(last, 0, 20 * kMillisecond);
    const CellRead read = reader->read(value.data(), value.size());
    if (read.status == CellRead::Status::empty || read.status == CellRead::Status::torn) continue;
    EXPECT(read.status == CellRead::Status::ok && read.version >= last);
    EXPECT(number_in(value.data(), read.length) == read.version);
    last = read.version;
    ledger->turns.fetch_add(1);
  }
  reader->close();
}

inline void make_memory(Part& part) {
  MemorySpec spec;
  spec.place = Place(part.name);
  spec.size = 16384;
  for (int i = 0; i < 40; ++i) {
    auto memory = opened([&] { return SharedMemory::create(spec, part.patience()); });
    std::memset(memory->memory()->data(), 0x5a, spec.size);
    ledger->turns.fetch_add(1);
    part.pause();
    memory->close();
  }
}
inline void open_memory(Part& part) {
  MemorySpec spec;
  spec.place = Place(part.name);
  for (int i = 0; i < 200; ++i) {
    const auto access = part.random.below(2) == 0 ? os::Access::read_only : os::Access::read_write;
    auto memory = SharedMemory::open(spec, access, part.patience());
    EXPECT(memory.ok() || memory.error().code == Code::not_found);
    if (memory.ok()) ledger->turns.fetch_add(1);
    part.pause();
  }
}
inline void offer(Part& part) {
  for (int i = 0; i < 20; ++i) {
    auto memory = os::create_nameless(0600, false);  // who has the last one may be using it still
    EXPECT(memory.ok());
    const os::Descriptor fd = memory.take();
    MemorySpec spec;
    spec.place = Place::nameless(fd.get());
    spec.size = 4096;
    auto made = SharedMemory::create(spec, part.patience());
    EXPECT(made.ok());
    std::memset(made.value()->memory()->data(), 0x5a, spec.size);
    std::vector<OfferedSegment> segments;
    segments.push_back({"memory", os::Descriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0))});
    auto offered = Offer::open(part.name, 0600, {}, std::move(segments));
    EXPECT(offered.ok() || offered.error().code == Code::exists);
    const os::Deadline until = os::Deadline::after(5 * kMillisecond);
    PeerIdentity peer;
    while (offered.ok() && !until.passed()) {
      if (offered.value()->serve(peer) == Served::served) ledger->turns.fetch_add(1);
      os::sleep_ns(50'000);
    }
  }
}

}  // namespace victims
