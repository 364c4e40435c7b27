// Named shared-memory objects: create, open, size and judge them. Each step that can fail names its
// system call; nothing half-made is left behind.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "../result.hpp"
#include "clock.hpp"
#include "descriptor.hpp"
#include "place.hpp"

namespace millrace::os {

static_assert(sizeof(off_t) == 8, "compile with -D_FILE_OFFSET_BITS=64");

[[nodiscard]] inline std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}

enum class Access { read_only, read_write };

// The platform's part, in <platform>/allocate.hpp:
// Is it what shm_open makes, and no FIFO, directory or device?
[[nodiscard]] inline bool is_object(const struct stat& status) noexcept;
// Whose is what lies under that name, also if it may not be opened? Nothing if the system does not tell.
[[nodiscard]] inline std::optional<uid_t> owner_of_object(const std::string& object_name) noexcept;

inline Error another_users(const std::string& path, uid_t owner, uid_t expected_owner) {
  return make_error(Code::not_ours,
                    "'" + path + "' belongs to user " + std::to_string(owner) + ", not to " +
                        std::to_string(expected_owner) +
                        "; choose another name, or pass { owner } if that user is to be trusted",
                    path);
}

inline Error in_our_way(const std::string& object_name, const char* what) {
  return make_error(Code::not_ours,
                    std::string("'") + object_path(object_name) + "' is " +
                        what +  // not "'" +: GCC bug 105651
                        "; remove it, somebody put it in our way",
                    object_path(object_name));
}

// Fails with not_found if there is none, with not_ours if it is no shared memory at all. `object_name`
// has no leading slash. Never waits for what somebody may have put there. `status` becomes what `ask(fd, status)` says of it.
template <typename Ask>
Result<Descriptor> open_object(const std::string& object_name, Access access, struct stat& status,
                               Ask&& ask) {
  const std::string posix_name = "/" + object_name;
  const int flags = (access == Access::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW |
                    kOpenWithoutWaiting;
  // Whoever looks whether it is the only one on an object keeps others out for microseconds (ExclusiveLease).
  const Deadline patience = Deadline::after(1'000'000'000);
  Descriptor fd;
  for (;;) {
    fd = Descriptor(retry_eintr([&] { return ::shm_open(posix_name.c_str(), flags, 0); }));
    if (fd || errno != EWOULDBLOCK || patience.passed()) break;
    sleep_ns(100'000);
  }
  if (!fd) {
    if (errno == ELOOP) return in_our_way(object_name, "a symbolic link");
    // glibc turns EISDIR into EINVAL. The name itself is valid.
    if (errno == EISDIR || errno == EINVAL) return in_our_way(object_name, "a directory");
    if (errno == ENXIO) return in_our_way(object_name, "a FIFO, socket or device");
    return object_error("shm_open", errno, object_path(object_name));
  }
  if (!ask(fd.get(), status)) {
    return system_error("fstat", errno, object_path(object_name));
  }
  if (!is_object(status)) return in_our_way(object_name, "no shared memory");
  return fd;
}
inline Result<Descriptor> open_object(const std::string& object_name, Access access) {
  struct stat status {};
  return open_object(object_name, access, status,
                     [](int fd, struct stat& of) noexcept { return ::fstat(fd, &of) == 0; });
}

// What to say when an object could not be opened: if it is somebody else's, that, and whose.
inline Error explain_refusal(Error error, const std::string& object_name, uid_t expected_owner) {
  if (error.code != Code::permission) return error;
  const auto owner = owner_of_object(object_name);
  if (!owner || *owner == expected_owner) return error;
  return another_users(object_path(object_name), *owner, expected_owner);
}

// Fails with exists if there is one already. set_object_mode() makes the mode independent of the umask.
inline Result<Descriptor> create_object(const std::string& object_name, mode_t mode) {
  const std::string posix_name = "/" + object_name;
  const int fd = retry_eintr([&] {
    return ::shm_open(posix_name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  });
  if (fd < 0) return object_error("shm_open", errno, object_path(object_name));
  return Descriptor(fd);
}

// Does the path still lead to the object or file of `fd`?
[[nodiscard]] inline bool leads_to(const std::string& path, int fd) noexcept {
  struct stat mine {};
  struct stat there {};
  return ::fstat(fd, &mine) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

inline void unlink_object(const std::string& object_name) noexcept {
  const std::string posix_name = "/" + object_name;
  (void)::shm_unlink(posix_name.c_str());
}

// True if there was one.
inline Result<bool> remove_object(const std::string& object_name) {
  const std::string posix_name = "/" + object_name;
  if (::shm_unlink(posix_name.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return system_error("shm_unlink", errno, object_path(object_name));
}

inline std::string octal(mode_t mode) {
  char text[16];
  (void)std::snprintf(text, sizeof text, "0%o", static_cast<unsigned>(mode));
  return text;
}

// Refuses modes that give the world access or the owner too little. Returns the mode itself.
inline Result<mode_t> check_mode(unsigned mode) {
  if (mode != 0600 && mode != 0640 && mode != 0660) {
    return make_error(
        Code::invalid_argument,
        "mode " + octal(static_cast<mode_t>(mode)) +
            " is refused; use 0600, or 0640 or 0660 to let a group in (never the world)");
  }
  return static_cast<mode_t>(mode);
}

struct ObjectFacts {
  std::uint64_t size = 0;      // bytes; macOS rounds up to whole pages
  std::uint64_t identity = 0;  // see is_recorded_object()
  uid_t owner = 0;
  gid_t group = 0;
  mode_t mode = 0;
};

// The platform's part, in <platform>/allocate.hpp; `path` is for messages:
// The size, in bytes, that an object has after allocate_object() with `asked`.
[[nodiscard]] inline std::uint64_t allocated_size(std::uint64_t asked) noexcept;
// What tells an object from another one of the same name; 0 if the system tells nothing.
[[nodiscard]] inline std::uint64_t object_identity(const struct stat& status) noexcept;
// Is this the object that was recorded with that identity and that size (in bytes)?
[[nodiscard]] inline bool is_recorded_object(const ObjectFacts& facts, std::uint64_t identity,
                                             std::uint64_t size) noexcept;

inline Result<ObjectFacts> inspect_object(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error("fstat", errno, path);
  return ObjectFacts{static_cast<std::uint64_t>(status.st_size), object_identity(status),
                     status.st_uid, status.st_gid, static_cast<mode_t>(status.st_mode & 07777)};
}

// An object is ours if the expected user owns it and its rights are no wider than asked for.
inline Result<void> check_ours(const ObjectFacts& facts, uid_t expected_owner, mode_t widest,
                               const std::string& path) {
  if (facts.owner != expected_owner) return another_users(path, facts.owner, expected_owner);
  if ((facts.mode & 07777 & ~widest) != 0) {
    return make_error(Code::not_ours,
                      "'" + path + "' has mode " + octal(facts.mode) +
                          ", wider than the expected " + octal(widest) +
                          "; remove it, or pass { mode } if its group is to be trusted",
                      path);
  }
  return {};
}

}  // namespace millrace::os

#if defined(__linux__)
#include "linux/allocate.hpp"
#elif defined(__APPLE__)
#include "darwin/allocate.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
