// Files without a name (O_TMPFILE): what is killed while it makes one leaves nothing behind.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "../file.hpp"

namespace millrace::os {

[[nodiscard]] inline Descriptor create_unnamed_file(const std::string& directory,
                                                    mode_t mode) noexcept {
  return Descriptor(
      retry_eintr([&] { return ::open(directory.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, mode); }));
}

[[nodiscard]] inline int name_unnamed_file(int fd, const std::string& path) noexcept {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return 0;
  return errno;
}

}  // namespace millrace::os
