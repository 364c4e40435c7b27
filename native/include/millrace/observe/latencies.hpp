// How long messages took, from outside.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#include "observation.hpp"

namespace millrace::detail {

// `count_at(i)`: what is counted in a bucket of `Times`. Those of nothing are left out.
template <typename Times, typename CountAt>
void observe_latency(const char* side, std::uint32_t index, std::uint64_t nanoseconds,
                     const CountAt& count_at, Observation& seen) {
  ObservedLatency latency{side, index, static_cast<double>(nanoseconds) / 1e6};
  for (std::size_t i = 0; i < Times::kCounts; ++i) {
    const auto count = static_cast<double>(count_at(i));
    if (count == 0) continue;
    const bool last = i == Times::kCounts - 1;
    latency.buckets.push_back({last ? std::numeric_limits<double>::infinity()
                                    : static_cast<double>(Times::bound(i)) / 1e6,
                               count});
  }
  if (!latency.buckets.empty()) seen.latencies.push_back(std::move(latency));
}

}  // namespace millrace::detail
