// The memory of payloads: what is claimed is one's own, what is given back can be claimed, and what the dead leave is found.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <millrace/store/arena.hpp>

#include "fixture.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::work_arena_test {

using namespace millrace;
using namespace millrace::test;

namespace {

struct Granules {
  explicit Granules(std::uint32_t count) : words(count), arena(words.data(), count) {}

  [[nodiscard]] std::uint64_t at(std::uint32_t i) const { return words[i].load(); }
  [[nodiscard]] std::uint32_t in_use() const {
    return static_cast<std::uint32_t>(
        std::count_if(words.begin(), words.end(), [](const auto& word) { return word != 0; }));
  }

  std::vector<std::atomic<std::uint64_t>> words;
  Arena arena;
};

bool nobody_is_orphan(std::uint32_t /*slot*/, std::uint32_t /*born*/) {
  return false;
}
bool all_are_orphans(std::uint32_t /*slot*/, std::uint32_t /*born*/) {
  return true;
}

// The first fit from `from` on, once round, by looking at every place. What Arena::claim() must find.
std::optional<std::uint32_t> first_fit(const Granules& granules, std::uint32_t from,
                                       std::uint32_t wanted) {
  const std::uint32_t count = granules.arena.count();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t at = (from + i) % count;
    if (at + wanted > count) continue;
    bool free = true;
    for (std::uint32_t j = at; j < at + wanted; ++j)
      free = free && granules.at(j) == 0;
    if (free) return at;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("work arena: a claim writes whose the granules are, and how many are left") {
  Granules granules(8);
  CHECK(granules.arena.claim(5, 77, 3) == 0U);
  CHECK(granules.at(0) == layout::granule_owner(5, 77, 2));
  CHECK(granules.at(1) == layout::granule_owner(5, 77, 1));
  CHECK(granules.at(2) == layout::granule_owner(5, 77, 0));
  CHECK(granules.at(3) == 0);
  CHECK(granules.arena.used() == 3);
  CHECK_FALSE(granules.arena.disturbed());

  granules.arena.give_back(5, 77, 0, 3);
  CHECK(granules.in_use() == 0);
}

TEST_CASE(
    "work arena: the search goes on behind the last claim, round the end, and never across it") {
  Granules granules(10);
  CHECK(granules.arena.claim(1, 1, 4) == 0U);
  CHECK(granules.arena.claim(2, 1, 4) == 4U);
  granules.arena.give_back(1, 1, 0, 4);
  CHECK(granules.arena.claim(3, 1, 3) == 0U);  // two are left at the end: not three in a row
  CHECK(granules.arena.claim(4, 1, 1) == 3U);
  CHECK(granules.arena.claim(5, 1, 2) == 8U);
  CHECK(granules.arena.claim(6, 1, 1) == std::nullopt);
  granules.arena.give_back(2, 1, 4, 4);
  CHECK(granules.arena.claim(7, 1, 4, 9) == 4U);
}

TEST_CASE("work arena: what cannot be is refused at once") {
  Granules granules(4);
  CHECK(granules.arena.claim(1, 1, 0) == std::nullopt);
  CHECK(granules.arena.claim(1, 1, 5) == std::nullopt);
  CHECK(granules.arena.claim(1, 1, ~0U) == std::nullopt);
  CHECK(granules.arena.claim(1, 1, 4, ~0U) == 0U);
  Arena none;
  CHECK(none.claim(1, 1, 1) == std::nullopt);
  CHECK(none.sweep(all_are_orphans).freed == 0);
  CHECK(none.used() == 0);
}

TEST_CASE("work arena: giving back touches nothing but one's own") {
  Granules granules(6);
  REQUIRE(granules.arena.claim(1, 1, 3) == 0U);
  REQUIRE(granules.arena.claim(1, 2, 3) == 3U);
  granules.arena.give_back(1, 1, 3, 3);   // another birth
  granules.arena.give_back(2, 2, 3, 3);   // another slot
  granules.arena.give_back(1, 2, 2, 3);   // another place
  granules.arena.give_back(1, 2, 3, 99);  // more than there are
  granules.arena.give_back(1, 2, 99, 1);
  granules.arena.give_back(1, 2, 3, ~0U);
  CHECK(granules.in_use() == 6);
  granules.arena.give_back(1, 1, 0, 3);
  granules.arena.give_back(1, 1, 0, 3);  // once more
  CHECK(granules.in_use() == 3);
  REQUIRE(granules.arena.claim(1, 3, 3) == 0U);
  granules.arena.give_back(1, 1, 0, 3);  // long after
  CHECK(granules.in_use() == 6);
}

TEST_CASE("work arena: the first fit is found, whatever stands there") {
  Random random(11);
  for (int round = 0; round < rounds(400); ++round) {
    const auto count = static_cast<std::uint32_t>(1 + random.below(200));
    Granules granules(count);
    struct Job {
      std::uint32_t first, granules;
    };
    std::map<std::uint32_t, Job> jobs;
    for (std::uint32_t born = 1; born < 200; ++born) {
      if (!jobs.empty() && random.chance(45)) {
        auto victim = jobs.begin();
        std::advance(victim, random.below(jobs.size()));
        granules.arena.give_back(3, victim->first, victim->second.first, victim->second.granules);
        jobs.erase(victim);
        continue;
      }
      const auto wanted = static_cast<std::uint32_t>(1 + random.below(random.chance(20) ? 60 : 6));
      const auto from = static_cast<std::uint32_t>(random.below(count));
      const auto expected = first_fit(granules, from, wanted);
      const auto found = granules.arena.claim(3, born, wanted, from);
      REQUIRE(found == expected);
      if (found) jobs.emplace(born, Job{*found, wanted});
    }
    std::uint32_t live = 0;
    for (const auto& [born, job] : jobs)
      live += job.granules;
    CHECK(granules.in_use() == live);
    CHECK(granules.arena.used() == live);
    CHECK(granules.arena.sweep(nobody_is_orphan).used == live);
    const auto swept = granules.arena.sweep(
        [](std::uint32_t /*slot*/, std::uint32_t born) { return born % 2 == 0; });
    std::uint32_t odd = 0;
    for (const auto& [born, job] : jobs)
      odd += born % 2 == 1 ? job.granules : 0;
    CHECK(swept.used == odd);
    CHECK(swept.freed == live - odd);
    CHECK(granules.in_use() == odd);
  }
}

TEST_CASE("work arena: a run longer than a word can tell") {
  Granules granules(5000);
  REQUIRE(granules.arena.claim(1, 1, 4096) == 0U);
  REQUIRE(granules.arena.claim(2, 1, 904) == 4096U);
  CHECK(granules.arena.claim(3, 1, 1) == std::nullopt);
  CHECK(granules.arena.sweep(nobody_is_orphan).used == 5000);
  CHECK(granules.arena.used() == 5000);
  granules.arena.give_back(2, 1, 4096, 904);
  CHECK(granules.arena.claim(3, 1, 904) == 4096U);
  CHECK(granules.arena.sweep([](auto slot, auto) { return slot == 1; }).freed == 4096);
  CHECK(granules.arena.used() == 904);
}

TEST_CASE("work arena: whoever is refused on account of a claim that fails is told so") {
  Granules granules(8);
  // Somebody takes the last granule between the look and the claim: seen free, and then not.
  // The word is put there by hand at a moment that only a second thread could choose.
  std::atomic<bool> over{false};
  std::atomic<bool> met{false};
  std::thread other([&] {
    Arena arena(granules.words.data(), 8, 7);
    while (!over.load()) {
      if (const auto first = arena.claim(2, 2, 1, 7)) arena.give_back(2, 2, *first, 1);
    }
  });
  CHECK(eventually([&] {
    const auto first = granules.arena.claim(1, 1, 8);
    if (first) granules.arena.give_back(1, 1, *first, 8);
    met = met || granules.arena.disturbed();
    return met.load();
  }));
  over = true;
  other.join();
  CHECK(granules.in_use() == 0);
}

TEST_CASE("work arena: claimers and an undertaker at once, and every granule has one owner") {
  // The payload is plain memory: a thread sanitizer sees whether giving back and claiming order it.
  constexpr std::uint32_t count = 96;
  constexpr std::uint32_t claimers = 4;
  Granules granules(count);
  std::vector<std::uint64_t> payload(count);
  // Of each slot: the birth of its job, if there is one; else 0. A slot belongs to one thread.
  std::vector<std::atomic<std::uint32_t>> born(claimers * 2);
  std::atomic<std::uint32_t> torn{0};
  std::atomic<std::uint32_t> working{claimers};
  std::atomic<std::uint32_t> orphans{0};

  std::atomic<std::uint32_t> starved{0};

  const auto work = [&](std::uint32_t me) {
    Random random(me + 1);
    Arena arena(granules.words.data(), count, me * count / claimers);
    struct Job {
      std::uint32_t first = 0, granules = 0, born = 0;
    };
    std::array<Job, 2> jobs;
    int left = rounds(100'000);
    // Since when there has been no room, if there is none. How long all of it takes is the machine's affair.
    bool waits = false;
    os::Deadline patience = soon();
    for (std::uint32_t turn = 1; left > 0; ++turn) {
      const auto which = static_cast<std::uint32_t>(random.below(2));
      const std::uint32_t slot = me * 2 + which;
      Job& job = jobs[which];
      if (job.granules == 0) {
        job.born = turn;
        born[slot].store(turn);
        const auto wanted = static_cast<std::uint32_t>(1 + random.below(24));
        const auto first = arena.claim(slot, turn, wanted);
        if (!first) {
          born[slot].store(0);
          if (!waits) patience = soon();
          waits = true;
          if (patience.passed()) {
            starved.fetch_add(1);
            break;
          }
          std::this_thread::yield();  // the undertaker's turn
          continue;
        }
        waits = false;
        --left;
        job.first = *first;
        job.granules = wanted;
        for (std::uint32_t i = 0; i < wanted; ++i)
          payload[*first + i] = std::uint64_t{slot} << 32U | turn;
        continue;
      }
      for (std::uint32_t i = 0; i < job.granules; ++i) {
        if (payload[job.first + i] != (std::uint64_t{slot} << 32U | job.born)) torn.fetch_add(1);
      }
      born[slot].store(0);
      // As if it had died here, now and then: the undertaker finds it.
      if (random.chance(80)) {
        arena.give_back(slot, job.born, job.first, job.granules);
      } else {
        orphans.fetch_add(job.granules);
      }
      job.granules = 0;
    }
    for (std::uint32_t which = 0; which < 2; ++which)
      born[me * 2 + which].store(0);
    working.fetch_sub(1);
  };
  const auto is_orphan = [&](std::uint32_t slot, std::uint32_t when) {
    return slot >= born.size() || born[slot].load() != when;
  };

  std::vector<std::thread> threads;
  for (std::uint32_t me = 0; me < claimers; ++me)
    threads.emplace_back(work, me);
  Arena undertaker(granules.words.data(), count);
  while (working.load() != 0) {
    (void)undertaker.sweep(is_orphan);
    std::this_thread::yield();
  }
  for (auto& thread : threads)
    thread.join();
  CHECK(torn.load() == 0);
  CHECK(orphans.load() > 0);
  CHECK(starved.load() == 0);
  (void)undertaker.sweep(is_orphan);
  CHECK(granules.in_use() == 0);
}

namespace {

// Sizes of payloads as they come: log-normal, of 4 KiB on average, 1 MiB at most. In granules.
class Sizes {
 public:
  explicit Sizes(std::uint64_t seed) : random_(seed) {}
  std::uint32_t next() {
    constexpr double sigma = 1.5;
    const double mean = std::log(4096.0) - sigma * sigma / 2;
    const double normal = std::sqrt(-2 * std::log(part())) * std::cos(6.283185307179586 * part());
    const double bytes = std::min(1048576.0, std::exp(mean + sigma * normal));
    return static_cast<std::uint32_t>(std::ceil(bytes / layout::kGranuleBytes));
  }
  std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

 private:
  double part() { return (static_cast<double>(random_.next() >> 11U) + 0.5) / 9007199254740992.0; }

  Random random_;
};

// Pushes that many jobs through 64 MiB, by eight handles. When there are `most` of them, or they use `part` of it, one of the
// `oldest` ends. How many were refused.
int refused_of(int pushes, std::size_t most, double part, std::size_t oldest) {
  constexpr std::uint32_t count = 64 * 1024 * 1024 / layout::kGranuleBytes;
  Granules granules(count);
  std::vector<Arena> handles;
  for (std::uint32_t i = 0; i < 8; ++i)
    handles.emplace_back(granules.words.data(), count, i * 97);
  struct Job {
    std::uint32_t first, granules, born;
  };
  std::vector<Job> jobs;  // from `head` on
  std::size_t head = 0;
  std::uint32_t used = 0;
  int refused = 0;
  Sizes sizes(17);
  for (int i = 1; i <= pushes; ++i) {
    const auto born = static_cast<std::uint32_t>(i);
    const std::uint32_t wanted = sizes.next();
    while (jobs.size() - head >= most || used + wanted > part * count) {
      std::swap(jobs[head + sizes.below(std::min(oldest, jobs.size() - head))], jobs[head]);
      const Job& job = jobs[head++];
      handles[sizes.below(8)].give_back(1, job.born, job.first, job.granules);
      used -= job.granules;
    }
    if (head > 1'000'000) {
      jobs.erase(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(head));
      head = 0;
    }
    if (const auto first = handles[sizes.below(8)].claim(1, born, wanted)) {
      jobs.push_back({*first, wanted, born});
      used += wanted;
    } else {
      ++refused;
    }
  }
  CHECK(granules.arena.used() == used);
  return refused;
}

// A day of it, for whoever asks: MILLRACE_ARENA_PUSHES=50000000.
int pushes_asked_for(int otherwise) {
  const char* asked = std::getenv("MILLRACE_ARENA_PUSHES");
  return asked == nullptr ? rounds(otherwise) : std::atoi(asked);
}

}  // namespace

TEST_CASE("work arena: a thousand jobs of all sizes never fill 64 MiB with holes") {
  CHECK(refused_of(pushes_asked_for(400'000), 1000, 0.6, 16) == 0);
}
TEST_CASE("work arena: up to 60 % are used before a job is refused, first come first served") {
  CHECK(refused_of(pushes_asked_for(400'000), ~std::size_t{0}, 0.6, 16) == 0);
}
TEST_CASE("work arena: up to 60 % are used before a job is refused, whoever stays how long") {
  CHECK(refused_of(pushes_asked_for(400'000), ~std::size_t{0}, 0.6, ~std::size_t{0}) == 0);
}

}  // namespace millrace::test::work_arena_test
