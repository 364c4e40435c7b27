// Ordered stages, at every point of everything that changes the order: whoever stands there is met by another one, or dies.
//
// The jobs are letters: a to d are pushed one after the other, z is a dead letter, and what the two parties do comes on top.
// Afterwards the test lets everything that is left be done from the last to the first, and looks in which order it arrives.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <millrace/work/job_store.hpp>

#include "meeting.hpp"
#include "scene.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_order_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint16_t kOne = 1;  // who dies, where somebody dies
constexpr std::uint16_t kTwo = 2;
constexpr std::uint16_t kTester = 3;
constexpr std::uint16_t kStopped = 4;

WorkShape order_shape() {
  WorkShape shape;
  shape.seats = 8;
  shape.levels = 1;
  shape.stages = 3;
  shape.ordered = 0b011;
  shape.jobs = 12;
  shape.dead = 3;
  shape.bytes = 1024;
  shape.attempts = 3;
  shape.groups = 4;
  return shape;
}

struct Party {
  JobStore* store = nullptr;
  std::vector<Lease> leases;

  [[nodiscard]] std::string letter_of(const Lease& lease) const {
    JobFacts facts;
    if (!store->facts(lease.slot, facts) || facts.length != 1) return "?";
    return {reinterpret_cast<const char*>(store->memory().data() + facts.at), 1};
  }
  [[nodiscard]] Lease* holding(std::string_view letter) {
    for (Lease& lease : leases) {
      if (lease && letter_of(lease) == letter) return &lease;
    }
    return nullptr;
  }
  bool push(std::string_view letter, std::string_view group = {}) const {
    PushOptions options;
    options.group = group;
    Loan loan;
    if (store->reserve(1, options.tail_bytes(), loan) != Pushed::yes) return false;
    std::memcpy(store->memory().data() + loan.at, letter.data(), 1);
    return store->push(loan, 1, options) == Pushed::yes;
  }
  void take() {
    if (Lease lease = store->take(0, true)) leases.push_back(lease);
  }
  void move(std::string_view letter) {
    Lease* const lease = holding(letter);
    CHECK(lease != nullptr);
    if (lease != nullptr) CHECK(store->move_on(*lease, 1));
  }
};

struct Ground {
  Ground() : shape(order_shape()) {
    bytes = shape.total_bytes();
    base = static_cast<std::byte*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base != MAP_FAILED);
    memory = WorkMemory(base, base + shape.data_at(), shape);
    store(kTester)->set_up();
    for (const std::uint16_t seat : {kOne, kTwo, kTester})
      stores.push_back(store(seat));
    one.store = stores[0].get();
    two.store = stores[1].get();
    tester.store = stores[2].get();
    REQUIRE(tester.push("z"));
    Lease lease = tester.store->take(0, true);
    REQUIRE(tester.store->reject(lease, "never"));
    for (const char* letter : {"a", "b", "c", "d"})
      REQUIRE(tester.push(letter));
    for (Party* party : {&one, &two, &one, &two})
      party->take();  // a and c, b and d
  }
  ~Ground() { ::munmap(base, bytes); }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  std::unique_ptr<JobStore> store(std::uint16_t seat) {
    return std::make_unique<JobStore>(memory, seat, records->own[seat]);
  }

  // Is there a job that is done, and waits for nobody?
  [[nodiscard]] bool forgotten() const {
    for (std::uint32_t stage = 0; stage < 2; ++stage) {
      std::uint64_t first = ~0ULL;
      bool held = false;
      for (std::uint32_t index = 0; index < shape.slots(); ++index) {
        const layout::Slot& slot = memory.slot(index);
        const auto word = layout::unpack(slot.word.load());
        if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare ||
            word.state == layout::SlotState::dead || slot.stage > stage || slot.serial >= first) {
          continue;
        }
        first = slot.serial;
        held = word.state == layout::SlotState::held && slot.stage == stage;
      }
      if (held) return true;
    }
    return false;
  }

  struct Own {
    layout::SeatRecord own[8];
  };
  WorkShape shape;
  std::size_t bytes = 0;
  std::byte* base = nullptr;
  WorkMemory memory;
  Shared<Own> records;
  std::vector<std::unique_ptr<JobStore>> stores;
  Party one, two, tester;
};

using Act = std::function<void(Ground&, Party&)>;
struct Doing {
  std::string name;
  Act act;
  std::string ends;       // letters that it ends, or makes dead letters
  std::string begins;     // letters that it brings
  bool with_all = false;  // also with what the other party has in hand
  std::function<void(Ground&)> before = nullptr;
};

// So many jobs come and end that the ring of numbers has forgotten those that were there.
void go_round(Ground& ground) {
  for (std::uint32_t i = 0; i < ground.shape.capacity() + 8; ++i) {
    REQUIRE(ground.tester.push("t"));
    Lease lease = ground.tester.store->take(0, true);
    REQUIRE(lease);
    REQUIRE(ground.tester.store->complete(lease));
  }
}
// For what is not to be met in.
template <typename Work>
void with_nobody_there(Work&& work) {
  const auto armed = crash::detail::armed.exchange(crash::detail::kNone);
  crash::Log* const log = crash::detail::log.exchange(nullptr);
  work();
  crash::detail::log.store(log);
  crash::detail::armed.store(armed);
}

void end_redriving(Ground& ground, Party& party) {
  CHECK(party.store->each_dead([&](std::uint32_t slot, std::uint64_t bits) {
    CHECK(party.store->redrive(slot, bits));
    return false;
  }));
  party.store->balance();
  (void)ground;
}

// What party one does, who has a and c.
std::vector<Doing> doings_of_one() {
  return {
      {"is done with the oldest", [](Ground&, Party& me) { me.move("a"); }, "", ""},
      {"is done with a younger one", [](Ground&, Party& me) { me.move("c"); }, "", ""},
      {"is done with both, the younger first",
       [](Ground&, Party& me) {
         me.move("c");
         me.move("a");
       },
       "", ""},
      {"ends the oldest",
       [](Ground&, Party& me) {
         me.move("c");
         Lease* const lease = me.holding("a");
         CHECK((lease != nullptr && me.store->complete(*lease)));
       },
       "a", ""},
      {"gives the oldest up",
       [](Ground&, Party& me) {
         Lease* const lease = me.holding("a");
         CHECK((lease != nullptr && me.store->reject(*lease, "never")));
       },
       "a", ""},
      {"gives the oldest back and takes it again",
       [](Ground&, Party& me) {
         Lease* const lease = me.holding("a");
         CHECK((lease != nullptr && me.store->retry(*lease, 0, "failed")));
         me.take();
       },
       "", ""},
      {"pushes two",
       [](Ground&, Party& me) {
         CHECK(me.push("e"));
         CHECK(me.push("h"));
       },
       "", "eh"},
      {"pushes two of a group",
       [](Ground&, Party& me) {
         CHECK(me.push("e", "g"));
         CHECK(me.push("h", "g"));
       },
       "", "eh"},
      {"sends a dead letter round again", &end_redriving, "", "z"},
      {"is done with both, the younger first, and the ring has forgotten them",
       [](Ground&, Party& me) {
         me.move("c");
         me.move("a");
       },
       "", "", false, &go_round},
  };
}
// What party two does meanwhile, who has b and d.
std::vector<Doing> doings_of_two() {
  return {
      {"is done with one", [](Ground&, Party& me) { me.move("b"); }, "", ""},
      {"is done with both, the younger first",
       [](Ground&, Party& me) {
         me.move("d");
         me.move("b");
       },
       "", ""},
      {"ends both",
       [](Ground&, Party& me) {
         for (const char* letter : {"b", "d"}) {
           Lease* const lease = me.holding(letter);
           CHECK((lease != nullptr && me.store->complete(*lease)));
         }
       },
       "bd", ""},
      {"is done with all that is there",
       [](Ground& ground, Party& me) {
         for (Party* party : {&ground.one, &ground.two}) {
           for (auto lease = party->leases.rbegin(); lease != party->leases.rend(); ++lease)
             CHECK(me.store->move_on(*lease, 1));
         }
         while (Lease lease = me.store->take(0, true))
           CHECK(me.store->move_on(lease, 1));
       },
       "", "", true},
      {"pushes one, is done with it and with its own",
       [](Ground&, Party& me) {
         CHECK(me.push("f"));
         me.take();
         for (Lease& lease : me.leases)
           CHECK(me.store->move_on(lease, 1));
       },
       "", "f"},
  };
}

// Everything is done that is not yet, of each stage the last first. In which order jobs came to each stage.
std::array<std::string, 3> finish(Ground& ground) {
  std::array<std::string, 3> orders;
  Party& tester = ground.tester;
  std::vector<Lease> all;
  for (Party* party : {&ground.one, &ground.two}) {
    for (const Lease& lease : party->leases) {
      if (tester.store->holds(lease)) all.push_back(lease);
    }
  }
  // What is in a group comes when the one before it has gone.
  bool found = true;
  while (found) {
    found = false;
    for (std::uint8_t stage = 0; stage < 3; ++stage) {
      while (Lease lease = tester.store->take(stage, true)) {
        orders[stage] += tester.letter_of(lease);
        all.push_back(lease);
      }
      for (auto lease = all.rbegin(); lease != all.rend(); ++lease) {
        found = true;
        if (stage == 2) {
          CHECK(tester.store->complete(*lease));
        } else {
          CHECK(tester.store->move_on(*lease, static_cast<std::uint8_t>(stage + 1)));
        }
        CHECK(!ground.forgotten());
      }
      all.clear();
    }
  }
  return orders;
}

void judge(Ground& ground, const std::string& ended, const std::string& begun, bool died) {
  CHECK(!ground.forgotten());
  // Pushed when everything that was done is over.
  CHECK(ground.tester.push("g"));
  const std::array<std::string, 3> orders = finish(ground);
  for (const std::size_t stage : {1U, 2U}) {
    CAPTURE(stage);
    const std::string& order = orders[stage];
    CAPTURE(order);
    for (const char letter : std::string("abcdefghz")) {
      CAPTURE(letter);
      const auto count = std::count(order.begin(), order.end(), letter);
      const bool brought = std::string("abcdg").find(letter) != std::string::npos;
      const bool gone = ended.find(letter) != std::string::npos;
      const bool came = begun.find(letter) != std::string::npos;
      if (died && (gone || came)) {
        CHECK(count <= 1);
      } else {
        CHECK(count == ((brought || came) && !gone ? 1 : 0));
      }
    }
    const auto before = [&](const char* early, const char* late) {
      CAPTURE(early);
      CAPTURE(late);
      const auto one = order.find(early);
      const auto other = order.find(late);
      CHECK((one == std::string::npos || other == std::string::npos || one < other));
    };
    before("a", "b");
    before("b", "c");
    before("a", "c");
    before("c", "d");
    before("b", "d");
    before("a", "d");
    before("e", "h");
    for (const char* late : {"e", "f", "h", "z"}) {
      for (const char* early : {"a", "b", "c", "d"})
        before(early, late);
      before(late, "g");
    }
  }
  const JobStore::Counts counts = ground.tester.store->counts();
  CHECK(counts.held == 0);
  CHECK(counts.other == 0);
  CHECK(counts.free == ground.shape.jobs);
}

// --- deaths ---

void add_passages(const crash::Log& log, Passages& passages) {
  const auto& points = crash::points();
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (const std::uint32_t count = log.passed[i].load(); count != 0) passages[points[i]] += count;
  }
}
int die_at(Ground& ground, Numbers& n, const Act& act, std::string_view point,
           std::uint64_t passage) {
  for (auto& times : n.log.passed)
    times.store(0);
  Child child([&] {
    crash::log_to(&n.log);
    if (!point.empty()) CHILD_EXPECT(crash::arm(point, passage));
    act(ground, ground.one);
    crash::disarm();
    return 0;
  });
  return child.wait();
}
void bury(Ground& ground, Party& /*party*/) {
  (void)ground.store(kOne)->repair(kOne);
}
void die_with_the_order_in_other_hands(Ground& ground, Party& me) {
  ground.memory.order(0).lock.word.store(kStopped + 1U);
  me.move("a");
}

const bool listed = [] {
  explorers().emplace_back("WorkOrder", [](Passages& passages) {
    Shared<Numbers> n;
    std::vector<Doing> doings = doings_of_one();
    doings.push_back({"", &die_with_the_order_in_other_hands, "", ""});
    for (const Doing& doing : doings) {
      Ground ground;
      if (doing.before) doing.before(ground);
      (void)die_at(ground, *n, doing.act, {}, 0);
      add_passages(n->log, passages);
      (void)die_at(ground, *n, &bury, {}, 0);
      add_passages(n->log, passages);
    }
  });
  return true;
}();

// A pusher whose slot names a number for a moment that another one gets, while the ring forgets it.
struct Rival {
  Ground ground;
  std::unique_ptr<JobStore> store = ground.store(kStopped);
  Party party{store.get(), {}};
  std::atomic<bool> named{false};
  std::atomic<bool> go{false};
  std::thread thread;
  Lease its;

  Rival() {
    for (const char* letter : {"b", "d"})
      REQUIRE(ground.two.store->complete(*ground.two.holding(letter)));
    REQUIRE(ground.one.store->complete(*ground.one.holding("c")));
    REQUIRE(crash::arm("work.serial.named", 1, [this] {
      named.store(true);
      CHECK(eventually([this] { return go.load(); }));
    }));
    thread = std::thread([this] { CHECK(party.push("x")); });
    REQUIRE(eventually([this] { return named.load(); }));
    // The number is f's.
    REQUIRE(ground.tester.push("f"));
    its = ground.tester.store->take(0, true);
    REQUIRE(ground.tester.letter_of(its) == "f");
    REQUIRE(ground.tester.push("g"));
    Lease behind = ground.tester.store->take(0, true);
    REQUIRE(ground.tester.letter_of(behind) == "g");
    REQUIRE(ground.tester.store->move_on(behind, 1));
    go_round(ground);
    // The search comes to the rival first.
    std::uint32_t index = 0;
    while (layout::unpack(ground.memory.slot(index).word.load()).state !=
           layout::SlotState::writing) {
      ++index;
    }
    REQUIRE(index < its.slot);
    REQUIRE(ground.memory.slot(index).serial == ground.memory.slot(its.slot).serial);
  }
  ~Rival() { finish(); }
  void finish() {
    go.store(true);
    if (thread.joinable()) thread.join();
  }
  void end_oldest() { REQUIRE(ground.one.store->complete(*ground.one.holding("a"))); }
  [[nodiscard]] std::string arrived() const {
    std::string order;
    while (Lease lease = ground.tester.store->take(1, true)) {
      order += ground.tester.letter_of(lease);
      CHECK(ground.tester.store->complete(lease));
    }
    return order;
  }
};

}  // namespace

TEST_CASE(
    "promise: work – whatever meets in an ordered stage, jobs leave it in the order of their "
    "pushes") {
  int meetings = 0;
  for (const Doing& first : doings_of_one()) {
    CAPTURE(first.name);
    for (const Doing& second : doings_of_two()) {
      CAPTURE(second.name);
      if (second.with_all && first.begins.empty()) continue;
      meetings += every_meeting<Ground>(
          [&](Ground& ground) {
            if (first.before) with_nobody_there([&] { first.before(ground); });
            first.act(ground, ground.one);
          },
          [&](Ground& ground) { second.act(ground, ground.two); },
          [&](Ground& ground) {
            judge(ground, first.ends + second.ends, first.begins + second.begins, false);
          });
    }
  }
  CHECK(meetings > 300);
  MESSAGE("meetings: " << meetings);
}

TEST_CASE(
    "promise: work – a push that loses the number that it named lets those go on that waited for "
    "it") {
  Rival rival;
  REQUIRE(rival.ground.tester.store->move_on(rival.its, 1));
  rival.end_oldest();
  CHECK(rival.arrived().empty());
  rival.finish();
  CHECK(!rival.ground.forgotten());
  CHECK(rival.arrived() == "fg");
}

TEST_CASE("promise: work – a push that loses the number that it named hides nobody who has it") {
  Rival rival;
  REQUIRE(crash::arm("work.order.found", 1, [&] { rival.finish(); }));
  rival.end_oldest();
  CHECK(!rival.thread.joinable());
  CHECK(rival.arrived().empty());  // f is still at it
  REQUIRE(rival.ground.tester.store->move_on(rival.its, 1));
  CHECK(rival.arrived() == "fg");
}

TEST_CASE("promise: work – who is kept busy with lies goes on when it takes the next job") {
  Ground ground;
  layout::OrderControl& control = ground.memory.order(0);
  int looks = 0;
  std::function<void()> lie = [&] {
    ++looks;
    control.dirty.store(1);
    // The last round: now it is true.
    if (looks == 64) ground.two.move("b");
    REQUIRE(crash::arm("work.order.looked", 1, lie));
  };
  REQUIRE(crash::arm("work.order.looked", 1, lie));
  REQUIRE(ground.one.store->complete(*ground.one.holding("a")));
  CHECK(looks == 64);
  crash::disarm();
  CHECK(ground.forgotten());
  ground.one.take();
  CHECK(!ground.forgotten());
  judge(ground, "a", {}, false);
}

TEST_CASE("promise: work – whoever dies anywhere in an ordered stage leaves the order as it was") {
  Shared<Numbers> n;
  int deaths = 0;
  for (const Doing& doing : doings_of_one()) {
    CAPTURE(doing.name);
    const auto prepare = [&](Ground& ground) {
      if (doing.before) doing.before(ground);
    };
    Passages passages;
    {
      Ground ground;
      prepare(ground);
      REQUIRE(die_at(ground, *n, doing.act, {}, 0) == 0);
      add_passages(n->log, passages);
    }
    for (const auto& [where, count] : passages) {
      const std::string_view point = where;  // Clang 14 captures no structured bindings
      for (std::uint64_t passage = 1; passage <= count; ++passage) {
        CAPTURE(point);
        CAPTURE(passage);
        Passages burying;
        {
          Ground ground;
          prepare(ground);
          REQUIRE(die_at(ground, *n, doing.act, point, passage) == -SIGKILL);
          ++deaths;
          REQUIRE(die_at(ground, *n, &bury, {}, 0) == 0);
          add_passages(n->log, burying);
          judge(ground, doing.ends, doing.begins, true);
        }
        for (const auto& [then, times] : burying) {
          const std::string_view second = then;
          CAPTURE(second);
          Ground ground;
          prepare(ground);
          REQUIRE(die_at(ground, *n, doing.act, point, passage) == -SIGKILL);
          REQUIRE(die_at(ground, *n, &bury, second, times) == -SIGKILL);
          ++deaths;
          REQUIRE(die_at(ground, *n, &bury, {}, 0) == 0);
          judge(ground, doing.ends, doing.begins, true);
        }
      }
    }
  }
  MESSAGE("deaths: " << deaths);
}

TEST_CASE("promise: work – who dies when it finds the order in other hands has left a mark there") {
  Shared<Numbers> n;
  Ground ground;
  REQUIRE(die_at(ground, *n, &die_with_the_order_in_other_hands, "work.order.marked", 1) ==
          -SIGKILL);
  CHECK(ground.memory.order(0).dirty.load() == 1);
  REQUIRE(die_at(ground, *n, &bury, {}, 0) == 0);
  // Who had it lets it go, and finds the mark.
  ground.memory.order(0).lock.word.store(0);
  ground.tester.store->keep_order();
  CHECK(ground.memory.order(0).dirty.load() == 0);
  judge(ground, {}, {}, false);
}

}  // namespace millrace::test::work_order_deaths
