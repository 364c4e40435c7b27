#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include <millrace/os/datagram.hpp>
#include <millrace/os/descriptor.hpp>

#include "fixture.hpp"

namespace millrace::test::datagram_test {

using namespace millrace;
using namespace millrace::test;

namespace {

// Whoever reads, at a path in a folder of the test's own, both removed with it.
class Reader {
 public:
  Reader() {
    REQUIRE(::mkdtemp(folder_.data()) != nullptr);
    path_ = std::string(folder_.data()) + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    socket_ = os::Descriptor(::socket(AF_UNIX, SOCK_DGRAM, 0));
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    ::unlink(path_.c_str());
    CHECK(::rmdir(folder_.data()) == 0);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string next() const {
    std::array<char, 4096> room{};
    const auto size = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(room.data(), static_cast<std::size_t>(size));
  }
  void leave() { socket_.reset(); }

 private:
  std::array<char, 32> folder_{"/tmp/millrace-datagram-XXXXXX"};
  std::string path_;
  os::Descriptor socket_;
};

}  // namespace

TEST_CASE("a datagram arrives whole, at a path") {
  const Reader reader;
  CHECK(os::send_datagram(reader.path(), "READY=1\nSTATUS=runs") == 0);
  CHECK(os::send_datagram(reader.path(), "") == 0);
  CHECK(reader.next() == "READY=1\nSTATUS=runs");
  CHECK(reader.next().empty());
  CHECK(reader.next() == "nothing");
}

TEST_CASE("a datagram without room, reader or place is an error, and nobody waits") {
  Reader reader;
  int error = 0;
  int sent = 0;
  while (error == 0 && sent < 1'000'000) {
    error = os::send_datagram(reader.path(), "WATCHDOG=1");
    ++sent;
  }
  CHECK((error == EAGAIN || error == ENOBUFS));
  CHECK(reader.next() == "WATCHDOG=1");
  CHECK(os::send_datagram(reader.path(), "again") == 0);
  reader.leave();
  CHECK(os::send_datagram(reader.path(), "x") == ECONNREFUSED);
  CHECK(os::send_datagram(reader.path() + "-none", "x") == ENOENT);
  CHECK(os::send_datagram("", "x") == EINVAL);
  CHECK(os::send_datagram("relative", "x") == EINVAL);
  CHECK(os::send_datagram(std::string("/a\0b", 4), "x") == EINVAL);
  CHECK(os::send_datagram("/" + std::string(200, 'x'), "x") == ENAMETOOLONG);
}

}  // namespace millrace::test::datagram_test
