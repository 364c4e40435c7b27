// Who sleeps on topics, and is woken: a subscriber by each message that one of its entries is interested in, and everybody who
// waits for room by whatever makes some. A handle sleeps on one line, whatever it waits for; who is woken looks for all of it.
//
//   Sleeper                                Waker
//   (S1) line: parked; its bit, for room   (W1) a cell is filled; a position moves
//   (S2) heavy fence                       (W2) light fence
//   (S3) look; sleep if nothing            (W3) lines of those who are interested; bits of those who wait for room
//
// As in waiting.hpp: either (W3) sees (S1), or (S3) sees (W1). A waker that dies or is stopped between taking the wake-up and ringing
// owes it: whoever buries it rings everybody, and who sleeps looks every two seconds.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../os/fence.hpp"
#include "../waiting.hpp"
#include "facts.hpp"
#include "memory.hpp"
#include "seats.hpp"

namespace millrace {

class TopicSleepers {
 public:
  explicit TopicSleepers(TopicSeats& seats) noexcept : seats_(&seats) {}
  TopicSleepers(const TopicSleepers&) = delete;
  TopicSleepers& operator=(const TopicSleepers&) = delete;

  // --- who sleeps ---

  void park_on_bell(std::uint32_t kinds, const WakeAddress& address) noexcept {
    seats_->sleeper().announce_on_bell(address);
    enlist(kinds);
  }
  void park_on_futex(std::uint32_t kinds) noexcept {
    seats_->sleeper().announce_on_futex();
    enlist(kinds);
  }
  void unpark() noexcept {
    if (kinds_ == 0) return;
    if ((std::exchange(kinds_, 0) & kForTopicRoom) != 0) set_room(seats_->seat(), false);
    seats_->sleeper().unpark();
  }
  [[nodiscard]] std::uint32_t kinds() const noexcept { return kinds_; }
  // Does it wait, and has nobody woken it?
  [[nodiscard]] bool parked() noexcept { return kinds_ != 0 && seats_->sleeper().parked(); }
  // Against the light fences of the others.
  void heavy_fence() noexcept { sleeper_fence(seats_->control().needs_full_fence, waited_); }

  // Sleeps in the kernel until woken, for a slice at most (waiting.hpp).
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

  // --- who wakes ---

  // (W2)
  void fence() const noexcept {
    if (seats_->control().needs_full_fence.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
  }
  // (W3), after fence().
  void wake(std::uint32_t seat) noexcept {
    if (seat >= seats_->shape().seats) return;
    // relaxed: between two fences.
    if (seats_->line(seat).parked.load(std::memory_order_relaxed) == 0) [[likely]]
      return;
    wake_parked(seat);
  }
  // Does anybody wait for room? After whatever made some, and a fence.
  [[nodiscard]] bool anybody_waits_for_room() const noexcept {
    for (std::uint32_t word = 0; word < seats_->shape().seat_words(); ++word)
      if (seats_->control().room_waiters[word].load(std::memory_order_relaxed) != 0) return true;
    return false;
  }
  // Something has made room.
  void tell_room() noexcept {
    fence();
    for (std::uint32_t word = 0; word < seats_->shape().seat_words(); ++word) {
      const std::uint64_t bits =
          seats_->control().room_waiters[word].load(std::memory_order_relaxed);
      if (bits == 0) [[likely]]
        continue;
      detail::for_each_bit(bits, [&](std::uint32_t bit) { wake(word * 64 + bit); });
    }
  }
  // A sleeper that turned out to be dead; once. It should be buried.
  [[nodiscard]] bool has_found_dead() const noexcept { return found_dead_.has_value(); }
  [[nodiscard]] std::optional<std::uint32_t> found_dead() noexcept {
    return std::exchange(found_dead_, std::nullopt);
  }

  // --- burying ---

  // Part of the repair of a seat. If its holder died, it may have owed anybody a wake-up.
  void bury(std::uint32_t seat) noexcept {
    const bool died = seats_->attached(seat);
    set_room(seat, false);
    MILLRACE_CRASH_POINT("topics.bury.room");
    seats_->line(seat).parked.store(0, std::memory_order_relaxed);
    seats_->line(seat).waiting_since.store(0, std::memory_order_relaxed);
    seats_->line(seat).doorbell.store(0, std::memory_order_relaxed);  // the next one may only block
    if (!died) return;
    seats_->for_each_present([&](std::uint32_t other) {
      if (other != seat) (void)seats_->nudge(other);
    });
    MILLRACE_CRASH_POINT("topics.bury.rung");
  }

 private:
  void enlist(std::uint32_t kinds) noexcept {
    const std::uint32_t old = std::exchange(kinds_, kinds);
    if (((old ^ kinds) & kForTopicRoom) != 0)
      set_room(seats_->seat(), (kinds & kForTopicRoom) != 0);
    MILLRACE_CRASH_POINT("topics.park.listed");
    heavy_fence();  // (S2)
  }
  void set_room(std::uint32_t seat, bool waits) const noexcept {
    auto& word = seats_->control().room_waiters[seat / 64];
    // release: whoever sees the bit sees the line parked.
    if (waits) {
      word.fetch_or(1ULL << seat % 64, std::memory_order_release);
    } else if ((word.load(std::memory_order_relaxed) >> seat % 64 & 1U) != 0) {
      word.fetch_and(~(1ULL << seat % 64), std::memory_order_release);
    }
  }
  [[gnu::noinline]] void wake_parked(std::uint32_t seat) noexcept {
    MILLRACE_CRASH_POINT("topics.wake.found");
    if (seats_->wake(seat) == Woken::gone) found_dead_ = seat;
    MILLRACE_CRASH_POINT("topics.wake.rung");
  }

  TopicSeats* seats_;
  std::optional<std::uint32_t> found_dead_;
  std::uint32_t kinds_ = 0;
  bool waited_ = false;
};

}  // namespace millrace
