#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include <millrace/shared_memory.hpp>

#include "fixture.hpp"

namespace millrace::test::shared_memory_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Memory : Names {
  [[nodiscard]] MemorySpec spec(std::uint64_t size = 0) const {
    MemorySpec wanted;
    wanted.place = name();
    wanted.size = size;
    return wanted;
  }
  [[nodiscard]] Result<std::unique_ptr<SharedMemory>> create(std::uint64_t size = 5000) const {
    return SharedMemory::create(spec(size), soon());
  }
  [[nodiscard]] Result<std::unique_ptr<SharedMemory>> open(
      os::Access access = os::Access::read_write) const {
    return SharedMemory::open(spec(), access, soon());
  }
  [[nodiscard]] bool object_exists() const {
    return os::open_object(name(), os::Access::read_only).ok();
  }
  // A process that creates the memory, writes to it and stays.
  [[nodiscard]] Child owner() const {
    Shared<std::atomic<int>> ready;
    Child child([&] {
      auto made = create();
      CHILD_EXPECT(made.ok());
      made.value()->memory()->data()[0] = std::byte{77};
      ready->store(1);
      return linger();
    });
    REQUIRE(eventually([&] { return ready->load() == 1; }));
    return child;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Memory, "the owner creates, others open, all see the same bytes from byte 0") {
  auto mine = must(create(5000));
  CHECK(mine->owner());
  CHECK(mine->memory()->size() == 5000);
  std::memset(mine->memory()->data(), 0x11, 5000);
  auto other = must(open());
  CHECK_FALSE(other->owner());
  CHECK(other->memory()->size() == 5000);
  CHECK(other->memory()->data()[4999] == std::byte{0x11});
  other->memory()->data()[0] = std::byte{0x22};
  CHECK(mine->memory()->data()[0] == std::byte{0x22});
  other->close();
  CHECK(object_exists());
  auto late = must(open());
  mine->close();
  CHECK_FALSE(object_exists());
  CHECK(late->memory()->data()[0] == std::byte{0x22});  // what is mapped stays
}

TEST_CASE_FIXTURE(Memory, "opened read-only, a stray write stays here" *
                              doctest::skip(!os::kStrayWritesArePrivate)) {
  auto mine = must(create());
  auto other = must(open(os::Access::read_only));
  CHECK(other->read_only());
  mine->memory()->data()[1] = std::byte{5};
  CHECK(other->memory()->data()[1] == std::byte{5});
  other->memory()->data()[1] = std::byte{6};
  CHECK(mine->memory()->data()[1] == std::byte{5});
}

TEST_CASE_FIXTURE(Memory,
                  "what is not there cannot be opened, and nothing is created without a size") {
  CHECK(open().error().code == Code::not_found);
  CHECK(create(0).error().code == Code::invalid_argument);
  MemorySpec reserved = spec(10);
  reserved.place = "millrace.q." + name();
  CHECK(SharedMemory::create(reserved, soon()).error().code == Code::invalid_name);
  CHECK(SharedMemory::open(reserved, os::Access::read_write, soon()).error().code ==
        Code::invalid_name);
  CHECK(create(1ULL << 50U).error().code == Code::no_space);
  CHECK_FALSE(object_exists());
}

TEST_CASE_FIXTURE(Memory, "the mode is exact whatever the umask") {
  for (const mode_t umask : {mode_t{0}, mode_t{0777}}) {
    for (const mode_t mode : {mode_t{0600}, mode_t{0640}, mode_t{0660}}) {
      MemorySpec wanted = spec(100);
      wanted.mode = mode;
      const mode_t before = ::umask(umask);
      auto made = SharedMemory::create(wanted, soon());
      ::umask(before);
      REQUIRE(made.ok());
      const os::Descriptor fd = must(os::open_object(name(), os::Access::read_only));
      CHECK(must(os::inspect_object(fd.get(), name())).mode == mode);
    }
  }
}

TEST_CASE_FIXTURE(Memory, "while its owner lives the name is taken") {
  Child child = owner();
  auto refused = create();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::exists);
  CHECK(refused.error().message.find("process " + std::to_string(child.pid())) !=
        std::string::npos);
  child.kill();
  auto mine = must(create());
  CHECK(mine->memory()->data()[0] == std::byte{0});  // new memory, not the dead owner's
}

TEST_CASE_FIXTURE(Memory, "a dead owner's memory is not reclaimed under a live opener") {
  Child child = owner();
  auto other = must(open());
  child.kill();
  CHECK(create().error().code == Code::exists);
  auto third = must(open());  // it can still be opened
  CHECK(third->memory()->data()[0] == std::byte{77});
  other->close();
  CHECK(create().error().code == Code::exists);
  third->close();
  CHECK(create().ok());
}

TEST_CASE_FIXTURE(Memory, "a foreign object is opened, but never reclaimed") {
  {
    const os::Descriptor foreign = must(os::create_object(name(), 0600));
    REQUIRE(::ftruncate(foreign.get(), 64) == 0);
    REQUIRE(::pwrite(foreign.get(), "theirs", 6, 0) == 6);
  }
  SUBCASE("that was always there") {}
  SUBCASE("that took the place of a dead owner's") {
    os::unlink_object(name());
    Child child = owner();
    child.kill();
    os::unlink_object(name());
    const os::Descriptor foreign = must(os::create_object(name(), 0600));
    REQUIRE(::ftruncate(foreign.get(), 64) == 0);
    REQUIRE(::pwrite(foreign.get(), "theirs", 6, 0) == 6);
  }
  auto refused = create();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::exists);
  CHECK(refused.error().message.find("not made by millrace") != std::string::npos);
  auto other = must(open());
  CHECK(std::memcmp(other->memory()->data(), "theirs", 6) == 0);
  other->close();
  CHECK(object_exists());
  os::unlink_object(name());
}

TEST_CASE_FIXTURE(Memory, "a companion that its maker was killed over keeps nobody waiting") {
  must(os::create_object(object_name_of('m', name()), 0600));
  const os::Deadline soon_enough = os::Deadline::after(20'000'000'000);
  SUBCASE("where there is no object") {
    auto refused = open();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::not_found);
  }
  SUBCASE("where somebody else has one") {
    const os::Descriptor foreign = must(os::create_object(name(), 0600));
    REQUIRE(::ftruncate(foreign.get(), 64) == 0);
    CHECK(must(open())->memory()->size() == 64);
    os::unlink_object(name());
  }
  CHECK_FALSE(soon_enough.passed());
  must(create())->close();
}

TEST_CASE_FIXTURE(Memory, "an owner that closes leaves an object alone that is not its own") {
  auto mine = must(create());
  os::unlink_object(name());
  (void)must(os::create_object(name(), 0600));
  mine->close();
  CHECK(object_exists());
  os::unlink_object(name());
}

TEST_CASE_FIXTURE(Memory,
                  "an object without a size, of a stranger or open to the world is refused") {
  const os::Descriptor fd = must(os::create_object(name(), 0600));
  CHECK(open().error().code == Code::not_found);
  REQUIRE(::ftruncate(fd.get(), 64) == 0);
  CHECK(open().ok());
  REQUIRE(::fchmod(fd.get(), 0666) == 0);
  CHECK(open().error().code == Code::not_ours);
  REQUIRE(::fchmod(fd.get(), 0600) == 0);
  if (::geteuid() == 0) {
    REQUIRE(::fchown(fd.get(), 4711, 4711) == 0);
    CHECK(open().error().code == Code::not_ours);
    MemorySpec trusting = spec();
    trusting.owner = 4711;
    CHECK(SharedMemory::open(trusting, os::Access::read_write, soon()).ok());
  }
  os::unlink_object(name());
}

TEST_CASE_FIXTURE(Memory, "unlinking takes the name away, whoever uses the memory") {
  auto mine = must(create());
  CHECK(must(SharedMemory::unlink(name())));
  CHECK_FALSE(must(SharedMemory::unlink(name())));
  auto fresh = must(create());
  mine->close();
  CHECK(object_exists());
  CHECK(open().ok());
}

TEST_CASE_FIXTURE(Memory, "owners killed at any instant never leave the name unusable") {
  Shared<std::atomic<std::uint64_t>> created;
  for (int round = 0; round < rounds(150); ++round) {
    const std::uint64_t target = created->load() + 1 + static_cast<std::uint64_t>(round % 5);
    Child child([&] {
      for (;;) {
        auto made = create(64);
        CHILD_EXPECT(made.ok());
        created->fetch_add(1);
      }
      return 0;
    });
    REQUIRE(eventually([&] { return created->load() >= target; }));
    child.kill();
    REQUIRE(create(64).ok());
  }
}

TEST_CASE_FIXTURE(
    Memory,
    "many that create and open at once: one owner at a time, no memory lost under an opener") {
  struct Stage {
    std::atomic<int> owners;
    std::atomic<std::uint64_t> opened;
  };
  Shared<Stage> stage;
  std::vector<Child> crowd;
  crowd.reserve(4);
  for (int i = 0; i < 4; ++i) {
    crowd.emplace_back([&, i] {
      for (int round = 0; round < rounds(400); ++round) {
        if (i < 2) {
          auto made = create(64);
          if (!made.ok()) {
            CHILD_EXPECT(made.error().code == Code::exists);
            continue;
          }
          CHILD_EXPECT(stage->owners.fetch_add(1) == 0);
          stage->owners.fetch_sub(1);
          made.value()->close();
        } else {
          auto opened = open();
          if (!opened.ok()) {
            CHILD_EXPECT(opened.error().code == Code::not_found);
            continue;
          }
          stage->opened.fetch_add(1);
        }
      }
      return 0;
    });
  }
  for (Child& child : crowd)
    CHECK(child.wait() == 0);
}

TEST_CASE_FIXTURE(Memory, "openers that state another schema than the creator are refused") {
  const auto create_as = [&](std::uint64_t schema) {
    MemorySpec wanted = spec(5000);
    wanted.schema = schema;
    return SharedMemory::create(wanted, soon());
  };
  const auto open_as = [&](std::uint64_t schema, os::Access access) {
    MemorySpec wanted = spec();
    wanted.schema = schema;
    return SharedMemory::open(wanted, access, soon());
  };
  {
    auto mine = must(create_as(0xabcd));
    for (const auto access : {os::Access::read_only, os::Access::read_write}) {
      CHECK(open_as(0xabcd, access).ok());
      CHECK(open_as(0, access).ok());
      auto other = open_as(0xbeef, access);
      REQUIRE_FALSE(other.ok());
      CHECK(other.error().code == Code::schema);
    }
  }
  SUBCASE("a creator that states none accepts all") {
    auto mine = must(create_as(0));
    CHECK(open_as(0xbeef, os::Access::read_write).ok());
  }
  SUBCASE("what a dead owner stated does not bind the next") {
    Child dead([&] { return create_as(0xabcd).ok() ? linger() : 1; });
    REQUIRE(eventually([&] { return open_as(0xabcd, os::Access::read_only).ok(); }));
    dead.kill();
    auto mine = must(create_as(0xbeef));
    CHECK(open_as(0xbeef, os::Access::read_write).ok());
    CHECK_FALSE(open_as(0xabcd, os::Access::read_write).ok());
  }
}

}  // namespace millrace::test::shared_memory_test
