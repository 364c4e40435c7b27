// A named rate limiter that any number of processes take permits from: never more of them in any stretch of time than its
// rate allows and one burst, whoever is killed, and whenever. The argument is in gcra.hpp.
//
// A limiter outlives its users while it remembers something: otherwise two runs of a program in a row would have two
// bursts. The last one to leave removes it if its bucket is full again; so does whoever sweeps.
//
// After a boot the clock begins anew. A mapped file that comes from another boot begins with an empty bucket: how long the
// machine was down no clock of ours tells, and so nothing too much is let through.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/rate_limiter.hpp"
#include "../os/clock.hpp"
#include "../os/host_clock.hpp"
#include "../os/identity.hpp"
#include "../segment.hpp"
#include "gcra.hpp"

namespace millrace {

struct RateLimiterSpec {
  Place place;
  std::optional<Rate> rate;  // nothing: whatever the limiter has, which must exist then
  mode_t mode = 0600;
  std::optional<uid_t> owner;
};

// One handle; used by one thread at a time. It has one turn to come at most.
class RateLimiter {
 public:
  // not_found: there is none, and no rate was given. geometry: it has another rate.
  static Result<std::unique_ptr<RateLimiter>> open(const RateLimiterSpec& spec,
                                                   const os::Deadline& deadline) {
    if (spec.rate && !spec.rate->possible()) {
      return make_error(Code::invalid_argument,
                        "a rate that does not fit: burst permits must take 2 years at most");
    }
    SegmentSpec wanted;
    wanted.kind = layout::Kind::rate_limiter;
    wanted.letter = 'g';
    wanted.place = spec.place;
    wanted.mode = spec.mode;
    wanted.owner = spec.owner;
    wanted.keep = true;  // see above
    wanted.geometry.total_bytes = os::page_size();
    if (spec.rate) {
      wanted.geometry.values[layout::kRateInterval] = spec.rate->interval;
      wanted.geometry.values[layout::kRateBurst] = spec.rate->burst;
    }
    auto entered = Segment::enter(
        wanted, spec.rate ? Entry::attach_or_create : Entry::attach_only, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> { return judge(spec, found); });
    if (!entered.ok()) return entered.error();
    std::unique_ptr<RateLimiter> self(new RateLimiter(entered.take()));
    Segment& segment = self->segment_;
    if (auto shared = segment.share(layout::kRateUsersRole); !shared.ok()) return shared.error();
    MILLRACE_CRASH_POINT("rate.open.shared");
    segment.set_flag(layout::kKeep, true);
    self->take_over_from_another_boot();
    segment.settle();
    self->open_ = true;
    return self;
  }
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;
  ~RateLimiter() { close(); }

  // The host's clock, in ticks.
  [[nodiscard]] static std::uint64_t now() noexcept { return os::host_ns() * layout::kTicksPerNs; }

  // `cost` permits, now or not at all. Overtakes nobody who has a turn to come. 1 ≤ cost ≤ burst.
  [[nodiscard]] RateTurn try_take(std::uint64_t cost) const noexcept {
    const std::uint64_t time = now();
    const RateTurn turn = gcra().take(time, cost, time);
    MILLRACE_CRASH_POINT("rate.take.taken");
    return turn;
  }
  // The next turn for `cost` permits, if that is within so many ticks. It is used or let pass by `finish`, or given back.
  [[nodiscard]] RateTurn reserve(std::uint64_t cost, std::uint64_t within) noexcept {
    const std::uint64_t time = now();
    const std::uint64_t latest = time + std::min(within, layout::kFarthestTicks);
    const RateTurn turn = gcra().take(time, cost, latest);
    MILLRACE_CRASH_POINT("rate.reserve.taken");
    if (turn.status == RateTurn::Status::taken) turn_ = turn;
    return turn;
  }
  // Ticks until the turn that was reserved.
  [[nodiscard]] std::uint64_t left() const noexcept {
    const std::uint64_t time = now();
    return turn_ && turn_->at > time ? turn_->at - time : 0;
  }
  void finish() noexcept { turn_.reset(); }
  // False: others have taken turns after it. It is still ours then, to be used or let pass.
  bool give_back() noexcept {
    if (!turn_) return true;
    if (!gcra().give_back(*turn_)) return false;
    MILLRACE_CRASH_POINT("rate.reserve.given_back");
    turn_.reset();
    return true;
  }

  // When so many could be had, as seen at `time`; nothing is taken.
  [[nodiscard]] RateTurn look(std::uint64_t time, std::uint64_t cost) const noexcept {
    return gcra().look(time, cost);
  }
  // Permits that could be had now, and ticks until all of the burst could.
  [[nodiscard]] std::uint64_t remaining() const noexcept {
    const std::uint64_t debt = gcra().debt(now());
    return debt >= rate_.capacity() ? 0 : (rate_.capacity() - debt) / rate_.interval;
  }
  [[nodiscard]] std::uint64_t debt() const noexcept { return gcra().debt(now()); }

  [[nodiscard]] const Rate& rate() const noexcept { return rate_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }

  void close() noexcept {
    if (!open_) return;
    open_ = false;
    if (!segment_.intact()) {
      segment_.forsake();
      return;
    }
    (void)give_back();
    const bool locked = segment_.lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    segment_.unlock_role(layout::kRateUsersRole);
    MILLRACE_CRASH_POINT("rate.close.unlocked");
    if (locked && !segment_.anyone_else() && gcra().debt(now()) == 0) segment_.unlink();
    segment_ = Segment();
  }

 private:
  explicit RateLimiter(Segment segment) : segment_(std::move(segment)) {
    const auto& values = segment_.geometry().values;
    rate_ = Rate{values[layout::kRateInterval], values[layout::kRateBurst]};
  }

  static Result<std::uint64_t> judge(const RateLimiterSpec& spec, const layout::Geometry& found) {
    const Rate rate{found.values[layout::kRateInterval], found.values[layout::kRateBurst]};
    if (found.total_bytes != os::page_size() || !rate.possible()) {
      return make_error(Code::corrupt, "rate limiter '" + spec.place.title() +
                                           "' has an impossible geometry; remove it");
    }
    if (spec.rate && (spec.rate->interval != rate.interval || spec.rate->burst != rate.burst)) {
      return make_error(
          Code::geometry,
          "rate limiter '" + spec.place.title() + "' exists with a permit every " +
              in_ns(rate.interval) + " ns and a burst of " + std::to_string(rate.burst) +
              ", not every " + in_ns(spec.rate->interval) + " ns and a burst of " +
              std::to_string(spec.rate->burst) + "; open it everywhere alike, or unlink it first");
    }
    return found.total_bytes;
  }
  static std::string in_ns(std::uint64_t ticks) {
    return std::to_string((ticks + layout::kTicksPerNs / 2) / layout::kTicksPerNs);
  }

  // Relaxed: under the lifecycle lock, whose passing on orders these. The word comes first: whoever dies in between has
  // emptied the bucket, and the next one empties it again.
  void take_over_from_another_boot() noexcept {
    unsigned char mine[16];
    os::this_boot(mine);
    std::uint64_t boot[2];
    std::memcpy(boot, mine, sizeof boot);
    auto& its = record().boot;
    const bool same = its[0].load(std::memory_order_relaxed) == boot[0] &&
                      its[1].load(std::memory_order_relaxed) == boot[1];
    // Whoever is here beside us is of this boot, whatever its container says of it.
    if (same || (!segment_.created() && !segment_.orphaned())) return;
    if (!segment_.created() && word().load(std::memory_order_relaxed) != 0) {
      word().store(now() + rate_.capacity(), std::memory_order_relaxed);
    }
    MILLRACE_CRASH_POINT("rate.open.emptied");
    its[0].store(boot[0], std::memory_order_relaxed);
    its[1].store(boot[1], std::memory_order_relaxed);
  }

  [[nodiscard]] layout::RateLimiterRecord& record() const noexcept {
    return *segment_.at<layout::RateLimiterRecord>(layout::kRateLimiterOffset);
  }
  [[nodiscard]] std::atomic<std::uint64_t>& word() const noexcept { return record().word; }
  [[nodiscard]] Gcra<std::atomic<std::uint64_t>> gcra() const noexcept { return {word(), rate_}; }

  Segment segment_;
  Rate rate_;
  std::optional<RateTurn> turn_;
  bool open_ = false;
};

}  // namespace millrace
