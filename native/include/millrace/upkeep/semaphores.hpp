// A named semaphore: whether anybody has it open, and its removal if nobody has.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "../os/birth.hpp"
#include "../os/descriptor.hpp"
#include "../os/directory.hpp"
#include "../os/doorbell.hpp"
#include "../os/exclusive_lease.hpp"
#include "../os/file.hpp"
#include "../os/object.hpp"
#include "../os/semaphore.hpp"
#include "report.hpp"

namespace millrace::detail {

inline constexpr std::string_view kSemaphorePrefix = "sem.";

// Looks at a named semaphore, and removes it if `remove` and nobody has it open. Nothing if it is gone.
inline std::optional<Swept> inspect_semaphore(const std::string& file, bool remove) {
  Swept found;
  ObjectReport& report = found.object;
  report.kind = "semaphore";
  report.name = file.substr(kSemaphorePrefix.size());
  report.path = os::object_path(file);
  struct stat status {};
  if (::lstat(report.path.c_str(), &status) != 0) return std::nullopt;
  report.size = static_cast<std::uint64_t>(status.st_size);
  report.owner = status.st_uid;
  report.mode = static_cast<mode_t>(status.st_mode & 07777);
  report.created_ms = os::born_ms(AT_FDCWD, report.path.c_str(), status);
  const auto say = [&](Condition condition, std::string detail) {
    report.condition = condition;
    report.detail = std::move(detail);
    return found;
  };
  if (report.owner != ::geteuid()) {
    return say(Condition::foreign, "belongs to user " + std::to_string(report.owner));
  }
  const os::Descriptor fd(os::retry_eintr(
      [&] { return ::open(report.path.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC); }));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd && errno == EWOULDBLOCK) return say(Condition::in_use, "being swept at this moment");
  if (!fd && os::is_starvation(errno)) {
    return say(Condition::unknown, system_error("open", errno, report.path).message);
  }
  struct stat opened {};
  const bool there = fd && ::fstat(fd.get(), &opened) == 0;
  const bool unfilled = there && os::is_unfilled_semaphore(file, opened);
  if (!there || !(unfilled || os::is_semaphore_file(fd.get(), opened))) {
    return say(Condition::foreign, "no semaphore of this process's C library");
  }
  const os::ExclusiveLease lease(fd.get());
  if (lease.state() == os::LeaseState::unsupported) {
    return say(Condition::unknown, "this system does not tell whether somebody has it open");
  }
  if (lease.state() == os::LeaseState::refused) return say(Condition::in_use, {});
  if (unfilled) {
    (void)say(Condition::half_created, "its creator died before it was finished");
  } else {
    (void)say(Condition::kept, "a semaphore stays until it is unlinked");
  }
  // Still under its name? From here on nobody can open it, and so no process of ours unlink it.
  if (remove && os::leads_to(report.path, fd.get())) {
    found.removed = ::unlink(report.path.c_str()) == 0;
  }
  return found;
}

}  // namespace millrace::detail
