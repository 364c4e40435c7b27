// How long messages take, as their sides count it in shared memory (layout/latency.hpp), for tools that read it there.
//
// Who sends or takes messages calls in here for one of several, when it was opened so; nothing of the way of every message knows of it.
// If one side alone does, nothing is counted: a mark that nobody looks for is written over, and without a mark there is nothing to count.
//
// Every word has one writer, the holder of a role, by plain stores. A mark is read while it may be written anew: the position is taken
// away before the time is changed, and looked at before and after the time is read. Who finds two, or none, drops the mark. A writer that
// dies in between leaves none. A time may be counted while its sum is not, if a consumer dies there: one of thousands.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "layout/frames.hpp"
#include "layout/latency.hpp"
#include "os/clock.hpp"

namespace millrace {

// Of so many messages or frames, one is measured.
inline constexpr std::uint32_t kLatencyEvery = 16;

namespace detail {

template <typename T>
void add_alone(std::atomic<T>& counter, T what) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
}

}  // namespace detail

// The producer's half. Not for longer than its queue is open.
class LatencyMarker {
 public:
  LatencyMarker() = default;
  // A predecessor may have marked what is to be sent next, and died before it was.
  LatencyMarker(layout::QueueLatency* shared, const layout::RingControl* ring) noexcept
      : shared_(shared),
        ring_(ring),
        sent_(ring->producer.messages.load(std::memory_order_relaxed)) {
    const std::uint64_t next = ring->producer.write_position.load(std::memory_order_relaxed);
    for (layout::QueueLatency::Mark& mark : shared_->mark) {
      const std::uint64_t position = mark.position.load(std::memory_order_relaxed);
      if (position != 0 && static_cast<std::int64_t>(position - 1 - next) >= 0)
        mark.position.store(0, std::memory_order_relaxed);
    }
  }

  // To be called before the record at `next` is written, and once more if it could not be, for there was no room. False, and nothing is
  // marked, if many marks are on their way, and the last one is less than 1/24 of the ring ago. So none is written over before the
  // message has been taken that it is of; and as each stands for all messages since the one before, slow ones count as much as others.
  bool mark(std::uint64_t next, std::uint64_t capacity) noexcept {
    if (shared_ == nullptr) return false;
    const std::uint64_t made = shared_->marks.made.load(std::memory_order_relaxed);
    const bool again = marked_ && next == last_;
    if (marked_ && !again && next - last_ < capacity / 24 && on_the_way(made)) return false;
    layout::QueueLatency::Mark& mark =
        shared_->mark[(again ? made - 1 : made) % layout::kLatencyMarks];
    mark.position.store(0, std::memory_order_relaxed);
    // release: pairs with the acquire fence in LatencyTaker::take(): who finds what is written from here on finds no position, or the new one.
    std::atomic_thread_fence(std::memory_order_release);
    const std::uint64_t sent = ring_->producer.messages.load(std::memory_order_relaxed);
    if (!again) stands_for_ = marked_ && sent - sent_ > 1 ? sent - sent_ : 1;
    mark.messages.store(stands_for_, std::memory_order_relaxed);
    mark.sent_at.store(os::monotonic_ns(), std::memory_order_relaxed);
    // release: pairs with the acquire of `position` in take(): who finds the position finds its time.
    mark.position.store(next + 1, std::memory_order_release);
    // release: pairs with the acquire of `made` in take(). And whoever takes the message has acquired a write position that was
    // released after this, so it finds the mark counted.
    if (!again) shared_->marks.made.store(made + 1, std::memory_order_release);
    last_ = next;
    sent_ = sent;
    marked_ = true;
    return true;
  }

 private:
  // Are there as many marks that the consumer has not come to as may be made at will? Half of all: those of a whole ring that lie 1/24
  // of it apart find place in the other half.
  [[nodiscard]] bool on_the_way(std::uint64_t made) const noexcept {
    constexpr std::uint64_t kAtWill = layout::kLatencyMarks / 2;
    if (made < kAtWill) return false;
    const std::uint64_t position =
        shared_->mark[(made - kAtWill) % layout::kLatencyMarks].position.load(
            std::memory_order_relaxed);
    // relaxed: a hint. A mark that is written over while it is read is dropped.
    const std::uint64_t read = ring_->consumer.read_position.load(std::memory_order_relaxed);
    return position != 0 && static_cast<std::int64_t>(position - 1 - read) >= 0;
  }

  layout::QueueLatency* shared_ = nullptr;
  const layout::RingControl* ring_ = nullptr;
  std::uint64_t last_ = 0;        // where the last mark is
  std::uint64_t sent_ = 0;        // messages before it
  std::uint64_t stands_for_ = 0;  // that it stands for
  bool marked_ = false;           // is there one
};

// The consumer's half. Messages that were sent before it is made are not counted: nobody was there to take them.
class LatencyTaker {
 public:
  LatencyTaker() = default;
  explicit LatencyTaker(layout::QueueLatency* shared) noexcept
      : shared_(shared), looked_at_(shared->marks.made.load(std::memory_order_relaxed)) {}

  static constexpr std::uint64_t kNothingDue = ~std::uint64_t{0};

  // To be called when what lies before `position` has been taken. Returns where the next marked message is, as far as that is known.
  std::uint64_t take(std::uint64_t position) noexcept {
    if (shared_ == nullptr) return kNothingDue;
    // acquire: pairs with the release in LatencyMarker::mark().
    const std::uint64_t made = shared_->marks.made.load(std::memory_order_acquire);
    // Bounded, whatever a producer writes there.
    if (made - looked_at_ > layout::kLatencyMarks) looked_at_ = made - layout::kLatencyMarks;
    for (; looked_at_ != made; ++looked_at_) {
      const layout::QueueLatency::Mark& mark = shared_->mark[looked_at_ % layout::kLatencyMarks];
      // acquire: pairs with the release of `position` in mark().
      const std::uint64_t found = mark.position.load(std::memory_order_acquire);
      const std::uint64_t sent_at = mark.sent_at.load(std::memory_order_relaxed);
      const std::uint64_t messages = mark.messages.load(std::memory_order_relaxed);
      // acquire: pairs with the release fence in mark(): a time that was written later is found with a position that is not `found`.
      std::atomic_thread_fence(std::memory_order_acquire);
      if (found == 0 || mark.position.load(std::memory_order_relaxed) != found) continue;
      if (static_cast<std::int64_t>(found - 1 - position) >= 0) return found - 1;
      const std::uint64_t now = os::monotonic_ns();
      // A clock of another name space, or a liar.
      if (sent_at > now) continue;
      detail::add_alone(shared_->taken.nanoseconds, (now - sent_at) * messages);
      detail::add_alone(shared_->taken.counts[layout::QueueLatency::Times::of(now - sent_at)],
                        messages);
    }
    return kNothingDue;
  }

 private:
  layout::QueueLatency* shared_ = nullptr;
  std::uint64_t looked_at_ = 0;  // of the marks that were made
};

// Of a frame that a reader has just received, which has its time with it. It stands for so many frames.
inline void count_latency(layout::Lane& lane, std::uint64_t timestamp,
                          std::uint32_t frames) noexcept {
  const std::uint64_t now = os::monotonic_ns();
  if (timestamp == 0 || timestamp > now) return;
  const std::size_t at = layout::FrameTimes::of(now - timestamp);
  detail::add_alone(lane.reader.latency_ns, (now - timestamp) * frames);
  detail::add_alone(layout::latency_count(lane, at), frames);
}

}  // namespace millrace
