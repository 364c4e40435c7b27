// Where a segment lives, and everything that depends on it. Segment knows what happens at the door; a
// Place knows what the door is.
//
//            a name                     nameless                      a file
//   what     POSIX shared memory        memfd, reached through a      regular file, reached by its
//                                       descriptor that was handed    path
//                                       over
//   created  empty (O_EXCL), finished   by somebody before us,        without a path; appears under
//            under the lifecycle lock   empty; finished likewise      it when complete
//   size     nobody changes it          sealed                        nobody should change it
//   locks    the object's               the memory's, on an own       the file's
//            (macOS: a file beside)     open file description
//   stale    loses its name             is emptied and begun anew     never: content outlives
//                                                                     processes
//   removed  by the last one on it      with its last descriptor      by its user only
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "os/file.hpp"
#include "os/file_lock.hpp"
#include "os/mapping.hpp"
#include "os/memory_options.hpp"
#include "os/nameless.hpp"
#include "os/object.hpp"
#include "os/place.hpp"
#include "result.hpp"

namespace millrace {

// 1 to 240 of A-Z a-z 0-9 . _ -, not starting with a dot: valid as a file name everywhere.
inline Result<void> check_name(std::string_view name) {
  if (name.empty())
    return make_error(Code::invalid_name, "the name is empty; give it 1 to 240 characters");
  if (name.size() > layout::kNameMax) {
    return make_error(Code::name_too_long, "the name has " + std::to_string(name.size()) +
                                               " characters; at most " +
                                               std::to_string(layout::kNameMax) + " are allowed");
  }
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  for (const char c : name) {
    if (!allowed(c)) {
      return make_error(
          Code::invalid_name,
          "the name '" + std::string(name) + "' contains a character other than A-Z a-z 0-9 . _ -");
    }
  }
  if (name.front() == '.') {
    return make_error(Code::invalid_name, "the name '" + std::string(name) + "' starts with a dot");
  }
  return {};
}

// The object's name for a channel: millrace.<letter>.<name>. Where the system allows only short names
// (macOS: 30 characters) a long one is replaced by its 64-bit FNV-1a hash; the header holds the real
// name, so a collision is noticed.
inline std::string object_name_of(char letter, std::string_view name) {
  std::string object = std::string("millrace.") + letter + "." + std::string(name);
  if (object.size() <= os::kObjectNameMax) return object;
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  char text[20];
  (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return std::string("millrace.") + letter + "." + text;
}

class Place {
 public:
  Place() = default;
  // A name is the usual place.
  Place(std::string name) : title_(std::move(name)) {}  // NOLINT(google-explicit-constructor)
  Place(const char* name) : title_(name) {}             // NOLINT(google-explicit-constructor)
  // `fd` stays the caller's, and open as long as the place is used.
  static Place nameless(int fd) {
    struct stat status {};
    (void)::fstat(fd, &status);
    Place place("nameless:" + std::to_string(status.st_ino));
    place.kind_ = Kind::nameless;
    place.given_ = fd;
    return place;
  }
  static Place file(std::string path) {
    Place place(std::move(path));
    place.kind_ = Kind::file;
    return place;
  }

  // What a message calls it: the name, the path, or "nameless:" and a number.
  [[nodiscard]] const std::string& title() const noexcept { return title_; }
  [[nodiscard]] bool is_name() const noexcept { return kind_ == Kind::name; }
  [[nodiscard]] bool is_nameless() const noexcept { return kind_ == Kind::nameless; }
  [[nodiscard]] bool is_file() const noexcept { return kind_ == Kind::file; }

  // The same place as a segment of that kind uses it: names get their prefix.
  [[nodiscard]] Place for_segment(char letter) const {
    Place place = *this;
    if (is_name()) {
      place.object_ = object_name_of(letter, title_);
      place.path_ = os::object_path(place.object_);
    }
    return place;
  }

  // Can there be such a place? Everything below is for a place that was checked.
  [[nodiscard]] Result<void> check() const {
    switch (kind_) {
      case Kind::name:
        return check_name(title_);
      case Kind::nameless:
        if (os::is_nameless(given_)) return {};
        return make_error(os::kNamelessMemory ? Code::not_ours : Code::unsupported_platform,
                          "descriptor " + std::to_string(given_) +
                              " is no nameless segment; make one with NamelessSegment.create()");
      case Kind::file:
        if (!title_.empty() && title_.find('\0') == std::string::npos) return {};
        return make_error(Code::invalid_name, "the path of a file is empty or contains a NUL");
    }
    return {};
  }

  // Where a person finds it.
  [[nodiscard]] const std::string& path() const noexcept { return is_name() ? path_ : title_; }

  // Fails with not_found if there is none. The description is our own, so its locks are.
  [[nodiscard]] Result<os::Descriptor> open(os::Access access) const {
    switch (kind_) {
      case Kind::name:
        return os::open_object(object_, access);
      case Kind::nameless:
        return os::reopen(given_, access, title_);
      case Kind::file:
        return os::open_file(title_, access);
    }
    return os::Descriptor();
  }
  // What to say when open() failed: if it is somebody else's, that, and whose.
  [[nodiscard]] Error explain_refusal(Error error, uid_t expected_owner) const {
    return is_name() ? os::explain_refusal(std::move(error), object_, expected_owner)
                     : std::move(error);
  }
  // After open() said not_found. Fails with exists if somebody was faster. A file has no path yet.
  [[nodiscard]] Result<os::Descriptor> create(mode_t mode) {
    if (is_name()) return os::create_object(object_, mode);
    auto made = os::create_fresh_file(title_, mode);
    if (!made.ok()) return made.error();
    temporary_ = std::move(made.value().temporary);
    unpublished_ = true;
    return std::move(made.value().fd);
  }
  // Says that what create() made is complete. Fails with exists if somebody was faster.
  [[nodiscard]] Result<void> publish(int fd) {
    if (!unpublished_) return {};
    unpublished_ = false;
    return os::name_fresh_file(fd, temporary_, title_);
  }
  // create() gave something that nobody else can see yet.
  [[nodiscard]] bool unpublished() const noexcept { return unpublished_; }

  [[nodiscard]] Result<os::FileLock> lock_over(int fd, mode_t mode) const {
    return is_name() ? os::FileLock::over(fd, object_, mode) : os::FileLock::within(fd);
  }
  // With the lifecycle lock just taken: is `fd` still what this place leads to? Makes sure of it.
  [[nodiscard]] bool confirm(os::Descriptor& fd, const os::FileLock& lock,
                             os::Access access) const {
    switch (kind_) {
      case Kind::name:
        return lock.confirm(fd, object_, access);
      case Kind::nameless:
        return true;
      case Kind::file:
        return unpublished_ || os::leads_to(title_, fd.get());
    }
    return true;
  }
  [[nodiscard]] bool removed(int fd, const os::FileLock& lock) const noexcept {
    switch (kind_) {
      case Kind::name:
        return lock.unlinked();
      case Kind::nameless:
        return false;
      case Kind::file:
        return !os::leads_to(title_, fd);
    }
    return false;
  }
  // Takes the name or path away. What is nameless has none.
  void remove() const noexcept {
    if (is_name()) {
      os::unlink_object(object_);
      os::FileLock::remove_file(object_);
    } else if (is_file()) {
      (void)::unlink((unpublished_ ? temporary_ : title_).c_str());
    }
  }

  // Sizes what is new or was emptied, with its memory reserved. Nameless memory keeps that size for ever.
  [[nodiscard]] Result<void> allocate(int fd, std::uint64_t bytes) const {
    if (!is_nameless()) {
      return is_name() ? os::allocate_object(fd, bytes, path())
                       : os::allocate_file(fd, bytes, title_);
    }
    if (auto fits = fits_sealed(fd, bytes); !fits.ok()) return fits;
    if (auto sized = os::allocate_nameless(fd, bytes, title_); !sized.ok()) return sized;
    if (os::size_is_sealed(fd)) return {};
    MILLRACE_CRASH_POINT("place.allocate.sized");
    if (auto sealed = os::seal_size(fd, title_); !sealed.ok()) return sealed;
    MILLRACE_CRASH_POINT("place.allocate.sealed");
    // From here on it cannot change; whoever handed it over may have changed it until now.
    return fits_sealed(fd, bytes);
  }
  // Can it be made larger while it is in use?
  [[nodiscard]] bool can_grow() const noexcept {
    return is_name() ? os::kObjectsCanGrow : !is_nameless();
  }
  // On failure it is as large as before.
  [[nodiscard]] Result<void> grow(int fd, std::uint64_t bytes) const {
    auto before = os::inspect_object(fd, path());
    if (!before.ok()) return before.error();
    if (before.value().size >= bytes) return {};
    auto grown = os::grow_object(fd, bytes, path());
    if (!grown.ok()) {
      (void)os::retry_eintr(
          [&] { return ::ftruncate(fd, static_cast<off_t>(before.value().size)); });
    }
    return grown;
  }
  // Makes the mode of a new segment what was asked for, whatever the umask.
  [[nodiscard]] Result<void> set_mode(int fd, mode_t mode) const {
    if (is_name()) return os::set_object_mode(fd, mode, path());
    // Files were made with it. Nameless memory is given it, unless it has it, perhaps by its owner.
    struct stat status {};
    if (::fstat(fd, &status) != 0) return system_error("fstat", errno, title_);
    if ((status.st_mode & 07777) == mode || ::fchmod(fd, mode) == 0) return {};
    return system_error("fchmod", errno, title_);
  }
  // Before anything is mapped that somebody else made: could it shrink under us?
  [[nodiscard]] Result<void> check_steady(int fd) const {
    if (!is_nameless() || os::size_is_sealed(fd)) return {};
    return make_error(Code::not_ours,
                      "'" + title_ +
                          "' is not sealed against shrinking and growing, so that its maker could "
                          "crash this process; it was not made by millrace, or is not finished");
  }
  // Empties nameless memory that nobody is on, for a segment of `bytes`.
  [[nodiscard]] Result<void> empty(int fd, std::uint64_t bytes) const {
    if (os::size_is_sealed(fd)) {
      if (auto fits = fits_sealed(fd, bytes); !fits.ok()) return fits;
    }
    return os::empty_nameless(fd, title_);
  }

  // Segments are cut at ordinary pages; huge ones can only be mapped as a whole.
  [[nodiscard]] Result<void> check_pages() const {
    if (!is_nameless() || os::page_bytes_of(given_) == os::page_size()) return {};
    return make_error(
        Code::invalid_argument,
        "'" + title_ +
            "' consists of huge pages, which are for SharedMemory only; for a "
            "channel leave hugePages out here, and pass it { memory: { hugePages } }");
  }
  // Wiping a file would not wipe the disk: journals, snapshots and flash keep older versions.
  [[nodiscard]] Result<void> check_wipe(const os::MemoryOptions& options) const {
    if (!options.zero_on_close || !is_file()) return {};
    return make_error(Code::invalid_argument,
                      "zeroOnClose is for memory, and '" + title_ +
                          "' is a file: its disk keeps older versions; use a name or a "
                          "NamelessSegment for what must not stay");
  }
  // Overwrites all of it with zeroes. In pieces, so that no address space is needed for the whole.
  static void wipe(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    constexpr std::uint64_t piece = std::uint64_t{16} << 20U;
    for (std::uint64_t offset = 0; offset < size; offset += piece) {
      auto mapped = os::map_shared(fd, offset, std::min(piece, size - offset), {});
      if (mapped.ok()) os::wipe(mapped.value()->data(), mapped.value()->size());
    }
  }

  // The segment is never stale: what it holds is for whoever comes next.
  [[nodiscard]] bool outlives_processes() const noexcept { return is_file(); }

 private:
  enum class Kind { name, nameless, file };

  [[nodiscard]] Result<void> fits_sealed(int fd, std::uint64_t bytes) const {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return system_error("fstat", errno, title_);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size == bytes || !os::size_is_sealed(fd)) return {};
    return make_error(Code::geometry,
                      "'" + title_ + "' was sized for " + std::to_string(size) +
                          " bytes, not for the " + std::to_string(bytes) +
                          " needed now, and the size of nameless memory is final; use a new "
                          "NamelessSegment",
                      title_);
  }

  Kind kind_ = Kind::name;
  std::string title_;
  std::string object_;     // of a name: what the system calls it,
  std::string path_;       // and where a person finds that
  int given_ = -1;         // of what is nameless
  std::string temporary_;  // of a file that is being made, where it needs one
  bool unpublished_ = false;
};

}  // namespace millrace
