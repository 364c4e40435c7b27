// What lies before the payload of a job that is kept on disk, so that it can be found and judged by itself: two heads, in
// front of a run of granules (layout/work.hpp).
//
//   offset 0    RecordHead    the two are written in turn, so that one is whole whatever a power cut does to the other
//          64   RecordHead
//         128   payload, up to 7 bytes of nothing, id, group, headers
//
// A head counts if its checksum and its mark hold: both depend on the queue's instance and on the place, so that no copy of a
// record counts anywhere else, the payload of another job included. Of two that count the later one holds, and then only if
// the checksum of what follows does.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"

namespace millrace::layout {

struct alignas(64) RecordHead {
  std::atomic<std::uint64_t>
      mark;                     // the serial number of the job, scrambled; 0: there is no record
  std::uint32_t check;          // CRC-32C of all other fields
  std::uint32_t content_check;  // CRC-32C of payload, id, group and headers
  // Of the syncs that had begun when its job had a slot and the head was not yet written. All that a finished sync made
  // certain have less than that sync's number.
  std::uint64_t generation;
  std::uint64_t pushed_at;  // nanoseconds since 1970
  std::uint64_t at;         // the same: delayed until, 0: not; of a dead letter since when
  std::uint64_t expires;    // the same; 0: never
  std::uint32_t length;
  std::uint32_t headers_length;
  std::uint16_t id_length;
  std::uint16_t group_length;
  std::uint8_t version;  // +1 with each head of the same job
  std::uint8_t attempt;
  std::uint16_t what;  // level 5, stage 4, dead 1, reason 3
};
static_assert(sizeof(RecordHead) == 64);
static_assert(offsetof(RecordHead, generation) == 16);
static_assert(offsetof(RecordHead, length) == 48);
static_assert(offsetof(RecordHead, version) == 60);

inline constexpr std::uint32_t kRecordBytes = 2 * sizeof(RecordHead);

}  // namespace millrace::layout
