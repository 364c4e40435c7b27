// Taking a job, and settling it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "job_pushes.hpp"

namespace millrace {

class JobLeases : public JobPushes {
 public:
  using JobPushes::JobPushes;

  // The first job of that stage, or none. `start`: its handler begins, so this attempt counts.
  [[nodiscard]] Lease take(std::uint32_t stage, bool start) noexcept {
    catch_up();
    const Lease got = ready_.take(stage, [this, start](std::uint32_t slot, std::uint64_t word) {
      return make_own(slot, word, start);
    });
    return got ? begin(got) : got;
  }
  // May there be a job of that stage?
  [[nodiscard]] bool any(std::uint32_t stage) const noexcept { return ready_.any(stage); }
  // The handler of a job that was taken ahead begins. False: the lease is lost, as below.
  [[nodiscard]] bool start(Lease& lease) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) != 0) return holds(lease);
    word.flags |= layout::kStarted;
    if (word.attempt != 0xFF) ++word.attempt;
    return change(lease, word);
  }
  // The job is done, and gone.
  [[nodiscard]] bool complete(Lease& lease) noexcept {
    const layout::Slot& slot = memory_.slot(lease.slot);
    const std::uint32_t granule = slot.granule.load(std::memory_order_relaxed);
    const std::uint32_t granules = slot.granules.load(std::memory_order_relaxed);
    if (!end_word(lease.slot, lease.word, granule, granules)) return lost(lease);
    lease = Lease{};
    count(own_->completed);
    return true;
  }
  // Back to its place, and this attempt does not count.
  [[nodiscard]] bool release(Lease& lease, std::uint64_t delay_ns) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) != 0 && word.attempt > 0) --word.attempt;
    return give_back(lease, word, delay_ns);
  }
  // The same, and it counts: after the last one that is allowed it is a dead letter.
  [[nodiscard]] bool retry(Lease& lease, std::uint64_t delay_ns, std::string_view error) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) == 0 && word.attempt != 0xFF) ++word.attempt;
    if (!holds(lease)) return lost(lease);
    note(lease.slot, error);
    if (is_last(word.attempt)) {
      return bury_job(lease, word, layout::DeadReason::attempts);
    }
    return give_back(lease, word, delay_ns);
  }
  // Never again: a dead letter at once.
  [[nodiscard]] bool reject(Lease& lease, std::string_view error) noexcept {
    if (!holds(lease)) return lost(lease);
    note(lease.slot, error);
    return bury_job(lease, layout::unpack(lease.word), layout::DeadReason::rejected);
  }
  // The lease ends that much later from now, where leases end by time at all.
  [[nodiscard]] bool extend(const Lease& lease, std::uint64_t ns) noexcept {
    if (!holds(lease)) return false;
    if (memory_.shape().lease_ms != 0) extend_to(lease, ns);
    return holds(lease);
  }

 protected:
  // What follows from having made a job one's own.
  Lease begin(const Lease& got) noexcept {
    ++memory_.slot(got.slot).acquired;
    if (memory_.shape().lease_ms != 0) extend_to(got, memory_.shape().lease_ms * 1'000'000);
    count(own_->taken);
    return got;
  }
  // Of a ready job: makes it the caller's. Whose time to live is over is a dead letter instead.
  std::uint64_t make_own(std::uint32_t index, std::uint64_t bits, bool start) noexcept {
    layout::Slot& slot = memory_.slot(index);
    layout::Word word = layout::unpack(bits);
    const std::uint64_t expires = slot.expires.load(std::memory_order_relaxed);
    if (expires != 0 && expires <= os::monotonic_ns()) {
      expire(index, bits);
      return 0;
    }
    word.state = layout::SlotState::leased;
    word.flags = start ? layout::kStarted : 0;
    word.seat = seat_;
    if (start && word.attempt != 0xFF) ++word.attempt;
    ++word.token;
    const std::uint64_t mine = layout::pack(word);
    // acquire: pairs with the release of who made it ready, or gave it back.
    if (!slot.word.compare_exchange_strong(bits, mine, std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
      return 0;
    }
    return mine;
  }
  // When the lease ends. The low bits say which lease: who looks at it later may have another one before him.
  void extend_to(const Lease& lease, std::uint64_t ns) noexcept {
    const std::uint64_t end = later(os::monotonic_ns(), ns);
    const std::uint64_t tagged = (end & ~0xFFULL) | (layout::unpack(lease.word).token & 0xFFU);
    memory_.slot(lease.slot).lease_end.store(tagged, std::memory_order_seq_cst);
    due_.set(lease.slot, end);
  }
  bool give_back(Lease& lease, layout::Word word, std::uint64_t delay_ns) noexcept {
    layout::Slot& slot = memory_.slot(lease.slot);
    const std::uint32_t index = lease.slot;
    if (delay_ns != 0) {
      if (!holds(lease)) return lost(lease);
      const std::uint64_t due = later(os::monotonic_ns(), delay_ns);
      slot.due.store(due, std::memory_order_relaxed);
      word.state = layout::SlotState::delayed;
      word.flags = 0;
      if (!step(index, lease.word, word, layout::MovingTo::delayed)) return lost(lease);
      due_.set(index, due);
      watch_expiry(index);
      stirred_ |= 1U << stage_of(index);
    } else {
      std::uint64_t bits = lease.word;
      if (!lease || !return_as(index, bits, word)) return lost(lease);
    }
    lease = Lease{};
    count(own_->returned);
    return true;
  }
  // Of what its holder gives up.
  bool bury_job(Lease& lease, layout::Word word, layout::DeadReason reason) noexcept {
    const std::uint32_t index = lease.slot;
    const std::uint64_t bits = lease.word;
    if (!die(index, bits, word, reason)) return lost(lease);
    lease = Lease{};
    count(own_->rejected);
    return true;
  }
};

}  // namespace millrace
