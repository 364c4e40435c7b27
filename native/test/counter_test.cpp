// A counter: no addition is lost, whoever dies.
#include <limits>
#include <memory>
#include <vector>

#include <millrace/sync/counter.hpp>

#include "fixture.hpp"

namespace millrace::test::counter_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Counters : Names {
  [[nodiscard]] std::unique_ptr<Counter> open(std::int64_t initial = 0, bool keep = false) const {
    CounterSpec wanted;
    wanted.place = name();
    wanted.initial = initial;
    wanted.keep = keep;
    return must(Counter::open(wanted, soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('n', name()), os::Access::read_only).ok();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Counters, "the first one sets the initial value, the others find what there is") {
  auto first = open(5);
  auto second = open(100);
  CHECK(second->get() == 5);
  CHECK(second->add(3) == 8);
  CHECK(first->get() == 8);
  first->set(-1);
  CHECK(second->exchange(7) == -1);
  CHECK(first->compare_exchange(6, 9) == 7);
  CHECK(first->get() == 7);
  CHECK(first->compare_exchange(7, 9) == 7);
  CHECK(second->get() == 9);
}

TEST_CASE_FIXTURE(Counters, "past the end it goes on at the other") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  auto counter = open(most);
  CHECK(counter->add(1) == least);
  CHECK(counter->add(-1) == most);
  CHECK(counter->add(most) == -2);
  CHECK(counter->add(least) == most - 1);
}

TEST_CASE_FIXTURE(Counters, "the last one to leave removes it, unless it is to be kept") {
  auto first = open(5);
  auto second = open();
  first->close();
  CHECK(exists());
  CHECK(second->get() == 5);
  second->close();
  CHECK_FALSE(exists());
  CHECK(open(1, true)->add(1) == 2);
  CHECK(exists());
  CHECK(open(50)->get() == 2);
  CHECK(must(unlink_channel('n', name())));
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Counters, "the value lies where the documentation says") {
  auto counter = open(0x0102030405060708);
  std::int64_t found = 0;
  auto fd = must(os::open_object(object_name_of('n', name()), os::Access::read_only));
  auto mapped = must(os::map_private(fd.get(), 0, os::page_size(), name()));
  std::memcpy(&found, mapped->data() + 1024, sizeof found);
  CHECK(found == 0x0102030405060708);
}

TEST_CASE_FIXTURE(Counters, "processes that are killed lose no addition they had made") {
  struct Tally {
    std::array<std::atomic<std::int64_t>, 4> made;
  };
  Shared<Tally> tally;
  auto counter = open();
  std::int64_t before = 0;
  for (int round = 0; round < rounds(100); ++round) {
    std::vector<Child> children;
    for (std::size_t i = 0; i < 4; ++i) {
      tally->made.at(i).store(0);
      children.emplace_back([&, i] {
        CounterSpec wanted;
        wanted.place = name();
        auto mine = Counter::open(wanted, soon());
        CHILD_EXPECT(mine.ok());
        for (;;) {
          (void)mine.value()->add(1);
          tally->made.at(i).fetch_add(1);
        }
        return 0;
      });
    }
    REQUIRE(eventually([&] { return tally->made.at(3).load() > 100; }));
    for (Child& child : children)
      child.kill();
    std::int64_t made = 0;
    for (const auto& one : tally->made)
      made += one.load();
    const std::int64_t counted = counter->get() - before;
    // Each may have been killed between the addition and its tally.
    REQUIRE(counted >= made);
    REQUIRE(counted <= made + 4);
    before = counter->get();
  }
}

TEST_CASE_FIXTURE(Counters,
                  "a counter that everybody was killed on starts anew, unless it is kept") {
  for (const bool keep : {false, true}) {
    Shared<std::atomic<int>> ready;
    Child child([&] {
      CounterSpec wanted;
      wanted.place = name();
      wanted.keep = keep;
      auto mine = Counter::open(wanted, soon());
      CHILD_EXPECT(mine.ok());
      (void)mine.value()->add(41);
      ready->store(1);
      return linger();
    });
    REQUIRE(eventually([&] { return ready->load() == 1; }));
    child.kill();
    CHECK(open(7)->get() == (keep ? 41 : 7));
  }
  CHECK(must(unlink_channel('n', name())));
}

}  // namespace millrace::test::counter_test
