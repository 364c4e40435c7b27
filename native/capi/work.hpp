// What the two halves of work queues share: the handle, whom it has woken, and what goes with a job that is pushed.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "handle.hpp"
#include "millrace/work/work_queue.hpp"
#include "trace.hpp"

struct millrace_work : millrace::capi::Handle<millrace::WorkQueue> {
  using Handle::Handle;
  bool parked = false;
  // Kinds of which somebody was woken who might not come, and since when.
  std::uint32_t woken = 0;
  std::uint64_t woken_ms = 0;
};

namespace millrace::capi {

inline constexpr std::uint64_t kRecheckMs = Sleepers::kRecheckMs;

[[nodiscard]] inline std::string title(millrace_work& work) {
  return "work queue '" + work.core->parties().segment().name() + "'";
}

// After whatever may have woken somebody: was it one that does not come?
inline void tend(millrace_work& work) {
  const std::uint32_t woke = work.core->woke();
  if (woke == 0 && work.woken == 0) [[likely]]
    return;
  const std::uint64_t now = os::coarse_ms();
  if (work.woken != 0 && now - work.woken_ms >= kRecheckMs) {
    std::uint32_t again = 0;
    millrace::detail::for_each_bit(work.woken, [&](std::uint32_t kind) {
      if (work.core->recheck(kind)) again |= 1U << kind;
    });
    work.woken = again;
    work.woken_ms = now;
  }
  if (woke == 0) return;
  if (work.woken == 0) work.woken_ms = now;
  work.woken |= woke;
}
// Found what it waited for: whoever wakes next need not think of us.
inline void awake(millrace_work& work) {
  if (!std::exchange(work.parked, false)) return;
  work.core->unpark();
  work.bell.no_alarm();
}

// What goes with a job; it points to the caller's texts, and to `trace`.
struct Described {
  PushOptions options;
  PackedTrace trace{};
};
[[nodiscard]] Result<void> describe(millrace_work& work, const millrace_push_options* given,
                                    Described& job);
[[nodiscard]] std::int32_t outcome(millrace_work& work, Pushed pushed, std::uint64_t length);

}  // namespace millrace::capi
