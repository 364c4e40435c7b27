// A circuit breaker that processes share: it opens once for all, and one at a time tries, whoever dies.
#include <millrace/sync/breaker.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fixture.hpp"

namespace millrace::test::breaker_test {

using namespace millrace;
using namespace millrace::test;
using layout::BreakerPhase;
using Status = BreakerEntry::Status;

namespace {

struct Breakers : Names {
  ~Breakers() { (void)unlink_channel('k', name()); }
  [[nodiscard]] BreakerSpec spec(std::optional<BreakerRules> rules = {}) const {
    BreakerSpec wanted;
    wanted.place = name();
    wanted.rules = rules;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<Breaker> open(std::optional<BreakerRules> rules = {}) const {
    return must(Breaker::open(spec(rules), soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('k', name()), os::Access::read_only).ok();
  }
};

constexpr BreakerRules kLong{3, 3'600'000, 0};
constexpr BreakerRules kShort{2, 0, 0};

void fail(Breaker& breaker, int times) {
  for (int i = 0; i < times; ++i) {
    const BreakerEntry entry = breaker.try_enter();
    REQUIRE(entry.status == Status::passes);
    breaker.fail(entry.generation);
  }
}

// All that parties can do to the word, in all orders. Each step is one swap.
class Explorer {
 public:
  static constexpr std::uint32_t kSeats = 3;

  explicit Explorer(BreakerRules rules) : rules_(rules) {}

  void explore(int depth) {
    ++runs_;
    judge();
    if (depth == 0) return;
    time_ += 2;
    explore(depth - 1);
    time_ -= 2;
    for (std::uint32_t seat = 0; seat < kSeats; ++seat) {
      Party& party = parties_[seat];
      const Party saved = party;
      const std::uint64_t word = word_.load();
      const auto again = [&] {
        explore(depth - 1);
        party = saved;
        word_.store(word);
      };
      if (!party.alive) {
        // Whoever takes its seat buries it first.
        (void)state_.give_back(seat);
        party = Party{true, {}};
        again();
        continue;
      }
      party.alive = false;
      party.entry.reset();
      again();
      if (!party.entry) {
        const BreakerEntry entry =
            state_.enter(seat, time_, [&](std::uint32_t other) { return !parties_[other].alive; });
        if (entry.status == Status::corrupt) ++violations_;
        judge_entry(seat, layout::BreakerView::of(word), entry);
        if (entry.status == Status::refused) continue;
        party.entry = entry;
        again();
        continue;
      }
      const std::uint32_t generation = party.entry->generation;
      const auto before = layout::BreakerView::of(word);
      for (int how = 0; how < 3; ++how) {
        party.entry.reset();
        if (how == 0) (void)state_.succeed(generation);
        if (how == 1) (void)state_.fail(generation, time_);
        if (how == 2) (void)state_.release(generation);
        // What is said of another time changes nothing; a trial is over by whatever is said of it.
        if (before.generation != generation && word_.load() != word) ++violations_;
        if (before.generation == generation && before.phase == BreakerPhase::half_open) {
          const auto phase = how == 0 ? BreakerPhase::closed : BreakerPhase::open;
          if (state_.view().phase != phase) ++violations_;
        }
        again();
      }
    }
  }
  [[nodiscard]] int violations() const { return violations_; }
  [[nodiscard]] int runs() const { return runs_; }

 private:
  struct Party {
    bool alive = true;
    std::optional<BreakerEntry> entry;
  };

  // One living party tries, and only while the word says that it does.
  void judge() {
    const auto view = state_.view();
    int trials = 0;
    for (std::uint32_t seat = 0; seat < kSeats; ++seat) {
      const auto& entry = parties_[seat].entry;
      if (!entry || entry->status != Status::trial || entry->generation != view.generation)
        continue;
      ++trials;
      if (view.phase != BreakerPhase::half_open || view.seat != seat) ++violations_;
    }
    if (trials > 1) ++violations_;
    if (view.phase == BreakerPhase::closed && view.failures >= rules_.failures) ++violations_;
  }
  // Open: not before its time. Half open: only in the place of a dead one; and then it must be let in.
  void judge_entry(std::uint32_t seat, const layout::BreakerView& before,
                   const BreakerEntry& entry) {
    const bool let_in = entry.status == Status::passes || entry.status == Status::trial;
    bool may = before.phase == BreakerPhase::closed;
    if (before.phase == BreakerPhase::open) {
      may = state_.since(before.time, time_) >= rules_.open_ms;
    } else if (before.phase == BreakerPhase::half_open) {
      may = before.seat != seat && !parties_[before.seat].alive;
    }
    if (let_in != may) ++violations_;
    if ((before.phase == BreakerPhase::closed) != (entry.status == Status::passes)) ++violations_;
  }

  BreakerRules rules_;
  std::atomic<std::uint64_t> word_{0};
  BreakerWord<std::atomic<std::uint64_t>> state_{word_, rules_};
  std::array<Party, kSeats> parties_;
  std::uint64_t time_ = 100;
  int violations_ = 0;
  int runs_ = 0;
};

}  // namespace

TEST_CASE("promise: breaker – every order of steps and deaths: one trial at a time, none lost") {
  // The first one comes to a trial, and to results that are late, in the fewest steps.
  for (const BreakerRules rules : {BreakerRules{1, 1, 0}, BreakerRules{2, 3, 0}}) {
    Explorer explorer(rules);
    explorer.explore(MILLRACE_SANITIZED != 0 ? 6 : 7);
    CHECK(explorer.violations() == 0);
    MESSAGE("states: " << explorer.runs());
  }
}

TEST_CASE("the word has room for all that is in it, and its clock goes round") {
  layout::BreakerView view{BreakerPhase::half_open, 55, 255, 4095, layout::kBreakerTimes - 1};
  const auto back = layout::BreakerView::of(view.word());
  CHECK(back.phase == view.phase);
  CHECK(back.seat == 55);
  CHECK(back.failures == 255);
  CHECK(back.generation == 4095);
  CHECK(back.time == view.time);
  std::atomic<std::uint64_t> word{0};
  const BreakerWord<std::atomic<std::uint64_t>> state(word, BreakerRules{1, 10, 0});
  const auto nobody = [](std::uint32_t) { return true; };
  CHECK(state.fail(0, layout::kBreakerTimes - 4));
  CHECK(state.enter(1, layout::kBreakerTimes + 5, nobody).left_ms == 1);
  CHECK(state.enter(1, layout::kBreakerTimes + 6, nobody).status == Status::trial);
  // Who looked at the clock before the others did.
  CHECK(state.since(100, 99) == 0);
  CHECK(state.since(100, 101) == 1);
}

TEST_CASE_FIXTURE(Breakers, "failures of all open it for all; a success in between does not") {
  auto one = open(kLong);
  auto other = open();
  CHECK(other->rules().failures == 3);
  fail(*one, 2);
  other->succeed(other->try_enter().generation);
  fail(*other, 2);
  CHECK(one->view().phase == BreakerPhase::closed);
  fail(*one, 1);
  CHECK(other->view().phase == BreakerPhase::open);
  const BreakerEntry entry = other->try_enter();
  CHECK(entry.status == Status::refused);
  CHECK(entry.left_ms > 3'500'000);
  other->reset();
  CHECK(one->try_enter().status == Status::passes);
  one->trip();
  CHECK(other->try_enter().status == Status::refused);
}

TEST_CASE_FIXTURE(Breakers, "the window begins with the first failure") {
  auto one = open(BreakerRules{2, 0, 3'600'000});
  fail(*one, 1);
  one->succeed(one->try_enter().generation);
  CHECK(one->view().failures == 1);
  fail(*one, 1);
  CHECK(one->view().phase == BreakerPhase::open);
}

TEST_CASE_FIXTURE(Breakers,
                  "a trial is one handle's, until it is settled, given back, or its owner dies") {
  auto one = open(kShort);
  auto other = open();
  fail(*one, 2);
  const BreakerEntry first = one->try_enter();
  CHECK(first.status == Status::trial);
  CHECK(other->try_enter().status == Status::refused);
  CHECK(one->try_enter().status == Status::refused);
  one->release(first.generation);
  const BreakerEntry second = other->try_enter();
  CHECK(second.status == Status::trial);
  one->succeed(first.generation);
  CHECK(one->view().phase == BreakerPhase::half_open);
  other->close();
  CHECK(one->view().phase == BreakerPhase::open);
  {
    Child child([&] {
      auto mine = Breaker::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      CHILD_EXPECT(mine.value()->try_enter().status == Status::trial);
      ::raise(SIGKILL);
      return 1;
    });
    CHECK(child.wait() == -SIGKILL);
  }
  CHECK(one->view().phase == BreakerPhase::half_open);
  const BreakerEntry third = one->try_enter();
  CHECK(third.status == Status::trial);
  one->succeed(third.generation);
  CHECK(one->view().phase == BreakerPhase::closed);
  CHECK(one->view().failures == 0);
}

TEST_CASE_FIXTURE(Breakers, "it outlives its users unless it is closed") {
  auto one = open(kLong);
  fail(*one, 2);
  one->close();
  CHECK_FALSE(exists());
  one = open(kLong);
  fail(*one, 3);
  one->close();
  CHECK(exists());
  one = open(kLong);
  CHECK(one->view().phase == BreakerPhase::open);
  auto refused = Breaker::open(spec(kShort), soon());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::geometry);
  one->reset();
}

TEST_CASE_FIXTURE(Breakers, "one of another boot is open from now on") {
  open(kLong)->trip();
  {
    auto fd = must(os::open_object(object_name_of('k', name()), os::Access::read_write));
    const auto size = must(os::inspect_object(fd.get(), {})).size;
    auto mapped = must(os::map_shared(fd.get(), 0, size, {}));
    auto& shared =
        *reinterpret_cast<layout::BreakerShared*>(mapped->data() + layout::kSharedOffset);
    shared.boot[0].fetch_add(1);
    auto view = layout::BreakerView::of(shared.word.load());
    view.time += layout::kBreakerTimes / 2;
    shared.word.store(view.word());
  }
  auto one = open(kLong);
  CHECK(one->view().phase == BreakerPhase::open);
  CHECK(one->left_ms() > 3'500'000);
  one->reset();
}

TEST_CASE_FIXTURE(Breakers,
                  "promise: breaker – processes that try are killed at any time, and it goes on") {
  struct Tally {
    std::atomic<int> trying;
    std::atomic<int> ending;  // somebody may have been killed while it tried
    std::atomic<int> violations;
    std::atomic<std::uint64_t> trials;
  };
  Shared<Tally> tally;
  auto keeper = open(BreakerRules{1, 0, 0});
  fail(*keeper, 1);
  for (int round = 0; round < rounds(30); ++round) {
    const std::uint64_t before = tally->trials.load();
    std::vector<Child> children;
    for (int i = 0; i < 3; ++i) {
      children.emplace_back([&] {
        auto mine = Breaker::open(spec(), soon());
        CHILD_EXPECT(mine.ok());
        for (;;) {
          const BreakerEntry entry = mine.value()->try_enter();
          if (entry.status == Status::refused) continue;
          CHILD_EXPECT(entry.status == Status::trial);
          if (tally->trying.fetch_add(1) != 0 && tally->ending.load() == 0)
            tally->violations.fetch_add(1);
          tally->trials.fetch_add(1);
          tally->trying.fetch_sub(1);
          mine.value()->fail(entry.generation);
        }
        return 0;
      });
    }
    REQUIRE(eventually([&] { return tally->trials.load() > before + 50; }));
    tally->ending.store(1);
    for (Child& child : children)
      child.kill();
    CHECK(tally->violations.load() == 0);
    tally->trying.store(0);
    tally->ending.store(0);
    // Whatever they left: the next one is let in.
    BreakerEntry entry = keeper->try_enter();
    REQUIRE(entry.status == Status::trial);
    keeper->fail(entry.generation);
  }
  keeper->reset();
}

}  // namespace millrace::test::breaker_test
