// What keeps a slot from being used again. There are three reasons, each with somebody who ends it:
//
//   a cell names it                 who evicts its message
//   it is the last of its subject   who publishes the next one, or drops it to make room
//   somebody has pinned it          who pinned it, or buries whoever did
//
// Whoever ends one first does so, and then looks at the other two; if there is none of them, the slot becomes free by one
// compare-and-swap from exactly its word. All of these are sequentially consistent: of two who end the last two reasons at the same
// time at least one sees both ended, and the compare-and-swap lets one of those who see it free the slot. Nobody frees a slot
// whose word does not say `evicted`, which comes before its cell is emptied.
//
// A reason begins only while another one holds:
//   pins    the pin is stored, and then the cell, or the last message, is looked at again: if it still names the message, whoever
//           ends that reason afterwards sees the pin
//   last    a message becomes the last one of its subject before it is evicted: who evicts it sees to that. Numbers of last
//           messages only grow, so its publisher, who comes late with it, changes nothing.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../store/arena.hpp"
#include "memory.hpp"
#include "slots.hpp"

namespace millrace {

class TopicKeeping {
 public:
  TopicKeeping() = default;
  TopicKeeping(const TopicMemory& memory, std::uint16_t seat) noexcept
      : memory_(&memory),
        seat_(seat),
        shift_(static_cast<unsigned>(std::countr_zero(memory.shape().messages))),
        slots_(memory, seat),
        arena_(memory.owners(), memory.shape().granules(),
               memory.shape().granules() / memory.shape().seats * seat) {}

  [[nodiscard]] TopicSlots& slots() noexcept { return slots_; }
  [[nodiscard]] Arena& arena() noexcept { return arena_; }
  [[nodiscard]] const Arena& arena() const noexcept { return arena_; }

  [[nodiscard]] std::uint64_t turn_of(std::uint64_t index) const noexcept {
    return index >> shift_;
  }
  [[nodiscard]] std::uint64_t full_cell(std::uint64_t index, std::uint32_t slot,
                                        std::uint32_t token) const noexcept {
    return layout::full_topic_cell(turn_of(index), slot, token);
  }

  // --- freeing ---

  // The message in that slot, if it has been evicted, and nothing keeps it. True: it was freed by us.
  bool try_free(std::uint32_t slot) noexcept {
    if (slot >= memory_->shape().slots()) return false;
    layout::TopicSlot& its = memory_->slot(slot);
    std::uint64_t bits = its.word.load(std::memory_order_seq_cst);
    const layout::TopicWord word = layout::unpack_topic(bits);
    if (word.state != layout::TopicSlotState::evicted) return false;
    // relaxed: as long as the word is this one these are what its publisher wrote, and the compare-and-swap is from exactly it.
    const std::uint64_t index = its.index.load(std::memory_order_relaxed);
    const std::uint32_t subject = its.subject.load(std::memory_order_relaxed);
    const std::uint32_t granule = its.granule.load(std::memory_order_relaxed);
    const std::uint32_t granules = its.granules.load(std::memory_order_relaxed);
    if (memory_->cell(index).load(std::memory_order_seq_cst) == full_cell(index, slot, word.token))
      return false;
    if (subject < memory_->shape().subjects &&
        memory_->subject(subject).last.load(std::memory_order_seq_cst) ==
            layout::last_message(index, slot)) {
      return false;
    }
    if (is_pinned(slot, word.token)) return false;
    if (!become_free(its, bits, word)) return false;
    give_back(slot, word.token, granule, granules);
    slots_.freed(slot);
    return true;
  }
  // One that was never in the log: its publisher gives it up, or somebody in its place.
  bool cancel(std::uint32_t slot, std::uint64_t bits, std::uint32_t granule,
              std::uint32_t granules) noexcept {
    const layout::TopicWord word = layout::unpack_topic(bits);
    if (word.state != layout::TopicSlotState::held || !become_free(memory_->slot(slot), bits, word))
      return false;
    give_back(slot, word.token, granule, granules);
    slots_.freed(slot);
    return true;
  }

  // By this handle, so far.
  [[nodiscard]] std::uint64_t freed_granules() const noexcept { return freed_granules_; }

  // --- the last message of a subject ---

  // The message of that index is in the log, or was. It becomes the last one of its subject, if there is no younger one.
  void make_last(std::uint32_t slot, std::uint32_t subject, std::uint64_t index) noexcept {
    if (subject >= memory_->shape().subjects) return;
    auto& last = memory_->subject(subject).last;
    std::uint64_t found = last.load(std::memory_order_seq_cst);
    while (layout::number_of_last(found) < index + 1) {
      if (replace_last(last, found, layout::last_message(index, slot))) return;
    }
  }
  // The same for who evicts it, before it does: `cell` is what names it. What was read of the slot is of this message only if the
  // cell still names it afterwards.
  void help_last(std::uint32_t slot, std::uint64_t index, std::uint64_t cell) noexcept {
    const std::uint32_t subject = memory_->slot(slot).subject.load(std::memory_order_relaxed);
    if (subject >= memory_->shape().subjects) return;
    auto& last = memory_->subject(subject).last;
    std::uint64_t found = last.load(std::memory_order_seq_cst);
    while (layout::number_of_last(found) < index + 1) {
      // seq_cst: after the load of `last`. Who evicts it after this look has changed `last` before: then ours fails.
      if (memory_->cell(index).load(std::memory_order_seq_cst) != cell) return;
      if (replace_last(last, found, layout::last_message(index, slot))) return;
    }
  }
  // Makes room: of the last messages that are no longer in the log the oldest goes. False: there is none.
  bool drop_retained(std::uint64_t head) noexcept {
    std::uint32_t oldest = 0;
    std::uint64_t least = ~0ULL;
    const std::uint32_t subjects = memory_->subject_count();
    for (std::uint32_t subject = 0; subject < subjects; ++subject) {
      const std::uint64_t last = memory_->subject(subject).last.load(std::memory_order_relaxed);
      const std::uint64_t number = layout::number_of_last(last);
      if (layout::slot_of_last(last) == layout::kNoTopicSlot || number > head || number >= least)
        continue;
      least = number;
      oldest = subject;
    }
    if (least == ~0ULL) return false;
    auto& last = memory_->subject(oldest).last;
    std::uint64_t found = last.load(std::memory_order_seq_cst);
    if (layout::number_of_last(found) != least) return true;  // somebody else made room
    (void)replace_last(last, found, layout::last_message(least - 1, layout::kNoTopicSlot));
    return true;
  }

  // --- pins ---

  // Stores a pin of ours. The caller looks afterwards, by a sequentially consistent load, whether what it found still names that
  // message, and unpins it otherwise. Nothing if all pins are in use.
  std::optional<std::uint32_t> pin(std::uint32_t slot, std::uint32_t token) noexcept {
    if (used_ == (1U << layout::kPinsPerSeat) - 1) return std::nullopt;
    const auto which = static_cast<std::uint32_t>(std::countr_one(used_));
    auto& pinners = memory_->control().pinners[seat_ / 64];
    // Before the pin: who looks for pins looks here first. Cleared by us alone, while we have none.
    if ((pinners.load(std::memory_order_relaxed) >> seat_ % 64 & 1U) == 0)
      pinners.fetch_or(1ULL << seat_ % 64, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.pin.listed");
    memory_->seat(seat_).pins[which].store(layout::topic_pin(slot, token),
                                           std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.pin.stored");
    used_ |= 1U << which;
    return which;
  }
  // True: that made room.
  bool unpin(std::uint32_t which) noexcept {
    if (which >= layout::kPinsPerSeat || (used_ >> which & 1U) == 0) return false;
    used_ &= ~(1U << which);
    return drop_pin(memory_->seat(seat_).pins[which]);
  }
  [[nodiscard]] bool any_pin_left() const noexcept {
    return used_ != (1U << layout::kPinsPerSeat) - 1;
  }
  // A handle that goes to sleep without pins need not be looked at.
  void rest() noexcept {
    if (used_ != 0) return;
    auto& pinners = memory_->control().pinners[seat_ / 64];
    if ((pinners.load(std::memory_order_relaxed) >> seat_ % 64 & 1U) != 0)
      pinners.fetch_and(~(1ULL << seat_ % 64), std::memory_order_seq_cst);
  }

  // --- burying ---

  // What the holder of that seat has left: pins, and messages that it had begun. Returns how many of the latter.
  std::uint32_t bury(std::uint32_t seat) noexcept {
    for (auto& pin : memory_->seat(seat).pins) {
      (void)drop_pin(pin);
      MILLRACE_CRASH_POINT("topics.bury.pin");
    }
    memory_->control().pinners[seat / 64].fetch_and(~(1ULL << seat % 64),
                                                    std::memory_order_seq_cst);
    std::uint32_t begun = 0;
    for (std::uint32_t slot = 0; slot < memory_->shape().slots(); ++slot)
      begun += settle(slot, static_cast<std::uint16_t>(seat)) ? 1 : 0;
    slots_.mark_all();
    (void)arena_.sweep([this](std::uint32_t slot, std::uint32_t born) {
      if (slot >= memory_->shape().slots()) return true;
      // acquire: pairs with the release of who claimed the slot, before its granules.
      const auto word =
          layout::unpack_topic(memory_->slot(slot).word.load(std::memory_order_acquire));
      return word.state == layout::TopicSlotState::free || word.token != born;
    });
    return begun;
  }

 private:
  void give_back(std::uint32_t slot, std::uint32_t token, std::uint32_t granule,
                 std::uint32_t granules) noexcept {
    if (granules == 0) return;
    arena_.give_back(slot, token, granule, granules);
    freed_granules_ += granules;
  }
  bool become_free(layout::TopicSlot& its, std::uint64_t bits, layout::TopicWord word) noexcept {
    word.state = layout::TopicSlotState::free;
    word.seat = layout::kNobodysTopic;
    // release: pairs with the acquire of the next claim. seq_cst: before the hint is looked at (store/hints.hpp).
    return its.word.compare_exchange_strong(bits, pack(word), std::memory_order_seq_cst,
                                            std::memory_order_relaxed);
  }
  bool replace_last(std::atomic<std::uint64_t>& last, std::uint64_t& found,
                    std::uint64_t next) noexcept {
    const std::uint32_t old = layout::slot_of_last(found);
    if (!last.compare_exchange_strong(found, next, std::memory_order_seq_cst,
                                      std::memory_order_seq_cst)) {
      return false;
    }
    MILLRACE_CRASH_POINT("topics.last.replaced");
    // Mostly it is still in the log: then one look at its word is all.
    (void)try_free(old);
    return true;
  }
  [[nodiscard]] bool is_pinned(std::uint32_t slot, std::uint32_t token) const noexcept {
    const std::uint64_t wanted = layout::topic_pin(slot, token);
    for (std::uint32_t word = 0; word < memory_->shape().seat_words(); ++word) {
      // seq_cst, both: after what named the message does so no longer; against pin().
      std::uint64_t bits = memory_->control().pinners[word].load(std::memory_order_seq_cst);
      while (bits != 0)
        [[unlikely]] {
          const std::uint32_t seat = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
          bits &= bits - 1;
          if (seat >= memory_->shape().seats) break;
          for (const auto& pin : memory_->seat(seat).pins) {
            if (pin.load(std::memory_order_seq_cst) == wanted) return true;
          }
        }
    }
    return false;
  }
  bool drop_pin(std::atomic<std::uint64_t>& pin) noexcept {
    const std::uint64_t was = pin.exchange(0, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.pin.dropped");
    return was != 0 && try_free(static_cast<std::uint32_t>(was) & layout::kNoTopicSlot);
  }
  // A slot as an undertaker finds it. True: the dead one had begun a message there, which nobody has seen.
  bool settle(std::uint32_t slot, std::uint16_t seat) noexcept {
    layout::TopicSlot& its = memory_->slot(slot);
    std::uint64_t bits = its.word.load(std::memory_order_seq_cst);
    layout::TopicWord word = layout::unpack_topic(bits);
    if (word.state == layout::TopicSlotState::evicted) {
      // Whoever evicted it may have died before it looked at the other reasons.
      (void)try_free(slot);
      return false;
    }
    if (word.state != layout::TopicSlotState::held || word.seat != seat) return false;
    const std::uint64_t index = its.index.load(std::memory_order_relaxed);
    const std::uint64_t cell = full_cell(index, slot, word.token);
    if (memory_->cell(index).load(std::memory_order_seq_cst) == cell) {
      // It is in the log. That it is the last one of its subject may not have been said yet.
      help_last(slot, index, cell);
      MILLRACE_CRASH_POINT("topics.bury.last");
      word.seat = layout::kNobodysTopic;
      // Fails if it has been evicted meanwhile.
      (void)its.word.compare_exchange_strong(bits, pack(word), std::memory_order_seq_cst,
                                             std::memory_order_relaxed);
      return false;
    }
    // No cell names it, and none ever did: who empties a cell has said `evicted` before. Its granules are swept.
    return cancel(slot, bits, 0, 0);
  }

  const TopicMemory* memory_ = nullptr;
  std::uint16_t seat_ = 0;
  unsigned shift_ = 0;
  std::uint32_t used_ = 0;  // our pins, a bit each
  std::uint64_t freed_granules_ = 0;
  TopicSlots slots_;
  Arena arena_;
};

}  // namespace millrace
