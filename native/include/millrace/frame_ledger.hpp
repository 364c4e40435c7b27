// Which slots the writer of a frame channel may write: who holds what, and what can be done about it.
//
// A slot is the writer's while no active lane and not the history pins it. Pins are bits of one word a slot; what is on
// loan and what is history the writer knows itself. Where no slot is free, queued frames are taken back from readers that
// rather lose one than hold the writer up; then pins that nothing accounts for are cleared, and the lanes of the dead.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "bits.hpp"
#include "crash_point.hpp"
#include "frame_channel.hpp"
#include "frame_lanes.hpp"
#include "layout/frames.hpp"
#include "os/fence.hpp"

namespace millrace::detail {

class FrameLedger {
 public:
  FrameLedger() = default;

  // The segment outlives us, and stays where it is.
  void bind(Segment* segment, const FrameChannel& channel) {
    channel_ = channel;
    lanes_.bind(segment, channel);
    loaned_.assign(channel.plan().slots, false);
    remembered_.assign(channel.plan().slots, false);
    queued_for_.assign(channel.plan().slots, 0);
  }

  // Who may hold something.
  [[nodiscard]] FrameLanes& lanes() noexcept { return lanes_; }
  [[nodiscard]] const FrameLanes& lanes() const noexcept { return lanes_; }

  // These two as in FrameWriter.
  [[nodiscard]] std::optional<std::uint32_t> try_loan() {
    const std::uint64_t active = lanes_.active();
    if (blocked_by_waiting_readers(active)) {
      if (!lanes_.reap_dead()) return std::nullopt;
      if (blocked_by_waiting_readers(lanes_.active())) return std::nullopt;
    }
    if (auto slot = find_free(lanes_.active())) return slot;
    if (while_joiners_wait([&](std::uint64_t lanes) { return evict_until_free(lanes); })) {
      return find_free(lanes_.active());
    }
    const bool cleared =
        while_joiners_wait([&](std::uint64_t lanes) { return clear_stray_pins(lanes); });
    if (lanes_.reap_dead() || cleared) return find_free(lanes_.active());
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint32_t> loan_ahead() {
    if (loans_ != 0) return std::nullopt;
    // Whoever has joined since then has an empty queue: whatever its policy, it is in nobody's way.
    const std::uint64_t active = lanes_.joined();
    if (blocked_by_waiting_readers(active) || !is_free(cursor_, active)) return std::nullopt;
    return find_free(active);
  }
  [[nodiscard]] bool is_loaned(std::uint32_t slot) const noexcept {
    return slot < loaned_.size() && loaned_[slot];
  }
  // Ends a loan, whatever became of it.
  void end_loan(std::uint32_t slot) noexcept {
    loaned_[slot] = false;
    --loans_;
  }
  void void_loans() noexcept { loaned_.clear(); }

  // Would a loan succeed, or is there anything else for a waiting writer to look at?
  [[nodiscard]] bool stirred() {
    const std::uint64_t active = lanes_.active();
    if (blocked_by_waiting_readers(active)) return false;
    return any_free(active) || worth_evicting(active).has_value();
  }

  // May the new frame be queued for this lane?
  bool make_room(std::uint32_t lane) {
    LaneState& state = lanes_[lane];
    auto backlog = state.queue.backlog();
    if (!backlog) {
      lanes_.ban(lane);
      return false;
    }
    if (state.policy == layout::Policy::overwrite_oldest) {
      // Bounded: a reader that puts its position back cannot hold us.
      for (std::uint64_t more = state.view.capacity();
           more > 0 && *backlog >= state.depth && evict_one(lane); --more) {
        backlog = state.queue.backlog();
        if (!backlog) {
          lanes_.ban(lane);
          return false;
        }
      }
    } else if (state.policy == layout::Policy::drop_newest && *backlog >= state.depth) {
      count_one(state.view.lane->writer.dropped);
      return false;
    }
    return *backlog < state.view.capacity();
  }

  // Keeps the newest frames pinned for readers that join late.
  void remember(std::uint32_t slot) {
    const std::uint32_t limit = channel_.plan().history;
    if (limit == 0) return;
    std::optional<std::uint32_t> oldest;
    if (history_.size() < limit) {
      history_.push_back(slot);
    } else {
      oldest = std::exchange(history_[oldest_at_], slot);
      oldest_at_ = (oldest_at_ + 1) % limit;
    }
    remembered_[slot] = true;
    MILLRACE_CRASH_POINT("frames.history.added");
    if (!oldest) return;
    channel_.unpin(*oldest, layout::kHistoryBit);
    remembered_[*oldest] = false;
  }

  // Clears pins that nothing accounts for, neither a queued descriptor nor the reader's ledger: those of a
  // writer that died between setting the pin and pushing, or between evicting and clearing it, or of
  // somebody who had no business to set them. True if there was one.
  //
  // None that is accounted for is missed, in this order: a reader marks its ledger before it takes the
  // descriptor (or, on joining, before it pins), and clears the pin before the mark. That holds for one reader: between
  // our looks at two of these the next reader on the lane must not pin anything, so joining readers have to wait.
  bool clear_stray_pins(std::uint64_t active) {
    bool cleared = false;
    std::vector<bool> queued(channel_.plan().slots);
    for_each_bit(active, [&](std::uint32_t lane) {
      queued.assign(queued.size(), false);
      lanes_[lane].queue.for_each_queued([&](std::uint64_t descriptor) {
        const std::uint32_t slot = layout::descriptor_slot(descriptor);
        if (slot < queued.size()) queued[slot] = true;
      });
      for (std::uint32_t slot = 0; slot < queued.size(); ++slot) {
        const auto& holders = channel_.slot(slot).holders;
        const std::uint64_t bit = 1ULL << lane;
        if (queued[slot] || (holders.load(std::memory_order_acquire) & bit) == 0) continue;
        if (lanes_[lane].view.marked(slot)) continue;
        MILLRACE_CRASH_POINT("frames.stray.found");
        channel_.unpin(slot, bit);
        cleared = true;
      }
    });
    return cleared;
  }

 private:
  [[nodiscard]] bool blocked_by_waiting_readers(std::uint64_t active) {
    bool blocked = false;
    for_each_bit(active, [&](std::uint32_t lane) {
      if (lanes_[lane].policy != layout::Policy::wait) return;
      const auto backlog = lanes_[lane].queue.backlog();
      if (!backlog) {
        lanes_.ban(lane);
      } else if (*backlog + loans_ >= lanes_[lane].depth) {
        blocked = true;
      }
    });
    return blocked;
  }

  // What is on loan or kept as history we know ourselves. acquire: pairs with the release in
  // JoinedLane::unpin: its reads are over.
  [[nodiscard]] bool is_free(std::uint32_t slot, std::uint64_t active) const noexcept {
    return !loaned_[slot] && !remembered_[slot] &&
           (channel_.slot(slot).holders.load(std::memory_order_acquire) & active) == 0;
  }
  [[nodiscard]] bool any_free(std::uint64_t active) const noexcept {
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
      if (is_free(slot, active)) return true;
    }
    return false;
  }
  std::optional<std::uint32_t> find_free(std::uint64_t active) noexcept {
    const std::uint32_t slots = channel_.plan().slots;
    for (std::uint32_t step = 0; step < slots; ++step) {
      const std::uint32_t slot = cursor_;
      cursor_ = cursor_ + 1 == slots ? 0 : cursor_ + 1;
      if (!is_free(slot, active)) continue;
      loaned_[slot] = true;
      ++loans_;
      channel_.slot(slot).sequence.store(0, std::memory_order_relaxed);
      // release: no byte of the next frame before that. Pairs with the acquire fence in FramesWatch::look(), between its copy and
      // its second look at the sequence.
      std::atomic_thread_fence(std::memory_order_release);
      return slot;
    }
    return std::nullopt;
  }

  // Works on pins of readers that may leave meanwhile, `work(lanes)`, while whoever takes such a lane over waits.
  // Joining readers need to know whether a predecessor's lane is being worked on:
  // evictions odd -> fence -> active here, active -> heavy fence -> evictions in JoinedLane::occupy.
  template <typename Work>
  bool while_joiners_wait(Work&& work) {
    auto& evictions = channel_.control().sequence.evictions;
    const std::uint64_t count = evictions.load(std::memory_order_relaxed);
    evictions.store(count + 1, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.evict.begun");
    os::light_fence();
    const bool done = work(lanes_.active());
    MILLRACE_CRASH_POINT("frames.evict.freed");
    // release: pairs with the acquire in JoinedLane::let_writer_finish: the pins are cleared.
    evictions.store(count + 2, std::memory_order_release);
    return done;
  }
  // Takes queued frames back from overwrite-oldest readers, oldest first, until a slot is free.
  bool evict_until_free(std::uint64_t active) {
    // Readers move on while we work; each round that ends without a slot is due to one that did.
    for (std::uint32_t round = 0; round < channel_.plan().slots; ++round) {
      const auto slot = worth_evicting(active);
      if (!slot) return any_free(active);
      const layout::SlotRecord& record = channel_.slot(*slot);
      const std::uint64_t sequence = record.sequence.load(std::memory_order_relaxed);
      for_each_bit(record.holders.load(std::memory_order_relaxed) & active,
                   [&](std::uint32_t lane) {
                     const LaneProducer& queue = lanes_[lane].queue;
                     // Bounded: a reader that puts its position back cannot hold us.
                     for (std::uint64_t more = queue.view().capacity(); more > 0; --more) {
                       const auto oldest = queue.oldest();
                       if (!oldest || layout::descriptor_sequence(*oldest) > sequence) return;
                       if (!evict_one(lane)) return;
                     }
                   });
      if (is_free(*slot, active)) return true;
    }
    return any_free(active);
  }
  // The slot of the oldest frame that would be free if overwrite-oldest readers lost it: nobody holds it,
  // and it is queued for nobody else. Where there is none, taking frames back would only lose them.
  [[nodiscard]] std::optional<std::uint32_t> worth_evicting(std::uint64_t active) {
    std::fill(queued_for_.begin(), queued_for_.end(), 0);
    for_each_bit(active, [&](std::uint32_t lane) {
      if (lanes_[lane].policy != layout::Policy::overwrite_oldest) return;
      lanes_[lane].queue.for_each_queued([&](std::uint64_t descriptor) {
        const std::uint32_t slot = layout::descriptor_slot(descriptor);
        if (slot < queued_for_.size()) queued_for_[slot] |= 1ULL << lane;
      });
    });
    std::optional<std::uint32_t> found;
    std::uint64_t oldest = 0;
    for (std::uint32_t slot = 0; slot < queued_for_.size(); ++slot) {
      if (queued_for_[slot] == 0 || loaned_[slot]) continue;
      const layout::SlotRecord& record = channel_.slot(slot);
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      if ((holders & (active | layout::kHistoryBit) & ~queued_for_[slot]) != 0) continue;
      const std::uint64_t sequence = record.sequence.load(std::memory_order_relaxed);
      if (found && sequence >= oldest) continue;
      found = slot;
      oldest = sequence;
    }
    return found;
  }
  std::optional<std::uint32_t> evict_one(std::uint32_t lane) {
    const auto descriptor = lanes_[lane].queue.evict();
    if (!descriptor) return std::nullopt;
    const std::uint32_t slot = layout::descriptor_slot(*descriptor);
    if (slot >= channel_.plan().slots) return std::nullopt;
    MILLRACE_CRASH_POINT("frames.evict.taken");
    channel_.unpin(slot, 1ULL << lane);
    MILLRACE_CRASH_POINT("frames.evict.unpinned");
    count_one(lanes_[lane].view.lane->writer.evicted);
    return slot;
  }

  // Only we write it: no need to keep others from doing so meanwhile.
  static void count_one(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  FrameChannel channel_;
  FrameLanes lanes_;
  std::vector<bool> loaned_;
  std::uint64_t loans_ = 0;
  std::vector<std::uint64_t> queued_for_;  // scratch of worth_evicting()
  std::vector<std::uint32_t> history_;     // a ring once it is full
  std::uint32_t oldest_at_ = 0;
  std::vector<bool> remembered_;  // by slot: it is in history_
  std::uint32_t cursor_ = 0;
};

}  // namespace millrace::detail
