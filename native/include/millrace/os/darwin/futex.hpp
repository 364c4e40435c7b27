// Blocking on a 32-bit word in shared memory, three ways, chosen once per process:
//   macOS 14.4 and newer  os_sync_wait_on_address and os_sync_wake_by_address_all, public interface
//   older                 __ulock_wait and __ulock_wake, which libc++ and the former are made of
//   neither               a look at the word every 0.2 ms
// All are found by name at run time, so that one binary starts everywhere. The system calls find a waiter
// by the memory behind the address, not by the address itself (the SHARED flag, and the SHARED opcode).
#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "../clock.hpp"

namespace millrace::os {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 &&
              std::atomic<std::uint32_t>::is_always_lock_free);

enum class FutexWait { woken, changed, timed_out };

namespace detail {

// <os/os_sync_wait_on_address.h>, <os/clock.h>
inline constexpr std::uint32_t kSyncShared = 1;         // OS_SYNC_{WAIT_ON,WAKE_BY}_ADDRESS_SHARED
inline constexpr std::uint32_t kSyncMachAbsolute = 32;  // OS_CLOCK_MACH_ABSOLUTE_TIME
// <sys/ulock.h>, not in the SDK
inline constexpr std::uint32_t kUlockCompareAndWaitShared = 3;  // UL_COMPARE_AND_WAIT_SHARED
inline constexpr std::uint32_t kUlockWakeAll = 0x0000'0100;     // ULF_WAKE_ALL
inline constexpr std::uint32_t kUlockNoErrno = 0x0100'0000;     // ULF_NO_ERRNO: returns -errno

// How long a sleeper may overlook a change where nothing can wake it.
inline constexpr std::uint64_t kFutexNapNs = 200'000;

// The addresses are `const` here because none of these functions writes to them.
struct FutexCalls {
  int (*sync_wait)(const void* address, std::uint64_t value, std::size_t size, std::uint32_t flags,
                   std::uint32_t clock, std::uint64_t timeout_ns) = nullptr;
  int (*sync_wake_all)(const void* address, std::size_t size, std::uint32_t flags) = nullptr;
  int (*ulock_wait)(std::uint32_t operation, const void* address, std::uint64_t value,
                    std::uint32_t timeout_us) = nullptr;
  int (*ulock_wake)(std::uint32_t operation, const void* address,
                    std::uint64_t wake_value) = nullptr;

  FutexCalls() noexcept {
    // Both of a pair or neither: a waiter of one kind is not promised to hear a waker of the other.
    if (!find("os_sync_wait_on_address_with_timeout", sync_wait) ||
        !find("os_sync_wake_by_address_all", sync_wake_all)) {
      sync_wait = nullptr;
    }
    if (!find("__ulock_wait", ulock_wait) || !find("__ulock_wake", ulock_wake)) {
      ulock_wait = nullptr;
    }
  }

 private:
  template <typename Function>
  static bool find(const char* name, Function& function) noexcept {
    function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
  }
};

[[nodiscard]] inline const FutexCalls& futex_calls() noexcept {
  static const FutexCalls calls;
  return calls;
}

// Waits by looking every now and then.
inline FutexWait futex_doze(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                            std::uint64_t timeout_ns) noexcept {
  const Deadline deadline = Deadline::after(timeout_ns);
  // relaxed: only a hint; whoever waits looks at the state itself with acquire.
  while (word.load(std::memory_order_relaxed) == expected) {
    const std::uint64_t left = deadline.left_ns();
    if (left == 0) return FutexWait::timed_out;
    sleep_ns(std::min(left, kFutexNapNs));
  }
  return FutexWait::changed;
}

// What a wait that failed with `number` means to the caller. Running out of memory and a page that is
// not there for a moment (EFAULT) are documented as passing; a nap keeps the caller from spinning.
inline FutexWait futex_failure(int number, std::uint64_t timeout_ns) noexcept {
  if (number == ETIMEDOUT) return FutexWait::timed_out;
  if (number != EINTR) sleep_ns(std::min(timeout_ns, kFutexNapNs));
  return FutexWait::woken;
}

// Microseconds, rounded up, within what 32 bits hold; 0 would mean "for ever".
[[nodiscard]] constexpr std::uint32_t ulock_timeout_us(std::uint64_t timeout_ns) noexcept {
  const std::uint64_t us = timeout_ns / 1000 + (timeout_ns % 1000 != 0 ? 1 : 0);
  if (us == 0) return 1;
  return us > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(us);
}

}  // namespace detail

// Sleeps while `word` holds `expected`, at most `timeout_ns`. Spurious returns are possible: re-check.
inline FutexWait futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                            std::uint64_t timeout_ns) noexcept {
  if (timeout_ns == 0) return FutexWait::timed_out;  // the calls below refuse it or wait for ever
  const detail::FutexCalls& calls = detail::futex_calls();
  if (calls.sync_wait != nullptr) {
    const int result = calls.sync_wait(&word, expected, sizeof word, detail::kSyncShared,
                                       detail::kSyncMachAbsolute, timeout_ns);
    if (result >= 0) return FutexWait::woken;  // or the word differs, which looks the same
    return detail::futex_failure(errno, timeout_ns);
  }
  if (calls.ulock_wait != nullptr) {
    const int result = calls.ulock_wait(detail::kUlockCompareAndWaitShared | detail::kUlockNoErrno,
                                        &word, expected, detail::ulock_timeout_us(timeout_ns));
    if (result >= 0) return FutexWait::woken;
    return detail::futex_failure(-result, timeout_ns);
  }
  return detail::futex_doze(word, expected, timeout_ns);
}

// Did somebody sleep there, as far as the system says? That nobody does is reported as an error.
inline bool futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  const detail::FutexCalls& calls = detail::futex_calls();
  if (calls.sync_wait != nullptr) {
    return calls.sync_wake_all(&word, sizeof word, detail::kSyncShared) >= 0;
  }
  if (calls.ulock_wait != nullptr) {
    constexpr std::uint32_t operation =
        detail::kUlockCompareAndWaitShared | detail::kUlockWakeAll | detail::kUlockNoErrno;
    return calls.ulock_wake(operation, &word, 0) >= 0;
  }
  return true;
}

}  // namespace millrace::os
