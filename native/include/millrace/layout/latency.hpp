// How long messages of a queue take from who sends them to who takes them, counted where both sides see it. Only if somebody asks for it: else
// all of this stays zero, as it is in what older versions made, who leave it alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "header.hpp"
#include "log_linear.hpp"
#include "queue.hpp"

namespace millrace::layout {

// Of a queue, in the rest of the page of RingControl. The producer marks some messages: at which position one lies, and when it was
// sent. The consumer, when it has taken that message, counts how long that was, for all that were sent since the mark before.
inline constexpr std::size_t kLatencyMarks = 64;
struct QueueLatency {
  // Up to an eighth of a microsecond, and of each doubling from a microsecond to 134 s an eighth.
  using Times = LogLinear<3, 125, 225>;
  struct alignas(kLine) MarksLine {
    std::atomic<std::uint64_t> made;  // marks ever made; producer: release; consumer: acquire
    std::byte pad[kLine - 8];
  } marks;
  struct Mark {
    std::atomic<std::uint64_t> position;  // of the record, + 1; 0: nothing is to be read here now
    std::atomic<std::uint64_t> sent_at;   // monotonic nanoseconds
    std::atomic<std::uint64_t> messages;  // that it stands for
  };
  Mark mark[kLatencyMarks];  // in turn; producer
  struct alignas(kLine) TakenLine {
    std::atomic<std::uint64_t> nanoseconds;  // of all that were counted; consumer
    std::array<std::atomic<std::uint64_t>, Times::kCounts> counts;
  } taken;
};
inline constexpr std::size_t kQueueLatencyOffset = sizeof(RingControl);  // behind it
static_assert(kQueueLatencyOffset % alignof(QueueLatency) == 0);
static_assert(kQueueLatencyOffset + sizeof(QueueLatency) <= 4096);  // the smallest page
static_assert(offsetof(QueueLatency, mark) == kLine);

}  // namespace millrace::layout
