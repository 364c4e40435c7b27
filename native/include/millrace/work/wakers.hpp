// Who sleeps on a work queue, for which kind of news, and who is woken for it: one at a time. The sleeper's half is in sleepers.hpp.
//
// Kinds are jobs of a stage (0 … 15) and room (layout::kForRoom). For each there are
//   a set of seats     a bit for each seat that waits; written by its holder, and by whoever buries it, and by nobody else
//   control.sleepers   which words of the set may have a bit, and how often somebody lay down: all that a publish reads
//   control.duties     who was woken last, and whether it is still on its way
//
//   Sleeper                                     Waker
//   (S1) line: parked                           (W1) publish
//   (S2) bit of its seat, then bit of the word  (W2) light fence
//   (S3) heavy fence                            (W3) control.sleepers: nobody? done
//   (S4) look; sleep if nothing                 (W4) full fence, duty
//
// One wake-up in flight. A waker that finds one on its way does not wake another, but sets `again`: the woken one either hands
// the duty over to the next sleeper, or drops it after a look in vain that began when the duty was as it is: by a
// compare-and-swap, which fails if `again` was set meanwhile; then it looks once more.
// So what was published before (W4) is looked for after it, by (W1) (W4) against the duty as it was seen, look, drop.
// Who was woken more than kPatienceMs ago and has not passed the duty on is busy, stopped, or dead: the next waker wakes
// another, and rings that one once more (its waker may have died, or be stopped, before it rang).
//
// No way to lose a sleeper. A waker that gives the duty to a seat fences in full and looks at the seat's bit again; who leaves
// the set clears its bit, fences in full, and looks at the duty: one of the two sees the other, and passes the duty on. A waker
// that finds the line of a seat not parked need not ring: (S1) comes before (S4), so a look is still to come.
// A word's bit in control.sleepers is cleared by a compare-and-swap that fails if anybody lay down since the word was empty.
// Whoever dies or is stopped in between has changed no bit but its own.
//
// `Beds` are the seats of a queue: those of a handle (Seats), or of a queue in which the waker has none (reach.hpp).
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "../os/fence.hpp"
#include "../waiting.hpp"
#include "shape.hpp"

namespace millrace {

template <typename Beds>
class Wakers {
 public:
  // How long a woken one may take before another is woken. JavaScript looks after kRecheckMs.
  static constexpr std::uint64_t kPatienceMs = 5;
  static constexpr std::uint64_t kRecheckMs = 10;

  explicit Wakers(Beds& seats) noexcept : seats_(&seats) {}
  Wakers(const Wakers&) = delete;
  Wakers& operator=(const Wakers&) = delete;

  // --- who has news ---

  // After a publish: wakes one who waits for it, unless one is on its way. True: if this is a handle that can look again later,
  // it should, after kRecheckMs, by recheck(); the woken one may be busy or stopped.
  bool after_publish(std::uint32_t stage) noexcept { return announce(stage); }
  bool after_room() noexcept { return announce(layout::kForRoom); }

  // After kRecheckMs. `more`: is there still something for a sleeper? True: come again.
  template <typename More>
  bool recheck(std::uint32_t kind, More&& more) {
    if (nobody(kind) || !more()) return false;
    return wake_one(kind);
  }

  // A sleeper that turned out to be dead while it was to be woken; once. It should be buried.
  [[nodiscard]] bool has_found_dead() const noexcept { return found_dead_.has_value(); }
  [[nodiscard]] std::optional<std::uint32_t> found_dead() noexcept {
    return std::exchange(found_dead_, std::nullopt);
  }

  // --- for lookouts ---

  // Wakes a sleeper other than this handle, whatever it waits for and without a duty. `suits`: may it be that seat? False: there
  // is none.
  template <typename Suits>
  bool wake_another(Suits&& suits) {
    const std::uint32_t begin = another_;
    bool woken = false;
    for_each_kind([&](std::uint32_t kind) {
      std::uint32_t seat = begin;
      for (std::uint32_t tries = 0; !woken && tries < seats_->shape().seats; ++tries) {
        const std::uint32_t next = next_of(kind, seat, true);
        if (next == kNoSeat || (tries > 0 && !before(begin, seat, next))) return;
        seat = next;
        if (!suits(next)) continue;
        const Woken outcome = seats_->wake(next);
        if (outcome == Woken::gone) found_dead_ = next;
        woken = outcome == Woken::yes || outcome == Woken::not_asleep;
        if (woken) another_ = next;
      }
    });
    return woken;
  }
  // Changes whenever somebody lies down: who found no stranger need not look for one before that.
  [[nodiscard]] std::uint64_t bedtimes() const noexcept {
    std::uint64_t sum = 0;
    for_each_kind([&](std::uint32_t kind) {
      sum += seats_->control().sleepers[kind].load(std::memory_order_relaxed);
    });
    return sum;
  }
  void fence() const noexcept {
    if (seats_->fences_in_full() ||
        seats_->control().needs_full_fence.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
  }

 protected:
  ~Wakers() = default;

  static constexpr std::uint32_t kNoSeat = layout::DutyWord::kNoSeat;
  static constexpr std::uint64_t kWords = 0xFFFF'FFFFU;   // of control.sleepers
  static constexpr std::uint64_t kOneMore = 1ULL << 32U;  // lay down

  // Others change the duty meanwhile, but not for ever: each change is somebody's progress.
  static constexpr int kTries = 64;

  [[nodiscard]] bool nobody(std::uint32_t kind) const noexcept {
    // relaxed: (W3), between two fences.
    return (seats_->control().sleepers[kind].load(std::memory_order_relaxed) & kWords) == 0;
  }
  template <typename Each>
  void for_each_kind(Each&& each) const {
    for (std::uint32_t stage = 0; stage < seats_->shape().stages; ++stage)
      each(stage);
    each(layout::kForRoom);
  }
  static constexpr std::uint64_t bit_of(std::uint32_t seat) noexcept { return 1ULL << seat % 64; }
  [[nodiscard]] std::atomic<std::uint64_t>& set_word(std::uint32_t kind,
                                                     std::uint32_t seat) const noexcept {
    const WorkShape& shape = seats_->shape();
    const std::uint32_t set = kind == layout::kForRoom ? shape.stages : kind;
    return seats_->sleeper_sets()[set * shape.seat_words() + seat / 64];
  }
  [[nodiscard]] std::atomic<std::uint64_t>& duty(std::uint32_t kind) const noexcept {
    return seats_->control().duties[kind].word;
  }
  [[nodiscard]] static bool fresh(const layout::DutyWord& duty) noexcept {
    // A time to come is none of this boot's.
    return ((os::coarse_ms() - duty.at_ms) & layout::DutyWord::kTimeMask) < kPatienceMs;
  }

  // --- duty ---

  bool announce(std::uint32_t kind) noexcept {
    fence();  // (W2)
    if (nobody(kind)) [[likely]]
      return false;
    return wake_one(kind);
  }
  // Gives the duty, which was `bits`, to the next sleeper, and wakes it. `origin`: where a round that goes on ends, kNoSeat if
  // one begins now. `others`: not to this handle. False if nobody could be given it; if nobody was there, it is as it was.
  bool wake_next(std::uint32_t kind, std::uint64_t bits, std::uint32_t origin,
                 bool others) noexcept {
    auto& word = duty(kind);
    const std::uint32_t start = layout::unpack_duty(bits).seat;
    std::uint32_t from = start;
    bool owed = false;
    // Each sleeper is tried once at most, more or less: they come and go.
    for (std::uint32_t tries = 0; tries < seats_->shape().seats; ++tries) {
      const std::uint32_t next = next_of(kind, from, others);
      if (next == kNoSeat || (origin != kNoSeat && !before(start, next, origin))) break;
      MILLRACE_CRASH_POINT("sleepers.wake.chosen");
      const layout::DutyWord seen = layout::unpack_duty(bits);
      // Before it is replaced: or it would be forgotten, if we are stopped in between.
      if (seen.on_the_way && !mine(seen)) ring_again(seen.seat);
      layout::DutyWord given;
      given.seat = next;
      given.origin = origin == kNoSeat ? next : origin;
      given.on_the_way = true;
      given.at_ms = os::coarse_ms();
      // release: who is woken sees what was published, also if it is not rung.
      if (!word.compare_exchange_strong(bits, pack(given), std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
        const layout::DutyWord now = layout::unpack_duty(bits);
        // Somebody else has woken one meanwhile. It looks after that: by the fences.
        if (now.on_the_way && !mine(now) && fresh(now)) return true;
        continue;
      }
      MILLRACE_CRASH_POINT("sleepers.wake.given");
      // Against the fence in withdraw().
      std::atomic_thread_fence(std::memory_order_seq_cst);
      const bool there = (set_word(kind, next).load(std::memory_order_relaxed) & bit_of(next)) != 0;
      Woken outcome = there ? seats_->wake(next) : Woken::gone;
      if (comes(next, outcome)) {
        MILLRACE_CRASH_POINT("sleepers.wake.rung");
        return true;
      }
      if (there && outcome != Woken::owed) found_dead_ = next;
      owed = owed || outcome == Woken::owed;
      // Unless it has passed the duty on, that is for us to do.
      const auto taken_back = drop_of(kind, next);
      if (!taken_back) return true;
      bits = *taken_back;
      from = next;
    }
    return owed;
  }
  void ring_again(std::uint32_t seat) noexcept {
    if (seat < seats_->shape().seats) (void)seats_->nudge(seat);
  }
  [[nodiscard]] bool mine(const layout::DutyWord& duty) const noexcept {
    return duty.on_the_way && duty.seat == seats_->seat();
  }
  // Takes the duty away from a seat that will not do it. Returns what it is then; nothing if that seat did not have it.
  std::optional<std::uint64_t> drop_of(std::uint32_t kind, std::uint32_t seat) noexcept {
    auto& word = duty(kind);
    std::uint64_t bits = word.load(std::memory_order_acquire);
    for (;;) {
      layout::DutyWord seen = layout::unpack_duty(bits);
      if (!seen.on_the_way || seen.seat != seat) return std::nullopt;
      seen.on_the_way = seen.again = false;
      // acquire: what was said to be new is seen by whoever is woken in its place.
      if (word.compare_exchange_weak(bits, pack(seen), std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        return pack(seen);
      }
    }
  }

  Beds* seats_;

 private:
  // (W4). True: somebody is on its way, and might not come.
  [[gnu::noinline]] bool wake_one(std::uint32_t kind) noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    auto& word = duty(kind);
    // acquire: pairs with the release of whoever wrote it; nothing depends on it but the bits.
    std::uint64_t bits = word.load(std::memory_order_acquire);
    for (int tries = 0; tries < kTries; ++tries) {
      layout::DutyWord seen = layout::unpack_duty(bits);
      if (!seen.on_the_way || !fresh(seen)) break;
      if (seen.again) return true;
      seen.again = true;
      // release: whoever sees it sees what was published.
      if (word.compare_exchange_weak(bits, pack(seen), std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("sleepers.wake.again");
        return true;
      }
    }
    return wake_next(kind, bits, kNoSeat, false);
  }

  // Will whoever has that seat look for news, as it was woken with that outcome?
  bool comes(std::uint32_t seat, Woken& outcome) noexcept {
    // Who woke it may be stopped before it rings.
    if (outcome == Woken::not_asleep) outcome = seats_->nudge(seat);
    return outcome == Woken::yes || (outcome == Woken::nobody && !seats_->vacant(seat));
  }

  // --- sets ---

  // That word of the set is empty, as `seen` of control.sleepers was read before it was.
  void clear_word(std::uint32_t kind, std::uint32_t word, std::uint64_t seen) const noexcept {
    MILLRACE_CRASH_POINT("sleepers.word.empty");
    // Fails if anybody has lain down since.
    seats_->control().sleepers[kind].compare_exchange_strong(
        seen, seen & ~(1ULL << word), std::memory_order_relaxed, std::memory_order_relaxed);
  }
  // The first sleeper of [from, to) other than this handle if `others`; kNoSeat if there is none.
  [[nodiscard]] std::uint32_t first_of(std::uint32_t kind, std::uint32_t from, std::uint32_t to,
                                       bool others) const noexcept {
    // acquire: pairs with the release in join().
    const std::uint64_t seen = seats_->control().sleepers[kind].load(std::memory_order_acquire);
    for (std::uint32_t word = from / 64; word * 64 < to; ++word) {
      if ((seen >> word & 1U) == 0) continue;
      // acquire: as above.
      std::uint64_t bits = set_word(kind, word * 64).load(std::memory_order_acquire);
      if (bits == 0) clear_word(kind, word, seen);
      if (word == from / 64) bits &= ~0ULL << from % 64;
      if (to - word * 64 < 64) bits &= (1ULL << (to - word * 64)) - 1;
      if (others && word == seats_->seat() / 64) bits &= ~bit_of(seats_->seat());
      if (bits != 0) return word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
    }
    return kNoSeat;
  }
  // The next one behind `seat`, around the end; `seat` itself comes last.
  [[nodiscard]] std::uint32_t next_of(std::uint32_t kind, std::uint32_t seat,
                                      bool others) const noexcept {
    const std::uint32_t seats = seats_->shape().seats;
    const std::uint32_t from = seat < seats ? seat + 1 : 0;
    const std::uint32_t found = first_of(kind, from, seats, others);
    return found != kNoSeat ? found : first_of(kind, 0, from, others);
  }
  // Does `seat` come before `end` for who goes around behind `start`?
  [[nodiscard]] bool before(std::uint32_t start, std::uint32_t seat,
                            std::uint32_t end) const noexcept {
    const std::uint32_t seats = seats_->shape().seats;
    const auto behind = [&](std::uint32_t which) { return (which + seats - start - 1) % seats; };
    return behind(seat) < behind(end);
  }

  std::optional<std::uint32_t> found_dead_;
  std::uint32_t another_ = 0;  // where wake_another() goes on
};

}  // namespace millrace
