// Ordered stages with many at work: pushers, workers who are done in any order, give back, give up, and die. However it goes, the
// jobs of each pusher come to the last stage in the order in which it pushed them.
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <millrace/work/work_queue.hpp>

#include "fixture.hpp"
#include "work_ground.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_order_stress_test {

using namespace millrace;
using namespace millrace::test;
using work_ground::kMs;

namespace {

constexpr std::uint32_t kPushers = 3;
constexpr std::uint32_t kAgain =
    kPushers;  // in place of the pusher: who sends dead letters round again

struct Payload {
  std::uint32_t pusher = 0;
  std::uint32_t number = 0;  // of that pusher's jobs, from 1
};

// Puts a payload to where it is to be read.
void write(const JobStore& store, std::uint64_t at, const Payload& payload) {
  std::memcpy(store.memory().data() + at, &payload, sizeof payload);
}
Payload read(const JobStore& store, std::uint32_t slot) {
  JobFacts facts;
  Payload payload;
  REQUIRE(store.facts(slot, facts));
  REQUIRE(facts.length == sizeof payload);
  std::memcpy(&payload, store.memory().data() + facts.at, sizeof payload);
  return payload;
}
Pushed push(JobStore& store, const Payload& payload, const PushOptions& options) {
  Loan loan;
  const Pushed room = store.reserve(sizeof payload, options.tail_bytes(), loan);
  if (room != Pushed::yes) return room;
  write(store, loan.at, payload);
  const Pushed done = store.push(loan, sizeof payload, options);
  store.cancel(loan);
  return done;
}

// What has come to the last stage.
struct Arrivals {
  std::array<std::uint32_t, kPushers + 1> last{};
  std::uint64_t count = 0;
  std::uint64_t wrong = 0;

  void add(const Payload& payload) {
    REQUIRE(payload.pusher <= kAgain);
    std::uint32_t& last_one = last[payload.pusher];
    wrong += payload.number <= last_one ? 1 : 0;
    last_one = payload.number;
    ++count;
  }
};

// Two ordered stages and a last one.
WorkShape stress_shape(std::uint32_t jobs) {
  WorkShape shape = work_ground::shape_of(jobs, 8);
  shape.levels = 1;
  shape.stages = 3;
  shape.ordered = 0b011;
  shape.attempts = 3;
  shape.keys = 0;
  return shape;
}

}  // namespace

TEST_CASE(
    "work order stress: the jobs of each pusher arrive in order, whatever workers do with them") {
  const auto per_pusher = static_cast<std::uint32_t>(rounds(40'000));
  for (const bool grouped : {false, true}) {
    CAPTURE(grouped);
    work_ground::Ground ground(stress_shape(40));
    std::atomic<std::uint64_t> ended{0};  // before the last stage, by a worker
    std::atomic<std::uint64_t> arrived{0};
    std::atomic<std::uint32_t> again{0};
    const std::uint64_t all = std::uint64_t{per_pusher} * kPushers;
    const auto over = [&] { return ended.load() + arrived.load() >= all; };
    std::vector<std::thread> threads;
    std::uint16_t seat = 1;
    for (std::uint32_t pusher = 0; pusher < kPushers; ++pusher) {
      threads.emplace_back([&, pusher, store = ground.store(seat++)] {
        Random random(pusher);
        const std::string key(1, static_cast<char>('a' + pusher));
        for (std::uint32_t number = 1; number <= per_pusher;) {
          PushOptions options;
          if (random.chance(2)) options.delay_ns = 1000;
          if (grouped && random.chance(10)) {
            options.group = key;
            options.delay_ns = 0;
          }
          if (push(*store, {pusher, number}, options) == Pushed::yes) {
            ++number;
          } else {
            std::this_thread::yield();
          }
        }
      });
    }
    for (std::uint32_t worker = 0; worker < 4; ++worker) {
      threads.emplace_back([&, stage = worker % 2, store = ground.store(seat++),
                            random = Random(77 + worker)]() mutable {
        std::vector<Lease> held;
        while (!over()) {
          Lease lease = store->take(stage, true);
          if (lease) held.push_back(lease);
          if (held.empty() || (lease && held.size() < 5 && random.chance(60))) {
            if (!lease) {
              (void)store->sweep(os::monotonic_ns());
              std::this_thread::yield();
            }
            continue;
          }
          std::swap(held[random.below(held.size())], held.back());
          Lease done = held.back();
          held.pop_back();
          const std::uint64_t how = random.below(100);
          bool settled = true;
          if (how < 80) {
            settled = store->move_on(done, static_cast<std::uint8_t>(stage + 1));
          } else if (how < 84) {
            settled = store->release(done, 0);
          } else if (how < 92) {
            settled = store->retry(done, how % 2 == 0 ? 0 : 1000, "failed");
          } else if (how < 96) {
            settled = store->reject(done, "never");
          } else {
            settled = store->complete(done);
            ended.fetch_add(1);
          }
          REQUIRE(settled);
        }
        for (Lease& lease : held)
          (void)store->release(lease, 0);
      });
    }
    // Dead letters go round again, in an order of their own.
    threads.emplace_back([&, store = ground.store(seat++)] {
      while (!over()) {
        (void)store->each_dead([&](std::uint32_t slot, std::uint64_t bits) {
          JobFacts facts;
          REQUIRE(store->facts(slot, facts));
          const Payload before = read(*store, slot);
          write(*store, facts.at, {kAgain, again.load() + 1});
          if (!store->redrive(slot, bits)) {
            write(*store, facts.at, before);
            return false;
          }
          again.fetch_add(1);
          return true;
        });
        store->balance();
        std::this_thread::yield();
      }
    });
    Arrivals arrivals;
    const auto last = ground.store(seat);
    const os::Deadline deadline = os::Deadline::after(90 * kSecond);
    while (!over() && !deadline.passed()) {
      Lease lease = last->take(2, true);
      if (!lease) {
        std::this_thread::yield();
        // Dead letters that made room for younger ones arrive nowhere.
        const auto dropped = work_ground::counter(ground, layout::WorkCount::dead_dropped);
        if (dropped != 0) {
          ground.memory.control()
              .counters[static_cast<std::size_t>(layout::WorkCount::dead_dropped)]
              .fetch_sub(dropped);
          ended.fetch_add(dropped);
        }
        continue;
      }
      arrivals.add(read(*last, lease.slot));
      REQUIRE(last->complete(lease));
      arrived.fetch_add(1);
    }
    const bool in_time = over();
    ended.fetch_add(all);  // whoever waits for the end
    for (std::thread& thread : threads)
      thread.join();
    CHECK(in_time);
    CHECK(arrivals.wrong == 0);
    CHECK(arrivals.last[kAgain] > 0);
    const JobStore::Counts counts = last->counts();
    CHECK(counts.held == 0);
    CHECK(counts.other == 0);
    CHECK(counts.free == ground.shape.jobs);
    MESSAGE("arrived: " << arrivals.count << ", sent round again: " << again.load());
  }
}

TEST_CASE(
    "promise: work – workers of a pipeline are killed, and the jobs of each pusher arrive in "
    "order") {
  const auto per_pusher = static_cast<std::uint32_t>(rounds(10'000));
  const Names names;
  WorkSpec spec;
  spec.place = names.name();
  spec.stage_names = {"one", "two", "three"};
  spec.ordered = 0b011;
  spec.jobs = 50;
  spec.levels = 1;
  spec.attempts = 0;
  const auto queue = must(WorkQueue::open(spec, soon()));
  Shared<std::atomic<bool>> over;
  std::vector<Child> pushers;
  for (std::uint32_t pusher = 0; pusher < kPushers; ++pusher) {
    pushers.emplace_back([&, pusher] {
      auto own = WorkQueue::open(spec, soon());
      CHILD_EXPECT(own.ok());
      for (std::uint32_t number = 1; number <= per_pusher; ++number) {
        const Payload payload{pusher, number};
        const auto bytes = std::as_bytes(std::span(&payload, 1));
        Pushed pushed = own.value()->try_push(bytes, {});
        while (pushed != Pushed::yes) {
          CHILD_EXPECT(pushed == Pushed::full);
          (void)own.value()->wait_for_room(0, 10 * kMs, [&] {
            pushed = own.value()->try_push(bytes, {});
            return pushed == Pushed::yes;
          });
        }
      }
      return 0;
    });
  }
  const auto work = [&](std::uint32_t stage, std::uint64_t seed) {
    return Child([&, stage, seed] {
      auto own = WorkQueue::open(spec, soon());
      CHILD_EXPECT(own.ok());
      Random random(seed);
      std::vector<Lease> held;
      while (!over->load()) {
        if (Lease lease = own.value()->wait_for_job(stage, true, 0, kMs)) held.push_back(lease);
        if (held.empty() || (held.size() < 4 && random.chance(50))) continue;
        std::swap(held[random.below(held.size())], held.back());
        Lease done = held.back();
        held.pop_back();
        CHILD_EXPECT(random.chance(80)
                         ? own.value()->move_on(done, static_cast<std::uint8_t>(stage + 1))
                         : own.value()->retry(done, 0, "failed"));
      }
      return 0;
    });
  };
  std::array<std::optional<Child>, 4> workers;
  for (std::uint32_t i = 0; i < workers.size(); ++i)
    workers[i].emplace(work(i % 2, i));
  Random random(5);
  Arrivals arrivals;
  int kills = 0;
  const std::uint64_t all = std::uint64_t{per_pusher} * kPushers;
  const os::Deadline deadline = os::Deadline::after(90 * kSecond);
  std::uint64_t next_kill = os::monotonic_ns() + 3 * kMs;
  auto at_kill = arrivals.count;  // how many there were
  while (arrivals.count < all && !deadline.passed()) {
    if (Lease lease = queue->wait_for_job(2, true, 0, kMs)) {
      arrivals.add(read(queue->store(), lease.slot));
      REQUIRE(queue->complete(lease));
    }
    const std::uint64_t now = os::monotonic_ns();
    if (now < next_kill) continue;
    // A kill for so many arrivals: where processes start slowly, workers that are killed by the clock would do nothing at all.
    if (arrivals.count - at_kill < all / 400 && now < next_kill + 300 * kMs) continue;
    at_kill = arrivals.count;
    next_kill = now + (1 + random.below(6)) * kMs;
    const auto which = static_cast<std::uint32_t>(random.below(workers.size()));
    workers[which].reset();  // killed
    ++kills;
    workers[which].emplace(work(which % 2, 100 + static_cast<std::uint64_t>(kills)));
    (void)queue->look();
  }
  over->store(true);
  CHECK(arrivals.count == all);
  CHECK(arrivals.wrong == 0);
  for (Child& pusher : pushers)
    CHECK(pusher.wait() == 0);
  for (auto& worker : workers)
    CHECK(worker->wait() == 0);
  (void)queue->look();
  const JobStore::Counts counts = queue->store().counts();
  CHECK(counts.held == 0);
  CHECK(counts.other == 0);
  CHECK(counts.free == queue->parties().shape().jobs);
  MESSAGE("kills: " << kills);
}

}  // namespace millrace::test::work_order_stress_test
