// Deaths of handles of a work queue: on their way in and out, asleep, woken, waking, on the lookout, burying. Jobs are a number
// here; what must hold is that whoever sleeps is woken for it.
#include <poll.h>

#include "../work_seats.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_sleepers_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kReadyJobs = 0;  // of Numbers::own: jobs

// What a worker does, with a doorbell or without.
class Worker {
 public:
  explicit Worker(Numbers& n) : n_(&n) {}

  [[nodiscard]] bool open(const Names& names, std::uint64_t bell) {
    return desk.try_open(seat_options(names.name(), bell), seats_shape()).ok();
  }
  void push() {
    n_->own[kReadyJobs].fetch_add(1);
    (void)desk.sleepers.after_publish(0);
  }
  bool take() {
    do {
      std::uint64_t left = n_->own[kReadyJobs].load();
      while (left != 0 && !n_->own[kReadyJobs].compare_exchange_weak(left, left - 1)) {
      }
      if (left != 0) {
        (void)desk.lookouts.call(os::coarse_ms());
        (void)desk.sleepers.pass_on(0, [&] { return n_->own[kReadyJobs].load() != 0; });
        return true;
      }
    } while (desk.sleepers.pass_by(0));
    return false;
  }
  bool wait_in_kernel(std::uint64_t timeout_ns) {
    return desk.sleepers.wait_slice(kForJobs, 0, timeout_ns, [&] { return take(); });
  }
  bool wait_in_loop(const os::Doorbell& bell, std::uint32_t kinds, int timeout_ms) {
    const os::Deadline end =
        os::Deadline::after(static_cast<std::uint64_t>(timeout_ms) * kMillisecond);
    for (;;) {
      desk.sleepers.park_on_bell(kinds, {bell.id(), 1});
      (void)desk.lookouts.keep_watch(os::coarse_ms(), [] { return true; });
      const bool found = take();
      if ((kinds & kForRooms) != 0) (void)desk.sleepers.pass_by(layout::kForRoom);
      pollfd waits{bell.fd(), POLLIN, 0};
      const auto left = static_cast<int>((end.left_ns() + kMillisecond - 1) / kMillisecond);
      const bool rung = !found && ::poll(&waits, 1, left) > 0;
      if (rung) (void)bell.drain([](std::uint64_t) {});
      if (found || (!rung && end.passed())) {
        desk.sleepers.unpark();
        desk.lookouts.rest(os::coarse_ms());
        return found;
      }
    }
  }

  Desk desk;

 private:
  Numbers* n_;
};

struct WorkSleeperDies : Scene {
  std::unique_ptr<Worker> mine;
  std::unique_ptr<Worker> other;
  os::Doorbell bell_of_mine;

  void begin() override {
    bell_of_mine = bell();
    mine = std::make_unique<Worker>(*n);
    REQUIRE(mine->open(*this, bell_of_mine.id()));
    other = std::make_unique<Worker>(*n);
    REQUIRE(other->open(*this, 0));
  }

  void act() override {
    const std::uint64_t id = own_bell();
    auto made = os::Doorbell::create(os::BellTrust{::geteuid(), ::getegid(), false});
    Worker worker(*n);
    CHILD_EXPECT(worker.open(*this, id));
    n->bell_in.store(1);
    auto& desk = worker.desk;
    for (int i = 0; i < 4; ++i) {
      worker.push();
      worker.push();
      (void)worker.wait_in_kernel(kMillisecond);
      let_sleep();
      desk.sleepers.park_on_bell(kForJobs | kForRooms, {id, 2});
      (void)desk.lookouts.keep_watch(os::coarse_ms(), [] { return true; });
      (void)desk.sleepers.after_room();
      (void)worker.take();
      (void)desk.sleepers.pass_by(layout::kForRoom);
      let_sleep();
      desk.sleepers.park_on_bell(kForRooms, {id, 2});
      desk.sleepers.unpark();
      desk.lookouts.rest(os::coarse_ms());
    }
    // Others: one that sleeps and is woken, one that is told of news twice, and one that dies with its duty.
    tell(1);
    await_survivor(1);
    {
      Worker quiet(*n);
      CHILD_EXPECT(quiet.open(*this, 0));
      quiet.desk.sleepers.park_on_bell(kForJobs, {id, 3});
      CHILD_EXPECT(desk.sleepers.after_publish(0));
      CHILD_EXPECT(desk.sleepers.after_publish(0));
      CHILD_EXPECT(quiet.desk.sleepers.pass_by(0));
      CHILD_EXPECT(!quiet.desk.sleepers.pass_by(0));
      quiet.desk.sleepers.unpark();
      (void)desk.sleepers.after_publish(0);  // finds the words empty
    }
    one_dies([&] {
      Worker doomed(*n);
      CHILD_EXPECT(doomed.open(*this, 0));
      doomed.desk.sleepers.park_on_bell(kForJobs | kForRooms, {id, 4});
      (void)doomed.desk.sleepers.after_publish(0);
      die();
    });
    (void)desk.seats.bury_all_dead();
    desk.lookouts.resign(os::coarse_ms());
    leave_with_bell();
    desk.seats.leave([] { return false; });
    drop_bell();
  }

  void meanwhile() override {
    if (n->step.load() == 1) {
      n->told.store(1);
      os::sleep_ns(20'000);
      return;
    }
    (void)mine->wait_in_loop(bell_of_mine, kForJobs, 1);
    other->push();
    (void)other->take();
  }

  void after() override {
    without_waiting(*this, [&] {
      // Whoever is dead is buried while `mine` sleeps. Nothing that the dead one owed may keep it from being woken.
      auto& sleepers = mine->desk.sleepers;
      sleepers.park_on_bell(kForJobs, {bell_of_mine.id(), 1});
      while (mine->take()) {
      }
      (void)bell_of_mine.drain([](std::uint64_t) {});
      sleepers.park_on_bell(kForJobs, {bell_of_mine.id(), 1});
      REQUIRE(eventually([&] {
        (void)other->desk.seats.bury_all_dead();
        return present() == 2;
      }));
      check_left();
      sleepers.park_on_bell(kForJobs, {bell_of_mine.id(), 1});
      while (mine->take()) {
      }
      other->push();
      CHECK(mine->wait_in_loop(bell_of_mine, kForJobs, 10'000));
      other->push();
      CHECK(mine->wait_in_loop(bell_of_mine, kForJobs, 10'000));
      CHECK_FALSE(mine->take());
    });
  }
  [[nodiscard]] std::uint32_t present() const {
    std::uint32_t count = 0;
    mine->desk.seats.for_each_present([&](std::uint32_t) { ++count; });
    return count;
  }
  // Of the dead: no duty, no bit, no watch.
  void check_left() const {
    Seats& seats = mine->desk.seats;
    const WorkShape& shape = seats.shape();
    for (const std::uint32_t kind : {0U, layout::kForRoom}) {
      const auto duty = layout::unpack_duty(seats.control().duties[kind].word.load());
      CHECK((!duty.on_the_way || duty.seat == seats.seat()));
      const auto* set = seats.segment().at<std::atomic<std::uint64_t>>(shape.sleepers_at());
      const std::uint64_t bits = set[kind == 0 ? 0 : shape.stages].load();
      CHECK((bits & ~(1ULL << seats.seat())) == 0);
    }
    for (const auto& place : seats.control().lookouts) {
      const std::uint32_t seat = layout::lookout_seat(place.load());
      CHECK((place.load() == 0 || seat == seats.seat()));
    }
  }
  void end() override {
    mine.reset();
    other.reset();
  }
};

// Whoever creates a queue that is kept dies anywhere: the next one finds it set up, or sets it up.
struct WorkCreatorDies : Scene {
  [[nodiscard]] SeatOptions options(std::uint64_t bell) const {
    SeatOptions wanted = seat_options(name(), bell);
    wanted.keep = true;
    return wanted;
  }
  void act() override {
    Desk desk;
    CHILD_EXPECT(desk.try_open(options(own_bell()), seats_shape()).ok());
    n->bell_in.store(1);
    CHILD_EXPECT(desk.work(Desk::kSetUps).load() >= 1);
    leave_with_bell();
    desk.seats.leave([] { return true; });
    drop_bell();
  }
  void meanwhile() override { os::sleep_ns(100'000); }
  void after() override {
    without_waiting(*this, [&] {
      auto desk = sit(options(0));
      CHECK(desk->seats.seat() == 0);
      CHECK(desk->seats.control().begun.load() == 1);
      CHECK(desk->work(Desk::kSetUps).load() >= 1);
      desk->seats.leave([] { return true; });
    });
  }
  void end() override {
    auto desk = sit(options(0));
    desk->seats.leave([] { return false; });
  }
};

}  // namespace

EVERY_DEATH(WorkSleeperDies,
            "a handle of a work queue dies anywhere: who sleeps is woken all the same")
EVERY_DEATH(WorkCreatorDies,
            "the creator of a work queue dies anywhere: the next one finds it complete")

}  // namespace millrace::test::work_sleepers_deaths
