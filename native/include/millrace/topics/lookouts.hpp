// Who looks for the dead while everybody else sleeps: two parked handles at a time, and only while messages come. Each looks every
// kLookMs, and writes down when it did; one that has not for kStaleMs is replaced by any other that parks or looks.
//
// A publisher that dies between its commit and the wake-ups that it owes is found by them: the commit itself shows that messages
// come. After kRetireMs without any they retire. So who publishes after a pause, when there is no lookout, calls one before its commit:
// a sleeper of another process that the message is for. It says in a place that one is wanted, and rings it; whoever parks or looks takes
// the place. Dead before the ring it has published nothing, and the wish is forgotten after kRetireMs.
//
// Times are coarse monotonic milliseconds, and the caller's.
#pragma once

#include <atomic>
#include <cstdint>

#include "../crash_point.hpp"
#include "../layout/topics.hpp"
#include "seats.hpp"

namespace millrace {

class TopicLookouts {
 public:
  static constexpr std::uint64_t kLookMs = 20;
  static constexpr std::uint64_t kStaleMs = 60;
  static constexpr std::uint64_t kRetireMs = 1000;

  explicit TopicLookouts(TopicSeats& seats) noexcept : seats_(&seats) {}

  // For a handle that has just parked, or looked. `tail`: of the log. True: it is a lookout, and has to look for the dead and to
  // come here again every kLookMs.
  [[nodiscard]] bool keep_watch(std::uint64_t now, std::uint64_t tail) noexcept {
    if (tail != seen_tail_) {
      seen_tail_ = tail;
      busy_at_ = now;
    }
    // relaxed, all: hints; each place is taken by compare-and-swap.
    for (auto& place : seats_->control().lookouts) {
      std::uint64_t word = place.load(std::memory_order_relaxed);
      if (seat_of(word) != kWanted) continue;
      if (now - (word >> 16U) < kRetireMs) {
        busy_at_ = now;
      } else {
        (void)place.compare_exchange_strong(word, 0, std::memory_order_relaxed);
      }
    }
    const bool quiet = now - busy_at_ >= kRetireMs;
    for (auto& place : seats_->control().lookouts) {
      std::uint64_t word = place.load(std::memory_order_relaxed);
      if (seat_of(word) != seats_->seat()) continue;
      if (place.compare_exchange_strong(word, quiet ? 0 : word_of(seats_->seat(), now),
                                        std::memory_order_relaxed)) {
        return !quiet;
      }
    }
    if (quiet) return false;
    for (auto& place : seats_->control().lookouts) {
      std::uint64_t word = place.load(std::memory_order_relaxed);
      if (seat_of(word) < seats_->shape().seats && now - (word >> 16U) < kStaleMs) continue;
      if (place.compare_exchange_strong(word, word_of(seats_->seat(), now),
                                        std::memory_order_relaxed)) {
        MILLRACE_CRASH_POINT("topics.lookout.placed");
        return true;
      }
    }
    return false;
  }
  // Does anybody keep watch, or was called? For whoever is about to publish.
  [[nodiscard]] bool kept() const noexcept {
    const auto& places = seats_->control().lookouts;
    return (places[0].load(std::memory_order_relaxed) |
            places[1].load(std::memory_order_relaxed)) != 0;
  }
  // Says that one is wanted. False: there is one, or somebody else has said so.
  [[nodiscard]] bool want(std::uint64_t now) noexcept {
    std::uint64_t nobody = 0;
    return seats_->control().lookouts[0].compare_exchange_strong(nobody, word_of(kWanted, now),
                                                                 std::memory_order_relaxed);
  }
  // For one that parks no longer, or is buried.
  void leave(std::uint32_t seat) noexcept {
    for (auto& place : seats_->control().lookouts) {
      std::uint64_t word = place.load(std::memory_order_relaxed);
      if (seat_of(word) == seat)
        (void)place.compare_exchange_strong(word, 0, std::memory_order_relaxed);
    }
  }

 private:
  // In the part of a seat: whoever takes the place first.
  static constexpr std::uint32_t kWanted = 0xFFFE;
  static_assert(kWanted > 64 * layout::kTopicSeatWords);
  // {seat + 1 16, milliseconds 48}
  static std::uint64_t word_of(std::uint32_t seat, std::uint64_t now) noexcept {
    return ((seat + 1U) & 0xFFFFU) | now << 16U;
  }
  static std::uint32_t seat_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>((word & 0xFFFFU) - 1U);
  }

  TopicSeats* seats_;
  std::uint64_t seen_tail_ = ~0ULL;
  std::uint64_t busy_at_ = 0;
};

}  // namespace millrace
