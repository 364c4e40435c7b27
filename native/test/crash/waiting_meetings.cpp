// A waker that looks just before a sleeper lies down: it does not see it, so the sleeper has to look once more.
#include <atomic>

#include <millrace/waiting.hpp>

#include "meeting.hpp"

namespace millrace::test::waiting_meetings {

using namespace millrace;
using namespace millrace::test;

TEST_CASE_FIXTURE(Names, "meeting: who lies down on a futex looks once more before it sleeps") {
  constexpr std::uint64_t kLong = 5 * kSecond;
  layout::WaitLine line{};
  Sleeper sleeper(&line);
  std::atomic<bool> there = false;
  Meeting meet;
  meet.at("waiting.park.futex", [&] { there.store(true); });  // and rings at nobody's
  const std::uint64_t begun = os::monotonic_ns();
  CHECK(wait_blocking(sleeper, 0, kLong, [&] { return there.load(); }));
  CHECK(os::monotonic_ns() - begun < kLong / 2);
}

}  // namespace millrace::test::waiting_meetings
