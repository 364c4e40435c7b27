// Of macOS: a kqueue descriptor is readable while it has an event.
#pragma once

#include <sys/event.h>
#include <sys/time.h>
#include <sys/types.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "millrace/os/descriptor.hpp"
#include "millrace/result.hpp"

namespace millrace::capi {

class PollSet {
 public:
  Result<void> open() {
    set_ = os::Descriptor(::kqueue());
    if (!set_) return system_error("kqueue", errno);
    (void)::fcntl(set_.get(), F_SETFD, FD_CLOEXEC);
    return {};
  }
  void close() noexcept { set_.reset(); }
  [[nodiscard]] int fd() const noexcept { return set_.get(); }

  [[nodiscard]] bool add_readable(int fd, std::uint64_t /*key*/) const noexcept {
    return change(static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD, 0, 0);
  }
  // Deaths are not heard there (os::kHangUpIsHeard).
  [[nodiscard]] bool add_hang_up(int /*fd*/, std::uint64_t /*key*/) const noexcept { return false; }
  void remove(int fd) const noexcept {
    (void)change(static_cast<uintptr_t>(fd), EVFILT_READ, EV_DELETE, 0, 0);
  }
  // Ready once, in so many nanoseconds; 0: not at all.
  void alarm(std::uint64_t ns) const noexcept {
    if (ns == 0) {
      (void)change(kTimer, EVFILT_TIMER, EV_DELETE, 0, 0);
      return;
    }
    (void)change(kTimer, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS,
                 static_cast<intptr_t>(ns));
  }
  // Takes events out; what is readable is for the caller to read.
  template <typename Each>
  void drain(Each&& /*each*/) const {
    std::array<struct kevent, 8> ready;
    const timespec now{0, 0};
    (void)os::retry_eintr([&] {
      return ::kevent(set_.get(), nullptr, 0, ready.data(), static_cast<int>(ready.size()), &now);
    });
  }

 private:
  static constexpr uintptr_t kTimer = 1;

  bool change(uintptr_t what, std::int16_t filter, std::uint16_t flags, std::uint32_t notes,
              intptr_t data) const noexcept {
    struct kevent event {};
    EV_SET(&event, what, filter, flags, notes, data, nullptr);
    return ::kevent(set_.get(), &event, 1, nullptr, 0, nullptr) == 0;
  }

  os::Descriptor set_;
};

}  // namespace millrace::capi
