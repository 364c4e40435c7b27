// What the parties of a barrier share.
//
//   word   bits 0-55: parties that have arrived   bits 56-63: the generation, modulo 256
//
// Generation and arrivals change together, so nobody can die between them. Eight bits are plenty: a
// generation is not completed without the party that looks at it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "parties.hpp"

namespace millrace::layout {

inline constexpr std::uint32_t kBarrierParties = 0;  // among the primitive's own geometry values

struct BarrierState {
  struct alignas(kLine) TurnLine {
    std::atomic<std::uint64_t> word;
    std::atomic<std::uint64_t>
        completed;  // generations, for numbering them; may lag behind the word
    std::byte pad[kLine - 16];
  } turn;
  struct alignas(kLine) LossLines {
    std::atomic<std::uint64_t>
        missing;                      // seats whose last holder died or left, and nobody came since
    std::atomic<std::uint64_t> last;  // losses so far (upper 56 bits), and the seat of the last one
    std::array<std::atomic<std::uint64_t>, kMaxParties> who;  // by seat: pid, and kDied
    std::byte pad[kLine - (16 + 8 * kMaxParties) % kLine];
  } losses;
};
static_assert(sizeof(BarrierState::TurnLine) == kLine);
static_assert(sizeof(BarrierState) % kLine == 0);

inline constexpr std::uint64_t kDied = 1ULL << 32U;

constexpr std::uint64_t arrived_of(std::uint64_t word) noexcept {
  return word & kAllParties;
}
constexpr std::uint64_t turn_of(std::uint64_t word) noexcept {
  return word >> kMaxParties;
}

}  // namespace millrace::layout
