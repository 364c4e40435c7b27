// Making certain that what was written to a file, also through maps of it, is on the disk.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <string>

#include "../result.hpp"
#include "descriptor.hpp"

namespace millrace::os {

// The platform's part, in <platform>/sync.hpp:
// Blocks until all that was written to the file before the call, by any process, through a descriptor or a shared map, would
// survive a power cut; as far as the drive keeps its word. `maps`: those of this process, where the system wants to know.
// After a failure nothing is known of the pages that were dirty: another call may succeed without having written them.
[[nodiscard]] inline Result<void> sync_file(int fd, std::span<const std::span<std::byte>> maps,
                                            const std::string& path);

// The same for the file's name. File systems that know no such thing keep names by themselves.
[[nodiscard]] inline Result<void> sync_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor fd(
      retry_eintr([&] { return ::open(directory.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY); }));
  if (!fd) return errno == EACCES ? Result<void>() : system_error("open", errno, directory);
  if (retry_eintr([&] { return ::fsync(fd.get()); }) == 0 || errno == EINVAL || errno == EROFS)
    return {};
  return system_error("fsync", errno, directory);
}

}  // namespace millrace::os

#if defined(__linux__)
#include "linux/sync.hpp"
#elif defined(__APPLE__)
#include "darwin/sync.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
