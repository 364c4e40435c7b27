// Topics: many processes publish and read at once, some of them are killed, and all see one order.
#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "topics.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_order_test {

using namespace millrace::test::topics;

namespace {

constexpr std::uint64_t kMostIndices = 1U << 18U;

struct Numbers {
  std::array<std::atomic<std::uint64_t>, kMostIndices> at;  // of each index: its number + 1
  std::atomic<std::uint32_t> ready;
  std::atomic<std::uint32_t> begin;
  std::array<std::atomic<std::uint64_t>, 16> begun;      // by publisher: the number that it is at
  std::array<std::atomic<std::uint64_t>, 16> confirmed;  // those up to this one are published
  std::atomic<std::uint64_t> progress;
  std::atomic<std::uint32_t> stop;
};

std::string subject_of(std::uint32_t publisher, std::uint64_t number) {
  return std::string(number % 2 == 0 ? "even." : "odd.") + std::to_string(publisher);
}
std::uint64_t number_of(std::uint32_t publisher, std::uint64_t number) {
  return std::uint64_t{publisher} << 32U | number;
}
// Large ones are not beside their slots.
std::string payload_of(std::uint64_t number) {
  std::string payload(number % 11 == 0 ? 900 : 40, static_cast<char>(number * 7));
  std::memcpy(payload.data(), &number, 8);
  return payload;
}
bool publish_waiting(TopicBus& bus, std::uint32_t publisher, std::uint64_t number) {
  const std::uint64_t both = number_of(publisher, number);
  const os::Deadline deadline = soon();
  bool done = false;
  while (!done) {
    done = bus.wait(kForTopicRoom, 0, kSliceNs, [&] {
      return publish(bus, subject_of(publisher, number), payload_of(both)).has_value();
    });
    if (!done && deadline.passed()) return false;
  }
  return true;
}
// Whether it is the message that all others see at its index.
bool agree(Numbers& n, const Got& got) {
  std::uint64_t expected = 0;
  const std::uint64_t mine = got.number() + 1;
  if (got.index >= kMostIndices || got.payload != payload_of(got.number())) return false;
  return n.at[got.index].compare_exchange_strong(expected, mine) || expected == mine;
}
std::optional<Got> read_waiting(TopicBus& bus, std::uint32_t entry, std::uint64_t timeout_ns) {
  std::optional<Got> got;
  (void)bus.wait(kForMessages, 0, timeout_ns, [&] {
    got = read(bus, entry);
    return got.has_value();
  });
  return got;
}

// Reads until all have been seen or missed. Returns the line of what was wrong, or 0.
int subscribe_and_read(const TopicSpec& spec, Numbers& n, std::string_view filter,
                       const SubscribeOptions& options, std::uint64_t expected, bool slow) {
  auto opened = TopicBus::open(spec, soon());
  if (!opened.ok()) return __LINE__ % 250;
  const Bus bus = opened.take();
  auto joined = bus->subscribe({&filter, 1}, options);
  if (!joined.ok()) return __LINE__ % 250;
  n.ready.fetch_add(1);
  std::array<std::uint64_t, 16> next{};
  std::uint64_t seen = 0;
  std::uint64_t missed = 0;
  std::uint64_t index = 0;
  const os::Deadline deadline = os::Deadline::after(60 * kSecond);
  // What was missed after the last message that was seen is told by no message.
  while (seen + bus->missed(joined.value()) < expected) {
    const auto got = read_waiting(*bus, joined.value(), kSliceNs);
    if (!got) {
      if (deadline.passed()) return __LINE__ % 250;
      continue;
    }
    if (seen != 0 && got->index <= index) return __LINE__ % 250;
    index = got->index;
    if (!agree(n, *got)) return __LINE__ % 250;
    const auto publisher = static_cast<std::uint32_t>(got->number() >> 32U);
    const std::uint64_t number = got->number() & 0xFFFF'FFFFU;
    if (publisher >= next.size() || number < next.at(publisher)) return __LINE__ % 250;
    next.at(publisher) = number + 1;
    ++seen;
    missed += got->missed;
    if (slow && seen % 8 == 0) os::sleep_ns(50'000);
  }
  if (missed > bus->missed(joined.value())) return __LINE__ % 250;
  if (seen + bus->missed(joined.value()) != expected) return __LINE__ % 250;
  if (options.policy == layout::TopicPolicy::wait && missed != 0) return __LINE__ % 250;
  return read(*bus, joined.value()) ? __LINE__ % 250 : 0;
}
int publish_all(const TopicSpec& spec, Numbers& n, std::uint32_t publisher, std::uint64_t count) {
  auto opened = TopicBus::open(spec, soon());
  if (!opened.ok()) return __LINE__ % 250;
  const Bus bus = opened.take();
  n.ready.fetch_add(1);
  while (n.begin.load() == 0)
    os::spin_hint();
  for (std::uint64_t i = 0; i < count; ++i)
    if (!publish_waiting(*bus, publisher, i)) return __LINE__ % 250;
  return 0;
}

struct Reader {
  const char* filter;
  bool overwrite;
  bool slow;
  std::uint64_t share;  // of two messages of a publisher it wants so many
};
constexpr std::array<Reader, 5> kReaders{{
    {">", false, false, 2},
    {"even.*", false, true, 1},
    {"odd.>", true, true, 1},
    {">", true, true, 2},
    {"*.1", true, false, 0},  // all of one publisher
}};
constexpr std::uint32_t kPublishers = 3;

std::uint64_t expected_of(const Reader& reader, std::uint64_t count) {
  return reader.share == 0 ? count : kPublishers * count / 2 * reader.share;
}
SubscribeOptions options_of(const Reader& reader) {
  return reader.overwrite ? overwriting() : SubscribeOptions{};
}

}  // namespace

TEST_CASE(
    "topics: processes that publish and read at once see one order, and miss what they are told") {
  const Names names;
  const TopicSpec spec = spec_of(names.name(), 32);
  const Bus keeper = open(spec);
  const Shared<Numbers> n;
  const auto count = static_cast<std::uint64_t>(rounds(6000));
  std::vector<Child> children;
  for (const Reader& reader : kReaders) {
    children.emplace_back([&, reader] {
      return subscribe_and_read(spec, *n, reader.filter, options_of(reader),
                                expected_of(reader, count), reader.slow);
    });
  }
  REQUIRE(eventually([&] { return n->ready.load() == kReaders.size(); }));
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher)
    children.emplace_back([&, publisher] { return publish_all(spec, *n, publisher, count); });
  REQUIRE(eventually([&] { return n->ready.load() == kReaders.size() + kPublishers; }));
  n->begin.store(1);
  for (Child& child : children)
    CHECK(child.wait() == 0);
  CHECK(keeper->facts().entries == 0);
  CHECK(counted(*keeper, layout::TopicCount::published) == kPublishers * count);
  CHECK(counted(*keeper, layout::TopicCount::deaths) == 0);
}

TEST_CASE(
    "topics: threads that publish and read at once see one order, and miss what they are told") {
  const Names names;
  const TopicSpec spec = spec_of(names.name(), 32);
  const Bus keeper = open(spec);
  const Shared<Numbers> n;
  const auto count = static_cast<std::uint64_t>(rounds(4000));
  std::vector<std::thread> threads;
  std::array<std::atomic<int>, kReaders.size() + kPublishers> outcomes{};
  for (std::size_t i = 0; i < kReaders.size(); ++i) {
    threads.emplace_back([&, i] {
      const Reader& reader = kReaders.at(i);
      outcomes.at(i).store(subscribe_and_read(spec, *n, reader.filter, options_of(reader),
                                              expected_of(reader, count), reader.slow));
    });
  }
  REQUIRE(eventually([&] { return n->ready.load() == kReaders.size(); }));
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher) {
    threads.emplace_back([&, publisher] {
      outcomes.at(kReaders.size() + publisher).store(publish_all(spec, *n, publisher, count));
    });
  }
  REQUIRE(eventually([&] { return n->ready.load() == kReaders.size() + kPublishers; }));
  n->begin.store(1);
  for (std::thread& thread : threads)
    thread.join();
  for (const auto& outcome : outcomes)
    CHECK(outcome.load() == 0);
}

TEST_CASE(
    "promise: topics – whoever is killed while they publish and read, nobody else is harmed") {
  const Names names;
  const TopicSpec spec = spec_of(names.name(), 32);
  const Shared<Numbers> n;
  const Bus judge = open(spec);
  const std::uint32_t entry = join(*judge, {">"});
  const auto publisher_life = [&](std::uint32_t publisher) {
    auto opened = TopicBus::open(spec, soon());
    CHILD_EXPECT(opened.ok());
    const Bus bus = opened.take();
    while (n->stop.load() == 0) {
      const std::uint64_t number = n->begun[publisher].load() + 1;
      n->begun[publisher].store(number);
      CHILD_EXPECT(publish_waiting(*bus, publisher, number));
      n->confirmed[publisher].store(number);
    }
    return 0;
  };
  const auto subscriber_life = [&](bool overwrite) {
    auto opened = TopicBus::open(spec, soon());
    CHILD_EXPECT(opened.ok());
    const Bus bus = opened.take();
    std::vector<std::byte> target(4096);
    while (n->stop.load() == 0) {
      const std::string_view filter = overwrite ? "odd.*" : ">";
      auto joined = bus->subscribe({&filter, 1}, overwrite ? overwriting() : SubscribeOptions{});
      CHILD_EXPECT(joined.ok() || joined.error().code == Code::timeout);
      if (!joined.ok()) continue;
      for (int i = 0; i < 300 && n->stop.load() == 0; ++i) {
        TopicMessage message;
        const bool in_place = i % 2 == 0;
        (void)bus->wait(kForMessages, 0, kMillisecond, [&] {
          return bus->read(joined.value(), &message, 1, target, in_place) == 1;
        });
        if (message.pin != TopicMessage::kCopied) bus->release(message.pin);
      }
      bus->unsubscribe(joined.value());
    }
    return 0;
  };
  std::vector<std::unique_ptr<Child>> children;
  std::vector<std::function<int()>> lives;
  for (std::uint32_t publisher = 0; publisher < 3; ++publisher)
    lives.emplace_back([&, publisher] { return publisher_life(publisher); });
  lives.emplace_back([&] { return subscriber_life(false); });
  lives.emplace_back([&] { return subscriber_life(true); });
  for (auto& life : lives)
    children.push_back(std::make_unique<Child>(life));

  Random random(11);
  std::array<std::uint64_t, 3> last{};
  std::uint64_t seen = 0;
  std::uint64_t left_out = 0;
  const auto judge_some = [&](std::uint64_t until_ns) {
    const os::Deadline deadline = os::Deadline::after(until_ns);
    while (!deadline.passed()) {
      const auto got = read_waiting(*judge, entry, kMillisecond);
      if (!got) continue;
      REQUIRE(got->missed == 0);
      REQUIRE(got->payload == payload_of(got->number()));
      const auto publisher = static_cast<std::uint32_t>(got->number() >> 32U);
      const std::uint64_t number = got->number() & 0xFFFF'FFFFU;
      REQUIRE(publisher < 3);
      // Each comes once and in order.
      REQUIRE(number > last.at(publisher));
      left_out += number - last.at(publisher) - 1;
      last.at(publisher) = number;
      ++seen;
    }
  };
  const int kills = rounds(120);
  for (int i = 0; i < kills; ++i) {
    judge_some((1 + random.below(8)) * kMillisecond);
    const std::size_t which = random.below(lives.size());
    children.at(which)->kill();
    const std::uint64_t before = seen;
    const os::Deadline deadline = os::Deadline::after(10 * kSecond);
    while (seen < before + 3 && !deadline.passed())
      judge_some(kMillisecond);
    REQUIRE(seen >= before + 3);  // the others go on
    children.at(which) = std::make_unique<Child>(lives.at(which));
  }
  n->stop.store(1);
  while (!children.empty()) {
    int outcome = 0;
    if (children.back()->ended(outcome)) {
      CHECK(outcome == 0);
      children.pop_back();
    }
    judge_some(kMillisecond / 4);
  }
  judge_some(5 * kMillisecond);
  for (std::uint32_t publisher = 0; publisher < 3; ++publisher)
    CHECK(last.at(publisher) >= n->confirmed[publisher].load());
  // What was left out was begun by one that was killed before it was published.
  CHECK(left_out <= static_cast<std::uint64_t>(kills));
  (void)judge->look();
  (void)judge->parties().bury_all_dead();
  const TopicFacts facts = judge->facts();
  CHECK(facts.entries == 1);
  CHECK(facts.seats == 1);
  CHECK(counted(*judge, layout::TopicCount::deaths) > 0);
  CHECK(unaccounted(*judge) == "");
}

}  // namespace millrace::test::topics_order_test
