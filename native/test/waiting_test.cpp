// Futex, fences and parking. A lost wake-up shows as a side that had to wait for its time-out.
#include <poll.h>
#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

#include <thread>

#include <millrace/blocking.hpp>
#include <millrace/os/fence.hpp>
#include <millrace/os/futex.hpp>
#include <millrace/waiting.hpp>

#include "fixture.hpp"

namespace millrace::test::waiting_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kForever = 20 * kSecond;

struct Court {
  layout::WaitLine lines[2];
  alignas(128) std::atomic<std::uint64_t> balls[2];
};

enum class Bed { futex, doorbell };

// Waits for ball i and answers it, `count` times. False if a wake-up was lost.
bool play(Court& court, int side, int count, Bed bed, const os::Doorbell* bell, bool full_fence) {
  Sleeper sleeper(&court.lines[side]);
  if (full_fence) court.lines[side].needs_full_fence.store(1);
  const Waker waker(&court.lines[1 - side]);
  os::BellRinger ringer;
  const os::BellTrust trust{::geteuid(), ::getegid(), false};
  Random random(static_cast<std::uint64_t>(side) + 1);
  // side 0 serves
  for (int i = 1; i <= count; ++i) {
    const auto expected = static_cast<std::uint64_t>(side == 0 ? i - 1 : i);
    const auto arrived = [&] {
      return court.balls[side].load(std::memory_order_acquire) >= expected;
    };
    if (bed == Bed::futex) {
      while (!arrived()) {
        const std::uint64_t start = os::monotonic_ns();
        (void)wait_blocking(sleeper, random.below(3000), kForever, arrived);
        if (os::monotonic_ns() - start >= kForever) return false;
      }
    } else {
      for (std::uint64_t spin = random.below(50); spin > 0 && !arrived(); --spin)
        os::spin_hint();
      while (!arrived()) {
        sleeper.park_on_bell({bell->id(), 42});
        if (arrived()) {
          sleeper.unpark();
          break;
        }
        pollfd look{bell->fd(), POLLIN, 0};
        if (::poll(&look, 1, static_cast<int>(kForever / kMillisecond)) == 0) return false;
        bool foreign = false;
        (void)bell->drain([&](std::uint64_t token) { foreign = foreign || token != 42; });
        if (foreign) return false;
      }
    }
    for (std::uint64_t pause = random.below(100); pause > 0; --pause)
      os::spin_hint();
    court.balls[1 - side].store(static_cast<std::uint64_t>(i), std::memory_order_release);
    if (waker.peer_sleeps()) waker.wake(ringer, trust);
  }
  return true;
}

}  // namespace

TEST_CASE_FIXTURE(Names, "a futex sleeps only while the word is as expected") {
  std::atomic<std::uint32_t> word{1};
  CHECK(os::futex_wait(word, 2, kSecond) == os::FutexWait::changed);
  CHECK(os::futex_wait(word, 1, 1000) != os::FutexWait::woken);
  os::futex_wake_all(word);  // nobody there: nothing happens
}

TEST_CASE_FIXTURE(Names,
                  "waiting returns at once if there is something, and in the end if there is not") {
  layout::WaitLine line{};
  Sleeper sleeper(&line);
  CHECK(wait_blocking(sleeper, 0, 0, [] { return true; }));
  CHECK_FALSE(wait_blocking(sleeper, 0, 0, [] { return false; }));
  CHECK_FALSE(wait_blocking(sleeper, 1000, 2000, [] { return false; }));
  CHECK_FALSE(wait_blocking(sleeper, kForever, 1000, [] { return false; }));
  CHECK_FALSE(sleeper.parked());
}

TEST_CASE_FIXTURE(Names, "promise: in time - a slice is one, however long somebody wants to spin") {
  layout::WaitLine line{};
  Sleeper sleeper(&line);
  for (const std::uint64_t spin : {std::uint64_t{0}, kSliceNs / 2, kForever, ~std::uint64_t{0}}) {
    const std::uint64_t start = os::monotonic_ns();
    CHECK_FALSE(wait_slice(sleeper, spin, kForever, [] { return false; }));
    CHECK(os::monotonic_ns() - start >= kSliceNs / 2);
    CHECK(os::monotonic_ns() - start < kForever / 10);  // a second of it is the machine's
  }
}

TEST_CASE_FIXTURE(Names,
                  "promise: in time - who spins looks thoroughly every slice, and stops in time") {
  layout::WaitLine line{};
  Sleeper sleeper(&line);
  const auto wait = [&](std::uint64_t spin, std::uint64_t left) {
    return wait_slice(sleeper, spin, left, [] { return false; });
  };
  int thorough = 0;
  const auto third = [&](bool is_thorough) -> std::optional<int> {
    if (is_thorough) ++thorough;
    return thorough == 3 ? std::optional(thorough) : std::nullopt;
  };
  std::uint64_t start = os::monotonic_ns();
  CHECK(detail::block({kForever, kForever}, third, wait) == 3);
  CHECK(os::monotonic_ns() - start < kForever / 10);
  start = os::monotonic_ns();
  CHECK_FALSE(detail::block(
      {50 * kMillisecond, kForever}, [](bool) -> std::optional<int> { return {}; }, wait));
  CHECK(os::monotonic_ns() - start < kForever / 10);
}

TEST_CASE_FIXTURE(Names, "exactly one waker gets the duty to wake") {
  layout::WaitLine line{};
  Sleeper sleeper(&line);
  const Waker waker(&line);
  const os::Doorbell mine = bell();
  os::BellRinger ringer;
  const os::BellTrust trust{::geteuid(), ::getegid(), false};
  CHECK_FALSE(waker.peer_sleeps());
  sleeper.park_on_bell({mine.id(), 9});
  CHECK(waker.peer_sleeps());
  waker.wake(ringer, trust);
  waker.wake(ringer, trust);
  CHECK_FALSE(sleeper.parked());
  int rings = 0;
  (void)mine.drain([&](std::uint64_t) { ++rings; });
  CHECK(rings == 1);
  CHECK(line.wakes.load() == 1);
}

TEST_CASE_FIXTURE(Names, "two threads on futexes lose no wake-up") {
  Court court{};
  const int count = rounds(30'000);
  bool other = false;
  std::thread thread([&] { other = play(court, 1, count, Bed::futex, nullptr, false); });
  const bool mine = play(court, 0, count, Bed::futex, nullptr, false);
  thread.join();
  CHECK(mine);
  CHECK(other);
}

TEST_CASE_FIXTURE(Names, "two threads that need the full fence lose no wake-up") {
  Court court{};
  const int count = rounds(10'000);
  bool other = false;
  std::thread thread([&] { other = play(court, 1, count, Bed::futex, nullptr, true); });
  const bool mine = play(court, 0, count, Bed::futex, nullptr, true);
  thread.join();
  CHECK(mine);
  CHECK(other);
}

TEST_CASE_FIXTURE(Names, "two threads on doorbells lose no wake-up") {
  Court court{};
  const os::Doorbell bells[2] = {bell(), bell()};
  const int count = rounds(20'000);
  bool other = false;
  std::thread thread([&] { other = play(court, 1, count, Bed::doorbell, &bells[1], false); });
  const bool mine = play(court, 0, count, Bed::doorbell, &bells[0], false);
  thread.join();
  CHECK(mine);
  CHECK(other);
}

TEST_CASE_FIXTURE(Names, "two processes on futexes lose no wake-up") {
  Shared<Court> court;
  const int count = rounds(30'000);
  Child child([&] { return play(*court, 1, count, Bed::futex, nullptr, false) ? 0 : 1; });
  CHECK(play(*court, 0, count, Bed::futex, nullptr, false));
  CHECK(child.wait() == 0);
}

TEST_CASE_FIXTURE(Names, "two processes on doorbells lose no wake-up") {
  Shared<Court> court;
  const os::Doorbell bells[2] = {bell(), bell()};
  const int count = rounds(20'000);
  Child child([&] { return play(*court, 1, count, Bed::doorbell, &bells[1], false) ? 0 : 1; });
  CHECK(play(*court, 0, count, Bed::doorbell, &bells[0], false));
  CHECK(child.wait() == 0);
}

#if defined(__linux__)
namespace {
// From now on membarrier fails in this process, as it may when memory is short.
bool refuse_membarrier() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
}  // namespace

TEST_CASE_FIXTURE(Names, "a sleeper that is refused the heavy fence makes wakers fence in full") {
  Shared<Court> court;
  const int count = rounds(10'000);
  Child child([&] {
    CHILD_EXPECT(os::asymmetric_fence_available() == os::heavy_fence());
    CHILD_EXPECT(refuse_membarrier());
    CHILD_EXPECT(!os::heavy_fence());
    return play(*court, 1, count, Bed::futex, nullptr, false) ? 0 : 1;
  });
  CHECK(play(*court, 0, count, Bed::futex, nullptr, false));
  CHECK(child.wait() == 0);
  CHECK(court->lines[1].needs_full_fence.load() == 1);
  CHECK(court->lines[0].needs_full_fence.load() == (os::asymmetric_fence_available() ? 0U : 1U));
}

TEST_CASE_FIXTURE(
    Names, "a sleeper does not rely on the millisecond of another, who may have died in it") {
  Shared<Court> court;
  Child child([&] {
    auto& line = court->lines[0];
    Sleeper sleeper(&line);
    CHILD_EXPECT(refuse_membarrier());
    line.needs_full_fence.store(1);
    const std::uint64_t before = os::monotonic_ns();
    sleeper.park_on_futex();
    CHILD_EXPECT(os::monotonic_ns() - before >= 1'000'000);
    sleeper.unpark();
    return 0;
  });
  CHECK(child.wait() == 0);
}
#endif

}  // namespace millrace::test::waiting_test
