// Takes a name away, whoever is on what it leads to.
#pragma once

#include <string>
#include <utility>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "os/file_lock.hpp"
#include "os/object.hpp"
#include "place.hpp"
#include "result.hpp"

namespace millrace {

namespace detail {

// A name that is about to be removed, with the lifecycle lock of the object it leads to. Without the lock, a
// process that has just found itself to be the last on the object, and so removes the name too, could remove
// the name of a new object that somebody creates after our removal.
class LockedName {
 public:
  // Fails with timeout if the lock cannot be had. `title` is for messages.
  static Result<LockedName> take(std::string object, const std::string& title) {
    LockedName name(std::move(object));
    auto opened = os::open_object(name.object_, os::Access::read_write);
    if (!opened.ok()) {
      name.gone_ = opened.error().code == Code::not_found;
      return name;  // what cannot be opened, nobody can have locked
    }
    name.fd_ = opened.take();
    auto over = os::FileLock::over(name.fd_.get(), name.object_, 0600);
    if (!over.ok()) return over.error();
    name.lock_ = over.take();
    const os::Deadline patience = os::Deadline::after(2'000'000'000);
    while (!name.lock_.try_exclusive(layout::kLifecycleByte)) {
      if (patience.passed()) {
        return make_error(Code::timeout,
                          "'" + title +
                              "' is being created or left by another process that does not finish; "
                              "is it stopped in a debugger? Try again, or end that process",
                          os::object_path(name.object_));
      }
      os::sleep_ns(100'000);
    }
    MILLRACE_CRASH_POINT("segment.discard.locked");
    name.gone_ = name.lock_.unlinked();
    return name;
  }

  // True if there was one.
  [[nodiscard]] Result<bool> remove() const {
    if (gone_) return false;
    auto removed = os::remove_object(object_);
    if (removed.ok() && removed.value()) os::FileLock::remove_file(object_);
    return removed;
  }

 private:
  explicit LockedName(std::string object) : object_(std::move(object)) {}

  std::string object_;
  os::Descriptor fd_;
  os::FileLock lock_;
  bool gone_ = false;
};

}  // namespace detail

// Removes a channel's name, whoever is on it; they keep the memory, new openers get a new one.
// True if there was one. Fails with timeout if its lifecycle lock cannot be had.
inline Result<bool> unlink_channel(char letter, const std::string& name) {
  if (auto named = check_name(name); !named.ok()) return named.error();
  auto locked = detail::LockedName::take(object_name_of(letter, name), name);
  if (!locked.ok()) return locked.error();
  return locked.value().remove();
}

}  // namespace millrace
