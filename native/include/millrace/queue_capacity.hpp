// How large the ring of a queue is, and who says so.
//
// A creator that was told a capacity has decided. One that was not leaves that open (layout::kOpenCapacity): it
// reserves the default, and touches the ring as little as anybody else, until it is decided. That happens once, by
// one compare-and-swap of RingControl's `capacity` from 0, which nobody can undo:
//
//   who comes with a capacity       under the lifecycle lock, while there are no messages; the memory is reserved
//                                   and mapped before. The other side may be open, for it has not used the ring
//   who needs the ring              the default, whose memory is there; without a lock. The producer when it sends,
//                                   the consumer only if its program asks how large the ring is
//   who knows nothing of this       (layout 1.1) takes the default from the geometry. So messages, or a side of such a
//                                   version, decide for the default, too
//
// Whoever finds it decided maps the ring then. Geometry and size of the object follow the decision, and are put right by
// whoever comes next if somebody died in between: until then they say more than is needed, never less.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <string>

#include "crash_point.hpp"
#include "layout/queue.hpp"
#include "os/mapping.hpp"
#include "segment.hpp"

namespace millrace {

inline constexpr std::uint64_t kDefaultQueueCapacity = std::uint64_t{256} * 1024;

namespace detail {

// The page-aligned power of two that holds `asked` bytes.
inline Result<std::uint64_t> queue_capacity(std::uint64_t asked) {
  if (asked > layout::kMaxQueueCapacity) {
    return make_error(Code::invalid_argument,
                      "capacity " + std::to_string(asked) + " is more than the " +
                          std::to_string(layout::kMaxQueueCapacity) + " bytes a queue can have");
  }
  return std::bit_ceil(std::max<std::uint64_t>(asked, os::page_size()));
}
inline bool is_queue_capacity(std::uint64_t bytes) noexcept {
  return std::has_single_bit(bytes) && bytes % os::page_size() == 0 &&
         bytes <= layout::kMaxQueueCapacity;
}

inline Error other_capacity(const std::string& name, std::uint64_t found, std::uint64_t asked,
                            bool by_default) {
  return make_error(
      Code::geometry,
      "queue '" + name + "' exists with capacity " + std::to_string(found) + ", not " +
          std::to_string(asked) +
          (by_default
               ? "; that is the default, which it has since its first message was sent or its "
                 "size was asked for, because nobody had said another before: give it to "
                 "both sides, or at least to the one that sends"
               : "; open both sides with the same capacity, or unlink it first"));
}

class QueueCapacity {
 public:
  QueueCapacity() = default;
  // `segment` outlives this, and holds a queue that was judged.
  QueueCapacity(Segment& segment, layout::RingControl* control) noexcept
      : segment_(&segment),
        control_(control),
        data_offset_(segment.geometry().values[layout::kQueueDataOffset]),
        stated_(segment.geometry().values[layout::kQueueCapacity]),
        open_((segment.header().flags.load(std::memory_order_relaxed) & layout::kOpenCapacity) !=
              0) {
    // As long as it is open, the ring may be replaced by a smaller one: only the control page has to be there.
    if (open_) segment_->needs(data_offset_);
  }

  // 0: not decided yet.
  [[nodiscard]] std::uint64_t decided() const noexcept {
    // acquire: pairs with the release in decide(); the memory is there.
    return open_ ? control_->consumer.capacity.load(std::memory_order_acquire) : stated_;
  }
  // What there will be if nobody says anything else.
  [[nodiscard]] std::uint64_t stated() const noexcept { return stated_; }

  // Memory for so many bytes, before they are decided. Under the lifecycle lock.
  [[nodiscard]] Result<void> reserve(std::uint64_t bytes) const {
    if (bytes <= stated_) return {};
    return segment_->grow(data_offset_ + bytes);
  }
  // True if it is so many bytes now: decided by us, or by somebody before us.
  bool decide(std::uint64_t bytes) const noexcept {
    std::uint64_t found = 0;
    MILLRACE_CRASH_POINT("queue.capacity.reserved");
    // release: pairs with the acquire in decided(). acquire: what somebody else decided is there, likewise.
    const bool ours = control_->consumer.capacity.compare_exchange_strong(
        found, bytes, std::memory_order_acq_rel, std::memory_order_acquire);
    MILLRACE_CRASH_POINT("queue.capacity.decided");
    return ours || found == bytes;
  }
  [[nodiscard]] Error refuse(std::uint64_t asked) const {
    const std::uint64_t found = decided();
    return other_capacity(segment_->name(), found, asked, open_ && found == kDefaultQueueCapacity);
  }
  // Lets geometry and size follow, for those who know nothing of this. Under the lifecycle lock.
  void tidy() const noexcept {
    if (!open_) return;
    const std::uint64_t bytes = decided();
    if (bytes != 0 && !is_queue_capacity(bytes)) return;
    const std::uint64_t total = data_offset_ + (bytes != 0 ? bytes : stated_);
    if (bytes != 0 && bytes != stated_) tell(bytes, total);
    segment_->trim(total);
  }

  // The ring of a capacity that was decided. `mapped` is a map of what was stated, if there is one.
  [[nodiscard]] Result<os::MappingPtr> ring(std::uint64_t bytes, os::MappingPtr mapped) const {
    if (!is_queue_capacity(bytes)) {
      return make_error(Code::corrupt, "queue '" + segment_->name() +
                                           "' has an impossible capacity; end the processes that "
                                           "use it and remove it");
    }
    segment_->needs(data_offset_ + bytes);
    if (!segment_->intact()) return segment_->shortened();
    if (mapped && bytes == stated_) return mapped;
    return segment_->map_mirror(data_offset_, bytes);
  }

 private:
  void tell(std::uint64_t bytes, std::uint64_t total) const noexcept {
    auto& geometry = segment_->header().geometry;
    const auto set_total = [&] {
      std::atomic_ref(geometry.total_bytes).store(total, std::memory_order_relaxed);
    };
    const bool larger = bytes > stated_;
    if (larger) set_total();
    MILLRACE_CRASH_POINT("queue.capacity.half");
    std::atomic_ref(geometry.values[layout::kQueueCapacity])
        .store(bytes, std::memory_order_relaxed);
    if (!larger) set_total();
    MILLRACE_CRASH_POINT("queue.capacity.told");
  }

  Segment* segment_ = nullptr;
  layout::RingControl* control_ = nullptr;
  std::uint64_t data_offset_ = 0;
  std::uint64_t stated_ = 0;
  bool open_ = false;
};

}  // namespace detail
}  // namespace millrace
