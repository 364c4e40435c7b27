// From stage to stage: a job moves on in its slot, at once or, from an ordered stage, when it is its turn (order.hpp).
//
//   the word                                  if it dies there
//   leased -> moving, to which stage          it is done here, and goes on
//   moving -> ready                           no hint: ready and returned, to the end of the list as it was then
//   moving -> held                            nobody's: it goes on when it is its turn
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "../crash_point.hpp"
#include "job_leases.hpp"

namespace millrace {

class JobStages : public JobLeases {
 public:
  using JobLeases::JobLeases;

  // On to that stage, as it is. One step: who dies in it has done it, or has not.
  [[nodiscard]] bool move_on(Lease& lease, std::uint8_t stage) noexcept {
    layout::Word word = layout::unpack(lease.word);
    word.state = layout::SlotState::moving;
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::next_stage);
    word.attempt = stage;
    if (!change(lease, word)) return false;
    MILLRACE_CRASH_POINT("work.move.begun");
    leave_stage(lease.slot, word, stage);
    lease = Lease{};
    count(own_->completed);
    return true;
  }
  // Of a job that somebody has in hand: can it go on at once, as far as the order is concerned?
  [[nodiscard]] bool is_next(std::uint32_t index) const noexcept {
    const std::uint32_t stage = stage_of(index);
    if ((order_.stages_from(stage) & 1U << stage) == 0) return true;
    return order_.is_next(stage, memory_.slot(index).serial.load(std::memory_order_relaxed));
  }

 protected:
  // The job in that slot, whose word is `moving` and ours, is done in its stage, and everything that it is now is written. It
  // goes on, or waits for its turn.
  void leave_stage(std::uint32_t index, layout::Word word, std::uint32_t next) noexcept {
    const std::uint32_t stage = stage_of(index);
    if (hold_back(index, word, next)) return;
    enter_stage(index, word, next);
    if (!order_.gate(stage, next)) return;
    // It was late, and may be what another stage between the two has waited for. seq_cst, as Order wants it.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    advance_from(stage);
  }
  // If there is an ordered stage on the way: it is held there until it is its turn. False: there is none, or its turn is over.
  bool hold_back(std::uint32_t index, layout::Word word, std::uint32_t next) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint32_t stage = stage_of(index);
    const std::optional<std::uint32_t> gate = order_.gate(stage, next);
    if (!gate || order_.is_late(*gate, slot.serial.load(std::memory_order_relaxed))) return false;
    // Over more than one stage: it waits in the last one of them, so that it has left all the others in order as well.
    if (*gate != stage) {
      slot.stage.store(static_cast<std::uint8_t>(*gate), std::memory_order_relaxed);
    }
    word.state = layout::SlotState::held;
    word.flags = 0;
    word.attempt = static_cast<std::uint8_t>(next);
    // seq_cst: before our look at the front, in advance(). release: pairs with the acquire of who lets it go.
    slot.word.store(layout::pack(word), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.order.held");
    advance_from(stage);
    return true;
  }
};

}  // namespace millrace
