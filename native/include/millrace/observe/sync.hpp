// Locks, events, barriers, rate limiters and breakers from outside.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "../bits.hpp"
#include "../layout/barrier.hpp"
#include "../layout/breaker.hpp"
#include "../layout/event.hpp"
#include "../layout/lock.hpp"
#include "../layout/parties.hpp"
#include "../layout/rate_limiter.hpp"
#include "../os/host_clock.hpp"
#include "channels.hpp"
#include "copies.hpp"
#include "observation.hpp"

namespace millrace::detail {

[[nodiscard]] inline double bits_in(std::uint64_t set) noexcept {
  return static_cast<double>(std::popcount(set & layout::kAllParties));
}
[[nodiscard]] inline std::uint32_t pid_of_party(const Copies& copies, std::uint32_t seat) {
  const auto role =
      copies.one<layout::RoleRecord>(layout::kRolesOffset + seat * sizeof(layout::RoleRecord));
  return role[0].pid.load(std::memory_order_relaxed);
}

inline void observe_lock(const Copies& copies, Observation& seen) {
  const auto copy = copies.one<layout::LockShared>(layout::kSharedOffset);
  const std::uint64_t word = copy[0].holders.word.load(std::memory_order_relaxed);
  std::uint64_t waiting = 0;
  for (std::uint32_t seat = 0; seat < layout::kMaxParties; ++seat) {
    const std::uint64_t entry = copy[0].entries[seat].entry.load(std::memory_order_relaxed);
    waiting += (entry & layout::kEntryState) == layout::kEntryWaiting ? 1 : 0;
  }
  for_each_bit(word & layout::kLockHolders, [&](std::uint32_t seat) {
    seen.parts.push_back({"holder", seat, {}, pid_of_party(copies, seat)});
  });
  seen.figures.add("holders", bits_in(word & layout::kLockHolders))
      .add("exclusive", (word & layout::kLockExclusive) != 0 ? 1.0 : 0.0)
      .add("waiting", number(waiting))
      .add("abandoned", (word & layout::kLockAbandoned) != 0 ? 1.0 : 0.0);
}

inline void observe_event(const Copies& copies, const layout::Geometry& geometry,
                          Observation& seen) {
  const auto copy = copies.one<std::atomic<std::uint64_t>>(layout::kSharedOffset);
  const std::uint64_t word = copy[0].load(std::memory_order_relaxed);
  const bool automatic = geometry.values[layout::kFirstOwnValue + layout::kEventReset] ==
                         static_cast<std::uint64_t>(layout::Reset::automatic);
  if (automatic) {
    seen.figures.add("signals", number(layout::signals_of(word)))
        .add("waiting", bits_in(layout::waiting_of(word)));
  } else {
    seen.figures.add("set", static_cast<double>(word & layout::kEventSet))
        .add("sets", number(layout::generation_of(word)));
  }
}

inline void observe_barrier(const Copies& copies, const layout::Geometry& geometry,
                            Observation& seen) {
  const auto copy = copies.one<layout::BarrierState>(layout::kSharedOffset);
  const std::uint64_t word = copy[0].turn.word.load(std::memory_order_relaxed);
  seen.figures
      .add("parties", number(geometry.values[layout::kFirstOwnValue + layout::kBarrierParties]))
      .add("arrived", bits_in(layout::arrived_of(word)))
      .add("completed", number(copy[0].turn.completed))
      .add("missing", bits_in(copy[0].losses.missing.load(std::memory_order_relaxed)));
}

inline void observe_rate_limiter(const Copies& copies, const layout::Geometry& geometry,
                                 Observation& seen) {
  const auto copy = copies.one<layout::RateLimiterRecord>(layout::kRateLimiterOffset);
  const std::uint64_t empty_at = copy[0].word.load(std::memory_order_relaxed);
  const std::uint64_t now = os::host_ns() * layout::kTicksPerNs;
  const std::uint64_t interval = geometry.values[layout::kRateInterval];
  const std::uint64_t burst = geometry.values[layout::kRateBurst];
  if (interval == 0) return;
  const std::uint64_t used = empty_at <= now ? 0 : (empty_at - now + interval - 1) / interval;
  seen.figures.add("available", number(used >= burst ? 0 : burst - used))
      .add("burst", number(burst))
      .add("perSecond", 1e9 * layout::kTicksPerNs / static_cast<double>(interval));
}

inline void observe_breaker(const Copies& copies, Observation& seen) {
  const auto copy = copies.one<layout::BreakerShared>(layout::kSharedOffset);
  const auto view = layout::BreakerView::of(copy[0].word.load(std::memory_order_relaxed));
  seen.figures.add("open", view.phase == layout::BreakerPhase::open ? 1.0 : 0.0)
      .add("halfOpen", view.phase == layout::BreakerPhase::half_open ? 1.0 : 0.0)
      .add("failures", number(std::uint64_t{view.failures}));
}

}  // namespace millrace::detail
