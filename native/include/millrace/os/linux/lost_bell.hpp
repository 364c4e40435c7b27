// A FIFO that has lost its name, opened through the process that has it: /proc/<pid>/fd leads to what a
// descriptor is of, name or not, and says what its name was.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "../descriptor.hpp"
#include "../directory.hpp"

namespace millrace::os {

// Does that link of /proc lead to what was `path` before its name was removed? Whoever has other mounts sees
// another directory before the same file name.
[[nodiscard]] inline bool leads_to_lost(const std::string& link, std::string_view path) noexcept {
  constexpr std::string_view removed = " (deleted)";
  std::array<char, 512> text{};
  const ssize_t length = ::readlink(link.c_str(), text.data(), text.size());
  if (length <= 0) return false;
  std::string_view target(text.data(), static_cast<std::size_t>(length));
  if (!target.ends_with(removed)) return false;
  target.remove_suffix(removed.size());
  return target.ends_with(path.substr(path.rfind('/')));
}

// The write end of the FIFO that was at `path` and that process `owner` has open. Empty if it has none, or if
// the system does not let us look. Who it belongs to is for the caller to judge.
[[nodiscard]] inline Descriptor open_lost_bell(pid_t owner, const std::string& path) {
  // A doorbell is among the first descriptors of a process; no more are looked at than takes a moment.
  constexpr int most = 1024;
  if (owner <= 0) return {};
  const std::string directory = "/proc/" + std::to_string(owner) + "/fd";
  Directory entries(directory);
  for (int looked = 0; looked < most; ++looked) {
    const char* entry = entries.next();
    if (entry == nullptr) return {};
    const std::string link = directory + "/" + entry;
    if (!leads_to_lost(link, path)) continue;
    Descriptor fd(retry_eintr(
        [&] { return ::open(link.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); }));
    // The number may have been given to something else meanwhile, which must not be written to.
    if (fd && leads_to_lost("/proc/self/fd/" + std::to_string(fd.get()), path)) return fd;
  }
  return {};
}

}  // namespace millrace::os
