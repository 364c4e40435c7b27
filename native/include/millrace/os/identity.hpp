// Chooses the platform's identity.
#pragma once

#if defined(__linux__)
#include "linux/identity.hpp"
#elif defined(__APPLE__)
#include "darwin/identity.hpp"
#else
#error "millrace supports Linux and macOS"
#endif

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>

namespace millrace::os {

// Both cost more than half of all else that creating a segment takes, and neither changes.

// process_start_time(), asked once per process; a forked child is another one.
[[nodiscard]] inline std::uint64_t own_start_time() noexcept {
  static std::atomic<std::uint64_t> started{0};
  static std::atomic<pid_t> whose{0};
  const pid_t me = ::getpid();
  // acquire: pairs with the release below; whoever sees its own pid sees what belongs to it.
  if (whose.load(std::memory_order_acquire) == me) return started.load(std::memory_order_relaxed);
  const std::uint64_t asked = process_start_time();
  started.store(asked, std::memory_order_relaxed);
  whose.store(me, std::memory_order_release);
  return asked;
}

// boot_id(), asked once.
inline void this_boot(unsigned char (&out)[16]) noexcept {
  struct Id {
    Id() noexcept { boot_id(bytes); }
    unsigned char bytes[16];
  };
  static const Id id;
  std::memcpy(out, id.bytes, sizeof out);
}

}  // namespace millrace::os
