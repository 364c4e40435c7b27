// Treating mapped memory, on Linux. Each refusal of the kernel is turned into the name of the limit or
// setting that has to change.
#pragma once

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "../memory_options.hpp"
#include "../nameless.hpp"

// Newer than some of the headers that we are built with.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace millrace::os {

namespace detail {

// Small files of /proc and /sys; empty if there is none.
[[nodiscard]] inline std::string read_text(const char* path) {
  const Descriptor fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> buffer{};
  while (fd) {
    const ssize_t got = retry_eintr([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

// The chosen word of "always [never] force".
[[nodiscard]] inline std::string chosen_word(const std::string& text) {
  const std::size_t from = text.find('[');
  const std::size_t to = text.find(']');
  return from == std::string::npos || to == std::string::npos || to < from
             ? std::string()
             : text.substr(from + 1, to - from - 1);
}

struct Mount {
  std::string point;
  std::string huge;  // of tmpfs: its option huge=, empty if it has none
};

// Where the file system of that device is mounted.
[[nodiscard]] inline Mount mount_of(dev_t device) {
  const std::string wanted = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  const std::string text = read_text("/proc/self/mountinfo");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    // id parent major:minor root point options … - type source superoptions
    std::size_t field = 0;
    std::array<std::string, 5> fields;
    for (std::string& one : fields) {
      const std::size_t space = std::min(line.find(' ', field), line.size());
      one = line.substr(field, space - field);
      field = std::min(space + 1, line.size());
    }
    if (fields[2] != wanted) continue;
    Mount mount{fields[4], {}};
    if (const std::size_t huge = line.rfind("huge="); huge != std::string::npos) {
      mount.huge = line.substr(huge + 5, line.find_first_of(", \n", huge) - huge - 5);
    }
    return mount;
  }
  return {};
}

inline Error no_huge_pages(const std::string& path, const std::string& why) {
  return make_error(Code::unsupported_platform, "no huge pages for '" + path + "': " + why, path);
}

}  // namespace detail

inline Result<void> prefault_memory(void* at, std::size_t size, bool writable,
                                    const std::string& path) {
  const int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  if (retry_eintr([&] { return ::madvise(at, size, advice); }) == 0) return {};
  if (errno != EINVAL) return system_error("madvise", errno, path);
  touch_pages(at, size, writable);  // before Linux 5.14
  return {};
}

inline Result<void> lock_memory(const void* at, std::size_t size, const std::string& path) {
  if (::mlock(at, size) == 0) return {};
  const int number = errno;
  Error error = system_error("mlock", number, path);
  struct rlimit limit {};
  if ((number != ENOMEM && number != EPERM && number != EAGAIN) ||
      ::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    return error;
  }
  error.code = Code::permission;
  error.message = "'" + path + "': locking " + std::to_string(size) +
                  " bytes is more than this process may (RLIMIT_MEMLOCK is " +
                  (limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur)) +
                  " bytes for all that it locks); raise it with `ulimit -l`, LimitMEMLOCK= of "
                  "systemd or --ulimit memlock= of Docker, or give it CAP_IPC_LOCK";
  return error;
}

inline Result<void> want_huge_pages(void* at, std::size_t size, int fd, const std::string& path) {
  struct statfs system {};
  struct stat status {};
  if (::fstatfs(fd, &system) != 0) return system_error("fstatfs", errno, path);
  if (::fstat(fd, &status) != 0) return system_error("fstat", errno, path);
  if (static_cast<unsigned long>(system.f_type) == HUGETLBFS_MAGIC) return {};  // it has no others
  if (static_cast<unsigned long>(system.f_type) != TMPFS_MAGIC) {
    return detail::no_huge_pages(path,
                                 "its file system has none; put the file on a hugetlbfs or tmpfs");
  }
  const char* const setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  const std::string global = detail::chosen_word(detail::read_text(setting));
  const auto allows = [](const std::string& word) {
    return word == "advise" || word == "within_size" || word == "always" || word == "force";
  };
  if (global.empty()) {
    return detail::no_huge_pages(path, std::string("this kernel has no ") + setting);
  }
  if (is_nameless(fd)) {
    if (!allows(global)) {
      return detail::no_huge_pages(
          path, std::string(setting) + " says '" + global + "'; as root: echo advise > " + setting);
    }
  } else if (global != "force") {
    const detail::Mount mount = detail::mount_of(status.st_dev);
    if (global == "deny" || !allows(mount.huge)) {
      return detail::no_huge_pages(
          path, global == "deny"
                    ? std::string(setting) + " says 'deny'; as root: echo never > " + setting
                    : "'" + mount.point +
                          "' is mounted without them (/proc/self/mountinfo); as root: "
                          "mount -o remount,huge=advise " +
                          mount.point);
    }
  }
  if (::madvise(at, size, MADV_HUGEPAGE) != 0) return system_error("madvise", errno, path);
  // The pages were reserved when the object was created. Best effort: it needs free huge pages.
  (void)::madvise(at, size, MADV_COLLAPSE);
  return {};
}

inline Result<void> bind_memory(void* at, std::size_t size, const MemoryOptions& options,
                                const std::string& path) {
  constexpr std::size_t word_bits = sizeof(unsigned long) * 8;
  std::array<unsigned long, kMaxNumaNodes / word_bits> mask{};
  std::string listed;
  for (const std::uint32_t node : options.nodes) {
    listed += (listed.empty() ? "" : ", ") + std::to_string(node);
    if (node < kMaxNumaNodes) mask[node / word_bits] |= 1UL << (node % word_bits);
  }
  const int policy = options.numa == NumaPolicy::bind        ? MPOL_BIND
                     : options.numa == NumaPolicy::preferred ? MPOL_PREFERRED
                                                             : MPOL_INTERLEAVE;
  // The kernel looks at one bit less than it is told.
  if (::syscall(SYS_mbind, at, size, policy, mask.data(), kMaxNumaNodes + 1, MPOL_MF_MOVE) == 0) {
    return {};
  }
  const int number = errno;
  Error error = system_error("mbind", number, path);
  if (number == EINVAL) {
    const std::string online = detail::read_text("/sys/devices/system/node/online");
    error.code = Code::invalid_argument;
    error.message = "numa: this process cannot have memory on all of the nodes " + listed +
                    "; those of this machine are " + (online.empty() ? "not known" : online) +
                    " (/sys/devices/system/node/online), and a container may be allowed fewer "
                    "(Mems_allowed in /proc/self/status)";
  } else if (number == ENOSYS) {
    error.code = Code::unsupported_platform;
    error.message = "numa: this kernel was built without NUMA; leave the option out";
  }
  return error;
}

}  // namespace millrace::os
