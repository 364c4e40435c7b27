// How a reader joins a frame channel, and what it has there until it leaves: a lane, with pins of its own.
//
// It joins and leaves without the help of the writer, which may be publishing or taking a frame back meanwhile. Whoever
// had the lane before is gone; what it pinned and what was queued for it counts for nothing. The lane is the reader's
// from occupy() on, frames are queued for it from activate() on, and what it missed lies in the history.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compact_sort.hpp"
#include "crash_point.hpp"
#include "frame_channel.hpp"
#include "lane_queue.hpp"
#include "layout/frames.hpp"
#include "os/clock.hpp"
#include "os/doorbell.hpp"
#include "os/fence.hpp"
#include "os/memory_options.hpp"
#include "place.hpp"
#include "result.hpp"
#include "segment.hpp"
#include "waiting.hpp"

namespace millrace {

struct FrameReaderSpec {
  Place place;
  os::MemoryOptions memory;
  layout::Policy policy = layout::Policy::wait;
  std::uint32_t depth = 0;    // frames that may queue up; 0: a default that suits the policy
  std::uint32_t history = 0;  // past frames wanted on joining; 0 with `after`: all of those
  // The frame received last in an earlier life: what came after it is wanted, as far as the history reaches, and what lies
  // between is counted as missed. A number that this channel has not come to is of another one: then all is wanted.
  std::optional<std::uint64_t> after;
  // Segment::instance() of the channel that `after` is of: to any other channel `after` counts as 0, also if that has come to
  // as many frames.
  std::optional<std::uint64_t> after_instance;
  std::uint32_t max_held = 0;  // frames that may be held at once; 0: all slots but two
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t doorbell = 0;
  std::uint64_t schema = 0;  // fingerprint of what a frame is; 0: not said
};

namespace detail {

inline Error no_writer(const Segment& segment) {
  return Error{
      Code::not_found,
      "frame channel '" + segment.name() + "' has no writer (yet); start it, or wait for it",
      nullptr, 0, segment.path()};
}

struct PinnedFrame {
  std::uint64_t sequence;
  std::uint32_t slot;
};

class JoinedLane {
 public:
  JoinedLane() = default;

  // Takes a free lane. Up to and with collect_history() the lifecycle lock is held. The segment outlives us, and stays
  // where it is.
  Result<void> occupy(Segment* segment, const FrameChannel& channel, const FrameReaderSpec& spec,
                      const os::Deadline& deadline) {
    segment_ = segment;
    channel_ = channel;
    auto found = free_lane();
    if (!found.ok()) return found.error();
    lane_ = found.value();
    bit_ = 1ULL << lane_;
    queue_ = LaneConsumer(channel_.lane(lane_));

    // The writer may still be working on the lane for our predecessor: pushing, or taking a frame back. Were
    // that to end after our first pin, it could give us a predecessor's frame, or take our pin away.
    channel_.control().lanes.active.fetch_and(~bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.join.inactive");
    if (auto quiet = let_writer_finish(deadline); !quiet.ok()) return quiet.error();
    queue_.skip_all();
    clear_pins();
    MILLRACE_CRASH_POINT("frames.join.cleared");
    // Before claim(): the new epoch tells the writer that policy and depth are ours.
    auto& join_line = queue_.view().lane->join;
    join_line.policy.store(static_cast<std::uint32_t>(spec.policy), std::memory_order_relaxed);
    join_line.depth.store(depth_of(spec, channel_.plan()), std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.join.described");
    auto claimed = segment_->claim(record(), role(), spec.doorbell, "reader");
    if (!claimed.ok()) return claimed;
    writer_waker_ = Waker(&channel_.control().wait);
    return {};
  }
  // From now on frames are queued for us. A publish that began before it could see our bit must end
  // before we know where we joined: returns the number of the last frame that was not for us.
  Result<std::uint64_t> activate(const os::Deadline& deadline) {
    auto& writer_line = queue_.view().lane->writer;
    writer_line.first.store(0, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.join.claimed");
    // release: pairs with the acquire in FrameLanes::active: all of the above comes with the bit.
    channel_.control().lanes.active.fetch_or(bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.join.active");
    auto begun = let_writer_finish(deadline);
    if (!begun.ok()) return begun;
    // That publish may have seen our bit, or not: if it has, its frame is in our queue.
    const std::uint64_t first = writer_line.first.load(std::memory_order_relaxed);
    return first != 0 && first <= begun.value() ? first - 1 : begun.value();
  }

  // Pins up to `wanted` of the newest frames of the history; returns them newest first. Only frames up to
  // `joined_after`: later ones come through the queue. None up to `had`: we had those.
  std::vector<PinnedFrame> collect_history(std::uint32_t wanted, std::uint64_t joined_after,
                                           std::uint64_t had) {
    std::vector<PinnedFrame> found;
    std::vector<PinnedFrame> collected;
    const auto& published = channel_.control().sequence.published;
    const std::uint64_t before = published.load(std::memory_order_acquire);
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
      layout::SlotRecord& record = channel_.slot(slot);
      std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      // Bounded: a peer that keeps changing the word cannot hold us.
      for (int attempt = 0; attempt < LaneConsumer::kAttempts &&
                            (holders & layout::kHistoryBit) != 0 && (holders & bit_) == 0;
           ++attempt) {
        queue_.view().mark(slot);
        MILLRACE_CRASH_POINT("frames.history.marked");
        // acq_rel: while the history bit is set the slot is not rewritten, so our bit lands on the frame
        // that the record describes (release of holders in FrameWriter::publish).
        if (record.holders.compare_exchange_weak(holders, holders | bit_, std::memory_order_acq_rel,
                                                 std::memory_order_acquire)) {
          MILLRACE_CRASH_POINT("frames.history.pinned");
          found.push_back({record.sequence.load(std::memory_order_relaxed), slot});
          break;
        }
        queue_.view().unmark(slot);
      }
    }
    compact_sort(
        found, [](const PinnedFrame& a, const PinnedFrame& b) { return a.sequence < b.sequence; });
    // While we looked, a publish may have let a frame go that is newer than one we had pinned already.
    // What is older than such a hole is not handed out; what follows must end where the queue begins.
    const bool moved = channel_.control().sequence.begun.load(std::memory_order_acquire) != before;
    std::uint64_t expected = joined_after;
    bool hole = false;
    for (auto at = found.rbegin(); at != found.rend(); ++at) {
      const bool before_us = at->sequence <= joined_after;
      if (before_us && moved && at->sequence != expected) hole = true;
      if (before_us && !hole && collected.size() < wanted && at->sequence > had) {
        collected.push_back(*at);
        expected = at->sequence - 1;
      } else {
        drop(at->slot);
      }
    }
    return collected;
  }

  // A writer that dies between pinning a frame for us and queueing it has published it. We act in its place,
  // on our own lane; its successor, if there is one already, has done so before it let the lifecycle lock go.
  void finish_publish() {
    const auto& line = channel_.control().sequence;
    const std::uint64_t begun = line.begun.load(std::memory_order_relaxed);
    const auto interrupted = [&] {
      return begun == line.begun.load(std::memory_order_relaxed) &&
             begun == line.published.load(std::memory_order_acquire) + 1;
    };
    const std::uint32_t epoch = channel_.writer_record().epoch.load(std::memory_order_relaxed);
    if (epoch == finished_ || !interrupted()) return;
    if (!segment_->lock_lifecycle(os::Deadline::after(kFinishPatienceNs)).ok()) return;
    if (!segment_->role_held(layout::kWriterRole) && interrupted()) {
      LaneProducer queue(queue_.view());
      for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
        const layout::SlotRecord& record = channel_.slot(slot);
        const std::uint64_t descriptor = layout::make_descriptor(begun, slot);
        // acquire: pairs with the release in FrameWriter::publish(): what is pinned is whole.
        if ((record.holders.load(std::memory_order_acquire) & bit_) == 0 ||
            record.sequence.load(std::memory_order_relaxed) != begun ||
            !queue.push_missing(descriptor)) {
          continue;
        }
        MILLRACE_CRASH_POINT("frames.finish.pushed");
      }
      finished_ = epoch;
    }
    segment_->settle();
  }

  // Gives the lane back. Nobody can take it over before we let the lifecycle lock go.
  void leave() noexcept {
    channel_.control().lanes.active.fetch_and(~bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.leave.inactive");
    clear_pins();
    MILLRACE_CRASH_POINT("frames.leave.cleared");
    segment_->resign(record(), role());
    MILLRACE_CRASH_POINT("frames.leave.resigned");
    wake_writer();
  }

  [[nodiscard]] LaneConsumer& queue() noexcept { return queue_; }
  [[nodiscard]] const LaneConsumer& queue() const noexcept { return queue_; }
  [[nodiscard]] layout::RoleRecord& record() const noexcept {
    return queue_.view().lane->join.role;
  }
  // Does our pin lie on a slot whose word of pins is this?
  [[nodiscard]] bool pins(std::uint64_t holders) const noexcept { return (holders & bit_) != 0; }
  // The writer found our positions impossible and delivers no more.
  [[nodiscard]] bool excluded() const noexcept {
    return !pins(channel_.control().lanes.active.load(std::memory_order_relaxed));
  }

  // Gives a frame back. A waiting writer is told.
  void drop(std::uint32_t slot) {
    MILLRACE_CRASH_POINT("frames.release.begun");
    unpin(slot);
    wake_writer();
  }
  void wake_writer() {
    if (writer_waker_.peer_sleeps()) [[unlikely]] {
      writer_waker_.wake(ringer_ != nullptr ? *ringer_ : own_ringer_, segment_->trust());
    }
  }
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }

 private:
  // Its holder needs microseconds. One that needs longer is stopped, or is the successor.
  static constexpr std::uint64_t kFinishPatienceNs = 5'000'000;

  Result<std::uint32_t> free_lane() const {
    const layout::FramesPlan& plan = channel_.plan();
    for (std::uint32_t lane = 0; lane < plan.readers; ++lane) {
      const std::uint32_t role_index = FrameChannel::role_of_lane(lane);
      if (!segment_->try_role_lock(role_index)) continue;
      return lane;  // claim() takes the same byte again, which is ours by now
    }
    const std::string cure = plan.readers < layout::kMaxReaders
                                 ? "close some, or create the channel with a larger maxReaders"
                                 : "close some; there cannot be more on one channel";
    return make_error(Code::no_lane,
                      "all " + std::to_string(plan.readers) + " reader places of '" +
                          segment_->name() + "' are taken: " + cure,
                      segment_->path());
  }

  static std::uint32_t depth_of(const FrameReaderSpec& spec,
                                const layout::FramesPlan& plan) noexcept {
    if (spec.depth != 0) return std::min(spec.depth, plan.slots);
    switch (spec.policy) {
      case layout::Policy::wait:
        return plan.slots;
      case layout::Policy::drop_newest:
        return std::max<std::uint32_t>(1, plan.slots / 2);
      case layout::Policy::overwrite_oldest:
        return std::max<std::uint32_t>(1, plan.slots - 2);
    }
    return plan.slots;
  }

  // Waits until the writer has done what it may be doing with a look at `active` that is older than our
  // last change of it: active -> heavy fence -> begun, evictions here; begun, evictions -> fence -> active
  // in FrameWriter::publish and FrameLedger::while_joiners_wait. Returns the last sequence begun by then.
  Result<std::uint64_t> let_writer_finish(const os::Deadline& deadline) const {
    // Without the asymmetric fence our own full fence does not order a writer that relies on it. Its
    // stores become visible within the time a store takes; a millisecond is ample.
    if (!os::heavy_fence()) os::sleep_ns(1'000'000);
    const auto& sequence = channel_.control().sequence;
    const std::uint64_t begun = sequence.begun.load(std::memory_order_relaxed);
    const std::uint64_t evictions = sequence.evictions.load(std::memory_order_relaxed);
    const auto busy = [&] {
      // acquire: pairs with the release stores that end a publish and an eviction.
      if (sequence.published.load(std::memory_order_acquire) < begun) return true;
      return evictions % 2 == 1 && sequence.evictions.load(std::memory_order_acquire) == evictions;
    };
    for (int look = 0; busy(); ++look) {
      if (look < 1000) {
        os::spin_hint();
        continue;
      }
      // Whether what it was publishing counts is for its successor to say.
      if (!segment_->role_held(layout::kWriterRole)) return no_writer(*segment_);
      if (deadline.passed()) {
        return make_error(
            Code::timeout,
            "the writer of '" + segment_->name() + "' (process " +
                std::to_string(channel_.writer_record().pid.load(std::memory_order_relaxed)) +
                ") does not finish a publish; is it stopped? Try again, or end it");
      }
      os::sleep_ns(50'000);
    }
    return begun;
  }

  // The pin goes first, then the ledger's mark: a successor of the writer may clear a pin without a
  // mark, and must not be able to do so before we have.
  void unpin(std::uint32_t slot) noexcept {
    // release: pairs with the acquire in FrameLedger::is_free: our reads are over.
    channel_.unpin(slot, bit_);
    MILLRACE_CRASH_POINT("frames.release.unpinned");
    queue_.view().unmark(slot);
  }
  void clear_pins() noexcept {
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot)
      unpin(slot);
  }
  [[nodiscard]] std::uint32_t role() const noexcept { return FrameChannel::role_of_lane(lane_); }

  Segment* segment_ = nullptr;
  FrameChannel channel_;
  LaneConsumer queue_;
  std::uint32_t lane_ = 0;
  std::uint64_t bit_ = 0;
  std::uint32_t finished_ = 0;  // epoch of the dead writer whose last publish we have looked at
  Waker writer_waker_;
  os::BellRinger own_ringer_;
  os::BellRinger* ringer_ = nullptr;
};

}  // namespace detail
}  // namespace millrace
