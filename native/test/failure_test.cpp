// Sides that say that they have failed: what the other one learns, when, and until when; and what a liar can
// do with it.
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include <millrace/failure.hpp>
#include <millrace/frames_sync.hpp>
#include <millrace/queue_sync.hpp>

#include "blocking.hpp"
#include "frames.hpp"
#include "queues.hpp"

namespace millrace::test::failure_test {

using namespace millrace;
using namespace millrace::test;

namespace {

bool push(QueueProducer& producer, std::uint64_t value) {
  return producer.try_push(&value, sizeof value) == RingStatus::ok;
}
layout::RoleRecord& record(const Segment& segment, std::uint32_t role) {
  return segment.at<layout::RoleRecord>(layout::kRolesOffset)[role];
}
// Is that well-formed UTF-8 without controls? By another way than the one that makes it so.
bool is_one_line(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto next = detail::first_character(std::string_view(text).substr(i));
    if (next.bytes == 0 || detail::is_control(next.point)) return false;
    i += next.bytes;
  }
  return true;
}

struct SmallQueues : Queues {
  SmallQueues() { capacity = 4096; }
};

}  // namespace

TEST_CASE("a reason is cut where a character ends") {
  CHECK(detail::cut_text("abc", 3) == "abc");
  CHECK(detail::cut_text("abcd", 3) == "abc");
  CHECK(detail::cut_text("a\xC3\xA4z", 2) == "a");
  CHECK(detail::cut_text("a\xC3\xA4z", 3) == "a\xC3\xA4");
  CHECK(detail::cut_text("\xF0\x9F\x92\xA9!", 3).empty());
  CHECK(detail::cut_text("\xF0\x9F\x92\xA9!", 4) == "\xF0\x9F\x92\xA9");
  CHECK(detail::cut_text("\x80\x80\x80\x80", 2).empty());
}

TEST_CASE("what others wrote becomes one line of valid text") {
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(detail::printable("").empty());
  CHECK(detail::printable("plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x92\xA9") ==
        "plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x92\xA9");
  CHECK(detail::printable("a\nb\t\x1B[31mc\x7F") == "a b  [31mc ");
  CHECK(detail::printable("\xC2\x85\xE2\x80\xA8\xE2\x80\xAE\xE2\x81\xA6") == "    ");
  CHECK(detail::printable("\xFF"
                          "a") == bad + "a");
  CHECK(detail::printable("\xC3") == bad);                                // cut off
  CHECK(detail::printable("\xC0\xAF") == bad + bad);                      // overlong
  CHECK(detail::printable("\xE0\x80\xAF") == bad + bad + bad);            // likewise
  CHECK(detail::printable("\xED\xA0\x80") == bad + bad + bad);            // a surrogate
  CHECK(detail::printable("\xF4\x90\x80\x80") == bad + bad + bad + bad);  // beyond the last one
}

TEST_CASE_FIXTURE(
    Queues,
    "a producer that gives up is heard of after its last message, and until the next one comes") {
  auto out = consumer();
  auto in = producer();
  CHECK(push(*in, 1));
  in->abort("the disk is full");
  CHECK_FALSE(in->side().open());
  CHECK(out->side().peer() == Peer::failed);
  CHECK(out->side().peer_left());
  CHECK(out->side().peer_reason() == "the disk is full");
  const auto message = must(peek_sync(*out, at_most_a_minute));
  REQUIRE(message);
  out->release(*message);
  for (int i = 0; i < 2; ++i) {
    const auto failed = peek_sync(*out, at_most_a_minute);
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().code == Code::peer_failed);
    CHECK(failed.error().message ==
          "the producer of queue '" + name() + "' (process " + std::to_string(::getpid()) +
              ") failed: the disk is full; everything that it sent is read: "
              "wait for another, or close");
  }
  in = producer();
  CHECK(out->side().peer() == Peer::attached);
  in->close(false);
  CHECK(out->side().peer() == Peer::closed);
  CHECK_FALSE(must(peek_sync(*out, at_most_a_minute)));
  in = producer();
  in->abort({});
  CHECK(out->side().peer() == Peer::failed);
  CHECK(out->side().peer_reason().empty());
  CHECK(peek_sync(*out, at_most_a_minute).error().message.find("failed, and gave no reason;") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(SmallQueues, "a consumer that gives up is heard of where its leaving is") {
  auto out = consumer();
  auto in = producer();
  while (push(*in, 7)) {
  }
  std::thread giving_up([&] {
    os::sleep_ns(5 * kMillisecond);
    out->abort("no such table");
  });
  const std::uint64_t value = 8;
  const auto failed = push_sync(*in, std::as_bytes(std::span(&value, 1)), at_most_a_minute);
  giving_up.join();
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == Code::peer_failed);
  CHECK(failed.error().message.find("the consumer of queue '" + name()) != std::string::npos);
  CHECK(failed.error().message.find("failed: no such table; wait") != std::string::npos);
  const auto ended = end_sync(*in, at_most_a_minute);
  REQUIRE_FALSE(ended.ok());
  CHECK(ended.error().code == Code::peer_failed);
  CHECK(in->side().open());
  out = consumer();
  CHECK(in->side().peer() == Peer::attached);
  in->close(true);
  out->close(true);
}

TEST_CASE_FIXTURE(Queues, "with what is unread the news waits for the next consumer") {
  auto in = producer();
  CHECK(push(*in, 1));
  in->abort("half of it");
  CHECK(exists());
  auto out = consumer();
  CHECK(out->side().peer() == Peer::failed);
  const auto message = must(peek_sync(*out, at_most_a_minute));
  REQUIRE(message);
  out->release(*message);
  CHECK(peek_sync(*out, at_most_a_minute).error().code == Code::peer_failed);
  CHECK(out->side().peer_reason() == "half of it");
  out->close(false);
  CHECK_FALSE(exists());
  in = producer();
  in->abort("nothing of it");
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Queues, "a reason of any length and any bytes") {
  auto out = consumer();
  const auto told = [&](std::string_view reason) {
    producer()->abort(reason);
    CHECK(out->side().peer() == Peer::failed);
    return out->side().peer_reason();
  };
  const std::string exactly(200, 'x');
  CHECK(told(exactly) == exactly);
  CHECK(told(exactly + "y") == exactly);
  CHECK(told("short") == "short");  // nothing is left of the longer one
  CHECK(told(std::string(199, 'x') + "\xC3\xA4") == std::string(199, 'x'));
  CHECK(told(std::string(198, 'x') + "\xC3\xA4") == std::string(198, 'x') + "\xC3\xA4");
  CHECK(told(std::string_view("a\0b", 3)) == "a");
  CHECK(told("\xFF") == "\xEF\xBF\xBD");
}

TEST_CASE_FIXTURE(Queues, "a holder of a version that does not know the mark makes it void") {
  auto out = consumer();
  producer()->abort("then");
  CHECK(out->side().peer() == Peer::failed);
  // As such a holder comes and goes: it leaves the mark and the reason alone.
  layout::RoleRecord& theirs = record(out->side().segment(), layout::kProducerRole);
  theirs.epoch.fetch_add(1);
  theirs.state.store(static_cast<std::uint32_t>(layout::RoleState::attached));
  CHECK(out->side().peer() == Peer::gone);
  theirs.state.store(static_cast<std::uint32_t>(layout::RoleState::closed));
  CHECK(out->side().peer() == Peer::closed);
  CHECK(out->side().peer_reason().empty());
}

TEST_CASE_FIXTURE(
    Queues, "promise: lies – whatever stands where the reason belongs, it is one line of text") {
  auto out = consumer();
  producer()->abort("true");
  const Segment& segment = out->side().segment();
  layout::RoleRecord& theirs = record(segment, layout::kProducerRole);
  auto* reasons = segment.at<layout::QueueReason>(layout::kQueueReasonsOffset);
  Random random(4711);
  for (int i = 0; i < rounds(2000); ++i) {
    for (auto& word : reasons[layout::kProducerRole].words)
      word.store(random.next());
    CHECK(out->side().peer() == Peer::failed);
    const std::string reason = out->side().peer_reason();
    CHECK(reason.size() <= 3 * layout::kReasonBytes);
    CHECK(is_one_line(reason));
  }
  for (auto& word : reasons[layout::kProducerRole].words)
    word.store(~std::uint64_t{0});  // no zero that ends it
  CHECK(out->side().peer_reason().size() == 3 * layout::kReasonBytes);
  // Marks that nobody made.
  for (const std::uint32_t mark : {0U, 2U, 0xFFFFFFFFU}) {
    theirs.failed.store(mark);
    CHECK(out->side().peer() == Peer::closed);
  }
  theirs.epoch.store(0);
  theirs.failed.store(0);
  CHECK(out->side().peer() == Peer::closed);
}

TEST_CASE_FIXTURE(Queues, "somebody who comes and goes all the time is never taken for another") {
  auto out = consumer();
  std::atomic<bool> over{false};
  // By turns one gives up and one closes.
  std::thread others([&] {
    const os::Deadline deadline = soon();
    for (std::uint64_t i = 1; i <= static_cast<std::uint64_t>(rounds(2000)); ++i) {
      auto in = producer();
      if (i % 2 == 0) {
        in->abort("turn " + std::to_string(i));
      } else {
        in->close(false);
      }
      if (deadline.passed()) break;
    }
    over.store(true);
  });
  std::uint64_t failures = 0;
  while (!over.load()) {
    if (out->side().peer() != Peer::failed) continue;
    // By now it may be that of a later one, or nobody's any more; never a mixture.
    const std::string reason = out->side().peer_reason();
    if (reason.empty()) continue;
    ++failures;
    const bool whole = reason.starts_with("turn ") &&
                       reason.find_first_not_of("0123456789", 5) == std::string::npos &&
                       std::stoull(reason.substr(5)) % 2 == 0;
    if (!whole) FAIL(reason);
  }
  others.join();
  MESSAGE("failures seen: " << failures);
  CHECK(out->side().peer() == Peer::failed);
}

TEST_CASE_FIXTURE(Frames, "a writer that gives up is heard of by each reader, after its frames") {
  auto out = writer();
  auto in = reader();
  auto late = reader(Policy::drop_newest);
  CHECK(publish(*out, 2));
  const std::string reason = std::string(120, 'a') + " and " + std::string(75, 'z');
  out->abort(reason);
  for (FrameReader* each : {in.get(), late.get()}) {
    CHECK(each->writer() == Peer::failed);
    CHECK(each->writer_left());
    for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
      const auto frame = must(receive_sync(*each, at_most_a_minute));
      REQUIRE(frame);
      CHECK(frame->sequence() == sequence);
    }
    const auto failed = receive_sync(*each, at_most_a_minute);
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().code == Code::peer_failed);
    CHECK(failed.error().message ==
          "the writer of frame channel '" + name() + "' (process " + std::to_string(::getpid()) +
              ") failed: " + reason +
              "; everything that it published is received: wait for another, or close");
  }
  out = writer();
  CHECK(in->writer() == Peer::attached);
  CHECK(publish(*out));
  const auto frame = must(receive_sync(*in, at_most_a_minute));
  CHECK(frame->sequence() == 3);
  out->close();
  CHECK(in->writer() == Peer::closed);
}

TEST_CASE_FIXTURE(
    Frames,
    "promise: lies – whatever stands where a writer's reason belongs, it is one line of text") {
  auto out = writer();
  auto in = reader();
  out->abort("true");
  auto& control = *in->segment().at<layout::WriterControl>(layout::kWriterControlOffset);
  Random random(4712);
  for (int i = 0; i < rounds(2000); ++i) {
    for (auto& word : control.sequence.reason)
      word.store(random.next());
    for (auto& word : control.lanes.reason_rest)
      word.store(random.next());
    CHECK(in->writer() == Peer::failed);
    CHECK(is_one_line(in->writer_reason()));
  }
}

}  // namespace millrace::test::failure_test
