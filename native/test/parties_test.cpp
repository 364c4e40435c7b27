// Parties: taking, leaving and reusing seats, burying the dead, waking one another.
#include "millrace/sync/parties.hpp"

#include <memory>

#include "fixture.hpp"

namespace millrace::test::parties_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Board {
  std::atomic<std::uint64_t> value;
  std::atomic<std::uint64_t> repaired;  // seats, one bit each
  std::atomic<std::uint64_t> repairs;
  std::atomic<std::uint64_t> unfinished;  // this seat less one cannot be repaired yet
};

PartySpec spec_of(const std::string& name, bool keep = false) {
  PartySpec spec;
  spec.kind = layout::Kind::event;
  spec.letter = 'e';
  spec.title = "board";
  spec.place = name;
  spec.keep = keep;
  spec.shared_bytes = sizeof(Board);
  return spec;
}

// A party of a primitive that only counts repairs.
struct Party {
  Party() : parties([this](std::uint32_t seat) { return repair(seat); }) {}
  [[nodiscard]] bool repair(std::uint32_t seat) const {
    // Nothing to do for a seat that nobody has had, or that was left in good order.
    if (parties.record(seat).state.load() !=
        static_cast<std::uint32_t>(layout::RoleState::attached))
      return true;
    if (board().unfinished.load() == seat + 1) return false;
    board().repaired.fetch_or(1ULL << seat);
    board().repairs.fetch_add(1);
    return true;
  }
  [[nodiscard]] Board& board() const { return parties.shared<Board>(); }
  Parties parties;
};

std::unique_ptr<Party> join(const PartySpec& spec) {
  auto party = std::make_unique<Party>();
  auto entered = party->parties.enter(spec, soon());
  REQUIRE_MESSAGE(entered.ok(), entered.error().message);
  return party;
}
Code refusal(const PartySpec& spec) {
  Party party;
  auto entered = party.parties.enter(spec, soon());
  REQUIRE(!entered.ok());
  return entered.error().code;
}

bool segment_exists(const std::string& name) {
  return os::open_object(object_name_of('e', name), os::Access::read_write).ok();
}

}  // namespace

TEST_CASE("parties: seats are taken from the lowest on, left, and taken again") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto a = join(spec);
  auto b = join(spec);
  auto c = join(spec);
  CHECK(a->parties.seat() == 0);
  CHECK(b->parties.seat() == 1);
  CHECK(c->parties.seat() == 2);
  CHECK(a->parties.present() == 0b111);
  a->board().value.store(7);
  CHECK(c->board().value.load() == 7);
  b.reset();
  CHECK(a->parties.present() == 0b101);
  CHECK(a->parties.vacant(1));
  CHECK_FALSE(a->parties.vacant(2));
  CHECK_FALSE(a->parties.vacant(0));  // that is itself
  CHECK(a->parties.vacant_of(0b111) == 0b010);
  auto d = join(spec);
  CHECK(d->parties.seat() == 1);
  CHECK(d->parties.pid(0) == static_cast<std::uint32_t>(::getpid()));
  CHECK(d->board().repairs.load() == 0);  // whoever leaves in good order needs no repair
}

TEST_CASE("parties: the last to leave removes the segment, unless it holds something") {
  const Names names;
  const std::string name = names.name();
  auto a = join(spec_of(name));
  auto b = join(spec_of(name));
  a.reset();
  CHECK(segment_exists(name));
  b.reset();
  CHECK_FALSE(segment_exists(name));

  a = join(spec_of(name, true));
  a->board().value.store(9);
  a->parties.leave([] { return true; });
  CHECK(segment_exists(name));
  b = join(spec_of(name, true));
  CHECK(b->board().value.load() == 9);
  b.reset();
  CHECK_FALSE(segment_exists(name));
}

TEST_CASE("parties: one too many is refused, and told the limit") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  std::vector<std::unique_ptr<Party>> all;
  for (std::uint32_t i = 0; i < layout::kMaxParties; ++i)
    all.push_back(join(spec));
  CHECK(all.back()->parties.present() == layout::kAllParties);
  Party late;
  auto entered = late.parties.enter(spec, soon());
  REQUIRE(!entered.ok());
  CHECK(entered.error().code == Code::no_lane);
  CHECK(entered.error().message.find("56") != std::string::npos);
  all[17].reset();
  CHECK(join(spec)->parties.seat() == 17);
}

TEST_CASE("parties: properties and layout of what exists are judged") {
  const Names names;
  PartySpec spec = spec_of(names.name());
  spec.values[0] = 4;
  auto first = join(spec);
  CHECK(first->parties.values()[0] == 4);
  PartySpec other = spec;
  other.values[0] = 5;
  CHECK(refusal(other) == Code::geometry);
  other.judge = [](const PartySpec::Values& values) -> Result<void> {
    if (values[0] == 4) return {};
    return make_error(Code::geometry, "no");
  };
  CHECK(join(other)->parties.values()[0] == 4);
  PartySpec larger = spec;
  larger.shared_bytes += 8;
  CHECK(refusal(larger) == Code::corrupt);
  PartySpec kind = spec;
  kind.kind = layout::Kind::barrier;
  CHECK(refusal(kind) == Code::layout);
}

TEST_CASE("parties: a dead one is buried by the next to come, once, before its seat is taken") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto first = join(spec);
  const Shared<std::atomic<int>> there;
  Child victim([&] {
    Party party;
    PartySpec mine = spec;
    os::Doorbell bell = names.bell();
    mine.doorbell = bell.id();
    CHILD_EXPECT(party.parties.enter(mine, soon()).ok());
    there->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return there->load() == 1; }));
  CHECK_FALSE(first->parties.vacant(1));
  victim.kill();
  CHECK(first->parties.vacant(1));
  CHECK(first->parties.present() == 0b11);  // as long as nobody has buried it
  auto next = join(spec);
  CHECK(next->parties.seat() == 1);
  CHECK(first->board().repaired.load() == 0b10);
  CHECK(first->board().repairs.load() == 1);
}

TEST_CASE("parties: a living one buries the dead when it wants to") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto first = join(spec);
  const Shared<std::atomic<int>> there;
  Child victim([&] {
    Party party;
    CHILD_EXPECT(party.parties.enter(spec, soon()).ok());
    there->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return there->load() == 1; }));
  CHECK(first->parties.bury(layout::kAllParties));
  CHECK(first->board().repairs.load() == 0);
  CHECK(first->parties.present() == 0b11);  // the living are not touched
  victim.kill();
  CHECK(first->parties.bury(0b10));
  CHECK(first->board().repaired.load() == 0b10);
  CHECK(first->parties.present() == 0b01);
}

TEST_CASE("parties: after the death of all, the segment is new, or repaired if it is kept") {
  const Names names;
  for (const bool keep : {false, true}) {
    const PartySpec spec = spec_of(names.name(keep ? "kept" : "new"), keep);
    Child victim([&] {
      Party party;
      CHILD_EXPECT(party.parties.enter(spec, soon()).ok());
      party.board().value.store(5);
      ::kill(::getpid(), SIGKILL);
      return 0;
    });
    CHECK(victim.wait() == -SIGKILL);
    auto next = join(spec);
    CHECK(next->board().value.load() == (keep ? 5 : 0));
    CHECK(next->board().repaired.load() == (keep ? 1 : 0));
  }
}

TEST_CASE("parties: an undertaker that dies in the middle is followed by the next") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto first = join(spec);
  Child victim([&] {
    Party party;
    CHILD_EXPECT(party.parties.enter(spec, soon()).ok());
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  CHECK(victim.wait() == -SIGKILL);
  Child undertaker([&] {
    Parties parties([](std::uint32_t) { return ::kill(::getpid(), SIGKILL) != 0; });
    (void)parties.enter(spec, soon());
    return 0;
  });
  CHECK(undertaker.wait() == -SIGKILL);
  CHECK(first->board().repairs.load() == 0);
  CHECK(first->parties.bury(0b10));
  CHECK(first->board().repairs.load() == 1);
}

TEST_CASE("parties: a seat whose repair has to wait is not taken until then") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto first = join(spec);
  Child victim([&] {
    Party party;
    CHILD_EXPECT(party.parties.enter(spec, soon()).ok());
    party.board().unfinished.store(party.parties.seat() + 1);
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  CHECK(victim.wait() == -SIGKILL);
  auto second = join(spec);
  CHECK(second->parties.seat() == 2);
  CHECK(first->parties.bury(0b10));
  CHECK(first->parties.present() == 0b111);
  first->board().unfinished.store(0);
  CHECK(first->parties.bury(0b10));
  CHECK(first->parties.present() == 0b101);
  CHECK(first->board().repairs.load() == 1);
  CHECK(join(spec)->parties.seat() == 1);
}

TEST_CASE("parties: who vanishes is buried like the dead") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto first = join(spec);
  auto second = join(spec);
  second->parties.vanish();
  CHECK_FALSE(second->parties.open());
  CHECK(first->parties.vacant(1));
  CHECK(join(spec)->parties.seat() == 1);
  CHECK(first->board().repaired.load() == 0b10);
}

TEST_CASE("parties: wake reaches the one that sleeps, on the futex or in its loop") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  auto first = join(spec);
  Child sleeper([&] {
    Party party;
    CHILD_EXPECT(party.parties.enter(spec, soon()).ok());
    CHILD_EXPECT(wait_blocking(party.parties.sleeper(), 0, 20 * kSecond,
                               [&] { return party.board().value.load() == 1; }));
    return 0;
  });
  REQUIRE(eventually([&] { return first->parties.present() == 0b11; }));
  os::sleep_ns(5 * kMillisecond);  // likely asleep by now; right either way
  first->board().value.store(1, std::memory_order_release);
  first->parties.wake(1);
  CHECK(sleeper.wait() == 0);

  const os::Doorbell bell = names.bell();
  PartySpec mine = spec;
  mine.doorbell = bell.id();
  auto other = join(mine);
  CHECK(first->parties.doorbell(other->parties.seat()) == bell.id());
  other->parties.sleeper().park_on_bell(WakeAddress{bell.id(), 42});
  first->parties.wake_each(layout::kAllParties);
  first->parties.wake(other->parties.seat());  // nobody sleeps there any more
  std::vector<std::uint64_t> tokens;
  CHECK_FALSE(bell.drain([&](std::uint64_t token) { tokens.push_back(token); }));
  CHECK(tokens == std::vector<std::uint64_t>{42});
}

TEST_CASE("parties: a crowd that comes and goes and dies leaves nothing") {
  const Names names;
  const PartySpec spec = spec_of(names.name());
  for (int round = 0; round < rounds(20); ++round) {
    std::vector<Child> crowd;
    crowd.reserve(6);
    for (int i = 0; i < 6; ++i) {
      crowd.emplace_back([&, i] {
        Random random(static_cast<std::uint64_t>(round * 10 + i));
        for (int turn = 0; turn < 20; ++turn) {
          Party party;
          auto entered = party.parties.enter(spec, soon());
          CHILD_EXPECT(entered.ok());
          CHILD_EXPECT((party.parties.present() & party.parties.bit()) != 0);
          if (i % 3 == 0 && random.below(10) == 0) ::kill(::getpid(), SIGKILL);
        }
        return 0;
      });
    }
    for (std::size_t i = 0; i < crowd.size(); ++i) {
      const int ending = crowd[i].wait();
      CHECK((ending == 0 || (i % 3 == 0 && ending == -SIGKILL)));
    }
    auto last = join(spec);
    CHECK(last->parties.present() == last->parties.bit());
  }
}

}  // namespace millrace::test::parties_test
