// Who looks for dead holders of jobs while everybody else sleeps: two parked handles at a time, of two processes if there are
// two, and only while there are leases. Each looks every kLookMs, and writes down when it did. One that has not for kStaleMs (its
// process is stopped, busy, or dead) is replaced: by the other, by whoever leases a job, or by any parked handle that looks.
//
// So a death is noticed
//   by a lookout of another process                                      within kLookMs
//   by whoever leases jobs, where nobody else keeps watch                within kLookMs, and with the next job after that
//   by whoever leases jobs, where the only lookout died itself           within kStaleMs + kAskMs, and with the next job
// Later, by the looks that all sleepers do every two seconds, only if both lookouts die at once, or if one goes to work for long
// and the other one dies before the third that is called is there.
//
// control.leased says that there may be leases: whoever parks need not look through all jobs for that. Against a lease that
// nobody looks after:
//   (L1) lease  (L2) light fence  (L3) set control.leased; is there a lookout, or somebody who could be one? wake it
//   (R1) a lookout retires, clears control.leased  (R2) heavy fence  (R3) are there leases? set it again, stay
//
// Times are coarse monotonic milliseconds, and the caller's.
#pragma once

#include <atomic>
#include <cstdint>

#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "seats.hpp"
#include "sleepers.hpp"

namespace millrace {

class Lookouts {
 public:
  static constexpr std::uint64_t kLookMs = 20;   // between two looks of one
  static constexpr std::uint64_t kStaleMs = 60;  // since its last look: it is to be replaced
  static constexpr std::uint64_t kAskMs = 10;    // whoever leases jobs asks for lookouts so often
  static constexpr std::uint64_t kScanMs = 200;  // a lookout asks for leases so often
  static constexpr std::uint64_t kRetireMs = 1000;  // without a lease
  // The longest of these. What is promised are 100 ms: the rest is for timers and processes that are late.
  static constexpr std::uint64_t kNoticedMs = kStaleMs + kLookMs;
  static_assert(kNoticedMs <= 80 && kAskMs < kLookMs);

  Lookouts(Seats& seats, Sleepers& sleepers) noexcept : seats_(&seats), sleepers_(&sleepers) {}
  Lookouts(const Lookouts&) = delete;
  Lookouts& operator=(const Lookouts&) = delete;

  // For a handle that has just parked. `leases`: are there any? True: it is a lookout, and has to look for the dead and to come
  // here again every kLookMs.
  template <typename Leases>
  bool keep_watch(std::uint64_t now, Leases&& leases) {
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (layout::lookout_seat(word) != seats_->seat()) continue;
      if (now - scanned_at_ >= kScanMs) {
        scanned_at_ = now;
        if (leases()) busy_at_ = now;
      }
      if (now - busy_at_ >= kRetireMs) {
        places()[place].compare_exchange_strong(word, 0, std::memory_order_relaxed);
        leased().store(0, std::memory_order_relaxed);
        sleepers_->heavy_fence();  // (R2)
        if (!leases()) return false;
        leased().store(1, std::memory_order_relaxed);
        break;
      }
      // Fails if it was replaced.
      if (!places()[place].compare_exchange_strong(word, layout::lookout(seats_->seat(), now),
                                                   std::memory_order_relaxed)) {
        continue;
      }
      const std::uint64_t other = places()[1 - place].load(std::memory_order_relaxed);
      if (!keeps_watch(other, now)) {
        (void)wake_somebody(now);
      } else if (is_ours(other)) {
        // Our death would leave nobody.
        (void)wake_stranger(now);
      }
      return true;
    }
    return leased().load(std::memory_order_relaxed) != 0 && volunteer(now);
  }
  // Does anybody keep watch now?
  [[nodiscard]] bool kept(std::uint64_t now) const noexcept {
    // relaxed: a hint, as for all who ask.
    return keeps_watch(places()[0].load(std::memory_order_relaxed), now) ||
           keeps_watch(places()[1].load(std::memory_order_relaxed), now);
  }
  // For one that parks no longer. Another one is called in its place: the other lookout may be about to die. Not so if that was
  // done just now, where somebody keeps watch: jobs that come one by one are dear enough without it.
  void rest(std::uint64_t now) noexcept {
    if (!leave(layout::lookout(seats_->seat(), 0))) return;
    if (kept(now) && now - replaced_at_ < kAskMs) return;
    replaced_at_ = now;
    (void)wake_somebody(now);
  }
  // For one that closes, after it has unparked.
  void resign(std::uint64_t now) noexcept {
    rest(now);
    (void)leave(0);
  }
  // For whoever has just leased a job: sees to it that somebody of another process keeps watch, if anybody can. True: nobody
  // does now, so the caller is to look for the dead itself.
  [[nodiscard]] bool call(std::uint64_t now) noexcept {
    sleepers_->fence();  // (L2)
    if (leased().load(std::memory_order_relaxed) == 0) [[unlikely]] {
      leased().store(1, std::memory_order_relaxed);
      asked_at_ = 0;  // whoever kept watch may have retired since
    }
    if (now - asked_at_ < kAskMs) [[likely]]
      return false;
    asked_at_ = now;
    return look_alone(now);
  }
  // Part of the repair of a seat.
  void bury(std::uint32_t seat) noexcept {
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (layout::lookout_seat(word) == seat)
        places()[place].compare_exchange_strong(word, 0, std::memory_order_relaxed);
    }
  }

 private:
  static constexpr std::uint32_t kPlaces = 2;

  [[nodiscard]] std::atomic<std::uint64_t>* places() const noexcept {
    return seats_->control().lookouts;
  }
  [[nodiscard]] std::atomic<std::uint32_t>& leased() const noexcept {
    return seats_->control().leased;
  }
  [[nodiscard]] bool keeps_watch(std::uint64_t word, std::uint64_t now) const noexcept {
    return layout::lookout_seat(word) < seats_->shape().seats &&
           now - layout::lookout_ms(word) < kStaleMs;
  }
  [[nodiscard]] std::uint32_t pid_of(std::uint64_t word) const noexcept {
    return seats_->pid(layout::lookout_seat(word));
  }
  [[nodiscard]] bool is_ours(std::uint64_t word) const noexcept {
    return pid_of(word) == seats_->pid(seats_->seat());
  }
  // To become a lookout: not one that is.
  bool wake_somebody(std::uint64_t now) noexcept {
    return wake_stranger(now) ||
           sleepers_->wake_another([&](std::uint32_t seat) { return !watches(seat, now); });
  }
  bool wake_stranger(std::uint64_t now) noexcept {
    const std::uint32_t own = seats_->pid(seats_->seat());
    return sleepers_->wake_another(
        [&](std::uint32_t seat) { return seats_->pid(seat) != own && !watches(seat, now); });
  }
  [[nodiscard]] bool watches(std::uint32_t seat, std::uint64_t now) const noexcept {
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      const std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (layout::lookout_seat(word) == seat && keeps_watch(word, now)) return true;
    }
    return false;
  }
  bool volunteer(std::uint64_t now) noexcept {
    busy_at_ = scanned_at_ = now;
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      const std::uint64_t other = places()[1 - place].load(std::memory_order_relaxed);
      const bool wanted =
          !keeps_watch(word, now) ||
          // Both of one process, and that is not ours: their death would leave nobody.
          (keeps_watch(other, now) && pid_of(word) == pid_of(other) && !is_ours(word));
      if (wanted && places()[place].compare_exchange_strong(
                        word, layout::lookout(seats_->seat(), now), std::memory_order_relaxed)) {
        MILLRACE_CRASH_POINT("lookouts.volunteer.placed");
        return true;
      }
    }
    return false;
  }
  // Leaves `instead` in its place. False if it had none, or that was there.
  bool leave(std::uint64_t instead) noexcept {
    bool was = false;
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (layout::lookout_seat(word) != seats_->seat() || word == instead) continue;
      // Fails if it was replaced.
      was =
          places()[place].compare_exchange_strong(word, instead, std::memory_order_relaxed) || was;
    }
    return was;
  }
  [[gnu::noinline]] bool look_alone(std::uint64_t now) noexcept {
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      // relaxed: hints; whoever is called looks itself.
      const std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (keeps_watch(word, now) && !is_ours(word)) return false;
    }
    const std::uint64_t bedtimes = sleepers_->bedtimes();
    if (bedtimes != barren_ && !wake_stranger(now)) barren_ = bedtimes;
    if (now - looked_at_ < kLookMs) return false;
    looked_at_ = now;
    return true;
  }

  Seats* seats_;
  Sleepers* sleepers_;
  std::uint64_t scanned_at_ = 0;   // whether there are leases
  std::uint64_t busy_at_ = 0;      // when there were any
  std::uint64_t asked_at_ = 0;     // whether somebody else keeps watch
  std::uint64_t looked_at_ = 0;    // because nobody else did
  std::uint64_t replaced_at_ = 0;  // by another one that was called
  std::uint64_t barren_ = 0;       // when there was nobody to be called
};

}  // namespace millrace
