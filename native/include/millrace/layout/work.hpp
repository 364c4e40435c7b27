// The bytes of a work queue: jobs in slots, one 64-bit word a slot that says whose it is and what state it is in.
//
//   Header, roles[seats]        who is on it; a seat is one open handle
//   WorkControl                 masks, counters, duties
//   SeatRecord[seats]           what the holder of a seat is in the middle of
//   WaitLine[seats]             where it sleeps
//   bit sets                    sleepers, returned jobs, groups of 64 slots that may have a free one
//   cells[lanes][capacity]      the ready lists, a ring of hints for each stage and priority
//   WorkLink[16]                other queues that jobs go to or come from
//   Slot[slots]                 the jobs
//   Note[notes]                 texts of errors
//   KeyBucket[...]              ids of jobs seen lately
//   GroupBucket[...]            keys of which one job at a time is worked on
//   owners[granules]            of each granule of memory: which job it belongs to
//   StageName[stages]           of a pipeline
//   OrderControl[stages]        if there are stages that jobs leave in order, and
//   order[capacity]             where each of the last serial numbers is
//   (next page) data            slots * kInlineBytes for small payloads, then the granules
//
// The words are the truth. Everything else (rings, sets, masks, lists, chains) is a hint that can be rebuilt from them, and is
// rebuilt for whoever died between a word and its hint. shape.hpp computes where each part is.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"
#include "log_linear.hpp"
#include "store.hpp"

namespace millrace::layout {

// Geometry::values of a work queue. Several are packed into one, the first named in the lowest bits.
enum WorkValue : std::uint32_t {
  // seats 16, levels 8, stages 8, durability 7, jobs are answered 1 (calls.hpp), most attempts 8, the stages that jobs leave in order 16 (a bit each)
  kWorkSeats = 0,
  kWorkSlots = 1,      // jobs 32, dead letters 32
  kWorkBytes = 2,      // of payloads of jobs
  kWorkDeadBytes = 3,  // of payloads of dead letters
  kWorkKeys = 4,       // ids that are remembered 32, groups 32
  // milliseconds for which an id is remembered 40, low half of what the names of the stages are known by 24 (stages.hpp)
  kWorkWindow = 5,
  kWorkLease =
      6,  // milliseconds after which a lease ends 40 (0: with its holder alone), high half 24
};
inline constexpr std::uint32_t kWorkTimeBits = 40;

inline constexpr std::uint32_t kMaxWorkSeats = 2048;
inline constexpr std::uint32_t kMaxWorkSlots = 1U << 20U;
inline constexpr std::uint32_t kMaxLevels = 32;
inline constexpr std::uint32_t kMaxStages = 16;
inline constexpr std::uint32_t kForRoom = kMaxStages;  // beside the stages, as a kind of waiting
inline constexpr std::uint32_t kInlineBytes = 128;

enum class Durability : std::uint8_t { memory = 0, file = 1, disk = 2 };

// What a slot is. `seat` of a word is who made it so; it is the holder in writing, leased, promised, forwarded and moving.
//
//            push                    take                  complete
//   free ──────────► writing ─► ready ─────► leased ───────────────────────► free
//                       │         ▲  ▲         │ release, retry, death
//                       │         │  └─────────┤        (to its old place)
//                       ├► delayed┘◄───────────┤ with a delay
//                       └► grouped ►ready      ├ reject, too many attempts ─► dead ─► ready (redrive) or free
//                                              ├ forwarded ─► free           (its result is in `promised` of another queue)
//                                              ├ moving ─► ready             (the next stage)
//                                              └ moving ─► held ─► moving ─► ready  (from an ordered stage: in its turn)
enum class SlotState : std::uint8_t {
  free = 0,
  spare = 1,  // kept for dead letters: as many as there may be, less those there are
  writing = 2,
  ready = 3,
  leased = 4,
  delayed = 5,
  grouped = 6,  // waits for an older job of its group
  dead = 7,
  promised =
      8,  // complete, and not visible until the job it is the result of says that it was forwarded
  forwarded = 9,  // settled: what it became is in the slot that it names
  held = 10,      // done in an ordered stage, and waits for older jobs; nobody's
  moving = 11,    // between two of these, in steps that whoever buries `seat` finishes
  // Of calls alone (calls.hpp).
  answered = 12,
  cancelled = 13,
};

enum SlotFlag : std::uint8_t {
  kReturned = 1,  // in the set of returned jobs, not in a ring
  kStarted = 2,   // leased, and its handler has begun: this attempt counts
  // Ready, and known to be a job: without a hint it gets one, instead of being no job. Of a dead letter: `seat` is making it a
  // job again, whose serial number it has.
  kConfirmed = 4,
};

// What a `moving` word is on its way to; in its flags.
enum class MovingTo : std::uint8_t {
  next_stage = 0,  // the one that Word::attempt names
  ready = 1,
  delayed = 2,
  free = 3,
  dead = 4,
  forwarded = 5,  // not yet: whoever dies here still has it in hand
  become = 6,  // its result, which is written, takes its place; Word::attempt names the next stage
};

// A slot's word.
struct Word {
  SlotState state = SlotState::free;
  std::uint8_t level = 0;
  std::uint8_t flags = 0;
  std::uint16_t seat = 0;
  // Attempts that have begun. Of `held`, and of `moving` to another stage: that stage, where none has begun.
  std::uint8_t attempt = 0;
  std::uint32_t token = 0;  // +1 when a slot is taken for a new job, and with each lease

  friend bool operator==(const Word&, const Word&) = default;
};
[[nodiscard]] constexpr std::uint64_t pack(const Word& word) noexcept {
  return static_cast<std::uint64_t>(word.state) |
         static_cast<std::uint64_t>(word.level & 31U) << 4U |
         static_cast<std::uint64_t>(word.flags & 7U) << 9U |
         static_cast<std::uint64_t>(word.seat & 0xFFFU) << 12U |
         static_cast<std::uint64_t>(word.attempt) << 24U |
         static_cast<std::uint64_t>(word.token) << 32U;
}
[[nodiscard]] constexpr Word unpack(std::uint64_t bits) noexcept {
  Word word;
  word.state = static_cast<SlotState>(bits & 15U);
  word.level = static_cast<std::uint8_t>(bits >> 4U & 31U);
  word.flags = static_cast<std::uint8_t>(bits >> 9U & 7U);
  word.seat = static_cast<std::uint16_t>(bits >> 12U & 0xFFFU);
  word.attempt = static_cast<std::uint8_t>(bits >> 24U);
  word.token = static_cast<std::uint32_t>(bits >> 32U);
  return word;
}

// One job. All but `word` is written by its holder alone: by the pusher before `ready`, by the worker while `leased`. What is
// atomic besides is looked at by others, who then find by the word whether it was of the job they mean.
struct alignas(kLine) Slot {
  std::atomic<std::uint64_t> word;
  std::atomic<std::uint64_t>
      position;  // in its ring; of two jobs of one lane the older has the smaller
  std::atomic<std::uint32_t>
      born;                 // token with which this job began; tells two jobs in one slot apart
  std::uint32_t acquired;   // leases so far
  std::uint32_t length;     // bytes of the payload
  std::uint16_t id_length;  // behind the payload, at the next multiple of 8: id, group, headers
  std::uint16_t group_length;
  std::uint32_t headers_length;
  std::atomic<std::uint32_t> granule;   // the first; meaningless if there are none
  std::atomic<std::uint32_t> granules;  // 0: the payload is in the bytes that belong to the slot
  std::atomic<std::uint8_t> stage;
  std::uint8_t reason;                   // DeadReason
  std::uint16_t note;                    // its text + 1; 0: none
  std::uint64_t pushed_at;               // nanoseconds since 1970: pushed_at()
  std::atomic<std::uint64_t> due;        // monotonic: delayed until then
  std::atomic<std::uint64_t> expires;    // monotonic; 0: never
  std::atomic<std::uint64_t> lease_end;  // monotonic; 0: never
  std::atomic<std::uint64_t> dead_at;    // nanoseconds since 1970
  std::atomic<std::uint32_t> group;      // GroupEntry + 1; 0: none
  std::atomic<std::uint32_t> group_next;
  std::atomic<std::uint64_t>
      serial;  // of the queue: order among the jobs of a group, of a pipeline, and on disk
  // Of forwarded: slot and token (work_job()) of what it became. Of promised: those of the job that it is the result of.
  // `forward_queue` is the instance of the queue that the other one is in.
  std::uint64_t forward;
  std::uint64_t forward_queue;
  std::uint32_t key_home;  // of its id, for whoever buries who pushes it
  // Of a job that is measured (work/job_meter.hpp): {pushes that it stands for 8, `born` 24}. Then `forward` says when it was pushed, in
  // monotonic nanoseconds, until it has been taken. 0, and whatever an earlier job of the slot has left: it is not measured.
  std::atomic<std::uint32_t> measured;
};
static_assert(sizeof(Slot) == kLine);
static_assert(offsetof(Slot, measured) == 124);
static_assert(offsetof(Slot, position) == 8);
static_assert(offsetof(Slot, granule) == 36);
static_assert(offsetof(Slot, pushed_at) == 48);
static_assert(offsetof(Slot, dead_at) == 80);
static_assert(offsetof(Slot, group) == 88);
static_assert(offsetof(Slot, serial) == 96);
static_assert(offsetof(Slot, forward_queue) == 112);

// When a job was pushed, and which one it is of those that were pushed within a tick of the clock, which ticks every few milliseconds:
// a number of it stands in the bits of the last 65 µs. So with its slot, or on disk, where a job changes its slot, by itself, it is
// what no other job has: a slot, or a serial number, is not used 65,536 times within a tick. Never later than `now`.
[[nodiscard]] constexpr std::uint64_t pushed_at(std::uint64_t now, std::uint64_t number) noexcept {
  constexpr std::uint64_t mask = 0xFFFF;
  return ((now - (mask + 1)) & ~mask) | (number & mask);
}

// A job by its slot and the token of its word.
[[nodiscard]] constexpr std::uint64_t work_job(std::uint32_t slot, std::uint32_t token) noexcept {
  return slot | std::uint64_t{token} << 32U;
}

// Another queue that jobs are forwarded to or come from, and where it is found: whoever buries one that died while it
// forwarded a job has to look at both. `state` is {LinkState 2, seat 14 of who writes it, how often it was written 48}.
inline constexpr std::uint32_t kWorkLinks = 16;
enum class LinkState : std::uint8_t { none = 0, writing = 1, name = 2, file = 3 };
struct alignas(kLine) WorkLink {
  std::atomic<std::uint64_t> state;
  std::atomic<std::uint64_t> instance;
  std::atomic<std::uint64_t> length;     // bytes of the place
  std::atomic<std::uint64_t> place[61];  // what it is opened by: its name, or the path of its file
};
static_assert(sizeof(WorkLink) == 4 * kLine);
inline constexpr std::uint32_t kLinkPlaceMost = 61 * 8;

enum class DeadReason : std::uint8_t {
  none = 0,
  rejected = 1,  // by its worker
  attempts = 2,  // as many as are allowed have failed
  died = 3,      // and the last one by the death of its worker
  expired = 4,   // its time to live was over
};

// A place in a ready list: full {token 22, slot 20, turn 20, unused 1, 1} or empty {turn 40 bits from bit 1 on, 0}.
struct Cell {
  std::atomic<std::uint64_t> hint;
};
inline constexpr std::uint32_t kTokenBits = 22;
inline constexpr std::uint32_t kSlotBits = 20;
inline constexpr std::uint32_t kTurnBits = 20;
[[nodiscard]] constexpr std::uint64_t full_cell(std::uint64_t turn, std::uint32_t slot,
                                                std::uint32_t token) noexcept {
  constexpr std::uint64_t token_mask = (1ULL << kTokenBits) - 1;
  constexpr std::uint64_t slot_mask = (1ULL << kSlotBits) - 1;
  constexpr std::uint64_t turn_mask = (1ULL << kTurnBits) - 1;
  return 1ULL | (turn & turn_mask) << 2U | (slot & slot_mask) << (2U + kTurnBits) |
         (token & token_mask) << (2U + kTurnBits + kSlotBits);
}
[[nodiscard]] constexpr std::uint64_t empty_cell(std::uint64_t turn) noexcept {
  return (turn & ((1ULL << 40U) - 1)) << 1U;
}
[[nodiscard]] constexpr bool is_full(std::uint64_t cell) noexcept {
  return (cell & 1U) != 0;
}
[[nodiscard]] constexpr std::uint64_t cell_turn(std::uint64_t cell) noexcept {
  return is_full(cell) ? cell >> 2U & ((1ULL << kTurnBits) - 1) : cell >> 1U & ((1ULL << 40U) - 1);
}
[[nodiscard]] constexpr std::uint32_t slot_of_cell(std::uint64_t cell) noexcept {
  return static_cast<std::uint32_t>(cell >> (2U + kTurnBits) & ((1ULL << kSlotBits) - 1));
}
[[nodiscard]] constexpr std::uint32_t token_of_cell(std::uint64_t cell) noexcept {
  return static_cast<std::uint32_t>(cell >> (2U + kTurnBits + kSlotBits));
}

// One ring of cells. Both positions are hints where to begin: they may lag, and never lead.
struct alignas(kLine) RingEnds {
  std::atomic<std::uint64_t> head;
  std::byte pad0[kLine - 8];
  std::atomic<std::uint64_t> tail;
  std::byte pad1[kLine - 8];
};
static_assert(sizeof(RingEnds) == 2 * kLine);

// What the holder of a seat is in the middle of, and what it waits for.
struct alignas(64) SeatRecord {
  std::atomic<std::uint64_t> waits_for;  // bits 0–15: jobs of that stage; bit 16: room
  std::atomic<std::uint64_t> intent;     // what to finish if it dies; 0: nothing
  // What it has done, for tools: plain stores. Whoever frees the seat adds them to those of the queue.
  std::atomic<std::uint64_t> pushed;
  std::atomic<std::uint64_t> taken;
  std::atomic<std::uint64_t> completed;
  std::atomic<std::uint64_t> returned;  // released or retried
  std::atomic<std::uint64_t> rejected;
  std::atomic<std::uint32_t> serves;  // of calls: 1 while it takes them
  std::byte pad[4];
};
static_assert(sizeof(SeatRecord) == 64);

// What is counted. The first five are those of seats that are free again, and SeatRecord has those of the others.
enum class WorkCount : std::uint8_t {
  pushed,
  taken,
  completed,
  returned,
  rejected,
  deaths,       // seats whose holder died
  given_back,   // jobs that the dead held
  unfinished,   // pushes that the dead had begun
  timed_out,    // leases that ended by time
  lost_leases,  // settles that came too late
  dead_lettered,
  expired,       // of these, because their time to live was over
  dead_dropped,  // dead letters that made room, for younger ones or for results
  redriven,
  purged,
  duplicates,    // pushes whose id was known
  keys_dropped,  // ids that were forgotten before their time
  texts_cut,     // errors for whose text there was no place
  recovered,     // jobs and dead letters that a recovery found
  torn,          // records that it found and that were none: not confirmed, ended, or damaged
};

// Who has been woken last for jobs of a stage, or for room: {seat + 1 12, origin 12, on the way 1, again 1, milliseconds 38}.
// As long as it is on the way, and has not been so for too long, nobody else is woken: it passes on what it does not take.
struct alignas(kLine) Duty {
  std::atomic<std::uint64_t> word;
  // Part of the times that jobs took: work_time().
  std::array<std::atomic<std::uint64_t>, kLine / 8 - 1> times;
};
static_assert(sizeof(Duty) == kLine);
struct DutyWord {
  std::uint32_t seat = kNoSeat;
  std::uint32_t origin = kNoSeat;  // of room: with whom this round began
  bool on_the_way = false;
  bool again = false;       // something has come since it was woken
  std::uint64_t at_ms = 0;  // when it was woken; monotonic

  static constexpr std::uint32_t kNoSeat = 0xFFF;
  static constexpr std::uint64_t kTimeMask = (1ULL << 38U) - 1;

  friend bool operator==(const DutyWord&, const DutyWord&) = default;
};
[[nodiscard]] constexpr std::uint64_t pack(const DutyWord& duty) noexcept {
  return ((duty.seat + 1U) & 0xFFFU) |
         static_cast<std::uint64_t>((duty.origin + 1U) & 0xFFFU) << 12U |
         static_cast<std::uint64_t>(duty.on_the_way ? 1 : 0) << 24U |
         static_cast<std::uint64_t>(duty.again ? 1 : 0) << 25U |
         (duty.at_ms & DutyWord::kTimeMask) << 26U;
}
[[nodiscard]] constexpr DutyWord unpack_duty(std::uint64_t bits) noexcept {
  DutyWord duty;
  duty.seat = static_cast<std::uint32_t>((bits - 1U) & 0xFFFU);
  duty.origin = static_cast<std::uint32_t>(((bits >> 12U) - 1U) & 0xFFFU);
  duty.on_the_way = (bits >> 24U & 1U) != 0;
  duty.again = (bits >> 25U & 1U) != 0;
  duty.at_ms = bits >> 26U;
  return duty;
}

// A parked handle that looks for dead holders more often than the others: {seat + 1 16, milliseconds of its last look 48}.
// 0: nobody. Without a time it is not asleep now.
[[nodiscard]] constexpr std::uint64_t lookout(std::uint32_t seat, std::uint64_t at_ms) noexcept {
  return ((seat + 1U) & 0xFFFFU) | at_ms << 16U;
}
[[nodiscard]] constexpr std::uint32_t lookout_seat(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>((word & 0xFFFFU) - 1U);
}
[[nodiscard]] constexpr std::uint64_t lookout_ms(std::uint64_t word) noexcept {
  return word >> 16U;
}

struct alignas(kLine) WorkControl {
  std::atomic<std::uint32_t> begun;  // 1: whoever created it has set it up
  std::atomic<std::uint32_t>
      needs_full_fence;  // some sleeper cannot use the asymmetric fence (waiting.hpp)
  std::atomic<std::uint64_t>
      boot;  // of the machine, when it was last set up: first 8 bytes of its boot id
  std::atomic<std::uint64_t> mono_at;  // monotonic nanoseconds, and
  std::atomic<std::uint64_t> real_at;  // nanoseconds since 1970, of one instant of that boot
  std::atomic<std::uint32_t> kept;     // 1: somebody asked that it be kept even if it is empty
  std::byte pad0[kLine - 36];
  // offset 128: read by every push and take, written rarely
  std::atomic<std::uint64_t>
      earliest;  // monotonic: when something is due, expires, or a lease ends; ~0: never
  std::atomic<std::uint64_t> lookouts[2];
  std::atomic<std::uint32_t> ring_mask[kMaxStages];      // levels whose ring may have a job
  std::atomic<std::uint32_t> returned_mask[kMaxStages];  // levels that may have a returned job
  std::atomic<std::uint32_t> leased;                     // 1: there may be leases (lookouts.hpp)
  std::byte pad1[2 * kLine - 28 - std::size_t{8} * kMaxStages];
  // offset 384
  std::atomic<std::uint64_t>
      present[kMaxWorkSeats / 64];  // seats in use, the dead among them until they are buried
  std::atomic<std::uint64_t> counters[32];  // offset 640: by WorkCount, for tools
  // offset 896
  // Of each stage, and of room: words of 64 seats of which one may be asleep 32, and how often somebody lay down 32.
  std::atomic<std::uint64_t> sleepers[kMaxStages + 1];
  std::byte pad2[2 * kLine - std::size_t{8} * (kMaxStages + 1)];
  std::atomic<std::uint64_t> dead_lock;   // seat + 1 of who balances dead letters
  std::atomic<std::uint32_t> dead_dirty;  // somebody could not
  std::atomic<std::uint32_t> dead_count;
  std::atomic<std::uint64_t> dead_bytes;
  std::atomic<std::uint64_t> serial;  // of the job that was pushed last, where jobs have one
  std::byte pad3[kLine - 32];
  // Syncs of a queue on disk (work/disk_sync.hpp).
  std::atomic<std::uint64_t> syncs_begun;
  std::atomic<std::uint64_t> syncs_done;  // the greatest number of one that has ended
  std::atomic<std::uint64_t>
      syncer;  // {seat + 1 in 16 bits, milliseconds 48} of who is at it; 0: nobody
  std::atomic<std::uint32_t> sync_ends;   // +1 with each one's end; slept on
  std::atomic<std::uint32_t> sync_error;  // errno of one that failed; 0: none did
  std::byte pad4[kLine - 32];
  Duty duties[kMaxStages + 1];
};
static_assert(offsetof(WorkControl, earliest) == 128);
static_assert(offsetof(WorkControl, present) == 384);
static_assert(offsetof(WorkControl, counters) == 640);
static_assert(offsetof(WorkControl, sleepers) == 896);
static_assert(offsetof(WorkControl, duties) == 11 * kLine);
static_assert(sizeof(WorkControl) == 11 * kLine + (kMaxStages + 1) * kLine);

// How long jobs took, and calls, counted by those who were asked to (work/times.hpp). Two kinds of time, of each the sum, in nanoseconds, and
// buckets: up to 2 us half a microsecond each, and of each doubling from there to 45 minutes a quarter.
using WorkTimes = LogLinear<2, 500, 126>;
enum class WorkTime : std::uint8_t {
  arrival =
      0,  // of a job from its push until it is taken; of a call from its request until its result
  service = 1,  // from taken until settled, or answered
};
inline constexpr std::size_t kWorkTimes = 2;

// Where a sum (`at` 0) or the bucket at - 1 is. They lie in what the duties leave of their lines, since nothing else of the layout has so
// much room that was always zero. Most queues have few stages, and their other duties are in nobody's way: the sums and the short times lie
// there, at the far end. What is left over is for times beyond minutes, beside the duties that all queues have.
template <typename OfControl>
[[nodiscard]] auto& work_time(OfControl& control, WorkTime what, std::size_t at) noexcept {
  constexpr std::size_t a_line = kLine / 8 - 1;
  const std::size_t place = static_cast<std::size_t>(what) * (WorkTimes::kCounts + 1) + at;
  const std::size_t line = place / a_line;
  return control.duties[line < kMaxStages ? kMaxStages - 1 - line : kForRoom].times[place % a_line];
}
static_assert(kWorkTimes * (WorkTimes::kCounts + 1) <= (kMaxStages + 1) * (kLine / 8 - 1));

// A text of a job: what its worker gave as the error. Of nobody while `owner` is 0; else {in use, slot, born} as a granule.
struct alignas(kLine) Note {
  std::atomic<std::uint64_t> owner;
  std::uint32_t length;
  std::array<char, 2 * kLine - 12> text;
};
static_assert(sizeof(Note) == 2 * kLine);

// A job in a table: {in use 1, slot 20 from bit 12 on, born 32}, as a granule's owner without `left`. 0: none.
[[nodiscard]] constexpr std::uint64_t job_mark(std::uint32_t slot, std::uint32_t born) noexcept {
  return granule_owner(slot, born, 0);
}
[[nodiscard]] constexpr std::uint32_t slot_of_mark(std::uint64_t mark) noexcept {
  return static_cast<std::uint32_t>(mark >> 12U & 0xFFFFFU);
}
[[nodiscard]] constexpr std::uint32_t born_of_mark(std::uint64_t mark) noexcept {
  return static_cast<std::uint32_t>(mark >> 32U);
}

// An id that was pushed lately, by a hash of it. Written under the lock of its bucket, except that `job` may also become 0.
struct KeyEntry {
  std::atomic<std::uint64_t> hash[2];
  std::atomic<std::uint64_t> until;  // monotonic
  // 0: nobody's; kKeyCertain: it was pushed; else the job that brings it, by which it can be said whether it was.
  std::atomic<std::uint64_t> job;
};
static_assert(sizeof(KeyEntry) == 32);
inline constexpr std::uint64_t kKeyCertain = 2;
inline constexpr std::uint32_t kKeysPerBucket = 15;
struct alignas(kLine) KeyBucket {
  SeatLock lock;
  std::byte pad[24];
  KeyEntry entries[kKeysPerBucket];
};
static_assert(sizeof(KeyBucket) == 4 * kLine);

// A key of which there are jobs, by a hash of it. Written under the lock of its bucket.
struct GroupEntry {
  std::atomic<std::uint64_t> hash[2];
  std::atomic<std::uint64_t>
      active;  // its oldest job: the only one that is not `grouped`; 0: nobody's entry
  std::atomic<std::uint32_t> first,
      last;  // chain of the grouped ones by Slot::group_next; slot + 1
};
static_assert(sizeof(GroupEntry) == 32);
inline constexpr std::uint32_t kGroupsPerBucket = 15;
struct alignas(kLine) GroupBucket {
  SeatLock lock;
  std::atomic<std::uint32_t> dirty;  // somebody found it locked, and something is to be done
  std::byte pad[20];
  GroupEntry entries[kGroupsPerBucket];
};
static_assert(sizeof(GroupBucket) == 4 * kLine);

// What a stage of a pipeline is called. Written by whoever sets the queue up.
inline constexpr std::uint32_t kStageNameMost = 63;
struct StageName {
  std::uint8_t length;
  std::array<char, kStageNameMost> text;  // UTF-8
};
static_assert(sizeof(StageName) == 64);

// Of a stage that jobs leave in the order of their serial numbers (work/order.hpp). All but `dirty` is written under its lock.
struct alignas(kLine) OrderControl {
  SeatLock lock;
  std::atomic<std::uint32_t> dirty;      // somebody found it locked, and something is to be done
  std::atomic<std::uint32_t> front;      // slot + 1 of the oldest job, where the ring does not tell
  std::atomic<std::uint64_t> watermark;  // all jobs up to this one have left the stage, or ended
  std::byte pad[kLine - 24];
};
static_assert(sizeof(OrderControl) == kLine);

// Where the job of a serial number is: {slot 20, serial 44}. It lies at serial % capacity, so the next ones take its place.
inline constexpr std::uint32_t kSerialBits = 64 - kSlotBits;
[[nodiscard]] constexpr std::uint64_t order_cell(std::uint64_t serial,
                                                 std::uint32_t slot) noexcept {
  return serial << kSlotBits | (slot & ((1U << kSlotBits) - 1));
}
[[nodiscard]] constexpr std::uint32_t slot_of_order(std::uint64_t cell) noexcept {
  return static_cast<std::uint32_t>(cell & ((1U << kSlotBits) - 1));
}

}  // namespace millrace::layout
