// The writing side of a frame channel: loan a slot, fill it, publish it to every reader.
//
// A slot is the writer's while no active lane and not the history pins it. publish() sets the pins with
// one store and then pushes a descriptor to each lane; readers clear their pin when they are done
// (acquire here, release there: they have finished reading before we write again). A reader that is
// too slow is treated by the policy it stated: the writer waits for it, drops the new frame for it, or
// takes its oldest queued frame back.
#pragma once

#include <algorithm>
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
    SegmentSpec wanted;
    wanted.kind = layout::Kind::frames;
    wanted.letter = 'f';
    wanted.place = spec.place;
    wanted.memory = spec.memory;
    wanted.mode = spec.mode;
    wanted.schema = spec.schema;
    wanted.keep = spec.keep;
    wanted.geometry = detail::FrameChannel::geometry_of(plan.value());
    wanted.bury = detail::FrameChannel::bury_all;

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
    self->wake_readers(self->channel_.lane_bits());  // let them see, and watch, the new writer
    return self;
  }
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;
  ~FrameWriter() { close(); }

  // A slot to write into, or nothing while readers that must not miss a frame, or that hold theirs, are
  // in the way. Several loans may be out at once; publish them in any order.
  [[nodiscard]] std::optional<std::uint32_t> try_loan() {
    const std::uint64_t active = active_lanes();
    if (blocked_by_waiting_readers(active)) {
      if (!reap_dead_readers()) return std::nullopt;
      if (blocked_by_waiting_readers(active_lanes())) return std::nullopt;
    }
    if (auto slot = find_free(active_lanes())) return slot;
    if (while_joiners_wait([&](std::uint64_t lanes) { return evict_until_free(lanes); })) {
      return find_free(active_lanes());
    }
    const bool cleared =
        while_joiners_wait([&](std::uint64_t lanes) { return clear_stray_pins(lanes); });
    if (reap_dead_readers() || cleared) return find_free(active_lanes());
    return std::nullopt;
  }
  // The loan that the caller will ask for next, made now that it costs next to nothing; none while others
  // are out. try_loan() could not refuse it later: only we make queues grow, nobody pins a slot that is
  // free, and a reader that joins meanwhile has room for one frame.
  [[nodiscard]] std::optional<std::uint32_t> loan_ahead() {
    if (loans_ != 0) return std::nullopt;
    // Whoever has joined since then has an empty queue: whatever its policy, it is in nobody's way.
    const std::uint64_t active = lanes_set();
    if (blocked_by_waiting_readers(active) || !is_free(cursor_, active)) return std::nullopt;
    return find_free(active);
  }
  // Gives an unpublished loan back.
  void discard(std::uint32_t slot) noexcept {
    if (!is_loaned(slot)) return;
    loaned_[slot] = false;
    --loans_;
  }
  [[nodiscard]] bool is_loaned(std::uint32_t slot) const noexcept {
    return slot < loaned_.size() && loaned_[slot];
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
    // begun -> fence -> active here, active -> heavy fence -> begun there (FrameReader::join).
    sequence_line.begun.store(sequence, std::memory_order_relaxed);
    os::light_fence();
    MILLRACE_CRASH_POINT("frames.publish.begun");
    const std::uint64_t active = active_lanes();

    layout::SlotRecord& record = channel_.slot(slot);
    record.sequence.store(sequence, std::memory_order_relaxed);
    record.length.store(length, std::memory_order_relaxed);
    record.timestamp.store(timestamp != 0 ? timestamp : os::monotonic_ns(),
                           std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.publish.recorded");
    std::uint64_t targets = 0;
    detail::for_each_bit(active, [&](std::uint32_t lane) {
      if (std::exchange(lanes_[lane].fresh, false)) {
        // Visible to the reader that waits for `published` in FrameReader::join.
        lanes_[lane].view.lane->writer.first.store(sequence, std::memory_order_relaxed);
      }
      if (make_room(lane)) targets |= 1ULL << lane;
    });
    MILLRACE_CRASH_POINT("frames.publish.roomed");
    // release: pairs with the acquire loads of holders in FrameReader: the payload and the record are
    // visible to whoever sees its pin.
    record.holders.store(targets | (channel_.plan().history > 0 ? layout::kHistoryBit : 0),
                         std::memory_order_release);
    MILLRACE_CRASH_POINT("frames.publish.pinned");
    remember(slot);
    MILLRACE_CRASH_POINT("frames.publish.remembered");
    const std::uint64_t descriptor = layout::make_descriptor(sequence, slot);
    detail::for_each_bit(targets, [&](std::uint32_t lane) {
      lanes_[lane].queue.push(descriptor);
      MILLRACE_CRASH_POINT("frames.publish.pushed");
    });
    // release: pairs with the acquire in FrameReader::join.
    sequence_line.published.store(sequence, std::memory_order_release);
    MILLRACE_CRASH_POINT("frames.publish.published");
    loaned_[slot] = false;
    --loans_;
    wake_readers(targets);
    return sequence;
  }

  // Would a loan succeed, or is there anything else for a waiting writer to look at?
  [[nodiscard]] bool stirred() {
    const std::uint64_t active = active_lanes();
    if (blocked_by_waiting_readers(active)) return false;
    return any_free(active) || worth_evicting(active).has_value();
  }
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
  bool reap_dead_readers() {
    std::uint64_t dead = 0;
    detail::for_each_bit(active_lanes(), [&](std::uint32_t lane) {
      if (!segment_.role_held(detail::FrameChannel::role_of_lane(lane))) dead |= 1ULL << lane;
    });
    if (dead == 0) return false;
    // Under the lifecycle lock nobody can take the lane over between our look and our clearing it.
    if (!segment_.lock_lifecycle(os::Deadline::after(kReapPatienceNs)).ok()) return false;
    std::uint64_t reaped = 0;
    detail::for_each_bit(dead, [&](std::uint32_t lane) {
      if (segment_.role_held(detail::FrameChannel::role_of_lane(lane))) return;
      os::remove_dead_bell(
          lanes_[lane].view.lane->join.role.doorbell.load(std::memory_order_relaxed));
      reaped |= 1ULL << lane;
    });
    MILLRACE_CRASH_POINT("frames.reap.buried");
    channel_.control().lanes.active.fetch_and(~reaped, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.reap.done");
    segment_.settle();
    return reaped != 0;
  }

  // Readers attached and alive at the moment. The lane of one that was killed stays active until somebody needs it; its
  // role does not stay held. One system call a reader.
  [[nodiscard]] std::uint32_t readers() const noexcept {
    std::uint32_t living = 0;
    // relaxed: only a count; whoever joins or leaves meanwhile may be in it or not.
    const std::uint64_t active = channel_.control().lanes.active.load(std::memory_order_relaxed) &
                                 channel_.lane_bits() & ~banned_;
    detail::for_each_bit(active, [&](std::uint32_t lane) {
      if (segment_.role_held(detail::FrameChannel::role_of_lane(lane))) ++living;
    });
    return living;
  }
  // Calls each(doorbell) for every attached reader: whose death a waiting writer wants to hear of.
  template <typename Each>
  void for_each_reader_bell(Each&& each) {
    detail::for_each_bit(active_lanes(), [&](std::uint32_t lane) {
      each(lanes_[lane].view.lane->join.role.doorbell.load(std::memory_order_relaxed));
    });
  }

  [[nodiscard]] const layout::FramesPlan& plan() const noexcept { return channel_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return pool_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }
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
    wake_readers(channel_.lane_bits());
    if (locked) detail::FrameChannel::remove_if_last(segment_);
    forget();
    segment_ = Segment();
  }

  struct LaneState {
    LaneView view;
    LaneProducer queue;
    Waker waker;
    std::uint32_t epoch = 0;  // of the reader we know; 0: none yet
    bool fresh = false;       // that reader has not been told which frame was its first
    layout::Policy policy = layout::Policy::wait;
    std::uint64_t depth = 1;  // the least there is, until we know
  };

  // Its holder needs microseconds; one that needs longer is stopped, and must not hold us up.
  static constexpr std::uint64_t kReapPatienceNs = 200'000;

  FrameWriter() = default;

  void forget() noexcept {
    loaned_.clear();  // loans are void
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
    pool_ = mapped.take();
    sleeper_ = Sleeper(&channel_.control().wait);
    loaned_.assign(plan.slots, false);
    remembered_.assign(plan.slots, false);
    queued_for_.assign(plan.slots, 0);
    lanes_.resize(plan.readers);
    for (std::uint32_t i = 0; i < plan.readers; ++i) {
      lanes_[i].view = channel_.lane(i);
      lanes_[i].queue = LaneProducer(lanes_[i].view);
      lanes_[i].waker = Waker(&lanes_[i].view.lane->wait);
    }
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

    (void)clear_stray_pins(active_lanes());  // nobody joins: the lifecycle lock is ours
    std::vector<std::pair<std::uint64_t, std::uint32_t>> kept;
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
      layout::SlotRecord& record = channel_.slot(slot);
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      const std::uint64_t sequence = record.sequence.load(std::memory_order_relaxed);
      if ((holders & layout::kHistoryBit) == 0) continue;
      if (channel_.plan().history == 0) {
        record.holders.fetch_and(~layout::kHistoryBit, std::memory_order_acq_rel);
      } else {
        kept.emplace_back(sequence, slot);
      }
    }
    compact_sort(kept);
    for (const auto& [sequence, slot] : kept)
      remember(slot);
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
    const std::uint64_t active = active_lanes();
    bool published = false;
    for (std::uint32_t slot = 0; slot < channel_.plan().slots; ++slot) {
      layout::SlotRecord& record = channel_.slot(slot);
      if (record.sequence.load(std::memory_order_relaxed) != sequence) continue;
      const std::uint64_t descriptor = layout::make_descriptor(sequence, slot);
      // acquire: pairs with the release in publish(): what is pinned is whole.
      const std::uint64_t holders = record.holders.load(std::memory_order_acquire);
      published = published || (holders & (active | layout::kHistoryBit)) != 0;
      for (std::uint32_t lane = 0; lane < channel_.plan().readers; ++lane) {
        const auto& queue = lanes_[lane].queue;
        published = published || queue.pushed_last(descriptor);
      }
      detail::for_each_bit(holders & active, [&](std::uint32_t lane) {
        LaneProducer& queue = lanes_[lane].queue;
        const auto backlog = queue.backlog();
        if (queue.pushed_last(descriptor) || !backlog || *backlog >= queue.view().capacity())
          return;
        queue.push(descriptor);
        MILLRACE_CRASH_POINT("frames.inherit.pushed");
      });
    }
    return published;
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
    detail::for_each_bit(active, [&](std::uint32_t lane) {
      queued.assign(queued.size(), false);
      lanes_[lane].queue.for_each_queued([&](std::uint64_t descriptor) {
        const std::uint32_t slot = layout::descriptor_slot(descriptor);
        if (slot < queued.size()) queued[slot] = true;
      });
      for (std::uint32_t slot = 0; slot < queued.size(); ++slot) {
        auto& holders = channel_.slot(slot).holders;
        const std::uint64_t bit = 1ULL << lane;
        if (queued[slot] || (holders.load(std::memory_order_acquire) & bit) == 0) continue;
        if (lanes_[lane].view.marked(slot)) continue;
        MILLRACE_CRASH_POINT("frames.stray.found");
        holders.fetch_and(~bit, std::memory_order_acq_rel);
        cleared = true;
      }
    });
    return cleared;
  }

  // The lanes to deliver to, with what their readers asked for brought up to date.
  std::uint64_t active_lanes() {
    const std::uint64_t active = lanes_set();
    detail::for_each_bit(active, [&](std::uint32_t lane) {
      LaneState& state = lanes_[lane];
      const auto& join = state.view.lane->join;
      // acquire: pairs with the release of the epoch in Segment::claim. The bit may still be that of a
      // predecessor on the lane; the epoch alone says whose policy and depth these are.
      const std::uint32_t epoch = join.role.epoch.load(std::memory_order_acquire);
      if (epoch == state.epoch) [[likely]]
        return;
      meet(lane, epoch);
    });
    return active & ~banned_;
  }
  // Takes over what a reader that is new on the lane asked for. Out of line, as ban() is: inlined into active_lanes(),
  // which runs several times a frame, it costs registers there.
  [[gnu::noinline]] void meet(std::uint32_t lane, std::uint32_t epoch) noexcept {
    LaneState& state = lanes_[lane];
    const auto& join = state.view.lane->join;
    state.epoch = epoch;
    state.fresh = true;
    banned_ &= ~(1ULL << lane);
    state.depth = std::clamp<std::uint64_t>(join.depth.load(std::memory_order_relaxed), 1,
                                            state.view.capacity());
    const std::uint32_t policy = join.policy.load(std::memory_order_relaxed);
    if (policy > static_cast<std::uint32_t>(layout::Policy::overwrite_oldest)) {
      ban(lane);
    } else {
      state.policy = static_cast<layout::Policy>(policy);
    }
  }
  // acquire: pairs with the release in FrameReader::join: policy and depth are there.
  [[nodiscard]] std::uint64_t lanes_set() const noexcept {
    return channel_.control().lanes.active.load(std::memory_order_acquire) & channel_.lane_bits();
  }

  // A reader that wrote nonsense gets no more frames; the others do not notice.
  [[gnu::noinline]] void ban(std::uint32_t lane) noexcept {
    banned_ |= 1ULL << lane;
    channel_.control().lanes.active.fetch_and(~(1ULL << lane), std::memory_order_acq_rel);
    lanes_[lane].waker.wake(ringer(), segment_.trust());
  }

  [[nodiscard]] bool blocked_by_waiting_readers(std::uint64_t active) {
    bool blocked = false;
    detail::for_each_bit(active, [&](std::uint32_t lane) {
      if (lanes_[lane].policy != layout::Policy::wait) return;
      const auto backlog = lanes_[lane].queue.backlog();
      if (!backlog) {
        ban(lane);
      } else if (*backlog + loans_ >= lanes_[lane].depth) {
        blocked = true;
      }
    });
    return blocked;
  }

  // What is on loan or kept as history we know ourselves. acquire: pairs with the release in
  // FrameReader::unpin: its reads are over.
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
      return slot;
    }
    return std::nullopt;
  }

  // Works on pins of readers that may leave meanwhile, `work(lanes)`, while whoever takes such a lane over waits.
  // Joining readers need to know whether a predecessor's lane is being worked on:
  // evictions odd -> fence -> active here, active -> heavy fence -> evictions in FrameReader::join.
  template <typename Work>
  bool while_joiners_wait(Work&& work) {
    auto& evictions = channel_.control().sequence.evictions;
    const std::uint64_t count = evictions.load(std::memory_order_relaxed);
    evictions.store(count + 1, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("frames.evict.begun");
    os::light_fence();
    const bool done = work(active_lanes());
    MILLRACE_CRASH_POINT("frames.evict.freed");
    // release: pairs with the acquire in FrameReader::join: the pins are cleared.
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
      detail::for_each_bit(record.holders.load(std::memory_order_relaxed) & active,
                           [&](std::uint32_t lane) {
                             const LaneProducer& queue = lanes_[lane].queue;
                             // Bounded: a reader that puts its position back cannot hold us.
                             for (std::uint64_t more = queue.view().capacity(); more > 0; --more) {
                               const auto oldest = queue.oldest();
                               if (!oldest || layout::descriptor_sequence(*oldest) > sequence)
                                 return;
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
    detail::for_each_bit(active, [&](std::uint32_t lane) {
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
    channel_.slot(slot).holders.fetch_and(~(1ULL << lane), std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.evict.unpinned");
    count_one(lanes_[lane].view.lane->writer.evicted);
    return slot;
  }

  // Only we write it: no need to keep others from doing so meanwhile.
  static void count_one(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // May the new frame be queued for this lane?
  bool make_room(std::uint32_t lane) {
    LaneState& state = lanes_[lane];
    auto backlog = state.queue.backlog();
    if (!backlog) {
      ban(lane);
      return false;
    }
    if (state.policy == layout::Policy::overwrite_oldest) {
      // Bounded: a reader that puts its position back cannot hold us.
      for (std::uint64_t more = state.view.capacity();
           more > 0 && *backlog >= state.depth && evict_one(lane); --more) {
        backlog = state.queue.backlog();
        if (!backlog) {
          ban(lane);
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
    channel_.slot(*oldest).holders.fetch_and(~layout::kHistoryBit, std::memory_order_acq_rel);
    remembered_[*oldest] = false;
  }

  // One fence for all lanes (W2), then a look at each (W3); see waiting.hpp.
  void wake_readers(std::uint64_t lanes) {
    if (lanes == 0) return;
    bool full = false;
    detail::for_each_bit(lanes, [&](std::uint32_t lane) {
      full = full ||
             lanes_[lane].view.lane->wait.needs_full_fence.load(std::memory_order_relaxed) != 0;
    });
    if (full) {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
    detail::for_each_bit(lanes, [&](std::uint32_t lane) {
      if (lanes_[lane].waker.peer_parked()) lanes_[lane].waker.wake(ringer(), segment_.trust());
    });
  }
  [[nodiscard]] os::BellRinger& ringer() noexcept {
    return ringer_ != nullptr ? *ringer_ : own_ringer_;
  }

  bool entered_ = false;
  Segment segment_;
  detail::FrameChannel channel_;
  os::MappingPtr pool_;
  std::vector<LaneState> lanes_;
  std::vector<bool> loaned_;
  std::uint64_t loans_ = 0;
  std::vector<std::uint64_t> queued_for_;  // scratch of worth_evicting()
  std::vector<std::uint32_t> history_;     // a ring once it is full
  std::uint32_t oldest_at_ = 0;
  std::vector<bool> remembered_;  // by slot: it is in history_
  std::uint32_t cursor_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t banned_ = 0;
  Sleeper sleeper_;
  os::BellRinger own_ringer_;
  os::BellRinger* ringer_ = nullptr;
};

}  // namespace millrace
