// What a job goes through, without a segment around it; death at every point of it is tested in crash/work_store_deaths.cpp.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "work_ground.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_job_store_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;

TEST_CASE("jobs come in the order of their priority, and of their pushes") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  PushOptions urgent;
  urgent.level = 3;
  PushOptions soon;
  soon.level = 1;
  CHECK(push(*store, "a") == Pushed::yes);
  CHECK(push(*store, "b", soon) == Pushed::yes);
  CHECK(push(*store, "c", urgent) == Pushed::yes);
  CHECK(push(*store, "d") == Pushed::yes);
  CHECK(push(*store, "e", urgent) == Pushed::yes);
  CHECK(push(*store, "f", soon) == Pushed::yes);
  CHECK(take_all(*store) == "cebfad");
  CHECK(!store->take(0, true));
}

TEST_CASE("a queue holds as many jobs as it was made for, and has room again for each that ends") {
  Ground ground(shape_of(5));
  const auto store = ground.store(1);
  for (int i = 0; i < 5; ++i)
    CHECK(push(*store, "x") == Pushed::yes);
  CHECK(push(*store, "x") == Pushed::full);
  Lease lease = store->take(0, true);
  CHECK(push(*store, "x") == Pushed::full);  // what is being worked on counts
  CHECK(store->complete(lease));
  CHECK(push(*store, "x") == Pushed::yes);
  CHECK(push(*store, "x") == Pushed::full);
}

TEST_CASE(
    "no two jobs that were in one slot were pushed at the same time, however fast they came") {
  Ground ground(shape_of(1));
  const auto store = ground.store(1);
  std::vector<std::uint64_t> times;
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(push(*store, "x") == Pushed::yes);
    Lease lease = store->take(0, true);
    REQUIRE(lease);
    const std::uint64_t at = facts_of(*store, lease.slot).pushed_at;
    REQUIRE(at <= os::exact_real_ns());
    times.push_back(at);
    REQUIRE(store->release(lease, 0));
    lease = store->take(0, true);
    REQUIRE(facts_of(*store, lease.slot).pushed_at == at);
    REQUIRE(store->complete(lease));
  }
  std::ranges::sort(times);
  CHECK(std::ranges::adjacent_find(times) == times.end());
}

TEST_CASE("payloads of every size are whole, and their memory comes back") {
  Ground ground(shape_of(200));
  const auto store = ground.store(1);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::size_t length = random() % 3 == 0 ? random() % 300 : random() % 20'000;
    std::string payload(length, '\0');
    for (auto& byte : payload)
      byte = static_cast<char>(random());
    PushOptions options;
    const std::string id = "id " + std::to_string(round);
    const std::string group(random() % 40, 'g');
    if (round % 2 == 0) options.id = id;
    if (round % 3 == 0) options.group = group;
    REQUIRE(push(*store, payload, options) == Pushed::yes);
    Lease lease = store->take(0, true);
    REQUIRE(lease);
    CHECK(payload_of(*store, lease) == payload);
    CHECK(facts_of(*store, lease.slot).id == options.id);
    CHECK(facts_of(*store, lease.slot).group == options.group);
    REQUIRE(store->complete(lease));
  }
  CHECK(store->granules_used() == 0);
}

TEST_CASE("a payload that no queue of this size can hold is told from one that has to wait") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  Loan loan;
  CHECK(store->reserve(store->largest() + 1, 0, loan) == Pushed::too_large);
  CHECK(store->reserve(store->largest(), 1, loan) == Pushed::too_large);
  REQUIRE(store->reserve(store->largest(), 0, loan) == Pushed::yes);
  Loan other;
  CHECK(store->reserve(store->largest(), 0, other) == Pushed::full_bytes);
  CHECK(push(*store, "small") == Pushed::yes);
  store->cancel(loan);
  CHECK(store->reserve(store->largest(), 0, other) == Pushed::yes);
  store->cancel(other);
  CHECK(store->granules_used() == 0);
}

TEST_CASE("what goes back keeps its place") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  for (const char* payload : {"a", "b", "c", "d"})
    CHECK(push(*store, payload) == Pushed::yes);
  Lease a = store->take(0, true);
  Lease b = store->take(0, true);
  Lease c = store->take(0, true);
  CHECK(store->release(c, 0));
  CHECK(store->retry(a, 0, "no"));
  CHECK(store->release(b, 0));
  CHECK(take_all(*store) == "abcd");
}

TEST_CASE(
    "an attempt counts when it has started, and after the last one the job is a dead letter") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  CHECK(push(*store, "x") == Pushed::yes);
  Lease lease = store->take(0, false);
  CHECK(facts_of(*store, lease.slot).attempt == 0);
  CHECK(store->start(lease));
  CHECK(facts_of(*store, lease.slot).attempt == 1);
  CHECK(store->start(lease));  // again is nothing
  CHECK(facts_of(*store, lease.slot).attempt == 1);
  CHECK(store->release(lease, 0));
  lease = store->take(0, true);
  CHECK(facts_of(*store, lease.slot).attempt == 1);
  CHECK(facts_of(*store, lease.slot).acquired == 2);
  CHECK(store->retry(lease, 0, "one"));
  lease = store->take(0, true);
  CHECK(store->retry(lease, 0, "two"));
  lease = store->take(0, true);
  CHECK(facts_of(*store, lease.slot).attempt == 3);
  CHECK(facts_of(*store, lease.slot).error == "two");
  CHECK(store->retry(lease, 0, "three"));
  CHECK(!store->take(0, true));
  int seen = 0;
  CHECK(store->each_dead([&](std::uint32_t slot, std::uint64_t) {
    const JobFacts facts = facts_of(*store, slot);
    CHECK(facts.reason == layout::DeadReason::attempts);
    CHECK(facts.attempt == 3);
    CHECK(facts.error == "three");
    ++seen;
    return true;
  }));
  CHECK(seen == 1);
}

TEST_CASE("promise: work – a late settle is refused, and counted") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  const auto other = ground.store(2);
  CHECK(push(*store, "x") == Pushed::yes);
  Lease lease = store->take(0, true);
  const Lease copy = lease;
  CHECK(store->release(lease, 0));
  Lease next = other->take(0, true);
  REQUIRE(next);
  CHECK(facts_of(*store, next.slot).token > layout::unpack(copy.word).token);
  for (int how = 0; how < 6; ++how) {
    Lease late = copy;
    CAPTURE(how);
    switch (how) {
      case 0:
        CHECK(!store->complete(late));
        break;
      case 1:
        CHECK(!store->release(late, 0));
        break;
      case 2:
        CHECK(!store->retry(late, 1, "late"));
        break;
      case 3:
        CHECK(!store->reject(late, "late"));
        break;
      case 4:
        CHECK(!store->start(late));
        break;
      default:
        CHECK(!store->extend(late, 1));
        break;
    }
  }
  CHECK(counter(ground, layout::WorkCount::lost_leases) == 4);
  CHECK(other->complete(next));
  CHECK(take_all(*store).empty());
}

TEST_CASE("dead letters have places of their own, and the oldest goes when there are too many") {
  Ground ground(shape_of(3, 2));
  const auto store = ground.store(1);
  for (const char* payload : {"a", "b", "c", "d"}) {
    CHECK(push(*store, payload) == Pushed::yes);
    Lease lease = store->take(0, true);
    CHECK(store->reject(lease, "never"));
  }
  CHECK(store->dead_count() == 2);
  CHECK(counter(ground, layout::WorkCount::dead_dropped) == 2);
  for (int i = 0; i < 3; ++i)
    CHECK(push(*store, "x") == Pushed::yes);
  CHECK(push(*store, "x") == Pushed::full);
  // Full: nothing can be redriven.
  int redriven = 0;
  CHECK(store->each_dead([&](std::uint32_t slot, std::uint64_t bits) {
    const bool done = store->redrive(slot, bits);
    redriven += done ? 1 : 0;
    return done;
  }));
  CHECK(redriven == 0);
  CHECK(take_all(*store) == "xxx");
  std::string order;
  CHECK(store->each_dead([&](std::uint32_t slot, std::uint64_t bits) {
    order += std::string(
        reinterpret_cast<const char*>(store->memory().data() + facts_of(*store, slot).at), 1);
    return store->redrive(slot, bits);
  }));
  CHECK(order == "cd");
  CHECK(take_all(*store) == "cd");
  CHECK(store->counts().free == 3);
}

TEST_CASE("a delayed job comes when it is due, in the place that its age gives it") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  PushOptions later;
  later.delay_ns = 100'000 * kMs;
  CHECK(push(*store, "a") == Pushed::yes);
  CHECK(push(*store, "b", later) == Pushed::yes);
  CHECK(push(*store, "c") == Pushed::yes);
  const std::uint64_t due = store->earliest();
  CHECK(due > os::monotonic_ns());
  CHECK(due < os::monotonic_ns() + later.delay_ns + kMs);
  CHECK(store->sweep(os::monotonic_ns()) == 0);
  CHECK(take_all(*store) == "ac");
  CHECK(push(*store, "d") == Pushed::yes);
  CHECK(store->sweep(due + 1000) == 1);
  CHECK(store->earliest() == DueTimes::kNever);
  CHECK(take_all(*store) == "bd");
}

TEST_CASE(
    "a job whose time to live is over is a dead letter, whether it waits or is about to be taken") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  PushOptions brief;
  brief.ttl_ns = 1;
  CHECK(push(*store, "a", brief) == Pushed::yes);
  CHECK(push(*store, "b") == Pushed::yes);
  CHECK(take_all(*store) == "b");
  CHECK(store->dead_count() == 1);
  CHECK(push(*store, "c", brief) == Pushed::yes);
  CHECK(store->sweep(os::monotonic_ns() + 1000) == 1);
  CHECK(store->dead_count() == 2);
  CHECK(counter(ground, layout::WorkCount::expired) == 2);
  // What was taken in time may take its time.
  brief.ttl_ns = 100'000 * kMs;
  CHECK(push(*store, "d", brief) == Pushed::yes);
  Lease lease = store->take(0, true);
  CHECK(store->sweep(os::monotonic_ns() + 2 * brief.ttl_ns) == 0);
  CHECK(store->complete(lease));
}

TEST_CASE("a lease that ends by time gives the job back, and its holder cannot settle") {
  WorkShape shape = shape_of(8);
  shape.lease_ms = 1000;
  Ground ground(shape);
  const auto store = ground.store(1);
  const auto other = ground.store(2);
  CHECK(push(*store, "a") == Pushed::yes);
  Lease lease = store->take(0, true);
  CHECK(other->sweep(os::monotonic_ns() + 900 * kMs) == 0);
  CHECK(store->extend(lease, 5000 * kMs));
  CHECK(other->sweep(os::monotonic_ns() + 2000 * kMs) == 0);
  CHECK(store->holds(lease));
  CHECK(other->sweep(os::monotonic_ns() + 6000 * kMs) == 1);
  CHECK(!store->holds(lease));
  Lease next = other->take(0, true);
  REQUIRE(next);
  CHECK(facts_of(*other, next.slot).attempt == 2);
  CHECK(!store->complete(lease));
  CHECK(other->complete(next));
  // The time of the first lease is not that of the second.
  CHECK(push(*store, "b") == Pushed::yes);
  lease = store->take(0, true);
  CHECK(store->complete(lease));
  CHECK(other->sweep(os::monotonic_ns() + 10'000 * kMs) == 0);
}

TEST_CASE("an id that was pushed lately is told so") {
  Ground ground(shape_of(8));
  const auto store = ground.store(1);
  PushOptions options;
  options.id = "img-42";
  CHECK(push(*store, "a", options) == Pushed::yes);
  CHECK(push(*store, "a", options) == Pushed::duplicate);
  CHECK(take_all(*store) == "a");
  CHECK(push(*store, "a", options) == Pushed::duplicate);  // done is no reason to do it again
  CHECK(store->counts().free == 8);
  CHECK(counter(ground, layout::WorkCount::duplicates) == 2);
}

TEST_CASE("a job that was put off has its place, also behind jobs that have expired") {
  for (const bool grouped : {false, true}) {
    CAPTURE(grouped);
    Ground ground(shape_of(8));
    const auto store = ground.store(1);
    PushOptions group;
    group.group = "g";
    Lease turn;
    if (grouped) {
      REQUIRE(push(*store, "first", group) == Pushed::yes);
      turn = store->take(0, true);
    }
    PushOptions brief;
    brief.ttl_ns = 1;
    REQUIRE(push(*store, "x", brief) == Pushed::yes);
    PushOptions later;
    later.delay_ns = 100'000 * kMs;
    REQUIRE(push(*store, "a", grouped ? group : later) == Pushed::yes);
    REQUIRE(push(*store, "b") == Pushed::yes);
    // Nobody has looked at the hint of what has expired when the job behind it becomes ready.
    REQUIRE(store->sweep(os::monotonic_ns() + 1000) == 1);
    if (grouped) {
      REQUIRE(store->complete(turn));
    } else {
      REQUIRE(store->sweep(store->earliest() + 1000) == 1);
    }
    CHECK(take_all(*store) == "ab");
  }
}

TEST_CASE("a ring that goes round many times keeps the order, also past jobs that are left lying") {
  Ground ground(shape_of(64));
  const auto store = ground.store(1);
  const auto other = ground.store(2);
  CHECK(push(*store, "first") == Pushed::yes);
  Lease lying = store->take(0, true);
  // Not taken, and at the head of its ring, while 20 turns of others expire behind it.
  CHECK(push(*store, "head") == Pushed::yes);
  PushOptions brief;
  brief.ttl_ns = 1;
  for (int i = 0; i < 20 * 64; ++i) {
    REQUIRE(push(*store, "x", brief) == Pushed::yes);
    REQUIRE(store->sweep(os::monotonic_ns() + 1000) == 1);
  }
  CHECK(push(*store, "tail") == Pushed::yes);
  CHECK(other->release(lying, 0));
  Lease lease = store->take(0, true);
  CHECK(payload_of(*store, lease) == "first");
  CHECK(store->complete(lease));
  CHECK(take_all(*store) == "headtail");
  CHECK(store->counts().free == 64);
}

TEST_CASE("a queue does what the plainest queue would do, whatever is done to it") {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Ground ground(shape_of(12, 3));
    const auto store = ground.store(1);
    std::mt19937 random(seed);
    // Of each level the numbers in their order; a number is the age of its job.
    std::map<int, std::vector<int>, std::greater<>> waiting;
    std::vector<std::tuple<Lease, int, int>> held;
    int next = 0;
    std::size_t jobs = 0;
    for (int step = 0; step < 4000; ++step) {
      const std::uint32_t what = random() % 8;
      if (what < 3) {
        PushOptions options;
        options.level = static_cast<std::uint8_t>(random() % 4);
        const Pushed pushed = push(*store, std::to_string(next), options);
        REQUIRE(pushed == (jobs < 12 ? Pushed::yes : Pushed::full));
        if (pushed == Pushed::yes) {
          waiting[options.level].push_back(next);
          ++jobs;
        }
        ++next;
      } else if (what < 6) {
        Lease lease = store->take(0, false);
        int level = -1;
        for (auto& [its, numbers] : waiting) {
          if (!numbers.empty() && level < 0) level = its;
        }
        REQUIRE(static_cast<bool>(lease) == (level >= 0));
        if (!lease) continue;
        auto& numbers = waiting[level];
        REQUIRE(payload_of(*store, lease) == std::to_string(numbers.front()));
        held.emplace_back(lease, level, numbers.front());
        numbers.erase(numbers.begin());
      } else if (!held.empty()) {
        const std::size_t which = random() % held.size();
        auto [lease, level, number] = held[which];
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
        if (what == 6) {
          REQUIRE(store->release(lease, 0));
          auto& numbers = waiting[level];
          numbers.insert(std::lower_bound(numbers.begin(), numbers.end(), number), number);
        } else {
          REQUIRE((random() % 4 == 0 ? store->reject(lease, "no") : store->complete(lease)));
          --jobs;
        }
      }
    }
  }
}

TEST_CASE("many threads push and take at once: each job once, those of one producer in order") {
  constexpr int kThreads = 3;
  constexpr int kEach = 4000;
  for (const int workers : {1, 3}) {
    CAPTURE(workers);
    Ground ground(shape_of(32));
    std::vector<std::atomic<int>> seen(kThreads * kEach);
    std::atomic<int> left{kThreads * kEach};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int producer = 0; producer < kThreads; ++producer) {
      threads.emplace_back([&, producer] {
        const auto store = ground.store(static_cast<std::uint16_t>(producer));
        std::mt19937 random(static_cast<std::uint32_t>(producer));
        for (int i = 0; i < kEach; ++i) {
          const int number = producer * kEach + i;
          std::string payload(random() % 4 == 0 ? 700 : 16, '\0');
          std::memcpy(payload.data(), &number, sizeof number);
          while (push(*store, payload) != Pushed::yes)
            std::this_thread::yield();
        }
      });
    }
    for (int worker = 0; worker < workers; ++worker) {
      threads.emplace_back([&, worker] {
        const auto store = ground.store(static_cast<std::uint16_t>(8 + worker));
        std::mt19937 random(static_cast<std::uint32_t>(100 + worker));
        std::vector<int> last(kThreads, -1);
        while (left.load() > 0) {
          Lease lease = store->take(0, true);
          if (!lease) {
            (void)store->sweep(os::monotonic_ns());
            std::this_thread::yield();
            continue;
          }
          const JobFacts facts = facts_of(*store, lease.slot);
          int number = 0;
          std::memcpy(&number, store->memory().data() + facts.at, sizeof number);
          if (random() % 8 == 0) {
            if (!store->release(lease, random() % 2)) ++wrong;
            continue;
          }
          if (workers == 1 && facts.acquired == 1) {
            int& before = last[static_cast<std::size_t>(number / kEach)];
            if (number < before) ++wrong;
            before = number;
          }
          if (seen[static_cast<std::size_t>(number)].fetch_add(1) != 0) ++wrong;
          if (!store->complete(lease)) ++wrong;
          left.fetch_sub(1);
        }
      });
    }
    for (auto& thread : threads)
      thread.join();
    CHECK(wrong.load() == 0);
    CHECK(ground.store(0)->counts().free == 32);
    CHECK(ground.store(0)->granules_used() == 0);
  }
}

}  // namespace millrace::test::work_job_store_test
