// Who looks for dead holders of jobs while everybody else sleeps: two parked handles at a time, of two processes if there are
// two, and only while there are leases. Each writes down when it looked last. One that has not for kStaleMs (its process is
// stopped, busy, or dead) is replaced by the other, by whoever leases a job, or by any parked handle that looks.
//
// control.leased says that there may be leases: whoever parks need not look through all jobs for that. Against a lease that
// nobody looks after:
//   (L1) lease  (L2) light fence  (L3) set control.leased; is there a lookout, or somebody who could be one? wake it
//   (R1) a lookout retires, clears control.leased  (R2) heavy fence  (R3) are there leases? set it again, stay
#pragma once

#include <atomic>
#include <cstdint>

#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "seats.hpp"
#include "sleepers.hpp"

namespace millrace {

class Lookouts {
 public:
  static constexpr std::uint64_t kLookMs = 40;      // between two looks of one
  static constexpr std::uint64_t kStaleMs = 120;    // since its last look: it is to be replaced
  static constexpr std::uint64_t kRetireMs = 1000;  // without a lease

  Lookouts(Seats& seats, Sleepers& sleepers) noexcept : seats_(&seats), sleepers_(&sleepers) {}
  Lookouts(const Lookouts&) = delete;
  Lookouts& operator=(const Lookouts&) = delete;

  // For a handle that has just parked. `leases`: are there any? True: it is a lookout, and has to look for the dead and to come
  // here again every kLookMs.
  template <typename Leases>
  bool keep_watch(Leases&& leases) {
    const std::uint64_t now = os::coarse_ms();
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (layout::lookout_seat(word) != seats_->seat()) continue;
      if (now - looked_at_ >= kLookMs) {
        looked_at_ = now;
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
      if (!keeps_watch(places()[1 - place].load(std::memory_order_relaxed), now))
        (void)(sleepers_->wake_another(true) || sleepers_->wake_another(false));
      return true;
    }
    return leased().load(std::memory_order_relaxed) != 0 && volunteer(now);
  }
  // Does anybody keep watch now?
  [[nodiscard]] bool kept() const noexcept {
    const std::uint64_t now = os::coarse_ms();
    // relaxed: a hint, as for all who ask.
    return keeps_watch(places()[0].load(std::memory_order_relaxed), now) ||
           keeps_watch(places()[1].load(std::memory_order_relaxed), now);
  }
  // For one that parks no longer. If nobody else keeps watch, another one is called.
  void rest() noexcept {
    if (!leave(layout::lookout(seats_->seat(), 0))) return;
    const std::uint64_t now = os::coarse_ms();
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      if (keeps_watch(places()[place].load(std::memory_order_relaxed), now)) return;
    }
    (void)sleepers_->wake_another(false);
  }
  // For one that closes, after it has unparked.
  void resign() noexcept {
    rest();
    (void)leave(0);
  }
  // For whoever has just leased a job: sees to it that somebody of another process keeps watch, if anybody can.
  void call() noexcept {
    sleepers_->fence();  // (L2)
    if (leased().load(std::memory_order_relaxed) == 0) [[unlikely]]
      leased().store(1, std::memory_order_relaxed);
    // relaxed: hints; whoever is called looks itself.
    const std::uint64_t bedtimes = sleepers_->bedtimes();
    if (bedtimes == barren_) [[likely]]
      return;
    // The time is asked for only now and then: lookouts replace each other, too.
    if (on_watch_ != 0 && trust_ > 0) {
      const std::uint64_t word = places()[place_].load(std::memory_order_relaxed);
      if (layout::lookout_ms(word) != 0 && layout::lookout_seat(word) + 1 == on_watch_) {
        --trust_;
        return;
      }
    }
    call_one(bedtimes);
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
  static constexpr std::uint32_t kTrust = 64;

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
  bool volunteer(std::uint64_t now) noexcept {
    const std::uint32_t own = seats_->pid(seats_->seat());
    busy_at_ = looked_at_ = now;
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      const std::uint64_t other = places()[1 - place].load(std::memory_order_relaxed);
      const bool wanted =
          !keeps_watch(word, now) ||
          // Both of one process, and that is not ours: their death would leave nobody.
          (keeps_watch(other, now) && pid_of(word) == pid_of(other) && pid_of(word) != own);
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
  [[gnu::noinline]] void call_one(std::uint64_t bedtimes) noexcept {
    const std::uint64_t now = os::coarse_ms();
    const std::uint32_t own = seats_->pid(seats_->seat());
    for (std::uint32_t place = 0; place < kPlaces; ++place) {
      const std::uint64_t word = places()[place].load(std::memory_order_relaxed);
      if (!keeps_watch(word, now) || pid_of(word) == own) continue;
      on_watch_ = layout::lookout_seat(word) + 1;
      place_ = place;
      trust_ = kTrust;
      return;
    }
    on_watch_ = 0;
    if (!sleepers_->wake_another(true)) barren_ = bedtimes;
  }

  Seats* seats_;
  Sleepers* sleepers_;
  std::uint64_t looked_at_ = 0;  // whether there are leases
  std::uint64_t busy_at_ = 0;    // when there were any
  std::uint64_t barren_ = 0;     // when there was nobody to be called
  std::uint32_t on_watch_ = 0;   // seat + 1 of a stranger who kept watch
  std::uint32_t place_ = 0;      // of it
  std::uint32_t trust_ = 0;      // leases for which that is believed
};

}  // namespace millrace
