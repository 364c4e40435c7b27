// As instructions.cpp, for jobs; a program of its own for the reason that call_instructions.cpp has.
//
//   millrace_bench_work_instructions job BYTES TIMES        push, take, look at, complete
//   millrace_bench_work_instructions measured BYTES TIMES   the same by handles that count how long that takes
#include <cstring>
#include <memory>
#include <string_view>

#include "measuring.hpp"
#include "millrace/work/work_queue.hpp"

namespace {

using namespace millrace;
using bench::fail;

std::unique_ptr<WorkQueue> open(const WorkSpec& spec) {
  auto opened = WorkQueue::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

struct Sides {
  explicit Sides(const std::string& name) {
    spec.place = name;
    pusher = open(spec);
    worker = open(spec);
  }

  WorkSpec spec;
  std::unique_ptr<WorkQueue> pusher;
  std::unique_ptr<WorkQueue> worker;
};

// What is done with a job that was taken.
void look_at(const WorkQueue& worker, const Lease& lease, std::vector<std::byte>& into) {
  JobFacts facts;
  if (!lease || !worker.facts(lease.slot, facts)) fail("nothing to take");
  std::memcpy(into.data(), worker.data()->data() + facts.at, facts.length);
}

void jobs(const std::string& name, std::size_t bytes, std::uint64_t times) {
  const Sides sides(name);
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  for (std::uint64_t i = 0; i < times; ++i) {
    if (sides.pusher->try_push(message, {}) != Pushed::yes) fail("no room");
    Lease lease = sides.worker->try_take();
    look_at(*sides.worker, lease, into);
    if (!sides.worker->complete(lease)) fail("lost");
  }
}

void measured(const std::string& name, std::size_t bytes, std::uint64_t times) {
  const Sides sides(name);
  JobMeter pushes = sides.pusher->meter();
  JobMeter takes = sides.worker->meter();
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  for (std::uint64_t i = 0; i < times; ++i) {
    if (sides.pusher->try_push(message, {}, pushes) != Pushed::yes) fail("no room");
    Lease lease = sides.worker->try_take();
    takes.taken(lease);
    look_at(*sides.worker, lease, into);
    const bool working = takes.working();
    const Lease before = working ? lease : Lease{};
    if (!sides.worker->complete(lease)) fail("lost");
    if (working) takes.settled(before);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 4 ? argv[1] : "";
  if (what != "job" && what != "measured") fail("usage: job|measured BYTES TIMES");
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const std::uint64_t times = std::strtoull(argv[3], nullptr, 10);
  const std::string name = "bench.instructions." + std::to_string(::getpid());
  what == "job" ? jobs(name, bytes, times) : measured(name, bytes, times);
  return 0;
}
