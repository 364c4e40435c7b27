// What this process finds out about the dead is noted where it is done, and told once.
#include <string>
#include <vector>

#include <millrace/happenings.hpp>

#include "fixture.hpp"

namespace millrace::test::happenings_test {

using namespace millrace;
using namespace millrace::test;

namespace {

std::vector<Happening> all() {
  std::vector<Happening> found;
  while (auto next = Happenings::take())
    found.push_back(*next);
  return found;
}

}  // namespace

TEST_CASE("the newest are kept, in their order, and how many had no room is known") {
  (void)all();
  (void)Happenings::take_lost();
  for (std::uint32_t i = 0; i < 70; ++i)
    Happenings::note({HappeningWhat::buried, layout::Kind::cell, i}, "x");
  CHECK(Happenings::take_lost() == 6);
  CHECK(Happenings::take_lost() == 0);
  const auto found = all();
  REQUIRE(found.size() == 64);
  CHECK(found.front().facts.pid == 6);
  CHECK(found.back().facts.pid == 69);
  CHECK(found.back().facts.kind == layout::Kind::cell);
  CHECK(found.back().at_ns > 1'700'000'000'000'000'000);
  CHECK(all().empty());
}

TEST_CASE(
    "a name that is too long is cut, and one that is shorter than that before it ends where it "
    "ends") {
  (void)all();
  Happenings::note({}, std::string(1000, 'n'));
  CHECK(std::string(all().at(0).name.data()) == std::string(255, 'n'));
  for (int i = 0; i < 64; ++i)
    Happenings::note({}, "short");
  CHECK(std::string(all().at(63).name.data()) == "short");
}

}  // namespace millrace::test::happenings_test
