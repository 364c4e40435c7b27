// The platform's half of object.hpp: size, mode and identity of an object.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "../../result.hpp"
#include "../object.hpp"

namespace millrace::os {

// Sizes a new object. Works once in its life, and the system rounds up to whole pages. Nothing can be
// reserved: macOS gives out pages at the first touch and swaps, and would promise any size. Asking for
// more than the machine's memory is therefore refused here.
inline Result<void> allocate_object(int fd, std::uint64_t size, const std::string& path) {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const bool absurd = pages > 0 && size / page_size() >= static_cast<std::uint64_t>(pages);
  int number = absurd ? ENOMEM : 0;
  if (!absurd && retry_eintr([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) != 0) {
    number = errno;
  }
  if (number == 0) return {};
  Error error = system_error("ftruncate", number, path);
  error.message += " (" + std::to_string(size) + " bytes asked for)";
  return error;
}

// Files have blocks that can be reserved.
inline Result<void> allocate_file(int fd, std::uint64_t size, const std::string& path) {
  fstore_t wish{};
  wish.fst_flags = F_ALLOCATEALL;
  wish.fst_posmode = F_PEOFPOSMODE;
  wish.fst_length = static_cast<off_t>(size);
  const char* call = "fcntl";
  int failed = retry_eintr([&] { return ::fcntl(fd, F_PREALLOCATE, &wish); });
  if (failed != -1) {
    call = "ftruncate";
    failed = retry_eintr([&] { return ::ftruncate(fd, static_cast<off_t>(size)); });
  }
  if (failed != -1) return {};
  Error error = system_error(call, errno, path);
  error.message += " (" + std::to_string(size) + " bytes asked for)";
  return error;
}

// Shared memory has one size for life; files can grow.
inline constexpr bool kObjectsCanGrow = false;

inline Result<void> grow_object(int fd, std::uint64_t size, const std::string& path) {
  return allocate_file(fd, size, path);
}

[[nodiscard]] inline std::uint64_t allocated_size(std::uint64_t asked) noexcept {
  return round_up(asked, page_size());
}

// fchmod does not work on shared memory: the mode is the one given to shm_open, from which XNU takes no
// umask away. Should some version do so, a group let in by `mode` may be kept out; nobody is let in who
// was not meant to be. What must hold is that the owner has access.
inline Result<void> set_object_mode(int fd, mode_t mode, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error("fstat", errno, path);
  if ((status.st_mode & 0600) == 0600 && (status.st_mode & 0777 & ~mode) == 0) return {};
  return make_error(Code::permission,
                    "'" + path + "' was created with mode " +
                        octal(static_cast<mode_t>(status.st_mode & 07777)) + " instead of " +
                        octal(mode) + "; start this process with umask 077",
                    path);
}

// Only shared memory has such names, and its status no type.
[[nodiscard]] inline bool is_object(const struct stat& /*status*/) noexcept {
  return true;
}

[[nodiscard]] inline std::optional<uid_t> owner_of_object(
    const std::string& /*object_name*/) noexcept {
  return std::nullopt;
}

// Can an object be told from a later one of the same name, owner and size?
inline constexpr bool kObjectsHaveIdentity = false;

// fstat tells neither inode nor times of shared memory.
[[nodiscard]] inline std::uint64_t object_identity(const struct stat& /*status*/) noexcept {
  return 0;
}

// Promised: the object is this user's and has the recorded size. Not promised: that it is the very one
// that was recorded. One of the same name and size, made by another program of this user after ours was
// removed, cannot be told apart.
[[nodiscard]] inline bool is_recorded_object(const ObjectFacts& facts, std::uint64_t /*identity*/,
                                             std::uint64_t size) noexcept {
  return facts.owner == ::geteuid() && facts.size != 0 && facts.size == allocated_size(size);
}

}  // namespace millrace::os
