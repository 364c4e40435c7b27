// Stages that jobs leave in the order of their serial numbers, however many workers finish them in whatever order.
//
// A job that is done in such a stage becomes `held`, and goes on when no job with a smaller number is in this stage or an
// earlier one, unless that one is held here, too. A watermark for each of these stages tells how far that is: all jobs up to it
// have left the stage, or have ended. The front, the job of the next number, is one of
//
//   gone       its slot is free, or another job's; it is a dead letter, or was forwarded; it is in a later stage
//   held here  it goes on: held -> moving -> ready, at the end of the next stage
//   else       it blocks: it waits, is worked on, delayed, held in an earlier stage, or still being pushed
//
// and advance() moves the watermark over all that do not block, one after the other.
//
// Order. Only who has the lock of the stage lets jobs go on, each only after the watermark has passed all before it, and each
// is published at the next stage before the watermark passes it. Locks are taken one after the other, so all of this is one
// sequence whoever does it, and the ready list of the next stage is filled in that order. If the holder dies, what it was
// moving is finished before its lock is freed (JobStore::repair()).
//
// No held job is forgotten. Whoever takes a blocker away (ends a job, gives it up, finishes it: its word says so) calls
// advance() afterwards. That looks at the front without the lock. If the front blocks, there is nothing to do: whoever takes
// the front away calls advance(), too, and only later. If it does not, the lock is tried; if another one has it, `dirty` is set
// and the lock tried once more. Who unlocks looks at `dirty` afterwards. All of these are sequentially consistent: the change
// of the word, the loads of watermark, number, cell and word, the mark, the looks at the lock, and the unlocking. So
//   - the front was seen to block: at that instant its word said so, and the change of it is yet to come;
//   - the lock was seen to be taken: its holder unlocks after our mark, and finds it, or another one has cleared it, which does
//     that after it has locked and before it looks: it finds our word as it is now.
// Peers that lie could keep a holder busy for ever, so it stops after some rounds, and goes on when it takes the next job.
// That a number is looked at before its job can be seen does not happen (serials.hpp). A front that is thought to be gone is
// gone for ever: a slot is another job's, or its job has another number, only when the one meant has ended.
//
// What a stop costs. Nobody waits for a lock. Who is stopped with it holds up the jobs of that stage, as does a worker with the
// oldest job, and whoever is stopped in the middle of a push: those two words block, whoever has them. Who is stopped between
// the change of a word and its call of advance() is made up for by everybody else's call (WorkQueue::look() among them). Who
// dies in any of these is buried, and the undertaker calls advance().
//
// The ring of numbers (serials.hpp) forgets those that are `capacity` behind the last one. Then the front is searched for in
// the slots, and remembered as a hint, so that the look without the lock finds it. A slot that is found so may only name the
// number, which is another one's. So it may block, for as long as it names it: its pusher calls advance() afterwards. But when
// it is gone that says nothing of the number, and the search begins anew.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../store/seat_lock.hpp"
#include "memory.hpp"
#include "serials.hpp"

namespace millrace {

class Order {
 public:
  Order(const WorkMemory& memory, std::uint16_t seat) noexcept
      : memory_(&memory), serials_(serials_of(memory)), seat_(seat) {}

  // The numbers of this queue's jobs.
  [[nodiscard]] static Serials serials_of(const WorkMemory& memory) noexcept {
    std::atomic<std::uint64_t>& last = memory.control().serial;
    if (memory.shape().ordered == 0) return Serials(last);
    return Serials(last, memory.order_ring(), memory.shape().capacity());
  }
  // Is there any ordered stage?
  [[nodiscard]] bool on() const noexcept { return memory_->shape().ordered != 0; }
  // The ordered stages from that one on, a bit each.
  [[nodiscard]] std::uint32_t stages_from(std::uint32_t stage) const noexcept {
    return memory_->shape().ordered & ~((1U << stage) - 1);
  }
  // The first ordered stage that is ahead of whoever is in that one.
  [[nodiscard]] std::optional<std::uint32_t> first_from(std::uint32_t stage) const noexcept {
    const std::uint32_t ahead = stages_from(stage);
    if (ahead == 0) return std::nullopt;
    return static_cast<std::uint32_t>(std::countr_zero(ahead));
  }
  // The last ordered stage that a job leaves on its way to `next`.
  [[nodiscard]] std::optional<std::uint32_t> gate(std::uint32_t stage,
                                                  std::uint32_t next) const noexcept {
    const std::uint32_t left = next > stage ? stages_from(stage) & ((1U << next) - 1) : 0;
    if (left == 0) return std::nullopt;
    return 31 - static_cast<std::uint32_t>(std::countl_zero(left));
  }
  // Has its turn gone by? Only of jobs that came back to an earlier stage.
  [[nodiscard]] bool is_late(std::uint32_t stage, std::uint64_t serial) const noexcept {
    return is_past(serial, watermark(stage));
  }
  // Is it the next one to leave the stage, or late?
  [[nodiscard]] bool is_next(std::uint32_t stage, std::uint64_t serial) const noexcept {
    return is_past(serial, watermark(stage) + 1);
  }
  [[nodiscard]] std::uint64_t watermark(std::uint32_t stage) const noexcept {
    return memory_->order(stage).watermark.load(std::memory_order_seq_cst);
  }
  // The slot in which the next one to leave that stage should be, and its number. What is there now, the word and the number in
  // the slot tell.
  [[nodiscard]] std::optional<std::uint32_t> slot_of_next(std::uint32_t stage,
                                                          std::uint64_t& serial) const noexcept {
    serial = watermark(stage) + 1;
    if (is_past(serials_.last(), serial - 1)) return std::nullopt;
    std::optional<std::uint32_t> slot = serials_.slot_of(serial);
    if (!slot) {
      // relaxed: a hint, as in blocked().
      const std::uint32_t hint = memory_->order(stage).front.load(std::memory_order_relaxed);
      if (hint != 0) slot = hint - 1;
    }
    if (slot && *slot >= memory_->shape().slots()) slot.reset();
    return slot;
  }
  // True: advance() is to be called (Serials::give()).
  [[nodiscard]] bool give_serial(std::uint32_t index) const noexcept {
    return serials_.give(index, memory_->slot(index));
  }

  struct Advanced {
    bool moved = false;  // the watermark
    bool over = true;    // else it is to be called again
  };
  // Lets those go on whose turn it is, after something has changed that they may have waited for. let_go(slot, bits): the
  // held job, whose word is `bits`, is published at its next stage; returns whether it was.
  template <typename LetGo>
  Advanced advance(std::uint32_t stage, LetGo&& let_go) noexcept {
    Advanced done;
    if (blocked(stage)) return done;
    layout::OrderControl& control = memory_->order(stage);
    for (int round = 0; round < kRounds; ++round) {
      SeatLockHold held = lock_or_mark(control);
      if (!held) return done;
      pass_all(stage, let_go, done);
      MILLRACE_CRASH_POINT("work.order.looked");
      held.unlock();
      if (!done.over || control.dirty.load(std::memory_order_seq_cst) == 0) return done;
    }
    done.over = false;
    return done;
  }

  // The holder of that seat died, perhaps with locks; what it was moving has been finished. To be followed by advance().
  void bury(std::uint16_t seat) const noexcept {
    detail::for_each_bit(stages_from(0), [&](std::uint32_t stage) {
      SeatLockHold dead = SeatLockHold::inherit(memory_->order(stage).lock, seat);
      dead.unlock();
    });
  }

 private:
  static constexpr int kRounds = 64;

  enum class Front : std::uint8_t { gone, held, blocks };
  struct Oldest {
    std::uint64_t serial = 0;
    std::uint32_t slot = 0;
  };

  // Numbers go round.
  static bool is_past(std::uint64_t serial, std::uint64_t mark) noexcept {
    return static_cast<std::int64_t>(serial - mark) <= 0;
  }
  [[nodiscard]] std::uint32_t stage_of(const layout::Slot& slot) const noexcept {
    return slot.stage.load(std::memory_order_relaxed) % memory_->shape().stages;
  }

  // What the job of that number, which is or was in that slot, is to that stage. `bits`: its word.
  Front judge(std::uint32_t stage, std::uint64_t serial, std::uint32_t index,
              std::uint64_t& bits) const noexcept {
    if (index >= memory_->shape().slots()) return Front::gone;
    const layout::Slot& slot = memory_->slot(index);
    bits = slot.word.load(std::memory_order_seq_cst);
    const layout::Word word = layout::unpack(bits);
    switch (word.state) {
      case layout::SlotState::free:
      case layout::SlotState::spare:
      case layout::SlotState::forwarded:
        return Front::gone;
      case layout::SlotState::dead:
        // Or it is about to become a job again.
        if ((word.flags & layout::kConfirmed) == 0) return Front::gone;
        break;
      case layout::SlotState::writing:
        // Until it has a birth of its own the number is its predecessor's. acquire: pairs with the release in reserve().
        if (slot.born.load(std::memory_order_acquire) != word.token) return Front::gone;
        break;
      default:
        break;
    }
    // After the birth: else it might be the predecessor's with the birth of this one. seq_cst: as give() takes one back.
    if (slot.serial.load(std::memory_order_seq_cst) != serial) return Front::gone;
    const std::uint32_t its = stage_of(slot);
    if (its > stage) return Front::gone;
    return its == stage && word.state == layout::SlotState::held ? Front::held : Front::blocks;
  }

  // Nothing: whoever has it finds our mark.
  [[nodiscard]] SeatLockHold lock_or_mark(layout::OrderControl& control) const noexcept {
    if (SeatLockHold held = SeatLockHold::try_lock(control.lock, seat_)) return held;
    control.dirty.store(1, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.order.marked");
    return SeatLockHold::try_lock(control.lock, seat_);
  }
  // Is there nothing to be done? Without the lock.
  [[nodiscard]] bool blocked(std::uint32_t stage) const noexcept {
    const std::uint64_t passed = watermark(stage);
    const std::uint64_t last = serials_.last();
    if (is_past(last, passed)) return true;
    std::uint64_t bits = 0;
    if (const auto slot = serials_.slot_of(passed + 1)) {
      return judge(stage, passed + 1, *slot, bits) == Front::blocks;
    }
    // relaxed: the number tells if it is the one that is meant.
    const std::uint32_t hint = memory_->order(stage).front.load(std::memory_order_relaxed);
    return hint != 0 && judge(stage, passed + 1, hint - 1, bits) == Front::blocks;
  }

  template <typename LetGo>
  void pass_all(std::uint32_t stage, LetGo&& let_go, Advanced& done) noexcept {
    layout::OrderControl& control = memory_->order(stage);
    control.dirty.store(0, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.order.locked");
    const auto pass = [&](std::uint64_t serial) {
      control.watermark.store(serial, std::memory_order_seq_cst);
      done.moved = true;
      MILLRACE_CRASH_POINT("work.order.passed");
    };
    for (std::uint64_t steps = 0; steps < kRounds * serials_.capacity(); ++steps) {
      std::uint64_t passed = watermark(stage);
      const std::uint64_t last = serials_.last();
      if (is_past(last, passed)) return;
      std::optional<std::uint32_t> slot = serials_.slot_of(passed + 1);
      const bool searched = !slot;
      if (searched) {
        const std::optional<Oldest> oldest = oldest_behind(stage, passed, last);
        if (!oldest) {
          pass(last);
          continue;
        }
        if (oldest->serial != passed + 1) pass(oldest->serial - 1);
        passed = oldest->serial - 1;
        slot = oldest->slot;
        control.front.store(*slot + 1, std::memory_order_relaxed);
        MILLRACE_CRASH_POINT("work.order.found");
      }
      std::uint64_t bits = 0;
      switch (judge(stage, passed + 1, *slot, bits)) {
        case Front::blocks:
          return;
        case Front::held:
          if (!let_go(*slot, bits)) continue;
          break;
        case Front::gone:
          if (searched) continue;
          break;
      }
      pass(passed + 1);
    }
    done.over = false;
  }

  // The smallest number between `passed` and `last` of a job that has not left that stage. All of these jobs can be seen; what
  // is missed has gone meanwhile.
  [[nodiscard]] std::optional<Oldest> oldest_behind(std::uint32_t stage, std::uint64_t passed,
                                                    std::uint64_t last) const noexcept {
    std::optional<Oldest> oldest;
    for (std::uint32_t index = 0; index < memory_->shape().slots(); ++index) {
      const std::uint64_t serial = memory_->slot(index).serial.load(std::memory_order_relaxed);
      if (is_past(serial, passed) || !is_past(serial, oldest ? oldest->serial - 1 : last)) continue;
      std::uint64_t bits = 0;
      if (judge(stage, serial, index, bits) != Front::gone) oldest = Oldest{serial, index};
    }
    return oldest;
  }

  const WorkMemory* memory_;
  Serials serials_;
  std::uint16_t seat_;
};

}  // namespace millrace
