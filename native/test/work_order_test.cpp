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

}  // namespace millrace::test::work_order_test
