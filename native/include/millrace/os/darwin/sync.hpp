// The platform's half of sync.hpp. What was written through a map is handed to the file by msync(); of the pages of the range
// it takes all that are modified, whichever process did that. fsync() of macOS ends at the drive, which may keep the data in its own memory:
// F_FULLFSYNC asks it to write. File systems that do not know that (network, FAT) get an fsync().
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string>

#include "../../result.hpp"
#include "../sync.hpp"

namespace millrace::os {

[[nodiscard]] inline Result<void> sync_file(int fd, std::span<const std::span<std::byte>> maps,
                                            const std::string& path) {
  for (const std::span<std::byte> map : maps) {
    if (::msync(map.data(), map.size(), MS_SYNC) != 0) return system_error("msync", errno, path);
  }
  if (retry_eintr([&] { return ::fcntl(fd, F_FULLFSYNC); }) != -1) return {};
  if (errno != ENOTSUP && errno != ENOTTY && errno != EINVAL)
    return system_error("fcntl", errno, path);
  if (retry_eintr([&] { return ::fsync(fd); }) == 0) return {};
  return system_error("fsync", errno, path);
}

}  // namespace millrace::os
