// Events, barriers, counters, semaphores, rate limiters and breakers whose words, seats and losses lie.
#include <millrace/sync/barrier.hpp>
#include <millrace/sync/breaker.hpp>
#include <millrace/sync/counter.hpp>
#include <millrace/sync/event.hpp>
#include <millrace/sync/rate_limiter.hpp>
#include <millrace/sync/semaphore.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

std::vector<Target> party_targets() {
  return {{layout::kSharedOffset, 2},        // the word
          {layout::kSharedOffset + 128, 8},  // a barrier's losses
          {layout::kPartiesOffset, 1},       // who is there
          {layout::kPartyLinesOffset, 48},   // three wait lines
          {512, 24}};                        // three seats
}

void tell_of_event(Input& input) {
  Memory memory;
  EventSpec spec;
  spec.place = memory.place();
  spec.reset = input.flag() ? layout::Reset::manual : layout::Reset::automatic;
  std::array<std::unique_ptr<Event>, 3> events;
  const auto open = [&](std::unique_ptr<Event>& event) {
    event.reset();
    auto opened = Event::open(spec, os::Deadline::after(0));
    if (opened.ok()) event = opened.take();
  };
  for (auto& event : events)
    open(event);
  insist(events[0] != nullptr, "an honest event opens");
  Liar& liar = memory.liar(party_targets());
  std::optional<Storm> storm;
  weather(storm, liar, input);
  while (!input.over()) {
    auto& event = events[input.below(events.size())];
    const std::size_t what = input.below(8);
    if (what < 3) {
      liar.lie(input);
    } else if (what == 3 || !event) {
      open(event);
    } else if (what == 4) {
      event->set();
    } else if (what == 5) {
      (void)event->wait(os::Deadline::after(0));
    } else if (what == 6) {
      event->reset();
    } else {
      (void)event->try_wait();
      (void)event->begin_wait();
      (void)event->wait_slice(0, 0);
      if (input.flag()) event->end_wait();
    }
  }
}

void tell_of_barrier(Input& input) {
  Memory memory;
  BarrierSpec spec;
  spec.place = memory.place();
  spec.parties = 3;
  std::array<std::unique_ptr<Barrier>, 3> barriers;
  const auto open = [&](std::unique_ptr<Barrier>& barrier) {
    barrier.reset();
    auto opened = Barrier::open(spec, os::Deadline::after(0));
    if (opened.ok()) barrier = opened.take();
  };
  for (auto& barrier : barriers)
    open(barrier);
  insist(barriers[0] != nullptr, "an honest barrier opens");
  Liar& liar = memory.liar(party_targets());
  std::optional<Storm> storm;
  weather(storm, liar, input);
  std::array<bool, 3> waits{};
  while (!input.over()) {
    const std::size_t i = input.below(barriers.size());
    auto& barrier = barriers[i];
    const std::size_t what = input.below(8);
    if (what < 3) {
      liar.lie(input);
    } else if (what == 3 || !barrier) {
      open(barrier);
      waits[i] = false;
    } else if (what == 4) {
      if (!waits[i]) waits[i] = barrier->arrive().status == BarrierTurn::Status::waiting;
    } else if (what == 5) {
      if (waits[i]) waits[i] = barrier->look(input.flag()).status == BarrierTurn::Status::waiting;
      (void)barrier->wait_slice(0, 0);
    } else if (what == 6) {
      if (barrier->withdraw()) waits[i] = false;
      (void)barrier->arrived();
    } else {
      barrier->reset();
    }
  }
}

void tell_of_counter(Input& input) {
  Memory memory;
  CounterSpec spec;
  spec.place = memory.place();
  auto opened = Counter::open(spec, os::Deadline::after(0));
  insist(opened.ok(), "an honest counter opens");
  auto counter = opened.take();
  Liar& liar = memory.liar({{layout::kCounterOffset, 2}, {448, 1}});
  while (!input.over()) {
    liar.lie(input);
    const auto number = static_cast<std::int64_t>(input.word());
    (void)counter->add(number);
    (void)counter->compare_exchange(number, counter->get());
    if (input.byte() == 0) {
      counter->close();
      auto again = Counter::open(spec, os::Deadline::after(0));
      if (!again.ok()) return;
      counter = again.take();
    }
  }
}

void tell_of_rate_limiter(Input& input) {
  Memory memory;
  RateLimiterSpec spec;
  spec.place = memory.place();
  spec.rate = Rate{1 + input.word() % (1ULL << 50U), 1 + input.below(1000)};
  auto opened = RateLimiter::open(spec, os::Deadline::after(0));
  insist(opened.ok(), "an honest rate limiter opens");
  auto limiter = opened.take();
  const std::uint64_t burst = spec.rate->burst;
  Liar& liar = memory.liar({{layout::kRateLimiterOffset, 3}, {448, 1}});
  std::optional<Storm> storm;
  weather(storm, liar, input);
  while (!input.over()) {
    liar.lie(input);
    const std::uint64_t cost = 1 + input.word() % burst;
    (void)limiter->try_take(cost);
    const RateTurn turn = limiter->reserve(cost, input.word());
    if (turn.status == RateTurn::Status::taken) {
      insist(limiter->left() <= 2 * layout::kFarthestTicks, "no turn is farther away than any");
      if (input.flag()) (void)limiter->give_back();
      limiter->finish();
    }
    insist(limiter->remaining() <= burst, "no more remains than there can be");
    (void)limiter->look(RateLimiter::now(), cost);
    (void)limiter->debt();
    if (input.byte() == 0) {
      limiter->close();
      spec.rate.reset();
      auto again = RateLimiter::open(spec, os::Deadline::after(0));
      if (!again.ok()) return;
      limiter = again.take();
      if (limiter->rate().burst != burst) return;
    }
  }
}

void tell_of_breaker(Input& input) {
  Memory memory;
  BreakerSpec spec;
  spec.place = memory.place();
  spec.rules =
      BreakerRules{1 + static_cast<std::uint32_t>(input.below(5)), input.below(3), input.below(3)};
  std::array<std::unique_ptr<Breaker>, 3> breakers;
  const auto open = [&](std::unique_ptr<Breaker>& breaker) {
    breaker.reset();
    auto opened = Breaker::open(spec, os::Deadline::after(0));
    if (opened.ok()) breaker = opened.take();
  };
  for (auto& breaker : breakers)
    open(breaker);
  insist(breakers[0] != nullptr, "an honest breaker opens");
  Liar& liar = memory.liar(party_targets());
  std::optional<Storm> storm;
  weather(storm, liar, input);
  while (!input.over()) {
    auto& breaker = breakers[input.below(breakers.size())];
    const std::size_t what = input.below(8);
    if (what < 3) {
      liar.lie(input);
    } else if (what == 3 || !breaker) {
      open(breaker);
    } else if (what == 4) {
      input.flag() ? breaker->trip() : breaker->reset();
    } else {
      const BreakerEntry entry = breaker->try_enter();
      insist(entry.left_ms <= spec.rules->open_ms, "nobody waits longer than it is open");
      if (what == 5) breaker->succeed(entry.generation);
      if (what == 6) breaker->fail(entry.generation);
      if (what == 7) breaker->release(entry.generation);
      insist(breaker->left_ms() <= spec.rules->open_ms, "nor is told so");
      (void)breaker->wait_slice(entry.generation, 0, 0);
    }
  }
}

// The C library's bytes. What lies in its first word, the permits and who waits for one, may be anything.
// The word behind it (in glibc: which futex operations to use) is beyond us: the C library ends a process
// that finds nonsense there. Whoever can write to a semaphore is trusted with that much.
void tell_of_semaphore(Input& input) {
  SemaphoreSpec spec;
  spec.name = "millrace-fuzz-" + std::to_string(::getpid());
  spec.initial = input.byte();
  (void)Semaphore::unlink(spec.name);
  auto made = Semaphore::create(spec);
  if (!made.ok()) return;  // a system without /dev/shm
  auto semaphore = made.take();
  auto object = os::open_object("sem." + spec.name, os::Access::read_write);
  insist(object.ok(), "its object");
  auto mapped = os::map_shared(object.value().get(), 0, sizeof(sem_t), {});
  insist(mapped.ok(), "mmap");
  Liar liar(mapped.value()->data(), sizeof(std::uint64_t), {{0, 1}});
  while (!input.over()) {
    switch (input.below(4)) {
      case 0:
        liar.lie(input);
        break;
      case 1:
        (void)semaphore->wait_for(0, 1000);
        break;
      case 2:
        (void)semaphore->post(1U + static_cast<std::uint32_t>(input.below(3)));
        break;
      default:
        (void)semaphore->value();
    }
  }
  (void)Semaphore::unlink(spec.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  switch (input.below(6)) {
    case 0:
      tell_of_event(input);
      break;
    case 1:
      tell_of_barrier(input);
      break;
    case 2:
      tell_of_counter(input);
      break;
    case 3:
      tell_of_rate_limiter(input);
      break;
    case 4:
      tell_of_breaker(input);
      break;
    default:
      tell_of_semaphore(input);
  }
  return 0;
}
