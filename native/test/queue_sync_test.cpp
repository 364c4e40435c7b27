// The blocking calls of a queue: what each waits for, and what ends the wait otherwise.
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <millrace/queue_sync.hpp>

#include "blocking.hpp"
#include "queues.hpp"

namespace millrace::test::queue_sync_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct SmallQueues : Queues {
  SmallQueues() { capacity = 4096; }
};

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}
std::string text(std::span<const std::byte> bytes) {
  std::string copy(bytes.size(), '\0');
  if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
  return copy;
}
void fill(QueueProducer& producer) {
  const std::string message(1000, 'x');
  while (producer.try_push(message.data(), 1000) == RingStatus::ok) {
  }
}

}  // namespace

TEST_CASE_FIXTURE(SmallQueues, "many messages pass between two processes that sleep in turns") {
  constexpr int count = 20'000;
  Child other([&] {
    auto opened = QueueProducer::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    QueueProducer& in = *opened.value();
    for (int i = 0; i < count; ++i) {
      const std::string message =
          std::to_string(i) + std::string(static_cast<unsigned>(i) % 97, '.');
      CHILD_EXPECT(push_sync(in, bytes(message), at_most_a_minute).ok());
      if (i % 1000 == 0) os::sleep_ns(kMillisecond);
    }
    CHILD_EXPECT(end_sync(in, at_most_a_minute).ok());
    CHILD_EXPECT(!in.side().open());
    return 0;
  });
  auto out = consumer();
  for (int i = 0; i < count; ++i) {
    auto message = must(peek_sync(*out, at_most_a_minute));
    REQUIRE(message);
    const std::string expected =
        std::to_string(i) + std::string(static_cast<unsigned>(i) % 97, '.');
    if (text(message->bytes()) != expected) FAIL("message " << i);
    out->release(*message);
    if (i % 1500 == 0) os::sleep_ns(2 * kMillisecond);
  }
  CHECK_FALSE(must(peek_sync(*out, at_most_a_minute)));
  CHECK(other.wait() == 0);
}

TEST_CASE_FIXTURE(SmallQueues, "messages of every length from none to the most") {
  auto in = producer();
  auto out = consumer();
  for (const std::uint64_t length : {0U, 1U, 7U, 8U, 9U, 4088U}) {
    CAPTURE(length);
    const std::string message(length, 'm');
    CHECK(push_sync(*in, bytes(message)).ok());
    const auto there = must(peek_sync(*out));
    REQUIRE(there);
    CHECK(text(there->bytes()) == message);
    out->release(*there);
  }
  const std::string more(4089, 'm');
  CHECK(code_of(push_sync(*in, bytes(more))) == Code::too_large);
  CHECK(code_of(reserve_sync(*in, 4089)) == Code::too_large);
  auto room = must(reserve_sync(*in, 5));
  REQUIRE(room.size() == 5);
  std::memcpy(room.data(), "hello", 5);
  in->commit(4);
  CHECK(text(must(peek_sync(*out))->bytes()) == "hell");
  in->close(false);
  out->close(true);
}

TEST_CASE_FIXTURE(SmallQueues, "the time is over") {
  auto in = producer();
  CHECK(code_of(wait_for_peer_sync(*in, briefly)) == Code::timeout);
  auto out = consumer();
  CHECK(wait_for_peer_sync(*in, briefly).ok());
  CHECK(wait_for_peer_sync(*out, briefly).ok());
  const auto nothing = peek_sync(*out, briefly);
  CHECK(code_of(nothing) == Code::timeout);
  CHECK(nothing.error().message == "a message in queue '" + name() +
                                       "' did not happen within 30 ms; "
                                       "see who is there (`npx millrace ls`), or allow more time");
  fill(*in);
  const std::string message(1000, 'x');
  CHECK(code_of(push_sync(*in, bytes(message), briefly)) == Code::timeout);
  CHECK(code_of(end_sync(*in, briefly)) == Code::timeout);
  CHECK(in->side().open());
  in->close(false);
  out->close(true);
}

TEST_CASE_FIXTURE(SmallQueues, "the peer leaves in good order") {
  auto in = producer();
  auto out = consumer();
  fill(*in);
  out->close(false);
  const std::string message(1000, 'x');
  CHECK(code_of(push_sync(*in, bytes(message), at_most_a_minute)) == Code::closed);
  CHECK(code_of(end_sync(*in, at_most_a_minute)) == Code::closed);
  out = consumer();  // finds what was unread
  in->close(false);
  int read = 0;
  while (auto there = must(peek_sync(*out, at_most_a_minute))) {
    out->release(*there);
    ++read;
  }
  CHECK(read == 4);
}

TEST_CASE_FIXTURE(SmallQueues, "the peer comes, and dies while it is waited for") {
  auto in = producer();
  Child reader([&] {
    const auto out = QueueConsumer::open(spec(), soon());
    CHILD_EXPECT(out.ok());
    return linger();
  });
  CHECK(wait_for_peer_sync(*in, at_most_a_minute).ok());
  fill(*in);
  Child killer([pid = reader.pid()] {
    os::sleep_ns(60 * kMillisecond);
    return ::kill(pid, SIGKILL);
  });
  const std::string message(1000, 'x');
  CHECK(code_of(push_sync(*in, bytes(message), at_most_a_minute)) == Code::peer_gone);
  CHECK(code_of(end_sync(*in, at_most_a_minute)) == Code::peer_gone);
  CHECK(killer.wait() == 0);
  in->close(true);
}

TEST_CASE_FIXTURE(SmallQueues, "what a producer published before it died is read first") {
  Child writer([&] {
    const auto in = QueueProducer::open(spec(), soon());
    CHILD_EXPECT(in.ok());
    CHILD_EXPECT(push_sync(*in.value(), bytes("last words")).ok());
    return linger();
  });
  auto out = consumer();
  CHECK(wait_for_peer_sync(*out, at_most_a_minute).ok());
  CHECK(eventually([&] { return out->stirred(); }));
  writer.kill();
  const auto message = must(peek_sync(*out, at_most_a_minute));
  REQUIRE(message);
  CHECK(text(message->bytes()) == "last words");
  out->release(*message);
  CHECK(code_of(peek_sync(*out, at_most_a_minute)) == Code::peer_gone);
  CHECK(push_sync(*producer(), bytes("a successor")).ok());
  CHECK(text(must(peek_sync(*out, at_most_a_minute))->bytes()) == "a successor");
  out->close(true);
}

}  // namespace millrace::test::queue_sync_test
