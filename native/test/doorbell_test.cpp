#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include <millrace/os/doorbell.hpp>
#include <millrace/waiting.hpp>

#include "fixture.hpp"

namespace millrace::test::doorbell_test {

using namespace millrace;
using namespace millrace::test;

namespace {

const os::BellTrust kOurs{::geteuid(), ::getegid(), false};

// Is a doorbell without a name found through the process that has it open?
#if defined(__linux__)
constexpr bool kFindsLost = true;
#else
constexpr bool kFindsLost = false;
#endif

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
    CHECK(ringer.ring(mine.id(), token, kOurs) == os::Heard::yes);
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
  CHECK(ringer.ring(mine.id(), 8, kOurs) ==
        os::Heard::yes);  // its owner is alive: that is what counts
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
  CHECK(ringer.ring(id->load(), 1, kOurs) == os::Heard::yes);
  os::remove_dead_bell(id->load());
  CHECK(::access(os::doorbell_path(id->load()).c_str(), F_OK) == 0);  // it is in use
  child.kill();
  // SIGPIPE is at its default here: that we survive this line is the test.
  CHECK(ringer.ring(id->load(), 2, kOurs) == os::Heard::no);
  sigset_t pending;
  REQUIRE(::sigpending(&pending) == 0);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
  CHECK(ringer.ring(id->load(), 3, kOurs) == os::Heard::no);
  os::remove_dead_bell(id->load());
  CHECK(::access(os::doorbell_path(id->load()).c_str(), F_OK) != 0);
}

TEST_CASE_FIXTURE(Names, "promise: strangers - a doorbell survives the loss of its name") {
  os::Doorbell mine = bell();
  os::BellRinger before;
  CHECK(before.ring(mine.id(), 1, kOurs) == os::Heard::yes);
  const os::Descriptor watched = os::open_bell(mine.id(), kOurs);
  CHECK(mine.has_name());
  REQUIRE(::unlink(os::doorbell_path(mine.id()).c_str()) == 0);
  CHECK_FALSE(mine.has_name());

  // Whoever knew it goes on; whoever did not finds it through the process that has it open, whose owner is
  // made to look at everything, and so to find out.
  CHECK(before.ring(mine.id(), 2, kOurs) == os::Heard::yes);
  bool missing = true;
  CHECK(drained(mine, missing) == std::vector<std::uint64_t>{1, 2});
  CHECK_FALSE(missing);
  os::BellRinger after;
  CHECK(after.ring(mine.id(), 3, kOurs) == (kFindsLost ? os::Heard::yes : os::Heard::no));
  CHECK(drained(mine, missing).empty());
  CHECK(missing == kFindsLost);

  {
    const os::Descriptor old = must(mine.renew());
    CHECK(mine.has_name());
    CHECK(mode_of(os::doorbell_path(mine.id())) == 0600);
    pollfd look{watched.get(), 0, 0};
    CHECK(::poll(&look, 1, 0) == 0);
  }
  pollfd look{watched.get(), 0, 0};
  CHECK(::poll(&look, 1, 0) == 1);  // who watches its owner's death has a look
  CHECK(drained(mine, missing).empty());
  CHECK(missing);  // its owner looks at everything
  CHECK(before.ring(mine.id(), 4, kOurs) == os::Heard::yes);
  CHECK(after.ring(mine.id(), 5, kOurs) == os::Heard::yes);
  CHECK(drained(mine, missing) == std::vector<std::uint64_t>{4, 5});
}

TEST_CASE_FIXTURE(Names,
                  "promise: strangers - what was put in place of a doorbell is not written to") {
  const os::Doorbell mine = bell();
  const std::string path = os::doorbell_path(mine.id());
  REQUIRE(::unlink(path.c_str()) == 0);
  const os::Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  os::BellRinger ringer;
  CHECK(ringer.ring(mine.id(), 1, kOurs) == (kFindsLost ? os::Heard::yes : os::Heard::no));
  struct stat status {};
  REQUIRE(::fstat(file.get(), &status) == 0);
  CHECK(status.st_size == 0);
  bool missing = false;
  CHECK(drained(mine, missing).empty());
  CHECK(missing == kFindsLost);
  CHECK(::unlink(path.c_str()) == 0);
}

TEST_CASE_FIXTURE(Names,
                  "promise: liars - doorbells that do not exist are looked for now and then only") {
  // As many as may be at once, and then one in 100 ms: whoever names more is told at once that nobody hears.
  os::BellRinger ringer;
  const auto ring_made_up = [&](int rings) {
    const std::uint64_t start = os::monotonic_ns();
    for (int i = 0; i < rings; ++i)
      CHECK(ringer.ring(os::new_bell_id(), 1, kOurs) == os::Heard::no);
    return static_cast<double>(os::monotonic_ns() - start) / rings;
  };
  std::vector<os::Descriptor> many;
  for (int i = 0; i < 200; ++i)
    many.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const double searching = ring_made_up(8);
  (void)ring_made_up(16);
  const double refused = ring_made_up(2000);
  if (kFindsLost) CHECK(refused < searching / 3);
}

namespace {

// Takes all descriptors there are, for as long as it lives.
class Famine {
 public:
  Famine() {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    limit = before_;
    limit.rlim_cur = 256;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (;;) {
      os::Descriptor fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd) break;
      taken_.push_back(std::move(fd));
    }
  }
  Famine(const Famine&) = delete;
  Famine& operator=(const Famine&) = delete;
  ~Famine() {
    taken_.clear();
    (void)::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_{};
  std::vector<os::Descriptor> taken_;
};

}  // namespace

TEST_CASE_FIXTURE(Names,
                  "a ringer with a reserve rings whom it never rang, without a descriptor left") {
  const os::Doorbell first = bell();
  const os::Doorbell second = bell();
  os::BellRinger ringer;
  ringer.keep_reserve();
  bool missing = false;
  {
    const Famine famine;
    for (std::uint64_t token = 1; token <= 3; ++token) {
      CHECK(ringer.ring(first.id(), token, kOurs) == os::Heard::yes);
      CHECK(ringer.ring(second.id(), token, kOurs) == os::Heard::yes);
    }
  }
  CHECK(drained(first, missing) == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(drained(second, missing) == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE_FIXTURE(Names, "whoever cannot ring for want of descriptors still owes the wake-up") {
  const os::Doorbell mine = bell();
  layout::WaitLine line{};
  Sleeper sleeper(&line);
  const Waker waker(&line);
  os::BellRinger ringer;  // without a reserve
  sleeper.park_on_bell({mine.id(), 7});
  bool missing = false;
  {
    const Famine famine;
    REQUIRE(waker.peer_sleeps());
    waker.wake(ringer, kOurs);
    CHECK(waker.peer_sleeps());
  }
  CHECK(drained(mine, missing).empty());
  waker.wake(ringer, kOurs);
  CHECK_FALSE(waker.peer_sleeps());
  CHECK(drained(mine, missing) == std::vector<std::uint64_t>{7});
}

TEST_CASE_FIXTURE(Names, "a child that inherits a bell leaves it to its owner") {
  os::Doorbell mine = bell();
  Child child([&] {
    mine = os::Doorbell();
    return 0;
  });
  CHECK(child.wait() == 0);
  os::BellRinger ringer;
  CHECK(ringer.ring(mine.id(), 1, kOurs) == os::Heard::yes);
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
        CHECK(ringer.ring(one.id(), 1, kOurs) == os::Heard::yes);
    }
    CHECK(open_descriptors() - before <= 16);
  }
  CHECK(open_descriptors() == before);
}

}  // namespace millrace::test::doorbell_test
