// The platform's half of object.hpp: size, mode and identity of an object.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "../../result.hpp"
#include "../object.hpp"

namespace millrace::os {

// Can an object that has a size be given a larger one?
inline constexpr bool kObjectsCanGrow = true;

inline Result<void> grow_object(int fd, std::uint64_t size, const std::string& path) {
  int number = 0;
  do {
    number = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
  } while (number == EINTR);
  if (number == 0) return {};
  Error error = system_error("posix_fallocate", number, path);
  error.message += " (" + std::to_string(size) + " bytes asked for)";
  return error;
}

// Sizes a new object with its memory reserved: a full /dev/shm is an error here and not a SIGBUS at the
// first touch.
inline Result<void> allocate_object(int fd, std::uint64_t size, const std::string& path) {
  auto allocated = grow_object(fd, size, path);
  if (!allocated.ok()) (void)!::ftruncate(fd, 0);
  return allocated;
}

// Files likewise: a full disk is an error here.
inline Result<void> allocate_file(int fd, std::uint64_t size, const std::string& path) {
  return allocate_object(fd, size, path);
}

[[nodiscard]] inline std::uint64_t allocated_size(std::uint64_t asked) noexcept {
  return asked;
}

// Makes the mode exactly `mode`, whatever the umask took away at creation.
inline Result<void> set_object_mode(int fd, mode_t mode, const std::string& path) {
  if (::fchmod(fd, mode) != 0) return system_error("fchmod", errno, path);
  return {};
}

[[nodiscard]] inline bool is_object(const struct stat& status) noexcept {
  return S_ISREG(status.st_mode);
}

[[nodiscard]] inline std::optional<uid_t> owner_of_object(const std::string& object_name) noexcept {
  struct stat status {};
  if (::lstat(object_path(object_name).c_str(), &status) != 0) return std::nullopt;
  return status.st_uid;
}

// Can an object be told from a later one of the same name, owner and size?
inline constexpr bool kObjectsHaveIdentity = true;

[[nodiscard]] inline std::uint64_t object_identity(const struct stat& status) noexcept {
  return static_cast<std::uint64_t>(status.st_ino);
}

[[nodiscard]] inline bool is_recorded_object(const ObjectFacts& facts, std::uint64_t identity,
                                             std::uint64_t /*size*/) noexcept {
  return identity != 0 && facts.identity == identity;
}

}  // namespace millrace::os
