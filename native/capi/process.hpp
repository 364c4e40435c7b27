// What a process has once for all handles: the bell by which others hear of its death, its generation among forks, and interrupts.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::capi {

namespace detail {
// Twice the generation among forks, and 1 more after millrace_careful(1).
extern std::atomic<std::uint32_t> process_word;
extern std::atomic<std::uint64_t> interrupts;
}  // namespace detail

// Another one in each child. relaxed: a child has one thread when it comes to be.
[[nodiscard]] inline std::uint32_t process_word() noexcept {
  return detail::process_word.load(std::memory_order_relaxed);
}
[[nodiscard]] inline std::uint32_t fork_generation() noexcept {
  return process_word() / 2;
}
// millrace_careful(): is every call to notice for certain that another thread is in its handle?
[[nodiscard]] inline bool careful() noexcept {
  return process_word() % 2 != 0;
}
[[nodiscard]] inline std::uint64_t interrupt_count() noexcept {
  return detail::interrupts.load(std::memory_order_relaxed);
}

// Nobody rings it: it is there so that peers can wait for its end. 0: there is none to be had, and peers look from time to time.
[[nodiscard]] std::uint64_t process_bell();

}  // namespace millrace::capi
