// A cell: whatever a reader gets is a value that was written, whole, and never older than the last.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <millrace/cell.hpp>

#include "fixture.hpp"

namespace millrace::test::cell_test {

using namespace millrace;
using namespace millrace::test;
using Read = CellRead::Status;

namespace {

constexpr std::uint64_t kMaxBytes = 1000;  // not a multiple of a word

struct Cells : Names {
  [[nodiscard]] CellWriterSpec writer_spec() const {
    CellWriterSpec wanted;
    wanted.place = name();
    wanted.max_bytes = kMaxBytes;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<CellWriter> writer() const {
    return must(CellWriter::open(writer_spec(), soon()));
  }
  [[nodiscard]] CellReaderSpec reader_spec() const {
    CellReaderSpec wanted;
    wanted.place = name();
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<CellReader> reader() const {
    return must(CellReader::open(reader_spec(), soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('c', name()), os::Access::read_only).ok();
  }
};

// A value that tells whether it is whole: its length and every byte follow from its first eight.
std::size_t make_value(std::byte* into, std::uint64_t seed, std::uint64_t most = kMaxBytes) {
  Random random(seed);
  const std::size_t length = 8 + random.below(most - 7);
  std::memcpy(into, &seed, 8);
  for (std::size_t i = 8; i < length; ++i)
    into[i] = static_cast<std::byte>(seed * 31 + i * 7 + (i >> 8U));
  return length;
}
// The seed, or nothing if the value is damaged.
std::optional<std::uint64_t> seed_of(const std::byte* value, std::size_t length,
                                     std::uint64_t most = kMaxBytes) {
  if (length < 8) return std::nullopt;
  std::uint64_t seed = 0;
  std::memcpy(&seed, value, 8);
  std::vector<std::byte> expected(most);
  if (make_value(expected.data(), seed, most) != length) return std::nullopt;
  if (std::memcmp(value, expected.data(), length) != 0) return std::nullopt;
  return seed;
}
void write(CellWriter& writer, std::uint64_t seed) {
  std::array<std::byte, kMaxBytes> value{};
  writer.write(value.data(), make_value(value.data(), seed));
}

struct Got {
  CellRead read;
  std::optional<std::uint64_t> seed;
};
Got take(CellReader& reader) {
  std::array<std::byte, kMaxBytes> target{};
  Got got;
  got.read = reader.read(target.data(), target.size());
  if (got.read.status == Read::ok) got.seed = seed_of(target.data(), got.read.length);
  return got;
}

}  // namespace

TEST_CASE_FIXTURE(Cells, "a reader gets the newest value, of any length, with version and time") {
  auto out = writer();
  auto in = reader();
  CHECK(take(*in).read.status == Read::empty);
  CHECK(in->version() == 0);
  std::vector<std::byte> value(kMaxBytes);
  std::vector<std::byte> target(kMaxBytes);
  std::uint64_t last_time = os::monotonic_ns();
  for (std::uint64_t length = 0; length <= kMaxBytes; ++length) {
    std::fill(value.begin(), value.end(), static_cast<std::byte>(length));
    out->write(value.data(), length);
    CHECK(out->version() == length + 1);
    CHECK(in->version() == length + 1);
    CHECK(in->measure().length == length);
    CHECK(in->seen() == length);
    std::fill(target.begin(), target.end(), std::byte{0xEE});
    const CellRead read = in->read(target.data(), target.size());
    REQUIRE(read.status == Read::ok);
    CHECK(read.version == length + 1);
    CHECK(read.length == length);
    CHECK(read.timestamp >= last_time);
    last_time = read.timestamp;
    CHECK(in->seen() == length + 1);
    REQUIRE(std::equal(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(length),
                       target.begin()));
    // Nothing behind the value is touched.
    REQUIRE(std::all_of(target.begin() + static_cast<std::ptrdiff_t>(length), target.end(),
                        [](std::byte byte) { return byte == std::byte{0xEE}; }));
  }
  CHECK(in->retries() == 0);
}

TEST_CASE_FIXTURE(Cells, "neither side of a copy need be aligned") {
  auto out = writer();
  auto in = reader();
  std::vector<std::byte> value(kMaxBytes + 8);
  std::vector<std::byte> target(kMaxBytes + 8);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const std::size_t length = make_value(value.data() + shift, shift + 100);
    out->write(value.data() + shift, length);
    const CellRead read = in->read(target.data() + 7 - shift, kMaxBytes);
    REQUIRE(read.status == Read::ok);
    CHECK(seed_of(target.data() + 7 - shift, read.length) == shift + 100);
  }
}

TEST_CASE_FIXTURE(Cells, "a target that is too small is told what it takes, and nothing is lost") {
  auto out = writer();
  auto in = reader();
  std::array<std::byte, 16> value{};
  out->write(value.data(), 16);
  const CellRead read = in->read(value.data(), 15);
  CHECK(read.status == Read::too_small);
  CHECK(read.length == 16);
  CHECK(in->seen() == 0);
  CHECK(in->read(value.data(), 16).status == Read::ok);
}

TEST_CASE_FIXTURE(Cells, "a value begun in place is seen when it is published, not before") {
  auto out = writer();
  auto in = reader();
  write(*out, 7);
  for (int round = 0; round < 10; ++round) {  // all slots, several times
    out->begin();
    std::memset(out->next_bytes(), 0xAB, kMaxBytes);
    const Got got = take(*in);
    CHECK(got.seed == 7);
    CHECK(got.read.version == 1);
  }
  out->begin();
  out->copy_newest();
  CHECK(seed_of(out->next_bytes(), out->length()) == 7);
  out->publish(out->length());
  CHECK(take(*in).seed == 7);
  CHECK(in->seen() == 2);
  CHECK(in->retries() == 0);
}

TEST_CASE_FIXTURE(Cells, "either may come and go; the value is there while anybody is") {
  auto nobody = CellReader::open(reader_spec(), soon());
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.error().code == Code::not_found);
  auto out = writer();
  CHECK_FALSE(out->has_readers());
  write(*out, 1);
  auto in = reader();
  auto other = reader();  // any number
  CHECK(out->has_readers());
  CHECK(in->writer() == Peer::attached);
  CHECK(in->writer_pid() == static_cast<std::uint32_t>(::getpid()));
  out->close();
  CHECK(in->writer() == Peer::closed);
  CHECK(in->writer_left());
  CHECK(take(*in).seed == 1);
  CHECK(take(*reader()).seed == 1);  // also one that comes only now
  in->close();
  CHECK(exists());
  SUBCASE("a new writer goes on where the last one stopped") {
    out = writer();
    CHECK(out->version() == 1);
    CHECK(other->writer() == Peer::attached);
    write(*out, 2);
    const Got got = take(*other);
    CHECK(got.seed == 2);
    CHECK(got.read.version == 2);
    other->close();
    out->close();
  }
  SUBCASE("the last one takes it along") {
    other->close();
  }
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Cells, "with keep it stays when nobody is left, until it is unlinked") {
  CellWriterSpec wanted = writer_spec();
  wanted.keep = true;
  auto out = must(CellWriter::open(wanted, soon()));
  write(*out, 5);
  out->close();
  CHECK(exists());
  CHECK(take(*reader()).seed == 5);
  CHECK(exists());
  out = writer();  // without saying it again
  CHECK(out->version() == 1);
  out->close();
  CHECK(exists());
  wanted.max_bytes = kMaxBytes * 2;
  auto refused = CellWriter::open(wanted, soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::geometry);
  CHECK(must(unlink_channel('c', name())));
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(Cells, "there is one writer, and all agree on the geometry") {
  auto out = writer();
  auto second = CellWriter::open(writer_spec(), soon());
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Code::role_taken);
  out->close();
  out = writer();
  auto in = reader();
  CHECK(in->plan().max_bytes == kMaxBytes);
  CHECK(in->plan().slots == kDefaultCellSlots);
  out->close();
  for (const auto& [bytes, slots] : {std::pair{kMaxBytes + 1, 0U}, std::pair{kMaxBytes, 5U}}) {
    CellWriterSpec wanted = writer_spec();
    wanted.max_bytes = bytes;
    wanted.slots = slots;
    auto refused = CellWriter::open(wanted, soon());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::geometry);
    CHECK(refused.error().message.find("maxBytes 1000 and 4 slots") != std::string::npos);
  }
  for (const auto& [bytes, slots] :
       {std::pair{std::uint64_t{0}, 0U}, std::pair{layout::kMaxCellBytes + 1, 0U},
        std::pair{kMaxBytes, 1U}, std::pair{kMaxBytes, layout::kMaxCellSlots + 1},
        std::pair{layout::kMaxCellBytes, 5U}}) {
    CellWriterSpec wanted = writer_spec();
    wanted.max_bytes = bytes;
    wanted.slots = slots;
    auto refused = CellWriter::open(wanted, soon());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::invalid_argument);
  }
}

TEST_CASE_FIXTURE(Cells, "impossible values are told from a writer that is quick") {
  auto out = writer();
  auto in = reader();
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    write(*out, seed);
  CHECK(take(*in).seed == 10);
  const auto& segment = out->segment();
  auto& published = segment.at<layout::CellControl>(layout::kCellControlOffset)->writer.published;
  auto& slot = segment.at<layout::CellSlot>(layout::kCellSlotsOffset)[10 % kDefaultCellSlots];
  SUBCASE("a version that went back") {
    published.store(9);
  }
  SUBCASE("a version that is none") {
    published.store(~std::uint64_t{0});
  }
  SUBCASE("a version that its slot does not hold") {
    published.store(11);
  }
  SUBCASE("a slot whose sequence says something else") {
    slot.sequence.store(1);
  }
  SUBCASE("a value longer than a slot") {
    slot.length.store(kMaxBytes + 1);
  }
  SUBCASE("a value of any length at all") {
    slot.length.store(~std::uint64_t{0});
  }
  CHECK(take(*in).read.status == Read::corrupt);
  CHECK(in->measure().status == Read::corrupt);
}

TEST_CASE_FIXTURE(Cells,
                  "a writer refuses what an impossible predecessor left, and the name is free") {
  CellWriterSpec wanted = writer_spec();
  wanted.keep = true;
  auto out = must(CellWriter::open(wanted, soon()));
  write(*out, 1);
  auto& control = *out->segment().at<layout::CellControl>(layout::kCellControlOffset);
  auto& slot = out->segment().at<layout::CellSlot>(layout::kCellSlotsOffset)[1];
  SUBCASE("version") {
    control.writer.published.store(layout::kMaxCellVersion);
  }
  SUBCASE("length") {
    slot.length.store(kMaxBytes + 1);
  }
  SUBCASE("sequence") {
    slot.sequence.store(layout::writing(1));
  }
  out->close();
  auto refused = CellWriter::open(wanted, soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::corrupt);
  CHECK(must(unlink_channel('c', name())));
  CHECK(CellWriter::open(writer_spec(), soon()).ok());
}

TEST_CASE_FIXTURE(Cells, "a geometry that is impossible is refused") {
  auto out = writer();
  layout::Geometry& geometry = out->segment().header().geometry;
  const layout::Geometry good = geometry;
  for (const std::uint64_t lie :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40U, ~std::uint64_t{0}}) {
    for (const auto field : {layout::kCellMaxBytes, layout::kCellSlots, layout::kCellPoolOffset}) {
      geometry = good;
      geometry.values[field] = lie;
      auto refused = CellReader::open(reader_spec(), soon());
      REQUIRE_FALSE(refused.ok());
      CHECK(refused.error().code == Code::corrupt);
    }
  }
  geometry = good;
}

TEST_CASE_FIXTURE(Cells,
                  "readers of a writer at full speed get whole values only, ever newer ones") {
  struct Flags {
    std::atomic<int> ready;
    std::atomic<bool> stop;
  };
  Shared<Flags> flags;
  CellWriterSpec wanted = writer_spec();
  SUBCASE("with the usual slots") {}
  SUBCASE("with two, where it laps them all the time") {
    wanted.slots = 2;
  }
  auto out = must(CellWriter::open(wanted, soon()));
  write(*out, 1);
  std::vector<Child> children;
  children.reserve(3);
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      auto in = CellReader::open(reader_spec(), soon());
      CHILD_EXPECT(in.ok());
      flags->ready.fetch_add(1);
      std::uint64_t last = 0;
      while (!flags->stop.load()) {
        const Got got = take(*in.value());
        if (got.read.status == Read::torn) continue;
        CHILD_EXPECT(got.read.status == Read::ok);
        CHILD_EXPECT(got.seed.has_value());
        CHILD_EXPECT(*got.seed == got.read.version);
        CHILD_EXPECT(got.read.version >= last);
        last = got.read.version;
      }
      CHILD_EXPECT(last > 1);
      return 0;
    });
  }
  REQUIRE(eventually([&] { return flags->ready.load() == 3; }));
  const os::Deadline end = os::Deadline::after(kSecond);
  while (!end.passed())
    write(*out, out->version() + 1);
  flags->stop.store(true);
  for (Child& child : children)
    CHECK(child.wait() == 0);
}

TEST_CASE_FIXTURE(Cells,
                  "a writer killed at any instant, a thousand times, leaves a complete value") {
  Shared<std::atomic<std::uint64_t>> published;
  Random random(11);
  auto in = reader_spec();
  std::unique_ptr<CellReader> reader;
  std::uint64_t last = 0;
  std::uint64_t read = 0;
  std::array<std::byte, kMaxBytes> target{};
  const auto look = [&] {
    const CellRead found = reader->read(target.data(), target.size());
    if (found.status == Read::empty && last == 0) return true;
    if (found.status == Read::torn) return true;
    if (found.status != Read::ok || found.version < last) return false;
    last = found.version;
    ++read;
    return seed_of(target.data(), found.length) == found.version;
  };
  {
    auto first = writer();
    reader = must(CellReader::open(in, soon()));
  }
  for (int round = 0; round < rounds(1000); ++round) {
    Child child([&] {
      auto out = CellWriter::open(writer_spec(), soon());
      CHILD_EXPECT(out.ok());
      for (;;) {
        write(*out.value(), out.value()->version() + 1);
        published->store(out.value()->version());
      }
      return 0;
    });
    // Any instant: also while it opens.
    const std::uint64_t target_version = last + random.below(50);
    // Every fourth one comes to write, however busy the machine is.
    const os::Deadline patience =
        round % 4 == 0 ? soon() : os::Deadline::after(random.below(2 * kMillisecond));
    while (last < target_version && !patience.passed())
      REQUIRE(look());
    child.kill();
    REQUIRE(look());
    REQUIRE(last >= published->load());
    REQUIRE(reader->writer() != Peer::attached);
  }
  CHECK(last > static_cast<std::uint64_t>(rounds(1000)));
  CHECK(read > static_cast<std::uint64_t>(rounds(1000)));
  auto out = writer();
  CHECK(out->version() == last);
}

TEST_CASE_FIXTURE(Cells,
                  "a reader that blocks is woken by the next value, and by the writer's leaving") {
  auto out = writer();
  auto in = reader();
  CHECK_FALSE(in->wait_change(0, 0, kMillisecond));
  constexpr std::uint64_t count = 2000;
  std::thread thread([&] {
    for (std::uint64_t i = 1; i <= count; ++i) {
      write(*out, i);
      if (i % 100 == 0) os::sleep_ns(50'000);
    }
    out->close();
  });
  std::uint64_t seen = 0;
  const os::Deadline patience = soon();
  while (!patience.passed()) {
    if (!in->wait_change(seen, 0, kSecond)) continue;
    const Got got = take(*in);
    if (got.read.version == seen) break;  // stirred without news: the writer has left
    CHECK(got.seed == got.read.version);
    seen = got.read.version;
  }
  thread.join();
  CHECK(seen == count);
  CHECK(in->writer_left());
}

TEST_CASE_FIXTURE(Cells, "a reader asleep in an event loop is rung once for many values") {
  auto out = writer();
  auto in = reader();
  const os::Doorbell here = bell();
  REQUIRE(in->park(WakeAddress{here.id(), 77}));
  CHECK_FALSE(in->stirred(0));
  std::vector<std::uint64_t> tokens;
  const auto rings = [&] {
    tokens.clear();
    CHECK_FALSE(here.drain([&](std::uint64_t token) { tokens.push_back(token); }));
    return tokens.size();
  };
  CHECK(rings() == 0);
  write(*out, 1);
  write(*out, 2);
  CHECK(rings() == 1);
  CHECK(tokens.front() == 77);
  write(*out, 3);
  CHECK(rings() == 0);  // nobody asked again
  REQUIRE(in->park(WakeAddress{here.id(), 78}));
  in->unpark();
  write(*out, 4);
  CHECK(rings() == 0);
  REQUIRE(in->park(WakeAddress{here.id(), 79}));
  out->close();
  CHECK(rings() == 1);
  REQUIRE(in->park(WakeAddress{here.id(), 80}));
  out = writer();
  CHECK(rings() == 1);  // so that it learns whom to watch
}

TEST_CASE_FIXTURE(
    Cells, "with all lanes taken a reader is not woken, and looks; lanes of the dead are free") {
  auto out = writer();
  Shared<std::atomic<std::uint32_t>> parked;
  Child crowd([&] {
    std::vector<std::unique_ptr<CellReader>> readers;
    const os::Doorbell here = bell();
    CellReaderSpec wanted = reader_spec();
    wanted.doorbell = here.id();  // so that it is removed with the dead
    for (std::uint32_t i = 0; i < layout::kCellLanes; ++i) {
      auto in = CellReader::open(wanted, soon());
      CHILD_EXPECT(in.ok());
      CHILD_EXPECT(in.value()->park(WakeAddress{here.id(), i}));
      readers.push_back(in.take());
    }
    parked->store(layout::kCellLanes);
    return linger();
  });
  REQUIRE(eventually([&] { return parked->load() == layout::kCellLanes; }));
  auto in = reader();
  const WakeAddress address{1, 1};
  CHECK_FALSE(in->park(address));
  std::thread thread([&] {
    os::sleep_ns(5 * kMillisecond);
    write(*out, 1);
  });
  CHECK(eventually([&] { return in->wait_change(0, 0, kSecond); }));
  thread.join();
  crowd.kill();
  CHECK(eventually([&] { return in->park(address); }));
  in->unpark();
  write(*out, 2);  // to lanes of the dead, which must not matter
  CHECK(take(*in).seed == 2);
}

}  // namespace millrace::test::cell_test
