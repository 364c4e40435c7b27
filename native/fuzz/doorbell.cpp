// A doorbell that is rung with garbage, and doorbells, named in a segment, that are none.
#include <fcntl.h>

#include <millrace/os/doorbell.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const os::BellTrust trust{::geteuid(), ::getegid(), input.flag()};
  static const os::Doorbell bell = [] {
    auto made = os::Doorbell::create(os::BellTrust{::geteuid(), 0, false});
    insist(made.ok(), "a doorbell");
    return made.take();
  }();
  static os::BellRinger ringer;
  const os::Descriptor end(
      ::open(os::doorbell_path(bell.id()).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  insist(static_cast<bool>(end), "its end to write to");
  std::size_t written = 0;
  while (!input.over()) {
    switch (input.below(5)) {
      case 0: {
        const auto bytes = input.bytes(1 + input.below(64));
        const ssize_t done = ::write(end.get(), bytes.data(), bytes.size());
        if (done > 0) written += static_cast<std::size_t>(done);
        break;
      }
      case 1: {  // more than it holds
        const std::vector<std::uint8_t> flood(input.below(0x10000), input.byte());
        const ssize_t done = ::write(end.get(), flood.data(), flood.size());
        if (done > 0) written += static_cast<std::size_t>(done);
        break;
      }
      case 2:
        (void)ringer.ring(input.word(), input.word(), trust);
        break;
      case 3:
        insist(ringer.ring(bell.id(), input.word(), trust) == os::Heard::yes,
               "a living bell can be rung");
        os::remove_dead_bell(bell.id());
        insist(::access(os::doorbell_path(bell.id()).c_str(), F_OK) == 0, "it is not removed");
        written += 8;
        break;
      default: {
        std::size_t tokens = 0;
        const bool all = bell.drain([&](std::uint64_t) { ++tokens; });
        insist(tokens <= written / 8, "no more rings than were rung");
        insist(all || tokens * 8 <= written, "what is cut is told");
        written = 0;
      }
    }
  }
  while (bell.drain([](std::uint64_t) {})) {
  }
  return 0;
}
