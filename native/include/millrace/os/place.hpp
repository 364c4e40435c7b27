// Chooses the platform's place.
#pragma once

#if defined(__linux__)
#include "linux/place.hpp"
#elif defined(__APPLE__)
#include "darwin/place.hpp"
#else
#error "millrace supports Linux and macOS"
#endif

#include <cerrno>

#include "../result.hpp"

namespace millrace::os {

// As system_error, for calls that look for an object or make one: `ENOENT` is no missing object where all of them are.
[[nodiscard]] inline Error object_error(const char* syscall, int number, const std::string& path) {
  if ((number != ENOENT && number != ENOSYS) || !place_is_missing()) {
    return system_error(syscall, number, path);
  }
  Error error = system_error(syscall, number, path);
  error.code = Code::unsupported_platform;
  error.message +=
      "; there is no /dev/shm here: mount a tmpfs there (mount -t tmpfs tmpfs /dev/shm), or use a "
      "NamelessSegment, which needs none";
  return error;
}

}  // namespace millrace::os
