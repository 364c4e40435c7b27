// How long jobs take: from when one is pushed until it is taken, and from then until it is settled. What a handle has beside its queue if it
// was opened to count that; all that is done to jobs knows nothing of it. One of 64 is measured, and stands for those before it.
//
// The first of both times needs a mark that goes with the job. It lies in its slot, in bytes that are otherwise meaningless until it was
// taken: who pushes writes it while the slot is his, before the word that makes the job ready; who takes reads it when the slot is his. So the
// order of the words is all that it needs. A slot may have a mark of an earlier job, for older versions take and push without a look at it.
// Therefore it says whose it is, by the token that the job was born with; and a job that was taken before is not counted.
//
// The second one is the business of one handle. It remembers some of the jobs that it has in hand, by their slots.
#pragma once

#include <atomic>
#include <cstdint>

#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "facts.hpp"
#include "memory.hpp"
#include "ready.hpp"
#include "times.hpp"

namespace millrace {

class JobMeter {
 public:
  explicit JobMeter(const WorkMemory& memory) noexcept : memory_(memory) {}

  // What has been written to that place is about to be pushed. Not of what is put off: its delay would be counted.
  void mark(const Loan& loan, const PushOptions& options) noexcept {
    if (pushes_.next()) mark_now(loan, options);
  }
  // A job has just been taken.
  void taken(const Lease& lease) noexcept {
    layout::Slot& slot = memory_.slot(lease.slot);
    const std::uint32_t measured = slot.measured.load(std::memory_order_relaxed);
    const bool next = takes_.next();
    if (measured != 0 || next) look(slot, lease, measured, next);
  }
  // Is there one that settled() is to be told of? Then its lease is to be kept.
  [[nodiscard]] bool working() const noexcept { return in_hand_.any(); }
  // It was settled; `lease` as it was before.
  void settled(const Lease& lease) noexcept {
    if (in_hand_.any()) count_settled(lease);
  }

 private:
  static constexpr std::uint32_t kBornShift = 8;
  static_assert(Sampling::kMost < 1U << kBornShift);

  // That of a lease: a job has a token from its birth on, and another one with each lease.
  static std::uint64_t job_of(const Lease& lease) noexcept {
    return layout::work_job(lease.slot, layout::unpack(lease.word).token);
  }

  // These three are out of the way of the jobs that are not measured.
  [[gnu::noinline]] void mark_now(const Loan& loan, const PushOptions& options) noexcept {
    if (options.delay_ns != 0) {
      pushes_.put_off();
      return;
    }
    layout::Slot& slot = memory_.slot(loan.slot);
    // Between reserve() and push() it is nobody's but ours, and reserve() has cleared `forward`.
    slot.forward = os::monotonic_ns();
    // relaxed, as the reads of it: the word orders them.
    slot.measured.store(pushes_.stands_for() | layout::unpack(loan.word).token << kBornShift,
                        std::memory_order_relaxed);
  }
  [[gnu::noinline]] void look(layout::Slot& slot, const Lease& lease, std::uint32_t measured,
                              bool next) noexcept {
    const std::uint64_t now = os::monotonic_ns();
    if (measured != 0) {
      slot.measured.store(0, std::memory_order_relaxed);
      const std::uint32_t born = slot.born.load(std::memory_order_relaxed);
      const bool its = measured >> kBornShift == (born & (~0U >> kBornShift)) && slot.acquired == 1;
      // Of a clock that is behind that of who pushed, in a time name space of its own, nothing is known.
      if (its && slot.forward != 0 && slot.forward <= now) {
        count_work_time(memory_.control(), layout::WorkTime::arrival, now - slot.forward,
                        measured & Sampling::kMost);
      }
    }
    if (!next) return;
    (void)in_hand_.start(lease.slot, job_of(lease), now, takes_,
                         [this](std::uint64_t job) { return is_in_hand(job); });
  }
  [[gnu::noinline]] void count_settled(const Lease& lease) noexcept {
    in_hand_.stop(lease.slot, job_of(lease), memory_.control(), layout::WorkTime::service);
  }
  // It is not if its lease was over: nobody says that it was settled.
  [[nodiscard]] bool is_in_hand(std::uint64_t job) const noexcept {
    const auto slot = static_cast<std::uint32_t>(job);
    const layout::Word word =
        layout::unpack(memory_.slot(slot).word.load(std::memory_order_relaxed));
    return word.state == layout::SlotState::leased && layout::work_job(slot, word.token) == job;
  }

  WorkMemory memory_;
  Sampling pushes_;
  Sampling takes_;
  Stopwatches in_hand_;
};

}  // namespace millrace
