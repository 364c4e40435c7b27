// Monotonic time in nanoseconds and deadlines made from it.
#pragma once

#include <time.h>

#include <cstdint>
#include <limits>

namespace millrace::os {

[[nodiscard]] inline std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// The same clock in milliseconds, late by some of them where that is cheaper.
[[nodiscard]] inline std::uint64_t coarse_ms() noexcept {
#if defined(CLOCK_MONOTONIC_COARSE)
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000U +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000U;
#else
  return monotonic_ns() / 1'000'000U;
#endif
}

// Nanoseconds since 1970.
[[nodiscard]] inline std::uint64_t exact_real_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}
// The same within a few milliseconds, where that is cheaper.
[[nodiscard]] inline std::uint64_t real_ns() noexcept {
#if defined(CLOCK_REALTIME_COARSE)
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
#else
  return exact_real_ns();
#endif
}

inline void sleep_ns(std::uint64_t duration) noexcept {
  timespec left{static_cast<time_t>(duration / 1'000'000'000U),
                static_cast<long>(duration % 1'000'000'000U)};
  while (::nanosleep(&left, &left) != 0) {
  }
}

// A point in time after which waiting ends. Deadline::after(0) is over at once.
class Deadline {
 public:
  [[nodiscard]] static Deadline after(std::uint64_t ns) noexcept {
    const std::uint64_t now = monotonic_ns();
    const std::uint64_t end = now + ns;
    return Deadline(end < now ? std::numeric_limits<std::uint64_t>::max() : end);
  }
  [[nodiscard]] bool passed() const noexcept { return monotonic_ns() >= end_; }
  [[nodiscard]] std::uint64_t left_ns() const noexcept {
    const std::uint64_t now = monotonic_ns();
    return now >= end_ ? 0 : end_ - now;
  }

 private:
  explicit Deadline(std::uint64_t end) noexcept : end_(end) {}
  std::uint64_t end_;
};

// How often something may be done that others can make us do: `most` times in a row, and then once in
// `interval_ns`.
class Allowance {
 public:
  Allowance(std::uint32_t most, std::uint64_t interval_ns) noexcept
      : most_(most), left_(most), interval_ns_(interval_ns) {}

  // May it be done now? Then it counts as done.
  [[nodiscard]] bool take() noexcept {
    const std::uint64_t now = monotonic_ns();
    const std::uint64_t earned = (now - since_) / interval_ns_;
    if (left_ + earned >= most_) {
      left_ = most_;
      since_ = now;
    } else {
      left_ += static_cast<std::uint32_t>(earned);
      since_ += earned * interval_ns_;
    }
    if (left_ == 0) return false;
    --left_;
    return true;
  }

 private:
  std::uint32_t most_;
  std::uint32_t left_;
  std::uint64_t interval_ns_;
  std::uint64_t since_ = 0;
};

// Tells the core that this is a spin loop.
inline void spin_hint() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield" ::: "memory");
#endif
}

}  // namespace millrace::os
