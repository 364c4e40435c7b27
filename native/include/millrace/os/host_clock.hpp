// A monotonic clock that all processes of a host read alike, for times that stand in shared memory.
//
// CLOCK_MONOTONIC alone is not it: in a time namespace of Linux it has an offset of its own, and who shares memory with
// a container may not share its clock. The offset is known, and taken off again.
//
// While the machine is suspended the clock stands still on Linux. After a boot it begins anew, so whoever finds a time
// that may be of another boot (in a mapped file) compares boot ids first.
#pragma once

#if defined(__linux__)
#include "linux/host_clock.hpp"
#elif defined(__APPLE__)
#include "darwin/host_clock.hpp"
#else
#error "millrace supports Linux and macOS"
#endif

#include <cstdint>

#include "clock.hpp"

namespace millrace::os {

// Nanoseconds. The offset is asked for once: a process enters a time namespace only by fork() or exec().
[[nodiscard]] inline std::uint64_t host_ns() noexcept {
  static const std::int64_t offset = monotonic_offset_ns();
  return monotonic_ns() - static_cast<std::uint64_t>(offset);
}

}  // namespace millrace::os
