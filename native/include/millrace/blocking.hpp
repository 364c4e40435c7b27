// What the calls that block the thread have in common. They are for programs without an event loop: spin
// a little, then sleep on the futex of the wait line, a slice at a time. Peers in an event loop wake them
// and are woken by them; a peer that dies is noticed by the look at its lock after each slice.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "os/clock.hpp"
#include "result.hpp"

namespace millrace {

struct BlockingOptions {
  std::uint64_t timeout_ns = std::numeric_limits<std::uint64_t>::max();  // default: for ever
  std::uint64_t spin_ns = 50'000;  // before the thread sleeps in the kernel; 0: on one core
};

namespace detail {

inline Error late(const std::string& what, const BlockingOptions& options) {
  return make_error(Code::timeout,
                    what + " did not happen within " +
                        std::to_string(options.timeout_ns / 1'000'000) +
                        " ms; see who is there (`npx millrace ls`), or allow more time");
}

// Calls look(thorough) until it gives something, and wait(spin_ns, timeout_ns) in between, which returns
// after a slice at most and tells whether something stirred. Thorough looks, which ask how the peer is
// doing, cost a system call. Nothing if the time is over.
template <typename Look, typename Wait>
auto block(const BlockingOptions& options, Look&& look, Wait&& wait) -> decltype(look(true)) {
  if (auto found = look(false)) return found;
  const os::Deadline end = os::Deadline::after(options.timeout_ns);
  const os::Deadline spin = os::Deadline::after(options.spin_ns);
  for (;;) {
    const std::uint64_t left = end.left_ns();
    if (left == 0) return look(true);
    const bool stirred = wait(spin.left_ns(), left);
    if (auto found = look(!stirred)) return found;
    if (stirred) {
      if (auto found = look(true)) return found;
    }
  }
}

}  // namespace detail
}  // namespace millrace
