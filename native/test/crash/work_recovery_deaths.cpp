// Deaths in the middle of a recovery, and of opening a file that was cut short: whoever comes next finds the same jobs.
#include <sys/stat.h>

#include <cstdlib>
#include <memory>
#include <string>

#include <millrace/work/work_queue.hpp>

#include "scene.hpp"

namespace millrace::test::work_recovery_deaths {

using namespace millrace;
using namespace millrace::test;

namespace {

struct RecoveryScene : Names {
  RecoveryScene() {
    const char* directory = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): one thread
    path = std::string(directory != nullptr ? directory : "/tmp") + "/millrace-" + name("deaths");
  }
  ~RecoveryScene() { (void)::unlink(path.c_str()); }

  [[nodiscard]] Result<std::unique_ptr<WorkQueue>> open() const {
    WorkSpec spec;
    spec.place = Place::file(path);
    spec.jobs = 20;
    spec.dead = 3;
    spec.levels = 2;
    spec.keys = 32;
    spec.window_ms = 1'000'000;
    spec.durability = durability;
    return WorkQueue::open(spec, soon());
  }

  // A file as a power cut left it: jobs that are ready, leased, put off, dead, in groups; and one of which only a part is there.
  void prepare(bool cut) const {
    (void)::unlink(path.c_str());
    auto queue = must(open());
    for (int i = 0; i < 12; ++i) {
      const std::string payload(static_cast<std::size_t>(10 + i * 100), static_cast<char>('a' + i));
      const std::string id = "id-" + std::to_string(i);
      PushOptions options;
      options.level = static_cast<std::uint8_t>(i % 2);
      if (i % 3 == 0) options.group = "group";
      if (i % 4 == 0) options.id = id;
      if (i == 7) options.delay_ns = 3600 * kSecond;
      if (i == 8) options.ttl_ns = 3600 * kSecond;
      REQUIRE(queue->try_push(std::as_bytes(std::span(payload)), options) == Pushed::yes);
    }
    Lease lease = queue->try_take();
    REQUIRE(queue->reject(lease, "no"));
    REQUIRE(queue->try_take());
    JobFacts facts;
    for (std::uint32_t slot = 0; slot < 12; ++slot) {
      REQUIRE(queue->facts(slot, facts));
      if (facts.length == 1010 && durability == layout::Durability::disk)
        queue->data()->data()[facts.at + 900] = std::byte{0};
    }
    const std::uint64_t size = queue->parties().segment().geometry().total_bytes;
    if (!cut) queue->parties().control().boot.store(1);
    queue->parties().vanish();
    queue.reset();
    if (cut) REQUIRE(::truncate(path.c_str(), static_cast<off_t>(size - 100'000)) == 0);
  }
  // What there is, in the order in which it can be had.
  [[nodiscard]] std::string content() const {
    auto queue = must(open());
    std::string all;
    while (Lease lease = queue->try_take()) {
      JobFacts facts;
      REQUIRE(queue->facts(lease.slot, facts));
      const char* const text = reinterpret_cast<const char*>(queue->data()->data() + facts.at);
      REQUIRE(std::string(text, facts.length) == std::string(facts.length, *text));
      all += *text;
      all += std::to_string(facts.length) + "/" + std::to_string(facts.attempt) + " ";
      REQUIRE(queue->complete(lease));
    }
    const JobStore::Counts counts = queue->store().counts();
    all += "delayed " + std::to_string(counts.delayed) + " dead " + std::to_string(counts.dead) +
           " free " + std::to_string(counts.free) + " other " + std::to_string(counts.other);
    return all;
  }
  // Opens it and dies at that passage of that point, or does not.
  int open_and_die(std::string_view point, std::uint64_t passage) const {
    Child child([&] {
      crash::log_to(&n->log);
      if (!point.empty()) CHILD_EXPECT(crash::arm(point, passage));
      const auto queue = open();
      CHILD_EXPECT(queue.ok());
      CHILD_EXPECT(queue.value()->flush().ok());
      crash::disarm();
      queue.value()->parties().vanish();
      return 0;
    });
    return child.wait();
  }

  std::string path;
  layout::Durability durability = layout::Durability::disk;
  Shared<Numbers> n;
};

// For the test that wants a death at every point.
const bool listed = [] {
  explorers().emplace_back("WorkRecovery", [](Passages& passages) {
    for (const int how : {0, 1, 2}) {
      RecoveryScene scene;
      if (how == 2) scene.durability = layout::Durability::file;
      scene.prepare(how == 1);
      REQUIRE(scene.open_and_die({}, 0) == 0);
      const auto& points = crash::points();
      for (std::size_t i = 0; i < points.size(); ++i) {
        if (const std::uint32_t count = scene.n->log.passed[i].load(); count != 0)
          passages[points[i]] += count;
      }
    }
  });
  return true;
}();

}  // namespace

TEST_CASE_FIXTURE(RecoveryScene, "whoever dies anywhere in a recovery leaves it to the next one") {
  for (const int how : {0, 1, 2}) {
    CAPTURE(how);
    const bool cut = how == 1;
    // Of the words that it trusts in the next boot a queue in a file brings the times on.
    durability = how == 2 ? layout::Durability::file : layout::Durability::disk;
    prepare(cut);
    const std::string expected = content();
    CHECK(expected.find("delayed 1 dead 1") != std::string::npos);
    CHECK((expected.find("1010") == std::string::npos) == (how != 2));  // the damaged one
    CHECK(expected.find("other 0") != std::string::npos);

    prepare(cut);
    for (auto& times : n->log.passed)
      times.store(0);
    REQUIRE(open_and_die({}, 0) == 0);
    const auto& points = crash::points();
    std::vector<std::pair<std::string_view, std::uint32_t>> passages;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (const std::uint32_t count = n->log.passed[i].load(); count != 0)
        passages.emplace_back(points[i], count);
    }
    int deaths = 0;
    int in_recovery = 0;
    for (const auto& [where, count] : passages) {
      const std::string_view point = where;  // Clang 14 captures no structured bindings
      for (const std::uint64_t passage : {std::uint64_t{1}, std::uint64_t{count / 2 + 1}}) {
        CAPTURE(point);
        CAPTURE(passage);
        prepare(cut);
        if (open_and_die(point, passage) != -SIGKILL) continue;
        ++deaths;
        if (point.starts_with("work.recover") || point.starts_with("work.rebase") ||
            point.starts_with("segment.mend"))
          ++in_recovery;
        // And once more at the same place, before it is left alone.
        (void)open_and_die(point, passage);
        CHECK(content() == expected);
      }
    }
    CHECK(in_recovery >= (cut ? 10 : how == 2 ? 3 : 7));
    MESSAGE("deaths: " << deaths << ", in the recovery: " << in_recovery);
  }
}

}  // namespace millrace::test::work_recovery_deaths
