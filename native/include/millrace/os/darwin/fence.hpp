// macOS has no membarrier: every publish pays its own full fence (see waiting.hpp), and the side that
// parks needs nothing beyond one.
#pragma once

#include <atomic>

namespace millrace::os {

[[nodiscard]] constexpr bool asymmetric_fence_available() noexcept {
  return false;
}

template <typename Run>
inline void register_light_fence(Run&& /*run*/) noexcept {}
inline void register_light_fence() noexcept {}

[[nodiscard]] constexpr bool light_fence_registered() noexcept {
  return false;
}
inline void light_fence() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
[[nodiscard]] inline bool heavy_fence() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return false;
}

}  // namespace millrace::os
