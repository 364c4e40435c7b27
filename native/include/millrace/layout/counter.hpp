// A counter: one signed 64-bit number at a place that any program can read.
//
//   page 0   Header, then at offset 1024 the CounterRecord
//
// Every handle holds the byte of kCounterUsersRole, shared: it only says that somebody uses the counter.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"

namespace millrace::layout {

enum CounterRole : std::uint32_t { kCounterUsersRole = 0 };

struct alignas(kLine) CounterRecord {
  std::atomic<std::int64_t> value;   // any handle
  std::atomic<std::uint32_t> begun;  // 1 once `value` has its initial one; under the lifecycle lock
  std::byte pad[kLine - 12];
};
static_assert(sizeof(CounterRecord) == kLine);
static_assert(offsetof(CounterRecord, value) == 0);

// Documented, and the same in every version: od -A n -t d8 -j 1024 -N 8 /dev/shm/millrace.n.NAME
inline constexpr std::size_t kCounterOffset = 1024;
static_assert(kCounterOffset >= kRolesOffset);

}  // namespace millrace::layout
