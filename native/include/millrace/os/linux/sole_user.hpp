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
#include "../sole_user.hpp"

namespace millrace::os {

class SoleUser {
 public:
  // `fd` is open for reading and writing, outlives this, and the file is this user's.
  explicit SoleUser(int fd) noexcept : fd_(fd) {
    if (::fcntl(fd, F_SETSIG, SIGURG) != 0) return;
    if (retry_eintr([&] { return ::fcntl(fd, F_SETLEASE, F_WRLCK); }) == 0) {
      alone_ = Alone::yes;
    } else if (errno == EAGAIN) {
      alone_ = Alone::no;
    }
  }
  SoleUser(const SoleUser&) = delete;
  SoleUser& operator=(const SoleUser&) = delete;
  ~SoleUser() {
    if (alone_ == Alone::yes) (void)::fcntl(fd_, F_SETLEASE, F_UNLCK);
  }

  // yes: and it stays so as long as this lives. unknown: this file system or kernel has no leases.
  [[nodiscard]] Alone alone() const noexcept { return alone_; }

 private:
  int fd_;
  Alone alone_ = Alone::unknown;
};

}  // namespace millrace::os
