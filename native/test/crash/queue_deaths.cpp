// Deaths on both sides of a queue. Messages are numbered without a gap; every byte depends on the number.
#include <cstring>

#include "scene.hpp"

namespace millrace::test::queue_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kLast = 40;

std::vector<std::byte> message_of(std::uint64_t number) {
  std::vector<std::byte> message(8 + number * 37 % 900);
  std::memcpy(message.data(), &number, 8);
  for (std::size_t i = 8; i < message.size(); ++i)
    message[i] = static_cast<std::byte>(number * 31 + i);
  return message;
}
// 0 if it is not whole.
std::uint64_t number_of(const Message& message) {
  std::uint64_t number = 0;
  if (message.length < 8) return 0;
  std::memcpy(&number, message.data, 8);
  const auto whole = message_of(number);
  const bool same =
      whole.size() == message.length && std::memcmp(whole.data(), message.data, whole.size()) == 0;
  return same ? number : 0;
}

QueueSpec spec_of(const Names& names, std::uint64_t bell) {
  QueueSpec spec;
  spec.place = names.name();
  spec.capacity = 4096;
  spec.doorbell = bell;
  return spec;
}

// What a wait ends with when the other side is like that.
Code news_of(Peer left) {
  switch (left) {
    case Peer::absent:
    case Peer::attached:
      return Code::timeout;
    case Peer::closed:
      return Code::closed;
    case Peer::gone:
      return Code::peer_gone;
    case Peer::failed:
      return Code::peer_failed;
  }
  return Code::system;
}

constexpr BlockingOptions kShort{2 * kMillisecond, 0};
constexpr BlockingOptions kLong{20 * kSecond, 0};

// The victim produces, the survivor consumes.
struct ProducerDies : Scene {
  std::unique_ptr<QueueConsumer> consumer;
  std::uint64_t got = 0;

  [[nodiscard]] virtual std::uint64_t victims_capacity() const { return 4096; }
  [[nodiscard]] virtual std::uint64_t survivors_capacity() const { return 4096; }
  [[nodiscard]] QueueSpec spec(std::uint64_t bell, std::uint64_t capacity) const {
    QueueSpec wanted = spec_of(*this, bell);
    wanted.capacity = capacity;
    return wanted;
  }
  void act() override { produce(); }
  void produce() {
    std::uint64_t at = n->base.load();
    n->own[0].store(0);  // the batch of one that died before is none of ours
    n->own[1].store(0);
    auto opened = QueueProducer::open(spec(own_bell(), victims_capacity()), soon());
    CHILD_EXPECT(opened.ok());
    auto producer = opened.take();
    n->bell_in.store(1);
    tell(1);
    await_survivor(1);
    const std::uint64_t last = at + kLast;
    // Alone, in place, as a batch, to somebody who sleeps; then until the ring is full, and asleep.
    push(*producer, ++at);
    n->trying.store(++at);
    const auto in_place = message_of(at);
    auto room = reserve_sync(*producer, static_cast<std::uint32_t>(in_place.size()), kLong);
    CHILD_EXPECT(room.ok());
    std::memcpy(room.value().data(), in_place.data(), in_place.size());
    producer->commit(static_cast<std::uint32_t>(in_place.size()));
    n->done.store(at);
    batch(*producer, at);
    packed(*producer, at);
    for (int i = 0; i < 3; ++i) {
      let_sleep();
      push(*producer, ++at);
    }
    while (at < last)
      push(*producer, ++at);
    // As an event loop would sleep.
    if (producer->park({n->bell.load(), 7}, 4096)) producer->side().sleeper().unpark();
    leave_with_bell();
    leave(*producer);
    drop_bell();
  }
  virtual void leave(QueueProducer& producer) { producer.close(false); }
  void push(QueueProducer& producer, std::uint64_t number) {
    n->trying.store(number);
    const auto message = message_of(number);
    CHILD_EXPECT(push_now(producer, message));
    n->done.store(number);
  }
  static bool push_now(QueueProducer& producer, const std::vector<std::byte>& message) {
    const auto length = static_cast<std::uint32_t>(message.size());
    const os::Deadline deadline = soon();
    while (producer.try_push(message.data(), length) != RingStatus::ok) {
      if (deadline.passed()) return false;
      (void)producer.wait_room(layout::record_bytes(length), 0, kMillisecond);
    }
    return true;
  }
  void batch(QueueProducer& producer, std::uint64_t& at) {
    n->own[0].store(at);      // the batch is seen as a whole or not at all: from here …
    n->own[1].store(at + 3);  // … to here
    n->trying.store(at + 3);
    const std::uint64_t bytes = await_room_for_three(producer, at);
    std::byte* to = producer.ring().data() + producer.ring().next_offset();
    for (std::uint64_t number = at + 1; number <= at + 3; ++number) {
      const auto message = message_of(number);
      const std::uint64_t header = message.size();
      std::memcpy(to, &header, 8);
      std::memcpy(to + 8, message.data(), message.size());
      to += layout::record_bytes(static_cast<std::uint32_t>(message.size()));
    }
    producer.publish(bytes, 3);
    at += 3;
    n->done.store(at);
  }
  // The same of messages that lie one after the other.
  void packed(QueueProducer& producer, std::uint64_t& at) {
    n->own[0].store(at);
    n->own[1].store(at + 3);
    n->trying.store(at + 3);
    (void)await_room_for_three(producer, at);
    std::vector<std::byte> bytes;
    std::vector<std::uint32_t> lengths;
    for (std::uint64_t number = at + 1; number <= at + 3; ++number) {
      const auto message = message_of(number);
      bytes.insert(bytes.end(), message.begin(), message.end());
      lengths.push_back(static_cast<std::uint32_t>(message.size()));
    }
    CHILD_EXPECT(producer.try_push_packed(bytes, 3, [&](std::uint64_t i) { return lengths[i]; }) ==
                 3);
    at += 3;
    n->done.store(at);
  }
  // Of the three messages after `at`, the bytes of their records.
  static std::uint64_t await_room_for_three(QueueProducer& producer, std::uint64_t at) {
    std::uint64_t bytes = 0;
    for (std::uint64_t number = at + 1; number <= at + 3; ++number)
      bytes += layout::record_bytes(static_cast<std::uint32_t>(message_of(number).size()));
    const os::Deadline deadline = soon();
    while (!producer.ring().has_room(bytes)) {
      CHILD_EXPECT(!deadline.passed());
      (void)producer.wait_room(bytes, 0, kMillisecond);
    }
    return bytes;
  }

  void meanwhile() override {
    if (n->step.load() == 0) {
      os::sleep_ns(20'000);
      return;
    }
    come();
    n->told.store(1);
    take(kShort);
  }
  void come() {
    if (!consumer) consumer = must(QueueConsumer::open(spec(0, survivors_capacity()), soon()));
  }
  // The outcome of a wait for the next message; what it is must be the next one.
  std::optional<Code> take(const BlockingOptions& options) {
    auto message = peek_sync(*consumer, options);
    if (!message.ok()) return message.error().code;
    if (!message.value()) return Code::closed;
    const std::uint64_t number = number_of(*message.value());
    CHECK(number == got + 1);
    got = number;
    consumer->release(*message.value());
    return std::nullopt;
  }
  void after() override {
    come();
    // All that it published, and then the news of its death; unless it never was a producer.
    const Peer left = consumer->side().peer();
    std::optional<Code> outcome;
    without_waiting(*this, [&] {
      while (!outcome)
        outcome = take(left == Peer::absent ? kShort : kLong);
    });
    CHECK(outcome == news_of(left));
    CHECK(got >= n->done.load());
    CHECK(got <= n->trying.load());
    const bool inside = got > n->own[0].load() && got < n->own[1].load();
    CHECK(!inside);
    n->base.store(got);
  }
  void end() override { consumer.reset(); }
};

// The same, where each producer gives up in the end, as the one before the first one has done.
struct ProducerFails : ProducerDies {
  void begin() override {
    come();
    must(QueueProducer::open(spec_of(*this, 0), soon()))->abort("the first one");
    CHECK(consumer->side().peer() == Peer::failed);
  }
  void leave(QueueProducer& producer) override { producer.abort("another one"); }
  void after() override {
    // Wherever it died, nobody is told that all is well.
    const Peer left = consumer->side().peer();
    CHECK((left == Peer::failed || left == Peer::gone));
    if (!died) CHECK(left == Peer::failed);
    if (left == Peer::failed) {
      const std::string reason = consumer->side().peer_reason();
      CHECK((reason == "another one" || reason == "the first one"));
      if (!died) CHECK(reason == "another one");
    }
    ProducerDies::after();
  }
};

// The survivor was there first and left open how large the ring is to be; the victim decides it.
template <std::uint64_t capacity>
struct DeciderDies : ProducerDies {
  void begin() override { come(); }
  [[nodiscard]] std::uint64_t victims_capacity() const override { return capacity; }
  [[nodiscard]] std::uint64_t survivors_capacity() const override {
    return os::kObjectsCanGrow ? 0 : capacity;
  }
  void end() override {
    CHECK(consumer->side().capacity() == (capacity == 0 ? kDefaultQueueCapacity : capacity));
    ProducerDies::end();
  }
};
using DeciderOfLessDies = DeciderDies<4096>;
using DeciderOfMoreDies = DeciderDies<std::uint64_t{1} << 20U>;
using DeciderByDefaultDies = DeciderDies<0>;

// The victim consumes, the survivor produces.
struct ConsumerDies : Scene {
  std::unique_ptr<QueueProducer> producer;
  std::uint64_t sent = 0;

  [[nodiscard]] virtual std::uint64_t victims_capacity() const { return 4096; }
  void begin() override { n->base.store(1); }
  void act() override {
    QueueSpec wanted = spec_of(*this, own_bell());
    wanted.capacity = victims_capacity();
    auto opened = QueueConsumer::open(wanted, soon());
    CHILD_EXPECT(opened.ok());
    auto consumer = opened.take();
    (void)consumer->peek();  // to the first who comes nothing is there
    n->bell_in.store(1);
    tell(1);
    const std::uint64_t first = n->base.load();
    bool begun = false;
    for (std::uint64_t taken = 0; taken < kLast; ++taken) {
      if (taken == 5) os::sleep_ns(2 * kMillisecond);  // the ring fills, and its producer sleeps
      if (taken == 9) {                                // as an event loop would sleep
        if (consumer->park({n->bell.load(), 7})) consumer->side().sleeper().unpark();
      }
      auto message = peek_sync(*consumer, {20 * kSecond, 0});
      CHILD_EXPECT(message.ok() && message.value());
      const std::uint64_t number = number_of(*message.value());
      // The one that the last consumer had in hand comes again, unless it had given it back.
      CHILD_EXPECT(begun ? number == n->done.load() + 1 : number == first || number == first + 1);
      begun = true;
      n->trying.store(number);
      if (taken % 4 == 3) {
        CHILD_EXPECT(consumer->release_bytes(layout::record_bytes(message.value()->length), 1));
      } else if (taken % 4 == 2) {
        std::vector<std::byte> target(message.value()->length);
        std::vector<std::uint32_t> lengths(1);
        CHILD_EXPECT(consumer->try_pop_packed(target, lengths).messages == 1);
      } else {
        consumer->release(*message.value());
      }
      n->done.store(number);
    }
    leave_with_bell();
    consumer->close(false);
    drop_bell();
  }
  void meanwhile() override {
    if (n->step.load() == 0) {
      os::sleep_ns(20'000);
      return;
    }
    come();
    (void)send({kMillisecond, 0});
  }
  void come() {
    if (!producer) producer = must(QueueProducer::open(spec_of(*this, 0), soon()));
  }
  std::optional<Code> send(const BlockingOptions& options) {
    const auto message = message_of(sent + 1);
    auto pushed = push_sync(*producer, message, options);
    if (!pushed.ok()) return pushed.error().code;
    ++sent;
    return std::nullopt;
  }
  void after() override {
    come();
    const Peer left = producer->side().peer();
    std::optional<Code> outcome;
    without_waiting(*this, [&] {
      while (!outcome)
        outcome = send(left == Peer::absent ? BlockingOptions{kMillisecond, 0} : kLong);
    });
    CHECK(outcome == news_of(left));
    const std::uint64_t done = n->done.load();
    const std::uint64_t trying = n->trying.load();
    CHECK(trying - done <= 1);
    n->base.store(trying > done ? trying : done + 1);
    if (trying == 0) n->base.store(1);
  }
  void end() override { producer->close(true); }
};

// The victim leaves open how large the ring is to be, and looks into it before the survivor has said that.
struct EarlyConsumerDies : ConsumerDies {
  [[nodiscard]] std::uint64_t victims_capacity() const override {
    return os::kObjectsCanGrow ? 0 : ConsumerDies::victims_capacity();
  }
};

// Both sides die with three messages unread. Who acts is whoever comes then, and may die as well.
struct BothDied : Scene {
  [[nodiscard]] virtual bool keep() const { return false; }
  [[nodiscard]] QueueSpec spec(std::uint64_t bell) const {
    QueueSpec wanted = spec_of(*this, bell);
    wanted.keep = keep();
    return wanted;
  }
  static void push(QueueProducer& producer, std::uint64_t number) {
    const auto message = message_of(number);
    CHILD_EXPECT(producer.try_push(message.data(), static_cast<std::uint32_t>(message.size())) ==
                 RingStatus::ok);
  }
  void begin() override {
    Child first([&] {
      auto in = QueueProducer::open(spec(bell_of_the_dead()), soon());
      auto out = QueueConsumer::open(spec(bell_of_the_dead()), soon());
      CHILD_EXPECT(in.ok() && out.ok());
      for (std::uint64_t number = 1; number <= 3; ++number)
        push(*in.value(), number);
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    REQUIRE(first.wait() == -SIGKILL);
  }
  [[nodiscard]] std::uint64_t bell_of_the_dead() const {
    static os::Doorbell bell;
    bell = this->bell();
    const std::uint64_t id = bell.id();
    return id;
  }
  void act() override {
    auto consumer = QueueConsumer::open(spec(own_bell()), soon());
    CHILD_EXPECT(consumer.ok());
    n->bell_in.store(1);
    const Message there = consumer.value()->peek();
    // Nothing; unless the one before us died when it had left one behind in good order.
    CHILD_EXPECT(there.status == RingStatus::empty ||
                 (n->done.load() == 1 && number_of(there) == 1));
    if (there.status == RingStatus::ok) consumer.value()->release(there);
    {
      auto producer = QueueProducer::open(spec(0), soon());
      CHILD_EXPECT(producer.ok());
      push(*producer.value(), 1);
    }
    n->done.store(1);
    leave_with_bell();
    consumer.value()->close(false);
    auto next = QueueConsumer::open(spec(n->bell.load()), soon());
    CHILD_EXPECT(next.ok() && number_of(next.value()->peek()) == 1);
    next.value()->close(true);
    drop_bell();
  }
  void meanwhile() override { os::sleep_ns(50'000); }
};

// The same where the user asked for what was published to be kept.
struct BothDiedKept : BothDied {
  [[nodiscard]] bool keep() const override { return true; }
  void act() override {
    auto consumer = QueueConsumer::open(spec(own_bell()), soon());
    CHILD_EXPECT(consumer.ok());
    n->bell_in.store(1);
    bool begun = false;
    for (Message message = consumer.value()->peek(); message.status == RingStatus::ok;
         message = consumer.value()->peek()) {
      const std::uint64_t number = number_of(message);
      CHILD_EXPECT(number == n->done.load() + 1 || (!begun && number == n->trying.load() + 1));
      begun = true;
      n->trying.store(number);
      consumer.value()->release(message);
      n->done.store(number);
    }
    CHILD_EXPECT(n->trying.load() == 3);
    n->done.store(3);
    leave_with_bell();
    consumer.value()->close(true);
    drop_bell();
  }
};

// A fresh side comes to what both have left, and may die: the three messages are all there, or none.
template <typename Side>
struct FreshComes : BothDied {
  [[nodiscard]] bool keep() const override { return true; }
  void act() override {
    QueueSpec wanted = spec(own_bell());
    wanted.fresh = true;
    auto side = Side::open(wanted, soon());
    CHILD_EXPECT(side.ok());
    n->bell_in.store(1);
    const std::uint64_t discarded = side.value()->side().discarded();
    CHILD_EXPECT(discarded == 3 - n->done.load());
    n->done.store(3);
    leave_with_bell();
    side.value()->close(true);
    drop_bell();
  }
  void after() override { n->done.store(3 - unread()); }
  [[nodiscard]] std::uint64_t unread() const {
    QueueSpec wanted = spec(0);
    auto consumer = must(QueueConsumer::open(wanted, soon()));
    RingConsumer& ring = consumer->ring();
    const std::uint64_t bytes = ring.available();
    REQUIRE_FALSE(ring.corrupt());
    const std::uint64_t there =
        count_messages(ring.data(), ring.capacity(), ring.next_offset(), bytes);
    CHECK((there == 0 || there == 3));
    if (there == 3) CHECK(number_of(consumer->peek()) == 1);
    consumer->close(false);
    return there;
  }
};
using FreshProducerComes = FreshComes<QueueProducer>;
using FreshConsumerComes = FreshComes<QueueConsumer>;

}  // namespace

EVERY_DEATH(ProducerDies, "a producer dies anywhere: what it published arrives, nothing else")
EVERY_DEATH(ProducerFails, "a producer that gives up dies anywhere: nobody takes it for a good end")
EVERY_DEATH(DeciderOfLessDies,
            "who decides for a smaller ring dies anywhere: it is decided, or open")
EVERY_DEATH(DeciderOfMoreDies,
            "who decides for a larger ring dies anywhere: it is decided, or open")
EVERY_DEATH(DeciderByDefaultDies, "who decides by sending dies anywhere: it is decided, or open")
EVERY_DEATH(ConsumerDies, "a consumer dies anywhere: nothing is lost, nothing comes twice")
EVERY_DEATH(EarlyConsumerDies, "a consumer dies anywhere that was there before the ring had a size")
EVERY_DEATH(BothDied, "both sides of a queue died: the next start works, and may die, too")
EVERY_DEATH(BothDiedKept, "both sides of a kept queue died: what was published is there")
EVERY_DEATH(FreshProducerComes,
            "a fresh producer dies anywhere: all that was left is there, or nothing")
EVERY_DEATH(FreshConsumerComes,
            "a fresh consumer dies anywhere: all that was left is there, or nothing")

}  // namespace millrace::test::queue_deaths
