// Jobs of a queue on disk that become jobs of another one, and the power goes at any moment: the job is there, or its result, or
// both; never neither. What has resolved is there once.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "work_power.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_forward_power_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kInstances[2] = {kInstance, kInstance + 1};

WorkShape disk_shape() {
  WorkShape shape;
  shape.seats = 4;
  shape.levels = 3;
  shape.stages = 2;
  shape.jobs = 12;
  shape.dead = 2;
  shape.bytes = 24 * 1024;
  shape.attempts = 0;
  shape.groups = 16;
  shape.keys = 256;
  shape.window_ms = 3'600'000;
  shape.durability = layout::Durability::disk;
  return shape;
}

// One of the two queues, in one file each.
struct Side {
  Side(const WorkShape& its_shape, std::uint64_t its_instance, Random& random)
      : shape(its_shape),
        instance(its_instance),
        memory(static_cast<std::size_t>(shape.total_bytes())),
        disk(memory, random, false),
        open(std::make_unique<Open>(memory, shape, instance)) {
    open->store->set_up();
  }
  void start() {
    disk.start();
    open = std::make_unique<Open>(memory, shape, instance);
    open->recover();
  }
  // As DiskSync: of what is done now, the next sync to begin.
  [[nodiscard]] std::uint64_t ticket() const { return begun + 1; }
  [[nodiscard]] bool certain(std::uint64_t of) const { return ended >= of; }
  void step(Random& random) {
    disk.write_back();
    if (disk.step_sync()) ended = begun;
    if (!disk.syncs() && random.chance(20)) {
      ++begun;
      open->memory.control().syncs_begun.fetch_add(1);
      disk.begin_sync();
    }
  }

  WorkShape shape;
  std::uint64_t instance;
  Bytes memory;
  Disk disk;
  std::unique_ptr<Open> open;
  std::uint64_t begun = 0;  // syncs
  std::uint64_t ended = 0;  // the last that has
};

// What has been done with the job of a number. Tickets: 0: not yet.
struct Story {
  std::uint64_t pushed = 0;     // ticket of the first queue
  std::uint64_t forwarded = 0;  // of the first, too: when its end is certain
  bool ended = false;           // its result was completed, or may have been
};

struct Pending {
  std::uint32_t number;
  Lease lease;
  Promise promise;
  std::uint64_t ticket;  // of the second
};

// Every second result has an id. Its job has whatever Plan says.
std::string id_of(std::uint32_t number) {
  return number % 2 == 0 ? "result-" + std::to_string(number) : "";
}
// The number of what is in that slot; fails if it is not whole.
std::uint32_t number_at(const Open& open, std::uint32_t slot) {
  JobFacts facts;
  REQUIRE(open.store->facts(slot, facts));
  const std::string headers(reinterpret_cast<const char*>(facts.headers.data()),
                            facts.headers.size());
  REQUIRE(headers.size() >= 2);
  const auto number = static_cast<std::uint32_t>(std::stoul(headers.substr(1)));
  const Plan plan(number);
  CAPTURE(number);
  CHECK(headers == plan.headers);
  CHECK(std::string(reinterpret_cast<const char*>(open.memory.data() + facts.at), facts.length) ==
        plan.payload);
  return number;
}
// How often each number is there.
std::map<std::uint32_t, int> numbers_in(const Side& side) {
  std::map<std::uint32_t, int> found;
  for (std::uint32_t slot = 0; slot < side.shape.slots(); ++slot) {
    const layout::Word word = layout::unpack(side.open->memory.slot(slot).word.load());
    if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare) continue;
    ++found[number_at(*side.open, slot)];
  }
  return found;
}

class TwoQueues {
 public:
  // `shortcut`: does not wait for the disk between the promise and the job's end.
  explicit TwoQueues(std::uint64_t seed, bool shortcut = false)
      : random_(seed),
        shortcut_(shortcut),
        from_(disk_shape(), kInstances[0], random_),
        to_(disk_shape(), kInstances[1], random_) {}

  [[nodiscard]] Random& random() noexcept { return random_; }
  [[nodiscard]] std::uint32_t both() const noexcept { return both_; }
  [[nodiscard]] std::uint32_t resolved() const noexcept { return resolved_; }
  [[nodiscard]] std::uint32_t lost() const noexcept { return lost_; }

  void step() {
    from_.disk.begin_step();
    to_.disk.begin_step();
    const std::uint64_t choice = random_.below(100);
    if (choice < 25) {
      push();
    } else if (choice < 55) {
      promise();
    } else if (choice < 85) {
      finish();
    } else {
      complete();
    }
    from_.step(random_);
    to_.step(random_);
  }
  // The power goes, for both at once, and comes again.
  void cut() {
    from_.start();
    to_.start();
    pending_.clear();
    const std::map<std::uint32_t, int> here = numbers_in(from_);
    const std::map<std::uint32_t, int> there = numbers_in(to_);
    for (const auto& [number, times] : here)
      CHECK(times == 1);
    for (const auto& [number, times] : there)
      CHECK((times == 1 || id_of(number).empty()));
    for (auto& [which, story] : stories_) {
      const std::uint32_t number = which;
      CAPTURE(number);
      const bool is_here = here.contains(number);
      const bool is_there = there.contains(number);
      const bool was_certain = story.pushed != 0 && from_.certain(story.pushed);
      const bool was_resolved = story.forwarded != 0 && from_.certain(story.forwarded);
      if (was_certain && !story.ended && !is_here && !is_there) ++lost_;
      if (was_certain && story.forwarded == 0) CHECK(is_here);
      if (story.forwarded != 0 && !story.ended && !shortcut_) CHECK(is_there);
      if (was_resolved) CHECK(!is_here);
      both_ += is_here && is_there ? 1 : 0;
      resolved_ += was_resolved ? 1 : 0;
      // What is known from here on is what was found.
      story.pushed = is_here ? 1 : 0;
      story.forwarded = is_here ? 0 : story.forwarded == 0 ? 0 : 1;
      if (!is_there && !is_here) story.ended = true;
    }
    from_.begun = from_.ended = to_.begun = to_.ended = 1;
  }
  // Everything that is there is done, with no more cuts: how often each result came.
  void work_off() {
    for (bool some = true; some;) {
      some = false;
      for (std::uint32_t stage = 0; stage < 2; ++stage) {
        while (Lease lease = to_.open->store->take(stage, true)) {
          some = true;
          ++results_[number_at(*to_.open, lease.slot)];
          CHECK(to_.open->store->complete(lease));
        }
        while (Lease lease = from_.open->store->take(stage, true)) {
          some = true;
          const Plan plan(number_at(*from_.open, lease.slot));
          Promise promise;
          const Forwarded told = begin(plan, lease, promise);
          if (told == Forwarded::full || told == Forwarded::full_bytes) {
            CHECK(from_.open->store->release(lease, 0));
            break;
          }
          if (told == Forwarded::duplicate) {
            ++duplicates_;
            CHECK(from_.open->store->complete(lease));
          } else {
            REQUIRE(told == Forwarded::yes);
            CHECK(from_.open->store->finish_forward(lease, *to_.open->store, promise) ==
                  Forwarded::yes);
          }
        }
      }
    }
    for (const auto& result : results_) {
      const auto number = result.first;
      const auto times = result.second;
      CAPTURE(number);
      // Of those without an id each cut may have left the job behind.
      if (!id_of(number).empty()) CHECK(times == 1);
    }
    for (const Side* const side : {&from_, &to_}) {
      const JobStore::Counts counts = side->open->store->counts();
      CHECK(counts.free == side->shape.jobs);
      CHECK(side->open->store->granules_used() == 0);
    }
  }
  [[nodiscard]] std::uint32_t duplicates() const noexcept { return duplicates_; }

 private:
  static Plan plan_of(std::uint32_t number) {
    Plan plan(number);
    plan.delayed = false;
    return plan;
  }
  void push() {
    const Plan plan = plan_of(next_);
    const PushOptions options = plan.options();
    Loan loan;
    if (from_.open->store->reserve(plan.payload.size(), options.tail_bytes(), loan) != Pushed::yes)
      return;
    std::memcpy(from_.open->memory.data() + loan.at, plan.payload.data(), plan.payload.size());
    REQUIRE(from_.open->store->push(loan, plan.payload.size(), options) == Pushed::yes);
    stories_[next_++].pushed = from_.ticket();
  }
  Forwarded begin(const Plan& plan, Lease& lease, Promise& promise) {
    const Plan whole = plan_of(plan.number);  // its headers are of the options
    PushOptions options = whole.options();
    const std::string id = id_of(plan.number);
    options.group = {};
    options.id = id;
    Loan loan;
    switch (to_.open->store->reserve(plan.payload.size(), options.tail_bytes(), loan)) {
      case Pushed::yes:
        break;
      case Pushed::full:
        return Forwarded::full;
      default:
        return Forwarded::full_bytes;
    }
    std::memcpy(to_.open->memory.data() + loan.at, plan.payload.data(), plan.payload.size());
    return from_.open->store->begin_forward(lease, *to_.open->store, loan, plan.payload.size(),
                                            options, promise);
  }
  void promise() {
    Lease lease = from_.open->store->take(static_cast<std::uint32_t>(random_.below(2)), true);
    if (!lease) return;
    const std::uint32_t number = number_at(*from_.open, lease.slot);
    Promise promise;
    const Forwarded told = begin(Plan(number), lease, promise);
    if (told == Forwarded::full || told == Forwarded::full_bytes) {
      CHECK(from_.open->store->release(lease, 0));
      return;
    }
    REQUIRE((told == Forwarded::yes || told == Forwarded::duplicate));
    pending_.push_back({number, lease, promise, to_.ticket()});
  }
  void finish() {
    if (pending_.empty()) return;
    const std::size_t which = random_.below(pending_.size());
    Pending pending = pending_[which];
    if (random_.chance(5)) {
      // It is not to be, after all.
      if (pending.promise) to_.open->store->withdraw(pending.promise);
      CHECK(from_.open->store->release(pending.lease, 0));
    } else if (shortcut_ || to_.certain(pending.ticket)) {
      if (pending.promise) {
        REQUIRE(from_.open->store->finish_forward(pending.lease, *to_.open->store,
                                                  pending.promise) == Forwarded::yes);
      } else {
        CHECK(from_.open->store->complete(pending.lease));
      }
      stories_[pending.number].forwarded = from_.ticket();
    } else {
      return;
    }
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(which));
  }
  void complete() {
    Lease lease = to_.open->store->take(static_cast<std::uint32_t>(random_.below(2)), true);
    if (!lease) return;
    stories_[number_at(*to_.open, lease.slot)].ended = true;
    CHECK(to_.open->store->complete(lease));
  }

  Random random_;
  bool shortcut_;
  Side from_;
  Side to_;
  std::vector<Pending> pending_;
  std::map<std::uint32_t, Story> stories_;
  std::map<std::uint32_t, int> results_;
  std::uint32_t next_ = 1;
  std::uint32_t both_ = 0;
  std::uint32_t resolved_ = 0;
  std::uint32_t lost_ = 0;
  std::uint32_t duplicates_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(
    Names,
    "promise: work – a job on disk that becomes another one is there, or its result, after "
    "any power cut") {
  std::uint32_t both = 0;
  std::uint32_t resolved = 0;
  std::uint32_t duplicates = 0;
  for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(rounds(40)); ++seed) {
    CAPTURE(seed);
    TwoQueues queues(seed);
    for (int boot = 0; boot < 8; ++boot) {
      CAPTURE(boot);
      for (std::uint64_t steps = queues.random().below(150); steps > 0; --steps)
        queues.step();
      queues.cut();
      CHECK(queues.lost() == 0);
    }
    queues.work_off();
    both += queues.both();
    resolved += queues.resolved();
    duplicates += queues.duplicates();
  }
  CHECK(both > 10);
  CHECK(resolved > 100);
  CHECK(duplicates > 0);
  MESSAGE("both: " << both << ", resolved: " << resolved << ", duplicates: " << duplicates);
}

TEST_CASE_FIXTURE(Names,
                  "a job that ends before its result is on the disk can be lost: that is seen") {
  std::uint32_t lost = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TwoQueues queues(seed, true);
    for (int boot = 0; boot < 8; ++boot) {
      for (std::uint64_t steps = queues.random().below(150); steps > 0; --steps)
        queues.step();
      queues.cut();
    }
    lost += queues.lost();
  }
  CHECK(lost > 0);
}

TEST_CASE_FIXTURE(
    Names, "a promise under the number of one from before a power cut is not kept for that one") {
  Random random(1);
  Side from(disk_shape(), kInstances[0], random);
  Side to(disk_shape(), kInstances[1], random);
  const auto push = [&] {
    Loan loan;
    REQUIRE(from.open->store->reserve(8, 0, loan) == Pushed::yes);
    REQUIRE(from.open->store->push(loan, 8, {}) == Pushed::yes);
  };
  push();
  push();
  Lease lease = from.open->store->take(0, true);
  Lease other = from.open->store->take(0, true);
  REQUIRE(other);
  Loan loan;
  REQUIRE(to.open->store->reserve(8, 0, loan) == Pushed::yes);
  Promise promise;
  REQUIRE(from.open->store->begin_forward(lease, *to.open->store, loan, 8, {}, promise) ==
          Forwarded::yes);
  // The other job says that it was forwarded to that, and means what was there before the cut.
  layout::Slot& slot = from.open->memory.slot(other.slot);
  slot.forward = layout::work_job(promise.slot, layout::unpack(promise.word).token);
  slot.forward_queue = kInstances[1];
  layout::Word word = layout::unpack(other.word);
  word.state = layout::SlotState::forwarded;
  word.flags = 0;
  word.seat = 2;  // dead
  slot.word.store(layout::pack(word));
  from.open->store->reach_by([&](std::uint64_t, const LookAt& look) {
    (void)look(to.open->memory);
    return Reached::yes;
  });
  (void)from.open->store->repair(2);
  CHECK(layout::unpack(slot.word.load()).state == layout::SlotState::free);
  CHECK(to.open->memory.slot(promise.slot).word.load() == promise.word);
  CHECK(from.open->store->finish_forward(lease, *to.open->store, promise) == Forwarded::yes);
}

}  // namespace millrace::test::work_forward_power_test
