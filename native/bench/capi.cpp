// A message through the C interface beside the C++ core: what the border costs. Both sides in one thread, turn by turn, so that nothing
// else is measured.
//
//   millrace_bench_capi core|c BYTES COUNT     pushes and pops a message of BYTES, COUNT times a sample
//
// One JSON object on stdout; nanoseconds per message.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "measuring.hpp"
#include "millrace.h"
#include "millrace/queue.hpp"

namespace {

using namespace millrace;
using bench::fail;

constexpr int kSamples = 200;
constexpr std::uint64_t kCapacity = 65'536;

template <typename Turn>
void measure(std::uint64_t count, Turn&& turn) {
  for (std::uint64_t i = 0; i < count; ++i)
    turn();
  std::vector<std::uint64_t> times;
  const bench::CpuTime cpu(0);
  for (int sample = 0; sample < kSamples; ++sample) {
    const std::uint64_t begun = os::monotonic_ns();
    for (std::uint64_t i = 0; i < count; ++i)
      turn();
    times.push_back(os::monotonic_ns() - begun);
  }
  bench::print_times(times, count, 0, cpu.per(count * kSamples));
}

void by_core(const std::string& name, std::uint32_t bytes, std::uint64_t count) {
  QueueSpec spec;
  spec.place = name;
  spec.capacity = kCapacity;
  auto producer = QueueProducer::open(spec, os::Deadline::after(5'000'000'000));
  auto consumer = QueueConsumer::open(spec, os::Deadline::after(5'000'000'000));
  if (!producer.ok() || !consumer.ok()) fail("cannot open the queue");
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  measure(count, [&] {
    if (producer.value()->try_push(message.data(), bytes) != RingStatus::ok) fail("no room");
    const Message found = consumer.value()->peek();
    if (found.status != RingStatus::ok || found.length > into.size()) fail("no message");
    std::memcpy(into.data(), found.data, found.length);
    consumer.value()->release(found);
  });
}

void by_c(const std::string& name, std::uint32_t bytes, std::uint64_t count) {
  millrace_queue_options options{};
  options.size = sizeof options;
  options.capacity = kCapacity;
  millrace_queue_producer* producer = nullptr;
  millrace_queue_consumer* consumer = nullptr;
  if (millrace_queue_producer_open(name.c_str(), &options, &producer) != MILLRACE_OK ||
      millrace_queue_consumer_open(name.c_str(), &options, &consumer) != MILLRACE_OK) {
    fail(millrace_last_error_message());
  }
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  measure(count, [&] {
    if (millrace_queue_try_push(producer, message.data(), bytes) != MILLRACE_OK) fail("no room");
    std::uint64_t length = 0;
    if (millrace_queue_try_pop(consumer, into.data(), into.size(), &length) != MILLRACE_OK) {
      fail("no message");
    }
  });
  millrace_queue_producer_free(producer);
  millrace_queue_consumer_free(consumer);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: core|c BYTES COUNT");
  const auto bytes = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  const std::uint64_t count = std::strtoull(argv[3], nullptr, 10);
  const std::string name = "bench.capi." + std::to_string(::getpid());
  if (std::string_view(argv[1]) == "core") {
    by_core(name, bytes, count);
  } else {
    by_c(name, bytes, count);
  }
  return 0;
}
