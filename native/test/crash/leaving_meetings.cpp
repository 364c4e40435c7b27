// A party that does its last work and leaves in the instant in which the other one, which has just found nothing, asks
// whether it is still there: the work counts, and nobody is taken for dead.
#include <cstring>
#include <string>

#include <millrace/frames_sync.hpp>
#include <millrace/queue_sync.hpp>

#include "../blocking.hpp"
#include "../frames.hpp"
#include "../queues.hpp"
#include "meeting.hpp"

namespace millrace::test::leaving_meetings {

using namespace millrace;
using namespace millrace::test;

namespace {

struct QueueLeaving : Queues {
  QueueLeaving() { capacity = 4096; }
  Meeting meet;
};
struct FrameLeaving : Frames {
  Meeting meet;
};

std::string text_of(const Message& message) {
  return {reinterpret_cast<const char*>(message.data), message.length};
}

}  // namespace

TEST_CASE_FIXTURE(QueueLeaving, "meeting: a message that its producer leaves behind is read") {
  auto in = producer();
  auto out = consumer();
  meet.at("segment.peer.asked", [&] {
    CHECK(in->try_push("last", 4) == RingStatus::ok);
    in.reset();
  });
  const auto last = must(peek_sync(*out, at_most_a_minute));
  REQUIRE(last);
  CHECK(text_of(*last) == "last");
  out->release(*last);
  CHECK_FALSE(must(peek_sync(*out, at_most_a_minute)));  // and that is the end
}

TEST_CASE_FIXTURE(QueueLeaving, "meeting: who leaves while it is looked for has not died") {
  auto in = producer();
  auto out = consumer();
  meet.at("segment.peer.asked", [&] { in.reset(); });
  CHECK(out->side().peer() == Peer::closed);
}

TEST_CASE_FIXTURE(QueueLeaving, "meeting: a consumer that has read everything may leave") {
  auto in = producer();
  auto out = consumer();
  REQUIRE(in->try_push("only", 4) == RingStatus::ok);
  meet.at("segment.peer.asked", [&] {
    const Message only = out->peek();
    CHECK(text_of(only) == "only");
    out->release(only);
    out.reset();
  });
  CHECK(end_sync(*in, at_most_a_minute).ok());
  CHECK_FALSE(in->side().open());
}

TEST_CASE_FIXTURE(FrameLeaving, "meeting: a frame that its writer leaves behind is received") {
  auto out = writer();
  auto in = reader();
  meet.at("segment.peer.asked", [&] {
    CHECK(publish(*out));
    out.reset();
  });
  {
    const auto last = must(receive_sync(*in, at_most_a_minute));
    REQUIRE(last);
    CHECK(last->sequence() == 1);
  }
  CHECK_FALSE(must(receive_sync(*in, at_most_a_minute)));
}

}  // namespace millrace::test::leaving_meetings
