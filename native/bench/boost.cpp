// What a C++ program would use today where millrace has a WorkQueue: boost::interprocess::message_queue. A message that
// was received is gone, whatever becomes of the receiver. Built where Boost's headers are found.
//
//   millrace_bench_boost throughput BYTES DEPTH WARM-UP STRETCH   one process sends, one receives, both blocking
//
// WARM-UP and STRETCH in milliseconds.
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstring>
#include <string_view>

#include "measuring.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;
using boost::interprocess::message_queue;

// Between two looks at the clock, as in the JavaScript rows.
constexpr std::uint64_t kBlock = 4096;

struct Task {
  std::string name;
  std::size_t bytes;
  std::size_t depth;
};

// A message of another length is the last.
void receive(message_queue& queue, std::size_t bytes) {
  std::vector<std::byte> into(bytes);
  for (std::uint64_t expected = 0;; ++expected) {
    message_queue::size_type length = 0;
    unsigned priority = 0;
    queue.receive(into.data(), into.size(), length, priority);
    if (length != bytes) return;
    std::uint64_t sequence = 0;
    std::memcpy(&sequence, into.data(), sizeof sequence);
    if (sequence != expected) fail("wrong content");
  }
}

void throughput(const Task& task, const Times& times) {
  message_queue queue(boost::interprocess::create_only, task.name.c_str(), task.depth, task.bytes);
  // The other process inherits the mapping, so nothing is left when both have gone, however they go.
  message_queue::remove(task.name.c_str());
  const pid_t child = start_follower([&] { receive(queue, task.bytes); });
  std::vector<std::byte> message(task.bytes);
  std::uint64_t sequence = 0;
  const auto send_block = [&] {
    for (const std::uint64_t last = sequence + kBlock; sequence < last; ++sequence) {
      std::memcpy(message.data(), &sequence, sizeof sequence);
      queue.send(message.data(), message.size(), 0);
    }
  };
  const auto drain = [&] {
    while (queue.get_num_msg() > 0)
      os::sleep_ns(10'000);
  };
  for (const auto end = os::Deadline::after(times.warm_up_ns); !end.passed();)
    send_block();
  drain();
  const std::uint64_t first = sequence;
  std::vector<std::uint64_t> blocks;
  const CpuTime cpu(child);
  const std::uint64_t start = os::monotonic_ns();
  for (std::uint64_t before = start; before < start + times.stretch_ns;) {
    send_block();
    const std::uint64_t now = os::monotonic_ns();
    blocks.push_back(now - before);
    before = now;
  }
  drain();
  const auto elapsed = static_cast<double>(os::monotonic_ns() - start);
  const std::uint64_t sent = sequence - first;
  print_times(blocks, kBlock, elapsed / static_cast<double>(sent), cpu.per(sent));
  queue.send(message.data(), 1, 0);
  end_follower(child);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 || std::string_view(argv[1]) != "throughput") {
    fail("usage: millrace_bench_boost throughput BYTES DEPTH WARM-UP STRETCH");
  }
  const Task task{"bench.boost." + std::to_string(::getpid()),
                  static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10)),
                  static_cast<std::size_t>(std::strtoull(argv[3], nullptr, 10))};
  if (task.bytes < 8 || task.depth == 0) fail("BYTES must be 8 or more, DEPTH 1 or more");
  try {
    throughput(task, times_of(argc, argv));
  } catch (const std::exception& error) {
    fail(error.what());
  }
  return 0;
}
