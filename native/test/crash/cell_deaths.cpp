// Deaths on both sides of a cell, and of users of a counter.
#include <poll.h>

#include <cstring>

#include "scene.hpp"

namespace millrace::test::cell_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

using Value = std::array<std::uint64_t, 64>;

Value value_of(std::uint64_t number) {
  Value value{};
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = number * 0x9e3779b97f4a7c15ULL + i;
  value[0] = number;
  return value;
}
// The newest value's number; 0 if there is none. A torn one fails.
std::optional<std::uint64_t> newest(CellReader& reader) {
  Value found{};
  const CellRead read = reader.read(reinterpret_cast<std::byte*>(found.data()), sizeof found);
  if (read.status == CellRead::Status::empty) return 0;
  if (read.status != CellRead::Status::ok || found != value_of(found[0])) return std::nullopt;
  return found[0];
}

struct Cell : Scene {
  [[nodiscard]] CellWriterSpec writer_spec(std::uint64_t bell) const {
    CellWriterSpec spec;
    spec.place = name();
    spec.max_bytes = sizeof(Value);
    spec.doorbell = bell;
    return spec;
  }
  [[nodiscard]] CellReaderSpec reader_spec(std::uint64_t bell) const {
    CellReaderSpec spec;
    spec.place = name();
    spec.doorbell = bell;
    return spec;
  }
  static void write(CellWriter& writer, std::uint64_t number) {
    const Value value = value_of(number);
    writer.write(reinterpret_cast<const std::byte*>(value.data()), sizeof value);
  }
};

struct CellWriterDies : Cell {
  std::unique_ptr<CellReader> reader;
  os::Doorbell mine;
  std::uint64_t seen = 0;
  int turn = 0;

  void act() override {
    auto opened = CellWriter::open(writer_spec(own_bell()), soon());
    CHILD_EXPECT(opened.ok());
    auto writer = opened.take();
    n->bell_in.store(1);
    tell(1);
    await_survivor(1);
    for (int i = 0; i < 12; ++i) {
      let_sleep();
      const std::uint64_t number = writer->version() + 1;
      n->trying.store(number);
      if (i % 3 == 2) {
        writer->begin();
        const Value value = value_of(number);
        std::memcpy(writer->next_bytes(), value.data(), sizeof value);
        writer->publish(sizeof value);
      } else {
        write(*writer, number);
      }
      n->done.store(number);
    }
    leave_with_bell();
    writer->close();
    drop_bell();
  }
  void meanwhile() override {
    if (n->step.load() == 0) {
      os::sleep_ns(20'000);
      return;
    }
    if (!reader) {
      auto opened = CellReader::open(reader_spec(0), os::Deadline::after(0));
      if (!opened.ok()) return;  // the victim died just now
      reader = opened.take();
      mine = bell();
    }
    n->told.store(1);
    if (++turn % 2 == 0) {
      (void)reader->wait_change(seen, 0, kMillisecond);
    } else if (reader->park({mine.id(), 7})) {
      pollfd look{mine.fd(), POLLIN, 0};
      if (!reader->stirred(seen)) (void)::poll(&look, 1, 1);
      reader->unpark();
      (void)mine.drain([](std::uint64_t) {});
    }
    look();
  }
  void look() {
    const auto number = newest(*reader);
    REQUIRE(number.has_value());
    CHECK(*number >= seen);
    seen = *number;
  }
  void after() override {
    if (!reader) return;
    without_waiting(*this, [&] {
      CHECK(eventually([&] { return reader->writer() != Peer::attached; }));
      look();
    });
    CHECK(seen >= n->done.load());
    CHECK(seen <= n->trying.load());
  }
  void end() override { reader.reset(); }
};

struct CellReaderDies : Cell {
  std::unique_ptr<CellWriter> writer;

  void begin() override { writer = must(CellWriter::open(writer_spec(0), soon())); }
  void act() override {
    auto opened = CellReader::open(reader_spec(own_bell()), soon());
    CHILD_EXPECT(opened.ok());
    auto reader = opened.take();
    tell(1);
    std::uint64_t seen = 0;
    for (int i = 0; i < 8; ++i) {
      CHILD_EXPECT(eventually([&] { return reader->wait_change(seen, 0, kMillisecond); }));
      const auto number = newest(*reader);
      CHILD_EXPECT(number && *number > seen);
      seen = *number;
    }
    n->bell_in.store(1);  // with the lane that it took to wait
    if (reader->park({n->bell.load(), 7})) reader->unpark();
    leave_with_bell();
    reader->close();
    drop_bell();
  }
  void meanwhile() override {
    os::sleep_ns(200'000);
    write(*writer, writer->version() + 1);
  }
  void after() override {
    without_waiting(*this, [&] { write(*writer, writer->version() + 1); });
  }
  void end() override {
    CHECK_FALSE(writer->has_readers());
    writer.reset();
  }
};

// Additions are done or not begun, and the first value is there however its creator ends.
struct CounterUserDies : Scene {
  static constexpr std::int64_t kInitial = 1000;
  std::unique_ptr<Counter> mine;

  [[nodiscard]] CounterSpec spec() const {
    CounterSpec wanted;
    wanted.place = name();
    wanted.initial = kInitial;
    return wanted;
  }
  void act() override {
    auto counter = Counter::open(spec(), soon());
    CHILD_EXPECT(counter.ok());
    CHILD_EXPECT(counter.value()->get() >= kInitial);
    tell(1);
    await_survivor(1);
    for (int i = 0; i < 10; ++i) {
      n->trying.fetch_add(1);
      (void)counter.value()->add(1);
      n->done.fetch_add(1);
    }
  }
  void meanwhile() override {
    if (n->step.load() == 1 && !mine) mine = must(Counter::open(spec(), soon()));
    if (mine) n->told.store(1);
    os::sleep_ns(20'000);
  }
  void after() override {
    if (!mine) mine = must(Counter::open(spec(), soon()));
    const auto added = static_cast<std::uint64_t>(mine->get() - kInitial);
    CHECK(added >= n->done.load());
    CHECK(added <= n->trying.load());
  }
  void end() override { mine.reset(); }
};

}  // namespace

EVERY_DEATH(CellWriterDies, "the writer of a cell dies anywhere: the newest whole value stays")
EVERY_DEATH(CellReaderDies, "a reader of a cell dies anywhere: nobody notices")
EVERY_DEATH(CounterUserDies, "a user of a counter dies anywhere: each step is made or not")

}  // namespace millrace::test::cell_deaths
