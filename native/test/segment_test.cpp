// The door of a segment: creating, attaching, roles, liveness, reclaiming.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include <millrace/segment.hpp>

#include "fixture.hpp"

namespace millrace::test::segment_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kRoles = 8;

// What a test keeps in the second page of its segments.
struct Notes {
  std::atomic<std::uint64_t> entered;
  std::atomic<std::uint64_t> creators;
};

struct Door : Names {
  [[nodiscard]] SegmentSpec spec() const {
    SegmentSpec wanted;
    wanted.place = name();
    wanted.geometry.total_bytes = 2 * os::page_size();
    wanted.geometry.values[0] = 7;
    return wanted;
  }
  static Result<std::uint64_t> judge(const layout::Geometry& found) {
    if (found.values[0] != 7) return make_error(Code::geometry, "not seven");
    return found.total_bytes;
  }
  [[nodiscard]] Result<Segment> enter(Entry entry = Entry::attach_or_create,
                                      const os::Deadline& deadline = soon()) const {
    return Segment::enter(spec(), entry, deadline, judge);
  }
  [[nodiscard]] std::string object() const { return object_name_of('q', name()); }
  static layout::RoleRecord& role(const Segment& segment, std::uint32_t index) {
    return segment.at<layout::RoleRecord>(layout::kRolesOffset)[index];
  }
  static Notes& notes(const Segment& segment) { return *segment.at<Notes>(os::page_size()); }
  // Leaves as a channel does.
  static void leave(Segment& segment, std::uint32_t index) {
    (void)segment.lock_lifecycle(soon());
    segment.resign(role(segment, index), index);
    if (!segment.anyone_else()) segment.unlink();
    segment = Segment();
  }
  // A process that holds a role until it is killed.
  [[nodiscard]] Child holder(std::uint32_t index, std::uint64_t* bell_id = nullptr) const {
    Shared<std::atomic<int>> ready;
    Shared<std::atomic<std::uint64_t>> id;
    Child child([&] {
      const os::Doorbell own = bell_id != nullptr ? bell() : os::Doorbell();
      id->store(own.id());
      auto entered = enter();
      CHILD_EXPECT(entered.ok());
      Segment segment = entered.take();
      CHILD_EXPECT(segment.claim(role(segment, index), index, own.id(), "test").ok());
      segment.settle();
      ready->store(1);
      return linger();
    });
    REQUIRE(eventually([&] { return ready->load() == 1; }));
    if (bell_id != nullptr) *bell_id = id->load();
    return child;
  }
  // An object under our name that no enter() made.
  [[nodiscard]] os::Descriptor plant(std::uint64_t size, mode_t mode = 0600) const {
    os::Descriptor fd = must(os::create_object(object(), mode));
    REQUIRE(::fchmod(fd.get(), mode) == 0);
    REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(size)) == 0);
    return fd;
  }
  // A good segment that nobody is on, changed by `harm`, which gets its header.
  template <typename Harm>
  os::Descriptor plant_harmed(Harm&& harm) const {
    {
      Segment segment = must(enter());
      harm(segment.header());
    }
    return must(os::open_object(object(), os::Access::read_write));
  }
  void expect_fresh_segment() const {
    Segment segment = must(enter());
    CHECK(segment.created());
    CHECK(notes(segment).entered.load() == 0);
    segment.unlink();
  }
};

}  // namespace

TEST_CASE("names are those that are valid files everywhere") {
  for (const char* good : {"a", "A-Z_0.9", "x..y", "-", "_", "0"})
    CHECK(check_name(good).ok());
  CHECK(check_name(std::string(240, 'n')).ok());
  for (const char* bad : {"", ".", "..", ".hidden", "a/b", "a b", "a\n", "ü", "a\\b", "*"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(check_name(bad).ok());
    CHECK(check_name(bad).error().code == Code::invalid_name);
  }
  CHECK_FALSE(check_name(std::string("a\0b", 3)).ok());
  CHECK(check_name(std::string(241, 'n')).error().code == Code::name_too_long);
}

TEST_CASE("object names say what they are and fit the system") {
  CHECK(object_name_of('q', "jobs").find("millrace.q.") == 0);
  CHECK(object_name_of('f', std::string(240, 'n')).size() <= os::kObjectNameMax);
  CHECK(object_name_of('f', "jobs") != object_name_of('q', "jobs"));
}

TEST_CASE_FIXTURE(Door, "the first creates, the next attaches to the same segment") {
  Segment first = must(enter());
  CHECK(first.created());
  REQUIRE(first.claim(role(first, 0), 0, 0, "test").ok());
  first.settle();
  Segment second = must(enter());
  CHECK_FALSE(second.created());
  CHECK_FALSE(second.orphaned());
  CHECK(second.header().instance == first.header().instance);
  second.settle();
  leave(first, 0);
}

TEST_CASE_FIXTURE(Door, "attaching only finds nothing, an empty object or a stale one: not_found") {
  auto none = enter(Entry::attach_only);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Code::not_found);
  {
    const os::Descriptor empty = plant(0);
    CHECK(enter(Entry::attach_only).error().code == Code::not_found);
  }
  os::unlink_object(object());
  { Segment stale = must(enter()); }
  CHECK(enter(Entry::attach_only).error().code == Code::not_found);
}

TEST_CASE_FIXTURE(Door, "the mode is exact whatever the umask") {
  for (const mode_t umask : {mode_t{0}, mode_t{0777}}) {
    for (const mode_t mode : {mode_t{0600}, mode_t{0660}}) {
      SegmentSpec wanted = spec();
      wanted.mode = mode;
      const mode_t before = ::umask(umask);
      auto made = Segment::enter(wanted, Entry::attach_or_create, soon(), judge);
      ::umask(before);
      Segment segment = must(std::move(made));
      CHECK(must(os::inspect_object(segment.fd(), object())).mode == mode);
      segment.unlink();
    }
  }
}

TEST_CASE_FIXTURE(Door, "half-made and damaged segments nobody is on are replaced") {
  SUBCASE("empty: a creator died before giving it a size") {
    (void)plant(0);
  }
  SUBCASE("sized, but not READY") {
    (void)plant(2 * os::page_size());
  }
  SUBCASE("shorter than a header") {
    (void)plant(100);
  }
  SUBCASE("one byte") {
    (void)plant(1);
  }
  SUBCASE("of another major version") {
    (void)plant_harmed([](layout::Header& header) { header.major = layout::kMajor + 1; });
  }
  SUBCASE("of another kind") {
    (void)plant_harmed([](layout::Header& header) { header.kind = layout::Kind::frames; });
  }
  SUBCASE("of another page size") {
    (void)plant_harmed([](layout::Header& header) { header.page_bytes = 1; });
  }
  SUBCASE("longer than it says") {
    const os::Descriptor fd = plant_harmed([](layout::Header&) {});
    REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(3 * os::page_size())) == 0);
  }
  SUBCASE("shorter than it says") {
    const os::Descriptor fd = plant_harmed([](layout::Header&) {});
    REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(os::page_size())) == 0);
  }
  SUBCASE("stale") {
    (void)plant_harmed([](layout::Header&) {});
  }
  SUBCASE("stale, with another geometry") {
    (void)plant_harmed([](layout::Header& header) { header.geometry.values[0] = 8; });
  }
  expect_fresh_segment();
}

TEST_CASE_FIXTURE(Door, "promise: strangers - what is not ours is refused and left as it is") {
  SUBCASE("without the magic number") {
    (void)plant_harmed([](layout::Header& header) { header.magic = 1; });
  }
  SUBCASE("somebody's file") {
    const os::Descriptor fd = plant(0);
    REQUIRE(::write(fd.get(), "dear diary", 10) == 10);
  }
  const os::Descriptor before = must(os::open_object(object(), os::Access::read_write));
  for (const Entry entry : {Entry::attach_or_create, Entry::attach_only, Entry::replace}) {
    auto refused = enter(entry);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::corrupt);
    CHECK(refused.error().message.find("magic") != std::string::npos);
  }
  CHECK_FALSE(must(os::FileLock::over(before.get(), object(), 0600)).unlinked());
  CHECK(must(unlink_channel('q', name())));
}

TEST_CASE_FIXTURE(Door,
                  "the same segments are left alone, with a reason, while somebody is on them") {
  const auto refused_with = [&](Code code, const std::string& words) {
    const os::Descriptor fd = must(os::open_object(object(), os::Access::read_write));
    const os::FileLock lock = must(os::FileLock::over(fd.get(), object(), 0600));
    REQUIRE(lock.try_exclusive(layout::kFirstRoleByte));
    for (const Entry entry : {Entry::attach_or_create, Entry::attach_only}) {
      auto refused = enter(entry, os::Deadline::after(0));
      REQUIRE_FALSE(refused.ok());
      CHECK(refused.error().code == code);
      CAPTURE(refused.error().message);
      CHECK(refused.error().message.find(words) != std::string::npos);
    }
    CHECK_FALSE(lock.unlinked());
    os::unlink_object(object());
    os::FileLock::remove_file(object());
  };
  SUBCASE("not READY") {
    (void)plant(2 * os::page_size());
    refused_with(Code::corrupt, "never finished");
  }
  SUBCASE("short") {
    (void)plant(100);
    refused_with(Code::corrupt, "too short");
  }
  SUBCASE("magic") {
    (void)plant_harmed([](layout::Header& header) { header.magic = 1; });
    refused_with(Code::corrupt, "magic");
  }
  SUBCASE("major version") {
    (void)plant_harmed([](layout::Header& header) { header.major = 9; });
    refused_with(Code::layout, "version 9." + std::to_string(layout::kMinor) +
                                   ", this process has 1." + std::to_string(layout::kMinor));
  }
  SUBCASE("a newer minor version is fine") {
    (void)plant_harmed([](layout::Header& header) {
      header.minor = 99;
      header.geometry.values[0] = 8;
    });
    refused_with(Code::geometry, "not seven");
  }
  SUBCASE("kind") {
    (void)plant_harmed([](layout::Header& header) { header.kind = layout::Kind::frames; });
    refused_with(Code::layout, "another kind");
  }
  SUBCASE("byte order") {
    (void)plant_harmed([](layout::Header& header) { header.endian_tag = 0x04030201; });
    refused_with(Code::layout, "machine");
  }
  SUBCASE("size") {
    (void)plant_harmed([](layout::Header& header) { header.geometry.total_bytes = 1; });
    refused_with(Code::corrupt, "claims 1 bytes but has");
  }
  SUBCASE("name") {
    (void)plant_harmed([](layout::Header& header) { header.name.fill('x'); });
    refused_with(Code::exists, "belongs to the channel 'xxx");
  }
}

TEST_CASE_FIXTURE(Door,
                  "an object with wider rights, of a stranger, or behind a link is not ours") {
  SUBCASE("open to the world") {
    (void)plant(0, 0666);
  }
  SUBCASE("open to the group when we did not ask for that") {
    (void)plant(0, 0660);
  }
  SUBCASE("a stranger's") {
    if (::geteuid() != 0) return;
    const os::Descriptor fd = plant(0);
    REQUIRE(::fchown(fd.get(), 4711, 4711) == 0);
    SegmentSpec trusting = spec();
    trusting.owner = 4711;
    CHECK(Segment::enter(trusting, Entry::attach_only, soon(), judge).error().code ==
          Code::not_found);  // accepted, but empty
  }
  SUBCASE("ours, where another user's is waited for") {
    SegmentSpec waiting = spec();
    waiting.owner = ::geteuid() + 1;
    CHECK(Segment::enter(waiting, Entry::attach_or_create, soon(), judge).error().code ==
          Code::not_found);
    CHECK_FALSE(os::open_object(object(), os::Access::read_only).ok());  // nothing is in its way
    return;
  }
#if defined(__linux__)
  SUBCASE("a symbolic link") {
    REQUIRE(::symlink("/dev/null", os::object_path(object()).c_str()) == 0);
  }
#endif
  auto refused = enter();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::not_ours);
  ::unlink(os::object_path(object()).c_str());
}

TEST_CASE_FIXTURE(Door, "a taken role is refused with the process that has it") {
  Child child = holder(0);
  Segment segment = must(enter());
  auto claimed = segment.claim(role(segment, 0), 0, 0, "test");
  REQUIRE_FALSE(claimed.ok());
  CHECK(claimed.error().code == Code::role_taken);
  CHECK(claimed.error().message.find("process " + std::to_string(child.pid()) + ";") !=
        std::string::npos);
  CHECK(segment.claim(role(segment, 1), 1, 0, "test").ok());
  segment.settle();
  child.kill();
  leave(segment, 1);
}

TEST_CASE_FIXTURE(Door, "a role tells absent, attached, closed and gone apart") {
  Segment mine = must(enter());
  REQUIRE(mine.claim(role(mine, 1), 1, 0, "test").ok());
  mine.settle();
  CHECK(mine.peer(role(mine, 0), 0) == Peer::absent);
  Child first = holder(0);
  CHECK(mine.peer(role(mine, 0), 0) == Peer::attached);
  first.kill();
  CHECK(mine.peer(role(mine, 0), 0) == Peer::gone);
  Child second = holder(0);
  CHECK(mine.peer(role(mine, 0), 0) == Peer::attached);
  CHECK(role(mine, 0).epoch.load() == 2);
  second.kill();
  {
    Segment third = must(enter());
    REQUIRE(third.claim(role(third, 0), 0, 0, "test").ok());
    third.settle();
    leave(third, 0);
  }
  CHECK(mine.peer(role(mine, 0), 0) == Peer::closed);
  leave(mine, 1);
}

TEST_CASE_FIXTURE(
    Door, "a segment is reclaimed once all its processes are dead, even with no time to wait") {
  Child a = holder(0);
  Child b = holder(1);
  a.kill();
  {
    Segment segment = must(enter(Entry::attach_or_create, os::Deadline::after(0)));
    CHECK_FALSE(segment.created());
  }
  b.kill();
  Segment segment = must(enter(Entry::attach_or_create, os::Deadline::after(0)));
  CHECK(segment.created());
  segment.unlink();
}

TEST_CASE_FIXTURE(Door, "what was asked to be kept, or lingers, waits for the next opener") {
  layout::Flag flag = layout::kLingering;
  SUBCASE("lingering") {}
  SUBCASE("kept") {
    flag = layout::kKeep;
  }
  std::uint64_t instance = 0;
  {
    Segment segment = must(enter());
    instance = segment.header().instance;
    segment.set_flag(flag, true);
  }
  Segment segment = must(enter(Entry::attach_only));
  CHECK(segment.orphaned());
  CHECK(segment.header().instance == instance);
  segment.unlink();
}

TEST_CASE_FIXTURE(
    Door,
    "replacing leaves those on the old segment their memory, but never ousts the first role") {
  Child reader = holder(1);
  Segment fresh = must(enter(Entry::replace));
  CHECK(fresh.created());
  REQUIRE(fresh.claim(role(fresh, 0), 0, 0, "test").ok());
  fresh.settle();
  auto refused = enter(Entry::replace);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::role_taken);
  CHECK(refused.error().message.find(std::to_string(::getpid())) != std::string::npos);
  leave(fresh, 0);
}

TEST_CASE_FIXTURE(Door, "one that left takes no name away that leads to a newer segment") {
  Segment old = must(enter());
  REQUIRE(old.claim(role(old, 0), 0, 0, "test").ok());
  old.settle();
  CHECK(must(unlink_channel('q', name())));
  CHECK_FALSE(must(unlink_channel('q', name())));
  Segment fresh = must(enter());
  CHECK(fresh.created());
  REQUIRE(fresh.claim(role(fresh, 0), 0, 0, "test").ok());
  fresh.settle();
  leave(old, 0);
  CHECK(must(enter(Entry::attach_only)).header().instance == fresh.header().instance);
  leave(fresh, 0);
}

#if defined(__linux__)
// Objects are files there, and whoever may write to one may give it another name (`ln`, a backup by
// `cp -al`).
TEST_CASE_FIXTURE(Door,
                  "promise: strangers - a hard link does not make an old segment a current one") {
  const std::string elsewhere = os::object_path(name("link"));
  auto old = must(enter());
  REQUIRE(old.claim(role(old, 0), 0, 0, "test").ok());
  old.settle();
  REQUIRE(::link(os::object_path(object()).c_str(), elsewhere.c_str()) == 0);
  CHECK_FALSE(old.unlinked());

  SUBCASE("whoever leaves takes the name of nothing newer away") {
    CHECK(must(unlink_channel('q', name())));
    CHECK(old.unlinked());
    auto fresh = must(enter());
    CHECK(fresh.created());
    REQUIRE(fresh.claim(role(fresh, 0), 0, 0, "test").ok());
    fresh.settle();
    leave(old, 0);
    CHECK_FALSE(fresh.unlinked());
    leave(fresh, 0);
  }
  SUBCASE("whoever waited at the door does not stay on what lost its name meanwhile") {
    REQUIRE(old.lock_lifecycle(soon()).ok());
    Shared<std::atomic<int>> waits;
    Child opener([&] {
      waits->store(1);
      auto entered = enter();
      CHILD_EXPECT(entered.ok());
      CHILD_EXPECT(entered.value().created());  // the old one has no name and is nobody's to find
      auto segment = entered.take();
      CHILD_EXPECT(segment.claim(role(segment, 0), 0, 0, "test").ok());
      leave(segment, 0);
      return 0;
    });
    REQUIRE(eventually([&] { return waits->load() == 1; }));
    os::sleep_ns(20 *
                 kMillisecond);  // it is at the door, or will find the name gone: both are right
    old.resign(role(old, 0), 0);
    old.unlink();
    old = Segment();
    CHECK(opener.wait() == 0);
  }
  SUBCASE("whoever unlinks removes nothing newer than what it waited for") {
    REQUIRE(old.lock_lifecycle(soon()).ok());
    Shared<std::atomic<int>> waits;
    Child remover([&] {
      waits->store(1);
      CHILD_EXPECT(unlink_channel('q', name()).ok());
      return 0;
    });
    REQUIRE(eventually([&] { return waits->load() == 1; }));
    os::sleep_ns(20 * kMillisecond);
    old.unlink();
    const os::Descriptor fresh = plant(0);
    old.settle();
    CHECK(remover.wait() == 0);
    CHECK(os::leads_to(os::object_path(object()), fresh.get()));
    os::unlink_object(object());
    leave(old, 0);
  }
  ::unlink(elsewhere.c_str());
}
#endif

TEST_CASE_FIXTURE(Door, "an opener waits for a transition under way, but not for ever") {
  Segment slow = must(enter());  // not settled
  auto refused = enter(Entry::attach_or_create, os::Deadline::after(5 * kMillisecond));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::timeout);
  slow.unlink();
}

TEST_CASE_FIXTURE(Door,
                  "the doorbells of dead holders go with the segment, those of the living stay") {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  const auto exists = [](std::uint64_t id) {
    return ::access(os::doorbell_path(id).c_str(), F_OK) == 0;
  };
  Child a = holder(0, &first);
  Child b = holder(1, &second);
  a.kill();
  {
    Segment segment = must(enter());
    REQUIRE(segment.claim(role(segment, 0), 0, 0, "test").ok());  // buries its predecessor
    CHECK_FALSE(exists(first));
    CHECK(exists(second));
  }
  b.kill();
  SegmentSpec burying = spec();
  burying.bury = [](const Segment& stale) { stale.bury(role(stale, 1)); };
  Segment fresh = must(Segment::enter(burying, Entry::attach_or_create, soon(), judge));
  CHECK(fresh.created());
  CHECK_FALSE(exists(second));
  fresh.unlink();
}

TEST_CASE_FIXTURE(Door, "many processes that create, attach and leave at once always agree") {
  // Whoever holds a role is on the segment that the name leads to, and each segment has one creator.
  std::vector<Child> crowd;
  Shared<std::atomic<std::uint64_t>> created;
  for (std::uint32_t index = 0; index < kRoles; ++index) {
    crowd.emplace_back([&, index] {
      for (int round = 0; round < rounds(300); ++round) {
        auto entered = enter();
        CHILD_EXPECT(entered.ok());
        Segment segment = entered.take();
        CHILD_EXPECT(segment.created() == (notes(segment).entered.fetch_add(1) == 0));
        if (segment.created()) {
          CHILD_EXPECT(notes(segment).creators.fetch_add(1) == 0);
          created->fetch_add(1);
        }
        CHILD_EXPECT(segment.claim(role(segment, index), index, 0, "test").ok());
        segment.settle();
        {
          auto again = enter(Entry::attach_only);
          CHILD_EXPECT(again.ok());
          CHILD_EXPECT(again.value().header().instance == segment.header().instance);
        }
        // Leave in good order, or as if killed: the descriptor's end drops the role.
        if (round % 3 != 0) leave(segment, index);
      }
      return 0;
    });
  }
  for (Child& child : crowd)
    CHECK(child.wait() == 0);
  CHECK(created->load() >= 1);
  (void)must(unlink_channel('q', name()));
}

TEST_CASE_FIXTURE(Door, "unlinking takes no name away while somebody is at the door") {
  Segment held = must(enter());  // with the lifecycle lock
  auto refused = unlink_channel('q', name());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::timeout);
  CHECK_FALSE(held.unlinked());
  held.settle();
  CHECK(must(unlink_channel('q', name())));
  CHECK(held.unlinked());
}

TEST_CASE_FIXTURE(Door, "processes killed at the door wedge nobody") {
  Shared<std::atomic<std::uint64_t>> entered_count;
  for (int round = 0; round < rounds(150); ++round) {
    const std::uint64_t before = entered_count->load();
    Child child([&] {
      for (;;) {
        auto entered = enter();
        CHILD_EXPECT(entered.ok());
        Segment segment = entered.take();
        CHILD_EXPECT(segment.claim(role(segment, 0), 0, 0, "test").ok());
        segment.settle();
        entered_count->fetch_add(1);
        leave(segment, 0);
      }
      return 0;
    });
    const auto target = before + 1 + static_cast<std::uint64_t>(round % 7);
    REQUIRE(eventually([&] { return entered_count->load() >= target; }));
    child.kill();
    Segment segment = must(enter());
    REQUIRE(segment.claim(role(segment, 0), 0, 0, "test").ok());
    segment.settle();
    leave(segment, 0);
  }
}

TEST_CASE_FIXTURE(Door, "whoever states a schema must state the one that was stated first") {
  const auto enter_as = [&](std::uint64_t schema) {
    SegmentSpec wanted = spec();
    wanted.schema = schema;
    return Segment::enter(wanted, Entry::attach_or_create, soon(), judge);
  };
  const auto take = [&](std::uint64_t schema, std::uint32_t index) {
    Segment segment = must(enter_as(schema));
    REQUIRE(segment.claim(role(segment, index), index, 0, "test").ok());
    segment.settle();
    return segment;
  };
  const auto refused = [&](std::uint64_t schema) {
    auto entered = enter_as(schema);
    REQUIRE_FALSE(entered.ok());
    CHECK(entered.error().code == Code::schema);
    return entered.error().message;
  };
  SUBCASE("stated by the creator") {
    Segment first = take(0xabcd, 0);
    CHECK(first.header().schema.load() == 0xabcd);
    const std::string message = refused(0xbeef);
    CHECK(message.find("schema 000000000000abcd") != std::string::npos);
    CHECK(message.find("schema 000000000000beef") != std::string::npos);
    Segment same = take(0xabcd, 1);
    Segment tool = take(0, 2);
    leave(tool, 2);
    leave(same, 1);
    leave(first, 0);
  }
  SUBCASE("stated by the first who has one") {
    Segment tool = take(0, 0);
    CHECK(tool.header().schema.load() == 0);
    Segment first = take(0xabcd, 1);
    (void)refused(0xbeef);
    leave(first, 1);
    leave(tool, 0);
  }
  SUBCASE("but not by one who does not get in") {
    Segment tool = take(0, 0);
    {
      Segment late = must(enter_as(0xbeef));
      CHECK_FALSE(late.claim(role(late, 0), 0, 0, "test").ok());
    }
    Segment first = take(0xabcd, 1);
    leave(first, 1);
    leave(tool, 0);
  }
  SUBCASE("and not by the dead") {
    { Segment killed = take(0xabcd, 0); }
    Segment next = take(0xbeef, 0);
    CHECK(next.created());
    leave(next, 0);
  }
  SUBCASE("what lingers keeps its schema") {
    {
      Segment left = take(0xabcd, 0);
      left.set_flag(layout::kLingering, true);
    }
    (void)refused(0xbeef);
    Segment heir = take(0xabcd, 0);
    CHECK_FALSE(heir.created());
    leave(heir, 0);
  }
}

}  // namespace millrace::test::segment_test
