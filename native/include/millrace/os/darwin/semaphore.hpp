// The platform's half of sync/semaphore.hpp. macOS keeps named semaphores in the kernel: there is no file
// to judge, the kernel checks the rights. It has neither sem_timedwait nor sem_getvalue.
#pragma once

#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "../../result.hpp"
#include "../clock.hpp"
#include "../descriptor.hpp"
#include "../object.hpp"

namespace millrace::os {

inline constexpr bool kSemaphoreHasValue = false;
// The highest value, and therefore the most that can be posted at once.
inline constexpr std::uint32_t kSemaphoreMax = SEM_VALUE_MAX;

[[nodiscard]] inline std::string semaphore_object(const std::string& name) {
  return name;
}

[[nodiscard]] inline bool is_semaphore_file(int /*fd*/, const struct stat& /*status*/) noexcept {
  return false;
}

[[nodiscard]] inline bool is_unfilled_semaphore(std::string_view /*file*/,
                                                const struct stat& /*status*/) noexcept {
  return false;
}

// Nobody sweeps semaphores here.
[[nodiscard]] inline Descriptor pin_semaphore(const std::string& /*name*/) {
  return {};
}

class ValidatedSemaphore {
 public:
  static Result<ValidatedSemaphore> validate(const std::string& /*name*/, uid_t /*owner*/,
                                             mode_t /*widest*/) {
    return ValidatedSemaphore();
  }
  [[nodiscard]] bool still_there() const noexcept { return true; }
};

// There is no call for it: the umask has the last word.
inline Result<void> set_semaphore_mode(const std::string& /*name*/, mode_t /*mode*/) {
  return {};
}

[[nodiscard]] inline std::uint32_t semaphore_value(sem_t* /*semaphore*/) noexcept {
  return 0;
}

// Waits, at most that long, by looking every now and then. True: got a permit.
[[nodiscard]] inline bool semaphore_wait_for(sem_t* semaphore, std::uint64_t duration_ns) noexcept {
  constexpr std::uint64_t longest_pause = 2'000'000;
  const Deadline end = Deadline::after(duration_ns);
  for (std::uint64_t pause = 20'000;; pause = std::min(pause * 2, longest_pause)) {
    if (::sem_trywait(semaphore) == 0) return true;
    const std::uint64_t left = end.left_ns();
    if (left == 0) return false;
    sleep_ns(std::min(pause, left));
  }
}

}  // namespace millrace::os
