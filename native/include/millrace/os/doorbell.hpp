// The wake-up for a peer that sleeps in an event loop: a FIFO per environment, beside the segments.
// Truth is in shared memory; a ring only says "look". A token of 8 bytes says at which channel, so one
// descriptor serves all channels of an environment. A ring that is lost, doubled or forged is harmless:
//   - the FIFO is full: it holds thousands of rings, and its reader looks at everything after such a read;
//   - a token nobody knows is dropped by its reader;
//   - bytes that are no multiple of a token make the reader look at everything.
// The FIFO's read end closes when its owner dies: POLLERR on the write end is the death notice, where the
// system gives one (kHangUpIsHeard).
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "../result.hpp"
#include "descriptor.hpp"
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
    const std::string path = doorbell_path(bell.id_);
    if (::mkfifo(path.c_str(), 0600) != 0) return system_error("mkfifo", errno, path);
    bell.owner_pid_ = ::getpid();
    // Whatever the umask: without these rights not even we could open it.
    if (::chmod(path.c_str(), 0600) != 0) return system_error("chmod", errno, path);
    // Both ends in one descriptor: the FIFO never reports end-of-file to its owner.
    const int fd = retry_eintr(
        [&] { return ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW); });
    if (fd < 0) return system_error("open", errno, path);
    bell.fd_ = Descriptor(fd);
    if (trust.group_allowed) {
      if (::fchown(fd, static_cast<uid_t>(-1), trust.group) != 0) {
        return system_error("fchown", errno, path);
      }
      if (::fchmod(fd, 0660) != 0) return system_error("fchmod", errno, path);
    }
    return bell;
  }

  Doorbell() = default;
  Doorbell(Doorbell&& other) noexcept
      : id_(std::exchange(other.id_, 0)), owner_pid_(other.owner_pid_), fd_(std::move(other.fd_)) {}
  Doorbell& operator=(Doorbell&& other) noexcept {
    if (this != &other) {
      remove();
      id_ = std::exchange(other.id_, 0);
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
  void remove() noexcept {
    // A forked child that inherited this object must not take the parent's bell away.
    if (id_ != 0 && owner_pid_ == ::getpid()) ::unlink(doorbell_path(id_).c_str());
    id_ = 0;
    fd_.reset();
  }

  std::uint64_t id_ = 0;
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
  if (!fd && errno == ENXIO) ::unlink(path.c_str());
}

// Removes doorbells of this user that nobody reads any more, among the first `most` in the directory. A
// process that was killed leaves its own; who knew it removes it, and whoever makes a new one calls this.
inline void sweep_dead_bells(int most) {
  struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(doorbell_directory().c_str()));
  if (!directory) return;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  constexpr std::string_view prefix = "millrace.d.";
  for (int looked = 0; looked < most;) {
    const dirent* entry = ::readdir(directory.get());  // NOLINT(concurrency-mt-unsafe): own stream
    if (entry == nullptr) return;
    const std::string_view name = entry->d_name;
    if (name.size() != prefix.size() + 16 || !name.starts_with(prefix)) continue;
    ++looked;
    std::uint64_t id = 0;
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, id, 16);
    if (parsed.ec != std::errc{} || parsed.ptr != end) continue;
    struct stat status {};
    if (::lstat(doorbell_path(id).c_str(), &status) != 0 || status.st_uid != ::geteuid()) continue;
    // Its maker may not have opened it yet.
    constexpr time_t young_seconds = 10;
    if (now.tv_sec - status.st_ctime > young_seconds) remove_dead_bell(id);
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
  // False if the owner of that doorbell is gone.
  bool ring(std::uint64_t id, std::uint64_t token, const BellTrust& trust) {
    Line* line = find(id);
    if (line == nullptr) {
      Descriptor fd = open_bell(id, trust);
      if (!fd) return false;
      line = &lines_[next_++ % lines_.size()];
      line->id = id;
      line->fd = std::move(fd);
    }
    if (ring_bell(line->fd.get(), token) != RingResult::dead) return true;
    forget(id);
    return false;
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
  };
  Line* find(std::uint64_t id) noexcept {
    for (Line& line : lines_) {
      if (line.id == id && line.fd) return &line;
    }
    return nullptr;
  }

  std::array<Line, 16> lines_;
  std::size_t next_ = 0;
};

}  // namespace millrace::os
