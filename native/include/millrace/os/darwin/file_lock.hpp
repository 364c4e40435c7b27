// Byte-range locks that tell who is alive. They belong to the open file description (F_OFD_SETLK), so
// the kernel drops them when the process dies, however it dies; they conflict between two opens in one
// process too (worker threads), and no close of another descriptor releases them by accident.
//
// macOS has no locks on shared-memory objects: a lock file beside the doorbells, <object>.lock, carries
// them. Object and lock file are two names, and only the lock file can be told from a namesake
// (shared memory has no inode there). What keeps them together is the lifecycle lock:
//   - whoever removes the object, removes the lock file after it, holding the lifecycle lock meanwhile;
//   - whoever got the lifecycle lock of a file that is still linked, opens the object again (confirm):
//     nobody else can remove it now, so it is the one that belongs to this lock file.
// A creator that died in between leaves a lock file without an object; the next one takes it over.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "../../result.hpp"
#include "../clock.hpp"
#include "../descriptor.hpp"
#include "../held_bytes.hpp"
#include "../object.hpp"
#include "../place.hpp"

// <sys/fcntl.h> has them unless a strict POSIX level is asked for.
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 90
#endif
#ifndef F_OFD_GETLK
#define F_OFD_GETLK 92
#endif

namespace millrace::os {

class FileLock {
 public:
  // `object` is the descriptor of the shared-memory object, which must be this user's: others see
  // another doorbell directory and therefore another lock file. For the same reason the file is 0600
  // whatever the object's mode.
  static Result<FileLock> over(int object, const std::string& object_name, mode_t /*mode*/) {
    struct stat status {};
    if (::fstat(object, &status) != 0) {
      return system_error("fstat", errno, object_path(object_name));
    }
    if (status.st_uid != ::geteuid()) {
      return make_error(Code::permission,
                        "'" + object_path(object_name) + "' belongs to user " +
                            std::to_string(status.st_uid) +
                            "; on macOS run both processes as the same user",
                        object_path(object_name));
    }
    return open_file(object_name);
  }
  // Opens or creates the lock file. Processes that do so at once get the same one: creating without
  // O_EXCL is atomic, and one that was removed meanwhile is noticed by unlinked().
  static Result<FileLock> open_file(const std::string& object_name) {
    const std::string path = path_of(object_name);
    Descriptor fd;
    for (int refusals = 0;; ++refusals) {
      fd = Descriptor(retry_eintr(
          [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600); }));
      if (fd) break;
      // Under an unusual umask its creator has yet to open it up.
      if (errno != EACCES || refusals >= 4) return system_error("open", errno, path);
      sleep_ns(1'000'000);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return system_error("fstat", errno, path);
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
      return make_error(Code::not_ours, "'" + path + "' is not a lock file of ours; remove it",
                        path);
    }
    if ((status.st_mode & 07777) != 0600 && ::fchmod(fd.get(), 0600) != 0) {
      return system_error("fchmod", errno, path);
    }
    struct flock range = describe(F_WRLCK, 0, 0);
    if (retry_eintr([&] { return ::fcntl(fd.get(), F_OFD_GETLK, &range); }) != 0) {
      const int number = errno;
      Error error = system_error("fcntl", number, path);
      if (number == EINVAL || number == ENOTSUP) error.code = Code::unsupported_platform;
      error.message += "; locks of open file descriptions are needed there";
      return error;
    }
    return FileLock(std::move(fd), path);
  }
  // Over a file, which carries its own locks everywhere. (A duplicate has the same description.)
  static Result<FileLock> within(int fd) {
    Descriptor same(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!same) return system_error("fcntl", errno);
    return FileLock(std::move(same), {});
  }
  static void remove_file(const std::string& object_name) noexcept {
    (void)::unlink(path_of(object_name).c_str());
  }

  FileLock() = default;

  // Takes the byte if nobody else has it. Never blocks.
  [[nodiscard]] bool try_exclusive(off_t byte) const noexcept { return set(F_WRLCK, byte, 1); }
  [[nodiscard]] bool try_shared(off_t byte) const noexcept { return set(F_RDLCK, byte, 1); }
  void unlock(off_t byte) const noexcept { (void)set(F_UNLCK, byte, 1); }
  void unlock_all() const noexcept { (void)set(F_UNLCK, 0, 0); }

  // Some bytes of [from, from + count) that another description holds, as the kernel names them; count 0: to the end. Nothing if
  // nobody holds one of them.
  [[nodiscard]] std::optional<HeldBytes> some_held(off_t from, off_t count) const noexcept {
    struct flock range = describe(F_WRLCK, from, count);
    if (retry_eintr([&] { return ::fcntl(fd_.get(), F_OFD_GETLK, &range); }) != 0) {
      return HeldBytes::all_of(from, count);
    }
    if (range.l_type == F_UNLCK) return std::nullopt;
    return HeldBytes::within(from, count, range.l_start, range.l_len);
  }
  // True if another description holds any byte of [from, from + count); count 0: to the end.
  [[nodiscard]] bool held_by_other(off_t from, off_t count) const noexcept {
    struct flock range = describe(F_WRLCK, from, count);
    if (retry_eintr([&] { return ::fcntl(fd_.get(), F_OFD_GETLK, &range); }) != 0) return true;
    return range.l_type != F_UNLCK;
  }

  // True once the name no longer leads to this lock file, nor therefore to its object. Not a matter of how
  // many names it has: somebody may have given it others.
  [[nodiscard]] bool unlinked() const noexcept { return !leads_to(path_, fd_.get()); }

  // To be called with the lifecycle lock just taken: is this still the object its name leads to? If so,
  // `object` is replaced by a descriptor of which that is certain. See above.
  [[nodiscard]] bool confirm(Descriptor& object, const std::string& object_name,
                             Access access) const {
    if (unlinked()) return false;
    auto opened = open_object(object_name, access);
    if (!opened.ok()) return false;
    object = opened.take();
    return true;
  }

 private:
  FileLock(Descriptor fd, std::string path) noexcept : fd_(std::move(fd)), path_(std::move(path)) {}

  static std::string path_of(const std::string& object_name) {
    return doorbell_directory() + "/" + object_name + ".lock";
  }
  static struct flock describe(int type, off_t from, off_t count) noexcept {
    struct flock range {};
    range.l_type = static_cast<short>(type);
    range.l_whence = SEEK_SET;
    range.l_start = from;
    range.l_len = count;
    return range;  // XNU does not look at l_pid
  }
  [[nodiscard]] bool set(int type, off_t byte, off_t count) const noexcept {
    struct flock range = describe(type, byte, count);
    return retry_eintr([&] { return ::fcntl(fd_.get(), F_OFD_SETLK, &range); }) == 0;
  }

  Descriptor fd_;
  std::string path_;  // of the lock file; empty where there is none
};

}  // namespace millrace::os
