// The slots of messages: finding a free one, and giving it back. A bit for each group of 64 slots says that one of them may be free
// (store/hints.hpp); the words decide.
//
// Who publishes while the log is full evicts a message first, and then takes its slot: what this handle freed last is looked at
// before the bits are.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "../crash_point.hpp"
#include "../store/hints.hpp"
#include "memory.hpp"

namespace millrace {

class TopicSlots {
 public:
  TopicSlots() = default;
  TopicSlots(const TopicMemory& memory, std::uint16_t seat) noexcept
      : memory_(&memory), seat_(seat), cursor_(seat % memory.shape().slot_groups()) {}

  struct Claim {
    std::uint32_t slot;
    layout::TopicWord word;  // what the slot's word is now
  };

  // A free slot, which is held by our seat now. Nothing if there was none.
  std::optional<Claim> claim() noexcept {
    if (last_ != kNone) {
      const std::uint32_t mine = last_;
      last_ = kNone;
      if (auto got = try_slot(mine)) return got;
    }
    const std::uint32_t groups = memory_->shape().slot_groups();
    const std::uint32_t words = (groups + 63) / 64;
    const std::uint32_t first = cursor_ / 64;
    // One more than there are: the bits of the first word below the cursor come last.
    for (std::uint32_t i = 0; i <= words; ++i) {
      const std::uint32_t at = (first + i) % words;
      // acquire: a hint; the words of the slots are asked afterwards.
      std::uint64_t bits = memory_->free_groups()[at].load(std::memory_order_acquire);
      if (i == 0) bits &= ~0ULL << (cursor_ % 64);
      if (i == words) bits &= ~(~0ULL << (cursor_ % 64));
      while (bits != 0) {
        const std::uint32_t group = at * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
        bits &= bits - 1;
        if (group >= groups) break;
        if (auto got = try_group(group)) {
          cursor_ = group;
          return got;
        }
      }
    }
    return std::nullopt;
  }

  // After the word of that slot has become free, by a sequentially consistent operation.
  void freed(std::uint32_t slot) noexcept {
    last_ = slot;
    memory_->expect_bytes(slot);
    MILLRACE_CRASH_POINT("topics.slot.free");
    mark(slot);
  }
  void mark(std::uint32_t slot) const noexcept {
    const std::uint32_t group = slot / 64;
    detail::set_hint(memory_->free_groups()[group / 64], 1ULL << (group % 64));
  }
  // For whoever sets topics up, or buries.
  void mark_all() const noexcept {
    for (std::uint32_t group = 0; group < memory_->shape().slot_groups(); ++group)
      mark(group * 64);
  }

 private:
  static constexpr std::uint32_t kNone = ~0U;

  std::optional<Claim> try_slot(std::uint32_t slot) const noexcept {
    auto& word = memory_->slot(slot).word;
    // relaxed: the compare-and-swap finds out.
    std::uint64_t found = word.load(std::memory_order_relaxed);
    const layout::TopicWord free = layout::unpack_topic(found);
    if (free.state != layout::TopicSlotState::free) return std::nullopt;
    const layout::TopicWord next{layout::TopicSlotState::held, seat_, free.token + 1};
    // acquire: pairs with the release of who freed it: what it read there it read before we write.
    if (!word.compare_exchange_strong(found, pack(next), std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
      return std::nullopt;
    }
    MILLRACE_CRASH_POINT("topics.slot.held");
    // A late reader that sees anything we write from now on sees as well that the cell it came by is another one's: this fence
    // pairs with the one between its copy and its second look at the cell (reading.hpp).
    std::atomic_thread_fence(std::memory_order_release);
    return Claim{slot, next};
  }
  // Goes on behind the slot that was claimed last: messages are evicted in the order in which they came.
  std::optional<Claim> try_group(std::uint32_t group) noexcept {
    const std::uint32_t first = group * 64;
    const std::uint32_t count = std::min(memory_->shape().slots() - first, 64U);
    std::uint32_t next = group == cursor_ && next_ < count ? next_ : 0;
    for (std::uint32_t looks = 0; looks < count; ++looks) {
      const std::uint32_t slot = first + next;
      if (++next == count) next = 0;
      if (auto got = try_slot(slot)) {
        next_ = next;
        return got;
      }
    }
    const std::uint32_t end = first + count;
    (void)detail::clear_hint(
        memory_->free_groups()[group / 64], 1ULL << (group % 64),
        [&] {
          for (std::uint32_t slot = first; slot < end; ++slot) {
            const auto word =
                layout::unpack_topic(memory_->slot(slot).word.load(std::memory_order_seq_cst));
            if (word.state == layout::TopicSlotState::free) return true;
          }
          return false;
        },
        [] {});
    return std::nullopt;
  }

  const TopicMemory* memory_ = nullptr;
  std::uint16_t seat_ = 0;
  std::uint32_t cursor_ = 0;  // the group in which this handle found its last one
  std::uint32_t next_ = 0;    // where it goes on in it
  std::uint32_t last_ = kNone;
};

}  // namespace millrace
