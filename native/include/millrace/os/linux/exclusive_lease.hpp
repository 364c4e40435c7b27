// A write lease (fcntl(2), F_SETLEASE) is granted only to the sole open description of a file in the whole
// system: other users, containers and programs that know nothing of millrace are counted, and so are maps,
// which keep their description when the descriptor is closed. While it is held nobody else gets in:
// open() waits, or fails with EWOULDBLOCK if it may not. So it is not a look but a lock.
//
// The kernel tells the holder by a signal that somebody waits. SIGURG, which is ignored unless a program
// asks for it, and means "look" even then.
#pragma once

#include <fcntl.h>
#include <signal.h>

#include <cerrno>

#include "../descriptor.hpp"
#include "../exclusive_lease.hpp"

namespace millrace::os {

class ExclusiveLease {
 public:
  // `fd` is open for reading and writing, outlives this, and the file is this user's.
  explicit ExclusiveLease(int fd) noexcept : fd_(fd) {
    if (::fcntl(fd, F_SETSIG, SIGURG) != 0) return;
    if (retry_eintr([&] { return ::fcntl(fd, F_SETLEASE, F_WRLCK); }) == 0) {
      state_ = LeaseState::granted;
    } else if (errno == EAGAIN) {
      state_ = LeaseState::refused;
    }
  }
  ExclusiveLease(const ExclusiveLease&) = delete;
  ExclusiveLease& operator=(const ExclusiveLease&) = delete;
  ~ExclusiveLease() {
    if (state_ == LeaseState::granted) (void)::fcntl(fd_, F_SETLEASE, F_UNLCK);
  }

  // granted: nobody else has the file open, as long as the lease lives. refused: somebody has it open.
  // unsupported: this file system or kernel has no leases.
  [[nodiscard]] LeaseState state() const noexcept { return state_; }

 private:
  int fd_;
  LeaseState state_ = LeaseState::unsupported;
};

}  // namespace millrace::os
