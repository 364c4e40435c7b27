// How long messages take from when they are published until a subscriber has them. What a handle has beside its topics if it was opened to
// count that. One of 64 is measured, and stands for those before it.
//
// The mark of a message lies in its slot. Its publisher writes it while the slot is his, before the commit. A reader looks at it between (R1) and
// (R3) (reading.hpp), as at all that a slot says, so it was of that message if the cell is still the same. It names the token of the cell: what an
// earlier message has left there, which a publisher that knows nothing of marks did not touch, is nobody's.
//
// What a subscription counts is its entry's, and its reader's alone: plain stores.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../layout/topics.hpp"
#include "../os/clock.hpp"
#include "../store/sampling.hpp"
#include "facts.hpp"
#include "memory.hpp"

namespace millrace {

// What a reader that counts has seen beside the messages of one look.
class TopicMarks {
 public:
  static constexpr std::uint32_t kMost = 64;  // messages of a look

  // (R1) to (R3): of the message that will be the i-th. relaxed: (R3) says whether it is of that message.
  void see(std::uint32_t i, const layout::TopicSlot& slot, std::uint64_t cell) noexcept {
    if (i >= kMost) return;
    const std::uint32_t measured = slot.measured.load(std::memory_order_relaxed);
    const bool its = measured >> kTokenShift == layout::token_of_topic_cell(cell);
    seen_[i] = its ? Mark{slot.measured_at.load(std::memory_order_relaxed),
                          measured & ((1U << kTokenShift) - 1)}
                   : Mark{};
  }

 private:
  friend class TopicMeter;
  static constexpr std::uint32_t kTokenShift = 8;
  static_assert(Sampling::kMost < 1U << kTokenShift);
  struct Mark {
    std::uint64_t at = 0;
    std::uint32_t stands_for = 0;  // 0: it is not measured
  };
  std::array<Mark, kMost> seen_{};
};

class TopicMeter {
 public:
  explicit TopicMeter(const TopicMemory& memory)
      : memory_(memory), since_(memory.shape().subscriptions, 0) {}

  // What has been written to that place is about to be published.
  void mark(const TopicLoan& loan) noexcept {
    if (publishes_.next()) mark_now(loan);
  }
  // That subscription has begun: what was published before is not late.
  void joined(std::uint32_t entry) { since_[entry] = os::monotonic_ns(); }
  [[nodiscard]] TopicMarks& marks() noexcept { return marks_; }
  // So many have been received, of which marks() have been seen.
  void received(std::uint32_t entry, std::uint32_t messages) noexcept {
    for (std::uint32_t i = 0; i < messages && i < TopicMarks::kMost; ++i)
      if (marks_.seen_[i].stands_for != 0) count(entry, marks_.seen_[i]);
  }

 private:
  [[gnu::noinline]] void mark_now(const TopicLoan& loan) noexcept {
    layout::TopicSlot& slot = memory_.slot(loan.slot);
    constexpr std::uint32_t tokens = (1U << layout::kTopicTokenBits) - 1;
    const std::uint32_t token = layout::unpack_topic(loan.word).token & tokens;
    // relaxed, both: the commit publishes them, as all of the slot.
    slot.measured_at.store(os::monotonic_ns(), std::memory_order_relaxed);
    slot.measured.store(publishes_.stands_for() | token << TopicMarks::kTokenShift,
                        std::memory_order_relaxed);
  }
  [[gnu::noinline]] void count(std::uint32_t entry, const TopicMarks::Mark& mark) noexcept {
    const std::uint64_t now = os::monotonic_ns();
    // A clock of another name space, a liar, or a message from before.
    if (mark.at > now || mark.at < since_[entry]) return;
    layout::Entry& its = memory_.entry(entry);
    const auto add = [](auto& counter, auto what) {
      counter.store(counter.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
    };
    add(its.latency_ns, (now - mark.at) * mark.stands_for);
    add(layout::topic_latency(its, layout::TopicTimes::of(now - mark.at)), mark.stands_for);
  }

  TopicMemory memory_;
  Sampling publishes_;
  TopicMarks marks_;
  std::vector<std::uint64_t> since_;  // of each entry of this handle
};

}  // namespace millrace
