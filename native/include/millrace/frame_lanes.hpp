// The readers as the writer of a frame channel sees them: who is on which lane, what it asked for, whether it is alive,
// how it is woken.
//
// A reader comes and goes by itself: it sets and clears its bit in `active`. The writer looks at the bits whenever it
// needs them, and clears those of readers that died or wrote nonsense. That is all it changes there.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "bits.hpp"
#include "crash_point.hpp"
#include "frame_channel.hpp"
#include "lane_queue.hpp"
#include "layout/frames.hpp"
#include "os/clock.hpp"
#include "os/doorbell.hpp"
#include "os/fence.hpp"
#include "segment.hpp"
#include "waiting.hpp"

namespace millrace::detail {

struct LaneState {
  LaneView view;
  LaneProducer queue;
  Waker waker;
  std::uint32_t epoch = 0;  // of the reader we know; 0: none yet
  bool fresh = false;       // that reader has not been told which frame was its first
  layout::Policy policy = layout::Policy::wait;
  std::uint64_t depth = 1;  // the least there is, until we know
};

class FrameLanes {
 public:
  FrameLanes() = default;

  // The segment outlives us, and stays where it is.
  void bind(Segment* segment, const FrameChannel& channel) {
    segment_ = segment;
    channel_ = channel;
    lanes_.resize(channel.plan().readers);
    for (std::uint32_t i = 0; i < channel.plan().readers; ++i) {
      lanes_[i].view = channel.lane(i);
      lanes_[i].queue = LaneProducer(lanes_[i].view);
      lanes_[i].waker = Waker(&lanes_[i].view.lane->wait);
    }
  }

  [[nodiscard]] LaneState& operator[](std::uint32_t lane) noexcept { return lanes_[lane]; }

  // The lanes to deliver to, with what their readers asked for brought up to date.
  std::uint64_t active() {
    const std::uint64_t active = joined();
    for_each_bit(active, [&](std::uint32_t lane) {
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
  // The lanes whose bit is set, as it is known without a look at the lanes.
  // acquire: pairs with the release in JoinedLane::activate: policy and depth are there.
  [[nodiscard]] std::uint64_t joined() const noexcept {
    return channel_.control().lanes.active.load(std::memory_order_acquire) & channel_.lane_bits();
  }
  // A reader that wrote nonsense gets no more frames; the others do not notice.
  [[gnu::noinline]] void ban(std::uint32_t lane) noexcept {
    banned_ |= 1ULL << lane;
    channel_.control().lanes.active.fetch_and(~(1ULL << lane), std::memory_order_acq_rel);
    lanes_[lane].waker.wake(ringer(), segment_->trust());
  }

  // Takes dead readers' lanes out of service. True if there was one. At most one system call a lane.
  bool reap_dead() {
    std::uint64_t dead = 0;
    for_each_bit(active(), [&](std::uint32_t lane) {
      if (!segment_->role_held(FrameChannel::role_of_lane(lane))) dead |= 1ULL << lane;
    });
    if (dead == 0) return false;
    // Under the lifecycle lock nobody can take the lane over between our look and our clearing it.
    if (!segment_->lock_lifecycle(os::Deadline::after(kReapPatienceNs)).ok()) return false;
    std::uint64_t reaped = 0;
    for_each_bit(dead, [&](std::uint32_t lane) {
      if (segment_->role_held(FrameChannel::role_of_lane(lane))) return;
      segment_->bury(lanes_[lane].view.lane->join.role);
      reaped |= 1ULL << lane;
    });
    MILLRACE_CRASH_POINT("frames.reap.buried");
    channel_.control().lanes.active.fetch_and(~reaped, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("frames.reap.done");
    segment_->settle();
    return reaped != 0;
  }
  // The lane of a reader that was killed stays active until somebody needs it; its role does not stay held. One system
  // call a reader.
  [[nodiscard]] std::uint32_t count_living() const noexcept {
    std::uint32_t living = 0;
    // relaxed: only a count; whoever joins or leaves meanwhile may be in it or not.
    const std::uint64_t active = channel_.control().lanes.active.load(std::memory_order_relaxed) &
                                 channel_.lane_bits() & ~banned_;
    for_each_bit(active, [&](std::uint32_t lane) {
      if (segment_->role_held(FrameChannel::role_of_lane(lane))) ++living;
    });
    return living;
  }

  // Calls each(doorbell) for the reader of every active lane.
  template <typename Each>
  void for_each_bell(Each&& each) {
    for_each_bit(active(), [&](std::uint32_t lane) { each(bell_of(lane)); });
  }
  // One fence for all lanes (W2), then a look at each (W3); see waiting.hpp.
  void wake(std::uint64_t lanes) {
    if (lanes == 0) return;
    bool full = false;
    for_each_bit(lanes, [&](std::uint32_t lane) {
      full = full ||
             lanes_[lane].view.lane->wait.needs_full_fence.load(std::memory_order_relaxed) != 0;
    });
    if (full) {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
    for_each_bit(lanes, [&](std::uint32_t lane) {
      if (lanes_[lane].waker.peer_parked()) lanes_[lane].waker.wake(ringer(), segment_->trust());
    });
  }
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }

 private:
  // Its holder needs microseconds; one that needs longer is stopped, and must not hold us up.
  static constexpr std::uint64_t kReapPatienceNs = 200'000;

  // Takes over what a reader that is new on the lane asked for. Out of line, as ban() is: inlined into active(),
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
  [[nodiscard]] std::uint64_t bell_of(std::uint32_t lane) const noexcept {
    return lanes_[lane].view.lane->join.role.doorbell.load(std::memory_order_relaxed);
  }
  [[nodiscard]] os::BellRinger& ringer() noexcept {
    return ringer_ != nullptr ? *ringer_ : own_ringer_;
  }

  Segment* segment_ = nullptr;
  FrameChannel channel_;
  std::vector<LaneState> lanes_;
  std::uint64_t banned_ = 0;
  os::BellRinger own_ringer_;
  os::BellRinger* ringer_ = nullptr;
};

}  // namespace millrace::detail
