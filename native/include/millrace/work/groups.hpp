// Groups: of the jobs that have one key, one at a time can be taken, in the order of their pushes. The oldest is the active one
// and goes through the queue as any other; the others wait, `grouped`, in a chain. When the active job is gone (done, given up,
// a dead letter) the first of the chain becomes active.
//
// The truth is in the slots: Slot::group says of which entry a job is, its word whether it waits, Slot::serial in which order.
// Entry and chain follow from them, and are computed anew from them (rebuild()) where somebody died in the middle of changing
// them, or lied. All of it is changed under the lock of a bucket (seat_lock.hpp):
//
//   enter            no entry: Slot::group, then `active`. The slot is `writing`; it is published afterwards
//                    an entry: Slot::group and serial, the word to `grouped` by wait(), then the chain
//   the next one     `active`, the chain, the word from `grouped` by activate()
//
// A job is `grouped` only from wait() to activate(); nobody else may change such a word, or end such a job.
//
// Who ends a job calls leave() after its word says so. If it dies before, bury() finds an entry whose active job is gone. If
// the bucket is locked it leaves a mark (`dirty`), and tries once more; who has the lock looks for the mark after unlocking. So
// one of the two does it. A holder that is stopped with the lock delays the groups of its bucket, and nothing else; one that is
// stopped before it has looked for the mark is made up for by leave_again(), or by whoever has the bucket next.
//
// Whatever is read here may have been written by anybody: slots and entries are range-checked before use, and no loop follows
// a chain.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "../compact_sort.hpp"
#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../store/id_hash.hpp"
#include "../store/seat_lock.hpp"
#include "serials.hpp"

namespace millrace {

class Groups {
 public:
  enum class Answer : std::uint8_t {
    active,   // the job is its group's turn: to be published as any other
    queued,   // it waits: wait() has published it
    no_room,  // there are as many groups as there may be where this one belongs
    busy,     // somebody has the bucket: try again
  };
  struct Entered {
    Answer answer = Answer::busy;
    std::optional<std::uint16_t> holder;  // busy: the seat that has the bucket; perhaps it is dead
  };

  Groups() = default;
  // `buckets`: a power of two of them. `serials`: of the queue, one for each job of a group.
  Groups(layout::GroupBucket* buckets, std::uint32_t count, layout::Slot* slots,
         std::uint32_t slot_count, Serials serials, std::uint16_t seat) noexcept
      : buckets_(buckets),
        count_(count),
        slots_(slots),
        slot_count_(slot_count),
        serials_(serials),
        seat_(seat) {}

  // The job `born` in `slot` comes into the group of that key, behind all that are in it. Nobody else may change its word.
  //   wait(slot)      its word becomes `grouped`, with release. Whether it did: false ends the matter, as if busy
  //   activate(slot)  the word of that slot, perhaps another one's, goes from `grouped` to what comes next, and what must follow
  //                   from that is done. Under the lock: no system call, no call of this class. Must bear repetition
  template <typename Wait, typename Activate>
  [[nodiscard]] Entered enter(const IdHash& key, std::uint32_t slot, std::uint32_t born,
                              Wait&& wait, Activate&& activate) noexcept {
    Entered entered;
    if (count_ == 0 || slot >= slot_count_) {
      entered.answer = Answer::no_room;
      return entered;
    }
    const std::uint32_t home = static_cast<std::uint32_t>(key.high) & (count_ - 1);
    layout::GroupBucket& bucket = buckets_[home];
    SeatLockHold held = SeatLockHold::lock(bucket.lock, seat_);
    if (!held) {
      entered.holder = SeatLockHold::holder(bucket.lock);
      return entered;
    }
    entered.answer = enter_locked(home, key, slot, born, wait, activate);
    finish(home, held, activate);
    return entered;
  }

  // The job that was active in that group (Slot::group, read before its word changed) is gone: the next one's turn, if there is
  // one. False: somebody has the bucket, and is to do it. That one may be stopped just when it has unlocked, so leave_again()
  // is to be called now and then until it returns true. Does not wait.
  template <typename Activate>
  [[nodiscard]] bool leave(std::uint32_t group, Activate&& activate) noexcept {
    if (!is_group(group)) return true;
    const std::uint32_t home = (group - 1) / layout::kGroupsPerBucket;
    SeatLockHold held = SeatLockHold::lock_soon(buckets_[home].lock, seat_);
    if (!held) return leave_word(home, activate);
    settle(home, (group - 1) % layout::kGroupsPerBucket, activate);
    finish(home, held, activate);
    return true;
  }
  template <typename Activate>
  [[nodiscard]] bool leave_again(std::uint32_t group, Activate&& activate) noexcept {
    return !is_group(group) || leave_word((group - 1) / layout::kGroupsPerBucket, activate);
  }

  // The holder of `seat` died: what it was in the middle of is finished, and where a job has gone without a word the next one
  // gets its turn. Under the lifecycle lock, once or again, when the slots of that seat have been put in order.
  template <typename Activate>
  void bury(std::uint16_t seat, Activate&& activate) noexcept {
    for (std::uint32_t home = 0; home < count_; ++home) {
      layout::GroupBucket& bucket = buckets_[home];
      if (SeatLockHold held = SeatLockHold::inherit(bucket.lock, seat)) {
        rebuild(home);
        MILLRACE_CRASH_POINT("groups.bury.rebuilt");
        settle_all(home, activate);
        MILLRACE_CRASH_POINT("groups.bury.settled");
        finish(home, held, activate);
        continue;
      }
      if (!neglected(home)) continue;
      if (SeatLockHold held = SeatLockHold::lock(bucket.lock, seat_)) {
        settle_all(home, activate);
        finish(home, held, activate);
      } else {
        (void)leave_word(home, activate);
      }
    }
  }

  // Has a group ended since the last call, here or by what another one left to us? Then there is room for another one.
  [[nodiscard]] bool made_room() noexcept { return std::exchange(made_room_, false); }
  // Has enter() taken a number back since the last call (Serials::give())?
  [[nodiscard]] bool renumbered() noexcept { return std::exchange(renumbered_, false); }

  // Groups that have jobs, about.
  [[nodiscard]] std::uint32_t count() const noexcept {
    std::uint32_t some = 0;
    for (std::uint32_t home = 0; home < count_; ++home) {
      for (const auto& entry : buckets_[home].entries)
        some += entry.active.load(std::memory_order_relaxed) != 0 ? 1 : 0;
    }
    return some;
  }

 private:
  // How often whoever unlocks looks for marks; with more of them those who leave them try again.
  static constexpr int kRounds = 16;

  [[nodiscard]] bool is_group(std::uint32_t group) const noexcept {
    return group != 0 && (group - 1) / layout::kGroupsPerBucket < count_;
  }
  [[nodiscard]] layout::Word word_of(std::uint32_t slot) const noexcept {
    // acquire: pairs with the release of whoever wrote it: group, serial and birth of this job are seen.
    return layout::unpack(slots_[slot].word.load(std::memory_order_acquire));
  }
  // What has become of that job: its state; free if it is gone.
  [[nodiscard]] layout::SlotState state_of(std::uint64_t mark) const noexcept {
    const std::uint32_t slot = layout::slot_of_mark(mark);
    if (slot >= slot_count_) return layout::SlotState::free;
    const layout::Word word = word_of(slot);
    switch (word.state) {
      case layout::SlotState::free:
      case layout::SlotState::spare:
      case layout::SlotState::dead:
      case layout::SlotState::forwarded:
        return layout::SlotState::free;
      case layout::SlotState::writing:
        // Its birth is not written yet, perhaps.
        return word.token == layout::born_of_mark(mark) ? word.state : layout::SlotState::free;
      default:
        return slots_[slot].born.load(std::memory_order_acquire) == layout::born_of_mark(mark)
                   ? word.state
                   : layout::SlotState::free;
    }
  }
  [[nodiscard]] layout::GroupEntry& entry_of(std::uint32_t home, std::uint32_t index) noexcept {
    return buckets_[home].entries[index];
  }
  static std::uint32_t group_of(std::uint32_t home, std::uint32_t index) noexcept {
    return home * layout::kGroupsPerBucket + index + 1;
  }
  // Does a job wait in that slot for its turn in that group? `link`: slot + 1.
  [[nodiscard]] bool waits(std::uint32_t link, std::uint32_t group) const noexcept {
    return link != 0 && link - 1 < slot_count_ &&
           word_of(link - 1).state == layout::SlotState::grouped &&
           slots_[link - 1].group.load(std::memory_order_relaxed) == group;
  }

  template <typename Wait, typename Activate>
  Answer enter_locked(std::uint32_t home, const IdHash& key, std::uint32_t slot, std::uint32_t born,
                      Wait&& wait, Activate&& activate) noexcept {
    std::uint32_t place = layout::kGroupsPerBucket;
    for (std::uint32_t i = 0; i < layout::kGroupsPerBucket; ++i) {
      layout::GroupEntry& entry = entry_of(home, i);
      // relaxed, as everything of an entry under its lock.
      if (entry.active.load(std::memory_order_relaxed) == 0) {
        if (place == layout::kGroupsPerBucket) place = i;
        continue;
      }
      if (entry.hash[0].load(std::memory_order_relaxed) != key.low ||
          entry.hash[1].load(std::memory_order_relaxed) != key.high) {
        continue;
      }
      settle(home, i, activate);  // whoever ended its active job may not have come to it
      place = i;
      break;
    }
    if (place == layout::kGroupsPerBucket) return Answer::no_room;
    layout::GroupEntry& entry = entry_of(home, place);
    layout::Slot& its = slots_[slot];
    const std::uint64_t mark = layout::job_mark(slot, born);
    its.group_next.store(0, std::memory_order_relaxed);
    // Under this lock: the order of the numbers is that of the jobs in the group.
    renumbered_ = serials_.give(slot, its) || renumbered_;
    its.group.store(group_of(home, place), std::memory_order_relaxed);
    const std::uint64_t active = entry.active.load(std::memory_order_relaxed);
    if (active == mark) return Answer::active;
    if (active == 0) {
      entry.hash[0].store(key.low, std::memory_order_relaxed);
      entry.hash[1].store(key.high, std::memory_order_relaxed);
      entry.first.store(0, std::memory_order_relaxed);
      entry.last.store(0, std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("groups.enter.named");
      entry.active.store(mark, std::memory_order_release);
      MILLRACE_CRASH_POINT("groups.enter.active");
      return Answer::active;
    }
    MILLRACE_CRASH_POINT("groups.enter.behind");
    if (!wait(slot)) {
      its.group.store(0, std::memory_order_relaxed);
      return Answer::busy;
    }
    MILLRACE_CRASH_POINT("groups.enter.waits");
    append(home, place, slot);
    return Answer::queued;
  }

  void append(std::uint32_t home, std::uint32_t index, std::uint32_t slot) noexcept {
    layout::GroupEntry& entry = entry_of(home, index);
    const std::uint32_t last = entry.last.load(std::memory_order_relaxed);
    if (entry.first.load(std::memory_order_relaxed) == 0) {
      entry.first.store(slot + 1, std::memory_order_relaxed);
    } else if (last != slot + 1 && waits(last, group_of(home, index))) {
      slots_[last - 1].group_next.store(slot + 1, std::memory_order_relaxed);
    } else {
      rebuild(home);  // finds this one, too
      return;
    }
    MILLRACE_CRASH_POINT("groups.append.linked");
    entry.last.store(slot + 1, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("groups.append.last");
  }

  // If the active job of that entry is gone: the next one's turn, or nobody's.
  template <typename Activate>
  void settle(std::uint32_t home, std::uint32_t index, Activate&& activate) noexcept {
    layout::GroupEntry& entry = entry_of(home, index);
    const std::uint64_t active = entry.active.load(std::memory_order_relaxed);
    if (active == 0) return;
    const layout::SlotState state = state_of(active);
    if (state == layout::SlotState::grouped) {
      activate(layout::slot_of_mark(active));  // who made it active died
      return;
    }
    if (state != layout::SlotState::free) return;
    next_turn(home, index, activate);
  }
  template <typename Activate>
  void next_turn(std::uint32_t home, std::uint32_t index, Activate&& activate) noexcept {
    layout::GroupEntry& entry = entry_of(home, index);
    std::uint32_t first = entry.first.load(std::memory_order_relaxed);
    if (first != 0 && !waits(first, group_of(home, index))) {
      rebuild(home);
      first = entry.first.load(std::memory_order_relaxed);
      if (!waits(first, group_of(home, index))) first = 0;
    }
    if (first == 0) {
      entry.active.store(0, std::memory_order_release);
      made_room_ = true;
      MILLRACE_CRASH_POINT("groups.next.nobody");
      return;
    }
    const layout::Slot& slot = slots_[first - 1];
    const std::uint32_t next = slot.group_next.load(std::memory_order_relaxed);
    entry.active.store(layout::job_mark(first - 1, slot.born.load(std::memory_order_relaxed)),
                       std::memory_order_release);
    MILLRACE_CRASH_POINT("groups.next.active");
    entry.first.store(next, std::memory_order_relaxed);
    if (next == 0) entry.last.store(0, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("groups.next.unlinked");
    activate(first - 1);
    MILLRACE_CRASH_POINT("groups.next.activated");
  }
  template <typename Activate>
  void settle_all(std::uint32_t home, Activate&& activate) noexcept {
    buckets_[home].dirty.store(0, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("groups.settle.clean");
    for (std::uint32_t i = 0; i < layout::kGroupsPerBucket; ++i)
      settle(home, i, activate);
  }

  // Of a bucket that is locked by another: it is to settle it. Unless it is not locked any more.
  template <typename Activate>
  bool leave_word(std::uint32_t home, Activate&& activate) noexcept {
    layout::GroupBucket& bucket = buckets_[home];
    // seq_cst, as all four: either the holder's unlock() is before our try_lock(), which succeeds, or our mark is before
    // its look in finish().
    bucket.dirty.store(1, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("groups.leave.marked");
    SeatLockHold held = SeatLockHold::try_lock(bucket.lock, seat_);
    if (!held) return false;
    settle_all(home, activate);
    finish(home, held, activate);
    return true;
  }
  // Unlocks, and does what was left to us meanwhile.
  template <typename Activate>
  void finish(std::uint32_t home, SeatLockHold& held, Activate&& activate) noexcept {
    layout::GroupBucket& bucket = buckets_[home];
    held.unlock();
    for (int round = 0; round < kRounds; ++round) {
      if (bucket.dirty.load(std::memory_order_seq_cst) == 0) return;
      SeatLockHold again = SeatLockHold::try_lock(bucket.lock, seat_);
      if (!again) return;  // whoever has it looks after us
      settle_all(home, activate);
    }
  }

  // Is there something to be done that nobody has done? Without the lock: a hint.
  [[nodiscard]] bool neglected(std::uint32_t home) const noexcept {
    const layout::GroupBucket& bucket = buckets_[home];
    if (bucket.dirty.load(std::memory_order_seq_cst) != 0) return true;
    return std::any_of(std::begin(bucket.entries), std::end(bucket.entries),
                       [this](const layout::GroupEntry& entry) {
                         // acquire: pairs with the release of whoever made it active.
                         const std::uint64_t active = entry.active.load(std::memory_order_acquire);
                         if (active == 0) return false;
                         const layout::SlotState state = state_of(active);
                         return state == layout::SlotState::free ||
                                state == layout::SlotState::grouped;
                       });
  }

  // The chains of a bucket, from the slots. Under its lock.
  void rebuild(std::uint32_t home) noexcept {
    struct Waiting {
      std::uint32_t index;
      std::uint32_t slot;
      std::uint64_t serial;
    };
    std::vector<Waiting> waiting;
    for (std::uint32_t slot = 0; slot < slot_count_; ++slot) {
      if (word_of(slot).state != layout::SlotState::grouped) continue;
      const std::uint32_t group = slots_[slot].group.load(std::memory_order_relaxed);
      if (!is_group(group) || (group - 1) / layout::kGroupsPerBucket != home) continue;
      const std::uint32_t index = (group - 1) % layout::kGroupsPerBucket;
      const layout::GroupEntry& entry = entry_of(home, index);
      const std::uint64_t mark =
          layout::job_mark(slot, slots_[slot].born.load(std::memory_order_relaxed));
      if (entry.active.load(std::memory_order_relaxed) == mark) continue;  // settle() sees to it
      waiting.push_back({index, slot, slots_[slot].serial.load(std::memory_order_relaxed)});
    }
    compact_sort(waiting, [](const Waiting& one, const Waiting& other) {
      if (one.index != other.index) return one.index < other.index;
      if (one.serial != other.serial) return one.serial < other.serial;
      return one.slot < other.slot;
    });
    auto at = waiting.cbegin();
    for (std::uint32_t index = 0; index < layout::kGroupsPerBucket; ++index) {
      layout::GroupEntry& entry = entry_of(home, index);
      const auto end = std::find_if(at, waiting.cend(),
                                    [index](const Waiting& each) { return each.index != index; });
      entry.first.store(at == end ? 0 : at->slot + 1, std::memory_order_relaxed);
      entry.last.store(at == end ? 0 : (end - 1)->slot + 1, std::memory_order_relaxed);
      for (; at != end; ++at) {
        slots_[at->slot].group_next.store(at + 1 == end ? 0 : (at + 1)->slot + 1,
                                          std::memory_order_relaxed);
      }
    }
  }

  layout::GroupBucket* buckets_ = nullptr;
  std::uint32_t count_ = 0;
  layout::Slot* slots_ = nullptr;
  std::uint32_t slot_count_ = 0;
  Serials serials_;
  std::uint16_t seat_ = 0;
  bool made_room_ = false;
  bool renumbered_ = false;
};

}  // namespace millrace
