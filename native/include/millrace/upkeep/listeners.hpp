// Listeners at shm://NAME: a socket in /dev/shm and the lock file beside it, which tells whether who made them lives. Elsewhere than
// on Linux there are none.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "../os/birth.hpp"
#include "../os/place.hpp"
#include "report.hpp"

#if defined(__linux__)
#include "../os/linux/owned_path.hpp"
#endif

namespace millrace::detail {

inline constexpr std::string_view kListenerPrefix = "millrace.l.";

// Of an object that is the socket of a listener, or its lock file; empty: it is neither.
[[nodiscard]] inline std::string listener_name(std::string_view object) {
  if (!object.starts_with(kListenerPrefix)) return {};
  object.remove_prefix(kListenerPrefix.size());
  for (const std::string_view end : {std::string_view("~.lock"), std::string_view("~")}) {
    if (object.ends_with(end)) return std::string(object.substr(0, object.size() - end.size()));
  }
  return {};
}

#if defined(__linux__)

// Looks at a listener, and removes what a dead one left if that is asked for. Nothing if it is gone.
inline std::optional<Swept> inspect_listener(const std::string& name, const SweepSpec* sweep) {
  Swept found;
  ObjectReport& report = found.object;
  report.kind = "listener";
  report.name = name;
  report.path = os::object_path(std::string(kListenerPrefix) + name + "~");
  struct stat status {};
  const os::PathState state = os::OwnedPath::look_at(report.path, status);
  if (state == os::PathState::gone) return std::nullopt;
  report.owner = status.st_uid;
  report.mode = static_cast<mode_t>(status.st_mode & 07777);
  report.created_ms = os::born_ms(AT_FDCWD, report.path.c_str(), status);
  switch (state) {
    case os::PathState::owned:
      report.condition = Condition::in_use;
      report.holders.push_back({"listener", 0, true, 0});
      break;
    case os::PathState::young:
      report.condition = Condition::in_use;
      report.detail = "just created";
      break;
    case os::PathState::left:
      report.condition = Condition::abandoned;
      break;
    case os::PathState::unbound:
      report.condition = Condition::half_created;
      report.detail = "its creator died before it listened, or while it closed";
      break;
    default:
      report.condition = Condition::foreign;
      report.detail = report.owner == ::geteuid()
                          ? "no listener of ours"
                          : "belongs to user " + std::to_string(report.owner);
  }
  const bool is_rubbish = state == os::PathState::left || state == os::PathState::unbound;
  if (sweep == nullptr || !is_rubbish) return found;
  if (sweep->dry_run) {
    found.removed = true;
    return found;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (report.path.size() >= sizeof address.sun_path) return found;
  report.path.copy(address.sun_path, report.path.size());
  const bool swept = os::OwnedPath::sweep(report.path, address);
  const os::PathState now = os::OwnedPath::look_at(report.path, status);
  found.removed = swept && now == os::PathState::gone;
  if (now == os::PathState::owned || now == os::PathState::young) {
    report.condition = Condition::in_use;
    report.detail = "somebody listens there again";
  }
  return found;
}

#else

inline std::optional<Swept> inspect_listener(const std::string& /*name*/,
                                             const SweepSpec* /*sweep*/) {
  return std::nullopt;
}

#endif

}  // namespace millrace::detail
