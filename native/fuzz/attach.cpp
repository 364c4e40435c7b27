// Arbitrary bytes for a segment: what somebody left, or holds, where a channel of ours is to be. The bytes
// are an honest segment of some kind with lies in it, cut or lengthened, or nothing but the input.
#include <functional>

#include <millrace/cell.hpp>
#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>
#include <millrace/queue.hpp>
#include <millrace/shared_memory.hpp>
#include <millrace/sync/barrier.hpp>
#include <millrace/sync/breaker.hpp>
#include <millrace/sync/counter.hpp>
#include <millrace/sync/event.hpp>
#include <millrace/sync/mutex.hpp>
#include <millrace/sync/rate_limiter.hpp>
#include <millrace/sync/rw_lock.hpp>
#include <millrace/work/work_queue.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

// Opens a side at a place, uses it a little if that works, and leaves.
using Visit = std::function<void(const Place&, std::uint64_t schema)>;

const os::Deadline kNow = os::Deadline::after(0);

void visit_producer(const Place& place, std::uint64_t schema) {
  QueueSpec spec;
  spec.place = place;
  spec.schema = schema;
  auto opened = QueueProducer::open(spec, kNow);
  if (!opened.ok()) return;
  (void)opened.value()->try_push("four", 4);
  (void)opened.value()->side().peer();
}
void visit_consumer(const Place& place, std::uint64_t schema) {
  QueueSpec spec;
  spec.place = place;
  spec.schema = schema;
  auto opened = QueueConsumer::open(spec, kNow);
  if (!opened.ok()) return;
  for (int i = 0; i < 4; ++i) {
    const Message message = opened.value()->peek();
    if (message.status != RingStatus::ok) break;
    insist_within(opened.value()->side().data(), message.bytes());
    read_all(message.bytes());
    opened.value()->release(message);
  }
}
void visit_writer(const Place& place, std::uint64_t schema) {
  FrameWriterSpec spec;
  spec.place = place;
  spec.schema = schema;
  spec.geometry = {100, 4, 2, 1, 64};
  auto opened = FrameWriter::open(spec, kNow);
  if (!opened.ok()) return;
  for (int i = 0; i < 6; ++i) {
    const auto slot = opened.value()->try_loan();
    if (!slot) return;
    insist_within(opened.value()->pool(), opened.value()->payload(*slot));
    write_all(opened.value()->payload(*slot));
    insist(opened.value()->publish(*slot, 7, 0) != 0, "a loan can be published");
  }
}
void visit_reader(const Place& place, std::uint64_t schema) {
  FrameReaderSpec spec;
  spec.place = place;
  spec.schema = schema;
  spec.history = 3;
  auto opened = FrameReader::open(spec, kNow);
  if (!opened.ok()) return;
  for (int i = 0; i < 6; ++i) {
    const ReceivedFrame frame = opened.value()->receive();
    if (frame.status != ReceivedFrame::Status::ok) return;
    insist_within(opened.value()->pool(), opened.value()->payload(frame));
    read_all(opened.value()->payload(frame));
  }
}
void visit_cell_writer(const Place& place, std::uint64_t schema) {
  CellWriterSpec spec;
  spec.place = place;
  spec.schema = schema;
  spec.max_bytes = 100;
  auto opened = CellWriter::open(spec, kNow);
  if (!opened.ok()) return;
  const std::array<std::byte, 100> value{};
  opened.value()->begin();
  opened.value()->copy_newest();
  opened.value()->publish(50);
  opened.value()->write(value.data(), value.size());
}
void visit_cell_reader(const Place& place, std::uint64_t schema) {
  CellReaderSpec spec;
  spec.place = place;
  spec.schema = schema;
  auto opened = CellReader::open(spec, kNow);
  if (!opened.ok()) return;
  std::vector<std::byte> target(200);
  (void)opened.value()->read(target.data(), target.size());
  (void)opened.value()->park({1, 1});
}
void visit_counter(const Place& place, std::uint64_t /*schema*/) {
  CounterSpec spec;
  spec.place = place;
  auto opened = Counter::open(spec, kNow);
  if (opened.ok()) (void)opened.value()->add(1);
}
void visit_event(const Place& place, std::uint64_t /*schema*/) {
  EventSpec spec;
  spec.place = place;
  auto opened = Event::open(spec, kNow);
  if (!opened.ok()) return;
  opened.value()->set();
  (void)opened.value()->wait(kNow);
}
void visit_barrier(const Place& place, std::uint64_t /*schema*/) {
  BarrierSpec spec;
  spec.place = place;
  spec.parties = 2;
  auto opened = Barrier::open(spec, kNow);
  if (opened.ok()) (void)opened.value()->wait(kNow);
}
void visit_mutex(const Place& place, std::uint64_t /*schema*/) {
  PartyOptions options;
  options.place = place;
  auto opened = Mutex::open(options, kNow);
  if (opened.ok() && opened.value()->lock(1000) == LockStatus::held) {
    (void)opened.value()->unlock();
  }
}
void visit_rwlock(const Place& place, std::uint64_t /*schema*/) {
  PartyOptions options;
  options.place = place;
  auto opened = RwLock::open(options, kNow);
  if (opened.ok() && opened.value()->read(1000) == LockStatus::held) (void)opened.value()->unlock();
}
void visit_memory(const Place& place, std::uint64_t /*schema*/) {
  MemorySpec spec;
  spec.place = place;
  auto opened = SharedMemory::open(spec, os::Access::read_write, kNow);
  if (!opened.ok()) return;
  const auto& memory = opened.value()->memory();
  read_all({memory->data(), memory->size()});
}

void visit_work(const Place& place, std::uint64_t /*schema*/) {
  WorkSpec spec;
  spec.place = place;
  spec.seats = 3;
  spec.levels = 2;
  spec.jobs = 4;
  spec.dead = 2;
  spec.bytes = 1024;
  spec.groups = 0;
  const auto opened = WorkQueue::open(spec, kNow);
  if (!opened.ok()) return;
  WorkQueue& queue = *opened.value();
  const std::array<std::byte, 300> payload{};
  (void)queue.try_push(payload, {});
  for (int i = 0; i < 4; ++i) {
    Lease lease = queue.try_take();
    if (!lease) break;
    JobFacts facts;
    if (queue.facts(lease.slot, facts)) {
      insist(facts.at + facts.length <= queue.data()->size(), "a payload lies in the data");
      read_all({queue.data()->data() + facts.at, facts.length});
    }
    (void)queue.complete(lease);
  }
  (void)queue.look();
}

void visit_rate_limiter(const Place& place, std::uint64_t /*schema*/) {
  RateLimiterSpec spec;
  spec.place = place;
  spec.rate = Rate{1000, 5};
  auto opened = RateLimiter::open(spec, kNow);
  if (!opened.ok()) return;
  (void)opened.value()->try_take(1);
  if (opened.value()->reserve(5, 1000).status == RateTurn::Status::taken)
    opened.value()->give_back();
  insist(opened.value()->remaining() <= 5, "no more remains than there can be");
}
void visit_breaker(const Place& place, std::uint64_t /*schema*/) {
  BreakerSpec spec;
  spec.place = place;
  auto opened = Breaker::open(spec, kNow);
  if (!opened.ok()) return;
  const BreakerEntry entry = opened.value()->try_enter();
  insist(entry.left_ms <= opened.value()->rules().open_ms, "nobody waits longer than it is open");
  opened.value()->fail(entry.generation);
  opened.value()->trip();
}

const std::array<Visit, 15> kVisits{
    visit_producer,    visit_consumer, visit_writer, visit_reader,       visit_cell_writer,
    visit_cell_reader, visit_counter,  visit_event,  visit_barrier,      visit_mutex,
    visit_rwlock,      visit_memory,   visit_work,   visit_rate_limiter, visit_breaker,
};

// The bytes of an honest segment as each of those visits leaves it (or, with two sides, the first).
const std::vector<std::uint8_t>& honest(std::size_t kind) {
  static std::array<std::vector<std::uint8_t>, kVisits.size()> known;
  std::vector<std::uint8_t>& image = known[kind];
  if (!image.empty()) return image;
  // A reader's segment is made by its writer.
  const std::size_t maker = kind == 3 || kind == 5 ? kind - 1 : kind;
  const Memory memory;
  if (maker == 11) {
    MemorySpec spec;
    spec.place = memory.place();
    spec.size = 4096;
    insist(SharedMemory::create(spec, kNow).ok(), "memory can be created");
  } else {
    kVisits[maker](memory.place(), 0);
  }
  struct stat status {};
  insist(::fstat(memory.fd(), &status) == 0 && status.st_size > 0, "an honest segment is made");
  image.resize(static_cast<std::size_t>(status.st_size));
  insist(::pread(memory.fd(), image.data(), image.size(), 0) == static_cast<ssize_t>(image.size()),
         "pread");
  return image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::size_t visit = input.below(kVisits.size());
  const std::size_t image = input.flag() ? visit : input.below(kVisits.size());
  const std::uint8_t how = input.byte();
  const std::uint64_t schema = (how & 16U) != 0 ? input.byte() : 0;
  std::vector<std::uint8_t> bytes;
  if ((how & 7U) == 0) {
    const auto raw = input.bytes(input.size());
    bytes.assign(raw.begin(), raw.end());
  } else {
    bytes = honest(image);
    if ((how & 8U) != 0) bytes.resize(input.below(0x10000) + (input.flag() ? bytes.size() : 0));
    Liar liar(reinterpret_cast<std::byte*>(bytes.data()), bytes.size(),
              {{0, 8}, {64, 8}, {128, 8}, {192, 4}, {448, 1}, {512, 16}});
    while (!input.over() && bytes.size() >= 8)
      liar.lie(input);
  }
  const Memory memory;
  if (!bytes.empty()) {
    insist(
        ::pwrite(memory.fd(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
        "pwrite");
  }
  if ((how & 32U) == 0) insist(os::seal_size(memory.fd(), {}).ok(), "memory can be sealed");
  // Somebody is on it: otherwise what is strange is taken for stale.
  os::Descriptor other;
  if ((how & 64U) == 0) {
    auto own = os::reopen(memory.fd(), os::Access::read_write, {});
    insist(own.ok(), "reopen");
    other = own.take();
    auto lock = os::FileLock::within(other.get());
    insist(lock.ok() && lock.value().try_exclusive(layout::kFirstRoleByte + 1000), "a lock");
  }
  kVisits[visit](memory.place(), schema);
  return 0;
}
