// Dead letters: jobs that are kept because they cannot be done. They stay in their slots, with a quota of their own: as many
// slots as there may be dead letters are `spare` from the beginning, and with each job that dies one of them becomes free, so
// that the dead take no room from the living. When there are no spare ones left, the oldest dead letter goes, and is counted.
//
//   dead + spare = quota      holds while nobody is between the death of a job and balance()
//
// A job dies by one compare-and-swap, without a lock. What restores the quota runs under a small lock, which nobody waits for:
// who finds it taken leaves a mark, and the one who has it looks for the mark after letting go. So a process that is stopped
// there delays the quota and nothing else. The undertaker of one that died there counts anew.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "../compact_sort.hpp"
#include "../crash_point.hpp"
#include "memory.hpp"

namespace millrace {

class DeadLetters {
 public:
  DeadLetters() = default;
  DeadLetters(const WorkMemory& memory, std::uint16_t seat) noexcept
      : memory_(&memory), seat_(seat) {}

  // Restores the quota. `freed(slot)` is told of slots that jobs can have now; `drop(slot, word)` frees the dead letter that
  // this word stands for, and returns whether it did.
  template <typename Freed, typename Drop>
  void balance(Freed&& freed, Drop&& drop) noexcept {
    layout::WorkControl& control = memory_->control();
    for (int round = 0; round < kRounds; ++round) {
      if (!lock()) {
        control.dead_dirty.store(1, std::memory_order_seq_cst);
        MILLRACE_CRASH_POINT("work.dead.marked");
        // Either we see that it is free again, or whoever frees it sees the mark.
        if (control.dead_lock.load(std::memory_order_seq_cst) != 0) return;
        continue;
      }
      control.dead_dirty.store(0, std::memory_order_seq_cst);
      MILLRACE_CRASH_POINT("work.dead.locked");
      restore(freed, drop);
      unlock();
      if (control.dead_dirty.load(std::memory_order_seq_cst) == 0) return;
    }
  }

  // Calls each(slot, word bits) for up to `limit` dead letters, the oldest first, under the lock. `each` returns whether to go
  // on. Nothing: another one is at it.
  template <typename Each>
  [[nodiscard]] bool in_order(Each&& each) {
    if (!lock()) return false;
    const std::vector<Found> all = all_in_order();
    for (const Found& next : all) {
      if (!each(next.slot, next.bits)) break;
    }
    unlock();
    return true;
  }

  [[nodiscard]] std::uint32_t count() const noexcept {
    std::uint32_t dead = 0;
    for (std::uint32_t slot = 0; slot < memory_->shape().slots(); ++slot)
      dead += state_of(slot) == layout::SlotState::dead ? 1 : 0;
    return dead;
  }

  // The holder of that seat died, perhaps with the lock. Then it must be followed by balance().
  void bury(std::uint16_t seat) noexcept {
    std::uint64_t held = seat + 1U;
    (void)memory_->control().dead_lock.compare_exchange_strong(held, 0, std::memory_order_seq_cst);
  }

 private:
  static constexpr int kRounds = 64;

  struct Found {
    std::uint32_t slot = 0;
    std::uint64_t bits = 0;
    std::uint64_t dead_at = 0;
  };

  [[nodiscard]] std::vector<Found> all_in_order() const {
    std::vector<Found> all;
    for (std::uint32_t slot = 0; slot < memory_->shape().slots(); ++slot) {
      if (const Found found = dead_in(slot); found.bits != 0) all.push_back(found);
    }
    compact_sort(all, [](const Found& a, const Found& b) {
      return std::pair(a.dead_at, a.slot) < std::pair(b.dead_at, b.slot);
    });
    return all;
  }
  [[nodiscard]] layout::SlotState state_of(std::uint32_t slot) const noexcept {
    return layout::unpack(memory_->slot(slot).word.load(std::memory_order_acquire)).state;
  }
  [[nodiscard]] bool lock() noexcept {
    std::uint64_t nobody = 0;
    return memory_->control().dead_lock.compare_exchange_strong(nobody, seat_ + 1U,
                                                                std::memory_order_seq_cst);
  }
  void unlock() noexcept { memory_->control().dead_lock.store(0, std::memory_order_seq_cst); }

  // The dead letter in that slot; its bits are 0 if there is none.
  [[nodiscard]] Found dead_in(std::uint32_t slot) const noexcept {
    const std::uint64_t bits = memory_->slot(slot).word.load(std::memory_order_acquire);
    if (layout::unpack(bits).state != layout::SlotState::dead) return {};
    return Found{slot, bits, memory_->slot(slot).dead_at.load(std::memory_order_relaxed)};
  }
  [[nodiscard]] Found oldest() const noexcept {
    Found best;
    for (std::uint32_t slot = 0; slot < memory_->shape().slots(); ++slot) {
      const Found found = dead_in(slot);
      if (found.bits != 0 && (best.bits == 0 || found.dead_at < best.dead_at)) best = found;
    }
    return best;
  }

  template <typename Freed, typename Drop>
  void restore(Freed&& freed, Drop&& drop) noexcept {
    const WorkShape& shape = memory_->shape();
    std::uint32_t dead = 0;
    std::uint32_t spare = 0;
    std::uint64_t bytes = 0;
    for (std::uint32_t slot = 0; slot < shape.slots(); ++slot) {
      const layout::SlotState state = state_of(slot);
      if (state == layout::SlotState::spare) ++spare;
      if (state != layout::SlotState::dead) continue;
      ++dead;
      bytes += std::uint64_t{memory_->slot(slot).granules.load(std::memory_order_relaxed)} *
               layout::kGranuleBytes;
    }
    while (dead > shape.dead || (dead > 1 && bytes > shape.dead_bytes)) {
      const Found first = oldest();
      if (first.bits == 0) break;
      const std::uint64_t its =
          std::uint64_t{memory_->slot(first.slot).granules.load(std::memory_order_relaxed)} *
          layout::kGranuleBytes;
      // Counted before it goes: whoever dies in between has counted one too many, and never one too few.
      auto& dropped =
          memory_->control().counters[static_cast<std::size_t>(layout::WorkCount::dead_dropped)];
      dropped.fetch_add(1, std::memory_order_relaxed);
      if (!drop(first.slot, first.bits)) {
        dropped.fetch_sub(1, std::memory_order_relaxed);
        break;
      }
      MILLRACE_CRASH_POINT("work.dead.dropped");
      --dead;
      bytes -= std::min(bytes, its);
    }
    for (std::uint32_t slot = 0; slot < shape.slots() && dead + spare != shape.dead; ++slot) {
      auto& word = memory_->slot(slot).word;
      std::uint64_t bits = word.load(std::memory_order_acquire);
      layout::Word found = layout::unpack(bits);
      const bool too_many = dead + spare > shape.dead;
      if (found.state != (too_many ? layout::SlotState::spare : layout::SlotState::free)) continue;
      found.state = too_many ? layout::SlotState::free : layout::SlotState::spare;
      if (!word.compare_exchange_strong(bits, layout::pack(found), std::memory_order_seq_cst))
        continue;
      MILLRACE_CRASH_POINT("work.dead.balanced");
      if (too_many) {
        --spare;
        freed(slot);
      } else {
        ++spare;
      }
    }
  }

  const WorkMemory* memory_ = nullptr;
  std::uint16_t seat_ = 0;
};

}  // namespace millrace
