// The core alone, on the same layout as the JavaScript benchmarks: two processes, no Node. What it
// prints is the limit that the ratios of the suite are taken against.
//
//   millrace_bench_core spin-rtt BYTES WARM-UP STRETCH           round trips, both sides spinning
//   millrace_bench_core futex-rtt BYTES SPIN WARM-UP STRETCH     round trips, asleep on a futex after SPIN ns
//   millrace_bench_core throughput BYTES [RING] WARM-UP STRETCH  messages one by one through a ring of RING
//                                                                bytes, their numbers checked
//   millrace_bench_core batch BYTES [RING] WARM-UP STRETCH       the same, 64 messages per publish, and all that
//                                                                are there per release
//
// WARM-UP and STRETCH in milliseconds.
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "measuring.hpp"
#include "millrace/millrace.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

constexpr std::uint64_t kForever = 60'000'000'000;

template <typename Side>
std::unique_ptr<Side> open(const std::string& name, std::uint64_t capacity = 0) {
  QueueSpec spec;
  spec.place = name;
  spec.capacity = capacity;
  auto opened = Side::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
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

void send(Link& link, const std::vector<std::byte>& message, std::size_t length) {
  while (link.out->try_push(message.data(), static_cast<std::uint32_t>(length)) != RingStatus::ok) {
    os::spin_hint();
  }
}

// How a side waits for a message.
struct Spins {
  static void wait(QueueConsumer& /*in*/) { os::spin_hint(); }
};
struct Sleeps {
  std::uint64_t spin_ns;
  void wait(QueueConsumer& in) const { (void)in.wait_data(spin_ns, kForever); }
};

// Copies the next message and returns its length.
template <typename Waits>
std::size_t take(Link& link, std::vector<std::byte>& into, const Waits& waits) {
  for (;;) {
    const Message message = link.in->peek();
    if (message.status == RingStatus::ok) {
      std::memcpy(into.data(), message.data, message.length);
      link.in->release(message);
      return message.length;
    }
    if (message.status == RingStatus::corrupt) fail("corrupt ring");
    waits.wait(*link.in);
  }
}

// A message of another length is the last.
template <typename Waits>
void round_trips(const std::string& name, std::size_t bytes, const Times& times, std::uint64_t per,
                 const Waits& waits) {
  std::vector<std::byte> message(bytes);
  const pid_t child = start_follower([&] {
    Link mine = link(name, false);
    while (take(mine, message, waits) == bytes)
      send(mine, message, bytes);
    mine = {};
  });
  Link mine = link(name, true);
  measure_turns(times, child, per, [&] {
    for (std::uint64_t i = 0; i < per; ++i) {
      send(mine, message, bytes);
      (void)take(mine, message, waits);
    }
  });
  send(mine, message, 1);
  end_follower(child);
}

// What a receiver does when it finds nothing, as the JavaScript rows do. Looking all the time would take
// the cache line with the position away from the producer again and again; a microsecond helps. A ring of
// megabytes is left alone until there is more in it than the producer's own cache holds: what has gone on
// to the cache that both cores share is read much faster.
void leave_alone(std::uint64_t capacity) {
  const std::uint64_t megabytes = capacity >> 20U;
  const std::uint64_t times = megabytes == 0 ? 32 : 400 * megabytes;
  for (std::uint64_t i = 0; i < times; ++i)
    os::spin_hint();
}

void consume(const std::string& name, std::size_t bytes, std::uint64_t capacity) {
  auto consumer = open<QueueConsumer>(name, capacity);
  std::vector<std::byte> into(bytes);
  for (std::uint64_t expected = 0;; ++expected) {
    Message message = consumer->peek();
    while (message.status == RingStatus::empty) {
      leave_alone(capacity);
      message = consumer->peek();
    }
    if (message.status == RingStatus::corrupt) fail("corrupt ring");
    if (message.length != bytes) {
      consumer->release(message);  // unread messages would outlive us
      return;
    }
    std::memcpy(into.data(), message.data, message.length);
    std::uint64_t sequence = 0;
    std::memcpy(&sequence, into.data(), sizeof sequence);
    if (sequence != expected) fail("wrong content");
    consumer->release(message);
  }
}

// Messages that are laid down for one publish.
constexpr std::uint64_t kBatch = 64;

// As consume(), but copies all messages that are there before it gives their memory back.
void consume_batches(const std::string& name, std::size_t bytes, std::uint64_t capacity) {
  auto consumer = open<QueueConsumer>(name, capacity);
  std::vector<std::byte> into(bytes * kBatch);
  std::vector<std::uint32_t> lengths(kBatch);
  for (std::uint64_t expected = 0;;) {
    const auto popped = consumer->try_pop_packed(into, lengths);
    if (popped.status == RingStatus::empty) leave_alone(capacity);
    if (popped.status == RingStatus::corrupt) fail("corrupt ring");
    for (std::uint64_t i = 0; i < popped.messages; ++i) {
      if (lengths[i] != bytes) return;  // the last of all
      std::uint64_t sequence = 0;
      std::memcpy(&sequence, into.data() + i * bytes, sizeof sequence);
      if (sequence != expected++) fail("wrong content");
    }
  }
}

// `capacity` 0: the default.
void throughput(const std::string& name, std::size_t bytes, std::uint64_t capacity, bool batches,
                const Times& times) {
  const pid_t child = start_follower([&] {
    if (batches) {
      consume_batches(name, bytes, capacity);
    } else {
      consume(name, bytes, capacity);
    }
  });
  auto producer = open<QueueProducer>(name, capacity);
  while (producer->side().peer() != Peer::attached)
    os::sleep_ns(100'000);
  std::vector<std::byte> message(bytes * (batches ? kBatch : 1));
  const std::span<const std::byte> whole(message);
  std::uint64_t sequence = 0;
  // As many as the JavaScript rows send between two looks at the clock.
  const std::uint64_t block = bytes < 65536 ? 4096 : 64;
  const auto send_batches = [&] {
    for (const std::uint64_t last = sequence + block; sequence < last; sequence += kBatch) {
      for (std::uint64_t i = 0; i < kBatch; ++i) {
        const std::uint64_t number = sequence + i;
        std::memcpy(message.data() + i * bytes, &number, sizeof number);
      }
      const auto length_of = [bytes](std::uint64_t) { return static_cast<std::uint32_t>(bytes); };
      for (std::uint64_t sent = 0; sent < kBatch;)
        sent += producer->try_push_packed(whole.subspan(sent * bytes), kBatch - sent, length_of);
    }
  };
  const auto send_singly = [&] {
    for (const std::uint64_t last = sequence + block; sequence < last;) {
      std::memcpy(message.data(), &sequence, sizeof sequence);
      if (producer->try_push(message.data(), static_cast<std::uint32_t>(bytes)) == RingStatus::ok) {
        ++sequence;
      }
    }
  };
  const auto send_block = [&] { batches ? send_batches() : send_singly(); };
  const auto drain = [&] {
    while (!producer->ring().drained()) {
    }
  };
  for (const auto end = os::Deadline::after(times.warm_up_ns); !end.passed();)
    send_block();
  drain();
  const std::uint64_t first = sequence;
  std::vector<std::uint64_t> blocks;
  blocks.reserve(1 << 20);
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
  print_times(blocks, block, elapsed / static_cast<double>(sent), cpu.per(sent));
  (void)producer->try_push(message.data(), 1);
  end_follower(child);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5)
    fail("usage: spin-rtt|futex-rtt|throughput|batch BYTES [SPIN|RING] WARM-UP STRETCH");
  const std::string_view what = argv[1];
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  if (bytes < 8) fail("BYTES must be 8 or more");
  const Times times = times_of(argc, argv);
  const std::string name = "bench.core." + std::to_string(::getpid());
  if (what == "spin-rtt") {
    round_trips(name, bytes, times, kTripsPerSample, Spins());
  } else if (what == "futex-rtt" && argc == 6) {
    round_trips(name, bytes, times, 1, Sleeps{std::strtoull(argv[3], nullptr, 10)});
  } else if (what == "throughput" || what == "batch") {
    const std::uint64_t capacity = argc == 6 ? std::strtoull(argv[3], nullptr, 10) : 0;
    throughput(name, bytes, capacity, what == "batch", times);
  } else {
    fail("unknown benchmark");
  }
  return 0;
}
