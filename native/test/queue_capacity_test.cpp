// A queue whose creator left open how large its ring is to be: who decides, and what those find who come before and
// after that.
#include <sys/stat.h>

#include <cstring>
#include <memory>
#include <string>

#include <millrace/queue_sync.hpp>

#include "queues.hpp"

namespace millrace::test::queue_capacity_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20U;

struct OpenQueues : Queues {
  [[nodiscard]] std::unique_ptr<QueueProducer> producer_of(std::uint64_t wanted) const {
    return must(QueueProducer::open(spec(wanted), soon()));
  }
  [[nodiscard]] std::unique_ptr<QueueConsumer> consumer_of(std::uint64_t wanted) const {
    return must(QueueConsumer::open(spec(wanted), soon()));
  }
  [[nodiscard]] std::uint64_t bytes() const {
    auto fd = must(os::open_object(object_name_of('q', name()), os::Access::read_only));
    return must(os::inspect_object(fd.get(), name())).size;
  }
};

std::uint64_t control_bytes() {
  return 2 * os::page_size();
}
bool exchange(QueueProducer& in, QueueConsumer& out, std::uint32_t length) {
  const std::string message(length, 'm');
  if (in.try_push(message.data(), length) != RingStatus::ok) return false;
  const Message found = out.peek();
  if (found.status != RingStatus::ok || found.length != length) return false;
  const bool same = std::memcmp(found.data, message.data(), length) == 0;
  out.release(found);
  return same;
}
std::uint64_t stated(const detail::QueueSide& side) {
  return side.segment().header().geometry.values[layout::kQueueCapacity];
}

}  // namespace

TEST_CASE_FIXTURE(OpenQueues, "the side that says a capacity has it, whichever comes first") {
  if (!os::kObjectsCanGrow) return;  // there the creator decides
  for (const std::uint64_t wanted : {std::uint64_t{4096}, kDefaultQueueCapacity, kMegabyte}) {
    for (const bool producer_says_it : {true, false}) {
      for (const bool it_comes_first : {true, false}) {
        CAPTURE(wanted);
        CAPTURE(producer_says_it);
        CAPTURE(it_comes_first);
        const std::uint64_t of_in = producer_says_it ? wanted : 0;
        std::unique_ptr<QueueProducer> in;
        std::unique_ptr<QueueConsumer> out;
        if (producer_says_it == it_comes_first) in = producer_of(of_in);
        out = consumer_of(wanted - of_in);
        if (!in) in = producer_of(of_in);
        if (!it_comes_first) {
          CHECK((producer_says_it ? out->side().capacity() : in->side().capacity()) == 0);
        }
        CHECK(bytes() == control_bytes() + wanted);
        CHECK(stated(in->side()) == wanted);
        const auto longest = static_cast<std::uint32_t>(wanted - layout::kRecordHeaderBytes);
        for (int round = 0; round < 3; ++round)
          CHECK(exchange(*in, *out, longest));
        CHECK(exchange(*in, *out, 100));
        CHECK(in->side().capacity() == wanted);
        CHECK(out->side().capacity() == wanted);
      }
    }
  }
}

TEST_CASE_FIXTURE(OpenQueues,
                  "a waiting side decides nothing, and learns of the decision when it looks") {
  if (!os::kObjectsCanGrow) return;  // there the creator decides
  auto out = consumer_of(0);
  CHECK(out->peek().status == RingStatus::empty);
  CHECK(out->available() == 0);
  CHECK_FALSE(out->stirred());
  CHECK_FALSE(must(out->settle(false)));
  CHECK_FALSE(out->wait_data(0, 1000));
  auto in = producer_of(0);
  CHECK(in->room() == kDefaultQueueCapacity);
  CHECK(in->drained());
  in->close(false);
  CHECK(out->side().capacity() == 0);
  in = producer_of(2 * kMegabyte);
  CHECK(out->peek().status == RingStatus::empty);
  CHECK(out->side().capacity() == 2 * kMegabyte);
}

TEST_CASE_FIXTURE(OpenQueues, "what a side says that is refused decides nothing") {
  if (!os::kObjectsCanGrow) return;  // there the creator decides
  auto out = consumer_of(0);
  CHECK(QueueConsumer::open(spec(kMegabyte), soon()).error().code == Code::role_taken);
  CHECK(bytes() == control_bytes() + kDefaultQueueCapacity);
  CHECK(out->side().peer() == Peer::absent);
  auto in = producer_of(8192);
  CHECK(exchange(*in, *out, 8000));
  CHECK(QueueProducer::open(spec(4096), soon()).error().code == Code::geometry);
  CHECK(exchange(*in, *out, 8000));
}

TEST_CASE_FIXTURE(OpenQueues, "the first message decides, and what is said after it is refused") {
  if (!os::kObjectsCanGrow) return;  // there the creator decides
  auto in = producer_of(0);
  const char* how = "";
  SUBCASE("pushed") {
    how = "pushed";
    CHECK(in->try_push("x", 1) == RingStatus::ok);
  }
  SUBCASE("reserved") {
    how = "reserved";
    CHECK(must(reserve_sync(*in, 5)).size() == 5);
  }
  SUBCASE("asked") {
    how = "asked";
    CHECK(in->ring().max_message() == kDefaultQueueCapacity - 8);
  }
  CAPTURE(how);
  auto refused = QueueConsumer::open(spec(kMegabyte), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::geometry);
  CHECK(refused.error().message.find("capacity 262144, not 1048576; that is the default") !=
        std::string::npos);
  CHECK(in->side().peer() == Peer::absent);
  auto out = consumer_of(0);
  CHECK(out->side().capacity() == kDefaultQueueCapacity);
  out->close(false);
  in->close(true);
}

TEST_CASE_FIXTURE(OpenQueues, "who knows nothing of open capacities has decided for the default") {
  if (!os::kObjectsCanGrow) return;  // there the creator decides
  SUBCASE("by being there") {
    auto out = consumer_of(0);
    out->side().control()->consumer.session_epoch.store(0);
    CHECK(QueueProducer::open(spec(kMegabyte), soon()).error().code == Code::geometry);
    CHECK(exchange(*producer_of(0), *out, 100));
  }
  SUBCASE("by what it has sent") {
    auto out = consumer_of(0);
    auto in = producer_of(0);
    auto* control = in->side().control();
    auto data = must(in->side().segment().map_mirror(control_bytes(), kDefaultQueueCapacity));
    RingProducer old(control, data->data(), kDefaultQueueCapacity);
    CHECK(out->peek().status == RingStatus::empty);
    REQUIRE(old.push("old", 3) == RingStatus::ok);
    CHECK(out->stirred());
    SUBCASE("to who waits") {
      CHECK(out->peek().bytes().size() == 3);
      CHECK(out->side().capacity() == kDefaultQueueCapacity);
      out->close(false);
    }
    SUBCASE("to who leaves without a look") {
      out->close(false);
      CHECK(consumer_of(0)->peek().bytes().size() == 3);
    }
    SUBCASE("to who comes") {
      out->close(false);
      CHECK(QueueConsumer::open(spec(4096), soon()).error().code == Code::geometry);
      CHECK(consumer_of(0)->peek().bytes().size() == 3);
    }
    in->close(true);
  }
}

TEST_CASE_FIXTURE(OpenQueues, "lies: a capacity that cannot be is not mapped") {
  if (!os::kObjectsCanGrow) return;  // there the creator decides
  for (const std::uint64_t lie : {std::uint64_t{1}, 3 * kMegabyte, std::uint64_t{1} << 31U,
                                  std::uint64_t{1} << 63U, kMegabyte}) {
    CAPTURE(lie);
    auto out = consumer_of(0);
    out->side().control()->consumer.capacity.store(lie);
    CHECK(out->settle(false).error().code == Code::corrupt);
    CHECK(QueueProducer::open(spec(0), soon()).error().code == Code::corrupt);
    CHECK(out->peek().status == RingStatus::empty);
  }
}

}  // namespace millrace::test::queue_capacity_test
