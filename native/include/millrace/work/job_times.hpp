// What time does to jobs: delays end, times to live and leases are over.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "job_steps.hpp"

namespace millrace {

class JobTimes : public JobSteps {
 public:
  using JobSteps::JobSteps;

  // Does what is due. Returns for how many jobs something was done.
  std::uint32_t sweep(std::uint64_t now) noexcept {
    if (due_.earliest() > now) return 0;
    std::uint32_t done = 0;
    due_.sweep(now, [&](std::uint32_t slot) { return sweep_slot(slot, now, done); });
    return done;
  }
  // What somebody else was to see to, or we did not come to the end of: groups whose next job it is, stages. Now and then, and
  // before taking.
  void catch_up() noexcept {
    if (std::exchange(owes_order_, false)) keep_order();
    const std::uint32_t owed = std::exchange(owed_, 0);
    for (std::uint32_t i = 0; i < owed; ++i) {
      const std::uint32_t group = owed_groups_[i];
      if (!groups_.leave_again(group, [this](std::uint32_t next) { activate(next); }))
        owed_groups_[owed_++] = group;
    }
    if (groups_.made_room()) stirred_ |= kRoom;
  }

 protected:
  // Does what is due in that slot; when the next thing is.
  std::uint64_t sweep_slot(std::uint32_t index, std::uint64_t now, std::uint32_t& done) noexcept {
    const layout::Slot& slot = memory_.slot(index);
    const std::uint64_t bits = slot.word.load(std::memory_order_seq_cst);
    const layout::Word word = layout::unpack(bits);
    const std::uint64_t expires = slot.expires.load(std::memory_order_seq_cst);
    std::uint64_t next = DueTimes::kNever;
    switch (word.state) {
      case layout::SlotState::delayed:
      case layout::SlotState::ready:
        if (expires != 0 && expires <= now) {
          done += expire(index, bits) ? 1 : 0;
          return next;
        }
        if (expires != 0) next = expires;
        if (word.state == layout::SlotState::delayed) {
          const std::uint64_t due = slot.due.load(std::memory_order_seq_cst);
          if (due > now) return std::min(next, due);
          done += return_as(index, bits, word) ? 1 : 0;
        }
        return next;
      case layout::SlotState::leased: {
        const std::uint64_t end = slot.lease_end.load(std::memory_order_seq_cst);
        if (end == 0 || (end & 0xFFU) != (word.token & 0xFFU)) return next;
        if (end > now) return end;
        if (end_lease(index, bits)) {
          ++done;
          add(layout::WorkCount::timed_out);
        }
        return next;
      }
      default:
        return next;
    }
  }
  // Takes the job from its holder: its lease is over, by time or by death.
  bool end_lease(std::uint32_t index, std::uint64_t bits,
                 layout::DeadReason reason = layout::DeadReason::attempts) noexcept {
    const layout::Word word = layout::unpack(bits);
    const bool started = (word.flags & layout::kStarted) != 0;
    if (started && is_last(word.attempt)) return die(index, bits, word, reason);
    return return_as(index, bits, word);
  }
};

}  // namespace millrace
