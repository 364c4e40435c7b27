// The messages of a queue, seen from outside: those in the ring, and those that the consumer has had, as long as the producer has not
// gone on over them.
//
// A look is that of Aeron's log readers and of a seqlock's: positions, bytes, positions.
//
//   (W) write_position          what is before it is whole: its producer stored it with release
//   (C) the bytes, copied
//   (F) acquire fence
//   (S) seen, read_position     what the producer may have written over by now
//
// The producer writes over what lies before `seen` alone: the consumer's position when it asked last, which it says before it writes
// there (RingProducer::say_seen). If (C) copied a byte of such a write, then that byte was stored after `seen` and a release fence, so
// (S), after an acquire fence, finds that `seen` or a later one. So what was copied from behind the `seen` of (S) is whole, and nothing
// else is told. Of a producer that does not say it (another epoch in `seen`), the consumer's own position stands in its place: the
// producer asked for that one, acquire, before it wrote, and (S) finds no older one. That is the conservative answer, by which
// nothing is seen of what was consumed.
//
// The copies are system calls (observe/copies.hpp): the kernel's loads are none of the language's. That loads on both sides of a fence,
// or of a system call with a fence beside it, stay apart holds for the processor, whatever its mode: on x86-64 loads are not
// reordered, on ARM64 the fence is a barrier for all loads of that processor. Both make a store visible to all others at once, so
// that whoever sees a byte sees what its writer had seen.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/queue.hpp"
#include "../observe/copies.hpp"
#include "../queue_capacity.hpp"
#include "message.hpp"

namespace millrace::detail {

class QueueWatch final : public Watcher {
 public:
  QueueWatch(Copies copies, const layout::Header& header, std::string name, bool oldest)
      : copies_(copies),
        geometry_(header.geometry),
        name_(std::move(name)),
        open_((header.flags.load(std::memory_order_relaxed) & layout::kOpenCapacity) != 0),
        oldest_(oldest) {}

  [[nodiscard]] Result<void> look(WatchSink& sink) override {
    for (int round = 0; round < kRounds && !sink.full(); ++round) {
      Ends ends;
      if (!read(ends)) return shortened();
      if (ends.capacity == 0) {
        begun_ = true;  // nothing was sent yet: what is sent from here on is told
        return {};
      }
      if (!possible(ends)) return impossible();
      if (!begun_) {
        auto begun = begin(ends);
        if (!begun.ok()) return begun;
        continue;
      }
      if (ends.written - at_ > ends.capacity) {
        auto begun = begin_again();
        if (!begun.ok()) return begun;
        continue;
      }
      if (at_ == ends.written) return {};
      std::atomic_thread_fence(std::memory_order_acquire);  // (W) before (C)
      auto copied = copy(sink, ends);
      if (!copied.ok()) return copied;
    }
    return {};
  }

 private:
  static constexpr int kRounds = 4;
  static constexpr std::uint64_t kPiece = std::uint64_t{64} * 1024;

  struct Ends {
    std::uint64_t written = 0;
    std::uint64_t sent = 0;
    std::uint64_t read = 0;
    std::uint64_t safe = 0;      // what is before it may have been written over
    std::uint64_t capacity = 0;  // 0: not decided
  };

  // False: the object ends before that.
  [[nodiscard]] bool read(Ends& ends) const {
    alignas(layout::RingControl) std::array<std::byte, sizeof(layout::RingControl)> bytes{};
    alignas(layout::RoleRecord) std::array<std::byte, sizeof(layout::RoleRecord)> role_bytes{};
    if (!copies_.into(layout::kRolesOffset, role_bytes.data(), role_bytes.size()) ||
        !copies_.into(geometry_.values[layout::kQueueControlOffset], bytes.data(), bytes.size())) {
      return false;
    }
    const auto& ring = *reinterpret_cast<const layout::RingControl*>(bytes.data());
    const auto& role = *reinterpret_cast<const layout::RoleRecord*>(role_bytes.data());
    ends.written = ring.producer.write_position.load(std::memory_order_relaxed);
    ends.sent = ring.producer.messages.load(std::memory_order_relaxed);
    ends.read = ring.consumer.read_position.load(std::memory_order_relaxed);
    ends.safe = ends.read;
    const std::uint64_t seen = ring.producer.seen.load(std::memory_order_relaxed);
    if (seen >> 32U == role.epoch.load(std::memory_order_relaxed) && (seen & 1U) != 0) {
      // Its low half. It may be newer than the consumer's position, which was copied at another instant, by as little as it is older.
      const auto low = static_cast<std::uint32_t>(seen) - 1U;
      ends.safe += static_cast<std::uint64_t>(static_cast<std::int64_t>(
          static_cast<std::int32_t>(low - static_cast<std::uint32_t>(ends.read))));
    }
    const std::uint64_t decided = ring.consumer.capacity.load(std::memory_order_relaxed);
    ends.capacity = decided != 0 || open_ ? decided : geometry_.values[layout::kQueueCapacity];
    return true;
  }
  [[nodiscard]] static bool possible(const Ends& ends) noexcept {
    return is_queue_capacity(ends.capacity) && ends.written % layout::kRecordAlign == 0 &&
           ends.safe % layout::kRecordAlign == 0;
  }

  [[nodiscard]] Result<void> begin(const Ends& ends) {
    at_ = ends.written;
    number_ = ends.sent;
    if (oldest_) {
      auto begun = begin_again();
      if (!begun.ok()) return begun;
      missed_ = 0;
    }
    begun_ = true;
    return {};
  }
  // Goes on with the oldest message that is still there, of which it finds out the number by counting; or, as often as that is written
  // over meanwhile, with the next one.
  [[nodiscard]] Result<void> begin_again() {
    Ends ends;
    std::uint64_t from = 0;
    std::uint64_t number = 0;
    bool found = false;
    for (int tries = 0; tries < 2 && !found; ++tries) {
      if (!read_same(ends)) return shortened();
      from = ends.safe;
      std::atomic_thread_fence(std::memory_order_acquire);
      const auto messages = count(from, ends);
      MILLRACE_CRASH_POINT("watch.queue.counted");
      std::atomic_thread_fence(std::memory_order_acquire);  // as (F)
      Ends after;
      if (!read(after)) return shortened();
      found = behind(from, after.safe);
      if (found && !messages) return impossible();
      if (found) number = ends.sent - *messages;
    }
    if (!found) {
      if (!read_same(ends)) return shortened();
      from = ends.written;
      number = ends.sent;
    }
    if (number > number_) missed_ += number - number_;
    at_ = from;
    number_ = number;
    return {};
  }
  // With `sent` of that `written`, as far as two looks can tell: the producer stores one just after the other.
  [[nodiscard]] bool read_same(Ends& ends) const {
    if (!read(ends)) return false;
    for (int looks = 0; looks < 8; ++looks) {
      const Ends before = ends;
      if (!read(ends)) return false;
      if (ends.written == before.written && ends.sent == before.sent) break;
    }
    return true;
  }
  // The messages from there to the end. Nothing if what is there cannot be.
  [[nodiscard]] std::optional<std::uint64_t> count(std::uint64_t from, const Ends& ends) const {
    std::array<std::byte, 4096> piece;
    std::uint64_t messages = 0;
    std::uint64_t piece_at = from;
    std::uint64_t piece_end = from;
    if (ends.written - from > ends.capacity) return std::nullopt;
    while (from != ends.written) {
      if (!behind(piece_end, from + layout::kRecordHeaderBytes)) {
        const std::uint64_t bytes = std::min<std::uint64_t>(ends.written - from, piece.size());
        if (!data(from, piece.data(), bytes, ends.capacity)) return std::nullopt;
        piece_at = from;
        piece_end = from + bytes;
      }
      const std::uint64_t record =
          layout::record_bytes(length_at(piece.data() + (from - piece_at)));
      if (record > ends.written - from) return std::nullopt;
      from += record;
      ++messages;
    }
    return messages;
  }

  [[nodiscard]] Result<void> copy(WatchSink& sink, const Ends& ends) {
    const std::uint64_t there = ends.written - at_;
    const std::uint64_t bytes = std::min({there, sink.left() / 8 * 8, kPiece});
    // At least the head of a record.
    std::byte* const to = sink.room(std::max<std::uint64_t>(bytes, layout::kRecordHeaderBytes));
    if (to == nullptr) return {};
    if (!data(at_, to, bytes, ends.capacity)) return shortened();  // (C)
    bool still = false;
    if (auto looked = is_still_there(still); !looked.ok()) return looked;
    // What was copied may be anything. The next round goes on where something is.
    if (!still) return begin_again();
    const std::uint64_t length = length_at(to);
    const std::uint64_t first = layout::record_bytes(length);
    if (first > there) return impossible();
    if (first <= bytes) return keep_all(sink, to, bytes, there);
    // Longer than a piece: by itself, and only as much of it as is wanted.
    const std::uint64_t wanted = layout::kRecordHeaderBytes + sink.cut(length);
    if (sink.room(wanted) == nullptr) return {};
    if (!data(at_, to, wanted, ends.capacity)) return shortened();  // (C)
    if (auto looked = is_still_there(still); !looked.ok()) return looked;
    if (!still) return begin_again();
    keep(sink, length, wanted);
    at_ += first;
    return {};
  }
  // What is at our position, and behind it.
  [[nodiscard]] Result<void> is_still_there(bool& still) const {
    MILLRACE_CRASH_POINT("watch.queue.copied");
    std::atomic_thread_fence(std::memory_order_acquire);  // (F)
    Ends after;
    if (!read(after)) return shortened();  // (S)
    still = behind(at_, after.safe);
    return {};
  }
  // The whole records of a piece, which lies in the sink already.
  [[nodiscard]] Result<void> keep_all(WatchSink& sink, const std::byte* piece, std::uint64_t bytes,
                                      std::uint64_t there) {
    std::uint64_t from = 0;
    while (from < bytes && !sink.full()) {
      const std::uint64_t length = length_at(piece + from);
      const std::uint64_t record = layout::record_bytes(length);
      if (record > there - from) return impossible();
      if (record > bytes - from) break;
      keep(sink, length, record);
      from += record;
      at_ += record;
    }
    return {};
  }
  void keep(WatchSink& sink, std::uint64_t length, std::uint64_t bytes) {
    Watched message;
    message.sequence = ++number_;
    message.at = sink.used() + layout::kRecordHeaderBytes;
    message.length = length;
    message.copied = sink.cut(length);
    sink.keep(message, bytes);
  }

  // The ring is not mapped twice here.
  [[nodiscard]] bool data(std::uint64_t from, std::byte* to, std::uint64_t bytes,
                          std::uint64_t capacity) const {
    const std::uint64_t place = from & (capacity - 1);
    const std::uint64_t first = std::min(bytes, capacity - place);
    const std::uint64_t at = geometry_.values[layout::kQueueDataOffset];
    return copies_.into(at + place, to, first) && copies_.into(at, to + first, bytes - first);
  }
  [[nodiscard]] static std::uint64_t length_at(const std::byte* record) noexcept {
    std::uint32_t length = 0;
    std::memcpy(&length, record, sizeof length);
    return length;
  }
  // Not before that, on the circle of numbers.
  [[nodiscard]] static bool behind(std::uint64_t position, std::uint64_t limit) noexcept {
    return static_cast<std::int64_t>(position - limit) >= 0;
  }
  [[nodiscard]] Error impossible() const {
    return make_error(Code::corrupt, "queue '" + name_ + "' holds what no producer writes");
  }
  [[nodiscard]] Error shortened() const {
    return make_error(Code::corrupt, "queue '" + name_ + "' is shorter than it should be");
  }

  Copies copies_;
  layout::Geometry geometry_;
  std::string name_;
  bool open_;  // its creator left open how large it is to be
  bool oldest_;
  bool begun_ = false;
  std::uint64_t at_ = 0;
  std::uint64_t number_ = 0;  // of the message before that
};

}  // namespace millrace::detail
