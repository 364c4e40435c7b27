// What the parties of a circuit breaker share: one word, and whose clock it tells.
//
//   bits 63 … 28   27 … 16      15 … 8     7 … 2   1 … 0
//        time      generation   failures   seat    phase
//
//   closed      failures that count, `time` of the first of them
//   open        `time` at which it opened
//   half open   `seat` has the trial; `time` at which it opened, which is true again if the trial is given back
//
// Time is in milliseconds of the host's clock, modulo 2^36 (two years). See sync/breaker_word.hpp for who may change what.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "parties.hpp"

namespace millrace::layout {

enum class BreakerPhase : std::uint8_t { closed = 0, open = 1, half_open = 2 };

// Among the primitive's own geometry values.
enum BreakerValue : std::uint32_t {
  kBreakerFailures = 0,  // that open it
  kBreakerOpenMs = 1,    // until a trial
  kBreakerWindowMs = 2,  // in which failures count; 0: those in a row do
};
inline constexpr std::uint64_t kMostBreakerFailures = 255;
inline constexpr std::uint64_t kMostBreakerMs = 1ULL << 31U;  // 24 days

inline constexpr std::uint32_t kBreakerTimeBits = 36;
inline constexpr std::uint64_t kBreakerTimes = 1ULL << kBreakerTimeBits;
inline constexpr std::uint32_t kBreakerGenerations = 1U << 12U;

// The word, taken apart.
struct BreakerView {
  BreakerPhase phase = BreakerPhase::closed;
  std::uint32_t seat = 0;
  std::uint32_t failures = 0;
  std::uint32_t generation = 0;
  std::uint64_t time = 0;

  [[nodiscard]] static BreakerView of(std::uint64_t word) noexcept {
    return {static_cast<BreakerPhase>(word & 3U), static_cast<std::uint32_t>(word >> 2U & 63U),
            static_cast<std::uint32_t>(word >> 8U & 255U),
            static_cast<std::uint32_t>(word >> 16U & (kBreakerGenerations - 1)), word >> 28U};
  }
  [[nodiscard]] std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(phase) | std::uint64_t{seat} << 2U |
           std::uint64_t{failures} << 8U | std::uint64_t{generation} << 16U |
           (time & (kBreakerTimes - 1)) << 28U;
  }
};

struct BreakerShared {
  std::atomic<std::uint64_t> word;
  std::atomic<std::uint64_t> boot[2];  // under the lifecycle lock
};

}  // namespace millrace::layout
