// The descriptor queue of one frame reader: single producer, single consumer, and the producer can take
// the oldest entry back when the reader is too slow. Both ends advance read_position by compare-and-swap,
// so exactly one of them gets each descriptor. Algorithm: iceoryx2's safely overflowing index queue,
// here with one cell per slot, so that a push never finds it full.
//
// Memory order: the producer stores the cell, then write_position with release; the reader loads it with
// acquire. A cell is rewritten only when read_position has passed it; positions are 64-bit and never
// repeat, so a stale compare-and-swap fails.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "crash_point.hpp"
#include "layout/frames.hpp"

namespace millrace {

// The shared parts of a lane.
struct LaneView {
  layout::Lane* lane = nullptr;
  std::atomic<std::uint64_t>* cells = nullptr;
  std::atomic<std::uint64_t>* ledger = nullptr;
  std::uint64_t mask = 0;

  [[nodiscard]] std::uint64_t capacity() const noexcept { return mask + 1; }

  // The reader's note that it has taken (or is about to take) this slot out of its queue.
  void mark(std::uint32_t slot) const noexcept {
    ledger[slot / 64].fetch_or(1ULL << (slot % 64), std::memory_order_release);
  }
  void unmark(std::uint32_t slot) const noexcept {
    ledger[slot / 64].fetch_and(~(1ULL << (slot % 64)), std::memory_order_release);
  }
  [[nodiscard]] bool marked(std::uint32_t slot) const noexcept {
    return (ledger[slot / 64].load(std::memory_order_acquire) >> (slot % 64) & 1U) != 0;
  }
};

class LaneProducer {
 public:
  LaneProducer() = default;

  // Continues after a predecessor. Cells that are still queued are copied, so that an evicted descriptor
  // is one that a writer wrote and not what a reader claims.
  explicit LaneProducer(LaneView view) : view_(view), copies_(view.capacity()) {
    write_ = view_.lane->writer.write_position.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      copies_[i] = view_.cells[i].load(std::memory_order_relaxed);
    }
  }

  // Entries waiting, or nothing if the reader's position is impossible.
  [[nodiscard]] std::optional<std::uint64_t> backlog() const noexcept {
    // acquire: pairs with the reader's compare-and-swap; it has finished with the cells before.
    const std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    const std::uint64_t waiting = write_ - read;
    if (waiting > view_.capacity()) return std::nullopt;
    return waiting;
  }

  // There is room: the caller has seen backlog() < capacity().
  void push(std::uint64_t descriptor) noexcept {
    copies_[write_ & view_.mask] = descriptor;
    // release: whoever sees the new descriptor sees that the cell's old one was taken; see queued().
    view_.cells[write_ & view_.mask].store(descriptor, std::memory_order_release);
    ++write_;
    MILLRACE_CRASH_POINT("lane.push.written");
    // release: pairs with the acquire in LaneConsumer::take: the cell and the frame are visible.
    view_.lane->writer.write_position.store(write_, std::memory_order_release);
  }

  // Pushes what a writer pinned for the lane and may have died before it pushed. False: it had pushed it, or the reader's
  // position is impossible.
  bool push_missing(std::uint64_t descriptor) noexcept {
    const auto waiting = backlog();
    if (pushed_last(descriptor) || !waiting || *waiting >= view_.capacity()) return false;
    push(descriptor);
    return true;
  }

  // Takes the oldest entry back. Nothing if the reader emptied the queue first.
  [[nodiscard]] std::optional<std::uint64_t> evict() noexcept {
    std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    for (int attempt = 0; attempt < 64; ++attempt) {
      if (write_ - read == 0 || write_ - read > view_.capacity()) return std::nullopt;
      const std::uint64_t descriptor = copies_[read & view_.mask];
      MILLRACE_CRASH_POINT("lane.evict.found");
      // acq_rel: pairs with the reader's compare-and-swap on the same word; one of us wins.
      if (view_.lane->reader.read_position.compare_exchange_weak(
              read, read + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lane.evict.taken");
        return descriptor;
      }
    }
    return std::nullopt;
  }
  // The oldest entry's descriptor as the writer wrote it, without taking it.
  [[nodiscard]] std::optional<std::uint64_t> oldest() const noexcept {
    const std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    if (write_ - read == 0 || write_ - read > view_.capacity()) return std::nullopt;
    return copies_[read & view_.mask];
  }
  // Calls each(descriptor) for what is queued, as far as the shared positions say.
  template <typename Each>
  void for_each_queued(Each&& each) const {
    const std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    if (write_ - read > view_.capacity()) return;
    for (std::uint64_t at = read; at != write_; ++at)
      each(copies_[at & view_.mask]);
  }
  // Is this what was pushed last, whether the reader has taken it by now or not?
  [[nodiscard]] bool pushed_last(std::uint64_t descriptor) const noexcept {
    return copies_[(write_ - 1) & view_.mask] == descriptor;
  }
  [[nodiscard]] const LaneView& view() const noexcept { return view_; }

 private:
  LaneView view_;
  std::vector<std::uint64_t> copies_;
  std::uint64_t write_ = 0;
};

class LaneConsumer {
 public:
  LaneConsumer() = default;
  explicit LaneConsumer(LaneView view) noexcept : view_(view) {}

  struct Taken {
    bool corrupt = false;
    bool empty = true;
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
  };

  // Losing the race this often in a row means that somebody plays with the position.
  static constexpr int kAttempts = 100'000;

  // Takes the oldest descriptor. The ledger is marked before the queue lets go of the slot, so that at
  // every instant a pinned slot is in the queue, in the ledger, or being evicted.
  [[nodiscard]] Taken take(std::uint32_t slots) noexcept {
    std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      // acquire: pairs with the release in LaneProducer::push.
      const std::uint64_t write = view_.lane->writer.write_position.load(std::memory_order_acquire);
      if (write == read) return {};
      if (write - read > view_.capacity()) {
        // Either nonsense, or the writer evicted `read` and pushed on before we looked at `write`.
        if (!moved_on(read)) return {true, true, 0, 0};
        continue;
      }
      const std::uint64_t descriptor =
          view_.cells[read & view_.mask].load(std::memory_order_relaxed);
      const std::uint32_t slot = layout::descriptor_slot(descriptor);
      if (slot >= slots) {
        // Either nonsense, or the cell was rewritten because the writer evicted `read` meanwhile.
        if (!moved_on(read)) return {true, true, 0, 0};
        continue;
      }
      const bool already = view_.marked(slot);
      if (!already) view_.mark(slot);
      MILLRACE_CRASH_POINT("lane.take.marked");
      if (view_.lane->reader.read_position.compare_exchange_strong(
              read, read + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lane.take.taken");
        return {false, false, slot, layout::descriptor_sequence(descriptor)};
      }
      if (!already) view_.unmark(slot);
    }
    return {true, true, 0, 0};
  }
  // Forgets all entries. Only for a reader that joins: what is queued was meant for its predecessor.
  void skip_all() noexcept {
    std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const std::uint64_t write = view_.lane->writer.write_position.load(std::memory_order_acquire);
      if (view_.lane->reader.read_position.compare_exchange_strong(
              read, write, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return;
      }
    }
  }
  [[nodiscard]] bool has_entry() const noexcept {
    return view_.lane->writer.write_position.load(std::memory_order_acquire) !=
           view_.lane->reader.read_position.load(std::memory_order_relaxed);
  }
  struct Queued {
    std::uint64_t count = 0;   // entries waiting
    std::uint64_t newest = 0;  // sequence of the frame that was pushed last; 0 if none waits
  };
  // What waits at one instant of the call; nothing while the writer keeps moving, or if it plays.
  //
  // Neither position moved between the first look and the last, so the cell of the newest entry held what it
  // held at that instant: it is rewritten only when its entry was taken, and whoever reads what it was
  // rewritten with (acquire) sees the moved position in the second look.
  [[nodiscard]] std::optional<Queued> queued() const noexcept {
    const auto& reads = view_.lane->reader.read_position;
    const auto& writes = view_.lane->writer.write_position;
    for (int attempt = 0; attempt < 64; ++attempt) {
      const std::uint64_t read = reads.load(std::memory_order_acquire);
      const std::uint64_t write = writes.load(std::memory_order_acquire);
      const std::uint64_t last =
          view_.cells[(write - 1) & view_.mask].load(std::memory_order_acquire);
      if (reads.load(std::memory_order_acquire) != read ||
          writes.load(std::memory_order_relaxed) != write) {
        continue;
      }
      if (write == read) return Queued{};
      if (write - read > view_.capacity()) return std::nullopt;
      return Queued{write - read, layout::descriptor_sequence(last)};
    }
    return std::nullopt;
  }
  // At least as many as there are at one instant of the call, at most the capacity. The read position
  // comes first: the writer, too, advances it, but never past the write position.
  [[nodiscard]] std::uint64_t entries() const noexcept {
    const std::uint64_t read = view_.lane->reader.read_position.load(std::memory_order_acquire);
    const std::uint64_t write = view_.lane->writer.write_position.load(std::memory_order_acquire);
    return std::min(write - read, view_.capacity());
  }
  [[nodiscard]] const LaneView& view() const noexcept { return view_; }

 private:
  // Brings `read` up to date. False if it was.
  [[nodiscard]] bool moved_on(std::uint64_t& read) const noexcept {
    const std::uint64_t again = view_.lane->reader.read_position.load(std::memory_order_acquire);
    return std::exchange(read, again) != again;
  }

  LaneView view_;
};

}  // namespace millrace
