// What both sides of a queue do alike: they enter the segment, find the ring, take a role, know of each other, leave.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "crash_point.hpp"
#include "failure.hpp"
#include "layout/latency.hpp"
#include "layout/queue.hpp"
#include "queue_capacity.hpp"
#include "segment.hpp"
#include "spsc_ring.hpp"
#include "waiting.hpp"

namespace millrace {

struct QueueSpec {
  Place place;
  os::MemoryOptions memory;
  std::uint64_t capacity = 0;  // bytes; 0: what is there or the other side says, else the default
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  bool keep = false;
  // Begin with nothing that earlier sessions left. A producer drops what is unread; busy if a consumer is on it.
  // A consumer drops what no living producer has sent; busy if its producer has had another consumer.
  bool fresh = false;
  std::uint64_t schema = 0;    // fingerprint of what the messages are; 0: not said
  std::uint64_t doorbell = 0;  // where this side can be woken; 0: it only ever blocks or polls
};

namespace detail {

inline Error impossible(const std::string& name) {
  return make_error(
      Code::corrupt,
      "queue '" + name + "' holds impossible positions; close both sides " + "and open them again");
}

// What both sides of a queue share: the segment, and how to enter and leave it.
class QueueSide {
 public:
  QueueSide(layout::QueueRole mine, const char* title) noexcept : mine_(mine), title_(title) {}
  QueueSide(const QueueSide&) = delete;
  QueueSide& operator=(const QueueSide&) = delete;
  ~QueueSide() { leave(false, false); }

  Result<void> enter(const QueueSpec& spec, const os::Deadline& deadline) {
    auto capacity = queue_capacity(spec.capacity == 0 ? kDefaultQueueCapacity : spec.capacity);
    if (!capacity.ok()) return capacity.error();
    const std::uint64_t page = os::page_size();
    const std::uint64_t control_offset = page;
    const std::uint64_t data_offset =
        control_offset + os::round_up(sizeof(layout::RingControl), page);

    SegmentSpec segment;
    segment.kind = layout::Kind::queue;
    segment.letter = 'q';
    segment.place = spec.place;
    segment.memory = spec.memory;
    segment.mode = spec.mode;
    segment.owner = spec.owner;
    segment.keep = spec.keep;
    segment.schema = spec.schema;
    // What cannot grow is decided by who creates it.
    const bool leave_open = spec.capacity == 0 && spec.place.can_grow();
    if (leave_open) segment.flags = layout::kOpenCapacity;
    segment.geometry.total_bytes = data_offset + capacity.value();
    segment.geometry.values[layout::kQueueCapacity] = capacity.value();
    segment.geometry.values[layout::kQueueControlOffset] = control_offset;
    segment.geometry.values[layout::kQueueDataOffset] = data_offset;
    segment.bury = [](const Segment& stale) {
      const auto* roles = stale.at<layout::RoleRecord>(layout::kRolesOffset);
      stale.bury(roles[layout::kProducerRole]);
      stale.bury(roles[layout::kConsumerRole]);
    };

    // Of a nameless one that nobody is on any more, before it is begun anew with what it has.
    const bool exact = spec.capacity != 0 && spec.place.is_nameless();
    auto entered = Segment::enter(
        segment, Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          const std::uint64_t bytes = found.values[layout::kQueueCapacity];
          if (exact && bytes != capacity.value()) {
            return other_capacity(spec.place.title(), bytes, capacity.value(), false);
          }
          // More than that has one whose capacity was decided a moment before somebody died.
          if (!is_queue_capacity(bytes) ||
              found.values[layout::kQueueControlOffset] != control_offset ||
              found.values[layout::kQueueDataOffset] != data_offset ||
              found.total_bytes < data_offset + bytes) {
            return make_error(Code::corrupt, "queue '" + spec.place.title() +
                                                 "' has an impossible geometry; remove it");
          }
          return data_offset;
        });
    if (!entered.ok()) return entered.error();
    segment_ = entered.take();
    auto done = take_role(spec, spec.capacity == 0 ? 0 : capacity.value());
    if (!done.ok()) {
      open_capacity_.tidy();
      if (segment_.created()) segment_.unlink();
      segment_ = Segment();
      return done;
    }
    segment_.settle();
    entered_ = true;
    MILLRACE_CRASH_POINT("queue.enter.settled");
    // The peer may be asleep since before we came: let it look, so that it learns whom to watch.
    wake_peer();
    return {};
  }

  // Resigns, wakes the peer, and removes the name if nobody is left and nothing unread (or `discard`). A
  // `corrupt` queue loses its name at once, whoever is on it: nobody else is to come to it. With a `failure`
  // the peer learns that we failed, and why.
  void leave(bool discard, bool corrupt,
             std::optional<std::string_view> failure = std::nullopt) noexcept {
    if (!entered_) return;
    entered_ = false;
    if (!segment_.intact()) {
      data_.reset();
      spare_.reset();
      segment_.forsake();
      return;
    }
    sleeper_.unpark();
    const bool locked = segment_.lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    if (failure) say_failed(record(mine_), reason_place(mine_), *failure);
    segment_.resign(record(mine_), mine_);
    MILLRACE_CRASH_POINT("queue.leave.resigned");
    wake_peer();
    MILLRACE_CRASH_POINT("queue.leave.woken");
    if (locked && segment_.anyone_else()) {
      if (corrupt) segment_.unlink();
    } else if (locked) {
      segment_.bury(record(other()));
      const bool unread = control_->producer.write_position.load(std::memory_order_relaxed) !=
                          control_->consumer.read_position.load(std::memory_order_relaxed);
      if (unread && !discard && !corrupt) {
        segment_.set_flag(layout::kLingering, true);
        MILLRACE_CRASH_POINT("queue.leave.lingers");
      } else {
        // For a file, which stays; nobody else is on it.
        control_->consumer.read_position.store(
            control_->producer.write_position.load(std::memory_order_relaxed),
            std::memory_order_relaxed);
        segment_.unlink();
      }
    }
    data_.reset();
    spare_.reset();
    segment_ = Segment();  // closes the descriptor: that ends the lifecycle lock, too
  }

  [[nodiscard]] bool open() const noexcept { return entered_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] const os::MappingPtr& data() const noexcept { return data_; }
  // 0 as long as nobody has decided it.
  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  // What it will be if nobody says anything else.
  [[nodiscard]] std::uint64_t expected_capacity() const noexcept {
    return capacity_ != 0 ? capacity_ : open_capacity_.stated();
  }
  // Finds or, for who needs the ring, makes it decided how large that is, and maps it. True if it is.
  Result<bool> settle(bool needed) {
    if (capacity_ != 0) return true;
    // Of what was sent somebody knew how large the ring is.
    if (open_capacity_.decided() == 0 && (needed || unread())) {
      (void)open_capacity_.decide(open_capacity_.stated());
    }
    const std::uint64_t decided = open_capacity_.decided();
    if (decided == 0) {
      MILLRACE_CRASH_POINT("queue.capacity.open");
      return false;
    }
    auto mapped = open_capacity_.ring(decided, spare_);
    if (!mapped.ok()) return mapped.error();
    data_ = mapped.take();
    spare_.reset();
    capacity_ = decided;
    return true;
  }
  // Messages that opening with `fresh` has dropped.
  [[nodiscard]] std::uint64_t discarded() const noexcept { return discarded_; }
  [[nodiscard]] layout::RingControl* control() const noexcept { return control_; }
  [[nodiscard]] layout::QueueLatency* latency() const noexcept {
    return reinterpret_cast<layout::QueueLatency*>(reinterpret_cast<std::byte*>(control_) +
                                                   layout::kQueueLatencyOffset);
  }
  [[nodiscard]] Sleeper& sleeper() noexcept { return sleeper_; }
  void wake_peer() {
    if (!peer_waker_.peer_sleeps()) [[likely]]
      return;
    peer_waker_.wake(ringer_ != nullptr ? *ringer_ : own_ringer_, segment_.trust());
  }
  // Whoever has a ringer for many channels (an event loop) lends it.
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }

  [[nodiscard]] layout::RoleRecord& record(layout::QueueRole role) const noexcept {
    return segment_.at<layout::RoleRecord>(layout::kRolesOffset)[role];
  }
  [[nodiscard]] Peer peer() const noexcept {
    return peer_or_failed(segment_, record(other()), other());
  }
  // Why, when peer() says that it failed.
  [[nodiscard]] std::string peer_reason() const {
    return reason_of(record(other()), reason_place(other()));
  }
  // Is the peer as it was when this was asked last, and we still on our way to be woken? For who sleeps and
  // looks from time to time whether it was forgotten: most were not, and need no more than this.
  [[nodiscard]] bool still() noexcept {
    if (!segment_.intact()) return false;
    const layout::RoleRecord& theirs = record(other());
    const PeerSnapshot now{peer(), theirs.epoch.load(std::memory_order_relaxed), peer_doorbell(),
                           mine_ == layout::kProducerRole
                               ? control_->consumer.read_position.load(std::memory_order_relaxed)
                               : control_->producer.write_position.load(std::memory_order_relaxed)};
    return std::exchange(seen_, now) == now && sleeper_.parked();
  }
  // Without a system call: has the peer left by itself? Has it not, and was it here at all?
  [[nodiscard]] bool peer_left() const noexcept { return peer_is(layout::RoleState::closed); }
  [[nodiscard]] bool peer_attached() const noexcept { return peer_is(layout::RoleState::attached); }
  [[nodiscard]] std::uint64_t peer_doorbell() const noexcept {
    return record(other()).doorbell.load(std::memory_order_relaxed);
  }
  // For a side that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    record(mine_).doorbell.store(doorbell, std::memory_order_relaxed);
  }
  // Which holder of our role we are.
  [[nodiscard]] std::uint32_t epoch() const noexcept {
    return record(mine_).epoch.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t peer_pid() const noexcept {
    return record(other()).pid.load(std::memory_order_relaxed);
  }

 private:
  // All that a sleeper can wait for.
  struct PeerSnapshot {
    Peer peer = Peer::absent;
    std::uint32_t epoch = 0;
    std::uint64_t doorbell = 0;
    std::uint64_t position = 0;
    bool operator==(const PeerSnapshot&) const = default;
  };

  [[nodiscard]] layout::QueueRole other() const noexcept {
    return mine_ == layout::kProducerRole ? layout::kConsumerRole : layout::kProducerRole;
  }

  [[nodiscard]] ReasonPlace reason_place(layout::QueueRole role) const noexcept {
    return {segment_.at<layout::QueueReason>(layout::kQueueReasonsOffset)[role].words, {}};
  }

  [[nodiscard]] bool peer_is(layout::RoleState state) const noexcept {
    return record(other()).state.load(std::memory_order_acquire) ==
           static_cast<std::uint32_t>(state);
  }

  // `asked`: bytes of the ring, 0: not said.
  Result<void> take_role(const QueueSpec& spec, std::uint64_t asked) {
    control_ =
        segment_.at<layout::RingControl>(segment_.geometry().values[layout::kQueueControlOffset]);
    open_capacity_ = QueueCapacity(segment_, control_);
    if (auto ring = find_ring(asked); !ring.ok()) return ring;
    auto leftover = spec.fresh ? left_by_others() : Result<std::uint64_t>(0);
    if (!leftover.ok()) return leftover.error();
    if (asked != 0 && capacity_ == 0 && !segment_.role_held(mine_)) {
      // From here on nobody can refuse us the role.
      if (!open_capacity_.decide(asked)) {
        return open_capacity_.refuse(asked);
      }
      capacity_ = asked;
      data_ = std::move(spare_);
    }
    open_capacity_.tidy();
    auto claimed = segment_.claim(record(mine_), mine_, spec.doorbell, title_);
    if (!claimed.ok()) return claimed;
    MILLRACE_CRASH_POINT("queue.enter.claimed");
    if (leftover.value() > 0) drop(leftover.value());
    // Its leaving or its death is no news to who begins anew.
    if (spec.fresh && !segment_.role_held(other())) segment_.vacate(record(other()));
    begin_session();
    segment_.set_flag(layout::kLingering, false);
    if (spec.keep)
      segment_.set_flag(layout::kKeep, true);  // the other side may not have asked for it
    const bool producer = mine_ == layout::kProducerRole;
    sleeper_ = Sleeper(producer ? &control_->producer_wait : &control_->consumer_wait);
    peer_waker_ = Waker(producer ? &control_->consumer_wait : &control_->producer_wait);
    return {};
  }

  // Bytes of records that whoever wants a fresh queue has to drop; an error if that is not for us to do. Under the
  // lifecycle lock, and before the role is claimed: who is refused was never there. If somebody has our role,
  // claim() says so.
  Result<std::uint64_t> left_by_others() const {
    if (segment_.role_held(mine_)) return 0;
    // acquire: pairs with the release in RingProducer::publish; whole records are there.
    const std::uint64_t written = control_->producer.write_position.load(std::memory_order_acquire);
    const std::uint64_t read = control_->consumer.read_position.load(std::memory_order_relaxed);
    const std::uint64_t unread = written - read;
    if (unread > std::max(capacity_, open_capacity_.stated()) ||
        unread % layout::kRecordAlign != 0) {
      return impossible(name());
    }
    if (!segment_.role_held(other())) return unread;
    if (mine_ == layout::kProducerRole) {
      if (unread == 0) return 0;
      return make_error(Code::busy,
                        "queue '" + name() + "' holds " + std::to_string(unread) +
                            " unread bytes of an earlier producer, and its consumer (process " +
                            std::to_string(peer_pid()) +
                            ") is reading them; try again when that has read them or has ended, "
                            "or open without fresh");
    }
    const auto& line = control_->producer;
    const bool said = line.session_epoch.load(std::memory_order_relaxed) ==
                      record(other()).epoch.load(std::memory_order_relaxed);
    const std::uint64_t leftover = line.session_begin.load(std::memory_order_relaxed) - read;
    if (said && leftover <= unread && leftover % layout::kRecordAlign == 0) return leftover;
    return make_error(
        Code::busy,
        "the producer of queue '" + name() + "' (process " + std::to_string(peer_pid()) +
            ") has sent messages to an earlier consumer, and a fresh one would get the rest; "
            "try again when it has ended, or open without fresh");
  }
  // Only the consumer, or the producer while there is none; under the lifecycle lock.
  void drop(std::uint64_t bytes) noexcept {
    auto& line = control_->consumer;
    const std::uint64_t from = line.read_position.load(std::memory_order_relaxed);
    discarded_ = count_messages(data_->data(), capacity_, from, bytes);
    line.messages.store(line.messages.load(std::memory_order_relaxed) + discarded_,
                        std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("queue.fresh.counted");
    // release: pairs with the acquire in RingProducer::refresh, like every step of a consumer.
    line.read_position.store(from + bytes, std::memory_order_release);
    MILLRACE_CRASH_POINT("queue.fresh.dropped");
  }
  // Says that we know of sessions and of open capacities; and of a producer, that what is unread now is none of its.
  void begin_session() noexcept {
    const std::uint32_t epoch = record(mine_).epoch.load(std::memory_order_relaxed);
    if (mine_ == layout::kConsumerRole) {
      control_->consumer.session_epoch.store(epoch, std::memory_order_relaxed);
      return;
    }
    auto& line = control_->producer;
    line.session_begin.store(line.write_position.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
    line.session_epoch.store(epoch, std::memory_order_relaxed);
  }
  [[nodiscard]] bool unread() const noexcept {
    return control_->producer.write_position.load(std::memory_order_acquire) !=
           control_->consumer.read_position.load(std::memory_order_relaxed);
  }
  // The ring, if it is decided how large it is. Else in `spare_` what it will be if `asked` is granted, or nobody
  // asks. Under the lifecycle lock.
  Result<void> find_ring(std::uint64_t asked) {
    const auto peer = record(other()).epoch.load(std::memory_order_relaxed);
    const auto knowing = mine_ == layout::kProducerRole
                             ? control_->consumer.session_epoch.load(std::memory_order_relaxed)
                             : control_->producer.session_epoch.load(std::memory_order_relaxed);
    // Somebody of an older version uses it as it is.
    const bool in_use = unread() || (segment_.role_held(other()) && peer != knowing);
    if (in_use && open_capacity_.decided() == 0) {
      (void)open_capacity_.decide(open_capacity_.stated());
    }
    const std::uint64_t decided = open_capacity_.decided();
    if (decided != 0 && asked != 0 && asked != decided) return open_capacity_.refuse(asked);
    if (segment_.role_held(mine_)) asked = 0;  // as claim() will say
    const std::uint64_t bytes = decided != 0 ? decided
                                : asked != 0 ? asked
                                             : open_capacity_.stated();
    // Of what is decided the memory is there, or it is a lie.
    auto reserved = decided != 0 ? Result<void>() : open_capacity_.reserve(bytes);
    if (!reserved.ok()) return reserved;
    auto mapped = open_capacity_.ring(bytes, nullptr);
    if (!mapped.ok()) return mapped.error();
    if (decided == 0) {
      segment_.needs(segment_.geometry().values[layout::kQueueDataOffset]);
      spare_ = mapped.take();
      return {};
    }
    capacity_ = decided;
    data_ = mapped.take();
    return {};
  }
  [[nodiscard]] const std::string& name() const noexcept { return segment_.name(); }

  layout::QueueRole mine_;
  const char* title_;
  bool entered_ = false;
  Segment segment_;
  os::MappingPtr data_;
  layout::RingControl* control_ = nullptr;
  QueueCapacity open_capacity_;
  std::uint64_t capacity_ = 0;  // 0: not decided yet
  os::MappingPtr spare_;        // until then: of what was stated
  std::uint64_t discarded_ = 0;
  Sleeper sleeper_;
  PeerSnapshot seen_;
  Waker peer_waker_;
  os::BellRinger* ringer_ = nullptr;
  os::BellRinger own_ringer_;
};

}  // namespace detail

}  // namespace millrace
