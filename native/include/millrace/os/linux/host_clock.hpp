// How far the clock of this process's time namespace is ahead of the host's.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../descriptor.hpp"

namespace millrace::os {

// What the kernel writes: a line for each clock, its name, seconds, nanoseconds. Anything else counts as no offset.
[[nodiscard]] inline std::int64_t monotonic_offset_in(const char* text) noexcept {
  constexpr char name[] = "monotonic";
  const char* line = std::strstr(text, name);
  if (line == nullptr) return 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  if (std::sscanf(line + sizeof name - 1, "%" SCNd64 " %" SCNd64, &seconds, &nanoseconds) != 2) {
    return 0;
  }
  constexpr std::int64_t most_seconds = 9'000'000'000;  // what a number of nanoseconds can hold
  if (seconds > most_seconds || seconds < -most_seconds) return 0;
  return seconds * 1'000'000'000 + nanoseconds;
}

// 0 where the kernel has no time namespaces. The file tells of the namespace that children get. It is also that of this
// process, unless it has called unshare() and not yet exec(): no program does that and goes on as itself.
[[nodiscard]] inline std::int64_t monotonic_offset_ns() noexcept {
  const Descriptor file(::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char text[256];
  const ssize_t length = retry_eintr([&] { return ::read(file.get(), text, sizeof text - 1); });
  if (length <= 0) return 0;
  text[length] = '\0';
  return monotonic_offset_in(text);
}

}  // namespace millrace::os
