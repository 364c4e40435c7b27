// Who this process is, for messages and tools only: liveness is told by locks, never by pids.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "../descriptor.hpp"

namespace millrace::os {

namespace detail {

// glibc has no getrandom() before 2.25. Linux has it since 3.17, and a sandbox may refuse it.
[[nodiscard]] inline bool ask_kernel_for_random(std::uint64_t& value) noexcept {
  constexpr auto whole = static_cast<long>(sizeof value);
  if (retry_eintr([&] { return ::syscall(SYS_getrandom, &value, sizeof value, 0); }) == whole)
    return true;
  const Descriptor file(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
  return file && retry_eintr([&] { return ::read(file.get(), &value, sizeof value); }) == whole;
}

}  // namespace detail

// Tells instances and names apart; nothing secret follows from it. Without a source of randomness it differs
// from process to process and from call to call.
[[nodiscard]] inline std::uint64_t random_u64() noexcept {
  std::uint64_t value = 0;
  if (detail::ask_kernel_for_random(value)) return value;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  value = (static_cast<std::uint64_t>(::getpid()) << 40U) ^
          static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U ^
          static_cast<std::uint64_t>(now.tv_nsec);
  // Source: Steele, Lea, Flood, the finalizer of SplitMix64.
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31U);
}

// On how many may this process run?
[[nodiscard]] inline std::uint32_t processors() noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  // Fails where there are more than such a set has room for.
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return CPU_SETSIZE;
  return static_cast<std::uint32_t>(CPU_COUNT(&allowed));
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
