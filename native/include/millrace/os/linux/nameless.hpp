// Nameless memory (memfd). Whoever holds a descriptor of it has it; nobody else can find it.
//
// The size is sealed as soon as it is given (F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL). Who is handed a
// descriptor maps nothing that is not sealed: a peer that shrank it afterwards would kill its readers
// with SIGBUS.
//
// A descriptor that came over a socket or from the parent process shares its open file description with
// the sender's, and locks belong to the description: the two would not exclude each other, and the lock
// of one that died would live on in the other. So nobody works on a descriptor that was handed over:
// reopen() makes an own description, through /proc/self/fd.
#pragma once

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "../../result.hpp"
#include "../descriptor.hpp"
#include "../object.hpp"

// Newer than some of the headers that we are built with.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace millrace::os {

inline constexpr bool kNamelessMemory = true;

namespace detail {

inline constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

// glibc has no memfd_create() before 2.27.
[[nodiscard]] inline int memfd(unsigned flags) noexcept {
  return static_cast<int>(::syscall(SYS_memfd_create, "millrace", flags));
}

}  // namespace detail

// New and empty. The mode matters to whoever re-opens it: 0660 lets a group in that was handed it.
inline Result<Descriptor> create_nameless(mode_t mode, bool huge_pages) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge_pages ? MFD_HUGETLB : 0U);
  int fd = detail::memfd(flags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = detail::memfd(flags);  // before Linux 6.3
  if (fd < 0) return system_error("memfd_create", errno);
  Descriptor made(fd);
  if (::fchmod(fd, mode) != 0) return system_error("fchmod", errno);
  return made;
}

// Is this nameless memory at all? To be asked before anything else is done with a descriptor that came
// from somebody else: fcntl(F_GET_SEALS) does not reach any file system that could hold us up.
[[nodiscard]] inline bool is_nameless(int fd) noexcept {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return false;
  // Shared memory that has lost its name has seals, too, but can never get these.
  if ((seals & F_SEAL_SEAL) != 0 && (seals & detail::kSizeSeals) != detail::kSizeSeals) {
    return false;
  }
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0;
}

[[nodiscard]] inline bool size_is_sealed(int fd) noexcept {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & detail::kSizeSeals) == detail::kSizeSeals;
}

inline Result<void> seal_size(int fd, const std::string& path) {
  if (::fcntl(fd, F_ADD_SEALS, detail::kSizeSeals | F_SEAL_SEAL) == 0) return {};
  return system_error("fcntl", errno, path);
}

// A descriptor of the same memory with an open file description of its own.
inline Result<Descriptor> reopen(int fd, Access access, const std::string& path) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  const int flags = (access == Access::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
  const int own = retry_eintr([&] { return ::open(self.c_str(), flags); });
  if (own >= 0) return Descriptor(own);
  const int number = errno;
  Error error = system_error("open", number, path);
  if (number == ENOENT && ::access("/proc/self/fd", F_OK) != 0) {
    error.code = Code::unsupported_platform;
    error.message = "'" + path +
                    "' must be opened through /proc/self/fd, and there is no /proc here; mount it "
                    "(containers and chroots: mount -t proc proc /proc)";
  }
  return error;
}

// Bytes of the pages it consists of.
[[nodiscard]] inline std::uint64_t page_bytes_of(int fd) noexcept {
  struct stat status {};
  struct statfs system {};
  const bool huge = ::fstatfs(fd, &system) == 0 && ::fstat(fd, &status) == 0 &&
                    static_cast<unsigned long>(system.f_type) == HUGETLBFS_MAGIC;
  return huge ? static_cast<std::uint64_t>(status.st_blksize) : page_size();
}

// Sizes it, with its memory reserved.
inline Result<void> allocate_nameless(int fd, std::uint64_t size, const std::string& path) {
  const std::uint64_t unit = page_bytes_of(fd);
  if (unit == page_size()) return allocate_object(fd, size, path);
  if (size % unit != 0) {
    return make_error(Code::invalid_argument,
                      "'" + path + "' consists of huge pages: its size must be a multiple of " +
                          std::to_string(unit) + ", not " + std::to_string(size));
  }
  auto sized = allocate_object(fd, size, path);
  if (!sized.ok() && sized.error().code == Code::no_space) {
    sized.error().message = "no huge pages are free for the " + std::to_string(size) +
                            " bytes of '" + path + "'; reserve " + std::to_string(size / unit) +
                            " more (as root: /proc/sys/vm/nr_hugepages), or do without them";
  }
  return sized;
}

// Zeroes without a size changing; the memory has to be reserved again.
inline Result<void> empty_nameless(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error("fstat", errno, path);
  if (status.st_size == 0) return {};
  const int failed =
      size_is_sealed(fd)
          ? ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size)
          : ::ftruncate(fd, 0);
  if (failed != 0) return system_error(size_is_sealed(fd) ? "fallocate" : "ftruncate", errno, path);
  return {};
}

}  // namespace millrace::os
