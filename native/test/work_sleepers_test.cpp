// Sleepers of a work queue: who is woken, one at a time, and that no way out of a wait loses what it was woken for.
#include <millrace/work/sleepers.hpp>

#include <poll.h>

#include <thread>
#include <vector>

#include "work_seats.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_sleepers_test {

using namespace millrace;
using namespace millrace::test;

namespace {

layout::DutyWord duty(const Desk& desk, std::uint32_t kind = 0) {
  return layout::unpack_duty(desk.seats.control().duties[kind].word.load());
}
// Makes the wake-up in flight so old that it is not waited for.
void age(const Desk& desk, std::uint32_t kind = 0) {
  layout::DutyWord old = duty(desk, kind);
  old.at_ms -= 1000;
  desk.seats.control().duties[kind].word.store(pack(old));
}
// Makes the wake-up in flight as young as can be, however long the machine took since: after five milliseconds another one
// would be sent.
void renew(const Desk& desk, std::uint32_t kind = 0) {
  layout::DutyWord given = duty(desk, kind);
  if (!given.on_the_way) return;
  given.at_ms = os::coarse_ms();
  desk.seats.control().duties[kind].word.store(pack(given));
}
bool rung(const os::Doorbell& bell) {
  bool any = false;
  (void)bell.drain([&](std::uint64_t) { any = true; });
  return any;
}

// Handles that sleep in event loops of their own.
struct Dormitory {
  explicit Dormitory(std::uint32_t count, std::uint32_t kinds = kForJobs,
                     const WorkShape& shape = seats_shape()) {
    for (std::uint32_t i = 0; i < count; ++i) {
      bells.push_back(names.bell());
      desks.push_back(sit(seat_options(names.name(), bells[i].id()), shape));
      if (kinds != 0) park(i, kinds);
    }
    pusher = sit(names, shape);
  }
  void park(std::uint32_t i, std::uint32_t kinds = kForJobs) {
    desks[i]->sleepers.park_on_bell(kinds, {bells[i].id(), i});
  }
  // Seats that were rung since the last call.
  std::vector<std::uint32_t> rung_ones() {
    std::vector<std::uint32_t> all;
    for (std::uint32_t i = 0; i < bells.size(); ++i) {
      if (rung(bells[i])) all.push_back(i);
    }
    return all;
  }
  Sleepers& operator[](std::uint32_t i) { return desks[i]->sleepers; }
  // While the last wake-up is in flight.
  [[nodiscard]] bool publish_meanwhile() {
    renew(*pusher);
    return pusher->sleepers.after_publish(0);
  }

  Names names;
  std::vector<os::Doorbell> bells;
  std::vector<std::unique_ptr<Desk>> desks;
  std::unique_ptr<Desk> pusher;
};
using Seen = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("work sleepers: a publish with nobody asleep wakes nobody and says so") {
  Dormitory d(2, 0);
  CHECK_FALSE(d.pusher->sleepers.after_publish(0));
  CHECK_FALSE(d.pusher->sleepers.after_room());
  CHECK(d.rung_ones().empty());
}

TEST_CASE("work sleepers: one wake-up is in flight at a time, and who is woken passes it on") {
  Dormitory d(3);
  CHECK(d.pusher->sleepers.after_publish(0));
  CHECK(d.rung_ones() == Seen{0});
  CHECK(duty(*d.pusher).seat == 0);
  CHECK(duty(*d.pusher).on_the_way);
  CHECK(d.publish_meanwhile());  // it may not come: look again
  CHECK(d.publish_meanwhile());
  CHECK(d.rung_ones().empty());
  CHECK(d[0].pass_on(0, kMore));
  CHECK(d.rung_ones() == Seen{1});
  d[0].unpark();
  CHECK(d.rung_ones().empty());
  CHECK(d[1].pass_on(0, kMore));
  d[1].unpark();
  CHECK(d.rung_ones() == Seen{2});
  CHECK_FALSE(d[2].pass_on(0, kNoMore));
  CHECK_FALSE(duty(*d.pusher).on_the_way);
  d[2].unpark();
  CHECK_FALSE(d.pusher->sleepers.after_publish(0));  // nobody sleeps
}

TEST_CASE("work sleepers: it goes around, so that each has its turn") {
  Dormitory d(3);
  Seen order;
  for (int i = 0; i < 7; ++i) {
    (void)d.pusher->sleepers.after_publish(0);
    const Seen now = d.rung_ones();
    REQUIRE(now.size() == 1);
    order.push_back(now[0]);
    CHECK_FALSE(d[now[0]].pass_on(0, kNoMore));
    d.park(now[0]);
  }
  CHECK(order == Seen{0, 1, 2, 0, 1, 2, 0});
}

TEST_CASE("work sleepers: what comes while a duty is dropped is looked for") {
  Dormitory d(2);
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0});
  CHECK(d.publish_meanwhile());
  CHECK(d[0].pass_by(0));        // look again: there is news
  CHECK_FALSE(d[0].pass_by(0));  // and now there is none
  CHECK_FALSE(duty(*d.pusher).on_the_way);
  CHECK(d.rung_ones().empty());
  // The same after a look that found something: there is more, as it was said to be.
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{1});
  CHECK(d.publish_meanwhile());
  int asked = 0;
  CHECK(d[1].pass_on(0, [&] { return ++asked == 2; }));
  CHECK(d.rung_ones() == Seen{0});
}

TEST_CASE(
    "work sleepers: what is published during a look in vain is not lost when that one gives up") {
  Dormitory d(2);
  // 0 has looked, and found nothing. Then a job comes, and it is woken for that.
  CHECK(d.pusher->sleepers.after_publish(0));
  CHECK(d.rung_ones() == Seen{0});
  // It may not drop the duty for the look that it had before,
  CHECK(d[0].pass_by(0));
  SUBCASE("but looks again") {
    CHECK_FALSE(d[0].pass_by(0));
    CHECK_FALSE(duty(*d.pusher).on_the_way);
    CHECK(d.rung_ones().empty());
  }
  SUBCASE("or another one is woken") {
    d[0].unpark();
    CHECK(d.rung_ones() == Seen{1});
  }
  SUBCASE("and again, when it is given anew") {
    CHECK_FALSE(d[0].pass_by(0));
    d[1].unpark();
    CHECK(d.pusher->sleepers.after_publish(0));
    CHECK(d.rung_ones() == Seen{0});
    CHECK(d[0].pass_by(0));
  }
}

// Who publishes and finds that there is news already changes nothing. So a look for news begins by taking it out.
TEST_CASE("work sleepers: what comes during a look for news is looked for") {
  Dormitory d(2);
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0});
  (void)d.publish_meanwhile();
  CHECK(d[0].pass_by(0));
  CHECK_FALSE(duty(*d.pusher).again);
  (void)d.publish_meanwhile();
  CHECK(d[0].pass_by(0));
  CHECK_FALSE(d[0].pass_by(0));
  CHECK(d.rung_ones().empty());
}

// A duty says when it was given, by a clock of milliseconds: one that is given twice within a tick looks the same.
TEST_CASE("work sleepers: a look is not remembered for a duty that is given anew") {
  Dormitory d(2);
  const std::uint64_t nothing = d.pusher->seats.control().duties[0].word.load();
  // 0 is woken, and looks in vain.
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0});
  const std::uint64_t given = d.pusher->seats.control().duties[0].word.load();
  CHECK(d[0].pass_by(0));
  SUBCASE("it found something, and handed the duty on") {
    CHECK(d[0].pass_on(0, kMore));
    CHECK(d.rung_ones() == Seen{1});
  }
  SUBCASE("somebody else has the duty") {
    d.pusher->seats.control().duties[0].word.store(nothing);
    CHECK_FALSE(d[0].pass_by(0));
  }
  SUBCASE("it lay down again") {
    d.park(0);
  }
  // Within the same tick it looks in vain, and is woken once more after that look.
  d.pusher->seats.control().duties[0].word.store(given);
  CHECK(d[0].pass_by(0));  // for which it has to look
  CHECK_FALSE(d[0].pass_by(0));
}

TEST_CASE("work sleepers: every way out of a wait passes the duty on") {
  Dormitory d(3);
  SUBCASE("it gives up") {
    (void)d.pusher->sleepers.after_publish(0);
    d[0].unpark();
    CHECK(d.rung_ones() == Seen{0, 1});
  }
  SUBCASE("it waits for something else from now on") {
    (void)d.pusher->sleepers.after_publish(0);
    d.park(0, kForRooms);
    CHECK(d.rung_ones() == Seen{0, 1});
    CHECK(d[0].kinds() == kForRooms);
  }
  SUBCASE("it closes") {
    (void)d.pusher->sleepers.after_publish(0);
    d[0].unpark();
    d.desks[0].reset();
    CHECK(d.rung_ones() == Seen{0, 1});
  }
  SUBCASE("it vanishes") {
    (void)d.pusher->sleepers.after_publish(0);
    d.desks[0]->seats.vanish();
    CHECK(d.rung_ones() == Seen{0});
    CHECK(d.pusher->seats.bury_all_dead() == 1);
    CHECK(d.rung_ones() == Seen{1});
  }
  CHECK(duty(*d.pusher).seat == 1);
  CHECK(duty(*d.pusher).on_the_way);
  CHECK_FALSE(d[1].pass_on(0, kNoMore));
}

TEST_CASE(
    "work sleepers: one that was woken and is busy is not waited for, and is rung once more") {
  Dormitory d(3);
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0});
  age(*d.pusher);
  CHECK(d.pusher->sleepers.after_publish(0));
  CHECK(d.rung_ones() == Seen{0, 1});
  age(*d.pusher);
  CHECK_FALSE(d.pusher->sleepers.recheck(0, kNoMore));
  CHECK(d.rung_ones().empty());
  CHECK(d.pusher->sleepers.recheck(0, kMore));
  CHECK(d.rung_ones() == Seen{1, 2});
  // Who comes late has no duty any more.
  CHECK_FALSE(d[0].pass_on(0, kMore));
  CHECK(d.rung_ones().empty());
}

TEST_CASE("work sleepers: the only one is rung again, whether it says that it sleeps or not") {
  Dormitory d(1);
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0});
  CHECK_FALSE(d[0].parked());
  age(*d.pusher);
  CHECK(d.pusher->sleepers.recheck(0, kMore));
  CHECK(d.rung_ones() == Seen{0});
  renew(*d.pusher);
  CHECK(d.pusher->sleepers.recheck(0, kMore));  // in flight again
  CHECK(d.rung_ones().empty());
}

TEST_CASE("work sleepers: a time that is none of this boot's does not hold anybody up") {
  Dormitory d(2);
  (void)d.pusher->sleepers.after_publish(0);
  layout::DutyWord strange = duty(*d.pusher);
  strange.at_ms += 1'000'000;
  d.pusher->seats.control().duties[0].word.store(pack(strange));
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0, 1});
}

TEST_CASE("work sleepers: one whose doorbell is dead is skipped, and named for burial") {
  Dormitory d(3);
  d.bells[0] = os::Doorbell();
  CHECK(d.pusher->sleepers.after_publish(0));
  CHECK(d.rung_ones() == Seen{1});
  CHECK(d.pusher->sleepers.found_dead() == 0U);
  CHECK_FALSE(d.pusher->sleepers.found_dead());
  // All dead: nobody is waited for.
  CHECK_FALSE(d[1].pass_on(0, kNoMore));
  d.bells[1] = os::Doorbell();
  d.bells[2] = os::Doorbell();
  CHECK_FALSE(d.pusher->sleepers.after_publish(0));
  CHECK_FALSE(duty(*d.pusher).on_the_way);
}

TEST_CASE("work sleepers: a dead thread in the kernel is skipped, too") {
  Dormitory d(1, 0);
  const Shared<std::atomic<std::uint32_t>> asleep;
  Child child([&] {
    Desk desk;
    CHILD_EXPECT(desk.try_open(seat_options(d.names.name()), seats_shape()).ok());
    desk.sleepers.park_on_futex(kForJobs);
    asleep->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return asleep->load() == 1; }));
  child.kill();
  d.park(0);
  (void)d.pusher->sleepers.after_publish(0);
  CHECK(d.rung_ones() == Seen{0});
  CHECK_FALSE(d[0].pass_on(0, kNoMore));
  (void)d.pusher->sleepers.after_publish(0);  // it would be the dead one's turn
  CHECK(d.rung_ones() == Seen{0});
  CHECK(d.pusher->sleepers.found_dead() == 2U);
}

TEST_CASE("work sleepers: the bits and the duty of a dead seat are gone before anybody takes it") {
  const Names names;
  auto pusher = sit(names);
  const Shared<std::atomic<std::uint32_t>> asleep;
  Child child([&] {
    Desk desk;
    CHILD_EXPECT(desk.try_open(seat_options(names.name()), seats_shape()).ok());
    desk.sleepers.park_on_futex(kForJobs | kForRooms);
    asleep->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return asleep->load() == 1; }));
  // It is stopped, and said to be on its way.
  layout::DutyWord given;
  given.seat = 1;
  given.on_the_way = true;
  given.at_ms = os::coarse_ms();
  pusher->seats.control().duties[0].word.store(pack(given));
  child.kill();
  auto next = sit(names);
  REQUIRE(next->seats.seat() == 1);
  CHECK_FALSE(duty(*pusher).on_the_way);
  CHECK_FALSE(pusher->sleepers.after_publish(0));
  CHECK_FALSE(pusher->sleepers.after_room());
  CHECK(pusher->seats.seat_record(1).waits_for.load() == 0);
  CHECK(pusher->seats.line(1).parked.load() == 0);
}

TEST_CASE("work sleepers: whoever buries one that died between publishing and waking wakes") {
  Dormitory d(2);
  {
    auto other = sit(d.names);
    other->seats.vanish();  // it had published
  }
  CHECK(d.pusher->seats.bury_all_dead() == 1);
  CHECK(d.rung_ones() == Seen{0});
}

TEST_CASE("work sleepers: room is offered to one after the other, one round at most") {
  Dormitory d(3, kForRooms);
  CHECK(d.pusher->sleepers.after_room());
  CHECK(d.rung_ones() == Seen{0});
  CHECK_FALSE(d[0].pass_by(layout::kForRoom));  // too little for this one
  CHECK(d.rung_ones() == Seen{1});
  d.park(0, kForRooms);
  CHECK_FALSE(d[1].pass_by(layout::kForRoom));
  CHECK(d.rung_ones() == Seen{2});
  d.park(1, kForRooms);
  CHECK_FALSE(d[2].pass_by(layout::kForRoom));
  d.park(2, kForRooms);
  CHECK(d.rung_ones().empty());  // it has been round
  CHECK_FALSE(duty(*d.pusher, layout::kForRoom).on_the_way);
  // The next one begins behind the last one.
  CHECK(d.pusher->sleepers.after_room());
  CHECK(d.rung_ones() == Seen{0});
  CHECK_FALSE(d[0].pass_by(layout::kForRoom, kNoMore));  // nobody could use it
  CHECK(d.rung_ones().empty());
}

TEST_CASE("work sleepers: more room during a round begins another one") {
  Dormitory d(3, kForRooms);
  (void)d.pusher->sleepers.after_room();
  CHECK_FALSE(d[0].pass_by(layout::kForRoom));
  d.park(0, kForRooms);
  CHECK(d.rung_ones() == Seen{0, 1});
  renew(*d.pusher, layout::kForRoom);
  CHECK(d.pusher->sleepers.after_room());  // what 0 was waiting for, perhaps
  CHECK(d[1].pass_by(layout::kForRoom));
  CHECK_FALSE(d[1].pass_by(layout::kForRoom));
  d.park(1, kForRooms);
  CHECK(d.rung_ones() == Seen{2});
  CHECK_FALSE(d[2].pass_by(layout::kForRoom));
  d.park(2, kForRooms);
  CHECK(d.rung_ones() == Seen{0});
  CHECK_FALSE(d[0].pass_by(layout::kForRoom));
  d.park(0, kForRooms);
  CHECK(d.rung_ones().empty());
}

TEST_CASE("work sleepers: kinds are woken for apart, and one ring serves both") {
  Dormitory d(2, kForJobs | kForRooms);
  (void)d.pusher->sleepers.after_publish(0);
  (void)d.pusher->sleepers.after_room();
  CHECK(duty(*d.pusher, 0).seat == 0);
  CHECK(duty(*d.pusher, layout::kForRoom).seat == 0);
  CHECK(d.rung_ones() == Seen{0});
  CHECK_FALSE(d[0].pass_on(0, kNoMore));
  CHECK(duty(*d.pusher, layout::kForRoom).on_the_way);
  d[0].unpark();  // it did not look for room
  CHECK(duty(*d.pusher, layout::kForRoom).seat == 1);
  CHECK(d.rung_ones() == Seen{1});
}

TEST_CASE("work sleepers: stages and seats beyond the first words") {
  WorkShape shape = seats_shape(200, 3);
  const Names names;
  std::vector<std::unique_ptr<Desk>> all;
  for (int i = 0; i < 198; ++i)
    all.push_back(sit(names, shape));
  const os::Doorbell bell = names.bell();
  all[190]->sleepers.park_on_bell(1U << 2U, {bell.id(), 190});
  CHECK_FALSE(all[3]->sleepers.after_publish(0));
  CHECK_FALSE(all[3]->sleepers.after_publish(1));
  CHECK(all[3]->sleepers.after_publish(2));
  CHECK(rung(bell));
  CHECK(duty(*all[3], 2).seat == 190);
  all[190]->sleepers.unpark();
  // The first publish after that finds the words empty and says so to all.
  CHECK_FALSE(all[3]->sleepers.after_publish(2));
  CHECK((all[3]->seats.control().sleepers[2].load() & 0xFFFFFFFFU) == 0);
}

TEST_CASE("work sleepers: those who block are woken, and take turns") {
  const Names names;
  Shared<std::array<std::atomic<std::uint64_t>, 4>> numbers;
  auto& ready = (*numbers)[0];
  auto& taken = (*numbers)[1];
  auto& stop = (*numbers)[2];
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      Desk desk;
      CHILD_EXPECT(desk.try_open(seat_options(names.name()), seats_shape()).ok());
      const auto take = [&] {
        for (;;) {
          std::uint64_t left = ready.load();
          while (left != 0 && !ready.compare_exchange_weak(left, left - 1)) {
          }
          if (left != 0) {
            taken.fetch_add(1);
            (void)desk.sleepers.pass_on(0, [&] { return ready.load() != 0; });
            return true;
          }
          if (!desk.sleepers.pass_by(0)) return stop.load() != 0;
        }
      };
      while (stop.load() == 0)
        (void)desk.sleepers.wait_slice(kForJobs, 0, kSecond, take);
      return 0;
    });
  }
  auto pusher = sit(names);
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    ready.fetch_add(1);
    (void)pusher->sleepers.after_publish(0);
    if (i % 50 == 0) REQUIRE(eventually([&] { return taken.load() == i; }));
  }
  stop.store(1);
  for (Child& child : children)
    CHECK(child.wait() == 0);
}

TEST_CASE(
    "lookouts: one that parks while there are leases becomes one, and retires when there are "
    "none") {
  Dormitory d(3);
  CHECK_FALSE(
      d.desks[0]->lookouts.keep_watch(os::coarse_ms(), kMore));  // nobody has leased anything
  (void)d.pusher->lookouts.call(os::coarse_ms());
  CHECK(d.desks[0]->lookouts.keep_watch(os::coarse_ms(), kMore));
  CHECK(d.desks[1]->lookouts.keep_watch(os::coarse_ms(), kMore));
  CHECK_FALSE(d.desks[2]->lookouts.keep_watch(os::coarse_ms(), kMore));  // two are enough
  os::sleep_ns((Lookouts::kRetireMs + 20) * kMillisecond);
  CHECK(d.desks[0]->lookouts.keep_watch(os::coarse_ms(), kMore));
  CHECK(d.desks[0]->lookouts.keep_watch(os::coarse_ms(), kNoMore));  // for a while
  CHECK(d.desks[2]->lookouts.keep_watch(os::coarse_ms(), kNoMore));  // the other one has not looked
  os::sleep_ns((Lookouts::kRetireMs + 20) * kMillisecond);
  int asked = 0;
  // There was one after all.
  CHECK(d.desks[0]->lookouts.keep_watch(os::coarse_ms(), [&] { return ++asked == 2; }));
  CHECK_FALSE(d.desks[2]->lookouts.keep_watch(os::coarse_ms(), kNoMore));
  CHECK_FALSE(
      d.desks[1]->lookouts.keep_watch(os::coarse_ms(), kMore));  // nobody has leased anything since
  (void)d.pusher->lookouts.call(os::coarse_ms());
  CHECK(d.desks[1]->lookouts.keep_watch(os::coarse_ms(), kMore));
}

TEST_CASE("lookouts: one that is stopped is replaced, and one that goes to work calls another") {
  Dormitory d(3);
  (void)d.pusher->lookouts.call(os::coarse_ms());
  CHECK(d.desks[0]->lookouts.keep_watch(os::coarse_ms(), kMore));
  CHECK(d.rung_ones().empty());
  CHECK(d.desks[0]->lookouts.keep_watch(os::coarse_ms(), kMore));
  CHECK(d.rung_ones() == Seen{1});  // to be the second
  CHECK(d.desks[1]->lookouts.keep_watch(os::coarse_ms(), kMore));
  d[0].unpark();
  d.desks[0]->lookouts.rest(os::coarse_ms());
  CHECK(d.rung_ones() == Seen{2});  // there is another one, which may be about to die
  CHECK(d.desks[2]->lookouts.keep_watch(os::coarse_ms(), kMore));
  d[1].unpark();
  d.desks[1]->lookouts.rest(os::coarse_ms());
  CHECK(d.rung_ones().empty());  // nobody is left but the other lookout
  d.park(0);
  d.park(1);
  CHECK(d.desks[1]->lookouts.keep_watch(os::coarse_ms(), kMore));
  d[1].unpark();
  d.desks[1]->lookouts.rest(os::coarse_ms());
  CHECK(d.rung_ones().empty());  // nor so soon again
  d.desks[2]->lookouts.resign(os::coarse_ms());
  CHECK(d.pusher->seats.control().lookouts[0].load() == 0);
}

TEST_CASE("lookouts: whoever leases a job calls somebody of another process, if anybody can") {
  const Names names;
  auto worker = sit(names);
  auto neighbour = sit(names);
  const os::Doorbell bell = names.bell();
  neighbour->sleepers.park_on_bell(kForJobs, {bell.id(), 1});
  const std::uint64_t now = os::coarse_ms();
  CHECK(worker->lookouts.call(now));  // nobody does: look for the dead
  CHECK_FALSE(rung(bell));            // it would die with us
  CHECK_FALSE(worker->lookouts.call(now + 1));
  const Shared<std::array<std::atomic<std::uint64_t>, 2>> shared;
  auto& asleep = (*shared)[0];
  auto& watching = (*shared)[1];
  Child child([&] {
    const os::Doorbell own = names.bell();
    Desk desk;
    CHILD_EXPECT(desk.try_open(seat_options(names.name(), own.id()), seats_shape()).ok());
    desk.sleepers.park_on_bell(kForJobs, {own.id(), 2});
    asleep.store(1);
    pollfd waits{own.fd(), POLLIN, 0};
    CHILD_EXPECT(::poll(&waits, 1, 20'000) == 1);
    desk.sleepers.park_on_bell(kForJobs, {own.id(), 2});
    watching.store(desk.lookouts.keep_watch(os::coarse_ms(), kMore) ? 1 : 2);
    return linger();
  });
  REQUIRE(eventually([&] { return asleep.load() == 1; }));
  (void)worker->lookouts.call(os::coarse_ms() + Lookouts::kAskMs);
  REQUIRE(eventually([&] { return watching.load() != 0; }));
  CHECK(watching.load() == 1);
  child.kill();
  CHECK(worker->seats.bury_all_dead() == 1);
  CHECK(worker->seats.control().lookouts[0].load() == 0);
}

}  // namespace millrace::test::work_sleepers_test
