// Of Linux: an epoll descriptor is readable while one of those in it is ready.
#pragma once

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "millrace/os/descriptor.hpp"
#include "millrace/result.hpp"

namespace millrace::capi {

class PollSet {
 public:
  Result<void> open() {
    set_ = os::Descriptor(::epoll_create1(EPOLL_CLOEXEC));
    if (!set_) return system_error("epoll_create1", errno);
    timer_ = os::Descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer_) return system_error("timerfd_create", errno);
    if (!add(timer_.get(), EPOLLIN, kTimer)) return system_error("epoll_ctl", errno);
    return {};
  }
  void close() noexcept {
    timer_.reset();
    set_.reset();
  }
  [[nodiscard]] int fd() const noexcept { return set_.get(); }

  // `key` is not ~0, and told by drain().
  [[nodiscard]] bool add_readable(int fd, std::uint64_t key) const noexcept {
    return add(fd, EPOLLIN, key);
  }
  // Errors and hang-ups are told in any case.
  [[nodiscard]] bool add_hang_up(int fd, std::uint64_t key) const noexcept {
    return add(fd, 0, key);
  }
  void remove(int fd) const noexcept { (void)::epoll_ctl(set_.get(), EPOLL_CTL_DEL, fd, nullptr); }
  // Ready once, in so many nanoseconds; 0: not at all.
  void alarm(std::uint64_t ns) const noexcept {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000U);
    when.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000U);
    (void)::timerfd_settime(timer_.get(), 0, &when, nullptr);
  }
  // Calls each(key) for those that are ready; what is readable is for the caller to read.
  template <typename Each>
  void drain(Each&& each) const {
    std::array<epoll_event, 64> ready;
    const int count = os::retry_eintr(
        [&] { return ::epoll_wait(set_.get(), ready.data(), static_cast<int>(ready.size()), 0); });
    for (int i = 0; i < count; ++i) {
      const std::uint64_t key = ready[static_cast<std::size_t>(i)].data.u64;
      if (key != kTimer) {
        each(key);
        continue;
      }
      std::uint64_t times = 0;
      (void)!::read(timer_.get(), &times, sizeof times);
    }
  }

 private:
  static constexpr std::uint64_t kTimer = ~std::uint64_t{0};

  [[nodiscard]] bool add(int fd, std::uint32_t events, std::uint64_t key) const noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    return ::epoll_ctl(set_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  os::Descriptor set_;
  os::Descriptor timer_;
};

}  // namespace millrace::capi
