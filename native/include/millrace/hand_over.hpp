// Handing nameless memory to processes that did not inherit it: a Unix socket under a path, one message
// per peer, the descriptors beside it (SCM_RIGHTS).
//
//   offering process                         receiving process
//   bind, listen, watch                      connect
//   accept; who is it (SO_PEERCRED)?         who is it (SO_PEERCRED)?  not allowed ─► error
//   allowed: names and descriptors  ────►    one message, judged as a whole
//   else:    "refused"              ────►    error
//   close
//
// The offering side keeps nothing per peer and waits for none: a fresh connection has room for the
// message, and one that has not is dropped. The kernel vouches for uid, gid and pid on both sides.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "os/descriptor.hpp"
#include "result.hpp"

namespace millrace {

// Whom the kernel says the other side to be, when it connected or began to listen.
struct PeerIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;  // 0: of another pid namespace
};

// A peer is allowed if its uid is among `uids` or its gid among `gids`; without either list, if its uid
// is ours. A list of pids narrows that further.
struct AllowList {
  std::vector<std::uint32_t> uids;
  std::vector<std::uint32_t> gids;
  std::vector<std::uint32_t> pids;

  [[nodiscard]] bool allows(const PeerIdentity& peer) const noexcept;
};

struct OfferedSegment {
  std::string name;
  os::Descriptor fd;
};

enum class Served {
  nobody,  // nobody is waiting
  served,
  refused,  // not on the list
  failed,   // it left, or the system could not pass the descriptors on
};

// Most segments that one offer can hold: SCM_MAX_FD of Linux.
inline constexpr std::size_t kMaxOffered = 253;

}  // namespace millrace

#if defined(__linux__)
#include "os/linux/hand_over.hpp"
#elif defined(__APPLE__)
#include "os/darwin/hand_over.hpp"
#endif
