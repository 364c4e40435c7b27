// A rate limiter: one 64-bit word, the time at which its bucket will be empty.
//
//   page 0   Header, then at offset 1024 the RateLimiterRecord
//
// Times are ticks, sixteenths of a nanosecond of the host's clock (os/host_clock.hpp): 36 years of it fit into the word.
// Every handle holds the byte of kRateUsersRole, shared: it only says that somebody uses the limiter.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"

namespace millrace::layout {

enum RateLimiterRole : std::uint32_t { kRateUsersRole = 0 };

// Geometry::values.
enum RateLimiterValue : std::uint32_t {
  kRateInterval = 0,  // ticks that one permit takes
  kRateBurst = 1,     // permits at once
};

inline constexpr std::uint64_t kTicksPerNs = 16;
// interval × burst at most: 2.3 years. Far below what the word holds, so that sums of times never overflow.
inline constexpr std::uint64_t kMostRateTicks = 1ULL << 60U;
inline constexpr std::uint64_t kMostBurst = 1'000'000'000;
// No turn is given out that is farther away.
inline constexpr std::uint64_t kFarthestTicks = 1ULL << 61U;

struct alignas(kLine) RateLimiterRecord {
  std::atomic<std::uint64_t> word;     // any handle; see sync/gcra.hpp
  std::atomic<std::uint64_t> boot[2];  // whose clock that is; under the lifecycle lock
  std::byte pad[kLine - 24];
};
static_assert(sizeof(RateLimiterRecord) == kLine);

inline constexpr std::size_t kRateLimiterOffset = 1024;
static_assert(kRateLimiterOffset >= kRolesOffset);

}  // namespace millrace::layout
