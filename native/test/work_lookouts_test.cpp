// How long a death stays unnoticed: lives of a few processes, played through a millisecond at a time with the clock of the test, so
// that what is measured is the mechanism and not the machine.
#include <millrace/work/lookouts.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "../testing/random.hpp"
#include "work_seats.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_lookouts_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kNever = ~0ULL;

// One handle of a process, as the event loop of JavaScript has it: asleep, with a timer if it is a lookout; or with a job in hand.
class Player {
 public:
  Player(const Names& names, std::uint32_t process) : bell_(names.bell()), process_(process) {
    desk_ = sit(seat_options(names.name(), bell_.id()), seats_shape(16));
    // Of one process there are several in this test, and of this process none.
    desk_->seats.record(desk_->seats.seat()).pid.store(1000 + process);
  }

  [[nodiscard]] std::uint32_t process() const { return process_; }
  [[nodiscard]] bool alive() const { return desk_ != nullptr; }
  [[nodiscard]] bool asleep() const { return alive() && asleep_; }
  // How many it found dead.
  std::uint32_t step(std::uint64_t now) {
    if (!asleep_) {
      return now < busy_until_ ? 0 : lie_down(now, false);
    }
    const bool woken = !desk_->sleepers.parked();  // for nothing
    return woken || now >= look_at_ ? lie_down(now, true) : 0;
  }
  // Takes a job, and has it in hand for so long.
  std::uint32_t work(std::uint64_t now, std::uint64_t milliseconds) {
    if (asleep_) {
      desk_->sleepers.unpark();
      desk_->lookouts.rest(now);
      asleep_ = false;
    }
    busy_until_ = now + milliseconds;
    return desk_->lookouts.call(now) ? desk_->seats.bury_dead_processes() : 0;
  }
  [[nodiscard]] bool at_work(std::uint64_t now) const { return !asleep_ && now < busy_until_; }
  void die() {
    desk_->seats.vanish();
    desk_.reset();
    bell_ = os::Doorbell();
  }

 private:
  std::uint32_t lie_down(std::uint64_t now, bool look) {
    (void)bell_.drain([](std::uint64_t) {});
    desk_->sleepers.park_on_bell(kForJobs, {bell_.id(), 1});
    asleep_ = true;
    const bool watches = desk_->lookouts.keep_watch(now, kMore);
    look_at_ = watches ? now + Lookouts::kLookMs : kNever;
    return look || watches ? desk_->seats.bury_dead_processes() : 0;
  }

  os::Doorbell bell_;
  std::unique_ptr<Desk> desk_;
  std::uint32_t process_;
  bool asleep_ = false;
  std::uint64_t look_at_ = kNever;
  std::uint64_t busy_until_ = 0;
};

struct Play {
  std::string what;
  std::uint32_t processes;
  std::uint32_t handles;  // of each
  std::uint64_t longest;  // milliseconds of a job
  std::uint32_t
      restless;        // of a thousand: how likely a handle that could takes a job in a millisecond
  std::uint64_t most;  // milliseconds until a death is noticed
  bool sleeps = false;  // whoever is to die: in its first job, and then for good
};

// Milliseconds until a death was noticed, counting those in which somebody alive slept, or took a job.
std::uint64_t unnoticed(const Play& play, std::uint64_t seed) {
  testing::Random random(seed);
  const Names names;
  std::vector<Player> players;
  for (std::uint32_t i = 0; i < play.processes * play.handles; ++i)
    players.emplace_back(names, i % play.processes);
  std::uint64_t now = os::coarse_ms() + 10'000;
  const std::uint64_t dies_at = now + 200 + random.below(100);
  const auto doomed = static_cast<std::uint32_t>(random.below(play.processes));
  (void)players[doomed].work(now, 1 + random.below(play.longest));
  std::uint64_t counted = 0;
  for (; counted < 5000; ++now) {
    const bool after = now > dies_at;
    bool anybody = false;
    std::uint32_t found = 0;
    for (Player& player : players) {
      if (!player.alive()) continue;
      const bool may = !player.at_work(now) && !(play.sleeps && player.process() == doomed);
      if (may && random.below(1000) < play.restless) {
        found += player.work(now, 1 + random.below(play.longest));
        anybody = true;
      }
      found += player.step(now);
      anybody = anybody || player.asleep();
    }
    if (found != 0) {
      CHECK(after);
      return counted;
    }
    if (after && anybody) ++counted;
    if (now != dies_at) continue;
    for (Player& player : players) {
      if (player.process() == doomed && player.alive()) player.die();
    }
  }
  return counted;
}

}  // namespace

TEST_CASE("lookouts: a death is noticed within the time that is promised, whoever dies") {
  constexpr std::uint64_t kByLookout = Lookouts::kLookMs;
  // Whoever leases jobs comes within the longest job, and is not told of a lookout that died before that is stale.
  constexpr auto by_holder = [](std::uint64_t job) {
    return Lookouts::kLookMs + Lookouts::kAskMs + job;
  };
  constexpr auto after_lookout = [](std::uint64_t job) {
    return Lookouts::kStaleMs + Lookouts::kAskMs + job;
  };
  const Play plays[] = {
      {"one sleeps while the other one dies", 2, 1, 1, 0, kByLookout},
      {"nobody does anything", 3, 1, 1, 0, kByLookout},
      {"several handles of each", 2, 3, 1, 2, kByLookout},
      {"all take short jobs, and sleep", 3, 2, 5, 100, kByLookout},
      {"some have long jobs", 4, 2, 400, 5, Lookouts::kNoticedMs},
      {"most have long jobs", 4, 1, 400, 20, Lookouts::kNoticedMs},
      {"two of three have long jobs", 3, 1, 400, 20, Lookouts::kNoticedMs},
      {"long jobs, several handles of each", 3, 2, 400, 10, Lookouts::kNoticedMs},
      {"hardly anybody sleeps", 3, 1, 5, 900, by_holder(5)},
      {"nobody sleeps", 2, 1, 9, 1000, by_holder(9)},
      {"only who dies sleeps", 2, 1, 5, 1000, after_lookout(5), true},
      {"only who dies sleeps, twice", 2, 2, 5, 1000, after_lookout(5), true},
      {"many", 6, 2, 50, 50, kByLookout},
  };
  for (const Play& play : plays) {
    CAPTURE(play.what);
    std::uint64_t longest = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      CAPTURE(seed);
      const std::uint64_t took = unnoticed(play, seed);
      longest = std::max(longest, took);
      CHECK(took <= play.most);
      CHECK(took <= Lookouts::kNoticedMs);
    }
    MESSAGE(play.what << ": " << longest << " ms at most");
  }
}

}  // namespace millrace::test::work_lookouts_test
