// A queue whose creator left open how large it is to be: its consumer looks while the producer decides, and sends.
#include <cstddef>
#include <cstdint>
#include <vector>

#include <millrace/queue.hpp>

#include "../queues.hpp"
#include "meeting.hpp"

namespace millrace::test::queue_meetings {

using namespace millrace;
using namespace millrace::test;

namespace {

struct OpenQueue : Queues {  // of no stated capacity
  std::unique_ptr<QueueConsumer> out = consumer();
  std::unique_ptr<QueueProducer> in = producer();
  Meeting meet;

  void first_message_meets_the_look() {
    meet.at("queue.capacity.open", [&] { CHECK(in->try_push("first", 5) == RingStatus::ok); });
  }
};

}  // namespace

// Where objects cannot grow, nothing is left open.
TEST_CASE_FIXTURE(OpenQueue,
                  "meeting: the first message of a ring without a size is no nonsense, but the "
                  "next one to be found" *
                      doctest::skip(!os::kObjectsCanGrow)) {
  SUBCASE("who looks at messages") {
    first_message_meets_the_look();
    CHECK(out->peek().status == RingStatus::empty);
  }
  SUBCASE("who takes a batch") {
    first_message_meets_the_look();
    std::vector<std::byte> target(64);
    std::vector<std::uint32_t> lengths(4);
    CHECK(out->try_pop_packed(target, lengths).status == RingStatus::empty);
  }
  SUBCASE("who asks how much there is") {
    first_message_meets_the_look();
    CHECK(out->available() == 0);
  }
  CHECK_FALSE(out->corrupt());
  const Message message = out->peek();
  REQUIRE(message.status == RingStatus::ok);
  CHECK(message.length == 5);
  out->release(message);
}

}  // namespace millrace::test::queue_meetings
