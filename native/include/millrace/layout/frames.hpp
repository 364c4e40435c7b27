// The bytes of a frame channel: one writer, up to 62 readers, a pool of slots that never move.
//
//   page 0         Header, role [0] writer, WriterControl
//   lanes_offset   one Lane per reader, followed by its descriptor cells and its ledger words
//   slots_offset   one SlotRecord per slot
//   pool_offset    (page aligned) 64-byte user header per slot, then the slots at payload_offset
//
// Everything before pool_offset is mapped read-write by all; the pool is mapped read-write by the writer
// and privately (copy on write) by readers.
//
// Who pins a slot is told by SlotRecord::holders: bit i for the reader on lane i (frame queued for it or
// held by it), bit 63 for the history. A slot may be written only while no bit of an active lane is set.
// The ledger says which of the pinned slots a reader has taken out of its queue.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"
#include "log_linear.hpp"

namespace millrace::layout {

inline constexpr std::uint32_t kMaxReaders = 62;
inline constexpr std::uint32_t kMaxSlots = 4096;
inline constexpr std::uint64_t kHistoryBit = 1ULL << 63U;
inline constexpr std::size_t kUserHeaderBytes = 64;

enum FramesRole : std::uint32_t { kWriterRole = 0, kFirstReaderRole = 1 };

// Geometry::values of a frame channel.
enum FramesValue : std::uint32_t {
  kSlotBytes = 0,
  kSlots = 1,
  kReaders = 2,
  kHistory = 3,
  kAlignment = 4,
  kPoolOffset = 5,
};

enum class Policy : std::uint32_t { wait = 0, drop_newest = 1, overwrite_oldest = 2 };

struct WriterControl {
  struct alignas(kLine) SequenceLine {
    std::atomic<std::uint64_t> begun;      // sequence of the publish in progress; writer
    std::atomic<std::uint64_t> published;  // sequence of the last complete publish; writer
    std::atomic<std::uint64_t>
        evictions;  // odd while frames are taken back outside a publish; writer
    std::atomic<std::uint64_t> reason[13];  // why the writer failed (minor version 2); writer
  } sequence;
  struct alignas(kLine) LanesLine {
    std::atomic<std::uint64_t> active;  // bit i: deliver to lane i; readers set and clear their own
    std::atomic<std::uint64_t> reason_rest[12];  // goes on; writer
    // Epoch of a writer that marks what it begins to write over (SlotRecord::sequence), for tools; writer, when it comes.
    std::atomic<std::uint32_t> marking;
    std::byte pad[kLine - 108];
  } lanes;
  WaitLine wait;  // the writer sleeps here until a slot is free
};
static_assert(sizeof(WriterControl) == 3 * kLine);
static_assert(sizeof(WriterControl::SequenceLine::reason) +
                  sizeof(WriterControl::LanesLine::reason_rest) ==
              kReasonBytes);

inline constexpr std::size_t kWriterControlOffset = 640;
static_assert(kWriterControlOffset % kLine == 0);
static_assert(kWriterControlOffset >= kRolesOffset + sizeof(RoleRecord));

struct Lane {
  struct alignas(kLine) JoinLine {
    RoleRecord role;
    std::atomic<std::uint32_t> policy;  // reader, before its bit in `active` is set
    std::atomic<std::uint32_t> depth;   // frames that may queue up; reader, likewise
    // How long frames took, if the reader was asked to count that: the last of the buckets of FrameTimes; reader.
    std::array<std::atomic<std::uint32_t>, 13> latency_rest;
    std::byte pad[4];
  } join;
  struct alignas(kLine) WriterLine {
    std::atomic<std::uint64_t> write_position;  // writer: release; reader: acquire
    std::atomic<std::uint64_t> dropped;         // frames not delivered (drop-newest); writer
    std::atomic<std::uint64_t> evicted;         // frames taken back (overwrite-oldest); writer
    std::atomic<std::uint64_t> first;           // first sequence meant for this reader; writer
    std::byte pad[kLine - 32];
  } writer;
  struct alignas(kLine) ReaderLine {
    // Advanced by compare-and-swap: by the reader that takes a frame, by the writer that evicts one.
    std::atomic<std::uint64_t> read_position;
    std::atomic<std::uint64_t> received;  // counter for tools; reader
    // The first of those buckets, and what all that were counted took; reader.
    std::atomic<std::uint64_t> latency_ns;
    std::array<std::atomic<std::uint32_t>, 26> latency;
  } reader;
  WaitLine wait;  // the reader sleeps here until there is a frame
};
static_assert(sizeof(Lane) == 4 * kLine);
static_assert(offsetof(Lane::ReaderLine, latency_ns) == 16);
static_assert(offsetof(Lane::JoinLine, latency_rest) == sizeof(RoleRecord) + 8);

// How long frames took, in as many buckets as a lane had bytes left: 2 and 4 µs, and of each doubling from there to 1.05 s a half. The
// counts wrap around, and go on from one reader of a lane to the next.
using FrameTimes = LogLinear<1, 2000, 39>;
template <typename OfLane>
[[nodiscard]] auto& latency_count(OfLane& lane, std::size_t at) noexcept {
  return at < lane.reader.latency.size() ? lane.reader.latency[at]
                                         : lane.join.latency_rest[at - lane.reader.latency.size()];
}

// 64-bit descriptor: sequence (48 bits) and slot (16 bits). The sequence doubles as the slot's generation.
inline constexpr std::uint64_t kMaxSequence = (1ULL << 48U) - 1;
[[nodiscard]] constexpr std::uint64_t make_descriptor(std::uint64_t sequence,
                                                      std::uint32_t slot) noexcept {
  return (sequence << 16U) | slot;
}
[[nodiscard]] constexpr std::uint32_t descriptor_slot(std::uint64_t descriptor) noexcept {
  return static_cast<std::uint32_t>(descriptor & 0xFFFFU);
}
[[nodiscard]] constexpr std::uint64_t descriptor_sequence(std::uint64_t descriptor) noexcept {
  return descriptor >> 16U;
}

struct alignas(kLine) SlotRecord {
  std::atomic<std::uint64_t> holders;
  // Writer, while nobody holds the slot: 0 from when it begins to write there until the frame is published.
  std::atomic<std::uint64_t> sequence;
  std::atomic<std::uint64_t> length;     // payload bytes; writer, likewise
  std::atomic<std::uint64_t> timestamp;  // monotonic nanoseconds; writer, likewise
  std::byte pad[kLine - 32];
};
static_assert(sizeof(SlotRecord) == kLine);

// Where everything is, computed from the geometry alone so that no offset has to be believed.
struct FramesPlan {
  std::uint64_t slot_bytes = 0;
  std::uint32_t slots = 0;
  std::uint32_t readers = 0;
  std::uint32_t history = 0;
  std::uint64_t alignment = 0;
  std::uint64_t cells = 0;         // descriptors per lane: a power of two, at least `slots`
  std::uint64_t ledger_words = 0;  // per lane
  std::uint64_t lane_stride = 0;
  std::uint64_t lanes_offset = 0;
  std::uint64_t slots_offset = 0;
  std::uint64_t pool_offset = 0;     // in the segment
  std::uint64_t payload_offset = 0;  // in the pool
  std::uint64_t slot_stride = 0;
  std::uint64_t pool_bytes = 0;
  std::uint64_t total_bytes = 0;
};

[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}

// The caller has checked slots <= kMaxSlots, readers <= kMaxReaders and that slot_bytes is sane.
[[nodiscard]] constexpr FramesPlan plan_frames(std::uint64_t slot_bytes, std::uint32_t slots,
                                               std::uint32_t readers, std::uint32_t history,
                                               std::uint64_t alignment,
                                               std::uint64_t page) noexcept {
  FramesPlan plan;
  plan.slot_bytes = slot_bytes;
  plan.slots = slots;
  plan.readers = readers;
  plan.history = history;
  plan.alignment = alignment;
  plan.cells = 1;
  while (plan.cells < slots)
    plan.cells *= 2;
  plan.ledger_words = (slots + 63U) / 64U;
  plan.lane_stride = align_up(sizeof(Lane) + (plan.cells + plan.ledger_words) * 8, kLine);
  plan.lanes_offset = align_up(kWriterControlOffset + sizeof(WriterControl), kLine);
  plan.slots_offset = plan.lanes_offset + plan.lane_stride * readers;
  plan.pool_offset = align_up(plan.slots_offset + sizeof(SlotRecord) * slots, page);
  plan.payload_offset = align_up(kUserHeaderBytes * slots, alignment);
  plan.slot_stride = align_up(slot_bytes, alignment);
  plan.pool_bytes = align_up(plan.payload_offset + plan.slot_stride * slots, page);
  plan.total_bytes = plan.pool_offset + plan.pool_bytes;
  return plan;
}

}  // namespace millrace::layout
