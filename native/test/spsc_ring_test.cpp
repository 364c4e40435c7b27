#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <millrace/os/mapping.hpp>
#include <millrace/os/object.hpp>
#include <millrace/spsc_ring.hpp>

#include "fixture.hpp"

namespace millrace::test::spsc_ring_test {

using namespace millrace;
using namespace millrace::test;

namespace {

// A ring in memory of its own, with both sides on the same addresses: ThreadSanitizer sees the payload.
struct Ring : Names {
  Ring() {
    auto fd = must(os::create_object(name(), 0600));
    REQUIRE(os::allocate_object(fd.get(), capacity, name()).ok());
    data = must(os::map_mirror(fd.get(), 0, capacity, name()));
    os::unlink_object(name());
  }
  [[nodiscard]] RingProducer producer() const { return {control.get(), data->data(), capacity}; }
  [[nodiscard]] RingConsumer consumer() const { return {control.get(), data->data(), capacity}; }
  void start_at(std::uint64_t position) const {
    control->producer.write_position.store(position);
    control->consumer.read_position.store(position);
  }

  const std::uint64_t capacity = os::page_size();
  os::MappingPtr data;
  std::unique_ptr<layout::RingControl> control = std::make_unique<layout::RingControl>();
};

std::vector<std::byte> pattern(std::size_t length, std::uint64_t seed) {
  std::vector<std::byte> bytes(length);
  for (std::size_t i = 0; i < length; ++i)
    bytes[i] = static_cast<std::byte>((seed * 31 + i) % 253);
  return bytes;
}

bool same(const Message& message, const std::vector<std::byte>& expected) {
  return message.status == RingStatus::ok && message.length == expected.size() &&
         (expected.empty() || std::memcmp(message.data, expected.data(), expected.size()) == 0);
}

}  // namespace

TEST_CASE_FIXTURE(Ring, "messages of every size from nothing to the largest pass whole") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  std::vector<std::uint32_t> lengths = {0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000};
  for (std::uint32_t less = 0; less <= 17; ++less) {
    lengths.push_back(static_cast<std::uint32_t>(in.max_message()) - less);
  }
  for (const std::uint32_t length : lengths) {
    CAPTURE(length);
    const auto bytes = pattern(length, length);
    REQUIRE(in.push(bytes.data(), length) == RingStatus::ok);
    const Message message = out.peek();
    CHECK(same(message, bytes));
    out.release(message);
    CHECK(out.peek().status == RingStatus::empty);
  }
}

TEST_CASE_FIXTURE(Ring, "an empty message needs no payload") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  CHECK(in.push(nullptr, 0) == RingStatus::ok);
  CHECK(out.peek().status == RingStatus::ok);
  CHECK(out.peek().length == 0);
}

TEST_CASE_FIXTURE(Ring, "messages wrap at every alignment and stay contiguous") {
  for (std::uint64_t start = 0; start < capacity; start += layout::kRecordAlign) {
    start_at(start);
    RingProducer in = producer();
    RingConsumer out = consumer();
    bool good = true;
    for (const std::uint32_t length :
         {0U, 1U, 8U, 13U, static_cast<std::uint32_t>(in.max_message())}) {
      const auto bytes = pattern(length, start + length);
      good = good && in.push(bytes.data(), length) == RingStatus::ok;
      const Message message = out.peek();
      good = good && same(message, bytes);
      out.release(message);
    }
    CAPTURE(start);
    REQUIRE(good);
  }
}

TEST_CASE_FIXTURE(Ring, "positions may run over the end of 64 bits") {
  start_at(std::uint64_t{0} - capacity / 2);
  RingProducer in = producer();
  RingConsumer out = consumer();
  for (std::uint64_t i = 0; i < 64; ++i) {
    const auto bytes = pattern(100 + i, i);
    REQUIRE(in.push(bytes.data(), static_cast<std::uint32_t>(bytes.size())) == RingStatus::ok);
    const Message message = out.peek();
    REQUIRE(same(message, bytes));
    out.release(message);
  }
}

TEST_CASE_FIXTURE(Ring, "a full ring refuses, takes nothing, and takes again after a release") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  const auto bytes = pattern(24, 1);  // records of 32 bytes fill the ring exactly
  std::uint64_t pushed = 0;
  while (in.push(bytes.data(), 24) == RingStatus::ok)
    ++pushed;
  CHECK(pushed == capacity / 32);
  CHECK(in.push(bytes.data(), 0) == RingStatus::full);
  CHECK(in.reserve(0) == nullptr);
  CHECK(in.room() == 0);
  CHECK(out.available() == capacity);
  out.release(out.peek());
  CHECK(in.has_room(32));
  CHECK_FALSE(in.has_room(33));
  CHECK(in.push(bytes.data(), 24) == RingStatus::ok);
  CHECK(in.push(bytes.data(), 24) == RingStatus::full);
  std::uint64_t received = 1;
  for (Message message = out.peek(); message.status == RingStatus::ok; message = out.peek()) {
    out.release(message);
    ++received;
  }
  CHECK(received == pushed + 1);
  CHECK(in.drained());
  CHECK(control->producer.messages.load() == received);
  CHECK(control->consumer.messages.load() == received);
}

TEST_CASE_FIXTURE(Ring, "what never fits is too large, even in an empty ring") {
  RingProducer in = producer();
  const auto most = static_cast<std::uint32_t>(in.max_message());
  const std::vector<std::byte> bytes(most + 1);
  CHECK(in.push(bytes.data(), most + 1) == RingStatus::too_large);
  CHECK(in.reserve(most + 1) == nullptr);
  CHECK(in.reserve(0xFFFF'FFFFU) == nullptr);
  CHECK(in.push(bytes.data(), most) == RingStatus::ok);
}

TEST_CASE_FIXTURE(Ring, "a reservation is unseen until committed, and may be committed shorter") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  std::byte* place = in.reserve(1000);
  REQUIRE(place != nullptr);
  std::memset(place, 0x5A, 1000);
  CHECK(out.peek().status == RingStatus::empty);
  in.commit(13);
  const Message message = out.peek();
  CHECK(same(message, std::vector<std::byte>(13, std::byte{0x5A})));
  CHECK(out.available() == layout::record_bytes(13));
  out.release(message);
  CHECK(in.room() == capacity);
  CHECK(in.reserve(4) != nullptr);  // one that is never committed
  const auto bytes = pattern(5, 2);
  CHECK(in.push(bytes.data(), 5) == RingStatus::ok);
  CHECK(same(out.peek(), bytes));
}

TEST_CASE_FIXTURE(Ring, "a batch laid down by the caller becomes visible as a whole") {
  start_at(capacity - 24);  // it wraps
  RingProducer in = producer();
  RingConsumer out = consumer();
  REQUIRE(in.has_room(48));
  for (std::uint64_t i = 0; i < 3; ++i) {
    std::byte* record = in.data() + in.next_offset() + i * 16;
    const std::uint64_t header = 8;
    const std::uint64_t value = 100 + i;
    std::memcpy(record, &header, 8);
    std::memcpy(record + 8, &value, 8);
    CHECK(out.peek().status == RingStatus::empty);
  }
  in.publish(48, 3);
  CHECK(out.available() == 48);
  CHECK(out.release_bytes(0, 0));
  CHECK_FALSE(out.release_bytes(64, 4));  // more than there is
  CHECK_FALSE(out.release_bytes(12, 1));  // within a record
  CHECK(out.release_bytes(16, 1));
  for (std::uint64_t i = 1; i < 3; ++i) {
    const Message message = out.peek();
    std::uint64_t value = 0;
    REQUIRE(message.length == 8);
    std::memcpy(&value, message.data, 8);
    CHECK(value == 100 + i);
    out.release(message);
  }
}

TEST_CASE_FIXTURE(Ring,
                  "packed messages go and come as many as fit, in order, beside single ones") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  std::deque<std::vector<std::byte>> expected;
  std::uint64_t seed = 1;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint32_t> lengths(1 + seed % 30);
    std::vector<std::byte> bytes;
    std::vector<std::vector<std::byte>> messages;
    for (std::uint32_t& length : lengths) {
      length = seed % 3 == 0 ? 64 : static_cast<std::uint32_t>(seed * 7 % 150);
      messages.push_back(pattern(length, seed++));
      bytes.insert(bytes.end(), messages.back().begin(), messages.back().end());
    }
    const std::uint64_t sent =
        in.push_packed(bytes, lengths.size(), [&](std::uint64_t i) { return lengths[i]; });
    expected.insert(expected.end(), messages.begin(),
                    messages.begin() + static_cast<std::ptrdiff_t>(sent));

    std::vector<std::byte> target(150 + seed % 2000);
    std::vector<std::uint32_t> found(1 + seed % 20);
    const auto popped = out.pop_packed(target, found);
    REQUIRE(popped.status == (expected.empty() ? RingStatus::empty : RingStatus::ok));
    auto at = target.begin();
    for (std::uint64_t i = 0; i < popped.messages; ++i) {
      const std::vector<std::byte> message(at, at + found[i]);
      REQUIRE(message == expected.front());
      expected.pop_front();
      at += found[i];
    }
    if (round % 4 == 0 && !expected.empty()) {
      const Message message = out.peek();
      REQUIRE(same(message, expected.front()));
      out.release(message);
      expected.pop_front();
    }
  }
  CHECK(seed > 10'000);
}

TEST_CASE_FIXTURE(Ring, "packed messages stop where the bytes end, or at what never fits") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  const std::vector<std::byte> bytes = pattern(100, 1);
  const std::uint32_t lengths[] = {40, 40, 40};
  CHECK(in.push_packed(bytes, 3, [&](std::uint64_t i) { return lengths[i]; }) == 2);
  CHECK(in.push_packed(bytes, 1, [&](std::uint64_t) { return ~0U; }) == 0);
  std::vector<std::byte> target(39);
  std::vector<std::uint32_t> found(4);
  CHECK(out.pop_packed(target, found).status == RingStatus::too_large);
  target.resize(50);
  CHECK(out.pop_packed(target, found).messages == 1);
  CHECK(out.pop_packed(target, {}).status == RingStatus::ok);
  // What was never published is not walked into, whatever its header says.
  std::uint32_t lie = 4000;
  std::memcpy(data->data() + out.next_offset(), &lie, sizeof lie);
  CHECK(out.pop_packed(target, found).status == RingStatus::corrupt);
}

TEST_CASE_FIXTURE(Ring, "a packed batch has what came since the last look") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  const std::vector<std::byte> bytes = pattern(64, 1);
  const auto push = [&](std::uint64_t count) {
    return in.push_packed(bytes, count, [](std::uint64_t) { return 8U; });
  };
  REQUIRE(push(2) == 2);
  CHECK(out.has_data());
  REQUIRE(push(3) == 3);
  std::vector<std::byte> target(64);
  std::vector<std::uint32_t> found(8, 77);
  CHECK(out.pop_packed(target, {found.data(), 1}).messages == 1);
  CHECK(out.pop_packed(target, found).messages == 4);
  CHECK(found[3] == 8);
  CHECK(found[4] == 77);
}

TEST_CASE_FIXTURE(Ring, "a packed batch ends before a length that cannot be, wherever it lies") {
  const std::vector<std::byte> bytes = pattern(16, 1);
  for (const std::uint64_t before : {0U, 8U, 16U, 24U, 32U}) {  // of the end of the ring
    for (const std::uint32_t lie : {9U, 4000U, 0x7fffffffU, 0x80000000U, ~0U - 7U, ~0U}) {
      CAPTURE(before);
      CAPTURE(lie);
      start_at(capacity - before);
      RingProducer in = producer();
      RingConsumer out = consumer();
      REQUIRE(in.push_packed(bytes, 2, [](std::uint64_t) { return 8U; }) == 2);
      std::memcpy(data->data() + ((capacity - before + 16) & (capacity - 1)), &lie, sizeof lie);
      std::vector<std::byte> target(2 * capacity);
      std::vector<std::uint32_t> found(8, 77);
      const auto popped = out.pop_packed(target, found);
      CHECK(popped.status == RingStatus::ok);
      REQUIRE(popped.messages == 1);
      CHECK(std::equal(target.begin(), target.begin() + 8, bytes.begin()));
      CHECK(std::all_of(target.begin() + 8, target.end(),
                        [](std::byte byte) { return byte == std::byte{}; }));
      CHECK(found[1] == 77);
      CHECK(out.pop_packed(target, found).status == RingStatus::corrupt);
    }
  }
}

TEST_CASE_FIXTURE(Ring, "a position that cannot be, met in the middle of a packed batch, ends it") {
  RingProducer in = producer();
  RingConsumer out = consumer();
  const std::vector<std::byte> bytes = pattern(16, 1);
  REQUIRE(in.push_packed(bytes, 2, [](std::uint64_t) { return 8U; }) == 2);
  CHECK(out.has_data());
  control->producer.write_position.store(capacity + 8);
  std::vector<std::byte> target(2 * capacity);
  std::vector<std::uint32_t> found(8);
  CHECK(out.pop_packed(target, found).messages == 2);
  CHECK(out.pop_packed(target, found).status == RingStatus::corrupt);
}

TEST_CASE_FIXTURE(Ring, "either side is replaced where it left off") {
  const auto bytes = pattern(40, 3);
  {
    RingProducer first = producer();
    CHECK(first.push(bytes.data(), 40) == RingStatus::ok);
  }
  RingProducer second = producer();
  CHECK(second.push(bytes.data(), 39) == RingStatus::ok);
  {
    RingConsumer first = consumer();
    const Message message = first.peek();
    CHECK(message.length == 40);
    first.release(message);
    CHECK(first.peek().length == 39);  // seen, not released: it is the successor's
  }
  RingConsumer other = consumer();
  CHECK(other.peek().length == 39);
}

TEST_CASE_FIXTURE(Ring, "a consumer refuses every impossible write position") {
  const std::uint64_t base = std::uint64_t{1} << 40U;
  const auto range = static_cast<std::int64_t>(2 * capacity);
  bool good = true;
  for (std::int64_t delta = -range; delta <= range && good; ++delta) {
    start_at(base);
    RingConsumer out = consumer();
    control->producer.write_position.store(base + static_cast<std::uint64_t>(delta));
    const bool possible =
        delta >= 0 && delta <= static_cast<std::int64_t>(capacity) && delta % 8 == 0;
    const std::uint64_t seen = out.available();
    good = possible ? !out.corrupt() && seen == static_cast<std::uint64_t>(delta)
                    : out.corrupt() && seen == 0 && out.peek().status == RingStatus::corrupt &&
                          out.peek().data == nullptr;
    CAPTURE(delta);
    CHECK(good);
  }
}

TEST_CASE_FIXTURE(Ring,
                  "a consumer refuses a write position that goes back or leaps while it reads") {
  RingProducer in = producer();
  const auto bytes = pattern(8, 1);
  for (int i = 0; i < 4; ++i)
    REQUIRE(in.push(bytes.data(), 8) == RingStatus::ok);
  for (const std::int64_t lie : {-8L, 8L, 63L, static_cast<std::int64_t>(capacity) + 72}) {
    control->consumer.read_position.store(0);
    control->producer.write_position.store(64);
    RingConsumer out = consumer();
    CHECK(out.available() == 64);
    out.release(out.peek());
    control->producer.write_position.store(static_cast<std::uint64_t>(lie));
    CAPTURE(lie);
    CHECK(out.available() == 0);
    CHECK(out.corrupt());
  }
}

TEST_CASE_FIXTURE(Ring, "a consumer refuses a length that exceeds what was published") {
  RingProducer in = producer();
  const auto bytes = pattern(16, 1);
  REQUIRE(in.push(bytes.data(), 16) == RingStatus::ok);  // 24 bytes
  const auto lie = [&](std::uint64_t header) {
    std::memcpy(data->data(), &header, 8);
    RingConsumer out = consumer();
    return out.peek();
  };
  CHECK(lie(16).status == RingStatus::ok);
  CHECK(lie(0).status == RingStatus::ok);
  for (const std::uint64_t length :
       {std::uint64_t{17}, std::uint64_t{24}, capacity - 8, capacity, std::uint64_t{0x7FFF'FFFF},
        std::uint64_t{0xFFFF'FFF8}, std::uint64_t{0xFFFF'FFFF}}) {
    CAPTURE(length);
    const Message message = lie(length);
    CHECK(message.status == RingStatus::corrupt);
    CHECK(message.data == nullptr);
  }
  // Flags nobody knows yet are ignored, as the layout promises.
  const Message flagged = lie((std::uint64_t{0xABCD} << 32U) | 16U);
  CHECK(flagged.status == RingStatus::ok);
  CHECK(flagged.length == 16);
}

TEST_CASE_FIXTURE(Ring, "a producer refuses every impossible read position and writes nothing") {
  const std::uint64_t base = std::uint64_t{1} << 40U;
  const auto range = static_cast<std::int64_t>(2 * capacity);
  bool good = true;
  for (std::int64_t delta = -range; delta <= range && good; ++delta) {
    start_at(base);
    control->consumer.read_position.store(base + static_cast<std::uint64_t>(delta));
    RingProducer in = producer();
    const bool possible =
        delta <= 0 && delta >= -static_cast<std::int64_t>(capacity) && delta % 8 == 0;
    good = in.corrupt() != possible &&
           (!possible || in.room() == capacity - static_cast<std::uint64_t>(-delta));
    CAPTURE(delta);
    CHECK(good);
  }
}

TEST_CASE_FIXTURE(Ring, "a producer refuses a read position that goes back or overtakes it") {
  const auto bytes = pattern(static_cast<std::uint32_t>(capacity) - 8, 1);
  for (const std::int64_t lie : {-8L, 4L, static_cast<std::int64_t>(capacity) + 8}) {
    start_at(0);
    RingProducer in = producer();
    REQUIRE(in.push(bytes.data(), static_cast<std::uint32_t>(bytes.size())) == RingStatus::ok);
    std::memset(data->data(), 0x77, capacity);
    control->consumer.read_position.store(static_cast<std::uint64_t>(lie));
    CAPTURE(lie);
    CHECK(in.push(bytes.data(), 8) == RingStatus::corrupt);
    CHECK(in.reserve(8) == nullptr);
    CHECK(in.room() == 0);
    CHECK_FALSE(in.drained());
    CHECK(control->producer.write_position.load() == capacity);
    CHECK(data->data()[0] == std::byte{0x77});
  }
}

TEST_CASE_FIXTURE(Ring, "a random history of operations agrees with a model") {
  Random random(20'261'121);
  for (int game = 0; game < 20; ++game) {
    start_at(random.below(1U << 20U) * 8);
    RingProducer in = producer();
    RingConsumer out = consumer();
    std::deque<std::vector<std::byte>> model;
    std::uint64_t used = 0;
    bool good = true;
    for (int step = 0; step < rounds(10'000) && good; ++step) {
      const auto length = static_cast<std::uint32_t>(
          random.below(8) == 0 ? random.below(capacity + 16) : random.below(200));
      const std::uint64_t record = layout::record_bytes(length);
      switch (random.below(5)) {
        case 0:
        case 1: {
          const auto bytes = pattern(length, static_cast<std::uint64_t>(step));
          const RingStatus expected = record > capacity          ? RingStatus::too_large
                                      : used + record > capacity ? RingStatus::full
                                                                 : RingStatus::ok;
          good = in.push(bytes.data(), length) == expected;
          if (expected == RingStatus::ok) {
            model.push_back(bytes);
            used += record;
          }
          break;
        }
        case 2: {
          std::byte* place = in.reserve(length);
          good = (place != nullptr) == (used + record <= capacity);
          if (place == nullptr) break;
          const auto bytes = pattern(random.below(length + 1U), static_cast<std::uint64_t>(step));
          if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
          in.commit(static_cast<std::uint32_t>(bytes.size()));
          model.push_back(bytes);
          used += layout::record_bytes(bytes.size());
          break;
        }
        default: {
          const Message message = out.peek();
          if (model.empty()) {
            good = message.status == RingStatus::empty;
            break;
          }
          good = same(message, model.front());
          used -= layout::record_bytes(model.front().size());
          model.pop_front();
          out.release(message);
        }
      }
    }
    CAPTURE(game);
    CHECK(good);
    CHECK(out.available() == used);
  }
}

TEST_CASE_FIXTURE(Ring, "two threads exchange whole messages through the same memory") {
  const std::uint64_t count = static_cast<std::uint64_t>(rounds(500'000));
  bool sent = true;
  std::thread thread([&] {
    RingProducer in = producer();
    std::uint64_t words[8];
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t n = i % 8 + 1;
      for (std::uint64_t k = 0; k < n; ++k)
        words[k] = i * 8 + k;
      for (;;) {
        const RingStatus status = in.push(words, static_cast<std::uint32_t>(n * 8));
        if (status == RingStatus::ok) break;
        if (status != RingStatus::full) {
          sent = false;
          return;
        }
        std::this_thread::yield();
      }
    }
  });
  RingConsumer out = consumer();
  bool good = true;
  for (std::uint64_t i = 0; i < count && good; ++i) {
    Message message = out.peek();
    while (message.status == RingStatus::empty) {
      std::this_thread::yield();
      message = out.peek();
    }
    const std::uint64_t n = i % 8 + 1;
    good = message.status == RingStatus::ok && message.length == n * 8;
    for (std::uint64_t k = 0; good && k < n; ++k) {
      std::uint64_t word = 0;
      std::memcpy(&word, message.data + k * 8, 8);
      good = word == i * 8 + k;
    }
    out.release(message);
  }
  CHECK(good);
  thread.join();
  CHECK(sent);
}

}  // namespace millrace::test::spsc_ring_test
