#include <millrace/os/file_lock.hpp>
#include <millrace/os/object.hpp>

#include "fixture.hpp"

namespace millrace::test::file_lock_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Opened {
  os::Descriptor fd;
  os::FileLock lock;
};

Opened open_again(const std::string& object) {
  Opened opened;
  opened.fd = must(os::open_object(object, os::Access::read_write));
  opened.lock = must(os::FileLock::over(opened.fd.get(), object, 0600));
  return opened;
}

struct LockedObject : Names {
  LockedObject() { created = must(os::create_object(name(), 0600)); }
  ~LockedObject() {
    os::unlink_object(name());
    os::FileLock::remove_file(name());
  }
  os::Descriptor created;
};

}  // namespace

TEST_CASE_FIXTURE(LockedObject, "two opens of one process exclude each other, byte by byte") {
  const Opened a = open_again(name());
  const Opened b = open_again(name());
  CHECK(a.lock.try_exclusive(3));
  CHECK(a.lock.try_exclusive(3));  // it is ours already
  CHECK_FALSE(b.lock.try_exclusive(3));
  CHECK_FALSE(b.lock.try_shared(3));
  CHECK(b.lock.try_exclusive(4));
  CHECK(b.lock.held_by_other(3, 1));
  CHECK(b.lock.held_by_other(1, 0));
  CHECK_FALSE(b.lock.held_by_other(4, 0));  // our own do not count
  CHECK_FALSE(b.lock.held_by_other(1, 2));
  a.lock.unlock(3);
  CHECK_FALSE(b.lock.held_by_other(1, 0));
  CHECK(b.lock.try_exclusive(3));
}

TEST_CASE_FIXTURE(LockedObject, "of bytes asked about, some that others hold are named") {
  const Opened a = open_again(name());
  const Opened b = open_again(name());
  const auto expect = [&](off_t from, off_t count, off_t first, off_t end) {
    const auto held = b.lock.some_held(from, count);
    REQUIRE(held);
    CHECK(held->from == first);
    CHECK(held->to == end);
  };
  CHECK_FALSE(b.lock.some_held(0, 0));
  for (const off_t byte : {5, 6, 7})
    CHECK(a.lock.try_exclusive(byte));
  expect(0, 0, 5, 8);
  expect(6, 1, 6, 7);
  expect(7, 10, 7, 8);
  CHECK_FALSE(b.lock.some_held(0, 5));
  CHECK_FALSE(b.lock.some_held(8, 0));
  CHECK(b.lock.try_exclusive(9));  // our own do not count
  CHECK_FALSE(b.lock.some_held(8, 0));
  // Of a system that names what it was not asked about, all may be held.
  const os::HeldBytes vague = os::HeldBytes::within(10, 4, 0, 2);
  CHECK(vague.from == 10);
  CHECK(vague.to == 14);
}

TEST_CASE_FIXTURE(LockedObject, "shared holders exclude an exclusive one only") {
  const Opened a = open_again(name());
  const Opened b = open_again(name());
  const Opened c = open_again(name());
  CHECK(a.lock.try_shared(0));
  CHECK(b.lock.try_shared(0));
  CHECK_FALSE(c.lock.try_exclusive(0));
  a.lock.unlock(0);
  b.lock.unlock(0);
  CHECK(c.lock.try_exclusive(0));
}

TEST_CASE_FIXTURE(LockedObject, "closing another descriptor of the object drops nothing") {
  const Opened a = open_again(name());
  const Opened b = open_again(name());
  CHECK(a.lock.try_exclusive(1));
  { const Opened passing = open_again(name()); }
  CHECK(b.lock.held_by_other(1, 1));
}

TEST_CASE_FIXTURE(LockedObject, "the lock of a killed process is free as soon as it is dead") {
  Shared<std::atomic<int>> locked;
  const Opened a = open_again(name());
  Child child([&] {
    const Opened mine = open_again(name());
    if (!mine.lock.try_exclusive(1)) return 1;
    locked->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return locked->load() == 1; }));
  CHECK(a.lock.held_by_other(1, 1));
  CHECK_FALSE(a.lock.try_exclusive(1));
  child.kill();
  CHECK_FALSE(a.lock.held_by_other(1, 1));
  CHECK(a.lock.try_exclusive(1));
}

TEST_CASE_FIXTURE(LockedObject, "an unlinked object is told from one that has its name") {
  const Opened a = open_again(name());
  CHECK_FALSE(a.lock.unlinked());
  os::unlink_object(name());
  os::FileLock::remove_file(name());
  CHECK(a.lock.unlinked());
}

}  // namespace millrace::test::file_lock_test
