// Gives a new object its size with its memory reserved: a full /dev/shm is an error here and not a
// SIGBUS at the first touch.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "../../result.hpp"
#include "../object.hpp"

namespace millrace::os {

inline Result<void> allocate_object(int fd, std::uint64_t size, const std::string& object_name) {
  int number = 0;
  do {
    number = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
  } while (number == EINTR);
  if (number != 0) {
    (void)!::ftruncate(fd, 0);
    Error error = system_error("posix_fallocate", number, object_path(object_name));
    error.message += " (" + std::to_string(size) + " bytes asked for)";
    return error;
  }
  return {};
}

inline Result<void> set_object_mode(int fd, mode_t mode, const std::string& object_name) {
  if (::fchmod(fd, mode) != 0) return system_error("fchmod", errno, object_path(object_name));
  return {};
}

}  // namespace millrace::os
