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
// new can ring there by name. An id says which process made it, and the system shows what that process
// has open: who finds nobody under the name rings there (open_lost_bell), and the owner, told by an odd
// byte, makes its doorbell anew under the same name (renew). Where processes cannot be looked at (another
// user's, another pid namespace), the owner finds the loss itself when it looks after two seconds.
// An id that a liar made up leads nowhere: it costs a bounded number of looks, and wakes nobody.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "../crash_point.hpp"
#include "../result.hpp"
#include "clock.hpp"
#include "descriptor.hpp"
#include "directory.hpp"
#include "identity.hpp"
#include "lost_bell.hpp"
#include "place.hpp"
#include "quiet_pipe.hpp"

namespace millrace::os {

// The low bits of an id are random, and the lowest is set: 0 means "no doorbell". Those above are the
// number of the process that made it: a hint where to look for one that lost its name, and no more.
inline constexpr unsigned kBellPidShift = 42;
[[nodiscard]] inline std::uint64_t new_bell_id() noexcept {
  constexpr std::uint64_t random_bits = (1ULL << kBellPidShift) - 1;
  return static_cast<std::uint64_t>(::getpid()) << kBellPidShift | (random_u64() & random_bits) |
         1U;
}
[[nodiscard]] inline pid_t pid_of_bell(std::uint64_t id) noexcept {
  return static_cast<pid_t>(id >> kBellPidShift);
}

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
    bell.id_ = new_bell_id();
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
  // who rings there opens the new one. On failure everything is as before. Not often, for that reason.
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
      const std::string unfinished = unfinished_bell_path(id);
      if (::mkfifo(unfinished.c_str(), 0600) != 0) {
        return object_error("mkfifo", errno, unfinished);
      }
      auto made = open_unfinished(unfinished, trust);
      if (made.ok() && ::rename(unfinished.c_str(), path.c_str()) != 0) {
        made = system_error("rename", errno, path);
      }
      if (made.ok()) {
        MILLRACE_CRASH_POINT("doorbell.create.named");
        return made;
      }
      ::unlink(unfinished.c_str());
      if (made.error().number != ENOENT || attempt == kAttempts) return made;
    }
  }
  static Result<Descriptor> open_unfinished(const std::string& path, const BellTrust& trust) {
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
    // Nor is what somebody has put in its place ours to remove.
    if (id_ != 0 && owner_pid_ == ::getpid() && has_name()) ::unlink(doorbell_path(id_).c_str());
    id_ = 0;
    fd_.reset();
  }

  std::uint64_t id_ = 0;
  BellTrust trust_;
  pid_t owner_pid_ = 0;
  Descriptor fd_;
};

// Has this process, or the system, no descriptors or memory left? That says nothing about who is at the
// other end.
[[nodiscard]] inline bool is_starvation(int number) noexcept {
  return number == EMFILE || number == ENFILE || number == ENOMEM;
}

// Is it a FIFO of somebody we trust, that may be rung?
[[nodiscard]] inline bool is_trusted_bell(int fd, const BellTrust& trust) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) return false;
  const bool known_user = status.st_uid == ::geteuid() || status.st_uid == trust.owner;
  const bool known_group = trust.group_allowed && status.st_gid == trust.group;
  if (!known_user && !known_group) return false;
  return (status.st_mode & 0007) == 0 && make_quiet(fd);
}

// The write end of a peer's doorbell. Empty: its owner is gone (or it never was ours), and ringing is
// pointless; or, if `starved`, it could not be told.
struct OpenedBell {
  Descriptor fd;
  bool starved = false;
};
[[nodiscard]] inline OpenedBell look_for_bell(std::uint64_t id, const BellTrust& trust) {
  if (id == 0) return {};
  const std::string path = doorbell_path(id);
  OpenedBell opened;
  opened.fd = Descriptor(retry_eintr(
      [&] { return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW); }));
  if (!opened.fd) opened.starved = is_starvation(errno);
  if (opened.fd && !is_trusted_bell(opened.fd.get(), trust)) opened.fd.reset();
  return opened;
}
[[nodiscard]] inline Descriptor open_bell(std::uint64_t id, const BellTrust& trust) {
  return look_for_bell(id, trust).fd;
}

// Removes the FIFO of a dead owner: nobody reads it any more. Never one that is in use: a process that is being killed may have lost its
// locks and have this open still, and then it stays for the next sweep_dead_bells().
inline void remove_dead_bell(std::uint64_t id) noexcept {
  if (id == 0) return;
  const std::string path = doorbell_path(id);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISFIFO(status.st_mode)) return;
  if ((status.st_mode & 0007) != 0) return;  // none that millrace made
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
  // What cannot be told for want of descriptors is left alone.
  if (fd || is_starvation(errno)) return BellState::in_use;
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

enum class Heard {
  yes,
  no,       // the owner of that doorbell is gone, or it has lost its name and cannot be found
  unknown,  // no descriptor could be had to ring with: the duty to wake is still owed
};

// Write ends of the peers rung most recently. Bounded, so that descriptors do not grow with peers.
class BellRinger {
 public:
  // Keeps a descriptor in reserve, so that a process that has none left can ring even whom it has never
  // rung before. Costs one for each ringer: for those that ring for many channels.
  void keep_reserve() noexcept {
    reserves_ = true;
    refill_reserve();
  }

  Heard ring(std::uint64_t id, std::uint64_t token, const BellTrust& trust) {
    // Twice: whoever renews a doorbell hangs up on those who knew the old one.
    for (int attempt = 0; attempt < 2; ++attempt) {
      const Line* line = find(id);
      if (line == nullptr) {
        refill_reserve();
        OpenedBell opened = look_for_bell(id, trust);
        if (opened.starved) return ring_with_reserve(id, token, trust);
        if (!opened.fd) break;
        line = &keep(id, std::move(opened.fd), false);
      }
      if (ring_line(*line, token)) return Heard::yes;
      forget(id);
    }
    return ring_lost(id, token, trust);
  }

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
    bool lost = false;  // has no name: its owner does not know that
  };
  Line* find(std::uint64_t id) noexcept {
    for (Line& line : lines_) {
      if (line.id == id && line.fd) return &line;
    }
    return nullptr;
  }
  const Line& keep(std::uint64_t id, Descriptor fd, bool lost) noexcept {
    Line& line = lines_[next_++ % lines_.size()];
    line.id = id;
    line.fd = std::move(fd);
    line.lost = lost;
    return line;
  }
  // False: its owner is gone.
  static bool ring_line(const Line& line, std::uint64_t token) noexcept {
    MILLRACE_CRASH_POINT("doorbell.ring.opened");
    if (!line.lost) return ring_bell(line.fd.get(), token) != RingResult::dead;
    return quiet_write(line.fd.get(), "", 1) == 1 || errno != EPIPE;  // no whole token: see drain()
  }
  // What is opened in place of the reserve is not kept, so that there is one again for the next ring.
  Heard ring_with_reserve(std::uint64_t id, std::uint64_t token, const BellTrust& trust) {
    if (!reserve_) return Heard::unknown;
    reserve_.reset();
    OpenedBell opened = look_for_bell(id, trust);  // another thread may have been quicker
    Heard heard = opened.starved ? Heard::unknown : Heard::no;
    if (opened.fd && ring_bell(opened.fd.get(), token) != RingResult::dead) heard = Heard::yes;
    opened.fd.reset();
    refill_reserve();
    return heard;
  }
  void refill_reserve() noexcept {
    if (reserves_ && !reserve_) reserve_ = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  // Nobody is there under that name.
  Heard ring_lost(std::uint64_t id, std::uint64_t token, const BellTrust& trust) {
    // Whoever names ever new doorbells that do not exist cannot keep us busy.
    if (id == 0 || !searches_.take()) return Heard::no;
    Descriptor fd = open_lost_bell(pid_of_bell(id), doorbell_path(id));
    if (!fd || !is_trusted_bell(fd.get(), trust)) return Heard::no;
    return ring_line(keep(id, std::move(fd), true), token) ? Heard::yes : Heard::no;
  }

  std::array<Line, 16> lines_;
  std::size_t next_ = 0;
  Allowance searches_{16, 100'000'000};
  Descriptor reserve_;
  bool reserves_ = false;
};

}  // namespace millrace::os
