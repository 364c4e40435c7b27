// The feed handler: writes ticks where the strategy will read them, 64 a message. Prices walk by a rule, so that all can be checked.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "millrace/millrace.hpp"
#include "tick.h"  // as start.ts wrote it

int main(int argc, char** argv) {
  const std::uint64_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  millrace::QueueSpec spec;
  spec.place = std::string("feed-ticks");
  spec.capacity = 1U << 20U;
  spec.schema = Tick_FINGERPRINT;
  auto opened = millrace::QueueProducer::open(spec, millrace::os::Deadline::after(2'000'000'000));
  if (!opened.ok()) {
    (void)std::fprintf(stderr, "feed: %s\n", opened.error().message.c_str());
    return 1;
  }
  millrace::QueueProducer& ticks = *opened.value();

  constexpr std::uint64_t kBatch = 64;
  std::uint32_t random = 1;
  double prices[4] = {100, 200, 300, 400};
  std::array<Tick, kBatch> batch{};
  for (std::uint64_t sent = 0; sent < count;) {
    const std::uint64_t many = std::min(kBatch, count - sent);
    for (std::uint64_t i = 0; i < many; ++i, ++sent) {
      random = random * 1'664'525U + 1'013'904'223U;
      const std::uint32_t symbol = random >> 30U;
      prices[symbol] += (random & 0x10000U) != 0 ? 0.25 : -0.25;
      batch[i] = {sent, prices[symbol], 1 + (random >> 20U) % 100, symbol};
    }
    const auto bytes = std::as_bytes(std::span(batch).first(many));
    if (auto pushed = millrace::push_sync(ticks, bytes); !pushed.ok()) {
      (void)std::fprintf(stderr, "feed: %s\n", pushed.error().message.c_str());
      return 1;
    }
  }
  if (auto ended = millrace::end_sync(ticks); !ended.ok()) {
    (void)std::fprintf(stderr, "feed: %s\n", ended.error().message.c_str());
    return 1;
  }
  (void)std::printf("feed: %" PRIu64 " ticks\n", count);
  return 0;
}
