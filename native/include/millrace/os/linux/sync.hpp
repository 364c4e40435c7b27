// The platform's half of sync.hpp. A page that is written through a shared map is dirty in the page cache from the first
// write on, because Linux maps clean pages of files read-only; fdatasync() writes the dirty pages of the file, whoever made
// them so, and the metadata that is needed to find them again.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <span>
#include <string>

#include "../../result.hpp"
#include "../sync.hpp"

namespace millrace::os {

[[nodiscard]] inline Result<void> sync_file(int fd, std::span<const std::span<std::byte>> /*maps*/,
                                            const std::string& path) {
  if (retry_eintr([&] { return ::fdatasync(fd); }) == 0) return {};
  return system_error("fdatasync", errno, path);
}

}  // namespace millrace::os
