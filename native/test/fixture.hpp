// What tests that touch shared memory need: names that carry this process's id and are gone afterwards
// (the fixture insists), a watchdog, polling with a deadline, memory shared with children, and children
// that are ended by their own process id.
//
// Children run before any thread is started and leave with _exit: they share nothing with doctest. What
// they find goes into their exit code, usually the line of the expectation that failed.
#pragma once

#include <dirent.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <millrace/os/clock.hpp>
#include <millrace/os/doorbell.hpp>
#include <millrace/os/place.hpp>
#include "../testing/random.hpp"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MILLRACE_SANITIZED 1
#else
#define MILLRACE_SANITIZED 0
#endif

namespace millrace::test {

inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

// Repetitions: as given, or half of them where a sanitizer makes each one dear.
constexpr int rounds(int plain) {
  return MILLRACE_SANITIZED != 0 ? plain / 4 : plain;
}

[[nodiscard]] inline os::Deadline soon() {
  return os::Deadline::after(20 * kSecond);
}

// Polls until the condition holds. False if that takes longer than anything ever should.
template <typename Condition>
[[nodiscard]] bool eventually(Condition&& condition) {
  const os::Deadline deadline = os::Deadline::after(30 * kSecond);
  while (!condition()) {
    if (deadline.passed()) return condition();
    os::sleep_ns(20'000);
  }
  return true;
}

using testing::Random;

// A zeroed T that this process and its children see.
template <typename T>
class Shared {
 public:
  Shared() {
    void* at =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at != MAP_FAILED);
    value_ = new (at) T{};
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(static_cast<void*>(value_), sizeof(T)); }

  T* operator->() const noexcept { return value_; }
  T& operator*() const noexcept { return *value_; }

 private:
  T* value_;
};

// A forked process. Ended and reaped by the destructor at the latest.
class Child {
 public:
  template <std::invocable Body>
  explicit Child(Body body) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
#if defined(__linux__)
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
      if (::getppid() != parent) ::_exit(1);  // it died before we asked to follow
      ::signal(SIGALRM, SIG_DFL);
      ::alarm(110);
      ::_exit(body());
    }
    REQUIRE(pid_ > 0);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill();
  }

  // Its exit code, or the negated number of the signal that ended it.
  int wait() {
    if (pid_ <= 0) return -1;
    const pid_t pid = std::exchange(pid_, -1);
    int status = 0;
    (void)os::retry_eintr([&] { return ::waitpid(pid, &status, 0); });
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // Has it ended? Then what wait() would return is in `outcome`.
  bool ended(int& outcome) {
    if (pid_ <= 0) return true;
    int status = 0;
    const pid_t found = os::retry_eintr([&] { return ::waitpid(pid_, &status, WNOHANG); });
    if (found != pid_) return false;
    pid_ = -1;
    outcome = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return true;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  [[nodiscard]] pid_t pid() const noexcept {
    return pid_;
  }

 private:
  pid_t pid_ = -1;
};

// Ends the body of a child that stays until it is killed: `return linger();`.
inline int linger() {
  for (;;)
    ::pause();
}

// In a child: a failed expectation ends it with its line.
#define CHILD_EXPECT(...)                                                                 \
  do {                                                                                    \
    if (!(__VA_ARGS__)) {                                                                 \
      (void)std::fprintf(stderr, "child: %s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
      ::_exit(1 + __LINE__ % 250);                                                        \
    }                                                                                     \
  } while (false)

// Every value() of a Result in a test goes through here, so that a failure shows its message.
template <typename R>
auto must(R result) {
  if (!result.ok()) (void)std::fprintf(stderr, "unexpected: %s\n", result.error().message.c_str());
  REQUIRE(result.ok());
  return result.take();
}

// The fixture.
class Names {
 public:
  Names() {
    tag_ = "t" + std::to_string(::getpid()) + "-";
    current_ = this;
    ::signal(SIGALRM, [](int) {
      static constexpr char text[] = "watchdog: the test hangs\n";
      (void)!::write(2, text, sizeof text - 1);
      ::signal(SIGALRM, SIG_DFL);
      ::alarm(2);  // should cleaning up hang, too
      current_->scrub();
      ::_exit(99);
    });
    ::alarm(100);
  }
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  ~Names() {
    ::alarm(0);
    const std::vector<std::string> left = scrub();
    for (const std::string& file : left) {
      (void)std::fprintf(stderr, "left behind: %s\n", file.c_str());
    }
    CHECK(left.empty());
  }

  // A channel name that no other test run uses.
  [[nodiscard]] std::string name(const std::string& what = "x") const { return tag_ + what; }

  // A doorbell, here or in a child, that the fixture will look for in the end.
  [[nodiscard]] os::Doorbell bell() const {
    auto made = os::Doorbell::create(os::BellTrust{::geteuid(), ::getegid(), false});
    if (!made.ok()) return {};
    os::Doorbell bell = made.take();
    watch_bell(bell.id());
    return bell;
  }
  void watch_bell(std::uint64_t id) const { bells_->ids.at(bells_->count.fetch_add(1)) = id; }

 private:
  struct Bells {
    std::atomic<std::size_t> count;
    std::array<std::uint64_t, 4096> ids;
  };

  // Removes what carries our tag, and says what it was.
  std::vector<std::string> scrub() const {
    std::vector<std::string> left;
    if (DIR* directory = ::opendir(os::doorbell_directory().c_str())) {
      while (const dirent* entry = ::readdir(directory)) {
        const std::string file = entry->d_name;
        if (file.rfind(tag_, 0) == 0 || file.find("." + tag_) != std::string::npos) {
          left.push_back(os::doorbell_directory() + "/" + file);
        }
      }
      ::closedir(directory);
    }
    for (std::size_t i = 0; i < bells_->count.load(); ++i) {
      struct stat status {};
      const std::string path = os::doorbell_path(bells_->ids.at(i));
      if (::lstat(path.c_str(), &status) == 0) left.push_back(path);
    }
    for (const std::string& file : left)
      ::unlink(file.c_str());
    return left;
  }

  static inline Names* current_ = nullptr;
  std::string tag_;
  Shared<Bells> bells_;
};

}  // namespace millrace::test
