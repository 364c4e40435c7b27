// Deaths on topics: a victim does everything that can be done, and dies at a crash point; whoever buries it may die as well. The
// survivor, who wants all messages and waits for them, sees each of them once and in order, finds nothing kept for nothing, and the
// last message of each subject is the last one that it has seen.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <millrace/topics/topic_bus.hpp>

#include "../topics.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_deaths {

using namespace millrace::test::topics;

namespace {

class OnTopics : public Scene {
 protected:
  [[nodiscard]] TopicSpec spec() const { return spec_of(name(), 8); }

  // By whoever acts: publishes the next number, and waits for room if there is none.
  void publish_next(TopicBus& bus, const std::string& subject, std::size_t size = 8) {
    const std::uint64_t number = n->trying.load() + 1;
    n->trying.store(number);
    std::string payload(size, 'v');
    std::memcpy(payload.data(), &number, 8);
    CHILD_EXPECT(eventually([&] {
      return bus.wait(kForTopicRoom, 0, kSliceNs,
                      [&] { return publish(bus, subject, payload).has_value(); });
    }));
    n->done.store(number);
  }

  // By the survivor.
  void sit_down() {
    survivor_ = open(spec());
    entry_ = join(*survivor_, {">"});
    SubscribeOptions group;
    group.group = "group";
    group_ = join(*survivor_, {"group.*"}, group);
    lazy_ = join(*survivor_, {"large.*"}, overwriting());
    asleep_ = join(*survivor_, {"never.published"});
    REQUIRE(publish(*survivor_, "large.x", std::string(1000, 's')) == 2);
    const auto first = read(*survivor_, entry_);
    REQUIRE(first);
    last_[first->subject] = first->index;
  }
  void read_some(std::uint64_t timeout_ns) {
    std::optional<Got> got;
    (void)survivor_->wait(kForMessages, 0, timeout_ns, [&] {
      got = read(*survivor_, entry_);
      return got.has_value();
    });
    if (got) take(*got);
    pump();
  }
  void pump() {
    TopicMessage message;
    std::vector<std::byte> target(4096);
    if (survivor_->pump_begin(group_, &message, 1, target) == 1)
      survivor_->pump_end(group_, message.index + 1);
  }
  void judge() {
    if (died) {
      CHECK(eventually([&] {
        (void)survivor_->parties().bury_all_dead();
        return survivor_->facts().seats == 1;
      }));
    }
    while (const auto got = read(*survivor_, entry_))
      take(*got);
    // Begun and not confirmed: it may be there. Confirmed: it is.
    CHECK(seen_ >= n->done.load());
    CHECK(seen_ <= n->trying.load());
    seen_ = n->trying.load();
    const TopicMemory& memory = survivor_->memory();
    for (const auto& [subject, index] : last_)
      CHECK(layout::number_of_last(memory.subject(subject).last.load()) == index + 1);
    CHECK(unaccounted(*survivor_) == "");
    CHECK(survivor_->facts().entries == 4);
    // All that there is can be used again.
    for (std::uint64_t i = 0; i < 40; ++i) {
      REQUIRE(publish(*survivor_, "survivor", std::string(i % 3 == 0 ? 3000 : 8, 's')));
      const auto got = read(*survivor_, entry_);
      REQUIRE(got);
      CHECK(got->payload[0] == 's');
      last_[got->subject] = got->index;
      pump();
    }
    CHECK(unaccounted(*survivor_) == "");
  }

 private:
  void take(const Got& got) {
    CHECK(got.missed == 0);
    CHECK(got.number() > seen_);
    CHECK(got.number() <= n->trying.load());
    seen_ = got.number();
    last_[got.subject] = got.index;
  }

  Bus survivor_;
  std::uint32_t entry_ = 0;
  std::uint32_t group_ = 0;
  std::uint32_t lazy_ = 0;
  std::uint32_t asleep_ = 0;
  std::uint64_t seen_ = 0;
  std::map<std::uint32_t, std::uint64_t> last_;
};

// Publishes, subscribes, reads, waits, and leaves.
class TopicUserDies : public OnTopics {
 public:
  void begin() override { sit_down(); }
  void act() override {
    const std::uint64_t bell = own_bell();
    TopicSpec mine = spec();
    mine.doorbell = bell;
    auto opened = TopicBus::open(mine, soon());
    CHILD_EXPECT(opened.ok());
    const Bus bus = opened.take();
    n->bell_in.store(1);
    std::string_view filter = "large.*";
    SubscribeOptions late = overwriting();
    late.replay.last = true;
    auto some = bus->subscribe({&filter, 1}, late);
    CHILD_EXPECT(some.ok());
    SubscribeOptions options;
    options.group = "group";
    filter = "group.*";
    auto group = bus->subscribe({&filter, 1}, options);
    CHILD_EXPECT(group.ok());
    options.group = "another";
    filter = "other.*";
    auto other = bus->subscribe({&filter, 1}, options);
    CHILD_EXPECT(other.ok());
    std::vector<std::byte> target(4096);
    for (int round = 0; round < 4; ++round) {
      let_sleep();
      publish_next(*bus, "small.of." + std::to_string(round));
      publish_next(*bus, "large.x", 1000);
      publish_next(*bus, "group.x");
      publish_next(*bus, "other.x");
      TopicMessage message;
      if (bus->read(some.value(), &message, 1, target, true) == 1 &&
          message.pin != TopicMessage::kCopied) {
        publish_next(*bus, "large.x", 3000);
        bus->release(message.pin);
      }
      for (const std::uint32_t pumped : {group.value(), other.value()}) {
        const std::uint32_t count = bus->pump_begin(pumped, &message, 1, target);
        if (count == 1) bus->pump_end(pumped, message.index + 1);
      }
      TopicLoan loan;
      if (bus->reserve(must_subject(*bus, "large.x"), 1000, 0, loan) == Published::yes)
        bus->cancel(loan);
      bus->park_on_bell(kForMessages | kForTopicRoom, WakeAddress{bell, 1});
      (void)bus->keep_watch();
      bus->unpark();
      bus->park_on_futex(kForTopicRoom);
      bus->unpark();
    }
    bus->unsubscribe(some.value());
    bus->unsubscribe(group.value());
    bus->unsubscribe(other.value());
    leave_with_bell();
    bus->close();
    drop_bell();
  }
  void meanwhile() override { read_some(kMillisecond); }
  void after() override { judge(); }

 private:
  static std::uint32_t must_subject(TopicBus& bus, const char* text) {
    auto id = bus.subject(text);
    CHILD_EXPECT(id.ok());
    return id.value();
  }
};

// Buries those who died in the middle of everything.
class TopicUndertakerDies : public OnTopics {
 public:
  void begin() override { sit_down(); }
  void act() override {
    const auto lose_one_at = [&](const char* point, std::uint64_t passage) {
      one_dies([&] {
        auto opened = TopicBus::open(spec(), soon());
        CHILD_EXPECT(opened.ok());
        const Bus bus = opened.take();
        const std::string_view filters[] = {"large.*", "small.*"};
        CHILD_EXPECT(bus->subscribe(filters, overwriting()).ok());
        SubscribeOptions options;
        options.group = "dying";
        const std::string_view filter = "x.*";
        CHILD_EXPECT(bus->subscribe({&filter, 1}, options).ok());
        publish_next(*bus, "large.y", 1000);
        std::vector<std::byte> target(4096);
        TopicMessage message;
        (void)bus->read(0, &message, 1, target, true);
        for (std::uint32_t entry = 0; entry < bus->shape().subscriptions; ++entry)
          (void)bus->read(entry, &message, 1, target, true);
        CHILD_EXPECT(crash::arm(point, passage));
        for (int i = 0; i < 20; ++i)
          publish_next(*bus, "small." + std::to_string(i % 7) + std::string(point), 300);
        die();
      });
    };
    auto opened = TopicBus::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    const Bus bus = opened.take();
    for (const char* const point :
         {"topics.commit.done", "topics.subject.counted", "topics.evict.said",
          "topics.evict.emptied", "topics.reserve.granules", "topics.publish.last"}) {
      lose_one_at(point, 2);
      (void)bus->parties().bury_all_dead();
    }
    publish_next(*bus, "small.after");
  }
  void meanwhile() override { read_some(kMillisecond); }
  void after() override { judge(); }
};

// Makes topics.
class TopicCreatorDies : public OnTopics {
 public:
  void act() override {
    auto opened = TopicBus::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    const Bus bus = opened.take();
    CHILD_EXPECT(publish(*bus, "x", "1").has_value());
  }
  void meanwhile() override {}
  void after() override {
    const Bus bus = open(spec());
    const std::uint32_t entry = join(*bus, {"x"});
    for (int i = 0; i < 20; ++i) {
      CHECK(publish(*bus, "x", "1") == 1);
      CHECK(payloads(read_all(*bus, entry)) == "1");
    }
    CHECK(bus->facts().entries == 1);
    CHECK(bus->facts().seats == 1);
    CHECK(unaccounted(*bus) == "");
  }
};

}  // namespace

EVERY_DEATH(TopicUserDies, "a user of topics dies anywhere: messages are whole, once and in order")
EVERY_DEATH(TopicUndertakerDies,
            "whoever buries a user of topics dies anywhere: the next one does it")
EVERY_DEATH(TopicCreatorDies, "whoever makes topics dies anywhere: the next one makes them")

}  // namespace millrace::test::topics_deaths
