// Where objects live: shared-memory objects and doorbells both in /dev/shm (tmpfs).
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <string>

namespace millrace::os {

inline constexpr std::size_t kObjectNameMax = 255;  // NAME_MAX of tmpfs, without the leading slash
inline constexpr bool kLongNamesAreHashed = false;
// Objects are files, and anybody may put a FIFO under a name that is free: opening it must not hold us.
inline constexpr int kOpenWithoutWaiting = O_NONBLOCK;

[[nodiscard]] inline const std::string& doorbell_directory() {
  static const std::string directory = "/dev/shm";
  return directory;
}

// Are objects without a place to be in? Chroots, and containers of some services, have no /dev/shm.
[[nodiscard]] inline bool place_is_missing() noexcept {
  return ::access("/dev/shm", F_OK) != 0;
}

// The file a person finds an object under, for messages.
[[nodiscard]] inline std::string object_path(const std::string& object_name) {
  return "/dev/shm/" + object_name;
}

}  // namespace millrace::os
