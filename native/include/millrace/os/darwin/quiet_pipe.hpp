// Writing to a pipe whose reader may be gone, without SIGPIPE. On macOS that signal goes to the whole
// process, so that blocking it in this thread would not keep it from the others; a descriptor can be
// told not to cause it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>

#include "../descriptor.hpp"

namespace millrace::os {

// Does whoever polls the write end of a FIFO hear that its last reader is gone? kqueue has no filter for
// that alone, so libuv's UV_DISCONNECT never comes: who waits must look at the peer every now and then.
inline constexpr bool kHangUpIsHeard = false;

// A pipe whose ends never block and that no child inherits, unless another thread forks in this very instant:
// there is no pipe2 here. False, with errno: there is none to be had.
[[nodiscard]] inline bool make_pipe(Descriptor& reading, Descriptor& writing) noexcept {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  reading = Descriptor(ends[0]);
  writing = Descriptor(ends[1]);
  for (const int end : ends) {
    if (::fcntl(end, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(end, F_SETFL, O_NONBLOCK) != 0) {
      return false;
    }
  }
  return true;
}

// Once for each descriptor that quiet_write is used on.
[[nodiscard]] inline bool make_quiet(int fd) noexcept {
  return ::fcntl(fd, F_SETNOSIGPIPE, 1) == 0;
}

// As write(2), retried on EINTR.
[[nodiscard]] inline ssize_t quiet_write(int fd, const void* data, std::size_t size) noexcept {
  return retry_eintr([&] { return ::write(fd, data, size); });
}

}  // namespace millrace::os
