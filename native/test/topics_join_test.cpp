// Topics: subscriptions join and leave, with what was there already, as members of a queue group, beside those who are stopped or dead.
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "topics.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_join_test {

using namespace millrace::test::topics;

namespace {

SubscribeOptions with_last() {
  SubscribeOptions options;
  options.replay.last = true;
  return options;
}
SubscribeOptions with_newest(std::uint32_t newest) {
  SubscribeOptions options;
  options.replay.newest = newest;
  return options;
}
SubscribeOptions in_group(std::string_view group) {
  SubscribeOptions options;
  options.group = group;
  return options;
}
Code refused(TopicBus& bus, const std::vector<std::string_view>& filters,
             const SubscribeOptions& options = {}) {
  const auto joined = bus.subscribe(filters, options);
  REQUIRE(!joined.ok());
  return joined.error().code;
}
// The lock of subjects and subscriptions, as somebody has it who is stopped, or died.
void lock_as(const TopicBus& bus, std::uint32_t seat) {
  bus.memory().control().subjects_lock.word = 9U << 16U | (seat + 1);
}
void unlock(const TopicBus& bus) {
  bus.memory().control().subjects_lock.word = 9U << 16U;
}

std::string pumped(TopicBus& bus, std::uint32_t entry, std::uint32_t most, bool end = true) {
  std::vector<TopicMessage> messages(most);
  std::vector<std::byte> target(4096);
  const std::uint32_t count = bus.pump_begin(entry, messages.data(), most, target);
  if (count == TopicBus::kPumpBusy) return "busy";
  std::string all;
  for (std::uint32_t i = 0; i < count; ++i)
    all.append(reinterpret_cast<const char*>(target.data()) + messages[i].at, messages[i].length);
  if (count != 0 && end) bus.pump_end(entry, messages[count - 1].index + 1);
  return all;
}

}  // namespace

TEST_CASE("topics join: the last message of each subject, in their order, and then what follows") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  for (const char* const payload : {"1", "2", "3"}) {
    for (const char* const subject : {"b.x", "a.x", "c"})
      REQUIRE(publish(*bus, subject, std::string(subject) + payload));
  }
  for (int i = 0; i < 20; ++i)  // the log has forgotten them by then
    REQUIRE(publish(*bus, "other", "-"));
  REQUIRE(publish(*bus, "a.y", "", "headers"));
  const std::uint32_t all = join(*bus, {"*.x", "a.*"}, with_last());
  const std::uint32_t none = join(*bus, {"*.x", "a.*"});
  REQUIRE(publish(*bus, "a.x", "live") == 2);
  CHECK(bus->ready(all));
  const auto got = read_all(*bus, all);
  REQUIRE(got.size() == 4);
  CHECK(got[0].payload == "b.x3");
  CHECK(got[1].payload == "a.x3");
  CHECK(got[2].payload.empty());
  CHECK(got[2].headers == "headers");
  CHECK(got[3].payload == "live");
  CHECK(bus->subject_text(got[0].subject) == "b.x");
  for (std::size_t i = 1; i < got.size(); ++i)
    CHECK(got[i].index > got[i - 1].index);
  CHECK(payloads(read_all(*bus, none)) == "live");
  CHECK_FALSE(bus->ready(all));
}

TEST_CASE("topics join: a last message that is in the log still comes once") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  for (const char* const payload : {"1", "2", "3"})
    REQUIRE(publish(*bus, "a", payload));
  const std::uint32_t entry = join(*bus, {"a"}, with_last());
  REQUIRE(publish(*bus, "a", "4"));
  CHECK(payloads(read_all(*bus, entry)) == "34");
}

TEST_CASE("topics join: a last message whose publisher did not live to say that it is the last") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  REQUIRE(publish(*bus, "a", "1"));
  auto& last = bus->memory().subject(must(bus->subject("a"))).last;
  const std::uint64_t first = last.load();
  REQUIRE(publish(*bus, "a", "2"));
  last = first;
  CHECK(payloads(read_all(*bus, join(*bus, {"a"}, with_last()))) == "2");
}

TEST_CASE("topics join: last messages are the subscription's own, however late it reads them") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  const std::string large(5000, 'x');
  REQUIRE(publish(*bus, "a", large, "h"));
  const std::uint32_t entry = join(*bus, {"a"}, with_last());
  const std::uint32_t gone = join(*bus, {"a"}, with_last());
  bus->unsubscribe(gone);
  for (int i = 0; i < 20; ++i)
    REQUIRE(publish(*bus, "b", large));
  CHECK(bus->next_bytes(entry) == 5008);
  // Not where it does not fit.
  TopicMessage message;
  std::vector<std::byte> small(100);
  CHECK(bus->read(entry, &message, 1, small, true) == 0);
  const auto got = read(*bus, entry);
  REQUIRE(got);
  CHECK(got->payload == large);
  CHECK(got->headers == "h");
  CHECK_FALSE(read(*bus, entry));
}

TEST_CASE("topics join: several last messages are read at a time, as far as there is room") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  for (const char* const subject : {"a", "b", "c", "d"})
    REQUIRE(publish(*bus, subject, std::string(20, subject[0])));
  const std::uint32_t entry = join(*bus, {">"}, with_last());
  std::vector<std::byte> target(50);
  std::vector<TopicMessage> messages(8);
  const auto read_some = [&](std::uint32_t most) {
    const std::uint32_t count = bus->read(entry, messages.data(), most, target, false);
    std::string all;
    for (std::uint32_t i = 0; i < count; ++i)
      all += static_cast<char>(target[messages[i].at + 19]);
    return all;
  };
  CHECK(read_some(8) == "ab");
  CHECK(read_some(1) == "c");
  CHECK(read_some(8) == "d");
  CHECK(read_some(8).empty());
}

TEST_CASE("topics join: last messages that made room are not there for who joins") {
  const Names names;
  TopicSpec spec = spec_of(names.name(), 8);
  spec.bytes = 8 * 256;
  const Bus bus = open(spec);
  for (const char* const subject : {"a", "b", "c"})
    REQUIRE(publish(*bus, subject, std::string(1000, subject[0])));
  CHECK(counted(*bus, layout::TopicCount::retained_dropped) == 1);
  const auto got = read_all(*bus, join(*bus, {">"}, with_last()));
  REQUIRE(got.size() == 2);
  CHECK(got[0].payload == std::string(1000, 'b'));
  CHECK(got[1].payload == std::string(1000, 'c'));
}

TEST_CASE("topics join: so many of the newest, of those that it wants") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 16));
  for (const char* const payload : {"1", "2", "3", "4"}) {
    REQUIRE(publish(*bus, "a", payload));
    REQUIRE(publish(*bus, "b", "-"));
  }
  const std::uint32_t two = join(*bus, {"a"}, with_newest(2));
  const std::uint32_t all = join(*bus, {"a"}, with_newest(1000));
  const std::uint32_t none = join(*bus, {"c"}, with_newest(3));
  REQUIRE(publish(*bus, "c", "5") == 1);
  CHECK(payloads(read_all(*bus, two)) == "34");
  CHECK(payloads(read_all(*bus, all)) == "1234");
  CHECK(payloads(read_all(*bus, none)) == "5");
}

TEST_CASE("topics join: what cannot be subscribed to is refused before anything is done") {
  const Names names;
  TopicSpec spec = spec_of(names.name());
  spec.subscriptions = 2;
  const Bus bus = open(spec);
  const std::vector<std::string_view> many(17, "a");
  const std::string long_one(200, 'x');
  const std::vector<std::string_view> large(6, long_one);
  CHECK(refused(*bus, {}) == Code::invalid_argument);
  CHECK(refused(*bus, many) == Code::invalid_argument);
  CHECK(refused(*bus, large) == Code::invalid_argument);
  const auto wrong = bus->subscribe(std::vector<std::string_view>{"a.b", "a..b"}, {});
  REQUIRE(!wrong.ok());
  CHECK(wrong.error().code == Code::invalid_argument);
  CHECK(wrong.error().message.rfind("'a..b' is no filter: its token 2 is empty", 0) == 0);
  CHECK(refused(*bus, {"a"}, in_group(std::string(64, 'g'))) == Code::invalid_argument);
  SubscribeOptions group = in_group("g");
  group.replay.last = true;
  CHECK(refused(*bus, {"a"}, group) == Code::invalid_argument);
  CHECK(bus->facts().entries == 0);
  const std::uint32_t first = join(*bus, {"a"});
  (void)join(*bus, {"a"});
  CHECK(refused(*bus, {"a"}) == Code::no_lane);
  bus->unsubscribe(first);
  CHECK(join(*bus, {"b"}) == first);
}

TEST_CASE("topics join: who comes into the place of one that left inherits nothing") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  for (int i = 0; i < 100; ++i) {
    const std::uint32_t old = join(*bus, {"a", "b.>"});
    REQUIRE(publish(*bus, "a", "old") == 1);
    bus->unsubscribe(old);
    REQUIRE(publish(*bus, "a", "nobody") == 0);
    const std::uint32_t entry = join(*bus, {"c"});
    REQUIRE(entry == old);
    REQUIRE(publish(*bus, "a", "-") == 0);
    REQUIRE(publish(*bus, "b." + std::to_string(i % 8), "-") == 0);
    REQUIRE(publish(*bus, "c", "yes") == 1);
    REQUIRE(payloads(read_all(*bus, entry)) == "yes");
    bus->unsubscribe(entry);
  }
  CHECK(bus->facts().entries == 0);
}

TEST_CASE("topics join: whoever judged an entry that has left does not move the next one there") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  REQUIRE(publish(*bus, "a", "1") == 0);
  std::uint64_t before = ~0ULL;
  for (int i = 0; i < 20; ++i) {
    const std::uint32_t entry = join(*bus, {"a"});
    // At the same place in the log, and another word.
    const std::uint64_t position = bus->memory().entry(entry).position.load();
    CHECK(layout::unpack_position(position).at == 1);
    CHECK(position != before);
    before = position;
    bus->unsubscribe(entry);
  }
}

TEST_CASE("topics join: a lock whose holder died keeps nobody waiting") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  Bus other = open(spec_of(names.name()));
  const std::uint32_t entry = join(*other, {"a"});
  REQUIRE(publish(*bus, "a", "1") == 1);
  const std::uint32_t seat = other->parties().seat();
  SUBCASE("who makes a subject") {
    lock_as(*bus, seat);
    other->parties().vanish();
    CHECK(publish(*bus, "new", "2") == 0);
  }
  SUBCASE("who subscribes") {
    lock_as(*bus, seat);
    other->parties().vanish();
    CHECK(payloads(read_all(*bus, join(*bus, {"a"}, with_last()))) == "1");
  }
  SUBCASE("the entry that it was in the middle of") {
    auto& info = bus->memory().entry(entry).info;
    auto unfinished = layout::unpack_entry(info.load());
    unfinished.state = layout::EntryState::joining;
    info = pack(unfinished);
    other->parties().vanish();
    CHECK(bus->parties().bury_all_dead() == 1);
    CHECK(publish(*bus, "a", "2") == 0);
    CHECK(join(*bus, {"b"}) == entry);
  }
  CHECK(publish(*bus, "a", "3").value_or(9) <= 1);
}

TEST_CASE(
    "topics join: a lock whose holder is stopped is not waited for, and known subjects need none") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  const Bus other = open(spec_of(names.name()));
  const std::uint32_t entry = join(*bus, {"a"});
  REQUIRE(publish(*other, "a", "1") == 1);
  lock_as(*bus, other->parties().seat());
  const os::Deadline deadline = soon();
  CHECK(bus->subject("new").error().code == Code::timeout);
  CHECK(refused(*bus, {"b"}) == Code::timeout);
  CHECK_FALSE(deadline.passed());
  CHECK(publish(*other, "a", "2") == 1);
  // Found without a lock by who has not met it before.
  const Bus third = open(spec_of(names.name()));
  CHECK(publish(*third, "a", "3") == 1);
  bus->unsubscribe(entry);
  CHECK(publish(*other, "a", "4") == 0);
  unlock(*bus);
  CHECK(publish(*bus, "new", "5") == 0);
  CHECK(join(*bus, {"new"}) == entry);
  CHECK(publish(*other, "a", "6") == 0);
  CHECK(publish(*other, "new", "7") == 1);
}

TEST_CASE("topics join: the members of a group have one place, until the last one leaves") {
  const Names names;
  const Bus one = open(spec_of(names.name()));
  const Bus two = open(spec_of(names.name()));
  const std::uint32_t entry = join(*one, {"a.*", "b"}, in_group("g"));
  CHECK(join(*two, {"a.*", "b"}, in_group("g")) == entry);
  CHECK(join(*two, {"a.*", "b"}, in_group("g")) == entry);
  CHECK(join(*two, {"a.*"}, in_group("h")) != entry);
  CHECK(refused(*two, {"a.*"}, in_group("g")) == Code::geometry);
  CHECK(refused(*two, {"b", "a.*"}, in_group("g")) == Code::geometry);
  REQUIRE(publish(*two, "b", "1") == 1);
  REQUIRE(publish(*two, "a.x", "2") == 2);
  CHECK(one->ready(entry));
  CHECK_FALSE(read(*one, entry));  // by pumping alone
  CHECK(pumped(*one, entry, 1) == "1");
  CHECK(pumped(*two, entry, 8) == "2");
  CHECK(pumped(*two, entry, 8).empty());
  one->unsubscribe(entry);
  CHECK(pumped(*one, entry, 8).empty());
  REQUIRE(publish(*one, "b", "3") == 1);
  two->unsubscribe(entry);  // it has joined twice
  CHECK(pumped(*two, entry, 8) == "3");
  two->unsubscribe(entry);
  CHECK(publish(*one, "b", "4") == 0);
  // A group of that name is another one by now.
  const std::uint32_t again = join(*one, {"c"}, in_group("g"));
  CHECK(publish(*one, "c", "5") == 1);
  CHECK(pumped(*one, again, 8) == "5");
}

TEST_CASE(
    "topics join: a group's messages stay until they are elsewhere, whoever dies in between") {
  const Names names;
  const Bus one = open(spec_of(names.name()));
  const Bus two = open(spec_of(names.name()));
  const std::uint32_t entry = join(*one, {"a"}, in_group("g"));
  REQUIRE(join(*two, {"a"}, in_group("g")) == entry);
  for (const char* const payload : {"1", "2", "3"})
    REQUIRE(publish(*one, "a", payload) == 1);
  CHECK(pumped(*one, entry, 2, false) == "12");
  CHECK(pumped(*two, entry, 2) == "busy");
  CHECK(pumped(*one, entry, 2) == "busy");  // it has not ended that
  SUBCASE("it dies") {
    one->parties().vanish();
  }
  SUBCASE("it leaves") {
    one->unsubscribe(entry);
  }
  CHECK(pumped(*two, entry, 8) == "123");
  REQUIRE(publish(*two, "a", "4") == 1);
  CHECK(pumped(*two, entry, 8) == "4");
}

TEST_CASE("topics join: a group ends with its last member, also if that one is killed") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  const Bus one = open(spec_of(names.name(), 8));
  const Bus two = open(spec_of(names.name(), 8));
  const std::uint32_t entry = join(*one, {"a"}, in_group("g"));
  REQUIRE(join(*two, {"a"}, in_group("g")) == entry);
  one->parties().vanish();
  CHECK(bus->parties().bury_all_dead() == 1);
  for (int i = 0; i < 8; ++i)
    REQUIRE(publish(*bus, "a", "-") == 1);
  CHECK_FALSE(publish(*bus, "a", "full"));
  SUBCASE("killed") {
    two->parties().vanish();
  }
  SUBCASE("killed while somebody has the lock, who then goes on") {
    lock_as(*bus, bus->parties().seat());
    two->parties().vanish();
    CHECK(bus->parties().bury_all_dead() == 1);
    CHECK_FALSE(publish(*bus, "a", "full"));
    unlock(*bus);
  }
  SUBCASE("gone while somebody had the lock") {
    lock_as(*bus, bus->parties().seat());
    two->unsubscribe(entry);
    CHECK_FALSE(publish(*bus, "a", "full"));
    unlock(*bus);
  }
  (void)bus->look();
  CHECK(publish(*bus, "a", "room") == 0);
  CHECK(bus->facts().entries == 0);
}

}  // namespace millrace::test::topics_join_test
