// What of a dead holder's doings is finished, or undone: from the words alone, and so that whoever dies in the middle of it can be
// followed by another one, who does it again.
#pragma once

#include <atomic>
#include <cstdint>

#include "../crash_point.hpp"
#include "call_store.hpp"

namespace millrace {

class CallBurial : public CallStore {
 public:
  using CallStore::CallStore;

  // Under the lifecycle lock, once or again; also of a holder that is alive, and closes. Whoever has an outcome is told of it
  // once more: the dead one may have owed that. Returns how many calls were given back, or ended.
  std::uint32_t repair(std::uint16_t seat) noexcept {
    std::uint32_t done = 0;
    const std::uint32_t slots = memory_.shape().slots();
    sweep_answers(seat);
    for (std::uint32_t slot = 0; slot < slots; ++slot)
      done += repair_slot(slot, seat) ? 1 : 0;
    MILLRACE_CRASH_POINT("calls.repair.slots");
    (void)arena_.sweep(
        [this](std::uint32_t slot, std::uint32_t born) { return is_orphan(slot, born); });
    for (std::uint32_t word = 0; word < words_; ++word)
      bits_of(seat)[word].store(0, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("calls.repair.swept");
    hand_over_counts(memory_.control(), *own_);
    if (done != 0) add(layout::WorkCount::given_back, done);
    stirred_ |= kRoom;
    return done;
  }

 private:
  // Gives back the room of answers that were not given. Before its calls can be anybody's again: until then all that has the
  // mark of one of them is the request, or what its server has claimed.
  void sweep_answers(std::uint16_t seat) noexcept {
    const std::uint32_t slots = memory_.shape().slots();
    bool any = false;
    for (std::uint32_t slot = 0; slot < slots && !any; ++slot)
      any = has_in_hand(word_of(slot), seat);
    if (!any) return;
    (void)arena_.sweep_strays([&](std::uint32_t slot, std::uint32_t born, std::uint32_t at) {
      if (slot >= slots || !has_in_hand(word_of(slot), seat) ||
          memory_.slot(slot).born.load(std::memory_order_relaxed) != born)
        return false;
      const Place request = place_of(slot);
      return at < request.granule || at - request.granule >= request.granules;
    });
    MILLRACE_CRASH_POINT("calls.repair.answers");
  }
  static bool has_in_hand(const layout::Word& word, std::uint16_t seat) noexcept {
    return word.seat == seat &&
           (word.state == layout::SlotState::leased || word.state == layout::SlotState::cancelled);
  }
  [[nodiscard]] bool is_orphan(std::uint32_t slot, std::uint32_t born) const noexcept {
    if (slot >= memory_.shape().slots()) return true;
    const layout::Word word = word_of(slot);
    if (word.state == layout::SlotState::free) return true;
    if (word.state == layout::SlotState::writing) return word.token != born;
    return memory_.slot(slot).born.load(std::memory_order_acquire) != born;
  }
  // Whether a call of the dead one was given back, or ended.
  bool repair_slot(std::uint32_t index, std::uint16_t seat) noexcept {
    for (int tries = 0; tries < kTries; ++tries) {
      const std::uint64_t bits = memory_.slot(index).word.load(std::memory_order_seq_cst);
      const layout::Word word = layout::unpack(bits);
      const bool its = word.seat == seat;
      switch (word.state) {
        case layout::SlotState::free:
          free_.mark(index);
          return false;
        case layout::SlotState::writing:
          // What it has claimed is an orphan's afterwards.
          if (!its || end(index, bits, Place{}, Place{})) return its;
          break;
        case layout::SlotState::ready:
          if (its) {
            if (end(index, bits, place_of(index), Place{})) return true;
            break;
          }
          // Perhaps it died before it had found it, or when it had found nothing and cleared what leads there.
          if ((word.flags & layout::kReturned) != 0) {
            ready_.add_returned(layout::kForCalls, 0, index);
          } else {
            detail::set_hint(memory_.control().ring_mask[layout::kForCalls], 1U);
          }
          stirred_ |= kCalls;
          return false;
        case layout::SlotState::leased:
          if (its ? end_lease(index, bits, word, seat) : unwant(index, bits, word, seat))
            return its;
          break;
        case layout::SlotState::cancelled:
          if (!its) {
            tell(word.seat, index);
            return false;
          }
          if (end(index, bits, place_of(index), Place{})) return true;
          break;
        case layout::SlotState::answered:
          if (!its) {
            tell(word.seat, index);
            return false;
          }
          if (end(index, bits, place_of(index), answer_place_of(index, bits))) return true;
          break;
        default:
          return false;
      }
    }
    return false;
  }
  // The dead one had it in hand.
  bool end_lease(std::uint32_t index, std::uint64_t bits, const layout::Word& word,
                 std::uint16_t seat) noexcept {
    const std::uint32_t caller = caller_of(index);
    // Its own, or nobody's.
    if (caller == seat || caller == kNobody) return end(index, bits, place_of(index), Place{});
    const bool started = (word.flags & layout::kStarted) != 0;
    if (!started || (is_idempotent(index) && word.attempt < kMostAttempts))
      return return_to_caller(index, bits, word);
    return end_as(index, bits, layout::CallEnd::died, caller);
  }
  // Another one has it in hand. If it is the dead one's call nobody wants it any more.
  bool unwant(std::uint32_t index, std::uint64_t bits, const layout::Word& word,
              std::uint16_t seat) noexcept {
    return caller_of(index) != seat || cancel(index, bits, word);
  }
};

}  // namespace millrace
