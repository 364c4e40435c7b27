// Who this process is, for messages and tools only: liveness is told by locks, never by pids.
#pragma once

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../descriptor.hpp"

namespace millrace::os {

[[nodiscard]] inline std::uint64_t random_u64() noexcept {
  std::uint64_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
  }
  return value;
}

// Start time of this process in clock ticks since boot (field 22 of /proc/self/stat), 0 if unknown.
[[nodiscard]] inline std::uint64_t process_start_time() noexcept {
  const Descriptor file(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char text[1024];
  const ssize_t length = retry_eintr([&] { return ::read(file.get(), text, sizeof text - 1); });
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* at = std::strrchr(text, ')');  // the command name may itself contain spaces
  for (int field = 2; at != nullptr && field < 22; ++field)
    at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at + 1, nullptr, 10);
}

// Writes the kernel's boot id (16 bytes); zeros if unknown.
inline void boot_id(unsigned char (&out)[16]) noexcept {
  std::memset(out, 0, sizeof out);
  const Descriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (!file) return;
  char text[64] = {};
  if (retry_eintr([&] { return ::read(file.get(), text, sizeof text - 1); }) < 36) return;
  std::size_t filled = 0;
  for (const char* at = text; *at != '\0' && filled < sizeof out; ++at) {
    if (*at == '-' || *at == '\n') continue;
    const char pair[3] = {at[0], at[1], '\0'};
    out[filled++] = static_cast<unsigned char>(std::strtoul(pair, nullptr, 16));
    ++at;
  }
}

}  // namespace millrace::os
