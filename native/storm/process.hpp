// One process of the storm: what it does with a name, and how it tells that it was harmed.
#pragma once

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "../testing/random.hpp"
#include "millrace/cell.hpp"
#include "millrace/frame_reader.hpp"
#include "millrace/frame_writer.hpp"
#include "millrace/queue.hpp"
#include "millrace/shared_memory.hpp"
#include "millrace/sync/counter.hpp"
#include "millrace/sync/event.hpp"
#include "millrace/sync/mutex.hpp"
#include "millrace/sync/semaphore.hpp"
#include "millrace/upkeep.hpp"
#include "millrace/work/work_queue.hpp"

namespace storm {

using namespace millrace;

constexpr std::uint32_t kNames = 20;
constexpr std::size_t kMostBells = std::size_t{1} << 20U;
constexpr std::uint64_t kMillisecond = 1'000'000;
// A process that takes this long for one visit hangs.
constexpr unsigned kWatchdogSeconds = 60;

enum class Kind { queue, frames, memory, cell, counter, mutex, semaphore, event, work };
constexpr std::uint32_t kKindCount = 9;
constexpr std::array<char, kKindCount> kLetters{'q', 'f', 'm', 'c', 'n', 'x', 0, 'e', 'j'};

// What all processes see.
struct Shared {
  std::atomic<bool> over;
  std::atomic<std::uint64_t> visits;
  std::atomic<std::uint64_t> refusals;  // for good reasons: somebody else has the role, …
  std::atomic<std::uint64_t> checks;
  std::atomic<std::uint64_t> sweeps;
  std::atomic<std::uint64_t> removed;
  std::array<std::atomic<pid_t>, kNames> inside;  // of the mutex of that name
  std::atomic<std::size_t> bell_count;
  std::array<std::uint64_t, kMostBells> bells;
};

using testing::Random;

struct Storm {
  Shared* arena = nullptr;
  std::string tag;
  std::uint64_t seed = 1;
  std::uint64_t processes = 50;
  std::uint64_t seconds = 10;

  [[nodiscard]] std::string name(std::uint32_t index) const {
    return tag + std::to_string(index) + ".";
  }
};

[[noreturn]] inline void harmed(const std::string& name, const std::string& how) {
  (void)std::fprintf(stderr, "storm: '%s': %s\n", name.c_str(), how.c_str());
  ::_exit(1);
}

// One process of the storm.
class Process {
 public:
  Process(const Storm& storm, std::uint64_t seed) : storm_(storm), random_(seed) {}

  int run() {
    os::sweep_dead_bells(64);
    auto bell = os::Doorbell::create(os::BellTrust{::geteuid(), 0, false});
    if (!bell.ok()) harmed("a doorbell", bell.error().message);
    bell_ = bell.take();
    const std::size_t at = storm_.arena->bell_count.fetch_add(1);
    if (at < kMostBells) storm_.arena->bells[at] = bell_.id();
    while (!storm_.arena->over.load(std::memory_order_relaxed)) {
      ::alarm(kWatchdogSeconds);
      step();
    }
    return 0;
  }

 private:
  void step() {
    const std::uint64_t dice = random_.below(100);
    if (dice < 15) return sweep();
    if (dice < 18) return (void)list_objects(storm_.tag);
    index_ = static_cast<std::uint32_t>(random_.below(kNames));
    name_ = storm_.name(index_);
    if (dice < 20) return abandon_half_made();
    storm_.arena->visits.fetch_add(1, std::memory_order_relaxed);
    visit(static_cast<Kind>(index_ % kKindCount));
  }

  void sweep() {
    SweepSpec spec;
    spec.prefix = storm_.tag;
    spec.semaphores = random_.chance(50);
    if (random_.chance(20)) {
      // What is kept goes, too; but that an owner of a mutex died inside must not be forgotten here.
      const auto index = static_cast<std::uint32_t>(random_.below(kNames));
      spec.prefix = storm_.name(index);
      spec.kept = static_cast<Kind>(index % kKindCount) != Kind::mutex;
    }
    storm_.arena->sweeps.fetch_add(1, std::memory_order_relaxed);
    for (const Swept& found : sweep_objects(spec)) {
      if (found.removed) storm_.arena->removed.fetch_add(1, std::memory_order_relaxed);
    }
  }
  // As a creator that is killed right after its first step.
  void abandon_half_made() {
    const char letter = kLetters.at(index_ % kKindCount);
    if (letter != 0) (void)os::create_object(object_name_of(letter, name_), 0600);
  }

  void visit(Kind kind) {
    switch (kind) {
      case Kind::queue:
        return random_.chance(50) ? produce() : consume();
      case Kind::frames:
        return random_.chance(50) ? publish_frames() : receive_frames();
      case Kind::memory:
        return random_.chance(50) ? own_memory() : read_memory();
      case Kind::cell:
        return random_.chance(50) ? write_cell() : read_cell();
      case Kind::counter:
        return count();
      case Kind::mutex:
        return lock();
      case Kind::semaphore:
        return take_permit();
      case Kind::event:
        return signal_event();
      case Kind::work:
        return work();
    }
  }

  [[nodiscard]] static os::Deadline patience() {
    return os::Deadline::after(30'000 * kMillisecond);
  }

  // The object, or nothing if there is a good reason.
  template <typename T>
  std::optional<T> opened(Result<T> result) {
    if (result.ok()) return result.take();
    switch (result.error().code) {
      case Code::role_taken:
      case Code::no_lane:
      case Code::exists:
      case Code::not_found:
        storm_.arena->refusals.fetch_add(1, std::memory_order_relaxed);
        return std::nullopt;
      default:
        harmed(name_, result.error().message);
    }
  }
  // Holds an object for a while; perhaps until death.
  void hold() {
    os::sleep_ns(random_.below(2 * kMillisecond));
    if (random_.chance(4)) ::kill(::getpid(), SIGKILL);
  }
  // Nobody may have taken the name away from what we hold.
  void expect_named(const Segment& segment) {
    storm_.arena->checks.fetch_add(1, std::memory_order_relaxed);
    if (segment.unlinked()) harmed(name_, "lost its name while a living process held it");
  }

  // Everything written under a name says which: words of {stamp, name}.
  [[nodiscard]] std::uint64_t stamp() const noexcept { return 0xA11C'E000'0000'0000ULL + index_; }
  void fill(std::byte* at, std::size_t bytes) const {
    const std::uint64_t word = stamp();
    for (std::size_t i = 0; i + sizeof word <= bytes; i += sizeof word)
      std::memcpy(at + i, &word, sizeof word);
  }
  void expect_stamped(const std::byte* at, std::size_t bytes, bool or_zero = false) {
    storm_.arena->checks.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i + sizeof(std::uint64_t) <= bytes; i += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, at + i, sizeof word);
      if (word != stamp() && !(or_zero && word == 0))
        harmed(name_, "holds what nobody wrote to it");
    }
  }

  void produce() {
    QueueSpec spec;
    spec.place = name_;
    spec.capacity = 4096;
    spec.keep = random_.chance(30);
    spec.doorbell = bell_.id();
    auto producer = opened(QueueProducer::open(spec, patience()));
    if (!producer) return;
    std::array<std::byte, 240> message{};
    fill(message.data(), message.size());
    for (int i = 0; i < 8; ++i)
      (void)(*producer)->try_push(message.data(), static_cast<std::uint32_t>(message.size()));
    hold();
    expect_named((*producer)->side().segment());
    (*producer)->close(random_.chance(50));
  }
  void consume() {
    QueueSpec spec;
    spec.place = name_;
    spec.capacity = 4096;
    spec.doorbell = bell_.id();
    auto consumer = opened(QueueConsumer::open(spec, patience()));
    if (!consumer) return;
    hold();
    for (int i = 0; i < 16; ++i) {
      const Message message = (*consumer)->peek();
      if (message.status == RingStatus::empty) break;
      if (message.status != RingStatus::ok) harmed(name_, "is corrupt");
      expect_stamped(message.data, message.length);
      (*consumer)->release(message);
    }
    expect_named((*consumer)->side().segment());
  }

  void work() {
    WorkSpec spec;
    spec.place = name_;
    spec.seats = 64;
    spec.jobs = 16;
    spec.bytes = 4096;
    spec.keep = random_.chance(30);
    spec.doorbell = bell_.id();
    auto queue = opened(WorkQueue::open(spec, patience()));
    if (!queue) return;
    std::array<std::byte, 240> payload{};
    fill(payload.data(), payload.size());
    for (int i = 0; i < 4; ++i)
      (void)(*queue)->try_push(payload, {});
    for (int i = 0; i < 4; ++i) {
      Lease lease = (*queue)->try_take();
      if (!lease) break;
      JobFacts facts;
      if (!(*queue)->facts(lease.slot, facts)) harmed(name_, "has a job that cannot be");
      expect_stamped((*queue)->data()->data() + facts.at, facts.length);
      if (i == 0) hold();
      if (!(*queue)->complete(lease)) harmed(name_, "lost a lease of a living process");
    }
    expect_named((*queue)->parties().segment());
  }

  void publish_frames() {
    FrameWriterSpec spec;
    spec.place = name_;
    spec.geometry.slot_bytes = 1024;
    spec.geometry.history = 2;
    spec.keep = random_.chance(30);
    spec.doorbell = bell_.id();
    auto writer = opened(FrameWriter::open(spec, patience()));
    if (!writer) return;
    for (int i = 0; i < 4; ++i) {
      const auto slot = (*writer)->try_loan();
      if (!slot) break;
      fill((*writer)->payload(*slot).data(), 1024);
      (void)(*writer)->publish(*slot, 1024, 0);
    }
    hold();
    expect_named((*writer)->segment());
  }
  void receive_frames() {
    FrameReaderSpec spec;
    spec.place = name_;
    spec.history = 2;
    spec.policy = layout::Policy::drop_newest;
    spec.doorbell = bell_.id();
    auto reader = opened(FrameReader::open(spec, patience()));
    if (!reader) return;
    hold();
    for (int i = 0; i < 4; ++i) {
      const ReceivedFrame frame = (*reader)->receive();
      if (frame.status == ReceivedFrame::Status::corrupt) harmed(name_, "is corrupt");
      if (frame.status != ReceivedFrame::Status::ok) break;
      expect_stamped((*reader)->payload(frame).data(), frame.length);
      (void)(*reader)->release(frame.slot, frame.sequence);
    }
    expect_named((*reader)->segment());
  }

  [[nodiscard]] MemorySpec memory() const {
    MemorySpec spec;
    spec.place = name_;
    spec.size = 8192;
    return spec;
  }
  void own_memory() {
    auto owner = opened(SharedMemory::create(memory(), patience()));
    if (!owner) return;
    const std::uint64_t identity = identity_of(name_);
    fill((*owner)->memory()->data(), 8192);
    hold();
    expect_stamped((*owner)->memory()->data(), 8192);
    if (identity == 0 || identity_of(name_) != identity) {
      harmed(name_, "was replaced while its owner lives");
    }
  }
  void read_memory() {
    auto reader = opened(SharedMemory::open(memory(), os::Access::read_only, patience()));
    if (!reader) return;
    hold();
    // Its owner may not have filled it yet.
    expect_stamped((*reader)->memory()->data(), 8192, true);
  }
  [[nodiscard]] static std::uint64_t identity_of(const std::string& file) {
    struct stat status {};
    return ::stat(os::object_path(file).c_str(), &status) == 0 ? status.st_ino : 0;
  }

  void write_cell() {
    CellWriterSpec spec;
    spec.place = name_;
    spec.max_bytes = 512;
    spec.keep = random_.chance(30);
    spec.doorbell = bell_.id();
    auto writer = opened(CellWriter::open(spec, patience()));
    if (!writer) return;
    std::array<std::byte, 512> value{};
    fill(value.data(), value.size());
    for (int i = 0; i < 8; ++i)
      (*writer)->write(value.data(), value.size());
    hold();
    expect_named((*writer)->segment());
  }
  void read_cell() {
    CellReaderSpec spec;
    spec.place = name_;
    spec.doorbell = bell_.id();
    auto reader = opened(CellReader::open(spec, patience()));
    if (!reader) return;
    hold();
    std::array<std::byte, 512> value{};
    const CellRead read = (*reader)->read(value.data(), value.size());
    if (read.status == CellRead::Status::corrupt) harmed(name_, "is corrupt");
    if (read.status == CellRead::Status::ok) expect_stamped(value.data(), read.length);
    expect_named((*reader)->segment());
  }

  void count() {
    CounterSpec spec;
    spec.place = name_;
    spec.keep = random_.chance(30);
    auto counter = opened(Counter::open(spec, patience()));
    if (!counter) return;
    const std::int64_t before = (*counter)->add(1);
    hold();
    if ((*counter)->get() < before) harmed(name_, "counted backwards");
    expect_named((*counter)->segment());
  }
  void lock() {
    PartyOptions options;
    options.place = name_;
    options.doorbell = bell_.id();
    auto mutex = opened(Mutex::open(options, patience()));
    if (!mutex) return;
    const LockStatus status = (*mutex)->lock(20 * kMillisecond);
    if (status == LockStatus::corrupt) harmed(name_, "is corrupt");
    if (status == LockStatus::held || status == LockStatus::abandoned) {
      auto& inside = storm_.arena->inside.at(index_);
      const pid_t before = inside.exchange(::getpid());
      if (before != 0 && status != LockStatus::abandoned) {
        harmed(name_, "let two in at once, or forgot that an owner died inside");
      }
      hold();
      expect_named((*mutex)->base().parties().segment());
      if (inside.exchange(0) != ::getpid()) harmed(name_, "let somebody else in");
      (void)(*mutex)->unlock();
    }
  }
  void take_permit() {
    SemaphoreSpec spec;
    spec.name = name_;
    spec.initial = 1000;
    auto semaphore = opened(Semaphore::open_or_create(spec));
    if (!semaphore) return;
    const std::uint64_t identity = identity_of(os::semaphore_object(name_));
    const bool got = (*semaphore)->try_wait();
    hold();
    if (got) (void)(*semaphore)->post();
    storm_.arena->checks.fetch_add(1, std::memory_order_relaxed);
    if (identity == 0 || identity_of(os::semaphore_object(name_)) != identity) {
      harmed(name_, "a semaphore lost its name while it was open");
    }
  }
  void signal_event() {
    EventSpec spec;
    spec.place = name_;
    spec.doorbell = bell_.id();
    auto event = opened(Event::open(spec, patience()));
    if (!event) return;
    (void)(*event)->set();
    hold();
    expect_named((*event)->parties().segment());
  }

  const Storm& storm_;
  Random random_;
  os::Doorbell bell_;
  std::uint32_t index_ = 0;
  std::string name_;
};

}  // namespace storm
