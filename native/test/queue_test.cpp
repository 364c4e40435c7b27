// A named queue with both its sides, here each opened by name as if in two processes.
#include <poll.h>
#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <thread>

#include <millrace/queue.hpp>

#include "queues.hpp"

namespace millrace::test::queue_test {

using namespace millrace;
using namespace millrace::test;

namespace {

bool push(QueueProducer& producer, std::uint64_t value) {
  return producer.try_push(&value, sizeof value) == RingStatus::ok;
}
// The next value, or nothing.
std::optional<std::uint64_t> pop(QueueConsumer& consumer) {
  const Message message = consumer.peek();
  if (message.status != RingStatus::ok || message.length != 8) return std::nullopt;
  std::uint64_t value = 0;
  std::memcpy(&value, message.data, 8);
  consumer.release(message);
  return value;
}

}  // namespace

TEST_CASE_FIXTURE(Queues,
                  "either side may come and go first, and the last one out removes the name") {
  for (const bool producer_comes_first : {true, false}) {
    for (const bool producer_goes_first : {true, false}) {
      CAPTURE(producer_comes_first);
      CAPTURE(producer_goes_first);
      std::unique_ptr<QueueProducer> in;
      std::unique_ptr<QueueConsumer> out;
      if (producer_comes_first) {
        in = producer();
        CHECK(in->side().peer() == Peer::absent);
        CHECK(push(*in, 1));  // waits for the consumer
        out = consumer();
      } else {
        out = consumer();
        CHECK(out->side().peer() == Peer::absent);
        CHECK(out->peek().status == RingStatus::empty);
        in = producer();
        CHECK(push(*in, 1));
      }
      CHECK(in->side().peer() == Peer::attached);
      CHECK(out->side().peer() == Peer::attached);
      CHECK(pop(*out) == 1);
      if (producer_goes_first) {
        in->close(false);
        CHECK(out->side().peer() == Peer::closed);
        CHECK(out->side().peer_left());
        CHECK(exists());
        out->close(false);
      } else {
        out.reset();
        CHECK(in->side().peer() == Peer::closed);
        CHECK(exists());
        in.reset();
      }
      CHECK_FALSE(exists());
    }
  }
}

TEST_CASE_FIXTURE(Queues,
                  "the capacity is a power of two of whole pages, and both sides agree on it") {
  auto in = must(QueueProducer::open(spec(5 * os::page_size()), soon()));
  CHECK(in->ring().capacity() == 8 * os::page_size());
  {
    auto out = consumer();  // says nothing: takes what there is
    CHECK(out->ring().capacity() == 8 * os::page_size());
  }
  CHECK(QueueConsumer::open(spec(7 * os::page_size()), soon()).ok());  // rounds to the same
  auto other = QueueConsumer::open(spec(64 * os::page_size()), soon());
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().code == Code::geometry);
  CHECK(other.error().message.find("capacity " + std::to_string(8 * os::page_size()) + ", not " +
                                   std::to_string(64 * os::page_size())) != std::string::npos);
  auto huge = QueueConsumer::open(spec(layout::kMaxQueueCapacity + 1), soon());
  REQUIRE_FALSE(huge.ok());
  CHECK(huge.error().code == Code::invalid_argument);
}

TEST_CASE_FIXTURE(Queues, "a queue whose geometry is impossible is refused") {
  auto in = producer();
  layout::Geometry& geometry = in->side().segment().header().geometry;
  const layout::Geometry good = geometry;
  for (const std::uint64_t lie : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3} << 16U,
                                  std::uint64_t{1} << 40U, ~std::uint64_t{0}}) {
    for (const auto field :
         {layout::kQueueCapacity, layout::kQueueControlOffset, layout::kQueueDataOffset}) {
      geometry = good;
      geometry.values[field] = lie;
      auto refused = QueueConsumer::open(spec(), soon());
      REQUIRE_FALSE(refused.ok());
      CHECK(refused.error().code == Code::corrupt);
    }
  }
  geometry = good;
}

TEST_CASE_FIXTURE(Queues,
                  "a role has one holder; it is free again at once when that one leaves or dies") {
  auto in = producer();
  auto taken = QueueProducer::open(spec(), soon());
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code == Code::role_taken);
  CHECK(taken.error().message.find("producer") != std::string::npos);
  auto out = consumer();
  CHECK(push(*in, 1));
  in->close(false);
  in = producer();
  CHECK(out->side().peer() == Peer::attached);
  CHECK(push(*in, 2));
  CHECK(pop(*out) == 1);
  out->close(false);
  out = consumer();
  CHECK(pop(*out) == 2);
  CHECK_FALSE(pop(*out).has_value());
}

TEST_CASE_FIXTURE(Queues,
                  "a killed peer is gone, loses nothing it published, and can be replaced") {
  Shared<std::atomic<int>> pushed;
  auto out = consumer();
  Child child([&] {
    auto in = QueueProducer::open(spec(), soon());
    CHILD_EXPECT(in.ok());
    for (std::uint64_t i = 1; i <= 100; ++i)
      CHILD_EXPECT(push(*in.value(), i));
    CHILD_EXPECT(in.value()->reserve(100) != nullptr);  // never committed
    pushed->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return pushed->load() == 1; }));
  CHECK(out->side().peer() == Peer::attached);
  CHECK(out->side().peer_pid() == static_cast<std::uint32_t>(child.pid()));
  child.kill();
  CHECK(out->side().peer() == Peer::gone);
  auto in = producer();
  CHECK(out->side().peer() == Peer::attached);
  CHECK(push(*in, 101));
  for (std::uint64_t i = 1; i <= 101; ++i)
    CHECK(pop(*out) == i);
  CHECK_FALSE(pop(*out).has_value());
}

TEST_CASE_FIXTURE(Queues, "producers killed at any instant lose nothing that they published") {
  struct Counts {
    std::atomic<std::uint64_t> tried;
    std::atomic<std::uint64_t> pushed;
  };
  Shared<Counts> counts;
  Random random(5);
  auto out = consumer();
  std::uint64_t last = 0;
  bool in_order = true;
  for (int round = 0; round < rounds(100); ++round) {
    Child child([&] {
      // The child has the parent's side, too, but never touches it.
      auto in = QueueProducer::open(spec(), soon());
      CHILD_EXPECT(in.ok());
      // The value a predecessor was about to push may or may not have got in.
      for (std::uint64_t value = counts->tried.load() + 1;; ++value) {
        counts->tried.store(value);
        while (!push(*in.value(), value))
          CHILD_EXPECT(!in.value()->ring().corrupt());
        counts->pushed.store(value);
      }
      return 0;
    });
    const std::uint64_t target = last + 1 + random.below(5000);
    const os::Deadline deadline = soon();
    while (last < target && !deadline.passed()) {
      if (const auto value = pop(*out)) {
        in_order = in_order && *value > last;
        last = *value;
      }
    }
    child.kill();
    while (const auto value = pop(*out)) {
      in_order = in_order && *value > last;
      last = *value;
    }
    REQUIRE(last >= counts->pushed.load());
    REQUIRE(last <= counts->tried.load());
  }
  CHECK(in_order);
  CHECK_FALSE(out->ring().corrupt());
}

TEST_CASE_FIXTURE(Queues, "unread messages of sides that left wait for the next consumer") {
  {
    auto in = producer();
    CHECK(push(*in, 7));
    CHECK(push(*in, 8));
  }
  CHECK(exists());
  {
    auto out = consumer();
    CHECK(out->side().segment().orphaned());
    CHECK(out->side().peer() == Peer::closed);
    CHECK(pop(*out) == 7);
  }
  CHECK(exists());
  auto out = consumer();
  CHECK(pop(*out) == 8);
  out->close(false);
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Queues, "discarding on close lets nothing linger") {
  auto in = producer();
  CHECK(push(*in, 7));
  in->close(true);
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Queues, "a crash of both sides leaves nothing, unless the queue is kept") {
  QueueSpec wanted = spec();
  SUBCASE("not kept") {}
  SUBCASE("kept") {
    wanted.keep = true;
  }
  Shared<std::atomic<int>> ready;
  Child child([&] {
    auto in = QueueProducer::open(wanted, soon());
    CHILD_EXPECT(in.ok());
    CHILD_EXPECT(push(*in.value(), 42));
    ready->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  child.kill();
  auto out = must(QueueConsumer::open(wanted, soon()));
  if (wanted.keep) {
    CHECK(pop(*out) == 42);
    CHECK(out->side().peer() == Peer::gone);
  } else {
    CHECK(out->peek().status == RingStatus::empty);
    CHECK(out->side().peer() == Peer::absent);
  }
}

TEST_CASE_FIXTURE(Queues, "impossible positions are corrupt, and are not handed on") {
  auto out = consumer();
  {
    auto in = producer();
    CHECK(push(*in, 1));
    in->side().control()->producer.write_position.store(12345);
    CHECK(out->peek().status == RingStatus::corrupt);
    CHECK(out->stirred());
    auto next = QueueConsumer::open(spec(), soon());
    CHECK(next.error().code == Code::role_taken);
  }
  CHECK(QueueProducer::open(spec(), soon()).error().code == Code::corrupt);
  out->close(false);
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Queues, "the bell of a killed peer goes with the queue") {
  Shared<std::atomic<std::uint64_t>> id;
  auto out = consumer();
  Child child([&] {
    const os::Doorbell own = bell();
    QueueSpec wanted = spec();
    wanted.doorbell = own.id();
    auto in = QueueProducer::open(wanted, soon());
    CHILD_EXPECT(in.ok());
    id->store(own.id());
    return linger();
  });
  REQUIRE(eventually([&] { return id->load() != 0; }));
  CHECK(out->side().peer_doorbell() == id->load());
  child.kill();
  SUBCASE("when the survivor leaves") {
    out->close(false);
  }
  SUBCASE("when the next one comes") {
    (void)producer();
  }
  SUBCASE("when a stale queue is reclaimed") {
    out.reset();
    // Both die: the survivor's descriptor simply goes.
    Shared<std::atomic<std::uint64_t>> second;
    Child both([&] {
      const os::Doorbell own = bell();
      QueueSpec wanted = spec();
      wanted.doorbell = own.id();
      auto in = QueueProducer::open(wanted, soon());
      CHILD_EXPECT(in.ok());
      second->store(own.id());
      return linger();
    });
    REQUIRE(eventually([&] { return second->load() != 0; }));
    both.kill();
    id->store(second->load());
    out = consumer();
    CHECK(out->side().segment().created());
  }
  CHECK(::access(os::doorbell_path(id->load()).c_str(), F_OK) != 0);
}

TEST_CASE_FIXTURE(Queues,
                  "parking is refused while there is something to do, and a push rings otherwise") {
  const os::Doorbell mine = bell();
  auto in = producer();
  auto out = consumer();
  CHECK(push(*in, 1));
  CHECK_FALSE(out->park({mine.id(), 5}));
  CHECK(pop(*out) == 1);
  CHECK(out->park({mine.id(), 5}));
  CHECK(push(*in, 2));
  CHECK(push(*in, 3));  // no second ring
  std::vector<std::uint64_t> tokens;
  (void)mine.drain([&](std::uint64_t token) { tokens.push_back(token); });
  CHECK(tokens == std::vector<std::uint64_t>{5});
  // The producer likewise: it sleeps when full and is rung by a release.
  while (push(*in, 4)) {
  }
  CHECK(in->park({mine.id(), 6}, 16));
  CHECK(pop(*out) == 2);
  tokens.clear();
  (void)mine.drain([&](std::uint64_t token) { tokens.push_back(token); });
  CHECK(tokens == std::vector<std::uint64_t>{6});
  CHECK_FALSE(in->park({mine.id(), 6}, 16));
  out->close(true);
  in->close(true);
}

TEST_CASE_FIXTURE(Queues, "a peer that comes or leaves wakes the one that sleeps") {
  const os::Doorbell mine = bell();
  const auto rings = [&] {
    int count = 0;
    (void)mine.drain([&](std::uint64_t) { ++count; });
    return count;
  };
  auto out = consumer();
  CHECK(out->park({mine.id(), 5}));
  auto in = producer();
  CHECK(rings() == 1);
  CHECK(out->park({mine.id(), 5}));
  in->close(false);
  CHECK(rings() == 1);
  CHECK_FALSE(out->park({mine.id(), 5}));  // it left: there is something to look at
}

TEST_CASE_FIXTURE(Queues, "two peers stream millions of messages, whole and in order") {
  const std::uint64_t count = 2'000'000;
  std::atomic<bool> sent{false};
  std::thread thread([&] {
    auto opened = QueueProducer::open(spec(), soon());
    if (!opened.ok()) return;
    QueueProducer& in = *opened.value();
    std::uint64_t words[16];
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t n = 1 + i % 16;
      for (std::uint64_t k = 0; k < n; ++k)
        words[k] = i + k;
      // In turns by copy and in place.
      if (i % 2 == 0) {
        while (in.try_push(words, static_cast<std::uint32_t>(n * 8)) != RingStatus::ok) {
          (void)in.wait_room(n * 8 + 8, 2000, kSecond);
        }
      } else {
        std::byte* place = in.reserve(static_cast<std::uint32_t>(n * 8));
        while (place == nullptr) {
          (void)in.wait_room(n * 8 + 8, 2000, kSecond);
          place = in.reserve(static_cast<std::uint32_t>(n * 8));
        }
        std::memcpy(place, words, n * 8);
        in.commit(static_cast<std::uint32_t>(n * 8));
      }
    }
    sent.store(true);
  });
  auto out = consumer();
  bool good = true;
  for (std::uint64_t i = 0; i < count && good; ++i) {
    Message message = out->peek();
    while (message.status == RingStatus::empty) {
      (void)out->wait_data(2000, kSecond);
      message = out->peek();
    }
    const std::uint64_t n = 1 + i % 16;
    good = message.status == RingStatus::ok && message.length == n * 8;
    for (std::uint64_t k = 0; good && k < n; ++k) {
      std::uint64_t word = 0;
      std::memcpy(&word, message.data + k * 8, 8);
      good = word == i + k;
    }
    out->release(message);
  }
  thread.join();
  CHECK(good);
  CHECK(sent.load());
}

}  // namespace millrace::test::queue_test
