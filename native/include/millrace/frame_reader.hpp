// The reading side of a frame channel: receive a frame, read it where it lies, release it.
//
// A reader owns one lane while it lives: the role lock of the lane, its bit in every SlotRecord::holders,
// its ledger. It joins and leaves without the writer's help. A frame it has received is pinned by its bit
// until release(); when the reader dies, its lane's bit is no longer active and counts for nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compact_sort.hpp"
#include "crash_point.hpp"
#include "frame_channel.hpp"
#include "layout/frames.hpp"
#include "os/clock.hpp"
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
  std::uint32_t max_held = 0;  // frames that may be held at once; 0: all slots but two
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t doorbell = 0;
  std::uint64_t schema = 0;  // fingerprint of what a frame is; 0: not said
};

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
    SegmentSpec wanted;
    wanted.kind = layout::Kind::frames;
    wanted.letter = 'f';
    wanted.place = spec.place;
    wanted.memory = spec.memory;
    wanted.mode = spec.mode;
    wanted.owner = spec.owner;
    wanted.schema = spec.schema;
    wanted.bury = detail::FrameChannel::bury_all;
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
      drop(newest.slot);
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
  // Gives a frame back. False if that frame is not held (released already, or never received).
  bool release(std::uint32_t slot, std::uint64_t sequence) {
    if (!holds(slot, sequence)) return false;
    held_[slot] = 0;
    --held_count_;
    drop(slot);
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

  [[nodiscard]] bool has_frame() const noexcept { return !backlog_.empty() || queue_.has_entry(); }
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
    if (peer == Peer::gone && entered_) finish_publish();
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
  [[nodiscard]] bool excluded() const noexcept {
    return (channel_.control().lanes.active.load(std::memory_order_relaxed) & bit_) == 0;
  }
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
    const auto queued = queue_.queued();
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
    return backlog_.size() + std::min<std::uint64_t>(queue_.entries(), channel_.plan().slots);
  }

  [[nodiscard]] const layout::FramesPlan& plan() const noexcept { return channel_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return pool_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }
  // For a reader that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    record().doorbell.store(doorbell, std::memory_order_relaxed);
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
    channel_.control().lanes.active.fetch_and(~bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.leave.inactive");
    clear_pins();
    MILLRACE_CRASH_POINT("frames.leave.cleared");
    segment_.resign(record(), role());
    MILLRACE_CRASH_POINT("frames.leave.resigned");
    wake_writer();
    if (locked) detail::FrameChannel::remove_if_last(segment_);
    forget();
    segment_ = Segment();
  }

 private:
  // Its holder needs microseconds. One that needs longer is stopped, or is the successor.
  static constexpr std::uint64_t kFinishPatienceNs = 5'000'000;

  FrameReader() = default;

  void forget() noexcept {
    held_.clear();  // all went back
    pool_.reset();
  }

  Result<void> join(const FrameReaderSpec& spec, const layout::FramesPlan& plan,
                    const os::Deadline& deadline) {
    channel_.bind(&segment_, plan);
    if (writer() != Peer::attached) return no_writer();
    auto mapped = segment_.map_private(plan.pool_offset, plan.pool_bytes);
    if (!mapped.ok()) return mapped.error();
    auto found = free_lane(plan);
    if (!found.ok()) return found.error();
    lane_ = found.value();
    bit_ = 1ULL << lane_;
    pool_ = mapped.take();
    queue_ = LaneConsumer(channel_.lane(lane_));
    held_.assign(plan.slots, 0);
    max_held_ = spec.max_held != 0 ? std::min(spec.max_held, plan.slots)
                                   : std::max<std::uint32_t>(1, plan.slots - 2);

    // Whoever had the lane before is gone; what it pinned and what was queued for it counts for nothing.
    // The writer may still be working on the lane for it, though: pushing, or taking a frame back. Were
    // that to end after our first pin, it could give us a predecessor's frame, or take our pin away.
    auto& active = channel_.control().lanes.active;
    active.fetch_and(~bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.join.inactive");
    if (auto quiet = let_writer_finish(deadline); !quiet.ok()) return quiet.error();
    queue_.skip_all();
    clear_pins();
    MILLRACE_CRASH_POINT("frames.join.cleared");
    // Before claim(): the new epoch tells the writer that policy and depth are ours.
    auto& join_line = queue_.view().lane->join;
    join_line.policy.store(static_cast<std::uint32_t>(spec.policy), std::memory_order_relaxed);
    join_line.depth.store(depth_of(spec, plan), std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.join.described");
    auto claimed = segment_.claim(record(), role(), spec.doorbell, "reader");
    if (!claimed.ok()) return claimed;
    entered_ = true;  // from here on close() undoes everything
    sleeper_ = Sleeper(&queue_.view().lane->wait);
    writer_waker_ = Waker(&channel_.control().wait);
    auto& writer_line = queue_.view().lane->writer;
    writer_line.first.store(0, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.join.claimed");

    // From now on frames are queued for us. A publish that began before it could see our bit must end
    // before we know where we joined.
    // release: pairs with the acquire in FrameLanes::active: all of the above comes with the bit.
    active.fetch_or(bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.join.active");
    auto begun = let_writer_finish(deadline);
    if (!begun.ok()) return begun.error();
    // That publish may have seen our bit, or not: if it has, its frame is in our queue.
    const std::uint64_t first = writer_line.first.load(std::memory_order_relaxed);
    joined_after_ = first != 0 && first <= begun.value() ? first - 1 : begun.value();
    if (spec.after) {
      last_sequence_ = *spec.after <= joined_after_ ? *spec.after : 0;
      const auto most = spec.history != 0 ? spec.history : plan.slots;
      if (last_sequence_ < joined_after_) collect_history(most);
    } else {
      if (spec.history > 0) collect_history(spec.history);
      last_sequence_ = backlog_.empty() ? joined_after_ : backlog_.back().sequence - 1;
    }
    MILLRACE_CRASH_POINT("frames.join.collected");
    segment_.settle();
    // The writer may be asleep since before we came: let it look, so that it learns whom to watch.
    wake_writer();
    return {};
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
      if (!segment_.role_held(layout::kWriterRole)) return no_writer();
      if (deadline.passed()) {
        return make_error(Code::timeout, "the writer of '" + segment_.name() + "' (process " +
                                             std::to_string(writer_pid()) +
                                             ") is stopped in the middle of a publish");
      }
      os::sleep_ns(50'000);
    }
    return begun;
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
    if (!segment_.lock_lifecycle(os::Deadline::after(kFinishPatienceNs)).ok()) return;
    if (!segment_.role_held(layout::kWriterRole) && interrupted()) {
      LaneProducer queue(queue_.view());
      for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
        const layout::SlotRecord& record = channel_.slot(slot);
        const std::uint64_t descriptor = layout::make_descriptor(begun, slot);
        // acquire: pairs with the release in FrameWriter::publish(): what is pinned is whole.
        if ((record.holders.load(std::memory_order_acquire) & bit_) == 0 ||
            record.sequence.load(std::memory_order_relaxed) != begun ||
            queue.pushed_last(descriptor) ||
            queue.backlog().value_or(queue_.view().capacity()) >= queue_.view().capacity()) {
          continue;
        }
        queue.push(descriptor);
        MILLRACE_CRASH_POINT("frames.finish.pushed");
      }
      finished_ = epoch;
    }
    segment_.settle();
  }

  [[nodiscard]] Error no_writer() const {
    return Error{
        Code::not_found,
        "frame channel '" + segment_.name() + "' has no writer (yet); start it, or wait for it",
        nullptr, 0, segment_.path()};
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

  Result<std::uint32_t> free_lane(const layout::FramesPlan& plan) const {
    for (std::uint32_t lane = 0; lane < plan.readers; ++lane) {
      const std::uint32_t role_index = detail::FrameChannel::role_of_lane(lane);
      if (!segment_.try_role_lock(role_index)) continue;
      return lane;  // claim() takes the same byte again, which is ours by now
    }
    const std::string cure = plan.readers < layout::kMaxReaders
                                 ? "close some, or create the channel with a larger maxReaders"
                                 : "close some; there cannot be more on one channel";
    return make_error(Code::no_lane,
                      "all " + std::to_string(plan.readers) + " reader places of '" +
                          segment_.name() + "' are taken: " + cure,
                      segment_.path());
  }

  // Pins up to `wanted` of the newest frames of the history, oldest first. Only frames from before we
  // joined: later ones come through the queue. None up to last_sequence_: we had those.
  void collect_history(std::uint32_t wanted) {
    std::vector<Pinned> found;
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
    compact_sort(found, [](const Pinned& a, const Pinned& b) { return a.sequence < b.sequence; });
    // While we looked, a publish may have let a frame go that is newer than one we had pinned already.
    // What is older than such a hole is not handed out; what follows must end where the queue begins.
    const bool moved = channel_.control().sequence.begun.load(std::memory_order_acquire) != before;
    std::uint64_t expected = joined_after_;
    bool hole = false;
    for (auto at = found.rbegin(); at != found.rend(); ++at) {
      const bool before_us = at->sequence <= joined_after_;
      if (before_us && moved && at->sequence != expected) hole = true;
      if (before_us && !hole && backlog_.size() < wanted && at->sequence > last_sequence_) {
        backlog_.push_back(*at);
        expected = at->sequence - 1;
      } else {
        drop(at->slot);
      }
    }
  }

  // The next frame of the history or the queue, pinned and judged, without accounting.
  [[nodiscard]] ReceivedFrame next() {
    if (!backlog_.empty()) {
      const Pinned entry = backlog_.back();
      backlog_.pop_back();
      return describe(entry.slot, entry.sequence);
    }
    const std::uint32_t slots = channel_.plan().slots;
    for (std::uint64_t tries = 0; tries <= queue_.view().capacity(); ++tries) {
      const LaneConsumer::Taken taken = queue_.take(slots);
      if (taken.corrupt) return failure(ReceivedFrame::Status::corrupt);
      if (taken.empty) return failure(ReceivedFrame::Status::empty);
      if (held_[taken.slot] != 0) return failure(ReceivedFrame::Status::corrupt);
      layout::SlotRecord& record = channel_.slot(taken.slot);
      // acquire: pairs with the release of holders in FrameWriter::publish: the frame is visible.
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      const bool pinned = (holders & bit_) != 0 &&
                          record.sequence.load(std::memory_order_relaxed) == taken.sequence;
      if (!pinned) {  // meant for our predecessor on this lane
        queue_.view().unmark(taken.slot);
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
    queue_.view().lane->reader.received.store(received_, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.receive.counted");
    wake_writer();
    return frame;
  }
  static ReceivedFrame failure(ReceivedFrame::Status status) noexcept {
    ReceivedFrame frame;
    frame.status = status;
    return frame;
  }

  // The pin goes first, then the ledger's mark: a successor of the writer may clear a pin without a
  // mark, and must not be able to do so before we have.
  void unpin(std::uint32_t slot) noexcept {
    // release: pairs with the acquire in FrameLedger::is_free: our reads are over.
    channel_.slot(slot).holders.fetch_and(~bit_, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.release.unpinned");
    queue_.view().unmark(slot);
  }
  void drop(std::uint32_t slot) {
    MILLRACE_CRASH_POINT("frames.release.begun");
    unpin(slot);
    wake_writer();
  }
  void clear_pins() noexcept {
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot)
      unpin(slot);
  }
  void wake_writer() {
    if (writer_waker_.peer_sleeps()) [[unlikely]] {
      writer_waker_.wake(ringer_ != nullptr ? *ringer_ : own_ringer_, segment_.trust());
    }
  }
  [[nodiscard]] layout::RoleRecord& record() const noexcept {
    return queue_.view().lane->join.role;
  }
  [[nodiscard]] std::uint32_t role() const noexcept {
    return detail::FrameChannel::role_of_lane(lane_);
  }

  struct Pinned {
    std::uint64_t sequence;
    std::uint32_t slot;
  };

  bool entered_ = false;
  Segment segment_;
  detail::FrameChannel channel_;
  os::MappingPtr pool_;
  LaneConsumer queue_;
  std::uint32_t lane_ = 0;
  std::uint64_t bit_ = 0;
  std::vector<Pinned> backlog_;      // from before we joined, newest first
  std::vector<std::uint64_t> held_;  // sequence held in each slot, 0 if none
  std::uint32_t held_count_ = 0;
  std::uint32_t max_held_ = 1;
  std::uint64_t last_sequence_ = 0;  // received last; at first what came before us, or what we had
  std::uint64_t joined_after_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t taken_ = 0;     // out of the queue, whether handed out or passed over
  std::uint64_t lost_ = 0;      // as it was told last
  std::uint32_t finished_ = 0;  // epoch of the dead writer whose last publish we have looked at
  Sleeper sleeper_;
  Waker writer_waker_;
  os::BellRinger own_ringer_;
  os::BellRinger* ringer_ = nullptr;
};

}  // namespace millrace
