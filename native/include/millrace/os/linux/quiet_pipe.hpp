// Writing to a pipe whose reader may be gone, without SIGPIPE, whatever the process does about that
// signal: it goes to the writing thread, which blocks it and takes it out again.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "../descriptor.hpp"

namespace millrace::os {

// Does whoever polls the write end of a FIFO hear that its last reader is gone?
inline constexpr bool kHangUpIsHeard = true;

// A pipe whose ends never block and that no child inherits. False, with errno: there is none to be had.
[[nodiscard]] inline bool make_pipe(Descriptor& reading, Descriptor& writing) noexcept {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  reading = Descriptor(ends[0]);
  writing = Descriptor(ends[1]);
  return true;
}

// Once for each descriptor that quiet_write is used on. Nothing to do on Linux.
[[nodiscard]] inline bool make_quiet(int /*fd*/) noexcept {
  return true;
}

// As write(2), retried on EINTR.
[[nodiscard]] inline ssize_t quiet_write(int fd, const void* data, std::size_t size) noexcept {
  struct sigaction action {};
  const bool ignored = ::sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
  if (ignored) return retry_eintr([&] { return ::write(fd, data, size); });
  sigset_t pipe_only;
  sigset_t before;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const ssize_t written = retry_eintr([&] { return ::write(fd, data, size); });
  const int number = errno;
  if (written < 0 && number == EPIPE) {  // take the signal we caused out again
    sigset_t pending;
    int caught = 0;
    if (::sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) {
      (void)::sigwait(&pipe_only, &caught);
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = number;
  return written;
}

}  // namespace millrace::os
