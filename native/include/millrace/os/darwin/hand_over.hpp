// macOS has no nameless segments, so there is nothing to hand over.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../../hand_over.hpp"
#include "../nameless.hpp"

namespace millrace {

inline bool AllowList::allows(const PeerIdentity& /*peer*/) const noexcept {
  return false;
}

class Offer {
 public:
  static Result<std::unique_ptr<Offer>> open(const std::string& /*path*/, mode_t /*mode*/,
                                             AllowList /*allow*/,
                                             std::vector<OfferedSegment> /*segments*/) {
    return os::no_nameless_memory();
  }
  static Result<std::unique_ptr<Offer>> open(const std::string& /*path*/, mode_t /*mode*/,
                                             AllowList /*allow*/) {
    return os::no_nameless_memory();
  }
  [[nodiscard]] int fd() const noexcept { return -1; }
  Served serve(PeerIdentity& /*peer*/) { return Served::nobody; }
  Served greet(PeerIdentity& /*peer*/, os::Descriptor& /*line*/) { return Served::nobody; }
  static bool give(int /*line*/, const std::vector<OfferedSegment>& /*segments*/) { return false; }
};

class Receipt {
 public:
  static Result<std::unique_ptr<Receipt>> connect(const std::string& /*path*/,
                                                  const AllowList& /*allow*/) {
    return os::no_nameless_memory();
  }
  [[nodiscard]] int fd() const noexcept { return -1; }
  [[nodiscard]] PeerIdentity peer() const noexcept { return {}; }
  Result<std::optional<std::vector<OfferedSegment>>> take() { return os::no_nameless_memory(); }
};

// Who is at the other side of a connected Unix socket.
inline Result<PeerIdentity> socket_peer(int socket) {
  PeerIdentity peer;
  if (::getpeereid(socket, &peer.uid, &peer.gid) != 0) {
    return system_error("getpeereid", errno, "a socket");
  }
  socklen_t size = sizeof peer.pid;
  if (::getsockopt(socket, SOL_LOCAL, LOCAL_PEERPID, &peer.pid, &size) != 0) peer.pid = 0;
  return peer;
}

}  // namespace millrace
