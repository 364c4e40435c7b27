// The wake-up for a peer that sleeps in an event loop: a FIFO per environment, beside the segments.
// Truth is in shared memory; a ring only says "look". A token of 8 bytes says at which channel, so one
// descriptor serves all channels of an environment. A ring that is lost, doubled or forged is harmless:
//   - the FIFO is full: it holds thousands of rings, and its reader looks at everything after such a read;
//   - a token nobody knows is dropped by its reader;
//   - bytes that are no multiple of a token make the reader look at everything.
// The FIFO's read end closes when its owner dies: POLLERR on the write end is the death notice, where the
// system gives one (kHangUpIsHeard).
//
// A FIFO gets its name when its read end is open. So one without a reader has a dead owner, at every
// instant, and whoever finds it may remove it; ids are random and never used again.
//
// Somebody else may remove a name while its owner sleeps (systemd does when a user logs out). Then nobody
// new can ring there. Who wants to and cannot, hangs up its own doorbell and makes it anew (renew): the
// sleeper watches that one for its owner's death, is woken by the hang-up instead, and renews its own.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "../crash_point.hpp"
#include "../result.hpp"
#include "descriptor.hpp"
#include "directory.hpp"
#include "identity.hpp"
#include "place.hpp"
#include "quiet_pipe.hpp"

namespace millrace::os {

// Every doorbell is named after its random id; an id read from shared memory can therefore lead to
// nothing but a FIFO of ours (or to nothing at all).
[[nodiscard]] inline std::string doorbell_path(std::uint64_t id) {
  std::array<char, 40> name{};
  (void)std::snprintf(name.data(), name.size(), "/millrace.d.%016llx",
                      static_cast<unsigned long long>(id));
  return doorbell_directory() + name.data();
}

// Its name while it is being made.
inline constexpr std::string_view kUnfinishedBell = ".new";
[[nodiscard]] inline std::string unfinished_bell_path(std::uint64_t id) {
  return doorbell_path(id).append(kUnfinishedBell);
}

// Who may own a doorbell we ring: ourselves, the owner of the segment, or, for a segment that is open to
// a group, any member whose FIFO is given to that group.
struct BellTrust {
  uid_t owner = 0;
  gid_t group = 0;
  bool group_allowed = false;
};

class Doorbell {
 public:
  // `group_allowed` makes it 0660 and gives it to `group`.
  static Result<Doorbell> create(const BellTrust& trust) {
    Doorbell bell;
    bell.id_ = random_u64() | 1U;  // 0 means "no doorbell"
    bell.trust_ = trust;
    auto made = make(bell.id_, trust);
    if (!made.ok()) return made.error();
    bell.fd_ = made.take();
    bell.owner_pid_ = ::getpid();
    return bell;
  }

  Doorbell() = default;
  Doorbell(Doorbell&& other) noexcept
      : id_(std::exchange(other.id_, 0)),
        trust_(other.trust_),
        owner_pid_(other.owner_pid_),
        fd_(std::move(other.fd_)) {}
  Doorbell& operator=(Doorbell&& other) noexcept {
    if (this != &other) {
      remove();
      id_ = std::exchange(other.id_, 0);
      trust_ = other.trust_;
      owner_pid_ = other.owner_pid_;
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;
  ~Doorbell() { remove(); }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] explicit operator bool() const noexcept { return id_ != 0; }

  // Does its name still lead here?
  [[nodiscard]] bool has_name() const noexcept {
    struct stat mine {};
    struct stat there {};
    return ::fstat(fd_.get(), &mine) == 0 && ::lstat(doorbell_path(id_).c_str(), &there) == 0 &&
           mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
  }
  // A new FIFO under the old name and id; the owner is rung at once and looks at everything. Returns the
  // read end that nobody rings any more. Closing it hangs up on those who knew it: who watches it looks,
  // who rings there opens the new one. On failure everything is as before.
  [[nodiscard]] Result<Descriptor> renew() {
    auto made = make(id_, trust_);
    if (!made.ok()) return made.error();
    Descriptor old = std::exchange(fd_, made.take());
    (void)!::write(fd_.get(), "", 1);  // no whole token: see drain()
    return old;
  }

  // Takes all rings out and calls token(t) for each. Returns true if rings may be missing, so that the
  // caller must look at everything.
  template <typename OnToken>
  [[nodiscard]] bool drain(OnToken&& token) const {
    std::array<std::uint64_t, 512> buffer;
    std::size_t total = 0;
    bool broken = false;
    // Bounded: a peer that rings for ever cannot hold us.
    for (int round = 0; round < 64; ++round) {
      const ssize_t got =
          retry_eintr([&] { return ::read(fd_.get(), buffer.data(), sizeof buffer); });
      if (got <= 0) break;
      const auto bytes = static_cast<std::size_t>(got);
      if (bytes % sizeof(std::uint64_t) != 0) broken = true;
      for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); ++i)
        token(buffer[i]);
      total += bytes;
      if (bytes < sizeof buffer) break;
    }
    // PIPE_BUF: the smallest pipe that an unprivileged user can get.
    constexpr std::size_t nearly_full = 4096;
    return broken || total >= nearly_full;
  }

 private:
  // Whoever is stopped before the rename may find the FIFO swept as left behind, and makes another one.
  static constexpr int kAttempts = 100;

  // A FIFO, its read end open, under its final name.
  static Result<Descriptor> make(std::uint64_t id, const BellTrust& trust) {
    const std::string path = doorbell_path(id);
    for (int attempt = 1;; ++attempt) {
      auto made = make_unfinished(unfinished_bell_path(id), trust);
      if (made.ok() && ::rename(unfinished_bell_path(id).c_str(), path.c_str()) != 0) {
        made = system_error("rename", errno, path);
      }
      if (made.ok()) {
        MILLRACE_CRASH_POINT("doorbell.create.named");
        return made;
      }
      ::unlink(unfinished_bell_path(id).c_str());
      if (made.error().number != ENOENT || attempt == kAttempts) return made;
    }
  }
  static Result<Descriptor> make_unfinished(const std::string& path, const BellTrust& trust) {
    if (::mkfifo(path.c_str(), 0600) != 0) return system_error("mkfifo", errno, path);
    MILLRACE_CRASH_POINT("doorbell.create.made");
    // Whatever the umask: without these rights not even we could open it.
    if (::chmod(path.c_str(), 0600) != 0) return system_error("chmod", errno, path);
    // Both ends in one descriptor: the FIFO never reports end-of-file to its owner.
    Descriptor fd(retry_eintr(
        [&] { return ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW); }));
    if (!fd) return system_error("open", errno, path);
    MILLRACE_CRASH_POINT("doorbell.create.opened");
    if (trust.group_allowed) {
      if (::fchown(fd.get(), static_cast<uid_t>(-1), trust.group) != 0) {
        return system_error("fchown", errno, path);
      }
      if (::fchmod(fd.get(), 0660) != 0) return system_error("fchmod", errno, path);
    }
    return fd;
  }

  void remove() noexcept {
    // A forked child that inherited this object must not take the parent's bell away.
    MILLRACE_CRASH_POINT("doorbell.remove.begun");
    if (id_ != 0 && owner_pid_ == ::getpid()) ::unlink(doorbell_path(id_).c_str());
    id_ = 0;
    fd_.reset();
  }

  std::uint64_t id_ = 0;
  BellTrust trust_;
  pid_t owner_pid_ = 0;
  Descriptor fd_;
};

// Opens the write end of a peer's doorbell, after checking that it is a FIFO of somebody we trust.
// An empty descriptor: its owner is gone (or it never was ours), ringing is pointless.
[[nodiscard]] inline Descriptor open_bell(std::uint64_t id, const BellTrust& trust) {
  if (id == 0) return {};
  const std::string path = doorbell_path(id);
  Descriptor fd(retry_eintr(
      [&] { return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW); }));
  if (!fd) {
    return {};
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISFIFO(status.st_mode)) return {};
  const bool known_user = status.st_uid == ::geteuid() || status.st_uid == trust.owner;
  const bool known_group = trust.group_allowed && status.st_gid == trust.group;
  if (!known_user && !known_group) return {};
  if ((status.st_mode & 0007) != 0 || !make_quiet(fd.get())) return {};
  return fd;
}

// Removes the FIFO of a dead owner: nobody reads it any more. Never one that is in use.
inline void remove_dead_bell(std::uint64_t id) noexcept {
  if (id == 0) return;
  const std::string path = doorbell_path(id);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISFIFO(status.st_mode)) return;
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
  MILLRACE_CRASH_POINT("doorbell.bury.found");
  if (!fd && errno == ENXIO) ::unlink(path.c_str());
}

// What a file of the doorbell directory is, going by its name.
struct BellName {
  std::uint64_t id = 0;
  bool finished = false;
};
[[nodiscard]] inline std::optional<BellName> parse_bell_name(std::string_view file) noexcept {
  constexpr std::string_view prefix = "millrace.d.";
  constexpr std::size_t digits = 16;
  if (!file.starts_with(prefix)) return std::nullopt;
  file.remove_prefix(prefix.size());
  BellName name;
  const char* const end = file.data() + std::min(digits, file.size());
  const auto parsed = std::from_chars(file.data(), end, name.id, 16);
  if (parsed.ec != std::errc{} || parsed.ptr != file.data() + digits) return std::nullopt;
  file.remove_prefix(digits);
  name.finished = file.empty();
  if (!name.finished && file != kUnfinishedBell) return std::nullopt;
  return name;
}

enum class BellState {
  in_use,
  dead,     // nobody reads it any more
  young,    // being made, probably
  foreign,  // another user's, open to the world, or no FIFO
  gone,
};
// How the doorbell is whose file that is. Ringing takes no part in it: nothing is written.
[[nodiscard]] inline BellState look_at_bell(const BellName& name) {
  const std::string path = name.finished ? doorbell_path(name.id) : unfinished_bell_path(name.id);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return BellState::gone;
  if (!S_ISFIFO(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 0007) != 0) {
    return BellState::foreign;
  }
  const Descriptor fd(retry_eintr(
      [&] { return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW); }));
  if (fd) return BellState::in_use;
  if (errno == ENOENT) return BellState::gone;
  if (errno != ENXIO) return BellState::foreign;
  return name.finished || is_older_than_a_moment(status) ? BellState::dead : BellState::young;
}
// Removes it if it is dead: then nobody else can come to have that name.
inline bool sweep_bell(const BellName& name) {
  if (look_at_bell(name) != BellState::dead) return false;
  const std::string path = name.finished ? doorbell_path(name.id) : unfinished_bell_path(name.id);
  return ::unlink(path.c_str()) == 0;
}

// Removes doorbells of this user that nobody reads any more, among the first `most` in the directory. A
// process that was killed leaves its own; who knew it removes it, and whoever makes a new one calls this.
inline void sweep_dead_bells(int most) {
  Directory directory(doorbell_directory());
  for (int looked = 0; looked < most;) {
    const char* file = directory.next();
    if (file == nullptr) return;
    const auto name = parse_bell_name(file);
    if (!name) continue;
    ++looked;
    (void)sweep_bell(*name);
  }
}

enum class RingResult { rung, full, dead };

// `fd` comes from open_bell(). Never raises SIGPIPE.
inline RingResult ring_bell(int fd, std::uint64_t token) noexcept {
  const ssize_t written = quiet_write(fd, &token, sizeof token);
  if (written == static_cast<ssize_t>(sizeof token)) return RingResult::rung;
  return written < 0 && errno == EPIPE ? RingResult::dead : RingResult::full;
}

// Write ends of the peers rung most recently. Bounded, so that descriptors do not grow with peers.
class BellRinger {
 public:
  // False if nobody hears: the owner of that doorbell is gone, or its name is.
  bool ring(std::uint64_t id, std::uint64_t token, const BellTrust& trust) {
    // Twice: whoever renews a doorbell hangs up on those who knew the old one.
    for (int attempt = 0; attempt < 2; ++attempt) {
      Line* line = find(id);
      if (line == nullptr) {
        Descriptor fd = open_bell(id, trust);
        if (!fd) break;
        line = &lines_[next_++ % lines_.size()];
        line->id = id;
        line->fd = std::move(fd);
      }
      MILLRACE_CRASH_POINT("doorbell.ring.opened");
      if (ring_bell(line->fd.get(), token) != RingResult::dead) return true;
      forget(id);
    }
    if (unheard_) unheard_();
    return false;
  }
  // Called by ring() when nobody hears: a sleeper that is alive must be woken by other means.
  void on_unheard(std::function<void()> unheard) { unheard_ = std::move(unheard); }

  void forget(std::uint64_t id) noexcept {
    if (Line* line = find(id)) {
      line->id = 0;
      line->fd.reset();
    }
  }

 private:
  struct Line {
    std::uint64_t id = 0;
    Descriptor fd;
  };
  Line* find(std::uint64_t id) noexcept {
    for (Line& line : lines_) {
      if (line.id == id && line.fd) return &line;
    }
    return nullptr;
  }

  std::function<void()> unheard_;
  std::array<Line, 16> lines_;
  std::size_t next_ = 0;
};

}  // namespace millrace::os
