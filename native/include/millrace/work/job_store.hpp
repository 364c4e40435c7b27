// The jobs of a work queue and what is done with them: pushed, taken, settled, put off, given up; and what of a dead
// holder's doings is finished, or undone. Knows nothing of waiting: stirred() says what others may be waiting for.
//
// Every step is one compare-and-swap of the slot's word, or one store by the only one who may change it. Before it everything
// that the new state means is written; after it, what follows from it is done: hints, memory, quotas. Whoever dies in between
// is buried by repair(), which does the rest from the word alone.
//
//   of a push        word                                if it dies there
//   claim            free -> writing                     -> free: it was never confirmed
//   ready            writing -> ready                    no hint: -> free. It must not be returned: it would overtake others
//   hint             (cell)                              a job
//   of a take        ready -> leased                     -> ready, returned: its old place
//   of an end        leased -> free                      what is left of it (granules, note, group) is an orphan's
//   of a return      leased -> ready, returned           the flag says that it belongs into the set of returned jobs
//   of a forwarding  see forward.hpp
//   of a move        see job_stages.hpp; to another payload, job_results.hpp
//
// A holder's settle compares with exactly the word of its lease: whatever was done with the job meanwhile, the token has moved on
// with the next lease, and the state with the return.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "counts.hpp"
#include "job_forwards.hpp"
#include "recovery.hpp"

namespace millrace {

class JobStore : public JobForwards {
 public:
  using JobForwards::JobForwards;

  // A new queue, or one whose creator died while it did this: nobody else is on it.
  void set_up() noexcept {
    const WorkShape& shape = memory_.shape();
    for (std::uint32_t slot = 0; slot < shape.slots(); ++slot) {
      layout::Word word;
      if (slot >= shape.jobs) word.state = layout::SlotState::spare;
      memory_.slot(slot).word.store(layout::pack(word), std::memory_order_relaxed);
      if (slot < shape.jobs) free_.mark(slot);
    }
    due_.clear();
  }
  // What a recovery needs of this queue's ids and groups.
  [[nodiscard]] Recovery::Hooks recovery_hooks() {
    Recovery::Hooks hooks;
    hooks.enter_group = [this](std::uint32_t slot, const layout::Word& word,
                               std::string_view group) {
      bool waits = false;
      return enter_group(slot, word, group, waits) != Pushed::yes || !waits;
    };
    if (!keys_.enabled()) return hooks;
    hooks.remember = [this](std::uint32_t slot, std::string_view id, std::uint64_t until) {
      (void)keys_.look_up(id_hash(id, seed_, kIds), slot, 1, os::monotonic_ns(), until,
                          [](std::uint32_t, std::uint32_t) { return true; });
    };
    return hooks;
  }
  template <typename Each>
  [[nodiscard]] bool each_dead(Each&& each) noexcept {
    return dead_.in_order(each);
  }
  // Under the lock of each_dead(): it becomes a job again, behind all that are there. False: there is no room for it.
  [[nodiscard]] bool redrive(std::uint32_t index, std::uint64_t bits) noexcept {
    layout::Word word = layout::unpack(bits);
    const auto spare = free_.claim(layout::SlotState::spare, seat_);
    if (!spare) return false;
    MILLRACE_CRASH_POINT("work.redrive.room");
    layout::Slot& slot = memory_.slot(index);
    JobFacts facts;
    bool waits = false;
    // A second life, in which it is not late from the beginning.
    slot.expires.store(0, std::memory_order_relaxed);
    slot.due.store(0, std::memory_order_relaxed);
    place_last(index, word, stage_of(index));
    if (order_.on() && !mark_redriven(index, bits, word)) return true;  // as below
    if (records_.on()) {
      // Of dead letters the record belongs to who has the lock.
      layout::Word alive = word;
      alive.state = layout::SlotState::ready;
      alive.attempt = 0;
      records_.change(index, alive);
      MILLRACE_CRASH_POINT("work.redrive.recorded");
    }
    if (this->facts(index, facts) && !facts.group.empty()) {
      if (enter_group(index, word, facts.group, waits) != Pushed::yes) {
        // What is spare by now is one too many: balance(), which the caller runs, frees it.
        if (records_.on()) records_.change(index, word);
        if (order_.on()) unmark_redriven(index, bits);
        return false;
      }
    } else if (order_.on()) {
      give_serial(index);
      MILLRACE_CRASH_POINT("work.redrive.numbered");
    }
    if (!waits) {
      word.state = layout::SlotState::ready;
      word.flags = layout::kConfirmed;
      word.attempt = 0;
      word.seat = seat_;
      // If it died without ever having been leased, the hint of its first life still lies in the ring.
      ++word.token;
      if (!slot.word.compare_exchange_strong(bits, layout::pack(word), std::memory_order_seq_cst)) {
        return true;  // somebody lied: balance() counts anew
      }
      hint(index, word, stage_of(index));
    }
    add(layout::WorkCount::redriven);
    return true;
  }
  // Under the lock of each_dead().
  [[nodiscard]] bool purge(std::uint32_t index, std::uint64_t bits) noexcept {
    if (!drop(index, bits)) return false;
    add(layout::WorkCount::purged);
    return true;
  }
  [[nodiscard]] std::uint32_t dead_count() const noexcept { return dead_.count(); }
  // Finishes or undoes what the dead holder of that seat was doing, and puts all hints right. Under the lifecycle lock, once
  // or again. Returns how many jobs it gave back.
  std::uint32_t repair(std::uint16_t seat) noexcept {
    std::uint32_t given_back = 0;
    left_something_ = false;
    sweep_results(seat);
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot)
      given_back += repair_slot(slot, seat) ? 1 : 0;
    MILLRACE_CRASH_POINT("work.repair.slots");
    (void)arena_.sweep(
        [this](std::uint32_t slot, std::uint32_t born) { return is_orphan(slot, born); });
    MILLRACE_CRASH_POINT("work.repair.swept");
    groups_.bury(seat, [this](std::uint32_t next) { activate(next); });
    due_.forget();
    hand_over_counts(memory_.control(), *own_);
    dead_.bury(seat);
    Links(memory_, seat_).bury(seat);
    order_.bury(seat);
    MILLRACE_CRASH_POINT("work.repair.unlocked");
    balance();
    advance_from(0);
    add(layout::WorkCount::given_back, given_back);
    stirred_ |= kRoom;
    return given_back;
  }
  struct Counts {
    std::uint32_t ready = 0, leased = 0, delayed = 0, grouped = 0, dead = 0, free = 0, held = 0,
                  other = 0,
                  writing = 0;  // of the others: pushes, and places to write in. The rest moves
  };
  [[nodiscard]] Counts counts() const noexcept {
    return counts_of([](std::uint32_t) { return true; });
  }
  // Of the jobs in that stage, dead letters among them; `free` means nothing.
  [[nodiscard]] Counts stage_counts(std::uint32_t stage) const noexcept {
    return counts_of([this, stage](std::uint32_t slot) { return stage_of(slot) == stage; });
  }
  [[nodiscard]] bool any_leased() const noexcept {
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      if (word_of(slot).state == layout::SlotState::leased) return true;
    }
    return false;
  }
  // Is there a job, a dead letter, or an id to be remembered?
  [[nodiscard]] bool holds_anything() const noexcept {
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      const layout::SlotState state = word_of(slot).state;
      if (state != layout::SlotState::free && state != layout::SlotState::spare) return true;
    }
    return keys_.enabled() && keys_.remembered(os::monotonic_ns()) != 0;
  }
  [[nodiscard]] std::uint32_t granules_used() const noexcept { return arena_.used(); }

 private:
  template <typename Wanted>
  [[nodiscard]] Counts counts_of(Wanted&& wanted) const noexcept {
    Counts counts;
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      if (!wanted(slot)) continue;
      switch (word_of(slot).state) {
        case layout::SlotState::ready:
          ++counts.ready;
          break;
        case layout::SlotState::leased:
          ++counts.leased;
          break;
        case layout::SlotState::delayed:
          ++counts.delayed;
          break;
        case layout::SlotState::grouped:
          ++counts.grouped;
          break;
        case layout::SlotState::dead:
          ++counts.dead;
          break;
        case layout::SlotState::free:
          ++counts.free;
          break;
        case layout::SlotState::held:
          ++counts.held;
          break;
        case layout::SlotState::writing:
          ++counts.writing;
          ++counts.other;
          break;
        case layout::SlotState::spare:
          break;
        default:
          ++counts.other;
      }
    }
    return counts;
  }
  // Of a dead letter that is about to get a number: nobody's turn comes before it is a job again. `bits` and `word` are its word
  // afterwards. False: it was another one.
  bool mark_redriven(std::uint32_t index, std::uint64_t& bits, layout::Word& word) noexcept {
    word.flags = layout::kConfirmed;
    word.seat = seat_;
    if (!memory_.slot(index).word.compare_exchange_strong(bits, layout::pack(word),
                                                          std::memory_order_seq_cst)) {
      return false;
    }
    bits = layout::pack(word);
    MILLRACE_CRASH_POINT("work.redrive.marked");
    return true;
  }
  void unmark_redriven(std::uint32_t index, std::uint64_t bits) noexcept {
    layout::Word word = layout::unpack(bits);
    word.flags = 0;
    (void)memory_.slot(index).word.compare_exchange_strong(bits, layout::pack(word),
                                                           std::memory_order_seq_cst);
    advance_from(stage_of(index));
  }
  [[nodiscard]] bool is_orphan(std::uint32_t slot, std::uint32_t born) const noexcept {
    if (slot >= memory_.shape().slots()) return true;
    const layout::Word word = word_of(slot);
    if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare)
      return true;
    if (word.state == layout::SlotState::writing) return word.token != born;
    return memory_.slot(slot).born.load(std::memory_order_acquire) != born;
  }
  // Returns whether a job was given back.
  bool repair_slot(std::uint32_t index, std::uint16_t seat) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint64_t bits = slot.word.load(std::memory_order_seq_cst);
    layout::Word word = layout::unpack(bits);
    const std::uint32_t stage = stage_of(index);
    const bool its = word.seat == seat;
    switch (word.state) {
      case layout::SlotState::free:
        free_.mark(index);
        return false;
      case layout::SlotState::ready:
        if ((word.flags & layout::kReturned) != 0) {
          ready_.add_returned(stage, level_of(word), index);
          stirred_ |= 1U << stage;
          return false;
        }
        if (!its || ready_.hinted(stage, level_of(word), index, word.token)) {
          // Perhaps it died before it looked at the mask; or when it had found nothing and cleared it, and somebody pushed.
          detail::set_hint(memory_.control().ring_mask[stage], 1U << level_of(word));
          stirred_ |= 1U << stage;
          return false;
        }
        if ((word.flags & layout::kConfirmed) != 0) {
          (void)return_as(index, bits, word);
          return false;
        }
        // Somebody may have taken it since: then this fails.
        if (drop(index, bits)) add(layout::WorkCount::unfinished);
        return false;
      case layout::SlotState::writing:
        if (!its) return false;
        keys_.bury(seat, slot.key_home, index, word.token);
        if (end_word(index, bits, 0, 0)) add(layout::WorkCount::unfinished);
        return false;
      case layout::SlotState::leased:
        return its && end_lease(index, bits, layout::DeadReason::died);
      case layout::SlotState::moving:
        if (its) move_for(index, bits, word);
        return false;
      case layout::SlotState::promised:
        if (its) settle_promise(index, bits, seat);
        return false;
      case layout::SlotState::forwarded:
        if (its) bury_forward(index, bits);
        return false;
      case layout::SlotState::dead:
        if (its && (word.flags & layout::kConfirmed) != 0) unmark_redriven(index, bits);
        return false;
      default:
        return false;
    }
  }
  // It was done in its stage. Whether it was its turn or not: if it has not left an ordered stage yet it leaves it in order.
  void finish_move(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint32_t next = word.attempt % memory_.shape().stages;
    if (hold_back(index, word, next)) return;
    slot.stage.store(static_cast<std::uint8_t>(next), std::memory_order_relaxed);
    word.attempt = 0;
    place_last(index, word, next);
    (void)return_as(index, bits, word);
  }
  // What whoever died had begun.
  void move_for(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const auto to = static_cast<layout::MovingTo>(word.flags);
    word.flags = 0;
    switch (to) {
      case layout::MovingTo::free:
        (void)drop(index, bits);
        return;
      case layout::MovingTo::dead:
        (void)die(index, bits, word, static_cast<layout::DeadReason>(slot.reason));
        return;
      case layout::MovingTo::delayed:
        word.state = layout::SlotState::delayed;
        (void)step(index, bits, word, to);  // repair() looks at what is due afterwards
        return;
      case layout::MovingTo::next_stage:
        finish_move(index, bits, word);
        return;
      case layout::MovingTo::become:
        take_place(index);
        finish_move(index, bits, word);
        return;
      case layout::MovingTo::forwarded:
        // Its handler had begun, and this attempt was counted.
        if (word.attempt != 0 && is_last(word.attempt)) {
          (void)die(index, bits, word, layout::DeadReason::died);
          return;
        }
        (void)return_as(index, bits, word);
        return;
      case layout::MovingTo::ready:
        (void)return_as(index, bits, word);
        return;
    }
  }
};

}  // namespace millrace
