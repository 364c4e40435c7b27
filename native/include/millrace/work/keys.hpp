// The ids of jobs that were pushed lately, so that the second push of an id says so instead of being a second job. An id is
// remembered for a window of time that begins with its push. When more are remembered than there is room for, the one whose
// window ends first goes before its time.
//
// A push enters its id before its job is published, and which of both the pusher lived to see is told by the slot's word alone:
//
//   slot's word                               the job was                 a second push of the id
//   `writing`, token = born                   not pushed, or not yet      busy: it may still come to nothing
//   anything else                             pushed                      duplicate
//
// This holds because an entry goes *before* its slot leaves `writing` unpublished: by cancel(), called by the pusher that gives
// up or by whoever buries it. And publishing an id is one step: the word must say then that the job is one even if nothing leads
// to it yet (layout::kConfirmed), or an undertaker would undo what a second push was told.
//
// Entries are written under the lock of their bucket (seat_lock.hpp), `job` 0 first and last the new one, so what a death
// leaves there is a free entry and nothing to repair. cancel() needs no lock: it is one compare-and-swap from exactly the mark
// of its job, which is nobody else's.
//
// Whatever is read here may have been written by anybody: numbers of slots are the caller's to check (`is_pushed`; a slot that
// cannot be was pushed, so that its entry ends with its window).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../store/id_hash.hpp"
#include "../store/seat_lock.hpp"

namespace millrace {

class Keys {
 public:
  enum class Answer : std::uint8_t {
    fresh,      // entered: the caller's job is the one
    duplicate,  // a job of that id was pushed within its window
    busy,       // somebody is pushing it, or has the bucket: try again
  };
  struct Found {
    Answer answer = Answer::busy;
    bool dropped = false;  // another id was forgotten before its time
    // If busy, on whose account, as far as it is known; perhaps that one is dead and must be buried first. Anybody may have
    // written these.
    std::optional<std::uint16_t> holder;  // the seat that has the bucket
    std::optional<std::uint32_t> slot;    // of the job that brings this id
  };

  Keys() = default;
  // `buckets`: a power of two of them.
  Keys(layout::KeyBucket* buckets, std::uint32_t count, std::uint16_t seat) noexcept
      : buckets_(buckets), count_(count), seat_(seat) {}

  [[nodiscard]] bool enabled() const noexcept { return count_ != 0; }

  // Where an id belongs. A push notes this in its slot before look_up(): whoever buries it must know.
  [[nodiscard]] std::uint32_t home(const IdHash& id) const noexcept {
    return static_cast<std::uint32_t>(id.high) & (count_ - 1);
  }

  // Was that id pushed lately? If not it is entered for the job `born` in `slot`, whose word is `writing` of the caller, and is
  // remembered until `until`. Times are monotonic. is_pushed(slot, born) says what the table above says, from an acquiring load of
  // the word; `slot` may be any number of 20 bits.
  template <typename IsPushed>
  [[nodiscard]] Found look_up(const IdHash& id, std::uint32_t slot, std::uint32_t born,
                              std::uint64_t now, std::uint64_t until,
                              IsPushed&& is_pushed) noexcept {
    Found found;
    layout::KeyBucket& bucket = buckets_[home(id)];
    SeatLockHold held = SeatLockHold::lock(bucket.lock, seat_);
    if (!held) {
      found.holder = SeatLockHold::holder(bucket.lock);
      return found;
    }
    Place place;
    for (auto& entry : bucket.entries) {
      const bool same = entry.hash[0].load(std::memory_order_relaxed) == id.low &&
                        entry.hash[1].load(std::memory_order_relaxed) == id.high;
      const Kept kept = state_of(entry, is_pushed);
      const std::uint64_t ends = entry.until.load(std::memory_order_relaxed);
      if (kept == Kept::pending) {
        if (!same) continue;
        found.slot = layout::slot_of_mark(entry.job.load(std::memory_order_relaxed));
        return found;
      }
      const bool lives = kept == Kept::certain && ends > now;
      if (lives && same) {
        found.answer = Answer::duplicate;
        return found;
      }
      place.offer(entry, lives ? ends : 0);
    }
    if (place.entry == nullptr) return found;
    found.dropped = place.ends != 0;
    write(*place.entry, id, until, layout::job_mark(slot, born));
    found.answer = Answer::fresh;
    return found;
  }

  // The push of that job comes to nothing: its id is forgotten, if it was entered. Before the slot's word says so. `home` may be
  // any number.
  void cancel(std::uint32_t home, std::uint32_t slot, std::uint32_t born) noexcept {
    if (count_ == 0) return;
    const std::uint64_t mark = layout::job_mark(slot, born);
    for (auto& entry : buckets_[home & (count_ - 1)].entries) {
      std::uint64_t expected = mark;
      // release: pairs with the acquire in state_of(): who does not find the entry any more may find the slot free.
      (void)entry.job.compare_exchange_strong(expected, 0, std::memory_order_acq_rel,
                                              std::memory_order_relaxed);
    }
    MILLRACE_CRASH_POINT("keys.cancel.done");
  }

  // The holder of `seat` died while the word of that slot was its `writing`: its lock is freed, its id forgotten. Under the
  // lifecycle lock, and before the slot becomes free.
  void bury(std::uint16_t seat, std::uint32_t home, std::uint32_t slot,
            std::uint32_t born) noexcept {
    if (count_ == 0) return;
    cancel(home, slot, born);
    (void)SeatLockHold::inherit(buckets_[home & (count_ - 1)].lock, seat);  // ends at once
  }

  // How many ids are remembered at `now`, about.
  [[nodiscard]] std::uint32_t remembered(std::uint64_t now) const noexcept {
    std::uint32_t some = 0;
    for (std::uint32_t i = 0; i < count_; ++i) {
      for (const auto& entry : buckets_[i].entries) {
        some += entry.job.load(std::memory_order_relaxed) != 0 &&
                        entry.until.load(std::memory_order_relaxed) > now
                    ? 1
                    : 0;
      }
    }
    return some;
  }

 private:
  enum class Kept : std::uint8_t { free, pending, certain };

  // The best entry to be written over: a free one, an expired one, the one that ends first.
  struct Place {
    layout::KeyEntry* entry = nullptr;
    std::uint64_t ends = 0;

    void offer(layout::KeyEntry& candidate, std::uint64_t its_end) noexcept {
      if (entry != nullptr && its_end >= ends) return;
      entry = &candidate;
      ends = its_end;
    }
  };

  // Under the lock. What is not pending afterwards is nobody else's to change.
  template <typename IsPushed>
  static Kept state_of(layout::KeyEntry& entry, IsPushed&& is_pushed) noexcept {
    // acquire: pairs with the release of cancel().
    std::uint64_t job = entry.job.load(std::memory_order_acquire);
    if (job == 0) return Kept::free;
    if (job == layout::kKeyCertain) return Kept::certain;
    if (!is_pushed(layout::slot_of_mark(job), layout::born_of_mark(job))) return Kept::pending;
    // Its pusher may have cancelled it and then let the slot go, which looks the same: then this fails.
    if (entry.job.compare_exchange_strong(job, layout::kKeyCertain, std::memory_order_acq_rel,
                                          std::memory_order_acquire)) {
      MILLRACE_CRASH_POINT("keys.certain");
      return Kept::certain;
    }
    return job == 0 ? Kept::free : Kept::pending;
  }
  static void write(layout::KeyEntry& entry, const IdHash& id, std::uint64_t until,
                    std::uint64_t job) noexcept {
    // Whoever dies in between leaves a free entry. The lock orders the rest.
    entry.job.store(0, std::memory_order_release);
    MILLRACE_CRASH_POINT("keys.write.free");
    entry.hash[0].store(id.low, std::memory_order_relaxed);
    entry.hash[1].store(id.high, std::memory_order_relaxed);
    entry.until.store(until, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("keys.write.named");
    // release: for cancel() and its like, which take no lock.
    entry.job.store(job, std::memory_order_release);
    MILLRACE_CRASH_POINT("keys.write.entered");
  }

  layout::KeyBucket* buckets_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint16_t seat_ = 0;
};

}  // namespace millrace
