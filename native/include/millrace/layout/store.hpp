// What segments that keep things in slots have in common: granules of memory for what does not fit beside a slot, each with a
// word that says of which slot it is, and locks of small tables. The code is in store/.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::layout {

inline constexpr std::uint32_t kGranuleBytes = 256;

// Of which job a granule is: {in use 1, unused 1, left 10 (granules behind it that are of the same job, as far as that can
// be said), slot 20, born 32}; 0: of none. Orphaned if that slot is free, or has another `born`.
[[nodiscard]] constexpr std::uint64_t granule_owner(std::uint32_t slot, std::uint32_t born,
                                                    std::uint32_t left) noexcept {
  return 1ULL | static_cast<std::uint64_t>(left > 1023 ? 1023 : left) << 2U |
         static_cast<std::uint64_t>(slot) << 12U | static_cast<std::uint64_t>(born) << 32U;
}

// A lock that a death cannot leave behind: {seat + 1 in 16 bits, how often it was taken 48}. Whoever buries the seat repairs
// what the lock guards, and frees it.
struct SeatLock {
  std::atomic<std::uint64_t> word;
};

}  // namespace millrace::layout
