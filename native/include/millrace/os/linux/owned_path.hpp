// A path that a socket of ours is bound to, and the file <path>.lock beside it that says so: whoever holds
// its lock owns the path. Both may lie anywhere, among files of anybody: nothing is taken over or removed
// that is not proven to be ours.
//
//   <path>.lock   ours if it is a file of this user, of mode 0600, and begins with the words that are written
//                 into it before it has its name. Its last owner removes it, while it holds the lock.
//   <path>        what lies there is what a dead owner left if the lock file names that very socket (or says
//                 that one was about to be bound), and nobody listens at it.
//
// The directory is kept open: it does not matter what becomes of its name, or of the working directory.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "../../crash_point.hpp"
#include "../../result.hpp"
#include "../clock.hpp"
#include "../directory.hpp"
#include "../file.hpp"
#include "../file_lock.hpp"

namespace millrace::os {

// What a path and its lock file look like from outside.
enum class PathState {
  gone,     // there is neither
  owned,    // somebody who lives holds the lock
  young,    // the lock file was just made, and nobody has its lock yet
  left,     // by a dead owner
  unbound,  // likewise, and it died before the socket had its name, or after it was removed
  foreign,  // something else lies there
};

class OwnedPath {
 public:
  // A hint, and out of date at once: no lock is taken. `status` is that of the socket, or of the lock file if there is
  // none.
  static PathState look_at(const std::string& path, struct stat& status) noexcept {
    const Descriptor lock_file(retry_eintr([&] {
      return ::open((path + ".lock").c_str(),
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    }));
    const bool is_unlocked = !lock_file && errno == ENOENT;
    const bool is_there = ::lstat(path.c_str(), &status) == 0;
    if (is_unlocked) return is_there ? PathState::foreign : PathState::gone;
    if (!lock_file) {
      const bool known = is_there || ::lstat((path + ".lock").c_str(), &status) == 0;
      return known ? PathState::foreign : PathState::gone;
    }
    struct stat of_lock {};
    (void)::fstat(lock_file.get(), &of_lock);
    if (!is_there) status = of_lock;
    const auto named = read(lock_file.get());
    if (!named) return PathState::foreign;
    auto lock = FileLock::within(lock_file.get());
    if (!lock.ok() || lock.value().held_by_other(0, 1)) return PathState::owned;
    if (is_there) {
      const bool is_ours = S_ISSOCK(status.st_mode) && status.st_uid == ::geteuid() &&
                           (*named == Socket{} || *named == socket_of(status));
      return is_ours ? PathState::left : PathState::foreign;
    }
    return is_older_than_a_moment(of_lock) ? PathState::unbound : PathState::young;
  }

  // Fails with exists if somebody owns it or something lies there that is not ours, with not_ours if the
  // file that lies in the place of the lock is not.
  static Result<OwnedPath> take(const std::string& path, const sockaddr_un& address) {
    OwnedPath self;
    if (auto found = self.find_directory(path); !found.ok()) return found.error();
    if (auto locked = self.lock(Missing::make); !locked.ok()) return locked.error();
    if (auto cleared = self.clear(address); !cleared.ok()) return cleared.error();
    if (!self.write({})) return system_error("write", errno, self.lock_path());
    return self;
  }
  // Removes what a dead owner left. False: somebody owns it again, or it is not ours.
  static bool sweep(const std::string& path, const sockaddr_un& address) {
    OwnedPath self;  // which removes the lock file in the end
    return self.find_directory(path).ok() && self.lock(Missing::leave).ok() &&
           self.clear(address).ok();
  }

  OwnedPath() = default;
  OwnedPath(OwnedPath&&) noexcept = default;
  OwnedPath& operator=(OwnedPath&& other) noexcept {
    if (this != &other) {
      give_up();
      path_ = std::move(other.path_);
      file_ = std::move(other.file_);
      directory_ = std::move(other.directory_);
      lock_file_ = std::move(other.lock_file_);
      lock_ = std::move(other.lock_);
      found_ = other.found_;
      bound_ = std::exchange(other.bound_, Socket{});
    }
    return *this;
  }
  OwnedPath(const OwnedPath&) = delete;
  OwnedPath& operator=(const OwnedPath&) = delete;
  ~OwnedPath() { give_up(); }

  // A socket was bound to the path: it is the one that is removed in the end.
  Result<void> note_bound() {
    auto there = look(file_);
    if (!there) return system_error("fstatat", errno, path_);
    bound_ = socket_of(*there);
    if (!write(bound_)) return system_error("write", errno, lock_path());
    return {};
  }

 private:
  static constexpr std::string_view kWords = "millrace offer\n";
  static constexpr std::size_t kMostBytes = 96;
  // Of the lock file: the owner has byte 0; a sweep has that for a moment, and says so with this one.
  static constexpr off_t kSweptByte = 1;
  static constexpr std::uint64_t kPatienceNs = 1'000'000'000;
  // A sweep may end between the two looks: so often nobody swept, and the owner was there.
  static constexpr int kRefusals = 40;

  struct Socket {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const Socket&) const = default;
  };
  static Socket socket_of(const struct stat& status) noexcept {
    return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
  }

  // What becomes of a lock file that is not there.
  enum class Missing { make, leave };

  Result<void> find_directory(const std::string& path) {
    path_ = path;
    const std::size_t slash = path.rfind('/');
    file_ = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    directory_ = Descriptor(
        retry_eintr([&] { return ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }));
    if (!directory_) return system_error("open", errno, directory);
    return {};
  }
  [[nodiscard]] std::string lock_path() const { return path_ + ".lock"; }
  [[nodiscard]] std::string lock_name() const { return file_ + ".lock"; }
  // What lies under that name of the directory.
  [[nodiscard]] std::optional<struct stat> look(const std::string& name) const noexcept {
    struct stat status {};
    if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return std::nullopt;
    }
    return status;
  }

  // The socket that a lock file names; one that is all zeroes: none yet. Nothing if it is no lock file of
  // ours.
  static std::optional<Socket> read(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid() ||
        (status.st_mode & 07777) != 0600) {
      return std::nullopt;
    }
    std::array<char, kMostBytes + 1> bytes{};
    const ssize_t got = retry_eintr([&] { return ::pread(fd, bytes.data(), bytes.size(), 0); });
    if (got < 0 || static_cast<std::size_t>(got) > kMostBytes) return std::nullopt;
    const std::string_view text(bytes.data(), static_cast<std::size_t>(got));
    if (!text.starts_with(kWords)) return std::nullopt;
    Socket socket;
    if (text == kWords) return socket;
    char* end = bytes.data() + kWords.size();
    socket.device = std::strtoull(end, &end, 10);
    socket.inode = std::strtoull(end, &end, 10);
    if (end != bytes.data() + text.size() - 1 || *end != '\n') return std::nullopt;
    return socket;
  }
  [[nodiscard]] static std::string text_of(const Socket& socket) {
    std::string text(kWords);
    if (socket == Socket{}) return text;
    return text + std::to_string(socket.device) + " " + std::to_string(socket.inode) + "\n";
  }
  [[nodiscard]] bool write(const Socket& socket) const noexcept {
    return write_to(lock_file_.get(), text_of(socket));
  }
  // Whoever dies in between leaves what names no socket, or names it as a whole: a page is written at once.
  static bool write_to(int fd, const std::string& text) noexcept {
    const ssize_t put = retry_eintr([&] { return ::pwrite(fd, text.data(), text.size(), 0); });
    return put == static_cast<ssize_t>(text.size()) &&
           ::ftruncate(fd, static_cast<off_t>(text.size())) == 0;
  }

  [[nodiscard]] Error not_ours() const {
    return make_error(Code::not_ours,
                      "'" + lock_path() +
                          "' is where the lock of an offer belongs, and was not made by millrace; "
                          "choose another path, or remove it if nobody needs it",
                      lock_path());
  }
  Result<void> lock(Missing missing) {
    Socket made;  // the lock file that this made
    const Deadline patience = Deadline::after(kPatienceNs);
    int refusals = 0;
    for (;;) {
      Descriptor file(retry_eintr([&] {
        return ::openat(directory_.get(), lock_name().c_str(),
                        O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
      }));
      if (!file) {
        if (errno == ELOOP || errno == EISDIR || errno == ENXIO || errno == EACCES) {
          return not_ours();
        }
        if (errno != ENOENT || missing == Missing::leave)
          return system_error("open", errno, lock_path());
        auto fresh = make_lock_file();
        if (fresh.ok()) made = fresh.value();
        if (!fresh.ok() && fresh.error().code != Code::exists) return fresh.error();
        continue;
      }
      if (!read(file.get())) return not_ours();
      auto lock = FileLock::within(file.get());
      if (!lock.ok()) return lock.error();
      if (missing == Missing::leave) (void)lock.value().try_shared(kSweptByte);
      if (!lock.value().try_exclusive(0)) {
        // Whoever sweeps has it for microseconds, or as long as the system lets it stand.
        const bool is_swept = lock.value().held_by_other(kSweptByte, 1);
        if (is_swept ? !patience.passed() : ++refusals < kRefusals) {
          sleep_ns(50'000);
          continue;
        }
        return make_error(
            Code::exists,
            "another process offers segments at '" + path_ + "'; choose another path, or end it",
            path_);
      }
      MILLRACE_CRASH_POINT("offer.own.locked");
      // Its last owner removes it while it holds the lock.
      const auto there = look(lock_name());
      struct stat mine {};
      if (!there || ::fstat(file.get(), &mine) != 0 || socket_of(*there) != socket_of(mine)) {
        continue;
      }
      found_ = socket_of(mine) != made;
      lock_ = lock.take();
      lock_file_ = std::move(file);
      return {};
    }
  }
  // It is ours from the instant it can be seen.
  [[nodiscard]] Result<Socket> make_lock_file() const {
    auto fresh = create_fresh_file(lock_path(), 0600);
    if (!fresh.ok()) return fresh.error();
    const FreshFile file = fresh.take();
    if (!write_to(file.fd.get(), std::string(kWords))) {
      const int number = errno;
      if (!file.temporary.empty()) (void)::unlink(file.temporary.c_str());
      return system_error("write", number, lock_path());
    }
    struct stat status {};
    if (::fstat(file.fd.get(), &status) != 0) return system_error("fstat", errno, lock_path());
    auto named = name_fresh_file(file.fd.get(), file.temporary, lock_path());
    if (!named.ok()) return named.error();
    return socket_of(status);
  }

  // Under the lock. Removes the socket that a dead owner left.
  Result<void> clear(const sockaddr_un& address) {
    const auto there = look(file_);
    if (!there) return {};
    const auto named = read(lock_file_.get());
    const bool left = named && ((found_ && *named == Socket{}) || *named == socket_of(*there)) &&
                      S_ISSOCK(there->st_mode) && there->st_uid == ::geteuid() &&
                      nobody_listens(address);
    if (!left) {
      return make_error(Code::exists,
                        "'" + path_ +
                            "' exists and is no socket that an offer of ours left; choose another "
                            "path, or remove it if nobody needs it",
                        path_);
    }
    if (::unlinkat(directory_.get(), file_.c_str(), 0) != 0) {
      return system_error("unlink", errno, path_);
    }
    return {};
  }
  [[nodiscard]] static bool nobody_listens(const sockaddr_un& address) noexcept {
    const Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    return socket && ::connect(socket.get(), name, sizeof address) != 0 && errno == ECONNREFUSED;
  }

  // Removes what is there still, and is what we made.
  void give_up() noexcept {
    if (!lock_file_) return;
    if (bound_ != Socket{}) {
      const auto there = look(file_);
      if (there && socket_of(*there) == bound_)
        (void)::unlinkat(directory_.get(), file_.c_str(), 0);
    }
    MILLRACE_CRASH_POINT("offer.close.unlinked");
    const auto there = look(lock_name());
    struct stat mine {};
    if (there && ::fstat(lock_file_.get(), &mine) == 0 && socket_of(*there) == socket_of(mine) &&
        read(lock_file_.get())) {
      (void)::unlinkat(directory_.get(), lock_name().c_str(), 0);  // before the lock goes with it
    }
    // Not by closing alone: a child that this process is just starting has the descriptor, too, until it runs its program.
    lock_.unlock_all();
    lock_file_.reset();
  }

  std::string path_;  // for messages, and while it is being taken
  std::string file_;  // in the directory
  Descriptor directory_;
  Descriptor lock_file_;
  FileLock lock_;
  bool found_ = true;  // was the lock file there before us?
  Socket bound_;
};

}  // namespace millrace::os
