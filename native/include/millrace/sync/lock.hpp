// A named lock among parties: the algorithm of lock_algorithm.hpp over a segment, with waiting, burying
// the dead, and leaving. Mutex and RwLock are what users see of it.
//
// A handle is a party and holds the lock as such, at most once; it is used by one thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>

#include "lock_algorithm.hpp"
#include "parties.hpp"

namespace millrace {

namespace detail {

// The words of a lock where they really are.
class LockMemory {
 public:
  explicit LockMemory(Parties& parties) noexcept : parties_(parties) {}
  [[nodiscard]] std::atomic<std::uint64_t>& word() const noexcept { return shared().holders.word; }
  [[nodiscard]] std::atomic<std::uint64_t>& next_ticket() const noexcept {
    return shared().tickets.next;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& entry(std::uint32_t seat) const noexcept {
    return shared().entries[seat].entry;
  }
  [[nodiscard]] std::uint64_t present() const noexcept { return parties_.present(); }
  [[nodiscard]] bool vacant(std::uint32_t seat) const noexcept { return parties_.vacant(seat); }
  void wake(std::uint32_t seat) const { parties_.wake(seat); }

 private:
  [[nodiscard]] layout::LockShared& shared() const noexcept {
    return parties_.shared<layout::LockShared>();
  }
  Parties& parties_;
};

class Lock {
 public:
  Lock() : parties_([this](std::uint32_t seat) { return repair(seat); }) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { close(); }

  Result<void> open(const PartyOptions& options, layout::Kind kind, const os::Deadline& deadline) {
    PartySpec spec;
    static_cast<PartyOptions&>(spec) = options;
    spec.kind = kind;
    spec.letter = kind == layout::Kind::mutex ? 'x' : 'w';
    spec.title = kind == layout::Kind::mutex ? "mutex" : "rwlock";
    spec.keep =
        true;  // that a holder died inside must not be forgotten because all others died, too
    spec.shared_bytes = sizeof(layout::LockShared);
    return parties_.enter(spec, deadline);
  }

  // Takes the lock if that overtakes nobody. What the dead hold is freed first.
  LockStatus try_lock(LockMode mode) {
    if (state_ != State::idle) return LockStatus::misused;
    LockStatus status = algorithm_.try_lock(me(), mode);
    if (status == LockStatus::busy && bury(algorithm_.holders())) {
      status = algorithm_.try_lock(me(), mode);
    }
    return account(status, mode);
  }

  // Takes the lock or gets in line for it: busy. After that look() until it says something else, or
  // withdraw().
  LockStatus begin(LockMode mode) {
    const LockStatus status = try_lock(mode);
    if (status != LockStatus::busy) return status;
    algorithm_.announce(me(), mode);
    state_ = State::waiting;
    mode_ = mode;
    return look(false);
  }
  // `thorough` asks how those before us are doing, at one system call each.
  LockStatus look(bool thorough) {
    if (state_ != State::waiting) return LockStatus::misused;
    LockStatus status = algorithm_.look(me());
    if (status == LockStatus::busy && thorough && bury(algorithm_.obstacles(me()))) {
      status = algorithm_.look(me());
    }
    return account(status, mode_);
  }
  [[nodiscard]] bool stirred() const { return algorithm_.stirred(me()); }
  // Blocks this thread for a slice at most: spins, then sleeps. True if a look is worth while.
  [[nodiscard]] bool wait(std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    if (state_ != State::waiting) return true;
    return wait_slice(parties_.sleeper(), spin_ns, timeout_ns, [this] { return stirred(); });
  }
  // Leaves the line. False: too late, the lock is ours already; look() until it says so.
  [[nodiscard]] bool withdraw() {
    if (state_ != State::waiting) return true;
    if (!algorithm_.withdraw(me())) return false;
    state_ = State::idle;
    return true;
  }
  // Leaves the line, or passes on at once what it was given in that instant.
  void give_up() { (void)settle(); }

  // All of it for a thread that may block. busy: the time is over.
  LockStatus lock(LockMode mode, std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    LockStatus status = begin(mode);
    if (status != LockStatus::busy) return status;  // without a look at the clock
    const os::Deadline deadline = os::Deadline::after(timeout_ns);
    while (status == LockStatus::busy) {
      const std::uint64_t left = deadline.left_ns();
      if (left == 0 && withdraw()) return LockStatus::busy;
      const bool stirred = wait(spin_ns, std::max<std::uint64_t>(left, kGrantNs));
      status = look(!stirred);
      if (!stirred) spin_ns = 0;
    }
    return status;
  }

  // Gives the lock back. misused: this handle does not hold it.
  LockStatus unlock(LockEnding ending = LockEnding::finished) {
    if (!holds()) return LockStatus::misused;
    state_ = State::idle;
    return algorithm_.unlock(me(), ending);
  }

  // In good order: what it holds is unlocked as finished.
  void close() noexcept { leave(LockEnding::finished); }
  // Whatever it was doing under the lock was cut short: the next owner is told.
  void abandon() noexcept { leave(LockEnding::cut); }

  [[nodiscard]] bool holds() const noexcept { return state_ == State::holding; }
  [[nodiscard]] bool waits() const noexcept { return state_ == State::waiting; }
  // Process id of the exclusive holder, 0 if there is none. A hint: it may have changed by now.
  [[nodiscard]] std::uint32_t holder() const {
    const std::uint64_t holders = algorithm_.holders();
    if (!algorithm_.held_exclusively() || holders == 0) return 0;
    return parties_.pid(static_cast<std::uint32_t>(std::countr_zero(holders)));
  }
  // The seats of those who hold it. A hint, too.
  [[nodiscard]] std::uint64_t holders() const { return algorithm_.holders(); }
  // How many hold it shared. A hint, too.
  [[nodiscard]] int readers() const {
    return algorithm_.held_exclusively() ? 0 : std::popcount(algorithm_.holders());
  }
  // Does somebody wait for writing? A hint, as the others.
  [[nodiscard]] bool writer_waits() const { return algorithm_.writer_waits(); }
  // Those whose death would help us.
  [[nodiscard]] std::uint64_t obstacles() const { return algorithm_.obstacles(me()); }
  [[nodiscard]] Parties& parties() noexcept { return parties_; }

 private:
  enum class State { idle, waiting, holding };
  // A granter needs microseconds from the grant to the word.
  static constexpr std::uint64_t kGrantNs = 1'000'000;
  static constexpr std::uint64_t kSettleNs = 1'000'000'000;

  [[nodiscard]] std::uint32_t me() const noexcept { return parties_.seat(); }

  LockStatus account(LockStatus status, LockMode mode) noexcept {
    if (status == LockStatus::held || status == LockStatus::abandoned) {
      state_ = State::holding;
      mode_ = mode;
    } else if (status == LockStatus::corrupt) {
      state_ = State::idle;
    }
    return status;
  }
  // True if one of these seats was vacant and is buried now.
  bool bury(std::uint64_t seats) {
    const std::uint64_t dead = parties_.vacant_of(seats & ~parties_.bit());
    return dead != 0 && parties_.bury(dead);
  }
  bool repair(std::uint32_t seat) {
    // The first of a new crowd finds what the last one left.
    if (!parties_.open() && parties_.segment().orphaned()) algorithm_.heal();
    return algorithm_.repair(seat);
  }

  // False: a granter is stopped in the very instant of handing the lock to us.
  [[nodiscard]] bool settle() {
    const os::Deadline deadline = os::Deadline::after(kSettleNs);
    while (!withdraw()) {
      const LockStatus status = look(true);
      if (status == LockStatus::held || status == LockStatus::abandoned) {
        (void)unlock();
        return true;
      }
      if (status == LockStatus::corrupt) return true;
      if (deadline.passed()) return false;
      os::sleep_ns(20'000);
    }
    return true;
  }
  void leave(LockEnding ending) noexcept {
    if (!parties_.open()) return;
    if (!parties_.segment().intact()) {
      parties_.leave([] { return true; });
      return;
    }
    if (!settle()) {
      parties_.vanish();
      return;
    }
    if (holds()) (void)unlock(ending);
    parties_.leave([this] { return algorithm_.marked_abandoned(); });
  }

  Parties parties_;
  LockMemory memory_{parties_};
  LockAlgorithm<LockMemory> algorithm_{memory_};
  State state_ = State::idle;
  LockMode mode_ = LockMode::exclusive;
};

}  // namespace detail
}  // namespace millrace
