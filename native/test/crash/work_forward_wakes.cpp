// A process dies while a job of one work queue becomes one of another: whoever buries it on the queue that the job came from wakes
// who sleeps on the queue that it went to, where nobody else may look for seconds.
#include <string>

#include <millrace/work/work_queue.hpp>

#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_forward_wakes {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kForJobs = 1;  // of stage 0

struct Two : Names {
  [[nodiscard]] WorkSpec spec(const char* which, std::uint64_t bell = 0) const {
    WorkSpec wanted;
    wanted.place = Place(name(which));
    wanted.doorbell = bell;
    wanted.seats = 8;
    wanted.jobs = 8;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<WorkQueue> open(const char* which, std::uint64_t bell = 0) const {
    auto opened = WorkQueue::open(spec(which, bell), soon());
    REQUIRE_MESSAGE(opened.ok(), opened.error().message);
    return opened.take();
  }
  // A process that dies at that point, while it hands on the job of the first queue to the second.
  void dies_at(const char* point) const {
    Child child([&] {
      auto from = WorkQueue::open(spec("from"), soon());
      auto to = WorkQueue::open(spec("to"), soon());
      CHILD_EXPECT(from.ok() && to.ok());
      Lease lease = from.value()->try_take();
      CHILD_EXPECT(lease);
      CHILD_EXPECT(crash::arm(point, 1));
      const std::byte payload{7};
      (void)from.value()->forward(lease, {&payload, 1}, *to.value(), {});
      return 1;
    });
    REQUIRE(child.wait() == -SIGKILL);
  }
  static bool rung(const os::Doorbell& bell) {
    bool any = false;
    (void)bell.drain([&](std::uint64_t) { any = true; });
    return any;
  }
};

}  // namespace

TEST_CASE_FIXTURE(
    Two, "a job that its dead worker had handed on wakes who waits for it, when that is buried") {
  // Before the step the job is still that of the first queue, and nobody is woken for nothing.
  for (const bool handed_on : {false, true}) {
    const char* const point = handed_on ? "work.forward.done" : "work.forward.begun";
    CAPTURE(handed_on);
    const os::Doorbell bell = this->bell();
    const auto from = open("from");
    const auto to = open("to", bell.id());
    REQUIRE(from->try_push(std::span<const std::byte>(), {}) == Pushed::yes);
    dies_at(point);
    Lease lease = to->try_take();
    REQUIRE_FALSE(lease);
    to->sleepers().park_on_bell(kForJobs, {bell.id(), 1});
    lease = to->try_take();
    REQUIRE_FALSE(lease);
    CHECK_FALSE(rung(bell));
    CHECK(from->look() == 1);
    CHECK(rung(bell) == handed_on);
    lease = to->try_take();
    CHECK(static_cast<bool>(lease) == handed_on);
    if (handed_on) CHECK(to->complete(lease));
    to->unpark();
    Lease left = from->try_take();
    CHECK(static_cast<bool>(left) == !handed_on);
    if (left) CHECK(from->complete(left));
  }
}

}  // namespace millrace::test::work_forward_wakes
