// The ready lists: for each stage and priority a ring of hints in the order of the pushes, and for all together a set of
// returned jobs, which keep the place that they had.
//
// A ring of 64-bit cells, each filled by one compare-and-swap {turn, empty} -> {turn, slot, token} and cleared by one to
// {turn + 1, empty}. Nobody claims a cell before filling it, so nobody who dies or is stopped holds the ring up. A cell is
// filled only if all before it are, so the order of the cells is that of the pushes. The positions in RingEnds are hints where
// to begin: they may lag, and never lead. (Vyukov's bounded queue keeps a sequence number in each cell as well; there a producer
// that stops between taking its ticket and filling its cell blocks all behind it.)
//
// A hint is stale if the word of its slot does not say that this job is ready. Whoever takes a job first makes the word its
// own, then clears the hint; a death in between leaves a stale hint, which the next one clears. The cell is cleared by
// compare-and-swap: a late store would wipe out the next turn's hint.
//
// Order. Of a level the job of the first cell that is not stale is taken, or a returned one whose place is before that. If
// stale hints fill a ring, the job that they leave lying at its head is returned while it is ready (make_room()). It is found
// all the same: it is a job to whoever finds its cell, whatever its flag says, and whoever clears the cell has set its bit and
// mask before. So takers look at the ring first, and at the mask afterwards: either the cell of the job is found, or the mask
// is. (All of these are sequentially consistent; head and tail, which let others begin behind a cell, are released and acquired.)
// One gap is left: whoever finds a mask, or the bit of a slot, set for nothing clears it, and sets it again if that was wrong
// (hints.hpp). A job that was returned just before the clearing is not seen until then by others.
//
// Memory order. The word's `ready` (release) is before the filling of the cell (sequentially consistent, so release); who reads
// the cell (acquire) sees the word, the slot and the payload. Cell and mask are a pair of hints as in hints.hpp: the filling
// and the look at the mask against the clearing of the mask and the look at the cell.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../store/hints.hpp"
#include "memory.hpp"

namespace millrace {

// Someone's right to a job. `word` is what the slot's word is as long as the right holds.
struct Lease {
  std::uint32_t slot = 0;
  std::uint64_t word = 0;  // 0: none

  [[nodiscard]] explicit operator bool() const noexcept { return word != 0; }
};

class ReadyLists {
 public:
  ReadyLists() = default;
  explicit ReadyLists(const WorkMemory& memory)
      : memory_(&memory),
        shift_(static_cast<unsigned>(std::countr_zero(memory.shape().capacity()))),
        all_levels_(memory.shape().levels < 32 ? (1U << memory.shape().levels) - 1 : ~0U),
        seen_(memory.shape().lanes()) {}

  // The job in that slot has become ready: its word says so already, and nobody can have taken it yet. `position` is where it
  // went. False: the ring is damaged, and the job must be returned instead.
  [[nodiscard]] bool add(std::uint32_t stage, std::uint8_t level, std::uint32_t slot,
                         std::uint32_t token) noexcept {
    const std::uint32_t lane = memory_->lane(stage, level);
    layout::RingEnds& ends = memory_->ring_ends(lane);
    layout::Cell* const cells = memory_->cells(lane);
    const std::uint64_t tail = ends.tail.load(std::memory_order_acquire);
    std::uint64_t at = std::max(tail, seen_[lane].tail);
    for (std::uint32_t steps = 0; steps < 4 * capacity() + 64; ++steps) {
      auto& cell = cells[at & (capacity() - 1)].hint;
      std::uint64_t found = cell.load(std::memory_order_acquire);
      const std::uint64_t turn = turn_of(at);
      if (found == layout::empty_cell(turn)) {
        memory_->slot(slot).position.store(at, std::memory_order_relaxed);
        MILLRACE_CRASH_POINT("work.ready.positioned");
        if (cell.compare_exchange_strong(found, layout::full_cell(turn, slot, token),
                                         std::memory_order_seq_cst, std::memory_order_acquire)) {
          MILLRACE_CRASH_POINT("work.ready.hinted");
          // Lagging costs the next one a few looks, and storing always costs all a line that everybody writes.
          if (at % 8 == 7) ends.tail.store(at + 1, std::memory_order_release);
          seen_[lane].tail = at + 1;
          detail::set_hint(memory_->control().ring_mask[stage], 1U << level);
          return true;
        }
        continue;
      }
      switch (age_of(found, turn)) {
        case Age::later:  // filled in this turn, or used up
          at = behind(found, at);
          break;
        case Age::earlier:  // a whole turn behind: the ring is full of jobs, or of stale hints
          make_room(stage, level, cell, found, turn);
          break;
        case Age::impossible:
          return false;
      }
    }
    return false;
  }

  // The job in that slot is ready and returned: its word says so already.
  void add_returned(std::uint32_t stage, std::uint8_t level, std::uint32_t slot) const noexcept {
    MILLRACE_CRASH_POINT("work.returned.word");
    memory_->returned()[slot / 64].fetch_or(1ULL << (slot % 64), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.returned.bit");
    memory_->control().returned_mask[stage].fetch_or(1U << level, std::memory_order_seq_cst);
  }

  // Where a job that becomes ready only later has its place: behind all that are there now.
  [[nodiscard]] std::uint64_t end_of(std::uint32_t stage, std::uint8_t level) const noexcept {
    const std::uint32_t lane = memory_->lane(stage, level);
    const layout::Cell* const cells = memory_->cells(lane);
    std::uint64_t at = memory_->ring_ends(lane).tail.load(std::memory_order_acquire);
    for (std::uint32_t steps = 0; steps < 4 * capacity() + 64; ++steps) {
      const std::uint64_t cell = cells[at & (capacity() - 1)].hint.load(std::memory_order_acquire);
      const std::uint64_t turn = turn_of(at);
      if (cell == layout::empty_cell(turn) || age_of(cell, turn) != Age::later) break;
      at = behind(cell, at);
    }
    return at;
  }

  // Is the job in that slot where it says it is?
  [[nodiscard]] bool hinted(std::uint32_t stage, std::uint8_t level, std::uint32_t slot,
                            std::uint32_t token) const noexcept {
    const std::uint64_t at = memory_->slot(slot).position.load(std::memory_order_relaxed);
    const auto& cell = memory_->cells(memory_->lane(stage, level))[at & (capacity() - 1)].hint;
    return cell.load(std::memory_order_seq_cst) == layout::full_cell(turn_of(at), slot, token);
  }

  // The first job of that stage: the highest priority, of that the oldest. `lease` makes a ready word one's own:
  // lease(slot, word) -> the new word, or 0 if somebody was quicker.
  template <typename MakeOwn>
  Lease take(std::uint32_t stage, MakeOwn&& lease) noexcept {
    layout::WorkControl& control = memory_->control();
    std::uint32_t levels = control.ring_mask[stage].load(std::memory_order_acquire) |
                           control.returned_mask[stage].load(std::memory_order_acquire);
    levels &= all_levels_;
    while (levels != 0) {
      const auto level = static_cast<std::uint8_t>(31 - std::countl_zero(levels));
      levels &= ~(1U << level);
      if (Lease got = take_level(stage, level, lease)) return got;
    }
    return {};
  }

  // May there be a job?
  [[nodiscard]] bool any(std::uint32_t stage) const noexcept {
    const layout::WorkControl& control = memory_->control();
    std::uint32_t levels = control.ring_mask[stage].load(std::memory_order_seq_cst);
    if (control.returned_mask[stage].load(std::memory_order_seq_cst) != 0) return true;
    levels &= all_levels_;
    bool found = false;
    detail::for_each_bit(levels, [&](std::uint32_t level) {
      found = found || first_of(stage, static_cast<std::uint8_t>(level)).has_value();
    });
    return found;
  }

 private:
  enum class Age { later, earlier, impossible };
  // So many looks at an empty ring before its bit is cleared: a ring that is empty only now and then keeps it.
  static constexpr std::uint32_t kEmptyLooks = 16;

  [[nodiscard]] std::uint32_t capacity() const noexcept { return 1U << shift_; }
  [[nodiscard]] std::uint64_t turn_of(std::uint64_t at) const noexcept { return at >> shift_; }

  // By how many turns a cell is ahead of `turn`. A full one tells 20 bits of its turn, an empty one 40.
  static std::uint64_t ahead_of(std::uint64_t cell, std::uint64_t turn) noexcept {
    const unsigned bits = layout::is_full(cell) ? layout::kTurnBits : 40U;
    return (layout::cell_turn(cell) - turn) & ((1ULL << bits) - 1);
  }
  // How a cell that is not empty in `turn` compares to it.
  static Age age_of(std::uint64_t cell, std::uint64_t turn) noexcept {
    const bool full = layout::is_full(cell);
    const std::uint64_t all = 1ULL << (full ? layout::kTurnBits : 40U);
    const std::uint64_t ahead = ahead_of(cell, turn);
    if (ahead < all / 2) return Age::later;
    return full && ahead == all - 1 ? Age::earlier : Age::impossible;  // nobody skips a turn
  }
  // Where to go on from a cell that is later than `at`: a position may lag by many turns, and of each cell only the last
  // turn can be there still, so nothing before that is skipped.
  [[nodiscard]] std::uint64_t behind(std::uint64_t cell, std::uint64_t at) const noexcept {
    const std::uint64_t turns = ahead_of(cell, turn_of(at));
    return at + 1 + (turns > 1 ? (turns - 1) * capacity() : 0);
  }

  // Returned or not: a job that comes back has another token, so this one lies here and is being returned by make_room().
  [[nodiscard]] bool is_job(std::uint64_t cell, const layout::Word& word) const noexcept {
    return word.state == layout::SlotState::ready &&
           (word.token & ((1U << layout::kTokenBits) - 1)) == layout::token_of_cell(cell);
  }

  // The cell of an earlier turn is in the way: a stale hint goes, a job is returned, which keeps its place before all others.
  // The cell leads to it until bit and mask do: who finds that another one returns it sets them, too, before it clears the cell.
  void make_room(std::uint32_t stage, std::uint8_t level, std::atomic<std::uint64_t>& cell,
                 std::uint64_t found, std::uint64_t turn) noexcept {
    const std::uint32_t slot = layout::slot_of_cell(found);
    if (slot < memory_->shape().slots()) {
      auto& its = memory_->slot(slot).word;
      std::uint64_t bits = its.load(std::memory_order_acquire);
      layout::Word word = layout::unpack(bits);
      if (is_job(found, word)) {
        if ((word.flags & layout::kReturned) == 0) {
          word.flags |= layout::kReturned;
          if (!its.compare_exchange_strong(bits, layout::pack(word), std::memory_order_seq_cst))
            return;
        }
        add_returned(stage, level, slot);
      }
    }
    (void)cell.compare_exchange_strong(found, layout::empty_cell(turn), std::memory_order_seq_cst);
  }

  // The first hint of a ring, whatever it is worth.
  struct First {
    std::uint64_t at;
    std::uint64_t cell;
  };
  [[nodiscard]] std::optional<First> first_of(std::uint32_t stage,
                                              std::uint8_t level) const noexcept {
    const std::uint32_t lane = memory_->lane(stage, level);
    const layout::Cell* const cells = memory_->cells(lane);
    std::uint64_t at =
        std::max(memory_->ring_ends(lane).head.load(std::memory_order_acquire), seen_[lane].head);
    for (std::uint32_t steps = 0; steps < 4 * capacity() + 64; ++steps) {
      const std::uint64_t cell = cells[at & (capacity() - 1)].hint.load(std::memory_order_seq_cst);
      const std::uint64_t turn = turn_of(at);
      if (cell == layout::empty_cell(turn)) return std::nullopt;
      if (age_of(cell, turn) != Age::later) return std::nullopt;
      if (layout::is_full(cell) && ahead_of(cell, turn) == 0) return First{at, cell};
      at = behind(cell, at);
    }
    return std::nullopt;
  }

  template <typename MakeOwn>
  Lease take_level(std::uint32_t stage, std::uint8_t level, MakeOwn&& lease) noexcept {
    const std::uint32_t lane = memory_->lane(stage, level);
    layout::RingEnds& ends = memory_->ring_ends(lane);
    const std::uint32_t most = 4 * capacity() + memory_->shape().slots() + 64;
    for (std::uint32_t rounds = 0; rounds < most; ++rounds) {
      const std::optional<First> first = first_of(stage, level);
      std::uint32_t slot = 0;
      std::uint64_t word = 0;  // 0: no job there
      if (first) {
        slot = layout::slot_of_cell(first->cell);
        // acquire: pairs with the release of who made it ready: the payload is seen.
        if (slot < memory_->shape().slots())
          word = memory_->slot(slot).word.load(std::memory_order_acquire);
        if (!is_job(first->cell, layout::unpack(word))) {
          clear_first(lane, ends, *first);
          continue;
        }
      }
      // After the look at the ring, as said above.
      if ((memory_->control().returned_mask[stage].load(std::memory_order_seq_cst) >> level & 1U) !=
          0) {
        const Oldest oldest = oldest_returned(stage, level);
        // A job that was put off when it was pushed has the place that it got then: those before it go first.
        if (oldest.word != 0 && !(first && first->at < oldest.position)) {
          const std::uint64_t mine = lease(oldest.slot, oldest.word);
          if (mine == 0) continue;
          MILLRACE_CRASH_POINT("work.take.returned");
          clear_returned(oldest.slot);
          return Lease{oldest.slot, mine};
        }
      }
      if (!first) {
        if (++empty_looks_ >= kEmptyLooks) {
          empty_looks_ = 0;
          (void)detail::clear_hint(
              memory_->control().ring_mask[stage], 1U << level,
              [&] { return first_of(stage, level).has_value(); }, [] {});
        }
        return {};
      }
      const std::uint64_t mine = lease(slot, word);
      // Somebody was quicker, and will clear the hint; if not, the next look finds it stale.
      if (mine == 0) {
        os::spin_hint();
        continue;
      }
      clear_first(lane, ends, *first);
      empty_looks_ = 0;
      MILLRACE_CRASH_POINT("work.take.cleared");
      return Lease{slot, mine};
    }
    return {};
  }
  // That hint is stale, or its job is ours.
  void clear_first(std::uint32_t lane, layout::RingEnds& ends, const First& first) noexcept {
    MILLRACE_CRASH_POINT("work.take.leased");
    std::uint64_t found = first.cell;
    (void)memory_->cells(lane)[first.at & (capacity() - 1)].hint.compare_exchange_strong(
        found, layout::empty_cell(turn_of(first.at) + 1), std::memory_order_seq_cst,
        std::memory_order_relaxed);
    seen_[lane].head = first.at + 1;
    // release: pairs with the acquire in first_of(): who begins behind these cells sees what was done before they were cleared.
    if (first.at % 8 == 7) ends.head.store(first.at + 1, std::memory_order_release);
  }

  // relaxed: of the job that the word stands for, if that is unchanged afterwards.
  [[nodiscard]] std::uint32_t stage_of(std::uint32_t slot) const noexcept {
    return memory_->slot(slot).stage.load(std::memory_order_relaxed);
  }
  // Is that slot's job one of the returned?
  [[nodiscard]] bool is_returned(std::uint32_t slot, const layout::Word& word) const noexcept {
    return slot < memory_->shape().slots() && word.state == layout::SlotState::ready &&
           (word.flags & layout::kReturned) != 0;
  }
  [[nodiscard]] bool any_returned(std::uint32_t stage, std::uint8_t level) const noexcept {
    for (std::uint32_t i = 0; i < memory_->shape().slot_words(); ++i) {
      bool found = false;
      detail::for_each_bit(
          memory_->returned()[i].load(std::memory_order_seq_cst), [&](std::uint32_t bit) {
            const std::uint32_t slot = i * 64 + bit;
            if (slot >= memory_->shape().slots()) return;
            const auto word =
                layout::unpack(memory_->slot(slot).word.load(std::memory_order_seq_cst));
            found = found ||
                    (is_returned(slot, word) && word.level == level && stage_of(slot) == stage);
          });
      if (found) return true;
    }
    return false;
  }

  // The returned job of that level that has the first place.
  struct Oldest {
    std::uint32_t slot = 0;
    std::uint64_t word = 0;  // 0: none
    std::uint64_t position = 0;
    std::uint64_t serial = 0;  // of those that were put off at the same end of the ring
  };
  [[nodiscard]] Oldest oldest_returned(std::uint32_t stage, std::uint8_t level) const noexcept {
    Oldest oldest;
    for (std::uint32_t i = 0; i < memory_->shape().slot_words(); ++i) {
      detail::for_each_bit(
          memory_->returned()[i].load(std::memory_order_seq_cst), [&](std::uint32_t bit) {
            const std::uint32_t slot = i * 64 + bit;
            if (slot >= memory_->shape().slots()) return;
            // acquire: as above.
            const std::uint64_t found = memory_->slot(slot).word.load(std::memory_order_acquire);
            const layout::Word word = layout::unpack(found);
            if (!is_returned(slot, word)) {
              clear_returned(slot);
              return;
            }
            if (word.level != level || stage_of(slot) != stage) return;
            const std::uint64_t position =
                memory_->slot(slot).position.load(std::memory_order_relaxed);
            const std::uint64_t serial = memory_->slot(slot).serial.load(std::memory_order_relaxed);
            if (oldest.word != 0 && (position > oldest.position ||
                                     (position == oldest.position && serial >= oldest.serial)))
              return;
            oldest = Oldest{slot, found, position, serial};
          });
    }
    if (oldest.word == 0) {
      (void)detail::clear_hint(
          memory_->control().returned_mask[stage], 1U << level,
          [&] { return any_returned(stage, level); }, [] {});
    }
    return oldest;
  }
  void clear_returned(std::uint32_t slot) const noexcept {
    (void)detail::clear_hint(
        memory_->returned()[slot / 64], 1ULL << (slot % 64),
        [&] {
          return is_returned(
              slot, layout::unpack(memory_->slot(slot).word.load(std::memory_order_seq_cst)));
        },
        [&] {
          MILLRACE_CRASH_POINT("work.returned.restored");
          const auto word =
              layout::unpack(memory_->slot(slot).word.load(std::memory_order_seq_cst));
          const std::uint32_t stage = stage_of(slot) % layout::kMaxStages;
          memory_->control().returned_mask[stage].fetch_or(1U << word.level,
                                                           std::memory_order_seq_cst);
        });
  }

  // How far this handle has seen each ring go: positions that may lag as the shared ones do, and never lead.
  struct Seen {
    std::uint64_t head = 0;
    std::uint64_t tail = 0;
  };

  const WorkMemory* memory_ = nullptr;
  unsigned shift_ = 0;
  std::uint32_t all_levels_ = 0;
  std::vector<Seen> seen_;
  std::uint32_t empty_looks_ = 0;
};

}  // namespace millrace
