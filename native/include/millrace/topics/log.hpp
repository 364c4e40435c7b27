// The log: a ring of cells, filled in one total order and emptied in the same order.
//
//   empty(turn) ─► full(turn, slot, token)     publish: the commit
//   full(turn, …) ─► empty(turn + 1)           evict
//
// A cell is filled by one compare-and-swap, and claimed by nobody before: a publisher that dies or is stopped holds a slot, and
// never the log. A cell is filled only if all before it have been, so the index of the cell is the message's place in an order that
// all readers see alike. Cells are emptied in order, too, as the floor allows (entries.hpp). The positions `head` and `tail` are
// hints where to begin: they lag, and never lead.
//
// Evicting: first the slot's word says `evicted`, then the cell is emptied, then the slot is freed, if nothing keeps it
// (keeping.hpp). So a slot that is `held` and named by no cell never was in the log, and whoever dies in between leaves a step that
// the next one who comes there does again.
//
// Memory order. What a publisher wrote to slot and payload is before the filling of the cell (sequentially consistent, so release);
// who reads the cell (acquire) sees it.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "../crash_point.hpp"
#include "keeping.hpp"
#include "memory.hpp"
#include "turns.hpp"

namespace millrace {

class TopicLog : public TopicTurns {
 public:
  TopicLog() = default;
  TopicLog(const TopicMemory& memory, TopicKeeping& keeping) noexcept
      : TopicTurns(memory.shape().messages), memory_(&memory), keeping_(&keeping) {}

  [[nodiscard]] std::uint64_t cell(std::uint64_t index, std::memory_order order) const noexcept {
    return memory_->cell(index).load(order);
  }

  // The index of the next message, as of now.
  [[nodiscard]] std::uint64_t tail() const noexcept {
    std::uint64_t at = hint_of_tail();
    for (std::uint32_t steps = 0; steps < most_steps(); ++steps) {
      // seq_cst: for who joins, after its bits in the rows (entries.hpp).
      const std::uint64_t found = cell(at, std::memory_order_seq_cst);
      switch (age_of(found, at)) {
        case Age::full:
          ++at;
          break;
        case Age::later:
          at = behind(found, at);
          break;
        default:
          return at;
      }
    }
    return at;
  }
  // Not after the next message.
  [[nodiscard]] std::uint64_t hint_of_tail() const noexcept {
    return std::max(seen_tail_, memory_->control().tail.load(std::memory_order_acquire));
  }
  // The index of the oldest message, or of the next one if there is none.
  [[nodiscard]] std::uint64_t head() noexcept {
    std::uint64_t at =
        std::max(seen_head_, memory_->control().head.load(std::memory_order_acquire));
    for (std::uint32_t steps = 0; steps < most_steps(); ++steps) {
      const std::uint64_t found = cell(at, std::memory_order_acquire);
      if (age_of(found, at) != Age::later) break;
      at = behind(found, at);
    }
    seen_head_ = at;
    return at;
  }

  enum class Commit : std::uint8_t {
    yes,
    full,     // the message of `index` - capacity is to go first
    damaged,  // somebody lied
  };
  // The message in that slot becomes the next one; `index` is its place.
  Commit commit(std::uint32_t slot, std::uint32_t token, std::uint64_t& index) noexcept {
    std::uint64_t at = hint_of_tail();
    for (std::uint32_t steps = 0; steps < most_steps(); ++steps) {
      auto& place = memory_->cell(at);
      std::uint64_t found = place.load(std::memory_order_acquire);
      switch (age_of(found, at)) {
        case Age::now:
          // Before the cell: whoever buries us looks there whether it was filled.
          memory_->slot(slot).index.store(at, std::memory_order_relaxed);
          MILLRACE_CRASH_POINT("topics.commit.indexed");
          // release: pairs with the acquire of who reads the cell. seq_cst: before the look at the row and at the last message.
          if (!place.compare_exchange_strong(
                  found, layout::full_topic_cell(turn_of(at), slot, token),
                  std::memory_order_seq_cst, std::memory_order_acquire)) {
            break;
          }
          MILLRACE_CRASH_POINT("topics.commit.done");
          // Lagging costs the next one a few looks, and storing always costs all a line that everybody writes.
          if (at % kStoreEvery == kStoreEvery - 1)
            memory_->control().tail.store(at + 1, std::memory_order_release);
          seen_tail_ = at + 1;
          index = at;
          return Commit::yes;
        case Age::full:
          ++at;
          break;
        case Age::later:
          at = behind(found, at);
          break;
        case Age::earlier:
          index = at;
          return Commit::full;
        case Age::impossible:
          return Commit::damaged;
      }
    }
    return Commit::damaged;
  }
  // Is there a place for one more? A hint.
  [[nodiscard]] bool has_place() const noexcept {
    const std::uint64_t at = tail();
    return age_of(cell(at, std::memory_order_acquire), at) != Age::earlier;
  }

  // The message of that index, the oldest, goes. The floor is above it.
  void evict(std::uint64_t index) noexcept {
    auto& place = memory_->cell(index);
    std::uint64_t found = place.load(std::memory_order_acquire);
    if (age_of(found, index) != Age::full) return;
    const std::uint32_t slot = layout::slot_of_topic_cell(found);
    if (slot < memory_->shape().slots()) {
      auto& its = memory_->slot(slot).word;
      std::uint64_t bits = its.load(std::memory_order_acquire);
      layout::TopicWord word = layout::unpack_topic(bits);
      const bool same = keeping_->full_cell(index, slot, word.token) == found;
      if (same && word.state == layout::TopicSlotState::held) {
        keeping_->help_last(slot, index, found);
        word.state = layout::TopicSlotState::evicted;
        word.seat = layout::kNobodysTopic;
        // seq_cst: before the cell is emptied. Fails if somebody else evicts it.
        (void)its.compare_exchange_strong(bits, pack(word), std::memory_order_seq_cst,
                                          std::memory_order_relaxed);
        MILLRACE_CRASH_POINT("topics.evict.said");
      }
    }
    // seq_cst: before the look at pins and last messages.
    if (!place.compare_exchange_strong(found, layout::empty_topic_cell(turn_of(index) + 1),
                                       std::memory_order_seq_cst, std::memory_order_relaxed)) {
      return;
    }
    MILLRACE_CRASH_POINT("topics.evict.emptied");
    seen_head_ = std::max(seen_head_, index + 1);
    if (index % kStoreEvery == kStoreEvery - 1)
      memory_->control().head.store(index + 1, std::memory_order_release);
    (void)keeping_->try_free(slot);
  }

 private:
  static constexpr std::uint64_t kStoreEvery = 8;

  const TopicMemory* memory_ = nullptr;
  TopicKeeping* keeping_ = nullptr;
  std::uint64_t seen_tail_ = 0;
  std::uint64_t seen_head_ = 0;
};

}  // namespace millrace
