// Waits from outside.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "../layout/header.hpp"
#include "../layout/parties.hpp"
#include "../os/clock.hpp"
#include "copies.hpp"
#include "observation.hpp"

namespace millrace::detail {

inline void observe_wait(const layout::WaitLine& line, const char* side, std::uint32_t index,
                         Observation& seen) {
  const std::uint64_t waits = line.waits.load(std::memory_order_relaxed);
  const std::uint64_t since = line.waiting_since.load(std::memory_order_relaxed);
  if (waits == 0 && since == 0) return;
  ObservedWait wait{side, index, static_cast<double>(waits),
                    static_cast<double>(line.waited_ns.load(std::memory_order_relaxed)) / 1e6};
  if (since != 0) {
    const std::uint64_t now = os::monotonic_ns();
    wait.since = now > since ? static_cast<double>(now - since) / 1e6 : 0;
  }
  for (std::size_t i = 0; i < wait.times.size(); ++i)
    wait.times[i] = line.wait_times[i].load(std::memory_order_relaxed);
  seen.waits.push_back(wait);
}

// Lines that lie in a row.
inline void observe_waits(const Copies& copies, std::uint64_t offset, std::uint32_t count,
                          const char* side, Observation& seen) {
  copies.each<layout::WaitLine>(offset, count, [&](std::size_t at, const layout::WaitLine& line) {
    observe_wait(line, side, static_cast<std::uint32_t>(at), seen);
  });
}

inline void observe_party_waits(const Copies& copies, Observation& seen) {
  observe_waits(copies, layout::kPartyLinesOffset, layout::kMaxParties, "party", seen);
}

}  // namespace millrace::detail
