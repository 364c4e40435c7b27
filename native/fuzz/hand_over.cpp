// Messages of the hand-over that lie, and senders and receivers that misbehave: arbitrary bytes, beside
// them the wrong number or the wrong kind of descriptors. None may stay open, whatever was wrong.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include <millrace/hand_over.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

std::string path_of(const char* what) {
  return "/tmp/millrace-fuzz-" + std::to_string(::getpid()) + what;
}
sockaddr_un address_of(const std::string& path) {
  auto address = detail::address_of(path);
  insist(address.ok(), "an address");
  return address.value();
}
// The lowest descriptor that is free: it moves if one is left open.
int lowest_free() {
  const int fd = ::dup(0);
  insist(fd >= 0, "dup");
  ::close(fd);
  return fd;
}
os::Descriptor some_descriptor(std::size_t kind) {
  if (kind < 3) {
    auto made = os::create_nameless(0600, false);
    insist(made.ok(), "memfd_create");
    os::Descriptor fd = made.take();
    if (kind > 0) insist(os::allocate_nameless(fd.get(), 4096, {}).ok(), "fallocate");
    if (kind > 1) insist(os::seal_size(fd.get(), {}).ok(), "seal");
    return fd;
  }
  return os::Descriptor(::open(kind == 3 ? "/dev/null" : "/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

// What the lying side sends as one packet.
void send_lies(int line, Input& input) {
  std::vector<char> text;
  std::vector<os::Descriptor> given;
  const std::size_t count = input.below(4);
  for (std::size_t i = 0; i < count; ++i)
    given.push_back(some_descriptor(input.below(5)));
  if (input.flag()) {  // an honest beginning
    detail::OfferHead head;
    head.count = input.flag() ? static_cast<std::uint32_t>(count) : input.byte();
    if (input.below(8) == 0) head.version = input.byte();
    if (input.below(8) == 0) head.refused = input.byte();
    text.assign(reinterpret_cast<const char*>(&head), reinterpret_cast<const char*>(&head + 1));
    for (std::size_t i = input.below(5); i > 0; --i) {
      const auto name = input.bytes(input.below(24));
      text.push_back(static_cast<char>(input.flag() ? name.size() : input.byte()));
      for (const std::uint8_t c : name)
        text.push_back(input.flag() ? static_cast<char>('a' + c % 26) : static_cast<char>(c));
    }
  }
  const std::size_t more = input.below(0x300);
  for (const std::uint8_t byte : input.bytes(more))
    text.push_back(static_cast<char>(byte));
  std::vector<int> fds;
  fds.reserve(given.size());
  for (const os::Descriptor& fd : given)
    fds.push_back(fd.get());
  std::vector<char> room(CMSG_SPACE(sizeof(int) * 8));
  iovec target{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &target;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = room.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
  }
  (void)::sendmsg(line, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// A receiver at a lying offer.
void receive(Input& input) {
  static const std::string path = path_of(".lies");
  static const os::Descriptor listener = [] {
    auto made = detail::packet_socket(path);
    insist(made.ok(), "socket");
    os::Descriptor fd = made.take();
    const sockaddr_un address = address_of(path);
    (void)::unlink(path.c_str());
    insist(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
               ::listen(fd.get(), 8) == 0,
           "bind and listen");
    (void)std::atexit([] { (void)::unlink(path.c_str()); });
    return fd;
  }();
  const int before = lowest_free();
  {
    auto connected = Receipt::connect(path, AllowList{});
    insist(connected.ok(), "connect");
    os::Descriptor line(::accept(listener.get(), nullptr, nullptr));
    insist(static_cast<bool>(line), "accept");
    for (std::size_t i = input.below(3); i > 0; --i)
      send_lies(line.get(), input);
    if (input.flag()) line.reset();
    for (int i = 0; i < 3; ++i) {
      auto taken = connected.value()->take();
      if (!taken.ok() || !taken.value()) continue;
      for (const OfferedSegment& segment : *taken.value()) {
        insist(check_name(segment.name).ok(), "a name that is one");
        insist(os::is_nameless(segment.fd.get()), "a nameless segment");
      }
    }
  }
  insist(lowest_free() == before, "no descriptor stays open");
}

// An offer with misbehaving receivers.
void offer(Input& input) {
  static const std::string path = path_of(".offer");
  const int before = lowest_free();
  {
    std::vector<OfferedSegment> segments;
    for (std::size_t i = 0; i <= input.below(3); ++i)
      segments.push_back({std::string(1, static_cast<char>('a' + i)), some_descriptor(1)});
    AllowList allow;
    if (input.flag()) allow.uids.push_back(input.flag() ? ::geteuid() : 12345U);
    auto opened = Offer::open(path, 0600, allow, std::move(segments));
    insist(opened.ok(), "an honest offer");
    const sockaddr_un address = address_of(path);
    std::vector<os::Descriptor> lines;
    while (!input.over() && lines.size() < 6) {
      auto line = detail::packet_socket(path);
      insist(line.ok(), "socket");
      (void)::connect(line.value().get(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof address);
      if (input.flag()) send_lies(line.value().get(), input);
      if (input.flag()) (void)::shutdown(line.value().get(), input.below(3));
      if (input.flag()) lines.push_back(line.take());
      PeerIdentity peer;
      (void)opened.value()->serve(peer);
    }
  }
  insist(lowest_free() == before, "no descriptor stays open");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  if (input.below(4) == 0) {
    offer(input);
  } else {
    receive(input);
  }
  return 0;
}
