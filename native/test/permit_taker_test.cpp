// The thread that waits for permits for an event loop. Each test ends with the books balanced: what was
// there and posted is there again or in somebody's hands.
#include <poll.h>

#include <memory>

#include <millrace/sync/permit_taker.hpp>

#include "fixture.hpp"

namespace millrace::test::permit_taker_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kToken = 42;

struct Taking : Names {
  Taking() { open_bell(); }
  Taking(const Taking&) = delete;
  Taking& operator=(const Taking&) = delete;
  ~Taking() { (void)Semaphore::unlink(name()); }

  [[nodiscard]] std::shared_ptr<Semaphore> semaphore(std::uint32_t initial = 0) const {
    SemaphoreSpec spec;
    spec.name = name();
    spec.initial = initial;
    return must(Semaphore::open_or_create(spec));
  }
  [[nodiscard]] os::Descriptor line() const {
    return os::open_bell(mine_.id(), os::BellTrust{::geteuid(), ::getegid(), false});
  }
  // Waits for a ring. False if none comes.
  [[nodiscard]] bool rung(int within_ms = 20'000) const {
    pollfd look{mine_.fd(), POLLIN, 0};
    if (::poll(&look, 1, within_ms) != 1) return false;
    bool known = true;
    (void)mine_.drain([&](std::uint64_t token) { known = known && token == kToken; });
    return known;
  }
  void open_bell() { mine_ = bell(); }

 private:
  os::Doorbell mine_;
};

}  // namespace

TEST_CASE_FIXTURE(Taking, "it rings when it has a permit, and takes one at a time") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  CHECK_FALSE(taker.take());
  REQUIRE(taker.want().ok());
  CHECK_FALSE(taker.take());
  REQUIRE(shared->post(3).ok());
  REQUIRE(rung());
  CHECK(shared->value() == 2);
  CHECK(taker.take());
  CHECK(taker.take());  // with nobody in the semaphore, straight from there
  CHECK(shared->value() == 1);
  CHECK(taker.take());
  CHECK_FALSE(taker.take());
}

TEST_CASE_FIXTURE(Taking, "while the thread is to get a permit nobody takes one past it") {
  auto shared = semaphore(1);
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  REQUIRE(taker.want().ok());
  std::uint32_t taken = 0;
  REQUIRE(eventually([&] {
    if (taker.take()) ++taken;
    return taken > 0;
  }));
  CHECK(taken == 1);
  REQUIRE(rung());
  CHECK(shared->value() == 0);
}

TEST_CASE_FIXTURE(Taking, "what was granted and is no longer wanted goes back") {
  auto shared = semaphore(1);
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  REQUIRE(taker.want().ok());
  REQUIRE(rung());
  CHECK(shared->value() == 0);
  taker.unwant();
  CHECK(shared->value() == 1);
  CHECK_FALSE(taker.leaving());
}

TEST_CASE_FIXTURE(Taking, "a wait given up is out of the semaphore when it says so") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  int had_to_leave = 0;
  for (int round = 0; round < rounds(60); ++round) {
    REQUIRE(taker.want().ok());
    if (round % 2 == 0) os::sleep_ns(kMillisecond);  // deep in it or just going there: both
    taker.unwant();
    const bool leaving = taker.leaving();
    if (leaving) {
      ++had_to_leave;
      REQUIRE(rung());
      CHECK_FALSE(taker.leaving());
    }
    // From here on it takes nothing, not even for an instant.
    for (int i = 0; i < 100; ++i) {
      REQUIRE(shared->post().ok());
      REQUIRE(shared->try_wait());
    }
  }
  CHECK(had_to_leave > 0);
}

TEST_CASE_FIXTURE(Taking, "a permit that comes while the thread leaves is put back") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  for (int round = 0; round < rounds(100); ++round) {
    REQUIRE(taker.want().ok());
    os::sleep_ns(200'000);
    taker.unwant();
    REQUIRE(shared->post().ok());
    REQUIRE(eventually([&] { return !taker.leaving(); }));
    CHECK(shared->try_wait());
    CHECK_FALSE(shared->try_wait());
  }
}

TEST_CASE_FIXTURE(Taking, "wanted again before it has left, it stays") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  for (int round = 0; round < rounds(100); ++round) {
    REQUIRE(taker.want().ok());
    if (round % 3 == 0) os::sleep_ns(300'000);
    taker.unwant();
    REQUIRE(taker.want().ok());
    CHECK_FALSE(taker.leaving());
    REQUIRE(shared->post().ok());
    REQUIRE(eventually([&] { return taker.take(); }));
    CHECK(shared->value() == 0);
  }
}

TEST_CASE_FIXTURE(Taking,
                  "somebody who is expected to give up finds it out of the semaphore then") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  taker.expect_leaving_in(2 * kMillisecond);
  REQUIRE(taker.want().ok());
  os::sleep_ns(kMillisecond);
  taker.unwant();
  // Not: how long that took. It is a matter of milliseconds, but the machine may be busy.
  REQUIRE(eventually([&] { return !taker.leaving(); }));
  taker.expect_leaving_in(UINT64_MAX);
  REQUIRE(taker.want().ok());
  REQUIRE(shared->post().ok());
  REQUIRE(eventually([&] { return taker.take(); }));
}

TEST_CASE_FIXTURE(Taking, "whoever ends takes no permit along") {
  auto shared = semaphore();
  for (int round = 0; round < rounds(40); ++round) {
    auto taker = std::make_unique<PermitTaker>(shared);
    taker->ring_at(line(), kToken);
    REQUIRE(taker->want().ok());
    if (round % 2 == 0) os::sleep_ns(500'000);
    REQUIRE(shared->post().ok());  // granted, on its way, or met while it leaves
    if (round % 4 == 0) REQUIRE(rung());
    taker.reset();
    REQUIRE(shared->value() == 1);
    REQUIRE(shared->try_wait());
  }
}

TEST_CASE_FIXTURE(Taking, "many that end at once do not wait one after the other") {
  std::vector<std::unique_ptr<PermitTaker>> takers;
  auto shared = semaphore();
  for (int i = 0; i < 50; ++i) {
    takers.push_back(std::make_unique<PermitTaker>(shared));
    REQUIRE(takers.back()->want().ok());
  }
  for (auto& taker : takers)
    taker->begin_to_finish();
  const std::uint64_t start = os::monotonic_ns();
  takers.clear();
  // One after the other would be 50 slices of 20 ms.
  CHECK(os::monotonic_ns() - start < 700 * kMillisecond);
}

TEST_CASE_FIXTURE(Taking, "a doorbell nobody hears any more does no harm") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  taker.ring_at(line(), kToken);
  open_bell();  // the one it knows is gone
  REQUIRE(taker.want().ok());
  REQUIRE(shared->post().ok());
  CHECK(eventually([&] { return taker.take(); }));
}

TEST_CASE_FIXTURE(Taking, "idle waiting costs next to nothing") {
  auto shared = semaphore();
  PermitTaker taker(shared);
  REQUIRE(taker.want().ok());
  const auto used_ns = [] {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<std::uint64_t>(used.tv_sec) * kSecond +
           static_cast<std::uint64_t>(used.tv_nsec);
  };
  const std::uint64_t before = used_ns();
  os::sleep_ns(kSecond);
  CHECK(used_ns() - before < 20 * kMillisecond);  // polling would use all of it
}

TEST_CASE_FIXTURE(Taking,
                  "processes that take, give up and end at random lose and invent nothing") {
  struct Stage {
    std::atomic<std::uint64_t> taken;
    std::atomic<std::uint64_t> posted;
    std::atomic<std::uint64_t> given_up;
  };
  constexpr std::uint32_t initial = 3;
  Shared<Stage> stage;
  auto shared = semaphore(initial);
  std::vector<Child> crowd;
  crowd.reserve(4);
  for (int i = 0; i < 4; ++i) {
    crowd.emplace_back([&, i] {
      Random random(static_cast<std::uint64_t>(i) + 7);
      auto theirs = semaphore();
      auto taker = std::make_unique<PermitTaker>(theirs);
      for (int round = 0; round < rounds(1500); ++round) {
        CHILD_EXPECT(taker->want().ok());
        const os::Deadline deadline = os::Deadline::after(random.below(400'000));
        bool got = false;
        while (!(got = taker->take()) && !deadline.passed())
          os::sleep_ns(random.below(20'000));
        taker->unwant();
        if (got) {
          stage->taken.fetch_add(1);
          stage->posted.fetch_add(1);
          CHILD_EXPECT(theirs->post().ok());
        } else {
          stage->given_up.fetch_add(1);
        }
        if (random.below(50) == 0) taker = std::make_unique<PermitTaker>(theirs);
      }
      taker.reset();
      return 0;
    });
  }
  for (Child& child : crowd)
    CHECK(child.wait() == 0);
  CHECK(stage->taken.load() > 0);
  CHECK(stage->given_up.load() > 0);
  CHECK(shared->value() == initial + stage->posted.load() - stage->taken.load());
}

}  // namespace millrace::test::permit_taker_test
