// The asymmetric store-load fence. "Publish, then look whether the peer is parked" needs a full fence
// after every publish; membarrier(GLOBAL_EXPEDITED) moves that cost to the side that parks: it makes
// every CPU that runs a registered process execute a full barrier, so the publisher needs only a
// compiler barrier. Registration is per process. Source: membarrier(2); Dice, Huang and Yang,
// "Asymmetric Dekker Synchronization" (2001).
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace millrace::os {

// True if this process is registered for, and may issue, expedited global barriers. Decided once.
[[nodiscard]] inline bool asymmetric_fence_available() noexcept {
  static const bool available = [] {
    const long commands = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    constexpr long needed =
        MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
    if (commands < 0 || (commands & needed) != needed) return false;
    return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
  }();
  return available;
}

// The rare side: a barrier on every CPU of every registered process, and a full fence here.
inline void heavy_fence() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (asymmetric_fence_available()) {
    ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
  }
}

}  // namespace millrace::os
