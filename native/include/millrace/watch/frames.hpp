// The frames of a channel, seen from outside: those whose slots have not been written to since.
//
//   (P) published       a frame up to it is whole: its writer stored it with release
//   (C) the frame, copied
//   (F) acquire fence
//   (S) its sequence    still the same: nobody has begun to write there
//
// A writer that begins to write to a slot stores 0 as its sequence, and then fences, release (FrameLedger::find_free). If (C) copied
// a byte of the next frame, (S) finds that 0, or what came later. A writer of a version that does not mark so leaves a slot alone
// only while it is pinned: of such only frames are told that are pinned at (S), for a pin comes with another sequence. What holds for
// copies by system calls is in queue.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../crash_point.hpp"
#include "../frame_channel.hpp"
#include "../layout/frames.hpp"
#include "../observe/copies.hpp"
#include "message.hpp"

namespace millrace::detail {

class FramesWatch final : public Watcher {
 public:
  FramesWatch(Copies copies, const layout::FramesPlan& plan, std::string name, bool oldest)
      : copies_(copies), plan_(plan), name_(std::move(name)), oldest_(oldest) {}

  [[nodiscard]] Result<void> look(WatchSink& sink) override {
    std::uint64_t published = 0;
    if (!copies_.into(kPublishedAt, &published, sizeof published)) return shortened();  // (P)
    if (published > layout::kMaxSequence) return impossible();
    // The newest one is there for who comes now, too.
    if (!std::exchange(begun_, true) && !oldest_) last_ = published == 0 ? 0 : published - 1;
    if (published <= last_) return {};
    std::atomic_thread_fence(std::memory_order_acquire);
    std::vector<Found> found;
    copies_.each<layout::SlotRecord>(
        plan_.slots_offset, plan_.slots, [&](std::size_t slot, const layout::SlotRecord& record) {
          const std::uint64_t sequence = record.sequence.load(std::memory_order_relaxed);
          if (sequence > last_ && sequence <= published)
            found.push_back({sequence, static_cast<std::uint32_t>(slot)});
        });
    std::sort(found.begin(), found.end(),
              [](const Found& a, const Found& b) { return a.sequence < b.sequence; });
    for (const Found& one : found) {
      if (sink.full()) break;
      auto copied = copy(sink, one);
      if (!copied.ok()) return copied;
    }
    return {};
  }

 private:
  struct Found {
    std::uint64_t sequence;
    std::uint32_t slot;
  };
  static constexpr std::uint64_t kPublishedAt =
      layout::kWriterControlOffset + offsetof(layout::WriterControl, sequence) +
      offsetof(layout::WriterControl::SequenceLine, published);

  [[nodiscard]] Result<void> copy(WatchSink& sink, const Found& found) {
    const auto before = copies_.one<layout::SlotRecord>(record_at(found.slot));
    if (before[0].sequence.load(std::memory_order_relaxed) != found.sequence) return {};
    const std::uint64_t length = before[0].length.load(std::memory_order_relaxed);
    if (length > plan_.slot_bytes)
      return is_still(found) ? Result<void>(impossible()) : Result<void>();
    const std::uint64_t wanted = sink.cut(length);
    const std::uint64_t header_at = (wanted + 7) / 8 * 8;
    std::byte* const to = sink.room(header_at + layout::kUserHeaderBytes);
    if (to == nullptr) return {};
    const bool read =  // (C)
        copies_.into(plan_.pool_offset + plan_.payload_offset + plan_.slot_stride * found.slot, to,
                     wanted) &&
        copies_.into(plan_.pool_offset + layout::kUserHeaderBytes * found.slot, to + header_at,
                     layout::kUserHeaderBytes);
    if (!read) return shortened();
    if (!is_still(found)) return {};
    Watched message;
    message.op = WatchedOp::frame;
    message.sequence = found.sequence;
    message.published_at = time_.of(before[0].timestamp.load(std::memory_order_relaxed));
    message.at = sink.used();
    message.length = length;
    message.copied = wanted;
    message.texts_at = sink.used() + header_at;
    message.headers_length = layout::kUserHeaderBytes;
    sink.keep(message, header_at + layout::kUserHeaderBytes);
    missed_ += found.sequence - last_ - 1;
    last_ = found.sequence;
    return {};
  }
  [[nodiscard]] bool is_still(const Found& found) const {
    MILLRACE_CRASH_POINT("watch.frames.copied");
    std::atomic_thread_fence(std::memory_order_acquire);                         // (F)
    const auto record = copies_.one<layout::SlotRecord>(record_at(found.slot));  // (S)
    if (record[0].sequence.load(std::memory_order_relaxed) != found.sequence) return false;
    const auto role = copies_.one<layout::RoleRecord>(layout::kRolesOffset);
    const auto control = copies_.one<layout::WriterControl>(layout::kWriterControlOffset);
    const auto& lanes = control[0].lanes;
    if (lanes.marking.load(std::memory_order_relaxed) ==
        role[0].epoch.load(std::memory_order_relaxed)) {
      return true;
    }
    const std::uint64_t pins = lanes.active.load(std::memory_order_relaxed) | layout::kHistoryBit;
    return (record[0].holders.load(std::memory_order_relaxed) & pins) != 0;
  }
  [[nodiscard]] std::uint64_t record_at(std::uint32_t slot) const noexcept {
    return plan_.slots_offset + sizeof(layout::SlotRecord) * slot;
  }
  [[nodiscard]] Error impossible() const {
    return make_error(Code::corrupt, "frame channel '" + name_ + "' holds what no writer writes");
  }
  [[nodiscard]] Error shortened() const {
    return make_error(Code::corrupt, "frame channel '" + name_ + "' is shorter than it should be");
  }

  Copies copies_;
  layout::FramesPlan plan_;
  std::string name_;
  bool oldest_;
  bool begun_ = false;
  std::uint64_t last_ = 0;  // sequence
  WallTime time_;
};

}  // namespace millrace::detail
