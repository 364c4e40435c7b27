// A scene is what a test of deaths consists of: a victim, which dies at a crash point, survivors, which must
// not be harmed, and a replacement, which takes the victim's place and may die as well.
//
// every_death<Scene>() runs the scene without a death first, to learn which points its victim passes, and
// then once for each of them with a victim that dies right there; and again with a replacement that dies
// at one of the points that it passes while it puts in order what the first one left.
//
// Victim and replacement are forked; survivors are in the test's own process. Both sides report to each
// other in shared numbers.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <millrace/crash_point.hpp>
#include <millrace/millrace.hpp>

#include "../fixture.hpp"

namespace millrace::test {

using Passages = std::map<std::string_view, std::uint32_t>;

// What the processes of a scene tell each other.
struct Numbers {
  crash::Log log;
  std::atomic<std::uint64_t> step;  // by the victim: how far it is
  std::atomic<std::uint64_t> told;  // by the survivor: how far it is
  std::atomic<std::uint64_t> trying;
  std::atomic<std::uint64_t> done;
  std::atomic<std::uint64_t> base;     // where a replacement goes on
  std::atomic<std::uint64_t> bell;     // of the one that acts
  std::atomic<std::uint64_t> bell_in;  // 1: it stands in a role record by now
  std::array<std::atomic<std::uint64_t>, 64> own;
};

class Scene : public Names {
 public:
  Scene() = default;
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  virtual ~Scene() = default;

  virtual void begin() {}              // survivors come in
  virtual void act() = 0;              // the victim's whole part; in its process
  virtual void act_again() { act(); }  // the replacement's
  virtual void meanwhile() = 0;        // the survivors' part, again and again while the other acts
  virtual void after() {}              // the survivors' part when it has ended, dead or not
  virtual void end() {}                // everybody has left but the survivors

  Shared<Numbers> n;
  bool died = false;  // the one that acted last

 protected:
  // For whoever acts: a doorbell that the scene will look for.
  std::uint64_t own_bell() {
    auto made = os::Doorbell::create(os::BellTrust{::geteuid(), ::getegid(), false});
    CHILD_EXPECT(made.ok());
    bell_ = made.take();
    n->bell.store(bell_.id());
    return bell_.id();
  }
  [[nodiscard]] int bell_fd() const { return bell_.fd(); }
  // From here on no role record tells of it: if its owner dies now, a later sweep of bells finds it.
  void leave_with_bell() { n->bell_in.store(0); }
  void drop_bell() { bell_ = os::Doorbell(); }
  // Both sides wait for each other; false if the other one is gone for good.
  void tell(std::uint64_t step) { n->step.store(step); }
  void await_survivor(std::uint64_t step) {
    CHILD_EXPECT(eventually([&] { return n->told.load() >= step; }));
  }
  // How long whoever acts gives a survivor to fall asleep. Nothing is wrong if it does not.
  static void let_sleep() { os::sleep_ns(300'000); }

 private:
  os::Doorbell bell_;
};

// The promise is 100 ms; what is asserted leaves room for a machine that is busy with other things. Waits
// look every 20 ms, so what exceeds this hangs.
inline constexpr std::uint64_t kPatienceNs = 2 * kSecond;
inline std::uint64_t& longest_wait() {
  static std::uint64_t longest = 0;
  return longest;
}

// Forked by whoever acts, to find something to be put in order. The body dies at the end: `die()`, or at a
// crash point that it armed.
template <typename Body>
void one_dies(Body&& body) {
  Child doomed([&] {
    crash::disarm();
    crash::log_to(nullptr);
    body();
    return 1;
  });
  CHILD_EXPECT(doomed.wait() == -SIGKILL);
}
inline void die() {
  for (;;)
    ::kill(::getpid(), SIGKILL);
}

// `work` may wait for the dead one, but not long.
template <typename Work>
void without_waiting(Scene& scene, Work&& work) {
  const std::uint64_t begun = std::max(scene.n->log.died_at.load(), os::monotonic_ns() - 1);
  work();
  const std::uint64_t took = os::monotonic_ns() - begun;
  longest_wait() = std::max(longest_wait(), took);
  CHECK(took < kPatienceNs);
}

struct Death {
  std::string_view point;
  std::uint64_t passage = 1;
};

// What who died while it made a doorbell has left: nobody knows it, so the next sweep would take it away in two
// seconds. Whoever else is making one at this instant makes another.
inline void scrub_unfinished_bells() {
  os::sweep_dead_bells(1'000'000);
  os::Directory directory(os::doorbell_directory());
  while (const char* file = directory.next()) {
    const auto name = os::parse_bell_name(file);
    if (!name || os::look_at_bell(*name) != os::BellState::young) continue;
    ::unlink(os::unfinished_bell_path(name->id).c_str());
  }
}

enum class Ending { done, died };

// Plays one part to its end. Adds what it passed to `passages`.
inline Ending play(Scene& scene, const std::optional<Death>& death, bool again,
                   Passages* passages) {
  Numbers& n = *scene.n;
  n.log.died_at.store(0);
  for (auto& count : n.log.passed)
    count.store(0);
  n.step.store(0);
  n.told.store(0);
  n.bell.store(0);
  n.bell_in.store(0);
  Child child([&] {
    crash::log_to(&n.log);
    if (death) CHILD_EXPECT(crash::arm(death->point, death->passage));
    if (again) {
      scene.act_again();
    } else {
      scene.act();
    }
    crash::disarm();
    return 0;
  });
  int status = 0;
  const os::Deadline deadline = os::Deadline::after(30 * kSecond);
  bool ended = false;
  while (!ended) {
    ended = child.ended(status);
    scene.meanwhile();
    REQUIRE(!deadline.passed());
  }
  if (passages != nullptr) {
    const auto& points = crash::points();
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (const std::uint32_t count = n.log.passed[i].load(); count != 0)
        (*passages)[points[i]] += count;
    }
  }
  const bool died = status == -SIGKILL;
  if (died && death && death->point.starts_with("doorbell.create.")) scrub_unfinished_bells();
  CHECK((died || status == 0));
  scene.died = died;
  scene.after();
  // Its doorbell goes with whoever buries it, at the latest with the last one on the segment. Whoever was buried so early that it had
  // the doorbell open still has left it for whoever makes the next one.
  if (died && n.bell.load() != 0) {
    if (n.bell_in.load() != 0) {
      os::sweep_dead_bells(1'000'000);
      scene.watch_bell(n.bell.load());
    } else {
      ::unlink(os::doorbell_path(n.bell.load()).c_str());
    }
  }
  return died ? Ending::died : Ending::done;
}

// One run of a scene. Returns how many of the deaths happened: which points are passed depends, for a few
// of them, on who is faster.
template <typename S>
int run(const std::vector<Death>& deaths, Passages* first = nullptr, Passages* last = nullptr) {
  S scene;
  scene.begin();
  int happened = 0;
  for (std::size_t i = 0; i <= deaths.size(); ++i) {
    const bool armed = i < deaths.size();
    const auto ending = play(scene, armed ? std::optional<Death>(deaths[i]) : std::nullopt, i != 0,
                             i == 0 ? first : (armed ? nullptr : last));
    if (armed && ending == Ending::died) ++happened;
    if (!armed) CHECK(ending == Ending::done);
  }
  scene.end();
  return happened;
}

// Every place where the victim passes, the first and the last time; and of each pair of a first and a second
// death as many as asked for by MILLRACE_CRASH_PAIRS (default: one for each first one).
template <typename S>
void every_death() {
  const char* asked = std::getenv("MILLRACE_CRASH_PAIRS");
  const std::size_t pairs = asked == nullptr ? 1 : static_cast<std::size_t>(std::atoi(asked));
  Passages passages;
  (void)run<S>({}, &passages);
  REQUIRE(!passages.empty());
  std::size_t turn = 0;
  int deaths = 0;
  std::set<std::string_view> seconds;
  for (const auto& [where, count] : passages) {
    const std::string_view point = where;  // Clang 14 captures no structured bindings
    std::vector<std::uint64_t> which{1};
    if (count > 1) which.push_back(count);
    for (const std::uint64_t passage : which) {
      CAPTURE(point);
      CAPTURE(passage);
      const Death first{point, passage};
      Passages recovery;
      const int happened = run<S>({first}, nullptr, &recovery);
      deaths += happened;
      if (happened == 0 || passage != 1) continue;
      std::vector<std::string_view> next;
      for (const auto& [second, ignored] : recovery)
        next.push_back(second);
      for (std::size_t i = 0; i < std::min(pairs, next.size()); ++i) {
        const std::string_view second = next[turn++ * 7 % next.size()];
        CAPTURE(second);
        seconds.insert(second);
        deaths += run<S>({first, {second, 1}});
      }
    }
  }
  MESSAGE("deaths: " << deaths << ", points: " << passages.size() << ", of second deaths: "
                     << seconds.size() << ", longest wait: " << longest_wait() / 1000 << " us");
}

// The points that a scene's victim passes, for the test that wants all of them covered.
using Explore = std::function<void(Passages&)>;
inline std::vector<std::pair<const char*, Explore>>& explorers() {
  static std::vector<std::pair<const char*, Explore>> all;
  return all;
}
template <typename S>
struct Covered {
  explicit Covered(const char* name) {
    explorers().emplace_back(name, [](Passages& passages) { (void)run<S>({}, &passages); });
  }
};

// A test of all the deaths in a scene.
#define EVERY_DEATH(Scene, title)                                        \
  static const ::millrace::test::Covered<Scene> covered_##Scene(#Scene); \
  TEST_CASE("promise: death – " title) {                                 \
    ::millrace::test::every_death<Scene>();                              \
  }

}  // namespace millrace::test
