// Where objects live. Shared-memory objects have a name but no file: the kernel keeps them until reboot
// and cannot list them. Doorbells and lock files lie in a directory that only this user can enter, so on
// macOS channels connect processes of one user; file_lock.hpp refuses objects of another.
//
// The directory is one of ours in the user's cache directory under /var/folders. Not in the temporary
// one: the system deletes files there that nobody has opened for three days (confstr(3)), and would
// separate the two sides of a channel that runs longer.
#pragma once

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>

namespace millrace::os {

inline constexpr std::size_t kObjectNameMax = 30;  // PSHMNAMLEN is 31 with the leading slash
inline constexpr bool kLongNamesAreHashed = true;
// Nothing but shared memory can have such a name.
inline constexpr int kOpenWithoutWaiting = 0;

namespace detail {

// Ours, a directory and no symbolic link, closed to everybody else.
[[nodiscard]] inline bool is_private_directory(const std::string& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == ::geteuid() && (status.st_mode & 0077) == 0;
}

// Makes the directory unless it is there. False if it cannot be used.
[[nodiscard]] inline bool make_private_directory(const std::string& path) noexcept {
  // chmod: the umask may have taken rights from us.
  if (::mkdir(path.c_str(), 0700) == 0) (void)::chmod(path.c_str(), 0700);
  return is_private_directory(path);
}

// With a slash at its end; empty if the system names none.
[[nodiscard]] inline std::string user_cache_directory() {
  std::array<char, PATH_MAX> text{};
  const std::size_t length = ::confstr(_CS_DARWIN_USER_CACHE_DIR, text.data(), text.size());
  if (length == 0 || length > text.size()) return {};
  std::string path = text.data();
  if (!path.empty() && path.back() != '/') path += '/';
  return path;
}

}  // namespace detail

// The same for all processes of a user, whatever their environment variables say.
[[nodiscard]] inline const std::string& doorbell_directory() {
  static const std::string directory = [] {
    const std::string cache = detail::user_cache_directory();
    std::string usual = cache + "millrace";
    if (!cache.empty() && detail::make_private_directory(usual)) return usual;
    std::string fallback = "/tmp/millrace-" + std::to_string(::geteuid());
    if (detail::make_private_directory(fallback)) return fallback;
    // Somebody else took the name. Nothing can be created in this one: the caller's mkfifo or open
    // fails and says where.
    return std::string("/var/empty");
  }();
  return directory;
}

// Are objects without a place to be in? Here they need none.
[[nodiscard]] inline bool place_is_missing() noexcept {
  return false;
}

// What a person passes to shm_open or reads in `lsof`: there is no file to look at.
[[nodiscard]] inline std::string object_path(const std::string& object_name) {
  return "/" + object_name;
}

}  // namespace millrace::os
