// The ids of jobs: the second push of an id is told so, and never of a push that came to nothing.
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <millrace/work/keys.hpp>

#include "fixture.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_keys_test {

using namespace millrace;
using namespace millrace::test;
using Answer = Keys::Answer;

namespace {

// A table, and slots of which only the words matter. Slot n is pushed to by seat n.
struct Table {
  explicit Table(std::uint32_t count) : buckets(count), words(1024) {}

  [[nodiscard]] Keys keys(std::uint16_t seat = 0) {
    return {buckets.data(), static_cast<std::uint32_t>(buckets.size()), seat};
  }
  void write(std::uint32_t slot, layout::SlotState state, std::uint32_t token) {
    layout::Word word;
    word.state = state;
    word.token = token;
    words[slot].store(layout::pack(word), std::memory_order_release);
  }
  auto is_pushed() {
    return [this](std::uint32_t slot, std::uint32_t born) {
      if (slot >= words.size()) return true;
      const auto word = layout::unpack(words[slot].load(std::memory_order_acquire));
      return word.state != layout::SlotState::writing || word.token != born;
    };
  }
  // Begins a push of that id.
  Keys::Found begin(std::string_view id, std::uint32_t slot, std::uint32_t born, std::uint64_t now,
                    std::uint64_t until, std::uint16_t seat = 0) {
    write(slot, layout::SlotState::writing, born);
    return keys(seat).look_up(hash(id), slot, born, now, until, is_pushed());
  }
  [[nodiscard]] static IdHash hash(std::string_view id) { return id_hash(id, 1, 1); }
  [[nodiscard]] std::uint32_t home(std::string_view id) { return keys().home(hash(id)); }
  [[nodiscard]] layout::KeyBucket& bucket_of(std::string_view id) { return buckets[home(id)]; }

  std::vector<layout::KeyBucket> buckets;
  std::vector<std::atomic<std::uint64_t>> words;
};

std::string hex(const IdHash& hash) {
  std::array<char, 33> text{};
  const auto byte = [](std::uint64_t value, int i) {
    return static_cast<unsigned>(value >> 8 * i & 0xFFU);
  };
  for (int i = 0; i < 8; ++i) {
    (void)std::snprintf(text.data() + 2 * i, 3, "%02x", byte(hash.low, i));
  }
  for (int i = 0; i < 8; ++i) {
    (void)std::snprintf(text.data() + 16 + 2 * i, 3, "%02x", byte(hash.high, i));
  }
  return text.data();
}

}  // namespace

TEST_CASE("work ids: the hash is the one that was published") {
  // With two rounds and four, as in the vectors of its authors: key 00 01 … 0f, text 00 01 ….
  const auto published = [](std::string_view text) {
    return hex(detail::SipHash128<2, 4>::of(text, 0x0706050403020100ULL, 0x0F0E0D0C0B0A0908ULL));
  };
  CHECK(published("") == "a3817f04ba25a8e66df67214c7550293");
  CHECK(published(std::string(1, '\0')) == "da87c1d86b99af44347659119b22fc45");
  CHECK(published(std::string("\0\1", 2)) == "8177228da4a45dc7fca38bdef60affe4");

  std::set<std::string> seen;
  const std::string text = "the same text, longer and longer";
  for (std::size_t i = 0; i <= text.size(); ++i)
    CHECK(seen.insert(hex(id_hash(std::string_view(text).substr(0, i), 7, 1))).second);
  CHECK(seen.insert(hex(id_hash(text, 8, 1))).second);
  CHECK(seen.insert(hex(id_hash(text, 7, 2))).second);
}

TEST_CASE("work seat lock: one holder, named by its seat") {
  layout::SeatLock lock{};
  {
    const auto held = SeatLockHold::try_lock(lock, 7);
    CHECK(static_cast<bool>(held));
    CHECK(SeatLockHold::holder(lock) == std::uint16_t{7});
    CHECK_FALSE(static_cast<bool>(SeatLockHold::try_lock(lock, 8)));
    CHECK_FALSE(static_cast<bool>(SeatLockHold::lock(lock, 8)));  // and not for ever
    CHECK_FALSE(static_cast<bool>(SeatLockHold::inherit(lock, 8)));
  }
  CHECK(SeatLockHold::holder(lock) == std::nullopt);
  auto held = SeatLockHold::lock(lock, 2047);
  CHECK(SeatLockHold::holder(lock) == std::uint16_t{2047});
  auto moved = std::move(held);
  CHECK(static_cast<bool>(moved));
  moved.unlock();
  CHECK(SeatLockHold::holder(lock) == std::nullopt);

  // Its holder dies with it, and so does the first undertaker.
  lock.word = 3 << 16U | 6U;
  { CHECK(static_cast<bool>(SeatLockHold::inherit(lock, 5))); }
  CHECK(SeatLockHold::holder(lock) == std::nullopt);
  // A lock whose word somebody overwrote is not freed for another.
  auto robbed = SeatLockHold::try_lock(lock, 1);
  lock.word = 9;
  robbed.unlock();
  CHECK(lock.word == 9);
}

TEST_CASE("work seat lock: threads take turns") {
  layout::SeatLock lock{};
  std::uint64_t count = 0;  // plain: the sanitizer watches
  std::vector<std::thread> threads;
  for (std::uint16_t seat = 0; seat < 4; ++seat) {
    threads.emplace_back([&, seat] {
      for (int i = 0; i < rounds(20'000);) {
        if (const auto held = SeatLockHold::lock(lock, seat)) {
          ++count;
          ++i;
        }
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  CHECK(count == std::uint64_t{4} * static_cast<std::uint64_t>(rounds(20'000)));
}

TEST_CASE(
    "work ids: the second push is a duplicate from when the first is published to the end of its "
    "window") {
  Table table(4);
  CHECK(table.begin("a", 1, 10, 0, 100).answer == Answer::fresh);
  CHECK(table.begin("b", 2, 20, 0, 100).answer == Answer::fresh);
  // Not published: it may come to nothing.
  const auto busy = table.begin("a", 3, 30, 1, 101);
  CHECK(busy.answer == Answer::busy);
  CHECK(busy.slot == 1U);
  CHECK(busy.holder == std::nullopt);
  // Nor when its window has ended: its pusher may still publish it.
  CHECK(table.begin("a", 3, 31, 100, 200).answer == Answer::busy);

  table.write(1, layout::SlotState::ready, 10);
  CHECK(table.begin("a", 3, 32, 99, 199).answer == Answer::duplicate);
  table.write(1, layout::SlotState::writing, 12);  // done, and its slot has another job
  CHECK(table.begin("a", 3, 33, 99, 199).answer == Answer::duplicate);
  CHECK(table.keys().remembered(99) == 2);
  CHECK(table.begin("a", 3, 34, 100, 200).answer == Answer::fresh);
  table.write(3, layout::SlotState::ready, 34);
  CHECK(table.begin("a", 4, 40, 199, 299).answer == Answer::duplicate);
  CHECK(table.keys().remembered(150) == 1);
}

TEST_CASE("work ids: a push that is given up leaves nothing") {
  Table table(2);
  REQUIRE(table.begin("a", 1, 10, 0, 100).answer == Answer::fresh);
  table.keys().cancel(table.home("a"), 1, 9);  // another's
  table.keys().cancel(table.home("a"), 2, 10);
  CHECK(table.begin("a", 3, 30, 1, 101).answer == Answer::busy);
  table.keys().cancel(table.home("a") + 2 * 77, 1, 10);
  table.write(1, layout::SlotState::free, 10);
  CHECK(table.begin("a", 3, 31, 1, 101).answer == Answer::fresh);
  table.write(3, layout::SlotState::ready, 31);
  REQUIRE(table.begin("a", 5, 50, 1, 101).answer == Answer::duplicate);
  table.keys().cancel(table.home("a"), 3, 31);  // it is certain by now
  CHECK(table.keys().remembered(2) == 1);
}

TEST_CASE("work ids: with no room left the one that ends first goes, and it is said") {
  Table table(1);
  for (std::uint32_t i = 0; i < layout::kKeysPerBucket; ++i) {
    const auto found = table.begin("key " + std::to_string(i), i, 1, 0, 100 + i * 7 % 15);
    CHECK(found.answer == Answer::fresh);
    CHECK_FALSE(found.dropped);
  }
  // All are being pushed: none of them may go.
  CHECK(table.begin("more", 20, 1, 1, 200).answer == Answer::busy);
  for (std::uint32_t i = 0; i < layout::kKeysPerBucket; ++i)
    table.write(i, layout::SlotState::ready, 1);
  const auto found = table.begin("more", 20, 2, 1, 200);
  CHECK(found.answer == Answer::fresh);
  CHECK(found.dropped);
  table.write(20, layout::SlotState::ready, 2);
  CHECK(table.begin("key 1", 21, 1, 1, 200).answer == Answer::duplicate);
  CHECK(table.begin("key 0", 21, 2, 1, 201).answer == Answer::fresh);  // 100: it went
  // Those whose time is over go first, and that is not worth a word.
  table.write(21, layout::SlotState::ready, 2);
  const auto late = table.begin("late", 22, 1, 110, 300);
  CHECK(late.answer == Answer::fresh);
  CHECK_FALSE(late.dropped);
}

TEST_CASE("work ids: somebody dead has the bucket") {
  Table table(2);
  auto& bucket = table.bucket_of("a");
  bucket.lock.word = 5 << 16U | (7U + 1U);
  const auto busy = table.begin("a", 1, 10, 0, 100);
  CHECK(busy.answer == Answer::busy);
  CHECK(busy.holder == std::uint16_t{7});
  table.keys(1).bury(6, table.home("a"), 7, 70);
  CHECK(table.begin("a", 1, 11, 0, 100).answer == Answer::busy);
  table.keys(1).bury(7, table.home("a"), 7, 70);
  table.keys(1).bury(7, table.home("a"), 7, 70);
  CHECK(table.begin("a", 1, 12, 0, 100).answer == Answer::fresh);
}

TEST_CASE("work ids: without a table nothing happens") {
  Keys none;
  CHECK_FALSE(none.enabled());
  none.cancel(3, 1, 1);
  none.bury(1, 3, 1, 1);
  CHECK(none.remembered(0) == 0);
}

TEST_CASE(
    "work ids: of many pushers of the same ids exactly one pushes each, or it is pushed by none") {
  // Threads as pushers; each gives some of its pushes up.
  constexpr std::uint32_t ids = 200;  // some three in a bucket
  constexpr std::uint16_t pushers = 4;
  Table table(64);
  std::array<std::atomic<std::uint32_t>, ids> pushed{};
  std::array<std::atomic<std::uint32_t>, ids> duplicates{};
  std::atomic<std::uint32_t> dropped{0};
  std::vector<std::thread> threads;
  for (std::uint16_t seat = 0; seat < pushers; ++seat) {
    threads.emplace_back([&, seat] {
      Random random(seat + 5);
      Keys keys = table.keys(seat);
      std::uint32_t born = 0;
      for (int turn = 0; turn < rounds(20'000); ++turn) {
        const auto which = static_cast<std::uint32_t>(random.below(ids));
        const IdHash id = Table::hash(std::to_string(which));
        table.write(seat, layout::SlotState::writing, ++born);
        const auto found = keys.look_up(id, seat, born, 1, 2, table.is_pushed());
        if (found.dropped) dropped.fetch_add(1);
        if (found.answer == Answer::duplicate) duplicates[which].fetch_add(1);
        if (found.answer != Answer::fresh) continue;
        if (random.chance(60)) {
          keys.cancel(keys.home(id), seat, born);
        } else {
          pushed[which].fetch_add(1);
          table.write(seat, layout::SlotState::ready, born);
          continue;
        }
        table.write(seat, layout::SlotState::free, born);
      }
      table.write(seat, layout::SlotState::free, ++born);
    });
  }
  for (auto& thread : threads)
    thread.join();
  std::uint32_t some = 0;
  for (std::uint32_t which = 0; which < ids; ++which) {
    CHECK(pushed[which].load() <= 1);
    if (pushed[which].load() == 0) CHECK(duplicates[which].load() == 0);
    some += pushed[which].load();
  }
  CHECK(dropped.load() == 0);
  CHECK(some > ids / 2);
  CHECK(table.keys().remembered(1) == some);
}

}  // namespace millrace::test::work_keys_test
