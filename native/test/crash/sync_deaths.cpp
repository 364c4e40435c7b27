// Deaths of parties: of locks, events and barriers; and of semaphores' users.
#include "scene.hpp"

namespace millrace::test::sync_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

PartyOptions options_of(const Names& names, std::uint64_t bell) {
  PartyOptions options;
  options.place = names.name();
  options.doorbell = bell;
  return options;
}

// The victim takes and gives back, waits and gives up, and buries others. What the lock protects are two
// numbers that are equal whenever nobody is inside.
template <layout::Kind kind>
struct LockUserDies : Scene {
  static constexpr std::uint32_t kLeft = 0;
  static constexpr std::uint32_t kRight = 1;
  static constexpr std::uint32_t kInside =
      2;  // whoever acts is between the two, holding exclusively
  static constexpr std::uint32_t kUnrepaired = 3;
  detail::Lock mine;

  void begin() override { REQUIRE(mine.open(options_of(*this, 0), kind, soon()).ok()); }
  [[nodiscard]] static bool shared_mode() { return kind == layout::Kind::rwlock; }
  [[nodiscard]] static LockMode mode(bool shared) {
    return shared && shared_mode() ? LockMode::shared : LockMode::exclusive;
  }

  void act() override {
    detail::Lock lock;
    CHILD_EXPECT(lock.open(options_of(*this, own_bell()), kind, soon()).ok());
    n->bell_in.store(1);
    for (int i = 0; i < 6; ++i) {
      work(lock, lock.lock(mode(false), 0, 20 * kSecond));
      let_sleep();
      const LockStatus seen = lock.lock(mode(true), 0, 20 * kSecond);
      CHILD_EXPECT(seen == LockStatus::held || seen == LockStatus::abandoned);
      if (seen == LockStatus::held && shared_mode()) {
        CHILD_EXPECT(n->own[kLeft].load() == n->own[kRight].load());
      }
      CHILD_EXPECT(lock.unlock() == LockStatus::held);
      if (lock.begin(mode(i % 2 == 0)) == LockStatus::busy) lock.give_up();
      if (lock.holds()) CHILD_EXPECT(lock.unlock() == LockStatus::held);
    }
    // Somebody dies with it, and somebody dies in line; the survivor leaves it to us to bury them.
    tell(1);
    await_survivor(1);
    one_dies([&] {
      detail::Lock other;
      CHILD_EXPECT(other.open(options_of(*this, 0), kind, soon()).ok());
      const LockStatus status = other.lock(mode(true), 0, 20 * kSecond);
      CHILD_EXPECT(status == LockStatus::held || status == LockStatus::abandoned);
      die();
    });
    one_dies([&] {
      detail::Lock other;
      CHILD_EXPECT(other.open(options_of(*this, 0), kind, soon()).ok());
      (void)other.begin(mode(false));
      die();
    });
    work(lock, lock.lock(mode(false), 0, 20 * kSecond));
    (void)lock.begin(mode(false));  // it leaves with it, or in line for it
    leave_with_bell();
    lock.close();
    drop_bell();
  }
  void work(detail::Lock& lock, LockStatus status) {
    CHILD_EXPECT(status == LockStatus::held || status == LockStatus::abandoned);
    // Told at least if there is something to be mended.
    const bool broken = n->own[kLeft].load() != n->own[kRight].load();
    CHILD_EXPECT(!broken || status == LockStatus::abandoned);
    if (broken) n->own[kRight].store(n->own[kLeft].load());
    n->own[kLeft].fetch_add(1);
    n->own[kRight].fetch_add(1);
    CHILD_EXPECT(lock.unlock() == LockStatus::held);
  }
  // Takes the lock, and holds it long enough for others to come into line.
  void meanwhile() override {
    if (n->step.load() == 0) {
      turn(2 * kMillisecond);
    } else {
      n->told.store(1);
      os::sleep_ns(20'000);
    }
  }
  bool turn(std::uint64_t timeout_ns) {
    const LockStatus status = mine.lock(LockMode::exclusive, 0, timeout_ns);
    if (status == LockStatus::busy) return false;
    REQUIRE((status == LockStatus::held || status == LockStatus::abandoned));
    const bool broken = n->own[kLeft].load() != n->own[kRight].load();
    CHECK((!broken || status == LockStatus::abandoned));
    if (broken) n->own[kRight].store(n->own[kLeft].load());
    n->own[kLeft].fetch_add(1);
    os::sleep_ns(150'000);
    n->own[kRight].fetch_add(1);
    CHECK(mine.unlock() == LockStatus::held);
    return true;
  }
  void after() override {
    without_waiting(*this, [&] { CHECK(turn(20 * kSecond)); });
  }
  void end() override {
    CHECK(turn(20 * kSecond));
    mine.close();
  }
};
using MutexUserDies = LockUserDies<layout::Kind::mutex>;
using RwLockUserDies = LockUserDies<layout::Kind::rwlock>;

template <layout::Reset reset>
struct EventUserDies : Scene {
  std::unique_ptr<Event> mine;
  int turn = 0;

  [[nodiscard]] EventSpec spec(std::uint64_t bell) const {
    EventSpec wanted;
    static_cast<PartyOptions&>(wanted) = options_of(*this, bell);
    wanted.reset = reset;
    return wanted;
  }
  void begin() override { mine = must(Event::open(spec(0), soon())); }
  void act() override {
    auto opened = Event::open(spec(own_bell()), soon());
    CHILD_EXPECT(opened.ok());
    auto event = opened.take();
    n->bell_in.store(1);
    tell(1);
    for (int i = 0; i < 5; ++i) {
      let_sleep();
      event->set();
      let_sleep();
      (void)event->wait(os::Deadline::after(kMillisecond));
      if (reset == layout::Reset::manual) event->reset();
    }
    // One that waits dies, so that signals would pile up for it. It is for us to notice.
    tell(2);
    await_survivor(2);
    one_dies([&] {
      auto other = Event::open(spec(0), soon());
      CHILD_EXPECT(other.ok());
      (void)other.value()->begin_wait();
      die();
    });
    for (int i = 0; i < 3; ++i)
      event->set();
    CHILD_EXPECT(event->wait(soon()));
    leave_with_bell();
    event->close();
    drop_bell();
  }
  void meanwhile() override {
    if (n->step.load() == 2) {
      n->told.store(2);
      os::sleep_ns(20'000);
      return;
    }
    if (++turn % 3 == 0) mine->set();
    (void)mine->wait(os::Deadline::after(kMillisecond));
  }
  void after() override {
    without_waiting(*this, [&] {
      mine->set();
      CHECK(mine->wait(os::Deadline::after(20 * kSecond)));
    });
    // Nobody waits any more: what is left over is one signal at most.
    if (reset == layout::Reset::automatic) {
      (void)mine->try_wait();
      CHECK_FALSE(mine->try_wait());
    }
    mine->reset();
    CHECK_FALSE(mine->is_set());
  }
  void end() override { mine.reset(); }
};
using AutoEventUserDies = EventUserDies<layout::Reset::automatic>;
using ManualEventUserDies = EventUserDies<layout::Reset::manual>;

// Two parties. The survivor waits, is told of the death, and goes on with the replacement.
struct BarrierPartyDies : Scene {
  std::unique_ptr<Barrier> mine;
  std::uint64_t generations = 0;

  [[nodiscard]] BarrierSpec spec(std::uint64_t bell) const {
    BarrierSpec wanted;
    static_cast<PartyOptions&>(wanted) = options_of(*this, bell);
    wanted.parties = 2;
    return wanted;
  }
  void begin() override { mine = must(Barrier::open(spec(0), soon())); }
  void act() override {
    auto opened = Barrier::open(spec(own_bell()), soon());
    CHILD_EXPECT(opened.ok());
    auto barrier = opened.take();
    n->bell_in.store(1);
    for (int i = 0; i < 6; ++i) {
      if (i % 2 == 0) let_sleep();
      const BarrierTurn turn = barrier->wait(soon());
      CHILD_EXPECT(turn.status == BarrierTurn::Status::complete);
      CHILD_EXPECT(turn.generation > n->own[0].load());
      n->own[0].store(turn.generation);
    }
    leave_with_bell();
    barrier->close();
    drop_bell();
  }
  BarrierTurn wait(std::uint64_t timeout_ns) {
    const BarrierTurn turn = mine->wait(os::Deadline::after(timeout_ns));
    if (turn.status == BarrierTurn::Status::complete) {
      CHECK(turn.generation > generations);
      generations = turn.generation;
    }
    return turn;
  }
  void meanwhile() override {
    if (wait(kMillisecond).status != BarrierTurn::Status::complete) os::sleep_ns(20'000);
  }
  void after() override {
    // Told that it has died, or left; or that it is not there yet, if it had not taken a seat.
    BarrierTurn turn;
    without_waiting(*this, [&] {
      for (int i = 0; i < 2; ++i)
        turn = wait(30 * kMillisecond);
    });
    CHECK(turn.status != BarrierTurn::Status::complete);
    CHECK(turn.status != BarrierTurn::Status::corrupt);
    if (n->bell_in.load() != 0) CHECK(turn.status == BarrierTurn::Status::died);
  }
  void end() override { mine.reset(); }
};

// The victim is the one that buries a dead party of its barrier.
struct BarrierUndertakerDies : BarrierPartyDies {
  void begin() override {}
  void act() override {
    auto opened = Barrier::open(spec(0), soon());
    CHILD_EXPECT(opened.ok());
    one_dies([&] {
      auto other = Barrier::open(spec(0), soon());
      CHILD_EXPECT(other.ok());
      (void)other.value()->arrive();
      die();
    });
    const BarrierTurn turn = opened.value()->wait(soon());
    CHILD_EXPECT(turn.status == BarrierTurn::Status::died ||
                 turn.status == BarrierTurn::Status::complete);
    CHILD_EXPECT(opened.value()->wait(soon()).status == BarrierTurn::Status::died);
  }
  void meanwhile() override { os::sleep_ns(20'000); }
  void after() override {}
  void end() override {}
};

// A permit in the hands of the dead is lost, as POSIX has it; nothing else is.
struct SemaphoreUserDies : Scene {
  ~SemaphoreUserDies() override { (void)Semaphore::unlink(name()); }
  [[nodiscard]] SemaphoreSpec spec() const {
    SemaphoreSpec wanted;
    wanted.name = name();
    wanted.initial = 2;
    return wanted;
  }
  void act() override {
    auto opened = Semaphore::open_or_create(spec());
    CHILD_EXPECT(opened.ok());
    std::shared_ptr<Semaphore> semaphore = opened.take();
    CHILD_EXPECT(semaphore->post(2).ok());
    CHILD_EXPECT(semaphore->wait_for(0, 20 * kSecond));
    while (semaphore->try_wait()) {
    }
    PermitTaker taker(semaphore);
    auto bell = os::open_bell(own_bell(), os::BellTrust{::geteuid(), ::getegid(), false});
    taker.ring_at(std::move(bell), 7);
    CHILD_EXPECT(taker.want().ok());
    let_sleep();
    CHILD_EXPECT(semaphore->post(1).ok());
    CHILD_EXPECT(eventually([&] { return taker.take(); }));
    taker.finish();
    CHILD_EXPECT(semaphore->post(2).ok());
    drop_bell();
  }
  void meanwhile() override { os::sleep_ns(50'000); }
  void after() override {
    auto semaphore = must(Semaphore::open_or_create(spec()));
    without_waiting(*this, [&] {
      CHECK(semaphore->post(1).ok());
      CHECK(semaphore->wait_for(0, 20 * kSecond));
    });
  }
};

}  // namespace

EVERY_DEATH(MutexUserDies, "an owner or waiter of a mutex dies anywhere: the lock goes on")
EVERY_DEATH(RwLockUserDies, "a reader or writer of a lock dies anywhere: the lock goes on")
EVERY_DEATH(AutoEventUserDies,
            "a party of an event dies anywhere: no signal is lost, none piles up")
EVERY_DEATH(ManualEventUserDies, "a party of a manual event dies anywhere: the others go on")
EVERY_DEATH(BarrierPartyDies, "a party of a barrier dies anywhere: the others are told")
EVERY_DEATH(BarrierUndertakerDies, "whoever buries a party of a barrier may die, too")
EVERY_DEATH(SemaphoreUserDies, "a user of a semaphore dies anywhere: the semaphore goes on")

}  // namespace millrace::test::sync_deaths
