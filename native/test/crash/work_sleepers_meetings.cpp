// Sleepers and wakers of a work queue who meet in the narrow windows: nobody is forgotten, whoever of the two stands still there.
#include "../work_seats.hpp"
#include "meeting.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_sleepers_meetings {

using namespace millrace;
using namespace millrace::test;

namespace {

// Two sleepers in event loops, and one who publishes.
struct Room : Names {
  Room() {
    for (int i = 0; i < 2; ++i) {
      bells.push_back(bell());
      desks.push_back(sit(seat_options(name(), bells.back().id())));
    }
    pusher = sit(*this);
  }
  void park(std::uint32_t i) { desks[i]->sleepers.park_on_bell(kForJobs, {bells[i].id(), i}); }
  bool rung(std::uint32_t i) {
    bool any = false;
    (void)bells[i].drain([&](std::uint64_t) { any = true; });
    return any;
  }
  bool publish() { return pusher->sleepers.after_publish(0); }
  layout::DutyWord duty() {
    return layout::unpack_duty(pusher->seats.control().duties[0].word.load());
  }
  void age() {
    layout::DutyWord old = duty();
    old.at_ms -= 1000;
    pusher->seats.control().duties[0].word.store(pack(old));
  }
  Sleepers& operator[](std::uint32_t i) { return desks[i]->sleepers; }

  std::vector<os::Doorbell> bells;
  std::vector<std::unique_ptr<Desk>> desks;
  std::unique_ptr<Desk> pusher;
};

}  // namespace

TEST_CASE_FIXTURE(Room,
                  "meeting: a job that comes while somebody lies down is seen by its last look") {
  for (const char* point :
       {"waiting.park.bell", "sleepers.park.listed", "sleepers.park.announced"}) {
    CAPTURE(point);
    bool there = false;
    {
      Meeting meet;
      meet.at(point, [&] {
        there = true;
        (void)publish();
      });
      park(0);
    }
    CHECK(there);  // before the look
    CHECK_FALSE((*this)[0].pass_on(0, kNoMore));
    CHECK_FALSE(duty().on_the_way);
    (*this)[0].unpark();
    (void)rung(0);
  }
}

TEST_CASE_FIXTURE(Room,
                  "meeting: one that leaves while it is chosen passes on what it was chosen for") {
  park(0);
  park(1);
  {
    Meeting meet;
    meet.at("sleepers.wake.given", [&] { (*this)[0].unpark(); });
    CHECK(publish());
  }
  CHECK(rung(1));
  CHECK(duty().seat == 1);
  CHECK(duty().on_the_way);
}

TEST_CASE_FIXTURE(Room, "meeting: one that has left before it is given the duty does not keep it") {
  park(0);
  park(1);
  {
    Meeting meet;
    meet.at("sleepers.wake.chosen", [&] { (*this)[0].unpark(); });
    CHECK(publish());
  }
  CHECK(rung(1));
  CHECK(duty().seat == 1);
}

TEST_CASE_FIXTURE(Room,
                  "meeting: one that leaves alone while it is chosen leaves nobody on the way") {
  park(0);
  {
    Meeting meet;
    meet.at("sleepers.wake.given", [&] { (*this)[0].unpark(); });
    (void)publish();
  }
  CHECK_FALSE(duty().on_the_way);
  park(1);
  CHECK(publish());
  CHECK(rung(1));
}

TEST_CASE_FIXTURE(Room, "meeting: one that is chosen while it leaves is not: the next one is") {
  park(0);
  park(1);
  {
    Meeting meet;
    meet.at("sleepers.unpark.withdrawn", [&] { CHECK(publish()); });
    (*this)[0].unpark();
  }
  CHECK_FALSE(rung(0));
  CHECK(rung(1));
}

TEST_CASE_FIXTURE(
    Room,
    "meeting: one that lies down while its word is found empty is found by the next publish") {
  park(0);
  (*this)[0].unpark();
  {
    Meeting meet;
    meet.at("sleepers.word.empty", [&] { park(1); });
    (void)publish();
  }
  CHECK(publish());
  CHECK(rung(1));
}

TEST_CASE_FIXTURE(Room,
                  "meeting: what comes when a duty was just dropped wakes somebody by itself") {
  park(0);
  park(1);
  CHECK(publish());
  CHECK(rung(0));
  {
    Meeting meet;
    meet.at("sleepers.pass.settled", [&] {
      CHECK(publish());
      CHECK(rung(1));
    });
    CHECK_FALSE((*this)[0].pass_on(0, kNoMore));
  }
  CHECK(duty().seat == 1);
}

TEST_CASE_FIXTURE(
    Room, "meeting: a waker that stands still before it rings keeps nobody asleep for long") {
  park(0);
  for (const char* point : {"sleepers.wake.given", "waiting.wake.owed"}) {
    CAPTURE(point);
    {
      Meeting meet;
      auto other = sit(*this);
      meet.at(point, [&] {
        CHECK(other->sleepers.after_publish(0));  // somebody is on the way, it is said
        CHECK_FALSE(rung(0));
        age();
        CHECK(other->sleepers.recheck(0, kMore));
        CHECK(rung(0));
      });
      CHECK(publish());
    }
    (void)rung(0);
    CHECK((*this)[0].pass_by(0));  // it has not looked since it was woken
    CHECK_FALSE((*this)[0].pass_by(0));
    CHECK_FALSE(duty().on_the_way);
    park(0);
  }
}

TEST_CASE_FIXTURE(
    Room, "meeting: a duty that is taken over while it is handed over ends up with one seat") {
  park(0);
  park(1);
  CHECK(publish());
  age();
  {
    Meeting meet;
    auto other = sit(*this);
    meet.at("sleepers.wake.given", [&] { CHECK(other->sleepers.after_publish(0)); });
    CHECK((*this)[0].pass_on(0, kMore));  // gives it to 1
  }
  CHECK(duty().seat == 1);
  CHECK(rung(1));
  CHECK((*this)[1].pass_by(0));  // what came meanwhile
  CHECK_FALSE((*this)[1].pass_by(0));
  CHECK_FALSE(duty().on_the_way);
}

TEST_CASE_FIXTURE(Room, "meeting: whoever buries a waker that died before it rang rings") {
  for (const char* point : {"sleepers.wake.chosen", "sleepers.wake.given", "waiting.wake.owed"}) {
    CAPTURE(point);
    park(0);
    Child child([&] {
      Desk desk;
      CHILD_EXPECT(desk.try_open(seat_options(name()), seats_shape()).ok());
      CHILD_EXPECT(crash::arm(point, 1));
      (void)desk.sleepers.after_publish(0);
      return 1;
    });
    REQUIRE(child.wait() == -SIGKILL);
    CHECK_FALSE(rung(0));
    CHECK(pusher->seats.bury_all_dead() == 1);
    CHECK(rung(0));
    while ((*this)[0].pass_by(0)) {
    }
    (*this)[0].unpark();
  }
}

}  // namespace millrace::test::work_sleepers_meetings
