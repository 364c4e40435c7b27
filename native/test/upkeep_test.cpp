// Listing and sweeping: what is told about each object, and that only what nobody holds is removed.
#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include <millrace/cell.hpp>
#include <millrace/queue.hpp>
#include <millrace/shared_memory.hpp>
#include <millrace/sync/mutex.hpp>
#include <millrace/sync/semaphore.hpp>
#include <millrace/upkeep.hpp>
#include <millrace/work/work_queue.hpp>

#include "fixture.hpp"

namespace millrace::test::upkeep_test {

using namespace millrace;
using namespace millrace::test;

namespace {

// Of a dead doorbell: whoever makes a new one anywhere on the machine may remove it before us.
bool swept_by_us_or_another(const os::BellName& name) {
  return os::sweep_bell(name) || os::look_at_bell(name) == os::BellState::gone;
}

struct Upkeep : Names {
  [[nodiscard]] std::vector<ObjectReport> listed() const { return list_objects(name("")); }
  // The one object there is.
  [[nodiscard]] ObjectReport only() const {
    auto found = listed();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  [[nodiscard]] SweepSpec mine() const {
    SweepSpec spec;
    spec.prefix = name("");
    return spec;
  }
  [[nodiscard]] std::size_t sweep(const SweepSpec& spec) const {
    const auto swept = sweep_objects(spec);
    return static_cast<std::size_t>(
        std::count_if(swept.begin(), swept.end(), [](const Swept& one) { return one.removed; }));
  }
  [[nodiscard]] std::size_t sweep() const { return sweep(mine()); }

  [[nodiscard]] QueueSpec queue(bool keep = false) const {
    QueueSpec spec;
    spec.place = name();
    spec.capacity = 4096;
    spec.keep = keep;
    return spec;
  }
  [[nodiscard]] std::string queue_object() const { return object_name_of('q', name()); }
  template <typename T>
  static T or_null(Result<T> result) {
    return result.ok() ? result.take() : T();
  }
  // A process that has done `act` and lives until it is killed.
  template <typename Act>
  [[nodiscard]] Child holding(Act act) const {
    Shared<std::atomic<int>> ready;
    Child child([&] {
      auto held = act();
      CHILD_EXPECT(held != nullptr);
      ready->store(1);
      return linger();
    });
    REQUIRE(eventually([&] { return ready->load() == 1; }));
    return child;
  }
  [[nodiscard]] Child producer(bool keep = false) const {
    return holding([this, keep] {
      auto opened = or_null(QueueProducer::open(queue(keep), soon()));
      if (opened) (void)opened->try_push("news", 4);
      return opened;
    });
  }
  // A header that another version of millrace might have written, with nothing else after it.
  [[nodiscard]] os::Descriptor plant_version(std::uint16_t major, std::uint32_t flags = 0) const {
    os::Descriptor fd = must(os::create_object(queue_object(), 0600));
    REQUIRE(::ftruncate(fd.get(), 4096) == 0);
    auto map = must(os::map_shared(fd.get(), 0, 4096, {}));
    auto& head = *reinterpret_cast<layout::Header*>(map->data());
    head.magic = layout::kMagic;
    head.major = major;
    head.minor = 7;
    head.kind = layout::Kind{77};
    head.endian_tag = layout::kEndianTag;
    head.word_bits = 64;
    head.creator_pid = 4711;
    head.flags.store(flags);
    head.state.store(static_cast<std::uint32_t>(layout::State::ready));
    return fd;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Upkeep, "promise: rubbish - who is on a segment is told, dead or alive") {
  Child child = producer();
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  ObjectReport report = only();
  CHECK(report.kind == "queue");
  CHECK(report.name == name());
  CHECK(report.condition == Condition::in_use);
  CHECK(report.major == layout::kMajor);
  CHECK(report.creator_pid == static_cast<std::uint32_t>(child.pid()));
  CHECK(report.owner == ::geteuid());
  CHECK(report.mode == 0600);
  CHECK(report.size >= 4096);
  CHECK(report.created_ms > 0);
  REQUIRE(report.holders.size() == 2);
  CHECK(report.holders[0].role == "producer");
  CHECK(report.holders[0].pid == static_cast<std::uint32_t>(child.pid()));
  CHECK(report.holders[0].alive);
  CHECK(report.holders[1].role == "consumer");
  CHECK(report.holders[1].pid == static_cast<std::uint32_t>(::getpid()));
  child.kill();
  report = only();
  CHECK(report.condition == Condition::in_use);
  CHECK_FALSE(report.holders[0].alive);
  CHECK(report.holders[1].alive);
  CHECK(sweep() == 0);
  CHECK(consumer->peek().length == 4);
  consumer->close(true);
  CHECK(listed().empty());
}

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - what the dead left is swept, what is kept only on request") {
  producer(false).kill();
  CHECK(only().condition == Condition::abandoned);
  SweepSpec dry = mine();
  dry.dry_run = true;
  CHECK(sweep(dry) == 1);
  CHECK(only().condition == Condition::abandoned);
  CHECK(sweep() == 1);
  CHECK(listed().empty());

  producer(true).kill();
  CHECK(only().condition == Condition::kept);
  CHECK(sweep() == 0);
  {
    auto consumer = must(QueueConsumer::open(queue(), soon()));
    CHECK(consumer->peek().length == 4);
  }
  SweepSpec kept = mine();
  kept.kept = true;
  CHECK(sweep(kept) == 1);
  CHECK(listed().empty());
}

TEST_CASE_FIXTURE(Upkeep, "promise: rubbish - keep holds whichever side asked for it") {
  Child first = producer(false);
  Child second = holding([this] { return or_null(QueueConsumer::open(queue(true), soon())); });
  first.kill();
  second.kill();
  CHECK(only().condition == Condition::kept);
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  CHECK(consumer->peek().length == 4);
  consumer->close(true);
}

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - half-created objects are swept, those just begun are not") {
  SUBCASE("without a size") {
    os::Descriptor fd = must(os::create_object(queue_object(), 0600));
    CHECK(only().condition == Condition::in_use);  // its creator may be on its way
    CHECK(sweep() == 0);
    REQUIRE(eventually([&] { return only().condition == Condition::half_created; }));
  }
  SUBCASE("with a size and nothing in it") {
    os::Descriptor fd = must(os::create_object(queue_object(), 0600));
    REQUIRE(::ftruncate(fd.get(), 100) == 0);
    CHECK(only().condition == Condition::half_created);
  }
  SUBCASE("with half a header") {
    os::Descriptor fd = plant_version(layout::kMajor);
    const std::uint32_t raw = 0;
    REQUIRE(::pwrite(fd.get(), &raw, sizeof raw, offsetof(layout::Header, state)) == sizeof raw);
    CHECK(only().condition == Condition::half_created);
  }
  CHECK(sweep() == 1);
  CHECK(listed().empty());
}

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - a creator at work is left alone, however long it takes") {
  Segment segment;
  SegmentSpec spec;
  spec.place = name();
  spec.geometry.total_bytes = os::page_size();
  auto entered = Segment::enter(
      spec, Entry::attach_or_create, soon(),
      [](const layout::Geometry& found) -> Result<std::uint64_t> { return found.total_bytes; });
  segment = must(std::move(entered));  // and the lifecycle lock
  CHECK(only().condition == Condition::in_use);
  CHECK(sweep() == 0);
  CHECK_FALSE(segment.unlinked());
  segment.unlink();
}

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - other layout versions are judged by what never changes") {
  const auto major = static_cast<std::uint16_t>(layout::kMajor + 1);
  SUBCASE("held") {
    const os::Descriptor fd = plant_version(major);
    const os::FileLock lock = must(os::FileLock::over(fd.get(), queue_object(), 0600));
    REQUIRE(lock.try_exclusive(layout::kFirstRoleByte + 40));
    const ObjectReport report = only();
    CHECK(report.condition == Condition::in_use);
    CHECK(report.major == major);
    CHECK(report.minor == 7);
    CHECK(report.creator_pid == 4711);
    CHECK(report.detail.find("layout 2.7") != std::string::npos);
    REQUIRE(report.holders.size() == 1);
    CHECK(report.holders[0].role == "role 40");
    CHECK(sweep() == 0);
    lock.unlock_all();
  }
  SUBCASE("kept") {
    (void)plant_version(major, layout::kKeep);
    CHECK(only().condition == Condition::kept);
    CHECK(sweep() == 0);
    REQUIRE(must(os::open_object(queue_object(), os::Access::read_write)));
    (void)unlink_channel('q', name());
    (void)plant_version(major);
  }
  SUBCASE("abandoned, newer") {
    (void)plant_version(major);
  }
  SUBCASE("abandoned, older") {
    (void)plant_version(0);
  }
  CHECK(only().condition == Condition::abandoned);
  CHECK(sweep() == 1);
  CHECK(listed().empty());
}

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - a work queue whose users died is kept while it has jobs") {
  WorkSpec spec;
  spec.place = name();
  spec.jobs = 100;
  spec.seats = 300;
  const std::byte job[] = {std::byte{1}, std::byte{2}};
  Shared<std::atomic<std::uint64_t>> bell;
  // A user that has pushed, and has a doorbell.
  const auto user = [&](std::uint32_t pushes, bool keep) {
    return holding([&, pushes, keep] {
      static os::Doorbell own;
      own = this->bell();
      bell->store(own.id());
      WorkSpec mine = spec;
      mine.doorbell = own.id();
      mine.keep = keep;
      auto opened = or_null(WorkQueue::open(mine, soon()));
      for (std::uint32_t i = 0; opened && i < pushes; ++i)
        CHILD_EXPECT(opened->try_push(job, {}) == Pushed::yes);
      return opened;
    });
  };
  SUBCASE("who is on it is told, however many") {
    std::vector<std::unique_ptr<WorkQueue>> many;
    for (int i = 0; i < 200; ++i)
      many.push_back(must(WorkQueue::open(spec, soon())));
    Child child = user(1, false);
    child.kill();
    const ObjectReport report = only();
    CHECK(report.kind == "work");
    CHECK(report.condition == Condition::in_use);
    REQUIRE(report.holders.size() == 201);
    CHECK(report.holders[199].role == "user");
    CHECK(report.holders[199].pid == static_cast<std::uint32_t>(::getpid()));
    CHECK(report.holders[199].alive);
    CHECK_FALSE(report.holders[200].alive);
    CHECK(report.holders[200].doorbell == bell->load());
    CHECK(sweep() == 0);
    // The last one to leave leaves the job.
    many.clear();
    CHECK(only().condition == Condition::kept);
    CHECK(only().holders.empty());
    auto next = must(WorkQueue::open(spec, soon()));
    CHECK(next->try_take());
    next.reset();  // and gives it back
    CHECK(only().condition == Condition::kept);
  }
  SUBCASE("jobs wait") {
    user(100, false).kill();
    const ObjectReport report = only();
    CHECK(report.condition == Condition::kept);
    CHECK(report.detail == "jobs wait for the next worker");
    CHECK(report.holders.size() == 1);
    CHECK(sweep() == 0);
  }
  SUBCASE("it is empty, and was to be kept") {
    user(0, true).kill();
    CHECK(only().condition == Condition::kept);
    CHECK(sweep() == 0);
  }
  SUBCASE("it is empty") {
    user(0, false).kill();
    CHECK(only().condition == Condition::abandoned);
    CHECK(sweep() == 1);
    CHECK(os::look_at_bell({bell->load(), true}) == os::BellState::gone);
  }
  SUBCASE("its geometry is nonsense") {
    user(1, false).kill();
    const auto segment = must(os::open_object(object_name_of('j', name()), os::Access::read_write));
    auto mapped = must(os::map_shared(segment.get(), 0, 4096, "j"));
    reinterpret_cast<layout::Header*>(mapped->data())->geometry.values[layout::kWorkSlots] = 7;
    CHECK(only().condition == Condition::corrupt);
    CHECK(sweep() == 1);
    (void)os::sweep_bell({bell->load(), true});  // nobody knows where it stood
  }
  SweepSpec kept = mine();
  kept.kept = true;
  (void)sweep(kept);
  CHECK(listed().empty());
}

TEST_CASE_FIXTURE(Upkeep, "promise: rubbish - damaged segments that nobody is on are swept") {
  const os::Descriptor fd = plant_version(layout::kMajor);
  CHECK(only().condition == Condition::corrupt);
  CHECK(sweep() == 1);
}

TEST_CASE_FIXTURE(Upkeep, "promise: strangers - nothing that is not ours is swept") {
  const std::string path = os::object_path(queue_object());
  SweepSpec all = mine();
  all.kept = true;
  all.semaphores = true;
  const auto stays = [&](const std::string& why) {
    const ObjectReport report = only();
    CAPTURE(report.detail);
    CHECK(report.condition == Condition::foreign);
    CHECK(report.detail.find(why) != std::string::npos);
    CHECK(sweep(all) == 0);
    struct stat status {};
    CHECK(::lstat(path.c_str(), &status) == 0);
  };
  SUBCASE("somebody's file") {
    const os::Descriptor fd = must(os::create_object(queue_object(), 0600));
    REQUIRE(::write(fd.get(), "dear diary", 10) == 10);
    stays("magic");
  }
  SUBCASE("a symbolic link") {
    REQUIRE(::symlink("/etc/passwd", path.c_str()) == 0);
    stays("symbolic link");
  }
  SUBCASE("a FIFO") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    stays("no shared memory");
  }
  SUBCASE("a directory") {
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    stays("a directory");
    ::rmdir(path.c_str());
  }
  SUBCASE("with rights that we never give") {
    const os::Descriptor fd = plant_version(layout::kMajor);
    REQUIRE(::fchmod(fd.get(), 0666) == 0);
    stays("0666");
  }
  SUBCASE("another user's") {
    if (::geteuid() != 0) return;  // only root can give files away
    const os::Descriptor fd = plant_version(layout::kMajor);
    REQUIRE(::fchown(fd.get(), 4711, 4711) == 0);
    stays("belongs to user 4711");
  }
  ::unlink(path.c_str());
}

TEST_CASE_FIXTURE(
    Upkeep, "promise: rubbish - memory goes with its companion, unless a stranger has it open") {
  MemorySpec spec;
  spec.place = name();
  spec.size = 5000;
  const auto owner = [&] {
    return holding([&] { return or_null(SharedMemory::create(spec, soon())); });
  };
  owner().kill();
  ObjectReport report = only();
  CHECK(report.kind == "memory");
  CHECK(report.condition == Condition::abandoned);
  CHECK(report.size == 5000);
  {
    // As a C program would: mapped, and the descriptor closed.
    auto map = must(
        os::map_shared(must(os::open_object(name(), os::Access::read_write)).get(), 0, 5000, {}));
    CHECK(only().condition == Condition::in_use);
    CHECK(sweep() == 0);
    auto reader = must(SharedMemory::open(spec, os::Access::read_only, soon()));
    report = only();
    CHECK(report.condition == Condition::in_use);
    REQUIRE(report.holders.size() == 2);
    CHECK(report.holders[1].role == "openers");
    CHECK(sweep() == 0);
  }
  CHECK(sweep() == 1);
  CHECK(listed().empty());
  CHECK_FALSE(os::open_object(name(), os::Access::read_only).ok());

  // A namesake that another program made meanwhile stays.
  owner().kill();
  os::unlink_object(name());
  const os::Descriptor namesake = must(os::create_object(name(), 0600));
  CHECK(sweep() == 1);
  CHECK(os::open_object(name(), os::Access::read_only).ok());
  os::unlink_object(name());
}

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - a lock that an owner died in is kept for the next one") {
  PartyOptions options;
  options.place = name();
  holding([&] { return or_null(Mutex::open(options, soon())); }).kill();
  CHECK(only().condition == Condition::abandoned);
  CHECK(sweep() == 1);
  holding([&] {
    auto mutex = or_null(Mutex::open(options, soon()));
    if (mutex) (void)mutex->lock();
    return mutex;
  }).kill();
  CHECK(only().condition == Condition::kept);
  CHECK(sweep() == 0);
  SweepSpec kept = mine();
  kept.kept = true;
  CHECK(sweep(kept) == 1);
}

#if defined(__GLIBC__)
TEST_CASE_FIXTURE(
    Upkeep, "promise: rubbish - a semaphore is swept on request, and never while it is open") {
  SemaphoreSpec spec;
  spec.name = name();
  SweepSpec all = mine();
  all.kept = true;
  SweepSpec semaphores = mine();
  semaphores.semaphores = true;
  {
    auto mine = must(Semaphore::create(spec));
    CHECK(only().condition == Condition::in_use);
    CHECK(sweep(semaphores) == 0);
  }
  // By a program that knows nothing of millrace.
  sem_t* opened = ::sem_open(("/" + name()).c_str(), 0);
  REQUIRE(opened != SEM_FAILED);
  CHECK(only().condition == Condition::in_use);
  CHECK(sweep(semaphores) == 0);
  ::sem_close(opened);
  CHECK(only().condition == Condition::kept);
  CHECK(sweep(all) == 0);
  SweepSpec dry = semaphores;
  dry.dry_run = true;
  CHECK(sweep(dry) == 1);
  CHECK(sweep(semaphores) == 1);
  CHECK(listed().empty());
}

TEST_CASE("promise: rubbish - what a creator left that was killed in sem_open is rubbish") {
  const std::string file = "sem.zZ09" + std::to_string(10 + ::getpid() % 90);
  const std::string path = os::object_path(file);
  {
    const os::Descriptor maker(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    REQUIRE(maker);
    CHECK(detail::inspect_semaphore(file, true)->object.condition == Condition::in_use);
  }
  CHECK(detail::inspect_semaphore(file, false)->object.condition == Condition::half_created);
  CHECK(detail::inspect_semaphore(file, true)->removed);
  CHECK_FALSE(detail::inspect_semaphore(file, true).has_value());
}
#endif

TEST_CASE_FIXTURE(Upkeep,
                  "promise: rubbish - dead doorbells are swept, those that are heard stay") {
  const os::Doorbell mine = bell();
  Shared<std::atomic<std::uint64_t>> id;
  Child child([&] {
    const os::Doorbell own = bell();
    id->store(own.id());
    return linger();
  });
  REQUIRE(eventually([&] { return id->load() != 0; }));
  CHECK(os::look_at_bell({id->load(), true}) == os::BellState::in_use);
  CHECK_FALSE(os::sweep_bell({id->load(), true}));
  child.kill();
  CHECK(swept_by_us_or_another({id->load(), true}));
  CHECK(os::look_at_bell({mine.id(), true}) == os::BellState::in_use);

  // One whose maker was killed over it.
  const std::uint64_t unfinished = os::random_u64() | 1U;
  const std::string path = os::unfinished_bell_path(unfinished);
  const os::Deadline young = os::Deadline::after(kSecond);
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const bool swept = os::sweep_bell({unfinished, false});
  CHECK((!swept || young.passed()));
  CHECK(eventually([&] { return swept_by_us_or_another({unfinished, false}); }));
}

TEST_CASE("promise: strangers - only names of doorbells are taken for doorbells") {
  CHECK(os::parse_bell_name("millrace.d.00000000000000ff")->id == 0xff);
  CHECK(os::parse_bell_name("millrace.d.00000000000000ff")->finished);
  CHECK_FALSE(os::parse_bell_name("millrace.d.00000000000000ff.new")->finished);
  for (const char* other : {"millrace.d.", "millrace.d.ff", "millrace.d.00000000000000fg",
                            "millrace.d.00000000000000ff0", "millrace.d.00000000000000ff.old",
                            "millrace.q.00000000000000ff", "x"}) {
    CAPTURE(other);
    CHECK_FALSE(os::parse_bell_name(other).has_value());
  }
}

}  // namespace millrace::test::upkeep_test
