// The platform's half of sync/semaphore.hpp: what lies under a semaphore's name, and waiting with a limit.
//
// glibc and musl keep a named semaphore as a file that holds one sem_t. The C library alone makes and uses
// it; here it is only validated before use: sem_open maps whatever lies there, and a file that is too short
// would end the process with SIGBUS at the first touch, one with other contents by the C library's abort().
#pragma once

#include <dlfcn.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "../../result.hpp"
#include "../clock.hpp"
#include "../object.hpp"

namespace millrace::os {

inline constexpr bool kSemaphoreHasValue = true;
// The highest value, and therefore the most that can be posted at once.
inline constexpr std::uint32_t kSemaphoreMax = SEM_VALUE_MAX;

// The file that sem_open uses. The C libraries do not understand each other's semaphores.
[[nodiscard]] inline std::string semaphore_object(const std::string& name) {
#if defined(__GLIBC__)
  return "sem." + name;
#else
  return name;  // musl: the same names as those of shared memory
#endif
}

// Is this the image of a sem_t, as far as that can be told without knowing its fields? Every word that
// sem_init fills whatever the value is must be there. glibc keeps one: how to call the futex. With
// another number in it, the first wait would abort the process.
[[nodiscard]] inline bool looks_like_semaphore(const void* image) noexcept {
  constexpr std::size_t words = sizeof(sem_t) / sizeof(std::uint32_t);
  using Words = std::array<std::uint32_t, words>;
  sem_t blank;
  std::memset(&blank, 0, sizeof blank);
  if (::sem_init(&blank, 1, 0) != 0) return false;
  Words wanted{};
  Words found{};
  std::memcpy(wanted.data(), &blank, sizeof wanted);
  std::memcpy(found.data(), image, sizeof found);
  ::sem_destroy(&blank);
  for (std::size_t i = 0; i < words; ++i) {
    if (wanted.at(i) != 0 && found.at(i) != wanted.at(i)) return false;
  }
  return true;
}

[[nodiscard]] inline bool is_semaphore_file(int fd, const struct stat& status) noexcept {
  std::array<unsigned char, sizeof(sem_t)> image{};
  const ssize_t got = retry_eintr([&] { return ::pread(fd, image.data(), image.size(), 0); });
  return S_ISREG(status.st_mode) && static_cast<std::size_t>(status.st_size) == sizeof(sem_t) &&
         got == static_cast<ssize_t>(sizeof(sem_t)) && looks_like_semaphore(image.data());
}

// glibc makes a semaphore under another name, sem. and six random characters, and fills it before it gets its
// own. Is this one whose creator has not filled it?
[[nodiscard]] inline bool is_unfilled_semaphore(std::string_view file,
                                                const struct stat& status) noexcept {
  constexpr std::size_t length = std::string_view("sem.XXXXXX").size();
  const auto random = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return file.size() == length && std::all_of(file.end() - 6, file.end(), random) &&
         S_ISREG(status.st_mode) && status.st_size == 0;
}

// Keeps the semaphore of that name open, so that nobody sweeps it meanwhile; empty if there is none.
[[nodiscard]] inline Descriptor pin_semaphore(const std::string& name) {
  auto opened = open_object(semaphore_object(name), Access::read_write);
  return opened.ok() ? opened.take() : Descriptor();
}

// What lies under a name, validated. Keeps its descriptor, so that the file can be recognised afterwards.
class ValidatedSemaphore {
 public:
  static Result<ValidatedSemaphore> validate(const std::string& name, uid_t owner, mode_t widest) {
    const std::string object = semaphore_object(name);
    auto opened = open_object(object, Access::read_write);
    if (!opened.ok()) return explain_refusal(opened.error(), object, owner);
    ValidatedSemaphore validated;
    validated.fd_ = opened.take();
    auto facts = inspect_object(validated.fd_.get(), object_path(object));
    if (!facts.ok()) return facts.error();
    if (auto ours = check_ours(facts.value(), owner, widest, object_path(object)); !ours.ok()) {
      return ours.error();
    }
    struct stat status {};
    if (::fstat(validated.fd_.get(), &status) != 0 ||
        !is_semaphore_file(validated.fd_.get(), status)) {
      return make_error(Code::layout,
                        "'" + object_path(object) + "' (" + std::to_string(facts.value().size) +
                            " bytes) holds no semaphore of this process's C library (" +
                            std::to_string(sizeof(sem_t)) +
                            " bytes); choose another name, or remove it if it is a leftover",
                        object_path(object));
    }
    validated.path_ = object_path(object);
    return validated;
  }

  // Is what sem_open has mapped since then the file that was validated? Only its owner and root can put
  // another one in its place.
  [[nodiscard]] bool still_there() const noexcept {
    struct stat validated {};
    struct stat found {};
    return ::fstat(fd_.get(), &validated) == 0 && ::lstat(path_.c_str(), &found) == 0 &&
           validated.st_ino == found.st_ino && validated.st_dev == found.st_dev;
  }

 private:
  Descriptor fd_;
  std::string path_;
};

// Makes the mode exactly `mode`, whatever the umask took away at creation. By name: the descriptor is
// the C library's. Nobody else can put another file there, the directory is sticky.
inline Result<void> set_semaphore_mode(const std::string& name, mode_t mode) {
  const std::string path = object_path(semaphore_object(name));
  if (::chmod(path.c_str(), mode) != 0) return system_error("chmod", errno, path);
  return {};
}

[[nodiscard]] inline std::uint32_t semaphore_value(sem_t* semaphore) noexcept {
  int value = 0;
  ::sem_getvalue(semaphore, &value);
  return value < 0 ? 0 : static_cast<std::uint32_t>(value);
}

// Waits, at most that long. True: got a permit.
[[nodiscard]] inline bool semaphore_wait_for(sem_t* semaphore, std::uint64_t duration_ns) noexcept {
  using ClockWait = int (*)(sem_t*, clockid_t, const timespec*);
  // By name: glibc has it since 2.30, binaries are made for older ones. Without it a change of the
  // system's time lengthens or shortens one wait, and callers wait in slices.
  static const auto clock_wait =
      reinterpret_cast<ClockWait>(::dlsym(RTLD_DEFAULT, "sem_clockwait"));
  timespec end{};
  ::clock_gettime(clock_wait != nullptr ? CLOCK_MONOTONIC : CLOCK_REALTIME, &end);
  const std::uint64_t nanoseconds =
      static_cast<std::uint64_t>(end.tv_nsec) + duration_ns % 1'000'000'000U;
  end.tv_sec += static_cast<time_t>(duration_ns / 1'000'000'000U + nanoseconds / 1'000'000'000U);
  end.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000U);
  return retry_eintr([&] {
           return clock_wait != nullptr ? clock_wait(semaphore, CLOCK_MONOTONIC, &end)
                                        : ::sem_timedwait(semaphore, &end);
         }) == 0;
}

}  // namespace millrace::os
