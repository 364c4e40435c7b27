// No pipeline waits for itself, however full its memory is; and workers at the same time take nothing from each other.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <millrace/work/work_queue.hpp>

#include "work_results.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_results_room_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;
using namespace millrace::test::work_results;

namespace {

// A pipeline and workers for each of its stages, who act in turns.
class Mill {
 public:
  Mill(Ground& ground, std::uint32_t seed, std::uint32_t workers, bool oldest_last)
      : ground_(ground), random_(seed), oldest_last_(oldest_last), pusher_(ground.store(0)) {
    last_.assign(ground.shape.stages, -1);
    for (std::uint32_t stage = 0; stage < ground.shape.stages; ++stage) {
      for (std::uint32_t i = 0; i < workers; ++i) {
        Worker worker;
        worker.stage = stage;
        worker.store = ground.store(static_cast<std::uint16_t>(1 + all_.size() % 15));
        all_.push_back(std::move(worker));
      }
    }
  }
  // Until that many jobs have gone through. False: nobody could do anything any more.
  [[nodiscard]] bool run(int jobs) {
    while (ended_ < jobs) {
      bool moved = push_some(jobs);
      std::shuffle(all_.begin(), all_.end(), random_);
      const int oldest = oldest_in_hand();
      for (Worker& worker : all_)
        moved = act(worker, oldest_last_ ? oldest : kNone) || moved;
      for (Worker& worker : all_) {
        if (!moved) moved = act(worker, kNone);
      }
      if (!moved) return false;
    }
    return true;
  }
  [[nodiscard]] bool in_order() const { return in_order_; }
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] int refused() const { return refused_; }

 private:
  struct Hand {
    Lease lease;
    int number = 0;
    std::string result;
    int way = 0;
  };
  struct Worker {
    std::uint32_t stage = 0;
    std::unique_ptr<JobStore> store;
    Hand hand;
    Hand other;  // only for whom all wait, while the first one has to wait, too
  };

  static std::string made(int number, std::uint32_t stage, std::size_t length) {
    std::string all = text(std::max(length, sizeof number + 1), static_cast<char>('A' + stage));
    std::memcpy(all.data(), &number, sizeof number);
    return all;
  }
  bool push_some(int jobs) {
    bool any = false;
    while (pushed_ < jobs) {
      const std::size_t length = random_() % 3 == 0 ? random_() % pusher_->largest() : 200;
      const Pushed done = push(*pusher_, made(pushed_, 0, length));
      if (done != Pushed::yes) break;
      ++pushed_;
      any = true;
    }
    return any;
  }
  static constexpr int kNone = 1 << 30;
  int oldest_in_hand() const {
    int oldest = kNone;
    for (const Worker& worker : all_) {
      for (const Hand* hand : {&worker.hand, &worker.other})
        if (hand->lease) oldest = std::min(oldest, hand->number);
    }
    return oldest;
  }
  // `but`: the job that is left alone.
  bool act(Worker& worker, int but) {
    if (worker.other.lease && worker.other.number != but && settle(worker, worker.other))
      return true;
    if (!worker.hand.lease)
      return take(worker, worker.hand, worker.store->take(worker.stage, true));
    if (worker.hand.number == but) return false;
    if (settle(worker, worker.hand)) return true;
    return !worker.other.lease &&
           take(worker, worker.other, worker.store->take_front(worker.stage, true));
  }
  bool take(Worker& worker, Hand& hand, const Lease& lease) {
    if (!lease) return false;
    hand.lease = lease;
    const std::string payload = payload_of(*worker.store, hand.lease);
    std::memcpy(&hand.number, payload.data(), sizeof hand.number);
    whole_ = whole_ && (payload == made(hand.number, worker.stage, payload.size()) ||
                        moved_as_is_[hand.number]);
    if (worker.stage != 0 && (ground_.shape.ordered >> (worker.stage - 1) & 1U) != 0) {
      in_order_ = in_order_ && hand.number > last_[worker.stage];
      last_[worker.stage] = hand.number;
    }
    if (worker.stage + 1 == ground_.shape.stages) return true;
    hand.way = static_cast<int>(random_() % 12);
    const std::uint64_t most = worker.store->result_most(worker.stage + 1);
    const std::size_t length = hand.way < 8 ? most : 1 + random_() % most;
    hand.result = made(hand.number, worker.stage + 1, length);
    return true;
  }
  bool settle(Worker& worker, Hand& hand) {
    if (worker.stage + 1 == ground_.shape.stages) {
      REQUIRE(worker.store->complete(hand.lease));
      ++ended_;
      return true;
    }
    const auto next = static_cast<std::uint8_t>(worker.stage + 1);
    if (hand.way == 8) {
      moved_as_is_[hand.number] = true;
      REQUIRE(worker.store->move_on(hand.lease, next));
      return true;
    }
    if (hand.way == 9) {
      REQUIRE(worker.store->reject(hand.lease, "no"));
      ++ended_;
      return true;
    }
    const Became became = become(*worker.store, hand.lease, hand.result, next);
    if (became == Became::full_bytes) {
      ++refused_;
      return false;
    }
    REQUIRE(became == Became::yes);
    moved_as_is_[hand.number] = false;
    return true;
  }

  Ground& ground_;
  std::mt19937 random_;
  bool oldest_last_;
  std::unique_ptr<JobStore> pusher_;
  std::vector<Worker> all_;
  std::vector<int> last_;
  std::map<int, bool> moved_as_is_;
  int pushed_ = 0;
  int ended_ = 0;
  int refused_ = 0;
  bool in_order_ = true;
  bool whole_ = true;
};

}  // namespace

TEST_CASE("promise: work – no pipeline waits for itself, however full its memory is") {
  int refused = 0;
  for (const std::uint16_t ordered : {0U, 1U, 2U, 4U, 5U, 6U, 7U}) {
    for (std::uint32_t seed = 1; seed <= static_cast<std::uint32_t>(rounds(12)); ++seed) {
      const std::uint32_t workers = 1 + seed % 3;
      const bool oldest_last = seed % 2 == 0;
      CAPTURE(ordered);
      CAPTURE(seed);
      WorkShape shape = stages_of(4, 60 + seed, static_cast<std::uint16_t>(ordered));
      shape.jobs = 24;
      shape.dead = 3;
      shape.dead_bytes = seed % 4 * 2048;
      Ground ground(shape);
      Mill mill(ground, seed, workers, oldest_last);
      CHECK(mill.run(600));
      CHECK(mill.in_order());
      CHECK(mill.whole());
      refused += mill.refused();
      const auto store = ground.store(15);
      const JobStore::Counts counts = store->counts();
      CHECK(counts.free == shape.jobs);
      (void)store->each_dead(
          [&](std::uint32_t slot, std::uint64_t bits) { return store->purge(slot, bits); });
      CHECK(store->granules_used() == 0);
    }
  }
  CHECK(refused > 1000);  // it was full
}

TEST_CASE("work results: the job for which all others wait can be taken before all others") {
  Ground ground(stages_of(3, 64, 0b010));
  const auto store = ground.store(1);
  Lease jobs[3];
  for (const char* const payload : {"1", "2", "3"})
    REQUIRE(push(*store, payload) == Pushed::yes);
  for (Lease& lease : jobs)
    lease = store->take(0, true);
  CHECK_FALSE(store->take_front(0, true));
  // It wakes who has his hands full, and the others do not.
  (void)store->stirred();
  CHECK(store->release(jobs[1], 0));
  CHECK((store->stirred() & JobStore::kRoom) == 0);
  CHECK_FALSE(store->take_front(0, true));
  CHECK(store->release(jobs[0], 0));
  CHECK((store->stirred() & JobStore::kRoom) != 0);
  jobs[0] = store->take_front(0, true);
  REQUIRE(jobs[0]);
  CHECK(payload_of(*store, jobs[0]) == "1");
  jobs[1] = store->take(0, true);
  REQUIRE(payload_of(*store, jobs[1]) == "2");

  REQUIRE(store->move_on(jobs[2], 1));
  REQUIRE(store->move_on(jobs[1], 1));
  CHECK_FALSE(store->take_front(1, true));
  (void)store->stirred();
  REQUIRE(store->move_on(jobs[0], 1));
  CHECK((store->stirred() & JobStore::kRoom) != 0);
  Lease front = store->take_front(1, true);
  REQUIRE(front);
  CHECK(payload_of(*store, front) == "1");
  CHECK(facts_of(*store, front.slot).attempt == 1);
  CHECK(facts_of(*store, front.slot).acquired == 3);
  CHECK_FALSE(store->take_front(1, true));
  CHECK_FALSE(store->take_front(2, true));
  // With it the next one is the front.
  REQUIRE(store->complete(front));
  front = store->take_front(1, false);
  REQUIRE(front);
  CHECK(payload_of(*store, front) == "2");
  CHECK(facts_of(*store, front.slot).attempt == 0);
  CHECK(store->complete(front));
  CHECK(take_all(*store, 1) == "3");
}

TEST_CASE_FIXTURE(Names, "work results: who waits for room for a result is woken by it") {
  WorkSpec spec;
  spec.place = name();
  spec.stage_names = {"make", "use"};
  spec.jobs = 8;
  spec.dead = 0;
  spec.bytes = 64 * 256;
  spec.dead_bytes = 0;
  const auto use = must(WorkQueue::open(spec, soon()));
  const std::vector<std::byte> most(use->result_most(1));
  REQUIRE(use->try_push(most, {}) == Pushed::yes);
  Lease first = use->try_take();
  REQUIRE(use->become(first, most, 1) == Became::yes);
  REQUIRE(use->try_push(most, {}) == Pushed::yes);
  Lease in_use = use->try_take(1);
  REQUIRE(in_use);
  std::atomic<bool> tried{false};
  std::atomic<bool> done{false};
  std::thread maker([&] {
    const auto make = must(WorkQueue::open(spec, soon()));
    Lease lease = make->try_take();
    const os::Deadline deadline = soon();
    Became became = Became::full_bytes;
    while (became == Became::full_bytes && !deadline.passed()) {
      (void)make->wait_for_room(0, kSecond, [&] {
        became = make->become(lease, most, 1);
        tried.store(true);
        return became != Became::full_bytes;
      });
    }
    done.store(became == Became::yes);
  });
  CHECK(eventually([&] { return tried.load(); }));
  // Not at once: so that it perhaps sleeps.
  os::sleep_ns(5 * kMillisecond);
  CHECK_FALSE(done.load());
  const std::uint64_t before = os::monotonic_ns();
  CHECK(use->complete(in_use));
  maker.join();
  CHECK(done.load());
  CHECK(os::monotonic_ns() - before < kSecond);
  Lease second = use->try_take(1);
  REQUIRE(second);
  CHECK(use->complete(second));
}

TEST_CASE("work results: many workers and burials at once: every job once, whole, and in order") {
  constexpr int kJobs = rounds(6000);
  constexpr std::uint32_t kStages = 4;
  for (const std::uint16_t ordered : {std::uint16_t{0}, std::uint16_t{2}}) {
    CAPTURE(ordered);
    WorkShape shape = stages_of(kStages, 96, ordered);
    shape.jobs = 24;
    Ground ground(shape);
    std::vector<std::atomic<int>> seen(kJobs);
    std::atomic<int> left{kJobs};
    std::atomic<int> wrong{0};
    const auto payload_of_number = [](int number, std::uint32_t stage, std::size_t length) {
      std::string all = text(std::max(length, sizeof number), static_cast<char>('A' + stage));
      std::memcpy(all.data(), &number, sizeof number);
      return all;
    };
    const auto work = [&](std::uint32_t stage, std::uint16_t seat) {
      const auto store = ground.store(seat);
      std::mt19937 random(seat);
      struct Hand {
        Lease lease;
        int number = 0;
        std::string result;
      };
      Hand hands[2];
      int last = -1;
      while (left.load() > 0) {
        bool moved = false;
        for (Hand& hand : hands) {
          if (!hand.lease) {
            if (&hand == &hands[0]) {
              hand.lease = store->take(stage, true);
            } else if (hands[0].lease) {
              hand.lease = store->take_front(stage, true);
            }
            if (!hand.lease) continue;
            JobFacts facts;
            if (!store->facts(hand.lease.slot, facts)) {
              ++wrong;
              continue;
            }
            const std::string payload(
                reinterpret_cast<const char*>(store->memory().data() + facts.at), facts.length);
            std::memcpy(&hand.number, payload.data(), sizeof hand.number);
            if (payload != payload_of_number(hand.number, stage, payload.size())) ++wrong;
            if (ordered == 2 && stage == 2) {  // there is one worker for it
              if (hand.number <= last) ++wrong;
              last = hand.number;
            }
            const std::size_t most =
                stage + 1 == kStages ? 1 : static_cast<std::size_t>(store->result_most(stage + 1));
            hand.result = payload_of_number(hand.number, stage + 1,
                                            random() % 2 == 0 ? most : 1 + random() % most);
          }
          moved = true;
          if (stage + 1 == kStages) {
            if (seen[static_cast<std::size_t>(hand.number)].fetch_add(1) != 0) ++wrong;
            if (!store->complete(hand.lease)) ++wrong;
            left.fetch_sub(1);
          } else if (random() % 16 == 0 && stage != 2) {
            if (!store->release(hand.lease, 0)) ++wrong;
          } else {
            const Became became =
                become(*store, hand.lease, hand.result, static_cast<std::uint8_t>(stage + 1));
            if (became != Became::yes && became != Became::full_bytes) ++wrong;
            moved = became == Became::yes;
          }
        }
        store->keep_order();
        if (!moved) std::this_thread::yield();
      }
    };
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
      const auto store = ground.store(1);
      for (int number = 0; number < kJobs; ++number) {
        const std::string payload =
            payload_of_number(number, 0, static_cast<std::size_t>(number % 5 * 300));
        while (push(*store, payload) != Pushed::yes)
          std::this_thread::yield();
      }
    });
    threads.emplace_back([&] { work(0, 2); });
    threads.emplace_back([&] { work(0, 3); });
    threads.emplace_back([&] { work(1, 4); });
    threads.emplace_back([&] { work(1, 5); });
    threads.emplace_back([&] { work(2, 6); });
    threads.emplace_back([&] { work(3, 7); });
    // Somebody is buried all the time, who has nothing.
    threads.emplace_back([&] {
      const auto store = ground.store(8);
      while (left.load() > 0) {
        (void)store->repair(9);
        std::this_thread::yield();
      }
    });
    for (auto& thread : threads)
      thread.join();
    CHECK(wrong.load() == 0);
    const auto store = ground.store(1);
    CHECK(store->counts().free == shape.jobs);
    CHECK(store->granules_used() == 0);
  }
}

}  // namespace millrace::test::work_results_room_test
