// What peers that lie in the shared memory of topics must not be able to do: whatever stands there, nobody crashes, reads or writes
// outside of the segment, or goes on for ever. And segments that are no topics of ours are refused.
#include <cstring>
#include <string>
#include <vector>

#include "topics.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::topics_lies_test {

using namespace millrace::test::topics;

namespace {

std::uint64_t a_lie(Random& random, std::uint64_t was) {
  switch (random.below(6)) {
    case 0:
      return 0;
    case 1:
      return ~0ULL;
    case 2:
      return random.next();
    case 3:
      return random.below(1U << 20U);
    case 4:
      return was ^ 1ULL << random.below(64);
    default:
      return was + random.below(64) - 32;
  }
}
// Everything that a handle can do, once.
void do_all(TopicBus& bus, Random& random, std::vector<std::byte>& target) {
  const std::string subject = "s." + std::to_string(random.below(8));
  const std::size_t sizes[] = {0, 8, 128, 129, 1000, 5000};
  for (int i = 0; i < 3; ++i) {
    std::string payload(sizes[random.below(6)] + 8, 'p');
    (void)publish(bus, subject, payload, std::string(random.below(20), 'h'));
  }
  SubscribeOptions options;
  options.policy =
      random.below(2) == 0 ? layout::TopicPolicy::wait : layout::TopicPolicy::overwrite;
  options.depth = static_cast<std::uint32_t>(random.below(3) == 0 ? 4 : 0);
  options.replay.newest = static_cast<std::uint32_t>(random.below(5));
  options.replay.last = random.below(3) == 0;
  if (random.below(4) == 0) options.group = "group";
  const std::string_view filters[] = {"s.*", "s.1"};
  (void)bus.subscribe(filters, options);
  TopicMessage messages[4];
  for (std::uint32_t entry = 0; entry < bus.shape().subscriptions; ++entry) {
    (void)bus.next_bytes(entry);
    (void)bus.ready(entry);
    const std::uint32_t count = bus.read(entry, messages, 4, target, random.below(2) == 0);
    REQUIRE(count <= 4);
    for (std::uint32_t i = 0; i < count; ++i) {
      const TopicMessage& message = messages[i];
      const bool copied = message.pin == TopicMessage::kCopied;
      const std::uint64_t end = message.headers_length == 0
                                    ? message.at + message.length
                                    : message.headers_at() + message.headers_length;
      REQUIRE(end <= (copied ? target.size() : bus.shape().data_bytes()));
      if (!copied) bus.release(message.pin);
    }
    const std::uint32_t pumped = bus.pump_begin(entry, messages, 4, target);
    if (pumped != TopicBus::kPumpBusy && pumped != 0)
      bus.pump_end(entry, messages[pumped - 1].index + 1);
    if (random.below(8) == 0) bus.unsubscribe(entry);
  }
  (void)bus.subject_text(static_cast<std::uint32_t>(random.below(70)));
  TopicLoan loan;
  if (bus.reserve(static_cast<std::uint32_t>(random.below(4)), 700, 10, loan) == Published::yes) {
    REQUIRE(loan.at + loan.room <= bus.shape().data_bytes());
    bus.cancel(loan);
  }
  bus.park_on_futex(kForMessages | kForTopicRoom);
  (void)bus.keep_watch();
  bus.unpark();
  (void)bus.facts();
}

}  // namespace

TEST_CASE("topics: whatever a peer writes into the segment, nobody crashes or hangs") {
  const auto seed = static_cast<std::uint64_t>(::getpid());
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < rounds(80); ++round) {
    CAPTURE(round);
    const Names names;
    TopicSpec spec = spec_of(names.name(), 16);
    spec.subscriptions = 8;
    const Bus liar = open(spec);
    const Bus bus = open(spec);
    std::vector<std::byte> target(8192);
    auto* const base =
        reinterpret_cast<std::atomic<std::uint64_t>*>(bus->parties().segment().at<std::byte>(0));
    const std::uint64_t first = bus->shape().control_at() / 8;
    const std::uint64_t behind = bus->shape().data_at() / 8;
    // The hot words of the log rather than all the rest.
    const std::uint64_t log = bus->shape().cells_at() / 8;
    for (int i = 0; i < 30; ++i)
      do_all(*bus, random, target);
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t choice = random.below(4);
      const std::uint64_t from = choice == 0 ? first : choice == 1 ? log : first;
      const std::uint64_t to = choice == 1   ? log + 16
                               : choice == 2 ? first + sizeof(layout::TopicControl) / 8
                                             : behind;
      auto& word = base[from + random.below(to - from)];
      word.store(a_lie(random, word.load()));
      do_all(*bus, random, target);
      // A lock in the name of somebody who lives, or of nobody, is waited for as that of one who is stopped: half a second for each
      // who subscribes. Once is enough.
      bus->memory().control().subjects_lock.word.store(0);
      if (i % 16 == 0) {
        (void)bus->look();
        const auto newcomer = TopicBus::open(spec, os::Deadline::after(kSecond));
        if (!newcomer.ok()) CHECK_FALSE(newcomer.error().message.empty());
      }
    }
  }
}

TEST_CASE("topics: a segment that is of another kind, or impossible, is refused with what to do") {
  const Names names;
  TopicSpec spec = spec_of(names.name());
  const Bus bus = open(spec);
  auto& head = *bus->parties().segment().at<layout::Header>(0);
  const layout::Geometry right = head.geometry;
  const auto refusal = [&] {
    auto opened = TopicBus::open(spec, os::Deadline::after(kSecond));
    REQUIRE(!opened.ok());
    CHECK_FALSE(opened.error().message.empty());
    return opened.error().code;
  };
  for (std::size_t i = 0; i < 4; ++i) {
    for (const std::uint64_t lie : {std::uint64_t{0}, ~std::uint64_t{0}, right.values[i] + 1}) {
      CAPTURE(i);
      CAPTURE(lie);
      head.geometry.values[i] = lie;
      // One seat more may have the same size: then it is not what we say.
      const Code code = refusal();
      CHECK((code == Code::corrupt || code == Code::geometry));
      head.geometry = right;
    }
  }
  head.geometry.total_bytes += 4096;
  CHECK(refusal() == Code::corrupt);
  head.geometry = right;
  head.kind = layout::Kind::work;
  CHECK(refusal() != Code::invalid_argument);
  head.kind = layout::Kind::topics;
  head.major = layout::kMajor + 1;
  CHECK(refusal() != Code::invalid_argument);
  head.major = layout::kMajor;
  CHECK(TopicBus::open(spec, soon()).ok());
}

}  // namespace millrace::test::topics_lies_test
