// A rate limiter: no stretch of time gets more than its rate allows and one burst, whoever dies.
#include <millrace/sync/rate_limiter.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "fixture.hpp"

namespace millrace::test::rate_limiter_test {

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t kTicksPerSecond = kSecond * layout::kTicksPerNs;

struct Limiters : Names {
  ~Limiters() { (void)unlink_channel('g', name()); }
  [[nodiscard]] std::unique_ptr<RateLimiter> open(std::optional<Rate> rate) const {
    RateLimiterSpec wanted;
    wanted.place = name();
    wanted.rate = rate;
    return must(RateLimiter::open(wanted, soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('g', name()), os::Access::read_only).ok();
  }
  [[nodiscard]] Code refusal(std::optional<Rate> rate) const {
    RateLimiterSpec wanted;
    wanted.place = name();
    wanted.rate = rate;
    auto opened = RateLimiter::open(wanted, soon());
    REQUIRE_FALSE(opened.ok());
    return opened.error().code;
  }
};

constexpr Rate kHourly{3600 * kTicksPerSecond, 3};

bool taken(const RateTurn& turn) {
  return turn.status == RateTurn::Status::taken;
}

// Is there a window of time in which too many were let through? `grants` are {at, cost}.
struct Grant {
  std::uint64_t at;
  std::uint64_t cost;
};
bool too_many(std::vector<Grant> grants, Rate rate) {
  std::sort(grants.begin(), grants.end(),
            [](const Grant& a, const Grant& b) { return a.at < b.at; });
  // Of windows that end at b the worst one begins at the a for which the permits before it times the interval, less a, are least.
  std::uint64_t before = 0;
  std::int64_t least = 0;
  bool first = true;
  for (std::size_t i = 0; i < grants.size(); ++i) {
    const auto level =
        static_cast<std::int64_t>(before * rate.interval) - static_cast<std::int64_t>(grants[i].at);
    if (first || level < least) least = level;
    first = false;
    before += grants[i].cost;
    const auto now =
        static_cast<std::int64_t>(before * rate.interval) - static_cast<std::int64_t>(grants[i].at);
    if (now - least > static_cast<std::int64_t>(rate.capacity())) return true;
  }
  return false;
}

// An atomic between whose load and swap somebody else acts.
struct Word {
  std::uint64_t value = 0;
  std::function<void()> meanwhile;

  std::uint64_t load(std::memory_order /*order*/) const { return value; }
  bool compare_exchange_weak(std::uint64_t& expected, std::uint64_t desired,
                             std::memory_order /*success*/, std::memory_order /*failure*/) {
    if (const auto others = std::exchange(meanwhile, nullptr)) others();
    if (value != expected) {
      expected = value;
      return false;
    }
    value = desired;
    return true;
  }
  bool compare_exchange_strong(std::uint64_t& expected, std::uint64_t desired,
                               std::memory_order success, std::memory_order failure) {
    return compare_exchange_weak(expected, desired, success, failure);
  }
};

// All that processes can do to the word, in all orders. Each step is one swap; who makes it may have looked at the clock some
// time before, and whoever dies does nothing more. That is all there is: what a process does between two swaps nobody sees.
class Explorer {
 public:
  explicit Explorer(Rate rate) : rate_(rate), gcra_(word_, rate) {}

  void explore(int depth) {
    ++runs_;
    std::vector<Grant> grants;
    for (const Taken& one : taken_)
      grants.push_back({one.turn.at, one.cost});
    if (too_many(grants, rate_)) ++violations_;
    if (depth == 0) return;
    ++time_;
    explore(depth - 1);
    --time_;
    for (const std::uint64_t stale : {0U, 3U}) {
      for (const std::uint64_t cost : {std::uint64_t{1}, rate_.burst}) {
        for (const bool waits : {false, true})
          step(depth, time_ - stale, cost, waits);
      }
    }
    // Another one gets in between.
    word_.meanwhile = [this] { take(time_, 1, time_); };
    step(depth, time_, 1, true);
    // A turn is given back: the last one, or one that others stand behind.
    for (std::size_t i = 0; i < taken_.size(); ++i) {
      const auto saved = taken_;
      const std::uint64_t word = word_.value;
      if (!gcra_.give_back(taken_[i].turn)) continue;
      if (i + 1 != saved.size()) ++violations_;
      taken_.erase(taken_.begin() + static_cast<std::ptrdiff_t>(i));
      explore(depth - 1);
      taken_ = saved;
      word_.value = word;
    }
  }
  [[nodiscard]] int violations() const { return violations_; }
  [[nodiscard]] int runs() const { return runs_; }

 private:
  struct Taken {
    RateTurn turn;
    std::uint64_t cost;
  };

  void step(int depth, std::uint64_t now, std::uint64_t cost, bool waits) {
    const auto saved = taken_;
    const std::uint64_t word = word_.value;
    take(now, cost, waits ? now + 1000 : now);
    word_.meanwhile = nullptr;
    if (taken_.size() != saved.size()) explore(depth - 1);
    taken_ = saved;
    word_.value = word;
  }
  void take(std::uint64_t now, std::uint64_t cost, std::uint64_t latest) {
    const RateTurn turn = gcra_.take(now, cost, latest);
    if (turn.status == RateTurn::Status::corrupt) ++violations_;
    if (!taken(turn)) return;
    if (turn.at < now || turn.at > latest) ++violations_;
    taken_.push_back({turn, cost});
  }

  Rate rate_;
  Word word_;
  Gcra<Word> gcra_;
  std::uint64_t time_ = 10;
  std::vector<Taken> taken_;
  int violations_ = 0;
  int runs_ = 0;
};

}  // namespace

TEST_CASE("promise: rate – every order of steps, stale clocks, and turns given back keep it") {
  for (const Rate rate : {Rate{2, 2}, Rate{3, 1}, Rate{1, 3}}) {
    Explorer explorer(rate);
    explorer.explore(MILLRACE_SANITIZED != 0 ? 4 : 5);
    CHECK(explorer.violations() == 0);
    MESSAGE("states: " << explorer.runs());
  }
}

TEST_CASE("the judge of that test sees one permit too many") {
  const Rate rate{10, 2};
  CHECK_FALSE(too_many({{100, 1}, {100, 1}, {110, 1}, {120, 1}}, rate));
  CHECK(too_many({{100, 1}, {100, 1}, {109, 1}}, rate));
  CHECK(too_many({{100, 2}, {110, 1}, {119, 1}}, rate));
  CHECK_FALSE(too_many({{100, 2}, {120, 2}}, rate));
  CHECK(too_many({{119, 2}, {100, 2}}, rate));
}

TEST_CASE_FIXTURE(Limiters, "a burst at once, and then a permit each interval") {
  auto one = open(kHourly);
  auto other = open({});
  CHECK(other->rate().burst == 3);
  CHECK(one->remaining() == 3);
  CHECK(taken(one->try_take(2)));
  CHECK(other->remaining() == 1);
  CHECK_FALSE(taken(other->try_take(2)));
  CHECK(taken(other->try_take(1)));
  CHECK_FALSE(taken(one->try_take(1)));
  const RateTurn turn = one->reserve(1, layout::kFarthestTicks);
  CHECK(taken(turn));
  CHECK(one->left() > 3590 * kTicksPerSecond);
  CHECK_FALSE(taken(other->reserve(1, 3600 * kTicksPerSecond)));
  CHECK(one->give_back());
  CHECK(taken(other->reserve(1, 3600 * kTicksPerSecond)));
}

TEST_CASE_FIXTURE(Limiters,
                  "a turn that others stand behind cannot be given back, and stays ours") {
  auto one = open(kHourly);
  auto other = open(kHourly);
  CHECK(taken(one->try_take(3)));
  CHECK(taken(one->reserve(1, layout::kFarthestTicks)));
  CHECK(taken(other->reserve(1, layout::kFarthestTicks)));
  CHECK_FALSE(one->give_back());
  CHECK(one->left() > 0);
  CHECK(other->give_back());
  CHECK(one->give_back());
}

TEST_CASE_FIXTURE(Limiters, "who opens it must agree; nothing is made by who says no rate") {
  CHECK(refusal({}) == Code::not_found);
  auto one = open(kHourly);
  CHECK(refusal(Rate{kHourly.interval + 1, 3}) == Code::geometry);
  CHECK(refusal(Rate{kHourly.interval, 4}) == Code::geometry);
  CHECK(refusal(Rate{0, 4}) == Code::invalid_argument);
  CHECK(refusal(Rate{layout::kMostRateTicks, 2}) == Code::invalid_argument);
}

TEST_CASE_FIXTURE(Limiters, "it outlives its users as long as it has something to remember") {
  auto one = open(Rate{kTicksPerSecond / 1000, 2});
  CHECK(taken(one->try_take(2)));
  REQUIRE(eventually([&] { return one->debt() == 0; }));
  one->close();
  CHECK_FALSE(exists());
  one = open(kHourly);
  CHECK(taken(one->try_take(2)));
  CHECK(taken(one->reserve(2, layout::kFarthestTicks)));
  one->close();  // the turn is given back
  CHECK(exists());
  CHECK(open({})->remaining() == 1);
}

TEST_CASE_FIXTURE(Limiters, "a limiter of another boot begins with an empty bucket") {
  {
    auto one = open(kHourly);
    CHECK(taken(one->try_take(1)));
  }
  {
    auto fd = must(os::open_object(object_name_of('g', name()), os::Access::read_write));
    auto mapped = must(os::map_shared(fd.get(), 0, os::page_size(), {}));
    auto& record =
        *reinterpret_cast<layout::RateLimiterRecord*>(mapped->data() + layout::kRateLimiterOffset);
    record.boot[0].fetch_add(1);
    record.word.store(~0ULL);  // of a clock that was far ahead of ours
  }
  auto one = open(kHourly);
  CHECK(one->remaining() == 0);
  const RateTurn turn = one->look(RateLimiter::now(), 1);
  CHECK(turn.status != RateTurn::Status::corrupt);
  CHECK(turn.at <= RateLimiter::now() + kHourly.interval);
  auto other = open(kHourly);  // which finds that done
  CHECK(other->debt() <= one->rate().capacity());
}

TEST_CASE_FIXTURE(Limiters, "a word that nobody can have written is told from a long wait") {
  auto one = open(kHourly);
  auto fd = must(os::open_object(object_name_of('g', name()), os::Access::read_write));
  auto mapped = must(os::map_shared(fd.get(), 0, os::page_size(), {}));
  auto& word =
      *reinterpret_cast<std::atomic<std::uint64_t>*>(mapped->data() + layout::kRateLimiterOffset);
  word.store(RateLimiter::now() + layout::kFarthestTicks);
  CHECK(one->try_take(1).status == RateTurn::Status::refused);
  word.store(~0ULL);
  CHECK(one->try_take(1).status == RateTurn::Status::corrupt);
  CHECK(one->reserve(1, layout::kFarthestTicks).status == RateTurn::Status::corrupt);
}

TEST_CASE("the offset of a time namespace is read as the kernel writes it") {
#if defined(__linux__)
  CHECK(os::monotonic_offset_in(
            "monotonic           0         0\nboottime            5         7\n") == 0);
  CHECK(os::monotonic_offset_in("monotonic        86400 500000000\nboottime  0 0\n") ==
        86'400'500'000'000);
  CHECK(os::monotonic_offset_in("boottime  9 9\nmonotonic  -100  5\n") == -99'999'999'995);
  for (const char* other : {"", "monotonic", "monotonic x y", "monotonic 99999999999 0"})
    CHECK(os::monotonic_offset_in(other) == 0);
#endif
}

TEST_CASE_FIXTURE(Limiters, "promise: rate – processes that take and wait are killed at any time") {
  constexpr std::size_t kMost = 40'000;
  struct Log {
    std::atomic<std::size_t> length;
    std::array<std::atomic<std::uint64_t>, kMost> at;
    std::array<std::atomic<std::uint64_t>, kMost> cost;
  };
  Shared<Log> log;
  const Rate rate{kTicksPerSecond / 20'000, 7};
  auto keeper = open(rate);
  for (int round = 0; round < rounds(20); ++round) {
    const std::size_t before = log->length.load();
    std::vector<Child> children;
    for (int i = 0; i < 4; ++i) {
      children.emplace_back([&, i] {
        RateLimiterSpec wanted;
        wanted.place = name();
        auto mine = RateLimiter::open(wanted, soon());
        CHILD_EXPECT(mine.ok());
        Random random(static_cast<std::uint64_t>(round * 4 + i + 1));
        for (;;) {
          const std::uint64_t cost = 1 + random.below(3);
          const bool waits = random.below(2) == 0;
          const RateTurn turn =
              waits ? mine.value()->reserve(cost, kTicksPerSecond) : mine.value()->try_take(cost);
          CHILD_EXPECT(turn.status != RateTurn::Status::corrupt);
          if (!taken(turn)) continue;
          if (waits && random.below(4) == 0 && mine.value()->give_back()) continue;
          const std::size_t index = log->length.fetch_add(1);
          if (index >= kMost) return linger();
          log->cost.at(index).store(cost);
          log->at.at(index).store(turn.at);
          while (waits && mine.value()->left() > 0) {
          }
          mine.value()->finish();
        }
        return 0;
      });
    }
    REQUIRE(eventually([&] { return log->length.load() > before + 100; }));
    for (Child& child : children)
      child.kill();
  }
  std::vector<Grant> grants;
  for (std::size_t i = 0; i < std::min(kMost, log->length.load()); ++i) {
    const std::uint64_t at = log->at.at(i).load();
    if (at != 0) grants.push_back({at, log->cost.at(i).load()});
  }
  CHECK(grants.size() > 100);
  CHECK_FALSE(too_many(grants, rate));
}

}  // namespace millrace::test::rate_limiter_test
