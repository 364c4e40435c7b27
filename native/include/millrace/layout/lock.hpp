// What the parties of a lock share: the word that says who holds it, and one entry per party that says
// whether it waits. See sync/lock_algorithm.hpp for who may change what.
//
//   bit    63       62         61       60         59 … 56   55 … 0
//          PASSING  ABANDONED  WAITERS  EXCLUSIVE  0         one bit per holder
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "parties.hpp"

namespace millrace::layout {

inline constexpr std::uint64_t kLockHolders = kAllParties;
// The one holder is alone.
inline constexpr std::uint64_t kLockExclusive = 1ULL << 60U;
// Somebody may wait: whoever would free the lock passes it on instead.
inline constexpr std::uint64_t kLockWaiters = 1ULL << 61U;
// An exclusive holder died inside; since then no other one has finished.
inline constexpr std::uint64_t kLockAbandoned = 1ULL << 62U;
// The exclusive holder has finished, and passes the lock on.
inline constexpr std::uint64_t kLockPassing = 1ULL << 63U;

// An entry is {ticket, mode, state} in one word, so that a grant meets exactly the wait that it judged.
inline constexpr std::uint64_t kEntryState = 3;
inline constexpr std::uint64_t kEntryIdle = 0;
inline constexpr std::uint64_t kEntryWaiting = 1;
inline constexpr std::uint64_t kEntryGranted = 2;
inline constexpr std::uint64_t kEntryExclusive = 4;
inline constexpr std::uint32_t kEntryTicketShift = 3;

struct alignas(64) LockEntry {
  std::atomic<std::uint64_t> entry;
  std::byte pad[56];
};
static_assert(sizeof(LockEntry) == 64);

struct LockShared {
  struct alignas(kLine) WordLine {
    std::atomic<std::uint64_t> word;
    std::byte pad[kLine - 8];
  } holders;
  struct alignas(kLine) TicketLine {
    std::atomic<std::uint64_t> next;  // the ticket of the next one who waits
    std::byte pad[kLine - 8];
  } tickets;
  std::array<LockEntry, kMaxParties> entries;
};
static_assert(offsetof(LockShared, tickets) == kLine);
static_assert(offsetof(LockShared, entries) == 2 * kLine);

}  // namespace millrace::layout
