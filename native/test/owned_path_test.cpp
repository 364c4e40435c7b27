// Paths that sockets are bound to, and who owns them; what is left by deaths at each point is tested from JavaScript (test/place).
#if defined(__linux__)

#include <doctest/doctest.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include <millrace/os/linux/owned_path.hpp>
#include <millrace/os/object.hpp>

// The tests are compiled together, some files at a time.
namespace millrace::test::owned_path_test {

using namespace millrace;

namespace {

std::string path_here() {
  return os::object_path("test-" + std::to_string(::getpid()) + "-owned~");
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// A process that has all descriptors of this one, as one that is being started has until it runs its program.
class Starting {
 public:
  Starting() : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;)
        ::pause();
    }
  }
  Starting(const Starting&) = delete;
  Starting& operator=(const Starting&) = delete;
  ~Starting() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

}  // namespace

TEST_CASE("a path that was given up is free at once, whoever this process is starting") {
  const std::string path = path_here();
  const sockaddr_un address = address_of(path);
  auto first = os::OwnedPath::take(path, address);
  REQUIRE(first.ok());
  CHECK(os::OwnedPath::take(path, address).error().code == Code::exists);
  const std::string lock = path + ".lock";
  const std::string aside = path + ".aside";
  REQUIRE(::link(lock.c_str(), aside.c_str()) == 0);
  const Starting child;
  { const os::OwnedPath given_up = first.take(); }
  CHECK(::access(lock.c_str(), F_OK) != 0);
  // As if its owner had been killed.
  REQUIRE(::rename(aside.c_str(), lock.c_str()) == 0);
  CHECK(os::OwnedPath::take(path, address).ok());
  CHECK(::access(lock.c_str(), F_OK) != 0);
}

}  // namespace millrace::test::owned_path_test

#endif
