// A named barrier of N parties: all wait until the last one has arrived, and then all go on.
//
// Who waits has its bit in the word; the one that completes the set takes all bits away and counts the
// generation up in the same compare-and-swap. Who gives up takes its own bit away, unless the generation
// has been completed meanwhile: then it was there, and passes.
//
// A party that dies or leaves will not arrive any more. Instead of waiting for it, everybody who waits is
// told, and everybody who begins to wait, until another takes its seat or reset() says that it is not
// missed. That a seat was lost is recorded (under its own bit, and counted) by the one that leaves, or
// by whoever buries the dead. Those who wait watch all the others, and look for dead ones themselves.
//
// Which seat is taken follows from Parties: the lowest free one, so whoever comes replaces one that is
// missing before it is a new one.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/barrier.hpp"
#include "../os/clock.hpp"
#include "parties.hpp"

namespace millrace {

struct BarrierSpec : PartyOptions {
  std::uint32_t parties = 0;  // 1 to 56
};

// How a wait at a barrier stands.
struct BarrierTurn {
  enum class Status {
    waiting,
    complete,  // all have arrived
    died,      // a party did, see `pid`
    left,      // a party did, see `pid`
    corrupt,
  };
  Status status = Status::waiting;
  std::uint64_t generation = 0;  // 1 for the first; when complete
  bool serial = false;           // for exactly one of the parties of a generation
  std::uint32_t pid = 0;
};

class Barrier {
 public:
  // geometry if it exists for another number of parties, no_lane if that many are there already.
  static Result<std::unique_ptr<Barrier>> open(const BarrierSpec& spec,
                                               const os::Deadline& deadline) {
    if (spec.parties < 1 || spec.parties > layout::kMaxParties) {
      return make_error(Code::invalid_argument, "parties is " + std::to_string(spec.parties) +
                                                    "; use 1 to " +
                                                    std::to_string(layout::kMaxParties));
    }
    PartySpec wanted;
    static_cast<PartyOptions&>(wanted) = spec;
    wanted.kind = layout::Kind::barrier;
    wanted.letter = 'b';
    wanted.title = "barrier";
    wanted.seats = spec.parties;
    wanted.shared_bytes = sizeof(layout::BarrierState);
    wanted.values[layout::kBarrierParties] = spec.parties;
    wanted.judge = [&](const PartySpec::Values& found) -> Result<void> {
      if (found[layout::kBarrierParties] == spec.parties) return {};
      return make_error(Code::geometry, "barrier '" + spec.place.title() + "' exists for " +
                                            std::to_string(found[layout::kBarrierParties]) +
                                            " parties, not " + std::to_string(spec.parties) +
                                            "; open it everywhere alike, or unlink it first");
    };
    std::unique_ptr<Barrier> self(new Barrier(spec.parties));
    auto entered = self->parties_.enter(wanted, deadline);
    if (!entered.ok()) return entered.error();
    MILLRACE_CRASH_POINT("barrier.open.seated");
    // Our seat is no longer missing; and if nobody is here, nobody is missed.
    const bool alone = self->parties_.segment().orphaned();
    self->losses().missing.fetch_and(alone ? 0 : ~self->parties_.bit(), std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("barrier.open.found");
    self->wake_others();  // they must hear if we die
    return self;
  }
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  ~Barrier() { close(); }

  // Says that this party has arrived, unless somebody is missing. If the result is `waiting`: look() until
  // it is something else, or withdraw().
  BarrierTurn arrive() {
    // acquire: pairs with the release in lose(): a loss that is counted by now is in `missing`, too.
    known_losses_ = losses().last.load(std::memory_order_acquire);
    if (const std::uint64_t missing = losses().missing.load(std::memory_order_acquire) & all_;
        missing != 0) {
      return loss_of(static_cast<std::uint32_t>(std::countr_zero(missing)));
    }
    std::uint64_t now = word().load(std::memory_order_relaxed);
    for (int tries = 0; tries < kTries; ++tries) {
      if ((layout::arrived_of(now) & ~all_) != 0) return {BarrierTurn::Status::corrupt};
      turn_ = layout::turn_of(now);
      const std::uint64_t arrived = layout::arrived_of(now) | parties_.bit();
      const bool last = arrived == all_;
      const std::uint64_t next =
          last ? following(turn_) << layout::kMaxParties : arrived | turn_ << layout::kMaxParties;
      // acq_rel: the parties of a generation see what each had done before it arrived. Release sequence:
      // every arrival is a read-modify-write of this word; look() acquires the last.
      if (!word().compare_exchange_weak(now, next, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
        continue;
      }
      if (!last) {
        MILLRACE_CRASH_POINT("barrier.arrive.arrived");
        arrived_ = true;
        return {};
      }
      MILLRACE_CRASH_POINT("barrier.arrive.complete");
      const BarrierTurn done = completed(true);
      MILLRACE_CRASH_POINT("barrier.arrive.counted");
      wake_others();
      return done;
    }
    return {BarrierTurn::Status::corrupt};
  }

  // How it stands. Thorough looks also ask whether the others live: a system call each. Anything but
  // `waiting` ends the wait.
  BarrierTurn look(bool thorough) {
    if (!arrived_) return {BarrierTurn::Status::corrupt};
    if (const BarrierTurn turn = look_at_word(); turn.status != BarrierTurn::Status::waiting)
      return turn;
    if (thorough) bury_the_dead();
    // acquire: pairs with the release in lose(). Only after the word: who left after the generation was
    // complete is no loss to it.
    const std::uint64_t last = losses().last.load(std::memory_order_acquire);
    if (last == known_losses_) return {};
    const auto seat = static_cast<std::uint32_t>(last & kSeatMask) % layout::kMaxParties;
    return withdraw() ? loss_of(seat) : look_at_word();
  }
  // Takes the arrival back. False: too late, the generation is complete; look() says so.
  bool withdraw() noexcept {
    std::uint64_t now = word().load(std::memory_order_relaxed);
    for (int tries = 0; tries < kTries && arrived_ && layout::turn_of(now) == turn_; ++tries) {
      if (word().compare_exchange_weak(now, now & ~parties_.bit(), std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
        arrived_ = false;
      }
    }
    return !arrived_;
  }
  // Nobody is missed any more: seats that were lost are waited for like those that nobody has taken yet.
  void reset() noexcept { losses().missing.store(0, std::memory_order_release); }

  [[nodiscard]] bool stirred() const noexcept {
    return layout::turn_of(word().load(std::memory_order_acquire)) != turn_ ||
           losses().last.load(std::memory_order_acquire) != known_losses_;
  }
  // Blocks this thread for a slice at most: spins, then sleeps. True if stirred.
  [[nodiscard]] bool wait_slice(std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    return millrace::wait_slice(parties_.sleeper(), spin_ns, timeout_ns, [&] { return stirred(); });
  }
  // Arrives and blocks this thread until all have, or one is lost. `waiting` if the time was over first;
  // the arrival has been taken back then.
  BarrierTurn wait(const os::Deadline& deadline) {
    BarrierTurn turn = arrive();
    while (turn.status == BarrierTurn::Status::waiting) {
      if (deadline.passed()) return withdraw() ? BarrierTurn{} : look(false);
      (void)wait_slice(0, deadline.left_ns());
      turn = look(true);
    }
    return turn;
  }

  // Parties that have arrived and wait now.
  [[nodiscard]] std::uint32_t arrived() const noexcept {
    return static_cast<std::uint32_t>(std::popcount(word().load(std::memory_order_relaxed) & all_));
  }
  // The seats of those who are there and have not arrived.
  [[nodiscard]] std::uint64_t absent() const noexcept {
    return parties_.present() & all_ & ~word().load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t count() const noexcept {
    return static_cast<std::uint32_t>(std::popcount(all_));
  }
  [[nodiscard]] Parties& parties() noexcept { return parties_; }
  [[nodiscard]] const Parties& parties() const noexcept { return parties_; }

  void close() noexcept {
    if (!parties_.open()) return;
    if (parties_.segment().intact()) {
      (void)withdraw();
      lose(parties_.seat(), 0);
      MILLRACE_CRASH_POINT("barrier.close.lost");
      wake_others();
    }
    arrived_ = false;
    parties_.leave([] { return false; });
  }
  // Its environment ends: others see it leave.
  void abandon() noexcept { close(); }

 private:
  static constexpr std::uint64_t kSeatMask = 0xFF;
  // A failed compare-and-swap means that somebody else got on. So many in a row do not happen to anybody,
  // unless a hostile process does nothing else than changing the word.
  static constexpr int kTries = 1'000'000;

  explicit Barrier(std::uint32_t count) noexcept : all_((1ULL << count) - 1) {}

  static constexpr std::uint64_t following(std::uint64_t turn) noexcept {
    return (turn + 1) & 0xFFU;
  }

  BarrierTurn look_at_word() {
    // acquire: see arrive().
    const std::uint64_t now = word().load(std::memory_order_acquire);
    const std::uint64_t turn = layout::turn_of(now);
    // Only we take our arrival back.
    if (turn == turn_ && (now & parties_.bit()) != 0) return {};
    arrived_ = false;
    if (turn != following(turn_)) return {BarrierTurn::Status::corrupt};
    return completed(false);
  }

  BarrierTurn completed(bool serial) noexcept {
    // The full number: the word's eight bits say how far the count lags behind.
    auto& count = turn().completed;
    std::uint64_t known = count.load(std::memory_order_relaxed);
    const std::uint64_t number = known + ((following(turn_) - known) & 0xFFU);
    for (int tries = 0; tries < kTries && known < number; ++tries) {
      if (count.compare_exchange_weak(known, number, std::memory_order_relaxed)) break;
    }
    return {BarrierTurn::Status::complete, number, serial, 0};
  }

  [[nodiscard]] BarrierTurn loss_of(std::uint32_t seat) const noexcept {
    const std::uint64_t who = losses().who[seat].load(std::memory_order_relaxed);
    BarrierTurn lost;
    lost.status =
        (who & layout::kDied) != 0 ? BarrierTurn::Status::died : BarrierTurn::Status::left;
    lost.pid = static_cast<std::uint32_t>(who);
    return lost;
  }
  // By the one that leaves, or, under the lifecycle lock, by the one that buries it.
  void lose(std::uint32_t seat, std::uint64_t how) noexcept {
    losses().who[seat].store(parties_.pid(seat) | how, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("barrier.lose.named");
    losses().missing.fetch_or(1ULL << seat, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("barrier.lose.missing");
    std::uint64_t last = losses().last.load(std::memory_order_relaxed);
    // release: pairs with the acquire loads of `last`: who and missing are there.
    for (int tries = 0; tries < kTries; ++tries) {
      if (losses().last.compare_exchange_weak(last, (last & ~kSeatMask) + (kSeatMask + 1) + seat,
                                              std::memory_order_acq_rel,
                                              std::memory_order_relaxed)) {
        break;
      }
    }
  }
  bool repair(std::uint32_t seat) {
    if (parties_.record(seat).state.load(std::memory_order_relaxed) !=
        static_cast<std::uint32_t>(layout::RoleState::attached)) {
      return true;  // left in good order, or never there
    }
    word().fetch_and(~(1ULL << seat), std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("barrier.repair.taken");
    lose(seat, layout::kDied);
    wake_others();
    return true;
  }
  void bury_the_dead() {
    const std::uint64_t dead = parties_.vacant_of(parties_.present());
    if (dead != 0) (void)parties_.bury(dead);
  }

  void wake_others() { parties_.wake_each(parties_.present() & ~parties_.bit()); }
  [[nodiscard]] layout::BarrierState::TurnLine& turn() const noexcept {
    return parties_.shared<layout::BarrierState>().turn;
  }
  [[nodiscard]] layout::BarrierState::LossLines& losses() const noexcept {
    return parties_.shared<layout::BarrierState>().losses;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& word() const noexcept { return turn().word; }

  Parties parties_{[this](std::uint32_t seat) { return repair(seat); }};
  std::uint64_t all_;
  std::uint64_t turn_ = 0;  // that we have arrived in
  bool arrived_ = false;
  std::uint64_t known_losses_ = 0;
};

}  // namespace millrace
