#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include <millrace/os/doorbell.hpp>

#include "fixture.hpp"

using namespace millrace;
using namespace millrace::test;

namespace {

const os::BellTrust kOurs{::geteuid(), ::getegid(), false};

std::vector<std::uint64_t> drained(const os::Doorbell& bell, bool& missing) {
  std::vector<std::uint64_t> tokens;
  missing = bell.drain([&](std::uint64_t token) { tokens.push_back(token); });
  return tokens;
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE_FIXTURE(Names, "each ring arrives as its token, in order") {
  const os::Doorbell mine = bell();
  os::BellRinger ringer;
  for (std::uint64_t token = 1; token <= 100; ++token)
    CHECK(ringer.ring(mine.id(), token, kOurs));
  pollfd look{mine.fd(), POLLIN, 0};
  REQUIRE(::poll(&look, 1, 1000) == 1);
  bool missing = true;
  const auto tokens = drained(mine, missing);
  REQUIRE(tokens.size() == 100);
  for (std::uint64_t token = 1; token <= 100; ++token)
    CHECK(tokens[token - 1] == token);
  CHECK_FALSE(missing);
  CHECK(drained(mine, missing).empty());
  CHECK_FALSE(missing);
}

TEST_CASE_FIXTURE(Names, "a doorbell's rights are exact whatever the umask") {
  for (const mode_t umask : {mode_t{0}, mode_t{0777}}) {
    const mode_t before = ::umask(umask);
    const os::Doorbell mine = bell();
    auto group = os::Doorbell::create(os::BellTrust{::geteuid(), ::getegid(), true});
    ::umask(before);
    REQUIRE(mine);
    CHECK(mode_of(os::doorbell_path(mine.id())) == 0600);
    REQUIRE(group.ok());
    watch_bell(group.value().id());
    CHECK(mode_of(os::doorbell_path(group.value().id())) == 0660);
  }
}

TEST_CASE_FIXTURE(Names,
                  "a full doorbell takes no more, harms nobody and says that rings are missing") {
  const os::Doorbell mine = bell();
  const os::Descriptor writing = os::open_bell(mine.id(), kOurs);
  REQUIRE(writing);
  int rung = 0;
  while (rung < 1'000'000 && os::ring_bell(writing.get(), 7) == os::RingResult::rung)
    ++rung;
  CHECK(rung > 100);
  CHECK(os::ring_bell(writing.get(), 7) == os::RingResult::full);
  os::BellRinger ringer;
  CHECK(ringer.ring(mine.id(), 8, kOurs));  // its owner is alive: that is what counts
  bool missing = false;
  CHECK_FALSE(drained(mine, missing).empty());
  CHECK(missing);
  while (!drained(mine, missing).empty()) {
  }
  CHECK(os::ring_bell(writing.get(), 9) == os::RingResult::rung);
}

TEST_CASE_FIXTURE(Names, "odd bytes make the owner look at everything") {
  const os::Doorbell mine = bell();
  const os::Descriptor writing = os::open_bell(mine.id(), kOurs);
  REQUIRE(::write(writing.get(), "abc", 3) == 3);
  bool missing = false;
  CHECK(drained(mine, missing).empty());
  CHECK(missing);
}

TEST_CASE_FIXTURE(Names,
                  "the bell of a dead owner cannot be rung, and only such a one is removed") {
  Shared<std::atomic<std::uint64_t>> id;
  Child child([&] {
    const os::Doorbell mine = bell();
    id->store(mine.id());
    return linger();
  });
  REQUIRE(eventually([&] { return id->load() != 0; }));
  os::BellRinger ringer;
  CHECK(ringer.ring(id->load(), 1, kOurs));
  os::remove_dead_bell(id->load());
  CHECK(::access(os::doorbell_path(id->load()).c_str(), F_OK) == 0);  // it is in use
  child.kill();
  // SIGPIPE is at its default here: that we survive this line is the test.
  CHECK_FALSE(ringer.ring(id->load(), 2, kOurs));
  sigset_t pending;
  REQUIRE(::sigpending(&pending) == 0);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
  CHECK_FALSE(ringer.ring(id->load(), 3, kOurs));
  os::remove_dead_bell(id->load());
  CHECK(::access(os::doorbell_path(id->load()).c_str(), F_OK) != 0);
}

TEST_CASE_FIXTURE(Names, "promise: strangers - a doorbell survives the loss of its name") {
  os::Doorbell mine = bell();
  os::BellRinger before;
  CHECK(before.ring(mine.id(), 1, kOurs));
  const os::Descriptor watched = os::open_bell(mine.id(), kOurs);
  CHECK(mine.has_name());
  REQUIRE(::unlink(os::doorbell_path(mine.id()).c_str()) == 0);
  CHECK_FALSE(mine.has_name());

  // Whoever knew it goes on; whoever did not cannot ring, and is told so.
  CHECK(before.ring(mine.id(), 2, kOurs));
  os::BellRinger after;
  int unheard = 0;
  after.on_unheard([&] { ++unheard; });
  CHECK_FALSE(after.ring(mine.id(), 3, kOurs));
  CHECK(unheard == 1);

  {
    const os::Descriptor old = must(mine.renew());
    CHECK(mine.has_name());
    CHECK(mode_of(os::doorbell_path(mine.id())) == 0600);
    pollfd look{watched.get(), 0, 0};
    CHECK(::poll(&look, 1, 0) == 0);
  }
  pollfd look{watched.get(), 0, 0};
  CHECK(::poll(&look, 1, 0) == 1);  // who watches its owner's death has a look
  bool missing = false;
  CHECK(drained(mine, missing).empty());
  CHECK(missing);  // its owner looks at everything
  CHECK(before.ring(mine.id(), 4, kOurs));
  CHECK(after.ring(mine.id(), 5, kOurs));
  CHECK(unheard == 1);
  CHECK(drained(mine, missing) == std::vector<std::uint64_t>{4, 5});
}

TEST_CASE_FIXTURE(Names, "a child that inherits a bell leaves it to its owner") {
  os::Doorbell mine = bell();
  Child child([&] {
    mine = os::Doorbell();
    return 0;
  });
  CHECK(child.wait() == 0);
  os::BellRinger ringer;
  CHECK(ringer.ring(mine.id(), 1, kOurs));
}

TEST_CASE_FIXTURE(Names, "what is no bell of ours is neither rung nor removed") {
  const std::uint64_t id = os::random_u64() | 1U;
  const std::string path = os::doorbell_path(id);
  watch_bell(id);
  SUBCASE("an ordinary file keeps its content") {
    const os::Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    REQUIRE(::write(file.get(), "content", 7) == 7);
    CHECK_FALSE(os::open_bell(id, kOurs));
    os::remove_dead_bell(id);
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    CHECK(status.st_size == 7);
  }
  SUBCASE("a symbolic link is not followed") {
    const os::Doorbell target = bell();
    REQUIRE(::symlink(os::doorbell_path(target.id()).c_str(), path.c_str()) == 0);
    CHECK_FALSE(os::open_bell(id, kOurs));
    os::remove_dead_bell(id);
    struct stat status {};
    CHECK(::lstat(path.c_str(), &status) == 0);
  }
  SUBCASE("a FIFO that the world may read is refused") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    REQUIRE(::chmod(path.c_str(), 0606) == 0);
    const os::Descriptor reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    CHECK_FALSE(os::open_bell(id, kOurs));
  }
  SUBCASE("a stranger's FIFO is refused, unless it is that of the segment's owner or group") {
    if (::geteuid() != 0) return;  // only root can give files away
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const os::Descriptor reader(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(::chown(path.c_str(), 4711, 4712) == 0);
    CHECK_FALSE(os::open_bell(id, kOurs));
    CHECK(os::open_bell(id, os::BellTrust{4711, 0, false}));
    CHECK_FALSE(os::open_bell(id, os::BellTrust{0, 4712, false}));
    CHECK(os::open_bell(id, os::BellTrust{0, 4712, true}));
  }
  ::unlink(path.c_str());
}

TEST_CASE_FIXTURE(Names, "a ringer keeps a bounded number of descriptors for any number of bells") {
  const auto open_descriptors = [] {
    int count = 0;
    for (int fd = 0; fd < 512; ++fd)
      count += ::fcntl(fd, F_GETFD) != -1 ? 1 : 0;
    return count;
  };
  std::vector<os::Doorbell> bells;
  bells.reserve(40);
  for (int i = 0; i < 40; ++i)
    bells.push_back(bell());
  const int before = open_descriptors();
  {
    os::BellRinger ringer;
    for (int round = 0; round < 3; ++round) {
      for (const os::Doorbell& one : bells)
        CHECK(ringer.ring(one.id(), 1, kOurs));
    }
    CHECK(open_descriptors() - before <= 16);
  }
  CHECK(open_descriptors() == before);
}
