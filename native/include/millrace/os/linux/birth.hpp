// When an object came into being: neither of the times that stat() tells, for the first write through a new map moves those.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace millrace::os {

namespace detail {

// The kernel's struct statx, whose declaration C libraries have in different headers, or in none.
struct StatxTime {
  std::int64_t seconds;
  std::uint32_t nanoseconds;
  std::int32_t reserved;
};
struct Statx {
  std::uint32_t mask;
  std::uint32_t block_size;
  std::uint64_t attributes;
  std::uint32_t links;
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint16_t mode;
  std::uint16_t spare;
  std::uint64_t inode;
  std::uint64_t size;
  std::uint64_t blocks;
  std::uint64_t attributes_mask;
  StatxTime accessed;
  StatxTime born;
  StatxTime changed;
  StatxTime modified;
  std::uint64_t rest[16];
};
inline constexpr unsigned kStatxBasic = 0x7ffU;
inline constexpr unsigned kStatxBorn = 0x800U;
static_assert(offsetof(Statx, inode) == 32 && offsetof(Statx, born) == 80 && sizeof(Statx) == 256);

[[nodiscard]] inline std::int64_t born_ms(const Statx& found) noexcept {
  if ((found.mask & kStatxBorn) == 0) return 0;
  return found.born.seconds * 1000 + found.born.nanoseconds / 1'000'000;
}

}  // namespace detail

// In milliseconds since 1970; 0: the file system does not tell (tmpfs does since Linux 5.18). With an empty path that of `at`
// itself.
[[nodiscard]] inline std::int64_t born_ms(int at, const char* path,
                                          const struct stat& /*status*/) noexcept {
  detail::Statx found{};
  constexpr int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  if (::syscall(SYS_statx, at, path, flags, detail::kStatxBorn, &found) != 0) return 0;
  return detail::born_ms(found);
}

// What fstat() says of `fd` (device, inode and times in nanoseconds are left out), and born_ms(), by one call. False: errno says why.
[[nodiscard]] inline bool stat_born(int fd, struct stat& status, std::int64_t& born) noexcept {
  detail::Statx found{};
  constexpr unsigned wanted = detail::kStatxBasic | detail::kStatxBorn;
  constexpr unsigned used =
      0x1U | 0x2U | 0x8U | 0x10U | 0x80U | 0x200U;  // type, mode, uid, gid, ctime, size
  if (::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, wanted, &found) != 0 ||
      (found.mask & used) != used) {
    born = 0;  // a sandbox that does not know the call
    return ::fstat(fd, &status) == 0;
  }
  status.st_mode = found.mode;
  status.st_uid = found.uid;
  status.st_gid = found.gid;
  status.st_size = static_cast<off_t>(found.size);
  status.st_ctime = static_cast<time_t>(found.changed.seconds);
  born = detail::born_ms(found);
  return true;
}

}  // namespace millrace::os
