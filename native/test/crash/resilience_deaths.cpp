// Deaths of users of a rate limiter, and of parties of a circuit breaker.
#include "scene.hpp"

namespace millrace::test::resilience_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kHour = 3600 * kSecond * layout::kTicksPerNs;

// The victim takes what there is of an hourly rate: all the survivor finds afterwards is less by what was taken, however often it
// came again. Nothing is let through twice.
struct RateTakerDies : Scene {
  static constexpr std::uint64_t kBurst = 1000;
  std::unique_ptr<RateLimiter> mine;

  ~RateTakerDies() override { (void)unlink_channel('g', name()); }
  [[nodiscard]] RateLimiterSpec spec() const {
    RateLimiterSpec wanted;
    wanted.place = name();
    wanted.rate = Rate{kHour, kBurst};
    return wanted;
  }
  void act() override {
    auto opened = RateLimiter::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    auto limiter = opened.take();
    for (int i = 0; i < 3; ++i) {
      n->trying.fetch_add(2);
      CHILD_EXPECT(limiter->try_take(2).status == RateTurn::Status::taken);
      n->done.fetch_add(2);
    }
    // A turn at once is as good as taken; one that is given back is not.
    n->trying.fetch_add(1);
    CHILD_EXPECT(limiter->reserve(1, 0).status == RateTurn::Status::taken);
    CHILD_EXPECT(limiter->left() == 0);
    CHILD_EXPECT(limiter->give_back());
    n->trying.fetch_sub(1);
    limiter->close();
  }
  void meanwhile() override { os::sleep_ns(20'000); }
  void after() override {
    auto opened = RateLimiter::open(spec(), soon());
    REQUIRE(opened.ok());
    const std::uint64_t left = opened.value()->remaining();
    CHECK(left <= kBurst - n->done.load());
    CHECK(left + 1 >=
          kBurst - n->trying.load());  // as much as was tried at most, and what an hour rounds off
  }
};

// One opens a breaker, tries, and closes it again, and dies anywhere: the other one goes on, and is let in to try.
struct BreakerPartyDies : Scene {
  std::unique_ptr<Breaker> mine;

  ~BreakerPartyDies() override { (void)unlink_channel('k', name()); }
  [[nodiscard]] BreakerSpec spec(std::uint64_t bell) const {
    BreakerSpec wanted;
    wanted.place = name();
    wanted.doorbell = bell;
    wanted.rules = BreakerRules{2, 0, 0};
    return wanted;
  }
  void begin() override { mine = must(Breaker::open(spec(0), soon())); }
  void act() override {
    auto opened = Breaker::open(spec(own_bell()), soon());
    CHILD_EXPECT(opened.ok());
    auto breaker = opened.take();
    n->bell_in.store(1);
    for (int i = 0; i < 4; ++i) {
      breaker->trip();
      let_sleep();
      BreakerEntry entry = breaker->try_enter();
      if (entry.status == BreakerEntry::Status::trial) {
        if (i == 0) breaker->succeed(entry.generation);
        if (i == 1) breaker->fail(entry.generation);
        if (i == 2) breaker->release(entry.generation);
      }
      let_sleep();
      breaker->reset();
      entry = breaker->try_enter();
      if (entry.status == BreakerEntry::Status::passes) breaker->fail(entry.generation);
    }
    // Somebody dies who tries. It is for us to notice.
    tell(1);
    await_survivor(1);
    one_dies([&] {
      auto other = Breaker::open(spec(0), soon());
      CHILD_EXPECT(other.ok());
      other.value()->trip();
      CHILD_EXPECT(other.value()->try_enter().status == BreakerEntry::Status::trial);
      die();
    });
    CHILD_EXPECT(breaker->try_enter().status == BreakerEntry::Status::trial);
    leave_with_bell();
    breaker->close();  // with the trial
    drop_bell();
  }
  // Sleeps until something changes, as whoever waits for it to close does.
  void meanwhile() override {
    if (n->step.load() == 1) {
      n->told.store(1);
      os::sleep_ns(20'000);
      return;
    }
    (void)mine->wait_slice(mine->view().generation, 0, kMillisecond);
    const BreakerEntry entry = mine->try_enter();
    if (entry.status == BreakerEntry::Status::trial) mine->release(entry.generation);
  }
  void after() override {
    without_waiting(*this, [&] {
      mine->trip();
      const BreakerEntry entry = mine->try_enter();
      CHECK(entry.status == BreakerEntry::Status::trial);
      mine->succeed(entry.generation);
      CHECK(mine->view().phase == layout::BreakerPhase::closed);
    });
  }
  void end() override { mine.reset(); }
};

// One that makes a breaker dies anywhere: whoever comes next has one that works, open or not.
struct BreakerMakerDies : Scene {
  ~BreakerMakerDies() override { (void)unlink_channel('k', name()); }
  [[nodiscard]] BreakerSpec spec() const {
    BreakerSpec wanted;
    wanted.place = name();
    wanted.rules = BreakerRules{2, 0, 0};
    return wanted;
  }
  void act() override {
    auto opened = Breaker::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    opened.value()->trip();
    opened.value()->reset();
    opened.value()->close();
  }
  void meanwhile() override { os::sleep_ns(20'000); }
  void after() override {
    auto opened = Breaker::open(spec(), soon());
    REQUIRE(opened.ok());
    opened.value()->trip();
    const BreakerEntry entry = opened.value()->try_enter();
    CHECK(entry.status == BreakerEntry::Status::trial);
    opened.value()->succeed(entry.generation);
    CHECK(opened.value()->view().phase == layout::BreakerPhase::closed);
  }
};

}  // namespace

EVERY_DEATH(RateTakerDies, "a user of a rate limiter dies anywhere: nothing is let through twice")
EVERY_DEATH(BreakerMakerDies, "who makes a breaker dies anywhere: the next one has one that works")
EVERY_DEATH(BreakerPartyDies, "a party of a breaker dies anywhere: the others try, and go on")

}  // namespace millrace::test::resilience_deaths
