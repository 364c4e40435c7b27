// A newcomer that dies before it has a seat, while it repairs what the last holder of that seat may have left.
#include <cstdint>
#include <memory>
#include <span>

#include <millrace/work/work_queue.hpp>

#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_newcomer_deaths {

TEST_CASE_FIXTURE(
    Names, "promise: work – a newcomer that dies in its repair is buried, and keeps nothing") {
  WorkSpec spec;
  spec.place = name();
  const auto queue = must(WorkQueue::open(spec, soon()));
  const std::uint64_t job = 7;
  REQUIRE(queue->try_push(std::as_bytes(std::span(&job, 1)), {}) == Pushed::yes);
  Lease lease = queue->try_take();
  REQUIRE(queue->reject(lease, "it cannot be done"));
  Child newcomer([&] {
    CHILD_EXPECT(crash::arm("work.dead.locked", 1));
    (void)WorkQueue::open(spec, soon());
    return 0;
  });
  REQUIRE(newcomer.wait() == -SIGKILL);
  (void)queue->look();
  int letters = 0;
  CHECK(queue->change_dead([&](std::uint32_t slot, std::uint64_t word) {
    ++letters;
    return queue->store().purge(slot, word);
  }));
  CHECK(letters == 1);
  CHECK(queue->parties().present() == 1);
}

}  // namespace millrace::test::work_newcomer_deaths
