// Deaths of creators: of shared memory, in nameless memory, of files and of offers; and the proof that no
// crash point is without a scene.
#include <poll.h>

#include <cstring>

#include "scene.hpp"

namespace millrace::test::memory_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

// The first owner is dead before whoever acts comes: there is something to be reclaimed.
struct MemoryOwnerDies : Scene {
  std::unique_ptr<SharedMemory> opened;

  [[nodiscard]] MemorySpec spec() const {
    MemorySpec wanted;
    wanted.place = name();
    wanted.size = 8192;
    return wanted;
  }
  void begin() override {
    Child first([&] {
      auto made = SharedMemory::create(spec(), soon());
      CHILD_EXPECT(made.ok());
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    REQUIRE(first.wait() == -SIGKILL);
  }
  void act() override {
    auto made = SharedMemory::create(spec(), soon());
    CHILD_EXPECT(made.ok());
    std::memset(made.value()->memory()->data(), 0x5a, 8192);
    tell(1);
    await_survivor(1);
    made.value()->close();
  }
  void meanwhile() override {
    if (n->step.load() == 1 && n->told.load() == 0) {
      auto found = SharedMemory::open(spec(), os::Access::read_only, os::Deadline::after(kSecond));
      CHECK((found.ok() || died_meanwhile()));
      if (found.ok()) CHECK(found.value()->memory()->data()[8191] == std::byte{0x5a});
      n->told.store(1);
    }
    os::sleep_ns(20'000);
  }
  [[nodiscard]] bool died_meanwhile() const { return n->log.died_at.load() != 0; }
};

struct MemoryOpenerDies : MemoryOwnerDies {
  std::unique_ptr<SharedMemory> made;

  void begin() override {
    made = must(SharedMemory::create(spec(), soon()));
    std::memset(made->memory()->data(), 0x5a, 8192);
  }
  void act() override {
    for (const os::Access access : {os::Access::read_only, os::Access::read_write}) {
      auto found = SharedMemory::open(spec(), access, soon());
      CHILD_EXPECT(found.ok() && found.value()->memory()->data()[0] == std::byte{0x5a});
    }
  }
  void meanwhile() override { os::sleep_ns(20'000); }
  void end() override { made.reset(); }
};

// Whoever opens what a dead owner left removes it, and dies at that.
struct MemoryReclaimerDies : MemoryOwnerDies {
  void act() override {
    auto found = SharedMemory::open(spec(), os::Access::read_write, soon());
    CHILD_EXPECT(!found.ok() && found.error().code == Code::not_found);
  }
  void meanwhile() override { os::sleep_ns(20'000); }
};

// Whoever removes a name dies in between: it can be removed again, and made again.
struct RemoverDies : MemoryOwnerDies {
  void begin() override {}
  void act() override {
    CHILD_EXPECT(SharedMemory::unlink(name()).ok());
    {
      auto made = SharedMemory::create(spec(), soon());
      CHILD_EXPECT(made.ok());
      CHILD_EXPECT(SharedMemory::unlink(name()).ok());
    }
    CHILD_EXPECT(SharedMemory::unlink(name()).ok());
  }
  void meanwhile() override { os::sleep_ns(20'000); }
};

struct Nameless : Scene {
  os::Descriptor memory;
  void begin() override { memory = must(os::create_nameless(0600, false)); }
  void meanwhile() override { os::sleep_ns(20'000); }
};

struct NamelessOwnerDies : Nameless {
  void act() override {
    MemorySpec spec;
    spec.place = Place::nameless(memory.get());
    spec.size = 8192;
    auto made = SharedMemory::create(spec, soon());
    CHILD_EXPECT(made.ok());
    auto opened = SharedMemory::open(spec, os::Access::read_write, soon());
    CHILD_EXPECT(opened.ok());
  }
};

struct NamelessQueueDies : Nameless {
  [[nodiscard]] QueueSpec spec() const {
    QueueSpec wanted;
    wanted.place = Place::nameless(memory.get());
    wanted.memory.zero_on_close = true;
    return wanted;
  }
  void act() override {
    for (int i = 0; i < 2; ++i) {  // the second finds what the first one left
      auto producer = QueueProducer::open(spec(), soon());
      CHILD_EXPECT(producer.ok());
      CHILD_EXPECT(producer.value()->try_push("x", 1) == RingStatus::ok);
      auto consumer = QueueConsumer::open(spec(), soon());
      CHILD_EXPECT(consumer.ok());
      CHILD_EXPECT(consumer.value()->peek().length == 1);
      producer.value()->close(true);
      consumer.value()->close(true);
    }
  }
};

// A file is complete from the first moment that it is seen.
struct FileMakerDies : Scene {
  [[nodiscard]] std::string path() const { return os::doorbell_directory() + "/" + name("file"); }
  [[nodiscard]] QueueSpec spec() const {
    QueueSpec wanted;
    wanted.place = Place::file(path());
    return wanted;
  }
  void act() override {
    auto producer = QueueProducer::open(spec(), soon());
    CHILD_EXPECT(producer.ok());
    CHILD_EXPECT(producer.value()->try_push("x", 1) == RingStatus::ok);
    n->done.store(1);
  }
  void meanwhile() override { os::sleep_ns(20'000); }
  void after() override {
    struct stat status {};
    const bool there = ::stat(path().c_str(), &status) == 0;
    CHECK((there || n->done.load() == 0));
    if (there) {
      auto consumer = must(QueueConsumer::open(spec(), soon()));
      const Message message = consumer->peek();
      CHECK((message.status == RingStatus::ok || n->done.load() == 0));
      consumer->close(false);
    }
  }
  void end() override { ::unlink(path().c_str()); }
};

// Segments offered at a socket: one that a dead process left is replaced.
struct OffererDies : Scene {
  os::Descriptor memory;

  [[nodiscard]] std::string path() const { return os::doorbell_directory() + "/" + name("offer"); }
  void begin() override { memory = must(os::create_nameless(0600, false)); }
  void act() override {
    std::vector<OfferedSegment> segments;
    segments.push_back({"x", os::Descriptor(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 0))});
    auto offer = Offer::open(path(), 0600, {}, std::move(segments));
    CHILD_EXPECT(offer.ok());
    tell(1);
    PeerIdentity peer;
    CHILD_EXPECT(eventually([&] { return offer.value()->serve(peer) == Served::served; }));
    await_survivor(1);
  }
  void meanwhile() override {
    os::sleep_ns(20'000);
    if (n->step.load() == 0 || n->told.load() == 1) return;
    auto receipt = Receipt::connect(path(), {});
    if (!receipt.ok()) return;
    pollfd look{receipt.value()->fd(), POLLIN, 0};
    REQUIRE(::poll(&look, 1, 20'000) == 1);
    auto taken = receipt.value()->take();
    if (!taken.ok()) {
      CHECK(n->log.died_at.load() != 0);
      return;
    }
    CHECK(taken.value()->size() == 1);
    n->told.store(1);
  }
};

}  // namespace

EVERY_DEATH(MemoryOwnerDies, "an owner of shared memory dies anywhere: the name can be made again")
EVERY_DEATH(MemoryOpenerDies, "an opener of shared memory dies anywhere: nobody notices")
EVERY_DEATH(MemoryReclaimerDies,
            "whoever finds what a dead owner left dies anywhere: it does not exist")
EVERY_DEATH(RemoverDies, "whoever removes a name dies anywhere: it can be made again")
EVERY_DEATH(NamelessOwnerDies, "an owner of nameless memory dies anywhere: it can be used again")
EVERY_DEATH(NamelessQueueDies, "a user of a nameless queue dies anywhere: it can be used again")
EVERY_DEATH(FileMakerDies, "whoever makes a file dies anywhere: it is complete or not there")
EVERY_DEATH(OffererDies, "who offers segments dies anywhere: the next one can offer")

TEST_CASE("promise: death – no crash point is without a scene in which somebody dies there") {
  const auto missing = [] {
    Passages passages;
    // A few points are passed only if one side is fast enough: look more than once.
    for (int round = 0; round < 5 && passages.size() < crash::points().size(); ++round) {
      for (const auto& [name, explore] : explorers())
        explore(passages);
    }
    std::string names;
    for (const std::string_view point : crash::points()) {
      if (passages.find(point) == passages.end()) names += " " + std::string(point);
    }
    return names;
  }();
  CHECK(missing == "");
  CHECK(crash::points().size() <= crash::kMaxPoints);
  MESSAGE(crash::points().size() << " points, " << explorers().size() << " scenes");
}

}  // namespace millrace::test::memory_deaths
