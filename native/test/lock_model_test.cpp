// The lock algorithm under a scheduler that decides every step: three parties, all interleavings up to a
// number of preemptions, a death before any step, and after that random walks without such a bound.
// Each operation on shared memory is a step; the memory is sequentially consistent (orderings are argued
// in the algorithm, and left to ThreadSanitizer and the stress tests).
//
// A party is a coroutine on a stack of its own, which the sanitizers do not follow: they leave this out.
#include "fixture.hpp"

#if MILLRACE_SANITIZED == 0

#include <ucontext.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "millrace/sync/lock_algorithm.hpp"

namespace millrace::test::lock_model_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kParties = 3;

// What happens next is a choice; a run is the list of its choices.
struct Choice {
  std::uint32_t taken;
  std::uint32_t options;
};

class Model;
Model* model = nullptr;  // the one that runs; steps reach it from within the algorithm

void step();

// An atomic whose every operation is a step.
class Word {
 public:
  std::uint64_t load(std::memory_order /*order*/) const {
    step();
    return value_;
  }
  void store(std::uint64_t value, std::memory_order /*order*/) {
    step();
    value_ = value;
  }
  std::uint64_t fetch_add(std::uint64_t by, std::memory_order /*order*/) {
    step();
    return std::exchange(value_, value_ + by);
  }
  std::uint64_t fetch_and(std::uint64_t mask, std::memory_order /*order*/) {
    step();
    return std::exchange(value_, value_ & mask);
  }
  std::uint64_t exchange(std::uint64_t value) {
    step();
    return std::exchange(value_, value);
  }
  bool compare_exchange_strong(std::uint64_t& expected, std::uint64_t desired,
                               std::memory_order /*success*/, std::memory_order /*failure*/) {
    step();
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = desired;
    return true;
  }
  bool compare_exchange_weak(std::uint64_t& expected, std::uint64_t desired,
                             std::memory_order success, std::memory_order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }
  [[nodiscard]] std::uint64_t now() const { return value_; }  // for the judge: no step

 private:
  std::uint64_t value_ = 0;
};

enum class Phase { outside, getting, inside, leaving };

struct Script {
  LockMode mode = LockMode::exclusive;
  int rounds = 1;
  bool gives_up = false;  // leaves the line as soon as it stands in it
};
using Scripts = std::array<Script, kParties>;

struct Limits {
  int preemptions = 0;
  int deaths = 0;
  int looks = 1;  // of sleepers, before anything wakes them; after a death
};

class Model {
 public:
  // `choose(options, stay)` decides; `stay` is what happens if nobody interferes.
  using Choose = std::function<std::uint32_t(std::uint32_t options)>;

  Model(const Scripts& scripts, Limits limits, Choose choose)
      : scripts_(scripts), limits_(limits), choose_(std::move(choose)) {}

  // What went wrong, or nothing.
  std::string run() {
    model = this;
    static std::array<std::vector<char>, kParties> stacks;
    for (std::uint32_t i = 0; i < kParties; ++i) {
      stacks[i].resize(std::size_t{64} * 1024);
      ::getcontext(&contexts_[i]);
      contexts_[i].uc_stack.ss_sp = stacks[i].data();
      contexts_[i].uc_stack.ss_size = stacks[i].size();
      contexts_[i].uc_link = &main_;
      ::makecontext(&contexts_[i], &Model::entry, 0);
    }
    while (failure_.empty() && pick()) {
      ::swapcontext(&main_, &contexts_[current_]);
    }
    model = nullptr;
    if (failure_.empty()) judge_end();
    return failure_;
  }

  // Before each operation: somebody else may go on instead, or the one that runs may die.
  void step() {
    if (++steps_ > 5000) return fail("no end in sight");
    const bool may_die = limits_.deaths > 0;
    const std::uint32_t others = limits_.preemptions > 0 ? runnable() & ~(1U << current_) : 0;
    const auto switches = static_cast<std::uint32_t>(std::popcount(others));
    const std::uint32_t options = 1 + switches + (may_die ? 1 : 0);
    const std::uint32_t chosen = options == 1 ? 0 : choose_(options);
    if (chosen == 0) return;
    if (chosen <= switches) {
      --limits_.preemptions;
      next_ = nth(others, chosen - 1);
      return leave();
    }
    --limits_.deaths;
    die();
    leave();
  }

  // The memory of the algorithm.
  Word& word() { return word_; }
  Word& next_ticket() { return ticket_; }
  Word& entry(std::uint32_t seat) { return entries_[seat]; }
  [[nodiscard]] std::uint64_t present() const { return present_; }
  [[nodiscard]] bool vacant(std::uint32_t seat) {
    model_step();
    return vacant_now(seat);
  }
  void wake(std::uint32_t seat) {
    if (parked_[seat].exchange(0) != 0) sleeping_ &= ~(1U << seat);
  }

 private:
  static void entry() { model->play(model->current_); }
  void model_step() { step(); }
  [[nodiscard]] bool vacant_now(std::uint32_t seat) const {
    return seat != current_ && ((dead_ >> seat) & 1U) != 0 &&
           (undertaken_[seat] < 0 || undertaken_[seat] == static_cast<int>(current_));
  }

  // The script of one party.
  void play(std::uint32_t me) {
    LockAlgorithm<Model> lock(*this);
    const Script& script = scripts_[me];
    for (int round = 0; round < script.rounds; ++round) {
      phase_[me] = Phase::getting;
      LockStatus status = lock.try_lock(me, script.mode);
      if (status == LockStatus::busy) {
        lock.announce(me, script.mode);
        status = lock.look(me);
        bool in_line = true;
        if (status == LockStatus::busy && script.gives_up && lock.withdraw(me)) in_line = false;
        while (in_line && status == LockStatus::busy) {
          sleep(me, lock);
          bury(lock.obstacles(me), lock);
          status = lock.look(me);
        }
        if (!in_line) continue;
      }
      if (status == LockStatus::corrupt) return fail("corrupt");
      enter(me, status == LockStatus::abandoned);
      step();  // the critical section
      phase_[me] = Phase::leaving;
      leave_section(me);
      if (lock.unlock(me, LockEnding::finished) != LockStatus::held) return fail("unlock");
      phase_[me] = Phase::outside;
    }
    done_ |= 1U << me;
    current_ = me;
  }

  void sleep(std::uint32_t me, LockAlgorithm<Model>& lock) {
    parked_[me].store(1, std::memory_order_seq_cst);
    if (lock.stirred(me)) {
      parked_[me].store(0, std::memory_order_seq_cst);
      return;
    }
    step();  // here a wake-up may still come before it sleeps
    if (parked_[me].now() == 0) return;
    // After a death its time may be over at any point, and it looks around.
    const bool may_look = anyone_died_ && looks_ < limits_.looks;
    if (may_look && choose_(2) == 1) {
      ++looks_;
    } else {
      sleeping_ |= 1U << me;
      leave();
      sleeping_ &= ~(1U << me);
    }
    parked_[me].store(0, std::memory_order_seq_cst);
  }

  void bury(std::uint64_t seats, LockAlgorithm<Model>& lock) {
    bool any = false;
    for (std::uint32_t seat = 0; seat < kParties; ++seat)
      any = any || (((seats >> seat) & 1U) != 0 && vacant_now(seat));
    if (!any) return;
    const auto me = static_cast<int>(current_);
    while (lifecycle_ >= 0) {  // as the real one: somebody else is at it
      waiting_lifecycle_ |= 1U << current_;
      leave();
    }
    lifecycle_ = me;
    for (std::uint32_t seat = 0; seat < kParties; ++seat) {
      if (((seats >> seat) & 1U) == 0 || !vacant_now(seat)) continue;
      undertaken_[seat] = me;
      step();
      if (lock.repair(seat)) {
        step();
        present_ &= ~(1ULL << seat);
        dead_ &= ~(1U << seat);
        buried_ |= 1U << seat;
      }
      undertaken_[seat] = -1;
    }
    lifecycle_ = -1;
    waiting_lifecycle_ = 0;
  }

  void enter(std::uint32_t me, bool abandoned) {
    const bool writer = scripts_[me].mode == LockMode::exclusive;
    if (writers_ != 0 || (writer && readers_ != 0)) fail("two are inside");
    (writer ? writers_ : readers_) |= 1U << me;
    phase_[me] = Phase::inside;
    // A death inside must be told; one outside must not. Between the two (the lock was taken, the call
    // has not returned) either is right.
    if (must_tell_ && !abandoned) fail("an abandonment was not told");
    if (abandoned && !must_tell_ && !may_tell_) fail("an abandonment was made up");
  }
  void leave_section(std::uint32_t me) {
    const bool writer = scripts_[me].mode == LockMode::exclusive;
    (writer ? writers_ : readers_) &= ~(1U << me);
    if (writer) must_tell_ = may_tell_ = false;
  }
  void die() {
    const std::uint32_t me = current_;
    dead_ |= 1U << me;
    anyone_died_ = true;
    writers_ &= ~(1U << me);
    readers_ &= ~(1U << me);
    if (scripts_[me].mode == LockMode::exclusive) {
      const bool has = (word_.now() & layout::kLockExclusive) != 0 &&
                       (word_.now() & (1ULL << me)) != 0 &&
                       (word_.now() & layout::kLockPassing) == 0;
      if (phase_[me] == Phase::inside) must_tell_ = true;
      const bool told = (entries_[me].now() & layout::kEntryState) != layout::kEntryGranted;
      if (phase_[me] == Phase::getting && has && told) may_tell_ = true;
      if (phase_[me] == Phase::leaving && has) may_tell_ = true;
    }
    if (lifecycle_ == static_cast<int>(me)) {
      lifecycle_ = -1;
      waiting_lifecycle_ = 0;
    }
    for (int& undertaker : undertaken_)
      if (undertaker == static_cast<int>(me)) undertaker = -1;
  }

  [[nodiscard]] std::uint32_t runnable() const {
    return ((1U << kParties) - 1) & ~(done_ | dead_ | buried_ | sleeping_ | waiting_lifecycle_);
  }
  static std::uint32_t nth(std::uint32_t set, std::uint32_t n) {
    for (; n > 0; --n)
      set &= set - 1;
    return static_cast<std::uint32_t>(std::countr_zero(set));
  }
  void leave() {
    const std::uint32_t me = current_;
    ::swapcontext(&contexts_[me], &main_);
    current_ = me;
  }
  // Who runs next; false: nobody can.
  bool pick() {
    if (next_ < kParties) {
      current_ = std::exchange(next_, kParties);
      return true;
    }
    std::uint32_t able = runnable();
    if (able == 0) {
      const std::uint32_t living = ((1U << kParties) - 1) & ~(done_ | dead_ | buried_);
      if (living == 0) return false;
      // All sleep. After a death that is what the look every 50 ms is for; otherwise a wake-up was lost.
      if (!anyone_died_ || ++ticks_ > 20) {
        fail(anyone_died_ ? "nobody gets on after a death" : "a wake-up was lost");
        return false;
      }
      sleeping_ = 0;
      able = runnable();
      if (able == 0) {
        fail("all wait for the lifecycle lock");
        return false;
      }
    }
    const auto count = static_cast<std::uint32_t>(std::popcount(able));
    current_ = nth(able, count == 1 ? 0 : choose_(count));
    return true;
  }
  void judge_end() {
    // Whoever comes now finds the lock free, once the dead are buried.
    if ((word_.now() & layout::kLockHolders & ~std::uint64_t{dead_ | buried_}) != 0)
      failure_ = "a living one that has finished still holds it";
  }
  void fail(const char* what) {
    if (failure_.empty()) failure_ = what;
    done_ |= 1U << current_;
    ::swapcontext(&contexts_[current_], &main_);
  }

  Scripts scripts_;
  Limits limits_;
  Choose choose_;
  std::array<ucontext_t, kParties> contexts_{};
  ucontext_t main_{};
  std::uint32_t current_ = 0;
  std::uint32_t next_ = kParties;
  int steps_ = 0;
  int ticks_ = 0;
  int looks_ = 0;

  Word word_;
  Word ticket_;
  std::array<Word, kParties> entries_;
  std::array<Word, kParties> parked_;
  std::uint64_t present_ = (1ULL << kParties) - 1;
  std::uint32_t done_ = 0;
  std::uint32_t dead_ = 0;
  std::uint32_t buried_ = 0;
  std::uint32_t sleeping_ = 0;
  std::uint32_t waiting_lifecycle_ = 0;
  int lifecycle_ = -1;
  std::array<int, kParties> undertaken_{-1, -1, -1};

  std::array<Phase, kParties> phase_{};
  std::uint32_t writers_ = 0;
  std::uint32_t readers_ = 0;
  bool anyone_died_ = false;
  bool must_tell_ = false;
  bool may_tell_ = false;
  std::string failure_;
};

void step() {
  model->step();
}

std::string text_of(const std::vector<Choice>& choices) {
  std::string text;
  for (const Choice& choice : choices)
    text += std::to_string(choice.taken) + " ";
  return text;
}

// Runs every list of choices. Returns how many there were.
std::uint64_t explore(const Scripts& scripts, Limits limits) {
  std::vector<Choice> path;
  std::uint64_t runs = 0;
  for (;;) {
    std::size_t at = 0;
    Model run(scripts, limits, [&](std::uint32_t options) {
      if (at == path.size()) path.push_back(Choice{0, options});
      return path[at++].taken;
    });
    const std::string failure = run.run();
    ++runs;
    if (!failure.empty()) {
      FAIL_CHECK(failure << ", with the choices " << text_of(path));
      return runs;
    }
    while (!path.empty() && path.back().taken + 1 == path.back().options)
      path.pop_back();
    if (path.empty()) return runs;
    ++path.back().taken;
  }
}

void wander(const Scripts& scripts, int runs) {
  for (int seed = 0; seed < runs; ++seed) {
    Random random(static_cast<std::uint64_t>(seed));
    const Limits limits{1000, static_cast<int>(random.below(3)), 20};
    Model run(scripts, limits, [&](std::uint32_t options) -> std::uint32_t {
      // Death and preemption seldom: otherwise nobody ever gets anywhere.
      if (random.below(6) != 0) return 0;
      return static_cast<std::uint32_t>(random.below(options));
    });
    const std::string failure = run.run();
    if (!failure.empty()) {
      FAIL_CHECK(failure << ", with the seed " << seed);
      return;
    }
  }
}

constexpr Script writer{LockMode::exclusive, 1, false};
constexpr Script reader{LockMode::shared, 1, false};
constexpr Script fickle_writer{LockMode::exclusive, 1, true};
constexpr Script fickle_reader{LockMode::shared, 1, true};

const std::vector<Scripts>& crowds() {
  static const std::vector<Scripts> all{
      {writer, writer, writer},        {writer, reader, reader},
      {reader, writer, reader},        {writer, writer, reader},
      {reader, reader, reader},        {writer, fickle_writer, writer},
      {reader, fickle_writer, reader}, {writer, fickle_reader, reader},
  };
  return all;
}

}  // namespace

TEST_CASE("lock model: no interleaving of three parties lets two in, or loses a wake-up") {
  std::uint64_t runs = 0;
  for (const Scripts& scripts : crowds())
    runs += explore(scripts, Limits{3, 0});
  MESSAGE(runs << " interleavings");
  CHECK(runs > 1000);
}

TEST_CASE("lock model: nor does the death of one of them before any step") {
  std::uint64_t runs = 0;
  for (const Scripts& scripts : crowds())
    runs += explore(scripts, Limits{1, 1});
  runs += explore({writer, writer, writer}, Limits{2, 1, 0});
  MESSAGE(runs << " interleavings");
  CHECK(runs > 1000);
}

TEST_CASE("lock model: nor the death of two, one of them perhaps while it buries the other") {
  std::uint64_t runs = 0;
  for (const Scripts& scripts : crowds())
    runs += explore(scripts, Limits{0, 2});
  MESSAGE(runs << " interleavings");
  CHECK(runs > 1000);
}

TEST_CASE("lock model: nor long random walks") {
  Script busy_writer = writer;
  Script busy_reader = reader;
  busy_writer.rounds = busy_reader.rounds = 4;
  wander({busy_writer, busy_writer, busy_writer}, 20'000);
  wander({busy_writer, busy_reader, busy_reader}, 20'000);
  wander({busy_writer, busy_writer, busy_reader}, 20'000);
}

}  // namespace millrace::test::lock_model_test

#endif
