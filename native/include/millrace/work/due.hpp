// When something is due: a delayed job, the end of a time to live, the end of a lease. The times are in the slots; a hint for
// each group of 64 slots and one for all say when looking is worth while. Too early is harmless, too late is not.
//
// A hint is {time in units of 256 ns, 56 bits; version 8 bits}. Whoever gives a slot a time lowers the hints if need be, and
// counts their version up in any case, after the word says that the time holds. Whoever sweeps first puts a hint a few
// milliseconds off (so that another sweeps if this one is stopped), then looks at the slots, then sets the hint to what it
// found, by compare-and-swap: if a time came meanwhile the version has changed, and the sweep looks again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "../crash_point.hpp"
#include "memory.hpp"

namespace millrace {

class DueTimes {
 public:
  static constexpr std::uint64_t kNever = ~0ULL;

  DueTimes() = default;
  explicit DueTimes(const WorkMemory& memory) noexcept : memory_(&memory) {}

  // That slot has a time, and its word says so (sequentially consistent).
  void set(std::uint32_t slot, std::uint64_t time) const noexcept {
    MILLRACE_CRASH_POINT("work.due.word");
    lower(memory_->due_groups()[slot / 64], time);
    MILLRACE_CRASH_POINT("work.due.group");
    lower(memory_->control().earliest, time);
  }

  // Not before this: monotonic nanoseconds, rounded down; kNever: nothing is due ever.
  [[nodiscard]] std::uint64_t earliest() const noexcept {
    return time_of(memory_->control().earliest.load(std::memory_order_relaxed));
  }

  // Calls each(slot) for the slots of every group in which something may be due by now. `each` does what is to be done and
  // returns the next time of that slot, or kNever. Bounded: what is left over is due again soon.
  template <typename Each>
  void sweep(std::uint64_t now, Each&& each) const noexcept {
    auto& all = memory_->control().earliest;
    std::uint64_t hint = all.load(std::memory_order_seq_cst);
    if (time_of(hint) > now) return;
    if (!put_off(all, hint, now)) return;  // somebody sweeps, or a time has come
    MILLRACE_CRASH_POINT("work.due.begun");
    std::uint64_t next = kNever;
    for (std::uint32_t group = 0; group < memory_->shape().slot_words(); ++group)
      next = std::min(next, sweep_group(group, now, each));
    settle(all, hint, next);
  }

  // Whoever set hints may have died before it did: looks at everything soon.
  void forget() const noexcept {
    for (std::uint32_t group = 0; group < memory_->shape().slot_words(); ++group)
      lower(memory_->due_groups()[group], 0);
    lower(memory_->control().earliest, 0);
  }
  // For a new queue.
  void clear() const noexcept {
    for (std::uint32_t group = 0; group < memory_->shape().slot_words(); ++group)
      memory_->due_groups()[group].store(kNever, std::memory_order_relaxed);
    memory_->control().earliest.store(kNever, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t kVersions = 256;
  static constexpr std::uint64_t kPutOffNs = 10'000'000;
  static constexpr int kRounds = 4;

  // Never, as a hint has it.
  static constexpr std::uint64_t kLast = kNever / kVersions;

  static std::uint64_t time_of(std::uint64_t hint) noexcept {
    return hint / kVersions >= kLast ? kNever : hint / kVersions * kVersions;
  }
  static std::uint64_t hint_of(std::uint64_t time, std::uint64_t version) noexcept {
    return time / kVersions * kVersions | version % kVersions;
  }

  static void lower(std::atomic<std::uint64_t>& hint, std::uint64_t time) noexcept {
    std::uint64_t found = hint.load(std::memory_order_seq_cst);
    while (!hint.compare_exchange_weak(found, hint_of(std::min(time_of(found), time), found + 1),
                                       std::memory_order_seq_cst)) {
    }
  }
  // `hint` is what it is afterwards.
  static bool put_off(std::atomic<std::uint64_t>& word, std::uint64_t& hint,
                      std::uint64_t now) noexcept {
    const std::uint64_t off = hint_of(now + kPutOffNs, hint + 1);
    if (!word.compare_exchange_strong(hint, off, std::memory_order_seq_cst)) return false;
    hint = off;
    return true;
  }
  // False: a time came meanwhile.
  static bool settle(std::atomic<std::uint64_t>& word, std::uint64_t& hint,
                     std::uint64_t next) noexcept {
    return word.compare_exchange_strong(hint, hint_of(next, hint + 1), std::memory_order_seq_cst);
  }

  // When to come back to that group.
  template <typename Each>
  std::uint64_t sweep_group(std::uint32_t group, std::uint64_t now, Each&& each) const noexcept {
    auto& word = memory_->due_groups()[group];
    std::uint64_t hint = word.load(std::memory_order_seq_cst);
    for (int round = 0; round < kRounds; ++round) {
      if (time_of(hint) > now) return time_of(hint);
      if (!put_off(word, hint, now)) continue;
      std::uint64_t next = kNever;
      const std::uint32_t end = std::min(group * 64 + 64, memory_->shape().slots());
      for (std::uint32_t slot = group * 64; slot < end; ++slot)
        next = std::min(next, each(slot));
      MILLRACE_CRASH_POINT("work.due.group.seen");
      if (settle(word, hint, next)) return next;
    }
    return now + kPutOffNs;
  }

  const WorkMemory* memory_ = nullptr;
};

}  // namespace millrace
