#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <thread>

#include <millrace/sync/semaphore.hpp>

#include "fixture.hpp"

namespace millrace::test::semaphore_test {

using namespace millrace;
using namespace millrace::test;

namespace {

// A semaphore of this test alone; its name is gone afterwards.
struct Sems : Names {
  Sems() = default;
  Sems(const Sems&) = delete;
  Sems& operator=(const Sems&) = delete;
  ~Sems() { (void)Semaphore::unlink(name()); }

  [[nodiscard]] SemaphoreSpec spec(std::uint32_t initial = 0) const {
    SemaphoreSpec wanted;
    wanted.name = name();
    wanted.initial = initial;
    return wanted;
  }
  [[nodiscard]] Result<std::unique_ptr<Semaphore>> create(std::uint32_t initial = 0) const {
    return Semaphore::create(spec(initial));
  }
  [[nodiscard]] Result<std::unique_ptr<Semaphore>> open() const { return Semaphore::open(spec()); }
  [[nodiscard]] std::string posix_name() const { return "/" + name(); }
  [[nodiscard]] std::string file() const { return os::object_path(os::semaphore_object(name())); }
};

// A handler that lets system calls fail with EINTR, for as long as this lives.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, &before_);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;
  ~Interruptions() { ::sigaction(SIGUSR1, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE_FIXTURE(Sems, "permits are counted, across handles") {
  auto mine = must(create(2));
  CHECK(mine->created());
  auto other = must(open());
  CHECK_FALSE(other->created());
  CHECK(mine->try_wait());
  CHECK(other->try_wait());
  CHECK_FALSE(mine->try_wait());
  CHECK_FALSE(other->wait_for(1000, 2 * kMillisecond));
  REQUIRE(other->post(3).ok());
  CHECK(mine->value() == 3);
  CHECK(mine->wait_for(0, 0));
  CHECK(mine->wait_for(0, kSecond));
  CHECK(other->value() == 1);
}

TEST_CASE_FIXTURE(Sems, "it is the semaphore that sem_open gives") {
  auto mine = must(create(1));
  sem_t* theirs = ::sem_open(posix_name().c_str(), 0);
  REQUIRE(theirs != SEM_FAILED);
  CHECK(::sem_trywait(theirs) == 0);
  CHECK_FALSE(mine->try_wait());
  CHECK(::sem_post(theirs) == 0);
  CHECK(mine->try_wait());
  ::sem_close(theirs);
}

TEST_CASE_FIXTURE(Sems, "one that another program made is opened, and never made twice") {
  CHECK(open().error().code == Code::not_found);
  sem_t* theirs = ::sem_open(posix_name().c_str(), O_CREAT | O_EXCL, 0600, 5U);
  REQUIRE(theirs != SEM_FAILED);
  CHECK(create().error().code == Code::exists);
  auto mine = must(open());
  CHECK(mine->value() == 5);
  auto either = must(Semaphore::open_or_create(spec(9)));
  CHECK_FALSE(either->created());
  CHECK(either->value() == 5);
  ::sem_close(theirs);
  CHECK(must(Semaphore::unlink(name())));
  CHECK_FALSE(must(Semaphore::unlink(name())));
  CHECK(mine->try_wait());  // without a name it goes on
  auto fresh = must(Semaphore::open_or_create(spec(9)));
  CHECK(fresh->created());
  CHECK(fresh->value() == 9);
}

TEST_CASE_FIXTURE(Sems, "names, modes and counts are checked") {
  for (const char* bad : {"", "/x", "a/b", ".x", "millrace.q.x"}) {
    SemaphoreSpec wanted;
    wanted.name = bad;
    CHECK(Semaphore::create(wanted).error().code == Code::invalid_name);
    CHECK(Semaphore::open(wanted).error().code == Code::invalid_name);
    CHECK(Semaphore::unlink(bad).error().code == Code::invalid_name);
  }
  SemaphoreSpec wanted = spec();
  wanted.name = std::string(241, 'x');
  CHECK(Semaphore::create(wanted).error().code == Code::name_too_long);
  for (const mode_t mode : {mode_t{0640}, mode_t{0666}, mode_t{0400}, mode_t{04600}}) {
    wanted = spec();
    wanted.mode = mode;
    CHECK(Semaphore::create(wanted).error().code == Code::invalid_argument);
  }
  CHECK(create(os::kSemaphoreMax + 1).error().code == Code::invalid_argument);
  CHECK(open().error().code == Code::not_found);
}

TEST_CASE_FIXTURE(Sems, "the mode is exact whatever the umask") {
  for (const mode_t umask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
    for (const mode_t mode : {mode_t{0600}, mode_t{0660}}) {
      SemaphoreSpec wanted = spec();
      wanted.mode = mode;
      const mode_t before = ::umask(umask);
      auto made = Semaphore::create(wanted);
      ::umask(before);
      REQUIRE(made.ok());
      struct stat status {};
      REQUIRE(::stat(file().c_str(), &status) == 0);
      CHECK((status.st_mode & 07777) == mode);
      CHECK(must(Semaphore::unlink(name())));
    }
  }
}

TEST_CASE_FIXTURE(Sems, "strangers' semaphores and those open to the world are refused") {
  auto mine = must(create(1));
  REQUIRE(::chmod(file().c_str(), 0660) == 0);
  CHECK(open().error().code == Code::not_ours);
  SemaphoreSpec wide = spec();
  wide.mode = 0660;
  CHECK(Semaphore::open(wide).ok());
  REQUIRE(::chmod(file().c_str(), 0666) == 0);
  CHECK(Semaphore::open(wide).error().code == Code::not_ours);
  REQUIRE(::chmod(file().c_str(), 0600) == 0);
  if (::geteuid() == 0) {
    REQUIRE(::chown(file().c_str(), 4711, 4711) == 0);
    CHECK(open().error().code == Code::not_ours);
    CHECK(Semaphore::open_or_create(spec()).error().code == Code::not_ours);
    SemaphoreSpec trusting = spec();
    trusting.owner = 4711;
    CHECK(Semaphore::open(trusting).ok());
  }
}

TEST_CASE_FIXTURE(Sems, "a file that is no semaphore is an error and no crash") {
  const std::string object = os::semaphore_object(name());
  SUBCASE("symbolic link") {
    REQUIRE(::symlink("/etc/passwd", file().c_str()) == 0);
    CHECK(open().error().code == Code::not_ours);
    CHECK(create().error().code == Code::exists);
    CHECK(Semaphore::open_or_create(spec()).error().code == Code::not_ours);
  }
  SUBCASE("directory") {
    REQUIRE(::mkdir(file().c_str(), 0700) == 0);
    CHECK_FALSE(open().ok());
    CHECK(create().error().code == Code::exists);
    CHECK(::rmdir(file().c_str()) == 0);
  }
  SUBCASE("FIFO") {
    REQUIRE(::mkfifo(file().c_str(), 0600) == 0);
    CHECK(open().error().code == Code::not_ours);
  }
  SUBCASE("a file of another size") {
    const os::Descriptor fd = must(os::create_object(object, 0600));
    for (const off_t size :
         {off_t{0}, off_t{1}, off_t{sizeof(sem_t) - 1}, off_t{sizeof(sem_t) + 1}, off_t{4096}}) {
      REQUIRE(::ftruncate(fd.get(), size) == 0);
      CHECK(open().error().code == Code::layout);
    }
    CHECK(create().error().code == Code::exists);
  }
  SUBCASE("a file of that size with other contents") {
    const os::Descriptor fd = must(os::create_object(object, 0600));
    std::array<unsigned char, sizeof(sem_t)> image{};
    const bool told = !os::looks_like_semaphore(image.data());  // musl's have no constant word
    for (const unsigned char byte : {0x00, 0x01, 0x7f, 0xff}) {
      image.fill(byte);
      REQUIRE(::pwrite(fd.get(), image.data(), image.size(), 0) ==
              static_cast<ssize_t>(image.size()));
      if (told) CHECK(open().error().code == Code::layout);
    }
  }
}

TEST_CASE_FIXTURE(Sems, "what does not fit is not posted at all") {
  auto mine = must(create(os::kSemaphoreMax));
  CHECK(mine->post(0).ok());
  CHECK(mine->post().error().code == Code::too_large);
  CHECK(mine->value() == os::kSemaphoreMax);
  for (int i = 0; i < 3; ++i)
    REQUIRE(mine->try_wait());
  auto refused = mine->post(4);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::too_large);
  CHECK(refused.error().message.find(std::to_string(os::kSemaphoreMax)) != std::string::npos);
  CHECK(mine->post(os::kSemaphoreMax).error().code == Code::too_large);
  CHECK(mine->value() == os::kSemaphoreMax - 3);
  CHECK(mine->post(3).ok());
  CHECK(mine->value() == os::kSemaphoreMax);
}

TEST_CASE_FIXTURE(Sems,
                  "a wait ends when its time is over, not before, and signals do not end it") {
  auto mine = must(create());
  const Interruptions interruptions;
  std::atomic<bool> over{false};
  const pthread_t waiter = ::pthread_self();
  std::thread pest([&] {
    while (!over.load()) {
      ::pthread_kill(waiter, SIGUSR1);
      os::sleep_ns(kMillisecond / 2);
    }
  });
  const std::uint64_t start = os::monotonic_ns();
  const bool got = mine->wait_for(0, 50 * kMillisecond);
  const std::uint64_t passed = os::monotonic_ns() - start;
  over.store(true);
  pest.join();
  CHECK_FALSE(got);
  CHECK(passed >= 50 * kMillisecond);
}

TEST_CASE_FIXTURE(Sems, "a post wakes a waiter in another process") {
  auto mine = must(create());
  Child child([&] {
    auto theirs = open();
    CHILD_EXPECT(theirs.ok());
    return theirs.value()->wait_for(0, 30 * kSecond) ? 0 : 1;
  });
  os::sleep_ns(5 * kMillisecond);  // so that it most likely sleeps; the outcome is the same if not
  REQUIRE(mine->post().ok());
  CHECK(child.wait() == 0);
  CHECK(mine->value() == 0);
}

TEST_CASE_FIXTURE(Sems, "a permit dies with its holder, one that is waited for does not") {
  auto mine = must(create(1));
  Shared<std::atomic<int>> ready;
  Child holder([&] {
    auto theirs = open();
    CHILD_EXPECT(theirs.ok() && theirs.value()->try_wait());
    ready->fetch_add(1);
    return linger();
  });
  Child waiter([&] {
    auto theirs = open();
    CHILD_EXPECT(theirs.ok());
    while (ready->load() == 0)
      os::sleep_ns(kMillisecond);
    ready->fetch_add(1);
    (void)theirs.value()->wait_for(0, 60 * kSecond);
    return 1;
  });
  REQUIRE(eventually([&] { return ready->load() == 2; }));
  waiter.kill();
  holder.kill();
  CHECK_FALSE(mine->wait_for(0, 20 * kMillisecond));  // lost, as POSIX has it
  REQUIRE(mine->post().ok());                         // the dead waiter takes nothing
  CHECK(mine->try_wait());
}

TEST_CASE_FIXTURE(Sems, "of many that open or create at once, one creates") {
  struct Stage {
    std::atomic<int> created;
    std::atomic<int> ready;
  };
  for (int round = 0; round < rounds(40); ++round) {
    Shared<Stage> stage;
    std::vector<Child> crowd;
    crowd.reserve(4);
    for (int i = 0; i < 4; ++i) {
      crowd.emplace_back([&] {
        stage->ready.fetch_add(1);
        while (stage->ready.load() < 4)
          os::spin_hint();
        auto either = Semaphore::open_or_create(spec(1));
        CHILD_EXPECT(either.ok());
        if (either.value()->created()) stage->created.fetch_add(1);
        CHILD_EXPECT(either.value()->post().ok());
        return 0;
      });
    }
    for (Child& child : crowd)
      CHECK(child.wait() == 0);
    CHECK(stage->created.load() == 1);
    CHECK(must(open())->value() == 5);
    CHECK(must(Semaphore::unlink(name())));
  }
}

TEST_CASE_FIXTURE(Sems, "no permit is lost or invented by many processes") {
  struct Stage {
    std::atomic<int> inside;
    std::atomic<int> most;
    std::atomic<std::uint64_t> taken;
  };
  constexpr int permits = 2;
  Shared<Stage> stage;
  auto mine = must(create(permits));
  std::vector<Child> crowd;
  crowd.reserve(4);
  for (int i = 0; i < 4; ++i) {
    crowd.emplace_back([&, i] {
      auto theirs = open();
      CHILD_EXPECT(theirs.ok());
      Random random(static_cast<std::uint64_t>(i) + 1);
      for (int round = 0; round < rounds(3000); ++round) {
        const bool got = random.below(2) == 0 ? theirs.value()->try_wait()
                                              : theirs.value()->wait_for(0, random.below(200'000));
        if (!got) continue;
        stage->taken.fetch_add(1);
        CHILD_EXPECT(stage->inside.fetch_add(1) < permits);
        stage->inside.fetch_sub(1);
        CHILD_EXPECT(theirs.value()->post().ok());
      }
      return 0;
    });
  }
  for (Child& child : crowd)
    CHECK(child.wait() == 0);
  CHECK(stage->taken.load() > 0);
  CHECK(mine->value() == permits);
}

}  // namespace millrace::test::semaphore_test
