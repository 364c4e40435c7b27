// The reading side of a frame channel: receive a frame, read it where it lies, release it.
//
// A reader owns one lane while it lives (frame_joining.hpp): the role lock of the lane, its bit in every
// SlotRecord::holders, its ledger. A frame it has received is pinned by its bit until release(); when the reader
// dies, its lane's bit is no longer active and counts for nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crash_point.hpp"
#include "frame_channel.hpp"
#include "frame_joining.hpp"
#include "latency.hpp"
#include "layout/frames.hpp"
#include "os/clock.hpp"
#include "os/doorbell.hpp"
#include "segment.hpp"
#include "waiting.hpp"

namespace millrace {

struct ReceivedFrame {
  enum class Status { ok, empty, too_many_held, corrupt };
  Status status = Status::empty;
  std::uint32_t slot = 0;
  std::uint64_t sequence = 0;
  std::uint64_t length = 0;
  std::uint64_t timestamp = 0;
  std::uint64_t missed =
      0;  // frames since the previous one received, or since we joined, or since `after`
};

class FrameReader {
 public:
  // not_found while there is no channel or no living writer on it.
  static Result<std::unique_ptr<FrameReader>> open(const FrameReaderSpec& spec,
                                                   const os::Deadline& deadline) {
    if (auto fit = os::check_for_reader(spec.memory); !fit.ok()) return fit.error();
    SegmentSpec wanted = detail::FrameChannel::segment_spec(spec);
    wanted.owner = spec.owner;
    layout::FramesPlan plan;
    std::unique_ptr<FrameReader> self(new FrameReader);
    auto entered = Segment::enter(wanted, Entry::attach_only, deadline,
                                  [&](const layout::Geometry& found) -> Result<std::uint64_t> {
                                    auto there =
                                        detail::FrameChannel::judge(found, spec.place.title());
                                    if (!there.ok()) return there.error();
                                    plan = there.value();
                                    return plan.pool_offset;
                                  });
    if (!entered.ok()) return entered.error();
    self->segment_ = entered.take();
    auto joined = self->join(spec, plan, deadline);
    if (!joined.ok()) return joined.error();
    return self;
  }
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;
  ~FrameReader() { close(); }

  // The oldest frame not yet received.
  [[nodiscard]] ReceivedFrame receive() {
    if (held_count_ >= max_held_) {
      return failure(has_frame() ? ReceivedFrame::Status::too_many_held
                                 : ReceivedFrame::Status::empty);
    }
    return account(next());
  }
  // The newest frame not yet received; older ones are released unseen and counted as skipped.
  [[nodiscard]] ReceivedFrame latest() {
    if (held_count_ >= max_held_) {
      return failure(has_frame() ? ReceivedFrame::Status::too_many_held
                                 : ReceivedFrame::Status::empty);
    }
    ReceivedFrame newest = next();
    std::uint64_t passed = 0;
    // Bounded by what is queued now: a writer that never pauses cannot hold us here.
    for (std::uint64_t more = waiting_frames();
         more > 0 && newest.status == ReceivedFrame::Status::ok; --more) {
      const ReceivedFrame newer = next();
      if (newer.status != ReceivedFrame::Status::ok) break;
      lane_.drop(newest.slot);
      ++passed;
      newest = newer;
    }
    skipped_ += passed;
    ReceivedFrame result = account(newest);
    if (result.status == ReceivedFrame::Status::ok) {
      result.missed -= std::min(result.missed, passed);  // those were our choice
    }
    return result;
  }
  // For who has been asked to say how long frames take: of one of kLatencyEvery, when it has been received (latency.hpp). Of what was
  // published before this reader came nothing is counted.
  void count_latency(const ReceivedFrame& frame) noexcept {
    if (frame.status != ReceivedFrame::Status::ok || frame.sequence <= joined_after_) return;
    const std::uint64_t frames = measured_ == 0 ? 1 : received_ - measured_;
    measured_ = received_;
    millrace::count_latency(*lane_.queue().view().lane, frame.timestamp,
                            static_cast<std::uint32_t>(frames));
  }
  // Gives a frame back. False if that frame is not held (released already, or never received).
  bool release(std::uint32_t slot, std::uint64_t sequence) {
    if (!holds(slot, sequence)) return false;
    held_[slot] = 0;
    --held_count_;
    lane_.drop(slot);
    return true;
  }
  [[nodiscard]] bool holds(std::uint32_t slot, std::uint64_t sequence) const noexcept {
    return slot < held_.size() && sequence != 0 && held_[slot] == sequence;
  }

  // The bytes of a held frame where they lie, and the 64 beside them. Empty if it is not held.
  [[nodiscard]] std::span<const std::byte> payload(const ReceivedFrame& frame) const noexcept {
    if (!holds(frame.slot, frame.sequence) || frame.length > channel_.plan().slot_bytes) return {};
    return channel_.payload(pool_, frame.slot, frame.length);
  }
  [[nodiscard]] std::span<const std::byte> user_header(const ReceivedFrame& frame) const noexcept {
    if (!holds(frame.slot, frame.sequence)) return {};
    return detail::FrameChannel::user_header(pool_, frame.slot);
  }

  [[nodiscard]] bool has_frame() const noexcept {
    return !backlog_.empty() || lane_.queue().has_entry();
  }
  [[nodiscard]] bool stirred() const noexcept { return has_frame() || writer_left() || excluded(); }
  [[nodiscard]] bool park(const WakeAddress& address) {
    sleeper_.park_on_bell(address);
    if (!stirred()) return true;
    sleeper_.unpark();
    return false;
  }
  [[nodiscard]] bool wait_frame(std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    return wait_slice(sleeper_, spin_ns, timeout_ns, [&] { return stirred(); });
  }
  [[nodiscard]] Sleeper& sleeper() noexcept { return sleeper_; }

  // When it says gone, all that the writer had published is in the queue; look once more.
  [[nodiscard]] Peer writer() {
    const Peer peer = peer_or_failed(segment_, channel_.writer_record(), layout::kWriterRole);
    if (peer == Peer::gone && entered_) lane_.finish_publish();
    return peer;
  }
  // Why, when writer() says that it failed.
  [[nodiscard]] std::string writer_reason() const {
    return reason_of(channel_.writer_record(), channel_.writer_reason_place());
  }
  [[nodiscard]] bool writer_left() const noexcept {
    return channel_.writer_record().state.load(std::memory_order_acquire) ==
           static_cast<std::uint32_t>(layout::RoleState::closed);
  }
  // The writer found our positions impossible and delivers no more.
  [[nodiscard]] bool excluded() const noexcept { return lane_.excluded(); }
  [[nodiscard]] std::uint64_t writer_doorbell() const noexcept {
    return channel_.writer_record().doorbell.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t writer_pid() const noexcept {
    return channel_.writer_record().pid.load(std::memory_order_relaxed);
  }

  // Frames the writer could not deliver since we joined: dropped or taken back, as the policy says. It
  // is what was published less what we have taken and what is queued, so that no death can make it wrong.
  [[nodiscard]] std::uint64_t lost() noexcept {
    // First what counts as published, then what is queued: a writer that goes on between the two can only
    // make the difference too small, until the next look.
    std::uint64_t published = channel_.control().sequence.published.load(std::memory_order_acquire);
    const auto queued = lane_.queue().queued();
    if (!queued) return lost_;
    // The writer may have died when it had queued a frame and not counted it yet. That frame waits, or it was
    // the last that we took.
    published = std::max({published, queued->newest, last_sequence_});
    const std::uint64_t arrived = joined_after_ + taken_ + queued->count;
    if (published > arrived) lost_ = std::max(lost_, published - arrived);
    return lost_;
  }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }
  [[nodiscard]] std::uint64_t joined_after() const noexcept { return joined_after_; }
  [[nodiscard]] std::uint32_t held() const noexcept { return held_count_; }
  [[nodiscard]] std::uint32_t max_held() const noexcept { return max_held_; }
  [[nodiscard]] std::uint64_t waiting_frames() const noexcept {
    return backlog_.size() +
           std::min<std::uint64_t>(lane_.queue().entries(), channel_.plan().slots);
  }

  [[nodiscard]] const layout::FramesPlan& plan() const noexcept { return channel_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return pool_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  void use_ringer(os::BellRinger* ringer) noexcept { lane_.use_ringer(ringer); }
  // For a reader that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    lane_.record().doorbell.store(doorbell, std::memory_order_relaxed);
  }

  void close() noexcept {
    if (!entered_) return;
    entered_ = false;
    if (!segment_.intact()) {
      forget();
      segment_.forsake();
      return;
    }
    sleeper_.unpark();
    const bool locked = segment_.lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    lane_.leave();
    if (locked) detail::FrameChannel::remove_if_last(segment_);
    forget();
    segment_ = Segment();
  }

 private:
  FrameReader() = default;

  void forget() noexcept {
    held_.clear();  // all went back
    pool_.reset();
  }

  Result<void> join(const FrameReaderSpec& spec, const layout::FramesPlan& plan,
                    const os::Deadline& deadline) {
    channel_.bind(&segment_, plan);
    if (writer() != Peer::attached) return detail::no_writer(segment_);
    auto mapped = segment_.map_private(plan.pool_offset, plan.pool_bytes);
    if (!mapped.ok()) return mapped.error();
    pool_ = mapped.take();
    held_.assign(plan.slots, 0);
    max_held_ = spec.max_held != 0 ? std::min(spec.max_held, plan.slots)
                                   : std::max<std::uint32_t>(1, plan.slots - 2);
    auto occupied = lane_.occupy(&segment_, channel_, spec, deadline);
    if (!occupied.ok()) return occupied;
    entered_ = true;  // from here on close() undoes everything
    sleeper_ = Sleeper(&lane_.queue().view().lane->wait);
    auto joined_after = lane_.activate(deadline);
    if (!joined_after.ok()) return joined_after.error();
    joined_after_ = joined_after.value();
    if (spec.after) {
      const bool ours = spec.after_instance.value_or(segment_.instance()) == segment_.instance();
      last_sequence_ = ours && *spec.after <= joined_after_ ? *spec.after : 0;
      const auto most = spec.history != 0 ? spec.history : plan.slots;
      if (last_sequence_ < joined_after_) {
        backlog_ = lane_.collect_history(most, joined_after_, last_sequence_);
      }
    } else {
      if (spec.history > 0) backlog_ = lane_.collect_history(spec.history, joined_after_, 0);
      last_sequence_ = backlog_.empty() ? joined_after_ : backlog_.back().sequence - 1;
    }
    MILLRACE_CRASH_POINT("frames.join.collected");
    segment_.settle();
    // The writer may be asleep since before we came: let it look, so that it learns whom to watch.
    lane_.wake_writer();
    return {};
  }

  // The next frame of the history or the queue, pinned and judged, without accounting.
  [[nodiscard]] ReceivedFrame next() {
    if (!backlog_.empty()) {
      const detail::PinnedFrame entry = backlog_.back();
      backlog_.pop_back();
      return describe(entry.slot, entry.sequence);
    }
    const std::uint32_t slots = channel_.plan().slots;
    for (std::uint64_t tries = 0; tries <= lane_.queue().view().capacity(); ++tries) {
      const LaneConsumer::Taken taken = lane_.queue().take(slots);
      if (taken.corrupt) return failure(ReceivedFrame::Status::corrupt);
      if (taken.empty) return failure(ReceivedFrame::Status::empty);
      if (held_[taken.slot] != 0) return failure(ReceivedFrame::Status::corrupt);
      layout::SlotRecord& record = channel_.slot(taken.slot);
      // acquire: pairs with the release of holders in FrameWriter::publish: the frame is visible.
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      const bool pinned =
          lane_.pins(holders) && record.sequence.load(std::memory_order_relaxed) == taken.sequence;
      if (!pinned) {  // meant for our predecessor on this lane
        lane_.queue().view().unmark(taken.slot);
        continue;
      }
      ++taken_;
      return describe(taken.slot, taken.sequence);
    }
    return failure(ReceivedFrame::Status::empty);
  }
  [[nodiscard]] ReceivedFrame describe(std::uint32_t slot, std::uint64_t sequence) const {
    const layout::SlotRecord& record = channel_.slot(slot);
    ReceivedFrame frame;
    frame.status = ReceivedFrame::Status::ok;
    frame.slot = slot;
    frame.sequence = sequence;
    frame.length = record.length.load(std::memory_order_relaxed);  // fetched once, judged here
    frame.timestamp = record.timestamp.load(std::memory_order_relaxed);
    // Sequences begin at 1: 0 stands for "not held".
    if (frame.length > channel_.plan().slot_bytes || sequence == 0) {
      frame.status = ReceivedFrame::Status::corrupt;
    }
    return frame;
  }
  // Enters a frame that goes to the user into the books. A waiting writer is told that the queue moved.
  [[nodiscard]] ReceivedFrame account(ReceivedFrame frame) {
    if (frame.status != ReceivedFrame::Status::ok) return frame;
    frame.missed = frame.sequence <= last_sequence_ ? 0 : frame.sequence - last_sequence_ - 1;
    last_sequence_ = frame.sequence;
    held_[frame.slot] = frame.sequence;
    ++held_count_;
    ++received_;
    lane_.queue().view().lane->reader.received.store(received_, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.receive.counted");
    lane_.wake_writer();
    return frame;
  }
  static ReceivedFrame failure(ReceivedFrame::Status status) noexcept {
    ReceivedFrame frame;
    frame.status = status;
    return frame;
  }

  bool entered_ = false;
  Segment segment_;
  detail::FrameChannel channel_;
  os::MappingPtr pool_;
  detail::JoinedLane lane_;
  std::vector<detail::PinnedFrame> backlog_;  // from before we joined, newest first
  std::vector<std::uint64_t> held_;           // sequence held in each slot, 0 if none
  std::uint32_t held_count_ = 0;
  std::uint32_t max_held_ = 1;
  std::uint64_t last_sequence_ = 0;  // received last; at first what came before us, or what we had
  std::uint64_t joined_after_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t measured_ = 0;  // how many that were when one was measured last
  std::uint64_t skipped_ = 0;
  std::uint64_t taken_ = 0;  // out of the queue, whether handed out or passed over
  std::uint64_t lost_ = 0;   // as it was told last
  Sleeper sleeper_;
};

}  // namespace millrace
