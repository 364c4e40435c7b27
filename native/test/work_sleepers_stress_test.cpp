// Sleepers of a work queue under load: many who push and wait for room, many who take and wait for jobs, all of them by
// doorbells, so that a wake-up that is lost is not made good by a slice that ends. Threads (ThreadSanitizer sees those),
// processes, and processes that are killed and stopped meanwhile.
#include <millrace/work/sleepers.hpp>

#include <poll.h>

#include <array>
#include <thread>
#include <vector>

#include "work_seats.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_sleepers_stress_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kSizes = 5;  // of jobs: 1 … 4 units of room
constexpr std::uint64_t kUnits = 12;
constexpr int kLostMs = 20'000;

struct Yard {
  std::array<std::atomic<std::uint64_t>, kSizes> ready;
  std::atomic<std::uint64_t> room;
  std::atomic<std::uint64_t> to_push;
  std::atomic<std::uint64_t> taken;
  std::atomic<std::uint64_t> lost;
  std::atomic<std::uint64_t> wakes;
  std::atomic<std::uint32_t> here;
  std::atomic<bool> stop;
  std::array<std::atomic<std::uint32_t>, 64> sits;  // seat + 1 of each child

  [[nodiscard]] bool any_ready() const {
    for (const auto& count : ready) {
      if (count.load() != 0) return true;
    }
    return false;
  }
};

// Takes `many` of a number that there are at least.
bool take_of(std::atomic<std::uint64_t>& number, std::uint64_t many) {
  std::uint64_t left = number.load();
  while (left >= many) {
    if (number.compare_exchange_weak(left, left - many)) return true;
  }
  return false;
}

class Hand {
 public:
  Hand(Yard& yard, std::uint64_t seed) : yard_(&yard), random_(seed) {}

  [[nodiscard]] bool open(const Names& names, const WorkShape& shape) {
    auto made = os::Doorbell::create(os::BellTrust{::geteuid(), ::getegid(), false});
    if (!made.ok()) return false;
    bell_ = made.take();
    names.watch_bell(bell_.id());
    return desk.try_open(seat_options(names.name(), bell_.id()), shape).ok();
  }

  bool try_take() {
    do {
      const auto first = static_cast<std::uint32_t>(random_.below(kSizes - 1));
      for (std::uint32_t i = 0; i + 1 < kSizes; ++i) {
        const std::uint32_t size = 1 + (first + i) % (kSizes - 1);
        if (!take_of(yard_->ready[size], 1)) continue;
        (void)desk.sleepers.pass_on(0, [&] { return yard_->any_ready(); });
        for (std::uint64_t work = random_.below(300); work > 0; --work)
          os::spin_hint();
        yard_->room.fetch_add(size);
        (void)desk.sleepers.after_room();
        if (yard_->taken.fetch_add(1) + 1 == total) finish();
        return true;
      }
    } while (desk.sleepers.pass_by(0));
    return false;
  }
  bool try_push(std::uint32_t size) {
    do {
      if (take_of(yard_->room, size)) {
        yard_->ready[size].fetch_add(1);
        owed_ = desk.sleepers.after_publish(0);
        (void)desk.sleepers.pass_on(layout::kForRoom, [&] { return yard_->room.load() != 0; });
        return true;
      }
    } while (desk.sleepers.pass_by(layout::kForRoom, [&] { return yard_->room.load() != 0; }));
    return false;
  }
  // As an event loop does it: park, look, sleep until rung. False: nobody rang, or everything is over.
  template <typename Look>
  bool wait(std::uint32_t kind, int timeout_ms, Look&& look) {
    for (;;) {
      desk.sleepers.park_on_bell(1U << kind, {bell_.id(), 1});
      const bool found = look();
      pollfd waits{bell_.fd(), POLLIN, 0};
      if (!found && !yard_->stop.load() && ::poll(&waits, 1, timeout_ms) > 0) {
        yard_->wakes.fetch_add(1);
        (void)bell_.drain([](std::uint64_t) {});
        continue;
      }
      desk.sleepers.unpark();
      return found;
    }
  }
  void finish() {
    yard_->stop.store(true);
    desk.seats.for_each_present([&](std::uint32_t seat) { (void)desk.seats.nudge(seat); });
  }

  // Takes until everything is over; some waits are given up, and begun again.
  void work() {
    while (!yard_->stop.load()) {
      if (try_take()) continue;
      const bool short_wait = random_.below(20) == 0;
      const bool found = wait(0, short_wait ? 1 : kLostMs, [&] { return try_take(); });
      if (!found && !short_wait && !yard_->stop.load()) {
        yard_->lost.fetch_add(1);
        finish();
      }
    }
  }
  void push() {
    while (!yard_->stop.load() && take_of(yard_->to_push, 1)) {
      const auto size = static_cast<std::uint32_t>(1 + random_.below(kSizes - 1));
      bool pushed = try_push(size);
      while (!pushed && !yard_->stop.load()) {
        const bool short_wait = random_.below(20) == 0;
        pushed = wait(layout::kForRoom, short_wait ? 1 : kLostMs, [&] { return try_push(size); });
        if (!pushed && !short_wait && !yard_->stop.load()) {
          yard_->lost.fetch_add(1);
          finish();
        }
      }
      if (random_.below(50) == 0) os::sleep_ns(200'000);  // let them fall asleep
    }
  }
  // Pushes, and looks again where somebody may not come.
  void push_carefully() {
    while (!yard_->stop.load()) {
      if (yard_->to_push.load() == 0 || !try_push(1)) {
        os::sleep_ns(kMillisecond);
      } else if (owed_ && random_.below(4) == 0) {
        os::sleep_ns(Sleepers::kRecheckMs * kMillisecond);
      }
      (void)desk.sleepers.recheck(0, [&] { return yard_->any_ready(); });
      if (desk.sleepers.found_dead()) (void)desk.seats.bury_all_dead();
    }
  }

  Desk desk;
  std::uint64_t total = 0;

 private:
  Yard* yard_;
  Random random_;
  os::Doorbell bell_;
  bool owed_ = false;
};

void check_end(const Yard& yard, std::uint64_t total) {
  CHECK(yard.lost.load() == 0);
  CHECK(yard.taken.load() == total);
  CHECK(yard.room.load() == kUnits);
  CHECK_FALSE(yard.any_ready());
  MESSAGE(total << " jobs, " << yard.wakes.load() << " wake-ups");
}

}  // namespace

TEST_CASE(
    "work sleepers: stress – threads that push, take and wait for each other lose no wake-up") {
  const Names names;
  const WorkShape shape = seats_shape(16);
  Yard yard{};
  const auto total = static_cast<std::uint64_t>(rounds(40'000));
  yard.room.store(kUnits);
  yard.to_push.store(total);
  std::vector<std::unique_ptr<Hand>> hands;
  for (std::uint64_t i = 0; i < 8; ++i) {
    hands.push_back(std::make_unique<Hand>(yard, i + 1));
    hands.back()->total = total;
    REQUIRE(hands.back()->open(names, shape));
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < hands.size(); ++i) {
    threads.emplace_back([&hand = *hands[i], i] {
      if (i % 2 == 0) {
        hand.work();
      } else {
        hand.push();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  check_end(yard, total);
}

TEST_CASE(
    "work sleepers: stress – processes that push, take and wait for each other lose no wake-up") {
  const Names names;
  const WorkShape shape = seats_shape(16);
  const Shared<Yard> yard;
  const auto total = static_cast<std::uint64_t>(rounds(40'000));
  yard->room.store(kUnits);
  yard->to_push.store(total);
  std::vector<Child> children;
  for (std::uint64_t i = 0; i < 8; ++i) {
    children.emplace_back([&, i] {
      Hand hand(*yard, i + 1);
      hand.total = total;
      CHILD_EXPECT(hand.open(names, shape));
      yard->here.fetch_add(1);
      CHILD_EXPECT(eventually([&] { return yard->here.load() == 8; }));
      if (i % 2 == 0) {
        hand.work();
      } else {
        hand.push();
      }
      return 0;
    });
  }
  for (Child& child : children)
    CHECK(child.wait() == 0);
  check_end(*yard, total);
}

// Nothing that is published later makes good what is lost.
TEST_CASE(
    "work sleepers: stress – a few jobs at a time, and nothing after them until they are taken") {
  const Names names;
  const WorkShape shape = seats_shape(16);
  const Shared<Yard> yard;
  const auto bursts = static_cast<std::uint64_t>(rounds(8'000));
  yard->room.store(kUnits);
  std::vector<Child> children;
  constexpr std::uint32_t workers = 3;
  for (std::uint64_t i = 0; i < workers; ++i) {
    children.emplace_back([&, i] {
      Hand hand(*yard, i + 1);
      CHILD_EXPECT(hand.open(names, shape));
      yard->here.fetch_add(1);
      hand.work();
      return 0;
    });
  }
  Hand pusher(*yard, 77);
  REQUIRE(pusher.open(names, shape));
  REQUIRE(eventually([&] { return yard->here.load() == workers; }));
  Random random(5);
  std::uint64_t total = 0;
  for (std::uint64_t burst = 0; burst < bursts && yard->lost.load() == 0; ++burst) {
    for (std::uint64_t i = random.below(4); i > 0; --i) {
      REQUIRE(pusher.try_push(1));
      ++total;
      for (std::uint64_t work = random.below(400); work > 0; --work)
        os::spin_hint();
    }
    const os::Deadline end = os::Deadline::after(kLostMs * kMillisecond);
    while (yard->taken.load() != total && !end.passed())
      std::this_thread::yield();
    REQUIRE(yard->taken.load() == total);
  }
  pusher.finish();
  for (Child& child : children)
    CHECK(child.wait() == 0);
  check_end(*yard, total);
}

TEST_CASE(
    "work sleepers: stress – processes that are killed and stopped keep nobody asleep for long") {
  const Names names;
  const WorkShape shape = seats_shape(32);
  const Shared<Yard> yard;
  yard->room.store(1'000'000'000);
  yard->to_push.store(1);
  constexpr std::uint32_t workers = 5;
  std::vector<std::optional<Child>> children(workers + 2);
  std::uint64_t seed = 1;
  const auto start = [&](std::size_t i) {
    children[i].emplace([&, i, mine = ++seed] {
      Hand hand(*yard, mine);
      CHILD_EXPECT(hand.open(names, shape));
      yard->sits[i].store(hand.desk.seats.seat() + 1);
      if (i < workers) {
        while (!yard->stop.load()) {
          (void)hand.wait(0, 2000, [&] { return hand.try_take(); });
          if (hand.desk.sleepers.found_dead()) (void)hand.desk.seats.bury_all_dead();
        }
      } else {
        hand.push_carefully();
      }
      return 0;
    });
  };
  for (std::size_t i = 0; i < children.size(); ++i)
    start(i);
  Hand undertaker(*yard, 99);
  REQUIRE(undertaker.open(names, shape));
  Random random(7);
  std::uint64_t longest = 0;
  std::uint64_t since = os::monotonic_ns();
  std::uint64_t taken = 0;
  int kills = 0;
  const os::Deadline end = os::Deadline::after((MILLRACE_SANITIZED != 0 ? 2 : 4) * kSecond);
  while (!end.passed()) {
    const std::size_t victim = random.below(children.size());
    if (random.below(2) == 0) {
      children[victim]->kill();
      ++kills;
      (void)undertaker.desk.seats.bury_all_dead();
      start(victim);
    } else {
      ::kill(children[victim]->pid(), SIGSTOP);
      os::sleep_ns(random.below(30) * kMillisecond);
      ::kill(children[victim]->pid(), SIGCONT);
    }
    os::sleep_ns(random.below(8) * kMillisecond);
    // Is anything done?
    if (const std::uint64_t now = yard->taken.load(); now != taken) {
      longest = std::max(longest, os::monotonic_ns() - since);
      since = os::monotonic_ns();
      taken = now;
    }
  }
  MESSAGE(kills << " kills, " << taken << " jobs, longest without one " << longest / kMillisecond
                << " ms");
  CHECK(longest < kSecond);
  // Everybody lives. What is left is taken, and each new job at once, although nobody looks again.
  yard->to_push.store(0);
  REQUIRE(eventually([&] { return undertaker.desk.seats.bury_all_dead() == 0; }));
  REQUIRE(eventually([&] {
    (void)undertaker.desk.sleepers.recheck(0, [&] { return yard->any_ready(); });
    return !yard->any_ready();
  }));
  for (std::size_t i = workers; i < children.size(); ++i)
    children[i].reset();
  REQUIRE(eventually([&] { return undertaker.desk.seats.bury_all_dead() == 0; }));
  for (int i = 0; i < 50; ++i) {
    REQUIRE(eventually([&] {
      const auto duty = layout::unpack_duty(undertaker.desk.seats.control().duties[0].word.load());
      return !duty.on_the_way;
    }));
    const std::uint64_t before = yard->taken.load();
    const std::uint64_t begun = os::monotonic_ns();
    CHECK(undertaker.try_push(1));
    REQUIRE(eventually([&] { return yard->taken.load() == before + 1; }));
    CHECK(os::monotonic_ns() - begun < kSecond);
  }
  undertaker.finish();
  for (std::uint32_t i = 0; i < workers; ++i)
    CHECK(children[i]->wait() == 0);
  os::sweep_dead_bells(1'000'000);  // of those who died before they had a seat
}

}  // namespace millrace::test::work_sleepers_stress_test
