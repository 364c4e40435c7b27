// Topics: publishing, subscribing and reading by handles of one process.
#include <string>
#include <vector>

#include "topics.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_life_test {

using namespace millrace::test::topics;

TEST_CASE("topics: what is published is read by whom it was for, in one order") {
  const Names names;
  const Bus a = open(spec_of(names.name()));
  const Bus b = open(spec_of(names.name()));
  const Bus c = open(spec_of(names.name()));
  CHECK(publish(*a, "plant.line1.temp", "before") == 0);
  const std::uint32_t lines = join(*b, {"plant.*.temp"});
  const std::uint32_t all = join(*c, {"plant.>"});
  CHECK(publish(*a, "plant.line1.temp", "1") == 2);
  CHECK(publish(*b, "plant.line2.temp", "2") == 2);
  CHECK(publish(*c, "plant.line2.load", "3", "trace: 7") == 1);
  CHECK(publish(*a, "office.temp", "4") == 0);
  CHECK(payloads(read_all(*b, lines)) == "12");
  const std::vector<Got> got = read_all(*c, all);
  CHECK(payloads(got) == "123");
  CHECK(got[0].index == 1);
  CHECK(got[1].index == 2);
  CHECK(got[2].headers == "trace: 7");
  CHECK(c->subject_text(got[2].subject) == "plant.line2.load");
  CHECK(got[2].missed == 0);
}

TEST_CASE("topics: one handle has several subscriptions, each with its own place") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  const std::uint32_t one = join(*bus, {"a", "b.*"});
  const std::uint32_t other = join(*bus, {">"});
  CHECK(publish(*bus, "a", "1") == 2);
  CHECK(publish(*bus, "b.c", "2") == 2);
  CHECK(publish(*bus, "b.c.d", "3") == 1);
  CHECK(bus->ready(one));
  CHECK(payloads(read_all(*bus, one)) == "12");
  CHECK_FALSE(bus->ready(one));
  bus->unsubscribe(one);
  CHECK(publish(*bus, "a", "4") == 1);
  CHECK(payloads(read_all(*bus, other)) == "1234");
  CHECK(read_all(*bus, one).empty());
  // Its place is used again, and has nothing of what was before.
  const std::uint32_t again = join(*bus, {"a"});
  CHECK(again == one);
  CHECK(publish(*bus, "a", "5") == 2);
  CHECK(publish(*bus, "b.c", "6") == 1);
  CHECK(payloads(read_all(*bus, again)) == "5");
}

TEST_CASE(
    "topics: payloads of every size, beside their slots and in granules, arrive as they were") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  const std::uint32_t entry = join(*bus, {"x"});
  for (const std::size_t size :
       {0U, 1U, 7U, 8U, 120U, 127U, 128U, 129U, 256U, 257U, 5000U, 60'000U}) {
    CAPTURE(size);
    for (const std::size_t headers : {0U, 1U, 8U, 1024U}) {
      std::string payload(size, 'p');
      for (std::size_t i = 0; i < size; ++i)
        payload[i] = static_cast<char>(i * 31 + size);
      REQUIRE(publish(*bus, "x", payload, std::string(headers, 'h')) == 1);
      const auto got = read(*bus, entry);
      REQUIRE(got);
      CHECK(got->payload == payload);
      CHECK(got->headers == std::string(headers, 'h'));
    }
  }
  std::uint32_t matched = 0;
  const std::string large(64 * 1024 + 1, 'x');
  const std::uint32_t x = must(bus->subject("x"));
  CHECK(bus->try_publish(x, bytes_of(large), {}, matched) == Published::too_large);
  CHECK(bus->try_publish(x, {}, bytes_of(std::string(1025, 'h')), matched) == Published::too_large);
  CHECK(bus->try_publish(x + 1, {}, {}, matched) == Published::bad_subject);
}

TEST_CASE("topics: the log goes round many times, and nothing that is wanted is lost") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  const std::uint32_t entry = join(*bus, {"x"});
  const std::uint32_t other = join(*bus, {"nothing.of.this"});
  for (std::uint64_t i = 0; i < 5000; ++i) {
    REQUIRE(publish(*bus, "x", i) == 1);
    if (i % 3 == 0) REQUIRE(publish(*bus, "y", i) == 0);
    if (i % 7 < 3) continue;
    for (const Got& got : read_all(*bus, entry))
      REQUIRE(got.missed == 0);
  }
  CHECK_FALSE(bus->ready(other));
  // All that is kept are messages in the log, and the last one of each subject.
  CHECK(slots_in_use(*bus) <= 8 + 2);
}

TEST_CASE("topics: who waits keeps its messages, and a publisher finds no room until it reads") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  const Bus reader = open(spec_of(names.name(), 8));
  const std::uint32_t entry = join(*reader, {"x"});
  for (std::uint64_t i = 0; i < 8; ++i)
    REQUIRE(publish(*bus, "x", i) == 1);
  CHECK_FALSE(publish(*bus, "x", 8).has_value());
  CHECK_FALSE(
      publish(*bus, "y", 8).has_value());  // nobody wants it, and there is no place for it either
  CHECK(read(*reader, entry)->number() == 0);
  CHECK(publish(*bus, "x", 8) == 1);
  CHECK_FALSE(publish(*bus, "x", 9).has_value());
  for (std::uint64_t i = 1; i < 9; ++i)
    CHECK(read(*reader, entry)->number() == i);
  CHECK_FALSE(read(*reader, entry));
  for (std::uint64_t i = 0; i < 8; ++i)
    REQUIRE(publish(*bus, "x", i) == 1);
  // Who lets itself be overwritten misses nothing as long as another one has to be waited for.
  const std::uint32_t newest = join(*reader, {"x"}, overwriting());
  CHECK(read(*reader, entry)->number() == 0);
  REQUIRE(publish(*bus, "x", 8) == 2);
  for (int i = 0; i < 10; ++i)
    CHECK_FALSE(publish(*bus, "x", 9).has_value());
  CHECK(reader->missed(newest) == 0);
  CHECK(read(*reader, newest)->number() == 8);
  reader->unsubscribe(newest);
  reader->unsubscribe(entry);
  CHECK(publish(*bus, "x", 9) == 0);
}

TEST_CASE("topics: who lets itself be overwritten is told exactly what it missed") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 16));
  const std::uint32_t entry = join(*bus, {"x"}, overwriting());
  Random random(7);
  std::uint64_t published = 0;
  std::uint64_t seen = 0;
  std::uint64_t missed = 0;
  const auto read_some = [&](std::uint64_t most) {
    for (std::uint64_t i = 0; i < most; ++i) {
      const auto got = read(*bus, entry);
      if (!got) return;
      missed += got->missed;
      CHECK(got->number() == seen + missed);
      ++seen;
    }
  };
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t burst = random.below(40);
    for (std::uint64_t k = 0; k < burst; ++k) {
      if (random.below(3) == 0) REQUIRE(publish(*bus, "other", k) == 0);
      REQUIRE(publish(*bus, "x", published++) == 1);
    }
    read_some(random.below(20));
  }
  read_some(~0ULL);
  CHECK(seen + missed == published);
  CHECK(missed > 100);
  CHECK(seen > 100);
}

TEST_CASE(
    "topics: a subscriber that is not interested holds up nobody, and is not moved over what it "
    "wants") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 32));
  std::vector<std::uint32_t> sleepers;
  for (int i = 0; i < 8; ++i)
    sleepers.push_back(join(*bus, {"rare"}));
  const std::uint32_t reader = join(*bus, {"often"});
  for (std::uint64_t i = 0; i < 1000; ++i) {
    REQUIRE(publish(*bus, "often", i) == 1);
    REQUIRE(read(*bus, reader)->number() == i);
  }
  REQUIRE(publish(*bus, "rare", 1) == 8);
  int more = 0;
  while (publish(*bus, "often", 1))
    ++more;
  CHECK(more == 31);
  for (const std::uint32_t entry : sleepers)
    CHECK(payloads(read_all(*bus, entry)).size() == 8);
}

TEST_CASE(
    "topics: a subscription of limited depth holds up publishers earlier, or misses earlier") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 32));
  SubscribeOptions options;
  options.depth = 3;
  const std::uint32_t waits = join(*bus, {"x"}, options);
  options.policy = layout::TopicPolicy::overwrite;
  options.depth = 2;
  const std::uint32_t newest = join(*bus, {"x"}, options);
  for (std::uint64_t i = 0; i < 3; ++i) {
    REQUIRE(publish(*bus, "x", i) == 2);
    REQUIRE(publish(*bus, "y", i) == 0);
  }
  CHECK_FALSE(publish(*bus, "x", 3).has_value());
  CHECK(publish(*bus, "y", 3) == 0);  // it does not want that one
  CHECK(read(*bus, waits)->number() == 0);
  CHECK(publish(*bus, "x", 3) == 2);
  CHECK_FALSE(publish(*bus, "x", 4).has_value());
  const std::vector<Got> got = read_all(*bus, newest);
  REQUIRE(got.size() == 2);
  CHECK(got[0].number() == 2);
  CHECK(got[0].missed == 2);
  CHECK(got[1].number() == 3);
}

TEST_CASE("topics: a depth of the whole log is none, and costs publishers no look at anybody") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 32));
  const auto shallow = [&] { return bus->memory().control().shallow[0].load(); };
  SubscribeOptions options;
  for (const std::uint32_t depth : {32U, 33U, ~0U}) {
    options.depth = depth;
    const std::uint32_t entry = join(*bus, {"x"}, options);
    CHECK(shallow() == 0);
    // It holds publishers up when the log is full of what it wants, as any other does.
    for (std::uint64_t i = 0; i < 32; ++i)
      REQUIRE(publish(*bus, "x", i) == 1);
    CHECK_FALSE(publish(*bus, "x", 32).has_value());
    bus->unsubscribe(entry);
  }
  options.depth = 31;
  const std::uint32_t entry = join(*bus, {"x"}, options);
  CHECK(shallow() == 1ULL << entry);
  for (std::uint64_t i = 0; i < 31; ++i)
    REQUIRE(publish(*bus, "x", i) == 1);
  CHECK_FALSE(publish(*bus, "x", 31).has_value());
}

TEST_CASE("topics: messages read in place stay as they were until they are released") {
  const Names names;
  const Bus bus = open(spec_of(names.name(), 8));
  const std::uint32_t entry = join(*bus, {"x"}, overwriting());
  const std::string large(3000, 'L');
  REQUIRE(publish(*bus, "x", large) == 1);
  TopicMessage message;
  REQUIRE(bus->read(entry, &message, 1, {}, true) == 1);
  REQUIRE(message.pin != TopicMessage::kCopied);
  for (int i = 0; i < 200; ++i)
    REQUIRE(publish(*bus, "x", std::string(3000, static_cast<char>('a' + i % 26))) == 1);
  const char* const at = reinterpret_cast<const char*>(bus->data()->data() + message.at);
  CHECK(std::string(at, message.length) == large);
  const std::uint32_t before = slots_in_use(*bus);
  bus->release(message.pin);
  CHECK(slots_in_use(*bus) == before - 1);
  bus->release(message.pin);  // once is enough
  CHECK(slots_in_use(*bus) == before - 1);
}

TEST_CASE("topics: a loan is written where it is read, and one that is given up leaves nothing") {
  const Names names;
  const Bus bus = open(spec_of(names.name()));
  const std::uint32_t entry = join(*bus, {"x"});
  const std::uint32_t x = must(bus->subject("x"));
  TopicLoan loan;
  REQUIRE(bus->reserve(x, 1000, 0, loan) == Published::yes);
  CHECK(loan.room >= 1000);
  std::memset(bus->data()->data() + loan.at, 'l', 700);
  std::uint32_t matched = 0;
  REQUIRE(bus->publish(loan, 700, {}, matched) == Published::yes);
  CHECK(matched == 1);
  CHECK_FALSE(static_cast<bool>(loan));
  CHECK(read(*bus, entry)->payload == std::string(700, 'l'));
  REQUIRE(bus->reserve(x, 1000, 0, loan) == Published::yes);
  const std::uint32_t used = slots_in_use(*bus);
  bus->cancel(loan);
  CHECK(slots_in_use(*bus) == used - 1);
  CHECK(bus->facts().granules == 4);  // of the message that is in the log
}

TEST_CASE("topics: the last message of each subject is kept, and goes for want of room") {
  const Names names;
  TopicSpec spec = spec_of(names.name(), 8);
  spec.bytes = 16 * 256;
  const Bus bus = open(spec);
  // Four subjects have a last message of four granules each: there is no more memory.
  for (const char* const subject : {"a", "b", "c", "d"})
    REQUIRE(publish(*bus, subject, std::string(1000, 'x')) == 0);
  for (int i = 0; i < 8; ++i)
    REQUIRE(publish(*bus, "small", "x") == 0);
  CHECK(counted(*bus, layout::TopicCount::retained_dropped) == 0);
  CHECK(bus->facts().granules == 16);
  REQUIRE(publish(*bus, "e", std::string(1000, 'x')) == 0);
  CHECK(counted(*bus, layout::TopicCount::retained_dropped) == 1);
  const auto last = [&](const char* subject) {
    return layout::slot_of_last(bus->memory().subject(must(bus->subject(subject))).last.load());
  };
  CHECK(last("a") == layout::kNoTopicSlot);
  CHECK(last("b") != layout::kNoTopicSlot);
  CHECK(last("e") != layout::kNoTopicSlot);
}

TEST_CASE(
    "topics: those that are there must be what a handle says, and none is left by the last one") {
  const Names names;
  TopicSpec spec = spec_of(names.name());
  const Bus bus = open(spec);
  spec.messages = 63;  // is rounded up
  CHECK(TopicBus::open(spec, soon()).ok());
  spec.messages = 65;
  const auto other = TopicBus::open(spec, soon());
  REQUIRE(!other.ok());
  CHECK(other.error().code == Code::geometry);
  CHECK(other.error().message.find("messages 64, not 128") != std::string::npos);
  spec.messages = 0;
  CHECK(TopicBus::open(spec, soon()).error().code == Code::invalid_argument);
}

TEST_CASE("topics: the default segment has at most 1.5 MiB") {
  CHECK(TopicShape().total_bytes() <= 1536 * 1024);
}

}  // namespace millrace::test::topics_life_test
