// Messages seen from outside: what is told is what was sent, whole, however fast its writers are; what went by is counted; and nobody
// notices.
#include <atomic>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include <millrace/cell.hpp>
#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>
#include <millrace/queue.hpp>
#include <millrace/rpc/call_queue.hpp>
#include <millrace/topics/topic_bus.hpp>
#include <millrace/work/work_queue.hpp>

#include "calls.hpp"
#include "fixture.hpp"
#include "topics.hpp"
#include "watched.hpp"

namespace millrace::test::watch_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Watching : Names {
  ~Watching() {
    for (const char letter : {'q', 'j', 'c', 'f', 't', 'r'})
      (void)unlink_channel(letter, name());
  }
  [[nodiscard]] QueueSpec queue(std::uint64_t capacity = 4096) const {
    QueueSpec spec;
    spec.place = name();
    spec.capacity = capacity;
    return spec;
  }
  [[nodiscard]] FrameWriterSpec frames(std::uint32_t history = 0) const {
    FrameWriterSpec spec;
    spec.place = name();
    spec.geometry = {4096, 4, 4, history, 64};
    return spec;
  }
  [[nodiscard]] CellWriterSpec cell() const {
    CellWriterSpec spec;
    spec.place = name();
    spec.max_bytes = 4096;
    return spec;
  }
  [[nodiscard]] WorkSpec work() const {
    WorkSpec spec;
    spec.place = name();
    return spec;
  }
};

RingStatus push(QueueProducer& producer, const std::string& bytes) {
  return producer.try_push(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}
std::uint64_t publish(FrameWriter& writer, std::uint64_t stamp, std::size_t words) {
  const auto slot = writer.try_loan();
  if (!slot) return 0;
  const auto payload = writer.payload(*slot);
  fill_stamped({reinterpret_cast<std::uint64_t*>(payload.data()), words}, stamp);
  return writer.publish(*slot, words * 8, 0);
}
std::vector<std::string> texts_of(const std::vector<Sighting>& seen) {
  std::vector<std::string> texts;
  for (const Sighting& one : seen)
    texts.push_back(one.bytes);
  return texts;
}
using Texts = std::vector<std::string>;

// A writer at full speed in a process of its own, until it is told to end: `once(i)` is what it does. Looks until `enough` whole
// messages were seen, and the writer has done at least as much.
template <typename Make, typename Once>
void race(Lookout* (*open)(const std::string&), const std::string& name, Make&& make, Once&& once,
          std::size_t enough) {
  Shared<std::atomic<std::uint64_t>> done;
  Shared<std::atomic<int>> state;
  Child child([&] {
    auto writer = make();
    state->store(1);
    for (std::uint64_t i = 1; state->load() == 1; ++i) {
      CHILD_EXPECT(once(writer, i));
      done->store(i);
    }
    return 0;
  });
  REQUIRE(eventually([&] { return state->load() == 1; }));
  const std::unique_ptr<Lookout> lookout(open(name));
  std::size_t seen = 0;
  std::uint64_t last = 0;
  const os::Deadline deadline = os::Deadline::after(60 * kSecond);
  while ((seen < enough || done->load() < enough) && !deadline.passed()) {
    std::vector<Sighting> some;
    (void)lookout->look(some);
    REQUIRE_FALSE(lookout->error.has_value());
    for (const Sighting& one : some) {
      const auto stamp = stamp_in(one.bytes);
      REQUIRE(stamp.has_value());
      // In order, and each once.
      REQUIRE(one.head.sequence > last);
      last = one.head.sequence;
    }
    seen += some.size();
  }
  state->store(2);
  CHECK(child.wait() == 0);
  CHECK(seen >= enough);
}
template <char letter>
Lookout* open_lookout(const std::string& name) {
  return new Lookout(name, letter);
}

}  // namespace

TEST_CASE_FIXTURE(Watching, "watch: a queue, what waits in it and what was read from it") {
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto producer = must(QueueProducer::open(queue(), soon()));
  REQUIRE(push(*producer, "one") == RingStatus::ok);
  Lookout fresh(name(), 'q');
  Lookout old(name(), 'q', true);
  CHECK(fresh.read().empty());
  CHECK(texts_of(old.read()) == Texts{"one"});
  consumer->release(consumer->peek());
  REQUIRE(push(*producer, "two") == RingStatus::ok);
  REQUIRE(push(*producer, "") == RingStatus::ok);
  consumer->release(consumer->peek());
  consumer->release(consumer->peek());
  const auto seen = fresh.read();
  CHECK(texts_of(seen) == Texts{"two", ""});
  CHECK(seen[0].head.sequence == 2);
  CHECK(texts_of(old.read()) == Texts{"two", ""});
  CHECK(fresh.missed() + old.missed() == 0);
  // All that was read since the ring was new is still there.
  CHECK(texts_of(Lookout(name(), 'q', true).read()) == Texts{"one", "two", ""});
}

TEST_CASE_FIXTURE(Watching, "watch: messages of a queue that were written over are counted") {
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto producer = must(QueueProducer::open(queue(), soon()));
  Lookout watch(name(), 'q');
  (void)watch.read();
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    REQUIRE(push(*producer, stamped(i, 4)) == RingStatus::ok);
    consumer->release(consumer->peek());
  }
  const auto seen = watch.read();
  REQUIRE(!seen.empty());
  CHECK(seen.size() < 110);
  for (const Sighting& one : seen)
    CHECK(stamp_in(one.bytes) == one.head.sequence);
  CHECK(seen.back().head.sequence == 1000);
  CHECK(watch.missed() + seen.size() == 1000);
}

TEST_CASE_FIXTURE(Watching,
                  "watch: of a producer that does not say what it may write over, only what "
                  "waits is told") {
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto producer = must(QueueProducer::open(queue(), soon()));
  producer->side().control()->producer.seen.store(0);
  REQUIRE(push(*producer, "read") == RingStatus::ok);
  consumer->release(consumer->peek());
  REQUIRE(push(*producer, "waits") == RingStatus::ok);
  CHECK(texts_of(Lookout(name(), 'q', true).read()) == Texts{"waits"});
  // Of another producer of that role, too.
  producer->side().control()->producer.seen.store(layout::seen_word(~0U, 0));
  CHECK(texts_of(Lookout(name(), 'q', true).read()) == Texts{"waits"});
}

TEST_CASE_FIXTURE(Watching, "watch: long messages, cut to what is wanted, and little memory") {
  const std::uint64_t capacity = std::uint64_t{1} << 20U;
  auto consumer = must(QueueConsumer::open(queue(capacity), soon()));
  auto producer = must(QueueProducer::open(queue(capacity), soon()));
  Lookout watch(name(), 'q', true);
  watch.use_memory(64);
  const std::string longest = stamped(1, 100'000 / 8);
  REQUIRE(push(*producer, longest) == RingStatus::ok);
  REQUIRE(push(*producer, "short") == RingStatus::ok);
  CHECK(texts_of(watch.read()) == Texts{longest, "short"});
  const auto cut = Lookout(name(), 'q', true).read(16);
  REQUIRE(cut.size() == 2);
  CHECK(cut[0].bytes == longest.substr(0, 16));
  CHECK(cut[0].head.length == longest.size());
  CHECK(cut[1].bytes == "short");
}

TEST_CASE_FIXTURE(Watching, "watch: a queue whose size is not decided has no messages yet") {
  auto consumer = must(QueueConsumer::open(queue(0), soon()));
  auto producer = must(QueueProducer::open(queue(0), soon()));
  Lookout watch(name(), 'q');
  CHECK(watch.read().empty());
  REQUIRE(push(*producer, "first") == RingStatus::ok);
  CHECK_FALSE(watch.error.has_value());
  CHECK(texts_of(Lookout(name(), 'q', true).read()) == Texts{"first"});
}

TEST_CASE_FIXTURE(Watching, "watch: frames, the newest and each that follows") {
  auto writer = must(FrameWriter::open(frames(), soon()));
  CHECK(Lookout(name(), 'f').read().empty());
  CHECK(publish(*writer, 1, 4) == 1);
  CHECK(publish(*writer, 2, 4) == 2);
  Lookout watch(name(), 'f');
  auto seen = watch.read();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].head.sequence == 2);
  CHECK(stamp_in(seen[0].bytes) == 2);
  const std::uint64_t now = os::exact_real_ns();
  CHECK(seen[0].head.published_at <= now + kSecond);
  CHECK(seen[0].head.published_at + 100 * kSecond > now);
  CHECK(seen[0].headers.size() == layout::kUserHeaderBytes);
  // There are four slots.
  for (std::uint64_t i = 3; i <= 12; ++i)
    CHECK(publish(*writer, i, 8) == i);
  seen = watch.read();
  REQUIRE(!seen.empty());
  CHECK(seen.back().head.sequence == 12);
  CHECK(watch.missed() + seen.size() == 10);
  // What is being written is told by nobody.
  const auto slot = writer->try_loan();
  REQUIRE(slot.has_value());
  CHECK(Lookout(name(), 'f', true).read().size() == 3);
}

TEST_CASE_FIXTURE(Watching,
                  "watch: of a writer that does not mark what it writes over, only pinned frames "
                  "are told") {
  auto writer = must(FrameWriter::open(frames(1), soon()));
  auto opened = os::open_object(object_name_of('f', name()), os::Access::read_write);
  REQUIRE(opened.ok());
  const std::uint32_t none = 0;
  REQUIRE(::pwrite(opened.value().get(), &none, sizeof none,
                   layout::kWriterControlOffset + offsetof(layout::WriterControl, lanes) +
                       offsetof(layout::WriterControl::LanesLine, marking)) == sizeof none);
  for (std::uint64_t i = 1; i <= 3; ++i)
    CHECK(publish(*writer, i, 4) == i);
  const auto seen = Lookout(name(), 'f', true).read();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].head.sequence == 3);
}

TEST_CASE_FIXTURE(Watching, "watch: the versions of a cell") {
  auto writer = must(CellWriter::open(cell(), soon()));
  const auto write = [&](std::uint64_t stamp) {
    const std::string value = stamped(stamp, 4);
    writer->write(reinterpret_cast<const std::byte*>(value.data()), value.size());
  };
  Lookout watch(name(), 'c');
  CHECK(watch.read().empty());
  write(1);
  write(2);
  auto seen = watch.read();
  REQUIRE(seen.size() == 2);
  CHECK(stamp_in(seen[1].bytes) == 2);
  CHECK(seen[1].head.published_at != 0);
  for (std::uint64_t i = 3; i <= 12; ++i)
    write(i);
  seen = watch.read();
  REQUIRE(seen.size() == kDefaultCellSlots);
  CHECK(seen.back().head.sequence == 12);
  CHECK(watch.missed() == 10 - kDefaultCellSlots);
  CHECK(Lookout(name(), 'c').read().size() == 1);
}

TEST_CASE_FIXTURE(Watching, "watch: what is published to a bus, with subjects and headers") {
  const auto bus = topics::open(topics::spec_of(name(), 8));
  Lookout fresh(name(), 't');
  CHECK(fresh.read().empty());
  const std::string headers("\x01\x02\x00keyv", 7);
  REQUIRE(topics::publish(*bus, "a.b", std::string_view("small"), headers).has_value());
  const std::string large = stamped(7, 128);
  REQUIRE(topics::publish(*bus, "a.c", std::string_view(large)).has_value());
  auto seen = fresh.read();
  CHECK(texts_of(seen) == Texts{"small", large});
  CHECK(seen[0].subject == "a.b");
  CHECK(seen[0].headers == headers);
  CHECK(seen[0].head.published_at != 0);
  CHECK(seen[1].subject == "a.c");
  CHECK(seen[1].head.sequence == seen[0].head.sequence + 1);
  for (int i = 0; i < 20; ++i)
    REQUIRE(topics::publish(*bus, "d", std::string_view("more")).has_value());
  seen = fresh.read();
  CHECK(seen.size() == 8);
  CHECK(fresh.missed() == 12);
  CHECK(Lookout(name(), 't', true).read().size() == 8);
}

TEST_CASE_FIXTURE(Watching, "watch: jobs as they are pushed, in hand, dead, and over") {
  const auto queue = must(WorkQueue::open(work(), soon()));
  const auto push_job = [&](const std::string& bytes, const PushOptions& options = {}) {
    REQUIRE(queue->try_push(std::as_bytes(std::span(bytes)), options) == Pushed::yes);
  };
  PushOptions options;
  options.level = 3;
  options.id = "id-1";
  options.group = "g";
  push_job("first", options);
  Lookout fresh(name(), 'j');
  Lookout old(name(), 'j', true);
  CHECK(fresh.read().empty());
  auto seen = old.read();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].bytes == "first");
  CHECK(seen[0].id == "id-1");
  CHECK(seen[0].group == "g");
  CHECK(seen[0].head.priority == 3);
  CHECK(seen[0].head.state == WatchedState::waiting);
  CHECK(seen[0].head.published_at != 0);

  const std::string large = stamped(9, 100);
  push_job(large);
  push_job("third");
  Lease lease = queue->try_take();
  REQUIRE(lease);
  seen = fresh.read();
  CHECK(texts_of(seen) == Texts{large, "third"});
  CHECK(fresh.read().empty());
  CHECK(texts_of(old.read()) == Texts{large, "third"});
  // One that comes and goes between two looks is told all the same: its bytes are there.
  REQUIRE(queue->complete(lease));
  for (int i = 0; i < 2; ++i) {
    lease = queue->try_take();
    REQUIRE(queue->complete(lease));
  }
  push_job("quick");
  lease = queue->try_take();
  REQUIRE(queue->complete(lease));
  seen = fresh.read();
  REQUIRE(texts_of(seen) == Texts{"quick"});
  CHECK(seen[0].head.state == WatchedState::none);
  CHECK(fresh.missed() == 0);
  // What was reserved and not pushed is none.
  Loan loan;
  REQUIRE(queue->reserve(8, 0, loan) == Pushed::yes);
  queue->cancel(loan);
  CHECK(fresh.read().empty());
}

TEST_CASE_FIXTURE(Watching, "watch: a job that becomes a dead letter is told once more") {
  const auto queue = must(WorkQueue::open(work(), soon()));
  Lookout watch(name(), 'j');
  CHECK(watch.read().empty());
  const std::string bytes = "doomed";
  REQUIRE(queue->try_push(std::as_bytes(std::span(bytes)), {}) == Pushed::yes);
  CHECK(texts_of(watch.read()) == Texts{"doomed"});
  Lease lease = queue->try_take();
  REQUIRE(lease);
  REQUIRE(queue->reject(lease, "why"));
  const auto seen = watch.read();
  REQUIRE(texts_of(seen) == Texts{"doomed"});
  CHECK(seen[0].head.state == WatchedState::dead);
  CHECK(seen[0].head.method == static_cast<std::uint32_t>(layout::DeadReason::rejected));
  CHECK(watch.read().empty());
  const auto old = Lookout(name(), 'j', true).read();
  REQUIRE(old.size() == 1);
  CHECK(old[0].head.state == WatchedState::dead);
}

TEST_CASE_FIXTURE(calls::Calls, "watch: requests and their answers") {
  const auto caller = open();
  const auto server = open();
  server->serve(true);
  Lookout watch(name(), 'r');
  CHECK(watch.read().empty());
  Ticket ticket;
  CallOptions options;
  options.method = 5;
  REQUIRE(calls::ask(*caller, 42, ticket, options) == Asked::yes);
  auto seen = watch.read();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].head.op == WatchedOp::request);
  CHECK(seen[0].head.method == 5);
  CHECK(seen[0].bytes.size() == 8);
  Lease lease = calls::wait_for_call(*server);
  REQUIRE(lease);
  const auto answer = calls::content(7, 16);
  REQUIRE(server->answer(lease, 0, answer) == Answered::yes);
  Answer got;
  REQUIRE(calls::wait(*caller, got) == Outcome::answered);
  // Also when the caller has had it.
  caller->release(got);
  const auto after = watch.read();
  REQUIRE(after.size() == 1);
  CHECK(after[0].head.op == WatchedOp::answer);
  CHECK(after[0].bytes == std::string(reinterpret_cast<const char*>(answer.data()), answer.size()));
  CHECK(after[0].head.slot == seen[0].head.slot);
  CHECK(after[0].head.born == seen[0].head.born);
}

TEST_CASE_FIXTURE(Watching, "watch: a channel that is removed and made again is gone on with") {
  {
    auto consumer = must(QueueConsumer::open(queue(), soon()));
    auto producer = must(QueueProducer::open(queue(), soon()));
    REQUIRE(push(*producer, "old") == RingStatus::ok);
  }
  Lookout watch(name(), 'q', true);
  CHECK(texts_of(watch.read()) == Texts{"old"});
  REQUIRE(must(unlink_channel('q', name())));
  CHECK(watch.read().empty());
  auto consumer = must(QueueConsumer::open(queue(8192), soon()));
  auto producer = must(QueueProducer::open(queue(8192), soon()));
  REQUIRE(push(*producer, "new") == RingStatus::ok);
  CHECK(texts_of(watch.read()) == Texts{"new"});
  CHECK_FALSE(watch.error.has_value());
}

TEST_CASE_FIXTURE(Watching, "watch: what is damaged or not there is told, and harms nobody") {
  CHECK(ChannelWatch::open({name(), 'q', false}).error().code == Code::not_found);
  auto consumer = must(QueueConsumer::open(queue(), soon()));
  auto producer = must(QueueProducer::open(queue(), soon()));
  REQUIRE(push(*producer, "message") == RingStatus::ok);
  auto opened = os::open_object(object_name_of('q', name()), os::Access::read_write);
  REQUIRE(opened.ok());
  const int fd = opened.value().get();
  const std::uint32_t lie = 0x7fff'fff0;
  Lookout watch(name(), 'q', true);
  REQUIRE(::pwrite(fd, &lie, sizeof lie, 2 * 4096) == sizeof lie);
  CHECK(watch.read().empty());
  CHECK(watch.error == Code::corrupt);
  const std::uint64_t position = 12345;
  REQUIRE(::pwrite(fd, &position, sizeof position, 4096) == sizeof position);
  watch.error.reset();
  CHECK(watch.read().empty());
  CHECK(watch.error == Code::corrupt);
  REQUIRE(::ftruncate(fd, 4096) == 0);
  watch.error.reset();
  CHECK(watch.read().empty());
  CHECK(watch.error == Code::corrupt);
  CHECK(ChannelWatch::open({name(), 'q', false}).error().code == Code::corrupt);
  REQUIRE(::ftruncate(fd, 3 * 4096) == 0);
}

TEST_CASE_FIXTURE(Watching, "watch: messages of a queue at full speed are never torn") {
  struct Both {
    std::unique_ptr<QueueConsumer> consumer;
    std::unique_ptr<QueueProducer> producer;
  };
  race(
      open_lookout<'q'>, name(),
      [&] {
        Both both;
        both.consumer = must(QueueConsumer::open(queue(), soon()));
        both.producer = must(QueueProducer::open(queue(), soon()));
        return both;
      },
      [](Both& both, std::uint64_t i) {
        if (push(*both.producer, stamped(i, words_of(i, 100))) != RingStatus::ok) return false;
        both.consumer->release(both.consumer->peek());
        return true;
      },
      1'500);
}

TEST_CASE_FIXTURE(Watching, "watch: frames at full speed are never torn") {
  race(
      open_lookout<'f'>, name(), [&] { return must(FrameWriter::open(frames(), soon())); },
      [](std::unique_ptr<FrameWriter>& writer, std::uint64_t i) {
        return publish(*writer, i, words_of(i, 512)) != 0;
      },
      1'500);
}

TEST_CASE_FIXTURE(Watching, "watch: values of a cell at full speed are never torn") {
  race(
      open_lookout<'c'>, name(), [&] { return must(CellWriter::open(cell(), soon())); },
      [](std::unique_ptr<CellWriter>& writer, std::uint64_t i) {
        const std::string value = stamped(i, words_of(i, 512));
        writer->write(reinterpret_cast<const std::byte*>(value.data()), value.size());
        return true;
      },
      1'500);
}

TEST_CASE_FIXTURE(Watching, "watch: what is published to a bus at full speed is never torn") {
  race(
      open_lookout<'t'>, name(), [&] { return topics::open(topics::spec_of(name(), 16)); },
      [](topics::Bus& bus, std::uint64_t i) {
        const std::string value = stamped(i, words_of(i, 60));
        return topics::publish(*bus, i % 2 == 0 ? "even" : "odd", std::string_view(value))
            .has_value();
      },
      1'500);
}

TEST_CASE_FIXTURE(Watching, "watch: jobs at full speed are never torn") {
  race(
      open_lookout<'j'>, name(),
      [&] {
        WorkSpec spec = work();
        spec.jobs = 16;
        return must(WorkQueue::open(spec, soon()));
      },
      [](std::unique_ptr<WorkQueue>& queue, std::uint64_t i) {
        const std::string value = stamped(i, words_of(i, 60));
        if (queue->try_push(std::as_bytes(std::span(value)), {}) != Pushed::yes) return false;
        Lease lease = queue->try_take();
        return lease && queue->complete(lease);
      },
      300);
}

}  // namespace millrace::test::watch_test
