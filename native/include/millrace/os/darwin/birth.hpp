// When an object came into being.
#pragma once

#include <sys/stat.h>

#include <cstdint>

namespace millrace::os {

// In milliseconds since 1970; 0: the system does not tell, as of shared memory.
[[nodiscard]] inline std::int64_t born_ms(int /*at*/, const char* /*path*/,
                                          const struct stat& status) noexcept {
  const timespec& when = status.st_birthtimespec;
  return std::int64_t{when.tv_sec} * 1000 + when.tv_nsec / 1'000'000;
}

// What fstat() says of `fd`, and born_ms(). False: errno says why.
[[nodiscard]] inline bool stat_born(int fd, struct stat& status, std::int64_t& born) noexcept {
  if (::fstat(fd, &status) != 0) return false;
  born = born_ms(fd, "", status);
  return true;
}

}  // namespace millrace::os
