// The sleeper's half of wakers.hpp: a handle lies down for some kinds of news, looks, and passes on what it was woken for.
//
// What the user must do: end *every* look for work or room with pass_on() or pass_by(), and every wait with unpark().
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../waiting.hpp"
#include "seats.hpp"
#include "wakers.hpp"

namespace millrace {

class Sleepers : public Wakers<Seats> {
 public:
  explicit Sleepers(Seats& seats) noexcept : Wakers(seats) {}

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
    seats_->line(seat).waiting_since.store(0, std::memory_order_relaxed);
    seats_->line(seat).doorbell.store(0, std::memory_order_relaxed);  // the next one may only block
    seats_->seat_record(seat).waits_for.store(0, std::memory_order_relaxed);
    if (!died) return;
    MILLRACE_CRASH_POINT("sleepers.bury.dropped");
    for_each_kind([&](std::uint32_t kind) { (void)announce(kind); });
  }

  // Against fence() of the others.
  void heavy_fence() noexcept {
    if (seats_->fences_in_full()) {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      sleeper_fence(seats_->control().needs_full_fence, waited_);
    }
  }

 private:
  [[nodiscard]] bool waits_for(std::uint32_t kind) const noexcept {
    return (kinds_ >> kind & 1U) != 0;
  }

  // --- sets ---

  void enlist(std::uint32_t kinds) noexcept {
    const std::uint32_t old = std::exchange(kinds_, kinds);
    looked_for_ = Look{};  // the looks before this sleep have ended
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
    // release: pairs with the acquire in first_of(), which then sees the bit of the seat. Always a change, so that the
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

  // --- duty ---

  template <typename More>
  [[gnu::noinline]] bool pass_on_duty(std::uint32_t kind, More&& more) {
    looked_for_ = Look{};
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
  // look: it is offered to the next one, and who was woken for it and leaves wants none. Whoever finds `again` set publishes
  // without a change of the duty, so the look for news begins when it is cleared: (W1) (W4) against settle, full fence, look.
  template <typename Useful>
  [[gnu::noinline]] bool pass_by_duty(std::uint32_t kind, Useful&& useful) {
    auto& word = duty(kind);
    // acquire: pairs with the release in wake_next().
    std::uint64_t bits = word.load(std::memory_order_acquire);
    for (int tries = 0; tries < kTries; ++tries) {
      const layout::DutyWord seen = layout::unpack_duty(bits);
      if (!mine(seen)) {
        looked_for_ = Look{};
        return false;
      }
      if (kind != layout::kForRoom) {
        if (!looked_for_.is(kind, bits)) {
          // News is taken out before the look for it: what comes during the look is to change the duty.
          if (seen.again && !settle(kind, bits)) continue;
          looked_for_ = Look{kind, bits};
          return true;
        }
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

  // What the duty of a kind was when a look began. Of one row of looks, from lying down or from a find to the next of them: a
  // duty that is dropped and given anew within a tick of the clock has the same bits, and then what came with it was not looked for.
  struct Look {
    std::uint32_t kind = 0;
    std::uint64_t bits = 0;  // 0: there was none

    [[nodiscard]] bool is(std::uint32_t which, std::uint64_t seen) const noexcept {
      return kind == which && bits == seen;
    }
  };

  std::uint32_t kinds_ = 0;
  Look looked_for_;
  bool waited_ = false;
};

}  // namespace millrace
