// Makes victims for `npm run chaos`: a process that forks others, lets them work, and kills them at an
// instant of its own choice. A fork costs a tenth of a millisecond, so that thousands can die.
//
//   victims LEDGER SEED        then, a line at a time, on standard input:
//     kill KIND SIDE NAME US     one that is killed after so many microseconds
//     point KIND SIDE NAME US    one that dies at a crash point, or after 20 ms if it does not come there
//     stop KIND SIDE NAME US     one that is stopped then; `go` lets it go on, and it is killed after that time
//   and on standard output, a line for each:
//     stopped PID
//     dead PID NS HOW            monotonic nanoseconds; a crash point, `killed`, or `exit CODE`
//
// What a victim does and has done is in the ledger, shared memory of that name; see ledger.ts.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <millrace/crash_point.hpp>
#include <millrace/millrace.hpp>

#include "../../native/testing/random.hpp"
#include "content.hpp"
#include "work_victims.hpp"

namespace {

using namespace millrace;

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
// How long a victim may take to come to its crash point.
constexpr std::uint64_t kPointPatience = 20'000'000;

// The same as in ledger.ts.
struct Ledger {
  std::atomic<std::uint64_t> trying;  // number of the message (frame, value, step) in hand
  std::atomic<std::uint64_t> done;    // of the last one that was finished
  std::atomic<std::uint64_t> base;    // where the next one goes on
  std::atomic<std::uint64_t> left;    // what a lock protects: equal unless somebody is inside
  std::atomic<std::uint64_t> right;
  std::atomic<std::uint64_t> holding;  // permits, while there is no doubt: 2 n; 2 n + 1: n or n + 1
  std::atomic<std::uint64_t> turns;    // of anything, for the report
};
Ledger* ledger = nullptr;

using testing::Random;
using victims::fill;
using victims::kWords;
using victims::length_of;
using victims::number_in;

// What must not be: the victim ends with a message, and the run fails.
#define EXPECT(...)                                                                        \
  do {                                                                                     \
    if (!(__VA_ARGS__)) {                                                                  \
      (void)std::fprintf(stderr, "victim: %s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
      ::_exit(3);                                                                          \
    }                                                                                      \
  } while (false)

// Opened, or not to be had now: the place of the one before may not be free for an instant.
template <typename Open>
auto opened(Open&& open) {
  for (;;) {
    auto result = open();
    if (result.ok()) return result.take();
    const Code code = result.error().code;
    if (code != Code::role_taken && code != Code::not_found && code != Code::exists &&
        code != Code::no_lane && code != Code::timeout) {
      (void)std::fprintf(stderr, "victim: %s\n", result.error().message.c_str());
      ::_exit(4);
    }
    os::sleep_ns(200'000);
  }
}

struct Part {
  std::string side;
  std::string name;
  std::uint64_t bell = 0;  // 0: its death cannot be heard, only looked for
  Random random{0};

  [[nodiscard]] os::Deadline patience() const { return os::Deadline::after(10 * kSecond); }
  [[nodiscard]] PartyOptions party() const {
    PartyOptions options;
    options.place = Place(name);
    options.doorbell = bell;
    return options;
  }
  void pause() { os::sleep_ns(random.below(4) == 0 ? random.below(300'000) : 0); }
};

QueueSpec queue_of(const Part& part) {
  QueueSpec spec;
  spec.place = Place(part.name);
  spec.doorbell = part.bell;
  return spec;
}
void produce(Part& part) {
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
void consume(Part& part) {
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
void be_both(Part& part) {
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
void write_frames(Part& part) {
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
void read_frames(Part& part, layout::Policy policy) {
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

void write_cell(Part& part) {
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
void read_cell(Part& part) {
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

void lock_and_unlock(Part& part, layout::Kind kind) {
  detail::Lock lock;
  (void)opened([&]() -> Result<int> {
    auto done = lock.open(part.party(), kind, part.patience());
    if (!done.ok()) return done.error();
    return 0;
  });
  for (int i = 0; i < 100; ++i) {
    const bool exclusive = kind == layout::Kind::mutex || part.random.below(2) == 0;
    const LockStatus status = lock.lock(exclusive ? LockMode::exclusive : LockMode::shared, 5'000,
                                        part.random.below(8) == 0 ? 100'000 : 10 * kSecond);
    if (status == LockStatus::busy) continue;  // the time was over
    EXPECT(status == LockStatus::held || status == LockStatus::abandoned);
    const bool broken = ledger->left.load() != ledger->right.load();
    EXPECT(!broken || status == LockStatus::abandoned);
    if (exclusive) {
      if (broken) ledger->right.store(ledger->left.load());
      ledger->left.fetch_add(1);
      part.pause();
      ledger->right.fetch_add(1);
    }
    EXPECT(lock.unlock() == LockStatus::held);
    ledger->turns.fetch_add(1);
    part.pause();
  }
  lock.close();
}

void set_and_wait(Part& part) {
  EventSpec spec;
  static_cast<PartyOptions&>(spec) = part.party();
  auto event = opened([&] { return Event::open(spec, part.patience()); });
  for (int i = 0; i < 100; ++i) {
    event->set();
    part.pause();
    if (event->wait(os::Deadline::after(part.random.below(2 * kMillisecond))))
      ledger->turns.fetch_add(1);
  }
  event->close();
}
void arrive(Part& part) {
  BarrierSpec spec;
  static_cast<PartyOptions&>(spec) = part.party();
  spec.parties = 3;
  auto barrier = opened([&] { return Barrier::open(spec, part.patience()); });
  for (int i = 0; i < 100; ++i) {
    const BarrierTurn turn = barrier->wait(part.patience());
    EXPECT(turn.status != BarrierTurn::Status::corrupt);
    if (turn.status != BarrierTurn::Status::complete) {
      os::sleep_ns(kMillisecond);
      continue;
    }
    ledger->turns.fetch_add(1);
    part.pause();
  }
  barrier->close();
}
void count(Part& part) {
  CounterSpec spec;
  spec.place = Place(part.name);
  spec.initial = 1000;
  auto counter = opened([&] { return Counter::open(spec, part.patience()); });
  for (int i = 0; i < 1000; ++i) {
    ledger->trying.fetch_add(1);
    (void)counter->add(1);
    ledger->done.fetch_add(1);
    part.pause();
  }
  counter->close();
}
void take_permits(Part& part) {
  SemaphoreSpec spec;
  spec.name = part.name;
  spec.initial = 4;
  auto semaphore = opened([&] { return Semaphore::open(spec); });
  for (int i = 0; i < 100; ++i) {
    ledger->holding.store(1);
    if (!semaphore->wait_for(0, kMillisecond)) {
      ledger->holding.store(0);
      continue;
    }
    ledger->holding.store(2);
    part.pause();
    ledger->holding.store(1);
    EXPECT(semaphore->post().ok());
    ledger->holding.store(0);
    ledger->turns.fetch_add(1);
  }
}
void make_memory(Part& part) {
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
void open_memory(Part& part) {
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
void offer(Part& part) {
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

// As leaseMsOf() in work-party.ts.
void use_work_queue(Part& part, std::uint64_t lease_ns) {
  auto queue = opened([&] { return WorkQueue::open(victims::work_of(part), part.patience()); });
  // Each side has numbers of its own: those of survivors end in 3.
  const std::uint64_t side = part.side == "producer" ? 0 : part.side == "worker" ? 1 : 2;
  const std::uint64_t who = (ledger->base.fetch_add(1) + 1) * 4 + side;
  ledger->holding.store(who);
  if (side == 0) return victims::push_jobs(part, *ledger, *queue, who);
  victims::Taker<Part, Ledger>(part, *ledger, *queue, who, lease_ns).work(side == 1 ? 1 : 4);
}

void work(const std::string& kind, Part& part) {
  using layout::Kind;
  using layout::Policy;
  if (kind == "queue") return part.side == "producer" ? produce(part) : consume(part);
  if (kind == "both") return be_both(part);
  if (kind == "frames") {
    if (part.side == "writer") return write_frames(part);
    return read_frames(part, part.side == "reader-wait"   ? Policy::wait
                             : part.side == "reader-drop" ? Policy::drop_newest
                                                          : Policy::overwrite_oldest);
  }
  if (kind == "cell") return part.side == "writer" ? write_cell(part) : read_cell(part);
  if (kind == "mutex") return lock_and_unlock(part, Kind::mutex);
  if (kind == "rwlock") return lock_and_unlock(part, Kind::rwlock);
  if (kind == "event") return set_and_wait(part);
  if (kind == "barrier") return arrive(part);
  if (kind == "counter") return count(part);
  if (kind == "semaphore") return take_permits(part);
  if (kind == "memory") return part.side == "owner" ? make_memory(part) : open_memory(part);
  if (kind == "handover") return offer(part);
  if (kind.rfind("work", 0) == 0)
    return use_work_queue(part, kind == "work-lease" ? 50 * kMillisecond : 0);
  ::_exit(2);
}

template <typename T>
T* shared(int fd) {
  const int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  void* at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) std::exit(2);
  return static_cast<T*>(at);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ledger = shared<Ledger>(::shm_open((std::string("/") + argv[1]).c_str(), O_RDWR, 0));
  auto* log = shared<crash::Log>(-1);
  Random random(std::strtoull(argv[2], nullptr, 10));
  const pid_t me = ::getpid();
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string how;
    std::string kind;
    Part part;
    std::uint64_t microseconds = 0;
    words >> how >> kind >> part.side >> part.name >> microseconds;
    if (!words) return 2;
    // One of the points that were passed by now, so that most of these deaths happen.
    std::vector<std::string_view> passed;
    for (std::size_t i = 0; i < crash::points().size() && i < crash::kMaxPoints; ++i) {
      if (log->passed[i].exchange(0) != 0) passed.push_back(crash::points()[i]);
    }
    const bool at_point = how == "point" && !passed.empty();
    const std::string_view point = at_point ? passed[random.below(passed.size())] : "";
    const std::uint64_t nth = 1 + random.below(random.below(2) == 0 ? 1 : 20);
    const bool heard = random.below(4) != 0;
    part.random = Random(random.below(~std::uint64_t{0}));
    log->died_at.store(0);
    const pid_t victim = ::fork();
    if (victim == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != me) ::_exit(0);
      crash::log_to(log);
      if (at_point) (void)crash::arm(point, nth);
      os::Doorbell bell;
      if (heard) {
        os::sweep_dead_bells(64);  // as each new environment of Node does
        if (auto made = os::Doorbell::create({::geteuid(), ::getegid(), false}); made.ok()) {
          bell = made.take();
          part.bell = bell.id();
        }
      }
      for (;;)
        work(kind, part);
    }
    const std::uint64_t lives = at_point ? kPointPatience : microseconds * 1000;
    const os::Deadline end = os::Deadline::after(lives);
    int status = 0;
    bool ended = false;
    while (!ended && !end.passed()) {
      os::sleep_ns(std::min<std::uint64_t>(end.left_ns(), at_point ? 100'000 : lives));
      ended = ::waitpid(victim, &status, WNOHANG) == victim;
    }
    if (how == "stop") {
      ::kill(victim, SIGSTOP);
      int ignored = 0;
      (void)::waitpid(victim, &ignored, WUNTRACED);
      std::cout << "stopped " << victim << std::endl;
      if (!std::getline(std::cin, line)) return 2;
      ::kill(victim, SIGCONT);
      os::sleep_ns(microseconds * 1000);
    }
    std::uint64_t died = os::monotonic_ns();
    if (!ended) {
      ::kill(victim, SIGKILL);
      (void)::waitpid(victim, &status, 0);
    }
    const std::uint64_t of_itself = log->died_at.load();
    if (of_itself != 0) died = of_itself;
    std::cout << "dead " << victim << ' ' << died << ' ';
    if (WIFEXITED(status)) {
      std::cout << "exit " << WEXITSTATUS(status) << std::endl;
    } else {
      std::cout << (of_itself != 0 ? point : "killed") << std::endl;
    }
  }
  return 0;
}
