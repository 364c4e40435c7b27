#include <memory>
#include <thread>
#include <vector>

#include <millrace/lane_queue.hpp>

#include "fixture.hpp"

namespace millrace::test::lane_queue_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kSlots = 8;

// A lane in memory of its own, as one would lie in a segment.
struct OneLane : Names {
  [[nodiscard]] LaneView view() const {
    return {&shared->lane, shared->cells, &shared->ledger, kSlots - 1};
  }
  struct Parts {
    layout::Lane lane;
    std::atomic<std::uint64_t> cells[kSlots];
    std::atomic<std::uint64_t> ledger;
  };
  std::unique_ptr<Parts> shared = std::make_unique<Parts>();
};

bool queued(const LaneProducer& in, std::uint64_t descriptor) {
  bool found = false;
  in.for_each_queued([&](std::uint64_t one) { found = found || one == descriptor; });
  return found;
}

}  // namespace

TEST_CASE_FIXTURE(OneLane, "descriptors come out in order; the ledger tells which are out") {
  LaneProducer in(view());
  LaneConsumer out(view());
  CHECK(out.take(kSlots).empty);
  for (std::uint32_t i = 0; i < kSlots; ++i)
    in.push(layout::make_descriptor(100 + i, i));
  CHECK(in.backlog() == kSlots);
  CHECK(out.entries() == kSlots);
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    CHECK(queued(in, layout::make_descriptor(100 + i, i)));
    const LaneConsumer::Taken taken = out.take(kSlots);
    CHECK_FALSE(taken.empty);
    CHECK(taken.slot == i);
    CHECK(taken.sequence == 100 + i);
    CHECK(view().marked(i));
    CHECK_FALSE(queued(in, layout::make_descriptor(100 + i, i)));
    view().unmark(i);
  }
  CHECK(out.take(kSlots).empty);
  CHECK(shared->ledger.load() == 0);
}

TEST_CASE_FIXTURE(OneLane, "the producer takes the oldest back, and nothing from an empty queue") {
  LaneProducer in(view());
  LaneConsumer out(view());
  CHECK_FALSE(in.evict().has_value());
  CHECK_FALSE(in.oldest().has_value());
  in.push(layout::make_descriptor(1, 1));
  in.push(layout::make_descriptor(2, 2));
  CHECK(in.oldest() == layout::make_descriptor(1, 1));
  CHECK(in.evict() == layout::make_descriptor(1, 1));
  CHECK(out.take(kSlots).sequence == 2);
  CHECK_FALSE(in.evict().has_value());
}

TEST_CASE_FIXTURE(OneLane, "what is queued is told as of one instant") {
  LaneProducer in(view());
  LaneConsumer out(view());
  CHECK(out.queued()->count == 0);
  CHECK(out.queued()->newest == 0);
  in.push(layout::make_descriptor(7, 0));
  in.push(layout::make_descriptor(9, 1));
  CHECK(out.queued()->count == 2);
  CHECK(out.queued()->newest == 9);
  CHECK(in.evict().has_value());
  CHECK(out.queued()->count == 1);
  CHECK(out.queued()->newest == 9);
  CHECK_FALSE(out.take(kSlots).empty);
  CHECK(out.queued()->count == 0);
  shared->lane.reader.read_position.store(shared->lane.writer.write_position.load() - kSlots - 1);
  CHECK_FALSE(out.queued().has_value());
}

// With a single cell the next descriptor is written over the last before the position moves: the window in
// which a look could mix the two. This producer lingers in it.
TEST_CASE_FIXTURE(OneLane, "a look at a queue never mixes two instants") {
  LaneView one = view();
  one.mask = 0;
  auto& reads = one.lane->reader.read_position;
  auto& writes = one.lane->writer.write_position;
  LaneConsumer out(one);
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> looks = 0;
  std::atomic<std::uint64_t> mixed = 0;
  std::thread looker([&] {
    while (!done.load()) {
      const std::uint64_t before = writes.load();
      const auto now = out.queued();
      const std::uint64_t after = writes.load();
      if (!now || now->count == 0) continue;
      ++looks;
      // The frame of sequence n moves the position to n.
      if (now->newest < before || now->newest > after) ++mixed;
    }
  });
  constexpr int kLinger = 200;
  const auto linger = [] {
    for (int i = 0; i < kLinger; ++i)
      std::atomic_signal_fence(std::memory_order_seq_cst);
  };
  for (std::uint64_t sequence = 1; sequence <= 100'000 || looks.load() < 1000; ++sequence) {
    one.cells[0].store(layout::make_descriptor(sequence, 0), std::memory_order_release);
    linger();
    writes.store(sequence, std::memory_order_release);
    linger();
    reads.store(sequence, std::memory_order_release);  // as an eviction does
  }
  done = true;
  looker.join();
  CHECK(mixed.load() == 0);
}

TEST_CASE_FIXTURE(OneLane, "a successor of the producer knows what is queued") {
  {
    LaneProducer first(view());
    for (std::uint32_t i = 0; i < 5; ++i)
      first.push(layout::make_descriptor(10 + i, i));
    CHECK(first.evict().has_value());
  }
  LaneProducer second(view());
  CHECK(second.backlog() == 4);
  CHECK_FALSE(queued(second, layout::make_descriptor(10, 0)));
  CHECK(queued(second, layout::make_descriptor(14, 4)));
  CHECK(second.evict() == layout::make_descriptor(11, 1));
  LaneConsumer out(view());
  out.skip_all();
  CHECK_FALSE(out.has_entry());
  CHECK(second.backlog() == 0);
}

TEST_CASE_FIXTURE(OneLane, "impossible positions and slots are noticed") {
  LaneProducer in(view());
  LaneConsumer out(view());
  in.push(layout::make_descriptor(1, 1));
  SUBCASE("a read position ahead of the producer") {
    shared->lane.reader.read_position.store(2);
    CHECK_FALSE(in.backlog().has_value());
    CHECK_FALSE(in.evict().has_value());
    CHECK_FALSE(in.oldest().has_value());
    CHECK_FALSE(queued(in, layout::make_descriptor(1, 1)));
    CHECK(out.take(kSlots).corrupt);
  }
  SUBCASE("a read position further back than the queue is long") {
    shared->lane.reader.read_position.store(std::uint64_t{0} - kSlots);
    CHECK_FALSE(in.backlog().has_value());
    CHECK_FALSE(in.evict().has_value());
  }
  SUBCASE("a write position that leaps") {
    shared->lane.writer.write_position.store(kSlots + 1);
    CHECK(out.take(kSlots).corrupt);
    CHECK(out.take(kSlots).empty);
  }
  SUBCASE("a slot that does not exist") {
    for (const std::uint32_t slot : {kSlots, 0xFFFFU}) {
      shared->cells[0].store(layout::make_descriptor(1, slot));
      CHECK(out.take(kSlots).corrupt);
    }
    // What the reader sees is not what the writer takes back.
    CHECK(in.evict() == layout::make_descriptor(1, 1));
  }
}

TEST_CASE_FIXTURE(OneLane, "of two threads exactly one gets each descriptor") {
  const std::uint64_t count = static_cast<std::uint64_t>(rounds(1'000'000));
  std::vector<std::uint64_t> evicted;
  std::vector<std::uint64_t> taken;
  std::atomic<bool> done{false};
  evicted.reserve(count);
  taken.reserve(count);
  bool good = true;
  std::thread writer([&] {
    LaneProducer in(view());
    Random random(1);
    for (std::uint64_t i = 1; i <= count; ++i) {
      const std::uint64_t depth = 1 + random.below(kSlots);
      for (auto backlog = in.backlog(); backlog && *backlog >= depth; backlog = in.backlog()) {
        if (const auto descriptor = in.evict()) evicted.push_back(*descriptor);
      }
      in.push(layout::make_descriptor(i, static_cast<std::uint32_t>(i % kSlots)));
    }
    done.store(true);
  });
  LaneConsumer out(view());
  Random random(2);
  for (;;) {
    const bool last = done.load();
    const LaneConsumer::Taken one = out.take(kSlots);
    if (one.corrupt) {
      good = false;
      break;
    }
    if (one.empty) {
      if (last) break;
      continue;
    }
    good = good && view().marked(one.slot) && one.slot == one.sequence % kSlots;
    taken.push_back(one.sequence);
    view().unmark(one.slot);
    for (std::uint64_t pause = random.below(20); pause > 0; --pause)
      os::spin_hint();
  }
  writer.join();
  CHECK(good);
  std::vector<std::uint8_t> owners(count + 1, 0);
  for (const std::uint64_t sequence : taken)
    ++owners.at(sequence);
  for (const std::uint64_t descriptor : evicted)
    ++owners.at(layout::descriptor_sequence(descriptor));
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 1; i <= count; ++i)
    wrong += owners[i] == 1 ? 0 : 1;
  CHECK(wrong == 0);
  CHECK(taken.size() + evicted.size() == count);
  CHECK(shared->ledger.load() == 0);
}

}  // namespace millrace::test::lane_queue_test
