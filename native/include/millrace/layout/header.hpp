// The first bytes of every segment: what it is, how it is cut up, who made it, who is on it.
//
//   offset  field                      written by
//        0  magic, version, kind, state  creator, once; state last (release)
//       64  creator                      creator, once
//      104  schema                       whoever first states one, under the lifecycle lock
//      128  geometry                     creator, once; of a queue with kOpenCapacity once more
//      192  name                         creator, once
//      448  flags                        any, under the lifecycle lock
//      512  roles[0..]                   the role's holder, under the lifecycle lock
//
// An opener copies geometry and name once into private memory, judges the copy, and never looks at the
// shared one again.
//
// Locks are not stored here: byte ranges of the object itself (see os/file_lock) tell who is alive.
//
// Frozen for ever, whatever the layout version, so that any version can tell what any other left and
// remove it (upkeep.hpp):
//   - locks: byte 0 is the lifecycle lock, held for every transition; bytes 1 and up are roles, held
//     while somebody is on the segment
//   - magic, major, minor, kind, state and its value READY; endian_tag, word_bits
//   - creator_pid, name, flags and the flags kLingering, kKeep, kZeroOnClose
//   - the first RoleRecord: where it is, and its state, pid and doorbell
//   - of the companion of raw memory: MemoryRecord (memory_companion.hpp)
//   - a segment that is not READY starts with the magic number or with zeroes
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace millrace::layout {

inline constexpr std::uint64_t kMagic = 0x4543'4152'4C4C'494DULL;  // "MILLRACE"
inline constexpr std::uint16_t kMajor = 1;  // differs: the segment cannot be used
inline constexpr std::uint16_t kMinor = 2;  // differs: both sides ignore what they do not know
inline constexpr std::uint32_t kEndianTag = 0x01020304;

inline constexpr std::size_t kLine = 128;  // two cache lines: x86 prefetches them in pairs
inline constexpr std::size_t kNameMax = 240;

// What a segment is. Its object is named millrace.<letter>.<name>.
enum class Kind : std::uint32_t {
  queue = 1,          // q
  frames = 2,         // f
  memory = 3,         // m, the companion of a raw object
  cell = 4,           // c
  counter = 5,        // n
  event = 6,          // e
  barrier = 7,        // b
  mutex = 8,          // x
  rwlock = 9,         // w
  work = 10,          // j
  topics = 11,        // t
  calls = 12,         // r
  rate_limiter = 13,  // g
  breaker = 14,       // k
};

// RAW -> READY -> (unlinked). A segment that is not READY was left half-made by a dead creator; whoever
// holds the lifecycle lock may finish it.
enum class State : std::uint32_t { raw = 0, ready = 2 };

enum Flag : std::uint32_t {
  // Everybody left in good order while messages were unread: the next opener takes them over.
  kLingering = 1U << 0U,
  // The user asked that content outlives a crash of both sides.
  kKeep = 1U << 1U,
  // The user asked that the last one on it overwrites it with zeroes.
  kZeroOnClose = 1U << 2U,
  // Of a queue: its creator left open how large the ring is to be (queue_capacity.hpp; minor version 2).
  kOpenCapacity = 1U << 3U,
  // Of a work queue on disk: its file had been cut short and was made as long as it should be (work/recovery.hpp).
  kMended = 1U << 4U,
};

// Bytes that locks are taken on.
inline constexpr std::int64_t kLifecycleByte = 0;
inline constexpr std::int64_t kFirstRoleByte = 1;

// VACANT -> ATTACHED -> CLOSED -> ATTACHED … A holder that dies stays ATTACHED, but its lock is free. One that
// says that it failed is CLOSED as well, and `failed` has its epoch: whoever does not know that field sees it
// leave in good order, as before minor version 2.
enum class RoleState : std::uint32_t { vacant = 0, attached = 1, closed = 2 };

// One per role; describes its last holder.
struct alignas(64) RoleRecord {
  std::atomic<std::uint32_t> state;
  std::atomic<std::uint32_t> epoch;  // +1 with each holder
  std::atomic<std::uint32_t> pid;    // for messages
  // Epoch of the holder that left saying that it failed, 0: none did. So it is void as soon as there is a new
  // holder, also one of a version that knows nothing of it. Minor versions below 2 leave it alone.
  std::atomic<std::uint32_t> failed;
  std::atomic<std::uint64_t> started;   // process start time, for messages
  std::atomic<std::uint64_t> doorbell;  // 0: it does not wait in an event loop
  std::byte pad[32];
};
static_assert(sizeof(RoleRecord) == 64);
static_assert(offsetof(RoleRecord, failed) == 12);
static_assert(offsetof(RoleRecord, doorbell) == 24);

// Bytes of the text in which a holder says why it failed: UTF-8, ended by a zero unless it takes all of them.
inline constexpr std::size_t kReasonBytes = 200;

struct Geometry {
  std::uint64_t total_bytes;
  std::uint64_t values[7];  // meaning depends on the kind
};
static_assert(sizeof(Geometry) == 64);

struct Header {
  std::uint64_t magic;
  std::uint16_t major;
  std::uint16_t minor;
  Kind kind;
  std::atomic<std::uint32_t> state;
  std::uint32_t endian_tag;
  std::uint32_t page_bytes;
  std::uint32_t word_bits;
  std::byte pad0[32];
  // offset 64
  std::uint64_t instance;  // random; tells two segments of one name apart
  std::uint64_t creator_started;
  std::uint32_t creator_pid;
  std::uint32_t creator_uid;
  unsigned char boot[16];
  // Fingerprint of what the payload means (lib/struct: names, types, offsets); 0: nobody has said yet.
  // Segments of minor version 0 have 0 here.
  std::atomic<std::uint64_t> schema;
  std::byte pad1[16];
  // offset 128
  Geometry geometry;
  // offset 192
  std::array<char, 256> name;
  // offset 448
  std::atomic<std::uint32_t> flags;
  std::byte pad2[60];
};
static_assert(offsetof(Header, major) == 8);
static_assert(offsetof(Header, kind) == 12);
static_assert(offsetof(Header, state) == 16);
static_assert(offsetof(Header, instance) == 64);
static_assert(offsetof(Header, schema) == 104);
static_assert(offsetof(Header, geometry) == 128);
static_assert(offsetof(Header, name) == 192);
static_assert(offsetof(Header, flags) == 448);
static_assert(sizeof(Header) == 512);

inline constexpr std::size_t kRolesOffset = sizeof(Header);

// What the first bytes of an object under one of our names say about it. What is shorter counts as if
// zeroes followed.
enum class Origin {
  ours,
  unfinished,  // ours, or a creator of ours died before it could write that
  foreign,     // somebody else's: never touched
};
[[nodiscard]] inline Origin origin_of(const Header& head) noexcept {
  // acquire: pairs with the release in Segment::initialise(): READY means that the rest is there.
  const bool ready =
      head.state.load(std::memory_order_acquire) == static_cast<std::uint32_t>(State::ready);
  if (head.magic == kMagic) return ready ? Origin::ours : Origin::unfinished;
  return head.magic == 0 && !ready ? Origin::unfinished : Origin::foreign;
}

static_assert(std::atomic<std::uint64_t>::is_always_lock_free,
              "64-bit positions in shared memory need lock-free 64-bit atomics");

// Where one side says that it sleeps, and how to wake it. Written by the sleeper (doorbell and token
// before parked, release); whoever finds `parked` set exchanges it for 0 and thereby owes the wake-up.
enum class Parked : std::uint32_t { awake = 0, futex = 1, doorbell = 2 };

// How long waits took, counted by powers of two: up to 8 µs, up to 16 µs, …, up to 524 ms, longer.
inline constexpr std::uint64_t kShortestWaitNs = 8'000;
inline constexpr std::size_t kWaitTimes = 18;
[[nodiscard]] constexpr std::size_t wait_time_of(std::uint64_t nanoseconds) noexcept {
  if (nanoseconds == 0) return 0;
  const auto doublings =
      static_cast<std::size_t>(std::bit_width((nanoseconds - 1) / kShortestWaitNs));
  return doublings < kWaitTimes ? doublings : kWaitTimes - 1;
}

struct alignas(kLine) WaitLine {
  std::atomic<std::uint32_t> parked;
  std::atomic<std::uint32_t> needs_full_fence;  // the sleeper cannot use the asymmetric fence
  std::atomic<std::uint64_t> doorbell;
  std::atomic<std::uint64_t> token;
  std::atomic<std::uint64_t> wakes;  // counter for tools; wakers
  // For tools, by the sleeper alone, from one holder of the line to the next; zero in what older versions wrote.
  std::atomic<std::uint64_t> waiting_since;  // monotonic nanoseconds; 0: it does not wait
  std::atomic<std::uint64_t> waits;          // that have ended
  std::atomic<std::uint64_t> waited_ns;      // by those
  std::array<std::atomic<std::uint32_t>, kWaitTimes>
      wait_times;  // of those, by wait_time_of(); they wrap around
};
static_assert(sizeof(WaitLine) == kLine && offsetof(WaitLine, waiting_since) == 32 &&
              offsetof(WaitLine, wait_times) == 56);

}  // namespace millrace::layout
