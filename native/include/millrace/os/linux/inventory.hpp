// Objects are files of /dev/shm.
#pragma once

#include <features.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../descriptor.hpp"
#include "../directory.hpp"
#include "../place.hpp"

namespace millrace::os {

namespace detail {

inline std::vector<std::string> files_starting_with(std::string_view prefix) {
  std::vector<std::string> names;
  Directory directory(object_path(""));
  while (const char* file = directory.next()) {
    if (std::string_view(file).starts_with(prefix)) names.emplace_back(file);
  }
  return names;
}

}  // namespace detail

// The names of all objects that are called millrace.…, whosever they are; doorbells among them.
[[nodiscard]] inline std::vector<std::string> object_names() {
  return detail::files_starting_with("millrace.");
}
// The files of all named semaphores. musl's cannot be told from shared memory: none.
[[nodiscard]] inline std::vector<std::string> semaphore_files() {
#if defined(__GLIBC__)
  return detail::files_starting_with("sem.");
#else
  return {};
#endif
}

// Reads up to `size` bytes; the number read. Unlike a map, it cannot be pulled away from under us.
[[nodiscard]] inline std::size_t read_object(int fd, std::uint64_t offset, void* to,
                                             std::size_t size) noexcept {
  const ssize_t got =
      retry_eintr([&] { return ::pread(fd, to, size, static_cast<off_t>(offset)); });
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

// Where locks need no files, none are left behind.
inline bool sweep_lock_file(const std::string& /*object_name*/, bool /*only_look*/) noexcept {
  return false;
}

}  // namespace millrace::os
