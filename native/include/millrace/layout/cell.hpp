// The control memory of a cell: one value, replaced as a whole by one writer, read by anybody.
//
//   page 0…    Header, the writer's RoleRecord, CellControl, kCellLanes × CellLane, slots × CellSlot
//   pool       slots × the bytes of one value, page aligned
//
// Version v of the value lies in slot v mod slots. The writer fills a slot that has not been the newest
// for slots - 1 versions, and only then says that it is; so whatever instant it dies at, the newest
// complete value stays where it was.
//
//   field                        written by
//   CellSlot, pool               the writer
//   CellControl::published       the writer
//   CellControl::waiting         readers set their lane's bit, the writer takes bits away
//   CellLane                     the reader on that lane, as a WaitLine says
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"

namespace millrace::layout {

enum CellRole : std::uint32_t {
  kCellWriterRole = 0,
  kCellReadersRole = 1,  // every reader holds its byte, shared
  kFirstCellLaneRole = 2,
};

// Geometry::values of a cell.
enum CellGeometry : std::size_t {
  kCellMaxBytes = 0,
  kCellSlots = 1,
  kCellPoolOffset = 2,
};

inline constexpr std::uint64_t kMaxCellBytes = 1ULL << 30U;
inline constexpr std::uint64_t kMaxCellPool = 1ULL << 32U;  // one ArrayBuffer holds the whole pool
inline constexpr std::uint32_t kMinCellSlots = 2;
inline constexpr std::uint32_t kMaxCellSlots = 1024;
inline constexpr std::uint32_t kCellLanes = 56;
// A version is a safe integer in JavaScript; at ten million writes a second it takes 28 years to get there.
inline constexpr std::uint64_t kMaxCellVersion = (1ULL << 53U) - 1;

// What a slot's sequence says while version v is written to it, and once it is complete.
constexpr std::uint64_t writing(std::uint64_t version) noexcept {
  return 2 * version - 1;
}
constexpr std::uint64_t complete(std::uint64_t version) noexcept {
  return 2 * version;
}

struct CellControl {
  struct alignas(kLine) WriterLine {
    std::atomic<std::uint64_t> published;  // the newest version; 0: there is no value yet
    std::byte pad[kLine - 8];
  } writer;
  struct alignas(kLine) ReadersLine {
    std::atomic<std::uint64_t> waiting;           // bit i: the reader on lane i wants to be woken
    std::atomic<std::uint32_t> needs_full_fence;  // some reader cannot use the asymmetric fence
    std::byte pad[kLine - 12];
  } readers;
};
static_assert(sizeof(CellControl) == 2 * kLine);

// Where a reader that waits can be woken.
struct alignas(kLine) CellLane {
  RoleRecord role;
  std::byte pad[kLine - sizeof(RoleRecord)];
  WaitLine wait;
};
static_assert(sizeof(CellLane) == 2 * kLine);

struct alignas(64) CellSlot {
  std::atomic<std::uint64_t> sequence;   // writing(v), then complete(v)
  std::atomic<std::uint64_t> length;     // bytes
  std::atomic<std::uint64_t> timestamp;  // CLOCK_MONOTONIC in ns, when it was published; or 0
  std::byte pad[40];
};
static_assert(sizeof(CellSlot) == 64);

inline constexpr std::size_t kCellControlOffset = 640;  // behind the writer's role record
static_assert(kCellControlOffset % kLine == 0 &&
              kCellControlOffset >= kRolesOffset + sizeof(RoleRecord));
inline constexpr std::size_t kCellLanesOffset = kCellControlOffset + sizeof(CellControl);
inline constexpr std::size_t kCellSlotsOffset =
    kCellLanesOffset + std::size_t{kCellLanes} * sizeof(CellLane);
static_assert(kCellLanesOffset == 896);
static_assert(kCellSlotsOffset == 15232);

}  // namespace millrace::layout
