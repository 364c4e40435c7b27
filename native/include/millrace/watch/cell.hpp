// The versions of a cell, seen from outside: the newest, and those before it whose slots have not been written to since.
//
// A look is that of any reader (cell_reader.hpp): the sequence of the slot, the value, acquire fence, the sequence once more; the
// writer changes it, and fences, before it writes (CellWriter::begin). What holds for copies by system calls is in queue.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "../cell_segment.hpp"
#include "../crash_point.hpp"
#include "../layout/cell.hpp"
#include "../observe/copies.hpp"
#include "message.hpp"

namespace millrace::detail {

class CellWatch final : public Watcher {
 public:
  CellWatch(Copies copies, const CellPlan& plan, std::string name, bool oldest)
      : copies_(copies), plan_(plan), name_(std::move(name)), oldest_(oldest) {}

  [[nodiscard]] Result<void> look(WatchSink& sink) override {
    const auto control = copies_.one<layout::CellControl>(layout::kCellControlOffset);
    const std::uint64_t newest = control[0].writer.published.load(std::memory_order_relaxed);
    if (newest > layout::kMaxCellVersion) return impossible();
    if (!std::exchange(begun_, true) && !oldest_) last_ = newest == 0 ? 0 : newest - 1;
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t oldest = newest > plan_.slots ? newest - plan_.slots + 1 : 1;
    for (std::uint64_t version = std::max(last_ + 1, oldest); version <= newest && !sink.full();
         ++version) {
      auto copied = copy(sink, version);
      if (!copied.ok()) return copied;
    }
    return {};
  }

 private:
  [[nodiscard]] Result<void> copy(WatchSink& sink, std::uint64_t version) {
    const auto slot = copies_.one<layout::CellSlot>(slot_at(version));
    if (slot[0].sequence.load(std::memory_order_relaxed) != layout::complete(version)) return {};
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t length = slot[0].length.load(std::memory_order_relaxed);
    if (length > plan_.max_bytes)
      return is_still(version) ? Result<void>(impossible()) : Result<void>();
    const std::uint64_t wanted = sink.cut(length);
    std::byte* const to = sink.room(wanted);
    if (to == nullptr) return {};
    if (!copies_.into(plan_.pool_offset + plan_.stride * (version % plan_.slots), to, wanted)) {
      return make_error(Code::corrupt, "cell '" + name_ + "' is shorter than it should be");
    }
    if (!is_still(version)) return {};
    Watched message;
    message.op = WatchedOp::value;
    message.sequence = version;
    message.published_at = time_.of(slot[0].timestamp.load(std::memory_order_relaxed));
    message.at = sink.used();
    message.length = length;
    message.copied = wanted;
    sink.keep(message, wanted);
    missed_ += version - last_ - 1;
    last_ = version;
    return {};
  }
  [[nodiscard]] bool is_still(std::uint64_t version) const {
    MILLRACE_CRASH_POINT("watch.cell.copied");
    // Pairs with the release fence of CellWriter::begin().
    std::atomic_thread_fence(std::memory_order_acquire);
    const auto slot = copies_.one<layout::CellSlot>(slot_at(version));
    return slot[0].sequence.load(std::memory_order_relaxed) == layout::complete(version);
  }
  [[nodiscard]] std::uint64_t slot_at(std::uint64_t version) const noexcept {
    return layout::kCellSlotsOffset + version % plan_.slots * sizeof(layout::CellSlot);
  }
  [[nodiscard]] Error impossible() const {
    return make_error(Code::corrupt, "cell '" + name_ + "' holds what no writer writes");
  }

  Copies copies_;
  CellPlan plan_;
  std::string name_;
  bool oldest_;
  bool begun_ = false;
  std::uint64_t last_ = 0;  // version
  WallTime time_;
};

}  // namespace millrace::detail
