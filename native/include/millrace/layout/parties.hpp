// The bytes of a segment whose roles are interchangeable parties: locks, events, barriers.
//
//   page 0         Header, roles[kMaxParties]                          4096 bytes
//   kPartiesOffset PartiesControl, then one WaitLine per party
//   kSharedOffset  whatever the primitive shares, zero at first
//
// A party is one open handle, wherever it lives: main thread, worker, other process, C++ program. Its
// seat (0 … kMaxParties - 1) is the number of its role, of its wait line and of its bit in every
// 64-bit set of parties; the bits above kMaxParties are free for flags.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"

namespace millrace::layout {

inline constexpr std::uint32_t kMaxParties = 56;
inline constexpr std::uint64_t kAllParties = (1ULL << kMaxParties) - 1;

// Geometry::values of a segment of parties.
enum PartiesValue : std::uint32_t {
  kParties = 0,
  kSharedBytes = 1,
  kFirstOwnValue = 2,  // from here on the primitive's own
};
inline constexpr std::uint32_t kOwnValues = 7 - kFirstOwnValue;

struct alignas(kLine) PartiesControl {
  // Seats in use: set and cleared by their holders under the lifecycle lock, cleared for the dead by
  // whoever buries them. Says where looking is worth while; the locks say who is alive.
  std::atomic<std::uint64_t> present;
  std::byte pad[kLine - 8];
};
static_assert(sizeof(PartiesControl) == kLine);

inline constexpr std::uint64_t kPartiesOffset = kRolesOffset + kMaxParties * sizeof(RoleRecord);
inline constexpr std::uint64_t kPartyLinesOffset = kPartiesOffset + sizeof(PartiesControl);
inline constexpr std::uint64_t kSharedOffset = kPartyLinesOffset + kMaxParties * sizeof(WaitLine);
static_assert(kPartiesOffset == 4096);
static_assert(kSharedOffset % kLine == 0);

}  // namespace millrace::layout
