// The slots: finding a free one, and giving it back. A bit for each group of 64 slots says that one of them may be free
// (hints.hpp); the words decide. So pushes and settles touch the shared bits only when a group becomes full, or has a free
// slot again.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../store/hints.hpp"
#include "memory.hpp"

namespace millrace {

class FreeSlots {
 public:
  FreeSlots() = default;
  // `start`: where this handle looks first, so that not all begin at the same slot.
  FreeSlots(const WorkMemory& memory, std::uint32_t start) noexcept
      : memory_(&memory), cursor_(start % memory.shape().slot_words()) {}

  struct Claim {
    std::uint32_t slot;
    layout::Word word;  // what the slot's word is now
  };

  // A free slot, which becomes `state` of `seat`. Nothing if there was none.
  std::optional<Claim> claim(layout::SlotState state, std::uint16_t seat) noexcept {
    if (last_ != kNone) {
      const std::uint32_t mine = last_;
      last_ = kNone;
      if (auto got = try_slot(mine, state, seat)) return got;
    }
    const std::uint32_t groups = memory_->shape().slot_words();
    const std::uint32_t words = (groups + 63) / 64;
    const std::uint32_t first = cursor_ / 64;
    // One more than there are: the bits of the first word below the cursor come last.
    for (std::uint32_t i = 0; i <= words; ++i) {
      const std::uint32_t at = (first + i) % words;
      std::uint64_t bits = memory_->free_groups()[at].load(std::memory_order_acquire);
      if (i == 0) bits &= ~0ULL << (cursor_ % 64);
      if (i == words) bits &= ~(~0ULL << (cursor_ % 64));
      while (bits != 0) {
        const std::uint32_t group = at * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
        bits &= bits - 1;
        if (group >= groups) break;
        if (auto got = try_group(group, state, seat)) {
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
    MILLRACE_CRASH_POINT("work.free.word");
    mark(slot);
  }
  void mark(std::uint32_t slot) const noexcept {
    const std::uint32_t group = slot / 64;
    detail::set_hint(memory_->free_groups()[group / 64], 1ULL << (group % 64));
  }

 private:
  static constexpr std::uint32_t kNone = ~0U;

  std::optional<Claim> try_slot(std::uint32_t slot, layout::SlotState state,
                                std::uint16_t seat) const noexcept {
    auto& word = memory_->slot(slot).word;
    std::uint64_t found = word.load(std::memory_order_relaxed);
    const layout::Word free = layout::unpack(found);
    if (free.state != layout::SlotState::free) return std::nullopt;
    layout::Word next;
    next.state = state;
    next.seat = seat;
    next.token = free.token + 1;
    // acquire: pairs with the release of who freed it: its reads of the payload come before our writes.
    if (!word.compare_exchange_strong(found, layout::pack(next), std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
      return std::nullopt;
    }
    MILLRACE_CRASH_POINT("work.claim.word");
    return Claim{slot, next};
  }
  // Goes on behind the slot that was claimed last. Jobs end about as they began, so the next one is the first that is free
  // again, and whoever has the others in hand keeps his lines.
  std::optional<Claim> try_group(std::uint32_t group, layout::SlotState state,
                                 std::uint16_t seat) noexcept {
    const std::uint32_t first = group * 64;
    const std::uint32_t count = std::min(memory_->shape().slots() - first, 64U);
    std::uint32_t next = group == cursor_ && next_ < count ? next_ : 0;
    for (std::uint32_t looks = 0; looks < count; ++looks) {
      const std::uint32_t slot = first + next;
      if (++next == count) next = 0;
      if (auto got = try_slot(slot, state, seat)) {
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
                layout::unpack(memory_->slot(slot).word.load(std::memory_order_seq_cst));
            if (word.state == layout::SlotState::free) return true;
          }
          return false;
        },
        [] {});
    return std::nullopt;
  }

  const WorkMemory* memory_ = nullptr;
  std::uint32_t cursor_ = 0;  // the group in which this handle found its last one
  std::uint32_t next_ = 0;    // where it goes on in it
  std::uint32_t last_ =
      kNone;  // the slot that this handle freed last, most likely still in its cache
};

}  // namespace millrace
