// The lock of a small table, taken for a fraction of a microsecond by whoever changes the table. Its word names
// the seat of its holder (layout::SeatLock), so that a death cannot leave it behind: whoever buries that seat repairs the table
// and frees the lock.
//
// Nobody waits long. A holder that is stopped keeps the lock, and what others want of this table is `busy` meanwhile; they try
// again, as they do when a queue is full. Not fair, and need not be: nobody holds it while it does anything else.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

#include "../crash_point.hpp"
#include "../layout/store.hpp"
#include "../os/clock.hpp"

namespace millrace {

class SeatLockHold {
 public:
  SeatLockHold() = default;
  SeatLockHold(SeatLockHold&& other) noexcept : lock_(other.lock_), mine_(other.mine_) {
    other.lock_ = nullptr;
  }
  SeatLockHold(const SeatLockHold&) = delete;
  SeatLockHold& operator=(const SeatLockHold&) = delete;
  SeatLockHold& operator=(SeatLockHold&&) = delete;
  ~SeatLockHold() { unlock(); }

  [[nodiscard]] explicit operator bool() const noexcept { return lock_ != nullptr; }

  void unlock() noexcept {
    if (lock_ == nullptr) return;
    std::uint64_t mine = mine_;
    // release: pairs with the acquire of try_lock(). seq_cst: it is before the look for what was left to us
    // (Groups::finish()). From exactly our word, because peers may lie: nobody else's lock is freed.
    (void)lock_->word.compare_exchange_strong(mine, mine & ~kHolder, std::memory_order_seq_cst,
                                              std::memory_order_relaxed);
    lock_ = nullptr;
    MILLRACE_CRASH_POINT("seat.lock.freed");
  }

  // It stays locked, in the name of its seat, and inherit() takes it up again: for what takes longer than a call.
  void stay_locked() noexcept { lock_ = nullptr; }

  // Once.
  [[nodiscard]] static SeatLockHold try_lock(layout::SeatLock& lock, std::uint16_t seat) noexcept {
    // seq_cst: who finds it taken may have left word for the holder before (Groups::leave()), who looks after unlock().
    std::uint64_t found = lock.word.load(std::memory_order_seq_cst);
    if ((found & kHolder) != 0) return {};
    const std::uint64_t mine = (found & ~kHolder) + kTurn + seat + 1;
    // acquire: pairs with the release of unlock(). seq_cst: of two who come at the same time the other one is told by us that he
    // does not get it, and what he has left before we clear his mark afterwards.
    if (!lock.word.compare_exchange_strong(found, mine, std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
      return {};
    }
    MILLRACE_CRASH_POINT("seat.lock.taken");
    return {lock, mine};
  }
  // As long as somebody who is not stopped needs: a few microseconds.
  [[nodiscard]] static SeatLockHold lock_soon(layout::SeatLock& lock, std::uint16_t seat) noexcept {
    for (int i = 0; i < kSpins; ++i) {
      if (SeatLockHold held = try_lock(lock, seat)) return held;
      os::spin_hint();
    }
    return {};
  }
  // For a millisecond at most, so that a holder who lost its core gets it back.
  [[nodiscard]] static SeatLockHold lock(layout::SeatLock& lock, std::uint16_t seat) noexcept {
    if (SeatLockHold held = lock_soon(lock, seat)) return held;
    const os::Deadline deadline = os::Deadline::after(kPatienceNs);
    do {
      std::this_thread::yield();
      if (SeatLockHold held = try_lock(lock, seat)) return held;
    } while (!deadline.passed());
    return {};
  }
  // Takes over what the dead holder of `seat` left locked; nothing if it did not have this lock. Under the lifecycle lock. The
  // word stays the dead one's until it is freed: if we die, too, the next undertaker finds it as we did.
  [[nodiscard]] static SeatLockHold inherit(layout::SeatLock& lock, std::uint16_t seat) noexcept {
    const std::uint64_t found = lock.word.load(std::memory_order_acquire);
    if ((found & kHolder) != seat + 1U) return {};
    return {lock, found};
  }
  // The seat of who has it now, whatever it is worth: anybody may have written it.
  [[nodiscard]] static std::optional<std::uint16_t> holder(const layout::SeatLock& lock) noexcept {
    const std::uint64_t found = lock.word.load(std::memory_order_relaxed) & kHolder;
    if (found == 0) return std::nullopt;
    return static_cast<std::uint16_t>(found - 1);
  }

 private:
  static constexpr std::uint64_t kHolder = 0xFFFF;
  static constexpr std::uint64_t kTurn = 1ULL << 16U;
  static constexpr int kSpins = 64;
  static constexpr std::uint64_t kPatienceNs = 1'000'000;

  SeatLockHold(layout::SeatLock& lock, std::uint64_t mine) noexcept : lock_(&lock), mine_(mine) {}

  layout::SeatLock* lock_ = nullptr;
  std::uint64_t mine_ = 0;
};

}  // namespace millrace
