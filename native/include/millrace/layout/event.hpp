// What the parties of an event share: one word.
//
//   manual reset   bit 0: is it set?   bits 1-63: how often it was set (from not set), modulo 2^63
//   auto reset     bits 0-55: parties that wait   bits 56-63: signals that nobody has taken yet
//
// Every value is a possible state. See sync/event.hpp for the transitions.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "parties.hpp"

namespace millrace::layout {

enum class Reset : std::uint64_t { automatic = 1, manual = 2 };

inline constexpr std::uint32_t kEventReset = 0;  // among the primitive's own geometry values

struct EventState {
  std::atomic<std::uint64_t> word;
};

// Manual reset.
inline constexpr std::uint64_t kEventSet = 1;
constexpr std::uint64_t generation_of(std::uint64_t word) noexcept {
  return word >> 1U;
}

// Auto reset.
inline constexpr std::uint64_t kOneSignal = 1ULL << kMaxParties;
inline constexpr std::uint64_t kMostSignals = 255;
constexpr std::uint64_t signals_of(std::uint64_t word) noexcept {
  return word >> kMaxParties;
}
constexpr std::uint64_t waiting_of(std::uint64_t word) noexcept {
  return word & kAllParties;
}

}  // namespace millrace::layout
