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
struct Statx {
  std::uint32_t mask;
  std::uint32_t pad[19];
  struct {
    std::int64_t seconds;
    std::uint32_t nanoseconds;
    std::int32_t reserved;
  } born;
  std::uint64_t rest[20];
};
inline constexpr unsigned kStatxBorn = 0x800U;
static_assert(offsetof(Statx, born) == 80 && sizeof(Statx) == 256);

}  // namespace detail

// In milliseconds since 1970; 0: the file system does not tell (tmpfs does since Linux 5.18). With an empty path that of `at`
// itself.
[[nodiscard]] inline std::int64_t born_ms(int at, const char* path,
                                          const struct stat& /*status*/) noexcept {
  detail::Statx found{};
  constexpr int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  if (::syscall(SYS_statx, at, path, flags, detail::kStatxBorn, &found) != 0) return 0;
  if ((found.mask & detail::kStatxBorn) == 0) return 0;
  return found.born.seconds * 1000 + found.born.nanoseconds / 1'000'000;
}

}  // namespace millrace::os
