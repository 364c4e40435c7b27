// What the users of a work queue give and get: options of a push, the outcome, a place to write in, what a job is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "../layout/work.hpp"

namespace millrace {

struct PushOptions {
  std::uint8_t level = 0;  // higher first
  std::uint8_t stage = 0;
  std::uint64_t delay_ns = 0;
  std::uint64_t ttl_ns = 0;  // 0: for ever
  std::string_view id;       // empty: none
  std::string_view group;    // empty: none
  std::span<const std::byte> headers;

  [[nodiscard]] std::uint64_t tail_bytes() const noexcept {
    return id.size() + group.size() + headers.size();
  }
};

enum class Pushed : std::uint8_t {
  yes,
  duplicate,    // a job of that id was pushed lately: nothing was
  full,         // as many jobs as there may be
  full_bytes,   // no room for its payload
  busy,         // somebody is in the middle of pushing the like: try again
  too_large,    // for this queue, also when it is empty
  disk_failed,  // a sync of this queue has failed: WorkQueue::disk() tells how
};

// How a job became its result.
enum class Became : std::uint8_t {
  yes,
  lost,        // the lease
  full_bytes,  // no room for the result
  too_large,   // for what enters that stage, also when nothing else is there
};

// A place for a payload that is to be pushed, or given up. Belongs to who reserved it.
struct Loan {
  std::uint32_t slot = 0;
  std::uint64_t word = 0;  // 0: none
  std::uint64_t at = 0;    // from the beginning of the data
  std::uint64_t room = 0;  // bytes, those for id, group and headers included
  std::uint32_t granule = 0;
  std::uint32_t granules = 0;

  [[nodiscard]] explicit operator bool() const noexcept { return word != 0; }
};

// What a slot says of its job; offsets are judged.
struct JobFacts {
  std::uint64_t at = 0;  // of the payload, from the beginning of the data
  std::uint32_t length = 0;
  std::string_view id;
  std::string_view group;
  std::span<const std::byte> headers;
  std::uint8_t level = 0;
  std::uint8_t stage = 0;
  std::uint8_t attempt = 0;
  std::uint32_t acquired = 0;
  std::uint64_t token = 0;      // grows with each lease of this slot; for fencing
  std::uint64_t pushed_at = 0;  // nanoseconds since 1970
  // Of dead letters.
  layout::DeadReason reason = layout::DeadReason::none;
  std::uint64_t dead_at = 0;
  std::string error;  // what was given with the last retry or reject
};

}  // namespace millrace
