// The core alone, on the same layout as the JavaScript benchmarks: two processes, no Node. What it
// prints is the limit that the ratios of the suite are taken against.
//
//   millrace_bench_core spin-rtt BYTES ROUNDS      round trips, both sides spinning
//   millrace_bench_core futex-rtt BYTES ROUNDS     round trips, both sides sleeping on a futex
//   millrace_bench_core throughput BYTES COUNT     messages one by one, consumer checks the sequence
//
// One JSON object on stdout; times in nanoseconds.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/millrace.hpp"

namespace {

using namespace millrace;

constexpr std::uint64_t kForever = 60'000'000'000;

[[noreturn]] void fail(const std::string& what) {
  (void)std::fprintf(stderr, "millrace_bench_core: %s\n", what.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

template <typename Side>
std::unique_ptr<Side> open(const std::string& name) {
  QueueSpec spec;
  spec.place = name;
  auto opened = Side::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

// Percentiles over batches of round trips: a clock call costs too much of a single one.
void print_times(std::vector<std::uint64_t>& times, std::uint64_t per) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
    return static_cast<double>(times[index]) / static_cast<double>(per);
  };
  (void)std::printf("{\"p50\":%.1f,\"p99\":%.1f}\n", at(0.5), at(0.99));
}

struct Link {
  std::unique_ptr<QueueProducer> out;
  std::unique_ptr<QueueConsumer> in;
};
Link link(const std::string& base, bool first) {
  Link made;
  made.out = open<QueueProducer>(base + (first ? ".there" : ".back"));
  made.in = open<QueueConsumer>(base + (first ? ".back" : ".there"));
  return made;
}

void send(Link& link, const std::vector<std::byte>& message) {
  while (link.out->try_push(message.data(), static_cast<std::uint32_t>(message.size())) !=
         RingStatus::ok) {
    os::spin_hint();
  }
}
void take(Link& link, std::vector<std::byte>& into, bool sleeping) {
  for (;;) {
    const Message message = link.in->peek();
    if (message.status == RingStatus::ok) {
      std::memcpy(into.data(), message.data, message.length);
      link.in->release(message);
      return;
    }
    if (message.status == RingStatus::corrupt) fail("corrupt ring");
    if (sleeping) {
      (void)link.in->wait_data(0, kForever);
    } else {
      os::spin_hint();
    }
  }
}

void round_trips(const std::string& name, std::size_t bytes, std::uint64_t rounds, bool sleeping) {
  constexpr std::uint64_t per = 100;
  const std::uint64_t samples = rounds / per + 1;
  const std::uint64_t warm_up = samples / 10 + 1;
  const pid_t child = ::fork();
  std::vector<std::byte> message(bytes);
  if (child == 0) {
    Link mine = link(name, false);
    for (std::uint64_t i = 0; i < (samples + warm_up) * per; ++i) {
      take(mine, message, sleeping);
      send(mine, message);
    }
    mine = {};
    std::_Exit(0);
  }
  std::vector<std::uint64_t> times;
  {
    Link mine = link(name, true);
    for (std::uint64_t sample = 0; sample < samples + warm_up; ++sample) {
      const std::uint64_t start = os::monotonic_ns();
      for (std::uint64_t i = 0; i < per; ++i) {
        send(mine, message);
        take(mine, message, sleeping);
      }
      if (sample >= warm_up) times.push_back(os::monotonic_ns() - start);
    }
    ::waitpid(child, nullptr, 0);
  }
  print_times(times, per);
}

void throughput(const std::string& name, std::size_t bytes, std::uint64_t count) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto consumer = open<QueueConsumer>(name);
    std::vector<std::byte> into(bytes);
    for (std::uint64_t expected = 0; expected < count;) {
      const Message message = consumer->peek();
      if (message.status == RingStatus::empty) continue;
      if (message.status == RingStatus::corrupt) fail("corrupt ring");
      std::memcpy(into.data(), message.data, message.length);
      std::uint64_t sequence = 0;
      std::memcpy(&sequence, into.data(), sizeof sequence);
      if (sequence != expected) fail("wrong content");
      consumer->release(message);
      ++expected;
    }
    consumer.reset();
    std::_Exit(0);
  }
  auto producer = open<QueueProducer>(name);
  while (producer->side().peer() != Peer::attached)
    os::sleep_ns(100'000);
  std::vector<std::byte> message(bytes);
  const std::uint64_t start = os::monotonic_ns();
  for (std::uint64_t sequence = 0; sequence < count;) {
    std::memcpy(message.data(), &sequence, sizeof sequence);
    if (producer->try_push(message.data(), static_cast<std::uint32_t>(bytes)) == RingStatus::ok) {
      ++sequence;
    }
  }
  while (!producer->ring().drained()) {
  }
  const std::uint64_t elapsed = os::monotonic_ns() - start;
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) fail("the consumer failed");
  (void)std::printf("{\"perMessage\":%.2f}\n",
                    static_cast<double>(elapsed) / static_cast<double>(count));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: spin-rtt|futex-rtt|throughput BYTES COUNT");
  const std::string_view what = argv[1];
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const std::uint64_t count = std::strtoull(argv[3], nullptr, 10);
  if (bytes < 8 || count == 0) fail("BYTES must be 8 or more, COUNT 1 or more");
  const std::string name = "bench.core." + std::to_string(::getpid());
  if (what == "spin-rtt") {
    round_trips(name, bytes, count, false);
  } else if (what == "futex-rtt") {
    round_trips(name, bytes, count, true);
  } else if (what == "throughput") {
    throughput(name, bytes, count);
  } else {
    fail("unknown benchmark");
  }
  return 0;
}
