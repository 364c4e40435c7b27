// The bytes of topics: one log of messages in one total order, read by any number of subscriptions, each at its own position.
//
//   Header, roles[seats]        who is on it; a seat is one open handle
//   TopicControl                head, tail, floor, who is parked for room, counters
//   TopicSeat[seats]            what the holder of a seat has pinned, and what it has counted
//   WaitLine[seats]             where it sleeps
//   Entry[subscriptions]        a subscription: whose, where it is, what it wants
//   rows[subjects][words]       who is interested in a subject: a bit for each entry
//   SubjectRecord[subjects]     what a subject is known by, and its last message
//   buckets[2^n]                subjects by their hash
//   texts[subjects][256]        of subjects
//   FilterText[subscriptions]   of entries
//   cells[messages]             the log: which slot has the message of an index
//   TopicSlot[messages + subjects]
//   free groups                 hints: groups of 64 slots of which one may be free
//   owners[granules]            of each granule of memory: which message it belongs to
//   (next page) data            slots * kTopicInlineBytes for small messages, then the granules
//
// A message is in the log if a cell names its slot, and in no other case: what the slot says of itself tells only whether it may be
// used again. topics/log.hpp has the protocol; topics/shape.hpp computes where each part is.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"
#include "log_linear.hpp"
#include "store.hpp"

namespace millrace::layout {

// Geometry::values of topics.
enum TopicValue : std::uint32_t {
  kTopicSeats = 0,  // seats 32, subscriptions 32
  kTopicMessages = 1,
  kTopicSubjects = 2,
  kTopicBytes = 3,  // of messages that do not fit beside their slot
};

inline constexpr std::uint32_t kMaxTopicSeats = 512;
inline constexpr std::uint32_t kMaxSubscriptions = 512;
inline constexpr std::uint32_t kMaxSubjects = 1U << 16U;
inline constexpr std::uint32_t kMaxMessages = 1U << 19U;
inline constexpr std::uint32_t kTopicInlineBytes = 128;
// Longer ones are read in place by whoever wants that: to pin one costs more than to copy so much.
inline constexpr std::uint32_t kTopicCopyMost = 512;
inline constexpr std::uint32_t kSubjectMost = 255;  // bytes of a subject's text
inline constexpr std::uint32_t kFilterMost =
    1024;  // bytes of all filters of an entry, each ended by a zero
inline constexpr std::uint32_t kFiltersMost = 16;
inline constexpr std::uint32_t kTopicHeadersMost = 1024;
inline constexpr std::uint32_t kGroupNameMost = 63;
inline constexpr std::uint32_t kTopicSeatWords = kMaxTopicSeats / 64;
inline constexpr std::uint32_t kEntryWords = kMaxSubscriptions / 64;

inline constexpr std::uint32_t kTopicSlotBits = 20;
inline constexpr std::uint32_t kTopicIndexBits = 44;
inline constexpr std::uint32_t kNoTopicSlot = (1U << kTopicSlotBits) - 1;
inline constexpr std::uint64_t kNoIndex = (1ULL << kTopicIndexBits) - 1;
static_assert(kMaxMessages + kMaxSubjects < kNoTopicSlot);

// --- the log ---

// A place in the log: full {token 22, slot 20, turn 20, unused 1, 1} or empty {turn 40 bits from bit 1 on, 0}. `turn` is the
// index / capacity.
struct TopicCell {
  std::atomic<std::uint64_t> word;
};
inline constexpr std::uint32_t kTopicTokenBits = 22;
inline constexpr std::uint32_t kTopicTurnBits = 20;
inline constexpr std::uint32_t kTopicEmptyTurnBits = 40;
[[nodiscard]] constexpr std::uint64_t full_topic_cell(std::uint64_t turn, std::uint32_t slot,
                                                      std::uint32_t token) noexcept {
  return 1ULL | (turn & ((1ULL << kTopicTurnBits) - 1)) << 2U |
         static_cast<std::uint64_t>(slot & kNoTopicSlot) << (2U + kTopicTurnBits) |
         static_cast<std::uint64_t>(token & ((1U << kTopicTokenBits) - 1))
             << (2U + kTopicTurnBits + kTopicSlotBits);
}
[[nodiscard]] constexpr std::uint64_t empty_topic_cell(std::uint64_t turn) noexcept {
  return (turn & ((1ULL << kTopicEmptyTurnBits) - 1)) << 1U;
}
[[nodiscard]] constexpr bool is_full_topic_cell(std::uint64_t cell) noexcept {
  return (cell & 1U) != 0;
}
[[nodiscard]] constexpr std::uint64_t turn_of_topic_cell(std::uint64_t cell) noexcept {
  return is_full_topic_cell(cell) ? cell >> 2U & ((1ULL << kTopicTurnBits) - 1)
                                  : cell >> 1U & ((1ULL << kTopicEmptyTurnBits) - 1);
}
[[nodiscard]] constexpr std::uint32_t slot_of_topic_cell(std::uint64_t cell) noexcept {
  return static_cast<std::uint32_t>(cell >> (2U + kTopicTurnBits)) & kNoTopicSlot;
}
[[nodiscard]] constexpr std::uint32_t token_of_topic_cell(std::uint64_t cell) noexcept {
  return static_cast<std::uint32_t>(cell >> (2U + kTopicTurnBits + kTopicSlotBits));
}

// What a slot is.
//
//   free ─► held ─► evicted ─► free
//             └─────────────────┘  cancelled, or its publisher died before a cell named it
enum class TopicSlotState : std::uint8_t {
  free = 0,
  held = 1,  // being written by `seat`, or in the log: that is for the cell to say
  evicted =
      2,  // no longer in the log once its cell is empty; kept while it is pinned, or the last message of its subject
};
inline constexpr std::uint16_t kNobodysTopic = 0xFFFF;
struct TopicWord {
  TopicSlotState state = TopicSlotState::free;
  std::uint16_t seat = kNobodysTopic;  // of held: who wrote it, or nobody once that has been buried
  std::uint32_t token = 0;             // +1 with each message

  friend bool operator==(const TopicWord&, const TopicWord&) = default;
};
[[nodiscard]] constexpr std::uint64_t pack(const TopicWord& word) noexcept {
  return static_cast<std::uint64_t>(word.state) | static_cast<std::uint64_t>(word.seat) << 16U |
         static_cast<std::uint64_t>(word.token) << 32U;
}
[[nodiscard]] constexpr TopicWord unpack_topic(std::uint64_t bits) noexcept {
  TopicWord word;
  word.state = static_cast<TopicSlotState>(bits & 3U);
  word.seat = static_cast<std::uint16_t>(bits >> 16U);
  word.token = static_cast<std::uint32_t>(bits >> 32U);
  return word;
}

// One message. All but `word` is written by its publisher before the cell is filled. Readers may come late, and then find by the
// cell that it was another one's.
struct alignas(64) TopicSlot {
  std::atomic<std::uint64_t> word;
  std::atomic<std::uint64_t> index;         // of the cell that names it, or that it tried last
  std::atomic<std::uint64_t> published_at;  // nanoseconds since 1970
  std::atomic<std::uint32_t> subject;
  std::atomic<std::uint32_t> length;          // bytes of the payload
  std::atomic<std::uint32_t> headers_length;  // behind it, at the next multiple of 8
  std::atomic<std::uint32_t> granule;         // the first
  std::atomic<std::uint32_t> granules;   // 0: the message is in the bytes that belong to the slot
  std::atomic<std::uint32_t> publisher;  // its process id, for tools
  // Of a message that is measured (topics/topic_meter.hpp): when it was published, in monotonic nanoseconds, and {messages that it stands for 8,
  // the token of the cell 22}. 0, and whatever an earlier message of the slot has left: it is not measured.
  std::atomic<std::uint64_t> measured_at;
  std::atomic<std::uint32_t> measured;
  std::byte pad[4];
};
static_assert(offsetof(TopicSlot, measured_at) == 48);
static_assert(sizeof(TopicSlot) == 64);

// --- subjects ---

// The last message of a subject: {slot 20, index + 1 in 44 bits}. Grows only; 0: there was none; kNoTopicSlot: it was dropped.
[[nodiscard]] constexpr std::uint64_t last_message(std::uint64_t index,
                                                   std::uint32_t slot) noexcept {
  return ((index + 1) & kNoIndex) << kTopicSlotBits | (slot & kNoTopicSlot);
}
[[nodiscard]] constexpr std::uint32_t slot_of_last(std::uint64_t last) noexcept {
  return last == 0 ? kNoTopicSlot : static_cast<std::uint32_t>(last) & kNoTopicSlot;
}
// Index + 1.
[[nodiscard]] constexpr std::uint64_t number_of_last(std::uint64_t last) noexcept {
  return last >> kTopicSlotBits;
}

// A subject. All but `last` is written under TopicControl::subjects_lock before TopicControl::subjects counts it.
struct alignas(64) SubjectRecord {
  std::atomic<std::uint64_t> last;
  std::atomic<std::uint64_t> hash[2];
  std::atomic<std::uint32_t> next;  // subject + 1 of the next one in its bucket; 0: none
  std::atomic<std::uint32_t> length;
  std::byte pad[32];
};
static_assert(sizeof(SubjectRecord) == 64);
struct SubjectText {
  std::atomic<std::uint64_t> words[32];
};
static_assert(sizeof(SubjectText) == kSubjectMost + 1);

// --- subscriptions ---

enum class EntryState : std::uint8_t { free = 0, joining = 1, live = 2, leaving = 3 };
enum class TopicPolicy : std::uint8_t {
  wait = 0,       // what it has not read yet is not evicted
  overwrite = 1,  // it is evicted, and counted
};
// {state 4, policy 4, of a group 1, generation 7, seat 16 (or kNobodysTopic), depth 32 (messages that it may lag behind)}
struct EntryInfo {
  EntryState state = EntryState::free;
  TopicPolicy policy = TopicPolicy::wait;
  bool group = false;
  std::uint8_t generation = 0;
  std::uint16_t seat = kNobodysTopic;
  std::uint32_t depth = 0;

  friend bool operator==(const EntryInfo&, const EntryInfo&) = default;
};
[[nodiscard]] constexpr std::uint64_t pack(const EntryInfo& info) noexcept {
  return static_cast<std::uint64_t>(info.state) | static_cast<std::uint64_t>(info.policy) << 4U |
         static_cast<std::uint64_t>(info.group ? 1 : 0) << 8U |
         static_cast<std::uint64_t>(info.generation & 0x7FU) << 9U |
         static_cast<std::uint64_t>(info.seat) << 16U |
         static_cast<std::uint64_t>(info.depth) << 32U;
}
[[nodiscard]] constexpr EntryInfo unpack_entry(std::uint64_t bits) noexcept {
  EntryInfo info;
  info.state = static_cast<EntryState>(bits & 15U);
  info.policy = static_cast<TopicPolicy>(bits >> 4U & 15U);
  info.group = (bits >> 8U & 1U) != 0;
  info.generation = static_cast<std::uint8_t>(bits >> 9U & 0x7FU);
  info.seat = static_cast<std::uint16_t>(bits >> 16U);
  info.depth = static_cast<std::uint32_t>(bits >> 32U);
  return info;
}
// Where an entry is: {index of the next message 36, missed 24, generation 4}. The index is that of a log whose ends are known, so 36
// bits tell it. Missed: what was evicted since its reader said that it knows; no more than all of 24 bits.
inline constexpr std::uint32_t kPositionBits = 36;
inline constexpr std::uint32_t kMissedBits = 24;
inline constexpr std::uint64_t kMissedMost = (1ULL << kMissedBits) - 1;
struct Position {
  std::uint64_t at = 0;  // of 36 bits
  std::uint32_t missed = 0;
  std::uint8_t generation = 0;

  friend bool operator==(const Position&, const Position&) = default;
};
[[nodiscard]] constexpr std::uint64_t pack(const Position& position) noexcept {
  return (position.at & ((1ULL << kPositionBits) - 1)) |
         static_cast<std::uint64_t>(position.missed & kMissedMost) << kPositionBits |
         static_cast<std::uint64_t>(position.generation & 15U) << (kPositionBits + kMissedBits);
}
[[nodiscard]] constexpr Position unpack_position(std::uint64_t bits) noexcept {
  Position position;
  position.at = bits & ((1ULL << kPositionBits) - 1);
  position.missed = static_cast<std::uint32_t>(bits >> kPositionBits & kMissedMost);
  position.generation = static_cast<std::uint8_t>(bits >> (kPositionBits + kMissedBits));
  return position;
}

// A subscription.
struct alignas(kLine) Entry {
  std::atomic<std::uint64_t> position;  // by compare-and-swap: its reader, and whoever evicts
  // What its reader has counted, for tools: plain stores.
  std::atomic<std::uint64_t> received;
  std::atomic<std::uint64_t> missed;
  std::byte pad0[kLine - 24];
  // offset 128: written by who joins, leaves, or buries one that did
  std::atomic<std::uint64_t> info;
  std::atomic<std::uint32_t> filters;       // how many
  std::atomic<std::uint32_t> filter_bytes;  // of their texts
  // How long messages took, if the reader was asked to count that: of all together, and the first buckets of TopicTimes; reader.
  std::atomic<std::uint64_t> latency_ns;
  std::array<std::atomic<std::uint32_t>, 26> latency;
  // offset 256: of a queue group
  std::atomic<std::uint64_t> members[kTopicSeatWords];  // seats, a bit each
  SeatLock pump;  // who moves its messages into the group's work queue
  std::atomic<std::uint32_t> name_length;
  std::byte pad2[4];
  std::atomic<std::uint64_t> name[8];
  std::array<std::atomic<std::uint32_t>, 28> latency_rest;  // the last of those buckets; reader
};
static_assert(offsetof(Entry, info) == 128);
static_assert(offsetof(Entry, members) == 256);
static_assert(offsetof(Entry, latency_ns) == 144);
static_assert(sizeof(Entry) == 4 * kLine);

// How long messages took until a subscription had them, in as many buckets as it had bytes left: 1 and 2 us, and of each doubling from there to
// 101 s a half. The counts wrap around.
using TopicTimes = LogLinear<1, 1000, 54>;
template <typename OfEntry>
[[nodiscard]] auto& topic_latency(OfEntry& entry, std::size_t at) noexcept {
  return at < entry.latency.size() ? entry.latency[at]
                                   : entry.latency_rest[at - entry.latency.size()];
}
static_assert(TopicTimes::kCounts == 26 + 28);
struct FilterText {
  std::atomic<std::uint64_t> words[kFilterMost / 8];
};

// --- seats ---

// A message that a handle reads in place: {slot 20, unused 11, 1, token 32}; 0: none.
inline constexpr std::uint32_t kPinsPerSeat = 16;
[[nodiscard]] constexpr std::uint64_t topic_pin(std::uint32_t slot, std::uint32_t token) noexcept {
  return (slot & kNoTopicSlot) | 1ULL << 31U | static_cast<std::uint64_t>(token) << 32U;
}

enum class TopicCount : std::uint8_t {
  published,
  matched,  // sum of the numbers of subscribers that messages were for
  evicted,
  waits,             // publishes that found no room
  retained_dropped,  // last messages of subjects that made room
  deaths,
  unfinished,  // messages that the dead had begun
};
inline constexpr std::uint32_t kTopicCounts = 8;

struct alignas(kLine) TopicSeat {
  std::atomic<std::uint64_t> pins[kPinsPerSeat];
  // What it has done, by TopicCount: plain stores. Whoever frees the seat adds them to those of the control.
  std::atomic<std::uint64_t> counters[kTopicCounts];
  std::byte pad[64];
};
static_assert(sizeof(TopicSeat) == 2 * kLine);

// --- control ---

// The floor: no live entry is before it: {index 44, changes 20}. Whoever joins changes it, so that one who looked at all entries
// before that does not raise it.
[[nodiscard]] constexpr std::uint64_t floor_word(std::uint64_t index,
                                                 std::uint64_t changes) noexcept {
  return (index & kNoIndex) | changes << kTopicIndexBits;
}
[[nodiscard]] constexpr std::uint64_t index_of_floor(std::uint64_t word) noexcept {
  return word & kNoIndex;
}
[[nodiscard]] constexpr std::uint64_t changes_of_floor(std::uint64_t word) noexcept {
  return word >> kTopicIndexBits;
}

struct alignas(kLine) TopicControl {
  std::atomic<std::uint32_t> begun;             // 1: whoever created it has set it up
  std::atomic<std::uint32_t> needs_full_fence;  // some sleeper cannot use the asymmetric fence
  std::atomic<std::uint32_t> subjects;          // how many there are; grows only
  std::atomic<std::uint32_t> watched;           // 1: some handle looks for the dead
  std::atomic<std::uint64_t> lookouts[2];
  std::byte pad0[kLine - 32];
  // offset 128: read by every publish, written rarely
  std::atomic<std::uint64_t> room_waiters[kTopicSeatWords];  // seats that wait for room, a bit each
  std::atomic<std::uint64_t> live[kEntryWords];              // entries that count, a bit each
  // offset 256
  std::atomic<std::uint64_t> pinners[kTopicSeatWords];  // seats that may have pins, a bit each
  std::atomic<std::uint64_t>
      present[kTopicSeatWords];  // seats in use, the dead until they are buried
  // offset 384: where to begin; they may lag, and never lead
  std::atomic<std::uint64_t> tail;
  std::byte pad1[kLine - 8];
  std::atomic<std::uint64_t> head;
  std::byte pad2[kLine - 8];
  // offset 640
  std::atomic<std::uint64_t> floor;
  std::byte pad3[kLine - 8];
  // offset 768: joining and making subjects, one at a time
  SeatLock subjects_lock;
  std::atomic<std::uint64_t> shallow[kEntryWords];  // entries that may lag behind less than the log
  std::byte pad4[kLine - 8 - std::size_t{8} * kEntryWords];
  // offset 896
  std::atomic<std::uint64_t> counters[kTopicCounts];  // by TopicCount: of seats that are free again
  std::byte pad5[kLine - std::size_t{8} * kTopicCounts];
  // offset 1024: of each entry, who is woken for it, or kNobodysTopic; of a group kGroupsTopic: its members are
  std::atomic<std::uint16_t> entry_seats[kMaxSubscriptions];
};
inline constexpr std::uint16_t kGroupsTopic = 0xFFFE;
static_assert(offsetof(TopicControl, room_waiters) == 128);
static_assert(offsetof(TopicControl, tail) == 384);
static_assert(offsetof(TopicControl, floor) == 640);
static_assert(offsetof(TopicControl, counters) == 896);
static_assert(sizeof(TopicControl) == 16 * kLine);

}  // namespace millrace::layout
