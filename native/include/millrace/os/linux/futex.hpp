// Blocking on a 32-bit word in shared memory. Never FUTEX_PRIVATE_FLAG: the waiter and the waker are
// different processes. The kernel forgets a waiter that is killed.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace millrace::os {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 &&
              std::atomic<std::uint32_t>::is_always_lock_free);

enum class FutexWait { woken, changed, timed_out };

// Sleeps while `word` holds `expected`, at most `timeout_ns`. Spurious returns are possible: re-check.
inline FutexWait futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                            std::uint64_t timeout_ns) noexcept {
  // The kernel's timespec of this call, two words; a libc with 64-bit time on 32 bits has a wider one.
  const struct {
    long seconds;
    long nanoseconds;
  } timeout{static_cast<long>(timeout_ns / 1'000'000'000U),
            static_cast<long>(timeout_ns % 1'000'000'000U)};
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT, expected, &timeout, nullptr, 0);
  if (result == 0) return FutexWait::woken;
  return errno == ETIMEDOUT ? FutexWait::timed_out : FutexWait::changed;
}

// Did somebody sleep there?
inline bool futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  return ::syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0) > 0;
}

}  // namespace millrace::os
