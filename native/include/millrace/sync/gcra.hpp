// The generic cell rate algorithm in one word, changed by compare-and-swap alone.
// Source: ITU-T I.371, annex A, virtual scheduling.
//
// The word W is the time at which all that was let through will have been paid for, one permit every `interval`. A taker of
// c permits at time n makes it W' = max(W, n) + c·interval. Its turn is at s = max(n, W' − capacity), where capacity =
// burst·interval: at once if that is n, else later. So a turn that is to come is taken in the same step; nobody overtakes
// whoever has one, however many permits either wants.
//
// Why no window of time gets more than its rate and one burst. Of every turn that was taken
//
//   (1)  W' ≤ s + capacity               by the choice of s
//   (2)  W' − c·interval ≥ s, or s > n and W' = s + capacity ≥ s + c·interval, since c ≤ burst; so W' ≥ s + c·interval
//   (3)  W' ≥ W + c·interval             where W is what the turn before, in the order of the swaps, has made it
//
// Take the turns with a ≤ s ≤ b, in the order of the swaps. By (2) the first one has left W' ≥ a + its own cost, by (3) each
// later one adds its cost at least, by (1) the last one has left W' ≤ b + capacity. So the sum of their costs is at most
// (b − a)/interval + burst. Nothing is said of the order of the s: a process may stop between its look at the clock and its
// swap for as long as it likes. Nothing else is needed, so a process that dies takes at most what it had with it.
//
// give_back() makes W' what it was before. It succeeds only if the word is W', and that means that the turn is the last one
// taken: each turn leaves a greater word than all that were taken before and not given back. So it is as if it had not been.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "../layout/rate_limiter.hpp"

namespace millrace {

// In ticks.
struct Rate {
  std::uint64_t interval = 0;
  std::uint64_t burst = 0;

  [[nodiscard]] std::uint64_t capacity() const noexcept { return interval * burst; }
  [[nodiscard]] bool possible() const noexcept {
    return interval != 0 && burst != 0 && burst <= layout::kMostBurst &&
           interval <= layout::kMostRateTicks / burst;
  }
};

struct RateTurn {
  enum class Status : std::uint8_t {
    taken,
    refused,  // it would be at `at`, which is too late
    corrupt,  // the word is no time that anybody of us can have written
  };
  Status status = Status::refused;
  std::uint64_t at = 0;  // ticks
  std::uint64_t before = 0;
  std::uint64_t after = 0;  // the word
};

// `Word` is an atomic, or a test's.
template <typename Word>
class Gcra {
 public:
  Gcra(Word& word, Rate rate) noexcept : word_(word), rate_(rate) {}

  // Takes the next turn for `cost` permits, 1 … burst, if that is at `latest` or before. `now` is a look at the clock.
  [[nodiscard]] RateTurn take(std::uint64_t now, std::uint64_t cost,
                              std::uint64_t latest) const noexcept {
    // acquire: pairs with the release below. A limiter passes nothing on; but a handle that sees the word of another sees
    // what that one has done before.
    std::uint64_t word = word_.load(std::memory_order_acquire);
    for (int tries = 0; tries < kTries; ++tries) {
      RateTurn turn = turn_after(word, now, cost);
      if (turn.status == RateTurn::Status::corrupt || turn.at > latest) return turn;
      // release: pairs with the acquire above.
      if (word_.compare_exchange_weak(word, turn.after, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        turn.status = RateTurn::Status::taken;
        return turn;
      }
      // Somebody else got on. So many in a row do not, unless a hostile process does nothing but change the word.
    }
    return RateTurn{RateTurn::Status::corrupt};
  }

  // True if nobody has taken a turn after that one: then it is as if it had not been taken.
  bool give_back(const RateTurn& turn) const noexcept {
    std::uint64_t word = turn.after;
    // release: pairs with the acquire in take().
    return word_.compare_exchange_strong(word, turn.before, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

  // When `cost` permits could be had; nothing is taken.
  [[nodiscard]] RateTurn look(std::uint64_t now, std::uint64_t cost) const noexcept {
    return turn_after(word_.load(std::memory_order_acquire), now, cost);
  }
  // Ticks until all of the burst is there again.
  [[nodiscard]] std::uint64_t debt(std::uint64_t now) const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    return word > now ? word - now : 0;
  }

 private:
  static constexpr int kTries = 1'000'000;

  // All sums fit: now and kFarthestTicks are below 2^63 and 2^61, and what a turn adds is kMostRateTicks at most.
  [[nodiscard]] RateTurn turn_after(std::uint64_t word, std::uint64_t now,
                                    std::uint64_t cost) const noexcept {
    RateTurn turn;
    // Nobody takes a turn that is farther away. Twice as far: we may have been stopped since we looked at the clock.
    if (word > now && word - now > 2 * layout::kFarthestTicks) {
      turn.status = RateTurn::Status::corrupt;
      return turn;
    }
    turn.before = word;
    turn.after = std::max(word, now) + cost * rate_.interval;
    turn.at = now;
    // Unsigned, and no overdraft below zero: a clock that has just begun has no time before it.
    if (turn.after - now > rate_.capacity()) turn.at = turn.after - rate_.capacity();
    return turn;
  }

  Word& word_;
  Rate rate_;
};

}  // namespace millrace
