// Who sleeps on a work queue, for which kind of news, and who is woken: one at a time.
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
// What the user must do: end *every* look for work or room with pass_on() or pass_by(), and every wait with unpark().
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "../waiting.hpp"
#include "seats.hpp"

namespace millrace {

class Sleepers {
 public:
  // How long a woken one may take before another is woken. JavaScript looks after kRecheckMs.
  static constexpr std::uint64_t kPatienceMs = 5;
  static constexpr std::uint64_t kRecheckMs = 10;

  explicit Sleepers(Seats& seats) noexcept : seats_(&seats) {}
  Sleepers(const Sleepers&) = delete;
  Sleepers& operator=(const Sleepers&) = delete;

  // --- who sleeps ---

  // Waits for news of these kinds (a bit each) and of no others. The caller must look once more before it sleeps. To be
  // called again after each wake-up that brought nothing: whoever is woken is no longer parked, but still in the sets.
  void park_on_bell(std::uint32_t kinds, const WakeAddress& address) noexcept {
    seats_->sleeper().announce_on_bell(address);
    enlist(kinds);
  }
  void park_on_futex(std::uint32_t kinds) noexcept {
    seats_->sleeper().announce_on_futex();
    enlist(kinds);
  }
  // Waits no longer, for whatever reason. What it was woken for and did not look for is passed on.
  void unpark() noexcept {
    if (kinds_ == 0) return;
    const std::uint32_t left = std::exchange(kinds_, 0);
    seats_->seat_record(seats_->seat()).waits_for.store(0, std::memory_order_relaxed);
    withdraw(left);
    seats_->sleeper().unpark();
    hand_on(left);
  }
  // Kinds that it waits for.
  [[nodiscard]] std::uint32_t kinds() const noexcept { return kinds_; }
  // Does it wait, and has nobody woken it?
  [[nodiscard]] bool parked() noexcept { return kinds_ != 0 && seats_->sleeper().parked(); }

  // Spins, then sleeps in the kernel, for a slice at most (waiting.hpp). `ready` looks, and ends with pass_on() or pass_by().
  template <typename Ready>
  [[nodiscard]] bool wait_slice(std::uint32_t kinds, std::uint64_t spin_ns,
                                std::uint64_t timeout_ns, Ready&& ready) {
    if (timeout_ns > kSliceNs) timeout_ns = kSliceNs;
    if (ready()) return true;
    if (spin_ns > timeout_ns) spin_ns = timeout_ns;
    if (spin_ns > 0) {
      const os::Deadline spin = os::Deadline::after(spin_ns);
      do {
        for (int i = 0; i < 64; ++i) {
          if (ready()) return true;
          os::spin_hint();
        }
      } while (!spin.passed());
    }
    if (timeout_ns <= spin_ns) return false;
    park_on_futex(kinds);
    bool found = ready();
    if (!found) {
      seats_->sleeper().sleep(timeout_ns - spin_ns);
      found = ready();
    }
    unpark();
    return found;
  }

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

  // --- who looks ---

  // After a look that found something: if this handle was woken for it, and there is more, the next one is woken.
  // Free for a handle that does not wait. Returns as after_publish() does.
  template <typename More>
  bool pass_on(std::uint32_t kind, More&& more) {
    if (!waits_for(kind)) [[likely]]
      return false;
    return pass_on_duty(kind, std::forward<More>(more));
  }
  // After a look in vain. `useful`: could another one use what is there? Only of room, where one wants more than another: it
  // is offered to each sleeper in turn, one round at most. True: look again, something has come.
  template <typename Useful>
  [[nodiscard]] bool pass_by(std::uint32_t kind, Useful&& useful) {
    if (!waits_for(kind)) [[likely]]
      return false;
    return pass_by_duty(kind, std::forward<Useful>(useful));
  }
  [[nodiscard]] bool pass_by(std::uint32_t kind) {
    return pass_by(kind, [] { return true; });
  }

  // A sleeper that turned out to be dead while it was to be woken; once. It should be buried.
  [[nodiscard]] bool has_found_dead() const noexcept { return found_dead_.has_value(); }
  [[nodiscard]] std::optional<std::uint32_t> found_dead() noexcept {
    return std::exchange(found_dead_, std::nullopt);
  }

  // --- burying ---

  // Part of the repair of a seat: under the lifecycle lock, with its byte in hand. If its holder died, everything that it may
  // have owed is done: it may have published, or been woken, or been about to ring.
  void bury(std::uint32_t seat) noexcept {
    const bool died = seats_->attached(seat);
    for_each_kind([&](std::uint32_t kind) {
      set_word(kind, seat).fetch_and(~bit_of(seat), std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("sleepers.bury.cleared");
      (void)drop_of(kind, seat);
      const auto left = layout::unpack_duty(duty(kind).load(std::memory_order_acquire));
      if (died && left.on_the_way) ring_again(left.seat);  // it may have been about to
    });
    seats_->line(seat).parked.store(0, std::memory_order_relaxed);
    seats_->line(seat).doorbell.store(0, std::memory_order_relaxed);  // the next one may only block
    seats_->seat_record(seat).waits_for.store(0, std::memory_order_relaxed);
    if (!died) return;
    MILLRACE_CRASH_POINT("sleepers.bury.dropped");
    for_each_kind([&](std::uint32_t kind) { (void)announce(kind); });
  }

  // --- for lookouts ---

  // Wakes a sleeper other than this handle, whatever it waits for and without a duty; only of another process if `strangers`.
  // False: there is none.
  bool wake_another(bool strangers) noexcept {
    const std::uint32_t begin = another_;
    bool woken = false;
    for_each_kind([&](std::uint32_t kind) {
      std::uint32_t seat = begin;
      for (std::uint32_t tries = 0; !woken && tries < seats_->shape().seats; ++tries) {
        const std::uint32_t next = next_of(kind, seat, true);
        if (next == kNoSeat || (tries > 0 && !before(begin, seat, next))) return;
        seat = next;
        if (strangers && seats_->pid(next) == seats_->pid(seats_->seat())) continue;
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
    if (seats_->control().needs_full_fence.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
  }
  // Against fence() of the others.
  void heavy_fence() noexcept { sleeper_fence(seats_->control().needs_full_fence, waited_); }

 private:
  static constexpr std::uint32_t kNoSeat = layout::DutyWord::kNoSeat;
  static constexpr std::uint64_t kWords = 0xFFFF'FFFFU;   // of control.sleepers
  static constexpr std::uint64_t kOneMore = 1ULL << 32U;  // lay down

  [[nodiscard]] bool waits_for(std::uint32_t kind) const noexcept {
    return (kinds_ >> kind & 1U) != 0;
  }
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
    return seats_->segment().at<std::atomic<std::uint64_t>>(
        shape.sleepers_at())[set * shape.seat_words() + seat / 64];
  }
  [[nodiscard]] std::atomic<std::uint64_t>& duty(std::uint32_t kind) const noexcept {
    return seats_->control().duties[kind].word;
  }
  [[nodiscard]] static bool fresh(const layout::DutyWord& duty) noexcept {
    // A time to come is none of this boot's.
    return ((os::coarse_ms() - duty.at_ms) & layout::DutyWord::kTimeMask) < kPatienceMs;
  }

  // --- sets ---

  void enlist(std::uint32_t kinds) noexcept {
    const std::uint32_t old = std::exchange(kinds_, kinds);
    seats_->seat_record(seats_->seat()).waits_for.store(kinds, std::memory_order_relaxed);
    detail::for_each_bit(kinds & ~old, [this](std::uint32_t kind) { join(kind); });
    withdraw(old & ~kinds);
    heavy_fence();
    hand_on(old & ~kinds);
  }
  // (S2)
  void join(std::uint32_t kind) noexcept {
    const std::uint32_t seat = seats_->seat();
    // release: whoever sees the bit sees the line parked.
    set_word(kind, seat).fetch_or(bit_of(seat), std::memory_order_release);
    MILLRACE_CRASH_POINT("sleepers.park.listed");
    auto& words = seats_->control().sleepers[kind];
    std::uint64_t seen = words.load(std::memory_order_relaxed);
    // release: pairs with the acquire in empty(), which then sees the bit of the seat. Always a change, so that the
    // compare-and-swap there fails.
    while (!words.compare_exchange_weak(seen, (seen | 1ULL << seat / 64) + kOneMore,
                                        std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    MILLRACE_CRASH_POINT("sleepers.park.announced");
  }
  void withdraw(std::uint32_t kinds) noexcept {
    if (kinds == 0) return;
    const std::uint32_t seat = seats_->seat();
    detail::for_each_bit(kinds, [&](std::uint32_t kind) {
      set_word(kind, seat).fetch_and(~bit_of(seat), std::memory_order_relaxed);
    });
    MILLRACE_CRASH_POINT("sleepers.unpark.withdrawn");
    // Against the fence in wake_next(): the waker sees that the bit is gone, or hand_on() sees the duty.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void hand_on(std::uint32_t kinds) noexcept {
    detail::for_each_bit(
        kinds, [&](std::uint32_t kind) { (void)pass_on_duty(kind, [] { return true; }); });
  }
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

  // --- duty ---

  bool announce(std::uint32_t kind) noexcept {
    fence();  // (W2)
    if (nobody(kind)) [[likely]]
      return false;
    return wake_one(kind);
  }
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
  // Will whoever has that seat look for news, as it was woken with that outcome?
  bool comes(std::uint32_t seat, Woken& outcome) noexcept {
    // Who woke it may be stopped before it rings.
    if (outcome == Woken::not_asleep) outcome = seats_->nudge(seat);
    return outcome == Woken::yes || (outcome == Woken::nobody && !seats_->vacant(seat));
  }
  void ring_again(std::uint32_t seat) noexcept {
    if (seat < seats_->shape().seats) (void)seats_->nudge(seat);
  }

  [[nodiscard]] bool mine(const layout::DutyWord& duty) const noexcept {
    return duty.on_the_way && duty.seat == seats_->seat();
  }

  template <typename More>
  [[gnu::noinline]] bool pass_on_duty(std::uint32_t kind, More&& more) {
    auto& word = duty(kind);
    // acquire: pairs with the release in wake_next().
    std::uint64_t bits = word.load(std::memory_order_acquire);
    for (int tries = 0; tries < kTries && mine(layout::unpack_duty(bits)); ++tries) {
      if (more() && wake_next(kind, bits, kNoSeat, true)) return true;
      bits = word.load(std::memory_order_acquire);
      if (!mine(layout::unpack_duty(bits))) break;
      (void)settle(kind, bits);
    }
    return false;
  }
  // For jobs: a duty that was given, or got news, while the caller looked in vain is not dropped for that look. There is one more,
  // which begins after it: who leaves next would have seen neither the job nor to it that another one does. Room needs no such
  // look: it is offered to the next one, and who was woken for it and leaves wants none.
  template <typename Useful>
  [[gnu::noinline]] bool pass_by_duty(std::uint32_t kind, Useful&& useful) {
    auto& word = duty(kind);
    // acquire: pairs with the release in wake_next().
    std::uint64_t bits = word.load(std::memory_order_acquire);
    for (int tries = 0; tries < kTries; ++tries) {
      const layout::DutyWord seen = layout::unpack_duty(bits);
      if (!mine(seen)) return false;
      if (kind != layout::kForRoom) {
        if (!std::exchange(looked_for_, Look{kind, bits}).is(kind, bits)) return true;
        if (!drop_exactly(kind, bits)) continue;
        looked_for_ = Look{};
        return false;
      }
      if (!seen.again && useful()) {
        if (wake_next(kind, bits, seen.origin, true)) return false;
        bits = word.load(std::memory_order_acquire);
        if (!mine(layout::unpack_duty(bits))) return false;
      }
      if (const auto settled = settle(kind, bits)) return *settled;
    }
    return true;
  }
  // Drops the duty of this handle if it is still `bits`, which are what they are now otherwise.
  bool drop_exactly(std::uint32_t kind, std::uint64_t& bits) noexcept {
    layout::DutyWord next = layout::unpack_duty(bits);
    next.on_the_way = next.again = false;
    // release: what comes before does not move behind.
    if (!duty(kind).compare_exchange_strong(bits, pack(next), std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      return false;
    }
    MILLRACE_CRASH_POINT("sleepers.pass.dropped");
    return true;
  }
  // Drops the duty of this handle: false. If there is news it keeps it, for a round that begins with itself: true. Nothing if
  // `bits` has changed meanwhile.
  std::optional<bool> settle(std::uint32_t kind, std::uint64_t& bits) noexcept {
    layout::DutyWord next = layout::unpack_duty(bits);
    const bool again = next.again;
    next.again = false;
    next.on_the_way = again;
    next.origin = next.seat;
    // release: of no use to the waker, which has been; it keeps what comes before from moving behind.
    if (!duty(kind).compare_exchange_strong(bits, pack(next), std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      return std::nullopt;
    }
    MILLRACE_CRASH_POINT("sleepers.pass.settled");
    // The look that follows comes after it: against (W4).
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (again) bits = pack(next);
    return again;
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

  // Others change the duty meanwhile, but not for ever: each change is somebody's progress.
  static constexpr int kTries = 64;

  // What the duty of a kind was when a look began.
  struct Look {
    std::uint32_t kind = 0;
    std::uint64_t bits = 0;  // 0: there was none

    [[nodiscard]] bool is(std::uint32_t which, std::uint64_t seen) const noexcept {
      return kind == which && bits == seen;
    }
  };

  Seats* seats_;
  std::uint32_t kinds_ = 0;
  Look looked_for_;
  bool waited_ = false;
  std::optional<std::uint32_t> found_dead_;
  std::uint32_t another_ = 0;  // where wake_another() goes on
};

}  // namespace millrace
