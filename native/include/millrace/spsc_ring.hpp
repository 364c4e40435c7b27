// A lock-free single-producer single-consumer ring of variable-length messages over memory that two
// processes share (layout/queue.hpp draws it).
//
// Who owns what: the producer alone writes write_position, the consumer alone read_position. Each keeps
// its own position and a cached copy of the other's in private memory, so the common call touches no
// line the peer writes (the cached-index idea of rigtorp's SPSCQueue), and so that a peer can lie only
// about its own position, which is judged before use.
//
// The private memory is a RingCursor, which may be lent to somebody else on the same thread: lib/queue
// pushes and pops in JavaScript, over the same cursor, and calls in here for what is rare.
//
// Memory order: the producer writes the record, then write_position with release; the consumer loads it
// with acquire, so it sees whole records. The consumer finishes reading, then stores read_position with
// release; the producer loads it with acquire before it writes there again. A peer killed between two
// instructions leaves the last released position: what was published is whole, what was not is unseen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "crash_point.hpp"
#include "cursor.hpp"
#include "layout/queue.hpp"

namespace millrace {

// What a ring call found. `corrupt` means that the peer wrote nonsense; the channel must be closed.
enum class RingStatus { ok, empty, full, too_large, corrupt };

// What one side knows: its own position, and the peer's as it was when it last looked.
struct RingCursor {
  std::uint64_t mine = 0;
  std::uint64_t peers = 0;
};

class RingProducer {
 public:
  RingProducer() = default;

  // Continues where the last producer published. `data` is the mirror map.
  // `epoch`: of the producer's role, for tools that look at the ring from outside.
  RingProducer(layout::RingControl* control, std::byte* data, std::uint64_t capacity,
               std::uint32_t epoch = 0) noexcept
      : control_(control), data_(data), capacity_(capacity), epoch_(epoch) {
    cursor_->mine = control_->producer.write_position.load(std::memory_order_relaxed);
    cursor_->peers = cursor_->mine;  // refresh() replaces it; judged against the full range there
    const std::uint64_t read = control_->consumer.read_position.load(std::memory_order_acquire);
    if (!plausible(read, cursor_->mine - capacity_, cursor_->mine) ||
        cursor_->mine % layout::kRecordAlign != 0) {
      corrupt_ = true;
    } else {
      cursor_->peers = read;
      say_seen();
    }
  }

  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::uint64_t max_message() const noexcept {
    return capacity_ - layout::kRecordHeaderBytes;
  }
  [[nodiscard]] bool corrupt() const noexcept { return corrupt_; }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }

  [[nodiscard]] CursorPlace<RingCursor>& cursor() noexcept { return cursor_; }

  // Is there room for `bytes` (record bytes, headers included)? Asks the consumer only if needed.
  [[nodiscard]] bool has_room(std::uint64_t bytes) noexcept {
    if (capacity_ - (cursor_->mine - cursor_->peers) >= bytes) [[likely]]
      return true;
    refresh();
    return !corrupt_ && capacity_ - (cursor_->mine - cursor_->peers) >= bytes;
  }
  [[nodiscard]] std::uint64_t room() noexcept {
    refresh();
    return corrupt_ ? 0 : capacity_ - (cursor_->mine - cursor_->peers);
  }
  // Takes no room by it, as the others do: what was read stays for tools to see.
  [[nodiscard]] bool drained() noexcept {
    // acquire: as in refresh().
    const std::uint64_t read = control_->consumer.read_position.load(std::memory_order_acquire);
    if (!plausible(read, cursor_->peers, cursor_->mine)) [[unlikely]]
      corrupt_ = true;
    return !corrupt_ && cursor_->mine == read;
  }

  [[nodiscard]] RingStatus push(const void* payload, std::uint32_t length) noexcept {
    const std::uint64_t bytes = layout::record_bytes(length);
    if (bytes > capacity_) [[unlikely]]
      return RingStatus::too_large;
    if (!has_room(bytes)) [[unlikely]]
      return corrupt_ ? RingStatus::corrupt : RingStatus::full;
    std::byte* record = place(cursor_->mine);
    MILLRACE_CRASH_POINT("ring.push.reserved");
    put_header(record, length);
    MILLRACE_CRASH_POINT("ring.push.headed");
    // An empty message may come without a payload, which memcpy would not take.
    if (length != 0) std::memcpy(record + layout::kRecordHeaderBytes, payload, length);
    MILLRACE_CRASH_POINT("ring.push.written");
    publish(bytes, 1);
    return RingStatus::ok;
  }

  // Sends as many of `count` messages as there is room for, with one publish. They lie in `bytes` one after the other;
  // `length_of(i)`, asked once for each, is its length. Stops at one that is longer than max_message(), or than what is
  // left of `bytes`. Returns how many were sent.
  template <typename LengthOf>
  [[nodiscard]] std::uint64_t push_packed(std::span<const std::byte> bytes, std::uint64_t count,
                                          const LengthOf& length_of) noexcept {
    std::uint64_t left = capacity_ - (cursor_->mine - cursor_->peers);
    bool asked = false;
    std::uint64_t taken = 0;
    std::uint64_t sent = 0;
    for (; sent < count; ++sent) {
      const std::uint32_t length = length_of(sent);
      if (length > max_message() || length > bytes.size()) break;
      const std::uint64_t record_bytes = layout::record_bytes(length);
      if (record_bytes > left) [[unlikely]] {
        if (std::exchange(asked, true)) break;
        refresh();
        if (corrupt_) break;
        left = capacity_ - (cursor_->mine - cursor_->peers) - taken;
        if (record_bytes > left) break;
      }
      std::byte* record = place(cursor_->mine + taken);
      put_header(record, length);
      // The most usual length as a constant: a few moves instead of a call.
      if (length == 64) {
        std::memcpy(record + layout::kRecordHeaderBytes, bytes.data(), 64);
      } else if (length != 0) {
        std::memcpy(record + layout::kRecordHeaderBytes, bytes.data(), length);
      }
      bytes = bytes.subspan(length);
      taken += record_bytes;
      left -= record_bytes;
    }
    MILLRACE_CRASH_POINT("ring.pack.written");
    if (sent > 0) publish(taken, sent);
    return sent;
  }

  // The payload of the next message, to be written in place; nothing is visible before commit().
  // nullptr if there is no room (see has_room) or it never fits.
  [[nodiscard]] std::byte* reserve(std::uint32_t length) noexcept {
    const std::uint64_t bytes = layout::record_bytes(length);
    if (bytes > capacity_ || !has_room(bytes)) return nullptr;
    return place(cursor_->mine) + layout::kRecordHeaderBytes;
  }
  // `length` is at most what was reserved.
  void commit(std::uint32_t length) noexcept {
    MILLRACE_CRASH_POINT("ring.commit.begun");
    put_header(place(cursor_->mine), length);
    MILLRACE_CRASH_POINT("ring.commit.headed");
    publish(layout::record_bytes(length), 1);
  }

  // For a batch that the caller laid down as records itself, starting at next_offset(): one release
  // store makes all of it visible. `bytes` is a multiple of 8 for which has_room() said yes.
  [[nodiscard]] std::uint64_t next_offset() const noexcept {
    return cursor_->mine & (capacity_ - 1);
  }
  void publish(std::uint64_t bytes, std::uint64_t messages) noexcept {
    cursor_->mine += bytes;
    auto& line = control_->producer;
    line.messages.store(line.messages.load(std::memory_order_relaxed) + messages,
                        std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("ring.publish.counted");
    // release: pairs with the acquire load in RingConsumer::refresh.
    line.write_position.store(cursor_->mine, std::memory_order_release);
    MILLRACE_CRASH_POINT("ring.publish.stored");
  }

 private:
  void refresh() noexcept {
    // acquire: pairs with the release store in RingConsumer::release; the consumer has finished reading.
    const std::uint64_t read = control_->consumer.read_position.load(std::memory_order_acquire);
    if (!plausible(read, cursor_->peers, cursor_->mine)) [[unlikely]] {
      corrupt_ = true;
      return;
    }
    cursor_->peers = read;
    say_seen();
  }
  // What the consumer has read up to there may be written over from now on. It is said before that happens: whoever finds a
  // byte of ours where a message was that has been read finds this, too (watch/queue.hpp). Once a lap, and while the ring is full.
  void say_seen() noexcept {
    control_->producer.seen.store(layout::seen_word(epoch_, cursor_->peers),
                                  std::memory_order_relaxed);
    // release: pairs with the acquire fence in QueueWatch::look(), between its copy and its look at `seen`.
    std::atomic_thread_fence(std::memory_order_release);
  }
  // from <= position <= to on the circle of 64-bit numbers, and on a record boundary.
  static bool plausible(std::uint64_t position, std::uint64_t from, std::uint64_t to) noexcept {
    return position - from <= to - from && position % layout::kRecordAlign == 0;
  }
  [[nodiscard]] std::byte* place(std::uint64_t position) const noexcept {
    return data_ + (position & (capacity_ - 1));
  }
  static void put_header(std::byte* record, std::uint32_t length) noexcept {
    // One 8-byte store: length in the low half, flags (none yet) in the high half.
    const std::uint64_t header = length;
    std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(record))
        .store(header, std::memory_order_relaxed);
  }

  layout::RingControl* control_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint64_t capacity_ = 0;
  std::uint32_t epoch_ = 0;
  CursorPlace<RingCursor> cursor_;
  bool corrupt_ = false;
};

// Fetched once, to be judged: the peer may change it at any time.
[[nodiscard]] inline std::uint32_t record_length(std::byte* record) noexcept {
  return static_cast<std::uint32_t>(
      std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(record))
          .load(std::memory_order_relaxed));
}

struct Message {
  RingStatus status = RingStatus::empty;
  const std::byte* data = nullptr;
  std::uint32_t length = 0;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data, length}; }
};

class RingConsumer {
 public:
  RingConsumer() = default;

  // Continues where the last consumer released.
  RingConsumer(layout::RingControl* control, std::byte* data, std::uint64_t capacity) noexcept
      : control_(control), data_(data), capacity_(capacity) {
    cursor_->mine = control_->consumer.read_position.load(std::memory_order_relaxed);
    cursor_->peers = cursor_->mine;
    if (cursor_->mine % layout::kRecordAlign != 0) corrupt_ = true;
  }

  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool corrupt() const noexcept { return corrupt_; }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }

  [[nodiscard]] CursorPlace<RingCursor>& cursor() noexcept { return cursor_; }

  // Bytes of whole records published and not yet released. Asks the producer.
  [[nodiscard]] std::uint64_t available() noexcept {
    refresh();
    return corrupt_ ? 0 : cursor_->peers - cursor_->mine;
  }
  // Asks the producer only if nothing is known to be there.
  [[nodiscard]] bool has_data() noexcept {
    if (cursor_->peers != cursor_->mine) [[likely]]
      return true;
    refresh();
    return !corrupt_ && cursor_->peers != cursor_->mine;
  }
  [[nodiscard]] std::uint64_t next_offset() const noexcept {
    return cursor_->mine & (capacity_ - 1);
  }

  // The oldest message, in place. Valid until release_bytes() covers it.
  [[nodiscard]] Message peek() noexcept {
    if (!has_data()) [[unlikely]] {
      return {corrupt_ ? RingStatus::corrupt : RingStatus::empty, nullptr, 0};
    }
    std::byte* record = data_ + next_offset();
    const std::uint32_t length = record_length(record);
    if (layout::record_bytes(length) > cursor_->peers - cursor_->mine) [[unlikely]] {
      corrupt_ = true;
      return {RingStatus::corrupt, nullptr, 0};
    }
    return {RingStatus::ok, record + layout::kRecordHeaderBytes, length};
  }
  // Copies messages one after the other to `target`, and their lengths to `lengths`: as many as are there and fit into both.
  // One release. The status is ok if there was one, `too_large` if the first does not fit.
  struct Packed {
    RingStatus status = RingStatus::empty;
    std::uint64_t messages = 0;
  };
  [[nodiscard]] Packed pop_packed(std::span<std::byte> target,
                                  std::span<std::uint32_t> lengths) noexcept {
    const Message first = peek();
    if (first.status != RingStatus::ok) return {first.status, 0};
    std::uint64_t there = cursor_->peers - cursor_->mine;
    bool asked = false;
    std::uint64_t taken = 0;
    std::uint64_t filled = 0;
    std::uint64_t messages = 0;
    while (messages < lengths.size()) {
      if (taken == there) [[unlikely]] {
        if (std::exchange(asked, true)) break;
        refresh();  // what cannot be leaves what is known as it was
        there = cursor_->peers - cursor_->mine;
        if (taken == there) break;
      }
      std::byte* record = data_ + ((cursor_->mine + taken) & (capacity_ - 1));
      const std::uint32_t length = record_length(record);
      // What cannot be is left for the next call to tell.
      if (layout::record_bytes(length) > there - taken || length > target.size() - filled) break;
      if (length == 64) {
        std::memcpy(target.data() + filled, record + layout::kRecordHeaderBytes, 64);
      } else if (length != 0) {
        std::memcpy(target.data() + filled, record + layout::kRecordHeaderBytes, length);
      }
      lengths[messages++] = length;
      filled += length;
      taken += layout::record_bytes(length);
    }
    if (messages == 0) {
      return {lengths.empty() ? RingStatus::ok : RingStatus::too_large, 0};
    }
    MILLRACE_CRASH_POINT("ring.unpack.copied");
    (void)release_bytes(taken, messages);
    return {RingStatus::ok, messages};
  }

  // Gives the memory of one peeked message back.
  void release(const Message& message) noexcept {
    release_bytes(layout::record_bytes(message.length), 1);
  }
  // The same for a batch that the caller walked itself. False, and nothing done, if `bytes` is more than
  // is there.
  bool release_bytes(std::uint64_t bytes, std::uint64_t messages) noexcept {
    if (bytes > cursor_->peers - cursor_->mine || bytes % layout::kRecordAlign != 0) return false;
    cursor_->mine += bytes;
    auto& line = control_->consumer;
    line.messages.store(line.messages.load(std::memory_order_relaxed) + messages,
                        std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("ring.release.counted");
    // release: pairs with the acquire load in RingProducer::refresh.
    line.read_position.store(cursor_->mine, std::memory_order_release);
    MILLRACE_CRASH_POINT("ring.release.stored");
    return true;
  }
  void mark_corrupt() noexcept { corrupt_ = true; }

 private:
  void refresh() noexcept {
    // acquire: pairs with the release store in RingProducer::publish; whole records are visible.
    const std::uint64_t write = control_->producer.write_position.load(std::memory_order_acquire);
    if (write - cursor_->peers > capacity_ - (cursor_->peers - cursor_->mine) ||
        write % layout::kRecordAlign != 0) [[unlikely]] {
      corrupt_ = true;
      return;
    }
    cursor_->peers = write;
  }

  layout::RingControl* control_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint64_t capacity_ = 0;
  CursorPlace<RingCursor> cursor_;
  bool corrupt_ = false;
};

// How many messages lie in `bytes` of records from `position` on. Counts up to the first record that cannot be.
[[nodiscard]] inline std::uint64_t count_messages(std::byte* data, std::uint64_t capacity,
                                                  std::uint64_t position,
                                                  std::uint64_t bytes) noexcept {
  std::uint64_t messages = 0;
  while (bytes > 0) {
    const std::uint64_t record =
        layout::record_bytes(record_length(data + (position & (capacity - 1))));
    if (record > bytes) break;
    position += record;
    bytes -= record;
    ++messages;
  }
  return messages;
}

}  // namespace millrace
