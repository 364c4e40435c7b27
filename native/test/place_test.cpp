// Where segments live: under a name, without one, in a file.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>
#include <millrace/queue.hpp>
#include <millrace/segment.hpp>

#include "fixture.hpp"

namespace millrace::test::place_test {

using namespace millrace;
using namespace millrace::test;

namespace {

// A directory of the test's own, removed with whatever is in it.
class Directory {
 public:
  Directory() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    for (const std::string& file : files())
      ::unlink((std::string(path_.data()) + "/" + file).c_str());
    CHECK(::rmdir(path_.data()) == 0);
  }
  [[nodiscard]] std::string file(const std::string& name) const {
    return std::string(path_.data()) + "/" + name;
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> found;
    DIR* directory = ::opendir(path_.data());
    REQUIRE(directory != nullptr);
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") found.push_back(name);
    }
    ::closedir(directory);
    return found;
  }

 private:
  std::array<char, 32> path_{"/tmp/millrace-test-XXXXXX"};
};

struct Places : Names {
  Directory directory;
  os::Descriptor memory = must(os::create_nameless(0600, false));

  [[nodiscard]] Place nameless() const { return Place::nameless(memory.get()); }
  [[nodiscard]] Place file() const { return Place::file(directory.file("segment")); }
  [[nodiscard]] std::vector<Place> all() const { return {Place(name()), nameless(), file()}; }
  [[nodiscard]] std::vector<Place> without_name() const { return {nameless(), file()}; }

  static SegmentSpec spec(const Place& place) {
    SegmentSpec wanted;
    wanted.place = place;
    wanted.geometry.total_bytes = 2 * os::page_size();
    wanted.geometry.values[0] = 7;
    return wanted;
  }
  static Result<std::uint64_t> judge(const layout::Geometry& found) {
    if (found.values[0] != 7) return make_error(Code::geometry, "not seven");
    return found.total_bytes;
  }
  static Result<Segment> enter(const Place& place, Entry entry = Entry::attach_or_create) {
    return Segment::enter(spec(place), entry, soon(), judge);
  }
  static layout::RoleRecord& role(const Segment& segment, std::uint32_t index) {
    return segment.at<layout::RoleRecord>(layout::kRolesOffset)[index];
  }
  static std::byte& content(const Segment& segment) {
    return *segment.at<std::byte>(os::page_size());
  }
  static void claim(Segment& segment, std::uint32_t index) {
    REQUIRE(segment.claim(role(segment, index), index, 0, "test").ok());
    segment.settle();
  }
  static void leave(Segment& segment, std::uint32_t index) {
    REQUIRE(segment.lock_lifecycle(soon()).ok());
    segment.resign(role(segment, index), index);
    if (!segment.anyone_else()) segment.unlink();
    segment = Segment();
  }
  static std::uint64_t size_of(int fd) {
    struct stat status {};
    REQUIRE(::fstat(fd, &status) == 0);
    return static_cast<std::uint64_t>(status.st_size);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Places,
                  "the first on any place creates, the second attaches, the last is followed") {
  for (const Place& place : all()) {
    CAPTURE(place.title());
    Segment first = must(enter(place));
    CHECK(first.created());
    claim(first, 0);
    Segment second = must(enter(place));
    CHECK_FALSE(second.created());
    claim(second, 1);
    content(first) = std::byte{9};
    CHECK(content(second) == std::byte{9});
    auto third = enter(place);
    REQUIRE(third.ok());
    auto taken = third.value().claim(role(third.value(), 0), 0, 0, "test");
    REQUIRE_FALSE(taken.ok());
    CHECK(taken.error().code == Code::role_taken);
    third.value() = Segment();
    leave(first, 0);
    leave(second, 1);

    Segment next = must(enter(place));
    // What is nameless is begun anew; a file goes on.
    CHECK(next.created() == !place.is_file());
    CHECK(content(next) == (place.is_file() ? std::byte{9} : std::byte{0}));
    claim(next, 0);
    leave(next, 0);
  }
}

TEST_CASE_FIXTURE(Places, "locks in one process exclude each other on any place") {
  for (const Place& place : all()) {
    CAPTURE(place.title());
    Segment first = must(enter(place));
    auto second =
        Segment::enter(spec(place), Entry::attach_or_create, os::Deadline::after(0), judge);
    REQUIRE_FALSE(second.ok());  // the lifecycle lock is held
    CHECK(second.error().code == Code::timeout);
    claim(first, 0);
    leave(first, 0);
  }
}

TEST_CASE_FIXTURE(Places, "nameless memory is sealed as soon as it has a size") {
  CHECK_FALSE(os::size_is_sealed(memory.get()));
  Segment segment = must(enter(nameless()));
  CHECK(os::size_is_sealed(memory.get()));
  CHECK(::ftruncate(memory.get(), 0) != 0);
  CHECK(::ftruncate(memory.get(), 1 << 20) != 0);
  CHECK(size_of(memory.get()) == 2 * os::page_size());
  claim(segment, 0);
  // Its size is final, for other segments, too.
  leave(segment, 0);
  SegmentSpec larger = spec(nameless());
  larger.kind = layout::Kind::frames;
  larger.geometry.total_bytes = 3 * os::page_size();
  auto refused = Segment::enter(larger, Entry::attach_or_create, soon(), judge);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::geometry);
  CHECK(refused.error().message.find("use a new NamelessSegment") != std::string::npos);
}

TEST_CASE_FIXTURE(Places,
                  "a process that dies on nameless memory leaves it to the next one, empty") {
  Shared<std::atomic<int>> ready;
  Child child([&] {
    auto entered = enter(nameless());
    CHILD_EXPECT(entered.ok());
    CHILD_EXPECT(entered.value().claim(role(entered.value(), 0), 0, 0, "test").ok());
    content(entered.value()) = std::byte{5};
    entered.value().settle();
    ready->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  {
    Segment second = must(enter(nameless()));
    CHECK(second.peer(role(second, 0), 0) == Peer::attached);
    CHECK(content(second) == std::byte{5});
    second.settle();
  }
  child.kill();
  Segment next = must(enter(nameless()));
  CHECK(next.created());
  CHECK(content(next) == std::byte{0});
}

TEST_CASE_FIXTURE(Places, "a creator that died half-way does not spoil nameless memory") {
  for (const bool sealed : {false, true}) {
    CAPTURE(sealed);
    memory = must(os::create_nameless(0600, false));
    REQUIRE(::ftruncate(memory.get(), static_cast<off_t>(2 * os::page_size())) == 0);
    if (sealed) REQUIRE(os::seal_size(memory.get(), "x").ok());
    Segment segment = must(enter(nameless()));
    CHECK(segment.created());
    CHECK(os::size_is_sealed(memory.get()));
  }
}

TEST_CASE_FIXTURE(Places, "memory that somebody is on and that could shrink is refused") {
  REQUIRE(::ftruncate(memory.get(), static_cast<off_t>(2 * os::page_size())) == 0);
  const os::Descriptor other = must(os::reopen(memory.get(), os::Access::read_write, "x"));
  const os::FileLock lock = must(os::FileLock::within(other.get()));
  REQUIRE(lock.try_exclusive(layout::kFirstRoleByte));
  auto refused = enter(nameless());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::not_ours);
  CHECK(refused.error().message.find("not sealed") != std::string::npos);
}

TEST_CASE_FIXTURE(Places, "what is no nameless memory is refused") {
  const os::Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const os::Descriptor file(
      ::open(directory.file("x").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const os::Descriptor shm = must(os::create_object(name(), 0600));
  os::unlink_object(name());
  for (const int fd : {null.get(), file.get(), shm.get(), -1, 1 << 20}) {
    CAPTURE(fd);
    auto refused = enter(Place::nameless(fd));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::not_ours);
  }
}

TEST_CASE_FIXTURE(Places, "a file appears complete, and nothing beside it") {
  const mode_t before = ::umask(0777);
  Segment segment = must(enter(file()));
  ::umask(before);
  CHECK(directory.files() == std::vector<std::string>{"segment"});
  struct stat status {};
  REQUIRE(::stat(file().path().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(status.st_blocks * 512 >= static_cast<blkcnt_t>(2 * os::page_size()));
  claim(segment, 0);
  leave(segment, 0);
  CHECK(directory.files().size() == 1);
  CHECK(must(os::unlink_file(file().path())));
  CHECK_FALSE(must(os::unlink_file(file().path())));
}

TEST_CASE_FIXTURE(Places, "a file that cannot be a segment is refused and left alone") {
  const auto write_file = [&](const std::string& content, mode_t mode) {
    ::unlink(file().path().c_str());
    const os::Descriptor fd(::open(file().path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::write(fd.get(), content.data(), content.size()) ==
            static_cast<ssize_t>(content.size()));
    REQUIRE(::fchmod(fd.get(), mode) == 0);
  };
  const auto expect = [&](Code code) {
    auto refused = enter(file());
    REQUIRE_FALSE(refused.ok());
    CHECK(code_name(refused.error().code) == std::string(code_name(code)));
    CHECK(directory.files().size() == 1);
  };
  write_file("", 0600);
  expect(Code::corrupt);
  write_file("short", 0600);
  expect(Code::corrupt);
  write_file(std::string(100'000, 'x'), 0600);
  expect(Code::corrupt);
  CHECK(
      must(os::inspect_object(must(os::open_file(file().path(), os::Access::read_only)).get(), ""))
          .size == 100'000);
  write_file(std::string(2 * os::page_size(), '\0'), 0600);
  expect(Code::corrupt);
  write_file("x", 0644);
  expect(Code::not_ours);
  ::unlink(file().path().c_str());
  REQUIRE(::symlink("/dev/null", file().path().c_str()) == 0);
  expect(Code::not_ours);
  ::unlink(file().path().c_str());
  REQUIRE(::mkfifo(file().path().c_str(), 0600) == 0);
  expect(Code::not_ours);
  ::unlink(file().path().c_str());
  CHECK(enter(Place::file("")).error().code == Code::invalid_name);
  CHECK(enter(Place::file(directory.file("no/such"))).error().code == Code::not_found);
}

TEST_CASE_FIXTURE(Places, "a truncated file is an error when it is opened") {
  {
    Segment segment = must(enter(file()));
    claim(segment, 0);
    leave(segment, 0);
  }
  for (const std::uint64_t size : {os::page_size() + 5, os::page_size(), std::size_t{100}}) {
    REQUIRE(::truncate(file().path().c_str(), static_cast<off_t>(size)) == 0);
    auto refused = enter(file());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::corrupt);
  }
}

TEST_CASE_FIXTURE(Places, "of many who create a file at once, one does") {
  Shared<std::atomic<int>> creators;
  Shared<std::atomic<int>> start;
  std::vector<Child> crowd;
  for (int i = 0; i < 6; ++i) {
    crowd.emplace_back([&] {
      while (start->load() == 0)
        os::spin_hint();
      auto entered = enter(file());
      CHILD_EXPECT(entered.ok());
      if (entered.value().created()) creators->fetch_add(1);
      entered.value().settle();
      return 0;
    });
  }
  start->store(1);
  for (Child& child : crowd)
    CHECK(child.wait() == 0);
  CHECK(creators->load() == 1);
  CHECK(directory.files().size() == 1);
}

TEST_CASE_FIXTURE(Places, "a queue in a file keeps its messages when both sides are killed") {
  QueueSpec spec;
  spec.place = file();
  Shared<std::atomic<int>> ready;
  Child child([&] {
    auto producer = QueueProducer::open(spec, soon());
    auto consumer = QueueConsumer::open(spec, soon());
    CHILD_EXPECT(producer.ok() && consumer.ok());
    CHILD_EXPECT(producer.value()->try_push("kept", 4) == RingStatus::ok);
    ready->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return ready->load() == 1; }));
  child.kill();
  auto consumer = must(QueueConsumer::open(spec, soon()));
  const Message message = consumer->peek();
  REQUIRE(message.status == RingStatus::ok);
  CHECK(std::string(reinterpret_cast<const char*>(message.data), message.length) == "kept");
  consumer->release(message);
}

TEST_CASE_FIXTURE(Places, "discarding is honoured on every place") {
  for (const Place& place : all()) {
    CAPTURE(place.title());
    QueueSpec spec;
    spec.place = place;
    spec.keep = true;
    {
      auto producer = must(QueueProducer::open(spec, soon()));
      REQUIRE(producer->try_push("gone", 4) == RingStatus::ok);
      producer->close(true);
    }
    auto consumer = must(QueueConsumer::open(spec, soon()));
    CHECK(consumer->peek().status == RingStatus::empty);
    consumer->close(true);
  }
}

TEST_CASE_FIXTURE(Places, "unread messages linger on every place") {
  for (const Place& place : all()) {
    CAPTURE(place.title());
    QueueSpec spec;
    spec.place = place;
    {
      auto producer = must(QueueProducer::open(spec, soon()));
      REQUIRE(producer->try_push("here", 4) == RingStatus::ok);
    }
    auto consumer = must(QueueConsumer::open(spec, soon()));
    const Message message = consumer->peek();
    REQUIRE(message.status == RingStatus::ok);
    consumer->release(message);
  }
}

TEST_CASE_FIXTURE(Places, "frames on every place, and one channel replaced by another") {
  for (const Place& place : all()) {
    CAPTURE(place.title());
    FrameWriterSpec spec;
    spec.place = place;
    spec.geometry.slot_bytes = 100;
    spec.geometry.slots = 4;
    FrameReaderSpec wanted;
    wanted.place = place;
    CHECK(FrameReader::open(wanted, soon()).error().code == Code::not_found);
    auto writer = must(FrameWriter::open(spec, soon()));
    auto reader = must(FrameReader::open(wanted, soon()));
    const auto slot = writer->try_loan();
    REQUIRE(slot.has_value());
    CHECK(writer->publish(*slot, 100, 0) == 1);
    const ReceivedFrame frame = reader->receive();
    REQUIRE(frame.status == ReceivedFrame::Status::ok);
    CHECK(reader->release(frame.slot, frame.sequence));
    writer->close();
    CHECK(FrameReader::open(wanted, soon()).error().code == Code::not_found);

    // Its reader is still there.
    spec.geometry.slots = 5;
    CHECK(FrameWriter::open(spec, soon()).error().code == Code::geometry);
    spec.replace = true;
    auto replaced = FrameWriter::open(spec, soon());
    CHECK(replaced.ok() == !place.is_nameless());
    if (!replaced.ok()) CHECK(replaced.error().code == Code::geometry);
  }
}

}  // namespace millrace::test::place_test
