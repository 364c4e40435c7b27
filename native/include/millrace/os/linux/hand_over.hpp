// The two ends of a hand-over, on Linux. Sequenced packets: a message arrives whole or not at all.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "../../crash_point.hpp"
#include "../../hand_over.hpp"
#include "../../place.hpp"
#include "../nameless.hpp"
#include "owned_path.hpp"

namespace millrace {

inline bool AllowList::allows(const PeerIdentity& peer) const noexcept {
  const auto among = [](const std::vector<std::uint32_t>& list, std::uint32_t id) {
    return std::find(list.begin(), list.end(), id) != list.end();
  };
  const bool known = uids.empty() && gids.empty() ? peer.uid == ::geteuid()
                                                  : among(uids, peer.uid) || among(gids, peer.gid);
  return known && (pids.empty() || among(pids, static_cast<std::uint32_t>(peer.pid)));
}

namespace detail {

inline constexpr std::uint64_t kOfferMagic = 0x5245'4646'4F4C'494DULL;  // "MILOFFER"
inline constexpr std::uint32_t kOfferVersion = 1;

// Followed by `count` names, each a length byte and that many characters.
struct OfferHead {
  std::uint64_t magic = kOfferMagic;
  std::uint32_t version = kOfferVersion;
  std::uint32_t refused = 0;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(OfferHead) == 24);

inline constexpr std::size_t kMaxOfferBytes =
    sizeof(OfferHead) + kMaxOffered * (1 + layout::kNameMax);

inline std::string text_of(const PeerIdentity& peer) {
  return "process " + std::to_string(peer.pid) + " (uid " + std::to_string(peer.uid) + ", gid " +
         std::to_string(peer.gid) + ")";
}

inline Result<PeerIdentity> peer_of(int socket, const std::string& path) {
  struct ucred peer {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return system_error("getsockopt", errno, path);
  }
  return PeerIdentity{peer.uid, peer.gid, peer.pid};
}

inline Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos) {
    return make_error(Code::invalid_argument, "the path of a socket has 1 to " +
                                                  std::to_string(sizeof address.sun_path - 1) +
                                                  " bytes; '" + path + "' has " +
                                                  std::to_string(path.size()));
  }
  path.copy(address.sun_path, path.size());
  return address;
}

inline Result<os::Descriptor> packet_socket(const std::string& path) {
  os::Descriptor fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("socket", errno, path);
  return fd;
}

}  // namespace detail

// The offering end.
class Offer {
 public:
  static Result<std::unique_ptr<Offer>> open(const std::string& path, mode_t mode, AllowList allow,
                                             std::vector<OfferedSegment> segments) {
    if (auto fit = check(segments); !fit.ok()) return fit.error();
    auto opened = open(path, mode, std::move(allow));
    if (opened.ok()) opened.value()->compose(std::move(segments));
    return opened;
  }
  // For segments that are made for each peer: see greet().
  static Result<std::unique_ptr<Offer>> open(const std::string& path, mode_t mode,
                                             AllowList allow) {
    auto address = detail::address_of(path);
    if (!address.ok()) return address.error();
    std::unique_ptr<Offer> self(new Offer);
    self->path_ = path;
    auto owned = os::OwnedPath::take(path, address.value());
    if (!owned.ok()) return owned.error();
    self->owned_ = owned.take();
    auto made = detail::packet_socket(path);
    if (!made.ok()) return made.error();
    self->socket_ = made.take();
    // Until listen() nobody can connect, so the mode is right from the first connection on.
    const auto* name = reinterpret_cast<const sockaddr*>(&address.value());
    if (::bind(self->socket_.get(), name, sizeof address.value()) != 0) {
      return system_error("bind", errno, path);
    }
    MILLRACE_CRASH_POINT("offer.open.bound");
    if (auto noted = self->owned_.note_bound(); !noted.ok()) return noted.error();
    if (::chmod(path.c_str(), mode) != 0) return system_error("chmod", errno, path);
    MILLRACE_CRASH_POINT("offer.open.moded");
    if (::listen(self->socket_.get(), SOMAXCONN) != 0) return system_error("listen", errno, path);
    self->allow_ = std::move(allow);
    return self;
  }
  Offer(const Offer&) = delete;
  Offer& operator=(const Offer&) = delete;
  ~Offer() = default;  // removes the socket and its lock

  // To be watched: readable when somebody waits.
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }

  // Serves one peer that waits. Never blocks. `peer` tells who it was.
  Served serve(PeerIdentity& peer) {
    os::Descriptor line;
    const Served greeted = greet(peer, line);
    if (greeted != Served::served) return greeted;
    return send_all(line.get(), message_, fds_) ? Served::served : Served::failed;
  }

  // One peer that waits, judged: who is not allowed was told so; `line` leads to who is. Never blocks.
  Served greet(PeerIdentity& peer, os::Descriptor& line) {
    line = accept();
    if (!line && (errno == EMFILE || errno == ENFILE)) {
      // Out of descriptors: turn it away with the one in reserve, or it would keep us busy for ever.
      spare_.reset();
      line = accept();
      line.reset();
      spare_ = os::Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      return Served::failed;
    }
    if (!line) return errno == ECONNABORTED ? Served::failed : Served::nobody;
    auto known = detail::peer_of(line.get(), path_);
    if (!known.ok()) return Served::failed;
    peer = known.value();
    if (!allow_.allows(peer)) {
      detail::OfferHead head;
      head.refused = 1;
      (void)::send(line.get(), &head, sizeof head, MSG_NOSIGNAL | MSG_DONTWAIT);
      return Served::refused;
    }
    MILLRACE_CRASH_POINT("offer.serve.known");
    return Served::served;
  }
  // Hands segments to somebody who was greeted. False: it has left, or the system had no room for them.
  static bool give(int line, const std::vector<OfferedSegment>& segments) {
    if (!check(segments).ok()) return false;
    std::string message;
    std::vector<int> fds;
    lay_out(segments, message, fds);
    return send_all(line, message, fds);
  }

 private:
  Offer() = default;

  static Result<void> check(const std::vector<OfferedSegment>& segments) {
    if (segments.empty() || segments.size() > kMaxOffered) {
      return make_error(Code::invalid_argument, "an offer has 1 to " + std::to_string(kMaxOffered) +
                                                    " segments, not " +
                                                    std::to_string(segments.size()));
    }
    for (const OfferedSegment& segment : segments) {
      if (auto named = check_name(segment.name); !named.ok()) return named;
      if (!os::is_nameless(segment.fd.get())) {
        return make_error(Code::invalid_argument,
                          "'" + segment.name + "' is no nameless segment, or is closed");
      }
    }
    return {};
  }
  [[nodiscard]] os::Descriptor accept() const {
    return os::Descriptor(os::retry_eintr(
        [&] { return ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }));
  }
  static void lay_out(const std::vector<OfferedSegment>& segments, std::string& text,
                      std::vector<int>& fds) {
    detail::OfferHead head;
    head.count = static_cast<std::uint32_t>(segments.size());
    text.assign(reinterpret_cast<const char*>(&head), sizeof head);
    for (const OfferedSegment& segment : segments) {
      text += static_cast<char>(segment.name.size());
      text += segment.name;
      fds.push_back(segment.fd.get());
    }
  }
  void compose(std::vector<OfferedSegment> segments) {
    lay_out(segments, message_, fds_);
    segments_ = std::move(segments);
  }
  static bool send_all(int line, std::string& words, const std::vector<int>& fds) {
    const std::size_t bytes = fds.size() * sizeof(int);
    std::vector<char> room(CMSG_SPACE(bytes));
    iovec text{words.data(), words.size()};
    msghdr message{};
    message.msg_iov = &text;
    message.msg_iovlen = 1;
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(rights), fds.data(), bytes);
    const ssize_t sent =
        os::retry_eintr([&] { return ::sendmsg(line, &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
    return sent == static_cast<ssize_t>(words.size());
  }

  std::string path_;
  os::OwnedPath owned_;
  os::Descriptor socket_;
  os::Descriptor spare_{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  AllowList allow_;
  std::vector<OfferedSegment> segments_;
  std::vector<int> fds_;
  std::string message_;
};

// The receiving end.
class Receipt {
 public:
  // Connects, and judges who offers. not_found if nobody does (yet). Never blocks.
  static Result<std::unique_ptr<Receipt>> connect(const std::string& path, const AllowList& allow) {
    auto address = detail::address_of(path);
    if (!address.ok()) return address.error();
    std::unique_ptr<Receipt> self(new Receipt);
    self->path_ = path;
    auto made = detail::packet_socket(path);
    if (!made.ok()) return made.error();
    self->socket_ = made.take();
    const auto* name = reinterpret_cast<const sockaddr*>(&address.value());
    if (::connect(self->socket_.get(), name, sizeof address.value()) != 0) {
      const int number = errno;
      Error error = system_error("connect", number, path);
      // Nobody is there, a dead process left its socket, or too many wait.
      if (number == ENOENT || number == ECONNREFUSED || number == EAGAIN) {
        error.code = Code::not_found;
        error.message = "nobody offers segments at '" + path +
                        "' (yet); start the process that does, or wait for it";
      }
      return error;
    }
    auto peer = detail::peer_of(self->socket_.get(), path);
    if (!peer.ok()) return peer.error();
    self->peer_ = peer.value();
    if (!allow.allows(self->peer_)) {
      return make_error(Code::not_ours,
                        "segments are offered at '" + path + "' by " +
                            detail::text_of(self->peer_) +
                            ", which is not allowed here; if it is to be trusted, name it in "
                            "allow.uids, allow.gids or allow.pids",
                        path);
    }
    return self;
  }

  // To be watched: readable when there is an answer.
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] const PeerIdentity& peer() const noexcept { return peer_; }

  // The segments, with open file descriptions of their own; nothing while there is no answer, and
  // not_found if there will be none. Whatever is
  // wrong with the message, no descriptor that came with it stays open.
  Result<std::optional<std::vector<OfferedSegment>>> take() {
    std::vector<char> text(detail::kMaxOfferBytes + 1);
    // One more than there may be: who sends too many is noticed.
    std::vector<char> room(CMSG_SPACE((kMaxOffered + 1) * sizeof(int)));
    iovec target{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &target;
    message.msg_iovlen = 1;
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    const ssize_t got = os::retry_eintr(
        [&] { return ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); });
    if (got < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return std::optional<std::vector<OfferedSegment>>();
      }
      if (errno == ECONNRESET) return withdrawn();
      return system_error("recvmsg", errno, path_);
    }
    std::vector<os::Descriptor> fds = descriptors_in(message);
    if (got == 0) return withdrawn();
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      // With those that came still open: is it for want of descriptors?
      const os::Descriptor one_more(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!one_more && (errno == EMFILE || errno == ENFILE))
        return system_error("recvmsg", errno, path_);
    }
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      return broken("sent more than can be received (or this process has too many open files)");
    }
    return read(std::string_view(text.data(), static_cast<std::size_t>(got)), fds);
  }

 private:
  Receipt() = default;

  // musl's macro compares a size with a difference of pointers.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
  [[nodiscard]] static cmsghdr* part_after(msghdr& message, cmsghdr* part) noexcept {
    return CMSG_NXTHDR(&message, part);
  }
#pragma GCC diagnostic pop

  static std::vector<os::Descriptor> descriptors_in(msghdr& message) {
    std::vector<os::Descriptor> fds;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = part_after(message, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
        fds.emplace_back(fd);
      }
    }
    return fds;
  }
  // The offer was closed, or its process ended, while we were in its line: there may be another.
  [[nodiscard]] Error withdrawn() const {
    return make_error(Code::not_found,
                      "whoever offered segments at '" + path_ +
                          "' closed before we were served; wait for the next offer",
                      path_);
  }
  [[nodiscard]] Error broken(const std::string& what) const {
    return make_error(Code::corrupt,
                      detail::text_of(peer_) + " at '" + path_ + "' " + what +
                          "; is it millrace that offers segments there?",
                      path_);
  }
  Result<std::optional<std::vector<OfferedSegment>>> read(
      std::string_view text, const std::vector<os::Descriptor>& fds) const {
    detail::OfferHead head;
    if (text.size() < sizeof head) return broken("sent a message that is too short");
    std::memcpy(&head, text.data(), sizeof head);
    if (head.magic != detail::kOfferMagic) return broken("sent something else");
    if (head.version != detail::kOfferVersion) {
      return make_error(Code::layout,
                        detail::text_of(peer_) + " at '" + path_ + "' speaks version " +
                            std::to_string(head.version) + " of the hand-over, this process " +
                            std::to_string(detail::kOfferVersion) +
                            "; use the same major version of millrace on both sides",
                        path_);
    }
    if (head.refused != 0) {
      return make_error(Code::permission,
                        detail::text_of(peer_) + " at '" + path_ + "' refused this process (uid " +
                            std::to_string(::geteuid()) + ", gid " + std::to_string(::getegid()) +
                            ", pid " + std::to_string(::getpid()) +
                            "); name it there in allow.uids, allow.gids or allow.pids",
                        path_);
    }
    if (head.count == 0 || head.count != fds.size()) {
      return broken("announced " + std::to_string(head.count) + " segments and sent " +
                    std::to_string(fds.size()) + " descriptors");
    }
    std::vector<OfferedSegment> segments;
    std::set<std::string> seen;
    text.remove_prefix(sizeof head);
    for (const os::Descriptor& fd : fds) {
      const std::size_t length = text.empty() ? 0 : static_cast<unsigned char>(text.front());
      if (text.size() < 1 + length) return broken("sent a message that is too short");
      std::string name(text.substr(1, length));
      text.remove_prefix(1 + length);
      if (!check_name(name).ok() || !seen.insert(name).second) {
        return broken("sent a name that is none");
      }
      // Asked before anything else is done with a descriptor of somebody else's choice.
      if (!os::is_nameless(fd.get())) {
        return broken("sent '" + name + "', which is no nameless segment");
      }
      auto own = os::reopen(fd.get(), os::Access::read_write, name);
      if (!own.ok()) return own.error();
      segments.push_back({std::move(name), own.take()});
    }
    if (!text.empty()) return broken("sent more than it announced");
    return std::optional(std::move(segments));
  }

  std::string path_;
  os::Descriptor socket_;
  PeerIdentity peer_;
};

// Who is at the other side of a connected Unix socket.
inline Result<PeerIdentity> socket_peer(int socket) {
  return detail::peer_of(socket, "a socket");
}

}  // namespace millrace
