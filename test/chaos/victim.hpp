// What victims of every kind share: their ledger, how they open things, and who they are.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>

#include <millrace/millrace.hpp>

#include "../../native/testing/random.hpp"
#include "content.hpp"

namespace victims {

using namespace millrace;

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

// The same as in ledger.ts.
struct Ledger {
  std::atomic<std::uint64_t> trying;  // number of the message (frame, value, step) in hand
  std::atomic<std::uint64_t> done;    // of the last one that was finished
  std::atomic<std::uint64_t> base;    // where the next one goes on
  std::atomic<std::uint64_t> left;    // what a lock protects: equal unless somebody is inside
  std::atomic<std::uint64_t> right;
  std::atomic<std::uint64_t> holding;  // permits, while there is no doubt: 2 n; 2 n + 1: n or n + 1
  std::atomic<std::uint64_t> turns;    // of anything, for the report
};
inline Ledger* ledger = nullptr;

using testing::Random;

// What must not be: the victim ends with a message, and the run fails.
#define EXPECT(...)                                                                        \
  do {                                                                                     \
    if (!(__VA_ARGS__)) {                                                                  \
      (void)std::fprintf(stderr, "victim: %s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
      ::_exit(3);                                                                          \
    }                                                                                      \
  } while (false)

// Opened, or not to be had now: the place of the one before may not be free for an instant.
template <typename Open>
auto opened(Open&& open) {
  for (;;) {
    auto result = open();
    if (result.ok()) return result.take();
    const Code code = result.error().code;
    if (code != Code::role_taken && code != Code::not_found && code != Code::exists &&
        code != Code::no_lane && code != Code::timeout) {
      (void)std::fprintf(stderr, "victim: %s\n", result.error().message.c_str());
      ::_exit(4);
    }
    os::sleep_ns(200'000);
  }
}

struct Part {
  std::string side;
  std::string name;
  std::uint64_t bell = 0;  // 0: its death cannot be heard, only looked for
  Random random{0};

  [[nodiscard]] os::Deadline patience() const { return os::Deadline::after(10 * kSecond); }
  [[nodiscard]] PartyOptions party() const {
    PartyOptions options;
    options.place = Place(name);
    options.doorbell = bell;
    return options;
  }
  void pause() { os::sleep_ns(random.below(4) == 0 ? random.below(300'000) : 0); }
};

}  // namespace victims
