// Seats of a work queue: taking, leaving and reusing them, burying the dead, setting up.
#include <millrace/work/seats.hpp>

#include <vector>

#include "work_seats.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_seats_test {

using namespace millrace;
using namespace millrace::test;

namespace {

bool queue_exists(const std::string& name) {
  return os::open_object(object_name_of('j', name), os::Access::read_write).ok();
}
std::vector<std::uint32_t> present(const Seats& seats) {
  std::vector<std::uint32_t> all;
  seats.for_each_present([&](std::uint32_t seat) { all.push_back(seat); });
  return all;
}
Code refusal(const SeatOptions& options, const WorkShape& shape) {
  Desk desk;
  auto entered = desk.try_open(options, shape);
  REQUIRE(!entered.ok());
  return entered.error().code;
}
// Takes a seat in a process that is killed, and says which.
std::uint32_t die_on(const SeatOptions& options, const WorkShape& shape = seats_shape()) {
  const Shared<std::atomic<std::uint32_t>> seat;
  Child child([&] {
    Desk desk;
    CHILD_EXPECT(desk.try_open(options, shape).ok());
    seat->store(desk.seats.seat() + 1);
    return linger();
  });
  REQUIRE(eventually([&] { return seat->load() != 0; }));
  child.kill();
  return seat->load() - 1;
}

}  // namespace

TEST_CASE("work seats: they are taken from the lowest on, left, and taken again") {
  const Names names;
  auto a = sit(names);
  auto b = sit(names);
  auto c = sit(names);
  CHECK(a->seats.seat() == 0);
  CHECK(b->seats.seat() == 1);
  CHECK(c->seats.seat() == 2);
  CHECK(present(a->seats) == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(a->seats.pid(2) == static_cast<std::uint32_t>(::getpid()));
  b.reset();
  CHECK(present(a->seats) == std::vector<std::uint32_t>{0, 2});
  CHECK(a->seats.vacant(1));
  CHECK_FALSE(a->seats.vacant(2));
  CHECK_FALSE(a->seats.vacant(0));  // that is itself
  auto d = sit(names);
  CHECK(d->seats.seat() == 1);
  CHECK(d->work(Desk::kRepairs).load() == 0);  // who leaves in good order needs no repair
}

TEST_CASE(
    "work seats: hundreds of handles in one word after the other, and one too many is refused") {
  const Names names;
  const WorkShape shape = seats_shape(130);
  std::vector<std::unique_ptr<Desk>> all;
  for (std::uint32_t i = 0; i < 130; ++i)
    all.push_back(sit(names, shape));
  CHECK(all.back()->seats.seat() == 129);
  CHECK(present(all[0]->seats).size() == 130);
  Desk late;
  auto entered = late.try_open(seat_options(names.name()), shape);
  REQUIRE(!entered.ok());
  CHECK(entered.error().code == Code::no_lane);
  CHECK(entered.error().message.find("130") != std::string::npos);
  CHECK(entered.error().message.find("`seats`") != std::string::npos);
  all[77].reset();
  CHECK(sit(names, shape)->seats.seat() == 77);
}

TEST_CASE("work seats: the creator sets up once; whoever finds a kept queue alone resumes it") {
  const Names names;
  SeatOptions options = seat_options(names.name());
  options.keep = true;
  auto a = sit(options);
  CHECK(a->set_up_seen);
  auto b = sit(options);
  CHECK_FALSE(b->set_up_seen);
  CHECK(b->work(Desk::kSetUps).load() == 1);
  CHECK(b->work(Desk::kResumes).load() == 0);
  b.reset();
  a->seats.vanish();
  a.reset();
  CHECK(queue_exists(names.name()));
  auto c = sit(options);
  CHECK_FALSE(c->set_up_seen);
  CHECK(c->work(Desk::kSetUps).load() == 1);
  CHECK(c->work(Desk::kResumes).load() == 1);
  CHECK(c->work(Desk::kRepairs).load() == 1);  // the one that vanished
  auto d = sit(options);
  CHECK(d->work(Desk::kResumes).load() == 1);
}

TEST_CASE("work seats: a creator that died while it set up is followed by one that does it again") {
  const Names names;
  SeatOptions options = seat_options(names.name());
  options.keep = true;
  Child child([&] {
    Desk desk;
    (void)desk.seats.enter(
        options, layout::Kind::work, 'j', seats_shape(),
        [](const layout::Geometry& found) -> Result<WorkShape> { return WorkShape::of(found); },
        []() -> Result<void> {
          ::kill(::getpid(), SIGKILL);
          return {};
        },
        soon());
    return 1;
  });
  REQUIRE(child.wait() == -SIGKILL);
  REQUIRE(queue_exists(names.name()));
  auto a = sit(options);
  CHECK(a->set_up_seen);
  CHECK(a->work(Desk::kResumes).load() == 0);
}

TEST_CASE(
    "work seats: what a creator could not set up is not left behind, and what it found is for the "
    "next one") {
  const Names names;
  SeatOptions options = seat_options(names.name());
  options.keep = true;
  Desk unable;
  unable.fail_to_set_up = true;
  CHECK_FALSE(unable.try_open(options, seats_shape()).ok());
  CHECK_FALSE(queue_exists(names.name()));
  sit(options)->seats.vanish();
  {
    auto found = sit(options);
    found->seats.control().begun.store(0);
    found->seats.vanish();
  }
  CHECK_FALSE(unable.try_open(options, seats_shape()).ok());
  CHECK(queue_exists(names.name()));
  CHECK(sit(options)->set_up_seen);
}

TEST_CASE("work seats: one that was never set up and is in use is refused") {
  const Names names;
  auto a = sit(names);
  a->seats.control().begun.store(0);
  CHECK(refusal(seat_options(names.name()), seats_shape()) == Code::corrupt);
  CHECK(queue_exists(names.name()));
  a->seats.control().begun.store(1);
  (void)sit(names);
}

TEST_CASE("work seats: the last to leave removes the segment, unless it holds something") {
  const Names names;
  auto a = sit(names);
  auto b = sit(names);
  a.reset();
  CHECK(queue_exists(names.name()));
  b.reset();
  CHECK_FALSE(queue_exists(names.name()));
  SeatOptions options = seat_options(names.name());
  options.keep = true;
  a = sit(options);
  a->work(Desk::kFirstFree).store(9);
  a->seats.leave([] { return true; });
  CHECK(queue_exists(names.name()));
  a = sit(options);
  CHECK(a->work(Desk::kFirstFree).load() == 9);
}

TEST_CASE("work seats: the shape of what exists is judged") {
  const Names names;
  auto a = sit(names);
  WorkShape other = seats_shape();
  other.jobs = 65;
  CHECK(refusal(seat_options(names.name()), other) == Code::geometry);
  layout::Geometry& geometry = a->seats.segment().header().geometry;
  const layout::Geometry good = geometry;
  for (std::uint64_t& value : geometry.values) {
    value ^= 1ULL << 62U;
    CHECK(refusal(seat_options(names.name()), seats_shape()) != Code::timeout);
    value = good.values[&value - geometry.values];
  }
  geometry.values[layout::kWorkSlots] = 6500 | 4ULL << 32U;  // more than its bytes hold
  CHECK(refusal(seat_options(names.name()), seats_shape()) == Code::corrupt);
  geometry = good;
  CHECK(sit(names)->seats.seat() == 1);
}

TEST_CASE("work seats: a dead one is buried by the next to come, once, before its seat is taken") {
  const Names names;
  auto a = sit(names);
  const std::uint32_t dead = die_on(seat_options(names.name()));
  CHECK(dead == 1);
  CHECK(a->seats.vacant(1));
  CHECK(a->seats.attached(1));
  auto b = sit(names);
  CHECK(b->seats.seat() == 1);
  CHECK(b->work(Desk::kRepairs).load() == 1);
  CHECK(b->work(Desk::kRepaired).load() == 1);
}

TEST_CASE("work seats: those that are named are buried, and only the dead of them") {
  const Names names;
  auto a = sit(names);
  auto b = sit(names);
  const std::uint32_t dead = die_on(seat_options(names.name()));
  const std::uint32_t all[] = {0, 1, dead, 7, 4'000'000'000U};
  CHECK(a->seats.bury(all));
  CHECK(a->work(Desk::kRepairs).load() == 1);
  CHECK(present(a->seats) == std::vector<std::uint32_t>{0, 1});
  CHECK_FALSE(a->seats.vacant(1));
  CHECK(a->seats.bury(all));
  CHECK(a->work(Desk::kRepairs).load() == 1);
}

TEST_CASE("work seats: everybody can be asked; a repair that cannot be finished is tried again") {
  const Names names;
  auto a = sit(names);
  CHECK(a->seats.bury_all_dead() == 0);
  const std::uint32_t one = die_on(seat_options(names.name()));
  a->work(Desk::kUnfinished).store(one + 1);
  CHECK(a->seats.bury_all_dead() == 0);
  CHECK(present(a->seats).size() == 2);
  const std::uint32_t two = die_on(seat_options(names.name()));
  CHECK(two != one);  // it is not taken
  CHECK(a->seats.bury_all_dead() == 1);
  a->work(Desk::kUnfinished).store(0);
  CHECK(a->seats.bury_all_dead() == 1);
  CHECK(a->work(Desk::kRepairs).load() == 2);
  CHECK(present(a->seats) == std::vector<std::uint32_t>{0});
}

TEST_CASE("work seats: where there are many handles it is enough to ask one of each process") {
  const Names names;
  auto a = sit(names);
  auto b = sit(names);
  const Shared<std::atomic<std::uint32_t>> ready;
  Child child([&] {
    std::vector<std::unique_ptr<Desk>> own;
    for (int i = 0; i < 3; ++i) {
      own.push_back(std::make_unique<Desk>());
      CHILD_EXPECT(own.back()->try_open(seat_options(names.name()), seats_shape()).ok());
    }
    ready->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  CHECK(a->seats.bury_dead_processes() == 0);
  child.kill();
  b->seats.vanish();  // not seen here: its process lives
  CHECK(a->seats.bury_dead_processes() == 3);
  CHECK(present(a->seats) == std::vector<std::uint32_t>{0, 1});
  CHECK(a->seats.bury_all_dead() == 1);
  // Nor is anybody taken for dead because one handle of its process was lost.
  auto c = sit(names);
  a->seats.vanish();
  CHECK(c->seats.bury_dead_processes() <= 1);
  CHECK_FALSE(c->seats.vacant(c->seats.seat()));
  CHECK(c->seats.bury_all_dead() <= 1);
  CHECK(present(c->seats) == std::vector<std::uint32_t>{c->seats.seat()});
}

TEST_CASE("work seats: a doorbell of the dead goes with them") {
  const Names names;
  auto a = sit(names);
  const Shared<std::atomic<std::uint64_t>> bell;
  Child child([&] {
    const os::Doorbell own = names.bell();
    Desk desk;
    CHILD_EXPECT(desk.try_open(seat_options(names.name(), own.id()), seats_shape()).ok());
    bell->store(own.id());
    return linger();
  });
  REQUIRE(eventually([&] { return bell->load() != 0; }));
  CHECK(a->seats.doorbell(1) == bell->load());
  child.kill();
  CHECK(a->seats.bury_all_dead() == 1);
  CHECK(os::look_at_bell({bell->load(), true}) == os::BellState::gone);
}

TEST_CASE("work seats: a stale queue is removed with the doorbells of those who were on it") {
  const Names names;
  const Shared<std::atomic<std::uint64_t>> bell;
  Child child([&] {
    const os::Doorbell own = names.bell();
    Desk desk;
    CHILD_EXPECT(desk.try_open(seat_options(names.name(), own.id()), seats_shape()).ok());
    bell->store(own.id());
    return linger();
  });
  REQUIRE(eventually([&] { return bell->load() != 0; }));
  child.kill();
  auto a = sit(names);
  CHECK(a->set_up_seen);
  CHECK(a->seats.seat() == 0);
  CHECK(os::look_at_bell({bell->load(), true}) == os::BellState::gone);
}

}  // namespace millrace::test::work_seats_test
