// What the cells of the log say about indices: a cell is used again every `messages` indices, a turn later each time.
#pragma once

#include <bit>
#include <cstdint>

#include "../layout/topics.hpp"

namespace millrace {

class TopicTurns {
 public:
  TopicTurns() = default;
  // `messages` is a power of two.
  explicit TopicTurns(std::uint32_t messages) noexcept
      : shift_(static_cast<unsigned>(std::countr_zero(messages))) {}

  enum class Age : std::uint8_t {
    now,         // empty, to be filled in this turn
    full,        // has the message of this turn
    later,       // its message of this turn has been evicted
    earlier,     // still has the message of the turn before
    impossible,  // somebody lied
  };
  [[nodiscard]] std::uint32_t capacity() const noexcept { return 1U << shift_; }
  [[nodiscard]] std::uint64_t turn_of(std::uint64_t index) const noexcept {
    return index >> shift_;
  }
  // What a cell that was read says about that index.
  [[nodiscard]] Age age_of(std::uint64_t cell, std::uint64_t index) const noexcept {
    const std::uint64_t turn = turn_of(index);
    if (cell == layout::empty_topic_cell(turn)) return Age::now;
    const std::uint64_t ahead = ahead_of(cell, turn);
    const bool full = layout::is_full_topic_cell(cell);
    if (full && ahead == 0) return Age::full;
    const std::uint64_t all = 1ULL << bits_of(full);
    if (ahead < all / 2) return Age::later;
    return full && ahead == all - 1 ? Age::earlier : Age::impossible;  // nobody skips a turn
  }
  // Where to go on from a cell that is later than that index.
  [[nodiscard]] std::uint64_t behind(std::uint64_t cell, std::uint64_t index) const noexcept {
    const std::uint64_t turns = ahead_of(cell, turn_of(index));
    return index + 1 + (turns > 1 ? (turns - 1) << shift_ : 0);
  }
  // Of who looks for an end of the log: more than this is a lie.
  [[nodiscard]] std::uint32_t most_steps() const noexcept { return 4 * capacity() + 64; }

 private:
  static constexpr unsigned bits_of(bool full) noexcept {
    return full ? layout::kTopicTurnBits : layout::kTopicEmptyTurnBits;
  }
  // By how many turns a cell is ahead of `turn`, modulo what it tells of them.
  static std::uint64_t ahead_of(std::uint64_t cell, std::uint64_t turn) noexcept {
    const unsigned bits = bits_of(layout::is_full_topic_cell(cell));
    return (layout::turn_of_topic_cell(cell) - turn) & ((1ULL << bits) - 1);
  }

  unsigned shift_ = 0;
};

}  // namespace millrace
