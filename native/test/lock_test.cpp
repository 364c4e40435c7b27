// Mutex and RwLock among real processes: exclusion, order, death at any moment, hostile memory.
#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "millrace/sync/mutex.hpp"
#include "millrace/sync/rw_lock.hpp"

namespace millrace::test::lock_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kPatience = 30 * kSecond;  // of a wait that ought to end long before

PartyOptions named(const std::string& name) {
  PartyOptions options;
  options.place = name;
  return options;
}
std::unique_ptr<Mutex> mutex_of(const std::string& name) {
  return must(Mutex::open(named(name), soon()));
}
std::unique_ptr<RwLock> rwlock_of(const std::string& name) {
  return must(RwLock::open(named(name), soon()));
}
// The same in a child.
template <typename Primitive>
std::unique_ptr<Primitive> join(const std::string& name) {
  auto opened = Primitive::open(named(name), soon());
  CHILD_EXPECT(opened.ok());
  return opened.take();
}

bool has(LockStatus status) {
  return status == LockStatus::held || status == LockStatus::abandoned;
}
layout::LockShared& memory_of(detail::Lock& lock) {
  return lock.parties().shared<layout::LockShared>();
}
bool lock_exists(char letter, const std::string& name) {
  return os::open_object(object_name_of(letter, name), os::Access::read_write).ok();
}

}  // namespace

TEST_CASE("mutex: one handle at a time") {
  const Names names;
  const std::string name = names.name();
  auto a = mutex_of(name);
  auto b = mutex_of(name);
  CHECK(a->holder() == 0);
  CHECK(a->try_lock() == LockStatus::held);
  CHECK(b->try_lock() == LockStatus::busy);
  CHECK(b->holder() == static_cast<std::uint32_t>(::getpid()));
  CHECK(b->lock(5 * kMillisecond) == LockStatus::busy);  // the time is over
  CHECK(a->unlock() == LockStatus::held);
  CHECK(b->lock(kPatience) == LockStatus::held);
  CHECK(a->try_lock() == LockStatus::busy);
  b.reset();  // closing unlocks
  CHECK(a->try_lock() == LockStatus::held);
  a.reset();
  CHECK_FALSE(lock_exists('x', name));
}

TEST_CASE("mutex: misuse is told, not deadlocked on") {
  const Names names;
  auto a = mutex_of(names.name());
  CHECK(a->unlock() == LockStatus::misused);
  CHECK(a->lock() == LockStatus::held);
  CHECK(a->lock() == LockStatus::misused);
  CHECK(a->try_lock() == LockStatus::misused);
  CHECK(a->unlock() == LockStatus::held);
  CHECK(a->unlock() == LockStatus::misused);
  auto b = mutex_of(names.name());
  CHECK(b->lock() == LockStatus::held);
  CHECK(a->base().begin(LockMode::exclusive) == LockStatus::busy);
  CHECK(a->lock() == LockStatus::misused);  // it waits already
  CHECK(a->unlock() == LockStatus::misused);
  CHECK(a->base().withdraw());
  CHECK(a->base().withdraw());
}

TEST_CASE("mutex: the lock goes to those who wait, in the order in which they came") {
  const Names names;
  const std::string name = names.name();
  auto holder = mutex_of(name);
  REQUIRE(has(holder->lock()));
  std::vector<std::unique_ptr<Mutex>> line;
  for (int i = 0; i < 5; ++i) {
    line.push_back(mutex_of(name));
    CHECK(line.back()->base().begin(LockMode::exclusive) == LockStatus::busy);
  }
  CHECK(line[2]->base().withdraw());
  auto stranger = mutex_of(name);
  Mutex* last = holder.get();
  for (const int i : {0, 1, 3, 4}) {
    CHECK(last->unlock() == LockStatus::held);
    CHECK(stranger->try_lock() == LockStatus::busy);  // it is never free in between
    CHECK_FALSE(line[2]->base().stirred() == false);
    for (int other = 0; other < 5; ++other) {
      if (other != 2 && other > i)
        CHECK(line[static_cast<std::size_t>(other)]->base().look(false) == LockStatus::busy);
    }
    last = line[static_cast<std::size_t>(i)].get();
    CHECK(last->base().look(false) == LockStatus::held);
  }
  CHECK(last->unlock() == LockStatus::held);
  CHECK(stranger->try_lock() == LockStatus::held);
}

TEST_CASE("mutex: who gives up in the instant of the grant has the lock, and passes it on") {
  const Names names;
  const std::string name = names.name();
  auto a = mutex_of(name);
  auto b = mutex_of(name);
  auto c = mutex_of(name);
  REQUIRE(has(a->lock()));
  CHECK(b->base().begin(LockMode::exclusive) == LockStatus::busy);
  CHECK(c->base().begin(LockMode::exclusive) == LockStatus::busy);
  CHECK(has(a->unlock()));
  CHECK_FALSE(b->base().withdraw());  // too late
  b->base().give_up();
  CHECK(c->base().look(false) == LockStatus::held);
  CHECK(b->unlock() == LockStatus::misused);
  CHECK(has(c->unlock()));
  CHECK(has(a->lock()));
  CHECK(b->base().begin(LockMode::exclusive) == LockStatus::busy);
  CHECK(has(a->unlock()));
  b.reset();  // closes with a grant that it has not looked at
  CHECK(a->try_lock() == LockStatus::held);
}

TEST_CASE("rwlock: many readers or one writer") {
  const Names names;
  const std::string name = names.name();
  auto a = rwlock_of(name);
  auto b = rwlock_of(name);
  auto c = rwlock_of(name);
  CHECK(has(a->read()));
  CHECK(has(b->try_read()));
  CHECK(a->readers() == 2);
  CHECK(a->writer() == 0);
  CHECK(c->try_write() == LockStatus::busy);
  CHECK(has(a->unlock()));
  CHECK(c->try_write() == LockStatus::busy);
  CHECK(has(b->unlock()));
  CHECK(has(c->try_write()));
  CHECK(c->writer() == static_cast<std::uint32_t>(::getpid()));
  CHECK(a->try_read() == LockStatus::busy);
  CHECK(a->read(kMillisecond) == LockStatus::busy);
  CHECK(c->readers() == 0);
  CHECK(has(c->unlock()));
  CHECK(has(a->try_read()));
}

TEST_CASE("rwlock: readers that stand together go in together; none overtakes a writer") {
  const Names names;
  const std::string name = names.name();
  auto holder = rwlock_of(name);
  REQUIRE(has(holder->write()));
  std::vector<std::unique_ptr<RwLock>> line;
  for (const LockMode mode : {LockMode::shared, LockMode::shared, LockMode::exclusive,
                              LockMode::shared, LockMode::exclusive}) {
    line.push_back(rwlock_of(name));
    CHECK(line.back()->base().begin(mode) == LockStatus::busy);
  }
  const auto inside = [&](std::size_t i) { return has(line[i]->base().look(false)); };
  CHECK(has(holder->unlock()));
  CHECK(inside(0));
  CHECK(inside(1));
  CHECK_FALSE(inside(2));
  CHECK_FALSE(inside(3));  // although readers are inside
  CHECK(holder->try_read() == LockStatus::busy);
  CHECK(has(line[0]->unlock()));
  CHECK_FALSE(inside(2));
  CHECK(has(line[1]->unlock()));
  CHECK(inside(2));
  CHECK_FALSE(inside(3));
  CHECK(has(line[2]->unlock()));
  CHECK(inside(3));
  CHECK_FALSE(inside(4));
  CHECK(has(line[3]->unlock()));
  CHECK(inside(4));
}

TEST_CASE("rwlock: readers join those inside as soon as the writer before them gives up") {
  const Names names;
  const std::string name = names.name();
  auto inside = rwlock_of(name);
  auto writer = rwlock_of(name);
  REQUIRE(has(inside->read()));
  const Shared<std::atomic<int>> stage;
  CHECK(writer->base().begin(LockMode::exclusive) == LockStatus::busy);
  Child reader([&] {
    auto lock = join<RwLock>(name);
    CHILD_EXPECT(lock->base().begin(LockMode::shared) == LockStatus::busy);
    stage->store(1);
    // Asleep, and with nobody who dies: only the wake-up of withdraw() ends this in time.
    while (!lock->base().wait(0, kPatience)) {
    }
    CHILD_EXPECT(has(lock->base().look(false)));
    stage->store(2);
    return linger();
  });
  REQUIRE(eventually([&] { return stage->load() == 1; }));
  CHECK(writer->base().withdraw());
  CHECK(eventually([&] { return stage->load() == 2; }));
  CHECK(inside->readers() == 2);
  // A mark that nobody stands behind any more does not keep readers out either.
  auto late = rwlock_of(name);
  CHECK(has(late->try_read()));
  reader.kill();
}

TEST_CASE("mutex: a holder that dies inside leaves it abandoned until somebody finishes") {
  const Names names;
  const std::string name = names.name();
  auto next = mutex_of(name);
  auto later = mutex_of(name);
  const Shared<std::atomic<int>> stage;
  Child victim([&] {
    auto mine = join<Mutex>(name);
    CHILD_EXPECT(mine->lock() == LockStatus::held);
    stage->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return stage->load() == 1; }));
  CHECK(next->try_lock() == LockStatus::busy);
  CHECK(next->holder() == static_cast<std::uint32_t>(victim.pid()));
  victim.kill();
  CHECK(next->try_lock() == LockStatus::abandoned);
  CHECK(next->unlock(LockEnding::cut) ==
        LockStatus::held);  // not mended: the next one is told again
  CHECK(later->lock() == LockStatus::abandoned);
  CHECK(later->unlock() == LockStatus::held);
  CHECK(next->lock() == LockStatus::held);
}

TEST_CASE("mutex: whoever waits gets the lock of a holder that dies") {
  const Names names;
  const std::string name = names.name();
  auto next = mutex_of(name);
  const Shared<std::atomic<int>> stage;
  Child victim([&] {
    auto mine = join<Mutex>(name);
    CHILD_EXPECT(mine->lock() == LockStatus::held);
    stage->store(1);
    while (stage->load() != 2)
      os::sleep_ns(10'000);
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  REQUIRE(eventually([&] { return stage->load() == 1; }));
  CHECK(next->base().begin(LockMode::exclusive) == LockStatus::busy);
  CHECK_FALSE(next->base().wait(0, kMillisecond));
  stage->store(2);
  CHECK(victim.wait() == -SIGKILL);
  CHECK(next->base().look(true) == LockStatus::abandoned);
}

TEST_CASE("mutex: after the death of all, the next to come is told") {
  const Names names;
  const std::string name = names.name();
  const auto die_in = [&](bool holding) {
    Child victim([&] {
      auto mine = join<Mutex>(name);
      auto other = join<Mutex>(name);
      CHILD_EXPECT(has(mine->lock()));
      if (!holding) mine->unlock();
      ::kill(::getpid(), SIGKILL);
      return 0;
    });
    CHECK(victim.wait() == -SIGKILL);
  };
  die_in(true);
  auto next = mutex_of(name);
  // It leaves without having taken the lock: the news must outlive it.
  next.reset();
  CHECK(lock_exists('x', name));
  next = mutex_of(name);
  CHECK(next->try_lock() == LockStatus::abandoned);
  next.reset();
  CHECK_FALSE(lock_exists('x', name));
  die_in(false);
  next = mutex_of(name);
  CHECK(next->try_lock() == LockStatus::held);
}

TEST_CASE("mutex: the death of one that waits is nobody's loss, and no abandonment") {
  const Names names;
  const std::string name = names.name();
  auto holder = mutex_of(name);
  REQUIRE(has(holder->lock()));
  const Shared<std::atomic<int>> stage;
  Child victim([&] {
    auto mine = join<Mutex>(name);
    CHILD_EXPECT(mine->base().begin(LockMode::exclusive) == LockStatus::busy);
    stage->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return stage->load() == 1; }));
  auto behind = mutex_of(name);
  CHECK(behind->base().begin(LockMode::exclusive) == LockStatus::busy);
  victim.kill();
  CHECK(has(holder->unlock()));
  CHECK(behind->base().look(false) == LockStatus::held);
}

TEST_CASE("mutex: a death between the grant and the first look is no abandonment") {
  const Names names;
  const std::string name = names.name();
  auto holder = mutex_of(name);
  REQUIRE(has(holder->lock()));
  const Shared<std::atomic<int>> stage;
  Child victim([&] {
    auto mine = join<Mutex>(name);
    CHILD_EXPECT(mine->base().begin(LockMode::exclusive) == LockStatus::busy);
    stage->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return stage->load() == 1; }));
  CHECK(has(holder->unlock()));
  CHECK(holder->holder() == static_cast<std::uint32_t>(victim.pid()));
  victim.kill();
  CHECK(holder->try_lock() == LockStatus::held);
}

TEST_CASE(
    "rwlock: a reader that dies is no abandonment, a writer that dies is one for readers, too") {
  const Names names;
  const std::string name = names.name();
  auto a = rwlock_of(name);
  auto b = rwlock_of(name);
  for (const bool writes : {false, true}) {
    const Shared<std::atomic<int>> stage;
    Child victim([&] {
      auto mine = join<RwLock>(name);
      CHILD_EXPECT(has(writes ? mine->write() : mine->read()));
      stage->store(1);
      return linger();
    });
    REQUIRE(eventually([&] { return stage->load() == 1; }));
    CHECK(a->try_write() == LockStatus::busy);
    victim.kill();
    if (writes) {
      CHECK(a->read() == LockStatus::abandoned);
      CHECK(b->try_read() == LockStatus::abandoned);
      CHECK(has(a->unlock()));
      CHECK(has(b->unlock()));
      CHECK(b->write() == LockStatus::abandoned);  // readers mend nothing
      CHECK(has(b->unlock()));
      CHECK(a->try_read() == LockStatus::held);
    } else {
      CHECK(a->try_write() == LockStatus::held);
    }
    CHECK(has(a->unlock()));
  }
}

TEST_CASE("lock: impossible words are an error, never a crash or an endless loop") {
  const Names names;
  const std::string name = names.name();
  auto a = rwlock_of(name);
  auto b = rwlock_of(name);
  auto& word = memory_of(a->base()).holders.word;
  for (const std::uint64_t impossible :
       {std::uint64_t{1} << 57U, layout::kLockExclusive, layout::kLockExclusive | 3,
        layout::kLockPassing | 1, layout::kLockWaiters, layout::kLockPassing, ~std::uint64_t{0}}) {
    word.store(impossible);
    CHECK(a->try_read() == LockStatus::corrupt);
    CHECK(a->try_write() == LockStatus::corrupt);
    CHECK(a->write(kPatience) == LockStatus::corrupt);
  }
  word.store(0);
  REQUIRE(has(a->write()));
  CHECK(b->base().begin(LockMode::exclusive) == LockStatus::busy);
  memory_of(a->base()).entries[b->base().parties().seat()].entry.store(0);
  CHECK(b->base().look(true) == LockStatus::corrupt);
  word.store(0);  // taken away from its holder
  CHECK(a->unlock() == LockStatus::corrupt);
  // A bit that nobody stands behind is that of somebody dead.
  word.store(layout::kLockExclusive | (1ULL << 40U));
  CHECK(a->try_write() == LockStatus::abandoned);
  CHECK(has(a->unlock()));
  word.store(0b11ULL << 40U);
  CHECK(a->try_write() == LockStatus::held);
  CHECK(has(a->unlock()));
}

TEST_CASE("lock: what everybody left impossible is mended by the first of the next crowd") {
  const Names names;
  const std::string name = names.name();
  Child vandal([&] {
    auto mine = join<Mutex>(name);
    memory_of(mine->base()).holders.word.store(~0ULL);
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  CHECK(vandal.wait() == -SIGKILL);
  auto next = mutex_of(name);
  CHECK(next->try_lock() == LockStatus::abandoned);
}

TEST_CASE("lock: random words and entries under working parties end in statuses, and in time") {
  const Names names;
  const std::string name = names.name();
  auto lock = rwlock_of(name);
  Child vandal([&] {
    auto mine = join<RwLock>(name);
    layout::LockShared& memory = memory_of(mine->base());
    Random random(7);
    for (;;) {
      const std::uint64_t kind = random.below(4);
      const std::uint64_t noise = random.below(~0ULL);
      if (kind == 0) memory.holders.word.store(noise);
      if (kind == 1) memory.holders.word.store(noise & (layout::kLockExclusive | 7));
      if (kind >= 2) memory.entries[random.below(layout::kMaxParties)].entry.store(noise);
      os::sleep_ns(random.below(20'000));
    }
    return 0;
  });
  const os::Deadline end = os::Deadline::after(kSecond);
  int calls = 0;
  while (!end.passed()) {
    const LockStatus status =
        calls % 2 == 0 ? lock->read(5 * kMillisecond) : lock->write(5 * kMillisecond);
    if (has(status)) (void)lock->unlock();
    ++calls;
  }
  vandal.kill();
  CHECK(calls > 10);
  lock.reset();
  // Whatever it left: the name is of no use to the next test.
  (void)unlink_channel('w', name);
}

namespace {

// The words of a lock in memory that threads share at one address: ThreadSanitizer takes the maps of two
// handles for two memories.
struct LocalMemory {
  std::atomic<std::uint64_t>& word() { return shared.holders.word; }
  std::atomic<std::uint64_t>& next_ticket() { return shared.tickets.next; }
  std::atomic<std::uint64_t>& entry(std::uint32_t seat) { return shared.entries[seat].entry; }
  [[nodiscard]] static std::uint64_t present() { return 0xFF; }
  static bool vacant(std::uint32_t /*seat*/) { return false; }
  static void wake(std::uint32_t /*seat*/) {}
  layout::LockShared shared{};
};

void lock_with(LockAlgorithm<LocalMemory>& lock, std::uint32_t me, LockMode mode) {
  LockStatus status = lock.try_lock(me, mode);
  if (status != LockStatus::busy) return;
  lock.announce(me, mode);
  while (lock.look(me) == LockStatus::busy) {
    while (!lock.stirred(me))
      std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("lock: whoever has it sees what those before wrote (threads, no data race)") {
  // On purpose no atomics: ThreadSanitizer judges the orderings of the lock.
  std::uint64_t left = 0;
  std::uint64_t right = 0;
  std::atomic<int> torn{0};
  LocalMemory memory;
  constexpr int kTimes = 3000;
  std::vector<std::thread> threads;
  for (std::uint32_t me = 0; me < 4; ++me) {
    threads.emplace_back([&, me] {
      LockAlgorithm<LocalMemory> lock(memory);
      for (int turn = 0; turn < kTimes; ++turn) {
        const bool writes = me < 2;
        lock_with(lock, me, writes ? LockMode::exclusive : LockMode::shared);
        if (left != right) torn.fetch_add(1, std::memory_order_relaxed);
        if (writes) {
          ++left;
          if (turn % 16 == 0) std::this_thread::yield();
          ++right;
        } else if (turn % 16 == 0) {
          std::this_thread::yield();
        }
        lock.unlock(me, LockEnding::finished);
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  CHECK(torn.load() == 0);
  CHECK(right == 2 * kTimes);
  CHECK(memory.shared.holders.word.load() == 0);
}

namespace {

// What the parties of a stress test share besides the lock.
struct Ground {
  std::atomic<std::uint64_t> left;  // a pair that only the lock keeps equal: read, spin, write
  std::atomic<std::uint64_t> right;
  std::atomic<int> writers;
  std::atomic<int> readers;
  std::atomic<int> wrong;
  std::atomic<bool> stop;
  std::array<std::atomic<std::uint64_t>, 16> turns;
  std::array<std::atomic<std::uint64_t>, 16> overtaken;  // most acquisitions while one waited
  std::atomic<std::uint64_t> acquisitions;
};

void linger_a_little(Random& random) {
  const std::uint64_t spins = random.below(60);
  for (std::uint64_t i = 0; i < spins; ++i)
    os::spin_hint();
}
// Deliberately no atomic read-modify-write.
void work(Ground& ground, Random& random) {
  const std::uint64_t left = ground.left.load(std::memory_order_relaxed);
  if (ground.right.load(std::memory_order_relaxed) != left) ground.wrong.fetch_add(1);
  ground.left.store(left + 1, std::memory_order_relaxed);
  linger_a_little(random);
  ground.right.store(left + 1, std::memory_order_relaxed);
}

}  // namespace

TEST_CASE("mutex: processes that hammer exclude one another, and all get their turn") {
  const Names names;
  const std::string name = names.name();
  const Shared<Ground> ground;
  constexpr std::uint32_t kHammers = 6;
  auto gate = mutex_of(name);
  std::vector<Child> children;
  for (std::uint32_t i = 0; i < kHammers; ++i) {
    children.emplace_back([&, i] {
      auto mutex = join<Mutex>(name);
      Random random(i);
      ground->turns[15].fetch_add(1);
      while (!ground->stop.load()) {
        // In line first, then count: what others do from here on is what they do while we wait.
        LockStatus status = mutex->base().begin(LockMode::exclusive);
        const std::uint64_t before = ground->acquisitions.load();
        while (status == LockStatus::busy) {
          const bool stirred = mutex->base().wait(0, kPatience);
          status = mutex->base().look(!stirred);
        }
        CHILD_EXPECT(status == LockStatus::held);
        const std::uint64_t passed = ground->acquisitions.fetch_add(1) - before;
        if (passed > ground->overtaken[i].load()) ground->overtaken[i].store(passed);
        work(*ground, random);
        ground->turns[i].fetch_add(1);
        CHILD_EXPECT(mutex->unlock() == LockStatus::held);
      }
      return 0;
    });
  }
  REQUIRE(eventually([&] { return ground->turns[15].load() == kHammers; }));
  os::sleep_ns(2 * kSecond);
  ground->stop.store(true);
  for (Child& child : children)
    CHECK(child.wait() == 0);
  std::uint64_t sum = 0;
  std::uint64_t least = ~0ULL;
  for (std::uint32_t i = 0; i < kHammers; ++i) {
    const std::uint64_t turns = ground->turns[i].load();
    sum += turns;
    least = std::min(least, turns);
    // Those before it in line, and no others.
    CHECK(ground->overtaken[i].load() <= kHammers - 1);
  }
  CHECK(ground->left.load() == sum);
  CHECK(ground->right.load() == sum);
  CHECK(ground->wrong.load() == 0);
  CHECK(least > 0);
  MESSAGE(sum << " turns, the least of " << kHammers << " parties " << least);
  CHECK(has(gate->lock(kPatience)));
}

TEST_CASE("rwlock: processes that hammer keep readers and writers apart, and all get their turn") {
  const Names names;
  const std::string name = names.name();
  const Shared<Ground> ground;
  constexpr std::uint32_t kHammers = 6;
  std::vector<Child> children;
  for (std::uint32_t i = 0; i < kHammers; ++i) {
    children.emplace_back([&, i] {
      auto lock = join<RwLock>(name);
      Random random(i);
      while (!ground->stop.load()) {
        const bool writes = i < 2;
        CHILD_EXPECT(has(writes ? lock->write(kPatience) : lock->read(kPatience)));
        if (writes) {
          if (ground->writers.fetch_add(1) != 0 || ground->readers.load() != 0)
            ground->wrong.fetch_add(1);
          work(*ground, random);
          ground->writers.fetch_sub(1);
        } else {
          ground->readers.fetch_add(1);
          if (ground->writers.load() != 0 || ground->left.load() != ground->right.load())
            ground->wrong.fetch_add(1);
          linger_a_little(random);
          ground->readers.fetch_sub(1);
        }
        CHILD_EXPECT(has(lock->unlock()));
        ground->turns[i].fetch_add(1);
      }
      return 0;
    });
  }
  os::sleep_ns(2 * kSecond);
  ground->stop.store(true);
  for (Child& child : children)
    CHECK(child.wait() == 0);
  CHECK(ground->wrong.load() == 0);
  CHECK(ground->left.load() == ground->turns[0].load() + ground->turns[1].load());
  std::uint64_t readers = 0;
  for (std::uint32_t i = 0; i < kHammers; ++i) {
    CHECK(ground->turns[i].load() > 0);
    if (i >= 2) readers += ground->turns[i].load();
  }
  MESSAGE(ground->left.load() << " writes, " << readers << " reads");
}

TEST_CASE("mutex: waits that end in the instant of the grant never lose the lock") {
  const Names names;
  const std::string name = names.name();
  const Shared<Ground> ground;
  std::vector<Child> children;
  for (std::uint32_t i = 0; i < 4; ++i) {
    children.emplace_back([&, i] {
      auto mutex = join<Mutex>(name);
      Random random(i);
      while (!ground->stop.load()) {
        const LockStatus status = mutex->lock(random.below(30'000), random.below(10'000));
        if (status == LockStatus::busy) {
          ground->overtaken[i].fetch_add(1);
          continue;
        }
        CHILD_EXPECT(status == LockStatus::held);
        work(*ground, random);
        ground->turns[i].fetch_add(1);
        CHILD_EXPECT(mutex->unlock() == LockStatus::held);
      }
      return 0;
    });
  }
  os::sleep_ns(2 * kSecond);
  ground->stop.store(true);
  std::uint64_t sum = 0;
  std::uint64_t given_up = 0;
  for (std::uint32_t i = 0; i < 4; ++i) {
    CHECK(children[i].wait() == 0);
    sum += ground->turns[i].load();
    given_up += ground->overtaken[i].load();
  }
  CHECK(ground->wrong.load() == 0);
  CHECK(ground->right.load() == sum);
  CHECK(given_up > 0);
  MESSAGE(sum << " turns, " << given_up << " waits given up");
}

namespace {

// Where a victim is to wait for its end, so that some die there whatever the machine is like.
enum class Halt : std::uint8_t { nowhere, inside, outside };

// One kind of lock, hammered by survivors while victim after victim is killed at a random moment.
struct KillGround {
  std::atomic<std::uint64_t> left;
  std::atomic<std::uint64_t> right;
  std::atomic<int> wrong;
  std::atomic<bool> stop;
  std::atomic<std::uint64_t> survivor_turns;
  // Of the victim at work: where it was when it died.
  std::atomic<int> phase;  // 0 outside, 1 getting the lock, 2 inside, 3 leaving
  std::atomic<bool> writes;
  std::atomic<std::uint64_t> victim_turns;
  std::atomic<std::uint64_t> told;  // abandonments that somebody saw and mended
  std::atomic<Halt> halt;
  std::atomic<bool> halted;
};

void halt_at(KillGround& ground, Halt here) {
  if (ground.halt.load() != here) return;
  ground.halted.store(true);
  for (;;)
    os::sleep_ns(kSecond);
}

template <typename Primitive>
LockStatus acquire(Primitive& lock, bool exclusive) {
  return lock.base().lock(exclusive ? LockMode::exclusive : LockMode::shared, 5'000, kPatience);
}

// Writes; mends the pair first if it is told that somebody died over it.
void write_once(KillGround& ground, bool abandoned, Random& random) {
  const std::uint64_t left = ground.left.load(std::memory_order_relaxed);
  if (ground.right.load(std::memory_order_relaxed) != left) {
    if (!abandoned) ground.wrong.fetch_add(1);  // torn, and nobody said so
    ground.right.store(left, std::memory_order_relaxed);
  }
  ground.left.store(left + 1, std::memory_order_relaxed);
  linger_a_little(random);
  ground.right.store(left + 1, std::memory_order_relaxed);
}

template <typename Primitive>
void kill_at_random(const std::string& name, int deaths, bool with_readers) {
  const Shared<KillGround> ground;
  auto judge = must(Primitive::open(named(name), soon()));
  std::vector<Child> survivors;
  for (std::uint32_t i = 0; i < 2; ++i) {
    survivors.emplace_back([&, i] {
      auto lock = join<Primitive>(name);
      Random random(i + 100);
      while (!ground->stop.load()) {
        const bool writes = !with_readers || random.below(2) == 0;
        const LockStatus status = acquire(*lock, writes);
        CHILD_EXPECT(has(status));
        const bool abandoned = status == LockStatus::abandoned;
        if (writes) {
          if (abandoned) ground->told.fetch_add(1);
          write_once(*ground, abandoned, random);
        } else if (!abandoned && ground->left.load() != ground->right.load()) {
          ground->wrong.fetch_add(1);
        }
        CHILD_EXPECT(has(lock->unlock()));
        ground->survivor_turns.fetch_add(1);
        os::sleep_ns(random.below(30'000));
      }
      return 0;
    });
  }
  Random random(static_cast<std::uint64_t>(deaths));
  std::uint64_t inside = 0;  // deaths of which somebody must be told
  std::uint64_t near = 0;    // deaths of which somebody may be told: these, and those in between
  for (int death = 0; death < deaths; ++death) {
    ground->phase.store(0);
    const std::uint64_t turns = ground->victim_turns.load();
    Child victim([&, death] {
      auto lock = join<Primitive>(name);
      Random luck(static_cast<std::uint64_t>(death));
      for (;;) {
        const bool writes = !with_readers || luck.below(2) == 0;
        ground->writes.store(writes);
        ground->phase.store(1);
        const LockStatus status = acquire(*lock, writes);
        CHILD_EXPECT(has(status));
        ground->phase.store(2);
        if (writes) {
          if (status == LockStatus::abandoned) ground->told.fetch_add(1);
          write_once(*ground, status == LockStatus::abandoned, luck);
          halt_at(*ground, Halt::inside);
        }
        ground->phase.store(3);
        CHILD_EXPECT(has(lock->unlock()));
        ground->phase.store(0);
        ground->victim_turns.fetch_add(1);
        halt_at(*ground, Halt::outside);
      }
      return 0;
    });
    if (!eventually([&] { return ground->victim_turns.load() > turns; })) FAIL("no victim at work");
    os::sleep_ns(random.below(300'000));
    if (death % 8 < 2) {
      ground->halt.store(death % 8 == 0 ? Halt::inside : Halt::outside);
      if (!eventually([&] { return ground->halted.load(); })) FAIL("the victim does not come by");
    }
    victim.kill();
    ground->halt.store(Halt::nowhere);
    ground->halted.store(false);
    if (ground->writes.load()) {
      if (ground->phase.load() == 2) ++inside;
      if (ground->phase.load() != 0) ++near;
    }
    const std::uint64_t before = ground->survivor_turns.load();
    // Whatever it died of, the survivors go on.
    if (!eventually([&] { return ground->survivor_turns.load() > before + 1; })) {
      FAIL("the survivors hang after death " << death);
    }
  }
  ground->stop.store(true);
  for (Child& survivor : survivors)
    CHECK(survivor.wait() == 0);
  const LockStatus last = acquire(*judge, true);
  if (last == LockStatus::abandoned) ground->told.fetch_add(1);
  CHECK(has(judge->unlock()));
  CHECK(ground->wrong.load() == 0);
  // One told who dies over it in turn makes it one more death, and one more told.
  CHECK(ground->told.load() >= inside);
  CHECK(ground->told.load() <= near);
  CHECK(inside > 0);
  CHECK(near < static_cast<std::uint64_t>(deaths));
  MESSAGE(deaths << " deaths, " << inside << " of them inside, " << ground->told.load() << " told; "
                 << ground->survivor_turns.load() << " turns of the survivors");
}

}  // namespace

TEST_CASE("mutex: a thousand holders killed at random moments") {
  const Names names;
  kill_at_random<Mutex>(names.name(), rounds(1000), false);
}

TEST_CASE("rwlock: a thousand readers and writers killed at random moments") {
  const Names names;
  kill_at_random<RwLock>(names.name(), rounds(1000), true);
}

TEST_CASE("lock: those who wait are killed, too, and nobody else notices") {
  const Names names;
  const std::string name = names.name();
  const Shared<KillGround> ground;
  auto holder = mutex_of(name);
  Random random(3);
  for (int death = 0; death < rounds(200); ++death) {
    REQUIRE(has(holder->lock(kPatience)));
    ground->phase.store(0);
    std::vector<Child> line;
    line.reserve(2);
    for (int i = 0; i < 2; ++i) {
      line.emplace_back([&] {
        auto mine = join<Mutex>(name);
        LockStatus status = mine->base().begin(LockMode::exclusive);
        ground->phase.fetch_add(1);
        while (status == LockStatus::busy)
          status = mine->base().look(!mine->base().wait(0, kPatience));
        // Abandoned: the other one was killed only after it had got the lock, and before it unlocked.
        CHILD_EXPECT(has(status));
        CHILD_EXPECT(has(mine->unlock()));
        return 0;
      });
    }
    REQUIRE(eventually([&] { return ground->phase.load() == 2; }));
    // In the moment of the hand-over, or close to it.
    Child killer([&, pid = line[0].pid(), nap = random.below(60'000)] {
      os::sleep_ns(nap);
      ::kill(pid, SIGKILL);
      return 0;
    });
    os::sleep_ns(random.below(60'000));
    CHECK(has(holder->unlock()));
    CHECK(line[1].wait() == 0);
    CHECK(killer.wait() == 0);
    (void)line[0].wait();
  }
  CHECK(has(holder->lock(kPatience)));
}

}  // namespace millrace::test::lock_test
