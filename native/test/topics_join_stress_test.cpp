// Topics: subjects are made, and published to, while subscriptions join and leave, and some of their processes are killed. Of each
// subscription a judge asks: is everything there that was published after it had joined, once and in order, and with what it was to
// get of the past nothing between?
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "topics_rows.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_join_stress_test {

using namespace millrace::test::topics;

namespace {

constexpr std::uint32_t kPublishers = 2;
constexpr std::uint32_t kSubjects = 96;  // of each publisher
constexpr std::uint32_t kAll = kPublishers * kSubjects;
using Counts = std::array<std::atomic<std::uint64_t>, kAll>;

// By subject: the number of the message that its publisher is at, and of the last one that is published.
struct Numbers {
  Counts begun;
  Counts confirmed;
  std::atomic<std::uint32_t> made;  // subscriptions, with what is to be told of them all right
  std::atomic<std::uint32_t> stop;
};
using Snapshot = std::array<std::uint64_t, kAll>;
Snapshot of(const Counts& counts) {
  Snapshot values{};
  for (std::size_t i = 0; i < values.size(); ++i)
    values.at(i) = counts.at(i).load();
  return values;
}

std::string text_of(std::uint32_t subject) {
  return "p" + std::to_string(subject / kSubjects) + '.' + std::to_string(subject % kSubjects);
}

TopicSpec spec_for(const std::string& name) {
  TopicSpec spec = spec_of(name, 64);
  spec.subjects = kAll;
  return spec;
}

// Returns the line of what was wrong, or 0.
int publish_all(const TopicSpec& spec, Numbers& n, std::uint32_t publisher) {
  auto opened = TopicBus::open(spec, soon());
  if (!opened.ok()) return __LINE__ % 250;
  const Bus bus = opened.take();
  Random random(publisher + 1);
  const int count = rounds(400'000);
  for (int i = 0; i < count && n.stop.load() == 0; ++i) {
    // New ones come all the time.
    const auto known =
        1 + static_cast<std::uint32_t>(std::uint64_t{kSubjects - 1} * static_cast<unsigned>(i) /
                                       static_cast<unsigned>(count));
    const std::uint32_t subject =
        publisher * kSubjects +
        (random.chance(30) ? known - 1 : static_cast<std::uint32_t>(random.below(known)));
    const std::uint64_t number = n.begun.at(subject).load() + 1;
    n.begun.at(subject).store(number);
    const os::Deadline deadline = os::Deadline::after(60 * kSecond);
    while (!bus->wait(kForTopicRoom, 0, kSliceNs,
                      [&] { return publish(*bus, text_of(subject), number).has_value(); })) {
      if (deadline.passed()) return __LINE__ % 250;
    }
    n.confirmed.at(subject).store(number);
  }
  return 0;
}

struct Wanted {
  std::vector<std::string_view> filters;
  SubscribeOptions options;
};
Wanted wanted_by(Random& random) {
  static constexpr std::array<std::string_view, 8> kFilters{">",   "p0.*", "p1.>", "*.7",
                                                            "*.*", "p0.3", "*.40", "p1.60"};
  Wanted wanted;
  wanted.filters.push_back(kFilters.at(random.below(kFilters.size())));
  if (random.chance(50)) wanted.filters.push_back(kFilters.at(random.below(kFilters.size())));
  switch (random.below(3)) {
    case 0:
      wanted.options.replay.last = true;
      break;
    case 1:
      wanted.options.replay.newest = static_cast<std::uint32_t>(random.below(40));
      break;
    default:
      break;
  }
  if (random.chance(25)) wanted.options.policy = layout::TopicPolicy::overwrite;
  return wanted;
}
bool is_for(const Wanted& wanted, std::uint32_t subject) {
  return std::any_of(wanted.filters.begin(), wanted.filters.end(),
                     [&](std::string_view filter) { return matches(filter, text_of(subject)); });
}

// One subscription, from its beginning to its end.
int subscribe_once(TopicBus& bus, Numbers& n, Random& random) {
  const Wanted wanted = wanted_by(random);
  const Snapshot before = of(n.confirmed);
  auto joined = bus.subscribe(wanted.filters, wanted.options);
  if (!joined.ok()) return joined.error().code == Code::timeout ? 0 : __LINE__ % 250;
  const Snapshot began = of(n.begun);
  const std::uint32_t entry = joined.value();
  Snapshot last{};
  std::uint64_t index = 0;
  std::uint64_t missed = 0;
  std::uint64_t between = 0;  // that were left out
  const auto judge = [&](const Got& got) {
    const std::string text = bus.subject_text(got.subject);
    const auto publisher = static_cast<std::uint32_t>(text.at(1) - '0');
    const std::uint32_t subject =
        publisher * kSubjects + static_cast<std::uint32_t>(std::stoul(text.substr(3)));
    if (subject >= kAll || text_of(subject) != text || !is_for(wanted, subject)) return __LINE__;
    if (index != 0 && got.index < index) return __LINE__;
    index = got.index + 1;
    missed += got.missed;
    const std::uint64_t number = got.number();
    std::uint64_t& seen = last.at(subject);
    if (number <= seen) return __LINE__;
    if (seen != 0) {
      between += number - seen - 1;
    } else {
      const bool past = wanted.options.replay.last || wanted.options.replay.newest != 0;
      if (!past && number <= before.at(subject)) return __LINE__;
      if (wanted.options.replay.last && number < before.at(subject)) return __LINE__;
      // Behind what was begun when it had joined nothing may be left out.
      if (number > began.at(subject) + 1) between += number - began.at(subject) - 1;
    }
    seen = number;
    return between > missed ? __LINE__ : 0;
  };
  const auto steps = static_cast<int>(random.below(60));
  for (int i = 0; i < steps && n.stop.load() == 0; ++i) {
    std::optional<Got> got;
    (void)bus.wait(kForMessages, 0, kMillisecond, [&] {
      got = read(bus, entry);
      return got.has_value();
    });
    if (!got) continue;
    if (const int wrong = judge(*got); wrong != 0) return wrong % 250;
  }
  const Snapshot until = of(n.confirmed);
  while (const auto got = read(bus, entry))
    if (const int wrong = judge(*got); wrong != 0) return wrong % 250;
  if (wanted.options.policy == layout::TopicPolicy::wait) {
    if (missed != 0 || between != 0) return __LINE__ % 250;
    for (std::uint32_t subject = 0; subject < kAll; ++subject) {
      if (!is_for(wanted, subject)) continue;
      const bool some = until.at(subject) > began.at(subject) ||
                        (wanted.options.replay.last && until.at(subject) != 0);
      if (some && last.at(subject) < until.at(subject)) return __LINE__ % 250;
    }
  }
  bus.unsubscribe(entry);
  n.made.fetch_add(1);
  return 0;
}
int subscribe_again_and_again(const TopicSpec& spec, Numbers& n, std::uint32_t me) {
  auto opened = TopicBus::open(spec, soon());
  if (!opened.ok()) return __LINE__ % 250;
  const Bus bus = opened.take();
  Random random(me * 1000 + n.made.load());
  while (n.stop.load() == 0)
    if (const int wrong = subscribe_once(*bus, n, random); wrong != 0) return wrong;
  return 0;
}

}  // namespace

TEST_CASE(
    "promise: topics – subscriptions join and leave while subjects are made, and nothing is left "
    "out, whoever is killed") {
  const Names names;
  const TopicSpec spec = spec_for(names.name());
  const Bus keeper = open(spec);
  const Shared<Numbers> n;
  std::vector<std::unique_ptr<Child>> publishers;
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher) {
    publishers.push_back(std::make_unique<Child>(
        std::function<int()>([&, publisher] { return publish_all(spec, *n, publisher); })));
  }
  std::uint32_t born = 0;
  const auto subscriber = [&] {
    const std::uint32_t me = ++born;
    return std::make_unique<Child>(
        std::function<int()>([&, me] { return subscribe_again_and_again(spec, *n, me); }));
  };
  std::vector<std::unique_ptr<Child>> subscribers;
  for (int i = 0; i < 4; ++i)
    subscribers.push_back(subscriber());
  Random random(5);
  int kills = 0;
  const os::Deadline deadline = os::Deadline::after(60 * kSecond);
  while (!publishers.empty()) {
    REQUIRE_FALSE(deadline.passed());
    int outcome = 0;
    if (publishers.back()->ended(outcome)) {
      CHECK(outcome == 0);
      publishers.pop_back();
    }
    os::sleep_ns((1 + random.below(20)) * kMillisecond);
    // One of these is killed again and again; the others tell whether they were harmed.
    auto& victim = subscribers.front();
    if (victim->ended(outcome)) {
      CHECK(outcome == 0);
      break;
    }
    victim->kill();
    ++kills;
    victim = subscriber();
  }
  n->stop.store(1);
  for (const auto& child : subscribers)
    CHECK(child->wait() == 0);
  MESSAGE("subscriptions: " << n->made.load() << ", killed: " << kills);
  CHECK(n->made.load() > 100);
  (void)keeper->parties().bury_all_dead();
  (void)keeper->look();
  CHECK(keeper->facts().entries == 0);
  CHECK(keeper->facts().seats == 1);
  CHECK(keeper->facts().subjects >= kAll / 2);
  CHECK(rows_wrong(*keeper) == "");
  CHECK(unaccounted(*keeper) == "");
}

TEST_CASE("topics: threads subscribe and leave while subjects are made, and nothing is left out") {
  const Names names;
  const TopicSpec spec = spec_for(names.name());
  const Bus keeper = open(spec);
  const Shared<Numbers> n;
  std::array<std::atomic<int>, kPublishers + 3> outcomes{};
  std::vector<std::thread> publishers;
  std::vector<std::thread> subscribers;
  for (std::uint32_t i = 0; i < kPublishers; ++i)
    publishers.emplace_back([&, i] { outcomes.at(i).store(publish_all(spec, *n, i)); });
  for (std::uint32_t i = kPublishers; i < outcomes.size(); ++i) {
    subscribers.emplace_back([&, i] {
      const int wrong = subscribe_again_and_again(spec, *n, i);
      outcomes.at(i).store(wrong);
    });
  }
  for (auto& thread : publishers)
    thread.join();
  n->stop.store(1);
  for (auto& thread : subscribers)
    thread.join();
  for (const auto& outcome : outcomes)
    CHECK(outcome.load() == 0);
  CHECK(n->made.load() > 100);
  CHECK(keeper->facts().entries == 0);
  CHECK(rows_wrong(*keeper) == "");
  CHECK(unaccounted(*keeper) == "");
}

}  // namespace millrace::test::topics_join_stress_test
