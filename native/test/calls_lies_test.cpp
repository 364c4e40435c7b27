// Calls whose segment lies: any word of it may say anything at any time. Nobody crashes, reads or writes elsewhere, or goes round
// for ever; what calls become of it is the liar's loss.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "calls.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_lies_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

struct Lying : Calls {
  [[nodiscard]] CallSpec spec() const {
    CallSpec spec = Calls::spec();
    spec.seats = 6;
    spec.calls = 70;
    spec.bytes = 64 * 1024;
    return spec;
  }
};

// Writes where it likes, now and then something that could be true.
class Liar {
 public:
  Liar(const CallQueue& queue, std::uint64_t seed) : random_(seed) {
    const WorkShape& shape = queue.parties().shape();
    std::byte* const base = queue.parties().segment().at<std::byte>(0);
    std::byte* const data = queue.data()->data();
    const auto part = [&](std::byte* from, std::uint64_t bytes) {
      parts_.push_back({reinterpret_cast<std::atomic<std::uint64_t>*>(from), bytes / 8});
    };
    part(base + shape.control_at() + 128, 256);  // what leads to calls, and who looks for the dead
    part(base + shape.seat_records_at(), std::uint64_t{shape.seats} * sizeof(layout::SeatRecord));
    part(base + shape.ring_ends_at(), shape.links_at() - shape.ring_ends_at());
    part(base + shape.returned_at(), shape.ring_ends_at() - shape.returned_at());
    for (int i = 0; i < 4; ++i)  // most of all
      part(base + shape.slots_at(), std::uint64_t{shape.slots()} * sizeof(layout::Slot));
    part(base + shape.owners_at(), std::uint64_t{shape.granules()} * 8);
    part(data + shape.answers_at(), shape.data_bytes() - shape.answers_at());
  }
  void lie() {
    const Part& part = parts_[random_.below(parts_.size())];
    auto& word = part.from[random_.below(part.words)];
    const std::uint64_t old = word.load(std::memory_order_relaxed);
    switch (random_.below(6)) {
      case 0:
        word = random_.below(~0ULL);
        break;
      case 1:
        word = random_.below(2) == 0 ? 0 : ~0ULL;
        break;
      case 2:
        word = old ^ 1ULL << random_.below(64);
        break;
      case 3:
        word = old + 1;
        break;
      case 4: {
        // A word of a slot, of any state.
        layout::Word made;
        made.state = static_cast<layout::SlotState>(random_.below(16));
        made.level = static_cast<std::uint8_t>(random_.below(32));
        made.flags = static_cast<std::uint8_t>(random_.below(8));
        made.seat = static_cast<std::uint16_t>(random_.below(8));
        made.attempt = static_cast<std::uint8_t>(random_.below(4));
        made.token = static_cast<std::uint32_t>(old >> 32U);
        word = layout::pack(made);
        break;
      }
      default:
        word = (old & ~0xFFFFULL) | random_.below(300);
    }
  }
  [[nodiscard]] Random& random() { return random_; }

 private:
  struct Part {
    std::atomic<std::uint64_t>* from;
    std::uint64_t words;
  };
  std::vector<Part> parts_;
  Random random_;
};

// What a handle does that believes all of it.
class Believer {
 public:
  Believer(CallQueue& queue, Random& random) : queue_(&queue), random_(&random) {}

  void step() {
    switch (random_->below(12)) {
      case 0:
      case 1:
      case 2: {
        Ticket ticket;
        CallOptions options;
        options.idempotent = random_->below(2) == 0;
        if (ask(*queue_, 7, ticket, options, random_->below(9000)) == Asked::yes)
          tickets_.push_back(ticket);
        break;
      }
      case 3:
      case 4:
        if (Lease lease = queue_->try_take(random_->below(2) == 0)) leases_.push_back(lease);
        break;
      case 5:
      case 6:
        answer();
        break;
      case 7:
      case 8: {
        Answer answer;
        if (queue_->poll(answer) == Outcome::none) break;
        read(answer.at, answer.length);
        queue_->release(answer);
        break;
      }
      case 9:
        if (tickets_.empty()) break;
        (void)queue_->lost(tickets_[random_->below(tickets_.size())]);
        (void)queue_->withdraw(tickets_[random_->below(tickets_.size())]);
        if (random_->below(4) == 0) tickets_.clear();
        break;
      case 10: {
        std::uint32_t slot = 0;
        while (queue_->next_cancelled(slot))
          CHECK(slot < queue_->parties().shape().slots());
        queue_->serve(random_->below(4) != 0);
        break;
      }
      default:
        (void)queue_->glance();
        (void)queue_->keep_watch();
        (void)queue_->still();
        (void)queue_->recheck(layout::kForAnswers);
        (void)queue_->store().counts();
        (void)queue_->servers();
        if (random_->below(8) != 0) break;
        // Nothing, or what a lie says; in time in either case.
        Answer answer;
        if (queue_->wait_for_answer(0, 100'000, answer) != Outcome::none) queue_->release(answer);
    }
  }

 private:
  void answer() {
    if (leases_.empty()) return;
    Lease lease = leases_.back();
    leases_.pop_back();
    CallFacts facts;
    if (queue_->facts(lease, facts)) read(facts.at, facts.length);
    if (!queue_->start(lease)) return;
    if (random_->below(8) == 0) {
      (void)queue_->give_back(lease);
      return;
    }
    (void)queue_->answer(lease, 3, content(1, random_->below(9000)));
  }
  // Nothing leads out of the data.
  void read(std::uint64_t at, std::uint32_t length) {
    const auto data = std::span(queue_->data()->data(), queue_->data()->size());
    REQUIRE(at <= data.size());
    REQUIRE(length <= data.size() - at);
    for (std::uint64_t i = at; i < at + length; i += 64)
      sum_ += static_cast<std::uint64_t>(data[i]);
  }

  CallQueue* queue_;
  Random* random_;
  std::vector<Ticket> tickets_;
  std::vector<Lease> leases_;
  std::uint64_t sum_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Lying, "promise: lies – calls whose words say anything harm nobody") {
  const os::Deadline end =
      os::Deadline::after(MILLRACE_SANITIZED != 0 ? 20 * kSecond : 6 * kSecond);
  int lives = 0;
  std::uint64_t longest = 0;
  for (std::uint64_t seed = 1; seed <= 60 && !end.passed(); ++seed) {
    CAPTURE(seed);
    std::vector<std::unique_ptr<CallQueue>> queues;
    for (int i = 0; i < 3; ++i)
      queues.push_back(must(CallQueue::open(spec(), soon())));
    Liar liar(*queues[0], seed);
    std::vector<Believer> believers;
    for (auto& queue : queues)
      believers.emplace_back(*queue, liar.random());
    for (int step = 0; step < 1500; ++step) {
      if (step > 100 && liar.random().below(3) == 0) liar.lie();
      const std::uint64_t begun = os::monotonic_ns();
      believers[liar.random().below(believers.size())].step();
      longest = std::max(longest, os::monotonic_ns() - begun);
    }
    ++lives;
    queues.clear();
    (void)unlink_channel('r', name());
  }
  CHECK(lives > 3);
  CHECK(longest < kSecond);
  MESSAGE("lives: " << lives << ", longest step: " << longest / 1000 << " us");
}

TEST_CASE_FIXTURE(Lying,
                  "promise: lies – a segment of another kind, or cut short, is refused as calls") {
  {
    const auto queue = must(CallQueue::open(spec(), soon()));
    layout::Header& header = queue->parties().segment().header();
    header.kind = layout::Kind::work;
    CHECK(!CallQueue::open(spec(), soon()).ok());
    header.kind = layout::Kind::calls;
    CHECK(CallQueue::open(spec(), soon()).ok());
    // A number of the geometry at a time.
    for (std::uint64_t& value : header.geometry.values) {
      const std::uint64_t good = value;
      // A page has room for more than it needs, so a few bytes are no lie.
      if (&value == &header.geometry.values[layout::kWorkBytes]) continue;
      for (std::uint32_t bit = 0; bit < 64; ++bit) {
        value = good ^ 1ULL << bit;
        CHECK(!CallQueue::open(spec(), soon()).ok());
      }
      value = good;
    }
    CHECK(CallQueue::open(spec(), soon()).ok());
  }
  const auto queue = must(CallQueue::open(spec(), soon()));
  const os::Descriptor fd =
      must(os::open_object(object_name_of('r', name()), os::Access::read_write));
  struct stat status {};
  REQUIRE(::fstat(fd.get(), &status) == 0);
  REQUIRE(::ftruncate(fd.get(), status.st_size / 2) == 0);
  CHECK(!CallQueue::open(spec(), soon()).ok());
  REQUIRE(::ftruncate(fd.get(), status.st_size) == 0);
}

}  // namespace millrace::test::calls_lies_test
