// The blocking calls of a frame channel, and the owners of loans and received frames.
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <millrace/frames_sync.hpp>

#include "blocking.hpp"
#include "frames.hpp"

namespace millrace::test::frames_sync_test {

using namespace millrace;
using namespace millrace::test;

namespace {

void publish_byte(FrameWriter& writer, std::uint8_t value) {
  auto loan = must(loan_sync(writer, at_most_a_minute));
  loan.payload()[0] = std::byte{value};
  REQUIRE(loan.publish(1) != 0);
}

}  // namespace

TEST_CASE_FIXTURE(Frames, "frames pass between two processes that sleep in turns") {
  constexpr std::uint64_t count = 5'000;
  Child other([&] {
    auto opened = open_reader_sync(reader_spec(), at_most_a_minute);
    CHILD_EXPECT(opened.ok());
    FrameReader& in = *opened.value();
    for (std::uint64_t expected = 1;; ++expected) {
      auto received = receive_sync(in, at_most_a_minute);
      CHILD_EXPECT(received.ok());
      if (!received.value()) {
        CHILD_EXPECT(expected == count + 1);
        return 0;
      }
      const HeldFrame& frame = *received.value();
      CHILD_EXPECT(frame.sequence() == expected && frame.missed() == 0);
      CHILD_EXPECT(frame.payload().size() == expected % 257);
      for (const std::byte byte : frame.payload())
        CHILD_EXPECT(byte == std::byte(expected & 0xFFU));
      CHILD_EXPECT(frame.user_header()[0] == std::byte(expected & 0xFFU));
      if (expected % 500 == 0) os::sleep_ns(2 * kMillisecond);
    }
  });
  auto out = writer();
  CHECK(wait_for_readers_sync(*out, 1, at_most_a_minute).ok());
  for (std::uint64_t sequence = 1; sequence <= count; ++sequence) {
    auto loan = must(loan_sync(*out, at_most_a_minute));
    std::memset(loan.payload().data(), static_cast<int>(sequence & 0xFFU), sequence % 257);
    loan.user_header()[0] = std::byte(sequence & 0xFFU);
    REQUIRE(loan.publish(sequence % 257) == sequence);
    if (sequence % 700 == 0) os::sleep_ns(2 * kMillisecond);
  }
  out->close();
  CHECK(other.wait() == 0);
}

TEST_CASE_FIXTURE(Frames, "a loan goes back with its owner, once") {
  auto out = writer();
  const std::uint32_t all = loanable(*out);
  {
    auto loan = must(loan_sync(*out));
    CHECK(loan.payload().size() == 256);
    CHECK(loan.user_header().size() == 64);
    CHECK(loanable(*out) == all - 1);
    LoanedFrame moved(std::move(loan));
    CHECK(loanable(*out) == all - 1);
    moved = must(loan_sync(*out));  // the first goes back
    CHECK(loanable(*out) == all - 1);
    CHECK(moved.publish(257) == 0);  // too long; still on loan
    CHECK(moved.publish(256) == 1);
    CHECK(moved.payload().empty());
    CHECK(moved.publish(1) == 0);
  }
  CHECK(loanable(*out) == all);
  auto late = must(loan_sync(*out));
  out->close();
  CHECK(late.payload().empty());
  CHECK(late.publish(1) == 0);
}

TEST_CASE_FIXTURE(Frames, "a received frame is released with its owner, once") {
  auto out = writer();
  auto in = reader();
  publish_byte(*out, 1);
  publish_byte(*out, 2);
  {
    auto first = *must(receive_sync(*in));
    CHECK(in->held() == 1);
    HeldFrame moved(std::move(first));
    CHECK(in->held() == 1);
    CHECK(moved.payload()[0] == std::byte{1});
    moved = *must(receive_sync(*in));
    CHECK(in->held() == 1);
    CHECK(moved.payload()[0] == std::byte{2});
    CHECK(moved.sequence() == 2);
    CHECK(moved.timestamp() <= os::monotonic_ns());
    moved.release();
    moved.release();
    CHECK(moved.payload().empty());
    CHECK(in->held() == 0);
  }
  publish_byte(*out, 3);
  auto late = *must(receive_sync(*in));
  in->close();
  CHECK(late.payload().empty());
  CHECK(late.user_header().empty());
  late.release();
}

TEST_CASE_FIXTURE(Frames, "the time is over") {
  CHECK(code_of(open_reader_sync(reader_spec(), briefly)) == Code::not_found);
  geometry.slots = 2;
  auto out = writer();
  CHECK(code_of(wait_for_readers_sync(*out, 1, briefly)) == Code::timeout);
  auto in = must(open_reader_sync(reader_spec(), briefly));
  CHECK(wait_for_readers_sync(*out, 1, briefly).ok());
  CHECK(code_of(receive_sync(*in, briefly)) == Code::timeout);
  publish_byte(*out, 1);
  publish_byte(*out, 2);
  CHECK(code_of(loan_sync(*out, briefly)) == Code::timeout);
  const auto held = must(receive_sync(*in));
  CHECK(held);
  CHECK(code_of(receive_sync(*in, briefly)) == Code::too_many_held);
}

TEST_CASE_FIXTURE(Frames, "the writer dies; what it published is received first") {
  Child other([&] {
    const auto out = FrameWriter::open(writer_spec(), soon());
    CHILD_EXPECT(out.ok());
    CHILD_EXPECT(wait_for_readers_sync(*out.value(), 1, at_most_a_minute).ok());
    CHILD_EXPECT(publish(*out.value(), 2));
    return linger();
  });
  auto in = must(open_reader_sync(reader_spec(), at_most_a_minute));
  CHECK(eventually([&] { return in->waiting_frames() == 2; }));
  other.kill();
  CHECK(must(receive_sync(*in, at_most_a_minute))->sequence() == 1);
  CHECK(must(receive_sync(*in, at_most_a_minute))->sequence() == 2);
  CHECK(code_of(receive_sync(*in, at_most_a_minute)) == Code::peer_gone);
}

TEST_CASE_FIXTURE(Frames, "a reader dies while the writer waits for a slot") {
  auto out = writer();
  Child other([&] {
    const auto in = FrameReader::open(reader_spec(), soon());
    CHILD_EXPECT(in.ok());
    return linger();
  });
  CHECK(wait_for_readers_sync(*out, 1, at_most_a_minute).ok());
  CHECK(publish(*out, 8));
  CHECK(code_of(loan_sync(*out, briefly)) == Code::timeout);
  Child killer([pid = other.pid()] {
    os::sleep_ns(60 * kMillisecond);
    return ::kill(pid, SIGKILL);
  });
  CHECK(loan_sync(*out, at_most_a_minute).ok());
  CHECK(killer.wait() == 0);
}

}  // namespace millrace::test::frames_sync_test
