// Who this process is, for messages and tools only: liveness is told by locks, never by pids.
#pragma once

#include <sys/sysctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace millrace::os {

[[nodiscard]] inline std::uint64_t random_u64() noexcept {
  std::uint64_t value = 0;
  ::arc4random_buf(&value, sizeof value);
  return value;
}

// On how many may this process run?
[[nodiscard]] inline std::uint32_t processors() noexcept {
  return static_cast<std::uint32_t>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L));
}

// Start time of this process in microseconds since 1970, 0 if unknown.
[[nodiscard]] inline std::uint64_t process_start_time() noexcept {
  int query[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, static_cast<int>(::getpid())};
  kinfo_proc process{};
  std::size_t size = sizeof process;
  if (::sysctl(query, 4, &process, &size, nullptr, 0) != 0 || size < sizeof process) return 0;
  const timeval started = process.kp_proc.p_starttime;
  return static_cast<std::uint64_t>(started.tv_sec) * 1'000'000U +
         static_cast<std::uint64_t>(started.tv_usec);
}

// Writes the id of the current boot session (16 bytes); zeros if unknown.
inline void boot_id(unsigned char (&out)[16]) noexcept {
  std::memset(out, 0, sizeof out);
  char text[64] = {};
  std::size_t size = sizeof text - 1;
  if (::sysctlbyname("kern.bootsessionuuid", text, &size, nullptr, 0) != 0) return;
  if (std::strlen(text) < 36) return;
  std::size_t filled = 0;
  for (const char* at = text; *at != '\0' && filled < sizeof out; ++at) {
    if (*at == '-') continue;
    const char pair[3] = {at[0], at[1], '\0'};
    out[filled++] = static_cast<unsigned char>(std::strtoul(pair, nullptr, 16));
    ++at;
  }
}

}  // namespace millrace::os
