// Topics: one handle joins, leaves or makes a subject, and at every point that it passes another one makes its whole move.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../topics_rows.hpp"
#include "meeting.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_join_meetings {

using namespace millrace::test::topics;

namespace {

SubscribeOptions with_last() {
  SubscribeOptions options;
  options.replay.last = true;
  return options;
}
SubscribeOptions in_group() {
  SubscribeOptions options;
  options.group = "group";
  return options;
}

struct Ground : Names {
  Ground() : one(open(spec_of(name(), 8))), other(open(spec_of(name(), 8))) {
    for (const char* const payload : {"1", "2"})
      for (const char* const subject : {"a.x", "a.y", "b.x"})
        REQUIRE(publish(*one, subject, payload) == 0);
  }

  // What was moved by the second party; nothing: the first one was in its way, and it was told so.
  std::optional<std::uint32_t> moved;
  std::optional<std::uint32_t> mine;  // what the first one has joined
  Bus one;
  Bus other;

  void join_first(std::string_view filter, const SubscribeOptions& options) {
    const auto joined = one->subscribe({&filter, 1}, options);
    CHECK(joined.ok());
    if (joined.ok()) mine = joined.value();
  }
  void other_joins(std::string_view filter, const SubscribeOptions& options = {}) {
    const auto joined = other->subscribe({&filter, 1}, options);
    if (joined.ok())
      moved = joined.value();
    else
      CHECK(joined.error().code == Code::timeout);
  }
  // Once nobody is in the way any more.
  void make_up_for(std::string_view filter, const SubscribeOptions& options = {}) {
    if (!moved) other_joins(filter, options);
    REQUIRE(moved);
  }
};

// Of the messages of one subject those that follow the first one that is seen, without a gap and to the last.
void check_run(const std::string& seen, const std::string& all, bool some) {
  CAPTURE(seen);
  CHECK((seen.size() <= all.size() && all.substr(all.size() - seen.size()) == seen));
  if (some) CHECK_FALSE(seen.empty());
}
std::string of_subject(TopicBus& bus, const std::vector<Got>& all, std::string_view subject) {
  std::string payloads;
  for (const Got& got : all)
    if (bus.subject_text(got.subject) == subject) payloads += got.payload;
  return payloads;
}

// Each message tells its index, and they are of many lengths.
void publish_some(TopicBus& bus, int count) {
  for (int i = 0; i < count; ++i) {
    const std::uint64_t index = bus.log().tail();
    std::string payload = std::to_string(index);
    payload.append(index % 9 * 100, '.');
    CHECK(publish(bus, i % 2 == 0 ? "a.x" : "a.y", payload).has_value());
  }
}
struct LateGround : Ground {
  LateGround() { publish_some(*one, 30); }
};

}  // namespace

TEST_CASE("topics meetings: a subject is made while somebody joins, and what it has comes there") {
  const int meetings = every_meeting<Ground>(
      [](Ground& ground) { ground.join_first("a.*", with_last()); },
      [](Ground& ground) {
        if (publish(*ground.other, "a.new", "3")) ground.moved = 0;
      },
      [](Ground& ground) {
        REQUIRE(ground.mine);
        const auto got = read_all(*ground.one, *ground.mine);
        CHECK(of_subject(*ground.one, got, "a.x") == "2");
        CHECK(of_subject(*ground.one, got, "a.y") == "2");
        CHECK(of_subject(*ground.one, got, "a.new") == (ground.moved ? "3" : ""));
        CHECK(rows_wrong(*ground.one) == "");
        CHECK(publish(*ground.other, "a.new", "4") == 1);
        CHECK(payloads(read_all(*ground.one, *ground.mine)) == "4");
      });
  MESSAGE("meetings: " << meetings);
  CHECK(meetings > 8);
}

TEST_CASE("topics meetings: somebody publishes while another joins, and nothing between is lost") {
  for (const int count : {1, 3, 20}) {
    CAPTURE(count);
    std::string more;
    for (int i = 0; i < count; ++i)
      more += static_cast<char>('a' + i);
    const int meetings = every_meeting<Ground>(
        [](Ground& ground) { ground.join_first("a.*", with_last()); },
        [&](Ground& ground) {
          // As far as there is room: it may be in the middle of joining, or have joined.
          ground.moved = 0;
          for (const char payload : more)
            if (publish(*ground.other, "a.x", std::string(1, payload))) ++*ground.moved;
        },
        [&](Ground& ground) {
          REQUIRE(ground.mine);
          const auto got = read_all(*ground.one, *ground.mine);
          const std::string expected = "12" + more.substr(0, ground.moved.value_or(0));
          check_run(of_subject(*ground.one, got, "a.x"), expected, true);
          check_run(of_subject(*ground.one, got, "a.y"), "12", true);
          for (std::size_t i = 1; i < got.size(); ++i)
            CHECK(got[i].index > got[i - 1].index);
          CHECK(unaccounted(*ground.one) == "");
        });
    CHECK(meetings > 8);
  }
}

TEST_CASE(
    "topics meetings: a message that comes while another joins, and leaves the log again, is the "
    "last of its subject") {
  const int meetings = every_meeting<Ground>(
      [](Ground& ground) { ground.join_first("a.x", with_last()); },
      [](Ground& ground) {
        if (publish(*ground.other, "a.x", "3")) ground.moved = 0;
        for (int i = 0; i < 20; ++i)
          (void)publish(*ground.other, "b.x", "-");
      },
      [](Ground& ground) {
        REQUIRE(ground.mine);
        const std::string seen = payloads(read_all(*ground.one, *ground.mine));
        check_run(seen, ground.moved ? "123" : "12", true);
        CHECK(publish(*ground.other, "a.x", "4") == 1);
        const auto got = read_all(*ground.one, *ground.mine);
        CHECK(payloads(got) == "4");
        CHECK((got.empty() || got[0].missed == 0));
        CHECK(unaccounted(*ground.one) == "");
      });
  MESSAGE("meetings: " << meetings);
  CHECK(meetings > 8);
}

TEST_CASE("topics meetings: slots of last messages are used again while they are copied") {
  const int meetings = every_meeting<LateGround>(
      [](LateGround& ground) {
        SubscribeOptions options = overwriting();
        options.replay.last = true;
        ground.join_first("a.*", options);
      },
      // Every slot comes round again.
      [](LateGround& ground) { publish_some(*ground.other, 200); },
      [](LateGround& ground) {
        REQUIRE(ground.mine);
        const auto got = read_all(*ground.one, *ground.mine);
        CHECK_FALSE(got.empty());
        for (std::size_t i = 0; i < got.size(); ++i) {
          std::string expected = std::to_string(got[i].index);
          expected.append(got[i].index % 9 * 100, '.');
          CHECK(got[i].payload == expected);
          CHECK((i == 0 || got[i].index > got[i - 1].index));
        }
        CHECK(unaccounted(*ground.one) == "");
      });
  CHECK(meetings > 8);
}

TEST_CASE("topics meetings: who comes while another leaves gets a place of its own") {
  const int meetings = every_meeting<Ground>(
      [](Ground& ground) {
        ground.join_first("a.*", {});
        const std::uint32_t entry = *ground.mine;
        ground.one->unsubscribe(entry);
      },
      [](Ground& ground) { ground.other_joins("b.*"); },
      [](Ground& ground) {
        ground.make_up_for("b.*");
        CHECK(rows_wrong(*ground.one) == "");
        CHECK(ground.one->facts().entries == 1);
        CHECK(publish(*ground.one, "a.x", "3") == 0);
        CHECK(publish(*ground.one, "b.x", "4") == 1);
        CHECK(publish(*ground.one, "b.new", "5") == 1);
        CHECK(payloads(read_all(*ground.other, *ground.moved)) == "45");
      });
  CHECK(meetings > 8);
}

TEST_CASE(
    "topics meetings: who takes the place of one that lets itself be overwritten, while somebody "
    "looks at it, is not overwritten") {
  struct Full : Ground {
    std::uint32_t first;
    bool published = false;
    Full() : first(join(*other, {"a.x"}, overwriting())) {
      for (const char* const payload : {"3", "4", "5", "6", "7", "8", "9", "0"})
        REQUIRE(publish(*one, "a.x", payload) == 1);
    }
  };
  const int meetings = every_meeting<Full>(
      [](Full& ground) { ground.published = publish(*ground.one, "a.x", "!").has_value(); },
      [](Full& ground) {
        ground.other->unsubscribe(ground.first);
        SubscribeOptions options;
        options.replay.newest = 8;
        ground.other_joins("a.x", options);
      },
      [](Full& ground) {
        if (!ground.moved) return;
        CHECK(*ground.moved == ground.first);
        const auto got = read_all(*ground.other, *ground.moved);
        REQUIRE_FALSE(got.empty());
        check_run(payloads(got), ground.published ? "34567890!" : "34567890", false);
        for (const Got& each : got)
          CHECK(each.missed == 0);
        CHECK(ground.other->missed(*ground.moved) == 0);
      });
  MESSAGE("meetings: " << meetings);
  CHECK(meetings > 3);
}

TEST_CASE("topics meetings: who joins a group while its last member leaves is its member") {
  const int meetings = every_meeting<Ground>(
      [](Ground& ground) {
        ground.join_first("a.*", in_group());
        ground.one->unsubscribe(*ground.mine);
      },
      [](Ground& ground) { ground.other_joins("a.*", in_group()); },
      [](Ground& ground) {
        ground.make_up_for("a.*", in_group());
        CHECK(rows_wrong(*ground.one) == "");
        CHECK(ground.one->facts().entries == 1);
        REQUIRE(publish(*ground.one, "a.x", "3") == 1);
        TopicMessage message;
        std::vector<std::byte> target(64);
        CHECK(ground.other->pump_begin(*ground.moved, &message, 1, target) == 1);
        ground.other->pump_end(*ground.moved, message.index + 1);
        ground.other->unsubscribe(*ground.moved);
        CHECK(ground.one->facts().entries == 0);
      });
  CHECK(meetings > 8);
}

TEST_CASE("topics meetings: somebody joins or leaves while a subject is made") {
  const int meetings = every_meeting<Ground>(
      [](Ground& ground) {
        ground.mine = join(*ground.other, {"*.new"});
        CHECK(publish(*ground.one, "a.new", "3").has_value());
      },
      [](Ground& ground) {
        if (ground.mine) ground.other->unsubscribe(*ground.mine);
        ground.other_joins("a.*");
      },
      [](Ground& ground) {
        ground.make_up_for("a.*");
        // What the lock kept from being cleared.
        (void)ground.one->look();
        CHECK(rows_wrong(*ground.one) == "");
        CHECK(publish(*ground.one, "a.new", "4").value_or(0) >= 1);
        const auto got = read_all(*ground.other, *ground.moved);
        check_run(of_subject(*ground.one, got, "a.new"), "34", true);
      });
  CHECK(meetings > 4);
}

TEST_CASE("topics meetings: of two who make a subject each gets the same one") {
  const int meetings = every_meeting<Ground>(
      [](Ground& ground) {
        ground.mine = must(ground.one->subject("a.new"));
        (void)must(ground.one->subject("a.newer"));
      },
      [](Ground& ground) {
        const auto made = ground.other->subject("a.new");
        if (made.ok())
          ground.moved = made.value();
        else
          CHECK(made.error().code == Code::timeout);
      },
      [](Ground& ground) {
        CHECK(must(ground.other->subject("a.new")) == *ground.mine);
        if (ground.moved) CHECK(*ground.moved == *ground.mine);
        CHECK(ground.one->facts().subjects == 5);
        CHECK(rows_wrong(*ground.one) == "");
      });
  CHECK(meetings > 4);
}

}  // namespace millrace::test::topics_join_meetings
