// The peer of these tests in C++, over the headers of the core: peer ROLE NAME [ARGUMENT ...]. ../roles.ts says what the roles are and
// what they print.
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <millrace/millrace.hpp>
#include <millrace/topics/topic_bus.hpp>

namespace {

using namespace millrace;

// Ends the program if it is not so, and says where.
#define CHECK(...)                                                                 \
  do {                                                                             \
    if (!(__VA_ARGS__)) {                                                          \
      (void)std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
      ::_exit(1);                                                                  \
    }                                                                              \
  } while (false)

constexpr std::uint64_t kQueueBytes = 16'384;
constexpr std::uint64_t kSlotBytes = 4096;
constexpr std::uint64_t kMemoryBytes = 20'000;
constexpr std::uint64_t kPatienceNs = 60'000'000'000;
constexpr std::uint64_t kSliceOfPatienceNs = 20'000'000;
constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr BlockingOptions kPatience{kPatienceNs, 50'000};

char** arguments = nullptr;
std::uint64_t number(int at) {
  return std::strtoull(arguments[at], nullptr, 10);
}
os::Deadline patience() {
  return os::Deadline::after(kPatienceNs);
}

// Each line ends with a point, so that half a line of one that was killed is told from a whole one.
void say(const std::string& line) {
  (void)std::printf("%s .\n", line.c_str());
  (void)std::fflush(stdout);
}
void say(std::uint64_t value) {
  say(std::to_string(value));
}
void stay() {
  os::sleep_ns(kPatienceNs);
}
// So that others get the processor, and deaths come here as well.
void nap() {
  os::sleep_ns(200'000);
}

template <typename T>
T taken(Result<T> result) {
  if (!result.ok()) {
    (void)std::fprintf(stderr, "%s\n", result.error().message.c_str());
    ::_exit(1);
  }
  return result.take();
}

// Message `n`: its number, and bytes that follow from it.
std::vector<std::byte> content(std::uint64_t n) {
  std::vector<std::byte> bytes(8 + n * 7 % 3000, static_cast<std::byte>(n % 251));
  std::memcpy(bytes.data(), &n, sizeof n);
  return bytes;
}
std::uint64_t number_of(std::span<const std::byte> message) {
  std::uint64_t n = 0;
  CHECK(message.size() >= sizeof n);
  std::memcpy(&n, message.data(), sizeof n);
  const auto whole = content(n);
  CHECK(message.size() == whole.size());
  CHECK(std::memcmp(message.data(), whole.data(), whole.size()) == 0);
  return n;
}

QueueSpec queue_of(const std::string& name) {
  QueueSpec spec;
  spec.place = Place(name);
  spec.capacity = kQueueBytes;
  return spec;
}
void push(const std::string& name) {
  const auto producer = taken(QueueProducer::open(queue_of(name), patience()));
  const std::uint64_t first = number(0);
  for (std::uint64_t n = first; n < first + number(1); ++n) {
    const auto message = content(n);
    for (;;) {
      const auto done = push_sync(*producer, message, kPatience);
      if (done.ok()) break;
      CHECK(done.error().code == Code::peer_gone || done.error().code == Code::closed);
      CHECK(wait_for_peer_sync(*producer, kPatience).ok());
    }
    say(n);
  }
  CHECK(end_sync(*producer, kPatience).ok());
  say("end");
}
void pop(const std::string& name) {
  const auto consumer = taken(QueueConsumer::open(queue_of(name), patience()));
  say("ready");
  for (;;) {
    auto message = peek_sync(*consumer, kPatience);
    if (!message.ok()) {
      CHECK(message.error().code == Code::peer_gone);
      say("gone");
      CHECK(wait_for_peer_sync(*consumer, kPatience).ok());
      continue;
    }
    if (!message.value()) break;
    const std::uint64_t n = number_of(message.value()->bytes());
    consumer->release(*message.value());
    say(n);
  }
  consumer->close(false);
  say("end");
}

void write_frames(const std::string& name) {
  FrameWriterSpec spec;
  spec.place = Place(name);
  spec.geometry.slot_bytes = kSlotBytes;
  spec.geometry.slots = 8;
  spec.geometry.readers = 8;
  const auto writer = taken(FrameWriter::open(spec, patience()));
  CHECK(wait_for_readers_sync(*writer, static_cast<std::uint32_t>(number(0)), kPatience).ok());
  for (std::uint64_t i = 0; i < number(1); ++i) {
    auto loan = taken(loan_sync(*writer, kPatience));
    const std::uint64_t sequence = writer->sequence() + 1;
    const auto bytes = content(sequence);
    std::memcpy(loan.payload().data(), bytes.data(), bytes.size());
    std::memcpy(loan.user_header().data(), &sequence, sizeof sequence);
    CHECK(loan.publish(bytes.size()) == sequence);
    say(sequence);
  }
  writer->close();
  say("end");
}
void read_frames(const std::string& name) {
  FrameReaderSpec spec;
  spec.place = Place(name);
  const auto reader = taken(open_reader_sync(spec, kPatience));
  say("ready");
  for (;;) {
    auto frame = receive_sync(*reader, kPatience);
    if (!frame.ok()) {
      CHECK(frame.error().code == Code::peer_gone);
      say("gone");
      while (reader->writer() != Peer::attached)
        os::sleep_ns(kMillisecond);
      continue;
    }
    if (!frame.value()) break;
    const std::uint64_t sequence = frame.value()->sequence();
    CHECK(number_of(frame.value()->payload()) == sequence);
    CHECK(std::memcmp(frame.value()->user_header().data(), &sequence, sizeof sequence) == 0);
    frame.value()->release();
    say(sequence);
  }
  reader->close();
  say("end");
}

void write_cell(const std::string& name) {
  CellWriterSpec spec;
  spec.place = Place(name);
  spec.max_bytes = kSlotBytes;
  const auto writer = taken(CellWriter::open(spec, patience()));
  for (std::uint64_t i = 0; i < number(0); ++i) {
    const std::uint64_t version = writer->version() + 1;
    const auto value = content(version);
    writer->write(value.data(), value.size());
    CHECK(writer->version() == version);
    say(version);
    nap();
  }
  writer->close();
  say("end");
}
void read_cell(const std::string& name) {
  CellReaderSpec spec;
  spec.place = Place(name);
  std::unique_ptr<CellReader> reader;
  while (reader == nullptr) {
    auto opened = CellReader::open(spec, patience());
    CHECK(opened.ok() || opened.error().code == Code::not_found);
    if (opened.ok())
      reader = opened.take();
    else
      os::sleep_ns(kMillisecond);
  }
  say("ready");
  std::vector<std::byte> value(kSlotBytes);
  std::uint64_t last = 0;
  for (;;) {
    const bool stirred = reader->wait_change(last, 50'000, kPatienceNs);
    const Peer writer = reader->writer();
    if (reader->version() != last) {
      const CellRead read = reader->read(value.data(), value.size());
      if (read.status == CellRead::Status::torn) continue;
      CHECK(read.status == CellRead::Status::ok && read.version > last);
      CHECK(number_of(std::span(value).first(read.length)) == read.version);
      last = read.version;
      say(last);
    } else if (writer == Peer::closed) {
      break;
    } else if (!stirred && writer == Peer::gone) {
      say("gone");
      while (reader->writer() != Peer::attached)
        os::sleep_ns(kMillisecond);
    }
  }
  reader->close();
  say("end");
}

WorkSpec work_of(const std::string& name) {
  WorkSpec spec;
  spec.place = Place(name);
  return spec;
}
void push_jobs(const std::string& name) {
  const auto queue = taken(WorkQueue::open(work_of(name), patience()));
  const std::uint64_t first = number(0);
  for (std::uint64_t n = first; n < first + number(1); ++n) {
    const std::string id = "job-" + std::to_string(n);
    const std::string group = "group-" + std::to_string(n % 3);
    PushOptions options;
    options.id = id;
    options.level = static_cast<std::uint8_t>(n % 3);
    if (n % 4 == 0) options.group = group;
    const auto payload = content(n);
    Pushed done = Pushed::full;
    const os::Deadline end = patience();
    while (done == Pushed::full || done == Pushed::full_bytes || done == Pushed::busy) {
      CHECK(!end.passed());
      (void)queue->wait_for_room(0, kSliceOfPatienceNs, [&] {
        done = queue->try_push(payload, options);
        return done != Pushed::full && done != Pushed::full_bytes;
      });
    }
    CHECK(done == Pushed::yes || done == Pushed::duplicate);
    say(n);
    nap();
  }
  say("end");
}
void do_work(const std::string& name) {
  const auto queue = taken(WorkQueue::open(work_of(name), patience()));
  say("ready");
  for (;;) {
    Lease lease;
    const os::Deadline end = patience();
    while (!lease) {
      CHECK(!end.passed());
      lease = queue->wait_for_job(0, true, 0, kSliceOfPatienceNs);
    }
    JobFacts facts;
    CHECK(queue->facts(lease.slot, facts));
    const std::uint64_t n =
        number_of({queue->data()->data() + facts.at, std::size_t{facts.length}});
    CHECK(facts.id == "job-" + std::to_string(n));
    CHECK(facts.level == n % 3);
    CHECK(facts.group == (n % 4 == 0 ? "group-" + std::to_string(n % 3) : std::string()));
    say("took " + std::to_string(n) + ' ' + std::to_string(facts.attempt));
    nap();
    if (n % 5 == 0 && facts.attempt == 1) {
      CHECK(queue->retry(lease, 0, "once more"));
      say("retried " + std::to_string(n));
    } else {
      CHECK(queue->complete(lease));
      say("done " + std::to_string(n));
    }
  }
}

std::unique_ptr<TopicBus> topics_of(const std::string& name) {
  TopicSpec spec;
  spec.place = Place(name);
  return taken(TopicBus::open(spec, patience()));
}
// Without headers, which the core only carries.
void publish(const std::string& name) {
  const auto bus = topics_of(name);
  const std::string own = std::string("m.") + arguments[0];
  const std::array<std::uint32_t, 2> subjects{taken(bus->subject(own + ".even")),
                                              taken(bus->subject(own + ".odd"))};
  const std::uint64_t first = number(1);
  for (std::uint64_t n = first; n < first + number(2); ++n) {
    const auto payload = content(n);
    Published done = Published::full;
    const os::Deadline end = patience();
    while (done == Published::full || done == Published::busy) {
      CHECK(!end.passed());
      (void)bus->wait(kForTopicRoom, 0, kSliceOfPatienceNs, [&] {
        std::uint32_t matched = 0;
        done = bus->try_publish(subjects[n % 2], payload, {}, matched);
        return done == Published::yes;
      });
    }
    CHECK(done == Published::yes);
    say(n);
    nap();
  }
  say("end");
}
void subscribe(const std::string& name) {
  const auto bus = topics_of(name);
  const bool waits = std::string_view(arguments[0]) == "wait";
  SubscribeOptions options;
  options.policy = waits ? layout::TopicPolicy::wait : layout::TopicPolicy::overwrite;
  options.depth = static_cast<std::uint32_t>(number(1));
  const std::array<std::string_view, 1> filters{arguments[2]};
  const std::uint32_t entry = taken(bus->subscribe(filters, options));
  say("ready");
  std::vector<std::byte> target(8192);
  for (;;) {
    TopicMessage message;
    std::uint32_t count = 0;
    const os::Deadline end = patience();
    while (count == 0) {
      CHECK(!end.passed());
      (void)bus->wait(kForMessages, 0, kSliceOfPatienceNs, [&] {
        count = bus->read(entry, &message, 1, target, true);
        return count != 0;
      });
    }
    const bool copied = message.pin == TopicMessage::kCopied;
    const std::byte* const at = (copied ? target.data() : bus->data()->data()) + message.at;
    const std::uint64_t n = number_of({at, std::size_t{message.length}});
    if (!copied) bus->release(message.pin);
    say(bus->subject_text(message.subject) + ' ' + std::to_string(n) + ' ' +
        std::to_string(message.index) + ' ' + std::to_string(message.missed));
    if (!waits) os::sleep_ns(kMillisecond);
  }
}

// Two words that are equal unless somebody is inside; changed with the lock held.
class Halves {
 public:
  explicit Halves(const std::string& name) {
    MemorySpec spec;
    spec.place = Place(name);
    memory_ = taken(SharedMemory::open(spec, os::Access::read_write, patience()));
    words_ = reinterpret_cast<volatile std::uint64_t*>(memory_->memory()->data());
  }
  void check(LockStatus status) const {
    CHECK(status == LockStatus::held || status == LockStatus::abandoned);
    CHECK(words_[0] == words_[1] || status == LockStatus::abandoned);
  }
  void change(LockStatus status) {
    check(status);
    if (status == LockStatus::abandoned) say("abandoned");
    words_[1] = words_[0];
    words_[0] = words_[0] + 1;
    nap();
    words_[1] = words_[1] + 1;
  }

 private:
  std::unique_ptr<SharedMemory> memory_;
  volatile std::uint64_t* words_ = nullptr;
};
PartyOptions party_of(const std::string& name) {
  PartyOptions options;
  options.place = Place(name);
  return options;
}
void take_mutex(const std::string& name) {
  const auto mutex = taken(Mutex::open(party_of(name), patience()));
  Halves halves(name);
  for (;;) {
    halves.change(mutex->lock(kPatienceNs));
    CHECK(mutex->unlock() == LockStatus::held);
    say("turn");
    nap();
  }
}
void take_rwlock(const std::string& name) {
  const auto lock = taken(RwLock::open(party_of(name), patience()));
  Halves halves(name);
  for (;;) {
    halves.check(lock->read(kPatienceNs));
    CHECK(lock->unlock() == LockStatus::held);
    halves.change(lock->write(kPatienceNs));
    CHECK(lock->unlock() == LockStatus::held);
    say("turn");
    nap();
  }
}
void hold(LockStatus status) {
  CHECK(status == LockStatus::held || status == LockStatus::abandoned);
  say(status == LockStatus::abandoned ? "abandoned" : "held");
  stay();
}
void hold_mutex(const std::string& name) {
  const auto mutex = taken(Mutex::open(party_of(name), patience()));
  hold(mutex->lock(kPatienceNs));
}
void hold_rwlock(const std::string& name) {
  const auto lock = taken(RwLock::open(party_of(name), patience()));
  hold(lock->write(kPatienceNs));
}

// Waits for its own, counts, and wakes the next one.
template <typename Ball, typename Wait, typename Send>
void relay(const std::string& name, const std::vector<std::unique_ptr<Ball>>& balls, Wait&& wait,
           Send&& send) {
  CounterSpec spec;
  spec.place = Place(name);
  const auto counter = taken(Counter::open(spec, patience()));
  const std::string_view route = arguments[1];
  say("ready");
  for (;;) {
    CHECK(wait(*balls[number(0)]));
    const std::int64_t count = counter->add(1);
    const char next = route[static_cast<std::size_t>(count) % route.size()];
    send(*balls[static_cast<std::size_t>(next - '0')]);
    say(std::to_string(count) + ' ' + next);
  }
}
void relay_event(const std::string& name) {
  std::vector<std::unique_ptr<Event>> events;
  for (const char* at : {"-0", "-1", "-2", "-3"}) {
    EventSpec spec;
    spec.place = Place(name + at);
    events.push_back(taken(Event::open(spec, patience())));
  }
  relay(
      name, events, [](Event& event) { return event.wait(patience()); },
      [](Event& event) { event.set(); });
}
void relay_semaphore(const std::string& name) {
  std::vector<std::unique_ptr<Semaphore>> semaphores;
  for (const char* at : {"-0", "-1", "-2", "-3"}) {
    SemaphoreSpec spec;
    spec.name = name + at;
    semaphores.push_back(taken(Semaphore::open(spec)));
  }
  relay(
      name, semaphores, [](Semaphore& semaphore) { return semaphore.wait_for(0, kPatienceNs); },
      [](Semaphore& semaphore) { CHECK(semaphore.post().ok()); });
}

std::byte byte_of(std::uint64_t seed, std::uint64_t at) {
  return static_cast<std::byte>((seed * 31 + at * 7) & 0xFF);
}
void own_memory(const std::string& name) {
  MemorySpec spec;
  spec.place = Place(name);
  spec.size = kMemoryBytes;
  const auto memory = taken(SharedMemory::create(spec, patience()));
  for (std::uint64_t i = 0; i < kMemoryBytes; ++i)
    memory->memory()->data()[i] = byte_of(number(0), i);
  say("made");
  stay();
}
void use_memory(const std::string& name) {
  MemorySpec spec;
  spec.place = Place(name);
  const auto memory = taken(SharedMemory::open(spec, os::Access::read_write, patience()));
  std::byte* const bytes = memory->memory()->data();
  for (std::uint64_t i = 0; i < kMemoryBytes; ++i)
    CHECK(bytes[i] == byte_of(number(0), i));
  for (std::uint64_t i = 0; i < kMemoryBytes; ++i)
    bytes[i] = byte_of(number(0) + 1, i);
  say("seen");
  stay();
}

struct Role {
  std::string_view name;
  void (*play)(const std::string& name);
};
constexpr std::array<Role, 18> kRoles{{
    {"push", push},
    {"pop", pop},
    {"write-frames", write_frames},
    {"read-frames", read_frames},
    {"write-cell", write_cell},
    {"read-cell", read_cell},
    {"push-jobs", push_jobs},
    {"work", do_work},
    {"publish", publish},
    {"subscribe", subscribe},
    {"mutex", take_mutex},
    {"rwlock", take_rwlock},
    {"hold-mutex", hold_mutex},
    {"hold-rwlock", hold_rwlock},
    {"relay-event", relay_event},
    {"relay-semaphore", relay_semaphore},
    {"own-memory", own_memory},
    {"use-memory", use_memory},
}};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  arguments = argv + 3;
  for (const Role& role : kRoles) {
    if (role.name != argv[1]) continue;
    role.play(argv[2]);
    return 0;
  }
  return 2;
}
