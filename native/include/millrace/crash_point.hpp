// Named places in the code where a test lets the process die, exactly there, as by kill -9. They stand in
// the narrow windows where shared memory is between two states. Instead of dying, whoever comes to such a place
// can be made to call a function of the test: the other party's whole move, played to its end in that window.
//
// Only a program compiled with MILLRACE_CRASH_POINTS has them; in every other one the macro leaves
// nothing, no code, no symbol and no string. All files of a program must agree on that.
//
// The points of a program are known before main() runs: each registers itself by being compiled in, so a
// test can ask for all of them and cannot miss a new one. A point is a place, and may be passed many
// times; arm() says at which passage the process dies, or the function is called.
#pragma once

#if !defined(MILLRACE_CRASH_POINTS)

#define MILLRACE_CRASH_POINT(name) static_cast<void>(0)

#else

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "os/clock.hpp"

#define MILLRACE_CRASH_POINT(name) ::millrace::crash::pass<name>()

namespace millrace::crash {

inline constexpr std::size_t kMaxPoints = 512;

// What a test shares with the processes it lets die.
struct Log {
  std::atomic<std::uint64_t> died_at;  // monotonic nanoseconds; 0: nobody did
  std::atomic<std::uint32_t> passed[kMaxPoints];
};

// A string literal as a template argument, so that a point is a type of its own.
template <std::size_t Length>
struct Name {
  // NOLINTNEXTLINE(google-explicit-constructor): what makes a literal an argument
  consteval Name(const char (&literal)[Length]) { std::copy_n(literal, Length, text); }
  char text[Length];
};

// The points of this program. Two that have the same name are one.
inline std::vector<std::string_view>& points() {
  static std::vector<std::string_view> all;
  return all;
}
inline std::size_t enter(std::string_view name) {
  auto& all = points();
  const auto known = std::find(all.begin(), all.end(), name);
  if (known != all.end()) return static_cast<std::size_t>(known - all.begin());
  all.push_back(name);
  return all.size() - 1;
}

namespace detail {

inline constexpr std::size_t kNone = ~std::size_t{0};
inline std::atomic<std::size_t> armed{kNone};
inline std::atomic<std::uint64_t> left{0};
inline std::function<void()> move;  // instead of the death; set while nothing is armed
inline std::atomic<Log*> log{nullptr};

template <Name name>
struct Point {
  static inline const std::size_t index = enter(name.text);
};

}  // namespace detail

// Says which passages of which points happened, for a run in which nobody dies, and when one died.
inline void log_to(Log* log) noexcept {
  detail::log.store(log);
}
// Whoever comes to the nth passage of that point from now on, 1 being the next, calls `move` there and goes on; without
// one the process dies. One point is armed at a time, and no longer once it was reached: `move` may arm it again, or
// another. What passes a point is noexcept, and so `move` must not throw. False: there is no such point.
inline bool arm(std::string_view name, std::uint64_t nth, std::function<void()> move = nullptr) {
  const auto& all = points();
  const auto found = std::find(all.begin(), all.end(), name);
  if (found == all.end() || nth == 0) return false;
  detail::armed.store(detail::kNone);
  detail::move = std::move(move);
  detail::left.store(nth);
  // release: pairs with the acquire in pass(), perhaps in another thread: the rest is there.
  detail::armed.store(static_cast<std::size_t>(found - all.begin()), std::memory_order_release);
  return true;
}
inline void disarm() noexcept {
  detail::armed.store(detail::kNone);
}

template <Name name>
void pass() noexcept {
  const std::size_t me = detail::Point<name>::index;
  Log* const log = detail::log.load(std::memory_order_relaxed);
  if (log != nullptr && me < kMaxPoints) log->passed[me].fetch_add(1, std::memory_order_relaxed);
  if (detail::armed.load(std::memory_order_acquire) != me || detail::left.fetch_sub(1) != 1) return;
  if (detail::move) {
    detail::armed.store(detail::kNone);
    std::exchange(detail::move, nullptr)();
    return;
  }
  if (log != nullptr) log->died_at.store(os::monotonic_ns());
  for (;;)
    ::kill(::getpid(), SIGKILL);
}

}  // namespace millrace::crash

#endif
