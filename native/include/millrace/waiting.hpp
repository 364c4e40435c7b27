// Parking and waking over a layout::WaitLine, without a lost wake-up and without a fence per publish.
//
// Sleeper                                   Waker
//   (S1) parked = kind                        (W1) publish (release store of a position, a bit, …)
//   (S2) heavy fence                          (W2) light fence
//   (S3) look once more; sleep if nothing     (W3) if parked != 0: exchange it for 0, wake
//
// Either (W3) sees (S1), or (S3) sees (W1): with two full fences by the usual store-buffering argument;
// with the asymmetric pair because the heavy fence puts a full barrier at some point of the waker's
// instruction stream: before (W3), which then sees (S1), or after (W1), which (S3) then sees.
//
// Who goes to sleep on many lines at once does (S1) for all of them, one heavy fence, and then (S3) for all of them. For
// each line the three steps come in the same order, and nothing in the argument asks that a fence serve one line only.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "os/clock.hpp"
#include "os/doorbell.hpp"
#include "os/fence.hpp"
#include "os/futex.hpp"

namespace millrace {

// Where a sleeper wants to be woken: in its event loop (doorbell and token), or on the futex (no doorbell).
struct WakeAddress {
  std::uint64_t doorbell = 0;
  std::uint64_t token = 0;
};

// (S2). A sleeper that cannot issue the heavy fence, or is refused it, asks wakers to fence in full. Those
// that are already running see that within the time a store takes to become visible; a millisecond is
// ample. One that finds the flag set may have found it of another that is in its millisecond, or was killed
// there: each waits once itself, which `waited` remembers.
inline void sleeper_fence(std::atomic<std::uint32_t>& needs_full_fence, bool& waited) noexcept {
  if (os::heavy_fence()) return;
  if (needs_full_fence.exchange(1, std::memory_order_seq_cst) != 0 && waited) return;
  os::sleep_ns(1'000'000);
  waited = true;
}

// The sleeper's half. One per side of a channel; used by one thread at a time.
class Sleeper {
 public:
  Sleeper() = default;
  explicit Sleeper(layout::WaitLine* line) noexcept : line_(line) {
    line_->parked.store(0, std::memory_order_relaxed);
    line_->waiting_since.store(0, std::memory_order_relaxed);
    // What a predecessor needed.
    if (os::asymmetric_fence_available())
      line_->needs_full_fence.store(0, std::memory_order_relaxed);
  }

  // (S1) and (S2). The caller does (S3), and calls unpark() if it need not sleep after all.
  void park_on_bell(const WakeAddress& address) noexcept {
    announce_on_bell(address);
    sleeper_fence(line_->needs_full_fence, waited_);
  }
  // (S1) alone. The caller does (S2) by os::heavy_fence(), for many at once, and where that is refused by park_on_bell()
  // for each, which asks the wakers for full fences.
  void announce_on_bell(const WakeAddress& address) noexcept {
    begin_wait();
    line_->doorbell.store(address.doorbell, std::memory_order_relaxed);
    line_->token.store(address.token, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("waiting.park.addressed");
    // release: the waker that sees `parked` (acquire, in wake) sees where to ring.
    line_->parked.store(static_cast<std::uint32_t>(layout::Parked::doorbell),
                        std::memory_order_release);
    MILLRACE_CRASH_POINT("waiting.park.bell");
  }
  void park_on_futex() noexcept {
    announce_on_futex();
    sleeper_fence(line_->needs_full_fence, waited_);
  }
  // (S1) alone, as above.
  void announce_on_futex() noexcept {
    begin_wait();
    line_->parked.store(static_cast<std::uint32_t>(layout::Parked::futex),
                        std::memory_order_release);
    MILLRACE_CRASH_POINT("waiting.park.futex");
  }
  // Sleeps until woken or the time is over. Only after park_on_futex() and (S3).
  void sleep(std::uint64_t timeout_ns) noexcept {
    os::futex_wait(line_->parked, static_cast<std::uint32_t>(layout::Parked::futex), timeout_ns);
  }
  // A ring may still be on its way; it is harmless.
  void unpark() noexcept {
    line_->parked.store(0, std::memory_order_relaxed);
    end_wait();
  }
  [[nodiscard]] bool parked() const noexcept {
    return line_->parked.load(std::memory_order_relaxed) != 0;
  }

 private:
  // A wait lasts from the first time that the sleeper lies down until it has nothing to wait for, however often it is woken in
  // between. Counted where a system call is made anyway, by plain stores, since the line has one sleeper.
  void begin_wait() noexcept {
    if (line_->waiting_since.load(std::memory_order_relaxed) != 0) return;
    line_->waiting_since.store(os::monotonic_ns(), std::memory_order_relaxed);
  }
  void end_wait() noexcept {
    const std::uint64_t since = line_->waiting_since.load(std::memory_order_relaxed);
    if (since == 0) return;
    line_->waiting_since.store(0, std::memory_order_relaxed);
    const std::uint64_t now = os::monotonic_ns();
    const std::uint64_t took = now > since ? now - since : 0;
    add(line_->waits, std::uint64_t{1});
    add(line_->waited_ns, took);
    add(line_->wait_times[layout::wait_time_of(took)], std::uint32_t{1});
  }
  template <typename T>
  static void add(std::atomic<T>& counter, T what) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
  }

  layout::WaitLine* line_ = nullptr;
  bool waited_ = false;
};

// What became of a wake-up.
enum class Woken {
  not_asleep,  // it looks by itself, or somebody else has woken it
  yes,
  nobody,  // said that it sleeps in the kernel, and does not: it is about to, and will not; or it died
  gone,  // its doorbell has no owner any more
  owed,  // it could not be rung now, and still says that it sleeps
};

// The waker's half.
class Waker {
 public:
  Waker() = default;
  explicit Waker(layout::WaitLine* line) : line_(line) { os::register_light_fence(); }

  // (W2) and the test of (W3), after a publish. Nearly free when nobody sleeps.
  [[nodiscard]] bool peer_sleeps() const noexcept {
    fence();
    return line_->parked.load(std::memory_order_relaxed) != 0;
  }
  void fence() const noexcept {
    if (line_->needs_full_fence.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
  }
  // For callers that fenced already, once for many peers.
  [[nodiscard]] bool peer_parked() const noexcept {
    return line_->parked.load(std::memory_order_relaxed) != 0;
  }

  // The rest of (W3). Exactly one waker gets the duty; a second call does nothing. Out of line: a wake-up costs a system
  // call anyway, and inlined it costs registers in every publish that finds nobody asleep.
  [[gnu::noinline]] Woken wake(os::BellRinger& ringer, const os::BellTrust& trust) const {
    // acquire: pairs with the sleeper's release of `parked`.
    const std::uint32_t kind = line_->parked.exchange(0, std::memory_order_acq_rel);
    if (kind == 0) return Woken::not_asleep;
    MILLRACE_CRASH_POINT("waiting.wake.owed");
    line_->wakes.fetch_add(1, std::memory_order_relaxed);
    if (kind == static_cast<std::uint32_t>(layout::Parked::futex)) {
      return os::futex_wake_all(line_->parked) ? Woken::yes : Woken::nobody;
    }
    const std::uint64_t doorbell = line_->doorbell.load(std::memory_order_relaxed);
    const std::uint64_t token = line_->token.load(std::memory_order_relaxed);
    const os::Heard heard = ringer.ring(doorbell, token, trust);
    // A dead sleeper needs no wake-up. One that could not be rung is still owed it, by whoever wakes next.
    // It may have stopped sleeping meanwhile: then that is a ring for nothing.
    if (heard != os::Heard::unknown) return heard == os::Heard::yes ? Woken::yes : Woken::gone;
    std::uint32_t awake = 0;
    // release: as in park_on_bell(); the address was not touched.
    (void)line_->parked.compare_exchange_strong(awake, kind, std::memory_order_release,
                                                std::memory_order_relaxed);
    return Woken::owed;
  }
  // For a sleeper that another waker may owe it: one that died, or is stopped, between taking the duty and ringing. Whoever
  // does not sleep looks for nothing. Never not_asleep.
  [[nodiscard]] Woken nudge(os::BellRinger& ringer, const os::BellTrust& trust) const {
    const bool slept = os::futex_wake_all(line_->parked);
    const std::uint64_t doorbell = line_->doorbell.load(std::memory_order_relaxed);
    if (doorbell == 0) return slept ? Woken::yes : Woken::nobody;
    switch (ringer.ring(doorbell, line_->token.load(std::memory_order_relaxed), trust)) {
      case os::Heard::yes:
        return Woken::yes;
      case os::Heard::no:
        return slept ? Woken::yes : Woken::gone;
      case os::Heard::unknown:
        break;
    }
    return Woken::owed;
  }

 private:
  layout::WaitLine* line_ = nullptr;
};

// Spins, then sleeps, until `ready` or the time is over.
template <typename Ready>
[[nodiscard]] bool wait_blocking(Sleeper& sleeper, std::uint64_t spin_ns, std::uint64_t timeout_ns,
                                 Ready&& ready) {
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
  if (timeout_ns <= spin_ns) return ready();
  sleeper.park_on_futex();
  if (!ready()) sleeper.sleep(timeout_ns - spin_ns);
  sleeper.unpark();
  return ready();
}

// The same for one slice at most, spinning included: short enough that the caller's own checks (a dead
// peer, a terminated thread) come round in time. Whoever has more time, or wants to spin for longer,
// comes again.
inline constexpr std::uint64_t kSliceNs = 20'000'000;

template <typename Ready>
[[nodiscard]] bool wait_slice(Sleeper& sleeper, std::uint64_t spin_ns, std::uint64_t timeout_ns,
                              Ready&& ready) {
  return wait_blocking(sleeper, spin_ns, timeout_ns < kSliceNs ? timeout_ns : kSliceNs,
                       std::forward<Ready>(ready));
}

}  // namespace millrace
