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
#include <cstdint>

namespace millrace::os {

namespace detail {

enum class FenceState : std::uint32_t { unasked, pending, registered, refused };
inline std::atomic<FenceState> fence_state{FenceState::unasked};

inline void finish_fence_registration() noexcept {
  const bool done = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
  // release: see light_fence().
  fence_state.store(done ? FenceState::registered : FenceState::refused, std::memory_order_release);
}

}  // namespace detail

// True if this process may issue expedited global barriers: its heavy fence then suffices for peers
// whose light fence is registered. Decided once.
[[nodiscard]] inline bool asymmetric_fence_available() noexcept {
  static const bool available =
      ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
  return available;
}

// Makes light_fence() light. In a process with threads the system call waits for a grace period of the
// kernel (about 10 ms), so `run` gets the job and may do it on a thread of its own; until it is done,
// light_fence() is a full fence. Without `run` it is done here and now. The first call decides.
template <typename Run>
inline void register_light_fence(Run&& run) {
  auto before = detail::FenceState::unasked;
  if (detail::fence_state.compare_exchange_strong(before, detail::FenceState::pending,
                                                  std::memory_order_relaxed)) {
    run(&detail::finish_fence_registration);
  }
}
inline void register_light_fence() noexcept {
  register_light_fence([](auto job) { job(); });
}

// Is light_fence() light by now? True stays true.
[[nodiscard]] inline bool light_fence_registered() noexcept {
  // acquire: as in light_fence().
  return detail::fence_state.load(std::memory_order_acquire) == detail::FenceState::registered;
}

// The frequent side.
inline void light_fence() noexcept {
  // acquire: a heavy fence that was over before we were registered passed us by; what we load next must
  // then come after it, and so sees what the sleeper stored before it.
  if (detail::fence_state.load(std::memory_order_acquire) == detail::FenceState::registered)
      [[likely]] {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler's half
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
}

// The rare side: a full fence here, and a barrier on every CPU of every registered process. False if there
// is no such barrier, or the system refuses it this time (out of memory, a system-call filter).
[[nodiscard]] inline bool heavy_fence() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return asymmetric_fence_available() &&
         ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

}  // namespace millrace::os
