// Byte-range locks that tell who is alive. They belong to the open file description (F_OFD_SETLK), so
// the kernel drops them when the process dies, however it dies; they conflict between two opens in one
// process too (worker threads), and no close of another descriptor releases them by accident.
// On Linux the shared-memory object itself carries the locks.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>
#include <string>
#include <utility>

#include "../../result.hpp"
#include "../descriptor.hpp"
#include "../held_bytes.hpp"
#include "../object.hpp"

namespace millrace::os {

class FileLock {
 public:
  // `object` is the descriptor of the shared-memory object; it must outlive this.
  static Result<FileLock> over(int object, const std::string& object_name, mode_t /*mode*/) {
    return FileLock(object, object_path(object_name));
  }
  // Over a file or nameless memory, which carry their own locks everywhere.
  static Result<FileLock> within(int fd) { return FileLock(fd, {}); }
  static void remove_file(const std::string& /*object_name*/) noexcept {}

  // Moves only, as where a lock has a file of its own to close.
  FileLock() = default;
  FileLock(FileLock&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
    return *this;
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() = default;

  // Takes the byte if nobody else has it. Never blocks.
  [[nodiscard]] bool try_exclusive(off_t byte) const noexcept { return set(F_WRLCK, byte, 1); }
  [[nodiscard]] bool try_shared(off_t byte) const noexcept { return set(F_RDLCK, byte, 1); }
  void unlock(off_t byte) const noexcept { (void)set(F_UNLCK, byte, 1); }
  void unlock_all() const noexcept { (void)set(F_UNLCK, 0, 0); }

  // Some bytes of [from, from + count) that another description holds, as the kernel names them; count 0: to the end. Nothing if
  // nobody holds one of them.
  [[nodiscard]] std::optional<HeldBytes> some_held(off_t from, off_t count) const noexcept {
    struct flock range = describe(F_WRLCK, from, count);
    if (retry_eintr([&] { return ::fcntl(fd_, F_OFD_GETLK, &range); }) != 0) {
      return HeldBytes::all_of(from, count);
    }
    if (range.l_type == F_UNLCK) return std::nullopt;
    return HeldBytes::within(from, count, range.l_start, range.l_len);
  }
  // True if another description holds any byte of [from, from + count); count 0: to the end.
  [[nodiscard]] bool held_by_other(off_t from, off_t count) const noexcept {
    struct flock range = describe(F_WRLCK, from, count);
    if (retry_eintr([&] { return ::fcntl(fd_, F_OFD_GETLK, &range); }) != 0) return true;
    return range.l_type != F_UNLCK;
  }

  // True once the name no longer leads to this object. Not a matter of how many names it has: somebody
  // may have given it others (a hard link, a backup made of them).
  [[nodiscard]] bool unlinked() const noexcept { return !leads_to(path_, fd_); }

  // To be called with the lifecycle lock just taken: is this still the object its name leads to?
  [[nodiscard]] bool confirm(const Descriptor& /*object*/, const std::string& /*object_name*/,
                             Access /*access*/) const noexcept {
    return !unlinked();
  }

 private:
  FileLock(int fd, std::string path) noexcept : fd_(fd), path_(std::move(path)) {}

  static struct flock describe(int type, off_t from, off_t count) noexcept {
    struct flock range {};
    range.l_type = static_cast<short>(type);
    range.l_whence = SEEK_SET;
    range.l_start = from;
    range.l_len = count;
    return range;  // l_pid stays 0, as F_OFD_* demands
  }
  [[nodiscard]] bool set(int type, off_t byte, off_t count) const noexcept {
    struct flock range = describe(type, byte, count);
    return retry_eintr([&] { return ::fcntl(fd_, F_OFD_SETLK, &range); }) == 0;
  }

  int fd_ = -1;
  std::string path_;  // of the object; empty for what has no name of ours
};

}  // namespace millrace::os
