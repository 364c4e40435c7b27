// One datagram to a Unix socket, as service managers want to be told of a process's state: nobody answers, and nobody is waited
// for.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "descriptor.hpp"

namespace millrace::os {

// 0, or the number of the error: EAGAIN if whoever reads has no room yet. A path that begins with '@' is a name without a file,
// which only Linux has.
[[nodiscard]] inline int send_datagram(std::string_view path, std::string_view text) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || (path[0] != '/' && path[0] != '@')) return EINVAL;
  if (path.find('\0') != std::string_view::npos) return EINVAL;
  if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.data(), path.size());
  // The length says where such a name ends; a path ends with a zero, too.
  const bool no_file = path[0] == '@';
  if (no_file) address.sun_path[0] = '\0';
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path.size() + (no_file ? 0 : 1);

  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM, 0));
  if (!socket || ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) return errno;
  const auto sent = retry_eintr([&] {
    return ::sendto(socket.get(), text.data(), text.size(), MSG_DONTWAIT,
                    reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
  });
  return sent < 0 ? errno : 0;
}

}  // namespace millrace::os
