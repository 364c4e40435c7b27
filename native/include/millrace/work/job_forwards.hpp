// Handing a job on to another queue: the steps of forward.hpp, and what is done for who died among them.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "../crash_point.hpp"
#include "forward.hpp"
#include "job_results.hpp"

namespace millrace {

class JobForwards : public JobResults {
 public:
  using JobResults::JobResults;

  // The job is done, and what it became, written to a place in `to`, is a job there: one step (forward.hpp). `to` is this store
  // or another one's, of the same thread. `options` as of push(), without a group. The place is gone afterwards, unless the answer
  // is `busy`. Not if `to` is on disk: see below.
  [[nodiscard]] Forwarded forward(Lease& lease, JobForwards& to, Loan& loan, std::uint64_t length,
                                  const PushOptions& options) noexcept {
    Promise promise;
    const Forwarded begun = begin_forward(lease, to, loan, length, options, promise);
    if (begun == Forwarded::duplicate) return complete(lease) ? begun : Forwarded::lost;
    return begun == Forwarded::yes ? finish_forward(lease, to, promise) : begun;
  }
  // The same in two: where what was promised has to be on the disk before the job may end. In between the job is in hand as before,
  // and may be lost, or settled otherwise; what was promised is then withdrawn. `duplicate`: nothing was promised, and the job can
  // be completed as soon as it is certain that the other one of its id is on the disk.
  [[nodiscard]] Forwarded begin_forward(Lease& lease, JobForwards& to, Loan& loan,
                                        std::uint64_t length, const PushOptions& options,
                                        Promise& promise) noexcept {
    if (!holds(lease)) {
      to.cancel(loan);
      (void)lost(lease);
      return Forwarded::lost;
    }
    const layout::Word word = layout::unpack(lease.word);
    switch (to.promise(loan, length, options,
                       Origin{seed_, layout::work_job(lease.slot, word.token)}, promise)) {
      case Pushed::yes:
        return Forwarded::yes;
      case Pushed::duplicate:
        return Forwarded::duplicate;
      default:
        return Forwarded::busy;
    }
  }
  // `busy`: what was promised is no more, and the job is in hand.
  [[nodiscard]] Forwarded finish_forward(Lease& lease, JobForwards& to, Promise& promise) noexcept {
    if (!to.is_promised(promise)) return Forwarded::busy;
    layout::Slot& slot = memory_.slot(lease.slot);
    layout::Word word = layout::unpack(lease.word);
    word.state = layout::SlotState::moving;
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::forwarded);
    if (!change(lease, word)) {
      to.withdraw(promise);
      return Forwarded::lost;
    }
    MILLRACE_CRASH_POINT("work.forward.begun");
    // Only now: whoever has lost the lease must not write over what its new holder does.
    slot.forward = layout::work_job(promise.slot, layout::unpack(promise.word).token);
    slot.forward_queue = to.seed_;
    word.state = layout::SlotState::forwarded;
    word.flags = 0;
    const std::uint64_t bits = layout::pack(word);
    // The one step. release: pairs with the acquire in was_forwarded().
    slot.word.store(bits, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.forward.done");
    to.keep(promise);
    promise = Promise{};
    MILLRACE_CRASH_POINT("work.forward.kept");
    (void)drop(lease.slot, bits);
    lease = Lease{};
    count(own_->completed);
    return Forwarded::yes;
  }
  // What was promised comes to nothing.
  void withdraw(Promise& promise) noexcept {
    if (is_promised(promise)) {
      keys_.cancel(memory_.slot(promise.slot).key_home, promise.slot,
                   layout::unpack(promise.word).token);
      (void)drop(promise.slot, promise.word);
    }
    promise = Promise{};
  }
  // Shows repair() other queues.
  void reach_by(Reach reach) { reach_ = std::move(reach); }
  // Did repair() have to leave something, because another queue could not be looked at? It is to be called again then.
  [[nodiscard]] bool left_something() const noexcept { return left_something_; }

 protected:
  // What was written to that place is to become a job when its origin says so.
  Pushed promise(Loan& loan, std::uint64_t length, const PushOptions& options, const Origin& origin,
                 Promise& promise) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    layout::Word word;
    if (const Pushed told = describe(loan, length, options, word); told != Pushed::yes) return told;
    slot.position.store(ready_.end_of(options.stage, options.level), std::memory_order_relaxed);
    slot.forward = origin.job;
    slot.forward_queue = origin.queue;
    word.state = layout::SlotState::promised;
    promise = Promise{loan.slot, layout::pack(word)};
    // release: pairs with the acquire of whoever buries us.
    slot.word.store(promise.word, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.forward.promised");
    loan = Loan{};
    return Pushed::yes;
  }
  [[nodiscard]] bool is_promised(const Promise& promise) const noexcept {
    return promise &&
           memory_.slot(promise.slot).word.load(std::memory_order_acquire) == promise.word;
  }
  void keep(const Promise& promise) noexcept {
    layout::Slot& slot = memory_.slot(promise.slot);
    layout::Word word = layout::unpack(promise.word);
    const std::uint32_t stage = stage_of(promise.slot);
    const std::uint64_t due = slot.due.load(std::memory_order_relaxed);
    const std::uint64_t expires = slot.expires.load(std::memory_order_relaxed);
    word.flags = layout::kConfirmed;
    if (due != 0) {
      word.state = layout::SlotState::delayed;
      slot.word.store(layout::pack(word), std::memory_order_seq_cst);
      due_.set(promise.slot, due);
      stirred_ |= 1U << stage;
    } else {
      publish(promise.slot, word, stage);
    }
    if (expires != 0) due_.set(promise.slot, expires);
    count(own_->pushed);
  }
  // The queue of that instance, which may be this one.
  Reached at_queue(std::uint64_t instance, const LookAt& look) {
    if (instance == seed_) {
      stirred_ |= look(memory_);
      return Reached::yes;
    }
    return reach_ ? reach_(instance, look) : Reached::gone;
  }
  // What a dead seat promised holds if the job that it is of was forwarded.
  void settle_promise(std::uint32_t index, std::uint64_t bits, std::uint16_t seat) {
    const layout::Slot& slot = memory_.slot(index);
    const std::uint32_t token = layout::unpack(bits).token;
    const std::uint64_t result = layout::work_job(index, token);
    const Origin origin{slot.forward_queue, slot.forward};
    bool holds = false;
    const Reached reached = at_queue(slot.forward_queue, [&](const WorkMemory& its) {
      holds = detail::was_forwarded(its, slot.forward, seed_, result);
      return 0U;
    });
    if (reached == Reached::later) {
      left_something_ = true;
    } else if (holds) {
      stirred_ |= 1U << detail::keep_promise(memory_, result, origin);
    } else {
      // Perhaps it was kept meanwhile by whoever buries the other seat: then its id stays known, by its word.
      const std::uint32_t home = slot.key_home;
      layout::Word gone = layout::unpack(bits);
      gone.state = layout::SlotState::writing;
      gone.seat = seat;
      gone.flags = 0;
      std::uint64_t expected = bits;
      if (memory_.slot(index).word.compare_exchange_strong(expected, layout::pack(gone),
                                                           std::memory_order_seq_cst)) {
        MILLRACE_CRASH_POINT("work.promise.undone");
        keys_.bury(seat, home, index, token);
        if (drop(index, layout::pack(gone))) add(layout::WorkCount::unfinished);
      } else {
        stirred_ |= 1U << detail::keep_promise(memory_, result, origin);
      }
    }
  }
  // What a dead seat has forwarded: its result first.
  void bury_forward(std::uint32_t index, std::uint64_t bits) {
    const layout::Slot& slot = memory_.slot(index);
    const Origin origin{seed_, layout::work_job(index, layout::unpack(bits).token)};
    const Reached reached = at_queue(slot.forward_queue, [&](const WorkMemory& its) {
      return 1U << detail::keep_promise(its, slot.forward, origin);
    });
    if (reached == Reached::later) {
      left_something_ = true;
      return;
    }
    MILLRACE_CRASH_POINT("work.forward.finished");
    (void)drop(index, bits);
  }
  Reach reach_;
  bool left_something_ = false;
};

}  // namespace millrace
