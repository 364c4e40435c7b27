// The bytes of an SPSC queue:
//
//   page 0       Header, roles: [0] producer, [1] consumer; behind them why each of them failed, if it said so
//   page 1       RingControl: producer line | consumer line | consumer's wait line | producer's wait line
//   data_offset  `capacity` bytes, a power of two and a multiple of the page; mapped twice in a row
//
// A record is an 8-byte header {length, flags} and the payload, padded to 8 bytes. Records never wrap:
// the mirror map makes every position contiguous. Positions are monotonic byte counts; the place of a
// position is position & (capacity - 1).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"

namespace millrace::layout {

enum QueueRole : std::uint32_t { kProducerRole = 0, kConsumerRole = 1, kQueueRoles = 2 };

// Geometry::values of a queue.
enum QueueValue : std::uint32_t {
  kQueueCapacity = 0,
  kQueueControlOffset = 1,
  kQueueDataOffset = 2
};

// Why the last holder of a role failed (minor version 2): written by the holder before it says so.
struct alignas(64) QueueReason {
  std::atomic<std::uint64_t> words[kReasonBytes / 8];
  std::byte pad[56];
};
static_assert(sizeof(QueueReason) == 256);
inline constexpr std::size_t kQueueReasonsOffset = kRolesOffset + kQueueRoles * sizeof(RoleRecord);
static_assert(kQueueReasonsOffset % alignof(QueueReason) == 0);
static_assert(kQueueReasonsOffset + kQueueRoles * sizeof(QueueReason) <=
              4096);  // the smallest page

inline constexpr std::size_t kRecordHeaderBytes = 8;
inline constexpr std::size_t kRecordAlign = 8;
inline constexpr std::uint64_t kMaxQueueCapacity = 1ULL << 30U;

[[nodiscard]] constexpr std::uint64_t record_bytes(std::uint64_t payload) noexcept {
  return (kRecordHeaderBytes + payload + kRecordAlign - 1) & ~std::uint64_t{kRecordAlign - 1};
}

struct RingControl {
  struct alignas(kLine) ProducerLine {
    std::atomic<std::uint64_t> write_position;  // producer: release; consumer: acquire
    std::atomic<std::uint64_t> messages;        // counter for tools
    // Where the producer of that epoch began; of another epoch than its role's: nobody has said (minor version 2).
    // Both written under the lifecycle lock.
    std::atomic<std::uint64_t> session_begin;
    std::atomic<std::uint32_t> session_epoch;
    std::byte pad0[4];
    // How far the producer knows the consumer to be, and so what it may write over: seen_word(). Written before it writes
    // any byte that it takes from that. For tools, which look at messages after they were consumed (watch/queue.hpp).
    std::atomic<std::uint64_t> seen;
    std::byte pad1[kLine - 40];
  } producer;
  struct alignas(kLine) ConsumerLine {
    std::atomic<std::uint64_t> read_position;  // consumer: release; producer: acquire
    std::atomic<std::uint64_t> messages;       // counter for tools
    // Bytes of the ring where its creator left that open, 0: not decided (queue_capacity.hpp; minor version 2).
    std::atomic<std::uint64_t> capacity;
    // Epoch of a consumer that knows of that: it has not used the ring before (minor version 2).
    std::atomic<std::uint32_t> session_epoch;
    std::byte pad[kLine - 28];
  } consumer;
  WaitLine consumer_wait;  // the consumer sleeps here until there is data
  WaitLine producer_wait;  // the producer sleeps here until there is room
};
static_assert(offsetof(RingControl::ProducerLine, seen) == 32);
static_assert(sizeof(RingControl) == 4 * kLine);
static_assert(offsetof(RingControl, consumer) == kLine);
static_assert(offsetof(RingControl, consumer_wait) == 2 * kLine);

// {epoch of the producer's role 32, low half of the consumer's position 31, 1 where that is multiple of 8}. Of another epoch than
// the role's: the producer is of a version that does not say.
[[nodiscard]] constexpr std::uint64_t seen_word(std::uint32_t epoch, std::uint64_t read) noexcept {
  return std::uint64_t{epoch} << 32U | static_cast<std::uint32_t>(read) | 1U;
}

}  // namespace millrace::layout
