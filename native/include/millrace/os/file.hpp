// Files that segments live in. A file gets its path only when it is complete: until then it has no name,
// or a temporary one where the file system knows no files without.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>

#include "../result.hpp"
#include "descriptor.hpp"
#include "identity.hpp"
#include "object.hpp"

namespace millrace::os {

// The platform's part, in <platform>/unnamed_file.hpp:
// A file in `directory` that has no name; empty where there is no such thing.
[[nodiscard]] inline Descriptor create_unnamed_file(const std::string& directory,
                                                    mode_t mode) noexcept;
// Gives it one. 0, or an errno: EEXIST if the path is taken.
[[nodiscard]] inline int name_unnamed_file(int fd, const std::string& path) noexcept;

inline Error not_a_regular_file(const std::string& path) {
  return make_error(Code::not_ours,
                    "'" + path + "' is not a regular file; choose another path, or remove it",
                    path);
}

// Fails with not_found if there is none. Never follows a symbolic link and never waits for a FIFO.
inline Result<Descriptor> open_file(const std::string& path, Access access) {
  const int flags = (access == Access::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW |
                    O_NONBLOCK | O_NOCTTY;
  Descriptor fd(retry_eintr([&] { return ::open(path.c_str(), flags); }));
  if (!fd) {
    if (errno == ELOOP || errno == ENXIO || errno == EISDIR) return not_a_regular_file(path);
    return system_error("open", errno, path);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return system_error("fstat", errno, path);
  if (!S_ISREG(status.st_mode)) return not_a_regular_file(path);
  return fd;
}

// A new, empty file of mode `mode` that will lie at `path` once name_fresh_file() has been called.
struct FreshFile {
  Descriptor fd;
  std::string temporary;  // its name until then; empty if it has none
};

inline Result<FreshFile> create_fresh_file(const std::string& path, mode_t mode) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  FreshFile file{create_unnamed_file(directory, mode), {}};
  if (!file.fd) {
    char text[40];
    (void)std::snprintf(text, sizeof text, "/.millrace-%016llx",
                        static_cast<unsigned long long>(random_u64()));
    file.temporary = directory + text;
    file.fd = Descriptor(retry_eintr([&] {
      return ::open(file.temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    mode);
    }));
    if (!file.fd) return system_error("open", errno, path);
  }
  // Whatever the umask took away.
  if (::fchmod(file.fd.get(), mode) != 0) {
    const int number = errno;
    if (!file.temporary.empty()) (void)::unlink(file.temporary.c_str());
    return system_error("fchmod", number, path);
  }
  return file;
}

// Fails with exists if the path is taken. A temporary name is gone afterwards, in any case.
inline Result<void> name_fresh_file(int fd, const std::string& temporary, const std::string& path) {
  int number = 0;
  if (temporary.empty()) {
    number = name_unnamed_file(fd, path);
  } else {
    if (::link(temporary.c_str(), path.c_str()) != 0) number = errno;
    (void)::unlink(temporary.c_str());
  }
  if (number != 0) return system_error("link", number, path);
  return {};
}

// True if there was one. Refuses what is not a regular file.
inline Result<bool> unlink_file(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    return system_error("lstat", errno, path);
  }
  if (!S_ISREG(status.st_mode)) return not_a_regular_file(path);
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return false;
    return system_error("unlink", errno, path);
  }
  return true;
}

}  // namespace millrace::os

#if defined(__linux__)
#include "linux/unnamed_file.hpp"
#elif defined(__APPLE__)
#include "darwin/unnamed_file.hpp"
#endif
