// The writing side of a frame channel: loan a slot, fill it, publish it to every reader.
//
// A slot is the writer's while no active lane and not the history pins it (frame_ledger.hpp). publish() sets the pins
// with one store and then pushes a descriptor to each lane (frame_lanes.hpp); readers clear their pin when they are done
// (acquire in the ledger, release there: they have finished reading before we write again). A reader that is
// too slow is treated by the policy it stated: the writer waits for it, drops the new frame for it, or
// takes its oldest queued frame back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compact_sort.hpp"
#include "crash_point.hpp"
#include "frame_channel.hpp"
#include "frame_lanes.hpp"
#include "frame_ledger.hpp"
#include "layout/frames.hpp"
#include "os/clock.hpp"
#include "segment.hpp"
#include "waiting.hpp"

namespace millrace {

struct FrameWriterSpec {
  Place place;
  os::MemoryOptions memory;
  FramesGeometry geometry;
  mode_t mode = 0600;
  std::uint64_t doorbell = 0;
  std::uint64_t schema = 0;  // fingerprint of what a frame is; 0: not said
  bool keep = false;         // the channel and its history stay when everybody has gone
  bool replace = false;      // take the name from a channel that is in use with another geometry
};

class FrameWriter {
 public:
  static Result<std::unique_ptr<FrameWriter>> open(const FrameWriterSpec& spec,
                                                   const os::Deadline& deadline) {
    auto plan = plan_frames(spec.geometry);
    if (!plan.ok()) return plan.error();
    SegmentSpec wanted = detail::FrameChannel::segment_spec(spec);
    wanted.keep = spec.keep;
    wanted.geometry = detail::FrameChannel::geometry_of(plan.value());

    std::unique_ptr<FrameWriter> self(new FrameWriter);
    auto entered = Segment::enter(
        wanted, spec.replace ? Entry::replace : Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          auto there = detail::FrameChannel::judge(found, spec.place.title());
          if (!there.ok()) return there.error();
          if (auto same = compare(spec.place.title(), plan.value(), there.value()); !same.ok()) {
            return same.error();
          }
          return plan.value().pool_offset;
        });
    if (!entered.ok()) return entered.error();
    self->segment_ = entered.take();
    auto done = self->take_role(spec, plan.value());
    if (!done.ok()) {
      if (self->segment_.created()) self->segment_.unlink();
      return done.error();
    }
    self->segment_.settle();
    MILLRACE_CRASH_POINT("frames.open.settled");
    self->entered_ = true;
    self->lanes().wake(self->channel_.lane_bits());  // let them see, and watch, the new writer
    return self;
  }
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;
  ~FrameWriter() { close(); }

  // A slot to write into, or nothing while readers that must not miss a frame, or that hold theirs, are
  // in the way. Several loans may be out at once; publish them in any order.
  [[nodiscard]] std::optional<std::uint32_t> try_loan() { return ledger_.try_loan(); }
  // The loan that the caller will ask for next, made now that it costs next to nothing; none while others
  // are out. try_loan() could not refuse it later: only we make queues grow, nobody pins a slot that is
  // free, and a reader that joins meanwhile has room for one frame.
  [[nodiscard]] std::optional<std::uint32_t> loan_ahead() { return ledger_.loan_ahead(); }
  // Gives an unpublished loan back.
  void discard(std::uint32_t slot) noexcept {
    if (is_loaned(slot)) ledger_.end_loan(slot);
  }
  [[nodiscard]] bool is_loaned(std::uint32_t slot) const noexcept {
    return ledger_.is_loaned(slot);
  }

  // The bytes of a slot on loan, and the 64 beside it for facts about the frame; these still hold what
  // was there last. Empty if the slot is not on loan.
  [[nodiscard]] std::span<std::byte> payload(std::uint32_t slot) const noexcept {
    if (!is_loaned(slot)) return {};
    return channel_.payload(pool_, slot, channel_.plan().slot_bytes);
  }
  [[nodiscard]] std::span<std::byte> user_header(std::uint32_t slot) const noexcept {
    if (!is_loaned(slot)) return {};
    return detail::FrameChannel::user_header(pool_, slot);
  }

  // Makes the slot visible to all readers; it is no longer the caller's. Returns its sequence, 0 if it
  // was not on loan or `length` exceeds the slot. `timestamp` 0: now.
  std::uint64_t publish(std::uint32_t slot, std::uint64_t length, std::uint64_t timestamp) {
    if (!is_loaned(slot) || length > channel_.plan().slot_bytes) return 0;
    auto& sequence_line = channel_.control().sequence;
    const std::uint64_t sequence = ++sequence_;
    // Joining readers need to know whether a publish that may not know them yet is under way:
    // begun -> fence -> active here, active -> heavy fence -> begun there (JoinedLane::activate).
    sequence_line.begun.store(sequence, std::memory_order_relaxed);
    os::light_fence();
    MILLRACE_CRASH_POINT("frames.publish.begun");
    const std::uint64_t active = lanes().active();

    layout::SlotRecord& record = channel_.slot(slot);
    record.sequence.store(sequence, std::memory_order_relaxed);
    record.length.store(length, std::memory_order_relaxed);
    record.timestamp.store(timestamp != 0 ? timestamp : os::monotonic_ns(),
                           std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.publish.recorded");
    std::uint64_t targets = 0;
    detail::for_each_bit(active, [&](std::uint32_t lane) {
      if (std::exchange(lanes()[lane].fresh, false)) {
        // Visible to the reader that waits for `published` in JoinedLane::activate.
        lanes()[lane].view.lane->writer.first.store(sequence, std::memory_order_relaxed);
      }
      if (ledger_.make_room(lane)) targets |= 1ULL << lane;
    });
    MILLRACE_CRASH_POINT("frames.publish.roomed");
    // release: pairs with the acquire loads of holders in FrameReader and JoinedLane: the payload and the record are
    // visible to whoever sees its pin.
    record.holders.store(targets | (channel_.plan().history > 0 ? layout::kHistoryBit : 0),
                         std::memory_order_release);
    MILLRACE_CRASH_POINT("frames.publish.pinned");
    ledger_.remember(slot);
    MILLRACE_CRASH_POINT("frames.publish.remembered");
    const std::uint64_t descriptor = layout::make_descriptor(sequence, slot);
    detail::for_each_bit(targets, [&](std::uint32_t lane) {
      lanes()[lane].queue.push(descriptor);
      MILLRACE_CRASH_POINT("frames.publish.pushed");
    });
    // release: pairs with the acquire in JoinedLane::let_writer_finish.
    sequence_line.published.store(sequence, std::memory_order_release);
    MILLRACE_CRASH_POINT("frames.publish.published");
    ledger_.end_loan(slot);
    lanes().wake(targets);
    return sequence;
  }

  // Would a loan succeed, or is there anything else for a waiting writer to look at?
  [[nodiscard]] bool stirred() { return ledger_.stirred(); }
  [[nodiscard]] bool park(const WakeAddress& address) {
    sleeper_.park_on_bell(address);
    if (!stirred()) return true;
    sleeper_.unpark();
    return false;
  }
  [[nodiscard]] bool wait_free(std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    return wait_slice(sleeper_, spin_ns, timeout_ns, [&] { return stirred(); });
  }
  [[nodiscard]] Sleeper& sleeper() noexcept { return sleeper_; }

  // Takes dead readers' lanes out of service. True if there was one. At most one system call a lane.
  bool reap_dead_readers() { return lanes().reap_dead(); }

  // Readers attached and alive at the moment. One system call a reader.
  [[nodiscard]] std::uint32_t readers() const noexcept { return ledger_.lanes().count_living(); }
  // Calls each(doorbell) for every attached reader: whose death a waiting writer wants to hear of.
  template <typename Each>
  void for_each_reader_bell(Each&& each) {
    lanes().for_each_bell(std::forward<Each>(each));
  }

  [[nodiscard]] const layout::FramesPlan& plan() const noexcept { return channel_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return pool_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  void use_ringer(os::BellRinger* ringer) noexcept { lanes().use_ringer(ringer); }
  // For a writer that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    channel_.writer_record().doorbell.store(doorbell, std::memory_order_relaxed);
  }

  void close() noexcept { leave(std::nullopt); }
  // As close(), but after what is queued for it each reader gets peer_failed and the reason: UTF-8, of which the
  // first 200 bytes are kept.
  void abort(std::string_view reason) noexcept { leave(reason); }

 private:
  void leave(std::optional<std::string_view> failure) noexcept {
    if (!entered_) return;
    entered_ = false;
    if (!segment_.intact()) {
      forget();
      segment_.forsake();
      return;
    }
    sleeper_.unpark();
    const bool locked = segment_.lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    if (failure) say_failed(channel_.writer_record(), channel_.writer_reason_place(), *failure);
    segment_.resign(channel_.writer_record(), layout::kWriterRole);
    MILLRACE_CRASH_POINT("frames.close.resigned");
    lanes().wake(channel_.lane_bits());
    if (locked) detail::FrameChannel::remove_if_last(segment_);
    forget();
    segment_ = Segment();
  }

  FrameWriter() = default;

  void forget() noexcept {
    ledger_.void_loans();
    pool_.reset();
  }

  static Result<void> compare(const std::string& name, const layout::FramesPlan& mine,
                              const layout::FramesPlan& there) {
    std::string differences;
    const auto differ = [&](const char* what, std::uint64_t theirs, std::uint64_t ours) {
      if (theirs == ours) return;
      if (!differences.empty()) differences += ", ";
      differences +=
          std::string(what) + " " + std::to_string(theirs) + " (not " + std::to_string(ours) + ")";
    };
    differ("slotBytes", there.slot_bytes, mine.slot_bytes);
    differ("slots", there.slots, mine.slots);
    differ("readers", there.readers, mine.readers);
    differ("history", there.history, mine.history);
    differ("alignment", there.alignment, mine.alignment);
    if (differences.empty()) return {};
    return make_error(Code::geometry, "frame channel '" + name + "' is in use with " + differences +
                                          "; close its readers first, or pass { replace: true }");
  }

  Result<void> take_role(const FrameWriterSpec& spec, const layout::FramesPlan& plan) {
    channel_.bind(&segment_, plan);
    auto mapped = segment_.map_shared(plan.pool_offset, plan.pool_bytes);
    if (!mapped.ok()) return mapped.error();
    auto claimed =
        segment_.claim(channel_.writer_record(), layout::kWriterRole, spec.doorbell, "writer");
    if (!claimed.ok()) return claimed;
    if (spec.keep) segment_.set_flag(layout::kKeep, true);
    // Before the first loan.
    channel_.control().lanes.marking.store(
        channel_.writer_record().epoch.load(std::memory_order_relaxed), std::memory_order_release);
    pool_ = mapped.take();
    sleeper_ = Sleeper(&channel_.control().wait);
    ledger_.bind(&segment_, channel_);
    if (inherit()) return {};
    segment_.resign(channel_.writer_record(), layout::kWriterRole);
    return make_error(Code::corrupt, "frame channel '" + spec.place.title() +
                                         "' holds an impossible sequence; close its readers, or "
                                         "pass { replace: true }");
  }

  // Puts in order what a predecessor left, possibly killed in the middle of publish() or an eviction. A
  // frame is published with its pins: from then on each reader that has one gets it, from us if need be;
  // before that no reader has seen it, and its number is used again.
  // False, with nothing done, if the sequence to go on from is none.
  bool inherit() {
    auto& sequence_line = channel_.control().sequence;
    sequence_ = sequence_line.published.load(std::memory_order_relaxed);
    if (sequence_ >= layout::kMaxSequence) return false;
    if (const std::uint64_t begun = sequence_line.begun.load(std::memory_order_relaxed);
        begun == sequence_ + 1 && finish_publish(begun)) {
      sequence_ = begun;
    }

    (void)ledger_.clear_stray_pins(lanes().active());  // nobody joins: the lifecycle lock is ours
    std::vector<std::pair<std::uint64_t, std::uint32_t>> kept;
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
      layout::SlotRecord& record = channel_.slot(slot);
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      const std::uint64_t sequence = record.sequence.load(std::memory_order_relaxed);
      if ((holders & layout::kHistoryBit) == 0) continue;
      if (channel_.plan().history == 0) {
        channel_.unpin(slot, layout::kHistoryBit);
      } else {
        kept.emplace_back(sequence, slot);
      }
    }
    compact_sort(kept);
    for (const auto& [sequence, slot] : kept)
      ledger_.remember(slot);
    MILLRACE_CRASH_POINT("frames.inherit.counted");
    sequence_line.begun.store(sequence_, std::memory_order_relaxed);
    sequence_line.published.store(sequence_, std::memory_order_release);
    MILLRACE_CRASH_POINT("frames.inherit.published");
    const std::uint64_t evictions = sequence_line.evictions.load(std::memory_order_relaxed);
    sequence_line.evictions.store(evictions + evictions % 2, std::memory_order_relaxed);
    return true;
  }

  // Pushes what a predecessor published and did not push any more. False: it had not published it. What was
  // pushed to a lane last is still in its cell, also if the reader has given the frame back by now.
  bool finish_publish(std::uint64_t sequence) {
    const std::uint64_t active = lanes().active();
    bool published = false;
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
      layout::SlotRecord& record = channel_.slot(slot);
      if (record.sequence.load(std::memory_order_relaxed) != sequence) continue;
      const std::uint64_t descriptor = layout::make_descriptor(sequence, slot);
      // acquire: pairs with the release in publish(): what is pinned is whole.
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      published = published || (holders & (active | layout::kHistoryBit)) != 0;
      for (std::uint32_t lane = 0; lane < channel_.plan().readers; ++lane) {
        const auto& queue = lanes()[lane].queue;
        published = published || queue.pushed_last(descriptor);
      }
      detail::for_each_bit(holders & active, [&](std::uint32_t lane) {
        if (!lanes()[lane].queue.push_missing(descriptor)) return;
        MILLRACE_CRASH_POINT("frames.inherit.pushed");
      });
    }
    return published;
  }

  [[nodiscard]] detail::FrameLanes& lanes() noexcept { return ledger_.lanes(); }

  bool entered_ = false;
  Segment segment_;
  detail::FrameChannel channel_;
  os::MappingPtr pool_;
  detail::FrameLedger ledger_;
  std::uint64_t sequence_ = 0;
  Sleeper sleeper_;
};

}  // namespace millrace
