// Buckets that times are counted in: log-linear, as those of HdrHistogram (Gil Tene). Each doubling is cut into as many buckets of one
// width, so that a bucket is never wider than a known part of what it counts.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace millrace::layout {

// 2^`Bits` buckets a doubling, the first of `UnitNs` nanoseconds; `Counts` of them, of which the last has all that is longer.
template <unsigned Bits, std::uint64_t UnitNs, std::size_t Counts>
struct LogLinear {
  static constexpr std::uint64_t kParts = 1ULL << Bits;
  static constexpr std::size_t kCounts = Counts;

  [[nodiscard]] static constexpr std::size_t of(std::uint64_t nanoseconds) noexcept {
    const std::uint64_t units = nanoseconds / UnitNs;
    if (units < kParts) return units;
    const auto doublings = static_cast<std::uint64_t>(std::bit_width(units)) - 1 - Bits;
    const std::uint64_t at = (doublings << Bits) + (units >> doublings);
    return at < Counts ? at : Counts - 1;
  }
  // All that a bucket counts is shorter than so many nanoseconds; of the last one nothing is known.
  [[nodiscard]] static constexpr std::uint64_t bound(std::size_t at) noexcept {
    if (at < kParts) return (at + 1) * UnitNs;
    const std::uint64_t doublings = (at >> Bits) - 1;
    return (((at & (kParts - 1)) + kParts + 1) << doublings) * UnitNs;
  }
};

}  // namespace millrace::layout
