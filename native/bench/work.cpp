// The work queue's core alone: one process pushes jobs, another takes and completes them. What it prints is the limit that the
// JavaScript rows are taken against, and what stands beside boost.cpp.
//
//   millrace_bench_work spinning BYTES JOBS WARM-UP STRETCH        both look all the time
//   millrace_bench_work blocking BYTES JOBS SPIN WARM-UP STRETCH   both sleep on a futex when there is nothing for SPIN ns
//
// WARM-UP and STRETCH in milliseconds. JOBS: so many there may be at a time.
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "measuring.hpp"
#include "millrace/work/work_queue.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

// Between two looks at the clock, as in the JavaScript rows.
constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kForever = 60'000'000'000;

struct Task {
  std::string name;
  std::size_t bytes;
  std::uint32_t jobs;
};

std::unique_ptr<WorkQueue> open(const Task& task) {
  WorkSpec spec;
  spec.place = task.name;
  spec.jobs = task.jobs;
  auto opened = WorkQueue::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

// What a side does that has nothing to do.
struct Spins {
  [[nodiscard]] Lease take(WorkQueue& queue) const {
    for (;;) {
      if (Lease lease = queue.try_take()) return lease;
      // About a microsecond, as in the JavaScript rows: looking all the time takes lines away from the producer.
      for (int i = 0; i < 32; ++i)
        os::spin_hint();
    }
  }
  void push(WorkQueue& queue, std::span<const std::byte> job) const {
    while (queue.try_push(job, {}) != Pushed::yes)
      os::spin_hint();
  }
};
struct Blocks {
  std::uint64_t spin_ns;
  [[nodiscard]] Lease take(WorkQueue& queue) const {
    for (;;) {
      if (Lease lease = queue.try_take()) return lease;
      if (Lease lease = queue.wait_for_job(0, true, spin_ns, kForever)) return lease;
    }
  }
  void push(WorkQueue& queue, std::span<const std::byte> job) const {
    const auto pushed = [&] { return queue.try_push(job, {}) == Pushed::yes; };
    while (!pushed()) {
      if (queue.wait_for_room(spin_ns, kForever, pushed)) return;
    }
  }
};

// A job of another length is the last.
template <typename Waits>
void work(const Task& task, const Waits& waits) {
  auto queue = open(task);
  std::vector<std::byte> into(task.bytes);
  for (std::uint64_t expected = 0;; ++expected) {
    Lease lease = waits.take(*queue);
    JobFacts facts;
    if (!queue->facts(lease.slot, facts)) fail("corrupt queue");
    const bool last = facts.length != task.bytes;
    if (!last) {
      std::memcpy(into.data(), queue->data()->data() + facts.at, facts.length);
      std::uint64_t sequence = 0;
      std::memcpy(&sequence, into.data(), sizeof sequence);
      if (sequence != expected) fail("wrong content");
    }
    if (!queue->complete(lease)) fail("a lease was lost");
    if (last) return;
  }
}

template <typename Waits>
void measure(const Task& task, const Times& times, const Waits& waits) {
  const pid_t child = start_follower([&] { work(task, waits); });
  auto queue = open(task);
  std::vector<std::byte> job(task.bytes);
  std::uint64_t sequence = 0;
  const auto push_block = [&] {
    for (const std::uint64_t last = sequence + kBlock; sequence < last; ++sequence) {
      std::memcpy(job.data(), &sequence, sizeof sequence);
      waits.push(*queue, job);
    }
  };
  const auto drain = [&] {
    while (queue->store().holds_anything())
      os::spin_hint();
  };
  for (const auto end = os::Deadline::after(times.warm_up_ns); !end.passed();)
    push_block();
  drain();
  const std::uint64_t first = sequence;
  std::vector<std::uint64_t> blocks;
  blocks.reserve(1 << 16);
  const CpuTime cpu(child);
  const std::uint64_t start = os::monotonic_ns();
  for (std::uint64_t before = start; before < start + times.stretch_ns;) {
    push_block();
    const std::uint64_t now = os::monotonic_ns();
    blocks.push_back(now - before);
    before = now;
  }
  drain();
  const auto elapsed = static_cast<double>(os::monotonic_ns() - start);
  const std::uint64_t pushed = sequence - first;
  print_times(blocks, kBlock, elapsed / static_cast<double>(pushed), cpu.per(pushed));
  waits.push(*queue, std::span<const std::byte>(job).first(1));
  end_follower(child);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) fail("usage: spinning|blocking BYTES JOBS [SPIN] WARM-UP STRETCH");
  const auto number = [&](int index) { return std::strtoull(argv[index], nullptr, 10); };
  const Task task{"bench.work." + std::to_string(::getpid()), static_cast<std::size_t>(number(2)),
                  static_cast<std::uint32_t>(number(3))};
  if (task.bytes < 8) fail("BYTES must be 8 or more");
  const Times times = times_of(argc, argv);
  const std::string_view what = argv[1];
  if (what == "spinning" && argc == 6) {
    measure(task, times, Spins());
  } else if (what == "blocking" && argc == 7) {
    measure(task, times, Blocks{number(4)});
  } else {
    fail("unknown benchmark");
  }
  return 0;
}
