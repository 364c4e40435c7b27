// Processes that meet at the door of one name, all alive.
#include "../frames.hpp"
#include "meeting.hpp"

#include <millrace/unlink.hpp>

namespace millrace::test::door_meetings {

using namespace millrace;
using namespace millrace::test;

namespace {

struct DoorMeeting : Frames {
  Meeting meet;
};

}  // namespace

TEST_CASE_FIXTURE(DoorMeeting,
                  "meeting: who opened a name that was given up comes to who has it now") {
  auto leaving = writer();
  std::unique_ptr<FrameWriter> out;
  meet.at("segment.enter.opened", [&] {
    leaving.reset();
    out = writer();
  });
  auto in = reader();
  REQUIRE(out);
  REQUIRE(publish(*out));
  CHECK(in->receive().sequence == 1);
}

TEST_CASE_FIXTURE(DoorMeeting,
                  "meeting: who opened a name that was taken away comes to who has it now") {
  auto without_name = writer();
  std::unique_ptr<FrameWriter> out;
  meet.at("segment.enter.opened", [&] {
    CHECK(must(unlink_channel('f', name())));
    out = writer();
  });
  auto in = reader();
  REQUIRE(out);
  REQUIRE(publish(*out));
  CHECK(in->receive().sequence == 1);
}

}  // namespace millrace::test::door_meetings
