// A queue that is opened fresh: what is dropped, what stays, and who is refused.
#include <cstring>
#include <memory>
#include <string>

#include <millrace/queue.hpp>

#include "queues.hpp"

namespace millrace::test::queue_fresh_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct FreshQueues : Queues {
  [[nodiscard]] QueueSpec fresh_spec() const {
    QueueSpec wanted = spec();
    wanted.fresh = true;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<QueueProducer> fresh_producer() const {
    return must(QueueProducer::open(fresh_spec(), soon()));
  }
  [[nodiscard]] std::unique_ptr<QueueConsumer> fresh_consumer() const {
    return must(QueueConsumer::open(fresh_spec(), soon()));
  }
};

void push(QueueProducer& producer, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t value = from; value <= to; ++value)
    REQUIRE(producer.try_push(&value, sizeof value) == RingStatus::ok);
}
std::uint64_t pop(QueueConsumer& consumer) {
  const Message message = consumer.peek();
  if (message.status != RingStatus::ok || message.length != 8) return 0;
  std::uint64_t value = 0;
  std::memcpy(&value, message.data, 8);
  consumer.release(message);
  return value;
}

}  // namespace

TEST_CASE_FIXTURE(FreshQueues, "a fresh side begins without what a closed producer has left") {
  for (const bool producer_is_fresh : {true, false}) {
    CAPTURE(producer_is_fresh);
    {
      auto in = producer();
      push(*in, 1, 3);
    }
    CHECK(exists());
    std::unique_ptr<QueueProducer> in;
    std::unique_ptr<QueueConsumer> out;
    if (producer_is_fresh) {
      in = fresh_producer();
      CHECK(in->side().discarded() == 3);
      CHECK(in->ring().drained());
      CHECK(in->side().peer() == Peer::absent);
      out = consumer();
      CHECK(out->side().discarded() == 0);
    } else {
      out = fresh_consumer();
      CHECK(out->side().discarded() == 3);
      CHECK(out->peek().status == RingStatus::empty);
      CHECK(out->side().peer() == Peer::absent);  // it waits for its own
      CHECK_FALSE(out->side().peer_left());
      in = producer();
    }
    CHECK(out->side().control()->consumer.messages.load() ==
          in->side().control()->producer.messages.load());
    push(*in, 4, 4);
    CHECK(pop(*out) == 4);
  }
}

TEST_CASE_FIXTURE(FreshQueues, "what a living producer has sent is no leftover") {
  {
    auto in = producer();
    push(*in, 1, 2);
  }
  auto in = producer();
  push(*in, 3, 5);
  auto out = fresh_consumer();
  CHECK(out->side().discarded() == 2);
  CHECK(pop(*out) == 3);
  CHECK(pop(*out) == 4);
  SUBCASE("but half of it is") {
    out->close(false);
    auto refused = QueueConsumer::open(fresh_spec(), soon());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::busy);
    CHECK(refused.error().message.find("has sent messages to an earlier consumer") !=
          std::string::npos);
    CHECK(in->side().peer() == Peer::closed);  // who was refused was never there
    CHECK(pop(*consumer()) == 5);
    SUBCASE("also when all of it was read") {
      CHECK_FALSE(QueueConsumer::open(fresh_spec(), soon()).ok());
    }
    SUBCASE("until it has left") {
      in->close(false);
      CHECK(fresh_consumer()->peek().status == RingStatus::empty);
    }
  }
  SUBCASE("and a full one has room at once") {
    std::uint64_t value = 6;
    while (in->try_push(&value, sizeof value) == RingStatus::ok)
      ++value;
    in->close(false);
    out->close(false);
    auto next = producer();
    CHECK_FALSE(next->ring().has_room(16));
    auto fresh = fresh_consumer();
    CHECK(fresh->side().discarded() == value - 5);
    CHECK(next->ring().room() == next->ring().capacity());
  }
}

TEST_CASE_FIXTURE(FreshQueues, "a producer of an older version says nothing of where it began") {
  auto in = producer();
  in->side().control()->producer.session_epoch.store(0);
  CHECK(QueueConsumer::open(fresh_spec(), soon()).error().code == Code::busy);
  in->close(false);
  CHECK(fresh_consumer()->side().discarded() == 0);
}

TEST_CASE_FIXTURE(FreshQueues, "a fresh producer does not take from a consumer what that reads") {
  auto out = consumer();
  {
    auto in = producer();
    push(*in, 1, 2);
  }
  auto refused = QueueProducer::open(fresh_spec(), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::busy);
  CHECK(refused.error().message.find("holds 32 unread bytes of an earlier producer") !=
        std::string::npos);
  CHECK(out->side().peer() == Peer::closed);
  CHECK(pop(*out) == 1);
  CHECK_FALSE(QueueProducer::open(fresh_spec(), soon()).ok());
  CHECK(pop(*out) == 2);
  auto in = fresh_producer();
  CHECK(in->side().discarded() == 0);
  CHECK(QueueProducer::open(fresh_spec(), soon()).error().code == Code::role_taken);
  CHECK(QueueConsumer::open(fresh_spec(), soon()).error().code == Code::role_taken);
  push(*in, 3, 3);
  CHECK(pop(*out) == 3);
}

TEST_CASE_FIXTURE(FreshQueues,
                  "impossible positions are not dropped, and records that cannot be are") {
  auto in = producer();
  push(*in, 1, 3);
  auto* control = in->side().control();
  SUBCASE("positions") {
    control->consumer.read_position.store(8 * 5);
    control->producer.write_position.store(8);
    CHECK(QueueConsumer::open(fresh_spec(), soon()).error().code == Code::corrupt);
    control->producer.write_position.store(8 * 5);
  }
  SUBCASE("records") {
    std::uint64_t nonsense = 1 << 20;
    std::memcpy(in->ring().data() + 16, &nonsense, sizeof nonsense);
    auto keeper = consumer();
    keeper->close(false);
    in->close(false);
    auto out = fresh_consumer();
    CHECK(out->side().discarded() == 1);  // as far as they can be counted
    CHECK(out->peek().status == RingStatus::empty);
  }
}

}  // namespace millrace::test::queue_fresh_test
