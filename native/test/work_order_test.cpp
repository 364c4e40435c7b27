// Stages that jobs leave in order.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "fixture.hpp"
#include "work_ground.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_order_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::work_ground;

namespace {

// Three stages, of which the first is left in order.
WorkShape ordered_shape(std::uint32_t jobs = 16, std::uint16_t ordered = 1,
                        std::uint32_t stages = 3) {
  WorkShape shape = shape_of(jobs);
  shape.levels = 1;
  shape.stages = stages;
  shape.ordered = ordered;
  return shape;
}

struct Row : Ground {
  explicit Row(const WorkShape& shape = ordered_shape())
      : Ground(shape), pusher(store(1)), one(store(2)), two(store(3)) {}

  void push_all(std::string_view letters, const PushOptions& options = {}) const {
    for (std::size_t i = 0; i < letters.size(); ++i)
      REQUIRE(push(*pusher, letters.substr(i, 1), options) == Pushed::yes);
  }
  // Takes so many jobs of a stage, by turns.
  [[nodiscard]] std::vector<Lease> take(std::size_t many, std::uint32_t stage = 0) const {
    std::vector<Lease> leases;
    for (std::size_t i = 0; i < many; ++i) {
      leases.push_back((i % 2 == 0 ? one : two)->take(stage, true));
      REQUIRE(leases.back());
    }
    return leases;
  }
  void move(std::vector<Lease>& leases, std::size_t which, std::uint8_t to = 1) const {
    REQUIRE((which % 2 == 0 ? one : two)->move_on(leases[which], to));
  }
  // The next job of a stage is taken, and is that one; '-': there is none.
  [[nodiscard]] std::string next(std::uint32_t stage = 1) const {
    Lease lease = one->take(stage, true);
    if (!lease) return "-";
    std::string payload = payload_of(*one, lease);
    REQUIRE(one->complete(lease));
    return payload;
  }
  [[nodiscard]] std::uint32_t held(std::uint32_t stage = 0) const {
    return one->stage_counts(stage).held;
  }

  std::unique_ptr<JobStore> pusher, one, two;
};

}  // namespace

TEST_CASE(
    "work order: jobs leave a stage in the order of their pushes, in whatever order they are "
    "done") {
  std::string order = "abcd";
  do {
    CAPTURE(order);
    const Row row;
    row.push_all("abcd");
    std::vector<Lease> leases = row.take(4);
    std::string seen;
    for (const char letter : order) {
      row.move(leases, static_cast<std::size_t>(letter - 'a'));
      for (std::string job = row.next(); job != "-"; job = row.next())
        seen += job;
      // What is done and has not gone on waits for an older one.
      CHECK(std::string("abcd").starts_with(seen));
    }
    CHECK(seen == "abcd");
    CHECK(row.held() == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("work order: what is done waits for older jobs, and is counted") {
  const Row row;
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  row.move(leases, 2);
  row.move(leases, 1);
  CHECK(row.held() == 2);
  CHECK(row.one->stage_counts(0).leased == 1);
  CHECK(row.one->stage_counts(1).ready == 0);
  CHECK(row.next() == "-");
  row.move(leases, 0);
  CHECK(row.held() == 0);
  CHECK(row.one->stage_counts(1).ready == 3);
  CHECK(take_all(*row.one, 1) == "abc");
}

TEST_CASE(
    "work order: a retry, with a delay or without, keeps its place and holds those behind it "
    "back") {
  for (const std::uint64_t delay : {std::uint64_t{0}, 50 * kMs}) {
    CAPTURE(delay);
    const Row row;
    row.push_all("abc");
    std::vector<Lease> leases = row.take(3);
    row.move(leases, 2);
    REQUIRE(row.one->retry(leases[0], delay, "failed"));
    row.move(leases, 1);
    CHECK(row.held() == 2);
    CHECK(row.next() == "-");
    if (delay != 0) {
      CHECK(row.one->stage_counts(0).delayed == 1);
      CHECK(row.one->sweep(os::monotonic_ns() + 100 * kMs) == 1);
    }
    Lease again = row.two->take(0, true);
    REQUIRE(again);
    CHECK(facts_of(*row.two, again.slot).attempt == 2);
    REQUIRE(row.two->move_on(again, 1));
    Lease first = row.one->take(1, true);
    REQUIRE(first);
    CHECK(payload_of(*row.one, first) == "a");
    CHECK(facts_of(*row.one, first.slot).attempt == 1);  // of this stage
    REQUIRE(row.one->complete(first));
    CHECK(take_all(*row.one, 1) == "bc");
  }
}

TEST_CASE("work order: whatever ends a job lets those behind it go on") {
  const auto ends = [](const char* how, auto&& end) {
    CAPTURE(how);
    Row row;
    row.push_all("abc");
    std::vector<Lease> leases = row.take(3);
    row.move(leases, 2);
    row.move(leases, 1);
    REQUIRE(row.held() == 2);
    (void)row.one->stirred();
    end(row, leases[0]);
    CHECK(row.held() == 0);
    CHECK((row.one->stirred() & 0b10) != 0);
    CHECK(take_all(*row.two, 1) == "bc");
  };
  ends("completed", [](Row& row, Lease& lease) { REQUIRE(row.one->complete(lease)); });
  ends("rejected", [](Row& row, Lease& lease) { REQUIRE(row.one->reject(lease, "never")); });
  ends("out of attempts", [](Row& row, Lease& lease) {
    for (int i = 0; i < 2; ++i) {
      REQUIRE(row.one->retry(lease, 0, "failed"));
      CHECK(row.held() == 2);
      lease = row.one->take(0, true);
    }
    REQUIRE(row.one->retry(lease, 0, "failed"));
    CHECK(row.one->dead_count() == 1);
  });
  ends("died", [](Row& row, Lease& lease) {
    for (int i = 0; i < 2; ++i) {
      REQUIRE(row.one->retry(lease, 0, "failed"));
      lease = row.store(5)->take(0, true);
      REQUIRE(lease);
    }
    (void)row.one->repair(5);
  });
}

TEST_CASE("work order: a job whose time to live is over holds nobody back") {
  const Row row;
  PushOptions mortal;
  mortal.ttl_ns = kMs;
  row.push_all("a", mortal);
  row.push_all("bc");
  const std::uint64_t late = os::monotonic_ns() + 10 * kMs;
  while (os::monotonic_ns() < late) {
  }
  std::vector<Lease> leases = row.take(2);
  row.move(leases, 1);
  row.move(leases, 0);
  CHECK(row.held() == 0);
  CHECK(take_all(*row.one, 1) == "bc");
  CHECK(row.one->dead_count() == 1);
}

TEST_CASE("work order: what is put off when it is pushed holds back what is pushed later") {
  const Row row;
  PushOptions later;
  later.delay_ns = 50 * kMs;
  row.push_all("a", later);
  row.push_all("b");
  std::vector<Lease> leases = row.take(1);
  row.move(leases, 0);
  CHECK(row.held() == 1);
  CHECK(row.one->sweep(os::monotonic_ns() + 100 * kMs) == 1);
  leases = row.take(1);
  row.move(leases, 0);
  CHECK(take_all(*row.one, 1) == "ab");
}

TEST_CASE(
    "work order: a dead letter that is sent round again goes behind all that are there, and in "
    "front of all that come") {
  const Row row;
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  REQUIRE(row.one->reject(leases[0], "never"));
  REQUIRE(row.one->each_dead([&](std::uint32_t slot, std::uint64_t bits) {
    CHECK(row.one->redrive(slot, bits));
    return true;
  }));
  row.one->balance();
  row.push_all("d");
  std::vector<Lease> more = row.take(2);
  CHECK(payload_of(*row.one, more[0]) == "a");
  row.move(more, 1);  // d
  row.move(leases, 2);
  row.move(leases, 1);
  CHECK(take_all(*row.one, 1) == "bc");
  CHECK(row.held() == 1);
  row.move(more, 0);
  CHECK(take_all(*row.one, 1) == "ad");
}

TEST_CASE("work order: two ordered stages in a row are two orders, each of its own") {
  const Row row(ordered_shape(16, 0b011));
  row.push_all("abcd");
  std::vector<Lease> leases = row.take(4);
  for (const std::size_t which : {1U, 0U, 3U, 2U})
    row.move(leases, which);
  std::vector<Lease> second = row.take(4, 1);
  row.move(second, 3, 2);
  row.move(second, 1, 2);
  CHECK(row.held(1) == 2);
  CHECK(row.next(2) == "-");
  row.move(second, 0, 2);
  CHECK(take_all(*row.one, 2) == "ab");
  row.move(second, 2, 2);
  CHECK(take_all(*row.one, 2) == "cd");
}

TEST_CASE("work order: what an ordered stage holds, a later ordered one waits for") {
  const Row row(ordered_shape(16, 0b011));
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  row.move(leases, 0);
  row.move(leases, 2);  // held: b is still at it
  std::vector<Lease> second = row.take(1, 1);
  row.move(second, 0, 2);
  REQUIRE(row.two->complete(leases[1]));
  second = row.take(1, 1);
  CHECK(payload_of(*row.one, second[0]) == "c");
  row.move(second, 0, 2);
  CHECK(take_all(*row.one, 2) == "ac");
}

TEST_CASE(
    "work order: nobody passes what an earlier stage holds because its order is in other hands") {
  const Row row(ordered_shape(16, 0b011));
  row.push_all("abcd");
  std::vector<Lease> leases = row.take(4);
  row.move(leases, 2);
  row.move(leases, 3);
  row.memory.order(0).lock.word.store(10);  // seat 9 has it
  REQUIRE(row.one->complete(leases[0]));
  REQUIRE(row.two->complete(leases[1]));
  CHECK(row.held(0) == 2);
  row.memory.order(0).lock.word.store(0);
  row.two->keep_order();
  std::vector<Lease> second = row.take(2, 1);
  row.move(second, 1, 2);
  CHECK(row.next(2) == "-");
  row.move(second, 0, 2);
  CHECK(take_all(*row.one, 2) == "cd");
}

TEST_CASE("work order: numbers of jobs that there never were are passed at once") {
  const Row row;
  row.push_all("a");
  const std::uint64_t many = 70 * std::uint64_t{row.shape.capacity()};
  row.memory.control().serial.store(many);
  layout::OrderControl& control = row.memory.order(0);
  std::vector<Lease> leases = row.take(1);
  for (std::uint32_t i = 0; i < row.shape.capacity(); ++i)
    row.memory.order_ring()[i].store(0);
  row.move(leases, 0);
  CHECK(row.next() == "a");
  CHECK(control.watermark.load() == many);
}

TEST_CASE("work order: an ordered stage behind one that is not restores the order of the pushes") {
  const Row row(ordered_shape(16, 0b010));
  row.push_all("abcd");
  std::vector<Lease> leases = row.take(4);
  for (const std::size_t which : {3U, 1U, 2U})
    row.move(leases, which);
  std::vector<Lease> second = row.take(3, 1);
  CHECK(payload_of(*row.one, second[0]) == "d");
  for (std::size_t i = 0; i < 3; ++i)
    row.move(second, i, 2);
  CHECK(row.held(1) == 3);
  // The oldest one does not even come here.
  REQUIRE(row.one->reject(leases[0], "never"));
  CHECK(take_all(*row.one, 2) == "bcd");
}

TEST_CASE(
    "work order: a job that is pushed to a later stage is in nobody's way, and nobody in its") {
  const Row row;
  PushOptions further;
  further.stage = 1;
  row.push_all("x", further);
  row.push_all("a");
  row.push_all("y", further);
  row.push_all("b");
  std::vector<Lease> leases = row.take(2);
  CHECK(take_all(*row.one, 1) == "xy");
  row.move(leases, 1);
  row.move(leases, 0);
  CHECK(take_all(*row.one, 1) == "ab");
}

TEST_CASE("work order: a job that skips an ordered stage leaves it in its turn") {
  const Row row;
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  row.move(leases, 1, 2);
  CHECK(row.held(0) == 1);
  row.move(leases, 2, 1);
  row.move(leases, 0, 2);
  CHECK(take_all(*row.one, 2) == "ab");
  CHECK(take_all(*row.one, 1) == "c");
  // Over an ordered one on the way.
  const Row over(ordered_shape(16, 0b010));
  over.push_all("ab");
  leases = over.take(2);
  over.move(leases, 1, 2);
  CHECK(over.held(1) == 1);
  over.move(leases, 0, 2);
  CHECK(take_all(*over.one, 2) == "ab");
}

TEST_CASE("work order: a job that comes back to a stage when its turn is over goes on at once") {
  const Row row(ordered_shape(16, 0b011));
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  row.move(leases, 0);
  std::vector<Lease> second = row.take(1, 1);
  row.move(second, 0, 0);  // a, back again
  second = row.take(1, 0);
  CHECK(payload_of(*row.one, second[0]) == "a");
  row.move(leases, 1);
  row.move(leases, 2);
  row.move(second, 0, 1);
  // The second stage sees it once more, before those behind it.
  std::vector<Lease> third = row.take(3, 1);
  CHECK(payload_of(*row.one, third[2]) == "a");
  row.move(third, 0, 2);
  row.move(third, 1, 2);
  CHECK(row.next(2) == "-");
  row.move(third, 2, 2);
  CHECK(take_all(*row.one, 2) == "abc");
}

TEST_CASE("work order: numbers that the ring has forgotten are found in the slots") {
  const Row row(ordered_shape(16));
  const auto capacity = row.shape.capacity();
  row.push_all("ab");
  std::vector<Lease> first = row.take(1);
  // Those behind the oldest end here, many turns of the ring, but for a few.
  std::vector<Lease> kept;
  std::string letters;
  for (std::uint32_t i = 0; i < 5 * capacity; ++i) {
    Lease lease = row.two->take(0, true);
    REQUIRE(lease);
    if (i % capacity == 7) {
      letters += payload_of(*row.two, lease);
      kept.push_back(lease);
    } else {
      REQUIRE(row.two->complete(lease));
    }
    row.push_all(std::string(1, static_cast<char>('c' + i % 20)));
  }
  Lease last = row.two->take(0, true);
  letters += payload_of(*row.two, last);
  kept.push_back(last);
  // From the last to the first.
  for (auto lease = kept.rbegin(); lease != kept.rend(); ++lease)
    REQUIRE(row.two->move_on(*lease, 1));
  CHECK(row.held() == kept.size());
  CHECK(row.next() == "-");
  row.move(first, 0);
  CHECK(row.held() == 0);
  CHECK(take_all(*row.one, 1) == "a" + letters);
}

TEST_CASE("work order: jobs of a group and the order of a stage do not wait for each other") {
  const Row row;
  PushOptions grouped;
  grouped.group = "g";
  row.push_all("ab", grouped);
  row.push_all("c");
  row.push_all("d", grouped);
  std::vector<Lease> leases = row.take(2);  // a and c
  CHECK(payload_of(*row.two, leases[1]) == "c");
  row.move(leases, 1);
  row.move(leases, 0);
  CHECK(row.held() == 1);  // b has not even begun
  std::string seen;
  for (int i = 0; i < 4; ++i) {
    seen += row.next();
    if (Lease lease = row.one->take(0, true)) REQUIRE(row.one->move_on(lease, 1));
  }
  CHECK(seen == "abcd");
  CHECK(row.held() == 0);
}

TEST_CASE("work order: who waits for its group waits with the number that it got there") {
  const Row row;
  PushOptions grouped;
  grouped.group = "g";
  // The bucket of the group is in use: the push is refused, its place stays in hand, and nobody waits for it.
  for (std::uint32_t i = 0; i < row.shape.group_buckets(); ++i)
    row.memory.groups()[i].lock.word.store(9);
  Loan loan;
  REQUIRE(row.pusher->reserve(1, 1, loan) == Pushed::yes);
  CHECK(row.pusher->push(loan, 1, grouped) == Pushed::busy);
  for (std::uint32_t i = 0; i < row.shape.group_buckets(); ++i)
    row.memory.groups()[i].lock.word.store(0);
  row.push_all("b");
  std::vector<Lease> leases = row.take(1);
  row.move(leases, 0);
  CHECK(row.next() == "b");
  REQUIRE(row.pusher->push(loan, 1, grouped) == Pushed::yes);
  leases = row.take(1);
  row.move(leases, 0);
  CHECK(row.one->stage_counts(1).ready == 1);
}

TEST_CASE(
    "work order: a place in hand that is not pushed yet is in nobody's way, also in a slot that a "
    "number is known of") {
  const Row row(ordered_shape(2));
  row.push_all("ab");
  std::vector<Lease> leases = row.take(2);
  REQUIRE(row.two->complete(leases[1]));
  // The slot of b, whose number is still to be passed.
  Loan loan;
  REQUIRE(row.pusher->reserve(1, 0, loan) == Pushed::yes);
  row.move(leases, 0);
  CHECK(row.next() == "a");
  row.push_all("c");
  leases = row.take(1);
  row.move(leases, 0);
  CHECK(row.next() == "c");
  row.pusher->cancel(loan);
}

TEST_CASE(
    "work order: what is forwarded into a pipeline has its place from the moment that it is "
    "written") {
  const Row row;
  Ground other(shape_of(4));
  const auto source = std::make_unique<JobStore>(other.memory, 1, other.records[1], 77);
  for (const bool lost : {false, true}) {
    CAPTURE(lost);
    REQUIRE(push(*source, "s") == Pushed::yes);
    Lease lease = source->take(0, true);
    Loan loan;
    REQUIRE(row.pusher->reserve(1, 0, loan) == Pushed::yes);
    std::memcpy(row.memory.data() + loan.at, "f", 1);
    if (lost) lease.word ^= 1ULL << 60U;
    const Forwarded done = source->forward(lease, *row.pusher, loan, 1, {});
    CHECK(done == (lost ? Forwarded::lost : Forwarded::yes));
    row.push_all("b");
    std::vector<Lease> leases = row.take(lost ? 1 : 2);
    if (!lost) {
      row.move(leases, 1);
      CHECK(row.held() == 1);
    }
    row.move(leases, 0);
    CHECK(take_all(*row.one, 1) == (lost ? "b" : "fb"));
  }
}

TEST_CASE(
    "work order: who finds the order in other hands leaves a mark, and is made up for by anybody") {
  const Row row;
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  layout::OrderControl& control = row.memory.order(0);
  control.lock.word.store(10);  // seat 9 has it
  row.move(leases, 1);
  CHECK(control.dirty.load() == 0);  // the oldest is not done: nothing to be done
  row.move(leases, 0);
  CHECK(control.dirty.load() == 1);
  CHECK(row.held() == 2);
  CHECK(row.next() == "-");
  SUBCASE("by whoever looks now and then, when it has let go") {
    control.lock.word.store(0);
    row.two->keep_order();
    CHECK((row.two->stirred() & 0b10) != 0);
  }
  SUBCASE("by the next one who is done") {
    control.lock.word.store(0);
    row.move(leases, 2);
  }
  SUBCASE("by whoever buries it") {
    (void)row.two->repair(9);
    CHECK((control.lock.word.load() & 0xFFFFU) == 0);
  }
  CHECK(row.next() == "a");
  CHECK(row.next() == "b");
  CHECK(control.dirty.load() == 0);
}

TEST_CASE(
    "work order: the dead keep nobody waiting: what they had in hand comes first, what they pushed "
    "half does not") {
  Row row;
  const auto dead = row.store(5);
  row.push_all("ab");
  Lease lost = dead->take(0, true);
  REQUIRE(lost);
  std::vector<Lease> leases = row.take(1);
  row.move(leases, 0);
  CHECK(row.held() == 1);
  (void)row.one->repair(5);
  leases = row.take(1);
  CHECK(payload_of(*row.one, leases[0]) == "a");
  row.move(leases, 0);
  CHECK(take_all(*row.one, 1) == "ab");
}

TEST_CASE(
    "work order: the watermark passes what does not wait, so that a turn is known when it comes") {
  const Row row;
  row.push_all("abc");
  std::vector<Lease> leases = row.take(3);
  CHECK(row.one->is_next(leases[0].slot));
  CHECK(!row.one->is_next(leases[1].slot));
  CHECK(!row.one->is_next(leases[2].slot));
  (void)row.one->stirred();
  REQUIRE(row.one->complete(leases[0]));
  CHECK(row.one->is_next(leases[1].slot));
  CHECK((row.one->stirred() & JobStore::kRoom) != 0);
  CHECK(!row.one->is_next(leases[2].slot));
  row.move(leases, 1);
  CHECK(row.one->is_next(leases[2].slot));
  // Of a stage that is not ordered every job is next.
  Lease later = row.one->take(1, true);
  CHECK(row.one->is_next(later.slot));
}

TEST_CASE("work order: a time to live is watched in the next stage, too") {
  const Row row;
  PushOptions mortal;
  mortal.ttl_ns = 200 * kMs;
  row.push_all("a", mortal);
  std::vector<Lease> leases = row.take(1);
  // Whoever looks meanwhile forgets it, because somebody has it in hand.
  (void)row.two->sweep(os::monotonic_ns() + 300 * kMs);
  row.move(leases, 0);
  CHECK(row.one->stage_counts(1).ready == 1);
  CHECK(row.one->sweep(os::monotonic_ns() + 300 * kMs) == 1);
  CHECK(row.one->dead_count() == 1);
}

TEST_CASE("work order: lies about the order end") {
  Random random(11);
  for (int round = 0; round < rounds(400); ++round) {
    const Row row(ordered_shape(8, 0b011));
    row.push_all("abcdef");
    std::vector<Lease> leases = row.take(6);
    row.move(leases, 3);
    const auto lie = [&] {
      const std::uint64_t small = random.below(100);
      const std::uint64_t value = random.chance(50) ? random.next() : small;
      switch (random.below(5)) {
        case 0:
          row.memory.control().serial.store(value);
          break;
        case 1:
          row.memory.order(static_cast<std::uint32_t>(random.below(2))).watermark.store(value);
          break;
        case 2:
          row.memory.order_ring()[random.below(row.shape.capacity())].store(value);
          break;
        case 3:
          row.memory.order(0).front.store(static_cast<std::uint32_t>(value));
          break;
        default: {
          layout::Slot& slot =
              row.memory.slot(static_cast<std::uint32_t>(random.below(row.shape.slots())));
          if (random.chance(30)) slot.word.store(value);
          slot.serial.store(value);
          slot.stage.store(static_cast<std::uint8_t>(value));
        }
      }
    };
    for (int i = 0; i < 4; ++i) {
      lie();
      if (leases[static_cast<std::size_t>(i)]) {
        (void)row.one->move_on(leases[static_cast<std::size_t>(i)], 1);
      }
      (void)push(*row.pusher, "x");
      if (Lease lease = row.two->take(0, true)) (void)row.two->complete(lease);
      row.two->keep_order();
    }
    (void)row.one->repair(2);
  }
}

}  // namespace millrace::test::work_order_test
